"""Maps of where span masking wins: mask rates, lengths of spans, vocabularies, and the dials of the world.

As in `figures`, a figure can be read in grey, and `values_of_…` returns its numbers as text. What a table
lacks is left out.
"""

from collections.abc import Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from helpers import contrasts, figures, scoring
from helpers.contrasts import LADDER, LENGTHS, LONG, OTHER_STEP, POINTS, STEPS, WIDTH
from helpers.figures import GREY, LOOK, Style
from helpers.settings import ModelSettings, WorldSettings

SHORT_SPANS = ("span_short", "whole_word")
BOUNDARY = ("span_boundary", "span")


@plt.rc_context(LOOK)
def rate_and_length(
    table: pd.DataFrame, reference: pd.DataFrame | None = None, labelled_sentences: int = 100
) -> Figure:
    """Draw recall at 3 and more words for mask rates and arms, and its difference to token at the same rate.

    Args:
        table: The results table with several mask rates.
        reference: Results at the core mask rate; those of the same seeds and tokens seen are used. By default
            `table` holds them.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        The figure.

    Raises:
        ValueError: The table has no mask rate but the core's.
    """
    core, recall, differences = _rates(table, reference, labelled_sentences)
    rates = sorted(recall["mask_rate"].unique())
    arms = [arm for arm in LADDER if arm in set(recall["arm"])]
    grid = recall.pivot(index="mask_rate", columns="arm", values="mean").loc[rates, arms]
    figure, axes = plt.subplots(figsize=(WIDTH, 1.5 + 0.92 * len(rates)))
    low, high = np.nanmin(grid), np.nanmax(grid)
    colours = ListedColormap(plt.get_cmap("Blues")(np.linspace(0.06, 0.55, 255)))
    axes.imshow(grid, cmap=colours, vmin=low, vmax=max(high, low + 1), aspect="auto")
    minus_token = {(row.mask_rate, row.arm): row for row in differences["token"].itertuples()}
    for cell in recall.itertuples():
        x, y = arms.index(cell.arm), rates.index(cell.mask_rate)
        step = minus_token.get((cell.mask_rate, cell.arm))
        change = _in_figure(step, "+") if step else ""
        best = cell.mean == grid.loc[cell.mask_rate].max()
        axes.text(x, y - 0.2, f"{cell.mean:.1f}", fontsize=15, fontweight="bold", ha="center", va="center")
        bounds = "" if np.isnan(cell.low) else f"[{cell.low:.1f}, {cell.high:.1f}]"
        axes.text(x, y + 0.08, bounds, fontsize=8.5, ha="center", va="center")
        axes.text(x, y + 0.31, change, fontsize=8.5, ha="center", va="center", style="italic")
        if best:
            frame = {"fill": False, "edgecolor": "black", "linewidth": 2.2, "zorder": 3}
            axes.add_patch(Rectangle((x - 0.475, y - 0.465), 0.95, 0.93, **frame))
    contrasts.tiles(axes, [LADDER[arm] for arm in arms], [f"{100 * rate:.0f}%" for rate in rates])
    axes.set(xlabel="what is hidden together, and its mean length as drawn", ylabel="mask rate")
    figures.header(
        figure,
        "Recall of names of 3 and more words, by mask rate and what is hidden",
        f"{figures.core_in_words(core)}; {figures.interval_in_words(recall)};\n"
        f"{round(recall['support'].mean()):,} gold mentions per replicate; "
        "in italics: minus token at the same rate, paired; framed: highest of its rate, which is no test",
    )
    return figure


def values_of_rate_and_length(
    table: pd.DataFrame, reference: pd.DataFrame | None = None, labelled_sentences: int = 100
) -> pd.DataFrame:
    """Return the values of `rate_and_length` as text.

    Args:
        table: The results table with several mask rates.
        reference: As in `rate_and_length`.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        Four rows per mask rate, for recall and its differences to the arms before it; a column per arm, and
        the support.

    Raises:
        ValueError: The table has no mask rate but the core's.
    """
    _, recall, differences = _rates(table, reference, labelled_sentences)
    parts = {f"recall, {LONG}": (recall, "")}
    parts |= {f"minus {' '.join(LADDER[arm].split())}": (rows, "+") for arm, rows in differences.items()}
    texts = pd.concat(
        [rows.assign(value=name, text=contrasts.texts(rows, sign)) for name, (rows, sign) in parts.items()]
    )
    texts = texts.sort_values("mask_rate", kind="stable")
    return contrasts.as_text(texts, ["mask_rate", "value"], "arm", list(LADDER))


def _rates(
    table: pd.DataFrame, reference: pd.DataFrame | None, labelled_sentences: int
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, pd.DataFrame]]:
    at_core = np.isclose(table["mask_rate"], 0.15)
    others = table["arm"].isin(LADDER) & ~at_core
    if reference is None:
        reference = table
    else:  # an arm that both hold is taken from the table
        reference = pd.concat([table[at_core], reference[~reference["arm"].isin(table["arm"][at_core])]])
    core = _beside(table[others], reference)
    core = scoring.core_cell(core, "mask_rate", labelled_sentences=labelled_sentences)
    core = core[core["arm"].isin(LADDER)]
    scores = scoring.replicate_scores(core, ("arm", "mask_rate"), {LONG: LENGTHS[LONG]})
    recall = scoring.over_replicates(scores, "recall", by=["arm", "mask_rate"])
    baselines = ("token", "whole_word", "span_short")
    return core, recall, {baseline: _minus(core, recall, baseline) for baseline in baselines}


def _minus(core: pd.DataFrame, recall: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Compare the arms behind `baseline` in `LADDER` with it; no rows if nothing can be compared."""
    arms = list(LADDER)
    steps = [(arm, baseline) for arm in arms[arms.index(baseline) + 1 :]]
    arm_of = {contrasts.style_of(*step).label: step[0] for step in steps}
    try:
        difference = contrasts.differences(core, "mask_rate", {LONG: LENGTHS[LONG]}, steps)
    except ValueError:  # no arm to compare: the levels can be shown all the same
        difference = recall[:0].assign(step="")
    return difference.assign(arm=difference["step"].map(arm_of))


def values_of_short_spans(table: pd.DataFrame, labelled_sentences: int = 100) -> pd.DataFrame:
    """Return span_short − whole_word in recall as text.

    Args:
        table: The results table.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        A row per group of lengths and number of tokens seen, and the support.

    Raises:
        ValueError: No replicate has both arms.
    """
    return _values_of(SHORT_SPANS, table, LENGTHS, labelled_sentences)


def values_of_boundary(
    table: pd.DataFrame, reference: pd.DataFrame, labelled_sentences: int = 100
) -> pd.DataFrame:
    """Return span_boundary − span in recall as text, by length.

    Args:
        table: The results table with the arm span_boundary.
        reference: The one with span; its rows of the same seeds and tokens seen are used.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        A row per length and number of tokens seen, and the support.

    Raises:
        ValueError: No replicate has both arms.
    """
    both = _beside(table[table["arm"] == BOUNDARY[0]], reference)
    return _values_of(BOUNDARY, both, None, labelled_sentences)


def _values_of(
    step: tuple[str, str],
    table: pd.DataFrame,
    lengths: Mapping[str, Sequence[str]] | None,
    labelled_sentences: int,
) -> pd.DataFrame:
    core = scoring.core_cell(table, "tokens_seen", labelled_sentences=labelled_sentences)
    summary = contrasts.differences(core, "tokens_seen", lengths, [step])
    return contrasts.as_text(summary, ["length", "tokens_seen"], "step", contrasts.labels_of([step]), "+")


@plt.rc_context(LOOK)
def dials(
    table: pd.DataFrame, reference: pd.DataFrame | None = None, labelled_sentences: int = 100
) -> Figure:
    """Draw span − token and span − whole word, in recall at 3 and more words, in worlds with one dial turned.

    Args:
        table: The results table with the conditions of other worlds.
        reference: Results in the default world; those of the same seeds and tokens seen are used. By default
            `table` holds them.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        The figure.

    Raises:
        ValueError: The table has no other world, or no replicate has two of the arms.
    """
    core, summary = _dials(table, reference, labelled_sentences)
    summary = summary[summary["step"] != contrasts.style_of("whole_word", "token").label]  # follows from both
    rows = list(summary["row"].unique())
    styles = [style for style in STEPS.values() if style.label in set(summary["step"])]
    figure, axes = plt.subplots(figsize=(WIDTH, 1.9 + 0.56 * len(rows)))
    offsets = np.linspace(-0.17, 0.17, len(styles)) if len(styles) > 1 else [0]
    for style, offset in zip(styles, offsets, strict=True):
        marks = summary[summary["step"] == style.label]
        places = marks["row"].map(rows.index) + offset
        axes.errorbar(
            marks["mean"], places, xerr=figures.interval_bars(marks), capsize=3, elinewidth=1.8,
            markersize=8, **contrasts.look_of(style) | {"linestyle": "none"},
        )  # fmt: skip
        for place, mark in zip(places, marks.itertuples(), strict=True):
            axes.annotate(
                _in_figure(mark, "+"), (1, place), (8, 0), va="center_baseline", fontsize=9,
                xycoords=axes.get_yaxis_transform(), textcoords="offset points",
                color=contrasts.ink(style.color),
            )  # fmt: skip
    facts = summary.groupby("row")[["n", "support"]].max()
    for place, row in enumerate(rows):
        name = {"xy": (0, place), "xycoords": axes.get_yaxis_transform(), "textcoords": "offset points"}
        name |= {"ha": "right", "va": "center"}
        weight = "bold" if place == 0 else "normal"
        axes.annotate(row, xytext=(-10, 7), fontweight=weight, **name)
        support = f"{facts.loc[row, 'n']:.0f} replicates × {facts.loc[row, 'support']:,.0f} mentions"
        axes.annotate(support, xytext=(-10, -7), fontsize=8, color=GREY, **name)
    for text, side, x in (("← spans find fewer", "right", -5), ("spans find more →", "left", 5)):
        axes.annotate(
            text, (0, 1), (x, 4), xycoords=axes.get_xaxis_transform(), textcoords="offset points",
            ha=side, fontsize=8.5, color=GREY,
        )  # fmt: skip
    axes.set_yticks([])
    axes.axvline(0, color="black", linewidth=1.2, zorder=1)
    for place in range(1, len(rows)):
        axes.axhline(place - 0.5, color="#BBBBBB" if place == 1 else "#E4E4E4", linewidth=1, zorder=0)
    left, right = axes.get_xlim()
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=(min(left, -1), max(right, 1)))
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(POINTS)
    figures.header(
        figure,
        "In which world do spans find more long names?",
        f"{figures.core_in_words(core)}; recall at names of 3 and more words;\n"
        f"one dial turned at a time; paired, {figures.interval_in_words(summary)}",
        [contrasts.handle_of(style) for style in styles],
    )
    return figure


def values_of_dials(
    table: pd.DataFrame, reference: pd.DataFrame | None = None, labelled_sentences: int = 100
) -> pd.DataFrame:
    """Return the values of `dials` as text, and whole word − token with them.

    Args:
        table: The results table with the conditions of other worlds.
        reference: As in `dials`.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        A row per world, a column per difference, and the support.

    Raises:
        ValueError: As in `dials`.
    """
    _, summary = _dials(table, reference, labelled_sentences)
    return contrasts.as_text(summary, ["row"], "step", contrasts.labels_of(STEPS), "+").rename_axis(
        index="world"
    )


def _dials(
    table: pd.DataFrame, reference: pd.DataFrame | None, labelled_sentences: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    names = vars(WorldSettings())
    others = table[_fields(table).isin(names)]
    core = _beside(others, table if reference is None else reference)
    core = scoring.core_cell(core, "condition", labelled_sentences=labelled_sentences)
    core = core[core["tokens_seen"] > 0]
    summary = contrasts.differences(
        core,
        "condition",
        {LONG: LENGTHS[LONG]},
    )
    rows = {"": "default world"}
    for condition in others["condition"].unique():
        field, _, value = condition.partition("=")
        rows[condition] = f"{field} {names[field]:,} → {float(value):,g}"
    order = {condition: place for place, condition in enumerate(rows)}
    summary = summary.sort_values("condition", key=lambda column: column.map(order), kind="stable")
    return core, summary.assign(row=summary["condition"].map(rows))


@plt.rc_context(LOOK)
def vocabulary(
    table: pd.DataFrame, reference: pd.DataFrame | None = None, labelled_sentences: int = 100
) -> Figure:
    """Draw span − token against tokens seen for vocabularies of different sizes.

    A large vocabulary tears next to no word, so that hiding tokens there is hiding whole words: span − whole
    word with the small one stands beside it.

    Args:
        table: The results table with the conditions of other vocabularies.
        reference: Results with the core's vocabulary; those of the same seeds and tokens seen are used. By
            default `table` holds them.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        The figure.

    Raises:
        ValueError: The table has no other vocabulary, or no replicate has both arms.
    """
    core, summary = _vocabulary(table, reference, labelled_sentences)
    lines = list(summary["line"].unique())
    figure, panels = contrasts.panels(len(LENGTHS), 4.0)
    looks = dict(zip(lines, _vocabulary_styles(lines), strict=True))
    for axes, name in zip(panels, LENGTHS, strict=True):
        some = summary[summary["length"] == name]
        for line, shift in zip(lines, figures.side_by_side(len(lines)), strict=True):
            rows = some[some["line"] == line].sort_values("tokens_seen")
            contrasts.errorbar(
                axes, rows["tokens_seen"] * np.exp(0.25 * shift), rows, **contrasts.look_of(looks[line])
            )
        contrasts.token_axis(axes, summary["tokens_seen"])
        contrasts.zero_line(axes)
        axes.set_title(f"{name} ({round(some['support'].mean()):,})", loc="left", fontsize=10)
    figures.header(
        figure,
        "Spans against tokens where words are torn, and where they are not",
        f"{figures.core_in_words(core, 'tokens_seen')}; paired, {figures.interval_in_words(summary)}",
        [contrasts.handle_of(style) for style in looks.values()],
        columns=2,
    )
    panels[0].set_ylabel(POINTS)
    figure.supxlabel(
        "tokens seen in pre-training (millions); in brackets: gold mentions per replicate", fontsize=10
    )
    return figure


def values_of_vocabulary(
    table: pd.DataFrame, reference: pd.DataFrame | None = None, labelled_sentences: int = 100
) -> pd.DataFrame:
    """Return the values of `vocabulary` as text.

    Args:
        table: The results table with the conditions of other vocabularies.
        reference: As in `vocabulary`.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        A row per group of lengths and number of tokens seen, a column per difference and vocabulary, and the
        support.

    Raises:
        ValueError: As in `vocabulary`.
    """
    _, summary = _vocabulary(table, reference, labelled_sentences)
    lines = list(summary["line"].unique())
    order = pd.Categorical(summary["length"], list(LENGTHS), ordered=True)
    summary = summary.assign(length=order).sort_values(["length", "tokens_seen"], kind="stable")
    return contrasts.as_text(summary.astype({"length": str}), ["length", "tokens_seen"], "line", lines, "+")


def _vocabulary(
    table: pd.DataFrame, reference: pd.DataFrame | None, labelled_sentences: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    others = table[_fields(table) == "vocabulary_size"]
    core = _beside(others, table if reference is None else reference)
    core = core[(core["labelled_sentences"] == labelled_sentences) & np.isclose(core["mask_rate"], 0.15)]
    parts = []
    for condition, rows in core.groupby("condition", sort=False):
        size = int(condition.partition("=")[2] or ModelSettings().vocabulary_size)
        steps = [("span", "token")] if condition else [("span", "token"), ("span", "whole_word")]
        for step in steps:
            if set(step) <= set(rows["arm"]):
                part = contrasts.differences(rows, "tokens_seen", LENGTHS, [step])
                parts.append(
                    part.assign(size=size, line=f"{contrasts.style_of(*step).label}, {size:,} wordpieces")
                )
    summary = contrasts.some(pd.concat(parts) if parts else core[:0], "span and token")
    return core, summary.sort_values(["size", "step"], kind="stable")


def _vocabulary_styles(lines: Iterable[str]) -> list[Style]:
    """Return a style for each line: those of the steps for the core's, another for each other size."""
    core = f"{ModelSettings().vocabulary_size:,} wordpieces"
    free = iter(
        [
            OTHER_STEP,
            OTHER_STEP._replace(color="#882255", marker="v", linestyle=(0, (5, 1, 1, 1))),
        ]
    )
    known = {f"{style.label}, {core}": style for style in STEPS.values()}
    return [(known[line] if line in known else next(free))._replace(label=line) for line in lines]


def _fields(table: pd.DataFrame) -> pd.Series:
    """Return the name of the one field in which each row differs from the core; "" for none or several."""
    condition = table["condition"].fillna("")
    return condition.str.split("=").str[0].where(~condition.str.contains(","), "")


def _beside(others: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """Put the reference's rows of the same seeds and tokens seen beside those of other conditions."""
    contrasts.some(others, "another condition than the core's")
    same = (reference["condition"].fillna("") == "") & np.isclose(reference["mask_rate"], 0.15)
    for column in ("replicate", "tokens_seen"):
        same &= reference[column].isin(others[column].unique())
    return pd.concat([reference[same], others])


def _in_figure(row: object, sign: str = "") -> str:
    """Write a mean and its interval with the minus of the axes."""
    return figures.mean_and_interval(row, sign).replace("-", "−")
