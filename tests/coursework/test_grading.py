"""Grading: full points for the reference solutions, none for blanks, tables and pages that can be used."""

import csv
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace as changed

import pytest

from helpers import scoring, settings, world
from helpers.__main__ import main
from helpers.coursework import exercises, grading, records, sandbox, written
from helpers.coursework.collecting import Submission
from helpers.coursework.records import CourseworkError
from helpers.coursework.sandbox import IsolationError
from helpers.publishing import colab

PATIENT = sandbox.Limits(seconds=60)  # the machine may be busy
EXERCISES = {exercise.name: exercise for exercise in exercises.all_exercises()}
AUTOMATIC = [exercise for exercise in EXERCISES.values() if not exercise.written]
ANSWER = "=My run says **cannot tell**: <b>+4.6</b>, with 8 replicates."


def numbers_of(seed):
    own = world.generate(changed(settings.SCALES["laptop"].world, seed=seed, sentences=0)).train
    lengths = [end - start for _, tags in own for _, start, end in scoring.spans(tags)]
    share = 100 * sum(length >= 3 for length in lengths) / len(lengths)
    return f'def own_numbers():\n    return {{"mentions": {len(lengths)}, "long_share": {share:.1f}}}'


def solved(name="ada", seed=0, **other):
    answers = {exercise.name: exercise.source for exercise in AUTOMATIC} | {"own_verdict": ANSWER} | other
    return Submission(name, seed, {}, answers)


def blank(name="ben"):
    stub = f"def FUNCTION(*arguments, **keywords):\n    {exercises.CODE_STUB}"
    answers = {exercise.name: stub.replace("FUNCTION", exercise.name) for exercise in AUTOMATIC}
    return Submission(name, 0, {}, answers | {"own_verdict": exercises.ANSWER_STUB})


def rows_of(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def write_rows(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, written.COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


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
    return folder, submissions, grading.grade(submissions, folder, limits=PATIENT)


def test_reference_solutions_get_all_points_and_blanks_none(graded):
    _, _, grades = graded
    totals = {grade.submission.student: grade.total() for grade in grades}
    assert totals == {"ada": 25, "ben": 0, "cleo": 23, "dora": 25, "emil": 0}
    assert {outcome.message for outcome in grades[1].outcomes.values()} == {"not solved", "not answered"}
    assert "is it of your own seed" in grades[2].outcomes["own_numbers_1"].message


def test_the_table_can_be_imported(graded):
    folder, _, _ = graded
    raw = (folder / "grades.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbfstudent,"), "spreadsheets take it for UTF-8 by its first bytes"
    table = rows_of(folder / "grades.csv")
    assert list(table["ada"]) == ["student", *EXERCISES, "total", "most", "look"]
    assert table["ada"]["own_verdict"] == "", "not graded yet is no zero"
    assert (table["ada"]["total"], table["ada"]["most"]) == ("25", "30")
    assert table["ben"]["own_verdict"] == "0"


def test_the_same_code_is_named(graded):
    folder, _, _ = graded
    table = rows_of(folder / "grades.csv")
    assert "token_masking: same code as the published solution, cleo, dora" in table["ada"]["look"]
    assert "own_numbers" not in table["ada"]["look"] and table["ben"]["look"] == ""


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
    write_rows(folder / "written.csv", rows.values())
    again = grading.grade(submissions, folder, limits=PATIENT)
    assert again[0].total() == 29.5 and again[0].ungraded() == 0
    assert rows_of(folder / "written.csv")["ada"]["points"] == "4.5"
    assert rows_of(folder / "grades.csv")["ada"]["own_verdict"] == "4.5"
    assert "=fine" in (folder / "feedback" / "ada.html").read_text(encoding="utf-8")
    rewritten = [solved(own_verdict="Another answer."), *submissions[1:]]
    (first, *_) = grading.grade(rewritten, folder, limits=PATIENT)
    assert first.ungraded() == 1, "points for another answer do not count"
    (first, *_) = grading.grade(submissions, folder, limits=PATIENT)
    assert first.total() == 29.5, "but they are kept"


ROW = {"student": "ada", "exercise": "own_verdict", "most": "5", "points": "", "comment": "", "answer": ""}


@pytest.mark.parametrize("points", ["7", "-1", "many", "nan"])
def test_impossible_points_name_the_line(points, tmp_path):
    write_rows(tmp_path / "written.csv", [ROW | {"points": points}])
    with pytest.raises(CourseworkError, match=r"written.csv:2: ada: points must be a number from 0 to 5"):
        grading.grade([], tmp_path, isolate=False)


HEADER = b"student,exercise,most,points,comment,answer\r\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "written.csv:1: there is no column 'student': the columns must be student, exercise"),
        (HEADER.replace(b"points,", b""), "written.csv:1: there is no column 'points'"),
        (HEADER + b"ada,own_verdict,5,4\r\n", "written.csv:2: the row has 4 cells and must have 6 columns"),
        (HEADER + b"ada,own_verdict,5,4,good,yes,no\r\n", "written.csv:2: the row has 7 cells"),
        (HEADER + b'ada,own_verdict,5,4,good,"half an ans', "written.csv:2 cannot be read .*save it as CSV"),
        (
            HEADER + b"ada,own_verdict,5,4,\xff,yes\r\n",
            "written.csv:2 cannot be read.* not in UTF-8: save it",
        ),
    ],
)
def test_a_damaged_table_of_answers_is_named_and_not_replaced(content, message, tmp_path):
    (tmp_path / "written.csv").write_bytes(content)
    with pytest.raises(CourseworkError, match=message):
        grading.grade([], tmp_path, isolate=False)
    assert (tmp_path / "written.csv").read_bytes() == content


@pytest.fixture
def graded_again(monkeypatch):
    """The students whose functions are graded, not read from results/, while the test runs; all get 0."""
    students = []

    def grade_exercise(exercise, submission, isolation, limits):
        is_reference = submission.student == grading.REFERENCE
        if not is_reference:
            students.append(submission.student)
        earned = exercise.maximum if is_reference else 0
        return {point.name: grading.Outcome(earned and point.points, "") for point in exercise.points}

    monkeypatch.setattr(grading, "grade_exercise", grade_exercise)
    monkeypatch.setattr(settings, "processors", lambda: 1)  # in this process, where the list is
    return students


@pytest.mark.parametrize("name", ["grades.csv", "written.csv"])
def test_an_interrupted_table_stays_as_it_was(name, tmp_path, graded_again, monkeypatch):
    grading.grade([Submission("emil", 0)], tmp_path, isolate=False)
    before = (tmp_path / name).read_bytes()
    replace = records.os.replace

    def interrupted(source, target):
        if target.name == name:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(records.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        grading.grade([Submission("emil", 0), Submission("fay", 0)], tmp_path, isolate=False)
    assert b"emil" in before and (tmp_path / name).read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


def test_what_was_graded_is_not_graded_again(graded, graded_again, tmp_path):
    folder, submissions, _ = graded
    (tmp_path / "results").mkdir()
    for file in (folder / "results").iterdir():
        (tmp_path / "results" / file.name).write_bytes(file.read_bytes())
    other = solved("ben", token_masking="def token_masking(): pass")
    grades = grading.grade([submissions[0], other], tmp_path, limits=PATIENT)
    assert set(graded_again) == {"ben"}
    assert [grade.total() for grade in grades] == [25, 0]


def damaged_results(text):
    """Every way in which a file with results can be wrong."""
    content = json.loads(text)
    (point, *_), key = content["outcomes"], content["key"]
    yield text[: len(text) // 2]
    yield ""
    yield "[]"
    yield "[" * 100_000
    yield json.dumps({"key": key})
    yield json.dumps({"key": key, "outcomes": []})
    yield json.dumps({"key": key, "outcomes": {}})
    for outcome in (None, [1], ["1", "", False], [100, "", False], [1, None, False]):
        yield json.dumps({"key": key, "outcomes": content["outcomes"] | {point: outcome}})


def test_damaged_results_are_made_again(graded, graded_again, tmp_path):
    folder, submissions, _ = graded
    text = (folder / "results" / "ada.json").read_text()
    (tmp_path / "results").mkdir()
    for number, damaged in enumerate(damaged_results(text), start=1):
        (tmp_path / "results" / "ada.json").write_text(damaged)
        (grade,) = grading.grade([submissions[0]], tmp_path, limits=PATIENT)
        assert grade.total() == 0 and len(graded_again) == number * len(AUTOMATIC), damaged[:80]
        assert json.loads((tmp_path / "results" / "ada.json").read_text())["key"] == json.loads(text)["key"]


def test_where_python_ignores_assertions_nobody_is_graded(tmp_path):
    script = (
        "import sys; from pathlib import Path; from helpers.coursework import grading\n"
        "grading.grade([], Path(sys.argv[1]), isolate=False)"
    )
    command = [sys.executable, "-O", "-c", script, str(tmp_path)]
    done = subprocess.run(command, cwd=settings.ROOT, capture_output=True, text=True)
    assert "CourseworkError: Python ignores the assertions" in done.stderr and "without -O" in done.stderr
    assert not list(tmp_path.iterdir())


def test_isolation_is_tried_before_anything_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    with pytest.raises(IsolationError):
        grading.grade([solved()], tmp_path)
    assert not (tmp_path / "results").exists()


def test_whatever_decides_a_grade_is_in_its_key(graded_again, tmp_path, monkeypatch):
    def graded_now(**other):
        graded_again.clear()
        grading.grade([changed(submission, **other)], tmp_path, False)
        return bool(graded_again)

    submission, all_exercises = solved(), exercises.all_exercises
    assert graded_now() and not graded_now()
    assert graded_now(seed=5) and graded_now(taken_along={"token_masking": "x = 1"})
    assert graded_now() and not graded_now()
    with monkeypatch.context() as patch:
        patch.setattr(grading, "imports", lambda *_, **__: "import math")
        assert graded_now(), "the imports of a check"
    with monkeypatch.context() as patch:
        patch.setattr(grading.artifacts, "source_hash", lambda *parts: f"{len(parts)} parts")
        assert graded_now(), "the code of helpers"
    first, *rest = [one for one in all_exercises() if not one.written]
    for name, value in (("points", 2), ("source", "assert True")):
        points = (changed(first.points[0], **{name: value}), *first.points[1:])
        altered = (changed(first, points=points), *rest)
        with monkeypatch.context() as patch:
            patch.setattr(grading, "all_exercises", lambda altered=altered: altered)
            assert graded_now(), name


def test_the_code_that_decides_a_grade_is_listed():
    assert grading.artifacts.source_hash(*grading.GRADED_BY)
    modules = {part.rpartition("/")[2] for part in grading.GRADED_BY}
    assert modules >= {"answers", "exercises", "grading", "sandbox", "worker", "scoring", "world", "settings"}


# --- one submission never stops the others, and the machine no class ---


def test_an_error_of_the_grader_costs_nobody_points(graded_again, tmp_path, monkeypatch):
    grade_exercise = grading.grade_exercise

    def fails(exercise, submission, *rest):
        if submission.student == "eve" and exercise.name == "token_masking":
            raise RecursionError("too deep")
        return grade_exercise(exercise, submission, *rest)

    monkeypatch.setattr(grading, "grade_exercise", fails)
    eve, ada = grading.grade([solved("eve"), solved()], tmp_path, False)
    assert eve.outcomes["token_masking_1"].earned is None and ada.outcomes["token_masking_1"].earned == 0
    table = rows_of(tmp_path / "grades.csv")
    assert (
        table["eve"]["token_masking"] == "" and "could not be graded (RecursionError" in table["eve"]["look"]
    )
    assert "not graded yet" in (tmp_path / "feedback" / "eve.html").read_text()
    assert json.loads((tmp_path / "results" / "eve.json").read_text())["key"] == "", (
        "so that it is tried again"
    )


def test_a_submission_that_has_no_key_is_graded_and_not_kept(graded_again, tmp_path, monkeypatch):
    monkeypatch.setattr(grading, "_key", lambda *_: 1 / 0)
    (grade,) = grading.grade([solved()], tmp_path, False)
    assert graded_again and grade.outcomes["token_masking_1"].earned == 0
    assert not (tmp_path / "results").exists()


DEEP = f"x = {'+'.join(['1'] * 1200)}"


def test_strange_submissions_cost_their_own_points_only(graded, tmp_path, capfd):
    folder, submissions, _ = graded
    (tmp_path / "results").mkdir()
    shutil.copy(folder / "results" / "ada.json", tmp_path / "results")
    strange = {
        "=cmd|' /C calc'!A0": EXERCISES["align_labels"].source,
        "x" * 255: f"{DEEP}\n{EXERCISES['align_labels'].source}",
        "\u202eada": "def align_labels(*a): return" + "(" * 1200,
        "L?f": "def align_labels(*arguments, **keywords): raise ValueError('\ud800\x1b')",
    }
    odd = [Submission(name, 0, {}, {"align_labels": code}) for name, code in strange.items()]
    grades = grading.grade([*odd, submissions[0]], tmp_path, limits=PATIENT, jobs=2)
    assert [grade.total() for grade in grades] == [4, 4, 0, 0, 25]
    table = rows_of(tmp_path / "grades.csv")
    assert list(table)[0] == "'=cmd|' /C calc'!A0", "no formula"
    assert len(list((tmp_path / "feedback").iterdir())) == 5
    assert "Traceback" not in capfd.readouterr().err


def test_nobody_is_graded_where_the_reference_solutions_lose_points(tmp_path):
    message = "the reference solutions lose points on this machine.*Nobody was graded.*ulimit"
    with pytest.raises(CourseworkError, match=message):
        grading.grade([solved()], tmp_path, isolate=False, limits=sandbox.Limits(memory=1 << 20), jobs=2)
    assert not list(tmp_path.rglob("*.json")) and not (tmp_path / "grades.csv").exists()


def test_limits_that_the_reference_solutions_do_not_keep_are_noticed(tmp_path):
    tight = sandbox.Limits(memory=4 << 20)  # in which Python itself does not run
    with pytest.raises(CourseworkError, match="the reference solutions lose points on this machine"):
        grading.grade([solved()], tmp_path, isolate=False, limits=tight, jobs=1)
    assert not (tmp_path / "grades.csv").exists()


def killed(exercise, submission, isolation, limits):
    """Stands for an exercise whose grading is killed from outside, in a process of the pool."""
    if multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return {point.name: grading.Outcome(point.points, "") for point in exercise.points}


def test_a_process_that_is_killed_costs_nobody_points(tmp_path, monkeypatch):
    monkeypatch.setattr(grading, "grade_exercise", killed)
    killed.__module__, killed.__qualname__ = grading.__name__, "grade_exercise"  # so that it can be sent
    grades = grading.grade([solved(), solved("ben")], tmp_path, isolate=False, jobs=2)
    assert [grade.total() for grade in grades] == [25, 25]


# --- the table over several runs ---


def test_who_is_not_in_this_folder_keeps_row_and_page(graded_again, tmp_path):
    ada, ben = solved(), Submission("ben", 0, handed_in=False)
    ben.add_finding("ben", "nothing was handed in", "ask for it")
    grading.grade([ada, ben], tmp_path, False)
    (tmp_path / "feedback" / "ada.html").write_text("the page of the first run")
    first, said = rows_of(tmp_path / "grades.csv"), []
    late, gone = solved("ben"), Submission("ada", 0, handed_in=False)
    for _ in range(2):
        grading.grade([late, gone], tmp_path, False, say=said.append)
        second = rows_of(tmp_path / "grades.csv")
        assert second["ada"] == first["ada"] | {"look": second["ada"]["look"]}
        assert second["ada"]["look"].startswith("not in this folder: the points are of an earlier run")
        assert second["ada"]["look"].count("not in this folder") == 1
        assert "nothing was handed in" not in second["ben"]["look"]
    assert (tmp_path / "feedback" / "ada.html").read_text() == "the page of the first run"
    assert "1 rows are of an earlier run: their folders are not here: ada" in said[0]
    assert (tmp_path / "backups" / "grades.0001.csv").exists()


def test_what_a_later_folder_lacks_keeps_its_points(monkeypatch, tmp_path):
    def full(exercise, submission, isolation, limits):
        earned = exercise.name in submission.answers
        return {point.name: grading.Outcome(point.points * earned, "") for point in exercise.points}

    monkeypatch.setattr(grading, "grade_exercise", full)
    monkeypatch.setattr(settings, "processors", lambda: 1)
    whole, seen = solved(), []
    assert grading.grade([whole], tmp_path, False)[0].total() == 25
    rows = list(csv.DictReader((tmp_path / "written.csv").open(encoding="utf-8-sig", newline="")))
    write_rows(tmp_path / "written.csv", [rows[0] | {"points": "4"}])
    first_only = Submission("ada", 0, {}, {"own_numbers": whole.answers["own_numbers"]})
    unreadable, gone = Submission("ada", 0), Submission("ada", 0, handed_in=False)
    for later in (first_only, unreadable, gone):
        (grade,) = grading.grade([later], tmp_path, False, say=seen.append)
        row = rows_of(tmp_path / "grades.csv")["ada"]
        assert grade.total() == 29 and row["total"] == "29", later
        assert "the points are of an earlier run" in row["look"]
    assert not any("uncounted" in line for line in seen)
    assert grading.grade([whole], tmp_path, False)[0].total() == 29


def test_a_row_that_a_spreadsheet_renamed_is_nobody_s_second(graded_again, tmp_path):
    grading.grade([solved("00123")], tmp_path, False)
    table = (tmp_path / "grades.csv").read_text(encoding="utf-8-sig").replace("00123", "123")
    (tmp_path / "grades.csv").write_text(table.replace(",", ";"), encoding="utf-8")
    said = []
    grading.grade([solved("00123")], tmp_path, False, say=said.append)
    assert list(rows_of(tmp_path / "grades.csv")) == ["00123"]
    assert any("123 was taken for 00123" in line for line in said)


def test_columns_of_the_list_neither_hide_ours_nor_become_formulas(graded_again, tmp_path):
    columns = {"total": "7", "=1+1": "@SUM(A1)", "name": "-Löf", "look": "x"}
    grading.grade([changed(solved(), roster_columns=columns)], tmp_path, False)
    row = rows_of(tmp_path / "grades.csv")["ada"]
    assert row["total"] == "0" and row["total (list of students)"] == "7"
    assert row["'=1+1"] == "'@SUM(A1)" and row["name"] == "'-Löf" and row["look (list of students)"] == "x"


# --- the command line ---


def test_release_check_and_grade_from_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(colab, "address", lambda: ("https://github.com/ada/token-or-span", "main"))
    monkeypatch.setattr(exercises, "_commit", lambda: "0" * 40)
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
    options = ["--release", str(handout), "--seconds", "20", "--as-root", "--jobs", "2"]
    assert main(["coursework", "grade", str(inbox), *options]) == 0
    table = rows_of(handout / "graded" / "grades.csv")
    assert table["ada"]["email"] == "a@example.org" and table["ada"]["total"] == "0"
    assert "is not a notebook" in table["ben"]["look"]
    assert main(["coursework", "grade", str(tmp_path / "nowhere"), *options]) == 2
    assert "is not a folder" in capsys.readouterr().err
    assert json.loads((handout / "record.json").read_text())["roster"][0]["student"] == "ada"
    roster.write_text("student\ncleo\n")
    assert main(["coursework", "release", "--students", str(roster), "--release", str(handout)]) == 0
    assert "2 students of earlier hand-outs are not in the list and keep their seeds: ada, ben" in (
        capsys.readouterr().out
    )


def test_root_is_refused_unless_told_to(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert main(["coursework", "grade", str(tmp_path)]) == 2
    assert "grade as another user, or with --as-root" in capsys.readouterr().err
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert main(["coursework", "grade", str(tmp_path), "--release", str(tmp_path)]) == 2
    assert "record.json is missing" in capsys.readouterr().err
