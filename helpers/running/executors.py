"""Where arms are made: in this process, in several side by side, or wherever an executor runs them."""

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context, parent_process
from typing import Any

import torch
from tqdm.auto import tqdm

from helpers.running.arm import Arm
from helpers.running.plan import threads_for

KILLED = (
    "A process that trained was killed, often for want of memory. (A script of your own has to start its run "
    'below a line `if __name__ == "__main__":`.)'
)
SECONDS_TO_STOP = 15  # for a worker that is asked to stop; fine-tuning is not cut short
SUBMISSIONS = 3  # of an arm to an executor, before it counts as lost

_done = _stop = None  # in a worker: what it shares with the process that shows the progress bar


class WorkersLost(BrokenExecutor):  # noqa: N818 (it is caught as a BrokenExecutor, and named like one)
    """Arms whose processes were killed or whose machines went away; the message names them."""

    def __init__(self, arms: Sequence[Arm], reason: str = KILLED):
        super().__init__(
            f"{reason} Not finished: {', '.join(map(str, arms))}. What is finished is kept: the same command "
            f"goes on from there."
        )


def run(
    arms: Sequence[Arm],
    workers: int,
    executor: Any = None,
    finished: Callable[[Arm], None] = lambda arm: None,
) -> None:
    """Make the scores of arms, with one progress bar for all of them.

    Args:
        arms: what is missing.
        workers: processes of this machine that work side by side.
        executor: runs each arm elsewhere: anything whose `submit(function, *arguments)` gives an object with
            `done()` and `result()`, such as submitit's `AutoExecutor`, dask's `Client.get_executor()` or a
            pool of `concurrent.futures`. Its processes have to see the project's folder, the corpus and the
            text at the same paths, on a file system with locks: artifacts are shared through it. The
            precision is the plan's, which is measured here; the device is the worker's own.
        finished: called with each arm, here, as soon as its scores are there.

    Raises:
        BrokenExecutor: `WorkersLost`; processes were killed, or with an executor, were lost again and again.
    """
    sizes = {arm: arm.work_left() for arm in arms}
    total = sum(sizes.values())
    # Without counts: fine-tuning is among them, in tokens that no plan names.
    shown = "{l_bar}{bar}| {elapsed}, {remaining} left"
    with tqdm(total=total, bar_format=shown, desc=f"{len(arms)} runs", smoothing=0.02) as bar:
        if executor is not None:
            run_elsewhere(sizes, executor, bar, finished)
        elif workers > 1:
            run_side_by_side(arms, workers, bar, finished)
        else:
            for arm in arms:
                replace(arm, progress=bar.update).scores()
                finished(arm)
        bar.update(max(0, total - bar.n))  # steps from before an interrupt were not counted


# --- side by side ---


def _start_worker(done, stop, threads: int) -> None:
    global _done, _stop
    _done, _stop = done, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all processes; `stop` is for these
    signal.signal(signal.SIGTERM, _ask_all_to_stop)  # a cluster sends it to any of them
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _ask_all_to_stop(*_) -> None:
    _stop.value = 1


def _end_with_parent() -> None:
    """End this worker when the process that started it is gone, however it was killed."""
    parent_process().join()
    os._exit(1)


def _work(arm: Arm) -> None:
    def progress(tokens: int) -> None:
        with _done.get_lock():
            _done.value += tokens
        if _stop.value:
            raise KeyboardInterrupt  # at the end of a step: its state is kept

    progress(0)  # an arm that was waiting does not start once the others stop
    replace(arm, progress=progress).scores()


def run_side_by_side(
    arms: Sequence[Arm], workers: int, bar: tqdm, finished: Callable[[Arm], None] = lambda arm: None
) -> None:
    """Make the scores of arms in so many processes of this machine.

    Args:
        arms: in the order in which they start.
        workers: how many processes.
        bar: counts their progress.
        finished: as for `run`.

    Raises:
        WorkersLost: a process was killed.
    """
    context = get_context("spawn")
    done = context.Value("q", 0)
    stop = context.RawValue("b", 0)  # without a lock, which a worker could take to its grave
    pool = ProcessPoolExecutor(workers, context, _start_worker, (done, stop, threads_for(workers)))
    futures: dict = {}
    try:
        with _interrupts_blocked():
            for arm in arms:
                futures[pool.submit(_work, arm)] = arm
        waiting = set(futures)
        while waiting:
            ended, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
            bar.update(done.get_obj().value - bar.n)
            for future in ended:
                future.result()  # raises what the worker raised
                finished(futures[future])
    except BrokenExecutor as error:
        whole = {arm for future, arm in futures.items() if future.done() and not future.exception()}
        raise WorkersLost([arm for arm in arms if arm not in whole]) from error
    except BaseException:
        stop.value = 1
        print(f"\nStopping: up to {SECONDS_TO_STOP} s until the work is kept.", file=sys.stderr)
        try:
            wait(futures, timeout=SECONDS_TO_STOP)
        finally:
            for process in list(pool._processes.values()):
                process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Ctrl-C waits until the end of the block; processes that start in it never see one, nor die of it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# --- elsewhere ---

_alone = threading.Lock()


def work_elsewhere(arm: Arm) -> Exception | None:
    """Make the scores of an arm, wherever an executor runs this. An error of the arm itself is returned.

    So nothing that the executor raises is the arm's own: it may go well on another try.

    Args:
        arm: what to make, on this machine's device.

    Returns:
        The error of the arm itself, if any.

    Raises:
        RuntimeError: CUDA's, or submitit's when a time limit ends a job: the machine's, not the arm's.
    """
    with _alone:  # weights and dropout are drawn from the one generator of a process, and dask has threads
        try:
            arm.scores()
        except RuntimeError:
            raise
        except Exception as error:
            error.add_note(traceback.format_exc())  # a traceback itself does not travel
            return error
    return None


def run_elsewhere(
    sizes: dict[Arm, int], executor: Any, bar: tqdm, finished: Callable[[Arm], None] = lambda arm: None
) -> None:
    """Have an executor make all arms, and those again whose worker was lost, once the others are done.

    Args:
        sizes: what each arm counts on the bar.
        executor: as for `run`.
        bar: counts the arms that are finished.
        finished: as for `run`.

    Raises:
        WorkersLost: an arm's worker was lost three times, or a pool is broken.
        error: what went wrong in an arm itself.
    """
    whole: set[Arm] = set()
    lost: Exception | None = None
    for _ in range(SUBMISSIONS):
        jobs: dict = {}
        try:
            for arm in sizes:
                if arm not in whole:
                    jobs[arm] = executor.submit(work_elsewhere, arm)
            while jobs:
                time.sleep(0.2)
                for arm in [arm for arm, job in jobs.items() if job.done()]:
                    try:
                        error = jobs.pop(arm).result()
                    except Exception as problem:
                        lost = problem  # and the arm is submitted again when all the others are done
                        continue
                    if error is not None:
                        raise error
                    whole.add(arm)
                    bar.update(sizes[arm])
                    finished(arm)
        except BrokenExecutor as error:  # a pool that lost a process takes no more
            raise WorkersLost([arm for arm in sizes if arm not in whole]) from error
        except BaseException:
            for job in jobs.values():
                if hasattr(job, "cancel"):
                    job.cancel()
            raise
        if len(whole) == len(sizes):
            return
    reason = f"Workers were lost {SUBMISSIONS} times, the last one with {type(lost).__name__}."
    raise WorkersLost([arm for arm in sizes if arm not in whole], reason) from lost
