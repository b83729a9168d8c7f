"""F1 by entity length: mentions, counts and intervals.

A *mention* is one entity in one sentence. It counts as found when its type, its first word and its last word
are all right, as in CoNLL. Lengths are in words. All F1 values are on the scale 0-100.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

Mention = tuple[str, int, int]  # type, first word, one past the last word
Novelty = Callable[[tuple[str, ...]], str]

EDGES = (1, 2, 3, 4, 5)
COUNT_COLUMNS = ["gold", "predicted", "correct"]
CONDITION_COLUMNS = ["corpus", "mask_rate", "tokens_seen", "labelled_sentences"]  # never summed over


# --- from tags to counts -------------------------------------------------------------------------


def spans(tags: Sequence[str]) -> list[Mention]:
    """Return the mentions in the tags of one sentence.

    The reading is strict: only a B- tag starts a mention, and only I- tags of its type continue it, so an I-
    tag without a mention before it is ignored.

    Args:
        tags: One IOB2 tag per word: O, B-TYPE or I-TYPE.

    Returns:
        The mentions in order, as (type, first word, one past the last word).

    Raises:
        ValueError: A tag is not O, B-TYPE or I-TYPE.

    Source:
        Nakayama (2018), github.com/chakki-works/seqeval, `mode="strict", scheme=IOB2`.
    """
    mentions: list[Mention] = []
    start, entity_type = None, None  # the mention that is open
    for position, tag in enumerate([*tags, "O"]):
        if tag != "O" and tag[:2] not in ("B-", "I-"):
            raise ValueError(f"tag {tag!r} at word {position} is not IOB2: use O, B-TYPE or I-TYPE")
        if start is not None and tag == f"I-{entity_type}":
            continue  # the open mention goes on
        if start is not None:
            mentions.append((entity_type, start, position))
        start, entity_type = (position, tag[2:]) if tag.startswith("B-") else (None, None)
    return mentions


def length_bucket(length: int, edges: Sequence[int] = EDGES) -> str:
    """Return the name of the bucket that holds `length` words.

    Args:
        length: Number of words.
        edges: The shortest length of each bucket; the last bucket has no upper limit.

    Returns:
        "1", "2", "3", "4" or "5+" with the usual edges, or a range such as "2-4" with wider ones.

    Raises:
        ValueError: The length is below 1, or the edges do not start at 1 and increase, which would leave some
            mentions without a bucket.
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
    """Count the mentions in `gold` tags, in `predicted` tags and in both, by type, novelty and length.

    A boundary error counts twice: as missed in the length bucket of the gold mention, and as wrong in the
    bucket of the predicted one.

    Args:
        gold: IOB2 tags, one list per sentence.
        predicted: Tags of the same shape.
        sentences: The words, in lists of the same shape; needed for `novelty` only.
        novelty: A function from a mention's words to its novelty, such as a `SurfaceIndex`. Without it every
            mention has the novelty "any".
        edges: The shortest length of each bucket.

    Returns:
        The columns type, novelty, length, gold, predicted and correct, with a row for each combination that
        occurs.

    Raises:
        ValueError: Lengths differ (the message names the sentence), a tag is not IOB2, the edges leave gaps,
            or `novelty` comes without `sentences`.
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
            entity_type, start, end = mention
            mention_novelty = novelty(tuple(sentences[number][start:end])) if novelty else "any"
            key = (entity_type, mention_novelty, length_bucket(end - start, edges))
            row = counts.setdefault(key, [0, 0, 0])
            row[0] += mention in in_gold
            row[1] += mention in in_predicted
            row[2] += mention in in_gold and mention in in_predicted
    rows = [(*key, *counts[key]) for key in sorted(counts)]
    return pd.DataFrame(rows, columns=["type", "novelty", "length", *COUNT_COLUMNS])


def f1(gold, predicted, correct):
    """Return F1 (0-100), the harmonic mean of precision (correct / predicted) and recall (correct / gold).

    Args:
        gold: Number of gold mentions, or an array of numbers.
        predicted: Number of predicted mentions, of the same shape.
        correct: Number of mentions that are both, of the same shape.

    Returns:
        100 * 2 * correct / (gold + predicted), and 0 where both are 0, as in seqeval.
    """
    return 100 * _ratio(2 * np.asarray(correct), np.asarray(gold) + np.asarray(predicted))


def f1_by_length(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], edges: Sequence[int] = EDGES
) -> pd.DataFrame:
    """Return precision, recall and F1 (0-100) of IOB2 tags for each bucket of entity length.

    Args:
        gold: IOB2 tags, one list per sentence.
        predicted: Tags of the same shape.
        edges: The shortest length of each bucket.

    Returns:
        One row per bucket, empty ones too, with the columns length, support (gold mentions), predicted,
        correct, precision, recall and f1. The last row, "all", equals seqeval's strict IOB2 micro average.

    Raises:
        ValueError: As in `count`.
    """
    counts = count(gold, predicted, edges=edges).groupby("length")[COUNT_COLUMNS].sum()
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
    if not edges or edges[0] != 1 or any(edge >= following for edge, following in pairwise(edges)):
        raise ValueError(f"edges {tuple(edges)} must start at 1 and increase, as in {EDGES}")


def _check_lengths(name: str, gold: Sequence[Sequence[str]], other: Sequence[Sequence[str]]) -> None:
    if len(gold) != len(other):
        raise ValueError(f"{len(gold)} sentences of gold tags but {len(other)} of {name}")
    for number, (tags, items) in enumerate(zip(gold, other, strict=True)):
        if len(tags) != len(items):
            raise ValueError(
                f"sentence {number} (counted from 0): {len(tags)} gold tags but {len(items)} {name}"
            )


# --- from counts to F1 with intervals --------------------------------------------------------------


class Interval(NamedTuple):
    """A mean over `n` values with the bounds of its confidence interval."""

    mean: float
    low: float
    high: float
    n: int


def interval(values: Iterable[float], confidence: float = 0.95) -> Interval:
    """Return the mean of `values` with its Student's t interval.

    With three to twenty replicates Student's t keeps the confidence that it states; a bootstrap is too
    narrow.

    Args:
        values: One value per replicate.
        confidence: Probability that the interval covers the true mean.

    Returns:
        The mean, its bounds and the number of values. The bounds are NaN for fewer than two values.
    """
    sample = np.asarray(list(values), dtype=float)
    n = len(sample)
    mean = float(sample.mean()) if n else np.nan
    if n < 2:
        return Interval(mean, np.nan, np.nan, n)
    half_width = stats.t.ppf((1 + confidence) / 2, n - 1) * sample.std(ddof=1) / np.sqrt(n)
    return Interval(mean, float(mean - half_width), float(mean + half_width), n)


def core_cell(
    table: pd.DataFrame, varying: str = "", *, labelled_sentences: int = 100, mask_rate: float = 0.15
) -> pd.DataFrame:
    """Return the rows of the core cell, or of a slice through it.

    The arm "none" has seen no tokens and has no mask rate; it is kept.

    Args:
        table: The results table.
        varying: The column that takes all its values: "tokens_seen", "labelled_sentences" or "mask_rate".
            By default none does, which leaves the core cell.
        labelled_sentences: Number of labelled sentences in the core cell.
        mask_rate: Mask rate in the core cell. The number of tokens seen is always the largest.

    Returns:
        Those rows of the table.

    Raises:
        ValueError: No row is left.
    """
    not_pretrained = table["arm"] == "none"
    core = {
        "labelled_sentences": table["labelled_sentences"] == labelled_sentences,
        "mask_rate": not_pretrained | np.isclose(table["mask_rate"], mask_rate),
        "tokens_seen": not_pretrained | (table["tokens_seen"] == table["tokens_seen"].max()),
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
    """Return F1 (0-100) of each replicate and entity length.

    Counts are summed over types and novelty within a labelled subset; the F1 of a replicate is the mean over
    its subsets.

    Args:
        table: The results table.
        by: The columns to keep apart.
        lengths: From a name to the buckets that it pools. By default each bucket, and "all".
        **cell: The rows to pick, as column=value (`labelled_sentences=100`).

    Returns:
        The columns `by`, replicate, length, f1 and support (gold mentions). A replicate without gold mentions
        of a length has no row for it.

    Raises:
        ValueError: Rows of different conditions would be added up.
    """
    by = list(by)
    for column, value in cell.items():
        table = table[table[column] == value]
    buckets = table["length"].astype(str)
    if lengths is None:
        names = sort_lengths(buckets.unique())
        lengths = {name: [name] for name in names} | {"all": names}
    for column in (name for name in CONDITION_COLUMNS if name in table and name not in by):
        if (table.groupby(by)[column].nunique() > 1).any():
            raise ValueError(f"rows differ in {column}: choose one value, or keep them apart with `by`")
    scores = []
    for name, pooled in lengths.items():
        counts = table[buckets.isin(pooled)].groupby([*by, "replicate", "subset"])[COUNT_COLUMNS].sum()
        counts = counts[counts["gold"] > 0]
        subsets = counts.assign(f1=f1(counts["gold"], counts["predicted"], counts["correct"]))
        replicates = subsets.groupby([*by, "replicate"]).mean().reset_index()
        scores.append(replicates.rename(columns={"gold": "support"}).assign(length=name))
    return pd.concat(scores, ignore_index=True)[[*by, "replicate", "length", "f1", "support"]]


def paired_difference(
    table: pd.DataFrame,
    arm: str = "span",
    baseline: str = "token",
    lengths: Mapping[str, Sequence[str]] | None = None,
    **cell: object,
) -> pd.DataFrame:
    """Subtract the F1 of `baseline` from the F1 of `arm` within each replicate that has both.

    The two arms of a replicate share world, initial weights, data order and labelled sentences, so most of
    the noise cancels.

    Args:
        table: The results table.
        arm: The arm of interest.
        baseline: The arm to compare it with.
        lengths: As in `replicate_f1`.
        **cell: As in `replicate_f1`.

    Returns:
        The columns replicate, length, difference and support (gold mentions).
    """
    scores = replicate_f1(table[table["arm"].isin([arm, baseline])], ("arm",), lengths, **cell)
    pairs = scores[scores["arm"] == arm].merge(
        scores[scores["arm"] == baseline], on=["replicate", "length"], suffixes=("", "_baseline")
    )
    pairs["difference"] = pairs["f1"] - pairs["f1_baseline"]
    return pairs[["replicate", "length", "difference", "support"]]


def over_replicates(scores: pd.DataFrame, column: str, by: Sequence[str] = ("arm", "length")) -> pd.DataFrame:
    """Average `column` over replicates, with its t interval.

    Args:
        scores: A row per replicate and group, with `column` and support.
        column: The column to average.
        by: The columns that name a group.

    Returns:
        The columns `by`, mean, low, high, n and support (mean number of gold mentions per replicate), with
        the groups in the order of `scores`.
    """
    rows = [
        (*key, *interval(group[column]), group["support"].mean())
        for key, group in scores.groupby(list(by), sort=False)
    ]
    return pd.DataFrame(rows, columns=[*by, *Interval._fields, "support"])


def sort_lengths(buckets: Iterable[str]) -> list[str]:
    """Sort names of length buckets.

    Args:
        buckets: The names, such as "1", "2-4", "5+" or "all".

    Returns:
        The names, shortest first, "all" last.
    """
    return sorted(buckets, key=lambda name: int(name.split("-")[0].strip("+")) if name != "all" else np.inf)


# --- novelty ---------------------------------------------------------------------------------------


class SurfaceIndex:
    """An index that tells where a mention occurs: in labelled sentences, in the text only, or nowhere.

    What counts is the sequence of words within one line, whether or not it is a name in that line.
    Punctuation is split off everywhere, because running text has it attached to words and labelled data has
    not. Build the index once from the lines of the text; `with_labelled` adds labelled sentences and shares
    the text's index, so a labelled subset costs next to nothing.

    Args:
        text: Lines of unlabelled text.
    """

    def __init__(self, text: Iterable[str]) -> None:
        self._text = _WordSequences(map(_split, text))
        self._labelled = _WordSequences([])

    def with_labelled(self, sentences: Iterable[Sequence[str]]) -> "SurfaceIndex":
        """Return an index of the same text with other labelled sentences.

        Args:
            sentences: Lists of words. They replace any earlier ones.

        Returns:
            A new index; this one stays as it is.
        """
        index = object.__new__(SurfaceIndex)
        index._text = self._text
        index._labelled = _WordSequences(_split(" ".join(words)) for words in sentences)
        return index

    def __call__(self, words: tuple[str, ...]) -> str:
        """Return the novelty of a mention.

        Args:
            words: The words of the mention.

        Returns:
            "labelled", "text" (in the text only) or "never".
        """
        sequence = tuple(_split(" ".join(words)))
        if sequence in self._labelled:
            return "labelled"
        return "text" if sequence in self._text else "never"


def _split(line: str) -> list[str]:
    """Split a line into words and single punctuation marks."""
    return re.findall(r"\w+|[^\w\s]", line)


class _WordSequences:
    """A search for words that stand next to each other in some sentence.

    It visits every occurrence of the rarest of the words and compares the neighbours.
    """

    def __init__(self, sentences: Iterable[Sequence[str]]) -> None:
        self._numbers: dict[str, int] = {}  # word -> its number, from 1
        flat = [0]
        for sentence in sentences:
            flat.extend(self._numbers.setdefault(word, len(self._numbers) + 1) for word in sentence)
            flat.append(0)  # no word has this number, so no sequence crosses the end of a sentence
        self._words = np.array(flat, dtype=np.int32)  # [all words]
        self._positions = np.argsort(self._words, kind="stable")  # positions of number 0, then of 1, …
        self._ends = np.cumsum(np.bincount(self._words))  # where the positions of each number end
        self._cache: dict[tuple[str, ...], bool] = {}

    def __contains__(self, words: tuple[str, ...]) -> bool:
        if words not in self._cache:
            self._cache[words] = self._find(words)
        return self._cache[words]

    def _find(self, words: tuple[str, ...]) -> bool:
        numbers = [self._numbers.get(word) for word in words]
        if not numbers or None in numbers:
            return False
        all_positions = enumerate(map(self._positions_of, numbers))
        rarest, positions = min(all_positions, key=lambda item: len(item[1]))
        starts = positions - rarest
        starts = starts[(starts >= 0) & (starts + len(numbers) <= len(self._words))]
        for offset, number in enumerate(numbers):
            starts = starts[self._words[starts + offset] == number]
        return len(starts) > 0

    def _positions_of(self, number: int) -> np.ndarray:
        return self._positions[self._ends[number - 1] : self._ends[number]]
