"""written.csv: points that somebody typed are found again, and never dropped."""

import csv

import pytest

from helpers.coursework import written
from helpers.coursework.records import CourseworkError

(VERDICT,) = written.exercises()
ANSWER = "=My run says **cannot tell**, with 8 replicates."


class Class:
    """A folder with written.csv, which an instructor and the grader write in turn."""

    def __init__(self, folder):
        self.path, self.said = folder / "written.csv", []

    def grade(self, **answers):
        """Return each student's points and comment, as a run of the grader does; None for no answer."""
        given = {name: {} if text is None else {VERDICT.name: text} for name, text in answers.items()}
        rows = written.match(written.read(self.path), list(given), self.said.append, self.path)
        written.write(self.path, rows, given, self.said.append)
        return {
            name: written.grade(rows, name, VERDICT, one.get(VERDICT.name)) for name, one in given.items()
        }

    def rows(self):
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))

    def type(self, who, separator=",", encoding="utf-8", **cells):
        """Type into a student's row, and save the table as a spreadsheet does."""
        rows = self.rows()
        (row,) = [row for row in rows if row["student"] == who]
        row |= cells
        with self.path.open("w", encoding=encoding, newline="") as file:
            writer = csv.DictWriter(
                file, dict.fromkeys(name for row in rows for name in row), delimiter=separator
            )
            writer.writeheader()
            writer.writerows(rows)


@pytest.fixture
def course(tmp_path):
    course = Class(tmp_path)
    waiting = course.grade(**{"ada": ANSWER, "ben": "Other.", "00123": "Third.", "dora": written.ANSWER_STUB})
    assert waiting["ada"] == (None, "not graded yet") and waiting["dora"] == (0, "not answered")
    course.type("ada", points="4.5", comment="=fine")
    course.type("00123", points="3")
    return course


EVERYBODY = {"ada": ANSWER, "ben": "Other.", "00123": "Third.", "dora": written.ANSWER_STUB}


def test_points_are_found_again_and_kept(course):
    for _ in range(2):
        points = course.grade(**EVERYBODY)
        assert points["ada"] == (4.5, "=fine") and points["00123"] == (3, "") and points["ben"][0] is None
    assert course.rows()[0]["answer"] == "'" + ANSWER, "a spreadsheet must not take it for a formula"
    assert course.said == []


@pytest.mark.parametrize(
    "handed_in",
    [
        {"late": "Late."},  # a folder of late hand-ins only
        {"ada": None, "ben": None, "00123": None},  # everybody's folder is missing for one run
        {"ada": "Another answer.", "ben": "Other."},
        {},
    ],
)
def test_a_run_with_others_or_other_answers_drops_no_points(handed_in, course):
    course.grade(**handed_in)
    typed = {(row["student"], row["points"], row["comment"]) for row in course.rows()}
    assert typed >= {("ada", "4.5", "=fine"), ("00123", "3", "")}
    if handed_in.get("ada"):
        assert course.grade(**handed_in)["ada"][0] is None, "points for another answer do not count"
        assert any("ada: points for another answer are kept" in line for line in course.said)
    elif "ada" not in handed_in:
        assert "2 rows with points or comments are of nobody" in course.said[0]
        assert "ada (line " in course.said[0] and "00123 (line " in course.said[0]
    assert course.grade(**EVERYBODY)["ada"] == (4.5, "=fine"), "and they count when the answer is back"


@pytest.mark.parametrize(("before", "after"), [("00123", "123"), ("1e5", "100000"), ("1e5", "1E+05")])
def test_an_identifier_that_a_spreadsheet_changed_is_recognised(before, after, tmp_path):
    course = Class(tmp_path)
    course.grade(**{before: ANSWER})
    course.type(before, points="2", student=after)
    assert course.grade(**{before: ANSWER}) == {before: (2, "")}
    assert [row["student"] for row in course.rows()] == [before]
    assert f"{after} was taken for {before}" in course.said[0]


def test_where_two_students_could_be_meant_nobody_is(tmp_path):
    course = Class(tmp_path)
    both = {"00123": ANSWER, "0123": "Other."}
    course.grade(**both)
    course.type("00123", points="2", student="123")
    assert course.grade(**both)["00123"][0] is None
    assert "123 (line 2)" in course.said[0] and "123" in [row["student"] for row in course.rows()]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_any_spreadsheet_may_save_it(separator, encoding, course):
    course.type("ben", separator, encoding, points="4,5", comment="à 1; 2, 3", grader="Zoë")
    points = course.grade(**EVERYBODY)
    assert points["ben"] == (4.5, "à 1; 2, 3") and points["ada"] == (4.5, "=fine")
    assert {row["grader"] for row in course.rows()} == {"", "Zoë"}, "columns of the instructor's stay"


def test_a_comment_without_points_and_points_without_an_answer_stay(course):
    course.type("ben", comment="Ask Ben.")
    course.type("dora", points="2", comment="told me")
    assert course.grade(**EVERYBODY)["dora"] == (2, "told me")
    rows = {row["student"]: row for row in course.rows()}
    assert rows["ben"]["comment"] == "Ask Ben." and rows["dora"]["points"] == "2"


def test_two_rows_with_other_points_for_one_answer_are_refused(course):
    rows = course.rows()
    (row,) = [row for row in rows if row["student"] == "ada"]
    with course.path.open("a", encoding="utf-8", newline="") as file:
        csv.DictWriter(file, row).writerow(row | {"points": "1"})
    before = course.path.read_bytes()
    with pytest.raises(CourseworkError, match="written.csv:6: ada has other points in line 2"):
        course.grade(**EVERYBODY)
    assert course.path.read_bytes() == before


def test_what_the_table_held_before_is_kept_beside_it(course):
    before = course.path.read_bytes()
    course.grade(late="Late.", **EVERYBODY)
    kept = sorted((course.path.parent / "backups").iterdir())
    assert kept[-1].read_bytes() == before


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n=", "  =", "＝"])
def test_no_text_becomes_a_formula(start):
    assert written.cell(f"{start}1").startswith("'") and written.cell(f"a{start}1") == f"a{start}1"


def test_a_long_answer_is_cut_and_recognised(tmp_path):
    course, long = Class(tmp_path), "long " * 100_000
    course.grade(ada=long)
    course.type("ada", points="3")
    assert course.grade(ada=long)["ada"] == (3, "") and len(course.rows()[0]["answer"]) == 32_000
