"""The process that the student's code runs in: what comes back from it, and what it can reach."""

import platform
import random
import sys
from pathlib import Path

import pytest

from helpers.coursework import sandbox
from helpers.coursework.sandbox import IsolationError, Limits, StudentError, UnsolvedError, Worker, bubblewrap
from helpers.settings import ROOT

SOURCE = """
import random
def all_kinds(numbers, rng):
    numbers.append(rng.random())
    return {(1, "a"): {2, 3}}, [None, 1.5, float("inf")], range(3), (x for x in "ab")
def array():
    import numpy
    return numpy.eye(2), numpy.float64(2)
def nothing(): pass
def unsolved(): raise NotImplementedError
def broken(): return missing
def strange(): return object()
def deep():
    nested = []
    for _ in range(100_000): nested = [nested]
    return nested
def leave(): raise SystemExit
def long_number(): return 10 ** 5000
def escapes(): raise type("\\x1b[2J", (Exception,), {})("\\x1b]0;mine\\x07 \\u202egnp.exe")
def named(): return type("\\x1b[2J", (), {})()
"""


@pytest.mark.parametrize("isolated", [True, False])
def test_data_goes_in_and_out_and_nothing_else(isolated):
    with Worker([SOURCE], bubblewrap() if isolated else [], Limits()) as worker:
        rng, numbers = random.Random(1), [1]
        mapping, items, *more = worker.function("all_kinds")(numbers, rng)
        assert mapping == {(1, "a"): {2, 3}} and items == [None, 1.5, float("inf")]
        assert more == [[0, 1, 2], ["a", "b"]]
        expected = random.Random(1)
        assert numbers == [1, expected.random()], "a list that is changed in place comes back changed"
        assert rng.random() == expected.random(), "and a generator goes on where the function left it"
        assert worker.function("array")() == ([[1.0, 0.0], [0.0, 1.0]], 2.0)
        assert "object of type object" in repr(worker.function("strange")())
        for name, message in (
            ("nothing", "is `return` missing"),
            ("broken", "NameError in line 11 of the cell.*must define or import"),
            ("leave", "SystemExit"),
            ("missing", "there is no function missing"),
            ("long_number", "ValueError.*4300 digits"),
            ("escapes", "with \ufffd.2J.*: \ufffd.0;mine\ufffd \ufffdgnp.exe"),
        ):
            with pytest.raises(StudentError, match=message):
                worker.function(name)()
        assert "\x1b" not in repr(worker.function("named")())
        with pytest.raises(UnsolvedError):
            worker.function("unsolved")()
        with pytest.raises(StudentError):
            worker.function("deep")()


@pytest.mark.parametrize("source", ["def f(:", "x = " + "+".join("1" * 50_000), "x = " + "-" * 5000 + "1"])
def test_a_cell_that_is_not_python_is_the_students_error(source):
    with pytest.raises(StudentError, match="SyntaxError"), Worker([source], [], Limits()):
        pass


SEES = """
import os
def sees(paths): return [path for path in paths if os.path.exists(path)]
"""


def private_files():
    """All that lies in the project and the home folder, except what leads to Python, and /etc/passwd."""
    python = [Path(sys.prefix), Path(sys.base_prefix)]
    found = [*ROOT.iterdir(), *Path.home().iterdir(), Path("/etc/passwd")]
    found = [path for path in found if path.exists()]  # no broken links
    return [str(path) for path in found if not any(part.is_relative_to(path) for part in python)]


def test_the_project_and_the_home_folder_cannot_be_read(tmp_path):
    (tmp_path / "another submission.ipynb").write_text("{}")
    private = [*private_files(), str(tmp_path / "another submission.ipynb")]
    assert str(ROOT / "notebooks") in private
    with Worker([SEES], bubblewrap(), Limits()) as worker:
        assert worker.function("sees")(private) == []
    with Worker([SEES], [], Limits()) as worker:
        assert worker.function("sees")(private) == private


def test_a_python_that_is_reached_by_a_link_can_be_isolated(tmp_path, monkeypatch):
    (tmp_path / "linked").symlink_to(sys.prefix)
    python = Path(sys.executable).relative_to(sys.prefix)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "linked"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "linked" / python))
    with Worker([SEES], bubblewrap(), Limits()) as worker:
        assert worker.function("sees")([sys.executable]) == [sys.executable]


def test_without_bubblewrap_it_refuses_and_names_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(IsolationError, match="apt install bubblewrap.*--no-isolation"):
        bubblewrap()
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'no namespaces for you' >&2; exit 1\n")
    broken.chmod(0o755)
    with pytest.raises(IsolationError, match="does not work here: no namespaces for you"):
        bubblewrap()


def test_on_a_machine_whose_system_calls_are_not_known_it_refuses(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    with pytest.raises(IsolationError, match="on x86_64 and aarch64, and this is vax.*--no-isolation"):
        bubblewrap()


# Each gets round the limits of one process, or leaves something behind, where it is not refused.
WAYS_OUT = {
    "another process": "import os; os.fork() or os._exit(0)",
    "another program": "import subprocess; subprocess.run(['true'])",
    "a file in memory": "import os; os.memfd_create('hoard')",
    "memory for sharing": "import mmap; mmap.mmap(-1, 4096)",
    "memory that grows downwards": """
import mmap
mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x100)
""",
    "a socket": "import socket; socket.socket()",
    "a keyring": """
import ctypes, os
if os.uname().machine == "x86_64":  # KEYCTL_GET_KEYRING_ID of the session's
    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(250, 0, -3, 0) == -1:
        raise OSError(ctypes.get_errno(), "not permitted")
""",
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_the_ways_past_the_limits_are_closed(way):
    source = f"def take():\n    exec({WAYS_OUT[way]!r})\n    return 'open'"
    with Worker([source], [], Limits()) as worker:
        assert worker.function("take")() == "open"
    with (
        Worker([source], bubblewrap(), Limits()) as worker,
        pytest.raises(StudentError, match="not permitted"),
    ):
        worker.function("take")()


MEMORY = """
import mmap, os

def data(megabytes): return len(bytearray(megabytes << 20))

def files(megabytes):
    for number in range(megabytes):
        with open(f"/tmp/{number}", "wb") as file: file.write(bytes(1 << 20))
    return megabytes

def threads(count):
    import threading, time
    for _ in range(count): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    return count
"""


def test_what_a_submission_may_use_in_all():
    limits = Limits(memory=512 << 20)
    with Worker([MEMORY], bubblewrap(), limits) as worker:
        assert worker.function("data")(300) == 300 << 20
        with pytest.raises(StudentError, match="more memory than the 512 MB"):
            worker.function("data")(512)
        assert worker.function("files")(50) == 50
        with pytest.raises(StudentError, match="No space left"):
            worker.function("files")(1 + (sandbox.SCRATCH_BYTES >> 20))
        assert worker.function("threads")(8) == 8
        with pytest.raises(StudentError, match="can't start new thread"):  # of 8 MB each
            worker.function("threads")(100)


def test_nothing_of_proc_can_be_written_to():
    """Not even by root, whom it would let change the settings of the whole machine."""
    source = """
import os
def writable(top):
    found = []
    for folder, _, files in os.walk(top):
        if folder.endswith("/fd"): continue  # what lies there leads elsewhere
        for path in (f"{folder}/{file}" for file in files):
            try: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            except OSError: continue
            found.append(path)
    return found
"""
    with Worker([source], [], Limits()) as worker:
        assert "/proc/self/comm" in worker.function("writable")("/proc/self")
    with Worker([source], bubblewrap(), Limits()) as worker:
        assert worker.function("writable")("/proc") == []


@pytest.mark.parametrize("library", ["numpy", "pandas", "torch", "matplotlib.pyplot"])
def test_what_the_notebooks_import_can_be_imported(library):
    source = f"""
import {library}, os
def threads(): return len(os.listdir("/proc/self/task"))
"""
    with Worker([source], bubblewrap(), Limits(seconds=60)) as worker:
        assert worker.function("threads")() <= 2, "one for each core may be more than are allowed"
