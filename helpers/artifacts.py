"""Expensive results that are made once: looked up under a key, built if missing, never half-written."""

import ast
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path

from filelock import FileLock

from helpers.settings import ROOT

FOLDER = ROOT / "data" / "runs" / "artifacts"
LOCKS = ROOT / "data" / "locks"  # a lock does not hold on a Google Drive, where FOLDER may be
MANIFEST = "manifest.json"


def source_hash(*modules: str) -> str:
    """A hash of the code in the named files of `helpers`, so that what other code made has another key.

    Comments, docstrings and layout do not count: they change no result.
    """
    digest = hashlib.sha256()
    for module in modules:
        tree = ast.parse((ROOT / "helpers" / f"{module}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            if documented and ast.get_docstring(node) is not None:
                del node.body[0]
        digest.update(ast.dump(tree).encode())
    return digest.hexdigest()[:12]


def build(kind: str, key: object, make: Callable[[Path], None], *, resumable: bool = False) -> Path:
    """The folder with the result for `key`; `make(folder)` fills it if it is not there.

    It is made in a folder that ends in ".part" and renamed when it is whole, with a manifest of checksums. A
    lock lets two notebooks want the same result at once: one makes it, the other waits. A folder whose files
    do not match their checksums is made again.

    Args:
        kind: first part of the folder's name.
        key: anything that decides the result: dataclasses, strings, numbers, tuples, dictionaries.
        resumable: what an attempt that failed or was killed left in its folder is handed to `make` again,
            which goes on from there; otherwise it is thrown away.
    """
    folder = _folder(kind, key)
    FOLDER.mkdir(parents=True, exist_ok=True)
    LOCKS.mkdir(parents=True, exist_ok=True)
    with FileLock(LOCKS / f"{folder.name}.lock"):
        if is_whole(folder):
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        part = folder.with_name(f"{folder.name}.part")
        if not resumable:
            shutil.rmtree(part, ignore_errors=True)
        part.mkdir(exist_ok=True)
        try:
            make(part)
            (part / MANIFEST).write_text(json.dumps(_checksums(part), indent=1), encoding="utf-8")
            os.replace(part, folder)
        finally:
            if not resumable:
                shutil.rmtree(part, ignore_errors=True)
    return folder


def exists(kind: str, key: object) -> bool:
    """Whether the result for `key` is there, without making it."""
    return (_folder(kind, key) / MANIFEST).exists()


def is_whole(folder: Path) -> bool:
    """Whether every file of an artifact still has the checksum that it was made with."""
    try:
        return json.loads((folder / MANIFEST).read_text(encoding="utf-8")) == _checksums(folder)
    except (OSError, ValueError):
        return False


def write(file: Path, text: str) -> None:
    """Writes a text file as a whole: whoever reads it finds the old or the new content, never half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def _folder(kind: str, key: object) -> Path:
    digest = hashlib.sha256(json.dumps(key, default=_plain, sort_keys=True).encode()).hexdigest()[:16]
    return FOLDER / f"{kind}-{digest}"


def _checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def _plain(value: object) -> object:
    if is_dataclass(value):
        return asdict(value)
    return str(value)
