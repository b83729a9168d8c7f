"""Expensive results that are made once: looked up under a key, built if missing, never half-written."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path

from filelock import FileLock

from helpers.settings import ROOT

FOLDER = ROOT / "data" / "runs" / "artifacts"
MANIFEST = "manifest.json"


def source_hash(*modules: str) -> str:
    """A hash of the named files of `helpers`, so that results made by other code have another key."""
    text = b"".join((ROOT / "helpers" / f"{module}.py").read_bytes() for module in modules)
    return hashlib.sha256(text).hexdigest()[:12]


def build(kind: str, key: object, make: Callable[[Path], None]) -> Path:
    """The folder with the result for `key`; `make(folder)` fills it if it is not there.

    It is made in a temporary folder and renamed when it is whole, with a manifest of checksums. A lock lets
    two notebooks want the same result at once: one makes it, the other waits. A folder whose files do not
    match their checksums is made again.

    Args:
        kind: first part of the folder's name.
        key: anything that decides the result: dataclasses, strings, numbers, tuples, dictionaries.
    """
    digest = hashlib.sha256(json.dumps(key, default=_plain, sort_keys=True).encode()).hexdigest()[:16]
    folder = FOLDER / f"{kind}-{digest}"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if is_whole(folder):
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix=f"{kind}-", suffix=".part", dir=FOLDER))
        try:
            make(temporary)
            (temporary / MANIFEST).write_text(json.dumps(_checksums(temporary), indent=1), encoding="utf-8")
            os.replace(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def exists(kind: str, key: object) -> bool:
    """Whether the result for `key` is there, without making it."""
    digest = hashlib.sha256(json.dumps(key, default=_plain, sort_keys=True).encode()).hexdigest()[:16]
    return (FOLDER / f"{kind}-{digest}" / MANIFEST).exists()


def is_whole(folder: Path) -> bool:
    """Whether every file of an artifact still has the checksum that it was made with."""
    try:
        return json.loads((folder / MANIFEST).read_text(encoding="utf-8")) == _checksums(folder)
    except (OSError, ValueError):
        return False


def _checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def _plain(value: object) -> object:
    if is_dataclass(value):
        return asdict(value)
    return str(value)
