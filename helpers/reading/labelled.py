"""Labelled sentences of all splits, read together: columns and scheme have to agree."""

from collections import Counter
from pathlib import Path

from helpers.reading.columns import choose, parse
from helpers.reading.files import CorpusError
from helpers.reading.schemes import Converted, Reading, conversion_notes, scheme_of, to_iob2, unknown
from helpers.reading.tables import Table, read_table

LONG = 1_000  # words; whoever has longer sentences has likely left out the empty lines
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
    tables = {split: read_table(path) for split, path in paths.items()}
    for table in tables.values():
        notes += table.notes
    choices = dict(zip(tables, choose(list(tables.values()), wanted, notes), strict=True))
    readings: dict[str, Reading] = {}
    places: dict[str, tuple[str, str]] = {}  # prefix -> its first tag and where that stands
    tags = {split: table.column(choices[split].tag) for split, table in tables.items()}
    for split, table in tables.items():
        counts = Counter(tags[split])
        reading = readings[split] = Reading.of(counts, choices[split].form)
        for tag in counts:
            if tag not in reading.parsed:
                raise CorpusError(f"{table.place(tags[split].index(tag))}: {unknown(tag, reading.form)}")
            prefix = reading.parsed[tag][0]
            if prefix != "O" and prefix not in places:
                places[prefix] = tag, table.place(tags[split].index(tag))
    scheme = scheme_of(places)
    _same_types(tables, readings)

    splits = {}
    for split, table in tables.items():
        done = to_iob2(tags[split], table.sentences(), readings[split])
        notes += conversion_notes(table.name, done, readings[split], scheme, _first_orphan(table, done))
        notes += _long_sentences(table)
        words = _words(table, choices[split].word, notes)
        splits[split] = [(words[rows], done.tags[rows]) for rows in table.sentences()]
    return splits


def missing_empty_lines(sentences: list[Sentence]) -> str:
    """Say how long the longest sentence is if it is too long to be one; "" otherwise."""
    longest = max((len(words) for words, _ in sentences), default=0)
    if longest <= LONG:
        return ""
    return f"the longest has {longest:,} words: an empty line has to end each sentence"


def _first_orphan(table: Table, done: Converted) -> str:
    return f"{table.unit} {table.lines[done.orphans[0]]}" if done.orphans else ""


def _long_sentences(table: Table) -> list[str]:
    longest = max(table.sentences(), key=lambda rows: rows.stop - rows.start)
    count = longest.stop - longest.start
    if count <= LONG:
        return []
    return [
        f"Warning: {table.name}: the sentence at {table.unit} {table.lines[longest.start]} has {count:,} words. "
        "Are the empty lines missing that end sentences? Nothing is lost, since windows that overlap are read; "
        "but whole sentences are drawn for training and counted. If a column numbers the sentences, name it, "
        "as in --columns sentence=1."
    ]


def _words(table: Table, column: int, notes: list[str]) -> list[str]:
    """Return a file's words. A word that is blank, or whose field is empty, becomes one blank."""
    words = table.column(column)
    blank = [row for row, word in enumerate(words) if not word.strip(" \t")]
    for row in blank:
        words[row] = " "
    if blank:
        notes.append(
            f"{table.name}: blank words keep their places and tags ({len(blank):,}, the first at "
            f"{table.unit} {table.lines[blank[0]]})."
        )
    return words


def _same_types(tables: dict[str, Table], readings: dict[str, Reading]) -> None:
    """Refuse files with other columns than train's if they share no type with it: it is another column."""
    types = {
        split: {type_ for _, type_ in reading.parsed.values()} - {""} for split, reading in readings.items()
    }
    for split, table in tables.items():
        other = table.width != tables["train"].width
        if other and types[split] and types["train"] and not types[split] & types["train"]:
            raise CorpusError(
                f"{table.name} has {table.width} columns, {tables['train'].name} {tables['train'].width}, and "
                f"they share no type of entity ({', '.join(sorted(types[split]))} in {table.name}). Give both "
                "the same columns."
            )
