"""Unlabelled text, up to a number of words."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from helpers.reading.files import LONGEST_LINE, CorpusError, decoded, raw_lines, readable

SHOWN = 100  # lines that tell whether a file is running text
CHARACTERS = 10  # of text without blanks that count as a word
# Ideographs: BERT takes each for a word (google-research/bert, tokenization.py).
IDEOGRAPH = re.compile(
    "[\u4e00-\u9fff\u3400-\u4dbf\U00020000-\U0002a6df\U0002a700-\U0002ceaf\uf900-\ufaff\U0002f800-\U0002fa1f]"
)
JSON = re.compile(r"(\[\s*)?\{\s*([\"']|$)|\[\s*(\"|$)")
MARKUP = re.compile(r"<(\?xml|!doctype|html|mediawiki|doc|tei|body|corpus)\b", re.IGNORECASE)
ELEMENT = re.compile(r"</?[A-Za-z][\w:.-]*(\s[^<>]*)?/?>")  # at the start of a line
QUOTED = re.compile(r'".*",?')
NUMBERED = re.compile(r"\d+[,;|].*")
WITHOUT_BLANKS = "\u0e00"  # from Thai on, scripts may have no blanks between words
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
HEADER = re.compile(r"""["']?\w+["']?([,;]["']?\w+["']?)+""")  # of a table: names without blanks
TEXT = re.compile(r"\b(text|sentence|content|body|article|document)s?\b", re.IGNORECASE)  # a name among them
TAG = r"(O|[BIESLUM][-_]\S+)"
TAGGED = re.compile(rf"\S+\s(.*\s)?{TAG}|{TAG}\s\S+", re.IGNORECASE)  # a word and its tag, either first
OUTSIDE = re.compile(r"\S+\s(.*\s)?O|O\s\S+", re.IGNORECASE)  # such a line of no entity


def text_files(corpus: str | Path, text: str | Path | Sequence[str | Path] | None) -> list[Path]:
    """Return the files of unlabelled text; refuse any for the world, and any that is missing."""
    paths = [Path(text)] if isinstance(text, str | Path) else [Path(file) for file in text or ()]
    if paths and str(corpus) == "world":
        raise CorpusError("The built-in world brings its own text: leave out text, or give a folder.")
    for path in paths:
        if path.is_dir():
            raise CorpusError(
                f"{readable(path)}: a folder, not a file. Give the files in it, like {path}/*.txt."
            )
        if not path.is_file():
            raise CorpusError(f"{readable(path)}: no such file. Check the path.")
    return paths


def read_text(paths: list[Path], words: int | None, notes: list[str]) -> list[str]:
    """Read files of running text, without empty lines, up to the line that reaches a number of words.

    Args:
        paths: files, plain or compressed.
        words: where to stop, by `count_words`; None reads all.
        notes: take a sentence for what was left out or cut.

    Returns:
        The lines.

    Raises:
        CorpusError: a file cannot be read, is empty, or holds no running text.
    """
    lines: list[str] = []
    count = 0
    for path in paths:
        previous, cut = 0, False
        for number, line in _running_text(path):
            if words is not None and count >= words:
                notes.append(
                    f"Unlabelled text was read up to {count:,} words, in {readable(path.name)}; the rest is "
                    "not used."
                )
                return lines
            if number == previous and not cut:
                cut = True
                notes.append(
                    f"{readable(path.name)}: line {number} has more than {LONGEST_LINE:,} characters. Such "
                    "lines were cut into several, at blanks."
                )
            previous = number
            lines.append(line)
            count += count_words(line)
    return lines


def count_words(line: str) -> int:
    """Count the words of a line, of any script.

    Args:
        line: text.

    Returns:
        The words between blanks, each ideograph as a word of its own, as BERT splits them; but at least one
        for every ten characters, because Thai, Lao, Khmer, Burmese and kana have no blanks between words.
    """
    if not line.isascii() and IDEOGRAPH.search(line):
        return max(len(IDEOGRAPH.sub(" x ", line).split()), len(line) // CHARACTERS)
    return max(len(line.split()), len(line) // CHARACTERS)


def _running_text(path: Path) -> Iterator[tuple[int, str]]:
    """Yield a file's lines that are not empty, with their numbers; refuse what is no running text."""
    stripped = ((number, line.strip()) for number, line in decoded(path, raw_lines(path)))
    lines = ((number, line) for number, line in stripped if line.strip(INVISIBLE))
    shown = list(islice(lines, SHOWN))
    if not shown:
        raise CorpusError(
            f"{readable(path)}: the file is empty. Give a file with one sentence or paragraph a line."
        )
    if what := _other_than_text(path, [line for _, line in shown]):
        raise CorpusError(
            f"{readable(path)}: {what}, not running text. Write the text alone to a plain file, with one "
            "sentence or paragraph a line."
        )
    yield from chain(shown, lines)


def _other_than_text(path: Path, lines: list[str]) -> str | None:
    """Say what a file is by the end of its name or by its first lines, if it is no running text."""
    lines = [line for line in lines if not line.startswith("#")] or lines  # comments tell nothing
    first, suffixes = lines[0], {suffix.lower() for suffix in path.suffixes[-2:]}
    if JSON.match(first) or suffixes & {".json", ".jsonl", ".ndjson"}:
        return "JSON (jq -r .text picks a field)"
    if len(lines) > 4 and _share(QUOTED.fullmatch, lines) == 1:  # a dialogue of two lines may be so
        return "JSON, or a table of one column"
    if MARKUP.match(first) or (len(lines) > 1 and _share(ELEMENT.match, lines) > 0.5):
        return "XML or HTML"
    tagged = [line for line in lines if TAGGED.fullmatch(line)]
    most = len(tagged) > 1 and len(tagged) > 0.9 * len(lines) - 2  # all but a header or a comment
    if most and any(map(OUTSIDE.fullmatch, tagged)):  # sentences may all end with "e-mail"
        return "words with their tags"
    if suffixes & {".csv", ".tsv"} or (HEADER.fullmatch(first) and TEXT.search(first)):
        return "a table"
    if len(lines) > 1 and _share(NUMBERED.fullmatch, lines) > 0.9:
        return "a table, or numbered lines"
    tabs = first.count("\t")
    if len(lines) > 1 and tabs and _share(lambda line: line.count("\t") == tabs, lines) > 0.9:
        return f"a table of {tabs + 1} columns (cut -f2 picks one)"
    single = _share(lambda line: " " not in line and max(line) < WITHOUT_BLANKS, lines)
    if len(lines) > 0.9 * SHOWN and single > 0.9:
        return "one word a line"
    return None


def _share(matches: Callable[[str], object], lines: list[str]) -> float:
    return sum(map(bool, map(matches, lines))) / len(lines)
