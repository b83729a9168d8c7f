"""Figures across conditions: the ladder of contiguity, its decomposition, and maps of where spans win.

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
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator
from scipy.optimize import isotonic_regression

from helpers import figures, scoring
from helpers.figures import ARMS, GREY, LOOK, Style
from helpers.settings import ModelSettings, WorldSettings

WIDTH = 7.2
LONG = "3+ words"
LENGTHS = {"all names": ("1", "2", "3", "4", "5+"), "1–2 words": ("1", "2"), LONG: ("3", "4", "5+")}
LADDER = {
    "token": "token",
    "whole_word": "whole word",
    "span_short": "spans,\n2 words",
    "span": "spans,\n3.8 words",
}  # the arms in order of contiguity, and the mean length of what they hide
STEPS = {
    ("span", "token"): Style("span − token", "#333333", "o", "-", True),
    ("whole_word", "token"): Style("whole word − token", "#009E73", "^", "-.", False),
    ("span", "whole_word"): Style("span − whole word", "#D55E00", "s", "--", True),
}
SHORT_SPANS = ("span_short", "whole_word")
OTHER_STEP = Style("", "#0072B2", "D", ":", False)
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
SUPPORT = "gold mentions per replicate"
POINTS = "difference in recall (points)"


# --- the ladder ------------------------------------------------------------------------------------


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
    figure, panels = _panels(len(measures), 4.7)
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
            _errorbar(axes, np.arange(len(arms)) + shift, rows, color=colour, marker=marker)
        axes.set_xticks(range(len(arms)), [LADDER[arm] for arm in arms])
        axes.set_xlim(-0.3, len(arms) - 0.75)
        axes.set_title(f"{MEASURES[measure]} (0–100)", loc="left", fontsize=10, pad=24)
        _bracket(axes, "within words", arms, "token", "whole_word")
        _bracket(axes, "across words", arms, "whole_word", "span" if "span" in arms else "span_short")
    figure.supxlabel("what is hidden in one piece, and its mean length", fontsize=10)
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
    return _as_text(summary, ["measure", "length"], "arm", list(LADDER))


def _ladder(
    table: pd.DataFrame, measures: Sequence[str], labelled_sentences: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    core = scoring.core_cell(table, labelled_sentences=labelled_sentences)
    core = _some(core[core["arm"].isin(LADDER)], f"an arm of {', '.join(LADDER)}")
    scores = scoring.replicate_scores(core)
    return core, _summary_of(scores[scores["length"] != "all"], measures, ["arm", "length"])


# --- the decomposition -----------------------------------------------------------------------------


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
    figure, panels = _panels(len(LENGTHS), 3.9)
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
            _errorbar(axes, line["tokens_seen"] * np.exp(0.4 * shift), line, **_look(style))
        _token_axis(axes, summary["tokens_seen"])
        _zero(axes)
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
    return _as_text(summary, ["length", "tokens_seen"], "step", _labels(STEPS), "+")


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
    summary = _differences(core, "tokens_seen", lengths, unit=unit)
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
    figure, panels = _panels(2, 4.4)
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
    return _as_text(summary, ["panel", "tokens_seen"], "arm", figures.arms_in(summary))


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


# --- by length -------------------------------------------------------------------------------------


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
    figure, panels = _panels(len(measures), 4.4)
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
    figure.supxlabel("entity length (words), and below it the gold mentions per replicate", fontsize=10)
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
    return _as_text(summary, ["measure", "length"], "arm", figures.arms_in(summary))


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
    return _as_text(summary, ["length", "arm"], "kind", [label for label, *_ in ERRORS.values()])


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


# --- words and wordpieces --------------------------------------------------------------------------


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
    # The middle of the map alone: on its dark ends black numbers could not be read.
    colours = ListedColormap(plt.get_cmap("PuOr_r")(np.linspace(0.24, 0.76, 255)))
    image = axes.imshow(grid, cmap=colours, vmin=-most, vmax=most, aspect="auto")
    for cell in cells.itertuples():
        place = pieces.index(cell.pieces), words.index(cell.words)
        sure = cell.low > 0 or cell.high < 0
        _two_lines(axes, place, f"{cell.mean:+.1f}".replace("-", "−"), f"{cell.support:,.0f}", bold=sure)
    _tiles(axes, pieces, words)
    axes.set(xlabel="wordpieces", ylabel="words")
    axes.set_title(f"{_style(arm, baseline).label}, all names", loc="left", fontsize=10)
    figure.colorbar(image, ax=axes, location="bottom", aspect=40, shrink=0.8, pad=0.02).set_label(
        POINTS, fontsize=9
    )

    names = scoring.sort_lengths(lines["pieces"].unique())
    steps = [step for step in _steps(arm, baseline) if _style(*step).label in set(lines["step"])]
    for step, shift in zip(steps, figures.side_by_side(len(steps)), strict=True):
        rows = lines[lines["step"] == _style(*step).label]
        places = rows["pieces"].map(names.index) + shift
        _errorbar(beside, places, rows, **_look(_style(*step)))
    supports = [round(lines.loc[lines["pieces"] == name, "support"].mean()) for name in names]
    ticks = [f"{name}\n{support:,}" for name, support in zip(names, supports, strict=True)]
    beside.set_xticks(range(len(names)), ticks, fontsize=7)
    beside.set_xlim(-0.5, len(names) - 0.5)
    _zero(beside)
    beside.set(xlabel="wordpieces, and mentions", ylabel=POINTS)
    beside.set_title("names of one word", loc="left", fontsize=10)
    figures.header(
        figure,
        "Differences in recall by words and wordpieces",
        f"{figures.core_in_words(core)}; bold: the interval does not hold 0;\n"
        f"small: gold mentions per replicate; paired, {figures.interval_in_words(cells)}",
        [_handle(_style(*step)) for step in steps],
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
    both = pd.concat([cells, lines[lines["step"] != _style(arm, baseline).label]])
    places = {
        cell: number for number, cell in enumerate(scoring.sort_lengths({*both["words"], *both["pieces"]}))
    }
    both = both.sort_values(["words", "pieces"], key=lambda column: column.map(places), kind="stable")
    steps = [_style(*step).label for step in _steps(arm, baseline)]
    return _as_text(both, ["words", "pieces"], "step", steps, "+")


def _steps(arm: str, baseline: str) -> list[tuple[str, str]]:
    """Return the difference that is asked for, and the two parts of span − token."""
    return list(dict.fromkeys([(arm, baseline), *list(STEPS)[1:]]))


def _by_pieces(
    table: pd.DataFrame, arm: str, baseline: str, labelled_sentences: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    core = scoring.core_cell(table, labelled_sentences=labelled_sentences)
    steps = _steps(arm, baseline)
    summary = _differences(core.rename(columns={"length": "words"}), "words", None, steps, "pieces")
    summary = summary[summary["length"] != "all"].rename(columns={"length": "pieces"})
    summary = summary[summary["support"] >= FEWEST]
    label = _style(arm, baseline).label
    cells = _some(summary[summary["step"] == label], f"{label} with {FEWEST} mentions of some size")
    return core, cells, summary[summary["words"] == "1"]


# --- maps ------------------------------------------------------------------------------------------


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
    _tiles(axes, [LADDER[arm] for arm in arms], [f"{100 * rate:.0f}%" for rate in rates])
    axes.set(xlabel="what is hidden in one piece, and its mean length", ylabel="mask rate")
    figures.header(
        figure,
        "Recall of names of 3 and more words, by mask rate and what is hidden",
        f"{figures.core_in_words(core)}; {figures.interval_in_words(recall)};\n"
        f"{round(recall['support'].mean()):,} gold mentions per replicate; "
        "in italics: minus token at the same rate, paired; framed: best of its rate",
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
        Three rows per mask rate, for recall and its differences to token and to whole word; a column per arm,
        and the support.

    Raises:
        ValueError: The table has no mask rate but the core's.
    """
    _, recall, differences = _rates(table, reference, labelled_sentences)
    parts = {f"recall, {LONG}": (recall, "")}
    parts |= {f"minus {LADDER[arm]}": (rows, "+") for arm, rows in differences.items()}
    texts = pd.concat(
        [rows.assign(value=name, text=_texts(rows, sign)) for name, (rows, sign) in parts.items()]
    )
    texts = texts.sort_values("mask_rate", kind="stable")
    return _as_text(texts, ["mask_rate", "value"], "arm", list(LADDER))


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
    return core, recall, {baseline: _minus(core, recall, baseline) for baseline in ("token", "whole_word")}


def _minus(core: pd.DataFrame, recall: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Compare the arms behind `baseline` in `LADDER` with it; no rows if nothing can be compared."""
    arms = list(LADDER)
    steps = [(arm, baseline) for arm in arms[arms.index(baseline) + 1 :]]
    arm_of = {_style(*step).label: step[0] for step in steps}
    try:
        difference = _differences(core, "mask_rate", {LONG: LENGTHS[LONG]}, steps)
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
    core = scoring.core_cell(table, "tokens_seen", labelled_sentences=labelled_sentences)
    summary = _differences(core, "tokens_seen", LENGTHS, [SHORT_SPANS])
    return _as_text(summary, ["length", "tokens_seen"], "step", _labels([SHORT_SPANS]), "+")


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
    rows = list(summary["row"].unique())
    styles = [style for style in STEPS.values() if style.label in set(summary["step"])]
    figure, axes = plt.subplots(figsize=(WIDTH, 1.9 + 0.56 * len(rows)))
    offsets = np.linspace(-0.17, 0.17, len(styles)) if len(styles) > 1 else [0]
    for style, offset in zip(styles, offsets, strict=True):
        marks = summary[summary["step"] == style.label]
        places = marks["row"].map(rows.index) + offset
        axes.errorbar(
            marks["mean"], places, xerr=figures.interval_bars(marks), capsize=3, elinewidth=1.8,
            markersize=8, **_look(style) | {"linestyle": "none"},
        )  # fmt: skip
        for place, mark in zip(places, marks.itertuples(), strict=True):
            axes.annotate(
                _in_figure(mark, "+"), (1, place), (8, 0), va="center_baseline", fontsize=9,
                xycoords=axes.get_yaxis_transform(), textcoords="offset points", color=_ink(style.color),
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
        [_handle(style) for style in styles],
    )
    return figure


def values_of_dials(
    table: pd.DataFrame, reference: pd.DataFrame | None = None, labelled_sentences: int = 100
) -> pd.DataFrame:
    """Return the values of `dials` as text.

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
    return _as_text(summary, ["row"], "step", _labels(STEPS), "+").rename_axis(index="world")


def _dials(
    table: pd.DataFrame, reference: pd.DataFrame | None, labelled_sentences: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    names = vars(WorldSettings())
    others = table[_fields(table).isin(names)]
    core = _beside(others, table if reference is None else reference)
    core = scoring.core_cell(core, "condition", labelled_sentences=labelled_sentences)
    core = core[core["tokens_seen"] > 0]
    summary = _differences(
        core, "condition", {LONG: LENGTHS[LONG]}, [("span", "token"), ("span", "whole_word")]
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
    figure, panels = _panels(2, 4.0)
    looks = dict(zip(lines, _vocabulary_styles(lines), strict=True))
    names = ("all names", LONG)
    for axes, name in zip(panels, names, strict=True):
        some = summary[summary["length"] == name]
        for line, shift in zip(lines, figures.side_by_side(len(lines)), strict=True):
            rows = some[some["line"] == line].sort_values("tokens_seen")
            _errorbar(axes, rows["tokens_seen"] * np.exp(0.25 * shift), rows, **_look(looks[line]))
        _token_axis(axes, summary["tokens_seen"])
        _zero(axes)
        axes.set_title(f"{name} ({round(some['support'].mean()):,})", loc="left", fontsize=10)
    figures.header(
        figure,
        "Spans against tokens where words are torn, and where they are not",
        f"{figures.core_in_words(core, 'tokens_seen')}; paired, {figures.interval_in_words(summary)}",
        [_handle(style) for style in looks.values()],
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
    summary = summary.sort_values(["length", "tokens_seen"], ascending=[False, True], kind="stable")
    return _as_text(summary, ["length", "tokens_seen"], "line", lines, "+")


def _vocabulary(
    table: pd.DataFrame, reference: pd.DataFrame | None, labelled_sentences: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    others = table[_fields(table) == "vocabulary_size"]
    core = _beside(others, table if reference is None else reference)
    core = core[(core["labelled_sentences"] == labelled_sentences) & np.isclose(core["mask_rate"], 0.15)]
    lengths = {name: LENGTHS[name] for name in ("all names", LONG)}
    parts = []
    for condition, rows in core.groupby("condition", sort=False):
        size = int(condition.partition("=")[2] or ModelSettings().vocabulary_size)
        steps = [("span", "token")] if condition else [("span", "token"), ("span", "whole_word")]
        for step in steps:
            if set(step) <= set(rows["arm"]):
                part = _differences(rows, "tokens_seen", lengths, [step])
                parts.append(part.assign(size=size, line=f"{_style(*step).label}, {size:,} wordpieces"))
    summary = _some(pd.concat(parts) if parts else core[:0], "span and token")
    return core, summary.sort_values(["size", "step"], kind="stable")


def _vocabulary_styles(lines: Iterable[str]) -> list[Style]:
    """Return a style for each line: those of the steps for the core's, another for each other size."""
    core = f"{ModelSettings().vocabulary_size:,} wordpieces"
    free = iter([OTHER_STEP, OTHER_STEP._replace(color="#882255", marker="v", linestyle=(0, (5, 1, 1, 1)))])
    known = {f"{style.label}, {core}": style for style in STEPS.values()}
    return [(known[line] if line in known else next(free))._replace(label=line) for line in lines]


# --- shared parts ----------------------------------------------------------------------------------


def _some(rows: pd.DataFrame, what: str) -> pd.DataFrame:
    if rows.empty:
        raise ValueError(f"the table holds no results for {what}")
    return rows


def _fields(table: pd.DataFrame) -> pd.Series:
    """Return the name of the one field in which each row differs from the core; "" for none or several."""
    condition = table["condition"].fillna("")
    return condition.str.split("=").str[0].where(~condition.str.contains(","), "")


def _beside(others: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    """Put the reference's rows of the same seeds and tokens seen beside those of other conditions."""
    _some(others, "another condition than the core's")
    same = (reference["condition"].fillna("") == "") & np.isclose(reference["mask_rate"], 0.15)
    for column in ("replicate", "tokens_seen"):
        same &= reference[column].isin(others[column].unique())
    return pd.concat([reference[same], others])


def _summary_of(scores: pd.DataFrame, measures: Sequence[str], by: list[str]) -> pd.DataFrame:
    parts = [scoring.over_replicates(scores, name, by).assign(measure=name) for name in measures]
    return pd.concat(parts, ignore_index=True)


def _differences(
    table: pd.DataFrame,
    by: str,
    lengths: Mapping[str, Sequence[str]] | None = LENGTHS,
    steps: Iterable[tuple[str, str]] = tuple(STEPS),
    unit: str = "length",
) -> pd.DataFrame:
    """Summarise paired differences in recall, apart for each value of `by`; the scores are made once."""
    table = table[table["arm"].isin({arm for step in steps for arm in step})]
    parts = []
    if not table.empty:
        scores = scoring.replicate_scores(table, ("arm", by), lengths, unit=unit)
        for arm, baseline in steps:
            one, other = (scores[scores["arm"] == name] for name in (arm, baseline))
            pairs = one.merge(other, on=[by, "replicate", "length"], suffixes=("", "_baseline"))
            pairs["difference"] = pairs["recall"] - pairs["recall_baseline"]
            parts.append(pairs.assign(step=_style(arm, baseline).label))
    pairs = _some(pd.concat(parts) if parts else table, "two arms to compare in the same replicate")
    return scoring.over_replicates(pairs, "difference", by=["step", by, "length"])


def _style(arm: str, baseline: str) -> Style:
    names = [ARMS[name].label.removesuffix(" masking").replace("-", " ") for name in (arm, baseline)]
    return STEPS.get((arm, baseline), OTHER_STEP._replace(label=" − ".join(names)))


def _labels(steps: Iterable[tuple[str, str]]) -> list[str]:
    return [_style(*step).label for step in steps]


def _texts(rows: pd.DataFrame, sign: str = "") -> list[str]:
    return [figures.mean_and_interval(row, sign) for row in rows.itertuples()]


def _in_figure(row: object, sign: str = "") -> str:
    """Write a mean and its interval with the minus of the axes."""
    return figures.mean_and_interval(row, sign).replace("-", "−")


def _as_text(
    summary: pd.DataFrame, rows: list[str], column: str, order: Sequence[str], sign: str = ""
) -> pd.DataFrame:
    """Write means and intervals as text, beside support and replicates; columns come as in `order`."""
    if "text" not in summary:
        summary = summary.assign(text=_texts(summary, sign))
    groups = summary.groupby(rows, sort=False)
    facts = pd.DataFrame({SUPPORT: groups["support"].mean().round().astype(int)})
    facts["replicates"] = [
        str(few) if few == many else f"{few}–{many}"
        for few, many in zip(groups["n"].min(), groups["n"].max(), strict=True)
    ]
    wide = summary.pivot(index=rows, columns=column, values="text").reindex(facts.index)
    wide = wide[[name for name in order if name in wide]].fillna("")
    if column == "arm":
        wide = wide.rename(columns={arm: style.label for arm, style in ARMS.items()})
    return pd.concat([facts, wide], axis=1).rename_axis(columns=None)


def _panels(count: int, height: float) -> tuple[Figure, Sequence[Axes]]:
    figure, axes = plt.subplots(1, count, figsize=(WIDTH, height), sharey=True, squeeze=False)
    return figure, axes[0]


def _look(style: Style) -> dict:
    look = {name: getattr(style, name) for name in ("label", "color", "marker", "linestyle")}
    return look | {"markerfacecolor": style.color if style.filled else "white"}


def _handle(style: Style) -> Line2D:
    return Line2D([], [], **_look(style))


def _errorbar(axes: Axes, places: Iterable[float], rows: pd.DataFrame, **look: object) -> None:
    bars = figures.interval_bars(rows)
    axes.errorbar(places, rows["mean"], yerr=bars, capsize=2.5, elinewidth=1.1, **look)


def _zero(axes: Axes) -> None:
    axes.axhline(0, color="black", linewidth=1, zorder=1)


def _token_axis(axes: Axes, budgets: pd.Series) -> None:
    values = sorted(budgets.unique())
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(values, [f"{value / 1e6:.3g}" for value in values])


def _tiles(axes: Axes, columns: Sequence[str], rows: Sequence[str]) -> None:
    """Name the rows and columns of a map, and part its tiles by white lines."""
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
    axes.grid(visible=False, which="major")
    axes.grid(which="minor", axis="both", color="white", linewidth=3)
    axes.set_axisbelow(False)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


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


def _ink(colour: object) -> tuple[float, ...]:
    """Return a colour dark enough for text."""
    return tuple(0.7 * part for part in to_rgb(colour))


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
            color=_ink(colour), arrowprops=line | {"relpos": (0, 0.5)}, annotation_clip=False,
        )  # fmt: skip
