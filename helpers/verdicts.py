"""Verdicts on the five statements, by rules fixed before the results were known.

`measures` turns the results table into numbers with intervals, `judge` turns those into one verdict per
statement: "supported", "contradicted" or "cannot tell".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from helpers import scoring

REPLICATES = 8  # with fewer, a run alone cannot tell
SMALLEST = 1.0  # the smallest difference in F1 that matters
DEARER = 1.25  # "much more expensive" means at least a quarter more
LENGTHS = {"all": ("1", "2", "3", "4", "5+"), "1-2": ("1", "2"), "3+": ("3", "4", "5+")}
PER_REPLICATE = ["replicate", "value", "support", "bound"]
CHECKS = ("same_class", "same_parameter_names", "same_shapes", "same_initial_weights", "forward_accepts_both")

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
    """One number behind a verdict. `effect`, `low`, `high`: mean over replicates with its 95% t interval.

    `cases` is the number of gold mentions behind it, over all replicates. For `at_most` replicates only an
    upper bound of the effect is known, for `at_least` replicates only a lower bound; the bounds stand in.
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
        """Why this number cannot carry a verdict; empty if it can."""
        if self.replicates == 0:
            return f"{self.name}: {self.note}"
        if self.replicates < REPLICATES:
            return f"your run alone cannot tell: {self.replicates} of {REPLICATES} replicates"
        return ""

    def above(self, threshold: float) -> bool:
        """The whole interval lies above, and no replicate is known by an upper bound only."""
        return not self.doubt() and self.low > threshold and self.at_most == 0

    def below(self, threshold: float) -> bool:
        """The whole interval lies below, and no replicate is known by a lower bound only."""
        return not self.doubt() and self.high < threshold and self.at_least == 0


def judge(
    table: pd.DataFrame,
    architecture: Mapping[str, bool] | None = None,
    cost: pd.DataFrame | None = None,
    labelled_sentences: int = 100,
) -> pd.DataFrame:
    """One row per statement.

    Columns: statement, text, verdict, effect, low, high, unit, replicates, cases, rule, reason.
    `table` is the results table; `architecture` says of each name in `CHECKS` whether it holds; `cost` has
    the columns arm, replicate, seconds_per_step. Effect and interval are those of the first measure of a
    statement; `reason` names all that decided. What is missing makes a verdict "cannot tell", and so do
    fewer than 8 replicates. Raises ValueError if `architecture` lacks a check.
    """
    measured = _measure(table, cost, labelled_sentences)
    decide = {2: _no_difference, 3: _helps_long, 4: _costs_more, 5: _needs_less}
    rows = []
    for statement, text in STATEMENTS.items():
        if statement == 1:
            first, verdict, reason = _architecture(architecture)
        else:
            own = [measure for measure in measured if measure.statement == statement]
            first, (verdict, reason) = own[0], decide[statement](*own)
        row = {"statement": statement, "text": text, "verdict": verdict}
        row |= {
            name: getattr(first, name) for name in ("effect", "low", "high", "unit", "replicates", "cases")
        }
        rows.append(row | {"rule": RULES[statement], "reason": reason})
    return pd.DataFrame(rows)


def measures(
    table: pd.DataFrame, cost: pd.DataFrame | None = None, labelled_sentences: int = 100
) -> pd.DataFrame:
    """The numbers behind the verdicts on statements 2 to 5, a row per `Measure`; arguments as in `judge`."""
    names = [field.name for field in fields(Measure)]
    return pd.DataFrame(
        [[getattr(m, name) for name in names] for m in _measure(table, cost, labelled_sentences)],
        columns=names,
    )


# --- the rules -------------------------------------------------------------------------------------


def _architecture(checks: Mapping[str, bool] | None) -> tuple[Measure, str, str]:
    if checks is None:
        return Measure(1, "differences", "checks"), "cannot tell", "the two models were not compared"
    if missing := [name for name in CHECKS if name not in checks]:
        raise ValueError(f"architecture lacks {', '.join(missing)}")
    failed = [name for name in CHECKS if not checks[name]]
    first = Measure(1, "differences", "checks", effect=float(len(failed)), cases=len(CHECKS))
    if not failed:
        return first, "contradicted", "class, parameters and initial weights are equal, and so is their use"
    if failed == ["same_initial_weights"]:
        return first, "cannot tell", "the two models start from different weights: not a paired comparison"
    return first, "supported", f"not fulfilled: {', '.join(failed)}"


def _no_difference(everything: Measure, short: Measure, long: Measure) -> tuple[str, str]:
    three = (everything, short, long)
    if doubt := next(filter(None, (m.doubt() for m in three)), ""):
        return "cannot tell", doubt
    if outside := [m for m in three if m.above(SMALLEST) or m.below(-SMALLEST)]:
        return "contradicted", f"outside ±1 F1: {_listed(outside)}"
    if all(m.above(-SMALLEST) and m.below(SMALLEST) for m in three):
        return "supported", f"all within ±1 F1: {_listed(three)}"
    return "cannot tell", f"neither all within ±1 F1 nor one wholly outside: {_listed(three)}"


def _helps_long(long: Measure, extra: Measure) -> tuple[str, str]:
    if doubt := long.doubt():
        return "cannot tell", doubt
    verdict = "supported" if long.above(0) else "contradicted" if long.below(0) else "cannot tell"
    return verdict, _listed([long] if extra.doubt() else [long, extra])


def _costs_more(step: Measure, tokens: Measure, seconds: Measure) -> tuple[str, str]:
    if dear := [m for m in (step, tokens) if m.above(DEARER)]:
        return "supported", f"above {DEARER}: {_listed(dear)}"
    if doubt := step.doubt() or tokens.doubt():
        return "cannot tell", doubt
    if step.below(DEARER) and tokens.below(DEARER):
        return "contradicted", f"both below {DEARER}: {_listed([step, tokens])}"
    return "cannot tell", f"neither one above {DEARER} nor both below: {_listed([step, tokens])}"


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
    core = _slice(table, "", labelled_sentences)
    gain = scoring.paired_difference(core, lengths=LENGTHS).rename(columns={"difference": "value"})
    gain = {length: gain[gain["length"] == length].set_index("replicate") for length in LENGTHS}
    extra = gain["3+"][["value", "support"]] - gain["1-2"][["value", "support"]].assign(support=0)
    step = _step_cost(cost)
    tokens = _tokens_needed(_slice(table, "tokens_seen", labelled_sentences))
    beyond = f"token's last F1 not reached in {(tokens['value'] > 1).sum()} of {len(tokens)} replicates"
    seconds = tokens.assign(value=tokens["value"] * step["value"]).dropna()
    labelled = _labelled_needed(_slice(table, "labelled_sentences", labelled_sentences), labelled_sentences)
    pair = f"no replicate has both arms with {labelled_sentences} labelled sentences"
    budgets = "needs both arms at two or more numbers of tokens seen"
    sizes = f"needs token at {labelled_sentences} labelled sentences and span at two or more numbers of them"
    unmeasured = "seconds per step were not measured for both arms"
    return [
        _summary(2, "span - token, all lengths", "F1", gain["all"], pair),
        _summary(2, "span - token, 1-2 words", "F1", gain["1-2"], pair),
        _summary(2, "span - token, 3+ words", "F1", gain["3+"], pair),
        _summary(3, "span - token, 3+ words", "F1", gain["3+"], pair),
        _summary(3, "the same minus that at 1-2 words", "F1", extra.dropna(), pair),
        _summary(4, "seconds per step, span / token", "ratio", step, unmeasured),
        _summary(4, "tokens for the same F1, span / token", "ratio", tokens, budgets, beyond),
        _summary(4, "seconds for the same F1, span / token", "ratio", seconds, f"{unmeasured}, or {budgets}"),
        _summary(5, f"labelled sentences for token's F1 / {labelled_sentences}", "ratio", labelled, sizes),
    ]


def _slice(table: pd.DataFrame, varying: str, labelled_sentences: int) -> pd.DataFrame:
    try:
        return scoring.core_cell(table, varying, labelled_sentences=labelled_sentences)
    except ValueError:  # nothing there: the measure says what is missing
        return table.iloc[:0]


def _summary(
    statement: int, name: str, unit: str, values: pd.DataFrame, missing: str, note: str = ""
) -> Measure:
    """`values`: one row per replicate with value, support and, for some, bound (-1 at most, 1 at least)."""
    if values.empty:
        return Measure(statement, name, unit, note=missing)
    ratio = unit == "ratio"  # twice as much and half as much are equally far from 1: average the logarithms
    found = scoring.interval(np.log(values["value"]) if ratio else values["value"])
    effect, low, high = np.exp(found[:3]) if ratio else found[:3]
    bound = values.get("bound", pd.Series(0, index=values.index))
    at_most, at_least = int((bound < 0).sum()), int((bound > 0).sum())
    notes = [note] * bool(note)
    notes += [f"at most this in {at_most} replicates"] * bool(at_most)
    notes += [f"at least this in {at_least} replicates"] * bool(at_least)
    cases = round(values["support"].sum())
    return Measure(
        statement, name, unit, effect, low, high, found.n, cases, at_most, at_least, ", ".join(notes)
    )


def _step_cost(cost: pd.DataFrame | None) -> pd.DataFrame:
    """Seconds per step, span / token, for each replicate."""
    if cost is None or not {"token", "span"} <= set(cost["arm"]):
        return pd.DataFrame(columns=["value", "support"])
    seconds = cost.groupby(["replicate", "arm"])["seconds_per_step"].mean().unstack()
    return pd.DataFrame({"value": seconds["span"] / seconds["token"], "support": 0}).dropna()


def _tokens_needed(table: pd.DataFrame) -> pd.DataFrame:
    """Tokens that span needs, divided by those that token needs, for the same F1 in the same replicate.

    Where span reaches token's last F1: the tokens that took it, divided by all tokens. Where it does not:
    all tokens, divided by those that took token to span's last F1. At the first budget only a bound is
    known.
    """
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
    """Labelled sentences that span needs for token's F1 with `labelled_sentences`, as a share of those."""
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
    """For each replicate: its number, F1 (a row per value of `column`, a column per arm), gold mentions."""
    scores = scoring.replicate_f1(table, ("arm", column), {"all": LENGTHS["all"]})
    for replicate, own in scores.groupby("replicate"):
        yield (
            replicate,
            own.pivot(index=column, columns="arm", values="f1").sort_index(),
            own["support"].mean(),
        )


def _reach(curve: pd.Series, target: float) -> tuple[float, int]:
    """Where a curve first reaches `target`, between two points on a log scale, and whether it is a bound.

    -1: it was there at the first point already, 1: it never got there and the last point stands in.
    """
    there = np.flatnonzero(curve.to_numpy() >= target)
    if len(there) == 0:
        return float(curve.index[-1]), 1
    after = there[0]
    if after == 0:
        return float(curve.index[0]), -1
    share = (target - curve.iloc[after - 1]) / (curve.iloc[after] - curve.iloc[after - 1])
    start, end = np.log(curve.index[after - 1]), np.log(curve.index[after])
    return float(np.exp(start + share * (end - start))), 0
