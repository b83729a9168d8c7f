"""From bytes to lines: what a file is compressed with, how it is encoded, where it breaks off."""

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path


class CorpusError(ValueError):
    """A corpus that cannot be used; the message names the file, the line where there is one, and a remedy."""


def readable(path: str | Path) -> str:
    """Return a path as text that can be written as UTF-8."""
    # Where the locale is not UTF-8, Python escapes a path's bytes as surrogates, which no file takes.
    return str(path).encode(errors="surrogateescape").decode(errors="replace")


def raw_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a plain, gzip or xz file.

    Args:
        path: file.

    Yields:
        Lines with their ends.

    Raises:
        CorpusError: the file cannot be read to its end.
    """
    openers: dict[str, Callable] = {".gz": gzip.open, ".xz": lzma.open}
    try:
        with openers.get(path.suffix.lower(), open)(path, "rb") as file:
            yield from file
    except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise CorpusError(
            f"{readable(path)}: cannot be read ({error}). Check that the file is complete."
        ) from error


def decoded(path: Path, lines: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """Decode lines and number them; line ends and a byte order mark are left out."""
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise CorpusError(
                f"{readable(path)}:{number}: not UTF-8 (byte 0x{line[error.start]:02x} at position "
                f"{error.start + 1}). Save the file as UTF-8."
            ) from None
        yield number, text.rstrip("\r\n")
