"""F1 by entity length: mentions, counts, intervals. Needs NumPy, pandas and SciPy, and nothing of ours.

A *mention* is one entity in one sentence. It counts as found when its type, its first word and its
last word are all right, as in CoNLL. Lengths are in words. All F1 values are on the scale 0-100.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

Span = tuple[str, int, int]
Novelty = Callable[[tuple[str, ...]], str]

EDGES = (1, 2, 3, 4, 5)
COUNTS = ["gold", "predicted", "correct"]
SETTINGS = ["corpus", "mask_rate", "tokens_seen", "labelled_sentences"]  # what else a row may differ in


# --- from tags to counts -------------------------------------------------------------------------


def spans(tags: Sequence[str]) -> list[Span]:
    """The mentions in one sentence's IOB2 tags, as (type, start, end); `end` is exclusive.

    Strict, as seqeval with `mode="strict", scheme=IOB2` and tested against it: only a B- tag starts a
    mention, and only I- tags of its type carry it on, so an I- tag with no mention before it is ignored.
    Raises ValueError for a tag that is not O, B-TYPE or I-TYPE.
    """
    found: list[Span] = []
    start, kind = None, None  # the mention that is open
    for position, tag in enumerate([*tags, "O"]):
        if tag != "O" and tag[:2] not in ("B-", "I-"):
            raise ValueError(f"tag {tag!r} at word {position} is not IOB2: use O, B-TYPE or I-TYPE")
        if start is not None and tag == f"I-{kind}":
            continue  # the open mention goes on
        if start is not None:
            found.append((kind, start, position))
        start, kind = (position, tag[2:]) if tag.startswith("B-") else (None, None)
    return found


def length_bucket(length: int, edges: Sequence[int] = EDGES) -> str:
    """The name of the bucket that holds `length` words: with the usual edges "1", "2", "3", "4" or "5+".

    An edge is the shortest length of its bucket; the last bucket is open. Raises ValueError for a length
    below 1, and for edges that do not start at 1 and grow: then some mention would have no bucket.
    """
    _check_edges(edges)
    if length < 1:
        raise ValueError(f"a mention has at least one word, not {length}")
    for shortest, following in pairwise(edges):
        if length < following:
            return str(shortest) if following == shortest + 1 else f"{shortest}-{following - 1}"
    return f"{edges[-1]}+"


def count(
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    *,
    sentences: Sequence[Sequence[str]] | None = None,
    novelty: Novelty | None = None,
    edges: Sequence[int] = EDGES,
) -> pd.DataFrame:
    """Mentions in `gold` tags, in `predicted` tags and in both, by type, novelty and length.

    `gold` and `predicted` hold one list of IOB2 tags per sentence. Returns the columns type, novelty,
    length, gold, predicted, correct, with rows for what occurs. A boundary error counts twice: as missed
    in the length bucket of the gold mention, as wrong in the bucket of the predicted one.
    `novelty`, a function of a mention's words such as a `SurfaceIndex`, needs the words: `sentences`.
    Without it the column says "any". Raises ValueError where lengths differ, naming the sentence.
    """
    if novelty is not None and sentences is None:
        raise ValueError("novelty is a property of words: pass sentences as well")
    _check_edges(edges)
    _check_lengths("predicted tags", gold, predicted)
    if sentences is not None:
        _check_lengths("words", gold, sentences)
    counts: dict[tuple[str, str, str], list[int]] = {}
    for number, (gold_tags, predicted_tags) in enumerate(zip(gold, predicted, strict=True)):
        in_gold, in_predicted = set(spans(gold_tags)), set(spans(predicted_tags))
        for mention in in_gold | in_predicted:
            kind, start, end = mention
            seen = novelty(tuple(sentences[number][start:end])) if novelty else "any"
            cell = counts.setdefault((kind, seen, length_bucket(end - start, edges)), [0, 0, 0])
            cell[0] += mention in in_gold
            cell[1] += mention in in_predicted
            cell[2] += mention in in_gold and mention in in_predicted
    rows = [(*key, *counts[key]) for key in sorted(counts)]
    return pd.DataFrame(rows, columns=["type", "novelty", "length", *COUNTS])


def f1(gold, predicted, correct):
    """F1 (0-100) from counts, single numbers or arrays: 2 * correct / (gold + predicted) * 100.

    This is the harmonic mean of precision (correct / predicted) and recall (correct / gold). Where
    nothing is gold and nothing predicted it is 0, as in seqeval.
    """
    return 100 * _ratio(2 * np.asarray(correct), np.asarray(gold) + np.asarray(predicted))


def f1_by_length(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], edges: Sequence[int] = EDGES
) -> pd.DataFrame:
    """Precision, recall and F1 (0-100) of IOB2 tags for each bucket of entity length.

    Returns one row per bucket, empty ones too, with columns length, support (gold mentions), predicted,
    correct, precision, recall, f1. The last row, "all", equals seqeval's strict IOB2 micro average.
    Raises ValueError as `count` does.
    """
    counts = count(gold, predicted, edges=edges).groupby("length")[COUNTS].sum()
    table = counts.reindex([length_bucket(edge, edges) for edge in edges], fill_value=0)
    table.loc["all"] = table.sum()
    table["precision"] = 100 * _ratio(table["correct"], table["predicted"])
    table["recall"] = 100 * _ratio(table["correct"], table["gold"])
    table["f1"] = f1(table["gold"], table["predicted"], table["correct"])
    return table.rename(columns={"gold": "support"}).rename_axis("length").reset_index()


def _ratio(part, whole):
    part, whole = np.asarray(part, dtype=float), np.asarray(whole, dtype=float)
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)[()]


def _check_edges(edges: Sequence[int]) -> None:
    if not edges or edges[0] != 1 or any(a >= b for a, b in pairwise(edges)):
        raise ValueError(f"edges {tuple(edges)} must start at 1 and grow, as in {EDGES}")


def _check_lengths(name: str, gold: Sequence[Sequence[str]], other: Sequence[Sequence[str]]) -> None:
    if len(gold) != len(other):
        raise ValueError(f"{len(gold)} sentences of gold tags but {len(other)} of {name}")
    for number, (a, b) in enumerate(zip(gold, other, strict=True)):
        if len(a) != len(b):
            raise ValueError(f"sentence {number} (counted from 0): {len(a)} gold tags but {len(b)} {name}")


# --- from counts to F1 with intervals --------------------------------------------------------------


class Interval(NamedTuple):
    """A mean over `n` values with the bounds of its confidence interval."""

    mean: float
    low: float
    high: float
    n: int


def interval(values: Iterable[float], confidence: float = 0.95) -> Interval:
    """Student's t interval for the mean of `values`; the bounds are NaN for fewer than two values.

    With three to twenty replicates Student's t keeps its promise where a bootstrap is too narrow.
    """
    values = np.asarray(list(values), dtype=float)
    n = len(values)
    mean = float(values.mean()) if n else np.nan
    if n < 2:
        return Interval(mean, np.nan, np.nan, n)
    half = stats.t.ppf((1 + confidence) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return Interval(mean, float(mean - half), float(mean + half), n)


def core_cell(
    table: pd.DataFrame, varying: str = "", *, labelled_sentences: int = 100, mask_rate: float = 0.15
) -> pd.DataFrame:
    """The rows of the core cell: all tokens seen, 100 labelled sentences, mask rate 15%.

    With `varying="tokens_seen"` (or another of these three columns) the slice through the core cell in
    which that column takes all its values. The arm "none" has no tokens and no mask rate and is kept.
    Raises ValueError if nothing is left.
    """
    untrained = table["arm"] == "none"
    core = {
        "labelled_sentences": table["labelled_sentences"] == labelled_sentences,
        "mask_rate": untrained | np.isclose(table["mask_rate"], mask_rate),
        "tokens_seen": untrained | (table["tokens_seen"] == table["tokens_seen"].max()),
    }
    keep = pd.Series(True, index=table.index)
    for column, matches in core.items():
        keep &= matches | (column == varying)
    if not keep.any():
        raise ValueError(f"no results with {labelled_sentences} labelled sentences and mask rate {mask_rate}")
    return table[keep]


def replicate_f1(
    table: pd.DataFrame,
    by: Sequence[str] = ("arm",),
    lengths: Mapping[str, Sequence[str]] | None = None,
    **cell: object,
) -> pd.DataFrame:
    """F1 (0-100) of each replicate and entity length, from the results table.

    Counts are summed over types and novelty within a labelled subset; the F1 of a replicate is the mean
    over its subsets. `cell` picks rows (`labelled_sentences=100`); `by` names the columns to keep apart.
    `lengths` maps a name to the buckets that it pools; by default each bucket and "all". Returns the
    columns `by`, replicate, length, f1, support (gold mentions). A replicate without gold mentions of a
    length has no row for it. Raises ValueError if the rows of several experiments would be added up.
    """
    by = list(by)
    for column, value in cell.items():
        table = table[table[column] == value]
    buckets = table["length"].astype(str)
    if lengths is None:
        names = in_order(buckets.unique())
        lengths = {name: [name] for name in names} | {"all": names}
    for column in (name for name in SETTINGS if name in table and name not in by):
        if (table.groupby(by)[column].nunique() > 1).any():
            raise ValueError(f"rows differ in {column}: choose one value, or keep them apart with `by`")
    parts = []
    for name, pooled in lengths.items():
        summed = table[buckets.isin(pooled)].groupby([*by, "replicate", "subset"])[COUNTS].sum()
        summed = summed[summed["gold"] > 0]
        scored = pd.DataFrame({"f1": f1(*(summed[c] for c in COUNTS)), "support": summed["gold"]})
        scored = scored.set_axis(summed.index).groupby([*by, "replicate"]).mean().reset_index()
        parts.append(scored.assign(length=name))
    return pd.concat(parts, ignore_index=True)[[*by, "replicate", "length", "f1", "support"]]


def paired_difference(
    table: pd.DataFrame,
    arm: str = "span",
    baseline: str = "token",
    lengths: Mapping[str, Sequence[str]] | None = None,
    **cell: object,
) -> pd.DataFrame:
    """F1 of `arm` minus F1 of `baseline` within each replicate that has both, for each length.

    The two arms of a replicate share world, initial weights, data order and labelled sentences, so most
    of the noise cancels. Returns the columns replicate, length, difference, support.
    """
    scores = replicate_f1(table[table["arm"].isin([arm, baseline])], ("arm",), lengths, **cell)
    pairs = scores[scores["arm"] == arm].merge(
        scores[scores["arm"] == baseline], on=["replicate", "length"], suffixes=("", "_baseline")
    )
    pairs["difference"] = pairs["f1"] - pairs["f1_baseline"]
    return pairs[["replicate", "length", "difference", "support"]]


def over_replicates(scores: pd.DataFrame, column: str, by: Sequence[str] = ("arm", "length")) -> pd.DataFrame:
    """The mean of `column` over replicates with its t interval: columns `by`, mean, low, high, n, support.

    `support` is the mean number of gold mentions per replicate. Groups keep the order of `scores`.
    """
    rows = [
        (*key, *interval(group[column]), group["support"].mean())
        for key, group in scores.groupby(list(by), sort=False)
    ]
    return pd.DataFrame(rows, columns=[*by, *Interval._fields, "support"])


def in_order(buckets: Iterable[str]) -> list[str]:
    """Names of length buckets, shortest first, and "all" last."""
    return sorted(buckets, key=lambda name: int(name.split("-")[0].strip("+")) if name != "all" else np.inf)


# --- novelty ---------------------------------------------------------------------------------------


class SurfaceIndex:
    """Where a mention's words stand: in the labelled sentences, only in the unlabelled text, or nowhere.

    Called with a mention's words it answers "labelled", "text" or "never". What counts is the sequence of
    words within one line, whether or not it is a name there. Punctuation is split off everywhere, since
    running text has it attached to words and labelled data has not. Build the index once from the lines of
    the text; `with_labelled` adds labelled sentences and shares the text's index, so that it costs next to
    nothing for each labelled subset.
    """

    def __init__(self, text: Iterable[str]) -> None:
        self._text = _WordSequences(map(_split, text))
        self._labelled = _WordSequences([])

    def with_labelled(self, sentences: Iterable[Sequence[str]]) -> "SurfaceIndex":
        """The same index with these labelled sentences, lists of words, in place of any earlier ones."""
        index = object.__new__(SurfaceIndex)
        index._text = self._text
        index._labelled = _WordSequences(_split(" ".join(words)) for words in sentences)
        return index

    def __call__(self, words: tuple[str, ...]) -> str:
        parts = tuple(_split(" ".join(words)))
        if parts in self._labelled:
            return "labelled"
        return "text" if parts in self._text else "never"


def _split(line: str) -> list[str]:
    """Words and single punctuation marks."""
    return re.findall(r"\w+|[^\w\s]", line)


class _WordSequences:
    """Answers whether words stand next to each other in some sentence.

    It goes to every place where the rarest of the words stands, and compares the neighbours there.
    """

    def __init__(self, sentences: Iterable[Sequence[str]]) -> None:
        self._number: dict[str, int] = {}  # word -> its number, from 1
        flat = [0]
        for sentence in sentences:
            flat.extend(self._number.setdefault(word, len(self._number) + 1) for word in sentence)
            flat.append(0)  # no word: a sequence never runs over the end of a sentence
        self._words = np.array(flat, dtype=np.int32)  # [all words]
        self._places = np.argsort(self._words, kind="stable")  # places of word 0, then of word 1, …
        self._ends = np.cumsum(np.bincount(self._words))  # where the places of each word end
        self._known: dict[tuple[str, ...], bool] = {}

    def __contains__(self, words: tuple[str, ...]) -> bool:
        if words not in self._known:
            self._known[words] = self._find(words)
        return self._known[words]

    def _find(self, words: tuple[str, ...]) -> bool:
        numbers = [self._number.get(word) for word in words]
        if not numbers or None in numbers:
            return False
        rarest, places = min(enumerate(map(self._places_of, numbers)), key=lambda item: len(item[1]))
        starts = places - rarest
        starts = starts[(starts >= 0) & (starts + len(numbers) <= len(self._words))]
        for offset, number in enumerate(numbers):
            starts = starts[self._words[starts + offset] == number]
        return len(starts) > 0

    def _places_of(self, number: int) -> np.ndarray:
        return self._places[self._ends[number - 1] : self._ends[number]]
