"""Expensive results that are made once: looked up under a key, built if missing, never half-written."""

import ast
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, is_dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

from helpers.settings import ROOT

FOLDER = ROOT / "data" / "runs" / "artifacts"
LOCKS = ROOT / "data" / "locks"  # a lock does not hold on a Google Drive, where FOLDER may be
MANIFEST = "manifest.json"


# --- what goes into a key ---


def source_hash(*parts: str) -> str:
    """Hash the code that decides a result, so that what other code made has another key.

    Comments, docstrings, type hints and layout do not count: they change no result.

    Args:
        parts: each a module of `helpers`, such as "masking" or "running/arm"; or, behind a colon, one of its
            functions or classes, with everything of that module that it uses: "scoring:count".

    Returns:
        12 hexadecimal digits.

    Raises:
        KeyError: a module does not define the name behind the colon.
    """
    digest = hashlib.sha256()
    for part in parts:
        module, _, name = part.partition(":")
        file = ROOT / "helpers" / f"{module}.py"
        digest.update(_hash_of_code(file, name, file.stat().st_mtime_ns))
    return digest.hexdigest()[:12]


@lru_cache(maxsize=256)
def _hash_of_code(file: Path, name: str, changed: int) -> bytes:
    digest = hashlib.sha256()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for statement in _used_by(tree, name) if name else tree.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
                del node.body[0]
            if isinstance(node, ast.FunctionDef):
                node.returns = None
            elif isinstance(node, ast.arg):
                node.annotation = None
            elif isinstance(node, ast.AnnAssign):
                node.annotation = ast.Constant(None)
        if not _is_text(statement):  # the module's own docstring
            digest.update(ast.dump(statement).encode())
    return digest.digest()


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _used_by(tree: ast.Module, name: str) -> list[ast.stmt]:
    """Return the statements that a definition needs, itself included, in the order of the file."""
    defines: dict[str, ast.stmt] = {}
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef | ast.FunctionDef):
            defines[statement.name] = statement
        for node in ast.walk(statement) if isinstance(statement, ast.Assign | ast.AnnAssign) else []:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                defines[node.id] = statement
    if name not in defines:
        raise KeyError(name)
    waiting, needed = [name], {}
    while waiting:
        statement = defines[waiting.pop()]
        if id(statement) not in needed:
            needed[id(statement)] = statement
            waiting += {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)} & set(defines)
    return [statement for statement in tree.body if id(statement) in needed]


def versions(*packages: str) -> dict[str, str]:
    """Look up the versions of packages that decide a result.

    Args:
        packages: their names on the package index.

    Returns:
        Name -> version, without what only says how it was built ("2.13.0" for "2.13.0+cpu").
    """
    return {name: version(name).partition("+")[0] for name in packages}


def digest(key: object) -> str:
    """Hash a key.

    Args:
        key: anything that JSON can hold, and dataclasses; other objects count by their `str`.

    Returns:
        16 hexadecimal digits, the same for equal keys in every process.
    """
    return hashlib.sha256(json.dumps(key, default=_plain, sort_keys=True).encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


# --- what lies under a key ---


def find(kind: str, key: object) -> Path | None:
    """Look up the result for a key, without making it.

    Args:
        kind: first part of the folder's name.
        key: as for `build`.

    Returns:
        Its folder; None if it is not there, or if a file in it is not as it was made.
    """
    folder = _folder(kind, key)
    return folder if is_whole(folder) else None


def build(
    kind: str,
    key: object,
    make: Callable[[Path], None],
    *,
    resumable: bool = False,
    mend: Callable[[Path], bool] = lambda folder: False,
) -> Path:
    """Return the folder with the result for a key, and make it first if it is not there.

    It is made in a folder that ends in ".part" and renamed when it is whole, with a manifest of checksums. A
    lock lets two notebooks want the same result at once: one makes it, the other waits. A folder whose files
    do not match their checksums is mended or made again, with a line that says so.

    Args:
        kind: first part of the folder's name.
        key: everything that decides the result: dataclasses, strings, numbers, lists, dictionaries.
        make: fills the folder that it is given.
        resumable: what an attempt that failed or was killed left in its folder is handed to `make` again,
            which goes on from there; otherwise it is thrown away.
        mend: given a damaged folder, puts small files in it right, and says whether the large ones are sound.

    Returns:
        The folder.
    """
    folder = _folder(kind, key)
    FOLDER.mkdir(parents=True, exist_ok=True)
    LOCKS.mkdir(parents=True, exist_ok=True)
    with FileLock(LOCKS / f"{folder.name}.lock"):
        if is_whole(folder):
            return folder
        if folder.is_dir() and mend(folder):
            print(f"{folder} was damaged: small files in it were made again, the large ones are sound.")
            write(folder / MANIFEST, json.dumps(_checksums(folder), indent=1))
            return folder
        if folder.exists():
            print(f"{folder} is damaged: it is made again.")
        _remove(folder)
        part = folder.with_name(f"{folder.name}.part")
        if not resumable or not part.is_dir():
            _remove(part)
        part.mkdir(exist_ok=True)
        try:
            make(part)
            (part / MANIFEST).write_text(json.dumps(_checksums(part), indent=1), encoding="utf-8")
            os.replace(part, folder)
        finally:
            if not resumable:
                _remove(part)
    return folder


def is_whole(folder: Path) -> bool:
    """Check that every file of an artifact still has the checksum that it was made with.

    Files that others put beside them (`.DS_Store`, `desktop.ini`) do not count.

    Args:
        folder: of the artifact; it may be missing.

    Returns:
        Whether it is there and whole.
    """
    try:
        expected = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return bool(expected) and expected.items() <= _checksums(folder).items()
    except (OSError, ValueError, AttributeError):
        return False


def write(file: Path, text: str) -> None:
    """Write a text file as a whole: whoever reads it finds the old or the new content, never half of it.

    Args:
        file: its folder is made if it is missing.
        text: the new content.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def _folder(kind: str, key: object) -> Path:
    return FOLDER / f"{kind}-{digest(key)}"


def _remove(path: Path) -> None:
    """Remove a folder, or whatever somebody has put in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _checksums(folder: Path) -> dict[str, str]:
    files: Iterable[Path] = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in sorted(files)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:  # packed text is not read into memory at once
        return hashlib.file_digest(file, "sha256").hexdigest()
