"""Training that can be stopped at any moment: states that are whole or not there, and a Ctrl-C that waits."""

import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from safetensors.torch import load, save

KEPT = 2  # states of a training: the newest, and one before it in case the newest is damaged


class CheckpointError(OSError):
    """A state could not be written; the message says what to do."""


def write(folder: Path, name: str, step: int, tensors: dict[str, torch.Tensor], facts: dict) -> None:
    """Keep the state of a training after `step` steps; older states go once it is safely on the disk.

    A state is one safetensors file, written under another name, flushed and renamed. Its name ends in a
    checksum of its content, so that a damaged file is recognised. Nothing is ever unpickled.

    Args:
        folder: is made if it is missing.
        name: of the training, among others in this folder.
        step: how many steps it has taken.
        tensors: contiguous, by name; on any device.
        facts: numbers, strings and lists that JSON can hold.

    Raises:
        CheckpointError: the disk is full, or cannot be written for another reason. Earlier states are kept.
    """
    data = save({key: tensor.cpu() for key, tensor in tensors.items()}, {"facts": json.dumps(facts)})
    file = folder / f"{name}-{step:09}-{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
    part = file.with_suffix(".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        os.replace(part, file)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise CheckpointError(
            f"{file}: cannot write a checkpoint of {len(data) / 1e6:.1f} MB ({error.strerror}). Make room "
            f"there and start again: training goes on from the last checkpoint, which is whole."
        ) from error
    for old in sorted(folder.glob(f"{name}-*.safetensors"))[:-KEPT]:
        old.unlink()


def newest(folder: Path, name: str, at_most: int) -> tuple[int, dict[str, torch.Tensor], dict] | None:
    """Read the latest whole state of a training that is no further than `at_most` steps.

    A file whose content does not match the checksum in its name is passed over, with a line that says so.

    Args:
        folder: as for `write`; it may be missing.
        name: as for `write`.
        at_most: steps.

    Returns:
        Its step, tensors and facts; None if there is no such state.
    """
    for file in sorted(folder.glob(f"{name}-*.safetensors"), reverse=True):
        step, checksum = file.stem.split("-")[-2:]
        if int(step) > at_most:
            continue
        data = file.read_bytes()
        if hashlib.sha256(data).hexdigest()[:16] == checksum:
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            return int(step), load(data), json.loads(header["__metadata__"]["facts"])
        print(f"{file} is damaged: an earlier checkpoint is used.")
    return None


@contextmanager
def interrupts_held() -> Iterator[Callable[[], bool]]:
    """Hold Ctrl-C (a notebook's stop button) and SIGTERM (a cluster's preemption) back until the block ends.

    A second one is not held: it raises KeyboardInterrupt wherever the program is.

    Yields:
        A function that says whether one came. Whoever calls it ends the block when it answers yes.

    Raises:
        KeyboardInterrupt: one came, and the block has ended.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # signals go to the main thread
        return
    asked = False

    def hold(*_) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = {number: signal.signal(number, hold) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        raise KeyboardInterrupt
