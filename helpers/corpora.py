"""Text to pre-train on and labelled sentences to fine-tune on, checked on the way in.

`load("world")` is the built-in invented world; `load(FOLDER, text=FILES)` reads your own files.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from helpers import world as invented
from helpers.reading.files import CorpusError, readable
from helpers.reading.labelled import Sentence, read_labelled
from helpers.reading.overlap import WORDS, find_held_out
from helpers.reading.splits import SPLITS, find_splits, hold_out
from helpers.reading.text import read_text, text_files
from helpers.settings import WorldSettings

LONG_LINE = 5_000  # characters


@dataclass(frozen=True)
class Corpus:
    """Unlabelled text and labelled splits, ready for `tokenization`."""

    text: list[str]  # for pre-training: one sentence or paragraph a line
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
    """Load the built-in world, or the labelled files in a folder together with unlabelled text.

    A folder holds train, test and perhaps dev (or valid, validation) files, named like `train.txt`,
    `dev.conll`, `test.bio` or `valid.tsv`; failing that, files with the split in their names, like
    `emerging.test.annotated`, or `eng.testa` and `eng.testb`. A row is a word; an empty line ends a sentence.
    Columns are split by tabs, blanks or commas, or sentences are JSON objects. Which columns hold words and
    tags is found by looking at all of them. IO, IOB1, IOB2, BIOES, BILOU, BMES and BMEWO tags become IOB2.
    Without a dev file, every tenth training sentence is held out.

    Args:
        corpus: "world" or a folder.
        text: files of unlabelled text for a folder, plain, or compressed by gzip, bzip2 or xz; without
            them, the training words.
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
    paths_of_text = text_files(corpus, text)
    if str(corpus) == "world" and columns:
        raise CorpusError("The built-in world has no columns to choose: leave out columns, or give a folder.")
    if str(corpus) == "world":
        settings = world or WorldSettings()
        generated = invented.generate(settings)
        labelled = {"train": generated.train, "dev": generated.dev, "test": generated.test}
        names = dict.fromkeys(labelled, "world")
        return _valid_corpus("world", generated.text, labelled, names, {"settings": repr(settings)}, [])

    notes: list[str] = []
    paths = find_splits(Path(corpus), notes)
    labelled = read_labelled(paths, columns, notes)
    names = {split: readable(path.name) for split, path in paths.items()}
    if "dev" not in labelled:
        labelled["train"], labelled["dev"] = hold_out(labelled["train"], paths["train"], notes)
        names["dev"] = names["train"]
    lines = read_text(paths_of_text, words, notes)
    if not paths_of_text:
        lines = [" ".join(word for word in sentence if word != " ") for sentence, _ in labelled["train"]]
        notes.append(f"No unlabelled text was given: the words of {names['train']} serve for pre-training.")
    origin = {"files": names, "text": [readable(path.name) for path in paths_of_text] or [names["train"]]}
    name = readable(Path(corpus).resolve().name)
    return _valid_corpus(name, lines, labelled, names, origin, notes)


def files(corpus: str | Path, text: str | Path | Sequence[str | Path] | None = ()) -> list[Path]:
    """List the files that `load` reads, and no others that happen to lie in the same folder.

    Args:
        corpus: "world" or a folder.
        text: files of unlabelled text for a folder.

    Returns:
        For the world its four files by name; for a folder train, dev (if there is one), test, then the text.

    Raises:
        CorpusError: a file or the folder is missing, or the choice of split files is ambiguous, as in `load`.
    """
    paths_of_text = text_files(corpus, text)
    if str(corpus) == "world":
        return [invented.FOLDER / name for name in invented.FILES]
    return [*find_splits(Path(corpus), []).values(), *paths_of_text]


def _valid_corpus(
    name: str,
    text: list[str],
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
                f"{names[split]}: the {split} split has no entities, every tag is O. Check that the tag is "
                "the last column" + (", or add a dev file." if names["dev"] == names["train"] else ".")
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
    lines = [part for line in text for part in _sentences_of_long(line)] if "files" in origin else text
    kept = [line for line in lines if "".join(line.split()) not in held_out]
    if len(kept) < len(lines):
        notes.append(
            f"{len(lines) - len(kept)} lines of the text are dev or test sentences and were dropped."
        )
    if "files" in origin:  # all sentences of the world share their frames
        kept = _without_overlap(kept, labelled, notes)
    if not kept:
        raise CorpusError(
            f"{name}: no unlabelled text is left to pre-train on, since all {len(lines):,} lines hold dev or "
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


def _without_overlap(text: list[str], labelled: dict[str, list[Sentence]], notes: list[str]) -> list[str]:
    """Drop lines that hold dev or test sentences, in part or among others, but no training sentences."""
    train = {"".join(words) for words, _ in labelled["train"]}
    others = [number for number, line in enumerate(text) if "".join(line.split()) not in train]
    held_out = [words for split in ("dev", "test") for words, _ in labelled[split]]
    found = find_held_out([text[number] for number in others], held_out)
    if not found.lines:
        return text
    notes.append(
        f"{len(found.lines)} more lines of the text hold {found.sentences} dev or test sentences, whole or "
        f"{WORDS} words in a row, and were dropped."
    )
    dropped = {others[number] for number in found.lines}
    return [line for number, line in enumerate(text) if number not in dropped]


def _sha256(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()
