"""Scoring against seqeval, SciPy and plain counting."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB2, Entities

from helpers import scoring

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]  # drawn freely: orphan I- tags, types that change midway
tag_pair = st.integers(1, 12).flatmap(
    lambda n: st.tuples(*[st.lists(st.sampled_from(TAGS), min_size=n, max_size=n)] * 2)
)
corpora = st.lists(tag_pair, min_size=1, max_size=10).map(
    lambda pairs: tuple(map(list, zip(*pairs, strict=True)))
)


@given(st.lists(st.sampled_from(TAGS), min_size=1, max_size=12))
@settings(max_examples=500, deadline=None)
def test_spans_are_those_of_seqeval(tags):
    (entities,) = Entities([tags], IOB2).entities
    assert scoring.spans(tags) == [(entity.tag, entity.start, entity.end) for entity in entities]


@given(corpora)
@settings(max_examples=100, deadline=None)
@pytest.mark.filterwarnings("ignore::seqeval.metrics.v1.UndefinedMetricWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_row_all_is_seqeval_strict_micro(corpus):
    gold, predicted = corpus
    row_all = scoring.f1_by_length(gold, predicted).iloc[-1]
    if row_all["support"] + row_all["predicted"] == 0:  # seqeval has no class to average over
        assert row_all["f1"] == 0
        return
    strict = {"average": "micro", "mode": "strict", "scheme": IOB2}
    expected = [100 * score(gold, predicted, **strict) for score in (precision_score, recall_score, f1_score)]
    assert row_all["length"] == "all"
    assert row_all[["precision", "recall", "f1"]].tolist() == pytest.approx(expected)


@given(corpora)
@settings(max_examples=50, deadline=None)
def test_buckets_sum_to_all(corpus):
    table = scoring.f1_by_length(*corpus).set_index("length")
    counts = table[["support", "predicted", "correct"]]
    assert list(counts.index) == ["1", "2", "3", "4", "5+", "all"]
    assert counts.drop("all").sum().equals(counts.loc["all"])
    assert counts.loc["all", "support"] == sum(len(scoring.spans(tags)) for tags in corpus[0])


def test_strict_iob2_by_hand():
    assert scoring.spans(["B-PER", "I-PER", "O", "B-LOC"]) == [("PER", 0, 2), ("LOC", 3, 4)]
    assert scoring.spans(["I-PER", "I-PER", "O"]) == []  # no B-
    assert scoring.spans(["B-PER", "I-LOC"]) == [("PER", 0, 1)]  # changes type midway
    assert scoring.spans(["B-PER", "B-PER"]) == [("PER", 0, 1), ("PER", 1, 2)]
    assert scoring.spans([]) == []


@pytest.mark.parametrize("tag", ["E-PER", "PER", "", "BPER"])
def test_tags_of_another_scheme_are_refused(tag):
    with pytest.raises(ValueError, match="not IOB2"):
        scoring.spans(["O", tag])


def test_boundary_error_counts_in_both_buckets():
    gold = [["B-PER", "I-PER", "I-PER", "O"]]
    predicted = [["B-PER", "I-PER", "O", "O"]]
    table = scoring.f1_by_length(gold, predicted).set_index("length")
    assert table.loc["3", ["support", "predicted", "correct"]].tolist() == [1, 0, 0]  # missed
    assert table.loc["2", ["support", "predicted", "correct"]].tolist() == [0, 1, 0]  # wrong


def test_right_boundaries_with_wrong_type_are_no_match():
    table = scoring.count([["B-PER", "I-PER"]], [["B-LOC", "I-LOC"]])
    assert table.values.tolist() == [["LOC", "any", "2", 0, 1, 0], ["PER", "any", "2", 1, 0, 0]]


@pytest.mark.parametrize(
    ("length", "edges", "name"),
    [
        (1, (1, 2, 3, 4, 5), "1"),
        (4, (1, 2, 3, 4, 5), "4"),
        (5, (1, 2, 3, 4, 5), "5+"),
        (31, (1, 2, 3, 4, 5), "5+"),
    ]
    + [
        (1, (1, 3, 6), "1-2"),
        (2, (1, 3, 6), "1-2"),
        (5, (1, 3, 6), "3-5"),
        (6, (1, 3, 6), "6+"),
        (9, (1,), "1+"),
    ],
)
def test_length_bucket(length, edges, name):
    assert scoring.length_bucket(length, edges) == name


@pytest.mark.parametrize("edges", [(), (2, 3), (0, 1), (1, 3, 3), (1, 4, 2)])
def test_edges_that_leave_gaps_are_refused(edges):
    with pytest.raises(ValueError, match="start at 1 and increase"):
        scoring.f1_by_length([["O"]], [["O"]], edges=edges)


def test_a_length_below_one_is_refused():
    with pytest.raises(ValueError, match="at least one word"):
        scoring.length_bucket(0)


def test_lengths_that_differ_name_the_sentence():
    with pytest.raises(ValueError, match="sentence 1 .*2 gold tags but 1 predicted tags"):
        scoring.count([["O"], ["O", "O"]], [["O"], ["O"]])
    with pytest.raises(ValueError, match="sentence 0 .*1 gold tags but 2 words"):
        scoring.count([["O"]], [["O"]], sentences=[["two", "words"]])
    with pytest.raises(ValueError, match="2 sentences of gold tags but 1"):
        scoring.count([["O"], ["O"]], [["O"]])


def test_f1_of_numbers_and_arrays():
    assert scoring.f1(4, 6, 3) == pytest.approx(60.0)
    assert scoring.f1(0, 0, 0) == 0.0
    values = scoring.f1(np.array([4, 0]), np.array([6, 0]), np.array([3, 0]))
    assert values.tolist() == pytest.approx([60.0, 0.0])


@given(st.lists(st.floats(0, 100), min_size=2, max_size=20), st.sampled_from([0.8, 0.95]))
def test_interval_is_students_t(values, confidence):
    interval = scoring.interval(values, confidence)
    assert (interval.mean, interval.n) == (pytest.approx(np.mean(values)), len(values))
    if np.std(values) > 1e-6:
        expected = stats.ttest_1samp(values, 0).confidence_interval(confidence)
        assert (interval.low, interval.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_interval_of_few_values_has_no_bounds():
    one, none = scoring.interval([70.0]), scoring.interval([])
    assert (one.mean, one.n) == (70.0, 1)
    assert np.isnan([one.low, one.high, none.mean, none.low]).all()


# --- the results table -------------------------------------------------------------------------------


def row(arm, replicate, length, gold, predicted, correct, **other):
    cell = {"corpus": "world", "mask_rate": 0.15, "tokens_seen": 1000, "labelled_sentences": 100, "subset": 0}
    cell |= {"arm": arm, "replicate": replicate, "type": "PER", "novelty": "text", "length": length}
    return cell | {"gold": gold, "predicted": predicted, "correct": correct} | other


@pytest.fixture
def table():
    return pd.DataFrame(
        [
            row("token", 0, "1", 10, 10, 5, subset=0),
            row("token", 0, "1", 10, 10, 7, subset=1),
            row("token", 0, "2", 4, 4, 4, subset=0),
            row("token", 0, "2", 4, 4, 2, subset=1),
            row("token", 1, "1", 10, 10, 6),
            row("span", 0, "1", 10, 10, 8, novelty="never"),
            row("span", 0, "1", 10, 10, 6, type="LOC"),
            row("span", 1, "1", 10, 10, 9),
            row("span", 2, "1", 10, 10, 9),
        ]
    )


def test_replicate_f1_sums_counts_then_averages_subsets(table):
    scores = scoring.replicate_f1(table).set_index(["arm", "replicate", "length"])
    assert scores.loc[("token", 0, "1"), "f1"] == pytest.approx((50 + 70) / 2)
    assert scores.loc[("token", 0, "all"), "f1"] == pytest.approx((100 * 9 / 14 + 100 * 9 / 14) / 2)
    assert scores.loc[("span", 0, "1"), "f1"] == pytest.approx(70)  # types and novelty summed
    assert scores.loc[("span", 0, "1"), "support"] == 20
    assert ("token", 1, "2") not in scores.index  # no gold mention of two words


def test_pooled_lengths_are_f1_of_summed_counts(table):
    pooled = scoring.replicate_f1(table, lengths={"1-2": ["1", "2"]}, arm="token", subset=0, replicate=0)
    assert pooled["f1"].tolist() == pytest.approx([100 * 9 / 14])


def test_rows_of_several_experiments_are_not_added_up(table):
    both = pd.concat([table, table.assign(tokens_seen=2000)])
    with pytest.raises(ValueError, match="differ in tokens_seen"):
        scoring.replicate_f1(both)
    assert set(scoring.replicate_f1(both, by=["arm", "tokens_seen"])["tokens_seen"]) == {1000, 2000}
    assert scoring.replicate_f1(both, tokens_seen=2000).equals(scoring.replicate_f1(table))


def test_paired_difference_uses_replicates_with_both_arms(table):
    pairs = scoring.paired_difference(table).set_index(["length", "replicate"])
    assert pairs.loc["1", "difference"].to_dict() == pytest.approx({0: 70 - 60, 1: 90 - 60})
    assert 2 not in pairs.index.get_level_values("replicate")


def test_over_replicates_gives_the_interval(table):
    summary = scoring.over_replicates(scoring.replicate_f1(table), "f1").set_index(["arm", "length"])
    expected = scoring.interval([70, 90, 90])
    assert summary.loc[("span", "1"), ["mean", "low", "high", "n"]].tolist() == pytest.approx(list(expected))


def test_core_cell_keeps_the_arm_without_pre_training(table):
    others = pd.DataFrame(
        [
            row("none", 0, "1", 10, 10, 1, mask_rate=0.0, tokens_seen=0),
            row("token", 0, "1", 10, 10, 1, tokens_seen=500),
            row("token", 0, "1", 10, 10, 1, labelled_sentences=25),
            row("span", 0, "1", 10, 10, 1, mask_rate=0.3),
        ]
    )
    core = scoring.core_cell(pd.concat([others, table], ignore_index=True))
    assert len(core) == len(table) + 1
    assert set(core["arm"]) == {"none", "token", "span"}
    with pytest.raises(ValueError, match="no results with 7 labelled sentences"):
        scoring.core_cell(table, labelled_sentences=7)


def test_lengths_are_sorted():
    assert scoring.sort_lengths(["all", "10+", "1", "5-9", "2-4"]) == ["1", "2-4", "5-9", "10+", "all"]


# --- novelty -----------------------------------------------------------------------------------------


def test_surface_index_by_hand():
    index = scoring.SurfaceIndex(["the old Rose Bay opened", "Bay of Tarn"])
    labelled = index.with_labelled([["Rose", "won"], ["Bay"]])
    assert index(("Rose", "Bay")) == "text"
    assert labelled(("Rose", "Bay")) == "text"  # in two labelled sentences, but never together
    assert labelled(("Rose",)) == "labelled"
    assert labelled(("opened", "Bay")) == "never"  # not over the end of a line
    assert labelled(("Bay", "Rose")) == "never"
    assert labelled(("Tarn", "Tarn")) == "never"
    assert labelled(("Unknown",)) == "never"
    assert index(("Rose",)) == "text"  # with_labelled leaves the first index as it was


def test_surface_index_splits_punctuation_off_running_text():
    line = 'He left ("for good") Xianyou County, Putian; U.S. law says: Jean-Luc\'s Bay.'
    index = scoring.SurfaceIndex([line]).with_labelled([["St.", "Anne", ",", "Bay"]])
    for words in [
        ("Xianyou", "County"),
        ("Putian",),
        ("U.S.",),
        ("U.S", "."),
        ("Jean-Luc", "'s", "Bay"),
        ("good",),
    ]:
        assert index(words) == "text", words
    assert index(("St.", "Anne")) == "labelled"
    assert index(("County", "Putian")) == index(("Xianyou", "Putian")) == "never"


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=8), max_size=6))
def test_surface_index_finds_what_plain_search_finds(lines):
    text = [" ".join(line) for line in lines]
    index = scoring.SurfaceIndex(text)
    for words in [("a",), ("a", "b"), ("b", "b", "a"), ("c", "a", "c", "a")]:
        occurs = any(f" {' '.join(words)} " in f" {line} " for line in text)
        assert (index(words) == "text") == occurs


def test_novelty_is_counted():
    sentences = [["Ada", "met", "Rose", "Bay"]]
    gold, predicted = [["B-PER", "O", "B-LOC", "I-LOC"]], [["B-PER", "O", "B-LOC", "O"]]
    index = scoring.SurfaceIndex(["Rose Bay"]).with_labelled([["Ada"]])
    table = scoring.count(gold, predicted, sentences=sentences, novelty=index)
    assert table.values.tolist() == [
        ["LOC", "text", "1", 0, 1, 0],
        ["LOC", "text", "2", 1, 0, 0],
        ["PER", "labelled", "1", 1, 1, 1],
    ]
    with pytest.raises(ValueError, match="pass sentences"):
        scoring.count(gold, predicted, novelty=index)
