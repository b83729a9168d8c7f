"""Masked-LM pre-training: one loop for every strategy."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import BertForMaskedLM

from helpers.masking import Scheme, Vocabulary, mask
from helpers.model import masked_lm_loss, precision
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


def row_order(rows: int, steps: int, batch_size: int, seed: int) -> torch.Tensor:
    """Which rows each step sees, `[steps, batch_size]`: all rows once in random order, then all again.

    The order depends on the seed alone, so that all arms of a replicate see the same rows at the same step.
    """
    generator = torch.Generator().manual_seed(seed)
    passes = -(-steps * batch_size // rows)
    order = torch.cat([torch.randperm(rows, generator=generator) for _ in range(passes)])
    return order[: steps * batch_size].view(steps, batch_size)


def learning_rate(step: int, steps: int, settings: PretrainingSettings, warmup: int) -> float:
    """Straight up over `warmup` steps, constant, and straight down to 0 over the last `settings.cooldown`."""
    left = (steps - step) / max(1, settings.cooldown * steps)
    return settings.learning_rate * min(1.0, (step + 1) / warmup, left)


def new_optimizer(model: BertForMaskedLM, settings: PretrainingSettings) -> torch.optim.Optimizer:
    """AdamW over all weights, in one fused kernel."""
    return torch.optim.AdamW(
        model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )


def train(
    model: BertForMaskedLM,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[tuple[float, torch.Tensor, torch.Tensor, int]],
    settings: PretrainingSettings,
    dtype: str = "float32",
) -> Iterator[torch.Tensor]:
    """The training loop: a step for each (learning rate, input_ids, word_ids, mask seed); yields the losses.

    `input_ids` and `word_ids` are `[batch, length]` on the model's device.
    """
    generator = torch.Generator(model.device)
    scheme = Scheme(settings.strategy, mask_rate=settings.mask_rate, p=settings.p)
    vocabulary = Vocabulary(model.config.vocab_size, MASK_ID, SPECIAL_IDS)
    for rate, input_ids, word_ids, mask_seed in batches:
        masked = mask(input_ids, word_ids, scheme, vocabulary, generator.manual_seed(mask_seed))
        with precision(dtype, model.device):
            loss = masked_lm_loss(model, masked.inputs, masked.labels)
        loss.backward()
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
        yield loss.detach()


def pretrain(
    model: BertForMaskedLM,
    blocks: Blocks,
    settings: PretrainingSettings,
    budgets: Sequence[int],
    *,
    dtype: str = "float32",
    progress: Callable[[int], None] = lambda tokens: None,
) -> Iterator[Checkpoint]:
    """Trains on masked rows and yields a finished model for each budget of tokens.

    The learning rate stays constant after warm-up. Each budget is a branch off that run which cools over its
    last `settings.cooldown` share of tokens, so that a smaller budget is a fair shorter run and not an
    unfinished long one (Hägele et al. 2024). Every step has a mask seed of its own: masks never repeat.

    Args:
        model: trained in place, on its own device.
        blocks: packed rows.
        budgets: tokens, rising; visible and special tokens count too.
        dtype: "float32" or "bfloat16".
        progress: called with the number of tokens of each step.

    Raises:
        FloatingPointError: the loss is no longer a number.
    """
    tokens_per_step = settings.batch_size * blocks.input_ids.shape[1]
    steps_of = [max(2, round(budget / tokens_per_step)) for budget in budgets]
    order = row_order(len(blocks.input_ids), steps_of[-1], settings.batch_size, settings.seed)
    warmup = max(1, round(settings.warmup * steps_of[-1]))

    def run(model, optimizer, first: int, last: int, steps: int) -> list[tuple[int, float]]:
        """Steps `first` to `last` of a run that is to end after `steps`."""
        batches = (
            (
                learning_rate(step, steps, settings, warmup),
                blocks.input_ids[order[step]].to(model.device),
                blocks.word_ids[order[step]].to(model.device),
                settings.seed * 1_000_003 + step,
            )
            for step in range(first, last)
        )
        losses, recent = [], []
        for step, loss in enumerate(train(model, optimizer, batches, settings, dtype), first + 1):
            recent.append(loss)
            if len(recent) == LOSSES_AT_ONCE or step == last:
                losses.append((step * tokens_per_step, torch.stack(recent).mean().item()))
                recent = []
                if not math.isfinite(losses[-1][1]):
                    raise FloatingPointError(
                        f"the loss is {losses[-1][1]} at step {step}; try a lower learning_rate or float32"
                    )
            progress(tokens_per_step)
        return losses

    optimizer = new_optimizer(model, settings)
    done, history = 0, []
    for steps, budget in zip(steps_of, budgets, strict=True):
        cooling = min(steps - 1, round(steps * (1 - settings.cooldown)))
        history += run(model, optimizer, done, cooling, steps)
        done = cooling
        branch = copy.deepcopy(model)
        branch_optimizer = new_optimizer(branch, settings)
        branch_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        yield Checkpoint(branch, budget, history + run(branch, branch_optimizer, cooling, steps, steps))
