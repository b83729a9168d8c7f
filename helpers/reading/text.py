"""Unlabelled text, up to a number of words."""

from collections.abc import Sequence
from pathlib import Path

from helpers.reading.files import CorpusError, decoded, raw_lines, readable


def text_files(corpus: str | Path, text: str | Path | Sequence[str | Path] | None) -> list[Path]:
    """Return the files of unlabelled text; refuse any for the world, and any that is missing."""
    paths = [Path(text)] if isinstance(text, str | Path) else [Path(file) for file in text or ()]
    if paths and str(corpus) == "world":
        raise CorpusError("The built-in world brings its own text: leave out text, or give a folder.")
    for path in paths:
        if not path.is_file():
            raise CorpusError(f"{readable(path)}: no such file. Check the path.")
    return paths


def read_text(paths: list[Path], words: int | None, notes: list[str]) -> list[str]:
    """Read plain, gzip or xz files, without empty lines, up to the line that reaches `words` words."""
    lines: list[str] = []
    count = 0
    for path in paths:
        before = len(lines)
        for _, line in decoded(path, raw_lines(path)):
            line = line.strip()
            if not line:
                continue
            if words is not None and count >= words:
                notes.append(
                    f"Unlabelled text was read up to {count:,} words, in {readable(path.name)}; the rest is "
                    "not used."
                )
                return lines
            lines.append(line)
            count += len(line.split())
        if len(lines) == before:
            raise CorpusError(
                f"{readable(path)}: the file is empty. Give a file with one sentence or paragraph a line."
            )
    return lines
