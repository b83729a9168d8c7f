"""Steps of pre-training and fine-tuning as CUDA graphs: captured once, replayed from then on.

A model as small as the series' keeps a GPU busy for a fraction of a millisecond per step, and Python takes
several times as long to launch it. A captured forward and backward pass is launched at once. On a CPU nothing
here changes anything.

Source:
    https://docs.pytorch.org/docs/stable/notes/cuda.html#whole-network-capture
"""

from collections.abc import Callable, Iterable

import torch
from torch.nn.functional import pad
from transformers import BertForMaskedLM, PreTrainedModel

from helpers import finetuning, pretraining
from helpers.model import logits_at, masked_lm_loss
from helpers.running.distributed import Loss


class Graphed(pretraining.Group):
    """A process alone that replays the passes of pre-training, captured once for each shape of batch."""

    def loss_of(self, bert: BertForMaskedLM) -> Callable[..., torch.Tensor]:
        """Return a model's loss; that of the boundary objective, whose shapes vary, is not captured."""
        if hasattr(bert, "boundary") or not _captures(bert):
            return super().loss_of(bert)
        captured: dict[tuple, Callable[..., torch.Tensor]] = {}

        def loss(*batch: torch.Tensor) -> torch.Tensor:
            shapes = tuple(tensor.shape for tensor in batch)
            if shapes not in captured:
                captured[shapes] = _capture(Loss(bert), batch)
            return captured[shapes](*batch).clone()  # the next replay overwrites what this one returned

        return loss


class Compiled(pretraining.Group):
    """A process alone whose passes over full rows are compiled, which fuses their kernels, and replayed.

    For models that keep a GPU busy. The few short rows at the start are not worth the time of compiling.
    """

    def loss_of(self, bert: BertForMaskedLM) -> Callable[..., torch.Tensor]:
        """Return a model's loss; one compiled function serves all models, but the boundary objective's."""
        if hasattr(bert, "boundary"):
            return super().loss_of(bert)
        length = bert.config.max_position_embeddings

        def loss(inputs: torch.Tensor, positions: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            if inputs.shape[1] < length:
                return masked_lm_loss(bert, inputs, positions, labels)
            torch.compiler.cudagraph_mark_step_begin()
            return FUSED(bert, inputs, positions, labels).clone()  # the next replay overwrites it

        return loss


FUSED = torch.compile(masked_lm_loss, mode="reduce-overhead", dynamic=False)


class Logits(torch.nn.Module):
    """The logits of a tagger as a module, which is what is captured."""

    def __init__(self, tagger: PreTrainedModel):
        super().__init__()
        self.tagger = tagger  # what the capture finds the weights of

    def forward(
        self, input_ids: torch.Tensor, positions: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        """Compute them as fine-tuning alone would."""
        return logits_at(self.tagger, input_ids, positions, attention_mask)


def graph_finetuning() -> None:
    """Make fine-tuning in this process replay its passes, every batch padded to whole rows, so to one shape.

    Padding changes no logit at the places that count, but which random numbers dropout draws for them.
    """
    latest: list = [None, None]  # a tagger, and its captured logits

    def logits(
        tagger: PreTrainedModel,
        input_ids: torch.Tensor,
        positions: torch.Tensor,
        attention_mask: torch.Tensor,
    ) -> torch.Tensor:
        if not tagger.training or not _captures(tagger):
            return logits_at(tagger, input_ids, positions, attention_mask)
        length, slots = tagger.config.max_position_embeddings, positions.shape[1]
        rows = [pad(one, (0, length - one.shape[1])) for one in (input_ids, positions, attention_mask)]
        if latest[0] is not tagger:
            latest[:] = tagger, _capture(Logits(tagger), rows)
        return latest[1](*rows)[:, :slots]

    finetuning.logits_at = logits


def _captures(of: PreTrainedModel) -> bool:
    return of.device.type == "cuda"


def _capture(module: torch.nn.Module, batch: Iterable[torch.Tensor]) -> Callable[..., torch.Tensor]:
    samples = tuple(tensor.clone() for tensor in batch)
    return torch.cuda.make_graphed_callables(module, samples, allow_unused_input=True)


def start(finetuning_too: bool) -> None:
    """Begin a process of a pool: one thread, and fine-tuning as graphs if that is wanted.

    A capture under autocast needs its cache of cast weights turned off (documentation of
    `torch.cuda.make_graphed_callables`).
    """
    torch.set_num_threads(1)
    torch.set_autocast_cache_enabled(False)
    if finetuning_too:
        graph_finetuning()
