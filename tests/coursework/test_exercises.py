"""The exercises of the complete notebooks, and what students get of them."""

import json
import re
import subprocess
import sys
import zipfile

import nbformat
import pytest

from helpers.coursework import exercises, records
from helpers.coursework.records import CourseworkError
from helpers.publishing import colab, notebooks

# --- the one source ---


def test_every_graded_exercise_has_a_solution_a_visible_check_and_a_cell_for_each_point():
    found = {exercise.name: exercise for exercise in exercises.all_exercises()}
    assert {"token_masking", "whole_word_masking", "geometric_spans", "align_labels", "f1_in_buckets"} <= set(
        found
    )
    assert sum(exercise.written for exercise in found.values()) == 1
    for exercise in found.values():
        if not exercise.written:
            assert "### BEGIN SOLUTION" in exercise.source and f"def {exercise.name}(" in exercise.source
            assert f"{exercise.name}_check" in exercise.locked_cells
            assert all(point.points == 1 and point.title for point in exercise.points)
            assert all("### BEGIN HIDDEN TESTS" in point.source for point in exercise.points)
    assert sum(exercise.maximum for exercise in found.values()) == 30


def test_a_function_may_use_what_its_notebook_imports_but_not_helpers():
    source = "def f(x):\n    return Counter(x).most_common(1), np.sqrt(4.0), scoring"
    assert exercises.imports("06_f1_by_entity_length", source, with_helpers=False).splitlines() == [
        "from collections import Counter",
        "import numpy as np",
    ]
    assert "scoring" in exercises.imports("06_f1_by_entity_length", source, with_helpers=True)
    assert exercises.imports("06_f1_by_entity_length", "def broken(", with_helpers=False) == ""


def test_a_function_may_use_what_the_setup_cell_imports():
    lines = exercises.imports("02_token_masking", "def f(): return Path(sys.path[0]), time", False)
    assert lines.splitlines() == ["import sys", "import time", "from pathlib import Path"]


def test_parts_of_helpers_count_as_helpers(monkeypatch):
    lines = "from helpers.coursework import grading", "import helpers as ours", "import numpy as np"
    cells = [nbformat.v4.new_code_cell(line) for line in lines]
    notebook = nbformat.v4.new_notebook(cells=cells)
    monkeypatch.setattr(exercises, "complete_notebooks", lambda: {"08_more": notebook})
    code = "grading, ours, np"
    assert exercises.imports("08_more", code, with_helpers=True).splitlines() == list(lines)
    assert exercises.imports("08_more", code, with_helpers=False) == "import numpy as np"


# --- handing out ---


def test_students_get_no_solutions_and_no_hidden_checks(unpack):
    place = unpack("ada")
    assert [path.name for path in sorted(place.iterdir())] == [path.name for path in notebooks.paths()]
    for path in place.iterdir():
        notebook = nbformat.read(path, 4)
        nbformat.validate(notebook)
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(BEGIN|END) (SOLUTION|HIDDEN)", text)
        for exercise in exercises.all_exercises():
            hidden = [line for point in exercise.points for line in point.source.splitlines()[2:-1]]
            assert not [line for line in hidden if json.dumps(line)[1:-1] in text and "assert" in line]
        assert not [cell for cell in notebook.cells if cell.get("outputs")]
        for cell in notebook.cells:
            if exercises.nbgrader_metadata(cell).get("locked"):
                assert cell.metadata["editable"] is False and cell.metadata["deletable"] is False


def test_nothing_but_solutions_hidden_checks_and_outputs_is_gone(unpack):
    place = unpack("ada")
    for path in notebooks.paths():
        ours = [cell for cell in nbformat.read(path, 4).cells]
        theirs = [cell for cell in nbformat.read(place / path.name, 4).cells if cell.id != "seed"]
        assert [cell.id for cell in ours] == [cell.id for cell in theirs]
        for cell, copy in zip(ours, theirs, strict=True):
            if not exercises.nbgrader_metadata(cell):
                assert cell.source == copy.source


def test_each_student_has_a_seed_of_their_own_and_keeps_it(released, tmp_path):
    seeds = json.loads((released / "record.json").read_text())["seeds"]
    assert len(set(seeds.values())) == 2
    assert all(seed % 100 == 0 and seed >= 10_000 for seed in seeds.values()), "development uses 0 to 99"
    for student, seed in seeds.items():
        with zipfile.ZipFile(released / "handout" / f"{student}.zip") as archive:
            for name in archive.namelist():
                cells = json.loads(archive.read(name))["cells"]
                assert "".join(cells[2]["source"]).endswith(f'os.environ["SEED"] = "{seed}"'), (
                    "after the setup"
                )
    (tmp_path / "record.json").write_bytes((released / "record.json").read_bytes())
    roster = [{"student": "ada"}, {"student": "ben"}, {"student": "cleo"}]
    exercises.release(tmp_path, roster, allow_placeholder=True)
    again = json.loads((tmp_path / "record.json").read_text())["seeds"]
    assert {name: again[name] for name in seeds} == seeds and len(set(again.values())) == 3


def test_without_a_list_there_is_one_copy_for_all(tmp_path):
    (made,) = exercises.release(tmp_path / "all", allow_placeholder=True)
    with zipfile.ZipFile(made) as archive:
        assert len(archive.namelist()) == len(notebooks.paths())
        assert b'os.environ[\\"SEED\\"]' not in archive.read(archive.namelist()[0])
    assert json.loads((tmp_path / "all" / "record.json").read_text())["seeds"] == {}


def test_copies_that_point_to_nobody_are_not_handed_out(tmp_path, monkeypatch):
    monkeypatch.setattr(colab, "address", lambda: (colab.PLACEHOLDER, "main"))
    with pytest.raises(
        CourseworkError, match=r"python -m helpers address --repository https://github\.com/YOU"
    ):
        exercises.release(tmp_path / "handout")
    assert not (tmp_path / "handout").exists()
    monkeypatch.setattr(colab, "address", lambda: ("https://github.com/ada/token-or-span", "main"))
    monkeypatch.setattr(exercises, "_commit", lambda: "0" * 40)
    monkeypatch.setattr(exercises.sys, "executable", "false")  # gets as far as starting nbgrader
    with pytest.raises(CourseworkError, match="nbgrader failed"):
        exercises.release(tmp_path / "handout")


def test_who_is_recorded_keeps_their_seed_whatever_list_comes_next(tmp_path):
    ada, ben, cleo = ({"student": name, "email": f"{name}@example.org"} for name in ("ada", "ben", "cleo"))
    exercises.release(tmp_path, [ada, ben], allow_placeholder=True)
    first = records.read(tmp_path)["seeds"]
    late = exercises.release(tmp_path, [cleo], allow_placeholder=True)
    assert [path.name for path in late] == ["cleo.zip"], "the others have their copies"
    dropped = exercises.release(tmp_path, [ada, cleo], allow_placeholder=True)
    assert len(dropped) == 2
    exercises.release(tmp_path, [ben, {"student": "ada"}], allow_placeholder=True)
    record = records.read(tmp_path)
    assert record["seeds"].items() >= first.items() and len(set(record["seeds"].values())) == 3
    assert {row["student"]: row["email"] for row in record["roster"]}["ada"] == "ada@example.org"
    again = exercises.release(tmp_path, allow_placeholder=True)  # a plain `make coursework`
    assert [path.name for path in again] == ["ada.zip", "ben.zip", "cleo.zip"]
    assert records.read(tmp_path) == record
    kept = sorted(path.name for path in (tmp_path / "backups").iterdir())
    assert kept == ["record.0001.json"], "and what was replaced is kept"
    assert json.loads((tmp_path / "backups" / kept[0]).read_text())["seeds"] == first


# --- which commit students fetch ---


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A clone of the project, pushed to a repository beside it; runs git there."""
    place = tmp_path / "clone"

    def git(*arguments):
        who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "protocol.file.allow=always"]
        done = subprocess.run(
            ["git", *who, *arguments], cwd=place, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    place.mkdir()
    (tmp_path / "origin").mkdir()
    git("init", "--quiet", "--bare", "../origin")
    git("-C", "../origin", "config", "uploadpack.allowReachableSHA1InWant", "true")  # as GitHub does
    git("init", "--quiet", "--initial-branch=main")
    (place / "helpers").mkdir()
    (place / "helpers" / "masking.py").write_text("version = 1\n")
    git("add", "."), git("commit", "--quiet", "-m", "One")
    git("remote", "add", "origin", "../origin"), git("push", "--quiet", "origin", "main")
    monkeypatch.setattr(exercises, "ROOT", place)
    monkeypatch.setattr(colab, "address", lambda: (f"file://{tmp_path}/origin", "main"))
    git.place = place
    return git


def test_copies_fetch_the_commit_that_they_were_made_from(checkout, tmp_path):
    (made,) = exercises.release(tmp_path / "handout")
    with zipfile.ZipFile(made) as archive:
        cells = json.loads(archive.read(archive.namelist()[0]))["cells"]
    (setup,) = [cell for cell in cells if "setup" in cell["metadata"].get("tags", [])]
    source = "".join(setup["source"])
    commit = checkout("rev-parse", "HEAD")
    assert commit in source and "--branch" not in source
    (checkout.place / "helpers" / "masking.py").write_text("version = 2\n")
    checkout("commit", "--quiet", "-am", "Two"), checkout("push", "--quiet", "origin", "main")
    alone = tmp_path / "alone"
    alone.mkdir()
    fetching = source.partition("sys.path.insert")[0]
    subprocess.run([sys.executable, "-c", fetching], cwd=alone, check=True, capture_output=True)
    assert (alone / "token-or-span" / "helpers" / "masking.py").read_text() == "version = 1\n"


def test_what_was_not_committed_or_not_pushed_is_not_handed_out(checkout, tmp_path):
    (checkout.place / "students.csv").touch()  # no part of what students fetch
    assert exercises._commit() == checkout("rev-parse", "HEAD")
    (checkout.place / "helpers" / "masking.py").write_text("version = 2\n")
    with pytest.raises(CourseworkError, match=r"commit and push them, then hand out\n.*helpers/masking.py"):
        exercises.release(tmp_path / "handout")
    checkout("commit", "--quiet", "-am", "Two")
    with pytest.raises(CourseworkError, match=r"was not pushed yet: push it to .*\(git push\)"):
        exercises.release(tmp_path / "handout")
    assert not (tmp_path / "handout").exists()
    checkout("push", "--quiet", "origin", "main")
    assert exercises._commit() == checkout("rev-parse", "HEAD")


def test_without_git_the_remedy_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(exercises, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(colab, "address", lambda: ("https://github.com/ada/token-or-span", "main"))
    with pytest.raises(CourseworkError, match="hand out from a clone of your repository"):
        exercises.release(tmp_path / "handout")


# --- what students do with it ---


@pytest.mark.parametrize(
    "name",
    [
        path.stem if path.stem.startswith("02") else pytest.param(path.stem, marks=pytest.mark.slow)
        for path in notebooks.paths()
    ],
)
def test_an_unsolved_copy_runs_to_the_end_with_the_students_own_seed(
    name, released, unpack, tmp_path, monkeypatch
):
    place = unpack("ada")
    (place / "token-or-span").symlink_to(notebooks.ROOT)  # what the setup cell would fetch
    monkeypatch.setenv("SCALE", "smoke")
    monkeypatch.setenv("OUT", str(tmp_path / "out"))
    notebook = nbformat.read(place / f"{name}.ipynb", 4)
    notebook.cells.append(nbformat.v4.new_code_cell("print(my_settings.scale.first_seed)"))
    nbformat.write(notebook, place / f"{name}.ipynb")
    notebooks.execute(place / f"{name}.ipynb", tmp_path / "executed.ipynb")
    executed = nbformat.read(tmp_path / "executed.ipynb", 4)
    seed = json.loads((released / "record.json").read_text())["seeds"]["ada"]
    printed = "".join(output.text for output in executed.cells[-1].outputs)  # a busy kernel sends it in parts
    assert printed == f"{seed}\n"
    printed = [
        output.text
        for cell in executed.cells
        if exercises.nbgrader_metadata(cell)
        for output in cell.get("outputs", [])
        if output.output_type == "stream"
    ]
    ours = [exercise for exercise in exercises.all_exercises() if exercise.notebook == name]
    functions = [exercise.name for exercise in ours if not exercise.written]
    assert printed == [f"{function}: not solved yet\n" for function in functions]
