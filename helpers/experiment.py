"""The grid: replicates × arms × slices, into one tidy table; and the names that notebooks use.

A replicate is one seed, and the seed decides everything that chance could: the world and its names, the
initial weights, the order of the rows, the masks, which sentences are labelled. Its arms share all of that
but the positions that are hidden. Every arm of every replicate is made once and kept, so that a run can be
interrupted and goes on where it was; `helpers/running` does that work.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm.auto import tqdm

from helpers import masking, model, verdicts
from helpers.running import artifacts, executors, explanations
from helpers.running import plan as plans
from helpers.running import reference as references
from helpers.running import replicate as replicates
from helpers.running.arm import COLUMNS as COLUMNS
from helpers.running.arm import Arm, Cell
from helpers.running.arm import read_table as read_table
from helpers.settings import UNTRAINED, Settings

REFERENCE = references.FOLDER.parent
replicate = replicates.load
reference = references.read
reference_costs = references.read_costs
reference_predictions = references.read_predictions
reference_why = explanations.read
laptop_run = references.read_laptop_run
laptop_run_costs = references.read_laptop_run_costs


def cells(settings: Settings, arm: str, sizes: Sequence[int]) -> list[Cell]:
    """List what is fine-tuned for an arm.

    The core cell is scored on several labelled subsets; the slices through it, which move one factor, on one.

    Args:
        settings: corpus and scale.
        arm: one of `UNTRAINED` has no budgets of tokens.
        sizes: the numbers of labelled sentences that the corpus has enough of.

    Returns:
        (tokens seen, labelled sentences, subset) for each.
    """
    scale = settings.scale
    *smaller, largest = (0,) if arm in UNTRAINED else scale.tokens
    core = [(largest, scale.core_sentences, subset) for subset in range(scale.subsets)]
    budgets = [(tokens, scale.core_sentences, 0) for tokens in smaller]
    return core + budgets + [(largest, n, 0) for n in sizes if n != scale.core_sentences]


def plan(settings: Settings, *, minutes: float | None = None, replicates: int | None = None) -> plans.Plan:
    """Work out what a run would be here; see `running.plan.make`."""
    return plans.make(settings, partial(cells, settings), minutes=minutes, replicates=replicates)


def arm(settings: Settings, name: str, number: int = 0) -> Arm:
    """Return one arm of one replicate, in the precision of the plan."""
    planned = plan(settings)
    own = tuple(cells(settings, name, planned.labelled_sentences))
    return Arm(settings, name, number, planned.dtype, own)


def results(settings: Settings, executor: Any = None) -> pd.DataFrame:
    """Make the results table of the plan, `settings.out/results.csv`; run what is missing, with progress.

    Can be interrupted at any time: a finished arm of a replicate is kept, and one that is not goes on from
    its last state. Beside the table stands `costs.csv`: seconds per step of each pre-training, and on what.

    Args:
        settings: corpus, scale, and the folder for both files.
        executor: runs each arm of each replicate elsewhere; see `running.executors.run`.

    Returns:
        One row per corpus, arm, replicate (its seed), mask rate, tokens seen, number of labelled sentences,
        labelled subset, type, novelty and length bucket, with gold, predicted and correct counts.

    Raises:
        BrokenExecutor: as `running.executors.run`; other errors are those of `running.resume.pretrain`.
    """
    planned = plan(settings)
    names, numbers = tuple(reversed(planned.arms)), range(planned.replicates)
    arms = [arm(settings, name, number) for number in numbers for name in names]
    missing = [one for one in arms if one.scored() is None]
    if missing:
        executors.run(missing, planned.workers, executor)
    tables, costs = [], []
    for one in arms:
        tables.append(one.table())
        if cost := one.cost():
            costs.append({"arm": one.name, "replicate": one.seed, **cost})
    table = pd.concat(tables, ignore_index=True)
    files = {"results.csv": table} | ({"costs.csv": pd.DataFrame(costs)} if costs else {})
    for name, made in files.items():
        artifacts.write(settings.out / name, made.to_csv(index=False, lineterminator="\n"))
    return table


def pretrained(settings: Settings, name: str, number: int = 0, tokens: int | None = None) -> Path:
    """Return the checkpoint folder of an arm, built if missing, with a progress bar.

    Args:
        settings: corpus and scale.
        name: of the arm, which is a masking strategy.
        number: of the replicate.
        tokens: one of the scale's budgets; the largest if left out.

    Returns:
        A folder with model, tokenizer and history.csv.

    Raises:
        ValueError: `tokens` is none of them.
    """
    budgets = settings.scale.tokens
    if tokens not in (None, *budgets):
        raise ValueError(f"no checkpoint is kept after {tokens} tokens; choose from {budgets}")
    wanted = arm(settings, name, number)
    done, total = wanted.trained() is not None, wanted.tokens_to_train
    with tqdm(total=total, unit=" tokens", unit_scale=True, desc=name, leave=False, disable=done) as bar:
        folder = replace(wanted, progress=bar.update).pretrained()
    return folder / str(tokens or budgets[-1])


def predictions(
    settings: Settings, name: str, number: int = 0, labelled_sentences: int | None = None, subset: int = 0
) -> tuple[list[list[str]], list[list[str]]]:
    """Return gold and predicted IOB2 tags of the test split for one arm.

    Args:
        settings: corpus and scale.
        name: of the arm; one of `UNTRAINED` is not pre-trained here.
        number: of the replicate.
        labelled_sentences: that the tagger learns from; those of the core cell if left out.
        subset: which draw of them.

    Returns:
        Two lists with a list of tags for each test sentence.
    """
    if name not in UNTRAINED:
        pretrained(settings, name, number)  # with a progress bar
    wanted, count = arm(settings, name, number), labelled_sentences or settings.scale.core_sentences
    return wanted.replicate.gold(), wanted.predictions(settings.scale.tokens[-1], count, subset)


def judge(settings: Settings, table: pd.DataFrame) -> pd.DataFrame:
    """Give the verdicts on a run of these settings; see `verdicts.judge`."""
    return verdicts.judge(table, same_architecture(settings), costs(settings), settings.scale.core_sentences)


def same_architecture(settings: Settings) -> dict[str, bool]:
    """Compare a model that will be trained on tokens with one that will be trained on spans.

    Args:
        settings: corpus and scale.

    Returns:
        For each name in `verdicts.ARCHITECTURE_CHECKS` whether it holds.
    """
    shared, finite = replicate(settings), []
    token, span = (replicates.new_model(settings.scale.model, shared) for _ in range(2))
    rows, words = shared.blocks.input_ids[:32], shared.blocks.word_ids[:32]  # [rows, length] each
    for net, strategy in product((token, span), ("token", "span")):
        scheme = masking.Scheme(strategy, mask_rate=settings.scale.pretraining.mask_rate)
        batch = masking.mask(rows, words, scheme, shared.vocabulary, torch.Generator().manual_seed(0))
        with torch.no_grad():
            finite.append(model.masked_lm_loss(net, batch.inputs, batch.positions, batch.labels).isfinite())
    ours, theirs = dict(token.named_parameters()), dict(span.named_parameters())
    return {
        "same_class": type(token) is type(span),
        "same_parameter_names": ours.keys() == theirs.keys(),
        "same_shapes": [weights.shape for weights in ours.values()] == [w.shape for w in theirs.values()],
        "same_initial_weights": all(torch.equal(ours[name], theirs[name]) for name in ours),
        "forward_accepts_both": all(map(bool, finite)),
    }


# --- files ---


def costs(settings: Settings) -> pd.DataFrame | None:
    """Read what each pre-training of a finished run cost; None if none of its arms is pre-trained."""
    file = settings.out / "costs.csv"
    return pd.read_csv(file).astype({"seconds_per_step": float}) if file.exists() else None


def keep_expectations(settings: Settings, expected: Mapping[int, str | None]) -> dict[str, str | None]:
    """Keep what a reader expects of each statement, if anything is given, and return what is kept."""
    file = settings.out / "expectations.json"
    if any(expected.values()):
        artifacts.write(file, json.dumps(expected))
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # none were given, or the file is damaged
        return {}
