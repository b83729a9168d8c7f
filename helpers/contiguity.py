"""Figures of what contiguity brings in one world: the ladder, its decomposition, curves, errors, wordpieces.

The question is taken apart, in recall, the share of the names that are found: span − token = (whole word −
token: contiguity within words) + (span − whole word: contiguity across words). As in `figures`, a figure can
be read in grey, and `values_of_…` returns its numbers as text. What a table lacks is left out.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.optimize import isotonic_regression

from helpers import contrasts, figures, scoring
from helpers.contrasts import LADDER, LENGTHS, LONG, POINTS, STEPS, WIDTH
from helpers.figures import ARMS, GREY, LOOK

MEASURES = {
    "f1": "F1",
    "charged_f1": "charged F1",
    "precision": "precision",
    "charged_precision": "charged precision",
    "recall": "recall",
}
ERRORS = {
    "correct": ("found", "#0072B2", "#0072B2", ""),
    "wrong_boundary": ("wrong boundary", "#FBE3D6", "#A84A00", "////"),
    "wrong_type": ("wrong type", "#DDF1EA", "#00694D", "...."),
    "wrong_both": ("both wrong", "#EEDDE6", "#882255", "xxxx"),
    "missed": ("missed", "#FFFFFF", "#595959", ""),
}  # outcomes of a gold mention: label, face, edge, hatch
FEWEST = 20  # gold mentions per replicate behind a cell that is shown


@plt.rc_context(LOOK)
def ladder(
    table: pd.DataFrame, measures: Sequence[str] = ("f1", "recall"), labelled_sentences: int = 100
) -> Figure:
    """Draw scores against the arms in order of contiguity, in the core cell: a line per entity length.

    Args:
        table: The results table.
        measures: A panel for each: keys of MEASURES.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        The figure.

    Raises:
        ValueError: The table has no such results.
    """
    core, summary = _ladder(table, measures, labelled_sentences)
    arms = [arm for arm in LADDER if arm in set(summary["arm"])]
    names = figures.lengths_in(summary)
    colours = plt.get_cmap("inferno")(np.linspace(0.6, 0.1, len(names)))
    figure, panels = contrasts.panels(len(measures), 4.7)
    figures.header(
        figure,
        "From tokens to spans: a line for each entity length",
        f"{figures.core_in_words(core)}; {figures.interval_in_words(summary)};\n"
        f"at the lines: the names' length in words (gold mentions per replicate)",
    )
    shifts = 0.5 * figures.side_by_side(len(names))
    for axes, measure in zip(panels, measures, strict=True):
        for name, colour, marker, shift in zip(names, colours, "os^Dv*", shifts, strict=False):
            rows = summary[(summary["measure"] == measure) & (summary["length"] == name)]
            rows = rows.set_index("arm").reindex(arms)
            contrasts.errorbar(axes, np.arange(len(arms)) + shift, rows, color=colour, marker=marker)
        axes.set_xticks(range(len(arms)), [LADDER[arm] for arm in arms])
        axes.set_xlim(-0.3, len(arms) - 0.75)
        axes.set_title(f"{MEASURES[measure]} (0–100)", loc="left", fontsize=10, pad=24)
        _bracket(axes, "within words", arms, "token", "whole_word")
        _bracket(axes, "across words", arms, "whole_word", "span" if "span" in arms else "span_short")
    low, high = panels[0].get_ylim()  # intervals of two replicates go beyond what a score can be
    panels[0].set_ylim(max(low, 0), min(high, 100))
    figure.supxlabel("what is hidden together, and its mean length as drawn", fontsize=10)
    panels[0].set_ylabel(" and ".join(MEASURES[measure] for measure in measures))
    for axes, measure in zip(panels, measures, strict=True):
        last = summary[(summary["arm"] == arms[-1]) & (summary["measure"] == measure)].set_index("length")
        labels = names
        if axes is panels[-1]:
            words = ["word" if name == "1" else "words" for name in names]
            supports = [figures.support_of(summary, name) for name in names]
            labels = [f"{n} {w} ({s:,})" for n, w, s in zip(names, words, supports, strict=True)]
        ends = zip(len(arms) - 1 + shifts, last["mean"].reindex(names), strict=True)
        _label_ends(axes, ends, labels, colours)
    return figure


def values_of_ladder(
    table: pd.DataFrame, measures: Sequence[str] = ("f1", "recall"), labelled_sentences: int = 100
) -> pd.DataFrame:
    """Return the values of `ladder` as text.

    Args:
        table: The results table.
        measures: As in `ladder`.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        A row per measure and entity length, a column per arm, and the support.

    Raises:
        ValueError: The table has no such results.
    """
    _, summary = _ladder(table, measures, labelled_sentences)
    summary["measure"] = summary["measure"].map(MEASURES)
    return contrasts.as_text(summary, ["measure", "length"], "arm", list(LADDER))


def _ladder(
    table: pd.DataFrame, measures: Sequence[str], labelled_sentences: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    core = scoring.core_cell(table, labelled_sentences=labelled_sentences)
    core = contrasts.some(core[core["arm"].isin(LADDER)], f"an arm of {', '.join(LADDER)}")
    scores = scoring.replicate_scores(core)
    return core, _summary_of(scores[scores["length"] != "all"], measures, ["arm", "length"])


@plt.rc_context(LOOK)
def decomposition(
    table: pd.DataFrame, budgets: Sequence[int] | None = None, labelled_sentences: int = 100
) -> Figure:
    """Draw span − token and its two parts against tokens seen: for all names, short ones and long ones.

    Args:
        table: The results table.
        budgets: Numbers of tokens seen; by default all.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        The figure.

    Raises:
        ValueError: No replicate has two of the arms.
    """
    core, summary = _decomposition(table, budgets, labelled_sentences)
    figure, panels = contrasts.panels(len(LENGTHS), 3.9)
    figures.header(
        figure,
        "What spans add to tokens, and its two parts",
        f"span − token = (whole word − token: within words) + (span − whole word: across words)\n"
        f"{figures.core_in_words(core, 'tokens_seen')}; paired, {figures.interval_in_words(summary)}",
    )
    styles = [style for style in STEPS.values() if style.label in set(summary["step"])]
    for axes, name in zip(panels, LENGTHS, strict=True):
        rows = summary[summary["length"] == name]
        for style, shift in zip(styles, figures.side_by_side(len(styles)), strict=True):
            line = rows[rows["step"] == style.label].sort_values("tokens_seen")
            contrasts.errorbar(
                axes, line["tokens_seen"] * np.exp(0.4 * shift), line, **contrasts.look_of(style)
            )
        contrasts.token_axis(axes, summary["tokens_seen"])
        contrasts.zero_line(axes)
        axes.set_title(f"{name} ({round(rows['support'].mean()):,})", loc="left", fontsize=10)
    panels[0].set_ylabel(POINTS)
    figure.supxlabel(
        "tokens seen in pre-training (millions); in brackets: gold mentions per replicate", fontsize=10
    )
    last = summary[summary["length"] == name].sort_values("tokens_seen").groupby("step").last()
    labels = [style.label for style in styles]
    ends = last.reindex(labels)[["tokens_seen", "mean"]].itertuples(index=False, name=None)
    _label_ends(panels[-1], ends, labels, [style.color for style in styles])
    return figure


def values_of_decomposition(
    table: pd.DataFrame,
    budgets: Sequence[int] | None = None,
    labelled_sentences: int = 100,
    lengths: Mapping[str, Sequence[str]] | None = LENGTHS,
    unit: str = "length",
) -> pd.DataFrame:
    """Return the values of `decomposition` as text.

    Args:
        table: The results table.
        budgets: As in `decomposition`.
        labelled_sentences: Number of labelled sentences in the core cell.
        lengths: From a name to the buckets that it pools; each bucket, and "all", if None.
        unit: The column with the buckets: "length" (in words) or "pieces" (in wordpieces).

    Returns:
        A row per group of lengths and number of tokens seen, a column per difference, and the support.

    Raises:
        ValueError: No replicate has two of the arms.
    """
    _, summary = _decomposition(table, budgets, labelled_sentences, lengths, unit)
    return contrasts.as_text(summary, ["length", "tokens_seen"], "step", contrasts.labels_of(STEPS), "+")


def _decomposition(
    table: pd.DataFrame,
    budgets: Sequence[int] | None,
    labelled_sentences: int,
    lengths: Mapping[str, Sequence[str]] | None = LENGTHS,
    unit: str = "length",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    core = scoring.core_cell(table, "tokens_seen", labelled_sentences=labelled_sentences)
    if budgets is not None:
        core = core[core["tokens_seen"].isin(budgets)]
    summary = contrasts.differences(core, "tokens_seen", lengths, unit=unit)
    names = list(lengths) if lengths else ["all", *figures.lengths_in(summary[summary["length"] != "all"])]
    order = pd.Categorical(summary["length"], names, ordered=True)
    return core, summary.assign(order=order).sort_values(["order", "tokens_seen"], kind="stable")


@plt.rc_context(LOOK)
def curves(table: pd.DataFrame, labelled_sentences: int = 100) -> Figure:
    """Draw recall at 3 and more words, and F1 over all names, against tokens seen: a line per arm.

    Args:
        table: The results table.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        The figure.

    Raises:
        ValueError: The table has no such results, or an arm has no style.
    """
    core, summary = _curves(table, labelled_sentences)
    figure, panels = contrasts.panels(2, 4.4)
    for axes, (panel, rows) in zip(panels, summary.groupby("panel", sort=False), strict=True):
        figures.draw_along(axes, rows, "tokens_seen")
        axes.set_xlabel("")
        axes.set_title(f"{panel} ({round(rows['support'].mean()):,})", loc="left", fontsize=10)
    figures.header(
        figure,
        "Long names found, and F1 over all names, by tokens seen",
        f"{figures.core_in_words(core, 'tokens_seen')}; {figures.interval_in_words(summary)}",
        [Line2D([], [], **figures.look_of(arm)) for arm in figures.arms_in(summary)],
    )
    panels[0].set_ylabel("recall and F1 (0–100)")
    figure.supxlabel(
        "tokens seen in pre-training (millions); in brackets: gold mentions per replicate", fontsize=10
    )
    return figure


def values_of_curves(table: pd.DataFrame, labelled_sentences: int = 100) -> pd.DataFrame:
    """Return the values of `curves` as text.

    Args:
        table: The results table.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        A row per panel and number of tokens seen, a column per arm, and the support.

    Raises:
        ValueError: The table has no such results, or an arm has no style.
    """
    _, summary = _curves(table, labelled_sentences)
    return contrasts.as_text(summary, ["panel", "tokens_seen"], "arm", figures.arms_in(summary))


def _curves(table: pd.DataFrame, labelled_sentences: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    core = scoring.core_cell(table, "tokens_seen", labelled_sentences=labelled_sentences)
    scores = scoring.replicate_scores(core, ("arm", "tokens_seen"), LENGTHS)
    parts = []
    for measure, name in (("recall", LONG), ("f1", "all names")):
        rows = scoring.over_replicates(
            scores[scores["length"] == name], measure, by=["arm", "tokens_seen"]
        ).sort_values("tokens_seen", kind="stable")
        parts.append(rows.assign(panel=f"{MEASURES[measure]}, {name}"))
    return core, pd.concat(parts)


@plt.rc_context(LOOK)
def precision_and_recall(table: pd.DataFrame, labelled_sentences: int = 100) -> Figure:
    """Draw precision, charged precision and recall by entity length in the core cell: a line per arm.

    Args:
        table: The results table. Without the column charged, the second panel is left out.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        The figure.

    Raises:
        ValueError: The table has no such results, or an arm has no style.
    """
    core, summary = _precision_and_recall(table, labelled_sentences)
    measures = list(summary["measure"].unique())
    arms = figures.arms_in(summary)
    figure, panels = contrasts.panels(len(measures), 4.4)
    for axes, measure in zip(panels, measures, strict=True):
        rows = summary[summary["measure"] == measure]
        places = {name: place for place, name in enumerate(figures.length_axis(axes, rows))}
        for arm, shift in zip(arms, figures.side_by_side(len(arms)), strict=True):
            points = rows[rows["arm"] == arm]
            for some in (points[points["length"] != "all"], points[points["length"] == "all"]):
                figures.draw_arm(axes, arm, some["length"].map(places) + 0.7 * shift, some)
        axes.set_xlabel("")
        axes.tick_params(axis="x", labelsize=7.5)
        axes.set_title(MEASURES[measure], loc="left", fontsize=10)
    figures.header(
        figure,
        "Precision and recall by entity length",
        f"{figures.core_in_words(core)}; {figures.interval_in_words(summary)}\n"
        "charged: a wrong prediction counts at the length of the gold name that it overlaps, if any",
        [Line2D([], [], **figures.look_of(arm)) for arm in figures.arms_in(summary)],
    )
    panels[0].set_ylabel("precision and recall (0–100)")
    below = (
        "entity length (words); below it the gold mentions per replicate (precision: of the predicted ones)"
    )
    figure.supxlabel(below, fontsize=10)
    return figure


def values_of_precision_and_recall(table: pd.DataFrame, labelled_sentences: int = 100) -> pd.DataFrame:
    """Return the values of `precision_and_recall` as text.

    Args:
        table: The results table.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        A row per measure and entity length, a column per arm, and the support.

    Raises:
        ValueError: The table has no such results, or an arm has no style.
    """
    _, summary = _precision_and_recall(table, labelled_sentences)
    summary["measure"] = summary["measure"].map(MEASURES)
    return contrasts.as_text(summary, ["measure", "length"], "arm", figures.arms_in(summary))


def _precision_and_recall(table: pd.DataFrame, labelled_sentences: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    core = scoring.core_cell(table, labelled_sentences=labelled_sentences)
    scores = scoring.replicate_scores(core)
    measures = ["precision", "charged_precision", "recall"]
    measures = [measure for measure in measures if scores[measure].notna().any()]
    return core, _summary_of(scores, measures, ["arm", "length"])


@plt.rc_context(LOOK)
def errors_by_length(table: pd.DataFrame, labelled_sentences: int = 100) -> Figure:
    """Draw what becomes of the gold mentions of each length in the core cell: a stacked bar per arm.

    Args:
        table: The results table.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        The figure.

    Raises:
        ValueError: The table has no such results or no kinds of error, or an arm has no style.
    """
    core, summary = _errors(table, labelled_sentences)
    arms, names = figures.arms_in(summary), figures.lengths_in(summary)
    places = {
        (name, arm): -(i * (len(arms) + 1.2) + j)
        for (i, name), (j, arm) in product(enumerate(names), enumerate(arms))
    }
    figure, axes = plt.subplots(figsize=(WIDTH, 1.5 + 0.17 * (len(arms) + 1.2) * len(names)))
    lefts = dict.fromkeys(places, 0.0)
    for kind, (label, face, edge, hatch) in ERRORS.items():
        rows = summary[summary["kind"] == kind].set_index(["length", "arm"]).reindex(pd.Index(places))
        starts, widths = np.array(list(lefts.values())), rows["mean"].fillna(0).to_numpy()
        axes.barh(
            list(places.values()), widths, 0.84, starts,
            facecolor=face, edgecolor=edge, hatch=hatch, linewidth=0.7, label=label,
        )  # fmt: skip
        lefts = dict(zip(places, starts + widths, strict=True))
        if kind == "correct":
            bars = {"ecolor": "black", "elinewidth": 1.1, "capsize": 2, "zorder": 3}
            axes.errorbar(
                rows["mean"], list(places.values()), xerr=figures.interval_bars(rows), fmt="none", **bars
            )
            for place, mean in zip(places.values(), rows["mean"], strict=True):
                axes.text(1, place, f"{mean:.0f}", color="white", fontsize=7.5, va="center_baseline")
    for name in names:
        words = {"all": "all names", "1": "1 word"}.get(name, f"{name} words")
        text = f"{words} ({figures.support_of(summary, name):,})"
        axes.text(0.4, places[name, arms[0]] + 0.62, text, fontsize=9, fontweight="bold", va="bottom")
    labels = [ARMS[arm].label.removesuffix(" masking") for _, arm in places]
    axes.set_yticks(list(places.values()), labels, fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set(xlim=(0, 100.3), ylim=(min(places.values()) - 0.6, 1.7))
    axes.set_xlabel("share of the gold mentions (%); in brackets: gold mentions per replicate")
    axes.grid(visible=False)
    figures.header(
        figure,
        "What becomes of names of each length",
        f"{figures.core_in_words(core)}\n{figures.interval_in_words(summary)}, of the names found",
        axes.get_legend_handles_labels()[0][-len(ERRORS) :],
        columns=5,
    )
    return figure


def values_of_errors_by_length(table: pd.DataFrame, labelled_sentences: int = 100) -> pd.DataFrame:
    """Return the values of `errors_by_length` as text, in percent.

    Args:
        table: The results table.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        A row per entity length and arm, a column per outcome, and the support.

    Raises:
        ValueError: The table has no such results or no kinds of error, or an arm has no style.
    """
    _, summary = _errors(table, labelled_sentences)
    arms = figures.arms_in(summary)
    order = {name: place for place, name in enumerate([*figures.lengths_in(summary), *arms])}
    summary = summary.sort_values(["length", "arm"], key=lambda column: column.map(order), kind="stable")
    summary["arm"] = [ARMS[arm].label for arm in summary["arm"]]
    summary["kind"] = [ERRORS[kind][0] for kind in summary["kind"]]
    return contrasts.as_text(summary, ["length", "arm"], "kind", [label for label, *_ in ERRORS.values()])


def _errors(table: pd.DataFrame, labelled_sentences: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    core = scoring.core_cell(table, labelled_sentences=labelled_sentences)
    if not {*ERRORS} <= {*core.columns}:
        raise ValueError("this table was counted without the kinds of errors")
    both = pd.concat([core, core.assign(length="all")])
    counts = both.groupby(["arm", "replicate", "length", "subset"])[["gold", *ERRORS]].sum()
    counts = counts[counts["gold"] > 0]
    shares = 100 * counts[[*ERRORS]].div(counts["gold"], axis=0)
    shares = shares.assign(support=counts["gold"]).groupby(["arm", "replicate", "length"]).mean()
    long = shares.reset_index().melt(
        ["arm", "replicate", "length", "support"], var_name="kind", value_name="share"
    )
    return core, scoring.over_replicates(long, "share", by=["arm", "length", "kind"])


@plt.rc_context(LOOK)
def by_pieces(
    table: pd.DataFrame, arm: str = "whole_word", baseline: str = "token", labelled_sentences: int = 100
) -> Figure:
    """Draw the difference between two arms by words and wordpieces, and both steps for one-word names.

    Cells with fewer than FEWEST gold mentions per replicate stay empty.

    Args:
        table: The results table.
        arm: The arm of interest.
        baseline: The arm to compare it with, in the map.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        The figure.

    Raises:
        ValueError: No replicate has both arms, no cell has enough mentions, or the table has no wordpieces.
    """
    core, cells, lines = _by_pieces(table, arm, baseline, labelled_sentences)
    words, pieces = (scoring.sort_lengths(cells[name].unique()) for name in ("words", "pieces"))
    grid = cells.pivot(index="words", columns="pieces", values="mean").loc[words, pieces]
    figure, (axes, beside) = plt.subplots(1, 2, figsize=(WIDTH, 4.3), width_ratios=(1.9, 1))
    most = np.nanmax(np.abs(grid.to_numpy()))
    least = 0 if np.nanmin(grid.to_numpy()) >= 0 else -most
    # The middle of the map alone: on its dark ends black numbers could not be read.
    colours = ListedColormap(plt.get_cmap("PuOr_r")(np.linspace(0.24 if least else 0.5, 0.76, 255)))
    image = axes.imshow(grid, cmap=colours, vmin=least, vmax=most, aspect="auto")
    for cell in cells.itertuples():
        place = pieces.index(cell.pieces), words.index(cell.words)
        sure = cell.low > 0 or cell.high < 0
        _two_lines(axes, place, f"{cell.mean:+.1f}".replace("-", "−"), f"{cell.support:,.0f}", bold=sure)
    contrasts.tiles(axes, pieces, words)
    axes.set(xlabel="wordpieces", ylabel="words")
    axes.set_title(f"{contrasts.style_of(arm, baseline).label}, all names", loc="left", fontsize=10)
    figure.colorbar(image, ax=axes, location="bottom", aspect=40, shrink=0.8, pad=0.02).set_label(
        POINTS, fontsize=9
    )

    names = scoring.sort_lengths(lines["pieces"].unique())
    steps = [step for step in _steps(arm, baseline) if contrasts.style_of(*step).label in set(lines["step"])]
    for step, shift in zip(steps, figures.side_by_side(len(steps)), strict=True):
        rows = lines[lines["step"] == contrasts.style_of(*step).label]
        places = rows["pieces"].map(names.index) + shift
        contrasts.errorbar(beside, places, rows, **contrasts.look_of(contrasts.style_of(*step)))
    supports = [round(lines.loc[lines["pieces"] == name, "support"].mean()) for name in names]
    # Two wide numbers side by side would touch: every second one goes a line lower.
    lower = "\n" if sum(support >= 1_000 for support in supports) > 1 else ""
    ticks = [f"{name}\n{lower * (place % 2)}{supports[place]:,}" for place, name in enumerate(names)]
    beside.set_xticks(range(len(names)), ticks, fontsize=7)
    beside.set_xlim(-0.5, len(names) - 0.5)
    contrasts.zero_line(beside)
    beside.set(xlabel="wordpieces, and mentions", ylabel=POINTS)
    beside.set_title("names of one word", loc="left", fontsize=10)
    figures.header(
        figure,
        "Differences in recall by words and wordpieces",
        f"{figures.core_in_words(core)}; bold: the interval does not hold 0;\n"
        f"small: gold mentions per replicate; paired, {figures.interval_in_words(cells)}",
        [contrasts.handle_of(contrasts.style_of(*step)) for step in steps],
    )
    return figure


def values_of_by_pieces(
    table: pd.DataFrame, arm: str = "whole_word", baseline: str = "token", labelled_sentences: int = 100
) -> pd.DataFrame:
    """Return the values of `by_pieces` as text.

    Args:
        table: The results table.
        arm: The arm of interest.
        baseline: The arm to compare it with.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        A row per number of words and of wordpieces, a column per difference, and the support.

    Raises:
        ValueError: As in `by_pieces`.
    """
    _, cells, lines = _by_pieces(table, arm, baseline, labelled_sentences)
    both = pd.concat([cells, lines[lines["step"] != contrasts.style_of(arm, baseline).label]])
    places = {
        cell: number for number, cell in enumerate(scoring.sort_lengths({*both["words"], *both["pieces"]}))
    }
    both = both.sort_values(["words", "pieces"], key=lambda column: column.map(places), kind="stable")
    steps = [contrasts.style_of(*step).label for step in _steps(arm, baseline)]
    return contrasts.as_text(both, ["words", "pieces"], "step", steps, "+")


def _steps(arm: str, baseline: str) -> list[tuple[str, str]]:
    """Return the difference that is asked for, and the two parts of span − token."""
    return list(dict.fromkeys([(arm, baseline), *list(STEPS)[1:]]))


def _by_pieces(
    table: pd.DataFrame, arm: str, baseline: str, labelled_sentences: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    core = scoring.core_cell(table, labelled_sentences=labelled_sentences)
    steps = _steps(arm, baseline)
    summary = contrasts.differences(core.rename(columns={"length": "words"}), "words", None, steps, "pieces")
    summary = summary[summary["length"] != "all"].rename(columns={"length": "pieces"})
    summary = summary[summary["support"] >= FEWEST]
    label = contrasts.style_of(arm, baseline).label
    cells = contrasts.some(summary[summary["step"] == label], f"{label} with {FEWEST} mentions of some size")
    return core, cells, summary[summary["words"] == "1"]


def _summary_of(scores: pd.DataFrame, measures: Sequence[str], by: list[str]) -> pd.DataFrame:
    parts = [scoring.over_replicates(scores, name, by).assign(measure=name) for name in measures]
    return pd.concat(parts, ignore_index=True)


def _two_lines(axes: Axes, place: tuple[int, int], upper: str, lower: str, *, bold: bool) -> None:
    centred = {"xy": place, "textcoords": "offset points", "ha": "center", "va": "center"}
    axes.annotate(upper, xytext=(0, 4), fontsize=8.5, fontweight="bold" if bold else "normal", **centred)
    axes.annotate(lower, xytext=(0, -6), fontsize=7, **centred)


def _bracket(axes: Axes, text: str, arms: Sequence[str], first: str, last: str) -> None:
    """Name a stretch of the ladder above the axes."""
    if first not in arms or last not in arms:
        return
    left, right = arms.index(first) + 0.06, arms.index(last) - 0.06
    above = axes.get_xaxis_transform()
    ends = ([left, left, right, right], [1.0, 1.02, 1.02, 1.0])
    axes.plot(*ends, color=GREY, linewidth=1, transform=above, clip_on=False)
    axes.text((left + right) / 2, 1.03, text, transform=above, color=GREY, fontsize=8.5, ha="center")


def _label_ends(
    axes: Axes, ends: Iterable[tuple[float, float]], labels: Sequence[str], colours: Sequence[object]
) -> None:
    """Write the lines' names beside their ends, moved apart where they would touch; after the header."""
    axes.figure.draw_without_rendering()
    found = [each for each in zip(ends, labels, colours, strict=True) if not np.isnan(each[0][1])]
    found.sort(key=lambda each: each[0][1])
    low, high = axes.get_ylim()
    per_point = (high - low) / (72 * axes.get_window_extent().height / axes.figure.dpi)
    gaps = 12 * per_point * np.arange(len(found))
    places = isotonic_regression(np.array([end[1] for end, *_ in found]) - gaps).x + gaps
    for (end, label, colour), place in zip(found, places, strict=True):
        line = {"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 5}
        axes.annotate(
            label, end, (1.02, place), textcoords=axes.get_yaxis_transform(), va="center", fontsize=9,
            color=contrasts.ink(colour), arrowprops=line | {"relpos": (0, 0.5)}, annotation_clip=False,
        )  # fmt: skip
