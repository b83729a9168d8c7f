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

KEPT = 2  # states of a run: the newest, and one before it in case the newest is damaged


class CheckpointError(OSError):
    """A state could not be written; the message says what to do."""


def write(folder: Path, name: str, step: int, tensors: dict[str, torch.Tensor], facts: dict) -> None:
    """Keeps the state of a run after `step` steps; older states go once it is safely on the disk.

    A state is one safetensors file, written under another name, flushed and renamed. Its name ends in a
    checksum of its content, so that a damaged file is recognised. Nothing is ever unpickled.

    Args:
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
    """The latest whole state of a run that is no further than `at_most` steps: (step, tensors, facts).

    A file whose content does not match the checksum in its name is passed over, with a line that says so.
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
def interrupts_held() -> Iterator[Callable[[], None]]:
    """Holds Ctrl-C (a notebook's stop button) back until the function that this gives is called.

    It raises KeyboardInterrupt if one came; so does the end of the block. A second Ctrl-C is not held.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None  # interrupts go to the main thread
        return
    asked = False

    def hold(*_) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, before)

    def stop_if_asked() -> None:
        if asked:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, hold)
    try:
        yield stop_if_asked
    finally:
        signal.signal(signal.SIGINT, before)
    stop_if_asked()
