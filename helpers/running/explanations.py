"""Why the arms differ, measured on the models of block A: a seed at a time, going on from what is there."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import pandas as pd
import torch
from transformers import BertForMaskedLM

from helpers import model, scoring, tokenization, why, world
from helpers.blocks import BLOCKS, Block
from helpers.masking import Masked, Scheme
from helpers.running import artifacts, reference
from helpers.running.arm import PACKAGES, TRAINED_BY, Arm
from helpers.running.replicate import Replicate
from helpers.settings import ROOT
from helpers.tokenization import Blocks, Windows
from helpers.world import TYPES

FOLDER = ROOT / "data" / "reference" / "why"
MANIFEST = "manifest.json"
REPLICATES = 8  # the first ones of the block
HELD_OUT = 2_000  # sentences that no model has seen: the world's next ones
MENTIONS = 2_000  # that are hidden, at most
TESTED = 1_000  # test sentences for the probes
NUMBERS = 4  # digits behind the point
MEASURED_BY = ("why", "masking", "model", "tokenization", "world", "running/explanations")


@dataclass(frozen=True)
class Subject:
    """A replicate of a block, and what its measurements share; each part is made when it is asked for."""

    block: Block
    seed: int

    @cached_property
    def arms(self) -> dict[str, Arm]:
        """The arms of the block's first condition by name, in the block's order."""
        first = self.block.conditions[0]
        found = {
            task.arm.name: task.arm
            for task in reference.tasks(self.block, self.seed)
            if task.condition == first
        }
        return {name: found[name] for name in first.arms}

    @property
    def trained(self) -> list[str]:
        """The arms with pre-training."""
        return [name for name in self.arms if name != "none"]

    @property
    def replicate(self) -> Replicate:
        """Corpus, tokenizer and splits, which all arms share."""
        return next(iter(self.arms.values())).replicate

    @cached_property
    def models(self) -> dict[tuple[str, int], BertForMaskedLM]:
        """The models by arm and tokens seen; the new one, of the arm "none", has seen 0 tokens."""
        cells = [(name, tokens) for name in self.trained for tokens in self.block.tokens]
        cells += [("none", 0)] if "none" in self.arms else []
        return {(name, tokens): self.arms[name].model(tokens) for name, tokens in cells}

    @cached_property
    def _world(self) -> world.World:
        scale = self.arms[self.trained[0]].settings.scale
        more = scale.world.sentences + HELD_OUT  # which leaves the earlier sentences as they are
        return world.generate(replace(scale.world, seed=self.seed, sentences=more))

    @cached_property
    def text(self) -> Blocks:
        """The held-out sentences, packed, with their mentions."""
        packed, ids = tokenization.pack, tokenization.mention_ids
        lines, tags = self._world.text[-HELD_OUT:], self._world.text_tags[-HELD_OUT:]
        tokenizer, length = self.replicate.tokenizer, self.replicate.length
        return replace(packed(lines, tokenizer, length), mention_ids=ids(lines, tags, tokenizer, length))

    @cached_property
    def masks(self) -> dict[str, Masked]:
        """The held-out rows as each arm hides them."""
        found = {}
        for name in self.trained:
            recipe = self.arms[name].recipe
            scheme = Scheme(recipe.strategy, mask_rate=recipe.mask_rate, p=recipe.p)
            found[name] = why.masks_of(self.text, scheme, self.replicate.vocabulary, self.seed)
        return found

    @cached_property
    def mentions(self) -> pd.DataFrame:
        """The held-out mentions that are hidden."""
        found = [span for tags in self._world.text_tags[-HELD_OUT:] for span in scoring.spans(tags)]
        types, words = [TYPES.index(kind) for kind, _, _ in found], [end - start for _, start, end in found]
        return why.find_mentions(self.text.mention_ids, types, words, MENTIONS)

    @cached_property
    def type_shares(self) -> torch.Tensor:
        """What the training text tells of the types that pieces stand for: `[2, types, vocabulary]`."""
        of = self.replicate
        text, tags = self._world.text[:-HELD_OUT], self._world.text_tags[:-HELD_OUT]
        ids = tokenization.mention_ids(text, tags, of.tokenizer, of.length)
        number = {f"B-{kind}": number for number, kind in enumerate(TYPES)}
        types = np.array([number[tag] for line in tags for tag in line if tag in number])
        return why.types_of_pieces(of.blocks.input_ids, ids, types, len(TYPES), of.vocabulary.size)


# --- the measurements: for a subject a table, with a row per arm and whatever else ---


def visible_siblings(subject: Subject) -> pd.DataFrame:
    """Measure how often hidden pieces see a piece of their own word."""
    word_ids = subject.text.word_ids
    tables = {name: why.visible_siblings(masked.labels, word_ids) for name, masked in subject.masks.items()}
    return pd.concat(table.assign(arm=name) for name, table in tables.items())


def loss_matrix(subject: Subject) -> pd.DataFrame:
    """Measure the loss of each model under each kind of masks."""
    tables = []
    for tokens in subject.block.tokens:
        models = {name: subject.models[name, tokens] for name in subject.trained}
        table = why.loss_matrix(models, subject.masks, subject.text.mention_ids)
        tables.append(table.assign(tokens_seen=tokens))
    return pd.concat(tables)


def restored_mentions(subject: Subject) -> pd.DataFrame:
    """Measure how often each model restores a whole mention."""
    restored = partial(
        why.restored_mentions,
        input_ids=subject.text.input_ids,
        mentions=subject.mentions,
        type_shares=subject.type_shares,
        mask_token_id=subject.replicate.vocabulary.mask_token_id,
    )
    tables = {cell: restored(bert) for cell, bert in subject.models.items()}
    return pd.concat(table.assign(arm=arm, tokens_seen=n) for (arm, n), table in tables.items())


def probes(subject: Subject) -> pd.DataFrame:
    """Measure what linear probes read off the states, after the largest budget and without pre-training."""
    of, tables = subject.replicate, []
    train, test = of.labelled(len(of.sentences("train"))), first_sentences(of.test, TESTED)
    for (arm, tokens), bert in subject.models.items():
        if tokens in (0, subject.block.tokens[-1]):
            tables.append(why.probes(bert, train, test, of.tags).assign(arm=arm, tokens_seen=tokens))
    return pd.concat(tables)


def plateau_end(subject: Subject) -> pd.DataFrame:
    """Measure when the loss of each arm leaves its plateau."""
    entropy, tables = why.unigram_entropy(subject.replicate.blocks), []
    for name in subject.trained:
        history = subject.arms[name].pretrained() / str(subject.block.tokens[-1]) / "history.csv"
        tables.append(why.plateau_ends(pd.read_csv(history), entropy).assign(arm=name))
    return pd.concat(tables)


MEASUREMENTS: dict[str, Callable[[Subject], pd.DataFrame]] = {
    measure.__name__: measure
    for measure in (visible_siblings, loss_matrix, restored_mentions, probes, plateau_end)
}
KEYS = ["replicate", "arm", "tokens_seen"]  # the first columns, where a table has them
AS_TEXT = dict.fromkeys(("arm", "masks", "word", "length", "place", "edge", "task"), str)


def first_sentences(windows: Windows, count: int) -> Windows:
    """Return the rows of the first sentences of a split.

    Args:
        windows: as `tokenization.encode` returns them.
        count: how many sentences.

    Returns:
        Their rows, as wide as all.
    """
    rows = windows.sentence.amax(1) < count
    return Windows(*(tensor[rows] for tensor in vars(windows).values()))


# --- making them ---


def make(block: Block = BLOCKS["A"], seeds: Sequence[int] | None = None) -> None:
    """Make what is missing of all measurements. Each table is written as soon as a seed of it is there.

    Args:
        block: whose models are asked; a model that is missing is trained first.
        seeds: of the block; the first eight if left out.

    Raises:
        ReferenceError: a seed is none of the block's, or what is there was made with other settings.
    """
    seeds = block.seeds[:REPLICATES] if seeds is None else seeds
    if strange := [seed for seed in seeds if seed not in block.seeds]:
        known = f"{block.seeds[0]} to {block.seeds[-1]}"
        raise reference.ReferenceError(f"block {block.name} has no seed {strange[0]}: choose from {known}")
    manifest = _manifest(block)
    for seed in seeds:
        missing = [name for name in MEASUREMENTS if seed not in set(read(name)["replicate"])]
        if not missing:
            continue
        subject = Subject(block, seed)
        for arm in (subject.arms[name] for name in subject.trained):
            if arm.trained() is None:
                print(f"{arm} is not there: it is trained first", flush=True)
                arm.pretrained()
        started = time.perf_counter()
        for name in missing:
            _add(name, MEASUREMENTS[name](subject).assign(replicate=seed))
        manifest["seeds"][str(seed)] = {
            "written": time.strftime("%Y-%m-%d"),
            "seconds": round(time.perf_counter() - started),
            "device": model.device_name(),
            "versions": artifacts.versions(*PACKAGES),
            "code": artifacts.source_hash(*dict.fromkeys((*MEASURED_BY, *TRAINED_BY))),
        }
        artifacts.write(FOLDER / MANIFEST, json.dumps(manifest, indent=1) + "\n")


def read(measurement: str) -> pd.DataFrame:
    """Read what is there of a measurement.

    Args:
        measurement: a name in `MEASUREMENTS`.

    Returns:
        Its table, with a column replicate (the seed); without rows if nothing is there.
    """
    file = FOLDER / f"{measurement}.csv"
    if not file.exists():
        return pd.DataFrame(columns=["replicate"])
    return pd.read_csv(file, dtype=AS_TEXT)


def _add(measurement: str, table: pd.DataFrame) -> None:
    """Write the rows of a seed to those of the others, in the order of the seeds."""
    first = [name for name in KEYS if name in table]
    table = table[[*first, *(name for name in table if name not in first)]]
    before = read(measurement)
    both = pd.concat([before, table]) if len(before) else table
    both = both.round(NUMBERS).sort_values("replicate", kind="stable")
    artifacts.write(FOLDER / f"{measurement}.csv", both.to_csv(index=False, lineterminator="\n"))


def _manifest(block: Block) -> dict:
    """Return what is said of the seeds that are there; refuse those of other settings."""
    file = FOLDER / MANIFEST
    now = {"block": block.name, "held_out": [HELD_OUT, MENTIONS, TESTED], "settings": reference.facts(block)}
    if not file.exists():
        return {**now, "seeds": {}}
    manifest = json.loads(file.read_text(encoding="utf-8"))
    if not all(reference.agree(manifest[name], now[name]) for name in now):
        raise reference.ReferenceError(
            f"{FOLDER} was made with other settings than block {block.name} has now: move the folder away to "
            f"measure anew, or take the change back"
        )
    return manifest
