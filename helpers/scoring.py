"""F1 by entity length: mentions, counts and intervals.

A *mention* is one entity in one sentence. It counts as found when its type, its first word and its last word
are all right, as in CoNLL. Lengths are in words. All F1 values are on the scale 0-100.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

Mention = tuple[str, int, int]  # type, first word, one past the last word
Novelty = Callable[[tuple[str, ...]], str]

EDGES = (1, 2, 3, 4, 5)
PIECE_EDGES = (1, 2, 3, 4, 5, 6, 7, 8)
ERRORS = ["missed", "wrong_boundary", "wrong_type", "wrong_both"]  # of a gold mention that is not found
COUNT_COLUMNS = ["gold", "predicted", "correct", *ERRORS, "charged", "invented"]
# Never summed over:
CONDITION_COLUMNS = ["corpus", "condition", "mask_rate", "tokens_seen", "labelled_sentences"]


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
        ValueError: A tag is not O, B-TYPE or I-TYPE, or the tags are one string.

    Source:
        Nakayama (2018), github.com/chakki-works/seqeval, `mode="strict", scheme=IOB2`.
    """
    if isinstance(tags, str):
        raise ValueError(f"the tags of a sentence must be a list, one tag per word, not {tags!r}")
    mentions: list[Mention] = []
    start, entity_type = None, None  # the mention that is open
    for position, tag in enumerate([*tags, "O"]):
        if not isinstance(tag, str):
            raise ValueError(
                f"tag {tag!r} at word {position} is not text: use names, such as B-PER, and leave out "
                "positions that are not scored (-100); tokenization.decode does both"
            )
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
    pieces: Sequence[Sequence[int]] | None = None,
    edges: Sequence[int] = EDGES,
) -> pd.DataFrame:
    """Count mentions and errors, by type, novelty and length in words and in wordpieces.

    A gold mention that is not found has exactly one kind of error, which stands in its own row:

    - `wrong_type`: a predicted mention has the same words, but another type;
    - `wrong_boundary`: otherwise, a predicted mention of the same type shares a word with it;
    - `wrong_both`: otherwise, a predicted mention of another type shares a word with it;
    - `missed`: no predicted mention shares a word with it.

    So in each row gold = correct + missed + wrong_boundary + wrong_type + wrong_both.

    A wrong prediction counts under `predicted` in the row of its own length, as everywhere. But a boundary
    error then spoils the precision of a length that its gold mention does not have. So each wrong prediction
    also counts once more: under `charged` in the row of the gold mention that it shares most words with (the
    earlier of two), or, where it shares none, under `invented` in its own row. Over the whole table
    predicted = correct + charged + invented.

    Args:
        gold: IOB2 tags, one list per sentence.
        predicted: Tags of the same shape.
        sentences: The words, in lists of the same shape; needed for `novelty` only.
        novelty: A function from a mention's words to its novelty, such as a `SurfaceIndex`; it is called once
            for each text. Without it every mention has the novelty "any".
        pieces: The number of wordpieces of each word, in lists of the same shape. Without it every mention
            has "any" pieces; a mention whose words have none at all has "0".
        edges: The shortest length of each bucket of words; those of wordpieces are `PIECE_EDGES`.

    Returns:
        The columns type, novelty, length, pieces and `COUNT_COLUMNS`, with a row for each combination that
        occurs.

    Raises:
        ValueError: Lengths differ or a tag is not IOB2 (the message names the sentence), one sentence comes
            instead of a list of sentences, the edges leave gaps, or `novelty` comes without `sentences`.
    """
    if novelty is not None and sentences is None:
        raise ValueError("novelty is a property of words: pass sentences as well")
    _check_edges(edges)
    _check_nesting("gold tags", gold)
    _check_lengths("predicted tags", gold, predicted)
    if sentences is not None:
        _check_lengths("words", gold, sentences)
    if pieces is not None:
        _check_lengths("numbers of pieces", gold, pieces)

    types = _types(gold, predicted)
    in_gold, in_predicted = _all_spans(gold, types), _all_spans(predicted, types)
    both = zip(in_gold[:3], in_predicted[:3], strict=True)
    type_number, start, end = map(np.concatenate, both)  # of the gold mentions, then of the predicted ones
    novelties, novelty_number = ["any"], np.zeros_like(start)
    if novelty is not None:
        novelties, novelty_number = _novelty_of(start, end, sentences, novelty)
    lengths, length_number = _buckets(end - start, edges)
    piece_names, piece_number = ["any"], np.zeros_like(start)
    if pieces is not None:
        before = np.cumsum([0, *chain.from_iterable(pieces)])  # pieces of all earlier words
        piece_names, piece_number = _buckets(before[end] - before[start], PIECE_EDGES)

    # One number for each combination, which takes far less time to sort and count than four columns of text.
    names = [types, novelties, lengths, piece_names]
    shape = [max(1, len(some)) for some in names]
    key = np.ravel_multi_index((type_number, novelty_number, length_number, piece_number), shape)
    keys, row = np.unique(key, return_inverse=True)
    gold_row, predicted_row = np.split(row, [len(in_gold.start)])

    outcome, partner = _compare(in_gold, in_predicted)
    shares = partner[partner >= 0]
    charged = shares[outcome[shares] != _OUTCOMES.index("correct")]
    rows = {"gold": gold_row, "predicted": predicted_row}
    rows |= {name: gold_row[outcome == number] for number, name in enumerate(_OUTCOMES)}
    rows |= {"charged": gold_row[charged], "invented": predicted_row[partner < 0]}
    table = {
        column: [some[number] for number in numbers]
        for column, some, numbers in zip(
            ["type", "novelty", "length", "pieces"], names, np.unravel_index(keys, shape), strict=True
        )
    }
    return pd.DataFrame(
        table | {name: np.bincount(rows[name], minlength=len(keys)) for name in COUNT_COLUMNS}
    )


class _Mentions(NamedTuple):
    """The mentions of all sentences, whose words are numbered through."""

    type: np.ndarray  # [mentions] number of the type
    start: np.ndarray  # [mentions] first word
    end: np.ndarray  # [mentions] one past the last word
    at: np.ndarray  # [words] number of the mention that the word is in, or -1


def _types(*corpora: Sequence[Sequence[str]]) -> list[str]:
    """Return the types of all tags, sorted; refuse a tag that is not IOB2, and say where it is."""
    flat = list(chain.from_iterable(chain.from_iterable(corpora)))
    is_text = all(issubclass(kind, str) for kind in set(map(type, flat)))
    tags = set(flat) - {"O"} if is_text else set()
    if not is_text or any(tag[:2] not in ("B-", "I-") for tag in tags):
        for number, sentence in enumerate(chain.from_iterable(zip(*corpora, strict=True))):
            try:
                spans(sentence)
            except ValueError as error:
                raise ValueError(f"sentence {number // len(corpora)} (counted from 0): {error}") from None
    return sorted({tag[2:] for tag in tags})


def _all_spans(tags: Sequence[Sequence[str]], types: Sequence[str]) -> _Mentions:
    """Find what `spans` finds, in all sentences at once: a loop over a million tags would take seconds."""
    # The words fall into runs: one begins with each sentence, at each B-, and where the type changes. A run
    # is a mention if it begins with B-; the others are words outside, and I- tags without a B-.
    numbers = {"O": 0}  # odd ones are B-
    for number, name in enumerate(types):
        numbers |= {f"B-{name}": 2 * number + 1, f"I-{name}": 2 * number + 2}
    sizes = np.fromiter(map(len, tags), np.int64, len(tags))
    flat = np.fromiter(map(numbers.__getitem__, chain.from_iterable(tags)), np.int64, sizes.sum())
    is_b, type_number = flat % 2 == 1, (flat - 1) // 2  # -1 for O
    begins = is_b.copy()
    begins[1:] |= type_number[1:] != type_number[:-1]
    begins[(np.cumsum(sizes) - sizes)[sizes > 0]] = True
    start = np.flatnonzero(begins)
    end = np.append(start, len(flat))[1:]
    found = is_b[start]
    at = np.repeat(np.where(found, np.cumsum(found) - 1, -1), end - start)
    return _Mentions(type_number[start[found]], start[found], end[found], at)


# From worst to best: a gold mention has the best outcome of all predictions that share a word with it.
_OUTCOMES = ["missed", "wrong_both", "wrong_boundary", "wrong_type", "correct"]


def _compare(gold: _Mentions, predicted: _Mentions) -> tuple[np.ndarray, np.ndarray]:
    """Compare all gold mentions with the predicted ones that share a word with them.

    Returns:
        For each gold mention the number of its outcome in `_OUTCOMES`; and for each predicted one the gold
        mention that it shares most words with, or -1. That of a correct prediction is the one it matches, and
        a correct gold mention is no other prediction's, since no two mentions share a word.
    """
    in_both = (gold.at >= 0) & (predicted.at >= 0)
    pair = gold.at[in_both] * len(predicted.start) + predicted.at[in_both]  # one number for each pair
    pair, shared = np.unique(pair, return_counts=True)
    one, other = np.divmod(pair, max(1, len(predicted.start)))
    same_type = gold.type[one] == predicted.type[other]
    same_words = (gold.start[one] == predicted.start[other]) & (gold.end[one] == predicted.end[other])
    outcome = np.zeros(len(gold.start), np.int64)
    np.maximum.at(outcome, one, 1 + same_type + 2 * same_words)
    partner = np.full(len(predicted.start), -1)
    order = np.lexsort(
        (one, -shared, other)
    )  # of each prediction first: most words, then the earlier mention
    best = order[np.unique(other[order], return_index=True)[1]]
    partner[other[best]] = one[best]
    return outcome, partner


def _novelty_of(
    start: np.ndarray, end: np.ndarray, sentences: Sequence[Sequence[str]], novelty: Novelty
) -> tuple[list[str], np.ndarray]:
    """Return the names of novelty, and the number of each mention's name."""
    words = list(chain.from_iterable(sentences))
    texts = [tuple(words[a:b]) for a, b in zip(start.tolist(), end.tolist(), strict=True)]
    novelty_of = {text: novelty(text) for text in dict.fromkeys(texts)}  # a search, so once for each text
    names = sorted(set(novelty_of.values()))
    number_of = {text: names.index(name) for text, name in novelty_of.items()}
    return names, np.fromiter(map(number_of.__getitem__, texts), np.int64, len(texts))


def _buckets(lengths: np.ndarray, edges: Sequence[int]) -> tuple[list[str], np.ndarray]:
    """Return the names of the buckets, and the number of each length's name."""
    names = ["0", *(length_bucket(edge, edges) for edge in edges)]
    return names, np.searchsorted(edges, lengths, side="right")


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
    counts = count(gold, predicted, edges=edges).groupby("length")[["gold", "predicted", "correct"]].sum()
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


def _check_nesting(name: str, sentences: Sequence[Sequence[object]]) -> None:
    """Refuse what is not a list of lists, such as one sentence, or numbers."""
    for number, sentence in enumerate(sentences if hasattr(sentences, "__len__") else [sentences]):
        if isinstance(sentence, str) or not hasattr(sentence, "__len__"):
            raise ValueError(
                f"{name} must be a list of sentences, each a list with one item per word; item {number} is "
                f"{sentence!r}. Wrap a single sentence in a list"
            )


def _check_lengths(name: str, gold: Sequence[Sequence[str]], other: Sequence[Sequence[object]]) -> None:
    _check_nesting(name, other)
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

    An arm that has seen no tokens, and so has no mask rate, is kept. The core cell has the condition "",
    as has every row of a table without that column.

    Args:
        table: The results table.
        varying: The column that takes all its values: "tokens_seen", "labelled_sentences", "mask_rate" or
            "condition". By default none does, which leaves the core cell.
        labelled_sentences: Number of labelled sentences in the core cell.
        mask_rate: Mask rate in the core cell. The number of tokens seen is always the largest.

    Returns:
        Those rows of the table.

    Raises:
        ValueError: No row is left.
    """
    table = _fill_conditions(table)
    not_pretrained = table["tokens_seen"] == 0
    core = {
        "labelled_sentences": table["labelled_sentences"] == labelled_sentences,
        "mask_rate": not_pretrained | np.isclose(table["mask_rate"], mask_rate),
        "tokens_seen": not_pretrained | (table["tokens_seen"] == table["tokens_seen"].max()),
    }
    if "condition" in table:
        core["condition"] = table["condition"] == ""
    keep = pd.Series(True, index=table.index)
    for column, matches in core.items():
        keep &= matches | (column == varying)
    if not keep.any():
        raise ValueError(f"no results with {labelled_sentences} labelled sentences and mask rate {mask_rate}")
    return table[keep]


def _fill_conditions(table: pd.DataFrame) -> pd.DataFrame:
    """Make the condition "" of what pandas reads as NaN, which groupby would leave out without a word."""
    return table.assign(condition=table["condition"].fillna("")) if "condition" in table else table


def replicate_scores(
    table: pd.DataFrame,
    by: Sequence[str] = ("arm",),
    lengths: Mapping[str, Sequence[str]] | None = None,
    *,
    unit: str = "length",
    **cell: object,
) -> pd.DataFrame:
    """Return the scores (0-100) of each replicate and entity length.

    Counts are summed over types and novelty within a labelled subset; a score of a replicate is the mean over
    its subsets.

    Precision counts a wrong prediction in the bucket of its own length. `charged_precision`, which is
    correct / (correct + charged), counts it in the bucket of the gold mention that it shares words with, and
    leaves out those that share none; `charged_f1` is its harmonic mean with recall. Where nothing is counted
    both are 0, as in seqeval.

    Args:
        table: The results table.
        by: The columns to keep apart.
        lengths: From a name to the buckets that it pools. By default each bucket, and "all".
        unit: The column with the buckets: "length" (in words) or "pieces" (in wordpieces).
        **cell: The rows to pick, as column=value (`labelled_sentences=100`).

    Returns:
        The columns `by`, replicate, length (the name), support (gold mentions), f1, precision, recall,
        charged_precision and charged_f1. The last two are NaN for a table without the column charged. A
        replicate without gold mentions of a length has no row for it.

    Raises:
        ValueError: Rows of different conditions would be added up, or the table has no lengths in `unit`.
    """
    by, table = list(by), _fill_conditions(table)
    for column, value in cell.items():
        table = table[table[column] == value]
    if unit not in table or (table[unit].isna() | (table[unit] == "any")).any():
        raise ValueError(f"this table was counted without {unit}")
    buckets = table[unit].astype(str)
    if lengths is None:
        names = sort_lengths(buckets.unique())
        lengths = {name: [name] for name in names} | {"all": names}
    for column in (name for name in CONDITION_COLUMNS if name in table and name not in by):
        if (table.groupby(by)[column].nunique() > 1).any():
            raise ValueError(f"rows differ in {column}: choose one value, or keep them apart with `by`")
    if "charged" not in table:
        table = table.assign(charged=np.nan)
    columns = ["gold", "predicted", "correct", "charged"]
    measures = ["f1", "precision", "recall", "charged_precision", "charged_f1"]
    scores = []
    for name, pooled in lengths.items():
        groups = table[buckets.isin(pooled)].groupby([*by, "replicate", "subset"])
        counts = groups[columns].sum(min_count=1)  # a sum of NaN is NaN
        counts = counts[counts["gold"] > 0]
        gold, predicted, correct, charged = (counts[column] for column in columns)
        subsets = counts.assign(
            f1=f1(gold, predicted, correct),
            precision=100 * _ratio(correct, predicted),
            recall=100 * _ratio(correct, gold),
            charged_precision=100 * _ratio(correct, correct + charged),
            charged_f1=f1(gold, correct + charged, correct),
        )
        subsets.loc[charged.isna(), ["charged_precision", "charged_f1"]] = np.nan
        replicates = subsets.groupby([*by, "replicate"]).mean().reset_index()
        scores.append(replicates.rename(columns={"gold": "support"}).assign(length=name))
    return pd.concat(scores, ignore_index=True)[[*by, "replicate", "length", "support", *measures]]


def paired_difference(
    table: pd.DataFrame,
    arm: str = "span",
    baseline: str = "token",
    lengths: Mapping[str, Sequence[str]] | None = None,
    *,
    measure: str = "f1",
    unit: str = "length",
    **cell: object,
) -> pd.DataFrame:
    """Subtract a score of `baseline` from that of `arm` within each replicate that has both.

    The two arms of a replicate share world, initial weights, data order and labelled sentences, so most of
    the noise cancels.

    Args:
        table: The results table.
        arm: The arm of interest.
        baseline: The arm to compare it with.
        lengths: As in `replicate_scores`.
        measure: The score: one of the columns of `replicate_scores`.
        unit: As in `replicate_scores`.
        **cell: As in `replicate_scores`.

    Returns:
        The columns replicate, length, difference and support (gold mentions).
    """
    pairs = _pairs(table, arm, baseline, lengths, unit=unit, **cell)
    pairs["difference"] = pairs[measure] - pairs[f"{measure}_baseline"]
    return pairs[["replicate", "length", "difference", "support"]]


def pairing(
    table: pd.DataFrame,
    arm: str = "span",
    baseline: str = "token",
    lengths: Mapping[str, Sequence[str]] | None = None,
    *,
    measure: str = "recall",
    unit: str = "length",
    **cell: object,
) -> pd.DataFrame:
    """Tell what it brings to compare two arms within replicates.

    Args:
        table: The results table.
        arm: The arm of interest.
        baseline: The arm to compare it with.
        lengths: As in `replicate_scores`.
        measure: As in `paired_difference`.
        unit: As in `replicate_scores`.
        **cell: As in `replicate_scores`.

    Returns:
        One row per length, with the columns length, n (replicates that have both arms), correlation (of the
        two arms over replicates), sd_paired (standard deviation of the differences within replicates) and
        sd_unpaired (what it would be between independent replicates). All three are NaN for one replicate,
        and the correlation where an arm does not vary.
    """
    rows = []
    for length, pairs in _pairs(table, arm, baseline, lengths, unit=unit, **cell).groupby(
        "length", sort=False
    ):
        one, other = pairs[measure], pairs[f"{measure}_baseline"]
        sd_unpaired = np.sqrt(one.var() + other.var())
        rows.append((length, len(pairs), one.corr(other), (one - other).std(), sd_unpaired))
    return pd.DataFrame(rows, columns=["length", "n", "correlation", "sd_paired", "sd_unpaired"])


def _pairs(
    table: pd.DataFrame,
    arm: str,
    baseline: str,
    lengths: Mapping[str, Sequence[str]] | None,
    **options: object,
) -> pd.DataFrame:
    """Put the scores of `arm` and, as "…_baseline", those of `baseline` side by side."""
    both = table[table["arm"].isin([arm, baseline])]
    scores = replicate_scores(both, ("arm",), lengths, **options)
    return scores[scores["arm"] == arm].merge(
        scores[scores["arm"] == baseline], on=["replicate", "length"], suffixes=("", "_baseline")
    )


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
        self._text = _WordSequences.of(map(_split, text))
        self._labelled = _WordSequences.of([])

    @classmethod
    def open(cls, folder: Path) -> "SurfaceIndex":
        """Open what `save` has left in a folder; most of it stays on the disk, where processes share it.

        Args:
            folder: With the files of `save`.

        Returns:
            The index, without labelled sentences.
        """
        index = object.__new__(cls)
        index._text, index._labelled = _WordSequences.open(folder), _WordSequences.of([])
        return index

    def save(self, folder: Path) -> None:
        """Write the index of the text to a folder.

        Args:
            folder: It has to be there.
        """
        self._text.save(folder)

    def with_labelled(self, sentences: Iterable[Sequence[str]]) -> "SurfaceIndex":
        """Return an index of the same text with other labelled sentences.

        Args:
            sentences: Lists of words. They replace any earlier ones.

        Returns:
            A new index; this one stays as it is.
        """
        index = object.__new__(SurfaceIndex)
        index._text = self._text
        index._labelled = _WordSequences.of(_split(" ".join(words)) for words in sentences)
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


_HALVES = "surrogatepass"  # half of an emoji is no reason to lose a text


class _WordSequences:
    """A search for words that stand next to each other in some sentence.

    It visits every occurrence of the rarest of the words and compares the neighbours.
    """

    def __init__(self, numbers: dict[str, int], words: np.ndarray, positions: np.ndarray) -> None:
        self._numbers = numbers  # word -> its number, from 1
        self._words = words  # [all words], 0 at the ends of sentences, so that no sequence crosses one
        self._positions = positions  # of number 0, then of 1, …
        self._ends = np.cumsum(np.bincount(words))  # where the positions of each number end
        self._cache: dict[tuple[str, ...], bool] = {}

    @classmethod
    def of(cls, sentences: Iterable[Sequence[str]]) -> "_WordSequences":
        numbers: dict[str, int] = {}

        def numbered() -> Iterator[int]:
            yield 0
            for sentence in sentences:
                for word in sentence:
                    yield numbers.setdefault(word, len(numbers) + 1)
                yield 0

        words = np.fromiter(numbered(), np.int32)
        positions = np.argsort(words, kind="stable").astype(np.min_scalar_type(len(words)))
        return cls(numbers, words, positions)

    @classmethod
    def open(cls, folder: Path) -> "_WordSequences":
        known = (folder / "words.txt").read_text(encoding="utf-8", errors=_HALVES).split("\n")[:-1]
        words, positions = (np.load(folder / f"{name}.npy", "r") for name in ("words", "positions"))
        return cls({word: number for number, word in enumerate(known, start=1)}, words, positions)

    def save(self, folder: Path) -> None:
        known = "".join(f"{word}\n" for word in self._numbers)
        (folder / "words.txt").write_text(known, encoding="utf-8", errors=_HALVES, newline="\n")
        np.save(folder / "words.npy", self._words)
        np.save(folder / "positions.npy", self._positions)

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
        return self._positions[self._ends[number - 1] : self._ends[number]].astype(np.int64)
