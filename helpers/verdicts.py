"""Verdicts on the five statements, by rules fixed before the results were known.

`measures` turns the results table into numbers with intervals. `judge` turns those numbers into verdicts:
"supported", "contradicted", "depends on the target" or "cannot tell".
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from scipy import stats

from helpers import scoring

REPLICATES_NEEDED = 8  # with fewer, a run alone cannot tell
SMALLEST_DIFFERENCE = 1.0  # that matters, in F1
LEVEL = 2.0  # differences within ± this, in F1 or recall, count as none
MUCH_MORE_EXPENSIVE = 1.25  # a ratio: at least a quarter more
DRAWS = 20_000  # simulated runs behind the chance of "supported"
ARMS = ["token", "whole_word", "span"]
LENGTHS = {"all names": ("1", "2", "3", "4", "5+"), "1-2 words": ("1", "2"), "3+ words": ("3", "4", "5+")}
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
PARTS = {"b": "Contiguity across words is what helps.", "c": "Long names gain more than short ones."}
ORDER = ((3, "a"), (5, ""), (4, ""))  # of testing; 2 and 3b stand apart, each with a test of its own
RULES = {
    1: "Contradicted if both models have the same class, parameter names, shapes and initial weights and a "
    "forward pass accepts both batches; cannot tell if only the initial weights differ; otherwise supported.",
    2: "F1 over all names, span - token. Contradicted if its 95% interval lies wholly outside ±1. Otherwise "
    "supported if the 90% intervals of all names, of names of 1-2 words and of 3 or more words all lie "
    "within ±2. Otherwise cannot tell. The reason says how likely a run with this spread is to say "
    '"supported" if in truth nothing differs. Tested on its own, at 5%.',
    3: "Recall, the share of the names that are found, at names of 3 or more words. (a) span - token: "
    "supported if the 95% interval lies above 0, contradicted if below. This is the verdict; two more stand "
    "beside it. (b) Is it contiguity across words? span - whole_word: supported if the 95% interval lies "
    "above 0 (across words helps); contradicted if it lies below 0 (across words costs), or else if the 90% "
    "interval lies within ±2 (level: all is due to contiguity within words). (c) The gain of a minus the "
    "same at 1-2 words: supported if the 95% interval lies above 0, contradicted if below; always "
    "exploratory. Otherwise cannot tell. a is tested first of all, at 5%; b on its own, at 5%.",
    4: "Two kinds of ratio, span / token: seconds per step, and tokens needed for the F1 that token reaches "
    "with each budget. Supported if the 95% interval of the first lies wholly above 1.25, or those at all "
    "budgets do; contradicted if the first and all budgets lie wholly below; depends on the target if at "
    "least one budget lies wholly above and one wholly below; otherwise cannot tell. Tested last: "
    "confirmatory only if 3a and 5 were decided.",
    5: "Labelled sentences that span needs for the F1 that token reaches with 100, with half as many and "
    "with twice as many, each as a ratio to that number. Supported if all 95% intervals lie wholly below 1, "
    "contradicted if all lie wholly above, depends on the target if some lie below and some above; "
    "otherwise cannot tell. Tested after 3a: confirmatory only if 3a was decided.",
}


@dataclass(frozen=True)
class Measure:
    """One number behind a verdict, averaged over replicates.

    Ratios are skewed: twice as much and half as much are equally far from 1. So a ratio's logarithm is
    averaged over replicates, and its interval is exp of the t interval of the logarithms.

    Attributes:
        statement: Number of the statement, 1 to 5.
        part: "a", "b" or "c" in statement 3, otherwise "".
        name: What was measured.
        unit: "F1", "recall" (both in points), "ratio" or "checks".
        effect: Mean over replicates.
        low: Lower bound of its 95% t interval.
        high: Upper bound.
        low90: Lower bound of its 90% t interval, which shows at 5% that a difference is small.
        high90: Upper bound.
        replicates: Number of replicates that were averaged.
        cases: Number of gold mentions, over all replicates.
        at_most: Number of replicates in which only an upper bound is known, which stands in for the value.
        at_least: Number of replicates in which only a lower bound is known, which stands in for the value.
        note: What else a reader should know; without any replicate, what is missing.
    """

    statement: int
    part: str
    name: str
    unit: str
    effect: float = np.nan
    low: float = np.nan
    high: float = np.nan
    low90: float = np.nan
    high90: float = np.nan
    replicates: int = 0
    cases: int = 0
    at_most: int = 0
    at_least: int = 0
    note: str = ""

    def __str__(self) -> str:
        sign = "+" if self.unit in ("F1", "recall") else ""
        number = f"{self.effect:{sign}.2f} [{self.low:{sign}.2f}, {self.high:{sign}.2f}]"
        return f"{self.name}: {number}" + (f" ({self.note})" if self.note else "")

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
            True if the whole 95% interval lies above it and no replicate is known only by an upper bound.
        """
        return not self.doubt() and self.low > threshold and self.at_most == 0

    def below(self, threshold: float) -> bool:
        """Tell whether the effect is certainly below a threshold.

        Args:
            threshold: In the unit of the measure.

        Returns:
            True if the whole 95% interval lies below it and no replicate is known only by a lower bound.
        """
        return not self.doubt() and self.high < threshold and self.at_least == 0

    def within(self, limit: float) -> bool:
        """Tell whether a difference is certainly small.

        Args:
            limit: In the unit of the measure.

        Returns:
            True if the whole 90% interval lies between -limit and limit.
        """
        return not self.doubt() and -limit < self.low90 and self.high90 < limit


def judge(
    table: pd.DataFrame,
    architecture: Mapping[str, bool] | None = None,
    cost: pd.DataFrame | None = None,
    labelled_sentences: int = 100,
) -> pd.DataFrame:
    """Judge the five statements.

    Missing evidence makes a verdict "cannot tell", and so do fewer than 8 replicates.

    Args:
        table: The results table. Of its arms, token, whole_word and span are read.
        architecture: Whether each of `ARCHITECTURE_CHECKS` holds.
        cost: The costs table, with the columns arm, replicate and seconds_per_step. If it has a column
            device, the arms of a replicate are compared only where they ran on the same kind of machine.
        labelled_sentences: Number of labelled sentences in the core cell.

    Returns:
        Seven rows, one per statement and three for statement 3, whose verdict is that of part a. The columns
        are statement, part ("a", "b", "c" or ""), text, verdict, status, effect, low, high, unit, replicates,
        cases, rule and reason. Effect and interval are those of the first measure; the reason names all
        measures that decided. The status follows from the order of testing alone: "confirmatory" where all
        earlier tests were decided, otherwise "exploratory"; "" for statement 1, which is not a test.

    Raises:
        ValueError: `architecture` lacks a check.
    """
    all_measures = _measure(table, cost, labelled_sentences)
    deciders: dict[tuple[int, str], Callable[..., tuple[str, str]]] = {
        (2, ""): _no_difference,
        (3, "a"): _sign,
        (3, "b"): _across_words,
        (3, "c"): _sign,
        (4, ""): _costs_more,
        (5, ""): _needs_less,
    }
    judged = {(1, ""): _architecture(architecture)}
    for key, decide in deciders.items():
        evidence = [measure for measure in all_measures if (measure.statement, measure.part) == key]
        judged[key] = (evidence[0], *decide(*evidence))
    status = _status({key: verdict for key, (_, verdict, _) in judged.items()})
    rows = []
    for (statement, part), (first, verdict, reason) in judged.items():
        row = {"statement": statement, "part": part, "text": PARTS.get(part, STATEMENTS[statement])}
        row |= {"verdict": verdict, "status": status[statement, part]}
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
        One row per `Measure`, one column per attribute. No two have the same name.
    """
    names = [field.name for field in fields(Measure)]
    return pd.DataFrame(
        [[getattr(measure, name) for name in names] for measure in _measure(table, cost, labelled_sentences)],
        columns=names,
    )


# --- the rules -------------------------------------------------------------------------------------


def _architecture(checks: Mapping[str, bool] | None) -> tuple[Measure, str, str]:
    if checks is None:
        return Measure(1, "", "differences", "checks"), "cannot tell", "the two models were not compared"
    if missing := [name for name in ARCHITECTURE_CHECKS if name not in checks]:
        raise ValueError(f"architecture lacks {', '.join(missing)}")
    failed = [name for name in ARCHITECTURE_CHECKS if not checks[name]]
    first = Measure(1, "", "differences", "checks", float(len(failed)), cases=len(ARCHITECTURE_CHECKS))
    if not failed:
        return first, "contradicted", "class, parameters and initial weights are equal, and so is their use"
    if failed == ["same_initial_weights"]:
        return first, "cannot tell", "the two models start from different weights: not a paired comparison"
    return first, "supported", f"not fulfilled: {', '.join(failed)}"


def _no_difference(everything: Measure, short: Measure, long: Measure) -> tuple[str, str]:
    three = (everything, short, long)
    seen = f"{everything}; 90% intervals: " + "; ".join(map(_interval90, three))
    if everything.above(SMALLEST_DIFFERENCE) or everything.below(-SMALLEST_DIFFERENCE):
        return "contradicted", f"outside ±1: {seen}"
    if all(measure.within(LEVEL) for measure in three):
        return "supported", f"90% intervals within ±2: {seen}"
    return "cannot tell", _first_doubt(three) or f"neither outside ±1 nor all within ±2: {seen}"


def _sign(difference: Measure) -> tuple[str, str]:
    verdict = "supported" if difference.above(0) else "contradicted" if difference.below(0) else "cannot tell"
    return verdict, difference.doubt() or str(difference)


def _across_words(across: Measure, within: Measure) -> tuple[str, str]:
    seen = f"{across}" + (f"; contiguity within words: {within}" if within.replicates else "")
    if across.above(0):
        return "supported", f"across words helps: {seen}"
    if across.below(0):
        return "contradicted", f"across words costs: {seen}"
    if across.within(LEVEL):
        return "contradicted", f"level, 90% interval within ±2: {_interval90(across)}; {seen}"
    return "cannot tell", across.doubt() or f"neither helps nor costs nor level: {seen}"


def _costs_more(step: Measure, *others: Measure) -> tuple[str, str]:
    tokens, limit = others[:-1], MUCH_MORE_EXPENSIVE  # the last one, seconds, is for information
    above, below = [m for m in tokens if m.above(limit)], [m for m in tokens if m.below(limit)]
    if step.above(limit):
        return "supported", f"above {limit}: {step}"
    if len(above) == len(tokens):
        return "supported", f"above {limit} at all budgets: {_listed(tokens)}"
    if above and below:
        return "depends on the target", f"above {limit}: {_listed(above)}; below: {_listed(below)}"
    if step.below(limit) and len(below) == len(tokens):
        return "contradicted", f"all below {limit}: {_listed([step, *tokens])}"
    doubt = _first_doubt((step, *tokens))
    if doubt == step.doubt() and step.replicates and step.note:
        doubt = f"{doubt} ({step.note})"
    return "cannot tell", doubt or f"on neither side of {limit} throughout: {_listed([step, *tokens])}"


def _needs_less(*needed: Measure) -> tuple[str, str]:
    if len(needed) < 3:
        seen = f"{len(needed)} of the rule's 3 targets can be asked: {_listed(needed)}"
        return "cannot tell", _first_doubt(needed) or seen
    below, above = [m for m in needed if m.below(1)], [m for m in needed if m.above(1)]
    if len(below) == len(needed):
        return "supported", f"below 1: {_listed(below)}"
    if len(above) == len(needed):
        return "contradicted", f"above 1: {_listed(above)}"
    if below and above:
        return "depends on the target", f"below 1: {_listed(below)}; above: {_listed(above)}"
    return "cannot tell", _first_doubt(needed) or f"on neither side of 1 throughout: {_listed(needed)}"


def _status(verdicts: Mapping[tuple[int, str], str]) -> dict[tuple[int, str], str]:
    """Tell the confirmatory verdicts from the exploratory ones: a chain ends at its first undecided test."""
    status = {(1, ""): "", **dict.fromkeys([(2, ""), (3, "b")], "confirmatory"), (3, "c"): "exploratory"}
    decided = True
    for key in ORDER:
        status[key] = "confirmatory" if decided else "exploratory"
        decided = decided and verdicts[key] != "cannot tell"
    return status


def _first_doubt(some: Iterable[Measure]) -> str:
    return next(filter(None, (measure.doubt() for measure in some)), "")


def _listed(some: Iterable[Measure]) -> str:
    return "; ".join(map(str, some))


def _interval90(difference: Measure) -> str:
    return f"{difference.name} [{difference.low90:+.2f}, {difference.high90:+.2f}]"


# --- the numbers -----------------------------------------------------------------------------------


def _measure(table: pd.DataFrame, cost: pd.DataFrame | None, labelled_sentences: int) -> list[Measure]:
    table = table[table["arm"].isin(ARMS)]
    return [
        *_difference_measures(_slice(table, "", labelled_sentences), labelled_sentences),
        *_cost_measures(_slice(table, "tokens_seen", labelled_sentences), cost),
        *_label_measures(_slice(table, "labelled_sentences", labelled_sentences), labelled_sentences),
    ]


def _difference_measures(core: pd.DataFrame, labelled_sentences: int) -> list[Measure]:
    """Measure differences in F1 for statement 2, and in recall for statement 3."""

    def differences(arm: str, baseline: str, measure: str, *lengths: str) -> dict[str, pd.DataFrame]:
        pooled = {length: LENGTHS[length] for length in lengths}
        found = scoring.paired_difference(core, arm, baseline, pooled, measure=measure)
        found = found.rename(columns={"difference": "value"}).set_index("replicate")
        return {length: found.loc[found["length"] == length, ["value", "support"]] for length in lengths}

    missing = f"no replicate has both arms with {labelled_sentences} labelled sentences"
    no_words = missing if (core["arm"] == "whole_word").any() else "whole words were not run"
    f1 = differences("span", "token", "f1", *LENGTHS)
    recall = differences("span", "token", "recall", "1-2 words", "3+ words")
    across = differences("span", "whole_word", "recall", "3+ words")
    within = differences("whole_word", "token", "recall", "3+ words")
    three = pd.DataFrame({length: f1[length]["value"] for length in LENGTHS}).dropna()
    notes = {"all names": _chance_of_supported(three)}
    long = "recall at 3+ words"
    more = (recall["3+ words"] - recall["1-2 words"].assign(support=0)).dropna()  # support: of the long ones
    return [
        *(
            _summary(2, "", f"F1 at {length}, span - token", "F1", f1[length], missing, notes.get(length, ""))
            for length in LENGTHS
        ),
        _summary(3, "a", f"{long}, span - token", "recall", recall["3+ words"], missing),
        _summary(3, "b", f"{long}, span - whole_word", "recall", across["3+ words"], no_words),
        _summary(3, "b", f"{long}, whole_word - token", "recall", within["3+ words"], no_words),
        _summary(3, "c", f"{long} minus that at 1-2 words, span - token", "recall", more, missing),
    ]


def _chance_of_supported(differences: pd.DataFrame) -> str:
    """Say how often statement 2 would be supported if its differences, a column each, were 0 in truth."""
    if (n := len(differences)) < REPLICATES_NEEDED:
        return ""
    spread = differences.cov().to_numpy() / n  # of the means, [length, length]
    zero = np.zeros(len(spread))
    means = np.random.default_rng(0).multivariate_normal(zero, spread, DRAWS, check_valid="ignore")
    half90, half95 = (stats.t.ppf(1 - tail, n - 1) * np.sqrt(np.diag(spread)) for tail in (0.05, 0.025))
    supported = (np.abs(means) + half90 < LEVEL).all(axis=1)  # [run]
    contradicted = np.abs(means[:, 0]) - half95[0] > SMALLEST_DIFFERENCE
    chance = (supported & ~contradicted).mean()
    return f'if nothing differed, a run with this spread would say "supported" with a chance of {chance:.0%}'


def _cost_measures(budgets: pd.DataFrame, cost: pd.DataFrame | None) -> list[Measure]:
    """Measure span / token in seconds per step and in tokens and seconds for the same F1, for statement 4."""
    step, left_out = _step_cost(cost)
    no_step = left_out or "seconds per step were not measured for both arms"
    no_tokens = "needs both arms at two or more numbers of tokens seen"
    found = [_summary(4, "", "seconds per step, span / token", "ratio", step, no_step, left_out)]
    needed = _needed(budgets, "tokens_seen")
    if not needed:
        found.append(Measure(4, "", "tokens for token's F1, span / token", "ratio", note=no_tokens))
    for budget, tokens in needed.items():
        name = f"tokens for token's F1 after {budget:,} tokens, span / token"
        behind = int((tokens["value"] > 1).sum()) if budget == max(needed) else 0
        note = f"for span's last F1 in {_replicates(behind)} that did not reach token's" if behind else ""
        found.append(_summary(4, "", name, "ratio", tokens, no_tokens, note))
    last = needed[max(needed)] if needed else pd.DataFrame(columns=["value", "support", "bound"])
    seconds = last.assign(value=last["value"] * step["value"]).dropna()
    no_seconds = f"{no_step}, or {no_tokens}"
    name = "seconds for token's last F1, span / token"
    return [*found, _summary(4, "", name, "ratio", seconds, no_seconds, left_out)]


def _label_measures(sizes: pd.DataFrame, labelled_sentences: int) -> list[Measure]:
    """Measure the labelled sentences that span needs for token's F1, for statement 5; the core size first."""
    missing = f"needs both arms at {labelled_sentences} labelled sentences and one more number of them"
    needed = _needed(sizes, "labelled_sentences")
    others = [size for size in needed if labelled_sentences / 2 <= size <= 2 * labelled_sentences]
    targets = list(dict.fromkeys([labelled_sentences, *others]))
    name, none = "labelled sentences for token's F1 / {}", pd.DataFrame()
    return [_summary(5, "", name.format(size), "ratio", needed.get(size, none), missing) for size in targets]


def _slice(table: pd.DataFrame, varying: str, labelled_sentences: int) -> pd.DataFrame:
    try:
        return scoring.core_cell(table, varying, labelled_sentences=labelled_sentences)
    except ValueError:  # no such rows: the measure says what is missing
        return table.iloc[:0]


def _summary(
    statement: int, part: str, name: str, unit: str, values: pd.DataFrame, missing: str, note: str = ""
) -> Measure:
    """Summarise a row per replicate with value, support and, for some, bound (-1 at most, 1 at least)."""
    if values.empty:
        return Measure(statement, part, name, unit, note=missing)
    ratio = unit == "ratio"
    sample = np.log(values["value"]) if ratio else values["value"]
    (effect, low, high, n), (_, low90, high90, _) = scoring.interval(sample), scoring.interval(sample, 0.90)
    if ratio:
        effect, low, high, low90, high90 = np.exp([effect, low, high, low90, high90]).tolist()
    bound = values.get("bound", pd.Series(0, index=values.index))
    at_most, at_least = int((bound < 0).sum()), int((bound > 0).sum())
    notes = [note] if note else []
    notes += [f"at most this in {_replicates(at_most)}"] if at_most else []
    notes += [f"at least this in {_replicates(at_least)}"] if at_least else []
    cases = round(values["support"].sum())
    found = (effect, low, high, low90, high90, n, cases, at_most, at_least)
    return Measure(statement, part, name, unit, *found, note=", ".join(notes))


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


def _needed(table: pd.DataFrame, column: str) -> dict[int, pd.DataFrame]:
    """Divide what span needs for token's F1 at each value of `column` by that value, in each replicate."""
    # Where span never reaches token's F1 with all tokens, its curve says no more than "at least 1". There the
    # F1 compared is span's last: all tokens, divided by those that took token to it.
    scores = scoring.replicate_scores(table, ("arm", column), {"all names": LENGTHS["all names"]})
    rows = []
    for replicate, its in scores[scores["arm"].isin(["token", "span"])].groupby("replicate"):
        curves = its.pivot(index=column, columns="arm", values="f1").sort_index()
        both = curves.reindex(columns=["token", "span"]).dropna()
        if len(both) < 2:
            continue
        token, span, last = both["token"], both["span"], both.index[-1]
        for place in both.index:
            needed, bound = _reach(span, token[place])
            ratio = needed / place
            if column == "tokens_seen" and place == last and bound > 0:
                needed, bound = _reach(token, span[last])
                ratio, bound = last / needed, -bound
            rows.append((place, replicate, ratio, its["support"].mean(), bound))
    ratios = pd.DataFrame(rows, columns=["place", *PER_REPLICATE]).set_index("replicate")
    return {int(place): some.drop(columns="place") for place, some in ratios.groupby("place")}


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
