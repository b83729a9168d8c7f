"""Labelled sentences of all splits, read together: columns and scheme have to agree."""

import gc
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from helpers.reading.columns import choose, parse
from helpers.reading.files import CorpusError
from helpers.reading.schemes import Reading, conversion_notes, scheme_of, to_iob2, unknown
from helpers.reading.tables import Table, read_table

LONG, ALONE = 1_000, 200  # words of a sentence, or of a file of one, that has likely lost its empty lines
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
    collecting = gc.isenabled()
    gc.disable()  # it would look at millions of fields again and again, and find nothing to collect
    try:
        return _read(paths, parse(columns), notes)
    finally:
        if collecting:
            gc.enable()


def _read(paths: dict[str, Path], wanted: dict[str, str], notes: list[str]) -> dict[str, list[Sentence]]:
    tables = {split: read_table(path) for split, path in paths.items()}
    choices = dict(zip(tables, choose(list(tables.values()), wanted, notes), strict=True))
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
        if lacking := missing_empty_lines(splits[split]):
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
    blank = [row for row, word in enumerate(words) if not word.strip(" \t")]
    for row in blank:
        words[row] = " "
    if blank:
        table.notes.append(
            f"blank words keep their places and tags ({len(blank):,}, the first at {table.unit} "
            f"{table.lines[blank[0]]})."
        )
    return words
