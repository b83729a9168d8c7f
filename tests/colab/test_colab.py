"""The notebooks as on Colab: each alone in an empty folder, on Colab's versions, fetched by its setup cell.

Real here: Python 3.13, the versions that Colab publishes (`versions.txt`), the kernel, git, pip and the
package index. Stand-ins: the module `google.colab`, and a repository on this machine for the one on GitHub.
"""

import shutil
import time
from pathlib import Path

import pytest

from helpers.publishing import notebooks
from tests.colab import machine
from tests.colab.machine import VERSIONS, CellError, Runtime, repository, written

SAMPLE = ("03_span_masking",)  # the others run in make test-all
SECONDS_OF_SETUP = 20
ADDED = {"seqeval==1.2.2"}  # all that may be installed


@pytest.fixture(scope="session")
def address(tmp_path_factory) -> str:
    return repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture
def drive(tmp_path) -> Path:
    (tmp_path / "drive").mkdir()
    return tmp_path / "drive"


@pytest.fixture
def runtime(tmp_path, drive) -> Runtime:
    return Runtime(tmp_path / "runtime", drive)


def set_up(kernel, cell) -> float:
    """Runs a setup cell; returns its seconds."""
    started = time.perf_counter()
    kernel.run(cell)
    return time.perf_counter() - started


def works(kernel, runtime) -> bool:
    """Whether the project is the fetched one, complete, and has what it needs."""
    kernel.run(
        "import importlib.util, os, helpers\nfrom pathlib import Path\n"
        f"project = Path({str(runtime.content / 'token-or-span')!r})\n"
        "assert Path(helpers.__file__).parents[1] == project and Path.cwd() == project / 'notebooks'\n"
        "assert (project / 'data' / 'world').is_dir() and importlib.util.find_spec('seqeval')"
    )
    return True


# --- the machine is Colab's ---


def test_the_versions_are_colabs(runtime):
    wanted = {line for line in VERSIONS.read_text(encoding="utf-8").splitlines() if "==" in line}
    installed = {package.lower().partition("+")[0] for package in runtime.packages()}
    assert len(wanted) > 40 and {line.lower() for line in wanted} <= installed
    assert not [package for package in installed if package.startswith("seqeval")]
    with runtime.kernel() as kernel:
        kernel.run("import sys, torch, google.colab\nassert sys.version_info[:2] == (3, 13)")
        kernel.run("assert not torch.cuda.is_available()")
        assert "True" in written(
            kernel.run("import importlib.util as u\nprint(u.find_spec('helpers') is None)")
        )


def test_without_python_3_13_the_remedy_is_named(monkeypatch):
    monkeypatch.setenv("COLAB_PYTHON", "/nowhere/python3.13")
    with pytest.raises(RuntimeError, match="need Python 3.13 .*COLAB_PYTHON=/path/to/python3.13 make test"):
        machine.python_of_colab()


def test_what_an_interrupted_build_left_is_built_again(monkeypatch, tmp_path):
    def call(python, *command):
        if command[1] == "venv":
            command[2].mkdir(parents=True)  # fails where there is something already
        elif failing:
            raise RuntimeError("pip failed")

    monkeypatch.setattr(machine, "_call", call)
    monkeypatch.setattr(machine, "python_of_colab", lambda: "python3.13")
    monkeypatch.setattr(machine, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(machine, "VERSIONS", tmp_path / "versions.txt")
    (tmp_path / "versions.txt").write_text("numpy==2.1.3")
    failing = True
    with pytest.raises(RuntimeError, match="pip failed"):
        machine.environment()
    failing = False
    first = machine.environment()
    (first / "there").touch()
    assert machine.environment() == first and (first / "there").exists(), "built once"
    (tmp_path / "versions.txt").write_text("numpy==2.1.2")
    assert machine.environment() != first and not first.exists(), "and again for other versions"


# --- every notebook ---


def series():
    names = [path.stem for path in notebooks.paths()]
    assert set(SAMPLE) <= set(names)
    return [pytest.param(name, marks=() if name in SAMPLE else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", series())
def test_a_notebook_runs_alone(runtime, address, name):
    before = runtime.packages()
    setup, *cells = runtime.open(name, address)
    assert [path.name for path in runtime.content.iterdir()] == [f"{name}.ipynb"]
    with runtime.kernel() as kernel:
        seconds = set_up(kernel, setup)
        started = time.perf_counter()
        sent = [message for cell in cells for message in kernel.run(cell)]
        print(f"{name}: setup {seconds:.1f} s, all else {time.perf_counter() - started:.1f} s")
        if name == "03_span_masking":
            check_panel(kernel, next(cell for cell in cells if "display.Panel(" in cell))
    after = runtime.packages()
    print(f"packages added: {sorted(after - before)}, gone: {sorted(before - after)}")
    assert after - before == ADDED and before <= after
    assert [message for message in sent if "image/png" in message["content"].get("data", {})]
    assert "Warning" not in written(sent)


def check_panel(kernel, cell):
    """With Colab's ipywidgets, a panel shows its controls, and its picture follows them."""
    sent = kernel.run(cell)
    opened = {message["content"]["comm_id"] for message in sent if message["msg_type"] == "comm_open"}
    [shown] = [
        message["content"]["data"]
        for message in sent
        if notebooks.WIDGET in message["content"].get("data", {})
    ]
    assert shown[notebooks.WIDGET]["model_id"] in opened and "image/png" in shown
    choice = "Out[max(Out)].controls['strategy'].value = 'whole_word'"  # as if the reader had chosen it
    updates = [sent["content"]["data"] for sent in kernel.run(choice) if sent["msg_type"] == "comm_msg"]
    shown_now = [str(update["state"].get("value")) for update in updates if "state" in update]
    assert any("<img" in value and "strategy whole_word" in value for value in shown_now), "another picture"


# --- the setup cell ---


def test_setup_is_quick(tmp_path, drive, address):
    """Of up to three fresh runtimes the fastest counts: something else may keep this machine busy."""
    seconds = []
    while len(seconds) < 3 and min(seconds, default=SECONDS_OF_SETUP) >= SECONDS_OF_SETUP:
        fresh = Runtime(tmp_path / f"runtime{len(seconds)}", drive)
        with fresh.kernel() as kernel:
            seconds.append(set_up(kernel, fresh.open("00_the_question", address)[0]))
    print("setup:", ", ".join(f"{one:.1f} s" for one in seconds))
    assert min(seconds) < SECONDS_OF_SETUP


def test_setup_twice_and_a_second_notebook(runtime, address):
    first = runtime.open("00_the_question", address)[0]
    second = runtime.open("01_text_and_entities", address)[0]
    with runtime.kernel() as kernel:
        set_up(kernel, first)
        packages = runtime.packages()
        set_up(kernel, first)
        assert works(kernel, runtime)
    with runtime.kernel() as kernel:
        set_up(kernel, second)
        assert works(kernel, runtime)
    assert runtime.packages() == packages
    assert {path.name for path in runtime.content.iterdir() if path.is_dir()} == {"token-or-span"}


@pytest.mark.parametrize("how", ["stopped", "lost"])
def test_an_interrupted_download_is_made_again(runtime, address, tmp_path, how):
    git = tmp_path / "slow" / "git"  # fetches everything, and then does not come to an end
    git.parent.mkdir()
    git.write_text(f'#!/bin/sh\n{shutil.which("git")} "$@" --no-checkout\nsleep 600\n')
    git.chmod(0o755)
    [setup, *_] = runtime.open("00_the_question", address)
    kernel = runtime.kernel()
    kernel.run(f"import os\nfast = os.environ['PATH']\nos.environ['PATH'] = '{git.parent}:' + fast")
    kernel.start(setup)
    wait_for(lambda: (runtime.content / "token-or-span.part" / ".git" / "HEAD").exists())
    if how == "stopped":
        kernel.stop()
        kernel.run("os.environ['PATH'] = fast")
    else:
        kernel.kill()
        kernel = runtime.kernel()
    with kernel:
        set_up(kernel, setup)
        assert works(kernel, runtime)


def test_half_a_project_is_put_aside(runtime, address):
    """As a `git clone` by hand leaves it, when it is interrupted. It may hold something of the reader's."""
    (runtime.content / "token-or-span" / ".git").mkdir(parents=True)
    (runtime.content / "token-or-span" / "mine").touch()
    with runtime.kernel() as kernel:
        set_up(kernel, runtime.open("00_the_question", address)[0])
        assert works(kernel, runtime)
    assert list(runtime.content.glob("token-or-span.*/mine"))


def test_without_a_network_there_is_one_clear_error(runtime, address, tmp_path):
    [setup, *_] = runtime.open("00_the_question", (tmp_path / "nowhere").as_uri())
    with (
        runtime.kernel() as kernel,
        pytest.raises(CellError, match="^ConnectionError: cannot fetch .*check the network"),
    ):
        kernel.run(setup)
    [setup, *_] = runtime.open("00_the_question", address)
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}
    online, runtime.variables = runtime.variables, runtime.variables | offline
    with (
        runtime.kernel() as kernel,
        pytest.raises(CellError, match="^RuntimeError: pip cannot install seqeval"),
    ):
        kernel.run(setup)
    runtime.variables = online
    with runtime.kernel() as kernel:
        kernel.run(setup)
        assert works(kernel, runtime)


# --- a runtime that is lost ---

TRAINING = """
from helpers import experiment, settings
own = experiment.results(settings.from_environment())
"""


def wait_for(condition, seconds=600):
    for _ in range(20 * seconds):
        if condition():
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing after {seconds} s")


def stamps(folder: Path) -> dict[Path, int]:
    """When the files of finished artifacts were written."""
    folders = [manifest.parent for manifest in folder.glob("artifacts/*/manifest.json")]
    return {file: file.stat().st_mtime_ns for one in folders for file in one.rglob("*") if file.is_file()}


@pytest.mark.slow
def test_a_lost_runtime_is_gone_on_with(drive, address, tmp_path):
    """Killed midway and thrown away; a new one with the same Drive goes on, and ends with the same table."""
    kept = drive / "my runs"
    lost = Runtime(tmp_path / "lost", drive)
    kernel = lost.kernel()
    kernel.run(lost.open("06_f1_by_entity_length", address, "my runs")[0])
    kernel.start(TRAINING)
    wait_for(lambda: list(kept.glob("artifacts/scores-*/manifest.json")))
    kernel.kill()
    shutil.rmtree(tmp_path / "lost")
    finished = stamps(kept)
    assert finished and not (kept / "smoke" / "results.csv").exists()

    tables = []
    for number in (1, 2):
        following = Runtime(tmp_path / f"runtime{number}", drive)
        with following.kernel() as kernel:
            kernel.run(following.open("06_f1_by_entity_length", address, "my runs")[0])
            kernel.run(TRAINING)
        tables.append((kept / "smoke" / "results.csv").read_text())
        if number == 1:
            after = stamps(kept)
            assert {file: after[file] for file in finished} == finished, "what was finished is not made again"
            assert len(list(kept.glob("artifacts/scores-*"))) > len(
                {f for f in finished if f.name == "scores.csv"}
            )
            plan = kept / "smoke" / "plan.json"  # measured once: the same precision and number of replicates
            kept.rename(drive / "the first")
            plan.parent.mkdir(parents=True)
            shutil.copy(drive / "the first" / "smoke" / "plan.json", plan)
    assert tables[0] == tables[1], "as from a run without an interruption"
