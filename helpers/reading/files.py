"""From bytes to lines: what a file is compressed with, how it is encoded, where its lines end."""

import bz2
import codecs
import gzip
import io
import lzma
import re
import shlex
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

LONGEST_LINE = 20_000  # characters; a longer line is read in parts, so that memory stays bounded
HEAD = 1 << 16  # bytes that tell what a file is
OPENERS: dict[bytes, Callable[..., Any]] = {  # first bytes -> what opens such a file
    rb"\x1f\x8b": gzip.open,
    rb"BZh[1-9](1AY&SY|\x17rE8P\x90)": bz2.open,
    rb"\xfd7zXZ\0|\x5d\0\0": lzma.open,
}
COMPRESSED = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".lzma": "lzma"}  # what the end of a name promises
REFUSED = {  # first bytes -> what the file is, and what to do
    rb"PK\x03\x04(?s:.{26})(\[Content_Types\]\.xml|_rels/|word/|xl/|docProps/|mimetype)": (
        "a document of an office program",
        "save it as plain text or CSV in UTF-8",
    ),
    rb"PK(\x03\x04|\x05\x06)": ("a zip archive", "unzip it, and give the text files inside"),
    rb"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it (7z x {file}), and give the text files inside"),
    rb"Rar!\x1a\x07": ("a rar archive", "unpack it (unrar x {file}), and give the text files inside"),
    rb"\x28\xb5\x2f\xfd": ("compressed with zstd", "unpack it first (zstd -d {file})"),
    rb"\x04\x22\x4d\x18": ("compressed with lz4", "unpack it first (lz4 -d {file})"),
    rb"\x1f\x9d": ("compressed with compress", "unpack it first (uncompress {file})"),
    rb"(?s:.{257}ustar)": (
        "a tar archive, compressed or not",
        "unpack it (tar -xf {file}), and give the text files inside",
    ),
    rb"%PDF-": ("a PDF", "extract its text first (pdftotext {file})"),
    rb"\{\\rtf": ("a document in Rich Text Format", "save it as plain text in UTF-8"),
    rb"\xd0\xcf\x11\xe0": (
        "a document of an older Microsoft Office",
        "save it as plain text or CSV in UTF-8",
    ),
    rb"PAR1": (
        "a Parquet table",
        "write it as plain text: a sentence or paragraph a line, or sentences as JSON lines (pandas: "
        "read_parquet, then to_json(orient='records', lines=True))",
    ),
    rb"version https://git-lfs": (
        "a pointer of Git LFS instead of the file",
        "fetch the file (git lfs pull)",
    ),
}
MARKS = {  # byte order mark -> encoding; the longer ones first, because one begins like another
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}


class CorpusError(ValueError):
    """A corpus that cannot be used; the message names the file, the line where there is one, and a remedy."""


def readable(path: str | Path) -> str:
    """Return a path as text that can be written as UTF-8."""
    # Where the locale is not UTF-8, Python escapes a path's bytes as surrogates, which no file takes.
    return str(path).encode(errors="surrogateescape").decode(errors="replace")


def raw_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file: plain, or compressed with gzip, bzip2 or xz, whatever its name says.

    The encoding is UTF-8, or the one that a byte order mark names. Lines end at LF or CR LF; in a file
    without any LF, at CR. A line of more than `LONGEST_LINE` characters comes in parts, cut at blanks where
    there are any; only the last part has a line's end.

    Args:
        path: file.

    Yields:
        Lines with their ends; bytes that are not UTF-8 are escaped as surrogates, for `decoded` to refuse.

    Raises:
        CorpusError: the file is of a kind that is not read, or cannot be read to its end.
    """
    try:
        with open(path, "rb") as start:
            head = start.read(HEAD)
        _refuse(path, head)
        opener = _kind(OPENERS, head)
        suffix = path.suffix.lower()
        if opener is None and suffix in COMPRESSED and head:
            raise CorpusError(
                f"{readable(path)}: cannot be read: it is named like a {COMPRESSED[suffix]} file, but is "
                "none. If it is plain text, leave the ending out; else fetch it again."
            )
        with (opener or open)(path, "rb") as file:
            head = file.read(HEAD)
            _refuse(path, head)
            if opener and _kind(OPENERS, head):
                raise CorpusError(f"{readable(path)}: compressed twice. Unpack it once.")
            file.seek(0)
            encoding = next((name for mark, name in MARKS.items() if head.startswith(mark)), "utf-8")
            shown = head.decode(encoding, "replace")
            yield from _parts(
                io.TextIOWrapper(
                    file,
                    encoding,
                    errors="surrogateescape" if encoding.startswith("utf-8") else "strict",
                    newline="\r" if "\r" in shown and "\n" not in shown.rstrip("\n") else "\n",
                )
            )
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{readable(path)}: begins like {error.encoding.upper()}, but goes on otherwise "
            f"({error.reason}). Save the file as UTF-8."
        ) from None
    except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise CorpusError(
            f"{readable(path)}: cannot be read ({error}). Check that the file is complete."
        ) from error


def decoded(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield lines with their numbers and without their ends; refuse what is no text.

    Args:
        path: file, for the message.
        lines: as `raw_lines` yields them.

    Yields:
        The number of each line, from 1, and its text. All parts of a long line have its number.

    Raises:
        CorpusError: a line is not UTF-8, or holds NUL.
    """
    number = 1
    for line in lines:
        if not line.isascii():
            _refuse_other_encodings(path, number, line)
        if "\0" in line:
            raise CorpusError(
                f"{readable(path)}:{number}: holds NUL bytes, so it is not text, or text in UTF-16 without a "
                f"byte order mark. In the latter case: iconv -f UTF-16LE -t UTF-8 {_quoted(path)} > utf-8.txt"
            )
        yield number, line.rstrip("\r\n")
        number += line.endswith(("\n", "\r"))


def _refuse(path: Path, head: bytes) -> None:
    """Raise CorpusError for a kind of file that is known, but not read."""
    if kind := _kind(REFUSED, head):
        what, remedy = kind
        raise CorpusError(
            f"{readable(path)}: {what}, which is not read; {remedy.format(file=_quoted(path))}."
        )


def _kind(kinds: dict[bytes, Any], head: bytes) -> Any:
    return next((kind for pattern, kind in kinds.items() if re.match(pattern, head)), None)


def _parts(file: io.TextIOWrapper) -> Iterator[str]:
    """Yield lines, those that are too long in parts."""
    rest = ""  # of the last word of a part, which may go on
    while line := file.readline(LONGEST_LINE - len(rest)):
        line = rest + line
        rest = ""
        if len(line) == LONGEST_LINE and line[-1] not in "\r\n":
            cut = line.rfind(" ") + 1
            if cut:
                line, rest = line[:cut], line[cut:]
        yield line
    if rest:
        yield rest


def _refuse_other_encodings(path: Path, number: int, line: str) -> None:
    """Raise CorpusError if a line has an escaped byte."""
    try:
        line.encode()
    except UnicodeEncodeError as error:
        byte, position = ord(line[error.start]) - 0xDC00, len(line[: error.start].encode()) + 1
        name, code = ("Windows-1252", "CP1252") if 0x80 <= byte < 0xA0 else ("Latin-1", "LATIN1")
        raise CorpusError(
            f"{readable(path)}:{number}: not UTF-8 (byte 0x{byte:02x} at position {position}). Save the file "
            f"as UTF-8. If it is {name}: iconv -f {code} -t UTF-8 {_quoted(path)} > utf-8.txt"
        ) from None


def _quoted(path: Path) -> str:
    return shlex.quote(readable(path.name))
