"""Differences between arms, and by how much they change, against numbers made by hand."""

import pandas as pd
import pytest

from helpers import contrasts, scoring

FOUND = {  # long names that are found, of 100
    ("small", "token"): (40, 50),
    ("small", "span"): (46, 52),
    ("large", "token"): (50, 51),
    ("large", "span"): (53, 57),
}


def table(found=FOUND):
    rows = [
        {"corpus": "world", "condition": size, "arm": arm, "replicate": replicate, "correct": correct}
        | {"mask_rate": 0.15, "tokens_seen": 1, "labelled_sentences": 1, "subset": 0, "length": "3"}
        | {"type": "person", "novelty": "any", "pieces": "3", "gold": 100, "predicted": 100}
        for (size, arm), several in found.items()
        for replicate, correct in enumerate(several)
    ]
    return pd.DataFrame(rows).assign(**dict.fromkeys(scoring.COUNT_COLUMNS[3:], 0))


def test_a_change_is_paired_by_replicate():
    steps = [("span", "token")]
    lengths = {"long": ("3",)}
    (change,) = contrasts.changes(table(), "condition", "small", "large", lengths, steps).itertuples()
    expected = scoring.interval([(53 - 50) - (46 - 40), (57 - 51) - (52 - 50)])
    assert (change.mean, change.low, change.high, change.n) == pytest.approx(expected)
    assert (change.step, change.length, change.support) == ("span − token", "long", 100)
    each = contrasts.differences(table(), "condition", lengths, steps).set_index("condition")["mean"]
    assert change.mean == pytest.approx(each["large"] - each["small"])


def test_both_differences_stand_beside_their_change_in_the_order_asked_for():
    given = table(), "condition", "small", "large", {"long": ("3",)}, [("span", "token")]
    small, large, change = contrasts.with_change(*given).itertuples()
    assert [row.condition for row in (small, large, change)] == ["small", "large", "change"]
    assert change.mean == pytest.approx(large.mean - small.mean)
    (alone,) = contrasts.changes(*given).itertuples()
    assert (change.low, change.high) == (alone.low, alone.high)


def test_a_replicate_without_one_of_the_values_is_left_out_and_none_at_all_is_an_error():
    found = {**FOUND, ("large", "token"): (50,), ("large", "span"): (53,)}
    (change,) = contrasts.changes(
        table(found), "condition", "small", "large", {"long": ("3",)}, [("span", "token")]
    ).itertuples()
    assert change.n == 1 and change.mean == pytest.approx(-3)
    with pytest.raises(ValueError, match="at both small and huge of condition"):
        contrasts.changes(table(), "condition", "small", "huge", {"long": ("3",)}, [("span", "token")])
