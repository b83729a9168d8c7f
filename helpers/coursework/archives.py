"""Finds the notebooks among the files of a submission, in folders and archives, within limits.

Nothing is unpacked onto the disk, no link is followed, and the limits hold for the submission as a whole.
"""

import bz2
import gzip
import io
import lzma
import os
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

MAX_NOTEBOOK_BYTES = 64 << 20  # larger notebooks are not read
MAX_TOTAL_BYTES = 512 << 20  # of all that is read or unpacked for one submission
MAX_ENTRIES = 100_000  # files, in folders and archives together
MAX_DEPTH = 3  # archives in archives

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
UNREAD = (".7z", ".rar", ".tar.zst", ".tar.lz", ".ipynb.gz", ".ipynb.bz2", ".ipynb.xz")
SKIPPED = {".ipynb_checkpoints", "__macosx", ".git", ".venv", "site-packages", "node_modules"}
NOTEBOOK = re.compile(r"\.ipynb(\.txt|\.json)?$", re.IGNORECASE)  # some browsers add an ending when saving
KINDS = (  # by their first bytes, because endings get lost or changed on the way
    (b"PK", ".zip"),
    (b"\x1f\x8b", ".tar.gz"),
    (b"BZh", ".tar.bz2"),
    (b"\xfd7zXZ", ".tar.xz"),
    (b"7z\xbc\xaf", ".7z"),
    (b"Rar!", ".rar"),
)
OPENED: dict[str, Callable] = {".tar.gz": gzip.open, ".tgz": gzip.open}
OPENED |= {".tar.bz2": bz2.open, ".tbz2": bz2.open, ".tar.xz": lzma.open, ".txz": lzma.open}

Report = Callable[[str, str, str], None]  # where, the problem, the remedy


class LimitError(Exception):
    """A submission is larger than is read; the message says what was exceeded."""


@dataclass
class Allowance:
    """What may still be read of one submission."""

    entries: int = MAX_ENTRIES
    bytes: int = MAX_TOTAL_BYTES

    def take(self, entries: int = 0, bytes: int = 0) -> None:
        """Count files and bytes.

        Args:
            entries: files that were found.
            bytes: bytes that were read or unpacked.

        Raises:
            LimitError: if the submission is too large as a whole.
        """
        self.entries -= entries
        self.bytes -= bytes
        if self.entries < 0:
            raise LimitError(f"holds more than {MAX_ENTRIES:,} files")
        if self.bytes < 0:
            raise LimitError(f"has more than {MAX_TOTAL_BYTES >> 20:,} MB when unpacked")


class _Counted(io.RawIOBase):
    """A stream that counts all that is read from it, whatever a file says of its length."""

    def __init__(self, file: IO[bytes], allowance: Allowance):
        self.file, self.allowance = file, allowance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        part = self.file.read(len(buffer))
        self.allowance.take(bytes=len(part))
        buffer[: len(part)] = part
        return len(part)


def printable(name: str) -> str:
    """Return the name of a file such that it can be shown and written anywhere.

    Args:
        name: a name, possibly with bytes that are not UTF-8, or characters that steer a terminal.

    Returns:
        The name with "?" for such bytes, and such characters spelt out.
    """
    text = name.encode("utf-8", "replace").decode()
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


def ending(name: str) -> str:
    """Return the ending of the name of a notebook or an archive.

    Args:
        name: the name of a file.

    Returns:
        ".ipynb", one of `ARCHIVES` or `UNREAD` in lower case, or "" for any other.
    """
    if NOTEBOOK.search(name):
        return ".ipynb"
    return next((kind for kind in (*ARCHIVES, *UNREAD) if name.lower().endswith(kind)), "")


def notebooks(path: Path, report: Report, allowance: Allowance) -> Iterator[tuple[str, bytes]]:
    """Yield the notebooks of a submission, one after the other.

    Args:
        path: a folder, an archive or a notebook.
        report: called for what cannot be read, with the file, the problem and the remedy.
        allowance: what may still be read of this submission.

    Yields:
        The name of each notebook, with the archives and folders that it is in, and its content.
    """
    try:
        for file in _files(path, report) if path.is_dir() else [path]:
            allowance.take(entries=1)
            if not ending(file.name) and file != path:
                continue
            name = printable(file.relative_to(path.parent).as_posix())
            if file.is_symlink() or not file.is_file():
                report(name, "is a link or not an ordinary file", "ask for the file itself")
                continue
            try:
                with file.open("rb") as stream:
                    yield from _opened(name, stream, report, allowance)
            except OSError as error:
                report(name, f"cannot be read ({error.strerror})", "make it readable, or ask for it again")
    except LimitError as error:
        report(printable(path.name), f"{error}: the rest was not read", "ask for the notebooks alone")


def _files(folder: Path, report: Report) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        name = printable(Path(error.filename).relative_to(folder.parent).as_posix())
        report(name, f"cannot be opened ({error.strerror})", "make it readable, or ask for it again")

    for place, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if name.lower() not in SKIPPED)
        yield from (Path(place) / name for name in sorted(files) if not name.startswith("._"))


def _opened(
    name: str, stream: IO[bytes], report: Report, allowance: Allowance, depth: int = 0
) -> Iterator[tuple[str, bytes]]:
    """Yield the notebooks of one file: itself, or those in it if it is an archive."""
    kind = ending(name)
    if kind == ".ipynb":
        content = _content(name, _Counted(stream, allowance), report)
        if content is not None:
            yield name, content
        return
    first = stream.read(8)
    stream.seek(0)
    kind = next((ending for start, ending in KINDS if first.startswith(start)), kind)
    if kind not in ARCHIVES:
        what = f"is a {kind} file, which is not read" if kind else "is neither a notebook nor an archive"
        report(name, what, "unpack it into a folder with the student's identifier, or ask for a zip file")
        return
    if depth == MAX_DEPTH:
        report(name, "is an archive inside too many archives", "unpack it into a folder")
        return
    unpack = _zipped if kind == ".zip" else _tarred
    try:
        for inner, content in unpack(name, kind, stream, report, allowance):
            if ending(inner) == ".ipynb":
                yield inner, content
            else:
                yield from _opened(inner, io.BytesIO(content), report, allowance, depth + 1)
    except LimitError:
        raise
    except Exception as error:  # each format, and each way to damage a file, has errors of its own
        report(name, f"cannot be unpacked ({type(error).__name__}: {error})"[:200], "ask for it again")


def _content(name: str, file: IO[bytes] | io.RawIOBase, report: Report) -> bytes | None:
    """Read a file piece by piece; None, and a report, if it is a notebook that is too large."""
    parts, size = [], 0
    while part := file.read(1 << 20):
        parts.append(part)
        size += len(part)
        if size > MAX_NOTEBOOK_BYTES and ending(name) == ".ipynb":
            report(name, f"has more than {MAX_NOTEBOOK_BYTES >> 20} MB", "ask for it without outputs")
            return None
    return b"".join(parts)


def _zipped(
    name: str, kind: str, stream: IO[bytes], report: Report, allowance: Allowance
) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(stream) as archive:
        for entry in archive.infolist():
            allowance.take(entries=1)
            if not _is_wanted(entry.filename) or entry.is_dir():
                continue
            inner = printable(f"{name}/{entry.filename}")
            try:
                with archive.open(entry) as file:
                    content = _content(inner, _Counted(file, allowance), report)
            except LimitError:
                raise
            except Exception as error:  # a damaged entry must not cost the others
                report(
                    inner, f"cannot be unpacked ({type(error).__name__}: {error})"[:200], "ask for it again"
                )
                continue
            if content is not None:
                yield inner, content


def _tarred(
    name: str, kind: str, stream: IO[bytes], report: Report, allowance: Allowance
) -> Iterator[tuple[str, bytes]]:
    plain = OPENED[kind](stream) if kind in OPENED else stream
    with tarfile.open(fileobj=_Counted(plain, allowance), mode="r|") as archive:  # counts what is skipped too
        for entry in archive:
            allowance.take(entries=1)
            if not _is_wanted(entry.name) or entry.isdir():
                continue
            inner = printable(f"{name}/{entry.name}")
            file = archive.extractfile(entry) if entry.isfile() and not entry.issparse() else None
            if file is None:
                report(inner, "is a link or not an ordinary file", "ask for the file itself")
                continue
            content = _content(inner, file, report)
            if content is not None:
                yield inner, content


def _is_wanted(name: str) -> bool:
    """Return whether an entry of an archive is a notebook or an archive, and not a program's own copy."""
    parts = name.lower().split("/")
    return bool(ending(name)) and not parts[-1].startswith("._") and not SKIPPED & set(parts)
