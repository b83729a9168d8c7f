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
    with pytest.raises(ValueError, match="at word 1 is not IOB2"):
        scoring.spans(["O", tag])
    good, bad = [["O", "O"], ["O", "B-PER"]], [["O", "O"], ["O", tag]]
    for corpora in ((good, bad), (bad, good)):
        with pytest.raises(ValueError, match="sentence 1 .*at word 1 is not IOB2"):
            scoring.count(*corpora)


def test_boundary_error_counts_in_both_buckets():
    gold = [["B-PER", "I-PER", "I-PER", "O"]]
    predicted = [["B-PER", "I-PER", "O", "O"]]
    table = scoring.f1_by_length(gold, predicted).set_index("length")
    assert table.loc["3", ["support", "predicted", "correct"]].tolist() == [1, 0, 0]  # missed
    assert table.loc["2", ["support", "predicted", "correct"]].tolist() == [0, 1, 0]  # wrong


@pytest.mark.parametrize(
    ("gold", "predicted", "errors"),
    [
        ("B-PER I-PER O", "B-PER I-PER O", {"correct": 1}),
        ("B-PER I-PER O", "O     O     O", {"missed": 1}),
        ("B-PER I-PER O", "O     O     B-PER", {"missed": 1}),  # beside it, so no word is shared
        ("B-PER I-PER O", "I-PER I-PER O", {"missed": 1}),  # no B-, no mention
        ("B-PER I-PER O", "B-LOC I-LOC O", {"wrong_type": 1, "charged": 1}),
        ("B-PER I-PER O", "B-PER O     O", {"wrong_boundary": 1, "charged": 1}),
        ("B-PER I-PER O", "B-PER I-PER I-PER", {"wrong_boundary": 1, "charged": 1}),
        ("B-PER I-PER O", "O     B-LOC I-LOC", {"wrong_both": 1, "charged": 1}),
        ("B-PER I-PER O", "B-LOC B-PER O", {"wrong_boundary": 1, "charged": 2}),  # the milder of two errors
        ("B-PER I-PER O", "B-LOC B-LOC O", {"wrong_both": 1, "charged": 2}),  # two wrong, one gold mention
    ],
)
def test_errors_of_one_mention(gold, predicted, errors):
    table = scoring.count([gold.split()], [predicted.split()])
    (row,) = table[table["gold"] == 1].to_dict("records")
    found = {name: row[name] for name in [*scoring.COUNT_COLUMNS[2:-1]] if row[name]}
    assert (row["type"], row["length"], found) == ("PER", "2", errors)


def invented(table):
    return table.loc[table["invented"] > 0, ["type", "length", "invented"]].values.tolist()


def test_a_wrong_prediction_is_charged_to_the_mention_it_shares_most_words_with():
    gold = ["B-PER", "O", "B-LOC", "I-LOC"]
    table = scoring.count([gold], [["B-PER", "I-PER", "I-PER", "I-PER"]]).set_index(["type", "length"])
    assert table["charged"].to_dict() == {("LOC", "2"): 1, ("PER", "1"): 0, ("PER", "4"): 0}
    assert table["predicted"].to_dict() == {("LOC", "2"): 0, ("PER", "1"): 0, ("PER", "4"): 1}
    tie = scoring.count([gold], [["B-PER", "I-PER", "I-PER", "O"]]).set_index(["type", "length"])
    assert tie["charged"].to_dict() == {("LOC", "2"): 0, ("PER", "1"): 1, ("PER", "3"): 0}  # the earlier


def test_what_shares_no_word_is_invented_in_its_own_row():
    assert invented(scoring.count([["B-PER", "O", "O"]], [["B-PER", "B-LOC", "I-LOC"]])) == [["LOC", "2", 1]]
    across = scoring.count([["O"], ["B-PER"]], [["B-PER"], ["O"]])  # not across the end of a sentence
    assert invented(across) == [["PER", "1", 1]]
    assert across[["gold", "missed", "charged"]].values.tolist() == [[1, 1, 0]]


def test_lengths_in_wordpieces():
    gold, predicted = [["B-PER", "I-PER", "O", "B-LOC"]], [["B-PER", "O", "B-LOC", "B-LOC"]]
    table = scoring.count(gold, predicted, pieces=[[3, 5, 0, 7]])
    rows = table[["type", "length", "pieces", "gold", "predicted"]].values.tolist()
    assert rows == [
        ["LOC", "1", "0", 0, 1],  # its word has no pieces, such as a lone control character
        ["LOC", "1", "7", 1, 1],
        ["PER", "1", "3", 0, 1],
        ["PER", "2", "8+", 1, 0],
    ]
    assert set(scoring.count(gold, predicted)["pieces"]) == {"any"}


def test_columns_of_the_counts():
    names = "type novelty length pieces gold predicted correct"
    names += " missed wrong_boundary wrong_type wrong_both charged invented"
    for tags in ([], [[]], [["O"]], [["B-PER"]]):
        assert " ".join(scoring.count(tags, tags).columns) == names
        assert scoring.count(tags, tags)["gold"].sum() == (tags == [["B-PER"]])


@given(corpora)
@settings(max_examples=200, deadline=None)
def test_every_mention_and_every_prediction_is_counted_once(corpus):
    table = scoring.count(*corpus)
    outcomes = table["correct"] + table[scoring.ERRORS].sum(axis=1)
    assert outcomes.tolist() == table["gold"].tolist()  # in each row
    total = table[scoring.COUNT_COLUMNS].sum()
    assert total["predicted"] == total["correct"] + total["charged"] + total["invented"]
    assert total["predicted"] == sum(len(scoring.spans(tags)) for tags in corpus[1])
    assert ((table["charged"] == 0) | (table["gold"] > table["correct"] + table["missed"])).all()


@given(st.lists(st.lists(st.sampled_from(TAGS), max_size=12), max_size=8))
@settings(max_examples=500, deadline=None)
def test_counting_finds_the_mentions_that_spans_finds(tags):
    number = iter(range(1000))
    words = [[next(number) for _ in sentence] for sentence in tags]  # each word once, so texts tell places
    found = []
    novelty = lambda text: found.append(text) or "any"  # noqa: E731
    table = scoring.count(tags, tags, sentences=words, novelty=novelty)
    expected = [
        (kind, tuple(own[start:end]))
        for own, sentence in zip(words, tags, strict=True)
        for kind, start, end in scoring.spans(sentence)
    ]
    assert found == [text for _, text in expected]  # those of the prediction are the same, and asked once
    assert sorted(table["type"].repeat(table["gold"])) == sorted(kind for kind, _ in expected)


def test_right_boundaries_with_wrong_type_are_no_match():
    table = scoring.count([["B-PER", "I-PER"]], [["B-LOC", "I-LOC"]])
    columns = ["type", "novelty", "length", "gold", "predicted", "correct"]
    assert table[columns].values.tolist() == [["LOC", "any", "2", 0, 1, 0], ["PER", "any", "2", 1, 0, 0]]


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
    with pytest.raises(ValueError, match="sentence 0 .*1 gold tags but 2 numbers of pieces"):
        scoring.count([["O"]], [["O"]], pieces=[[1, 1]])
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


def test_replicate_scores_sum_counts_then_averages_subsets(table):
    scores = scoring.replicate_scores(table).set_index(["arm", "replicate", "length"])
    assert scores.loc[("token", 0, "1"), "f1"] == pytest.approx((50 + 70) / 2)
    assert scores.loc[("token", 0, "all"), "f1"] == pytest.approx((100 * 9 / 14 + 100 * 9 / 14) / 2)
    assert scores.loc[("span", 0, "1"), "f1"] == pytest.approx(70)  # types and novelty summed
    assert scores.loc[("span", 0, "1"), "support"] == 20
    assert ("token", 1, "2") not in scores.index  # no gold mention of two words


def test_pooled_lengths_are_f1_of_summed_counts(table):
    pooled = scoring.replicate_scores(table, lengths={"1-2": ["1", "2"]}, arm="token", subset=0, replicate=0)
    assert pooled["f1"].tolist() == pytest.approx([100 * 9 / 14])


def test_scores_of_a_replicate_by_hand():
    one = row("span", 0, "1", 10, 8, 6, charged=2, pieces="2", subset=0)
    other = row("span", 0, "1", 10, 0, 0, charged=0, pieces="2", subset=1)
    (scores,) = scoring.replicate_scores(pd.DataFrame([one, other]), lengths={"1": ["1"]}).to_dict("records")
    expected = {
        "recall": 60,
        "precision": 75,
        "f1": 1200 / 18,
        "charged_precision": 75,
        "charged_f1": 1200 / 18,
    }
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value / 2), name  # the other subset has found nothing: 0
    assert (scores["arm"], scores["replicate"], scores["length"], scores["support"]) == ("span", 0, "1", 10)


def test_a_boundary_error_lowers_the_precision_of_the_gold_length_when_charged():
    gold = [["B-PER", "I-PER", "I-PER", "O", "B-PER", "I-PER", "I-PER", "O", "B-LOC"]]
    predicted = [["B-PER", "I-PER", "I-PER", "O", "B-PER", "I-PER", "O", "O", "B-LOC"]]
    cell = {"arm": "span", "replicate": 0, "subset": 0}
    table = scoring.count(gold, predicted).assign(**cell)
    scores = scoring.replicate_scores(table).set_index("length")
    assert scores["precision"].to_dict() == pytest.approx({"1": 100, "3": 100, "all": 200 / 3})
    assert scores["charged_precision"].to_dict() == pytest.approx({"1": 100, "3": 50, "all": 200 / 3})
    assert scores["charged_f1"].to_dict() == pytest.approx({"1": 100, "3": 50, "all": 200 / 3})
    assert scores.loc["3", "f1"] == pytest.approx(200 / 3)


def test_a_table_of_before_has_no_charged_scores(table):
    old = scoring.replicate_scores(table)
    assert old[["charged_precision", "charged_f1"]].isna().all().all()
    assert old[["f1", "precision", "recall"]].notna().all().all()
    both = pd.concat([table, table.assign(tokens_seen=2000, charged=0)])  # pandas fills up with NaN
    scores = scoring.replicate_scores(both, by=["tokens_seen", "arm"]).set_index("tokens_seen")
    assert scores.loc[1000, "charged_f1"].isna().all()
    assert scores.loc[2000, "charged_f1"].notna().all()


def test_scores_by_wordpieces(table):
    pieces = ["2", "2", "8+", "8+", "2", "3", "10", "3", "2"]
    by_pieces = scoring.replicate_scores(table.assign(pieces=pieces), unit="pieces")
    by_length = scoring.replicate_scores(table.assign(length=pieces))
    pd.testing.assert_frame_equal(by_pieces, by_length)
    for old in (table, table.assign(pieces="any"), table.assign(pieces=[None, *pieces[1:]])):
        with pytest.raises(ValueError, match="counted without pieces"):
            scoring.replicate_scores(old, unit="pieces")


def test_conditions_are_kept_apart(table):
    both = pd.concat([table.assign(condition=np.nan), table.assign(condition="other", correct=1)])
    with pytest.raises(ValueError, match="differ in condition"):  # the empty text of a CSV file is NaN
        scoring.replicate_scores(both)
    assert set(scoring.replicate_scores(both, by=["arm", "condition"])["condition"]) == {"", "other"}
    assert scoring.replicate_scores(both, condition="").equals(scoring.replicate_scores(table))
    assert scoring.core_cell(both).drop(columns="condition").equals(table)
    assert set(scoring.core_cell(both, "condition")["condition"]) == {"", "other"}
    with pytest.raises(ValueError, match="no results"):
        scoring.core_cell(table.assign(condition="other"))


def test_rows_of_several_experiments_are_not_added_up(table):
    both = pd.concat([table, table.assign(tokens_seen=2000)])
    with pytest.raises(ValueError, match="differ in tokens_seen"):
        scoring.replicate_scores(both)
    assert set(scoring.replicate_scores(both, by=["arm", "tokens_seen"])["tokens_seen"]) == {1000, 2000}
    assert scoring.replicate_scores(both, tokens_seen=2000).equals(scoring.replicate_scores(table))


def test_paired_difference_uses_replicates_with_both_arms(table):
    pairs = scoring.paired_difference(table).set_index(["length", "replicate"])
    assert pairs.loc["1", "difference"].to_dict() == pytest.approx({0: 70 - 60, 1: 90 - 60})
    assert 2 not in pairs.index.get_level_values("replicate")


def test_paired_difference_of_another_measure_and_unit(table):
    other = table.assign(predicted=20, pieces="3")
    pairs = scoring.paired_difference(
        other, lengths={"3": ["3"]}, measure="precision", unit="pieces", subset=0
    )
    assert pairs.set_index("replicate")["difference"].to_dict() == pytest.approx({0: 35 - 22.5, 1: 45 - 30})


def test_pairing_tells_what_replicates_have_in_common():
    rng = np.random.default_rng(0)
    shared = rng.integers(20, 60, 12)
    found = {arm: shared + rng.integers(0, 8, 12) for arm in ("token", "span")}
    rows = [row(arm, i, "2", 100, 100, found[arm][i]) for arm in found for i in range(12)]
    (two, _) = scoring.pairing(pd.DataFrame(rows)).itertuples()
    assert (two.length, two.n) == ("2", 12)
    assert two.correlation == pytest.approx(stats.pearsonr(found["span"], found["token"]).statistic)
    assert two.sd_paired == pytest.approx(stats.tstd(found["span"] - found["token"]))
    assert two.sd_unpaired == pytest.approx(np.hypot(stats.tstd(found["span"]), stats.tstd(found["token"])))
    assert two.sd_paired < two.sd_unpaired / 2
    one = scoring.pairing(pd.DataFrame(rows), replicate=0)
    assert one["n"].tolist() == [1, 1]
    assert one[["correlation", "sd_paired", "sd_unpaired"]].isna().all().all()


def test_over_replicates_gives_the_interval(table):
    summary = scoring.over_replicates(scoring.replicate_scores(table), "f1").set_index(["arm", "length"])
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


def test_a_surface_index_is_the_same_from_the_disk(tmp_path):
    line = (
        "Jos\u00e9's \ud83d half, a \u2028 Bay"  # a half of an emoji, and a blank that ends lines elsewhere
    )
    scoring.SurfaceIndex([line, "", "Rose Bay"]).save(tmp_path)
    index = scoring.SurfaceIndex.open(tmp_path).with_labelled([["Ada", "Bay"]])
    assert [index(words) for words in [("Jos\u00e9", "'s"), ("\ud83d",), ("a", "Bay"), ("Rose", "Bay")]] == [
        "text"
    ] * 4
    assert index(("Ada",)) == "labelled" and index(("Bay", "Rose")) == "never"
    scoring.SurfaceIndex([]).save(tmp_path)
    assert scoring.SurfaceIndex.open(tmp_path)(("Bay",)) == "never"


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
    assert table[["type", "novelty", "length", "gold", "predicted", "correct"]].values.tolist() == [
        ["LOC", "text", "1", 0, 1, 0],
        ["LOC", "text", "2", 1, 0, 0],
        ["PER", "labelled", "1", 1, 1, 1],
    ]
    with pytest.raises(ValueError, match="pass sentences"):
        scoring.count(gold, predicted, novelty=index)


# Bad input, and none


@pytest.mark.parametrize(
    ("gold", "predicted", "message"),
    [
        ([["O"], ["O", 1]], [["O"], ["O", "O"]], r"sentence 1 .*tag 1 at word 1 is not text.*names"),
        ([["O"]], [[-100]], r"sentence 0 .*tag -100 at word 0 is not text.*not scored"),
        ([["O"]], [[None]], "tag None at word 0 is not text"),
        (["B-PER", "O"], ["B-PER", "O"], "gold tags must be a list of sentences.*item 0 is 'B-PER'. Wrap"),
        ([["O"]], ["O"], "predicted tags must be a list of sentences"),
        ([1, 2], [1, 2], "gold tags must be a list of sentences.*item 0 is 1"),
        (None, [["O"]], "gold tags must be a list of sentences"),
        ("O", "O", "gold tags must be a list of sentences"),
        ([["O", "O"]], [["O"]], r"sentence 0 \(counted from 0\): 2 gold tags but 1 predicted tags"),
    ],
)
def test_what_is_no_list_of_sentences_of_tags_gets_one_clear_error(gold, predicted, message):
    for score in (scoring.count, scoring.f1_by_length):
        with pytest.raises(ValueError, match=message):
            score(gold, predicted)


def test_flat_words_and_numbers_of_pieces_are_refused_too():
    with pytest.raises(ValueError, match="words must be a list of sentences"):
        scoring.count([["O"]], [["O"]], sentences=["Anna"])
    with pytest.raises(ValueError, match="numbers of pieces must be a list of sentences"):
        scoring.count([["O"]], [["O"]], pieces=[1])
    with pytest.raises(ValueError, match="the tags of a sentence must be a list"):
        scoring.spans("B-PER")


def test_no_sentence_has_an_empty_result():
    assert list(scoring.f1_by_length([], [])["support"]) == [0] * 6
    assert list(scoring.f1_by_length([], [])["f1"]) == [0] * 6
    assert len(scoring.count([], [], sentences=[], novelty=lambda words: "any", pieces=[])) == 0
    assert len(scoring.count([[]], [[]])) == 0 and scoring.spans([]) == []
