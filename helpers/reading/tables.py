"""From lines to rows of columns: split by tabs, blanks or commas (CSV), or written as JSON."""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import compress
from pathlib import Path

from helpers.reading.files import CorpusError, decoded, raw_lines, readable

WORD_NAMES = {"word", "words", "token", "tokens", "text", "form", "surface", "char", "chars", "character"}
TAG_NAMES = {
    *("tag", "tags", "label", "labels", "ne", "netag", "netags", "entity", "entities", "namedentity"),
    *("ner", "nertag", "nertags", "nerlabel", "nerlabels", "iob", "iob2", "iobtag", "iobtags"),
    *("bio", "biotag", "biotags", "bioes", "bilou", "gold", "goldtag", "entitytag", "entitytags"),
}
_NUMBER = "(id|ids|idx|index|no|nr|num|number)?"
SENTENCE_NAME = re.compile(f"(sent|sentences?){_NUMBER}")
DOCUMENT_NAME = re.compile(f"(doc|docs|documents?){_NUMBER}")
TAG = re.compile(r"O|[BIESLUMW]([-_]\S+)?|\S+[-_][BIESLUMW]", re.IGNORECASE)  # in whatever form
UNWRITABLE = re.compile("[\ud800-\udfff\\0\\n\\r]")  # in a word of JSON
PREFIX = re.compile(r"^[BIESLUMW][-_]|[-_][BIESLUMW]$", re.IGNORECASE)  # what a tag has beside its type
SEPARATOR = re.compile("sep=.", re.IGNORECASE)  # a first line that tells Excel what splits the columns
JSON_SUFFIXES = {".json", ".jsonl", ".ndjson"}
AS_JSON = 'A sentence is an object like {"tokens": ["Anna", "reads"], "ner_tags": ["B-PER", "O"]}.'
ONE_COLUMN = "A line is a word and its tag, split by a tab or blanks; an empty line ends a sentence."


class Table:
    """The rows of a file, one a word, kept by columns: those of a million lines are too many to be lists."""

    def __init__(self, path: Path, width: int, unit: str = "line", header: tuple[str, ...] | None = None):
        self.path = path
        self.columns: list[list[str]] = [[] for _ in range(width)]  # fields without blanks around them
        self.unit = unit  # what `lines` counts: lines, or the objects of a JSON file
        self.lines: list[int] = []  # where each row stands
        self.starts: list[int] = []  # the rows that sentences begin with
        self.header = header
        self.whole_sentences = False  # sentences are objects, so no column has to number them
        self.notes: list[str] = []  # to follow the file's name
        self._waiting: list[list[str]] = []

    @property
    def name(self) -> str:
        """The file's name, fit to be printed."""
        return readable(self.path.name)

    @property
    def width(self) -> int:
        """How many columns a row has."""
        return len(self.columns)

    def place(self, row: int) -> str:
        """Return where a row stands: the file and its line, or the object of a JSON file."""
        return _place(self.path, self.lines[row], self.unit)

    def row(self, number: int) -> list[str]:
        """Return the fields of a row."""
        return [column[number] for column in self.columns]

    def sentences(self) -> list[slice]:
        """Return the rows of each sentence."""
        return [slice(a, b) for a, b in zip(self.starts, [*self.starts[1:], len(self.lines)], strict=True)]

    def add(self, fields: list[str], line: int) -> None:
        """Append a row."""
        self.lines.append(line)
        self._waiting.append(fields)
        if len(self._waiting) == 1_000:
            self._sort_in()

    def end_sentence(self) -> None:
        """Begin a sentence with the row that is added next."""
        self.starts.append(len(self.lines))

    def finish(self) -> None:
        """Make what was added ready to be read, and take the header off if the usual names stand there."""
        self._sort_in()
        self.starts = [start for start in dict.fromkeys([0, *self.starts]) if start < len(self.lines)]
        if self.lines and self.header is None and names_columns(self.row(0)):
            self.take_header()

    def take_header(self) -> None:
        """Make the first row the table's header."""
        self.header = tuple(column.pop(0) for column in self.columns)
        del self.lines[0]
        starts = dict.fromkeys(max(0, start - 1) for start in self.starts)
        self.starts = [start for start in starts if start < len(self.lines)]

    def _sort_in(self) -> None:
        for column, fields in zip(self.columns, zip(*self._waiting, strict=True), strict=False):
            column.extend([text.strip(" ") for text in fields])
        self._waiting.clear()


def read_table(path: Path) -> Table:
    """Read the rows of a file.

    Args:
        path: file of columns, CSV or JSON.

    Returns:
        Its rows; a header is taken off if the names of its columns are the usual ones.

    Raises:
        CorpusError: the file holds no sentences, its rows are not equally wide, or its JSON or CSV is broken.
    """
    numbered = _whole_lines(decoded(path, raw_lines(path)))
    numbered = [(number, text) for number, text in numbered if number > 1 or not SEPARATOR.fullmatch(text)]
    texts = [text for _, text in numbered if not _is_empty(text) and not text.startswith(("#", "-DOCSTART-"))]
    first = next((text.strip() for _, text in numbered if text.strip()), "")
    is_json = JSON_SUFFIXES & {suffix.lower() for suffix in path.suffixes}
    if is_json or (first[:1] in ("{", "[") and _parsed(first) is not None) or first in ("{", "[", "[{"):
        table = _read_json(path, numbered)
    elif delimiter := _csv_delimiter(texts):
        table = _read_csv(path, numbered, delimiter)
    else:
        table = _read_columns(path, numbered, texts)
    table.finish()
    if not table.lines:
        raise CorpusError(f"{readable(path)}: the file holds no sentences. A line is a word and its tag.")
    return table


def _whole_lines(numbered: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """Put together what a very long line, such as a whole JSON file, was read in."""
    lines = list(numbered)
    if not lines or lines[-1][0] == len(lines):
        return lines
    parts: dict[int, list[str]] = {}
    for number, text in lines:
        parts.setdefault(number, []).append(text)
    return [(number, "".join(texts)) for number, texts in parts.items()]


def plain(name: str) -> str:
    """Return a column's name in small letters, without blanks and signs: "Sentence #" becomes "sentence"."""
    return re.sub(r"[\W_]+", "", name.lower())


def names_columns(fields: Iterable[str]) -> bool:
    """Say whether a row is a header: it names a column of words and one of tags."""
    names = {plain(text) for text in fields}
    return bool(names & WORD_NAMES and names & TAG_NAMES)


def _place(path: Path, line: int, unit: str = "line") -> str:
    return f"{readable(path)}:{line}" if unit == "line" else f"{readable(path)}: {unit} {line}"


# --- columns ---


def _is_empty(text: str) -> bool:
    """Say whether a line holds nothing; blanks are a word where a tab or a blank sets them off from a tag."""
    return not text.strip(" \t") or not (text.strip() or " " in text or "\t" in text)


def _by_tabs(text: str) -> list[str]:
    return text.split("\t")


def _by_several_tabs(text: str) -> list[str]:
    return [column for column in text.split("\t") if column.strip(" ")]


def _by_blanks(text: str) -> list[str]:
    """Split by blanks only: other white space can be a word."""
    columns = text.split(" ")
    return [column for column in columns if column] if "" in columns else columns


def _read_columns(path: Path, numbered: list[tuple[int, str]], texts: list[str]) -> Table:
    tabs = 2 * sum("\t" in text for text in texts) > len(texts)
    split, other = (_by_tabs, _by_blanks) if tabs else (_by_blanks, _by_tabs)
    widths = Counter(map(len, map(split, texts)))
    if tabs and len(widths) > 1 and len(padded := Counter(map(len, map(_by_several_tabs, texts)))) == 1:
        split, widths = _by_several_tabs, padded
    width = _most_common(widths)
    table = Table(path, width)
    if split is _by_several_tabs:
        table.notes.append("several tabs in a row were read as one.")
    quoted = _quoting(texts, "\t" if tabs else " ")
    if quoted:
        table.notes.append('words are quoted as in CSV files: """" was read as ".')
    odd: list[tuple[int, str]] = []
    types: list[set[str]] = [set() for _ in range(width)]  # by column, of the lines that are no comments
    for fields in filter(lambda fields: len(fields) == width, map(split, texts)):
        for found, column in zip(types, fields, strict=True):
            if TAG.fullmatch(column):
                found.add(PREFIX.sub("", column))
    for number, text in numbered:
        if _is_empty(text):
            table.end_sentence()
            continue
        if quoted and '"' in text:
            columns = next(csv.reader([text], delimiter="\t" if tabs else " "))
        else:
            columns = split(text)
        if text.startswith("-DOCSTART-"):
            table.end_sentence()
        elif text.startswith("#") and not _holds_a_word(columns, types):
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


def _holds_a_word(columns: list[str], types: list[set[str]]) -> bool:
    """Say whether a line that starts with "#" holds a word, such as "#" or "#nerd", and is no comment."""
    # Behind a word stands a tag of a type that other lines have; s-1 in "# sent_id = s-1" is none.
    if len(columns) != len(types) or columns[1].strip() == "=":
        return False
    return any(
        found and TAG.fullmatch(column.strip()) and PREFIX.sub("", column.strip()) in found | {"O"}
        for column, found in zip(columns[1:], types[1:], strict=True)
    )


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
    rest = texts[1:1_000] or texts  # without what may be a header
    for delimiter in ",;|":
        try:
            if names_columns(next(csv.reader(texts[:1], delimiter=delimiter))):
                return delimiter
        except csv.Error:
            continue
        some = [text.rpartition(delimiter) for text in rest]
        if sum(bool(before and TAG.fullmatch(tag.strip(' "'))) for before, _, tag in some) > 0.9 * len(some):
            return delimiter  # the last column holds tags
        if _a_column_of_tags(rest, delimiter):
            return delimiter
    return None


def _a_column_of_tags(texts: list[str], delimiter: str) -> bool:
    """Say whether nearly all lines have as many columns, and one of these holds tags."""
    try:
        rows = list(csv.reader(texts, delimiter=delimiter))
    except csv.Error:
        return False
    width = _most_common(Counter(map(len, rows)))
    columns = list(zip(*(row for row in rows if len(row) == width > 1), strict=True))
    return any(sum(map(bool, map(TAG.fullmatch, column))) > 0.9 * len(texts) for column in columns)


def _read_csv(path: Path, numbered: list[tuple[int, str]], delimiter: str) -> Table:
    numbered = [row for row in numbered if not row[1].startswith("#") or delimiter in row[1]]
    reader = csv.reader((text + "\n" for _, text in numbered), delimiter=delimiter, strict=True)
    rows, line = [], 0
    try:
        for columns in reader:
            if reader.line_num > line + 1:
                raise csv.Error(f"a field goes on to line {numbered[reader.line_num - 1][0]}")
            line = reader.line_num
            rows.append(columns)
    except csv.Error as error:
        raise CorpusError(
            f"{_place(path, numbered[line][0])}: not CSV ({error}). A field with a quote in it is quoted and "
            'its quotes are doubled: the word " is written """".'
        ) from None
    filled = [any(column.strip() for column in columns) for columns in rows]  # "," is an empty line too
    widths = Counter(map(len, compress(rows, filled)))
    table = Table(path, _most_common(widths))
    for (number, _), columns, is_row in zip(numbered, rows, filled, strict=True):
        if not is_row:
            table.end_sentence()
        elif len(columns) == table.width:
            table.add(columns, number)
        else:
            many = widths.total() - widths[table.width]
            more = f" (lines of another width: {many})" if many > 1 else ""
            raise CorpusError(
                f"{_place(path, number)}: {len(columns)} columns, but most lines of the file have "
                f"{table.width}{more}. A field with a {delimiter!r} in it has to be quoted."
            )
    return table


def _most_common(widths: Counter[int]) -> int:
    return max(widths, key=lambda width: (widths[width], width), default=0)


# --- JSON ---


def _parsed(text: str) -> dict | list | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) or (isinstance(found, list) and found) else None


def _read_json(path: Path, numbered: list[tuple[int, str]]) -> Table:
    """Read sentences that are JSON objects, one a line or all in one list, with a list for each column."""
    lines = [(number, text) for number, text in numbered if text.strip()]
    whole = _parsed("\n".join(text for _, text in lines))
    unit = "object" if isinstance(whole, list) else "line"
    if isinstance(whole, list):
        objects = list(enumerate(whole, start=1))
    else:
        objects = [(number, _object(path, number, text)) for number, text in lines]
    for number, found in objects:
        if not isinstance(found, dict):
            raise CorpusError(f"{_place(path, number, unit)}: no object ({found!r:.40}). {AS_JSON}")
    header = _parallel_lists([found for _, found in objects])
    if objects and not header:
        raise CorpusError(
            f"{_place(path, objects[0][0], unit)}: no list of words ({', '.join(objects[0][1])}). {AS_JSON} "
            "Positions of characters have to be turned into tags first."
        )
    table = Table(path, len(header), unit, header)
    table.whole_sentences = True
    for number, found in objects:
        columns = [found.get(name) for name in header]
        lengths = [len(column) if isinstance(column, list) else None for column in columns]
        if None in lengths or len(set(lengths)) > 1:
            said = ", ".join(f"{name}: {length}" for name, length in zip(header, lengths, strict=True))
            raise CorpusError(
                f"{_place(path, number, unit)}: the lists are not equally long ({said}). Give each "
                "word one tag."
            )
        for fields in zip(*columns, strict=True):
            texts = ["" if item is None else str(item) for item in fields]
            if broken := UNWRITABLE.search("".join(texts)):
                raise CorpusError(
                    f"{_place(path, number, unit)}: {texts} holds the character {broken[0]!r}, which no word "
                    "can hold (half of an emoji, or a control character). Take it out."
                )
            table.add(texts, number)
        table.end_sentence()
    return table


def _object(path: Path, number: int, text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise CorpusError(f"{_place(path, number)}: not JSON ({error}). {AS_JSON}") from None


def _parallel_lists(objects: list[dict]) -> tuple[str, ...]:
    """Return the names of the lists that are as long as that of the words in most objects."""
    sizes: dict[str, list[int | None]] = {}
    for number, found in enumerate(objects):
        for name, value in found.items():
            if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
                sizes.setdefault(name, [None] * len(objects))[number] = len(value)
    named = (name for name in sizes if plain(name) in (*WORD_NAMES, "sentence"))
    words = sizes.get(next(named, next(iter(sizes), "")), [])
    if not any(words):
        return ()
    same = {name: sum(a == b for a, b in zip(size, words, strict=True)) for name, size in sizes.items()}
    return tuple(name for name in sizes if 2 * same[name] > len(objects))
