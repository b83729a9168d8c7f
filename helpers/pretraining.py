"""Masked-LM pre-training: one loop for every strategy, on one process or several, that can be stopped."""

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from transformers import BertForMaskedLM

from helpers import checkpoints
from helpers.masking import Scheme, Vocabulary, mask
from helpers.model import keep_freed_memory, masked_lm_loss, precision
from helpers.settings import PretrainingSettings
from helpers.tokenization import Blocks

SPECIAL_IDS = (0, 1, 2, 3, 4)  # [PAD] [UNK] [CLS] [SEP] [MASK]
MASK_ID = 4
LOSSES_AT_ONCE = 20  # steps whose mean loss is one point of the curve; reading it waits for the device


@dataclass
class Checkpoint:
    """A model after a budget, and the losses on the way there."""

    model: BertForMaskedLM
    tokens_seen: int
    losses: list[tuple[int, float]]  # (tokens seen, mean loss since the last entry)


@dataclass(frozen=True)
class Group:
    """The processes that train one model together; this one is number `rank` of `size`.

    `average` takes the gradients of this process, all in one tensor, and returns their mean over the group.
    """

    rank: int = 0
    size: int = 1
    average: Callable[[torch.Tensor], torch.Tensor] = lambda gradients: gradients


ALONE = Group()


@dataclass
class Run:
    """Everything that a step changes. What else a step needs follows from its number: rows, masks, rate."""

    model: BertForMaskedLM
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    step: int = 0
    losses: list[tuple[int, float]] = field(default_factory=list)
    recent: list[torch.Tensor] = field(default_factory=list)  # losses since the last entry

    def state(self) -> tuple[dict[str, torch.Tensor], dict]:
        """Tensors and facts from which `restore` continues, bit by bit."""
        tensors = {f"model.{name}": weights for name, weights in self.model.named_parameters()}
        for number, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{name}": value for name, value in values.items()}
        tensors["recent"] = torch.stack(self.recent) if self.recent else torch.zeros(0)
        return tensors, {"losses": self.losses, "scaler": self.scaler.state_dict()}

    def restore(self, step: int, tensors: dict[str, torch.Tensor], facts: dict) -> "Run":
        """Continues from a `state` of a run with the same settings."""
        with torch.no_grad():
            for name, weights in self.model.named_parameters():
                weights.copy_(tensors[f"model.{name}"])
        adam = {}
        for name in tensors:
            if name.startswith("adam."):
                _, number, quantity = name.split(".")
                adam.setdefault(int(number), {})[quantity] = tensors[name]
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": adam})
        self.scaler.load_state_dict(facts["scaler"])
        self.step, self.losses = step, [(tokens, loss) for tokens, loss in facts["losses"]]
        self.recent = list(tensors["recent"].to(self.model.device))
        return self


def new_run(model: BertForMaskedLM, settings: PretrainingSettings, dtype: str) -> Run:
    """A run at step 0: AdamW over all weights in one fused kernel, and loss scaling if `dtype` needs it."""
    optimizer = torch.optim.AdamW(
        model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    return Run(model, optimizer, torch.amp.GradScaler(model.device.type, enabled=dtype == "float16"))


def row_order(rows: int, steps: int, batch_size: int, seed: int) -> torch.Tensor:
    """Which rows each step sees, `[steps, batch_size]`: all rows once in random order, then all again.

    The order depends on the seed alone, so that all arms of a replicate see the same rows at the same step.
    """
    generator = torch.Generator().manual_seed(seed)
    passes = -(-steps * batch_size // rows)
    order = torch.cat([torch.randperm(rows, generator=generator) for _ in range(passes)])
    return order[: steps * batch_size].view(steps, batch_size)


def row_length(tokens_seen: int, settings: PretrainingSettings, length: int) -> int:
    """How long the rows of a step are: short at first, as in BERT's own recipe (Devlin et al. 2019, A.2)."""
    return next((short for until, short in settings.short_rows if tokens_seen < until), length)


def cut(rows: torch.Tensor, length: int) -> torch.Tensor:
    """Cuts `[batch, columns]` into `[batch * columns / length, length]`, each starting with the row's first.

    So a cut row of ids starts with [CLS] too, in the place of the first piece of its part.
    """
    parts = rows.unflatten(1, (-1, length)).clone()  # [batch, parts, length]
    parts[:, :, 0] = rows[:, :1]
    return parts.flatten(0, 1)


def learning_rate(step: int, steps: int, settings: PretrainingSettings, warmup: int) -> float:
    """Straight up over `warmup` steps, constant, and straight down to 0 over the last `settings.cooldown`."""
    left = (steps - step) / max(1, settings.cooldown * steps)
    return settings.learning_rate * min(1.0, (step + 1) / warmup, left)


def train(
    run: Run,
    blocks: Blocks,
    order: torch.Tensor,
    rate: Callable[[int], float],
    settings: PretrainingSettings,
    dtype: str = "float32",
    group: Group = ALONE,
) -> Iterator[torch.Tensor]:
    """The training loop: a step for each line of `order` that `run` has not taken; yields the losses.

    Args:
        run: changed in place.
        blocks: packed rows without padding, on the model's device.
        order: which rows each step sees, `[steps, batch_size]`.
        rate: the learning rate of each step.
    """
    model, optimizer, scaler = run.model, run.optimizer, run.scaler
    scheme = Scheme(settings.strategy, mask_rate=settings.mask_rate, p=settings.p)
    vocabulary = Vocabulary(model.config.vocab_size, MASK_ID, SPECIAL_IDS)
    generator = torch.Generator(model.device)
    tokens_per_step = order.shape[1] * blocks.input_ids.shape[1]
    for step in range(run.step, len(order)):
        generator.manual_seed(_mask_seed(settings.seed, step, group.rank))
        rows = order[step, group.rank :: group.size].to(model.device)
        length = row_length(step * tokens_per_step, settings, blocks.input_ids.shape[1])
        input_ids, word_ids = cut(blocks.input_ids[rows], length), cut(blocks.word_ids[rows], length)
        masked = mask(input_ids, word_ids, scheme, vocabulary, generator)
        with precision(dtype, model.device):
            loss = masked_lm_loss(model, masked.inputs, masked.positions, masked.labels)
        scaler.scale(loss).backward()
        if group.size > 1:
            average_gradients(model, group)
        optimizer.param_groups[0]["lr"] = rate(step)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        run.step = step + 1
        yield loss.detach()


def _mask_seed(seed: int, step: int, rank: int) -> int:
    """A seed for each step and process: masks never repeat, and nothing about them has to be kept."""
    return (seed * 1_000_003 + step) + rank * 2**40


def average_gradients(model: torch.nn.Module, group: Group) -> None:
    """Gives every process of a group the mean of all their gradients, in one exchange."""
    gradients = [weights.grad for weights in model.parameters() if weights.grad is not None]
    mean = group.average(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, part in zip(gradients, mean.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def pretrain(
    model: BertForMaskedLM,
    blocks: Blocks,
    settings: PretrainingSettings,
    budgets: Sequence[int],
    *,
    dtype: str = "float32",
    progress: Callable[[int], None] = lambda tokens: None,
    folder: Path | None = None,
    seconds_between_states: float = 30.0,
    group: Group = ALONE,
) -> Iterator[Checkpoint]:
    """Trains on masked rows and yields a finished model for each budget of tokens.

    The learning rate stays constant after warm-up. Each budget is a branch off that run which cools over its
    last `settings.cooldown` share of tokens, so that a smaller budget is a fair shorter run and not an
    unfinished long one (Hägele et al. 2024). Every step has a mask seed of its own: masks never repeat.

    Args:
        model: what training starts from, on its own device; its weights are changed.
        blocks: packed rows.
        budgets: tokens, rising; visible and special tokens count too.
        dtype: "float32", "bfloat16", or "float16" with loss scaling.
        progress: called with the number of tokens of each step.
        folder: where the state is kept, so that the same call, with a new model of the same seed, goes on
            after an interrupt or a kill, and ends with the same weights, bit by bit on a CPU with as many
            threads. Nothing is kept if left out.
        seconds_between_states: about how much is lost at most when the process is killed.
        group: the processes that train this model together; each takes its share of every batch.

    Raises:
        ValueError: short rows that full ones cannot be cut into.
        FloatingPointError: the loss is no longer a number.
        MemoryError: the GPU's memory does not hold a batch.
        CheckpointError: the disk is full.
        KeyboardInterrupt: Ctrl-C; at the end of a step, after the state was kept.
    """
    length = blocks.input_ids.shape[1]
    ends = [until for until, _ in settings.short_rows]
    if ends != sorted(ends) or any(short < 3 or length % short for _, short in settings.short_rows):
        raise ValueError(
            f"short_rows={settings.short_rows}: give rising numbers of tokens, each with a row length that "
            f"divides {length} and leaves room for text"
        )
    keep_freed_memory()
    tokens_per_step = settings.batch_size * length
    steps_of = [max(2, round(budget / tokens_per_step)) for budget in budgets]
    order = row_order(len(blocks.input_ids), steps_of[-1], settings.batch_size, settings.seed)
    warmup = max(1, round(settings.warmup * steps_of[-1]))
    rows = Blocks(blocks.input_ids.to(model.device), blocks.word_ids.to(model.device))

    def keep(run: Run, name: str) -> None:
        if folder and group.rank == 0:
            checkpoints.write(folder, name, run.step, *run.state())

    def found(name: str, at_most: int) -> Run | None:
        state = checkpoints.newest(folder, name, at_most) if folder else None
        return new_run(copy.deepcopy(model), settings, dtype).restore(*state) if state else None

    def advance(run: Run, name: str, until: int, steps: int) -> None:
        """Takes `run`, which is to end after `steps`, to step `until`."""
        kept = time.monotonic()
        with checkpoints.interrupts_held() as stop_if_asked:
            try:
                rate = partial(learning_rate, steps=steps, settings=settings, warmup=warmup)
                for loss in train(run, rows, order[:until], rate, settings, dtype, group):
                    run.recent.append(loss)
                    if len(run.recent) == LOSSES_AT_ONCE or run.step == until:
                        run.losses.append((run.step * tokens_per_step, _mean_loss(run)))
                        run.recent = []
                        if time.monotonic() - kept > seconds_between_states or run.step == until:
                            keep(run, name)
                            kept = time.monotonic()
                    progress(tokens_per_step)
                    stop_if_asked()
            except KeyboardInterrupt:
                keep(run, name)
                raise
            except torch.OutOfMemoryError as error:
                raise MemoryError(
                    f"a batch of {settings.batch_size} rows does not fit into the memory of {model.device}: "
                    f"choose a smaller batch_size or model, or free memory that others hold there"
                ) from error

    trunk = new_run(model, settings, dtype)
    for budget, steps in zip(budgets, steps_of, strict=True):
        branch = found(f"branch-{steps}", at_most=steps)
        if branch is None:
            cooling = min(steps - 1, round(steps * (1 - settings.cooldown)))
            trunk = max(trunk, found("trunk", at_most=cooling) or trunk, key=lambda run: run.step)
            advance(trunk, "trunk", cooling, steps)
            branch = new_run(copy.deepcopy(trunk.model), settings, dtype)
            branch.restore(trunk.step, *copy.deepcopy(trunk.state()))
        advance(branch, f"branch-{steps}", steps, steps)
        yield Checkpoint(branch.model, budget, branch.losses)


def _mean_loss(run: Run) -> float:
    loss = torch.stack(run.recent).mean().item()
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the loss is {loss} at step {run.step}; try a lower learning_rate or float32"
        )
    return loss
