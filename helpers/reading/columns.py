"""Which column holds the words and which the tags, found by looking at all rows or said by the user."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from helpers.reading.files import CorpusError
from helpers.reading.schemes import OUTSIDE, Reading, form_of, to_iob2
from helpers.reading.tables import DOCUMENT_NAME, SENTENCE_NAME, TAG_NAMES, WORD_NAMES, Table, plain

ROLES = ("word", "tag", "sentence")
EXAMPLE = "--columns word=1,tag=3"
NUMBER = re.compile(r"\d+([-.]\d+)?")
IDENTIFIER = re.compile(r"(\D*)(\d{1,18})")  # of a sentence: 7, s7, doc-7
CHUNKS = {
    *("NP", "VP", "PP", "ADVP", "ADJP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP"),  # CoNLL-2000
    *("NC", "VC", "PC"),  # TreeTagger
}


@dataclass(frozen=True)
class Choice:
    """The columns of a group of files, counted from 0, and how the tags are spelt."""

    word: int
    tag: int
    form: str


def parse(text: str) -> dict[str, str]:
    """Read what the user says of the columns.

    Args:
        text: like "word=2,tag=3" or "word=Token,tag=NER,sentence=Sentence #"; empty to leave it to the files.

    Returns:
        Role -> number or name, for the roles that are named.

    Raises:
        CorpusError: it is not written like that.
    """
    wanted: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        role, equals, column = (piece.strip() for piece in part.partition("="))
        if role not in ROLES or not column or "=" in column or role in wanted:
            raise CorpusError(
                f"columns are {text!r}: write them as word=2,tag=3, each once, with numbers from 1 or the "
                "names of a header; sentence=1 names a column that numbers the sentences"
            )
        wanted[role] = column
    return wanted


def choose(tables: Sequence[Table], wanted: dict[str, str], notes: list[str]) -> list[Choice]:
    """Choose the columns of words and tags.

    Args:
        tables: of all splits. Those with as many columns (and the same header) are looked at together.
        wanted: what the user says.
        notes: gets a sentence about what was chosen and why, where it is not the only way.

    Returns:
        A choice for each table.

    Raises:
        CorpusError: a named column is missing, or it cannot be told which column is meant.
    """
    for table in tables:
        names = [column for column in wanted.values() if not column.isdecimal()]
        if table.header is None and names and set(names) <= set(table.row(0)):
            table.take_header()
    groups: dict[tuple, list[Table]] = {}
    for table in tables:
        groups.setdefault((table.width, table.header), []).append(table)
    found = [_Group(group, wanted) for group in groups.values()]
    chosen = dict(zip(groups, [group.choose(notes) for group in found], strict=True))
    chunks = [group for group in found if group.only_chunks]
    if 0 < len(chunks) < len(found):
        raise CorpusError(
            f"{chunks[0].files}: the tags are chunks such as NP, while other files have tags of entities. "
            "Give all files a column of entities."
        )
    if chunks:
        notes.append("Warning: the tags look like chunks (NP, VP), not like entities.")
    return [chosen[table.width, table.header] for table in tables]


class _Group:
    """Files with the same columns."""

    def __init__(self, tables: list[Table], wanted: dict[str, str]):
        self.tables = tables
        self.header = tables[0].header
        self.width = tables[0].width
        self.only_chunks = False
        self.files = ", ".join(dict.fromkeys(table.name for table in tables))
        self.wanted = {role: self._number(role, column) for role, column in wanted.items()}
        self.sentence_columns = self._sentence_columns()
        for table in tables:
            _split_sentences(table, self.sentence_columns)
        self.fields = [[table.columns[number] for table in tables] for number in range(self.width)]
        self.counts = [Counter(chain.from_iterable(fields)) for fields in self.fields]

    def _number(self, role: str, column: str) -> int:
        if self.header and column in self.header:
            return self.header.index(column)
        if self.header and plain(column) in (names := list(map(plain, self.header))):
            return names.index(plain(column))
        if column.isdecimal() and 1 <= int(column) <= self.width:
            return int(column) - 1
        there = f"columns {', '.join(self.header)}" if self.header else f"{self.width} columns and no header"
        raise CorpusError(f"{self.files}: no column {column} for {role}={column}; the file has {there}.")

    def _sentence_columns(self) -> list[int]:
        """Find the columns that number sentences, by what the user says or by their names."""
        if "sentence" in self.wanted:
            return [self.wanted["sentence"]]
        if self.tables[0].whole_sentences:
            return []
        names = list(map(plain, self.header or ()))
        sentences = [number for number, name in enumerate(names) if SENTENCE_NAME.fullmatch(name)]
        documents = [number for number, name in enumerate(names) if DOCUMENT_NAME.fullmatch(name)]
        # Sentences may be numbered anew in each document. A document alone is no sentence.
        return [*documents, *sentences] if sentences or self._has_empty_lines() else []

    def _has_empty_lines(self) -> bool:
        return all(len(table.starts) > 1 for table in self.tables)

    def choose(self, notes: list[str]) -> Choice:
        reasons: list[str] = []
        forms = {number: form for number in range(self.width) if (form := form_of(self.counts[number]))}
        for number in self.sentence_columns:
            forms.pop(number, None)
        tag = self.wanted.get("tag", None)
        if tag is None:
            tag = self._tag_column(dict(forms), reasons)
        word = self.wanted.get("word", None)
        if word is None:
            word = self._word_column({tag, *forms, *self.sentence_columns}, tag, reasons)
        if word == tag:
            raise CorpusError(
                f"{self.files}: {self._name(tag)} cannot hold both words and tags. Name two columns, as in "
                f"{EXAMPLE}."
            )
        if {"word", "tag"} <= set(self.wanted):
            reasons = ["as you said"]
        if self.width > 2 or reasons or word > tag:
            why = f" ({'; '.join(reasons)})" if reasons else ""
            notes.append(
                f"{self.files}: of {self.width} columns, {self._name(word)} is read as words "
                f"({self._first_values(word)}) and {self._name(tag)} as tags{why}."
            )
        return Choice(word, tag, forms.get(tag, "B-PER"))

    def _name(self, number: int) -> str:
        return f"column {self.header[number]!r}" if self.header else f"column {number + 1}"

    def _names(self, numbers: Sequence[int]) -> str:
        return " and ".join(map(self._name, numbers))

    def _first_values(self, number: int) -> str:
        some = list(dict.fromkeys(value for value in self.fields[number][0] if value))[:3]
        return " ".join([*map(ascii, some), "…"])

    # --- tags ---

    def _tag_column(self, forms: dict[int, str], reasons: list[str]) -> int:
        """Find the column of entities among those that hold tags."""
        named = [n for n in range(self.width) if self.header and plain(self.header[n]) in TAG_NAMES]
        if not forms:
            return named[0] if named else self.width - 1  # whose first field that is no tag is named later
        filled = {n: form for n, form in forms.items() if set(self.counts[n]) - set(OUTSIDE)}
        left = {n: form for n, form in filled.items() if n in named} or filled or forms
        chunks = [number for number in left if self._is_of_chunks(number)]
        if chunks and len(chunks) < len(left):
            reasons.append(f"{self._names(chunks)}: chunks such as noun phrases")
            left = {number: form for number, form in left.items() if number not in chunks}
        elif chunks:
            self.only_chunks = True
        for number in list(left):
            if any(other < number and self.fields[other] == self.fields[number] for other in left):
                del left[number]  # the same once more
        if len(left) == 1:
            return next(iter(left))
        mentions = {number: self._mentions(number, form) for number, form in left.items()}
        rows = self.counts[0].total()
        outer = [
            number
            for number in left
            if all(_nested(mentions[other], mentions[number], rows) for other in left if other != number)
        ]
        if len(outer) == 1:
            inner = [number for number in left if number != outer[0]]
            count = sum(len(mentions[number]) for number in inner)
            reasons.append(
                f"{self._names(inner)}: {count:,} entities nested in the {len(mentions[outer[0]]):,} read"
            )
            return outer[0]
        listed = " and ".join(
            f"{self._name(number)} ({len(found):,} entities, of types {_few({m[-1] for m in found})})"
            for number, found in mentions.items()
        )
        raise CorpusError(
            f"{self.files}: {listed} hold tags, and neither is nested in the other. Say which is meant, as "
            f"in {EXAMPLE}."
        )

    def _is_of_chunks(self, number: int) -> bool:
        counts = self.counts[number]
        chunks = sum(n for tag, n in counts.items() if tag[2:] in CHUNKS)
        return 2 * chunks > counts.total() - sum(counts[tag] for tag in OUTSIDE)

    def _mentions(self, number: int, form: str) -> set[tuple[int, int, int, str]]:
        """Find all mentions of a column: the file, the first row, the row behind the last one, the type."""
        reading = Reading.of(self.counts[number], form)
        found = set()
        for file, (table, fields) in enumerate(zip(self.tables, self.fields[number], strict=True)):
            known = [field if field in reading.parsed else "O" for field in fields]
            reading.parsed.setdefault("O", ("O", ""))
            tags = to_iob2(known, table.sentences(), reading).tags
            start = None
            for row, tag in enumerate([*tags, "O"]):
                if start is not None and not tag.startswith("I-"):
                    found.add((file, start, row, tags[start][2:]))
                    start = None
                if tag.startswith("B-"):
                    start = row
        return found

    # --- words ---

    def _word_column(self, taken: set[int], tag: int, reasons: list[str]) -> int:
        """Find the first column that can hold words."""
        left = [number for number in range(self.width) if number not in taken]
        if not left:  # all others look like tags: two letters of a small file may
            left = [
                number
                for number in range(self.width)
                if number != tag and number not in self.sentence_columns
            ]
        named = [number for number in left if self.header and plain(self.header[number]) in WORD_NAMES]
        if len(named) == 1:
            return named[0]
        problems = {number: self._no_words(number, alone=len(left) == 1) for number in left}
        usable = [number for number in left if not problems[number]]
        # Parts of speech are capitals in most sets (NNP, NOUN, ADJA); words are so only where all are.
        capitals = [number for number in usable if self._all_capitals(number)]
        if len(capitals) < len(usable):
            problems |= dict.fromkeys(capitals, "capitals alone, as parts of speech")
            usable = [number for number in usable if number not in capitals]
        passed = left[: left.index(usable[0])] if usable else left
        reasons += [f"{self._name(number)}: {problems[number]}" for number in passed]
        if not usable:
            raise CorpusError(
                f"{self.files}: no column holds words ({'; '.join(reasons)}). Say which does, as in "
                f"{EXAMPLE}."
            )
        return self._first_of_words(usable)

    def _all_capitals(self, number: int) -> bool:
        return len(self.counts[number]) <= 100 and "".join(self.counts[number]).isupper()

    def _first_of_words(self, usable: list[int]) -> int:
        """Return the first of several columns, unless another one is as rich as words are."""
        first, rows = usable[0], self.counts[usable[0]].total()
        different = {number: len(self.counts[number]) for number in usable}
        richer = [
            n
            for n in usable[1:]
            if different[n] > max(100, 2 * different[first]) and different[n] < 0.9 * rows
        ]
        if richer:
            listed = " and ".join(f"{self._name(n)} ({different[n]:,} different)" for n in [first, *richer])
            raise CorpusError(f"{self.files}: {listed} may hold the words. Say which does, as in {EXAMPLE}.")
        return first

    def _no_words(self, number: int, alone: bool) -> str:
        """Say why a column does not hold words; "" if it may."""
        if alone:
            return "counts the words" if self._counts_words(number) else ""
        if all(NUMBER.fullmatch(value) for value in self.counts[number] if value):
            return "numbers"
        if 2 * self.counts[number][""] > self.counts[number].total():
            return "mostly empty"
        several = False
        for table, fields in zip(self.tables, self.fields[number], strict=True):
            for sentence in table.sentences():
                values = fields[sentence]
                if values.count(values[0]) < len(values):
                    return ""
                several |= len(values) > 2
        return "the same throughout each sentence" if several else ""

    def _counts_words(self, number: int) -> bool:
        for table, fields in zip(self.tables, self.fields[number], strict=True):
            for sentence in table.sentences():
                values = fields[sentence]
                if not all(value.isdecimal() for value in values):
                    return False
                first = int(values[0])
                if first > 1 or list(map(int, values)) != list(range(first, first + len(values))):
                    return False
        return True


def _split_sentences(table: Table, numbers: list[int]) -> None:
    """Begin a sentence wherever a column that numbers sentences changes; its empty fields go on."""
    if not numbers:
        if len(table.starts) == 1:
            table.starts = _numbered_starts(table)
        return
    if len(numbers) == 1 and (restarts := _restarts(table.columns[numbers[0]])):  # it counts the words
        table.starts = sorted({*table.starts, *restarts})
        return
    current = [""] * len(numbers)
    starts = set(table.starts)
    for row, values in enumerate(zip(*(table.columns[number] for number in numbers), strict=True)):
        if any(value and value != now for value, now in zip(values, current, strict=True)):
            starts.add(row)
        current = [value or now for value, now in zip(values, current, strict=True)]
    table.starts = sorted(starts)


def _numbered_starts(table: Table) -> list[int]:
    """Find where sentences start in a file without empty lines if a column numbers them, or their words."""
    found: dict[int, list[int]] = {}
    for number, fields in enumerate(table.columns):
        if starts := _restarts(fields):
            table.notes.append(f"sentences begin where column {number + 1} counts from {fields[0]} again.")
            return starts
        if starts := _changes(fields):
            found[number] = starts
    if not found:
        return table.starts
    finest = max(found, key=lambda number: len(found[number]))  # the others number documents
    table.notes.append(f"sentences are those that column {finest + 1} numbers.")
    return found[finest]


def _restarts(fields: list[str]) -> list[int]:
    """Return the rows where a column that counts words, 1 2 3 1 2, begins anew; none if it does not count."""
    if not fields or not all(map(str.isdecimal, fields)):
        return []
    values = list(map(int, fields))
    again = [row for row, (a, b) in enumerate(pairwise(values), start=1) if b != a + 1]
    counts = again and {values[0], *(values[row] for row in again)} in ({0}, {1})
    return [0, *again] if counts else []


def _changes(fields: list[str]) -> list[int]:
    """Return the rows where a column that numbers sentences, 1 1 1 2 2 or S0 S0 S4, changes.

    None if it does not: the numbers grow, or begin anew with each document, and most rows go on with their
    sentence.
    """
    parts = list(map(IDENTIFIER.fullmatch, fields))
    if not parts or None in parts or len({part[1] for part in parts if part}) > 1:
        return []
    values = [int(part[2]) for part in parts if part]
    rows = [row for row, (a, b) in enumerate(pairwise(values), start=1) if a != b]
    anew = [row for row in rows if values[row] < values[row - 1]]
    if 2 * (len(rows) + 1) > len(values) or any(values[row] > 1 for row in anew):
        return []
    return [0, *rows] if len(set(values)) > (2 if anew else 1) else []  # 0 and 1 may say yes and no


def _nested(inner: set[tuple], outer: set[tuple], rows: int) -> bool:
    """Say whether mentions are a nested level of others: inside them, and not the same."""
    # Names lie inside phrases too. But phrases have types of their own, and leave out few words.
    if not inner:
        return True
    types = Counter(mention[-1] for mention in inner)
    known = {mention[-1] for mention in outer}
    covered = {(file, row) for file, start, end, _ in outer for row in range(start, end)}
    inside = sum(all((file, row) in covered for row in range(start, end)) for file, start, end, _ in inner)
    same_types = sum(count for type_, count in types.items() if type_ in known)
    alike = 2 * same_types > len(inner) or 2 * len(covered) <= rows
    return alike and inside >= 0.9 * len(inner) and len(inner & outer) <= 0.1 * len(inner)


def _few(names: set[str]) -> str:
    some = sorted(names)
    return ", ".join(some[:4]) + (", …" if len(some) > 4 else "")
