"""What the reference found, in one place: the tables and figures that README, notes and lectures quote."""

from itertools import product
from pathlib import Path

import matplotlib
import pandas as pd

from helpers import contiguity, contrasts, figures, maps, scoring, verdicts
from helpers.blocks import BLOCKS
from helpers.running import reference
from helpers.running.arm import read_table

OTHER_LABELS = ("litbank", "wnut17")  # as tests/benchmarks/real_models.py writes them, if it was asked to
STEPS = (
    *contrasts.STEPS,
    ("span_short", "whole_word"),
    ("span_short", "token"),
    ("span", "span_short"),
)
# Blocks and million tokens before and after, the column that differs, and its two values; with the size of
# the model its rates differ, too.
LARGER = (
    (("real_labels", 16), ("real_vocabulary", 16), "wordpieces", ("8,192", "30,000")),
    (("real_labels", 16), ("real_long", 38), "tokens", ("16 million", "38 million")),
    (("real_labels", 16), ("real_large", 16), "layers x units", ("2 x 128", "4 x 256")),
    (("real_large", 16), ("real_combined", 16), "wordpieces", ("8,192", "30,000")),
    (("real_vocabulary", 16), ("real_combined", 16), "layers x units", ("2 x 128", "4 x 256")),
    (("real_combined", 16), ("real_combined", 38), "tokens", ("16 million", "38 million")),
)
INTERVALS = "recall, paired differences in points with 95% t intervals over replicates"


def tables() -> dict[str, pd.DataFrame]:
    """Make the tables of every block that is whole.

    Returns:
        From a title to a table.
    """
    found, core = {}, reference.read("A")
    if not core.empty:
        for unit, name in (("length", "words"), ("pieces", "wordpieces")):
            found[f"Block A: {INTERVALS}, by length in {name} and tokens seen"] = (
                contiguity.values_of_decomposition(core, lengths=None, unit=unit)
            )
        found["Block A: the same for short and long names"] = contiguity.values_of_decomposition(core)
        found["Block A: F1 by entity length after the last budget"] = figures.values_by_length(core)
        judged = verdicts.judge(core, cost=reference.read_costs("A"))
        found["The verdicts on statements 2 to 5 (notebook 07 compares the architectures)"] = said(judged)
    for block, title, values in (
        ("C", "a vocabulary that tears next to no word", maps.values_of_vocabulary),
        ("D", "mask rate and span length", maps.values_of_rate_and_length),
        ("E", "the dials of the world", maps.values_of_dials),
    ):
        table = reference.read(block)
        if not (table.empty or core.empty):
            found[f"Block {block}: {title}; {INTERVALS}"] = values(table, core)
    if not (table := reference.read("real")).empty:
        labelled = BLOCKS["real"].base.core_sentences
        found[f"Block real: {INTERVALS}"] = contiguity.values_of_decomposition(
            table, labelled_sentences=labelled
        )
        found |= _trial()
        found["Block real: short spans, the same"] = maps.values_of_short_spans(table, labelled)
        found["Block real: the verdicts"] = said(
            verdicts.judge(table, cost=reference.read_costs("real"), labelled_sentences=labelled)
        )
    for block in ("real_labels", "real_long"):  # the former has the models of real_rows and real_short_spans
        if (table := reference.read(block)).empty:
            continue
        for count, rows in table.groupby("labelled_sentences"):
            found[f"Block {block}, {count:,} labelled sentences: {INTERVALS}"] = _steps(rows)
        found[f"Block {block}: the verdicts"] = said(
            verdicts.judge(
                table,
                cost=reference.read_costs(block),
                labelled_sentences=BLOCKS[block].base.core_sentences,
            )
        )
    for before, after, column, sizes in LARGER:
        smaller, larger = _with_all_labels(*before), _with_all_labels(*after)
        if not (smaller.empty or larger.empty):
            title = f"Block {after[0]}, {sizes[1]} {column} beside the {sizes[0]} of block {before[0]}"
            found[f"{title}: {INTERVALS}"] = _changed(smaller, larger, column, sizes)
    for block, name in product(("real_labels", "real_long", "real_vocabulary"), OTHER_LABELS):
        file = reference.folder(BLOCKS[block]) / f"{name}.csv.gz"
        if file.exists() and not reference.read(block).empty:
            found[f"Block {block}, labels of {name}: {INTERVALS}"] = _steps(read_table(file))
    if not (table := reference.read("real_model")).empty:
        labelled = BLOCKS["real_model"].base.core_sentences
        found["Block real_model: F1 by entity length of a shipped model, as it came and trained on"] = (
            figures.values_by_length(table, labelled)
        )
        steps = [(arm, "as_it_came") for arm in ("token", "whole_word", "span")] + list(contrasts.STEPS)
        differences = contrasts.differences(
            scoring.core_cell(table, labelled_sentences=labelled), "corpus", steps=steps
        )
        found[f"Block real_model: {INTERVALS}"] = contrasts.as_text(
            differences, ["length"], "step", contrasts.labels_of(steps), "+"
        )
    if not (table := reference.read("S")).empty:
        found[f"Block S: short spans on fresh seeds; {INTERVALS}"] = maps.values_of_short_spans(table)
    return found


def _trial() -> dict[str, pd.DataFrame]:
    """Return what is left of a trial of 4 x 256 on a GPU that broke (data/reference/README.md)."""
    folder = reference.FOLDER.parent / "real_gpu_trial"
    if not folder.exists():
        return {}
    losses = pd.read_csv(folder / "losses.csv.gz").groupby(["budget", "replicate", "arm"])["loss"]
    cell = ("arm", "tokens_seen", "labelled_sentences")
    scores = scoring.replicate_scores(read_table(folder / "1000.csv.gz"), cell, contrasts.LENGTHS)
    rows = ["labelled_sentences", "tokens_seen", "length"]
    return {
        "A trial of 4 x 256 on a GPU that broke: mean of the last five losses": (
            losses.apply(lambda run: run.tail(5).mean()).unstack().round(2)
        ),
        "The same trial, seed 1000: F1 and recall": scores.pivot_table(["f1", "recall"], rows, "arm").round(
            1
        ),
    }


def _steps(table: pd.DataFrame) -> pd.DataFrame:
    differences = contrasts.differences(table, "tokens_seen", steps=STEPS)
    return contrasts.as_text(differences, ["length"], "step", contrasts.labels_of(STEPS), "+")


def _with_all_labels(block: str, million_tokens: int) -> pd.DataFrame:
    table, labelled = reference.read(block), BLOCKS[block].base.core_sentences
    return table[
        (table["tokens_seen"] == million_tokens * 1_000_000) & (table["labelled_sentences"] == labelled)
    ]


def _changed(
    smaller: pd.DataFrame, larger: pd.DataFrame, column: str, values: tuple[str, str]
) -> pd.DataFrame:
    """Return the steps in two blocks, and by how much they change, on the same seeds."""
    both = pd.concat(
        table.assign(**{column: value}) for table, value in zip((smaller, larger), values, strict=True)
    )
    summary = contrasts.with_change(both, column, *values, steps=STEPS)
    return contrasts.as_text(summary, ["length", column], "step", contrasts.labels_of(STEPS), "+")


def said(judged: pd.DataFrame) -> pd.DataFrame:
    """Return what `verdicts.judge` said of the statements that a results table can decide."""
    return judged.loc[judged["statement"] > 1, ["statement", "part", "verdict", "status", "reason"]]


def save_figures(folder: Path = reference.FOLDER.parent) -> list[Path]:
    """Save the two figures of block A that README and the protocol show.

    Args:
        folder: where they go.

    Returns:
        The files.
    """
    core, paths = reference.read("A"), []
    if core.empty:
        return paths
    with matplotlib.rc_context({"backend": "agg"}):
        for name, figure in (
            ("ladder", contiguity.ladder(core)),
            ("f1_by_entity_length", figures.f1_by_entity_length(core)),
        ):
            paths += figures.save(figure, folder / name)
    return paths
