"""Each wrong solution loses the points that it should and no others, and the messages name the mistake."""

import re

import pytest

from helpers.coursework import exercises
from tests.coursework.wrong_solutions import SOLUTIONS, expected, lost

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
    graded = {task.name for task in exercises.all_exercises() if not task.written}
    assert {solution.exercise for solution in wrong} == graded
    assert {one.exercise for one in SOLUTIONS if one.name in SAMPLE} == graded


def test_every_point_is_lost_by_a_wrong_algorithm():
    """Not only by code that does not run at all."""
    for task in exercises.all_exercises():
        taken = {n for one in SOLUTIONS if one.exercise == task.name for n in one.loses if n != "every point"}
        assert task.written or taken == set(range(1, len(task.points) + 1)), task.name
