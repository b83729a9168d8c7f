"""Differences between arms, a step of the ladder each, and the parts that figures of them share."""

from collections.abc import Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from helpers import figures, scoring
from helpers.figures import ARMS, Style

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
OTHER_STEP = Style("", "#0072B2", "D", ":", False)
SUPPORT = "gold mentions per replicate"
POINTS = "difference in recall (points)"


def some(rows: pd.DataFrame, what: str) -> pd.DataFrame:
    """Return the rows as they are.

    Args:
        rows: Rows of a results table.
        what: What they should hold, for the message.

    Returns:
        The rows.

    Raises:
        ValueError: There are none.
    """
    if rows.empty:
        raise ValueError(f"the table holds no results for {what}")
    return rows


def differences(
    table: pd.DataFrame,
    by: str,
    lengths: Mapping[str, Sequence[str]] | None = LENGTHS,
    steps: Iterable[tuple[str, str]] = tuple(STEPS),
    unit: str = "length",
) -> pd.DataFrame:
    """Summarise paired differences in recall, apart for each value of `by`; the scores are made once.

    Args:
        table: The results table.
        by: The column whose values are kept apart.
        lengths: From a name to the buckets that it pools; each bucket, and "all", if None.
        steps: Pairs (arm, baseline).
        unit: The column with the buckets: "length" (in words) or "pieces" (in wordpieces).

    Returns:
        The columns of `scoring.over_replicates`, for each step, value of `by` and group of lengths.

    Raises:
        ValueError: No replicate has two of the arms.
    """
    pairs = _pairs(table, by, lengths, steps, unit)
    return scoring.over_replicates(pairs, "difference", by=["step", by, "length"])


def changes(
    table: pd.DataFrame,
    by: str,
    before: object,
    after: object,
    lengths: Mapping[str, Sequence[str]] | None = LENGTHS,
    steps: Iterable[tuple[str, str]] = tuple(STEPS),
) -> pd.DataFrame:
    """Summarise by how much differences in recall change from one value of `by` to another, by replicate.

    Args:
        table: The results table.
        by: The column with the two values.
        before: The value whose difference is taken away.
        after: The other.
        lengths: As in `differences`.
        steps: Pairs (arm, baseline).

    Returns:
        The columns of `scoring.over_replicates`, for each step and group of lengths; the support is that of
        `after`.

    Raises:
        ValueError: No replicate has two of the arms at both values.
    """
    pairs = _pairs(table, by, lengths, steps, "length")
    one, other = (pairs[pairs[by] == value] for value in (after, before))
    both = some(
        one.merge(other, on=["step", "length", "replicate"], suffixes=("", "_before")),
        f"two arms in the same replicate at both {before} and {after} of {by}",
    )
    both["difference"] -= both["difference_before"]
    return scoring.over_replicates(both, "difference", by=["step", "length"])


def with_change(
    table: pd.DataFrame,
    by: str,
    before: str,
    after: str,
    lengths: Mapping[str, Sequence[str]] | None = LENGTHS,
    steps: Iterable[tuple[str, str]] = tuple(STEPS),
) -> pd.DataFrame:
    """Put the differences at two values of `by` and their change side by side.

    Args:
        table: The results table.
        by: The column with the two values.
        before: The first.
        after: The second.
        lengths: As in `differences`.
        steps: Pairs (arm, baseline).

    Returns:
        The rows of `differences` and of `changes`, sorted by length and then by `by`, whose third value is
        "change".

    Raises:
        ValueError: As `changes`.
    """
    changed = changes(table, by, before, after, lengths, steps).assign(**{by: "change"})
    found = pd.concat([differences(table, by, lengths, steps), changed])
    order = pd.Categorical(found[by], [before, after, "change"], ordered=True)
    return found.assign(**{by: order}).sort_values(["length", by])


def _pairs(
    table: pd.DataFrame,
    by: str,
    lengths: Mapping[str, Sequence[str]] | None,
    steps: Iterable[tuple[str, str]],
    unit: str,
) -> pd.DataFrame:
    """Return the difference in recall of each step in each replicate, value of `by` and group of lengths."""
    steps = tuple(steps)
    table = table[table["arm"].isin({arm for step in steps for arm in step})]
    parts = []
    if not table.empty:
        scores = scoring.replicate_scores(table, ("arm", by), lengths, unit=unit)
        for arm, baseline in steps:
            one, other = (scores[scores["arm"] == name] for name in (arm, baseline))
            pairs = one.merge(other, on=[by, "replicate", "length"], suffixes=("", "_baseline"))
            pairs["difference"] = pairs["recall"] - pairs["recall_baseline"]
            parts.append(pairs.assign(step=style_of(arm, baseline).label))
    return some(pd.concat(parts) if parts else table, "two arms to compare in the same replicate")


def style_of(arm: str, baseline: str) -> Style:
    """Return the label, colour, marker and line of a difference, the same in every figure."""
    names = [ARMS[name].label.removesuffix(" masking").replace("-", " ") for name in (arm, baseline)]
    return STEPS.get((arm, baseline), OTHER_STEP._replace(label=" − ".join(names)))


def labels_of(steps: Iterable[tuple[str, str]]) -> list[str]:
    """Return the labels of differences, such as "span − token"."""
    return [style_of(*step).label for step in steps]


def texts(rows: pd.DataFrame, sign: str = "") -> list[str]:
    """Write each row's mean and interval, with a plus before what is above 0 if `sign` is "+"."""
    return [figures.mean_and_interval(row, sign) for row in rows.itertuples()]


def as_text(
    summary: pd.DataFrame, rows: list[str], column: str, order: Sequence[str], sign: str = ""
) -> pd.DataFrame:
    """Write means and intervals as text, beside support and replicates.

    Args:
        summary: Columns as `scoring.over_replicates` has them; a column "text", if there is one, is taken.
        rows: The columns that name a row.
        column: The column whose values become columns.
        order: Their order; those that `summary` lacks are left out.
        sign: "+" for differences.

    Returns:
        A row for each group, with the support, the number of replicates and a text per column.
    """
    if "text" not in summary:
        summary = summary.assign(text=texts(summary, sign))
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


def panels(count: int, height: float) -> tuple[Figure, Sequence[Axes]]:
    """Make a row of panels with a common vertical axis, `height` inches high."""
    figure, axes = plt.subplots(1, count, figsize=(WIDTH, height), sharey=True, squeeze=False)
    return figure, axes[0]


def look_of(style: Style) -> dict:
    """Return what matplotlib's `plot` and `errorbar` take to draw a line in a style."""
    look = {name: getattr(style, name) for name in ("label", "color", "marker", "linestyle")}
    return look | {"markerfacecolor": style.color if style.filled else "white"}


def handle_of(style: Style) -> Line2D:
    """Return a legend's entry for a style."""
    return Line2D([], [], **look_of(style))


def errorbar(axes: Axes, places: Iterable[float], rows: pd.DataFrame, **look: object) -> None:
    """Draw means with their intervals; a mean of one replicate has none."""
    bars = figures.interval_bars(rows)
    axes.errorbar(places, rows["mean"], yerr=bars, capsize=2.5, elinewidth=1.1, **look)


def zero_line(axes: Axes) -> None:
    """Draw the line at which two arms are level."""
    axes.axhline(0, color="black", linewidth=1, zorder=1)


def token_axis(axes: Axes, budgets: pd.Series) -> None:
    """Put tokens seen on a logarithmic axis, in millions."""
    values = sorted(budgets.unique())
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(values, [f"{value / 1e6:.3g}" for value in values])


def tiles(axes: Axes, columns: Sequence[str], rows: Sequence[str]) -> None:
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


def ink(colour: object) -> tuple[float, ...]:
    """Return a colour dark enough for text."""
    return tuple(0.7 * part for part in to_rgb(colour))
