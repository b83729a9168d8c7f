"""What brings a small model off the plateau on real text: one value of the recipe moved at a time.

    python -m tests.benchmarks.plateau --corpus data/runs/real/crossner \
        --text data/runs/real/wikipedia/*.txt.xz --arms span whole_word \
        --vary "pretraining.learning_rate=1e-3;3e-3" "model.position_scale=0"

Pre-trains each arm by the recipe of real text as it stands and by each variant, and looks at the losses
alone: nothing is fine-tuned, no name is looked at. Printed are the tokens seen from which on the loss,
averaged over five of its entries, stays below a mark, and the loss at the end. (It may be below the mark
before, and rise again when the rows grow.) Seeds 0-99 are for trials. Models are kept for the next call.
"""

import argparse
import json
import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch

from helpers import settings
from helpers.running.arm import Arm
from tests.benchmarks.calibration import frozen

MARK = 6.4  # nats: between the plateau and what comes after it, on Wikipedia with 8,192 wordpieces


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--text", nargs="+", required=True)
    parser.add_argument("--tokens", type=int, default=8_000_000)
    parser.add_argument("--arms", nargs="+", default=["span", "whole_word"])
    parser.add_argument("--vary", nargs="+", default=[], metavar="PART.FIELD=V1;V2")
    parser.add_argument("--seeds", nargs="+", type=int, default=[73])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--processes", type=int, default=settings.processors())
    parser.add_argument("--csv", type=Path, help="also written here, a line per run")
    chosen = parser.parse_args()
    variants: list[tuple[str, dict]] = [("as it stands", {})]
    for option in chosen.vary:
        name, values = option.split("=")
        variants += [(f"{name}={value}", {name: frozen(json.loads(value))}) for value in values.split(";")]
    runs = list(product(chosen.arms, variants, chosen.seeds))
    arms = []
    for name, (_, changes), seed in runs:
        made = settings.choose("laptop", chosen.corpus, tuple(chosen.text), seed=seed)
        scale = settings.varied(settings.real(made.scale, (chosen.tokens,)), changes)
        arms.append(Arm(replace(made, scale=scale), name, 0, chosen.dtype))
    arms[0].replicate.blocks  # noqa: B018 (read and packed once, before the processes begin)
    print(f"{len(arms)} runs of {chosen.tokens:,} tokens, {chosen.dtype}; mark: {MARK} nats", flush=True)
    rows = []
    with ProcessPoolExecutor(chosen.processes, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        for (name, (change, _), seed), history in zip(runs, pool.map(losses, arms), strict=True):
            smooth = history["loss"].rolling(5, min_periods=1).mean()
            passed = below_for_good(history["tokens_seen"], smooth) / 1e6
            rows.append((name, change, seed, passed, smooth.iloc[-1]))
            off = "not passed" if math.isnan(passed) else f"{passed:.1f} M"
            end = f"{off:>10}, at the end {smooth.iloc[-1]:.2f}"
            print(f"{name:11} {change:60} seed {seed}: {end}", flush=True)
    if chosen.csv:
        table = pd.DataFrame(rows, columns=["arm", "change", "seed", "passed", "loss"])
        table.round(2).to_csv(chosen.csv, index=False)


def below_for_good(tokens_seen: pd.Series, loss: pd.Series) -> float:
    """Return the tokens seen from which on the loss stays below the mark; NaN if it ends above."""
    last_above = tokens_seen[loss >= MARK].max()
    return tokens_seen[~(tokens_seen <= last_above)].min()


def losses(arm: Arm) -> pd.DataFrame:
    """Pre-train an arm, and return its history: tokens_seen and loss."""
    (tokens,) = arm.settings.scale.tokens
    return pd.read_csv(arm.pretrained() / str(tokens) / "history.csv")


if __name__ == "__main__":
    main()
