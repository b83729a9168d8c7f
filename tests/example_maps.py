"""Simulated tables like those of the blocks of the reference, and what is drawn from them."""

import numpy as np
import pandas as pd

from helpers import contiguity, maps
from helpers.running.arm import COLUMNS

M = 1_000_000
# Gold mentions by words and wordpieces.
GOLD = {
    ("1", "1"): 90, ("1", "2"): 120, ("1", "3"): 80, ("1", "4"): 30, ("1", "5"): 8,
    ("2", "2"): 40, ("2", "3"): 90, ("2", "4"): 110, ("2", "5"): 70, ("2", "6"): 30, ("2", "7"): 10,
    ("3", "3"): 25, ("3", "5"): 50, ("3", "6"): 45, ("3", "7"): 30, ("3", "8+"): 10,
    ("4", "6"): 30, ("4", "7"): 25, ("4", "8+"): 35,
    ("5+", "7"): 12, ("5+", "8+"): 68,
}  # fmt: skip
LEVEL = {
    "none": 25, "token": 70, "whole_word": 79, "span_short": 78,
    "span": 77, "span_boundary": 76, "mentions": 83,
}  # fmt: skip
COUNTS = ["correct", "wrong_boundary", "wrong_type", "wrong_both", "missed"]
SHARES = [0.4, 0.25, 0.15, 0.2]  # of those that are not correct


def make_rows(random, arm, replicate, tokens, *, labels=100, rate=0.15, condition="", subsets=1):
    """Counts of one cell; the recall depends on all of its settings."""
    level = LEVEL[arm] + 4 * np.log2(labels / 100) - 20 * (rate - 0.15) * (arm != "token")
    if arm != "none":
        level += 5 * np.log2(tokens / (6 * M)) * (1.4 if arm.startswith("span") else 1)
        level += {"": 0, "predictability=0.0": -12}.get(condition, 4) * arm.startswith("span")
        level += 8 * (condition == "vocabulary_size=5000")
    level += random.normal(0, 1.5)
    cell = {"corpus": "world", "arm": arm, "replicate": 1_000 + replicate, "tokens_seen": tokens}
    cell |= {"mask_rate": rate * (arm != "none"), "labelled_sentences": labels, "condition": condition}
    for subset in range(subsets):
        for (words, pieces), gold in GOLD.items():
            place = ["1", "2", "3", "4", "5+"].index(words)
            gain = 0.8 * place * (arm == "span") + (arm not in ("none", "token")) * (int(pieces[0]) - 2)
            score = np.clip(level - 4 * place + gain + random.normal(0, 1), 3, 97) / 100
            counts = random.multinomial(gold, [score, *((1 - score) * share for share in SHARES)])
            row = dict(zip(COUNTS, counts.tolist(), strict=True))
            charged, invented = gold - row["correct"] - row["missed"], gold // 12
            row |= {"charged": charged, "invented": invented, "gold": gold, "length": words, "pieces": pieces}
            row |= {"predicted": row["correct"] + charged + invented, "type": "PER", "novelty": "text"}
            yield cell | row | {"subset": subset}


def table_of(cells):
    random = np.random.default_rng(0)
    return pd.DataFrame([row for cell, options in cells for row in make_rows(random, *cell, **options)])[
        COLUMNS
    ]


def block_a(replicates=6, arms=("none", "token", "whole_word", "span"), budgets=(M, 3 * M, 6 * M, 12 * M)):
    cells = []
    for replicate in range(replicates):
        for arm in arms:
            some = (0,) if arm == "none" else budgets
            cells += [((arm, replicate, tokens), {}) for tokens in some]
            cells += [((arm, replicate, some[-1]), {"labels": 25})]
    return table_of(cells)


def block_c(replicates=4):
    options = {"condition": "vocabulary_size=5000"}
    budgets = (3 * M, 6 * M, 12 * M)
    return table_of(
        [((arm, r, t), options) for r in range(replicates) for arm in ("token", "span") for t in budgets]
    )


def block_d(replicates=4):
    arms = ("token", "whole_word", "span_short", "span")
    return table_of(
        ((arm, replicate, 6 * M), {"rate": rate})
        for replicate in range(replicates)
        for rate in (0.15, 0.3, 0.5)
        for arm in arms
        if rate != 0.15 or arm == "span_short"
    )


def block_e(replicates=4):
    conditions = ("predictability=0.0", "predictability=0.5", "context=0.5", "names=1000")
    return table_of(
        ((arm, replicate, 6 * M), {"condition": condition})
        for replicate in range(replicates)
        for condition in conditions
        for arm in ("token", "whole_word", "span")
    )


def tables():
    """The tables of blocks A (with the probes of B), C, D and E."""
    a = pd.concat(
        [block_a(), block_a(4, ("span_short", "span_boundary", "mentions"), (3 * M, 6 * M, 12 * M))]
    )
    return {"a": a, "c": block_c(), "d": block_d(), "e": block_e()}


# For each figure: how it is drawn, its values, and what both are given.
FIGURES = {
    "ladder": (contiguity.ladder, contiguity.values_of_ladder, ["a"]),
    "decomposition": (contiguity.decomposition, contiguity.values_of_decomposition, ["a"]),
    "curves": (contiguity.curves, contiguity.values_of_curves, ["a"]),
    "precision": (contiguity.precision_and_recall, contiguity.values_of_precision_and_recall, ["a"]),
    "errors": (contiguity.errors_by_length, contiguity.values_of_errors_by_length, ["a"]),
    "pieces": (contiguity.by_pieces, contiguity.values_of_by_pieces, ["a"]),
    "rate": (maps.rate_and_length, maps.values_of_rate_and_length, ["d", "a"]),
    "dials": (maps.dials, maps.values_of_dials, ["e", "a"]),
    "vocabulary": (maps.vocabulary, maps.values_of_vocabulary, ["c", "a"]),
}
