"""An executor for the tests: submitit runs each arm, counts its steps, and one job is killed half-way."""

import os
import signal
from pathlib import Path

from helpers.running import arm as arms


class Wrapping:
    """Has submitit run `kill_one` in place of each task."""

    def __init__(self, executor):
        self.executor = executor

    def submit(self, *task):
        return self.executor.submit(kill_one, *task)


def kill_one(function, arm):
    """Makes an arm and notes how many steps it took; the first of arm "span" is killed at its 50th."""
    steps, real, killed = [], arms.pretrain, Path("killed-once")

    def pretrain(*arguments, progress, **options):
        def step(tokens):
            steps.append(tokens)
            progress(tokens)
            if arm.name == "span" and len(steps) == 50 and not killed.exists():
                killed.touch()
                os.kill(os.getpid(), signal.SIGKILL)

        return real(*arguments, progress=step, **options)

    arms.pretrain = pretrain
    error = function(arm)
    Path(f"steps-{arm.name}").write_text(str(len(steps)))
    return error
