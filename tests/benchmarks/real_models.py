"""What else the models of a block on real text are asked: other people's labels, and how their losses fell.

    python -m tests.benchmarks.real_models losses mentions litbank wnut17 [--block real] [--processes 2]

Reads what `python -m tests.benchmarks.real_corpora` and then `python -m helpers reference BLOCK` made. Each
model with the largest budget is fine-tuned on all labelled sentences of another set, by the block's recipe,
and tags its test split: five times for LitBank, whose folds are counted together. Test sentences that stand
in the text, or eight words in a row of them, are left out. A set is written beside the block's counts, as a
results table, when all seeds are there; what is cut short goes on from the fine-tunings that are done.
`mentions` fine-tunes on the block's own labels once more, and keeps which models find each test mention.
"""

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from helpers import corpora, scoring
from helpers.blocks import BLOCKS, FOLDER_OF_REAL, Block
from helpers.reading.overlap import find_held_out
from helpers.running import artifacts, reference, replicate
from helpers.running.arm import COLUMNS, Arm, count_mentions, fine_tune_and_tag, read_table
from helpers.running.replicate import Replicate
from helpers.settings import processors
from tests.benchmarks import graphs

FOLDS = tuple(f"litbank-{fold}" for fold in range(1, 6))
SETS = {"litbank": FOLDS, "litbank-1": FOLDS[:1], "wnut17": ("wnut17",)}  # and the first fold alone
MENTIONS = "mentions"  # the block's own labels
ASKED = (
    *("real", "real_combined", "real_labels", "real_large", "real_long", "real_rows"),
    *("real_short_spans", "real_vocabulary"),
)
PARTS = FOLDER_OF_REAL / "parts"
MENTION = ["sentence", "start", "length", "pieces"]  # its place, and its length in words and in wordpieces
NAMED_BY = ["type", "novelty", "length", "pieces"]  # of a row of counts

Job = tuple[Block, str, int, str]  # block, folder of labelled files or "mentions", seed, arm


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="+", choices=["losses", MENTIONS, *SETS])
    parser.add_argument("--processes", type=int, default=processors())
    parser.add_argument("--block", choices=ASKED, default="real", help="whose models")
    parser.add_argument("--graphs", action="store_true", help="fine-tune as CUDA graphs (graphs.py)")
    parser.add_argument("--replicates", type=int, help="the first seeds alone; all if left out")
    chosen = parser.parse_args()
    block = BLOCKS[chosen.block]
    seeds = block.seeds[: chosen.replicates]
    if "losses" in chosen.what:
        write(losses(replace(block, replicates=len(seeds))), "losses", reference.folder(block))
    folders = [folder for name in chosen.what for folder in SETS.get(name, ())]
    for folder in folders:
        print(f"{folder}: {sum(stands_in_text(block, folder))} test sentences stand in the text", flush=True)
    asked = folders + [MENTIONS] * (MENTIONS in chosen.what)
    jobs = list(product([block], asked, seeds, block.conditions[0].arms))
    jobs = [job for job in jobs if not part(*job).exists()]
    began = time.monotonic()
    with ProcessPoolExecutor(chosen.processes, get_context("spawn"), graphs.start, (chosen.graphs,)) as pool:
        for number, done in enumerate(pool.map(answer, jobs), start=1):
            minutes = (time.monotonic() - began) / number * (len(jobs) - number) / 60
            print(f"{done}: {len(jobs) - number} to go, {minutes:.0f} minutes", flush=True)
    for name in SETS:
        if name in chosen.what:
            write(together(block, name, seeds), name, reference.folder(block))
    if MENTIONS in chosen.what:
        write(by_mention(block, seeds), MENTIONS, reference.folder(block))


def answer(job: Job) -> str:
    """Do one job, and say which."""
    _, folder, seed, name = job
    (find_mentions if folder == MENTIONS else count)(job)
    return f"{folder}, {name} of seed {seed}"


def write(table: pd.DataFrame, name: str, folder: Path) -> None:
    """Write a table, the same bytes for the same numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.csv.gz"
    table.to_csv(file, index=False, float_format="%.4f", compression={"method": "gzip", "mtime": 0})
    print(file, flush=True)


def arm_of(block: Block, seed: int, name: str) -> Arm:
    """Return an arm of a block."""
    (found,) = [task.arm for task in reference.tasks(block, seed) if task.arm.name == name]
    return found


def losses(block: Block) -> pd.DataFrame:
    """Collect the losses of the longest trainings of a block: replicate, arm, tokens_seen, loss."""
    tables = []
    for seed, name in product(block.seeds, [name for name in block.conditions[0].arms if name != "none"]):
        history = pd.read_csv(arm_of(block, seed, name).pretrained() / str(block.tokens[-1]) / "history.csv")
        tables.append(history.assign(replicate=seed, arm=name))
    return pd.concat(tables)[["replicate", "arm", "tokens_seen", "loss"]]


def count(job: Job) -> None:
    """Fine-tune one model on one folder of labelled files, and keep the counts of its test split."""
    block, folder, seed, name = job
    arm = arm_of(block, seed, name)
    shared = with_labels(arm.replicate, folder, stands_in_text(block, folder))
    tokens = 0 if name == "none" else block.tokens[-1]
    size = len(shared.sentences("train"))
    recipe = arm.settings.scale.finetuning
    predicted = fine_tune_and_tag(shared, arm.model(tokens), size, 0, recipe, arm.dtype)
    counts = count_mentions(shared, predicted, replicate.surface_index(arm.settings), size, 0)
    part(*job).parent.mkdir(parents=True, exist_ok=True)
    table = counts.assign(tokens_seen=tokens, labelled_sentences=size)
    artifacts.write(part(*job), table.to_csv(index=False, lineterminator="\n"))


def find_mentions(job: Job) -> None:
    """Fine-tune one model as in the core cell of its block, and keep which test mentions it finds."""
    block, _, seed, name = job
    arm = arm_of(block, seed, name)
    tokens = 0 if name == "none" else block.tokens[-1]
    predicted = arm.predictions(tokens, block.base.core_sentences, 0)
    test = zip(arm.replicate.gold(), predicted, arm.replicate.pieces("test"), strict=True)
    rows = [
        (number, start, end - start, sum(pieces[start:end]), int((kind, start, end) in scoring.spans(tagged)))
        for number, (tags, tagged, pieces) in enumerate(test)
        for kind, start, end in scoring.spans(tags)
    ]
    part(*job).parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows, columns=[*MENTION, "found"])
    artifacts.write(part(*job), table.to_csv(index=False, lineterminator="\n"))


def by_mention(block: Block, seeds: Sequence[int]) -> pd.DataFrame:
    """Put what the models find (1) into a column each, named by arm and seed, and compare the sums.

    Raises:
        ValueError: They are not the counts of the block.
    """
    named = list(product(block.conditions[0].arms, seeds))
    tables = [
        pd.read_csv(part(block, MENTIONS, seed, arm), index_col=MENTION)["found"].rename(f"{arm} {seed}")
        for arm, seed in named
    ]
    found = pd.concat(tables, axis="columns").reset_index()
    sums = found.groupby(found["length"].map(scoring.length_bucket)).sum()
    known = reference.results(block)
    known = known[known["labelled_sentences"] == block.base.core_sentences]
    known = known[known["tokens_seen"].isin((0, block.tokens[-1])) & (known["subset"] == 0)]
    known = known.groupby(["arm", "replicate", "length"])["correct"].sum()
    for (arm, seed), length in product(named, sums.index):
        now, before = sums.loc[length, f"{arm} {seed}"], known[arm, seed, length]
        if now != before:
            raise ValueError(
                f"{arm} of seed {seed} finds {now} names of length {length}, and {before} in block "
                f"{block.name}: on another machine models come out otherwise; run the block on this one"
            )
    return found


def with_labels(shared: Replicate, folder: str, left_out: list[bool]) -> Replicate:
    """Put other labelled sentences into a replicate; its text, vocabulary and models stay."""
    read = corpora.load(FOLDER_OF_REAL / folder)
    test = [one for one, leave in zip(read.splits["test"], left_out, strict=True) if not leave]
    splits = {**read.splits, "test": test}
    return replace(shared, corpus=replace(shared.corpus, splits=splits, types=read.types))


def stands_in_text(block: Block, folder: str) -> list[bool]:
    """Tell for each test sentence whether it, or eight words in a row of it, stands in the block's text."""
    kept = PARTS / f"{folder}.json"
    if not kept.exists():
        text = arm_of(block, block.first_seed, block.conditions[0].arms[0]).replicate.corpus.text
        test = [words for words, _ in corpora.load(FOLDER_OF_REAL / folder).splits["test"]]
        lines = [text[number] for number in sorted(find_held_out(text, test).lines)]
        PARTS.mkdir(parents=True, exist_ok=True)
        artifacts.write(kept, json.dumps([find_held_out(lines, [words]).sentences > 0 for words in test]))
    return json.loads(kept.read_text(encoding="utf-8"))


def part(block: Block, folder: str, seed: int, arm: str) -> Path:
    """Return where the counts of one fine-tuning are kept."""
    return PARTS / block.name / f"{folder}-{seed}-{arm}.csv"


def together(block: Block, name: str, seeds: Iterable[int]) -> pd.DataFrame:
    """Add up the folds of a set for each seed and arm, with the columns of a results table."""
    tables = []
    for seed, arm in product(seeds, block.conditions[0].arms):
        folds = pd.concat(read_table(part(block, folder, seed, arm)) for folder in SETS[name])
        counts = folds.groupby(NAMED_BY, as_index=False, sort=False).sum()
        facts = {"corpus": name, "arm": arm, "replicate": seed, "subset": 0, "condition": ""}
        facts |= {"mask_rate": 0.0 if arm == "none" else arm_of(block, seed, arm).recipe.mask_rate}
        facts |= {"tokens_seen": folds["tokens_seen"].iloc[0]}
        facts |= {"labelled_sentences": folds["labelled_sentences"].iloc[0]}
        tables.append(counts.assign(**facts)[COLUMNS])
    return pd.concat(tables, ignore_index=True)


if __name__ == "__main__":
    main()
