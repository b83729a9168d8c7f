"""Each wrong solution loses the points that it should and no others, and the messages name the mistake."""

import re

import pytest

from helpers.coursework import exercises
from tests.coursework.wrong_solutions import ALL, SOLUTIONS, expected, lost

SAMPLE = (  # run by make test; the others are slow together
    "more than three",
    "label taken too late",
    "stops at a word that does not fit",
    "lengths clipped",
    "tags compared",
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
