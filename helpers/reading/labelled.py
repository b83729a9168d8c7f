"""Labelled sentences of all splits, read together: columns and scheme have to agree."""

import gc
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers.reading.columns import Choice, choose, parse
from helpers.reading.files import CorpusError
from helpers.reading.schemes import Reading, conversion_notes, form_of, scheme_of, to_iob2, unknown
from helpers.reading.tables import Table, read_table

LONG, ALONE = 1_000, 60  # words of a sentence, or of a file of one, that has likely lost its empty lines
LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z]+)?:")  # before each word, as in WikiANN
UNSEEN = re.compile("[\u00ad\u200b\u2060\ufeff]")  # joiners are letters' neighbours in many scripts
Sentence = tuple[list[str], list[str]]  # words and their IOB2 tags


def read_labelled(paths: dict[str, Path], columns: str, notes: list[str]) -> dict[str, list[Sentence]]:
    """Read the sentences of all splits, and convert their tags to IOB2.

    Args:
        paths: a file for each split.
        columns: which columns hold words and tags, like "word=2,tag=3"; empty to find out.
        notes: gets a sentence for all that was chosen, converted or looks wrong.

    Returns:
        Sentences by split.

    Raises:
        CorpusError: a file cannot be read, its columns cannot be told apart, a tag is unknown, or the files
            follow schemes that do not go together.
    """
    wanted = parse(columns)
    if "labels" in wanted:
        raise CorpusError("labels=… names the numbers of a set of the hub; files hold the tags themselves.")
    with _without_collecting():
        tables = {split: read_table(path) for split, path in paths.items()}
        choices = dict(zip(tables, choose(list(tables.values()), wanted, notes), strict=True))
        return _converted(tables, choices, notes)


def from_pairs(
    splits: dict[str, list[Sentence]], places: dict[str, str], notes: list[str]
) -> dict[str, list[Sentence]]:
    """Convert the tags of sentences that are no longer files, as `read_labelled` does.

    Args:
        splits: words and their tags, in any scheme.
        places: what to call a split in a message.
        notes: gets a sentence for all that was converted or looks wrong.

    Returns:
        Sentences by split, with IOB2 tags.

    Raises:
        CorpusError: a tag is unknown, or the splits follow schemes that do not go together.
    """
    with _without_collecting():
        tables, choices = {}, {}
        for split, sentences in splits.items():
            table = tables[split] = Table(places[split], 2, "sentence", ("words", "tags"))
            table.whole_sentences = True
            for number, (words, tags) in enumerate(sentences, start=1):
                for fields in zip(words, tags, strict=True):
                    table.add(list(fields), number)
                table.end_sentence()
            table.finish()
            choices[split] = Choice(0, 1, form_of(Counter(table.columns[1])) or "B-PER")
        return _converted(tables, choices, notes)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Spare the garbage collector millions of fields, in which it would find nothing."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _converted(
    tables: dict[str, Table], choices: dict[str, Choice], notes: list[str]
) -> dict[str, list[Sentence]]:
    tags = {split: table.columns[choices[split].tag] for split, table in tables.items()}
    readings: dict[str, Reading] = {}
    places: dict[str, tuple[str, str]] = {}  # prefix -> its first tag and where that stands
    for split, table in tables.items():
        counts = Counter(tags[split])
        reading = readings[split] = Reading.of(counts, choices[split].form)
        if unread := [tag for tag in counts if tag not in reading.parsed]:
            raise CorpusError(_unknown(table, tags[split].index(unread[0]), unread, reading.form))
        for tag in counts:
            prefix = reading.parsed[tag][0]
            if prefix != "O" and prefix not in places:
                places[prefix] = tag, table.place(tags[split].index(tag))
    scheme = scheme_of(places)

    splits = {}
    for split, table in tables.items():
        sentences = table.sentences()
        done = to_iob2(tags[split], sentences, readings[split])
        first = f"{table.unit} {table.lines[done.orphans[0]]}" if done.orphans else ""
        table.notes += conversion_notes(done, readings[split], scheme, first)
        words = _words(table, choices[split].word)
        splits[split] = [(words[rows], done.tags[rows]) for rows in sentences]
        if not table.whole_sentences and (lacking := missing_empty_lines(splits[split])):
            table.notes.append(
                f"Warning: {lacking}. Nothing is lost, since windows that overlap are read; but whole "
                "sentences are drawn for training and counted. If a column numbers the sentences, name it, "
                "as in --columns sentence=1."
            )
    notes += _gathered(tables.values())
    return splits


def missing_empty_lines(sentences: list[Sentence]) -> str:
    """Say how long the longest sentence is if it is too long to be one; "" otherwise."""
    longest = max((len(words) for words, _ in sentences), default=0)
    if longest <= (LONG if len(sentences) > 1 else ALONE):
        return ""
    return (
        f"a sentence has {longest:,} words, so what ends sentences seems to be missing: empty lines, or a "
        "column that numbers them"
    )


def _unknown(table: Table, row: int, tags: list[str], form: str) -> str:
    said = f"{table.place(row)}: {unknown(tags[0], form)}"
    if row or len(tags) > 1 or table.header or len(tags[0]) < 2 or tags[0].isdecimal():
        return said
    named = f"--columns word={table.row(0)[0]},tag={tags[0]}"
    return f"{said} If this line is a header, name its columns, as in {named}."


def _gathered(tables: Iterable[Table]) -> list[str]:
    """Return the notes of all files, those that are alike as one."""
    files: dict[str, list[str]] = {}
    for table in tables:
        for note in table.notes:
            files.setdefault(note, []).append(table.name)
    notes = []
    for note, names in files.items():
        warning, about = ("Warning: ", note[9:]) if note.startswith("Warning: ") else ("", note)
        notes.append(f"{warning}{', '.join(dict.fromkeys(names))}: {about}")
    return notes


def _words(table: Table, column: int) -> list[str]:
    """Return a file's words. A word that is blank, or whose field is empty, becomes one blank."""
    words = list(table.columns[column])
    prefix = LANGUAGE.match(words[0]) if words else None
    if prefix and len(words) > 1 and all(word.startswith(prefix[0]) for word in words):
        words = [word.removeprefix(prefix[0]) for word in words]
        table.notes.append(f"{prefix[0]!r} before every word was left out.")
    blank = [row for row, word in enumerate(words) if not word.strip(" \t")]
    for row in blank:
        words[row] = " "
    if blank:
        table.notes.append(
            f"blank words keep their places and tags ({len(blank):,}, the first at {table.unit} "
            f"{table.lines[blank[0]]})."
        )
    strange = [row for row, word in enumerate(words) if not word.isascii() and UNSEEN.search(word)]
    if strange:
        seen = UNSEEN.search(words[strange[0]])
        table.notes.append(
            f"Warning: {len(strange):,} words hold characters that nobody sees, such as U+{ord(seen[0]):04X} "  # type: ignore[index]
            f"(the first at {table.unit} {table.lines[strange[0]]}). They make other words of them."
        )
    return words
