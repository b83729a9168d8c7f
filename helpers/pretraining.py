"""Masked-LM pre-training: one loop for every masking strategy, as notebook 04 builds it."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import torch
from transformers import BertForMaskedLM

from helpers import boundary
from helpers.masking import Scheme, Vocabulary, mask
from helpers.model import masked_lm_loss, precision
from helpers.settings import PretrainingSettings
from helpers.tokenization import Blocks


def train(
    training: "Training",
    blocks: Blocks,
    order: torch.Tensor,
    vocabulary: Vocabulary,
    recipe: PretrainingSettings,
    rate: Callable[[int], float],
    dtype: str = "float32",
    group: "Group | None" = None,
) -> Iterator[torch.Tensor]:
    """Train: a step for each line of `order` that `training` has not taken yet.

    Args:
        training: changed in place.
        blocks: packed rows without padding, on the model's device.
        order: which rows each step sees, `[steps, rows]`.
        vocabulary: what tokens are hidden behind, and replaced by.
        recipe: strategy, mask rate, length of the first rows, seed.
        rate: the learning rate of each step.
        dtype: "float32", "bfloat16", or "float16" with loss scaling.
        group: the processes that train this model together; this one alone if left out.

    Yields:
        The loss of each step, a single number on the model's device.
    """
    group = group or Group()
    model, optimizer, scaler = training.model, training.optimizer, training.scaler
    scheme = Scheme(recipe.strategy, mask_rate=recipe.mask_rate, p=recipe.p)
    generator, length = torch.Generator(model.device), blocks.input_ids.shape[1]
    loss_of = group.loss_of(model)
    for step in range(training.step, len(order)):
        generator.manual_seed(mask_seed(recipe.seed, step, group.rank))
        chosen = order[step, group.rank :: group.size].to(model.device)  # [rows]
        shorter = row_length(step * order.shape[1] * length, recipe, length)
        input_ids, word_ids = cut(blocks.input_ids[chosen], shorter), cut(blocks.word_ids[chosen], shorter)
        mention_ids = None if blocks.mention_ids is None else cut(blocks.mention_ids[chosen], shorter)
        batch = mask(input_ids, word_ids, scheme, vocabulary, generator, mention_ids)
        with precision(dtype, model.device):
            loss = loss_of(batch.inputs, batch.positions, batch.labels)
        scaler.scale(loss).backward()
        optimizer.param_groups[0]["lr"] = rate(step)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        training.step = step + 1
        yield loss.detach()


@dataclass
class Training:
    """Everything that a step changes. What else it needs follows from its number: rows, masks, rate."""

    model: BertForMaskedLM
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    step: int = 0
    losses: list[tuple[int, float]] = field(default_factory=list)  # (tokens seen, mean loss since the last)
    recent: list[torch.Tensor] = field(default_factory=list)  # losses since the last entry

    @classmethod
    def start(cls, model: BertForMaskedLM, recipe: PretrainingSettings, dtype: str) -> "Training":
        """Start at step 0: AdamW over all weights in one fused kernel, and loss scaling for "float16"."""
        optimizer = torch.optim.AdamW(
            model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )
        return cls(model, optimizer, torch.amp.GradScaler(model.device.type, enabled=dtype == "float16"))


class Group:
    """The processes that train one model together: here a single one; see `running.distributed`."""

    rank, size = 0, 1

    def loss_of(self, model: BertForMaskedLM) -> Callable[..., torch.Tensor]:
        """Return the function of inputs, positions and labels whose gradients the model is trained with."""
        return partial(boundary.loss if hasattr(model, "boundary") else masked_lm_loss, model)

    def agree(self, value: object) -> object:
        """Return the value that the first process of the group has."""
        return value

    def any(self, flag: bool) -> bool:
        """Return whether any process of the group has this flag set."""
        return flag


def row_order(rows: int, steps: int, batch_size: int, seed: int) -> torch.Tensor:
    """Return which rows each step sees, `[steps, batch_size]`: all in an order of the seed's, then again."""
    generator = torch.Generator().manual_seed(seed)
    passes = math.ceil(steps * batch_size / rows)
    order = torch.cat([torch.randperm(rows, generator=generator) for _ in range(passes)])
    return order[: steps * batch_size].view(steps, batch_size)


def row_length(tokens_seen: int, recipe: PretrainingSettings, length: int) -> int:
    """Return how long rows are after so many tokens: short at first, as in BERT (Devlin et al. 2019, A.2)."""
    return next((short for until, short in recipe.short_rows if tokens_seen < until), length)


def cut(rows: torch.Tensor, length: int) -> torch.Tensor:
    """Cut `[batch, columns]` into `[batch * columns / length, length]`, each part with the row's [CLS]."""
    parts = rows.unflatten(1, (-1, length)).clone()  # [batch, parts, length]
    parts[:, :, 0] = rows[:, :1]  # in the place of the part's first piece
    return parts.flatten(0, 1)


def mask_seed(seed: int, step: int, rank: int = 0) -> int:
    """Return a seed for each step and process: masks never repeat, and nothing about them has to be kept."""
    return (seed * 1_000_003 + step) + rank * 2**40


def learning_rate(step: int, steps: int, recipe: PretrainingSettings, warmup: int) -> float:
    """Return a step's rate: straight up over `warmup` steps, constant, down to 0 over the cooldown."""
    left = (steps - step) / max(1, recipe.cooldown * steps)
    return recipe.learning_rate * min(1.0, (step + 1) / warmup, left)
