"""Operating point of the built-in world: F1 by entity length, one factor moved at a time.

    python tests/benchmarks/calibration.py --vary "world.context=0.4;0.8" --vary finetuning.steps=400

Each `--vary` adds a line per value to the table; the first line is the settings as they stand. Seeds 50–99
are for calibration. The span arm is run only for its loss (`--loss-only`), until the world is frozen.
"""

import argparse
import itertools
import json
import random
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from helpers import finetuning, model, settings, tokenization, world
from helpers.masking import Vocabulary
from helpers.running import resume
from helpers.scoring import f1_by_length

LENGTHS = ("1", "2", "3", "4", "5+", "all")
TAGS = ["O", *(f"{prefix}-{kind}" for kind in world.TYPES for prefix in "BI")]


def varied(scale: settings.Scale, change: str) -> settings.Scale:
    """The scale with fields changed: "part.field=value" or "field=value", several of them joined by "&"."""
    if "&" in change:
        first, rest = change.split("&", 1)
        return varied(varied(scale, first), rest)
    name, value = change.split("=")
    part, _, field = name.rpartition(".")
    value = frozen(json.loads(value))
    if part:
        return replace(scale, **{part: replace(getattr(scale, part), **{field: value})})
    return replace(scale, **{field: value})


def frozen(value: object) -> object:
    """What JSON has as lists, as tuples: settings can be hashed."""
    return tuple(map(frozen, value)) if isinstance(value, list) else value


def measure(task: tuple) -> list[dict]:
    """Losses and F1 by length of one arm on one seed."""
    change, scale, arm, seed, device, dtype, loss_only = task
    torch.set_num_threads(1)
    news = world.generate(replace(scale.world, seed=seed))
    tokenizer = tokenization.train(news.text, scale.model.vocabulary_size)
    blocks = tokenization.pack(news.text, tokenizer, scale.model.length)

    def windows(sentences):
        tags = [[TAGS.index(tag) for tag in tags] for _, tags in sentences]
        return tokenization.encode([words for words, _ in sentences], tags, tokenizer, scale.model.length)

    test, gold = windows(news.test), [tags for _, tags in news.test]
    started = time.perf_counter()
    bert = model.build(scale.model, seed).to(device)
    recipe = replace(scale.pretraining, strategy=arm, seed=seed)
    if arm == "none":
        checkpoints = [resume.Checkpoint(bert, 0, [(0, float("nan"))])]
    else:
        vocabulary = Vocabulary.of(tokenizer)
        checkpoints = list(resume.pretrain(bert, blocks, vocabulary, recipe, scale.tokens, dtype=dtype))
    seconds = time.perf_counter() - started
    rows = []
    for checkpoint in checkpoints:
        loss = np.mean([loss for _, loss in checkpoint.losses[-3:]])
        for count in [0] if loss_only else scale.labelled_sentences:
            f1 = []
            for subset in range(scale.subsets if not loss_only else 0):
                order = random.Random(1_000 * seed + subset).sample(range(len(news.train)), len(news.train))
                chosen = windows([news.train[i] for i in order[:count]])
                tuning = replace(scale.finetuning, seed=1_000 * seed + subset)
                tagger = finetuning.finetune(checkpoint.model, chosen, TAGS, tuning, dtype)
                predicted = tokenization.decode(
                    test, finetuning.predict(tagger, test, dtype), [words for words, _ in news.test], TAGS
                )
                f1.append(f1_by_length(gold, predicted).f1.to_numpy())
            rows.append(
                {
                    "change": change,
                    "arm": arm,
                    "seed": seed,
                    "tokens": checkpoint.tokens_seen,
                    "sentences": count,
                    "loss": loss,
                    "f1": np.mean(f1, 0) if f1 else np.full(6, np.nan),
                    "seconds": seconds,
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vary", action="append", default=[], metavar="PART.FIELD=V1;V2")
    parser.add_argument("--set", action="append", default=[], metavar="PART.FIELD=V", help="for every line")
    parser.add_argument("--arms", nargs="+", default=["none", "token"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[50, 51])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--dtype", default="bfloat16", choices=["float32", "bfloat16"])
    parser.add_argument("--loss-only", action="store_true")
    parser.add_argument("--csv", type=Path, help="also written here, a line per seed")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"

    base = settings.SCALES["laptop"]
    base = replace(base, tokens=base.tokens[-1:], labelled_sentences=(base.core_sentences,))
    for change in options.set:
        base = varied(base, change)
    lines = [("as it stands", base)]
    for option in options.vary:
        name, values = option.rsplit("=", 1)
        lines += [(f"{name}={value}", varied(base, f"{name}={value}")) for value in values.split(";")]
    tasks = [
        (change, scale, arm, seed, device, options.dtype, options.loss_only)
        for (change, scale), arm, seed in itertools.product(lines, options.arms, options.seeds)
    ]
    print(f"{len(tasks)} runs on {device}, torch {torch.__version__}, {options.dtype}", flush=True)
    print(f"{'change':38} {'arm':10} {'tokens':>9} {'lab.':>4} {'loss':>5}   F1 by length 1 2 3 4 5+ and all")
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        running = [(task, pool.submit(measure, task)) for task in tasks]
        table = []
        for _, group in itertools.groupby(running, lambda pair: (pair[0][0], pair[0][2])):  # change, arm
            rows = list(itertools.chain.from_iterable(future.result() for _, future in group))
            show(rows)
            table += [{**row, **dict(zip(LENGTHS, row["f1"], strict=True))} for row in rows]
    if options.csv:
        columns = ["change", "arm", "seed", "tokens", "sentences", "loss", *LENGTHS]
        pd.DataFrame(table)[columns].dropna(axis="columns").round(3).to_csv(options.csv, index=False)


def show(rows: list[dict]) -> None:
    """Prints the means over seeds of one line's runs, a line per budget and number of sentences."""
    for tokens, sentences in sorted({(row["tokens"], row["sentences"]) for row in rows}):
        cell = [row for row in rows if (row["tokens"], row["sentences"]) == (tokens, sentences)]
        f1 = " ".join(f"{value:5.1f}" for value in np.mean([row["f1"] for row in cell], 0))
        loss, seconds = (np.mean([row[name] for row in cell]) for name in ("loss", "seconds"))
        first = f"{cell[0]['change']:38} {cell[0]['arm']:10} {tokens:9,} {sentences:4}"
        print(f"{first} {loss:5.2f}   {f1}   {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
