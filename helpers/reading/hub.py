"""Data sets of the hub: labelled sentences by `hub:NAME[:CONFIG]`, text by `hub:NAME[:CONFIG[:COLUMN]]`.

A set is used at one commit, which was recorded with the checksums of its files (see `pins`). What is read
are the very bytes that were checked: the hub's own loaders compare no checksums, and take another commit from
the cache when the network fails.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.reading.fetching import Show, fetch, is_cached
from helpers.reading.files import CorpusError
from helpers.reading.parquet import opened
from helpers.reading.pins import FOLDER, SPLITS, Pin, record, recorded
from helpers.settings import HUB, PRESETS

COLUMNS = {"word": "tokens", "tag": "ner_tags"}  # where the words and the tags of a sentence are
TEXT_COLUMN = "text"
LABELS = '--columns "labels=O B-PER I-PER"'  # how names of tags are given
Pair = tuple[list[str], list[str]]  # words and their tags
_TAGGED = re.compile(r"[A-Za-z]([-_]\S+)?")  # O, or a prefix, mostly with a type


@dataclass(frozen=True)
class Reference:
    """A data set of the hub, as the user names it."""

    name: str
    config: str = ""  # "" for the only or the default one
    column: str = ""  # of a text

    def __str__(self) -> str:
        return HUB + ":".join([self.name, *([self.config] if self.config else [])])


@dataclass(frozen=True)
class Labelled:
    """Labelled splits as the hub has them: words, and tags in whatever scheme."""

    splits: dict[str, list[Pair]]  # train, test, and dev where there is one
    places: dict[str, str]  # by split: what to call it in a message; "sentence N" goes behind it
    notes: list[str]


def is_reference(text: str) -> bool:
    """Tell whether the user means a set of the hub rather than a folder or file."""
    return text.startswith(HUB)


def parse(text: str) -> Reference:
    """Take a reference apart.

    Args:
        text: such as "hub:Salesforce/wikitext:wikitext-103-raw-v1:text".

    Returns:
        Its parts.

    Raises:
        CorpusError: it is no reference to a data set.
    """
    name, *rest = text.removeprefix(HUB).split(":")
    if not is_reference(text) or not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name) or len(rest) > 2:
        raise CorpusError(
            f"{text}: no data set's name. Write hub:NAME, hub:NAME:CONFIG or, for a text, "
            "hub:NAME:CONFIG:COLUMN, with NAME as on the hub, such as Salesforce/wikitext."
        )
    return Reference(name, *rest)


def pin(text: str, folder: Path = FOLDER, show: Show = print) -> list[Pin]:
    """Record what the hub holds of a set now: its commit, and its files with their checksums.

    Args:
        text: a reference, or the name of a preset, such as "real".
        folder: that holds the records.
        show: is called with what was recorded, its licence and its size.

    Returns:
        The records: one, or those of the preset's corpus and text.

    Raises:
        CorpusError: the hub cannot be asked, or has no such set.
    """
    made = []
    for reference in [parse(one) for one in PRESETS.get(text, (text,))]:
        made.append(record(reference.name, reference.config, folder, show))
        show(_offer(reference, made[-1]))
    return made


def provenance(text: str, folder: Path = FOLDER, show: Show = print) -> dict[str, Any]:
    """Say exactly what a reference stands for; nothing of it is downloaded.

    Args:
        text: a reference. A set of the user's own choice is recorded if it is not yet.
        folder: that holds the records.
        show: is called with what is recorded meanwhile.

    Returns:
        The set, its configuration and column, its commit, the sha256 of each file by split, and the names of
        labels that do not stand in the files.

    Raises:
        CorpusError: there is no sound record, and none can be made.
    """
    reference = parse(text)
    pin = _pinned(reference, folder, show)
    sha256 = {split: {file.path: file.checksum for file in files} for split, files in pin.splits.items()}
    column = {"column": reference.column} if reference.column else {}
    return {
        **{"hub": pin.name, "config": pin.config, **column, "commit": pin.revision},
        **{"files": sha256, "labels": pin.labels},
    }


def _offer(reference: Reference, pin: Pin) -> str:
    sizes = "; ".join(f"{split}: {pin.size([split])}" for split in pin.splits)
    return (
        f"{reference}: configuration {pin.config}, licence {pin.licence}; {sizes}. Only the splits that are "
        "needed are downloaded, once."
    )


def _pinned(reference: Reference, folder: Path, show: Show) -> Pin:
    """Return the record of a set; make it on first use, but for a set that a preset stands for."""
    found = recorded(reference.name, reference.config, folder)
    if found:
        return found
    for preset, parts in PRESETS.items():
        if any(str(parse(part)) == str(reference) for part in parts):
            raise CorpusError(
                f"{reference}: {preset!r} stands for it, but data/hub holds no record of its commit and "
                f"checksums, without which {preset!r} could mean other data elsewhere. Record them once: "
                f"python -m helpers pin {preset}"
            )
    return record(reference.name, reference.config, folder, show)


# --- labelled sentences ---


def labelled_splits(
    text: str,
    columns: Mapping[str, str] | None = None,
    folder: Path = FOLDER,
    show: Show = print,
) -> Labelled:
    """Load the labelled splits of a set, downloading them if they are not in the cache.

    Args:
        text: a reference without a column.
        columns: the column of the words under "word", that of the tags under "tag"; `tokens` and `ner_tags`
            where left out. Under "labels", for sets that do not say, names of the tags in the order of their
            numbers, with blanks between them.
        folder: that holds the records.
        show: is called with licence and size before a first download, and when something is tried again.

    Returns:
        Splits with words and tags, what they are called, and notes. Tags stay in their scheme, but bare types
        (`person`, as in Few-NERD) become IO (`I-person`).

    Raises:
        CorpusError: the set cannot be had, or is not labelled in a way that can be read.
    """
    reference = parse(text)
    if reference.column:
        raise CorpusError(
            f"{text}: a column after the configuration is for text. Name the columns of a corpus by "
            "--columns word=COLUMN,tag=COLUMN"
        )
    chosen = {**COLUMNS, **(columns or {})}
    labels = chosen.pop("labels", "").split()
    if unknown := sorted(chosen.keys() - COLUMNS.keys()):
        raise CorpusError(
            f"{text}: a column for {', '.join(unknown)} is for files; of a set of the hub each row is a "
            "sentence. Leave it out of --columns"
        )
    pin = _pinned(reference, folder, show)
    named = _usable_splits(reference, pin)
    notes = [
        f"{reference}: commit {pin.revision[:12]}, licence {pin.licence}; words from column "
        f"{chosen['word']!r}, tags from {chosen['tag']!r}."
    ]
    unused = [split for split in pin.splits if split not in named.values()]
    if unused:
        notes.append(f"{reference}: not used: {', '.join(unused)}.")
    _announce(reference, pin, list(named.values()), notes, show)
    splits, places = {}, {}
    for split, theirs in named.items():
        places[split] = _place(reference, theirs)
        splits[split] = _sentences(reference, pin, theirs, chosen, labels, notes, show)
    splits = _prefixed(reference, chosen["tag"], splits, notes)
    return Labelled(splits, places, notes)


def _usable_splits(reference: Reference, pin: Pin) -> dict[str, str]:
    """Return which of a set's splits is train, dev and test; dev may be missing."""
    named: dict[str, str] = {}
    for theirs in pin.splits:
        ours = SPLITS.get(theirs.lower())
        if ours in named:
            raise CorpusError(
                f"{reference}: its splits {named[ours]} and {theirs} could both be {ours}. Download "
                "the set and give a folder with one file for each."
            )
        if ours:
            named[ours] = theirs
    missing = [split for split in ("train", "test") if split not in named]
    if missing:
        raise CorpusError(
            f"{reference}: no {' and no '.join(missing)} split; it has {', '.join(pin.splits)}. Choose "
            "another configuration (hub:NAME:CONFIG) or set, or give a folder with train and test files."
        )
    return {split: named[split] for split in ("train", "dev", "test") if split in named}


def _place(reference: Reference, split: str) -> str:
    return f"{reference}, {split}"


def _announce(reference: Reference, pin: Pin, splits: Sequence[str], notes: list[str], show: Show) -> None:
    """Show licence and size, unless everything is in the cache; note where the hub has a part only."""
    files = [file for split in splits for file in pin.splits[split]]
    if any("/partial-" in file.path for file in files):
        notes.append(f"{reference}: so large a set is on the hub as parquet in part only.")
    if not all(is_cached(pin.name, pin.revision, file) for file in files):
        show(_offer(reference, pin))


def _sentences(
    reference: Reference,
    pin: Pin,
    split: str,
    columns: Mapping[str, str],
    labels: Sequence[str],
    notes: list[str],
    show: Show,
) -> list[Pair]:
    """Read the sentences of a split, with tags by their names."""
    place = _place(reference, split)
    sentences: list[Pair] = []
    number = 0
    word, tag = columns["word"], columns["tag"]
    for file in pin.splits[split]:
        local = fetch(pin.name, pin.revision, file, str(reference), show)
        with opened(local, f"{place}: {file.path}") as table:
            table.require_list(word, "words")
            names: Sequence[str] | None = None
            if table.require_list(tag, "tags", numbers=True):
                names = labels or table.class_labels(tag) or pin.labels.get(tag)
                if not names:
                    raise CorpusError(
                        f"{table.place}: column {tag!r} holds numbers, and neither the file nor the README "
                        "names them. Choose a column of strings by --columns tag=COLUMN, or give the names "
                        f"in the order of their numbers by {LABELS}"
                    )
            for words, tags in table.rows(word, tag):
                number += 1
                try:
                    tags = _named(words, tags, names)
                except ValueError as error:
                    raise CorpusError(f"{place}: sentence {number}: {error}") from None
                if words:
                    sentences.append((words, tags))
    if not sentences:
        raise CorpusError(f"{place}: it holds no sentences. Choose another configuration or set.")
    if len(sentences) < number:
        notes.append(f"{place}: {number - len(sentences)} sentences without a word were left out.")
    return sentences


def _named(words: list[str] | None, tags: list | None, names: Sequence[str] | None) -> list[str]:
    """Return a sentence's tags by their names; ValueError says what is wrong with it."""
    if words is None or tags is None or None in words or None in tags:
        raise ValueError("a word or a tag is missing (null). The set is damaged there: choose another one.")
    if len(words) != len(tags):
        raise ValueError(
            f"their numbers differ: {len(words)} words, tags for {len(tags)}. Check that these columns "
            "belong together; name others by --columns word=COLUMN,tag=COLUMN"
        )
    if names is None:
        return tags
    if tags and not (min(tags) >= 0 and max(tags) < len(names)):
        outside = [tag for tag in tags if not 0 <= tag < len(names)]
        unlabelled = " (where -1 often means: not labelled)" if outside[0] == -1 else ""
        raise ValueError(
            f"label {outside[0]} has no name; those from 0 to {len(names) - 1} have{unlabelled}. Choose "
            f"another set, or give all names by {LABELS}"
        )
    return [names[tag] for tag in tags]


def _prefixed(
    reference: Reference, column: str, splits: dict[str, list[Pair]], notes: list[str]
) -> dict[str, list[Pair]]:
    """Give bare types the prefix that makes them IO; refuse what is no scheme of tags at all."""
    found = {tag for sentences in splits.values() for _, tags in sentences for tag in tags}
    bare = {tag for tag in found if not _TAGGED.fullmatch(tag)}
    if not bare:
        return splits
    if "O" not in found or len(bare) < len(found) - 1:
        shown = ", ".join(map(repr, sorted(found)[:8])) + (", …" if len(found) > 8 else "")
        raise CorpusError(
            f"{reference}: the tags in column {column!r} follow no known scheme: {shown}. Expected are O and "
            "prefixes with types (B-PER), or O and bare types. Name another column by --columns tag=COLUMN"
        )
    notes.append(f"{reference}: its tags are bare types ({', '.join(sorted(bare)[:4])}, …): read as IO tags.")
    named = {tag: "O" if tag == "O" else f"I-{tag}" for tag in found}
    return {
        split: [(words, [named[tag] for tag in tags]) for words, tags in sentences]
        for split, sentences in splits.items()
    }


# --- text ---


def lines(
    text: str,
    notes: list[str] | None = None,
    folder: Path = FOLDER,
    show: Show = print,
) -> Iterator[str]:
    """Stream the lines of a text: each file is fetched when its turn comes, and few rows are in memory.

    Args:
        text: a reference; column `text` if it names none.
        notes: takes a sentence on what is read.
        folder: that holds the records.
        show: is called with licence and size before a first download, and when something is tried again.

    Yields:
        Lines that are not empty, without blanks at their ends; from the train split where there is one.

    Raises:
        CorpusError: the set cannot be had, or has no such column of strings.
    """
    reference = parse(text)
    column = reference.column or TEXT_COLUMN
    pin = _pinned(reference, folder, show)
    train = [split for split in pin.splits if SPLITS.get(split.lower()) == "train"]
    splits = train or list(pin.splits)
    if notes is not None:
        notes.append(
            f"{reference}: commit {pin.revision[:12]}, licence {pin.licence}; text from column {column!r} of "
            f"{', '.join(splits)}."
        )
    _announce(reference, pin, splits, [] if notes is None else notes, show)
    empty = True
    for theirs, file in [(split, file) for split in splits for file in pin.splits[split]]:
        local = fetch(pin.name, pin.revision, file, str(reference), show)
        with opened(local, f"{_place(reference, theirs)}: {file.path}") as table:
            table.require_text(column)
            for line in (line.strip() for (row,) in table.rows(column) for line in (row or "").split("\n")):
                if line:
                    empty = False
                    yield line
    if empty:
        raise CorpusError(
            f"{reference}: column {column!r} holds no text. Name another: hub:NAME:CONFIG:COLUMN"
        )
