"""How to go on training a pre-trained model: learning rates and steps, judged on development sentences.

    python -m tests.benchmarks.continuing --model FOLDER --corpus FOLDER --text FILE --tokens 1000000

A line for each learning rate of continued training (0: the model as it came), and in it F1 over all names of
the dev split, or of training sentences that are held out, for each recipe of fine-tuning. Test sentences are
not looked at. Seeds 0–99 are for trials.
"""

import argparse
from dataclasses import replace
from itertools import product

import pandas as pd

from helpers import model, settings
from helpers.running import replicate
from helpers.running.arm import fine_tune_and_tag
from helpers.running.resume import pretrain
from helpers.scoring import f1_by_length
from tests.benchmarks.real_recipe import hold_out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--corpus", default="world")
    parser.add_argument("--text", nargs="+", default=[])
    parser.add_argument("--scale", default="laptop", choices=settings.SCALES)
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--sentences", type=int, default=100, help="labelled (default: 100)")
    parser.add_argument("--hold-out", type=int, default=0, help="training sentences, in place of dev")
    parser.add_argument("--arm", default="whole_word", choices=["token", "whole_word", "span"])
    parser.add_argument("--rates", nargs="+", type=float, default=[0, 2e-5, 5e-5, 1e-4, 2e-4, 4e-4])
    parser.add_argument("--tagging-rates", nargs="+", type=float, default=[3e-5, 1e-4, 3e-4])
    parser.add_argument("--steps", nargs="+", type=int, default=[150, 300, 600])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dtype", default="bfloat16", choices=["float32", "bfloat16"])
    chosen = parser.parse_args()
    made = settings.choose(
        chosen.scale, chosen.corpus, tuple(chosen.text), seed=chosen.seed, model=chosen.model
    )
    scale = settings.continued(made.scale, (chosen.tokens,))
    shared = replicate.load(replace(made, scale=scale))
    if chosen.hold_out:
        shared = hold_out(shared, chosen.hold_out)
    else:
        splits = {**shared.corpus.splits, "test": shared.corpus.splits["dev"]}
        shared = replace(shared, corpus=replace(shared.corpus, splits=splits))
    rows = {}
    for rate in chosen.rates:
        start = replicate.new_model(scale.model, shared).to(model.device())
        loss = float("nan")
        if rate:
            recipe = replace(
                scale.pretraining, learning_rate=rate, seed=shared.seed, **settings.ARMS[chosen.arm]
            )
            (last,) = pretrain(
                start, shared.blocks, shared.vocabulary, recipe, (chosen.tokens,), dtype=chosen.dtype
            )
            start, loss = last.model, last.losses[-1][1]
        row = rows[f"{rate:g}"] = {"masked-LM loss": loss}
        for tagging_rate, steps in product(chosen.tagging_rates, chosen.steps):
            recipe = replace(scale.finetuning, learning_rate=tagging_rate, steps=steps)
            predicted = fine_tune_and_tag(shared, start, chosen.sentences, 0, recipe, chosen.dtype)
            row[f"{tagging_rate:g} × {steps}"] = f1_by_length(shared.gold(), predicted)["f1"].iloc[-1]
        print(pd.DataFrame(rows).T.rename_axis("learning rate").round(2).to_string(), flush=True)


if __name__ == "__main__":
    main()
