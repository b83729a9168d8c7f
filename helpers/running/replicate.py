"""A replicate: one seed's corpus, vocabulary and packed text, and everything else that its arms share."""

import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from helpers import corpora, model, own_model, scoring, tokenization, world
from helpers.masking import Vocabulary
from helpers.reading.files import readable
from helpers.reading.labelled import missing_empty_lines
from helpers.reading.lines import Lines
from helpers.running import artifacts
from helpers.settings import HUB, ModelSettings, Settings

# What decides how a corpus of files is read.
READING = ("files", "lines", "text", "overlap", "splits", "tables", "columns", "schemes", "labelled")
READING_OF_HUB = ("hub", "parquet")
WORDS_OF_A_PIECE = 100  # at least, or a small text would make most of its words pieces, and tear none
LEAST_PIECES = 1_500  # of a vocabulary, however short the text is, if the scale allows as many
FEW_PASSES = 4  # over a text, after which another one teaches less than new text (Muennighoff et al. 2023)
PART = 1 << 26  # characters of a text that are packed together, or up to twice as many
NUMBERS = ".int64"  # ends the name of a file that holds nothing else


@dataclass(frozen=True)
class Replicate:
    """One seed's corpus, vocabulary and packed text, shared by all its arms."""

    seed: int
    corpus: corpora.Corpus
    tokenizer: PreTrainedTokenizerFast
    blocks: tokenization.Blocks
    length: int  # of a row, in tokens
    base: str = ""  # the pre-trained model that all arms start from, if it is not a new one

    @property
    def tags(self) -> list[str]:
        """Names of the tags, in the order of their numbers."""
        return self.corpus.tag_names

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What masking has to know of the tokenizer."""
        return Vocabulary.of(self.tokenizer)

    @cached_property
    def test(self) -> tokenization.Windows:
        """The whole test split."""
        return self._windows(self.corpus.splits["test"])

    def sentences(self, split: str) -> list[list[str]]:
        """Return the words of a split's sentences."""
        return [words for words, _ in self.corpus.splits[split]]

    def gold(self, split: str = "test") -> list[list[str]]:
        """Return the IOB2 tags of a split's sentences."""
        return [tags for _, tags in self.corpus.splits[split]]

    def pieces(self, split: str = "test") -> list[list[int]]:
        """Return how many wordpieces each word of a split's sentences has."""
        return tokenization.count_pieces(self.sentences(split), self.tokenizer)

    def labelled_rows(self, count: int, subset: int) -> list[int]:
        """Choose which training sentences are labelled.

        Args:
            count: how many; a larger `count` holds all of a smaller one.
            subset: the number of the draw.

        Returns:
            Their places in the training split.

        Raises:
            ValueError: there are fewer than `count`.
        """
        order = list(range(len(self.corpus.splits["train"])))
        if not 0 < count <= len(order):
            raise ValueError(f"{count} labelled sentences are asked for; choose from 1 to {len(order)}")
        Random(1_000 * self.seed + subset).shuffle(order)
        return order[:count]

    def labelled(self, count: int, subset: int = 0) -> tokenization.Windows:
        """Return `count` labelled training sentences, the same ones for every arm."""
        train = self.corpus.splits["train"]
        return self._windows([train[row] for row in self.labelled_rows(count, subset)])

    def _windows(self, sentences: list[corpora.Sentence]) -> tokenization.Windows:
        words = [words for words, _ in sentences]
        numbers = [[self.tags.index(tag) for tag in tags] for _, tags in sentences]
        return tokenization.encode(words, numbers, self.tokenizer, self.length)


def new_model(settings: ModelSettings, replicate: Replicate) -> PreTrainedModel:
    """Build the model that all arms of a replicate start from, on the CPU."""
    if replicate.base:
        return own_model.load(replicate.base, replicate.seed)
    return model.build(replace(settings, vocabulary_size=len(replicate.tokenizer)), replicate.seed)


@lru_cache(maxsize=2)
def load(settings: Settings, number: int = 0) -> Replicate:
    """Load the corpus, vocabulary and packed text of one replicate; the latter two are kept as an artifact.

    Args:
        settings: corpus and scale.
        number: of the replicate, from 0.

    Returns:
        The replicate.

    Raises:
        CorpusError: bad input, or too little text for one batch. (A model that cannot be used is a
            `ModelError`.)
    """
    scale, seed, length = settings.scale, settings.scale.first_seed + number, settings.scale.model.length
    notes: tuple[str, ...] = ()
    if settings.model:
        facts = own_model.inspect(settings.model)
        length, notes = min(length, facts.longest_row), facts.notes
    if settings.corpus == "world":
        corpus = corpora.load("world", world=replace(scale.world, seed=seed))
    else:
        files = corpus_key(settings, seed)["files"]
        corpus = _corpus_of_files(replace(settings, scale=replace(scale, first_seed=0)), files)
    if len(corpus.splits["train"]) < scale.core_sentences:
        smaller = "" if scale.name == "smoke" else ", or choose --scale smoke"
        too_long = missing_empty_lines(corpus.splits["train"])
        held_out = "".join(f". {note}" for note in corpus.notes if note.startswith("No dev file"))
        raise corpora.CorpusError(
            f"{settings.corpus} has {len(corpus.splits['train'])} labelled training sentences, but scale "
            f"{scale.name} needs {scale.core_sentences}: {too_long or 'give more' + smaller}{held_out}"
        )

    def make(folder: Path) -> None:
        if settings.model:
            tokenizer, pack = own_model.open_tokenizer(settings.model), own_model.pack
        else:
            tokenizer = tokenization.train(corpus.text, vocabulary_size(settings, corpus.text))
            pack = tokenization.pack
        rows = scale.pretraining.batch_size
        tokenizer.save_pretrained(folder)
        for part in _parts(corpus.text):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # `_notes` says it, whenever rows are reused too
                blocks = pack(part, tokenizer, length, minimum_rows=rows)
            for name, tensor in blocks.tensors().items():
                with (folder / f"{name}{NUMBERS}").open("ab") as file:
                    tensor.numpy().tofile(file)

    try:
        folder = artifacts.build("rows", rows_key(settings, seed), make)
    except ValueError as error:
        source = ", ".join(settings.text) or settings.corpus
        raise corpora.CorpusError(f"{source}: {error}") from error
    tokenizer, blocks = AutoTokenizer.from_pretrained(folder), _opened(folder, length)
    replicate = Replicate(seed, corpus, tokenizer, blocks, length, settings.model)
    if settings.corpus == "world" and not settings.model:
        return replicate
    return replace(
        replicate, corpus=replace(corpus, notes=[*corpus.notes, *_notes(replicate, scale.tokens[-1]), *notes])
    )


def _parts(text: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield a text in parts, which are packed one by one so that memory stays bounded; the world in one."""
    if not isinstance(text, Lines):
        yield text
        return
    sizes = np.cumsum(np.fromiter(map(len, text), np.int64))
    count = max(1, int(sizes[-1]) // PART)
    ends = [0, *np.searchsorted(sizes, sizes[-1] * np.arange(1, count) / count), len(text)]
    for start, end in pairwise(ends):
        yield text[start:end]


def _opened(folder: Path, length: int) -> tokenization.Blocks:
    """Map the packed rows of an artifact into memory: they are read from the disk when they are needed."""

    def rows(name: str) -> torch.Tensor:
        file = folder / f"{name}{NUMBERS}"
        size = file.stat().st_size // torch.long.itemsize
        return torch.from_file(str(file), shared=False, size=size, dtype=torch.long).view(-1, length)

    return tokenization.Blocks(rows("input_ids"), rows("word_ids"))


def _notes(replicate: Replicate, budget: int) -> list[str]:
    """Say what a corpus of files lacks: text that is [UNK], mentions that no model can find, more text."""
    share = tokenization.unknown_share(replicate.blocks, replicate.tokenizer)
    notes = [tokenization.unknown_note(share, replicate.tokenizer)]
    there = replicate.blocks.input_ids.numel()
    if budget > FEW_PASSES * there:
        notes.append(
            f"The text has {there:,} tokens, so {budget:,} tokens of pre-training read it "
            f"{budget / there:.0f} times. More text would teach more than reading the same again."
        )
    windows, gold = replicate.test, replicate.gold()
    perfect = tokenization.decode(windows, windows.labels, replicate.sentences("test"), replicate.tags)
    pairs = [
        (set(scoring.spans(tags)), set(scoring.spans(best))) for tags, best in zip(gold, perfect, strict=True)
    ]
    lost = sum(len(mentions - found) for mentions, found in pairs)
    if lost:
        notes.append(
            f"Warning: {lost} of {sum(len(mentions) for mentions, _ in pairs)} mentions in the test split "
            "cannot be found, because they begin or end with a word that has no wordpieces, such as a lone "
            "U+200C. They count as missed; take such words out of the files."
        )
    return notes


def mention_ids(settings: Settings, number: int = 0) -> torch.Tensor:
    """Say where the mentions of a replicate's packed text are, which only the invented world knows.

    The world is invented once more: kept beside the text, the tags would take memory in every arm.

    Args:
        settings: corpus and scale.
        number: of the replicate, from 0.

    Returns:
        `[rows, length]`, the mentions in the replicate's `blocks`.

    Raises:
        CorpusError: the corpus is one of files.
    """
    if settings.corpus != "world":
        raise corpora.CorpusError(
            f'the arm "mentions" has to know every mention of the unlabelled text, and in {settings.corpus} '
            f"nobody has marked them: leave this arm out, or choose the built-in world as the corpus"
        )
    of = load(settings, number)
    made = world.generate(replace(settings.scale.world, seed=of.seed))
    return tokenization.mention_ids(made.text, made.text_tags, of.tokenizer, of.length)


@lru_cache(maxsize=1)
def surface_index(settings: Settings, number: int = 0) -> scoring.SurfaceIndex:
    """Index the unlabelled text of a replicate: made once, and opened from the disk by every arm and process.

    Args:
        settings: corpus and scale.
        number: of the replicate, from 0.

    Returns:
        The index, without labelled sentences.

    Raises:
        CorpusError: as `load`.
    """
    key = {
        "corpus": corpus_key(settings, settings.scale.first_seed + number),
        "code": artifacts.source_hash("scoring:SurfaceIndex"),
    }
    make = lambda folder: scoring.SurfaceIndex(load(settings, number).corpus.text).save(folder)  # noqa: E731
    return scoring.SurfaceIndex.open(artifacts.build("index", key, make))


@lru_cache(maxsize=1)
def _corpus_of_files(settings: Settings, files: str) -> corpora.Corpus:
    """Read the reader's corpus once, whatever process wants it next; `files` changes when they do."""

    def make(folder: Path) -> None:
        read = corpora.load(
            settings.corpus, settings.text, words=settings.scale.words, columns=settings.columns
        )
        assert isinstance(read.text, Lines), "only the world has it as a list"
        read.text.save(folder)
        about = [read.splits, read.types, read.provenance, read.notes]
        (folder / "corpus.json").write_text(json.dumps(about), encoding="utf-8")

    folder = artifacts.build("text", corpus_key(settings, 0), make)
    splits, types, provenance, notes = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
    pairs = {split: [tuple(sentence) for sentence in sentences] for split, sentences in splits.items()}
    named = {**provenance, "corpus": readable(settings.corpus_name)}  # the same files may lie in two folders
    return corpora.Corpus(Lines.open(folder), pairs, tuple(types), named, notes)


# --- keys: what decides the text and the labels, and nothing else ---


def vocabulary_size(settings: Settings, text: Sequence[str]) -> int:
    """Return how many wordpieces the tokenizer learns at most: fewer than the scale's for a short text.

    Args:
        settings: corpus and scale.
        text: that it learns from.

    Returns:
        The scale's number for the world.
    """
    most = settings.scale.model.vocabulary_size
    if settings.corpus == "world":
        return most
    words = sum(len(line.split()) for line in text)
    return min(most, max(LEAST_PIECES, words // WORDS_OF_A_PIECE))


def corpus_key(settings: Settings, seed: int) -> dict:
    """Return everything that decides the text and the labelled sentences of a replicate.

    Args:
        settings: corpus and scale.
        seed: of the replicate; it decides the invented world, and nothing of a corpus of files.

    Returns:
        A part of a key.

    Raises:
        CorpusError: a folder or a file is missing.
    """
    files = _hash_of(corpora.files(settings.corpus, settings.text))
    if settings.corpus == "world":
        code = artifacts.source_hash("world", "corpora")
        return {"world": replace(settings.scale.world, seed=seed), "files": files, "code": code}
    of_hub = any(place.startswith(HUB) for place in (settings.corpus, *settings.text))
    reading = READING + (READING_OF_HUB if of_hub else ())
    code = artifacts.source_hash("corpora", *(f"reading/{name}" for name in reading))
    chosen = {"columns": settings.columns} if settings.columns else {}
    return {"words": settings.scale.words, "files": files, "code": code, **chosen}


def rows_key(settings: Settings, seed: int) -> dict:
    """Return everything that decides the vocabulary and the packed rows of a replicate, as `corpus_key`."""
    code, of_files = ["tokenization"], settings.corpus != "world"
    key = {
        "corpus": corpus_key(settings, seed),
        "length": settings.scale.model.length,
        "versions": artifacts.versions("tokenizers", "transformers"),
    }
    if of_files:
        code.append("running/replicate:_parts")
    if settings.model:
        code.append("own_model")
        key |= model_key(settings)
    else:
        key["vocabulary_size"] = settings.scale.model.vocabulary_size
        code += ["running/replicate:vocabulary_size"] * of_files
    return key | {"code": artifacts.source_hash(*code)}


def model_key(settings: Settings) -> dict:
    """Return everything that decides what training starts from, except for the seed."""
    if settings.model:
        return {"own_model": own_model.fingerprint(settings.model), "length": settings.scale.model.length}
    size = asdict(settings.scale.model)
    del size["vocabulary_size"]  # follows from the rows
    return size


def _hash_of(files: list[Path | dict[str, Any]]) -> str:
    digest = hashlib.sha256()
    for path in files:
        if isinstance(path, dict):  # of the hub
            digest.update(json.dumps(path, sort_keys=True).encode())
            continue
        own_model.add_file(digest, path)
    return digest.hexdigest()
