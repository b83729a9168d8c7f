"""One pre-training on several GPUs or machines: the same arm and loop, with gradients averaged by DDP."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from tqdm.auto import tqdm
from transformers import BertForMaskedLM

from helpers import pretraining
from helpers.running import artifacts, plan
from helpers.running.arm import Arm
from helpers.settings import Settings


class Loss(torch.nn.Module):
    """The loss of a model as a module, which is what DDP wraps."""

    def __init__(self, bert: BertForMaskedLM):
        super().__init__()
        self.bert = bert  # what DDP finds the weights of
        self.of_masked = pretraining.Group().loss_of(bert)

    def forward(self, inputs: torch.Tensor, positions: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Compute the loss that one process alone would train with."""
        return self.of_masked(inputs, positions, labels)


class Processes(pretraining.Group):
    """The processes that torchrun started, as a group that trains one model."""

    def __init__(self, accelerator: Accelerator):
        self.accelerator = accelerator
        self.rank, self.size = accelerator.process_index, accelerator.num_processes
        self._losses: dict[int, Callable[..., torch.Tensor]] = {}  # a model under DDP twice would hang

    def loss_of(self, bert: BertForMaskedLM) -> Callable[..., torch.Tensor]:
        """Return a model's loss under DDP: all start from the first one's weights, and share gradients."""
        if id(bert) not in self._losses:
            self._losses[id(bert)] = self.accelerator.prepare_model(Loss(bert))
        return self._losses[id(bert)]

    def agree(self, value: object) -> object:
        """Return the value that the first process of the group has."""
        return broadcast_object_list([value])[0] if self.size > 1 else value

    def any(self, flag: bool) -> bool:
        """Return whether any process of the group has this flag set."""
        flags = torch.tensor(float(flag), device=self.accelerator.device)
        return self.accelerator.reduce(flags, "sum").item() > 0


def join() -> Accelerator:
    """Join the group that torchrun started, or stay alone.

    Returns:
        This process's part in it.

    Raises:
        ValueError: the group is not as large as torchrun says.
    """
    accelerator = Accelerator(cpu=not torch.cuda.is_available())  # no MPS, as everywhere in the series
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != started:
        raise ValueError(
            f"{started} processes were started, but each trains in a group of {accelerator.num_processes}: "
            f"start them by torchrun --standalone --nproc-per-node {started} -m helpers pretrain …"
        )
    return accelerator


def is_first() -> bool:
    """Return whether this process is the one that writes and prints for its group."""
    return os.environ.get("RANK", "0") == "0"


def pretrain(settings: Settings, name: str, tokens: int, seed: int = 0, dtype: str | None = None) -> Path:
    """Pre-train one model on all processes that torchrun started; each calls this with the same arguments.

    Every process takes its share of each batch, with masks of its own, so that the result is decided by the
    seed and the number of processes. The first one keeps a state, and all go on from it after an interrupt or
    a kill, with as many processes as there are then. On several machines `settings.out` has to be on a file
    system that the first process sees again.

    Args:
        settings: corpus, scale, and the folder that the model goes to.
        name: of the arm: "token", "whole_word" or "span".
        tokens: visible and special ones count too, over all processes.
        seed: of the world, the weights, the order of rows and the masks.
        dtype: "float32", "bfloat16" or "float16"; the faster one if left out.

    Returns:
        A folder in `settings.out` with model, tokenizer and history.csv, whose losses are those of the first
        process's share. If it is there already, nothing is done.

    Raises:
        ValueError: a batch cannot be divided among the processes, or as `join` and `resume.pretrain`. (It
            raises what they raise.)
    """
    group = Processes(join())
    scale = replace(settings.scale, first_seed=seed, tokens=(tokens,))
    settings = replace(settings, scale=scale)
    if scale.pretraining.batch_size % group.size:
        raise ValueError(
            f"a batch of {scale.pretraining.batch_size} rows cannot be divided among {group.size} processes: "
            f"start a number of them that divides it"
        )
    if dtype is None:  # measured by one process, or each would choose its own
        chosen = plan.make(settings, lambda *_: [], replicates=1).dtype if group.rank == 0 else None
        dtype = str(group.agree(chosen))
    arm = Arm(settings, name, 0, dtype)
    folder = settings.out / f"pretrained-{name}-{artifacts.digest(arm.training_key)}"
    if not group.agree(folder.exists()):
        part = folder.with_name(f"{folder.name}.part")
        with tqdm(total=tokens, unit=" tokens", unit_scale=True, desc=name, disable=group.rank > 0) as bar:
            replace(arm, progress=bar.update).train_into(part, group)
        if group.rank == 0:
            os.replace(part, folder)
    group.accelerator.wait_for_everyone()
    group.accelerator.end_training()
    return folder / str(tokens)
