"""Each suspect shows its bug in the counts that its verdict asks for, and in no others."""

import random
from collections import Counter

import pytest

from helpers import suspects

WORDS = [-1, *range(50), -1, *range(50, 60), -1, -1, -1]
IDS = [2, *range(100, 150), 3, *range(150, 160), 3, 0, 0]
TEXT = [place for place, word in enumerate(WORDS) if word >= 0]
ORDINARY = range(5, 1000)


def counted(name, rows=2000):
    """What the counts say about a suspect, as the names of the bugs that they show."""
    rng, hidden, labels, fates = random.Random(1), Counter(), [], Counter()
    for _ in range(rows):
        seen, answers = suspects.SUSPECTS[name](list(IDS), list(WORDS), 4, ORDINARY, rng)
        places = [place for place, answer in enumerate(answers) if answer != -100]
        assert all(answers[place] == IDS[place] for place in places) and len(seen) == len(IDS)
        hidden.update(places)
        labels.append(len(places))
        fates.update({4: "[MASK]", IDS[place]: "left"}.get(seen[place], "random") for place in places)
    share = {fate: fates[fate] / fates.total() for fate in ("[MASK]", "random", "left")}
    rates = [hidden[place] / rows for place in TEXT]
    shown = {
        "special token": hidden.total() > sum(hidden[place] for place in TEXT),
        "missing labels": sum(labels) / rows < 8.5,  # of 9
        "varying budget": len(set(labels)) > 1 and share["left"] > 0.05,
        "same masks": max(rates) == 1,
        "safe place": sum(rate == 0 for rate in rates) == 1,
        "wrong mix": share["random"] < 0.05,
    }
    return {bug for bug, there in shown.items() if there}


@pytest.mark.parametrize("name", suspects.BUGS)
def test_a_suspect_shows_its_own_bug_and_no_other(name):
    bug = suspects.BUGS[name]
    assert counted(name) == ({bug} if bug != "right" else set())


def test_one_is_right_and_more_can_be_said_than_is_true():
    bugs = list(suspects.BUGS.values())
    assert bugs.count("right") == 1 and len(set(bugs)) == len(bugs)
    assert set(bugs) < set(suspects.VERDICTS)
