"""The recipe of fine-tuning on real text: learning rates and steps, judged on held-out training sentences.

    python -m tests.benchmarks.real_recipe --corpus data/runs/real/crossner \
        --text data/runs/real/wikipedia/AA.txt.xz --tokens 3000000 --seed 72

One model is pre-trained, kept for the next call, and fine-tuned by every recipe on 100, 500 and all labelled
sentences that are left. A line for each number of sentences and of steps, a column for each rate: F1 (0-100)
over all names, and recall at three words and more. Test sentences are not looked at. Seeds 0-99 are for
trials.
"""

import argparse
import time
from dataclasses import replace
from itertools import product
from random import Random

import pandas as pd

from helpers import settings
from helpers.running import plan
from helpers.running.arm import Arm, fine_tune_and_tag
from helpers.running.replicate import Replicate
from helpers.scoring import f1_by_length, spans

HELD_OUT = 500  # training sentences


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--text", nargs="+", required=True)
    parser.add_argument("--tokens", type=int, default=3_000_000)
    parser.add_argument("--arm", default="whole_word", choices=["token", "whole_word", "span"])
    parser.add_argument("--sizes", nargs="+", default=["100", "500", settings.ALL])
    parser.add_argument("--rates", nargs="+", type=float, default=[1e-3, 2e-3, 4e-3])
    parser.add_argument("--steps", nargs="+", type=int, default=[150, 300, 600, 1_200])
    parser.add_argument("--seed", type=int, default=72)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    chosen = parser.parse_args()
    made = settings.choose("laptop", chosen.corpus, tuple(chosen.text), seed=chosen.seed)
    scale = settings.real(made.scale, (chosen.tokens,))
    arm = Arm(replace(made, scale=scale), chosen.arm, 0, chosen.dtype)
    folder, shared = arm.pretrained(), hold_out(arm.replicate)
    history = pd.read_csv(folder / str(chosen.tokens) / "history.csv")
    losses = ", ".join(
        f"{loss:.2f} at {seen:,}"
        for seen, loss in history.iloc[:: max(1, len(history) // 6)].itertuples(index=False)
    )
    print(f"{arm}, {chosen.tokens:,} tokens, seed {arm.seed}: masked-LM loss {losses}", flush=True)
    sizes = [int(size) if size.isdecimal() else size for size in chosen.sizes]
    rows = []
    for size, steps, rate in product(
        plan.labelled_sizes(sizes, len(shared.sentences("train"))), chosen.steps, chosen.rates
    ):
        tagging = replace(scale.finetuning, learning_rate=rate, steps=steps)
        started = time.perf_counter()
        predicted = fine_tune_and_tag(shared, arm.model(chosen.tokens), size, 0, tagging, chosen.dtype)
        row = {"labelled sentences": size, "steps": steps, "rate": f"{rate:g}"}
        row["seconds"] = round(time.perf_counter() - started, 1)
        row["f1"] = f1_by_length(shared.gold(), predicted)["f1"].iloc[-1]
        rows.append({**row, "recall at 3+": recall_of_long(shared.gold(), predicted)})
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows).pivot(
        index=["labelled sentences", "steps"], columns="rate", values=["f1", "recall at 3+", "seconds"]
    )
    print(table.round(1).to_string())


def hold_out(shared: Replicate, count: int = HELD_OUT) -> Replicate:
    """Put held-out training sentences in the place of the test split, and take them out of train."""
    train = list(shared.corpus.splits["train"])
    Random(shared.seed).shuffle(train)
    splits = {**shared.corpus.splits, "train": train[count:], "test": train[:count]}
    return replace(shared, corpus=replace(shared.corpus, splits=splits))


def recall_of_long(gold: list[list[str]], predicted: list[list[str]]) -> float:
    """Return the share (0-100) of the mentions of three words and more that are found."""
    pairs = [
        (
            {mention for mention in spans(tags) if mention[2] - mention[1] >= 3},
            set(spans(found)),
        )
        for tags, found in zip(gold, predicted, strict=True)
    ]
    return 100 * sum(len(long & found) for long, found in pairs) / sum(len(long) for long, _ in pairs)


if __name__ == "__main__":
    main()
