"""Text to pre-train on and labelled sentences to fine-tune on, checked on the way in.

`load("world")` is the built-in invented world; `load(FOLDER, text=FILES)` reads your own files, and
`load("hub:NAME:CONFIG", text="hub:NAME:CONFIG:COLUMN")` data sets of the hub.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from helpers import world as invented
from helpers.reading.columns import parse
from helpers.reading.files import CorpusError, readable
from helpers.reading.hub import is_reference, labelled_splits, provenance
from helpers.reading.labelled import Sentence, from_pairs, read_labelled
from helpers.reading.lines import Lines
from helpers.reading.overlap import WORDS, find_held_out
from helpers.reading.splits import SPLITS, find_splits, hold_out
from helpers.reading.text import read_text, text_sources
from helpers.settings import WorldSettings, name_of, preset

LONG_LINE = 5_000  # characters


@dataclass(frozen=True)
class Corpus:
    """Unlabelled text and labelled splits, ready for `tokenization`."""

    text: Sequence[str]  # for pre-training: one sentence or paragraph a line
    splits: dict[str, list[Sentence]]  # train, dev, test
    types: tuple[str, ...]  # entity types, sorted
    provenance: dict  # corpus, files, and sha256 of text and splits as used
    notes: list[str]  # a sentence for everything that was converted, held out, dropped or looks wrong

    @property
    def tag_names(self) -> list[str]:
        """The IOB2 tags in the order of their numbers: O, B- and I- of the first type, and so on."""
        return ["O", *(f"{prefix}-{type_}" for type_ in self.types for prefix in "BI")]


def load(
    corpus: str | Path = "world",
    text: str | Path | Sequence[str | Path] | None = None,
    *,
    world: WorldSettings | None = None,
    words: int | None = 10_000_000,
    columns: str = "",
) -> Corpus:
    """Load the built-in world, or labelled sentences of a folder or of the hub together with unlabelled text.

    A folder holds train, test and perhaps dev (or valid, validation) files, named like `train.txt`,
    `dev.conll`, `test.bio` or `valid.tsv`; failing that, files with the split in their names, like
    `emerging.test.annotated`, or `eng.testa` and `eng.testb`. A row is a word; an empty line ends a sentence.
    Columns are split by tabs, blanks or commas, or sentences are JSON objects. Which columns hold words and
    tags is found by looking at all of them. IO, IOB1, IOB2, BIOES, BILOU, BMES and BMEWO tags become IOB2.
    Without a dev file, every tenth training sentence is held out. A set of the hub has columns with the words
    and the tags of a sentence, `tokens` and `ner_tags` if `columns` does not say otherwise.

    Args:
        corpus: "world", a folder, a set of the hub ("hub:NAME:CONFIG"), or "real", which stands for a set of
            the hub and for its text.
        text: files of unlabelled text, plain, or compressed by gzip, bzip2 or xz, and texts of the hub
            ("hub:NAME:CONFIG:COLUMN"); without any, the training words.
        world: what world to invent; the default settings if left out.
        words: stop reading unlabelled text after the line that reaches this many words, so that memory
            stays bounded; None reads all of it.
        columns: which columns of a folder's files hold words and tags, like "word=2,tag=3" or, where they
            have a header, "word=Token,tag=NER"; what is left out is found by looking.

    Returns:
        Text and splits; dev and test sentences are left out of the text.

    Raises:
        CorpusError: the input cannot be used, for whatever reason; nothing else has happened by then.
    """
    corpus, sources = _chosen(corpus, text)
    if corpus == "world" and columns:
        raise CorpusError("The built-in world has no columns to choose: leave out columns, or give a folder.")
    if corpus == "world":
        settings = world or WorldSettings()
        generated = invented.generate(settings)
        labelled = {"train": generated.train, "dev": generated.dev, "test": generated.test}
        names = dict.fromkeys(labelled, "world")
        return _valid_corpus("world", generated.text, labelled, names, {"settings": repr(settings)}, [])

    notes: list[str] = []
    if is_reference(corpus):
        found = labelled_splits(corpus, parse(columns))
        notes += found.notes
        places = names = found.places
        labelled = from_pairs(found.splits, places, notes)
    else:
        paths = find_splits(Path(corpus), notes)
        places = {split: readable(path) for split, path in paths.items()}
        names = {split: readable(path.name) for split, path in paths.items()}
        labelled = read_labelled(paths, columns, notes)
    if "dev" not in labelled:
        train = hold_out(labelled["train"], places["train"], names["train"], notes)
        labelled["train"], labelled["dev"] = train
        names = {**names, "dev": names["train"]}
    lines = read_text(sources, words, notes)
    if not sources:
        lines = (" ".join(word for word in sentence if word != " ") for sentence, _ in labelled["train"])
        notes.append(f"No unlabelled text was given: the words of {names['train']} serve for pre-training.")
    parts = Lines.of(part for line in lines for part in _sentences_of_long(line))
    texts = [source if isinstance(source, str) else readable(source.name) for source in sources]
    origin: dict[str, Any] = {"files": names, "text": texts or [names["train"]]}
    if of_hub := [one for one in (corpus, *sources) if isinstance(one, str) and is_reference(one)]:
        origin["hub"] = list(map(provenance, of_hub))
    return _valid_corpus(readable(name_of(corpus)), parts, labelled, names, origin, notes)


def files(
    corpus: str | Path, text: str | Path | Sequence[str | Path] | None = ()
) -> list[Path | dict[str, Any]]:
    """List the files that `load` reads, and no others that happen to lie in the same folder.

    Args:
        corpus: as for `load`.
        text: as for `load`.

    Returns:
        For the world its four files by name; for a folder train, dev (if there is one), test, then the text.
        In the place of a set of the hub stands what was recorded of it: its commit and checksums.

    Raises:
        CorpusError: a file or the folder is missing, the choice of split files is ambiguous, as in `load`, or
            a set of the hub cannot be recorded.
    """
    corpus, sources = _chosen(corpus, text)
    if corpus == "world":
        return [invented.FOLDER / name for name in invented.FILES]
    labelled = [corpus] if is_reference(corpus) else find_splits(Path(corpus), []).values()
    return [provenance(one) if isinstance(one, str) else one for one in (*labelled, *sources)]


def _chosen(
    corpus: str | Path, text: str | Path | Sequence[str | Path] | None
) -> tuple[str, list[Path | str]]:
    """Return the corpus without presets, and what its text is read from: files, and texts of the hub."""
    given = (text,) if isinstance(text, str | Path) else text or ()
    chosen, texts = preset(str(corpus), tuple(map(str, given)))
    return chosen, text_sources(chosen, texts)


def _valid_corpus(
    name: str,
    text: Sequence[str],
    labelled: dict[str, list[Sentence]],
    names: dict[str, str],
    origin: dict,
    notes: list[str],
) -> Corpus:
    """Refuse sentences that are not IOB2, and drop text that is also a dev or test sentence."""
    for split, sentences in labelled.items():
        for number, (words, tags) in enumerate(sentences, start=1):
            continues = (a[2:] == b[2:] for a, b in pairwise(["O", *tags]) if b.startswith("I-"))
            if len(words) != len(tags) or not all(continues):
                raise CorpusError(
                    f"{names[split]}: sentence {number} of {split} is not IOB2, one tag per word with every "
                    f"entity starting at B-: {list(zip(words, tags, strict=False))}"
                )
        if not any(tag != "O" for _, tags in sentences for tag in tags):
            raise CorpusError(
                f"{names[split]}: the {split} split has no entities, every tag is O. Name the column of the "
                "tags by --columns tag=COLUMN"
                + (", or add a dev file." if names["dev"] == names["train"] else "")
            )
    notes += _types_without_training(labelled)
    train = {tuple(words) for words, _ in labelled["train"]}
    shared = sum(tuple(words) in train for words, _ in labelled["test"])
    if shared:
        notes.append(
            f"Warning: {shared} of {len(labelled['test'])} test sentences also stand in train "
            f"({names['test']}, {names['train']}), so test scores may flatter."
        )
    # Blanks are left out of the comparison, since running text has none before a full stop.
    held_out = {"".join(words) for split in ("dev", "test") for words, _ in labelled[split]}
    kept = _take(text, (number for number, line in enumerate(text) if _joined(line) not in held_out))
    if len(kept) < len(text):
        notes.append(f"{len(text) - len(kept)} lines of the text are dev or test sentences and were dropped.")
    if "files" in origin:  # all sentences of the world share their frames
        kept = _without_overlap(kept, labelled, notes)
    if not kept:
        raise CorpusError(
            f"{name}: no unlabelled text is left to pre-train on, since all {len(text):,} lines hold dev or "
            "test sentences. Give other text, one sentence or paragraph a line."
        )

    types = sorted(
        {tag[2:] for sentences in labelled.values() for _, tags in sentences for tag in tags} - {""}
    )
    sha256 = {"text": _sha256(kept), **{split: _sha256(map(repr, labelled[split])) for split in SPLITS}}
    splits = {split: labelled[split] for split in SPLITS}
    return Corpus(kept, splits, tuple(types), {"corpus": name, **origin, "sha256": sha256}, notes)


def _sentences_of_long(line: str) -> list[str]:
    """Cut a line that is longer than a paragraph into sentences, so that one costs no more than itself."""
    return re.split(r"(?<=[.!?]) +|(?<=[。！？])", line) if len(line) > LONG_LINE else [line]


def _types_without_training(labelled: dict[str, list[Sentence]]) -> list[str]:
    """Warn of types that stand in dev or test and never in train: no model can find them."""
    counts = {
        split: Counter(tag[2:] for _, tags in sentences for tag in tags if tag.startswith("B-"))
        for split, sentences in labelled.items()
    }
    notes = []
    for split in ("dev", "test"):
        if unknown := sorted(counts[split].keys() - counts["train"].keys()):
            mentions = sum(counts[split][type_] for type_ in unknown)
            notes.append(
                f"Warning: {mentions:,} of {counts[split].total():,} mentions in {split} are of types that "
                f"train does not have ({', '.join(map(ascii, unknown[:5]))}), and cannot be found. Train has "
                f"{', '.join(map(ascii, sorted(counts['train'])[:9]))}."
            )
    return notes


def _without_overlap(
    text: Sequence[str], labelled: dict[str, list[Sentence]], notes: list[str]
) -> Sequence[str]:
    """Drop lines that hold dev or test sentences, in part or among others, but no training sentences."""
    train = {"".join(words) for words, _ in labelled["train"]}
    others = [number for number, line in enumerate(text) if _joined(line) not in train]
    held_out = [words for split in ("dev", "test") for words, _ in labelled[split]]
    found = find_held_out(_take(text, others), held_out)
    if not found.lines:
        return text
    notes.append(
        f"{len(found.lines)} more lines of the text hold {found.sentences} dev or test sentences, whole or "
        f"{WORDS} words in a row, and were dropped."
    )
    dropped = {others[number] for number in found.lines}
    return _take(text, (number for number in range(len(text)) if number not in dropped))


def _joined(line: str) -> str:
    return "".join(line.split())


def _take(text: Sequence[str], numbers: Iterable[int]) -> Sequence[str]:
    return text.take(numbers) if isinstance(text, Lines) else [text[number] for number in numbers]


def _sha256(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()
