"""One pre-training run on several GPUs or machines: the same loop, with gradients averaged by Accelerate."""

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from tqdm.auto import tqdm

from helpers import artifacts, experiment, model, pretraining
from helpers.settings import Settings


class Exchange:
    """Averages gradients over the processes of a group, and tells all of them when one is to stop."""

    def __init__(self, reduce: Callable[[torch.Tensor], torch.Tensor]):
        self.reduce = reduce
        self.like: torch.Tensor | None = None  # the last gradients, for their shape

    def average(self, gradients: torch.Tensor) -> torch.Tensor:
        """The mean of all processes' `gradients`.

        Raises:
            KeyboardInterrupt: another process was interrupted after the last step; this step does not count.
        """
        self.like = gradients
        mean = self.reduce(torch.cat([gradients, gradients.new_zeros(1)]))
        if mean[-1] > 0:
            self.like = None  # they know already
            raise KeyboardInterrupt
        return mean[:-1]

    def interrupt_the_others(self) -> None:
        """What an interrupted process sends in place of its next gradients, for which the others wait."""
        if self.like is not None:
            self.reduce(torch.cat([torch.zeros_like(self.like), self.like.new_ones(1)]))


def join() -> Accelerator:
    """This process in the group that torchrun started, or alone.

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
    """Whether this process is the one that writes and speaks for its group."""
    return os.environ.get("RANK", "0") == "0"


def pretrain(settings: Settings, arm: str, tokens: int, seed: int = 0, dtype: str | None = None) -> Path:
    """Pre-trains one model on all processes that torchrun started; each calls this with the same arguments.

    Every process takes its share of each batch, with masks of its own, so that a run is decided by the seed
    and the number of processes. The first one keeps a state, and the same call goes on from it after an
    interrupt or a kill, with as many processes as there are then. On several machines `settings.out` has to
    be on a file system that all of them see.

    Args:
        arm: "token", "whole_word" or "span".
        tokens: visible and special ones count too, over all processes.
        seed: of the world, the weights, the order of rows and the masks.
        dtype: "float32", "bfloat16" or "float16"; the one of `experiment.plan` if left out.

    Returns:
        A folder in `settings.out` with model, tokenizer and history.csv, whose losses are those of the first
        process's share. If it is there already, nothing is done.

    Raises:
        ValueError: a batch cannot be divided among the processes, or the group is not whole.
        FloatingPointError, MemoryError, CheckpointError, KeyboardInterrupt: see `pretraining.pretrain`.
    """
    accelerator = join()
    first, size = accelerator.is_main_process, accelerator.num_processes
    scale = replace(settings.scale, first_seed=seed)
    if scale.pretraining.batch_size % size:
        raise ValueError(
            f"a batch of {scale.pretraining.batch_size} rows cannot be divided among {size} processes: "
            f"start a number of them that divides it"
        )
    if dtype is None:  # measured by one process, or each would choose its own
        chosen = [experiment.plan(settings).dtype if first else None]
        dtype = broadcast_object_list(chosen)[0]
    of = experiment.replicate(replace(settings, scale=scale))
    run = replace(scale.pretraining, strategy=arm, seed=seed)
    key = (of.corpus.provenance, len(of.tokenizer), scale.model, run, tokens, dtype)
    digest = hashlib.sha256(repr((key, artifacts.source_hash(*experiment.TRAINING))).encode()).hexdigest()
    folder = settings.out / f"pretrained-{arm}-{digest[:8]}"
    if folder.exists():
        return folder

    exchange = Exchange(lambda tensor: accelerator.reduce(tensor, "mean"))
    group = pretraining.Group(accelerator.process_index, size, exchange.average)
    bert = model.build(replace(scale.model, vocabulary_size=len(of.tokenizer)), seed).to(accelerator.device)
    part = folder.with_name(f"{folder.name}.part")
    with tqdm(total=tokens, unit=" tokens", unit_scale=True, desc=arm, disable=not first) as bar:
        try:
            (checkpoint,) = pretraining.pretrain(
                bert,
                of.blocks,
                run,
                (tokens,),
                dtype=dtype,
                progress=bar.update,
                folder=part / "states",
                group=group,
            )
        except KeyboardInterrupt:
            exchange.interrupt_the_others()
            raise
    if first:
        checkpoint.model.save_pretrained(part)
        of.tokenizer.save_pretrained(part)
        history = pd.DataFrame(checkpoint.losses, columns=["tokens_seen", "loss"])
        history.to_csv(part / "history.csv", index=False)
        shutil.rmtree(part / "states")
        os.replace(part, folder)
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return folder
