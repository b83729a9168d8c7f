"""Fine-tuning for named entity recognition, and prediction."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

from helpers.model import keep_freed_memory, logits_at, precision, token_classifier
from helpers.settings import FinetuningSettings
from helpers.tokenization import Windows


def finetune(
    pretrained: PreTrainedModel,
    windows: Windows,
    tags: Sequence[str],
    settings: FinetuningSettings,
    dtype: str = "float32",
) -> PreTrainedModel:
    """Train the encoder and a new tag layer on labelled sentences, for a fixed number of steps.

    The recipe is BERT's (Devlin et al. 2019, section 5.3): cross entropy on the first piece of each word.
    A row is a sentence, or a window of one.

    In float16 the loss is scaled, so that small gradients do not vanish (Micikevicius et al. 2018, section
    3.2). A step whose gradients overflow is skipped and the scale halved; the learning rate goes on by step.

    Args:
        pretrained: its weights are copied, not changed.
        windows: labelled rows from `tokenization.encode`.
        tags: their names, in the order of their numbers.
        settings: the recipe of this fine-tuning.
        dtype: "float32", "bfloat16", or "float16" with loss scaling.

    Returns:
        The tagger, in evaluation mode.

    Raises:
        ValueError: no word of the windows has a label.
        FloatingPointError: the loss of some step is infinite or not a number.
        MemoryError: the GPU's memory does not hold a batch.

    Source:
        Devlin et al. (2019), section 5.3; Micikevicius et al. (2018), section 3.2.
    """
    if not (windows.labels != -100).any():
        raise ValueError("there is no labelled word to train on: give at least one sentence with words")
    keep_freed_memory()
    model = token_classifier(pretrained, tags, settings.seed, settings.dropout).to(pretrained.device)
    optimizer = torch.optim.AdamW(
        model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    scaler = torch.amp.GradScaler(model.device.type, enabled=dtype == "float16")
    warmup = max(1, round(settings.warmup * settings.steps))
    lengths = windows.attention_mask.sum(1)  # [rows]
    losses = []
    model.train()
    with torch.random.fork_rng(), _memory_for(settings.batch_size, model.device):
        torch.manual_seed(settings.seed)  # dropout
        for step, batch in enumerate(batches(lengths, settings)):
            with precision(dtype, model.device):
                logits, positions = _scores(model, windows, batch, windows.labels != -100)
            labels = windows.labels[batch].gather(1, positions).to(model.device)  # [batch, words]
            loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten())
            scaler.scale(loss).backward()
            share = min((step + 1) / warmup, (settings.steps - step) / settings.steps)
            optimizer.param_groups[0]["lr"] = settings.learning_rate * share
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            losses.append(loss.detach())
        _refuse_broken(torch.stack(losses))
    return model.eval()


def _refuse_broken(losses: torch.Tensor) -> None:
    """Refuse losses that are infinite or not numbers.

    Loss scaling would hide them: every step from there on would be skipped. They are checked once, for all
    steps together, because reading a loss waits for the device.

    Args:
        losses: `[steps]`.

    Raises:
        FloatingPointError: a loss is infinite or not a number; the message names the first such step.
    """
    broken = (~losses.isfinite()).nonzero()
    if len(broken):
        step = int(broken[0])
        raise FloatingPointError(
            f"the loss of fine-tuning is {losses[step].item()} at step {step + 1}; try a lower learning_rate "
            f"or float32"
        )


@contextmanager
def _memory_for(rows: int, device: torch.device) -> Iterator[None]:
    """Say what to do if the GPU's memory does not hold a batch of so many rows.

    Raises:
        MemoryError: it does not.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MemoryError(
            f"a batch of {rows} rows does not fit into the memory of {device}: choose a smaller batch_size "
            f"or model, or free memory that others hold there"
        ) from error


def batches(lengths: torch.Tensor, settings: FinetuningSettings) -> list[torch.Tensor]:
    """Choose the rows of each step: all in random order, then all again, as the seed decides.

    The rows of every four batches are dealt out by length, so that less of a batch is padding.

    Args:
        lengths: pieces of each row, `[rows]`.
        settings: the recipe, for its steps, batch size and seed.

    Returns:
        Row numbers, a tensor for each step.

    Source:
        Khomenko et al. (2016), "Accelerating recurrent neural network training using sequence bucketing".
    """
    generator = torch.Generator().manual_seed(settings.seed)
    taken = settings.steps * settings.batch_size
    passes = -(-taken // len(lengths))
    order = torch.cat([torch.randperm(len(lengths), generator=generator) for _ in range(passes)])[:taken]
    made = []
    for pool in order.split(4 * settings.batch_size):
        by_length = pool[lengths[pool].argsort(stable=True)].split(settings.batch_size)
        made += [by_length[i] for i in torch.randperm(len(by_length), generator=generator)]
    return made


@torch.inference_mode()
def predict(
    model: PreTrainedModel, windows: Windows, dtype: str = "float32", batch_size: int = 128
) -> torch.Tensor:
    """Predict a tag for the first piece of each word.

    Rows are taken in order of length, so that little of a batch is padding.

    Args:
        model: the tagger.
        windows: rows from `tokenization.encode`.
        dtype: as for `finetune`.
        batch_size: rows that are predicted together.

    Returns:
        `[windows, width]`, the number of the tag with the highest score; 0 at all other places.

    Raises:
        MemoryError: the GPU's memory does not hold a batch.
    """
    predictions = torch.zeros_like(windows.input_ids)
    lengths = windows.attention_mask.sum(1)  # [windows]
    for batch in lengths.argsort(stable=True).split(batch_size) if len(lengths) else ():
        with precision(dtype, model.device), _memory_for(len(batch), model.device):
            logits, positions = _scores(model, windows, batch, windows.word >= 0)
        predictions[batch] = predictions[batch].scatter(1, positions, logits.argmax(-1).cpu())
    return predictions.where(windows.word >= 0, 0)


def _scores(
    model: PreTrainedModel, windows: Windows, batch: torch.Tensor, scored: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Score the pieces of some rows that count.

    Args:
        model: the tagger.
        windows: all rows.
        batch: the numbers of the rows to score, `[batch]`.
        scored: which pieces count, `[windows, width]` bool.

    Returns:
        Logits, `[batch, slots, tags]`, and the positions that they belong to, `[batch, slots]`. A row with
        fewer scored pieces than slots fills them up with others.
    """
    width = int(windows.attention_mask[batch].sum(1).max())  # cut padding that no row needs
    slots = int(scored[batch].sum(1).max())
    positions = scored[batch, :width].byte().sort(dim=1, descending=True, stable=True).indices[:, :slots]
    chosen = (windows.input_ids[batch, :width], positions, windows.attention_mask[batch, :width])
    return logits_at(model, *(tensor.to(model.device) for tensor in chosen)), positions
