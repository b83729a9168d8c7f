"""Each wrong solution loses the points that it should and no others, and the messages name the mistake."""

import re

import pytest

from helpers import checks
from helpers.coursework import exercises, grading
from helpers.coursework.sandbox import Limits
from tests.coursework.wrong_solutions import ALL, SOLUTIONS, expected, lost

SAMPLE = (  # run by make test; the others are slow together
    "more than three",
    "not a number",
    "label taken too late",
    "ids for places",
    "stops at a word that does not fit",
    "lengths clipped",
    "last span drawn again",
    "tags compared",
    "every B replaced",
    "prediction in gold's bucket",
)


def marked(solution):
    marks = () if solution.name in SAMPLE else pytest.mark.slow
    return pytest.param(solution, id=solution.name, marks=marks)


@pytest.mark.parametrize("solution", [marked(solution) for solution in SOLUTIONS])
def test_loses_what_it_should(solution):
    wanted, found = expected(solution), lost(solution)
    assert set(found) == set(wanted), f"messages: {found}"
    unnamed = {point: found[point] for point in wanted if not re.search(wanted[point], found[point])}
    assert not unnamed, "the message does not name the mistake"


def test_the_list():
    names = [solution.name for solution in SOLUTIONS]
    assert len(names) == len(set(names))
    assert set(SAMPLE) <= set(names)
    wrong = [solution for solution in SOLUTIONS if solution.loses]
    assert len(wrong) >= 80
    graded = {exercise.name for exercise in exercises.all_exercises() if not exercise.written}
    assert {solution.exercise for solution in wrong} == graded
    assert {solution.exercise for solution in SOLUTIONS if solution.name in SAMPLE} == graded


def test_every_point_is_lost_by_a_wrong_algorithm():
    """Not only by code that does not run at all."""
    for exercise in exercises.all_exercises():
        wrong = [solution for solution in SOLUTIONS if solution.exercise == exercise.name]
        taken = {point for solution in wrong for point in solution.loses if point != ALL}
        assert exercise.written or taken == set(range(1, len(exercise.points) + 1)), exercise.name


# What students see before they hand in.
VISIBLE = {
    "ids for places": "choose places in the row, not ids",
    "place of the token by index": "choose places in the row",
    "budget over the set of tokens": "count every token for the budget",
    "half rounded up": "Python's round makes that 2",
    "half rounded up, words": "Python's round makes that 2",
    "words counted from 0": "may have gaps",
    "only the start looked at": "look at all its words",
    "type of three letters": "only the letter before the -",
    "every B replaced": "only the letter before the -",
    "neighbours joined with label_all": "side by side became one",
}


def shown(solution, capsys):
    """What the check in the student's notebook prints."""
    found = exercises.imports(exercise_of(solution).notebook, solution.source, with_helpers=False)
    names = {}
    exec(found, names)
    exec(solution.source, names)
    capsys.readouterr()
    checks.check(solution.exercise, names[solution.exercise])
    return capsys.readouterr().out


def exercise_of(solution):
    return next(found for found in exercises.all_exercises() if found.name == solution.exercise)


@pytest.mark.parametrize("name", VISIBLE)
def test_the_visible_check_names_the_mistake(name, capsys):
    (solution,) = (solution for solution in SOLUTIONS if solution.name == name)
    assert VISIBLE[name] in shown(solution, capsys)


@pytest.mark.parametrize("name", [solution.name for solution in SOLUTIONS if not solution.loses])
def test_the_visible_check_accepts_what_is_right(name, capsys):
    (solution,) = (solution for solution in SOLUTIONS if solution.name == name)
    assert shown(solution, capsys).endswith("passed\n")


def test_a_right_solution_seldom_loses_a_point_by_bad_luck(monkeypatch):
    """All questions of the form "would a right solution give this count?" are asked at one level."""
    asked = []
    monkeypatch.setattr(checks, "unlikely", lambda *counts: asked.append(counts))
    for exercise in exercises.all_exercises():
        for point in exercise.points:
            if "checks.unlikely(" in point.source:
                outcome = grading.grade_point(exercise, point, exercise.source, 0, [], Limits(seconds=60))
                assert outcome.earned == point.points, outcome.message
    assert len(asked) > 100, "or nothing is tested by chance any more"
    assert len(asked) * checks.UNLIKELY < 1e-6
