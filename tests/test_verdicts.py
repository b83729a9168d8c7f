"""Verdicts on synthetic tables whose true answer is known: each statement can come out each way."""

import numpy as np
import pandas as pd
import pytest

from helpers import verdicts

GOLD = {"1": 330, "2": 350, "3": 160, "4": 90, "5+": 80}
BUDGETS, SIZES = (1_000_000, 2_000_000, 4_000_000), (25, 50, 100, 200, 400)
SAME = dict.fromkeys(verdicts.ARCHITECTURE_CHECKS, True)


def make_table(gain, *, replicates=8, noise=0.3, span_tokens=1.0, span_labels=1.0, slices=True):
    """Results in which F1 grows by 10 points with each doubling of tokens or labelled sentences.

    `gain`: span - token in F1 at each length. `span_tokens`, `span_labels`: how many times as many of them
    span needs for the same F1.
    """
    random = np.random.default_rng(0)
    cells = {(BUDGETS[-1], 100)}
    if slices:
        cells |= {(tokens, 100) for tokens in BUDGETS} | {(BUDGETS[-1], labels) for labels in SIZES}
    rows = []
    for replicate in range(replicates):
        level = random.normal(60, 8)  # another world, another level: shared by the arms of a replicate
        for tokens, labels in sorted(cells):
            for arm in ("token", "span"):
                span = arm == "span"
                doublings = np.log2(tokens / BUDGETS[-1]) + np.log2(labels / 100)
                doublings -= span * (np.log2(span_tokens) + np.log2(span_labels))
                for length, gold in GOLD.items():
                    score = level + 10 * doublings + span * gain[length] + random.normal(0, noise)
                    row = {"corpus": "world", "arm": arm, "replicate": replicate, "mask_rate": 0.15}
                    row |= {"tokens_seen": tokens, "labelled_sentences": labels, "subset": 0, "type": "PER"}
                    row |= {"novelty": "text", "length": length, "gold": 100 * gold, "predicted": 100 * gold}
                    rows.append(row | {"correct": round(score * gold)})  # F1 = correct / gold
    return pd.DataFrame(rows)


def make_cost(ratio, replicates=8):
    random = np.random.default_rng(1)
    rows = []
    for replicate in range(replicates):
        machine = random.uniform(0.02, 0.06)
        rows += [
            {"arm": arm, "replicate": replicate, "seconds_per_step": machine * r * random.normal(1, 0.01)}
            for arm, r in {"token": 1, "span": ratio}.items()
        ]
    return pd.DataFrame(rows)


def gain(short, long):
    return {"1": short, "2": short, "3": long, "4": long, "5+": long}


def judge(table, **other):
    return verdicts.judge(table, **other).set_index("statement")


def test_one_row_per_statement_with_its_rule():
    table = verdicts.judge(make_table(gain(0, 0)), SAME, make_cost(1))
    assert table["statement"].tolist() == [1, 2, 3, 4, 5]
    assert set(table["verdict"]) <= {"supported", "contradicted", "cannot tell"}
    assert (table["rule"].str.len() > 20).all()
    assert (table["reason"].str.len() > 10).all()


# --- 1: architecture -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("checks", "verdict"),
    [
        (SAME, "contradicted"),
        (SAME | {"same_shapes": False}, "supported"),
        (SAME | {"forward_accepts_both": False, "same_initial_weights": False}, "supported"),
        (SAME | {"same_initial_weights": False}, "cannot tell"),
        (None, "cannot tell"),
    ],
)
def test_statement_1(checks, verdict):
    assert judge(make_table(gain(0, 0), replicates=1), architecture=checks).loc[1, "verdict"] == verdict


def test_statement_1_wants_every_check():
    with pytest.raises(ValueError, match="architecture lacks same_shapes"):
        verdicts.judge(make_table(gain(0, 0)), {k: True for k in SAME if k != "same_shapes"})


# --- 2 and 3: differences in F1 ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gains", "noise", "verdict"),
    [
        (gain(0, 0), 0.3, "supported"),
        (gain(0.3, -0.3), 0.1, "supported"),
        (gain(0, 4), 0.3, "contradicted"),
        (gain(-4, 0), 0.3, "contradicted"),
        (gain(-2, 4), 0.3, "contradicted"),  # they cancel overall
        (gain(0, 0), 6, "cannot tell"),
        (gain(1, 1), 0.3, "cannot tell"),  # right on the threshold
    ],
)
def test_statement_2(gains, noise, verdict):
    assert judge(make_table(gains, noise=noise)).loc[2, "verdict"] == verdict


@pytest.mark.parametrize(
    ("gains", "noise", "verdict"),
    [
        (gain(0, 3), 0.3, "supported"),
        (gain(3, 3), 0.3, "supported"),
        (gain(3, -3), 0.3, "contradicted"),
        (gain(0, 0.2), 6, "cannot tell"),
    ],
)
def test_statement_3(gains, noise, verdict):
    row = judge(make_table(gains, noise=noise)).loc[3]
    assert row["verdict"] == verdict
    assert row["replicates"] == 8
    assert row["cases"] == 8 * 100 * (160 + 90 + 80)
    assert row["low"] < row["effect"] < row["high"]


def test_the_difference_of_differences_is_measured():
    measured = verdicts.measures(make_table(gain(2, 5), noise=0.2)).set_index("name")
    assert measured.loc["span - token, 3+ words", "effect"].tolist() == pytest.approx([5, 5], abs=0.5)
    assert measured.loc["the same minus that at 1-2 words", "effect"] == pytest.approx(3, abs=0.5)


# --- 4: cost ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "span_tokens", "verdict"),
    [
        (1.0, 1.0, "contradicted"),
        (1.1, 0.7, "contradicted"),
        (1.6, 1.0, "supported"),
        (1.0, 2.0, "supported"),
        (1.25, 1.0, "cannot tell"),
        (1.0, 1.25, "cannot tell"),
    ],
)
def test_statement_4(step, span_tokens, verdict):
    table = make_table(gain(0, 0), span_tokens=span_tokens)
    assert judge(table, cost=make_cost(step)).loc[4, "verdict"] == verdict


@pytest.mark.parametrize("span_tokens", [0.6, 1.0, 1.7])
def test_tokens_and_seconds_for_the_same_f1(span_tokens):
    table = make_table(gain(0, 0), span_tokens=span_tokens, noise=0.1)
    measured = verdicts.measures(table, make_cost(1.2)).set_index("name")
    assert measured.loc["seconds per step, span / token", "effect"] == pytest.approx(1.2, rel=0.02)
    assert measured.loc["tokens for the same F1, span / token", "effect"] == pytest.approx(
        span_tokens, rel=0.03
    )
    seconds = measured.loc["seconds for the same F1, span / token"]
    assert seconds["effect"] == pytest.approx(1.2 * span_tokens, rel=0.05)
    assert seconds["low"] < seconds["effect"] < seconds["high"]


def test_a_span_arm_far_behind_is_known_by_a_lower_bound():
    """Even at the first budget token is better than span at the last: at least four times the tokens."""
    measured = verdicts.measures(make_table(gain(0, 0), span_tokens=8)).set_index("name")
    tokens = measured.loc["tokens for the same F1, span / token"]
    assert (tokens["effect"], tokens["at_least"], tokens["at_most"]) == (pytest.approx(4), 8, 0)
    assert judge(make_table(gain(0, 0), span_tokens=8)).loc[4, "verdict"] == "supported"


def test_statement_4_needs_both_numbers_to_be_contradicted():
    table = make_table(gain(0, 0))
    assert "not measured" in judge(table).loc[4, "reason"]
    assert judge(table).loc[4, "verdict"] == "cannot tell"
    one_budget = judge(make_table(gain(0, 0), slices=False), cost=make_cost(1)).loc[4]
    assert one_budget["verdict"] == "cannot tell"
    assert "numbers of tokens seen" in one_budget["reason"]


def on_devices(cost, mixed, factor):
    """The costs with a device; in the `mixed` replicates span ran on a machine `factor` times as slow."""
    slow = (cost["arm"] == "span") & cost["replicate"].isin(mixed)
    seconds = cost["seconds_per_step"].where(~slow, factor * cost["seconds_per_step"])
    return cost.assign(seconds_per_step=seconds, device=np.where(slow, "CPU", "H100"))


@pytest.mark.parametrize(
    ("step", "factor", "verdict"),
    [
        (1.0, 10, "contradicted"),  # the mixed pairs would make it look much more expensive
        (1.6, 0.1, "supported"),  # and here hide that it is
    ],
)
def test_arms_on_different_machines_are_not_compared(step, factor, verdict):
    table = make_table(gain(0, 0), replicates=12)
    cost = on_devices(make_cost(step, replicates=12), mixed=[1, 4, 6], factor=factor)
    assert judge(table, cost=cost.drop(columns="device")).loc[4, "verdict"] != verdict
    assert judge(table, cost=cost).loc[4, "verdict"] == verdict
    measured = verdicts.measures(table, cost).set_index("name")
    for name in ("seconds per step, span / token", "seconds for the same F1, span / token"):
        assert measured.loc[name, "replicates"] == 9
        assert "3 replicates left out: their arms ran on different machines" in measured.loc[name, "note"]
    assert measured.loc["tokens for the same F1, span / token", "replicates"] == 12


def test_one_machine_for_all_is_the_same_as_no_device():
    table, cost = make_table(gain(0, 0)), make_cost(1.1)
    assert verdicts.measures(table, cost.assign(device="H100")).equals(verdicts.measures(table, cost))


def test_each_replicate_may_have_its_own_machine():
    table, cost = make_table(gain(0, 0)), make_cost(1.1)
    own = cost.assign(device=cost["replicate"].map(lambda number: "H100" if number % 2 else "CPU"))
    assert verdicts.measures(table, own).equals(verdicts.measures(table, cost))


def test_an_unknown_machine_is_not_taken_for_a_known_one():
    cost = on_devices(make_cost(1), mixed=[2], factor=10).replace({"device": {"CPU": None}})
    measured = verdicts.measures(make_table(gain(0, 0)), cost).set_index("name")
    step = measured.loc["seconds per step, span / token"]
    assert (step["replicates"], step["effect"]) == (7, pytest.approx(1, rel=0.02))
    assert step["note"] == "1 replicate left out: its arms ran on different machines"


def test_the_machine_of_a_third_arm_does_not_matter():
    table, cost = make_table(gain(0, 0)), make_cost(1).assign(device="H100")
    third = cost[cost["arm"] == "token"].assign(arm="whole_word", device="CPU")
    assert verdicts.measures(table, pd.concat([cost, third])).equals(verdicts.measures(table, cost))


@pytest.mark.parametrize(("mixed", "left_out"), [([3], "1 replicate left"), (range(8), "8 replicates left")])
def test_the_reason_says_how_many_replicates_were_left_out(mixed, left_out):
    row = judge(make_table(gain(0, 0)), cost=on_devices(make_cost(1), mixed, factor=10)).loc[4]
    assert row["verdict"] == "cannot tell"
    assert left_out in row["reason"]


# --- 5: labelled sentences ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("span_labels", "noise", "verdict"),
    [(0.5, 0.3, "supported"), (1.8, 0.3, "contradicted"), (1.0, 0.3, "cannot tell"), (0.9, 6, "cannot tell")],
)
def test_statement_5(span_labels, noise, verdict):
    row = judge(make_table(gain(0, 0), span_labels=span_labels, noise=noise)).loc[5]
    assert row["verdict"] == verdict
    if noise < 1:
        assert row["effect"] == pytest.approx(span_labels, rel=0.05)


def test_never_reached_is_a_lower_bound():
    row = judge(make_table(gain(0, 0), span_labels=8)).loc[5]
    assert (row["verdict"], row["effect"]) == ("contradicted", pytest.approx(4))
    assert "at least this in 8 replicates" in row["reason"]


def test_one_replicate_that_never_gets_there_forbids_support():
    table = make_table(gain(0, 0), span_labels=0.3, noise=0.1)
    assert judge(table).loc[5, "verdict"] == "supported"
    hopeless = (table["arm"] == "span") & (table["replicate"] == 3) & (table["tokens_seen"] == BUDGETS[-1])
    table.loc[hopeless, "correct"] = 0
    row = judge(table).loc[5]
    assert row["verdict"] == "cannot tell"
    assert "at least this in 1 replicate" in row["reason"]


# --- what is missing -----------------------------------------------------------------------------------


def test_fewer_than_eight_replicates_cannot_tell():
    table = judge(make_table(gain(5, 9), replicates=7, span_labels=0.5), cost=make_cost(3, replicates=7))
    for statement in (2, 3, 4, 5):
        assert table.loc[statement, "verdict"] == "cannot tell"
        assert table.loc[statement, "reason"] == "your run alone cannot tell: 7 of 8 replicates"
        assert np.isfinite(table.loc[statement, "effect"])


def test_one_replicate_has_an_effect_but_no_interval():
    row = judge(make_table(gain(0, 3), replicates=1)).loc[3]
    assert row["effect"] == pytest.approx(3, abs=1.5)
    assert np.isnan(row["low"])
    assert row["verdict"] == "cannot tell"


def test_missing_slices_say_what_is_missing():
    table = judge(make_table(gain(0, 0), slices=False))
    assert table.loc[5, "verdict"] == "cannot tell"
    assert "two or more numbers" in table.loc[5, "reason"]
    assert table.loc[2, "verdict"] == "supported"  # the core cell is enough for this one


@pytest.mark.parametrize("arms", [["token"], ["span"], []])
def test_missing_arms_cannot_tell(arms):
    table = make_table(gain(0, 0))
    table = judge(table[table["arm"].isin(arms)])
    assert (table["verdict"] == "cannot tell").all()
    assert "no replicate has both arms" in table.loc[2, "reason"]
