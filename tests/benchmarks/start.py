"""Seconds from `python -m helpers run` to the first training step, where nothing is made yet.

    python -m tests.benchmarks.start

Runs in a copy of the project, so that nothing of an earlier run is found, and stops after the first step.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from helpers.settings import ROOT

LIMIT = 300  # seconds


def first_step(project: Path) -> float:
    """Seconds until a run in `project` has taken a step, which it notes in a file.

    Raises:
        TimeoutError: it took none within `LIMIT` seconds, or it ended before.
    """
    started = time.perf_counter()
    command = [sys.executable, "-m", "helpers", "run"]
    with (project / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=project, stdout=log, stderr=log)
    try:
        while process.poll() is None and time.perf_counter() - started < LIMIT:
            if any(project.glob("data/runs/artifacts/pretrained-*.part/states/seconds.json")):
                return time.perf_counter() - started
            time.sleep(0.05)
    finally:
        process.kill()  # its workers end with it
        process.wait()
    raise TimeoutError((project / "log").read_text()[-2_000:])


def main() -> None:
    with TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        shutil.copytree(
            ROOT, project, ignore=shutil.ignore_patterns(".*", "runs", "tests", "notebooks", "*.egg-info")
        )
        print(f"{first_step(project):.1f} s from the command to the first training step")


if __name__ == "__main__":
    main()
