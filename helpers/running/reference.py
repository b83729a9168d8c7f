"""Making the reference: a block at a time, a file per seed, going on from what is committed."""

import gzip
import hashlib
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import corpora, model, own_model, world
from helpers.blocks import BASE, BLOCKS, DTYPE, FIRST_SEED, Block, Condition
from helpers.running import artifacts, executors, plan
from helpers.running.arm import (
    COLUMNS,
    PACKAGES,
    SCORED_BY,
    TRAINED_BY,
    Arm,
    read_table,
    unpack_mentions,
)
from helpers.settings import ROOT, Settings, name_of, processors

FOLDER = ROOT / "data" / "reference" / "blocks"
MANIFEST = "manifest.json"


class ReferenceError(ValueError):
    """What is committed of a block does not belong to the block as it is now."""


@dataclass(frozen=True)
class Task:
    """An arm under a condition."""

    condition: Condition
    arm: Arm


def tasks(block: Block, seed: int) -> list[Task]:
    """List what a block trains on one seed.

    Args:
        block: of the reference.
        seed: one of the block's.

    Returns:
        Its tasks, those that take longest first.
    """
    found = []
    for condition in block.conditions:
        settings = _settings(block, condition)
        for name in reversed(condition.arms):
            cells = block.cells(name)
            kept = block.kept_cells(name)
            found.append(Task(condition, Arm(settings, name, seed - FIRST_SEED, block.dtype, cells, kept)))
    return found


def done(block: Block) -> list[int]:
    """List the seeds of a block whose results are there.

    Args:
        block: of the reference.

    Returns:
        The seeds, in order.

    Raises:
        ReferenceError: they were made with other settings.
    """
    manifest = _manifest(block)
    if manifest and not agree(manifest["settings"], facts(block)):
        raise ReferenceError(
            f"{folder(block)} was made with other settings than block {block.name} has now: move the "
            f"folder away to make the block anew, or take the change back"
        )
    return [seed for seed in block.seeds if str(seed) in manifest.get("seeds", {})]


def facts(block: Block) -> list[dict]:
    """List what decides the results of a block, a condition each, as its manifest has it.

    The number of replicates is not among it, so that some can be added.

    Args:
        block: of the reference.

    Returns:
        Settings as JSON has them.
    """
    listed = []
    for condition in block.conditions:
        scale = block.scale(condition)
        source: dict[str, object] = {"world": asdict(scale.world)}
        if block.corpus != "world":
            source = {"corpus": {"name": name_of(block.corpus), "words": scale.words}}
        parts = {name: asdict(getattr(scale, name)) for name in ("model", "pretraining", "finetuning")}
        cells = {arm: block.cells(arm) for arm in condition.arms}
        if block.model:
            source["started_from"] = Path(block.model).name  # whether it is there or not
        if block.dtype != DTYPE:
            source["dtype"] = block.dtype
        listed.append(
            {"condition": condition.name, "tokens": scale.tokens, "cells": cells, **source, **parts}
        )
    return json.loads(json.dumps(listed))


def agree(before: object, now: object) -> bool:
    """Tell whether settings are the same; those that the series did not have before do not count."""
    if isinstance(before, dict) and isinstance(now, dict):
        return before.keys() <= now.keys() and all(agree(before[name], now[name]) for name in before)
    if isinstance(before, list) and isinstance(now, list):
        return len(before) == len(now) and all(map(agree, before, now))
    return before == now


def make(block: Block, workers: int = 0) -> None:
    """Make what is missing of a block. Each seed is written as soon as all its arms are there.

    Args:
        block: of the reference.
        workers: processes side by side; as many as there are processors if left out.

    Raises:
        ReferenceError: what it reads is missing, or is not what the seeds that are there were made from.
    """
    there, files = done(block), inputs(block)
    if there and files != _manifest(block).get("inputs", {}):
        raise ReferenceError(
            f"{folder(block)} was made from other files than those in {Path(block.corpus).parent}: put those "
            f"back (the manifest has their checksums), or move the folder away to make the block anew"
        )
    missing = {seed: tasks(block, seed) for seed in block.seeds if seed not in there}
    by_seed = {seed: {task.arm for task in some} for seed, some in missing.items()}
    waiting = {seed: {arm for arm in arms if arm.scored() is None} for seed, arms in by_seed.items()}

    def finished(arm: Arm) -> None:
        waiting[arm.seed].discard(arm)
        if not waiting[arm.seed]:
            write(block, arm.seed, missing[arm.seed])

    for seed in [seed for seed, arms in waiting.items() if not arms]:  # scored before, and not yet written
        write(block, seed, missing[seed])
    arms = [task.arm for seed in missing for task in missing[seed] if task.arm in waiting[seed]]
    if arms:
        executors.run(arms, workers or processors(), finished=finished)


def inputs(block: Block) -> dict[str, str]:
    """Return the checksums (SHA-256) of the files that a block reads, by name; none of the world.

    Args:
        block: of the reference.

    Returns:
        Those of the labelled files, of the text, and of the model that training starts from.

    Raises:
        ReferenceError: one is missing.
    """
    if block.corpus == "world":
        return {}
    try:
        files = [path for path in corpora.files(block.corpus, block.text) if isinstance(path, Path)]
        start = {Path(block.model).name: own_model.fingerprint(block.model)} if block.model else {}
    except (corpora.CorpusError, own_model.ModelError) as error:
        raise ReferenceError(
            f"{error}. Block {block.name} reads data that is not part of the project: "
            f"python -m tests.benchmarks.real_corpora puts it there (a model if it is named)"
        ) from error
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files} | start


def overview() -> pd.DataFrame:
    """Work out what is left of each block, and what that takes here.

    Returns:
        A row for each block: its question, how many of its replicates are there, the million tokens of
        pre-training and the fine-tunings that are left, and the hours that they take on this machine, if what
        it reads is there.
    """
    measured, rows = {}, []
    for block in BLOCKS.values():
        kind = block.corpus, block.model, block.dtype
        if kind not in measured:
            measured[kind] = _speeds(block)
        there = done(block)
        left = [task.arm for seed in block.seeds if seed not in there for task in tasks(block, seed)]
        tokens, cells = sum(arm.tokens_to_train for arm in left), sum(len(arm.cells) for arm in left)
        replicates, hours = f"{len(there)} of {block.replicates}", "not known"
        if speeds := measured[kind]:
            hours = f"{(tokens / speeds[0] + cells * speeds[1]) / processors() / 3600:.1f}"
        rows.append((block.name, block.question, replicates, round(tokens / 1e6), cells, hours))
    names = ["block", "question", "replicates", "million tokens left", "fine-tunings left", "hours left"]
    return pd.DataFrame(rows, columns=names)


def write(block: Block, seed: int, some: list[Task]) -> None:
    """Write the counts, the kept predictions and the manifest's entry of one seed.

    Args:
        block: of the reference.
        seed: whose arms are all scored.
        some: its tasks.
    """
    place, costs, kept = folder(block), [], {}
    place.mkdir(parents=True, exist_ok=True)
    table = pd.concat([task.arm.table(task.condition.name) for task in some], ignore_index=True)
    text = table.to_csv(index=False, lineterminator="\n")
    # Without a time of its own, so that the same counts are the same bytes.
    (place / f"{seed}.csv.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    for task in some:
        if cost := task.arm.cost():
            under = {"condition": task.condition.name, "mask_rate": task.arm.recipe.mask_rate}
            costs.append({"arm": task.arm.name, **under, **cost})
        if task.arm.kept:
            with np.load(task.arm.scores() / "predictions.npz") as mentions:
                kept |= {f"{task.arm.name}-{cell}": mentions[cell] for cell in mentions.files}
    if kept:
        np.savez_compressed(place / f"{seed}.npz", **kept)
    manifest = _manifest(block) or {"block": block.name, "question": block.question, "settings": facts(block)}
    if files := inputs(block):
        manifest["inputs"] = files
    manifest.setdefault("seeds", {})[str(seed)] = {
        "written": time.strftime("%Y-%m-%d"),
        "device": model.device_name(),
        "versions": artifacts.versions(*PACKAGES),
        "code": artifacts.source_hash(*TRAINED_BY, *SCORED_BY),
        "costs": costs,
    }
    artifacts.write(place / MANIFEST, json.dumps(manifest, indent=1) + "\n")


def results(block: Block) -> pd.DataFrame:
    """Read the results table of a block.

    Args:
        block: of the reference.

    Returns:
        Columns as in `arm.COLUMNS`. No rows while a replicate is missing: whoever looks at a part, and may
        stop when it pleases, no longer has a 5% test.
    """
    seeds = done(block)
    if len(seeds) < block.replicates:
        return pd.DataFrame(columns=COLUMNS)
    return pd.concat([read_table(folder(block) / f"{seed}.csv.gz") for seed in seeds], ignore_index=True)


def costs(block: Block) -> pd.DataFrame:
    """Read what the pre-trainings of a block cost.

    Args:
        block: of the reference.

    Returns:
        The columns arm, condition, mask_rate, seconds_per_step, seconds, device and replicate.
    """
    seeds = _manifest(block).get("seeds", {})
    rows = [{**cost, "replicate": int(seed)} for seed, made in seeds.items() for cost in made["costs"]]
    return pd.DataFrame(rows)


def predictions(block: Block, seed: int, arm: str, subset: int = 0) -> list[list[str]]:
    """Read the predicted tags that are kept of a core cell.

    Args:
        block: one that keeps predictions.
        seed: of the replicate.
        arm: of the replicate.
        subset: labelled subset.

    Returns:
        IOB2 tags, a list for each test sentence of `gold`.
    """
    (cell,) = [cell for cell in block.kept_cells(arm) if cell[2] == subset]
    with np.load(folder(block) / f"{seed}.npz") as mentions:
        kept = mentions[f"{arm}-{'-'.join(map(str, cell))}"]
    return unpack_mentions(kept, [len(words) for words, _ in test_sentences(seed)])


def test_sentences(seed: int) -> list[tuple[list[str], list[str]]]:
    """Write the labelled test sentences of a replicate again: words and IOB2 tags of each."""
    return world.generate(replace(BASE.world, seed=seed, sentences=0)).test


def folder(block: Block) -> Path:
    """Return where a block is committed: among the others, or beside them if its text is real."""
    return FOLDER / block.name if block.corpus == "world" else FOLDER.parent / block.name


def _settings(block: Block, condition: Condition) -> Settings:
    out = ROOT / "data" / "runs" / "reference"
    return Settings(block.scale(condition), block.corpus, block.text, out, model=block.model)


def _speeds(block: Block) -> tuple[float, float] | None:
    """Measure tokens per second and seconds of a fine-tuning; None if what the block reads is missing."""
    try:
        inputs(block)
    except ReferenceError:
        return None
    return plan.speeds(_settings(block, block.conditions[0]), block.dtype)


# --- by name, for notebooks: `experiment` hands these on ---


def read(block: str = "A") -> pd.DataFrame:
    """Read the results table of a block of the reference, which is committed with the series.

    Args:
        block: "A", which gives the verdicts, or another of `blocks.BLOCKS`.

    Returns:
        Columns as in `experiment.results`; no rows while the block is not measured.
    """
    return results(BLOCKS[block])


def read_costs(block: str = "A") -> pd.DataFrame:
    """Read what the pre-trainings of a block of the reference cost; columns as `costs` has them."""
    return costs(BLOCKS[block])


def read_predictions(
    name: str, number: int = 0, subset: int = 0
) -> tuple[list[list[str]], list[list[str]], list[list[str]]]:
    """Read what an arm of block A predicted in its core cell; its test sentences are written anew.

    Args:
        name: of the arm.
        number: of the replicate, 0 for the first.
        subset: which draw of labelled sentences.

    Returns:
        For each test sentence its words, its gold tags and the predicted ones (IOB2).
    """
    seed = BLOCKS["A"].seeds[number]
    words, gold = zip(*test_sentences(seed), strict=True)
    return list(words), list(gold), predictions(BLOCKS["A"], seed, name, subset)


def read_laptop_run() -> pd.DataFrame:
    """Read the results table of a whole run at scale `laptop`, on the seeds 0 to 7."""
    return read_table(FOLDER.parent / "laptop" / "results.csv.gz")


def read_laptop_run_costs() -> pd.DataFrame:
    """Read what the pre-trainings behind `read_laptop_run` cost; columns as in `experiment.costs`."""
    return pd.read_csv(FOLDER.parent / "laptop" / "costs.csv")


def _manifest(block: Block) -> dict:
    file = folder(block) / MANIFEST
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
