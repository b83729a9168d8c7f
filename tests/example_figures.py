"""A results table and every figure of the series, drawn from examples."""

import numpy as np
import pandas as pd

from helpers import figures

GOLD = {"1": 330, "2": 350, "3": 160, "4": 90, "5+": 80}
LEVEL = {"none": 30, "token": 70, "span": 72}


def make_table(replicates=8, arms=("none", "token", "span"), sizes=(25, 50, 100, 200, 400)):
    random = np.random.default_rng(0)
    rows = []
    for replicate in range(replicates):
        shared = random.normal(0, 3)
        for arm in arms:
            budgets = (0,) if arm == "none" else (1_000_000, 2_000_000, 4_000_000)
            for tokens, labels in [(t, 100) for t in budgets] + [(budgets[-1], n) for n in sizes if n != 100]:
                for place, (length, gold) in enumerate(GOLD.items()):
                    score = LEVEL[arm] + shared - 2 * place + (arm == "span") * 1.5 * (place - 1)
                    score += 4 * np.log2(labels / 100) + 6 * np.log2(max(tokens, 4e6 * (tokens == 0)) / 4e6)
                    score = np.clip(score + random.normal(0, 1.5), 1, 99)
                    row = {"corpus": "world", "arm": arm, "replicate": replicate, "subset": 0, "type": "PER"}
                    row |= {"mask_rate": 0.15 * (arm != "none"), "tokens_seen": tokens, "novelty": "text"}
                    row |= {"labelled_sentences": labels, "length": length, "gold": gold, "predicted": gold}
                    rows.append(row | {"correct": round(score / 100 * gold)})
    return pd.DataFrame(rows)


def hidden_mentions():
    shares = pd.DataFrame({"token": [0.15, 0.02, 0.0], "span": [0.15, 0.12, 0.1]}, index=[1, 2, 3])
    return figures.hidden_mentions(shares, shares / 2, pd.Series([900, 80, 7], index=[1, 2, 3]))


RESULT_FIGURES = [
    figures.f1_by_entity_length,
    figures.f1_by_labelled_sentences,
]
TEACHING_FIGURES = [
    lambda: figures.run_lengths([1, 1, 2, 3, 12], [0.5, 0.3, 0.2]),
    hidden_mentions,
]


def draw_all(table):
    return [draw(table) for draw in RESULT_FIGURES] + [draw() for draw in TEACHING_FIGURES]
