"""Verdicts on synthetic tables whose true answer is known: each statement can come out each way."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from helpers import verdicts

GOLD = {"1": 330, "2": 350, "3": 160, "4": 90, "5+": 80}
BUDGETS, SIZES = (1_000_000, 2_000_000, 4_000_000), (25, 50, 100, 200, 400)
SAME = dict.fromkeys(verdicts.ARCHITECTURE_CHECKS, True)
UNDECIDED = "cannot tell"
DEPENDS = "depends on the target"
PARTS = [(1, ""), (2, ""), (3, "a"), (3, "b"), (3, "c"), (4, ""), (5, "")]
STEP = "seconds per step, span / token"
LAST_SECONDS = "seconds for token's last F1, span / token"


def tokens_at(budget):
    return f"tokens for token's F1 after {budget:,} tokens, span / token"


def labelled_at(size):
    return f"labelled sentences for token's F1 / {size}"


def gain(short, long):
    return {"1": short, "2": short, "3": long, "4": long, "5+": long}


NO_GAIN = gain(0, 0)


def rows_of(arm, replicate, tokens, labels, score, invented=0.0):
    """A row per length. `score`: recall at each length. `invented`: false names, as a share."""
    cell = {"corpus": "world", "arm": arm, "replicate": replicate, "mask_rate": 0.15, "tokens_seen": tokens}
    cell |= {"labelled_sentences": labels, "subset": 0, "type": "PER", "novelty": "text"}
    return [
        cell
        | {"length": length, "gold": 100 * gold, "predicted": round(100 * gold * (1 + invented))}
        | {"correct": round(score[length] * gold)}  # without invented names, F1 = recall = precision
        for length, gold in GOLD.items()
    ]


def make_table(
    gains,
    words=NO_GAIN,
    *,
    replicates=8,
    noise=0.3,
    span_tokens=1.0,
    span_labels=1.0,
    slices=True,
    invented=0.0,
):
    """Results in which F1 grows by 10 points with each doubling of tokens or labelled sentences.

    `gains`, `words`: span - token and whole_word - token in recall at each length; no whole_word if None.
    `span_tokens`, `span_labels`: how many times as many of them span needs for the same F1. `invented`: names
    that span invents, which cost it F1 and no recall.
    """
    random = np.random.default_rng(0)
    cells = {(BUDGETS[-1], 100)}
    if slices:
        cells |= {(tokens, 100) for tokens in BUDGETS} | {(BUDGETS[-1], labels) for labels in SIZES}
    arms = {"token": NO_GAIN, "span": gains} | ({} if words is None else {"whole_word": words})
    rows = []
    for replicate in range(replicates):
        level = random.normal(60, 8)  # another world, another level: shared by the arms of a replicate
        for tokens, labels in sorted(cells):
            for arm, plus in arms.items():
                doublings = np.log2(tokens / BUDGETS[-1]) + np.log2(labels / 100)
                doublings -= (arm == "span") * (np.log2(span_tokens) + np.log2(span_labels))
                score = {
                    length: level + 10 * doublings + plus[length] + random.normal(0, noise) for length in GOLD
                }
                rows += rows_of(arm, replicate, tokens, labels, score, invented * (arm == "span"))
    return pd.DataFrame(rows)


make_core = partial(make_table, slices=False)


def make_curves(token, span, *, places=BUDGETS, replicates=8, noise=0.1):
    """Results with these F1 values, by tokens seen or by labelled sentences.

    `span` may be a function of the replicate.
    """
    random = np.random.default_rng(2)
    rows = []
    for replicate in range(replicates):
        curves = {"token": token, "span": span(replicate) if callable(span) else span}
        for arm, curve in curves.items():
            for place, f1 in zip(places, curve, strict=True):
                cell = (place, 100) if places is BUDGETS else (BUDGETS[-1], place)
                rows += rows_of(
                    arm, replicate, *cell, dict.fromkeys(GOLD, f1 + random.normal(0, noise) if f1 else 0)
                )
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


def judge(table, **other):
    """The verdicts, with names such as 2 and "3a"."""
    judged = verdicts.judge(table, **other)
    return judged.set_index(judged["statement"].astype(str) + judged["part"])


def measured(*arguments):
    found = verdicts.measures(*arguments).set_index("name")
    assert found.index.is_unique
    return found


def test_one_row_per_statement_and_part_with_its_rule():
    table = verdicts.judge(make_table(NO_GAIN), SAME, make_cost(1))
    assert list(zip(table["statement"], table["part"], strict=True)) == PARTS
    assert set(table["verdict"]) <= {"supported", "contradicted", UNDECIDED, DEPENDS}
    assert (table["rule"].str.len() > 20).all()
    assert (table["reason"].str.len() > 10).all()
    assert table["text"].is_unique
    assert table.loc[2, "text"] == verdicts.STATEMENTS[3]
    assert table["unit"].tolist() == ["checks", "F1", "recall", "recall", "recall", "ratio", "ratio"]


def test_arms_of_no_concern_change_nothing():
    table = make_core(gain(1, 3))
    others = [
        table[table["arm"] == "token"].assign(arm=arm, correct=0, tokens_seen=9_000_000)
        for arm in ("span_short", "mentions", "span_boundary")
    ]
    assert verdicts.judge(pd.concat([table, *others])).equals(verdicts.judge(table))


# --- 1: architecture -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("checks", "verdict"),
    [
        (SAME, "contradicted"),
        (SAME | {"same_shapes": False}, "supported"),
        (SAME | {"forward_accepts_both": False, "same_initial_weights": False}, "supported"),
        (SAME | {"same_initial_weights": False}, UNDECIDED),
        (None, UNDECIDED),
    ],
)
def test_statement_1(checks, verdict):
    assert judge(make_core(NO_GAIN, replicates=1), architecture=checks).loc["1", "verdict"] == verdict


def test_statement_1_wants_every_check():
    with pytest.raises(ValueError, match="architecture lacks same_shapes"):
        verdicts.judge(make_core(NO_GAIN), {k: True for k in SAME if k != "same_shapes"})


# --- 2: differences in F1 ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gains", "noise", "verdict"),
    [
        (gain(0, 0), 0.3, "supported"),
        (gain(0.8, -0.8), 0.1, "supported"),
        (gain(4, 4), 0.3, "contradicted"),
        (gain(-4, -4), 0.3, "contradicted"),
        (gain(1.5, 1.5), 0.1, "contradicted"),  # within ±2, and yet outside ±1
        (gain(-1.5, 4), 0.3, UNDECIDED),  # they cancel overall: long names alone are not the estimand
        (gain(0.2, 2.4), 0.1, UNDECIDED),  # long names forbid support
        (gain(2.2, -3), 0.1, UNDECIDED),  # and so do short ones
        (gain(0, 0), 6, UNDECIDED),
    ],
)
def test_statement_2(gains, noise, verdict):
    row = judge(make_core(gains, noise=noise)).loc["2"]
    assert row["verdict"] == verdict
    assert "would say" in row["reason"]


def test_statement_2_is_about_f1():
    assert judge(make_core(NO_GAIN, invented=0.2)).loc["2", "verdict"] == "contradicted"


def within(limits90, low=-9.0, high=9.0):
    """A difference of 8 replicates with this 90% interval."""
    return verdicts.Measure(2, "", "F1", "F1", 0, low, high, *limits90, replicates=8)


@pytest.mark.parametrize(
    ("everything", "long", "verdict"),
    [
        ((-1.9, 1.9), (-1.9, 1.9), "supported"),  # the 95% intervals are wider, and do not count
        ((-2.1, 1.9), (-1.9, 1.9), UNDECIDED),
        ((-1.9, 1.9), (-1.9, 2.1), UNDECIDED),
    ],
)
def test_equivalence_is_a_matter_of_90_percent_intervals(everything, long, verdict):
    assert verdicts._no_difference(within(everything), within((-1, 1)), within(long))[0] == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.9, 3, UNDECIDED),
        (1.1, 3, "contradicted"),
        (-3, -0.9, UNDECIDED),
        (-3, -1.1, "contradicted"),
    ],
)
def test_a_difference_is_a_matter_of_the_95_percent_interval(low, high, verdict):
    three = within((-3, 3), low, high), within((-3, 3)), within((-3, 3))
    assert verdicts._no_difference(*three)[0] == verdict


def chance(table):
    return int(judge(table).loc["2", "reason"].split("with a chance of ")[1].split("%")[0])


def test_the_chance_of_supported():
    assert chance(make_core(NO_GAIN, noise=0.1)) == 100
    assert chance(make_core(NO_GAIN, noise=9)) == 0
    assert chance(make_core(gain(9, 9), noise=0.1)) == 100  # it speaks of the spread, not of the result


def test_the_chance_agrees_with_a_calculation_by_hand():
    """Three equal columns in 8 replicates: the mean is z sd / √8, and must lie within 2 - 1.895 sd / √8. So
    the chance is that of |z| < 2 √8 / sd - 1.895, which is 3.76, 2.15, 0.93, 0.13 and none.
    """
    values = np.array([-1, 1, -1, 1, -1, 1, -1, 1]) / np.sqrt(8 / 7)
    for sd, by_hand in [(1.0, 100), (1.4, 97), (2.0, 65), (2.8, 10), (3.0, 0)]:
        table = pd.DataFrame({length: sd * values for length in verdicts.LENGTHS})
        said = verdicts._chance_of_supported(table)
        assert int(said.split("chance of ")[1].rstrip("%")) == pytest.approx(by_hand, abs=1)


def test_the_chance_heeds_correlation():
    random = np.random.default_rng(3)
    apart = pd.DataFrame(random.normal(size=(400, 3)), columns=list(verdicts.LENGTHS))[:40]
    apart = 6 * (apart - apart.mean()) / apart.std()
    together = pd.DataFrame({length: apart["all names"] for length in verdicts.LENGTHS})
    one, three = (int(verdicts._chance_of_supported(t)[-4:].strip(" f%")) for t in (together, apart))
    assert three < one - 10


# --- 3: recall of long names ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gains", "noise", "verdict"),
    [
        (gain(0, 3), 0.3, "supported"),
        (gain(3, 3), 0.3, "supported"),
        (gain(3, -3), 0.3, "contradicted"),
        (gain(0, 0.2), 6, UNDECIDED),
    ],
)
def test_statement_3a(gains, noise, verdict):
    row = judge(make_core(gains, noise=noise)).loc["3a"]
    assert row["verdict"] == verdict
    assert row["replicates"] == 8
    assert row["cases"] == 8 * 100 * (160 + 90 + 80)
    assert row["low"] < row["effect"] < row["high"]


def test_statement_3_is_about_recall():
    """Invented names cost F1, and no name that is found is lost."""
    table = judge(make_core(gain(3, 3), invented=0.3))
    assert table.loc["2", "effect"] < -3
    assert table.loc["3a", "verdict"] == "supported"
    assert table.loc["3a", "effect"] == pytest.approx(3, abs=0.5)


@pytest.mark.parametrize(
    ("span", "words", "noise", "verdict", "answer"),
    [
        (6, 2, 0.3, "supported", "across words helps"),
        (2, 6, 0.3, "contradicted", "across words costs"),
        (6, 6, 0.3, "contradicted", "level"),
        (6, 6, 6, UNDECIDED, "neither helps nor costs nor level"),
        (6, 5.3, 0.1, "supported", "across words helps"),  # small, and yet certain
    ],
)
def test_statement_3b(span, words, noise, verdict, answer):
    row = judge(make_core(gain(0, span), gain(0, words), noise=noise)).loc["3b"]
    assert row["verdict"] == verdict
    assert row["reason"].startswith(answer)
    assert "contiguity within words: recall at 3+ words, whole_word - token: +" in row["reason"]
    assert row["text"] == "Contiguity across words is what helps."


def test_contiguity_within_and_across_words_add_up():
    found = measured(make_core(gain(1, 5), gain(0, 3)))["effect"]
    long = "recall at 3+ words, {}".format
    assert found[long("whole_word - token")] == pytest.approx(3, abs=0.5)
    assert found[long("span - whole_word")] == pytest.approx(2, abs=0.5)
    assert found[long("span - token")] == pytest.approx(
        found[long("whole_word - token")] + found[long("span - whole_word")]
    )


def test_without_whole_words():
    table = judge(make_core(gain(0, 3), words=None))
    assert table.loc["3b", "verdict"] == UNDECIDED
    assert "whole words were not run" in table.loc["3b", "reason"]
    assert table.loc["3a", "verdict"] == "supported"


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [(gain(1, 4), "supported"), (gain(4, 1), "contradicted"), (gain(4, 4), UNDECIDED)],
)
def test_statement_3c(gains, verdict):
    row = judge(make_core(gains)).loc["3c"]
    assert row["verdict"] == verdict
    assert row["text"] == "Long names gain more than short ones."
    assert row["effect"] == pytest.approx(gains["3"] - gains["1"], abs=0.5)
    assert row["cases"] == 8 * 100 * (160 + 90 + 80)


def test_statement_3a_is_wrong_in_one_run_of_twenty():
    random = np.random.default_rng(4)
    wrong = 0
    for values in random.normal(0, 5, size=(2000, 8)):
        differences = pd.DataFrame({"value": values, "support": 1})
        verdict, _ = verdicts._sign(verdicts._summary(3, "a", "recall", "recall", differences, ""))
        wrong += verdict != UNDECIDED
    assert wrong / 2000 == pytest.approx(0.05, abs=0.015)  # three standard errors


# --- 4: cost ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "span_tokens", "verdict"),
    [
        (1.0, 1.0, "contradicted"),
        (1.1, 0.7, "contradicted"),
        (1.6, 1.0, "supported"),
        (1.0, 2.0, "supported"),
        (1.25, 1.0, UNDECIDED),
        (1.0, 1.25, UNDECIDED),
    ],
)
def test_statement_4(step, span_tokens, verdict):
    table = make_table(NO_GAIN, span_tokens=span_tokens)
    assert judge(table, cost=make_cost(step)).loc["4", "verdict"] == verdict


# Span is behind at first and ahead at last. By hand: 40 lies two thirds of the way from 30 to 45, so 2^(2/3)
# million tokens; 50 at a fifth of the way from 45 to 70, so 2 * 2^0.2; 60 at three fifths, so 2 * 2^0.6.
CROSSING = make_curves(token=(40, 50, 60), span=(30, 45, 70))


def test_tokens_for_the_same_f1_at_each_budget_by_hand():
    found = measured(CROSSING, make_cost(1))["effect"]
    by_hand = [2 ** (2 / 3), 2 * 2**0.2 / 2, 2 * 2**0.6 / 4]
    assert [found[tokens_at(budget)] for budget in BUDGETS] == pytest.approx(by_hand, rel=0.02)


@pytest.mark.parametrize(("step", "verdict"), [(1.0, DEPENDS), (1.25, DEPENDS), (1.6, "supported")])
def test_the_cost_may_depend_on_the_target(step, verdict):
    row = judge(CROSSING, cost=make_cost(step)).loc["4"]
    assert row["verdict"] == verdict
    if verdict == DEPENDS:
        above, below = row["reason"].split("; below: ")
        assert tokens_at(BUDGETS[0]) in above
        assert all(tokens_at(budget) in below for budget in BUDGETS[1:])
    assert judge(CROSSING).loc["4", "verdict"] == DEPENDS  # that needs no seconds


@pytest.mark.parametrize("span_tokens", [0.6, 1.0, 1.7])
def test_tokens_and_seconds_for_the_same_f1(span_tokens):
    found = measured(make_table(NO_GAIN, span_tokens=span_tokens, noise=0.1), make_cost(1.2))
    assert found.loc[STEP, "effect"] == pytest.approx(1.2, rel=0.02)
    assert found.loc[tokens_at(BUDGETS[-1]), "effect"] == pytest.approx(span_tokens, rel=0.03)
    seconds = found.loc[LAST_SECONDS]
    assert seconds["effect"] == pytest.approx(1.2 * span_tokens, rel=0.05)
    assert seconds["low"] < seconds["effect"] < seconds["high"]
    behind = "for span's last F1 in 8 replicates that did not reach token's"
    assert (found.loc[tokens_at(BUDGETS[-1]), "note"] == behind) == (span_tokens == 1.7)


def test_a_span_arm_far_behind_is_known_by_lower_bounds():
    """Even at the first budget token is better than span at the last."""
    table = make_table(NO_GAIN, span_tokens=8)
    found = measured(table)
    for budget, ratio in zip(BUDGETS, (4, 2, 4), strict=True):
        row = found.loc[tokens_at(budget)]
        assert (row["effect"], row["at_least"], row["at_most"]) == (pytest.approx(ratio), 8, 0)
    assert judge(table).loc["4", "verdict"] == "supported"


def test_a_span_arm_far_ahead_is_known_by_upper_bounds():
    """At its first budget span is better than token at the last."""
    table = make_table(NO_GAIN, span_tokens=1 / 8)
    found = measured(table)
    for budget, ratio in zip(BUDGETS, (1, 0.5, 0.25), strict=True):
        row = found.loc[tokens_at(budget)]
        assert (row["effect"], row["at_least"], row["at_most"]) == (pytest.approx(ratio), 0, 8)
    assert judge(table, cost=make_cost(1)).loc["4", "verdict"] == "contradicted"


def test_a_bound_on_the_wrong_side_forbids_a_verdict():
    measure = verdicts.Measure(4, "", "tokens", "ratio", 1, 0.9, 1.1, 0.9, 1.1, 8, at_least=1)
    assert not measure.below(1.25)
    assert not verdicts.Measure(4, "", "tokens", "ratio", 2, 1.9, 2.1, 1.9, 2.1, 8, at_most=1).above(1.25)
    cheap = verdicts.Measure(4, "", "step", "ratio", 1, 0.9, 1.1, 0.9, 1.1, 8)
    assert verdicts._costs_more(cheap, cheap, measure, cheap)[0] == UNDECIDED
    assert verdicts._costs_more(cheap, cheap, cheap, measure)[0] == "contradicted"  # seconds do not vote


def test_statement_4_needs_all_numbers_to_be_contradicted():
    table = make_table(NO_GAIN)
    assert "not measured" in judge(table).loc["4", "reason"]
    assert judge(table).loc["4", "verdict"] == UNDECIDED
    one_budget = judge(make_table(NO_GAIN, slices=False), cost=make_cost(1)).loc["4"]
    assert one_budget["verdict"] == UNDECIDED
    assert "numbers of tokens seen" in one_budget["reason"]


def test_a_budget_with_too_few_replicates_has_no_vote():
    few = (CROSSING["tokens_seen"] == BUDGETS[0]) & (CROSSING["replicate"] == 5)
    row = judge(CROSSING[~few], cost=make_cost(1)).loc["4"]
    assert row["verdict"] == UNDECIDED
    assert row["reason"] == "your run alone cannot tell: 7 of 8 replicates"


def test_ratios_are_averaged_as_logarithms():
    """By hand: ratios 1 and 4 in turn. Logarithms ln 2 ± ln 2, sd = ln 2 √(8/7), t(7) = 2.3646."""
    cost = make_cost(1)
    cost["seconds_per_step"] = np.where(
        cost["arm"] == "token", 0.1, np.where(cost["replicate"] % 2, 0.4, 0.1)
    )
    row = judge(make_table(NO_GAIN), cost=cost).loc["4"]
    half = 2.364624 * np.log(2) / np.sqrt(7)
    by_hand = [2, 2 * np.exp(-half), 2 * np.exp(half)]
    assert row[["effect", "low", "high"]].tolist() == pytest.approx(by_hand)


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
    table = make_table(NO_GAIN, replicates=12)
    cost = on_devices(make_cost(step, replicates=12), mixed=[1, 4, 6], factor=factor)
    assert judge(table, cost=cost.drop(columns="device")).loc["4", "verdict"] != verdict
    assert judge(table, cost=cost).loc["4", "verdict"] == verdict
    found = measured(table, cost)
    for name in (STEP, LAST_SECONDS):
        assert found.loc[name, "replicates"] == 9
        assert "3 replicates left out: their arms ran on different machines" in found.loc[name, "note"]
    assert found.loc[tokens_at(BUDGETS[-1]), "replicates"] == 12


def test_one_machine_for_all_is_the_same_as_no_device():
    table, cost = make_table(NO_GAIN), make_cost(1.1)
    assert verdicts.measures(table, cost.assign(device="H100")).equals(verdicts.measures(table, cost))


def test_each_replicate_may_have_its_own_machine():
    table, cost = make_table(NO_GAIN), make_cost(1.1)
    own = cost.assign(device=cost["replicate"].map(lambda number: "H100" if number % 2 else "CPU"))
    assert verdicts.measures(table, own).equals(verdicts.measures(table, cost))


def test_an_unknown_machine_is_not_taken_for_a_known_one():
    cost = on_devices(make_cost(1), mixed=[2], factor=10).replace({"device": {"CPU": None}})
    step = measured(make_table(NO_GAIN), cost).loc[STEP]
    assert (step["replicates"], step["effect"]) == (7, pytest.approx(1, rel=0.02))
    assert step["note"] == "1 replicate left out: its arms ran on different machines"


def test_the_machine_of_a_third_arm_does_not_matter():
    table, cost = make_table(NO_GAIN), make_cost(1).assign(device="H100")
    third = cost[cost["arm"] == "token"].assign(arm="whole_word", device="CPU")
    assert verdicts.measures(table, pd.concat([cost, third])).equals(verdicts.measures(table, cost))


@pytest.mark.parametrize(("mixed", "left_out"), [([3], "1 replicate left"), (range(8), "8 replicates left")])
def test_the_reason_says_how_many_replicates_were_left_out(mixed, left_out):
    row = judge(make_table(NO_GAIN), cost=on_devices(make_cost(1), mixed, factor=10)).loc["4"]
    assert row["verdict"] == UNDECIDED
    assert left_out in row["reason"]


# --- 5: labelled sentences ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("span_labels", "noise", "verdict"),
    [(0.6, 0.3, "supported"), (1.8, 0.3, "contradicted"), (1.0, 0.3, UNDECIDED), (0.9, 6, UNDECIDED)],
)
def test_statement_5(span_labels, noise, verdict):
    table = make_table(NO_GAIN, span_labels=span_labels, noise=noise)
    row = judge(table).loc["5"]
    assert row["verdict"] == verdict
    if noise < 1:
        assert row["effect"] == pytest.approx(span_labels, rel=0.05)
        found = measured(table)["effect"]
        for size in (50, 100, 200):
            assert found[labelled_at(size)] == pytest.approx(span_labels, rel=0.05)


TOKEN = (30, 40, 50, 60, 70)  # with 25, 50, 100, 200, 400 labelled sentences


@pytest.mark.parametrize(
    ("span", "verdict"),
    [
        ((35, 45, 55, 65, 75), "supported"),
        ((25, 35, 45, 55, 65), "contradicted"),
        ((35, 45, 50, 55, 65), DEPENDS),
        ((35, 45, 55, 60, 70), UNDECIDED),  # two below, and one on neither side
        ((25, 35, 45, 60, 70), UNDECIDED),
        ((20, 45, 55, 65, 60), "supported"),  # with 25 and 400 it is behind; they do not vote
    ],
)
def test_all_three_sizes_vote_on_statement_5(span, verdict):
    assert judge(make_curves(TOKEN, span, places=SIZES)).loc["5", "verdict"] == verdict


def test_labelled_sentences_are_averaged_as_logarithms():
    """By hand: span needs half as many and twice as many in turn; ± ln 2, as with the seconds."""
    table = make_curves(
        TOKEN, lambda r: (40, 50, 60, 70, 80) if r % 2 else (20, 30, 40, 50, 60), places=SIZES, noise=0
    )
    row = judge(table).loc["5"]
    half = 2.364624 * np.log(2) / np.sqrt(7)
    assert row[["effect", "low", "high"]].tolist() == pytest.approx([1, np.exp(-half), np.exp(half)])


@pytest.mark.parametrize(
    ("core", "sizes", "voting"),
    [(20, (20, 40), (20, 40)), (40, (20, 40), (40, 20)), (100, SIZES, (100, 50, 200))],
)
def test_sizes_near_the_core_vote(core, sizes, voting):
    table = make_curves(TOKEN[: len(sizes)], TOKEN[: len(sizes)], places=sizes)
    found = verdicts.measures(table, None, core)
    assert found.loc[found["statement"] == 5, "name"].tolist() == [labelled_at(size) for size in voting]


def test_without_a_size_that_the_rule_names_there_is_no_verdict():
    table = make_curves(TOKEN, (35, 45, 55, 65, 75), places=SIZES)
    assert judge(table).loc["5", "verdict"] == "supported"
    row = judge(table[table["labelled_sentences"] != 200]).loc["5"]
    assert row["verdict"] == UNDECIDED and "2 of the rule's 3 targets" in row["reason"]
    row = judge(table[table["labelled_sentences"] != 100]).loc["5"]
    assert row["verdict"] == UNDECIDED
    assert "needs both arms at 100 labelled sentences" in row["reason"]


def test_never_reached_is_a_lower_bound():
    table = make_table(NO_GAIN, span_labels=16)
    found = measured(table)
    for size, ratio in {50: 8, 100: 4, 200: 2}.items():
        row = found.loc[labelled_at(size)]
        assert (row["effect"], row["at_least"], row["at_most"]) == (pytest.approx(ratio), 8, 0)
    row = judge(table).loc["5"]
    assert row["verdict"] == "contradicted"
    assert "at least this in 8 replicates" in row["reason"]


def test_reached_at_once_is_an_upper_bound():
    row = judge(make_table(NO_GAIN, span_labels=1 / 16)).loc["5"]
    assert (row["verdict"], row["effect"]) == ("supported", pytest.approx(0.25))
    assert "at most this in 8 replicates" in row["reason"]


@pytest.mark.parametrize(
    ("most", "one", "verdict", "bound"),
    [
        ((60, 65, 70, 75, 80), (0, 0, 0, 0, 0), "supported", "at least"),
        ((0, 0, 0, 0, 0), (60, 60, 60, 60, 60), "contradicted", "at most"),
    ],
)
def test_one_replicate_with_a_bound_on_the_wrong_side_forbids_a_verdict(most, one, verdict, bound):
    """With 24 replicates the intervals alone would decide."""
    assert judge(make_curves(TOKEN, most, places=SIZES)).loc["5", "verdict"] == verdict
    table = make_curves(TOKEN, lambda r: one if r == 3 else most, places=SIZES, replicates=24)
    row = judge(table).loc["5"]
    assert row["high"] < 1 if verdict == "supported" else row["low"] > 1
    assert row["verdict"] == UNDECIDED
    assert f"{bound} this in 1 replicate" in row["reason"]


# --- the order of testing ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("undecided", "exploratory"),
    [
        ("", set()),
        ("3a", {"5", "4"}),
        ("3b", set()),
        ("5", {"4"}),
        ("4", set()),
        ("2", set()),
        ("3c", set()),
    ],
)
def test_after_the_first_undecided_test_all_is_exploratory(monkeypatch, undecided, exploratory):
    """The tests are decided by hand."""
    decided = {part: "contradicted" for part in ("2", "3a", "3b", "3c", "4", "5")}
    decided |= {undecided: UNDECIDED} if undecided else {}
    for part, rule in {
        "2": "_no_difference",
        "3b": "_across_words",
        "4": "_costs_more",
        "5": "_needs_less",
    }.items():
        monkeypatch.setattr(verdicts, rule, lambda *_, part=part: (decided[part], "by hand"))
    monkeypatch.setattr(verdicts, "_sign", lambda measure: (decided[f"3{measure.part}"], "by hand"))
    table = judge(make_core(NO_GAIN))
    assert {part: row["verdict"] for part, row in table.iterrows() if part != "1"} == decided
    assert table["status"].to_dict() == {
        part: "" if part == "1" else "exploratory" if part in exploratory | {"3c"} else "confirmatory"
        for part in table.index
    }


# --- what is missing -----------------------------------------------------------------------------------


def test_fewer_than_eight_replicates_cannot_tell():
    table = judge(make_table(gain(5, 9), replicates=7, span_labels=0.5), cost=make_cost(3, replicates=7))
    for part in ("2", "3a", "3b", "3c", "4", "5"):
        assert table.loc[part, "verdict"] == UNDECIDED
        assert table.loc[part, "reason"] == "your run alone cannot tell: 7 of 8 replicates"
        assert np.isfinite(table.loc[part, "effect"])


def test_one_replicate_has_an_effect_but_no_interval():
    row = judge(make_core(gain(0, 3), replicates=1)).loc["3a"]
    assert row["effect"] == pytest.approx(3, abs=1.5)
    assert np.isnan(row["low"])
    assert row["verdict"] == UNDECIDED


def test_missing_slices_say_what_is_missing():
    table = judge(make_table(NO_GAIN, slices=False))
    assert table.loc["5", "verdict"] == UNDECIDED
    assert "one more number" in table.loc["5", "reason"]
    assert table.loc["2", "verdict"] == "supported"  # the core cell is enough for this one


@pytest.mark.parametrize("arms", [["token"], ["span"], ["whole_word"], []])
def test_missing_arms_cannot_tell(arms):
    table = make_core(NO_GAIN)
    table = judge(table[table["arm"].isin(arms)], cost=make_cost(1))
    assert (table["verdict"] == UNDECIDED).all()
    assert "no replicate has both arms" in table.loc["2", "reason"]


def test_the_bounds_by_hand():
    """-1 and 1 in turn, sd = √(8/7); t(7) = 2.3646 for 95% and 1.8946 for 90%."""
    differences = pd.DataFrame({"value": [-1.0, 1.0] * 4, "support": 1})
    found = verdicts._summary(2, "", "F1", "F1", differences, "")
    assert (found.low, found.high) == pytest.approx((-2.364624 / np.sqrt(7), 2.364624 / np.sqrt(7)))
    assert (found.low90, found.high90) == pytest.approx((-1.894579 / np.sqrt(7), 1.894579 / np.sqrt(7)))
