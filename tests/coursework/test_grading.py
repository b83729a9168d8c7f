"""Grading: full points for the reference solutions, none for blanks, tables and pages that can be used."""

import csv
import json
import subprocess
import sys
from dataclasses import replace as changed

import pytest

from helpers import scoring, settings, world
from helpers.__main__ import main
from helpers.coursework import exercises, grading, sandbox
from helpers.coursework.collecting import Submission
from helpers.coursework.exercises import CourseworkError
from helpers.coursework.sandbox import IsolationError
from helpers.publishing import colab

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
        writer = csv.DictWriter(file, grading.WRITTEN_COLUMNS)
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
    return folder, submissions, grading.grade(submissions, folder)


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
    again = grading.grade(submissions, folder)
    assert again[0].total() == 29.5 and again[0].ungraded() == 0
    assert rows_of(folder / "written.csv")["ada"]["points"] == "4.5"
    assert rows_of(folder / "grades.csv")["ada"]["own_verdict"] == "4.5"
    assert "=fine" in (folder / "feedback" / "ada.html").read_text(encoding="utf-8")
    rewritten = [solved(own_verdict="Another answer."), *submissions[1:]]
    assert grading.grade(rewritten, folder)[0].ungraded() == 1, "points for another answer do not count"


def test_a_long_answer_does_not_spoil_the_table(tmp_path):
    long = solved(own_verdict="long " * 100_000)
    for exercise in AUTOMATIC:
        del long.answers[exercise.name]
    grading.grade([long], tmp_path, isolate=False)
    rows = rows_of(tmp_path / "written.csv")
    rows["ada"]["points"] = "3"
    write_rows(tmp_path / "written.csv", rows.values())
    assert grading.grade([long], tmp_path, isolate=False)[0].total() == 3


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
        (b"", "written.csv:1: the columns must be student, exercise"),
        (HEADER.replace(b",", b";"), "written.csv:1: .* separated by commas"),
        (HEADER + b"ada,own_verdict,5,4\r\n", "written.csv:2: the row must have 6 columns"),
        (HEADER + b"ada,own_verdict,5,4,good,yes,no\r\n", "written.csv:2: the row must have 6 columns"),
        (HEADER + b'ada,own_verdict,5,4,good,"half an ans', "written.csv cannot be read .*save it as CSV"),
        (HEADER + b"ada,own_verdict,5,4,\xff,yes\r\n", "written.csv cannot be read .*in UTF-8"),
    ],
)
def test_a_damaged_table_of_answers_is_named_and_not_replaced(content, message, tmp_path):
    (tmp_path / "written.csv").write_bytes(content)
    with pytest.raises(CourseworkError, match=message):
        grading.grade([], tmp_path, isolate=False)
    assert (tmp_path / "written.csv").read_bytes() == content


@pytest.mark.parametrize("name", ["grades.csv", "written.csv"])
def test_an_interrupted_table_stays_as_it_was(name, tmp_path, monkeypatch):
    grading.grade([Submission("emil", 0)], tmp_path, isolate=False)
    before = (tmp_path / name).read_bytes()
    replace = exercises.os.replace

    def interrupted(source, target):
        if target.name == name:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(exercises.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        grading.grade([Submission("emil", 0), Submission("fay", 0)], tmp_path, isolate=False)
    assert b"emil" in before and (tmp_path / name).read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


@pytest.fixture
def graded_again(monkeypatch):
    """The students whose functions are graded, not read from results/, while the test runs; all get 0."""
    students = []

    def grade_exercise(exercise, submission, isolation, limits):
        students.append(submission.student)
        return {point.name: grading.Outcome(0, "graded again") for point in exercise.points}

    monkeypatch.setattr(grading, "grade_exercise", grade_exercise)
    return students


def test_what_was_graded_is_not_graded_again(graded, graded_again, tmp_path):
    folder, submissions, _ = graded
    (tmp_path / "results").mkdir()
    for file in (folder / "results").iterdir():
        (tmp_path / "results" / file.name).write_bytes(file.read_bytes())
    other = solved("ben", token_masking="def token_masking(): pass")
    grades = grading.grade([submissions[0], other], tmp_path)
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
        (grade,) = grading.grade([submissions[0]], tmp_path)
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


# --- the command line ---


def test_release_check_and_grade_from_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(colab, "address", lambda: ("https://github.com/ada/token-or-span", "main"))
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
