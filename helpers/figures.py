"""The figures of the series, drawn from the results table; other functions return their values as text.

Every arm has its own colour (from the palettes of Okabe and Ito and of Paul Tol, safe for the colour-blind),
marker and line style, so the figures can be read in grey. Functions return a figure that is open in pyplot: a
notebook shows it with `plt.show()`.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter

from helpers import scoring


class Style(NamedTuple):
    """The name of an arm and how it is drawn."""

    label: str
    color: str
    marker: str
    linestyle: str | tuple
    filled: bool


ARMS = {
    "none": Style("no pre-training", "#000000", "D", ":", False),
    "as_it_came": Style("as it came", "#8A2BE2", "*", (0, (1, 3)), True),
    "token": Style("token masking", "#0072B2", "o", "--", False),
    "whole_word": Style("whole-word masking", "#009E73", "^", "-.", True),
    "span_short": Style("short-span masking", "#CC79A7", "P", (0, (3, 1)), True),
    "span": Style("span masking", "#D55E00", "s", "-", True),
    "span_boundary": Style("span + boundary loss", "#332288", "X", (0, (7, 2)), False),
    "mentions": Style("oracle (known names)", "#882255", "v", (0, (5, 1, 1, 1, 1, 1)), False),
}
GREY = "#595959"
LOOK = {
    "figure.figsize": (7.2, 4.2),
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "grid.color": "#E4E4E4",
    "lines.linewidth": 1.6,
    "lines.markersize": 6.5,
    "legend.frameon": False,
    "hatch.linewidth": 0.8,
    "svg.hashsalt": "token-or-span",  # the same figure gives the same bytes
}


def save(figure: Figure, stem: str | Path) -> list[Path]:
    """Write a figure as PNG (150 dots per inch) and SVG, and close it.

    Args:
        figure: The figure.
        stem: Path without ending; its folder is made if needed.

    Returns:
        The paths of the two files.
    """
    stem = Path(stem)
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg")]
    with plt.rc_context(LOOK):
        figure.savefig(paths[0], dpi=150)
        figure.savefig(paths[1], metadata={"Date": None})
    plt.close(figure)
    return paths


# --- speed -----------------------------------------------------------------------------------------


@plt.rc_context(LOOK)
def levers(table: pd.DataFrame) -> Figure:
    """Draw tokens per second after each lever, from top to bottom; levers that were not kept are hatched.

    Args:
        table: A row per lever in the order of trying, with "name", "low", "median" and "high" (tokens per
            second: 10th percentile, median and 90th), and "kept".

    Returns:
        The figure.
    """
    figure, axes = plt.subplots(figsize=(7.2, 0.8 + 0.36 * len(table)))
    places = -np.arange(len(table))
    looks = {
        True: {"color": "#0072B2", "label": "kept, on top of those above"},
        False: {
            "color": "white",
            "edgecolor": GREY,
            "hatch": "///",
            "label": "tried on top of all that were kept, not kept",
        },
    }
    for kept, look in looks.items():
        rows = (table["kept"] == kept).to_numpy()
        if not rows.any():
            continue
        axes.barh(places[rows], table["median"][rows] / 1000, height=0.62, **look)
    errors = np.array([table["median"] - table["low"], table["high"] - table["median"]]) / 1000
    axes.errorbar(table["median"] / 1000, places, xerr=errors, fmt="none", ecolor="black", capsize=3)
    for place, row in zip(places, table.itertuples(), strict=True):
        axes.annotate(
            f"{row.median / 1000:.0f}",
            (row.high / 1000, place),
            (5, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_yticks(places, table["name"])
    axes.set(
        xlabel="thousand tokens per second\n(bar: median; whisker: 10th to 90th percentile)", xlim=(0, None)
    )
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    axes.legend(loc="lower left", bbox_to_anchor=(-0.4, 1), fontsize=9)
    return figure


# --- F1 by entity length ---------------------------------------------------------------------------


@plt.rc_context(LOOK)
def f1_by_entity_length(table: pd.DataFrame, labelled_sentences: int = 100) -> Figure:
    """Draw F1 against entity length in the core cell: a line per arm, intervals and support.

    Args:
        table: The results table.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        The figure.

    Raises:
        ValueError: The table has no such results, or an arm has no style.
    """
    core = scoring.core_cell(table, labelled_sentences=labelled_sentences)
    summary = scoring.over_replicates(scoring.replicate_scores(core), "f1")
    figure, axes = plt.subplots()
    names = length_axis(axes, summary)
    places = {name: place for place, name in enumerate(names)}
    arms = arms_in(summary)
    for arm, shift in zip(arms, side_by_side(len(arms)), strict=True):
        rows = summary[summary["arm"] == arm]
        lengths, overall = rows[rows["length"] != "all"], rows[rows["length"] == "all"]
        for points in (lengths, overall):  # no line leads from the longest mentions to "all"
            draw_arm(axes, arm, points["length"].map(places) + shift, points)
    _f1_axis(axes, summary)
    _title(axes, "F1 by entity length", f"{core_in_words(core)}\n{interval_in_words(summary)}")
    return figure


def values_by_length(table: pd.DataFrame, labelled_sentences: int = 100) -> pd.DataFrame:
    """Return the values of `f1_by_entity_length` as text.

    Args:
        table: The results table.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        A row per length, a column per arm, and the support.

    Raises:
        ValueError: The table has no such results, or an arm has no style.
    """
    core = scoring.core_cell(table, labelled_sentences=labelled_sentences)
    summary = scoring.over_replicates(scoring.replicate_scores(core), "f1")
    names = lengths_in(summary)
    values = _as_text(summary, "length").reindex(names).rename_axis("entity length (words)")
    values.insert(0, "gold mentions per replicate", [support_of(summary, name) for name in names])
    return values


# --- F1 along a slice ------------------------------------------------------------------------------


@plt.rc_context(LOOK)
def f1_by_labelled_sentences(table: pd.DataFrame, labelled_sentences: int = 100) -> Figure:
    """Draw F1 over all lengths against the number of labelled sentences: log axis, a line per arm.

    Args:
        table: The results table.
        labelled_sentences: Without effect, since all sizes are drawn; the other figures need it.

    Returns:
        The figure.

    Raises:
        ValueError: An arm has no style.
    """
    core, summary = _by_labelled_sentences(table, labelled_sentences)
    figure, axes = plt.subplots()
    draw_along(axes, summary, "labelled_sentences")
    _f1_axis(axes, summary)
    under = f"{core_in_words(core, 'labelled_sentences')}\n{interval_in_words(summary)}"
    _title(axes, "F1 by number of labelled sentences", under)
    return figure


def values_by_labelled_sentences(table: pd.DataFrame, labelled_sentences: int = 100) -> pd.DataFrame:
    """Return the values of `f1_by_labelled_sentences` as text.

    Args:
        table: The results table.
        labelled_sentences: Without effect, since all sizes are listed; the other figures need it.

    Returns:
        A row per number of labelled sentences, a column per arm.

    Raises:
        ValueError: An arm has no style.
    """
    return _as_text(_by_labelled_sentences(table, labelled_sentences)[1], "labelled_sentences")


def _by_labelled_sentences(table: pd.DataFrame, labelled_sentences: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    column = "labelled_sentences"
    core = scoring.core_cell(table, column, labelled_sentences=labelled_sentences)
    scores = scoring.replicate_scores(core, by=("arm", column))
    return core, scoring.over_replicates(scores[scores["length"] == "all"], "f1", by=["arm", column])


# --- teaching figures ------------------------------------------------------------------------------


@plt.rc_context(LOOK)
def run_lengths(realised: Sequence[int], drawn: Sequence[float]) -> Figure:
    """Draw the lengths of hidden spans in the rows, and the distribution that they were drawn from.

    Args:
        realised: Length of each span, in words.
        drawn: Probability of the lengths 1, 2, …

    Returns:
        The figure.
    """
    figure, axes = plt.subplots()
    shares = np.bincount(realised, minlength=len(drawn) + 1)[1:] / len(realised)
    style = ARMS["span"]
    bars = {"facecolor": "#F7C9AE", "edgecolor": style.color, "hatch": "//"}
    axes.bar(range(1, len(shares) + 1), shares, 0.7, label="realised in the rows", **bars)
    axes.plot(range(1, len(drawn) + 1), drawn, "ko-", markersize=5, linewidth=1.2, label="as drawn")
    axes.set_xticks(range(1, len(shares) + 1))
    axes.grid(False, axis="x")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=""))
    axes.set_xlabel("span length (words)")
    axes.set_ylabel("share of all spans (%)")
    _title(axes, "Span lengths, drawn and realised", f"{len(realised):,} spans counted")
    return figure


@plt.rc_context(LOOK)
def hidden_mentions(measured: pd.DataFrame, theory: pd.DataFrame, support: pd.Series) -> Figure:
    """Draw how often a mention is wholly hidden, against its number of wordpieces, on a log scale.

    A share of 0 has no place on a log axis and is left out.

    Args:
        measured: Shares (0-1): a row per number of wordpieces (the index; the last row holds that many and
            more), a column per masking strategy.
        theory: Shares in the same form.
        support: Number of mentions behind each row.

    Returns:
        The figure.
    """
    figure, axes = plt.subplots()
    for arm in sorted(measured.columns, key=list(ARMS).index):
        shares = 100 * measured[arm]
        axes.plot(measured.index, shares.where(shares > 0), **look_of(arm))
        axes.plot(theory.index, 100 * theory[arm], "_", color="black", markersize=16)
    axes.set_yscale("log")
    axes.set_ylim(bottom=50 * measured[measured > 0].min().min())  # theory continues far below
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.9f}".rstrip("0").rstrip("."))
    places = [*map(str, measured.index[:-1]), f"{measured.index[-1]}+"]
    mentions = [f"{place}\n{count:,}" for place, count in zip(places, support, strict=True)]
    axes.set_xticks(measured.index, mentions)
    axes.set_xlabel("mention length (wordpieces), and number of mentions")
    axes.set_ylabel("mentions wholly hidden (%)")
    _title(
        axes,
        "How often is a whole mention hidden?",
        "measured, by masking strategy; short black bars: theory; log scale",
    )
    return figure


# --- shared parts ----------------------------------------------------------------------------------


def arms_in(summary: pd.DataFrame) -> list[str]:
    """Return the arms of a table in the order of ARMS.

    Args:
        summary: A table with the column arm.

    Returns:
        The arms.

    Raises:
        ValueError: An arm has no style.
    """
    present = set(summary["arm"])
    if unknown := present - set(ARMS):
        raise ValueError(f"no style for the arms {sorted(unknown)}: add them to ARMS in helpers/figures.py")
    return [arm for arm in ARMS if arm in present]


def look_of(arm: str) -> dict:
    """Return how an arm's line is drawn, and its label, as arguments for `Axes.plot`."""
    style = ARMS[arm]
    look = {name: getattr(style, name) for name in ("label", "color", "marker", "linestyle")}
    return look | {"markerfacecolor": style.color if style.filled else "white"}


def draw_arm(axes: Axes, arm: str, places: pd.Series, values: pd.DataFrame) -> None:
    """Draw means with their intervals as an arm's line, which has one entry in the legend.

    Args:
        axes: Where to draw.
        arm: One of ARMS.
        places: x of each value.
        values: The columns mean, low and high.
    """
    look = look_of(arm)
    if look["label"] in axes.get_legend_handles_labels()[1]:
        look["label"] = None  # one entry per arm
    axes.errorbar(places, values["mean"], yerr=interval_bars(values), capsize=3, elinewidth=1.2, **look)


def interval_bars(values: pd.DataFrame) -> np.ndarray:
    """Return the lengths of the error bars [2, n]; NaN, so not drawn, where there is no interval."""
    return np.array([values["mean"] - values["low"], values["high"] - values["mean"]])


def side_by_side(n: int) -> np.ndarray:
    """Return offsets that put n arms side by side, so that their intervals do not hide each other."""
    return (np.arange(n) - (n - 1) / 2) * 0.12


def lengths_in(summary: pd.DataFrame) -> list[str]:
    """Return the lengths of a table in order, "all" last."""
    return scoring.sort_lengths(summary["length"].unique())


def support_of(summary: pd.DataFrame, name: str) -> int:
    """Return the mean number of gold mentions of a length."""
    return round(summary.loc[summary["length"] == name, "support"].mean())


def length_axis(axes: Axes, summary: pd.DataFrame) -> list[str]:
    """Set a tick for each length, with its support below and "all" apart.

    Args:
        axes: Where to set them.
        summary: The columns length and support.

    Returns:
        The lengths, from left to right.
    """
    names = lengths_in(summary)
    axes.set_xticks(range(len(names)), [f"{name}\n{support_of(summary, name):,}" for name in names])
    axes.tick_params(axis="x", length=0)
    axes.axvline(len(names) - 1.5, color="#BBBBBB", linewidth=1)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_xlabel("entity length (words), and below it the gold mentions per replicate")
    return names


def _f1_axis(axes: Axes, summary: pd.DataFrame) -> None:
    axes.set_ylabel("F1 (0–100)")
    bottom, top = summary[["mean", "low"]].min().min(), summary[["mean", "high"]].max().max()
    axes.set_ylim(max(0, 10 * np.floor((bottom - 2) / 10)), min(100, 10 * np.ceil((top + 2) / 10)))


def draw_along(axes: Axes, summary: pd.DataFrame, column: str) -> None:
    """Draw a line per arm against a column on a log axis; no pre-training is a level across the axes.

    Args:
        axes: Where to draw.
        summary: The columns arm, `column`, mean, low and high.
        column: "tokens_seen" or "labelled_sentences".

    Raises:
        ValueError: An arm has no style.
    """
    arms = arms_in(summary)
    for arm, shift in zip(arms, side_by_side(len(arms)), strict=True):
        rows = summary[summary["arm"] == arm].sort_values(column)
        if (rows[column] == 0).all():  # no pre-training: a level to compare with, at no number of tokens
            style, (mean, low, high) = ARMS[arm], rows[["mean", "low", "high"]].iloc[0]
            axes.axhline(mean, color=style.color, linestyle=style.linestyle, label=style.label)
            edge = {"edgecolor": style.color, "linewidth": 0.5, "linestyle": ":"}
            axes.axhspan(low, high, facecolor=(style.color, 0.08), **edge)
        else:
            draw_arm(axes, arm, rows[column] * np.exp(0.25 * shift), rows)
    values = sorted(value for value in summary[column].unique() if value > 0)
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    by_tokens = column == "tokens_seen"
    axes.set_xticks(values, [f"{value / 1e6:.3g}" if by_tokens else str(value) for value in values])
    axes.set_xlabel("tokens seen in pre-training (millions)" if by_tokens else "labelled sentences")


def _title(axes: Axes, title: str, subtitle: str) -> None:
    """Put title, subtitle and legend one above the other, above the axes, where they cover nothing."""
    entries = len(axes.get_legend_handles_labels()[1])
    lines, above = subtitle.count("\n") + 1, 12 + 14 * -(-entries // 4)
    axes.set_title(title, loc="left", fontweight="bold", fontsize=12, pad=above + 4 + 12 * lines)
    position = {"xy": (0, 1), "xycoords": "axes fraction", "textcoords": "offset points"}
    position["xytext"] = (0, above)
    note = axes.annotate(subtitle, **position, fontsize=9, color=GREY, va="bottom")
    legend = axes.legend(
        ncols=4, loc="lower left", bbox_to_anchor=(0, 1), borderpad=0, borderaxespad=0.6,
        handlelength=2.2, handletextpad=0.6, columnspacing=1.2, fontsize=9,
    )  # fmt: skip
    for part in (note, legend):
        part.set_in_layout(False)  # the title's padding leaves room; their width must not squeeze the axes


def header(figure: Figure, title: str, subtitle: str, handles: Sequence = (), columns: int = 4) -> None:
    """Put title, subtitle and legend above the panels of a figure, and keep that room free.

    Args:
        figure: A figure with a constrained layout.
        title: What the figure shows.
        subtitle: Lines below it; too long ones are wrapped.
        handles: The entries of the legend; by default there is none.
        columns: of the legend.
    """
    subtitle = "\n".join(textwrap.fill(line, 106) for line in subtitle.splitlines())
    height = 72 * figure.get_figheight()  # in points, as all below
    below_title = 26
    below_subtitle = below_title + 4 + 12 * (subtitle.count("\n") + 1)
    below_legend = below_subtitle + 15 * -(-len(handles) // columns)
    left = 8 / (72 * figure.get_figwidth())
    top = {"x": left, "ha": "left", "va": "top"}
    figure.text(y=1 - 6 / height, s=title, fontweight="bold", fontsize=12, **top)
    figure.text(y=1 - below_title / height, s=subtitle, fontsize=9, color=GREY, linespacing=1.25, **top)
    if handles:
        figure.legend(
            handles=handles, ncols=columns, loc="upper left", borderpad=0, borderaxespad=0, fontsize=9,
            bbox_to_anchor=(left, 1 - (below_subtitle + 2) / height),
            handlelength=2.4, handletextpad=0.5, columnspacing=1.2,
        )  # fmt: skip
    figure.get_layout_engine().set(rect=(0.006, 0, 0.988, 1 - (below_legend + 6) / height))


def core_in_words(core: pd.DataFrame, varying: str = "") -> str:
    """Say what the results of a slice have in common: corpus, labelled sentences, tokens seen.

    Args:
        core: The slice, as `scoring.core_cell` returns it.
        varying: Its varying column.

    Returns:
        A phrase.
    """
    parts = [f"corpus: {', '.join(core['corpus'].unique())}"]
    if varying != "labelled_sentences":
        parts.append(f"{core['labelled_sentences'].iloc[0]} labelled sentences")
    if varying != "tokens_seen":
        parts.append(f"{core['tokens_seen'].max() / 1e6:.3g} M tokens seen")
    return ", ".join(parts)


def interval_in_words(summary: pd.DataFrame) -> str:
    """Say over how many replicates was averaged, and what the intervals are.

    Args:
        summary: The column n.

    Returns:
        A phrase.
    """
    fewest, most = summary["n"].min(), summary["n"].max()
    if most == 1:
        return "one replicate, so no interval"
    number = str(most) if fewest == most else f"{fewest} to {most}"
    return f"mean of {number} replicates with 95% t interval"


def mean_and_interval(row, sign: str = "") -> str:
    """Write a mean and its interval as text.

    Args:
        row: Has the attributes mean, low and high.
        sign: "+" for differences, which carry their sign.

    Returns:
        "mean [low, high]", or the mean alone where there is no interval.
    """
    bounds = "" if np.isnan(row.low) else f" [{row.low:{sign}.1f}, {row.high:{sign}.1f}]"
    return f"{row.mean:{sign}.1f}{bounds}"


def _as_text(summary: pd.DataFrame, rows: str) -> pd.DataFrame:
    """Write means and intervals as text: a row per value of the column `rows`, a column per arm."""
    texts = summary.assign(text=[mean_and_interval(row) for row in summary.itertuples()])
    table = texts.pivot(index=rows, columns="arm", values="text")[arms_in(summary)].fillna("")
    return table.rename(columns={arm: ARMS[arm].label for arm in ARMS}).rename_axis(columns=None)
