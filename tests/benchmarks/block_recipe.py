"""The operating point of a block: rates and warm-up, chosen on seeds for trials.

    python -m tests.benchmarks.block_recipe real_large --tokens 4000000 --rates 4e-4 8e-4 --warmups 150000
    python -m tests.benchmarks.block_recipe real_large --rates 4e-4 --tagging-rates 5e-4 1e-3 2e-3

Trains the two ends of the ladder, tokens and spans, by the block's recipe at each learning rate and warm-up
(in tokens). Of the pairs with which all of them leave the plateau, it takes the one with the lowest mean of
their losses at the end. The models of that pair, on the first seed, are then fine-tuned at each rate of
fine-tuning, on all labelled sentences but 500 of the training split, which are held out: taken is the rate
with the highest mean F1. Test sentences are not looked at. Seeds 0-99 are for trials. Models are kept for the
next call.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product, repeat
from multiprocessing import get_context

import pandas as pd
import torch
from scipy.stats import entropy

from helpers.blocks import BLOCKS, Block
from helpers.running.arm import Arm, fine_tune_and_tag
from helpers.running.reference import tasks
from helpers.scoring import f1_by_length
from helpers.settings import processors, varied
from tests.benchmarks import graphs
from tests.benchmarks.gpu_blocks import pretrained
from tests.benchmarks.plateau import MARK
from tests.benchmarks.real_recipe import HELD_OUT, hold_out, recall_of_long

ENDS = ("token", "span")
SEED = 74

Start = tuple[float, int]  # learning rate, tokens of warm-up


def arm_at(block: Block, name: str, start: Start, tokens: int, seed: int = SEED) -> Arm:
    """Return an arm of a block with another start, on a seed for trials."""
    arm = tasks(block, block.first_seed)[0].arm
    changes = {"pretraining.learning_rate": start[0], "pretraining.warmup_tokens": start[1]}
    scale = varied(arm.settings.scale, {**changes, "tokens": (tokens,), "first_seed": seed})
    return replace(arm, settings=replace(arm.settings, scale=scale), name=name)


def by_frequency(arm: Arm) -> float:
    """Return the entropy of the wordpieces in an arm's text: the loss of a model that knows nothing else."""
    shared = arm.replicate
    counts = torch.bincount(shared.blocks.input_ids.flatten(), minlength=shared.vocabulary.size).double()
    counts[list(shared.vocabulary.special_ids)] = 0
    return float(entropy(counts))


def loss(arm: Arm) -> float:
    """Pre-train an arm; return the mean of the last five entries of its losses."""
    (tokens,) = arm.settings.scale.tokens
    history = pd.read_csv(pretrained(arm) / str(tokens) / "history.csv")
    return history["loss"].tail(5).mean()


def tagged(arm: Arm, rate: float, held_out: int) -> tuple[float, float]:
    """Fine-tune a trained arm; return F1 and the recall at three words and more, of held-out sentences."""
    (tokens,) = arm.settings.scale.tokens
    shared = hold_out(arm.replicate, held_out)
    recipe = replace(arm.settings.scale.finetuning, learning_rate=rate)
    count = len(shared.sentences("train"))
    predicted = fine_tune_and_tag(shared, arm.model(tokens), count, 0, recipe, arm.dtype)
    found = f1_by_length(shared.gold(), predicted)["f1"].iloc[-1]
    return found, recall_of_long(shared.gold(), predicted)


def choose_start(
    pool: ProcessPoolExecutor,
    block: Block,
    starts: list[Start],
    tokens: int,
    seeds: list[int],
    mark: float = MARK,
) -> Start:
    """Print the losses of each start, and return the one that is taken.

    Raises:
        SystemExit: no start brings all trainings off the plateau.
    """
    runs = list(product(starts, seeds, ENDS))
    arms = [arm_at(block, name, start, tokens, seed) for start, seed, name in runs]
    print(f"the frequency of wordpieces alone gives {by_frequency(arms[0]):.2f} nats", flush=True)
    ends = {}
    for (start, seed, name), end in zip(runs, pool.map(loss, arms), strict=True):
        ends[start, seed, name] = end
        print(f"rate {start[0]:g}, warm-up {start[1]:,}, seed {seed}: {name} {end:.3f} nats", flush=True)
    losses = {start: [ends[start, seed, name] for seed in seeds for name in ENDS] for start in starts}
    passed = [start for start in starts if max(losses[start]) < mark]
    if not passed:
        raise SystemExit(f"with every start some training ends above {mark} nats: try others, or more tokens")
    return min(passed, key=lambda start: sum(losses[start]))


def choose_tagging(
    pool: ProcessPoolExecutor, arms: dict[str, Arm], rates: list[float], held_out: int = HELD_OUT
) -> float:
    """Print F1 and the recall of long names at each rate of fine-tuning, and return the one that is taken."""
    trials = list(product(rates, arms))
    made = pool.map(
        tagged, [arms[name] for _, name in trials], [rate for rate, _ in trials], repeat(held_out)
    )
    found = dict(zip(trials, made, strict=True))
    for rate in rates:
        shown = [f"{name} {found[rate, name][0]:.1f} / {found[rate, name][1]:.1f}" for name in arms]
        print(f"fine-tuning at {rate:g}: " + ", ".join(shown), flush=True)
    return max(rates, key=lambda rate: sum(found[rate, name][0] for name in arms))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("block", choices=BLOCKS)
    parser.add_argument("--tokens", type=int, default=4_000_000)
    parser.add_argument("--rates", nargs="+", type=float, required=True)
    parser.add_argument("--warmups", nargs="+", type=int, default=[150_000])
    parser.add_argument("--tagging-rates", nargs="+", type=float, default=[])
    parser.add_argument("--seeds", nargs="+", type=int, default=[SEED])
    parser.add_argument("--mark", type=float, default=MARK, help="nats that a training has to end below")
    parser.add_argument("--processes", type=int, default=processors())
    chosen = parser.parse_args()
    block, starts = BLOCKS[chosen.block], list(product(chosen.rates, chosen.warmups))
    with ProcessPoolExecutor(chosen.processes, get_context("spawn"), graphs.start, (True,)) as pool:
        start = choose_start(pool, block, starts, chosen.tokens, chosen.seeds, chosen.mark)
        print(f"taken: learning rate {start[0]:g}, warm-up {start[1]:,}", flush=True)
        if chosen.tagging_rates:
            arms = {name: arm_at(block, name, start, chosen.tokens, chosen.seeds[0]) for name in ENDS}
            print(f"taken: fine-tuning at {choose_tagging(pool, arms, chosen.tagging_rates):g}")


if __name__ == "__main__":
    main()
