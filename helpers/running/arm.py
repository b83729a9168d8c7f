"""One arm of one replicate: what decides its results, how they are made, and under which keys they lie."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from helpers import boundary, model, scoring, tokenization
from helpers.finetuning import finetune, predict
from helpers.pretraining import Group
from helpers.running import artifacts, replicate
from helpers.running.replicate import Replicate
from helpers.running.resume import Stopwatch, pretrain
from helpers.settings import ARMS, UNTRAINED, FinetuningSettings, PretrainingSettings, Settings
from helpers.world import TYPES

Cell = tuple[int, int, int]  # tokens seen, labelled sentences, labelled subset
DRAWS_LENGTHS = ("span", "mentions")  # strategies whose masks depend on `p`
TRAINED_BY = ("masking", "model", "pretraining", "running/replicate:new_model")
ALSO_BY = {"boundary": ("boundary",), "mentions": ("running/replicate:mention_ids",)}  # where an arm uses it
SCORED_BY = (
    *("model", "finetuning", "tokenization", "scoring:count", "scoring:SurfaceIndex"),
    *("running/replicate:new_model", "running/replicate:Replicate"),
    *("running/arm:fine_tune_and_tag", "running/arm:count_mentions"),
)
PACKAGES = ("torch", "transformers", "tokenizers")  # whose versions decide a result
CELL = ["corpus", "arm", "replicate", "mask_rate", "tokens_seen", "labelled_sentences", "subset"]
# The first thirteen are those of the tables of version 1, in their order.
COLUMNS = [
    *(*CELL, "type", "novelty", "length", "gold", "predicted", "correct"),
    *("pieces", "missed", "wrong_boundary", "wrong_type", "wrong_both", "charged", "invented", "condition"),
]
TEXT_COLUMNS = ("corpus", "arm", "type", "novelty", "length", "pieces", "condition")  # the others: numbers
DEFAULTS = {"pieces": "any", "condition": ""}  # of tables of version 1
TOKENS_OF_A_ROW = 75  # of pre-training, which take about as long as a row of fine-tuning

disable_progress_bar()  # loading a tiny model takes milliseconds, and its bar would break ours


def no_progress(tokens: int) -> None:
    """Ignore the progress of a training."""


@dataclass(frozen=True)
class Arm:
    """One arm of one replicate. It knows its settings and keys, and makes what is missing.

    `progress` is called with the tokens of each step, and may raise KeyboardInterrupt.
    """

    settings: Settings
    name: str  # one of ARMS
    number: int  # of the replicate, from 0
    dtype: str
    cells: tuple[Cell, ...] = ()  # what is fine-tuned and scored
    kept: tuple[Cell, ...] = ()  # those of them whose predicted mentions are kept beside the counts
    progress: Callable[[int], None] = field(default=no_progress, compare=False)

    def __str__(self) -> str:
        return f"{self.name} of replicate {self.number}"

    @property
    def seed(self) -> int:
        """The seed of the replicate."""
        return self.settings.scale.first_seed + self.number

    @property
    def replicate(self) -> Replicate:
        """What all arms of the replicate share."""
        return replicate.load(self.settings, self.number)

    @property
    def recipe(self) -> PretrainingSettings:
        """How this arm is pre-trained."""
        return replace(self.settings.scale.pretraining, **ARMS[self.name], seed=self.seed)

    # --- keys ---

    @property
    def training_key(self) -> dict | None:
        """Everything that decides the weights; None without pre-training."""
        if self.name in UNTRAINED:
            return None
        recipe = asdict(self.recipe)
        if recipe["strategy"] not in DRAWS_LENGTHS:
            del recipe["p"]
        code = TRAINED_BY + ALSO_BY.get(self.name, ())
        if self.recipe.boundary:
            code += ALSO_BY["boundary"]
        else:
            del recipe["boundary"]
        code += self._code_of_own_model
        return {
            "rows": replicate.rows_key(self.settings, self.seed),
            "model": replicate.model_key(self.settings),
            "recipe": recipe,
            "budgets": self.settings.scale.tokens,
            "dtype": self.dtype,
            "code": artifacts.source_hash(*code),
            "versions": artifacts.versions(*PACKAGES),
        }

    @property
    def scores_key(self) -> dict:
        """Everything that decides the counts of this arm's cells."""
        return {
            "training": self.training_key,
            "rows": replicate.rows_key(self.settings, self.seed),
            "seed": self.seed,
            "model": replicate.model_key(self.settings),
            "cells": self.cells,
            "kept": self.kept,
            "recipe": replace(
                self.settings.scale.finetuning, seed=0
            ),  # its seed follows from the replicate's
            "dtype": self.dtype,
            "code": artifacts.source_hash(*SCORED_BY, *self._code_of_own_model),
            "versions": artifacts.versions(*PACKAGES),
        }

    @property
    def _code_of_own_model(self) -> tuple[str, ...]:
        return ("own_model",) if self.settings.model else ()

    # --- what is there, and what is left to do ---

    def trained(self) -> Path | None:
        """Return the folder with a checkpoint for each budget; None if it is not there, or not whole."""
        return artifacts.find("pretrained", self.training_key)

    def scored(self) -> Path | None:
        """Return the folder with the counts; None if it is not there, or not whole."""
        return artifacts.find("scores", self.scores_key)

    @property
    def tokens_to_train(self) -> int:
        """Tokens of a whole pre-training, the branches that cool for the smaller budgets included."""
        if self.name in UNTRAINED:
            return 0
        *smaller, largest = self.settings.scale.tokens
        return round(largest + self.settings.scale.pretraining.cooldown * sum(smaller))

    @property
    def tokens_of_a_cell(self) -> int:
        """What fine-tuning counts on the progress bar: tokens of pre-training that take as long."""
        recipe = self.settings.scale.finetuning
        rows = recipe.steps * recipe.batch_size + self.settings.scale.world.test // 3
        return TOKENS_OF_A_ROW * rows

    def work_left(self) -> int:
        """Return what the arm still counts on the progress bar, in tokens of pre-training."""
        done = self.name in UNTRAINED or self.trained() is not None
        return len(self.cells) * self.tokens_of_a_cell + (0 if done else self.tokens_to_train)

    # --- making it ---

    def pretrained(self) -> Path:
        """Return the folder with a checkpoint for each budget, named by its tokens; make it if needed.

        Returns:
            The folder of an artifact: for each budget a model, its tokenizer and history.csv; and cost.csv.
        """
        key = self.training_key
        return artifacts.build("pretrained", key, self.train_into, resumable=True, mend=self.mend)

    def mend(self, folder: Path) -> bool:
        """Make the small files of damaged checkpoints again, since training would cost far more.

        Args:
            folder: of the artifact. A damaged cost.csv or history.csv can't be made again, and is left empty.

        Returns:
            Whether the weights can be read, for every budget.
        """
        bert = replicate.new_model(self.settings.scale.model, self.replicate)
        for tokens in self.settings.scale.tokens:
            place = folder / str(tokens)
            try:
                bert.load_state_dict(load_file(place / "model.safetensors"), strict=False)
            except (OSError, RuntimeError, SafetensorError):
                return False
            bert.config.save_pretrained(place)
            self.replicate.tokenizer.save_pretrained(place)
            _keep_if_sound(place / "history.csv", ["tokens_seen", "loss"])
        _keep_if_sound(folder / "cost.csv", ["seconds_per_step", "seconds", "device"])
        return True

    def train_into(self, folder: Path, group: Group | None = None) -> None:
        """Pre-train, and put a checkpoint for each budget and what it cost into a folder.

        Args:
            folder: what an attempt that was stopped has left there is gone on with.
            group: the processes that train together; its first one writes.
        """
        bert = replicate.new_model(self.settings.scale.model, self.replicate).to(model.device())
        if self.recipe.boundary:
            boundary.add_head(bert, self.seed)
        blocks = self.replicate.blocks
        if self.name == "mentions":
            blocks = replace(blocks, mention_ids=replicate.mention_ids(self.settings, self.number))
        states = folder / "states"
        stopwatch = Stopwatch(states / "seconds.json", model.device_name())
        first = group is None or group.rank == 0

        def step(tokens: int) -> None:
            if first:
                stopwatch.tick()
            self.progress(tokens)

        for checkpoint in pretrain(
            bert,
            blocks,
            self.replicate.vocabulary,
            self.recipe,
            self.settings.scale.tokens,
            dtype=self.dtype,
            progress=step,
            folder=states,
            group=group,
        ):
            if first:
                place = folder / str(checkpoint.tokens_seen)
                weights = boundary.weights_without_head(checkpoint.model)
                checkpoint.model.save_pretrained(place, state_dict=weights)
                self.replicate.tokenizer.save_pretrained(place)
                history = pd.DataFrame(checkpoint.losses, columns=["tokens_seen", "loss"])
                history.to_csv(place / "history.csv", index=False)
        if first:
            pd.DataFrame([stopwatch.spent()]).to_csv(folder / "cost.csv", index=False)
            shutil.rmtree(states)

    def model(self, tokens: int) -> PreTrainedModel:
        """Return the model after a budget of tokens, on the device; at once, for an arm without any."""
        if self.name in UNTRAINED:
            return replicate.new_model(self.settings.scale.model, self.replicate).to(model.device())
        folder = self.pretrained() / str(tokens)
        return AutoModelForMaskedLM.from_pretrained(folder, attn_implementation="eager").to(model.device())

    def predictions(self, tokens: int, count: int, subset: int) -> list[list[str]]:
        """Fine-tune the model of a cell, and return the IOB2 tags that it gives the test split."""
        bert, recipe = self.model(tokens), self.settings.scale.finetuning
        return fine_tune_and_tag(self.replicate, bert, count, subset, recipe, self.dtype)

    def scores(self) -> Path:
        """Return the folder with the counts of all cells, and make it if needed.

        Returns:
            The folder: scores.csv; cost.csv, if the arm is pre-trained; predictions.npz, if any are kept.
        """

        def make(folder: Path) -> None:
            if self.name not in UNTRAINED:
                cost = self.pretrained() / "cost.csv"
                (folder / "cost.csv").write_bytes(cost.read_bytes())
            text, tables, kept = replicate.surface_index(self.settings, self.number), [], {}
            for tokens, count, subset in self.cells:
                predicted = self.predictions(tokens, count, subset)
                counts = count_mentions(self.replicate, predicted, text, count, subset)
                cell = {"tokens_seen": tokens, "labelled_sentences": count, "subset": subset}
                tables.append(counts.assign(**cell)[[*cell, *counts.columns]])
                if (tokens, count, subset) in self.kept:
                    kept[f"{tokens}-{count}-{subset}"] = pack_mentions(predicted)
                self.progress(self.tokens_of_a_cell)
            pd.concat(tables).to_csv(folder / "scores.csv", index=False)
            if kept:
                np.savez_compressed(folder / "predictions.npz", **kept)

        return artifacts.build("scores", self.scores_key, make)

    def table(self, condition: str = "") -> pd.DataFrame:
        """Return the counts of all cells as rows of a results table, with the columns `COLUMNS`."""
        counts = read_table(self.scores() / "scores.csv")
        rate = 0.0 if self.name in UNTRAINED else self.recipe.mask_rate
        corpus = self.settings.corpus_name
        facts = {"corpus": corpus, "arm": self.name, "replicate": self.seed, "mask_rate": rate}
        return counts.assign(**facts, condition=condition)[COLUMNS]

    def cost(self) -> dict:
        """Return what pre-training cost: seconds_per_step, seconds and device; nothing without it."""
        file = self.scores() / "cost.csv"
        return pd.read_csv(file).iloc[0].to_dict() if file.exists() else {}


def read_table(file: Path) -> pd.DataFrame:
    """Read a results table, or a part of one; a corpus called "2003" or a type called "NA" is text.

    Args:
        file: plain or compressed. A table of version 1 has no error kinds and no lengths in wordpieces: the
            former's columns stay out, and `pieces` is "any".

    Returns:
        The table.
    """
    table = pd.read_csv(file, dtype=dict.fromkeys(TEXT_COLUMNS, str), keep_default_na=False)
    return table.assign(**{name: value for name, value in DEFAULTS.items() if name not in table})


def _keep_if_sound(file: Path, columns: list[str]) -> None:
    """Leaves a table as it is if it can be read, and writes its heading alone if not."""
    try:
        pd.read_csv(file)[columns].astype({columns[0]: float})
    except (OSError, ValueError, KeyError):
        artifacts.write(file, ",".join(columns) + "\n")


def fine_tune_and_tag(
    replicate: Replicate,
    bert: PreTrainedModel,
    count: int,
    subset: int,
    recipe: FinetuningSettings,
    dtype: str,
) -> list[list[str]]:
    """Fine-tune on a labelled subset, and tag the test split; the seed is the same for every arm.

    Args:
        replicate: what is labelled, and tested.
        bert: what fine-tuning starts from; it is not changed.
        count: labelled sentences.
        subset: which draw of them.
        recipe: of fine-tuning; its seed follows from the replicate's.
        dtype: as for `finetuning.finetune`.

    Returns:
        IOB2 tags, a list for each test sentence.
    """
    recipe = replace(recipe, seed=1_000 * replicate.seed + subset)
    tagger = finetune(bert, replicate.labelled(count, subset), replicate.tags, recipe, dtype)
    numbers: torch.Tensor = predict(tagger, replicate.test, dtype)
    return tokenization.decode(replicate.test, numbers, replicate.sentences("test"), replicate.tags)


def count_mentions(
    replicate: Replicate,
    predicted: Sequence[Sequence[str]],
    text: scoring.SurfaceIndex,
    count: int,
    subset: int,
) -> pd.DataFrame:
    """Count gold, predicted and correct mentions of the test split, by type, novelty and length.

    Args:
        replicate: what is gold.
        predicted: IOB2 tags of the test split.
        text: where the names of the unlabelled text stand.
        count: labelled sentences that the tagger learnt from.
        subset: which draw of them.

    Returns:
        The columns of `scoring.count`.
    """
    train = replicate.sentences("train")
    novelty = text.with_labelled([train[row] for row in replicate.labelled_rows(count, subset)])
    return scoring.count(
        replicate.gold(),
        predicted,
        sentences=replicate.sentences("test"),
        novelty=novelty,
        pieces=replicate.pieces("test"),
    )


def pack_mentions(tags: Sequence[Sequence[str]]) -> np.ndarray:
    """Return the mentions in IOB2 tags as numbers.

    Args:
        tags: of the invented world, a list for each sentence.

    Returns:
        `[mentions, 4]` int16: sentence, type in the order of `world.TYPES`, first word, one past the last.
    """
    return np.array(
        [
            (number, TYPES.index(kind), start, end)
            for number, sentence in enumerate(tags)
            for kind, start, end in scoring.spans(sentence)
        ],
        dtype=np.int16,
    ).reshape(-1, 4)


def unpack_mentions(mentions: np.ndarray, words: Sequence[int]) -> list[list[str]]:
    """Return the IOB2 tags that `pack_mentions` was given.

    Args:
        mentions: as it returned them.
        words: how many each sentence has.

    Returns:
        IOB2 tags, a list for each sentence.
    """
    tags = [["O"] * count for count in words]
    for number, kind, start, end in mentions:
        tags[number][start:end] = [f"B-{TYPES[kind]}"] + [f"I-{TYPES[kind]}"] * (end - start - 1)
    return tags
