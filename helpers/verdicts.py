"""Verdicts on the five statements, by rules fixed before the results were known.

`measures` turns the results table into numbers with intervals. `judge` turns those numbers into one verdict
per statement: "supported", "contradicted" or "cannot tell".
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from helpers import scoring

REPLICATES_NEEDED = 8  # with fewer, a run alone cannot tell
SMALLEST_DIFFERENCE = 1.0  # that matters, in F1
MUCH_MORE_EXPENSIVE = 1.25  # a ratio: at least a quarter more
LENGTHS = {"all": ("1", "2", "3", "4", "5+"), "1-2": ("1", "2"), "3+": ("3", "4", "5+")}
PER_REPLICATE = ["replicate", "value", "support", "bound"]
ARCHITECTURE_CHECKS = (
    "same_class",
    "same_parameter_names",
    "same_shapes",
    "same_initial_weights",
    "forward_accepts_both",
)

STATEMENTS = {
    1: "Span masking needs a change to the transformer's architecture.",
    2: "Span masking makes no difference to entity recognition.",
    3: "Span masking hides contiguous tokens, as names are contiguous, and may help with entities of several "
    "tokens.",
    4: "Span masking makes pre-training much more expensive.",
    5: "Span masking lets you fine-tune on less labelled data.",
}
RULES = {
    1: "Contradicted if both models have the same class, parameter names, shapes and initial weights and a "
    "forward pass accepts both batches; cannot tell if only the initial weights differ; otherwise supported.",
    2: "Span - token overall, at 1-2 words and at 3 or more words. Supported if all three intervals lie "
    "within ±1 F1; contradicted if one of them lies wholly outside.",
    3: "Span - token at 3 or more words. Supported if the whole interval is above 0, contradicted if it is "
    "wholly below. Second, without a vote: that difference minus the one at 1-2 words.",
    4: "Two ratios, span / token: seconds per step, and tokens needed for the same F1. Supported if one "
    "interval lies wholly above 1.25; contradicted if both lie wholly below; otherwise cannot tell.",
    5: "Labelled sentences that span needs for token's F1 with 100, as a ratio. Supported if the whole "
    "interval is below 1, contradicted if it is wholly above.",
}


@dataclass(frozen=True)
class Measure:
    """One number behind a verdict, averaged over replicates.

    Attributes:
        statement: Number of the statement, 1 to 5.
        name: What was measured.
        unit: "F1", "ratio" or "checks".
        effect: Mean over replicates.
        low: Lower bound of its 95% t interval.
        high: Upper bound.
        replicates: Number of replicates that were averaged.
        cases: Number of gold mentions, over all replicates.
        at_most: Number of replicates in which only an upper bound is known, which stands in for the value.
        at_least: Number of replicates in which only a lower bound is known, which stands in for the value.
        note: What else a reader should know; without any replicate, what is missing.
    """

    statement: int
    name: str
    unit: str
    effect: float = np.nan
    low: float = np.nan
    high: float = np.nan
    replicates: int = 0
    cases: int = 0
    at_most: int = 0
    at_least: int = 0
    note: str = ""

    def __str__(self) -> str:
        sign = "+" if self.unit == "F1" else ""
        number = f"{self.effect:{sign}.2f} [{self.low:{sign}.2f}, {self.high:{sign}.2f}]"
        return f"{self.name}: {number}" + (" F1" if self.unit == "F1" else "")

    def doubt(self) -> str:
        """Explain why this number cannot carry a verdict.

        Returns:
            The reason, or "" if there is none.
        """
        if self.replicates == 0:
            return f"{self.name}: {self.note}"
        if self.replicates < REPLICATES_NEEDED:
            return f"your run alone cannot tell: {self.replicates} of {REPLICATES_NEEDED} replicates"
        return ""

    def above(self, threshold: float) -> bool:
        """Tell whether the effect is certainly above a threshold.

        Args:
            threshold: In the unit of the measure.

        Returns:
            True if the whole interval lies above it and no replicate is known only by an upper bound.
        """
        return not self.doubt() and self.low > threshold and self.at_most == 0

    def below(self, threshold: float) -> bool:
        """Tell whether the effect is certainly below a threshold.

        Args:
            threshold: In the unit of the measure.

        Returns:
            True if the whole interval lies below it and no replicate is known only by a lower bound.
        """
        return not self.doubt() and self.high < threshold and self.at_least == 0


def judge(
    table: pd.DataFrame,
    architecture: Mapping[str, bool] | None = None,
    cost: pd.DataFrame | None = None,
    labelled_sentences: int = 100,
) -> pd.DataFrame:
    """Judge the five statements.

    Missing evidence makes a verdict "cannot tell", and so do fewer than 8 replicates.

    Args:
        table: The results table.
        architecture: Whether each of `ARCHITECTURE_CHECKS` holds.
        cost: The costs table, with the columns arm, replicate and seconds_per_step. If it has a column
            device, the arms of a replicate are compared only where they ran on the same kind of machine.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        One row per statement, with the columns statement, text, verdict, effect, low, high, unit, replicates,
        cases, rule and reason. Effect and interval are those of the statement's first measure; the reason
        names all measures that decided.

    Raises:
        ValueError: `architecture` lacks a check.
    """
    all_measures = _measure(table, cost, labelled_sentences)
    decide: dict[int, Callable] = {2: _no_difference, 3: _helps_long, 4: _costs_more, 5: _needs_less}
    rows = []
    for statement, text in STATEMENTS.items():
        if statement == 1:
            first, verdict, reason = _architecture(architecture)
        else:
            evidence = [measure for measure in all_measures if measure.statement == statement]
            first, (verdict, reason) = evidence[0], decide[statement](*evidence)
        row = {"statement": statement, "text": text, "verdict": verdict}
        row |= {
            name: getattr(first, name) for name in ("effect", "low", "high", "unit", "replicates", "cases")
        }
        rows.append(row | {"rule": RULES[statement], "reason": reason})
    return pd.DataFrame(rows)


def measures(
    table: pd.DataFrame, cost: pd.DataFrame | None = None, labelled_sentences: int = 100
) -> pd.DataFrame:
    """Return the numbers behind the verdicts on statements 2 to 5.

    Args:
        table: As in `judge`.
        cost: As in `judge`.
        labelled_sentences: As in `judge`.

    Returns:
        One row per `Measure`, one column per attribute.
    """
    names = [field.name for field in fields(Measure)]
    return pd.DataFrame(
        [[getattr(measure, name) for name in names] for measure in _measure(table, cost, labelled_sentences)],
        columns=names,
    )


# --- the rules -------------------------------------------------------------------------------------


def _architecture(checks: Mapping[str, bool] | None) -> tuple[Measure, str, str]:
    if checks is None:
        return Measure(1, "differences", "checks"), "cannot tell", "the two models were not compared"
    if missing := [name for name in ARCHITECTURE_CHECKS if name not in checks]:
        raise ValueError(f"architecture lacks {', '.join(missing)}")
    failed = [name for name in ARCHITECTURE_CHECKS if not checks[name]]
    first = Measure(1, "differences", "checks", effect=float(len(failed)), cases=len(ARCHITECTURE_CHECKS))
    if not failed:
        return first, "contradicted", "class, parameters and initial weights are equal, and so is their use"
    if failed == ["same_initial_weights"]:
        return first, "cannot tell", "the two models start from different weights: not a paired comparison"
    return first, "supported", f"not fulfilled: {', '.join(failed)}"


def _no_difference(everything: Measure, short: Measure, long: Measure) -> tuple[str, str]:
    three = (everything, short, long)
    if doubt := next(filter(None, (measure.doubt() for measure in three)), ""):
        return "cannot tell", doubt
    outside = [m for m in three if m.above(SMALLEST_DIFFERENCE) or m.below(-SMALLEST_DIFFERENCE)]
    if outside:
        return "contradicted", f"outside ±1 F1: {_listed(outside)}"
    if all(m.above(-SMALLEST_DIFFERENCE) and m.below(SMALLEST_DIFFERENCE) for m in three):
        return "supported", f"all within ±1 F1: {_listed(three)}"
    return "cannot tell", f"neither all within ±1 F1 nor one wholly outside: {_listed(three)}"


def _helps_long(long: Measure, long_minus_short: Measure) -> tuple[str, str]:
    if doubt := long.doubt():
        return "cannot tell", doubt
    verdict = "supported" if long.above(0) else "contradicted" if long.below(0) else "cannot tell"
    return verdict, _listed([long] if long_minus_short.doubt() else [long, long_minus_short])


def _costs_more(step: Measure, tokens: Measure, _seconds: Measure) -> tuple[str, str]:
    if expensive := [measure for measure in (step, tokens) if measure.above(MUCH_MORE_EXPENSIVE)]:
        return "supported", f"above {MUCH_MORE_EXPENSIVE}: {_listed(expensive)}"
    if doubt := step.doubt():
        return "cannot tell", f"{doubt} ({step.note})" if step.replicates and step.note else doubt
    if doubt := tokens.doubt():
        return "cannot tell", doubt
    if step.below(MUCH_MORE_EXPENSIVE) and tokens.below(MUCH_MORE_EXPENSIVE):
        return "contradicted", f"both below {MUCH_MORE_EXPENSIVE}: {_listed([step, tokens])}"
    return "cannot tell", f"neither one above {MUCH_MORE_EXPENSIVE} nor both below: {_listed([step, tokens])}"


def _needs_less(needed: Measure) -> tuple[str, str]:
    if doubt := needed.doubt():
        return "cannot tell", doubt
    verdict = "supported" if needed.below(1) else "contradicted" if needed.above(1) else "cannot tell"
    return verdict, _listed([needed])


def _listed(some: Iterable[Measure]) -> str:
    return "; ".join(f"{measure} ({measure.note})" if measure.note else str(measure) for measure in some)


# --- the numbers -----------------------------------------------------------------------------------


def _measure(table: pd.DataFrame, cost: pd.DataFrame | None, labelled_sentences: int) -> list[Measure]:
    table = table[table["arm"].isin(["token", "span"])]
    return [
        *_f1_measures(_slice(table, "", labelled_sentences), labelled_sentences),
        *_cost_measures(_slice(table, "tokens_seen", labelled_sentences), cost),
        _label_measure(_slice(table, "labelled_sentences", labelled_sentences), labelled_sentences),
    ]


def _f1_measures(core: pd.DataFrame, labelled_sentences: int) -> list[Measure]:
    """Measure span - token in F1, for statements 2 and 3."""
    differences = scoring.paired_difference(core, lengths=LENGTHS).rename(columns={"difference": "value"})
    by_length = {
        length: differences[differences["length"] == length].set_index("replicate") for length in LENGTHS
    }
    short, long = (by_length[length][["value", "support"]] for length in ("1-2", "3+"))
    long_minus_short = (long - short.assign(support=0)).dropna()  # the support is that of the long ones
    missing = f"no replicate has both arms with {labelled_sentences} labelled sentences"
    return [
        _summary(2, "span - token, all lengths", "F1", by_length["all"], missing),
        _summary(2, "span - token, 1-2 words", "F1", short, missing),
        _summary(2, "span - token, 3+ words", "F1", long, missing),
        _summary(3, "span - token, 3+ words", "F1", long, missing),
        _summary(3, "the same minus that at 1-2 words", "F1", long_minus_short, missing),
    ]


def _cost_measures(budgets: pd.DataFrame, cost: pd.DataFrame | None) -> list[Measure]:
    """Measure span / token in seconds per step and in tokens and seconds for the same F1, for statement 4."""
    step, left_out = _step_cost(cost)
    tokens = _tokens_needed(budgets)
    seconds = tokens.assign(value=tokens["value"] * step["value"]).dropna()
    not_reached = f"token's last F1 not reached in {(tokens['value'] > 1).sum()} of {len(tokens)} replicates"
    no_step = left_out or "seconds per step were not measured for both arms"
    no_tokens = "needs both arms at two or more numbers of tokens seen"
    no_seconds = f"{no_step}, or {no_tokens}"
    return [
        _summary(4, "seconds per step, span / token", "ratio", step, no_step, left_out),
        _summary(4, "tokens for the same F1, span / token", "ratio", tokens, no_tokens, not_reached),
        _summary(4, "seconds for the same F1, span / token", "ratio", seconds, no_seconds, left_out),
    ]


def _label_measure(sizes: pd.DataFrame, labelled_sentences: int) -> Measure:
    """Measure the labelled sentences that span needs for token's F1, for statement 5."""
    needed = _labelled_needed(sizes, labelled_sentences)
    missing = (
        f"needs token at {labelled_sentences} labelled sentences and span at two or more numbers of them"
    )
    return _summary(5, f"labelled sentences for token's F1 / {labelled_sentences}", "ratio", needed, missing)


def _slice(table: pd.DataFrame, varying: str, labelled_sentences: int) -> pd.DataFrame:
    try:
        return scoring.core_cell(table, varying, labelled_sentences=labelled_sentences)
    except ValueError:  # no such rows: the measure says what is missing
        return table.iloc[:0]


def _summary(
    statement: int, name: str, unit: str, values: pd.DataFrame, missing: str, note: str = ""
) -> Measure:
    """Summarise a row per replicate with value, support and, for some, bound (-1 at most, 1 at least)."""
    if values.empty:
        return Measure(statement, name, unit, note=missing)
    ratio = unit == "ratio"  # twice as much and half as much are equally far from 1: average the logarithms
    mean, low, high, n = scoring.interval(np.log(values["value"]) if ratio else values["value"])
    effect, low, high = np.exp([mean, low, high]) if ratio else (mean, low, high)
    bound = values.get("bound", pd.Series(0, index=values.index))
    at_most, at_least = int((bound < 0).sum()), int((bound > 0).sum())
    notes = [note] if note else []
    notes += [f"at most this in {_replicates(at_most)}"] if at_most else []
    notes += [f"at least this in {_replicates(at_least)}"] if at_least else []
    cases = round(values["support"].sum())
    return Measure(statement, name, unit, effect, low, high, n, cases, at_most, at_least, ", ".join(notes))


def _replicates(n: int) -> str:
    return f"{n} replicate" if n == 1 else f"{n} replicates"


def _step_cost(cost: pd.DataFrame | None) -> tuple[pd.DataFrame, str]:
    """Return seconds per step, span / token, in each replicate, and a note on replicates left out."""
    if cost is None or not {"token", "span"} <= set(cost["arm"]):
        return pd.DataFrame(columns=["value", "support"]), ""
    pair = cost[cost["arm"].isin(["token", "span"])]
    seconds = pair.groupby(["replicate", "arm"])["seconds_per_step"].mean().unstack()
    ratios = pd.DataFrame({"value": seconds["span"] / seconds["token"], "support": 0}).dropna()
    if "device" not in cost:  # an older table, all of one machine
        return ratios, ""
    # Seconds on two machines say nothing about masking. An unknown device differs from any known one.
    devices = pair.groupby("replicate")["device"].nunique(dropna=False)
    comparable = ratios[devices[ratios.index] == 1]
    left_out = len(ratios) - len(comparable)
    if not left_out:
        return ratios, ""
    its = "its" if left_out == 1 else "their"
    return comparable, f"{_replicates(left_out)} left out: {its} arms ran on different machines"


def _tokens_needed(table: pd.DataFrame) -> pd.DataFrame:
    """Divide the tokens that span needs by those that token needs for the same F1, in each replicate."""
    # Where span reaches token's last F1: the tokens that it took to get there, divided by all tokens.
    # Where it does not: all tokens, divided by those that took token to span's last F1. If the curve is
    # there at its first budget, only a bound is known.
    rows = []
    for replicate, curves, support in _curves(table, "tokens_seen"):
        if "token" not in curves or "span" not in curves or len(both := curves.dropna()) < 2:
            continue
        token, span, last = both["token"], both["span"], both.index[-1]
        if span.iloc[-1] >= token.iloc[-1]:
            needed, bound = _reach(span, token.iloc[-1])
            rows.append((replicate, needed / last, support, bound))
        else:
            needed, bound = _reach(token, span.iloc[-1])
            rows.append((replicate, last / needed, support, -bound))
    return pd.DataFrame(rows, columns=PER_REPLICATE).set_index("replicate")


def _labelled_needed(table: pd.DataFrame, labelled_sentences: int) -> pd.DataFrame:
    """Divide the labelled sentences that span needs for token's F1 by those that token had, per replicate."""
    rows = []
    for replicate, curves, support in _curves(table, "labelled_sentences"):
        if "token" not in curves or "span" not in curves or labelled_sentences not in curves.index:
            continue
        target, span = curves.loc[labelled_sentences, "token"], curves["span"].dropna()
        if np.isnan(target) or len(span) < 2:
            continue
        needed, bound = _reach(span, target)
        rows.append((replicate, needed / labelled_sentences, support, bound))
    return pd.DataFrame(rows, columns=PER_REPLICATE).set_index("replicate")


def _curves(table: pd.DataFrame, column: str) -> Iterable[tuple[int, pd.DataFrame, float]]:
    """Yield each replicate, its F1 (a row per value of `column`, a column per arm) and its gold mentions."""
    scores = scoring.replicate_f1(table, ("arm", column), {"all": LENGTHS["all"]})
    for replicate, rows in scores.groupby("replicate"):
        curves = rows.pivot(index=column, columns="arm", values="f1").sort_index()
        yield replicate, curves, rows["support"].mean()


def _reach(curve: pd.Series, target: float) -> tuple[float, int]:
    """Find where a curve first reaches `target`, interpolated on a log scale.

    Returns:
        The place, and 0; or a bound: the first point and -1 if the curve is there at once, the last point and
        1 if it never gets there.
    """
    reached = np.flatnonzero(curve.to_numpy() >= target)
    if len(reached) == 0:
        return float(curve.index[-1]), 1
    first = reached[0]
    if first == 0:
        return float(curve.index[0]), -1
    share = (target - curve.iloc[first - 1]) / (curve.iloc[first] - curve.iloc[first - 1])
    start, end = np.log(curve.index[first - 1]), np.log(curve.index[first])
    return float(np.exp(start + share * (end - start))), 0
