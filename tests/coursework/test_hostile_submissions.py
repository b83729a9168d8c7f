"""No malicious submission gets a point or reaches anything in isolation. Without isolation, some do."""

import pytest

from helpers.coursework import collecting, exercises, grading
from helpers.coursework.sandbox import Limits
from tests.coursework.hostile_submissions import ATTACKS, attack

QUICK = ("deletes the grader's files", "opens a socket", "prints its own score", "kills the grader")

# What each reaches where nothing isolates it. The others reach nothing there either.
WITHOUT_ISOLATION = {
    "deletes the grader's files": "deleted hidden_checks.txt",
    "changes the other student's grade": "changed graded/results/ada.json",
    "plants a file among the grader's": "changed planted.txt",
    "reads the hidden checks": "read a file of the grader's",
    "opens a socket": "reached the network",
    "leaves processes behind": "left processes behind",
}


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ATTACKS]
)
def test_isolated_it_scores_nothing_and_touches_nothing(name):
    harm = attack(name, isolate=True)
    assert (harm.scored, harm.touched) == (0, [])
    assert 0 < len(harm.message) <= 500
    harm.message.encode("utf-8")  # or no page could be written, for anybody


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_without_isolation_it_reaches_what_the_guide_says(name):
    harm = attack(name, isolate=False)
    stolen = 5 if name == "takes the published solution from the project" else 0
    assert harm.scored == stolen
    if name in WITHOUT_ISOLATION:
        assert WITHOUT_ISOLATION[name] in harm.touched
    else:
        assert harm.touched == []


def test_a_submission_beside_hostile_ones_gets_its_points(tmp_path):
    solved = {exercise.name: exercise.source for exercise in exercises.all_exercises()}
    hang = {"token_masking": ATTACKS["loops forever"]}
    crash = {"token_masking": ATTACKS["ends Python as if all were well"]}
    submissions = [
        collecting.Submission(name, 0, {}, answers)
        for name, answers in (("eve", hang), ("ada", solved), ("mallory", crash), ("zoe", solved))
    ]
    grades = grading.grade(submissions, tmp_path, limits=Limits(seconds=5))
    assert [grade.total() for grade in grades] == [0, 25, 0, 25]
    assert "not tried" in grades[0].outcomes["token_masking_3"].message
