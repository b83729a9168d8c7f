"""The process that the student's code runs in: what comes back from it, and what it can reach."""

import random
import sys
from pathlib import Path

import pytest

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
        ):
            with pytest.raises(StudentError, match=message):
                worker.function(name)()
        with pytest.raises(UnsolvedError):
            worker.function("unsolved")()
        with pytest.raises(StudentError):
            worker.function("deep")()


def test_a_cell_that_is_not_python_is_the_students_error():
    with pytest.raises(StudentError, match="SyntaxError"), Worker(["def f(:"], [], Limits()):
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
