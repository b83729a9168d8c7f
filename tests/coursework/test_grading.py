"""Grading: full points for the reference solutions, none for blanks, tables and pages that can be used."""

import csv
import json
from dataclasses import replace as changed

import pytest

from helpers import scoring, settings, world
from helpers.__main__ import main
from helpers.coursework import collecting, exercises, grading, sandbox
from helpers.coursework.collecting import Submission
from helpers.coursework.exercises import CourseworkError
from helpers.coursework.sandbox import IsolationError, Limits, StudentError, UnsolvedError, Worker, bubblewrap

TASKS = {task.name: task for task in exercises.all_exercises()}
AUTOMATIC = [task for task in TASKS.values() if not task.written]
ANSWER = "=My run says **cannot tell**: <b>+4.6</b>, with 8 replicates."


def numbers_of(seed):
    own = world.generate(changed(settings.SCALES["laptop"].world, seed=seed, sentences=0)).train
    lengths = [end - start for _, tags in own for _, start, end in scoring.spans(tags)]
    share = 100 * sum(length >= 3 for length in lengths) / len(lengths)
    return f'def own_numbers():\n    return {{"mentions": {len(lengths)}, "long_share": {share:.1f}}}'


def solved(name="ada", seed=0, **other):
    answers = {task.name: task.source for task in AUTOMATIC} | {"own_verdict": ANSWER} | other
    return Submission(name, seed, {}, answers)


def blank(name="ben"):
    stub = f"def FUNCTION(*arguments, **keywords):\n    {exercises.STUB}"
    answers = {task.name: stub.replace("FUNCTION", task.name) for task in AUTOMATIC}
    return Submission(name, 0, {}, answers | {"own_verdict": exercises.ANSWER_STUB})


def rows_of(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Ada has solved everything, Ben nothing, Cleo has Ada's numbers, and Dora her own."""
    folder = tmp_path_factory.mktemp("graded")
    seed = 12_300
    submissions = [
        solved(),
        blank(),
        solved("cleo", seed),
        solved("dora", seed, own_numbers=numbers_of(seed)),
        Submission("emil", 0),
    ]
    return folder, submissions, grading.grade(submissions, folder)


def test_reference_solutions_get_all_points_and_blanks_none(graded):
    _, _, grades = graded
    totals = {one.submission.student: one.total() for one in grades}
    assert totals == {"ada": 25, "ben": 0, "cleo": 23, "dora": 25, "emil": 0}
    assert {outcome.said for outcome in grades[1].outcomes.values()} == {"not solved", "not answered"}
    assert "is it of your own seed" in grades[2].outcomes["own_numbers_1"].said


def test_the_table_can_be_imported(graded):
    folder, _, _ = graded
    raw = (folder / "grades.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbfstudent,"), "spreadsheets take it for UTF-8 by its first bytes"
    table = rows_of(folder / "grades.csv")
    assert list(table["ada"]) == ["student", *TASKS, "total", "most", "look"]
    assert table["ada"]["own_verdict"] == "", "not graded yet is no zero"
    assert (table["ada"]["total"], table["ada"]["most"]) == ("25", "30")
    assert table["ben"]["own_verdict"] == "0"


def test_the_same_code_is_named(graded):
    folder, _, _ = graded
    table = rows_of(folder / "grades.csv")
    assert "token_masking: same code as the published solution, cleo, dora" in table["ada"]["look"]
    assert "own_numbers" not in table["ada"]["look"] and table["ben"]["look"] == ""
    renamed = TASKS["align_labels"].source.replace('    """One label', '    # mine\n    """Label')
    assert collecting.code_of(renamed) == collecting.code_of(TASKS["align_labels"].source)


def test_a_page_for_each_student_that_runs_nothing_of_theirs(graded):
    folder, _, _ = graded
    page = (folder / "feedback" / "ada.html").read_text(encoding="utf-8")
    assert "25 of 30 points" in page and "not graded yet" in page
    assert "&lt;b&gt;" in page and "<b>" not in page
    page = (folder / "feedback" / "cleo.html").read_text(encoding="utf-8")
    assert "not the number of this world (seed 12300)" in page


def test_answers_in_words_wait_for_a_person_and_keep_their_points(graded):
    folder, submissions, _ = graded
    rows = rows_of(folder / "written.csv")
    assert rows["ada"]["answer"] == "'" + ANSWER, "a spreadsheet must not take it for a formula"
    assert rows["ada"]["points"] == "" and "emil" in rows
    rows["ada"] |= {"points": "4.5", "comment": "=fine"}
    grading._write_csv(folder / "written.csv", grading.ANSWER, list(rows.values()))
    again = grading.grade(submissions, folder)
    assert again[0].total() == 29.5 and again[0].waits() == 0
    assert rows_of(folder / "written.csv")["ada"]["points"] == "4.5"
    assert rows_of(folder / "grades.csv")["ada"]["own_verdict"] == "4.5"
    assert "=fine" in (folder / "feedback" / "ada.html").read_text(encoding="utf-8")
    rewritten = [solved(own_verdict="Another answer."), *submissions[1:]]
    assert grading.grade(rewritten, folder)[0].waits() == 1, "points for another answer do not count"


@pytest.mark.parametrize("points", ["7", "-1", "many", "nan"])
def test_impossible_points_name_the_line(points, tmp_path):
    row = dict.fromkeys(grading.ANSWER, "") | {"student": "ada", "exercise": "own_verdict", "most": "5"}
    grading._write_csv(tmp_path / "written.csv", grading.ANSWER, [row | {"points": points}])
    with pytest.raises(CourseworkError, match=r"written.csv:2: ada: points are a number from 0 to 5"):
        grading.grade([], tmp_path)


def test_what_was_graded_is_not_graded_again(graded, monkeypatch):
    folder, submissions, _ = graded
    seen = []
    monkeypatch.setattr(
        grading, "graded", lambda task, one, *rest: seen.append((one.student, task.name)) or {}
    )
    other = solved("ben", token_masking="def token_masking(): pass")
    with pytest.raises(KeyError):  # the table lacks what was not graded here
        grading.grade([submissions[0], other], folder)
    assert {student for student, _ in seen} == {"ben"}


def test_without_bubblewrap_it_refuses_and_names_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(IsolationError, match="apt install bubblewrap.*--no-isolation"):
        grading.grade([], tmp_path)
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'no namespaces for you' >&2; exit 1\n")
    broken.chmod(0o755)
    with pytest.raises(IsolationError, match="does not work here: no namespaces for you"):
        grading.grade([], tmp_path)
    assert grading.grade([], tmp_path, isolate=False) == []


def test_a_function_may_use_what_its_notebook_imports_but_not_helpers():
    source = "def f(x):\n    return Counter(x).most_common(1), np.sqrt(4.0), scoring"
    assert exercises.imports("06_f1_by_entity_length", source, ours=False).splitlines() == [
        "from collections import Counter",
        "import numpy as np",
    ]
    assert "scoring" in exercises.imports("06_f1_by_entity_length", source, ours=True)
    assert exercises.imports("06_f1_by_entity_length", "def broken(", ours=False) == ""


# --- the process that the student's code runs in ---

SOURCE = """
import random
def all_kinds(numbers, rng):
    numbers.append(rng.random())
    return {(1, "a"): {2, 3}}, [None, 1.5, float("inf")], range(3), (x for x in "ab")
def array():
    import numpy
    return numpy.eye(2), numpy.float64(2)
def none(): pass
def unsolved(): raise NotImplementedError
def broken(): return missing
def strange(): return object()
def deep():
    nested = []
    for _ in range(100_000): nested = [nested]
    return nested
def leave(): raise SystemExit
def reads(): return __import__("os").listdir("/")
"""


@pytest.mark.parametrize("isolated", [True, False])
def test_data_goes_in_and_out_and_nothing_else(isolated):
    import random

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
        for name, said in (
            ("none", "is `return` missing"),
            ("broken", "NameError in line 11 of the cell.*must define or import"),
            ("leave", "SystemExit"),
            ("missing", "there is no function missing"),
        ):
            with pytest.raises(StudentError, match=said):
                worker.function(name)()
        with pytest.raises(UnsolvedError):
            worker.function("unsolved")()
        if isolated:
            assert set(worker.function("reads")()).isdisjoint(
                {"work", "home", "root/.ssh", "var", "etc/passwd"}
            )
        with pytest.raises(StudentError):
            worker.function("deep")()


def test_a_file_that_is_no_python_is_the_students_error():
    with pytest.raises(StudentError, match="SyntaxError"), Worker(["def f(:"], [], Limits()):
        pass


# --- the command line ---


def test_release_check_and_grade_from_the_command_line(tmp_path, capsys):
    roster, handout, inbox = tmp_path / "students.csv", tmp_path / "handout", tmp_path / "inbox"
    roster.write_text("student,email\nada,a@example.org\nben,b@example.org\n")
    assert main(["coursework", "release", "--students", str(roster), "--release", str(handout)]) == 0
    inbox.mkdir()
    (handout / "handout" / "ada.zip").rename(inbox / "ada.zip")
    (inbox / "ben").mkdir()
    (inbox / "ben" / "02_token_masking.ipynb").write_text("not a notebook")
    assert main(["coursework", "check", str(inbox), "--release", str(handout)]) == 0
    out = capsys.readouterr().out
    assert "ben/02_token_masking.ipynb: is not a notebook" in out and "2 submissions: 7 things to do" in out
    assert main(["coursework", "grade", str(inbox), "--release", str(handout), "--seconds", "2"]) == 0
    table = rows_of(handout / "graded" / "grades.csv")
    assert table["ada"]["email"] == "a@example.org" and table["ada"]["total"] == "0"
    assert "is not a notebook" in table["ben"]["look"]
    assert main(["coursework", "grade", str(tmp_path / "nowhere"), "--release", str(handout)]) == 2
    assert "is not a folder" in capsys.readouterr().err
    assert json.loads((handout / "record.json").read_text())["roster"][0]["student"] == "ada"


def test_isolation_is_tried_before_anything_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    with pytest.raises(IsolationError):
        grading.grade([solved()], tmp_path)
    assert not (tmp_path / "results").exists()
