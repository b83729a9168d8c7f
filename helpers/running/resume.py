"""Pre-training that can be stopped: budgets as branches of one training, and states from which it goes on."""

import copy
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BertForMaskedLM

from helpers.masking import Vocabulary
from helpers.model import keep_freed_memory
from helpers.pretraining import Group, Training, learning_rate, row_order, train
from helpers.running import artifacts, checkpoints
from helpers.settings import PretrainingSettings
from helpers.tokenization import Blocks

LOSSES_AT_ONCE = 20  # steps whose mean loss is one point of the curve; reading it waits for the device
MOST_STEPS = 10**7  # of a training: their order alone takes 2.6 GB at 32 rows a step


@dataclass
class Checkpoint:
    """A model after a budget, and the losses on the way there."""

    model: BertForMaskedLM
    tokens_seen: int
    losses: list[tuple[int, float]]  # (tokens seen, mean loss since the last entry)


def pretrain(
    model: BertForMaskedLM,
    blocks: Blocks,
    vocabulary: Vocabulary,
    recipe: PretrainingSettings,
    budgets: Sequence[int],
    *,
    dtype: str = "float32",
    progress: Callable[[int], None] = lambda tokens: None,
    folder: Path | None = None,
    seconds_between_states: float = 30.0,
    group: Group | None = None,
) -> Iterator[Checkpoint]:
    """Train on masked rows, and give a finished model for each budget of tokens.

    The learning rate stays constant after warm-up. Each budget is a branch off that trunk, and cools over its
    last `recipe.cooldown` share of tokens, so that a smaller budget is a fair shorter training and not an
    unfinished long one. Every step has a mask seed of its own: masks never repeat.

    Args:
        model: what training starts from, on its own device; its weights are changed.
        blocks: packed rows.
        vocabulary: of the tokenizer that made them.
        recipe: strategy, rates, rows in a batch, seed.
        budgets: tokens, rising; visible and special tokens count too.
        dtype: "float32", "bfloat16", or "float16" with loss scaling.
        progress: called with the number of tokens of each step; it may raise KeyboardInterrupt.
        folder: where the state is kept, so that the same call, with a new model of the same seed, goes on
            after an interrupt or a kill, and ends with the same weights, bit by bit on a CPU with as many
            threads. Nothing is kept if left out.
        seconds_between_states: about how much is lost at most when the process is killed.
        group: the processes that train this model together; each takes its share of every batch.

    Yields:
        A checkpoint for each budget.

    Raises:
        ValueError: short rows that full ones cannot be cut into, or a budget that no machine could train.
        FloatingPointError: the loss is no longer a number.
        MemoryError: the GPU's memory does not hold a batch.
        KeyboardInterrupt: Ctrl-C or SIGTERM; at the end of a step, after the state was kept. (A state that
            cannot be written is a `checkpoints.CheckpointError`.)

    Source:
        Hägele et al. 2024, "Scaling laws and compute-optimal training beyond fixed training durations".
    """
    group = group or Group()
    tokens_per_step = recipe.batch_size * _length(blocks, recipe)
    steps_for_budget = [max(2, round(budget / tokens_per_step)) for budget in budgets]
    if steps_for_budget[-1] > MOST_STEPS:
        raise ValueError(
            f"{budgets[-1]:,} tokens are more than any machine could train on here: choose at most "
            f"{MOST_STEPS * tokens_per_step:,}"
        )
    keep_freed_memory()
    order = row_order(len(blocks.input_ids), steps_for_budget[-1], recipe.batch_size, recipe.seed)
    warmup = max(1, round(recipe.warmup_tokens / tokens_per_step))
    rows = Blocks(**{name: tensor.to(model.device) for name, tensor in blocks.tensors().items()})

    def keep(training: Training, name: str) -> None:
        if folder and group.rank == 0:
            checkpoints.write(folder, name, training.step, *state_of(training))

    def kept(name: str, at_most: int) -> Training | None:
        state: Any = checkpoints.newest(folder, name, at_most) if folder and group.rank == 0 else None
        state = group.agree(state)  # or each process would go on from the step that it finds
        return restored(Training.start(copy.deepcopy(model), recipe, dtype), *state) if state else None

    def advance(training: Training, name: str, until: int, steps: int) -> None:
        """Take `training`, which is to end after `steps`, to step `until`."""
        kept_at = time.monotonic()
        consistent = False  # true while no step is half taken, so that the state may be kept
        rate = partial(learning_rate, steps=steps, recipe=recipe, warmup=warmup)
        with checkpoints.interrupts_held() as is_asked_to_stop:
            try:
                for loss in train(training, rows, order[:until], vocabulary, recipe, rate, dtype, group):
                    consistent = False
                    training.recent.append(loss)
                    at_reading = len(training.recent) == LOSSES_AT_ONCE or training.step == until
                    if at_reading:
                        _note_loss(training, tokens_per_step)
                        if time.monotonic() - kept_at > seconds_between_states or training.step == until:
                            keep(training, name)
                            kept_at = time.monotonic()
                    consistent = True
                    progress(tokens_per_step)
                    # A group would wait for its slowest process at each question.
                    if (group.size == 1 or at_reading) and group.any(is_asked_to_stop()):
                        raise KeyboardInterrupt
                    consistent = False
            except KeyboardInterrupt:
                if consistent:  # a second Ctrl-C comes in the middle of a step
                    keep(training, name)
                raise
            except torch.OutOfMemoryError as error:
                raise MemoryError(
                    f"a batch of {recipe.batch_size} rows does not fit into the memory of {model.device}: "
                    f"choose a smaller batch_size or model, or free memory that others hold there"
                ) from error

    trunk = Training.start(model, recipe, dtype)
    for budget, steps in zip(budgets, steps_for_budget, strict=True):
        branch = kept(f"branch-{steps}", at_most=steps)
        if branch is None:
            cooling = min(steps - 1, round(steps * (1 - recipe.cooldown)))
            on_disk = kept("trunk", at_most=cooling)
            if on_disk and on_disk.step > trunk.step:
                trunk = on_disk
            advance(trunk, "trunk", cooling, steps)
            branch = Training.start(copy.deepcopy(trunk.model), recipe, dtype)
            branch = restored(branch, trunk.step, *copy.deepcopy(state_of(trunk)))
        advance(branch, f"branch-{steps}", steps, steps)
        yield Checkpoint(branch.model, budget, branch.losses)


def _length(blocks: Blocks, recipe: PretrainingSettings) -> int:
    """Tokens of a row, once it is known that short rows can be cut from it."""
    length = blocks.input_ids.shape[1]
    ends = [until for until, _ in recipe.short_rows]
    if ends != sorted(ends) or any(short < 3 or length % short for _, short in recipe.short_rows):
        raise ValueError(
            f"short_rows={recipe.short_rows}: give rising numbers of tokens, each with a row length that "
            f"divides {length} and leaves room for text"
        )
    return length


def _note_loss(training: Training, tokens_per_step: int) -> None:
    loss = torch.stack(training.recent).mean().item()
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the loss is {loss} at step {training.step}; try a lower learning_rate or float32"
        )
    training.losses.append((training.step * tokens_per_step, loss))
    training.recent = []


def state_of(training: Training) -> tuple[dict[str, torch.Tensor], dict]:
    """Return the tensors and facts from which `restored` continues, bit by bit."""
    tensors = {f"model.{name}": weights for name, weights in training.model.named_parameters()}
    for number, values in training.optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{number}.{name}": value for name, value in values.items()}
    tensors["recent"] = torch.stack(training.recent) if training.recent else torch.zeros(0)
    return tensors, {"losses": training.losses, "scaler": training.scaler.state_dict()}


def restored(training: Training, step: int, tensors: dict[str, torch.Tensor], facts: dict) -> Training:
    """Return `training` in a state that was kept, after `step` steps with the same recipe."""
    with torch.no_grad():
        for name, weights in training.model.named_parameters():
            weights.copy_(tensors[f"model.{name}"])
    adam: dict[int, dict[str, torch.Tensor]] = {}
    for name in tensors:
        if name.startswith("adam."):
            _, number, quantity = name.split(".")
            adam.setdefault(int(number), {})[quantity] = tensors[name]
    training.optimizer.load_state_dict({**training.optimizer.state_dict(), "state": adam})
    training.scaler.load_state_dict(facts["scaler"])
    training.step, training.losses = step, [(tokens, loss) for tokens, loss in facts["losses"]]
    training.recent = list(tensors["recent"].to(training.model.device))
    return training


class Stopwatch:
    """What a training takes, over all its attempts; the pauses between them do not count.

    Every few seconds it is noted in a file, which the next attempt reads. A kill loses what came after the
    last note; steps that have to be taken again after it count again, since the machine did take them.
    """

    def __init__(self, file: Path, device: str):
        self.file, self.device = file, device
        try:
            before = json.loads(file.read_text(encoding="utf-8"))
            self.before = {**before, "seconds": float(before["seconds"])}
        except (OSError, ValueError, TypeError, KeyError):  # the first attempt, or a file that is damaged
            self.before = {"seconds": 0.0}
        self.ticks = [time.perf_counter()]
        self.noted = -math.inf  # the first step is noted, so that there is never no time of a step

    def tick(self) -> None:
        """Note that a step has ended."""
        self.ticks.append(time.perf_counter())
        if self.ticks[-1] - self.noted > 5:
            self.noted = self.ticks[-1]
            artifacts.write(self.file, json.dumps(self.spent()))

    def spent(self) -> dict[str, float | str]:
        """Return what the training has cost so far.

        Returns:
            The median `seconds_per_step` and the `device` of the last attempt that took a step, and the
            `seconds` of all attempts.
        """
        seconds = self.before["seconds"] + self.ticks[-1] - self.ticks[0]
        if len(self.ticks) == 1:
            return {**self.before, "seconds": seconds}
        per_step = float(np.median(np.diff(self.ticks)))
        return {"seconds_per_step": per_step, "seconds": seconds, "device": self.device}
