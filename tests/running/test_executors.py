"""Runs that are interrupted, killed or spread over other processes: nothing is lost, and nothing changes."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import psutil
import pytest
from tqdm.auto import tqdm

from helpers import experiment
from helpers.corpora import CorpusError
from helpers.experiment import COLUMNS, results
from helpers.running import arm as arm_module
from helpers.running import artifacts, executors
from helpers.running.arm import Arm
from helpers.running.executors import WorkersLost
from helpers.settings import ROOT, Settings
from tests.micro import LONGER, MICRO, workshop

STEPS = 240 + 18  # of an arm: the smaller budget cools over its last 18

# --- executors in this process ---

ARMS = [Arm(Settings(MICRO), name, 0, "float32") for name in ("span", "token", "none")]


class Here:
    """An executor that runs everything at once; some tasks lose their worker some times."""

    def __init__(self, **losses: int):
        self.losses, self.submitted, self.cancelled = losses, [], []

    def submit(self, function, arm):
        self.submitted.append(arm.name)
        future = Future()
        future.cancel = lambda: self.cancelled.append(arm.name)
        if self.losses.get(arm.name, 0) > 0:
            self.losses[arm.name] -= 1
            future.set_exception(TimeoutError("the machine is gone"))
        else:
            future.set_result(function(arm))
        return future


@pytest.fixture
def scored(monkeypatch):
    """The runs that were finished, in a world where a run takes no time."""
    done = []
    monkeypatch.setattr(Arm, "scores", lambda arm: done.append(arm.name))
    return done


def spread(executor) -> tqdm:
    with tqdm(total=300, disable=False, file=open(os.devnull, "w")) as bar:
        executors.run_elsewhere(dict.fromkeys(ARMS, 100), executor, bar)
    return bar


def test_an_executor_gets_each_run_once(scored):
    executor = Here()
    assert spread(executor).n == 300
    assert scored == executor.submitted == ["span", "token", "none"]


def test_a_lost_worker_loses_nobody_elses_run(scored):
    executor = Here(span=2, token=1)
    assert spread(executor).n == 300
    assert executor.submitted == [
        "span",
        "token",
        "none",
        "span",
        "token",
        "span",
    ]  # when the others are done
    assert scored == ["none", "token", "span"]


def test_a_worker_that_is_always_lost_is_named(scored):
    executor = Here(token=3)
    with pytest.raises(
        WorkersLost, match="3 times, the last one with TimeoutError. Not finished: token of r"
    ):
        spread(executor)
    assert scored == ["span", "none"] and executor.submitted.count("token") == 3
    with pytest.raises(WorkersLost, match="the same command goes on"):
        spread(Here(token=3))


@pytest.mark.parametrize("error", [FloatingPointError, CorpusError, MemoryError])
def test_an_error_of_the_run_itself_is_not_tried_again(monkeypatch, error):
    def fail(arm):
        if arm.name == "token":
            raise error("the loss is nan")

    monkeypatch.setattr(Arm, "scores", fail)
    executor = Here()
    with pytest.raises(error, match="the loss is nan") as caught:
        spread(executor)
    assert executor.submitted == ["span", "token", "none"] and executor.cancelled == ["none"]
    assert "in fail" in caught.value.__notes__[0]  # the traceback of where it happened


def test_errors_of_the_machine_are_left_to_the_executor(monkeypatch):
    """CUDA's are RuntimeErrors; so is what submitit raises in a run when its time is up."""

    def fail(*_):
        raise RuntimeError("CUDA error: uncorrectable ECC error encountered")

    monkeypatch.setattr(Arm, "scores", fail)
    with ThreadPoolExecutor(2) as pool, pytest.raises(WorkersLost, match="3 times"):
        spread(pool)


def die(*_):
    os._exit(1)


def test_a_pool_that_is_broken_says_so(monkeypatch):
    monkeypatch.setattr(executors, "work_elsewhere", die)
    with ProcessPoolExecutor(1, get_context("fork")) as pool, pytest.raises(WorkersLost) as caught:
        spread(pool)
    for said in (
        "often for want of memory",
        "span of replicate 0, token of replicate 0, none of replicate 0",
    ):
        assert said in str(caught.value)


def test_threads_make_the_same_table(tmp_path):
    """One after the other: a process has one random generator."""
    tables = []
    for executor in (None, ThreadPoolExecutor(3)):
        with workshop(tmp_path / f"artifacts {executor}"):
            tables.append(results(Settings(MICRO, out=tmp_path / f"out {executor}"), executor))
    pd.testing.assert_frame_equal(*tables)


# --- what an attempt leaves to the next ---


def test_an_interrupted_run_goes_on_from_its_last_step(tmp_path, monkeypatch):
    settings, real, steps = Settings(MICRO, out=tmp_path / "out"), arm_module.pretrain, []

    def stop_at(last: int):
        def pretrain(*arguments, progress, **options):
            def step(tokens):
                progress(tokens)
                steps.append(tokens)
                if len(steps) == last:
                    raise KeyboardInterrupt

            return real(*arguments, progress=step, **options)

        return pretrain

    with workshop(tmp_path / "whole"):
        whole = experiment.pretrained(settings, "span")
    with workshop(tmp_path / "stopped"):
        for last in (3, 7):  # of 4 + 1 + 4 steps
            monkeypatch.setattr(arm_module, "pretrain", stop_at(last))
            with pytest.raises(KeyboardInterrupt):
                experiment.pretrained(settings, "span")
            assert list(artifacts.FOLDER.glob("pretrained-*.part/states/*.safetensors"))
        noted = json.loads(next(artifacts.FOLDER.glob("*.part/states/seconds.json")).read_text())
        assert noted["seconds"] > 0 and noted["seconds_per_step"] > 0
        time.sleep(1)  # a pause, which nobody trains in
        monkeypatch.setattr(arm_module, "pretrain", stop_at(0))
        resumed = experiment.pretrained(settings, "span")
    assert len(steps) == 9  # none was taken twice
    made = {
        folder: {
            str(file.relative_to(folder.parent)): file.read_bytes()
            for file in folder.parent.rglob("*")
            if file.is_file() and file.name not in ("cost.csv", "manifest.json")
        }
        for folder in (whole, resumed)
    }
    assert made[whole] == made[resumed] and not (resumed.parent / "states").exists()
    cost = pd.read_csv(resumed.parent / "cost.csv").iloc[0]
    assert noted["seconds"] <= cost["seconds"] and 0 < cost["seconds_per_step"] <= cost["seconds"]


# --- side by side ---

SIDE_BY_SIDE = """
import os
import sys
from dataclasses import replace
from pathlib import Path
from helpers import experiment
from helpers.running import executors, plan
from helpers.settings import Settings
from tests.micro import MICRO
plan.processors = lambda: 2
plan.training_speed = lambda bert, first, recipe, dtype: {"float32": 2.0, "bfloat16": 1.0}[dtype]
settings = Settings(replace(MICRO, arms=("none", "span")), out=Path("out").resolve())
assert experiment.plan(settings).workers == 2
experiment.results(settings)
"""


@pytest.mark.slow
def test_processes_side_by_side_make_the_same_cells(settings, tmp_path):
    """In a copy of the project, whose artifacts stand in its own folder."""
    shutil.copytree(ROOT / "helpers", tmp_path / "helpers", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "data" / "world", tmp_path / "data" / "world")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", SIDE_BY_SIDE],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    table = results(settings)
    made = pd.read_csv(tmp_path / "out" / "results.csv", dtype={"length": str})
    # Threads may change the last digits of a weight, and so a tag; the cells and what is gold cannot change.
    cell = [*COLUMNS[:7], "type", "length"]
    gold = [
        rows[rows["arm"] != "token"].groupby(cell)["gold"].sum().loc[lambda counts: counts > 0]
        for rows in (made, table)
    ]
    pd.testing.assert_series_equal(*gold)
    assert len(list((tmp_path / "data" / "runs" / "artifacts").glob("scores-*/scores.csv"))) == 2


def test_workers_end_when_the_run_is_killed(tmp_path):
    shutil.copytree(ROOT / "helpers", tmp_path / "helpers", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "data" / "world", tmp_path / "data" / "world")
    program = SIDE_BY_SIDE.replace(
        "replace(MICRO,", "replace(MICRO, tokens=(10**9,),"
    )  # longer than the test
    program = program.replace(
        "assert experiment.plan", "real, executors.run = executors.run, spied\nassert experiment.plan"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", SPY + program], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    pids, end = tmp_path / "pids", time.monotonic() + 90
    while not pids.exists() and time.monotonic() < end:
        time.sleep(0.2)
    workers = [int(pid) for pid in pids.read_text().split()]
    assert len(workers) == 2 and all(map(is_alive, workers))
    time.sleep(5)  # until they are at work
    run.kill()
    run.wait()
    while any(map(is_alive, workers)) and time.monotonic() < end:
        time.sleep(0.2)
    assert not any(map(is_alive, workers))


SPY = """
import threading
import time
from multiprocessing import active_children

def watch():
    while len(active_children()) < 2:
        time.sleep(0.1)
    Path("part").write_text(" ".join(str(child.pid) for child in active_children()))
    Path("part").rename("pids")

def spied(*arguments):
    threading.Thread(target=watch, daemon=True).start()
    real(*arguments)
"""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# --- real processes, in a copy of the project whose artifacts stand in its own folder ---

PROGRAM = """
import os
import signal
import sys
from pathlib import Path

from helpers import __main__ as cli
from helpers import experiment
from helpers.running import plan
from helpers.settings import Settings
from tests.micro import LONGER
from tests.running.killed import Wrapping

signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs do not have
workers, name, executor = int(sys.argv[1]), sys.argv[2], None
plan.processors = lambda: 2
plan.MOST_WORKERS = workers
plan.training_speed = lambda bert, first, recipe, dtype: {"float32": 2.0, "bfloat16": 1.0}[dtype]
if len(sys.argv) > 3:
    import submitit

    executor = submitit.AutoExecutor("jobs", cluster="local")
    executor.update_parameters(timeout_min=5)
    submitit.core.core.Job._results_timeout_s = 1  # seconds to wait for the result of a killed job
    executor = Wrapping(executor)
cli._plan = lambda *_: experiment.results(Settings(LONGER, out=Path(name).resolve()), executor)
sys.exit(cli.main(["plan"]))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the project that keeps a state at every chance."""
    place = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "helpers", place / "helpers", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "data" / "world", place / "data" / "world")
    file = place / "helpers" / "running" / "resume.py"
    code = file.read_text(encoding="utf-8")
    assert code.count("seconds_between_states: float = 30.0") == 1
    file.write_text(code.replace("seconds_between_states: float = 30.0", "seconds_between_states: float = 0"))
    return place


def start(copy: Path, out: str, *options: str, workers: int = 2) -> subprocess.Popen:
    """A run that leads a process group of its own; its table goes to `out`."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(copy), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(workers), out, *options],
        cwd=copy,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(run: subprocess.Popen) -> str:
    """Waits for a run that has to end well; what it says."""
    said, complaints = run.communicate(timeout=500)
    assert run.returncode == 0, complaints
    return said


def states(copy: Path) -> list[Path]:
    return list(copy.glob("data/runs/artifacts/pretrained-*.part/states/*.safetensors"))


def wait_for_states(copy: Path, run: subprocess.Popen, known: set[Path] = frozenset()) -> None:
    end = time.monotonic() + 300
    while set(states(copy)) <= set(known):
        assert run.poll() is None and time.monotonic() < end, run.communicate()
        time.sleep(0.01)


def weights(copy: Path) -> dict[str, bytes]:
    files = sorted((copy / "data" / "runs" / "artifacts").glob("pretrained-*/*/*"))
    return {str(file.relative_to(copy)): file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def whole(copy) -> tuple[bytes, dict[str, bytes]]:
    """Table and models of a run in one process that nothing stopped."""
    finish(start(copy, "whole", workers=1))
    made = (copy / "whole" / "results.csv").read_bytes(), weights(copy)
    assert len(made[1]) > 8 and not states(copy)
    return made


@pytest.fixture
def afresh(copy, whole):
    shutil.rmtree(copy / "data" / "runs")


def check(copy: Path, out: str, whole) -> None:
    assert (copy / out / "results.csv").read_bytes() == whole[0]
    assert weights(copy) == whole[1]
    assert not list(copy.glob("data/runs/artifacts/*.part"))


def test_ctrl_c_keeps_the_state_of_every_worker(copy, whole, afresh):
    run = start(copy, "interrupted")
    wait_for_states(copy, run)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does
    _, complaints = run.communicate(timeout=300)
    assert run.returncode == 130
    assert "Interrupted. What is finished is kept" in complaints and "Traceback" not in complaints
    assert states(copy) and not list(copy.glob("data/runs/artifacts/pretrained-*.part/*/*.part"))
    finish(start(copy, "interrupted"))
    check(copy, "interrupted", whole)


@pytest.mark.slow
def test_a_kill_at_any_moment_changes_nothing(copy, whole, afresh):
    moments, known = random.Random(5), set()
    for _ in range(4):
        run = start(copy, "killed")
        wait_for_states(copy, run, known)
        time.sleep(moments.uniform(0, 1.0))
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
        known = set(states(copy))
    finish(start(copy, "killed"))
    check(copy, "killed", whole)


@pytest.mark.slow
def test_a_worker_that_is_killed_ends_the_run_with_a_word(copy, whole, afresh):
    run = start(copy, "broken")
    wait_for_states(copy, run)
    workers = [
        child for child in psutil.Process(run.pid).children() if "spawn_main" in " ".join(child.cmdline())
    ]
    workers[0].kill()
    _, complaints = run.communicate(timeout=300)
    assert run.returncode == 1 and len(workers) == 2
    assert "A process that trained was killed, often for want of memory." in complaints
    assert "Not finished: " in complaints
    assert "Traceback" not in complaints
    finish(start(copy, "broken"))
    check(copy, "broken", whole)


# --- submitit ---


@pytest.mark.slow
def test_submitit_redoes_a_killed_job_from_its_state(copy, whole, afresh):
    finish(start(copy, "spread", "submitit"))
    check(copy, "spread", whole)
    assert (copy / "killed-once").exists()
    steps = {arm: int((copy / f"steps-{arm}").read_text()) for arm in LONGER.arms}
    assert steps == {"none": 0, "token": STEPS, "span": STEPS - 40}  # a state is kept at steps 20 and 40
