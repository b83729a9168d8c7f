"""From lines to rows of columns: split by tabs, blanks or commas (CSV), or written as JSON."""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path

from helpers.reading.files import CorpusError, decoded, raw_lines, readable

WORD_NAMES = {"word", "words", "token", "tokens", "text", "form", "surface", "char", "chars", "character"}
TAG_NAMES = {
    *("tag", "tags", "label", "labels", "ne", "netag", "netags", "entity", "entities", "namedentity"),
    *("ner", "nertag", "nertags", "nerlabel", "nerlabels", "iob", "iob2", "iobtag", "iobtags"),
    *("bio", "biotag", "biotags", "bioes", "bilou", "gold", "goldtag", "entitytag", "entitytags"),
}
SENTENCE_NAME = re.compile(r"(sent|sentences?|doc|document)(id|ids|idx|index|no|nr|num|number)?")
TAG = re.compile(r"O|[BIESLUMW]([-_]\S+)?|\S+[-_][BIESLUMW]", re.IGNORECASE)  # in whatever form
JSON_SUFFIXES = {".json", ".jsonl", ".ndjson"}
AS_JSON = 'A sentence is an object like {"tokens": ["Anna", "reads"], "ner_tags": ["B-PER", "O"]}.'
ONE_COLUMN = "A line is a word and its tag, split by a tab or blanks; an empty line ends a sentence."


@dataclass
class Table:
    """The rows of a file, one a word, all of them equally wide."""

    path: Path
    rows: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)  # where each row stands
    starts: list[int] = field(default_factory=list)  # the rows that sentences begin with
    header: tuple[str, ...] | None = None
    unit: str = "line"  # what `lines` counts: lines, or the objects of a JSON file
    whole_sentences: bool = False  # sentences are objects, so no column has to number them
    notes: list[str] = field(default_factory=list)  # to follow the file's name

    @property
    def name(self) -> str:
        """The file's name, fit to be printed."""
        return readable(self.path.name)

    @property
    def width(self) -> int:
        """How many columns a row has."""
        return len(self.rows[0])

    def place(self, row: int) -> str:
        """Return where a row stands: the file and its line, or the object of a JSON file."""
        return _place(self.path, self.lines[row], self.unit)

    def column(self, number: int) -> list[str]:
        """Return the fields of a column, counted from 0, without blanks around them."""
        return [text.strip(" ") for text in map(itemgetter(number), self.rows)]

    def sentences(self) -> list[slice]:
        """Return the rows of each sentence."""
        return [slice(a, b) for a, b in zip(self.starts, [*self.starts[1:], len(self.rows)], strict=True)]

    def add(self, fields: list[str], line: int) -> None:
        """Append a row."""
        self.rows.append(fields)
        self.lines.append(line)

    def end_sentence(self) -> None:
        """Begin a sentence with the row that is added next."""
        if not self.starts or self.starts[-1] != len(self.rows):
            self.starts.append(len(self.rows))


def read_table(path: Path) -> Table:
    """Read the rows of a file.

    Args:
        path: file of columns, CSV or JSON.

    Returns:
        Its rows; a header is taken off if the names of its columns are the usual ones.

    Raises:
        CorpusError: the file holds no sentences, its rows are not equally wide, or its JSON or CSV is broken.
    """
    numbered = list(decoded(path, raw_lines(path)))
    # Blanks are a word where a tab or a blank separates them from a tag; a line of nothing else is empty.
    texts = [text for _, text in numbered if text.strip(" \t") and not text.startswith(("#", "-DOCSTART-"))]
    first = next((text.strip() for _, text in numbered if text.strip()), "")
    is_json = JSON_SUFFIXES & {suffix.lower() for suffix in path.suffixes}
    if is_json or (first[:1] in ("{", "[") and _parsed(first) is not None) or first in ("{", "[", "[{"):
        table = _read_json(path, numbered)
    elif delimiter := _csv_delimiter(texts):
        table = _read_csv(path, numbered, delimiter)
    else:
        table = _read_columns(path, numbered, texts)
    if table.rows and table.header is None and names_columns(table.rows[0]):
        take_header(table)
    if not table.rows:
        raise CorpusError(f"{readable(path)}: the file holds no sentences. A line is a word and its tag.")
    table.end_sentence()
    table.starts = [start for start in {0: 0, **dict.fromkeys(table.starts)} if start < len(table.rows)]
    return table


def plain(name: str) -> str:
    """Return a column's name in small letters, without blanks and signs: "Sentence #" becomes "sentence"."""
    return re.sub(r"[\W_]+", "", name.lower())


def names_columns(fields: Iterable[str]) -> bool:
    """Say whether a row is a header: it names a column of words and one of tags."""
    names = {plain(text) for text in fields}
    return bool(names & WORD_NAMES and names & TAG_NAMES)


def take_header(table: Table) -> None:
    """Make the first row the table's header."""
    table.header = tuple(text.strip() for text in table.rows.pop(0))
    table.lines.pop(0)
    table.starts = [max(0, start - 1) for start in table.starts]


def _place(path: Path, line: int, unit: str = "line") -> str:
    return f"{readable(path)}:{line}" if unit == "line" else f"{readable(path)}: {unit} {line}"


# --- columns ---


def _by_tabs(text: str) -> list[str]:
    return text.split("\t")


def _by_several_tabs(text: str) -> list[str]:
    return [column for column in text.split("\t") if column.strip(" ")]


def _by_blanks(text: str) -> list[str]:
    """Split by blanks only: other white space can be a word."""
    columns = text.split(" ")
    return [column for column in columns if column] if "" in columns else columns


def _read_columns(path: Path, numbered: list[tuple[int, str]], texts: list[str]) -> Table:
    table = Table(path)
    tabs = 2 * sum("\t" in text for text in texts) > len(texts)
    split, other = (_by_tabs, _by_blanks) if tabs else (_by_blanks, _by_tabs)
    widths = Counter(map(len, map(split, texts)))
    if tabs and len(widths) > 1 and len(padded := Counter(map(len, map(_by_several_tabs, texts)))) == 1:
        split, widths = _by_several_tabs, padded
        table.notes.append("several tabs in a row were read as one.")
    width = max(widths, key=lambda number: (widths[number], number), default=0)
    quoted = _quoting(texts, "\t" if tabs else " ")
    if quoted:
        table.notes.append('words are quoted as in CSV files: """" was read as ".')
    odd: list[tuple[int, str]] = []
    for number, text in numbered:
        if not text.strip(" \t"):
            table.end_sentence()
            continue
        if quoted and '"' in text:
            columns = next(csv.reader([text], delimiter="\t" if tabs else " "))
        else:
            columns = split(text)
        if text.startswith("-DOCSTART-"):
            table.end_sentence()
        elif text.startswith("#") and not _holds_a_word(columns, width):
            if text.startswith("# global.columns"):  # CoNLL-U Plus
                names = tuple(text.partition("=")[2].split())
                table.header = names if len(names) == width else None
        elif len(columns) == width > 1:
            table.add(columns, number)
        elif mended := _mended(text, columns, width, other):
            table.add(mended, number)
        else:
            odd.append((number, text))
    if odd:
        raise CorpusError(_other_widths(path, odd, split, width, len(texts)))
    return table


def _holds_a_word(columns: list[str], width: int) -> bool:
    """Say whether a line that starts with "#" holds a word, such as "#" or "#nerd", and is no comment."""
    return len(columns) == width and any(TAG.fullmatch(column.strip()) for column in columns[1:])


def _mended(text: str, columns: list[str], width: int, other: Callable[[str], list[str]]) -> list[str] | None:
    """Read a line that can mean only one thing though its columns are not split as the others'."""
    if width < 2:
        return None
    if other is _by_tabs and text.startswith(" ") and len(columns) == width - 1:
        return [" ", *columns]  # the word is a blank
    if len(columns) > width and not any(column.strip(" ") for column in columns[width:]):
        return columns[:width]
    columns = other(text)
    return columns if len(columns) == width else None


def _other_widths(
    path: Path, odd: list[tuple[int, str]], split: Callable[[str], list[str]], width: int, count: int
) -> str:
    number, text = next((line for line in odd if len(split(line[1])) == 1), odd[0])
    found = len(split(text))
    said = (
        f"{readable(path)}:{number}: {'one column' if found == 1 else f'{found} columns'} ({text.strip()!r})"
    )
    if width < 2:
        return f"{said}. {ONE_COLUMN}"
    more = f" (lines of another width: {len(odd)})" if len(odd) > 1 else ""
    remedy = ONE_COLUMN if found == 1 else "Fill in what is missing, or take out what is too much."
    return f"{said}, but {count - len(odd)} lines of the file have {width}{more}. {remedy}"


def _quoting(texts: list[str], delimiter: str) -> bool:
    """Say whether the lines with quotes are just what a writer of CSV writes, as pandas does."""
    quotes = [text for text in texts if '"' in text]
    if not quotes:
        return False
    styles = [csv.QUOTE_MINIMAL, *([csv.QUOTE_ALL] if len(quotes) == len(texts) else [])]
    return any(all(_written_by_csv(text, delimiter, style) for text in quotes) for style in styles)


def _written_by_csv(text: str, delimiter: str, style: int) -> bool:
    written: list[str] = []
    catch = type("Catch", (), {"write": staticmethod(written.append)})()
    try:
        columns = next(csv.reader([text], delimiter=delimiter, strict=True))
        csv.writer(catch, delimiter=delimiter, quoting=style, lineterminator="").writerow(columns)  # type: ignore[arg-type]
    except csv.Error:
        return False
    return written == [text]


# --- CSV ---


def _csv_delimiter(texts: list[str]) -> str | None:
    """Return what splits the columns of a CSV file; None if tabs or blanks do."""
    if not texts or "\t" in texts[0]:
        return None
    for delimiter in ",;|":
        try:
            if names_columns(next(csv.reader(texts[:1], delimiter=delimiter))):
                return delimiter
        except csv.Error:
            continue
        some = [text.rpartition(delimiter) for text in texts[:1_000]]
        if sum(bool(before and TAG.fullmatch(tag.strip(' "'))) for before, _, tag in some) > 0.9 * len(some):
            return delimiter
    return None


def _read_csv(path: Path, numbered: list[tuple[int, str]], delimiter: str) -> Table:
    table = Table(path)
    reader = csv.reader((text + "\n" for _, text in numbered), delimiter=delimiter, strict=True)
    line = 0
    try:
        for columns in reader:
            before, line = line, reader.line_num
            if line > before + 1:
                raise csv.Error(f"a field goes on to line {line}")
            if any(column.strip() for column in columns):
                table.add(columns, line)
            else:
                table.end_sentence()
    except csv.Error as error:
        at = before + 1 if line > before + 1 else reader.line_num
        raise CorpusError(
            f"{_place(path, at)}: not CSV ({error}). A field with a quote in it is quoted and its quotes are "
            'doubled: the word " is written """".'
        ) from None
    widths = Counter(map(len, table.rows))
    width = max(widths, key=lambda number: (widths[number], number), default=0)
    odd = [row for row, columns in enumerate(table.rows) if len(columns) != width]
    if odd:
        more = f" (lines of another width: {len(odd)})" if len(odd) > 1 else ""
        raise CorpusError(
            f"{table.place(odd[0])}: {len(table.rows[odd[0]])} columns, but most lines of the file have "
            f"{width}{more}. A field with a {delimiter!r} in it has to be quoted."
        )
    return table


# --- JSON ---


def _parsed(text: str) -> dict | list | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) or (isinstance(found, list) and found) else None


def _read_json(path: Path, numbered: list[tuple[int, str]]) -> Table:
    """Read sentences that are JSON objects, one a line or all in one list, with a list for each column."""
    table = Table(path, whole_sentences=True)
    lines = [(number, text) for number, text in numbered if text.strip()]
    whole = _parsed("\n".join(text for _, text in lines))
    if isinstance(whole, list):
        table.unit = "object"
        objects = list(enumerate(whole, start=1))
    else:
        objects = [(number, _object(path, number, text)) for number, text in lines]
    for number, found in objects:
        if not isinstance(found, dict):
            raise CorpusError(f"{_place(path, number, table.unit)}: no object ({found!r:.40}). {AS_JSON}")
    table.header, words = _parallel_lists([found for _, found in objects])
    if objects and words is None:
        raise CorpusError(
            f"{_place(path, objects[0][0], table.unit)}: no list of words ({', '.join(objects[0][1])}). "
            f"{AS_JSON} Positions of characters have to be turned into tags first."
        )
    for number, found in objects:
        columns = [found.get(name) for name in table.header]
        lengths = [len(column) if isinstance(column, list) else None for column in columns]
        if None in lengths or len(set(lengths)) > 1:
            said = ", ".join(f"{name}: {length}" for name, length in zip(table.header, lengths, strict=True))
            raise CorpusError(
                f"{_place(path, number, table.unit)}: the lists are not equally long ({said}). Give each "
                "word one tag."
            )
        for fields in zip(*columns, strict=True):
            table.add(["" if item is None else str(item) for item in fields], number)
        table.end_sentence()
    return table


def _object(path: Path, number: int, text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise CorpusError(f"{_place(path, number)}: not JSON ({error}). {AS_JSON}") from None


def _parallel_lists(objects: list[dict]) -> tuple[tuple[str, ...], str | None]:
    """Return the names of the lists that are as long as the words in most objects, and that of the words."""
    sizes: dict[str, list[int | None]] = {}
    for number, found in enumerate(objects):
        for name, value in found.items():
            if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
                sizes.setdefault(name, [None] * len(objects))[number] = len(value)
    words = next(
        (name for name in sizes if plain(name) in (*WORD_NAMES, "sentence")), next(iter(sizes), None)
    )
    if words is None or not any(sizes[words]):
        return (), None
    same = {
        name: sum(size == wanted for size, wanted in zip(size_of, sizes[words], strict=True))
        for name, size_of in sizes.items()
    }
    return tuple(name for name in sizes if 2 * same[name] > len(objects)), words
