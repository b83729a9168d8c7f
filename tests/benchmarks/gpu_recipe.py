"""The operating point of a block on a GPU: rates of pre-training and of fine-tuning, on a seed for trials.

    python -m tests.benchmarks.gpu_recipe real_large --tokens 38000000

Trains the two ends of the ladder, tokens and spans, by the block's recipe at each learning rate, and takes
the rate with the lowest mean of their two losses at the end. The models of that rate are then fine-tuned at
each rate of fine-tuning, on all labelled sentences but 500 of the training split, which are held out: taken
is the rate with the highest mean F1. Test sentences are not looked at. Seeds 0-99 are for trials.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product, repeat
from multiprocessing import get_context

import pandas as pd

from helpers.blocks import BLOCKS, Block
from helpers.running.arm import Arm, fine_tune_and_tag
from helpers.running.reference import tasks
from helpers.scoring import f1_by_length
from helpers.settings import varied
from tests.benchmarks import graphs
from tests.benchmarks.gpu_blocks import pretrained
from tests.benchmarks.real_recipe import HELD_OUT, hold_out, recall_of_long

ENDS = ("token", "span")
RATES = (7.5e-4, 1.5e-3, 3e-3)
TAGGING_RATES = (5e-4, 1e-3, 2e-3)
SEED = 74


def arm_at(block: Block, name: str, rate: float, tokens: int) -> Arm:
    """Return an arm of a block at another learning rate, on the seed for trials."""
    arm = tasks(block, block.first_seed)[0].arm
    changes = {"pretraining.learning_rate": rate, "tokens": (tokens,), "first_seed": SEED}
    return replace(arm, settings=replace(arm.settings, scale=varied(arm.settings.scale, changes)), name=name)


def loss(arm: Arm) -> float:
    """Pre-train an arm; return the mean of the last five entries of its losses."""
    (tokens,) = arm.settings.scale.tokens
    history = pd.read_csv(pretrained(arm) / str(tokens) / "history.csv")
    return history["loss"].tail(5).mean()


def tagged(arm: Arm, rate: float, held_out: int) -> tuple[float, float]:
    """Fine-tune a trained arm; return F1 and the recall at three words and more, of held-out sentences."""
    (tokens,) = arm.settings.scale.tokens
    shared, recipe = (
        hold_out(arm.replicate, held_out),
        replace(arm.settings.scale.finetuning, learning_rate=rate),
    )
    count = len(shared.sentences("train"))
    predicted = fine_tune_and_tag(shared, arm.model(tokens), count, 0, recipe, arm.dtype)
    found = f1_by_length(shared.gold(), predicted)["f1"].iloc[-1]
    return found, recall_of_long(shared.gold(), predicted)


def sweep(block: Block, tokens: int, processes: int, held_out: int = HELD_OUT) -> dict[str, float]:
    """Print losses and F1 at each rate, and return both rates that are taken."""
    arms = {(name, rate): arm_at(block, name, rate, tokens) for rate, name in product(RATES, ENDS)}
    with ProcessPoolExecutor(processes, get_context("spawn"), graphs.start, (True,)) as pool:
        ends = dict(zip(arms, pool.map(loss, arms.values()), strict=True))
        for rate in RATES:
            print(f"rate {rate:g}: " + ", ".join(f"{name} {ends[name, rate]:.3f} nats" for name in ENDS))
        best = min(RATES, key=lambda rate: sum(ends[name, rate] for name in ENDS))
        trials = list(product(TAGGING_RATES, ENDS))
        trained = [arms[name, best] for _, name in trials]
        made = pool.map(tagged, trained, [rate for rate, _ in trials], repeat(held_out))
        found = dict(zip(trials, made, strict=True))
    for rate in TAGGING_RATES:
        shown = [f"{name} {found[rate, name][0]:.1f} / {found[rate, name][1]:.1f}" for name in ENDS]
        print(f"fine-tuning at {rate:g}: " + ", ".join(shown))
    tagging = max(TAGGING_RATES, key=lambda rate: sum(found[rate, name][0] for name in ENDS))
    return {"learning_rate": best, "finetuning.learning_rate": tagging}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("block", choices=BLOCKS)
    parser.add_argument("--tokens", type=int, default=38_000_000)
    parser.add_argument("--processes", type=int, default=3)
    chosen = parser.parse_args()
    print(json.dumps(sweep(BLOCKS[chosen.block], chosen.tokens, chosen.processes)))
