"""Figures across conditions show what a plain calculation finds, and nothing covers anything."""

import re
from itertools import combinations, product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from helpers import contiguity, contrasts, figures, maps, scoring
from tests.example_maps import FIGURES, M, block_a, tables

LONG = ["3", "4", "5+"]


@pytest.fixture(scope="module")
def blocks():
    return tables()


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def given(blocks, name):
    return [blocks[block] for block in FIGURES[name][2]]


def recalls(table, lengths=None, **cell):
    """Recall of each replicate, without any of our code: one subset, so found / gold."""
    for column, value in cell.items():
        table = table[table[column] == value]
    if lengths is not None:
        table = table[table["length"].isin(lengths)]
    sums = table.groupby("replicate")[["correct", "gold"]].sum()
    return 100 * sums["correct"] / sums["gold"]


CORE = {"condition": "", "mask_rate": 0.15, "labelled_sentences": 100}


def text_of(values, sign=""):
    mean, low, high, _ = scoring.interval(values)
    return f"{mean:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"


def points(axes, style):
    """The heights of the points that are drawn with a style's marker, from left to right."""
    found = [c.lines[0] for c in axes.containers if c.lines[0] and c.lines[0].get_marker() == style.marker]
    return np.concatenate([line.get_ydata() for line in found]).tolist()


# --- every figure ----------------------------------------------------------------------------------


def visible_texts(figure):
    """All texts that are drawn; ticks beyond the limits are not."""
    beyond = set()
    for axes in figure.axes:
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            for tick in axis.get_major_ticks() + axis.get_minor_ticks():
                if not min(limits) <= tick.get_loc() <= max(limits):
                    beyond |= {tick.label1, tick.label2}
    return [
        text for text in figure.findobj(Text) if text.get_text() and text.get_visible() and text not in beyond
    ]


def assert_nothing_covers_anything(figure):
    figure.draw_without_rendering()
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in visible_texts(figure)]
    paper = figure.bbox
    for text, box in boxes:
        assert paper.x0 <= box.x0 and box.x1 <= paper.x1 and paper.y0 <= box.y0 and box.y1 <= paper.y1, text
    for (one, here), (other, there) in combinations(boxes, 2):
        assert not here.padded(-1).overlaps(there.padded(-1)), (one, other)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_says_what_it_shows_and_nothing_covers_anything(blocks, name):
    figure = FIGURES[name][0](*given(blocks, name))
    title, subtitle = (text.get_text() for text in figure.texts[:2])
    assert title and "corpus: world, 100 labelled sentences" in subtitle.replace("\n", " ")
    assert re.search(r"mean of [46 to]+ replicates with 95% t interval", subtitle.replace("\n", " "))
    assert figure.get_supxlabel() or figure.axes[0].get_xlabel()
    assert figure.get_figwidth() == figures.LOOK["figure.figsize"][0]
    assert_nothing_covers_anything(figure)


@pytest.mark.parametrize("name", FIGURES)
def test_missing_arms_are_left_out(blocks, name):
    some = [table[table["arm"].isin(["token", "span"])] for table in given(blocks, name)]
    if name == "pieces":
        with pytest.raises(ValueError, match="no results for"):
            FIGURES[name][0](*some)
        some += ["span", "token"]
    assert_nothing_covers_anything(FIGURES[name][0](*some))
    assert not FIGURES[name][1](*some).filter(like="whole").size


@pytest.mark.parametrize("name", sorted(set(FIGURES) - {"curves", "precision", "errors"}))
def test_a_figure_with_nothing_to_show_says_so(blocks, name):
    with pytest.raises(ValueError, match="the table holds no results for"):
        FIGURES[name][0](*(table[table["arm"] == "none"] for table in given(blocks, name)))


@pytest.mark.parametrize("name", FIGURES)
def test_values_are_means_and_intervals(blocks, name):
    values = FIGURES[name][1](*given(blocks, name))
    texts = values.drop(columns=[contrasts.SUPPORT, "replicates"]).to_numpy().ravel()
    pattern = r"([+-]?\d+\.\d \[[+-]?\d+\.\d, [+-]?\d+\.\d\])?"
    assert len(texts) and all(re.fullmatch(pattern, text) for text in texts)
    assert values[contrasts.SUPPORT].between(20, 1_010).all()
    assert values["replicates"].isin(["4", "6", "4–6"]).all()


def test_one_replicate_has_no_interval(blocks):
    one = blocks["a"][blocks["a"]["replicate"] == 1_000]
    assert "one replicate, so no interval" in contiguity.ladder(one).texts[1].get_text()
    assert contiguity.values_of_ladder(one)["span masking"].str.fullmatch(r"\d+\.\d").all()


# --- the ladder and the decomposition --------------------------------------------------------------


def test_the_ladder_climbs_from_tokens_to_spans(blocks):
    figure = contiguity.ladder(blocks["a"])
    arms = ["token", "whole_word", "span_short", "span"]
    line = figure.axes[1].containers[2].lines[0]  # recall at three words
    plain = [recalls(blocks["a"], ["3"], arm=arm, tokens_seen=12 * M, **CORE) for arm in arms]
    assert line.get_ydata().tolist() == pytest.approx([one.mean() for one in plain])
    assert line.get_xdata().round().tolist() == [0, 1, 2, 3]
    values = contiguity.values_of_ladder(blocks["a"]).loc[("recall", "3")]
    assert values["whole-word masking"] == text_of(plain[1]) and values[contrasts.SUPPORT] == 160
    written = [text.get_text() for text in figure.axes[1].texts]
    assert {"1 word (328)", "3 words (160)", "5+ words (80)", "within words", "across words"} <= set(written)
    assert len(contiguity.ladder(blocks["a"], ["charged_f1"]).axes) == 1


def test_no_panel_of_the_ladder_cuts_an_interval(blocks):
    """Recall reaches further down than F1: the axis that both panels share has to hold both."""
    for axes in contiguity.ladder(blocks["a"]).axes:
        low, high = axes.get_ylim()
        assert axes.containers
        for container in axes.containers:
            _, caps, _ = container.lines
            ends = [end for cap in caps for end in cap.get_ydata()]
            assert max(0, min(ends)) >= low and min(100, max(ends)) <= high


def test_the_parts_of_the_decomposition_add_up(blocks):
    figure = contiguity.decomposition(blocks["a"])
    for axes, lengths in zip(figure.axes, (None, ["1", "2"], LONG), strict=True):
        plain = {
            arm: [recalls(blocks["a"], lengths, arm=arm, tokens_seen=n * M, **CORE) for n in (1, 3, 6, 12)]
            for arm in ("token", "whole_word", "span")
        }
        drawn = {}
        for (arm, baseline), style in contrasts.STEPS.items():
            pairs = zip(plain[arm], plain[baseline], strict=True)
            drawn[arm, baseline] = np.array(points(axes, style))
            assert drawn[arm, baseline] == pytest.approx([(one - other).mean() for one, other in pairs])
        total, *parts = drawn.values()
        assert total == pytest.approx(sum(parts))
    values = contiguity.values_of_decomposition(blocks["a"], budgets=[3 * M])
    difference = plain["span"][1] - plain["token"][1]
    assert values.loc[("3+ words", 3 * M), "span − token"] == text_of(difference, "+")
    assert len(values) == 3


def test_curves_are_recall_of_long_names_and_f1_of_all(blocks):
    recall, f1 = contiguity.curves(blocks["a"]).axes
    plain = [recalls(blocks["a"], LONG, arm="span", tokens_seen=n * M, **CORE) for n in (1, 3, 6, 12)]
    assert points(recall, figures.ARMS["span"]) == pytest.approx([one.mean() for one in plain])
    core = blocks["a"].query("labelled_sentences == 100 and arm == 'span' and tokens_seen == 6_000_000")
    counts = core.groupby(["replicate", "subset"])[["gold", "predicted", "correct"]].sum()
    f1_of_all = (200 * counts["correct"] / (counts["gold"] + counts["predicted"])).groupby("replicate").mean()
    values = contiguity.values_of_curves(blocks["a"]).loc["F1, all names"]
    assert values.loc[6 * M, "span masking"] == text_of(f1_of_all)
    assert "1,008" in f1.get_title(loc="left") and "330" in recall.get_title(loc="left")


# --- by length -------------------------------------------------------------------------------------


def test_precision_is_plain_and_charged(blocks):
    figure = contiguity.precision_and_recall(blocks["a"])
    table = blocks["a"][(blocks["a"]["arm"] == "token") & (blocks["a"]["tokens_seen"] == 12 * M)]
    table = table[(table["labelled_sentences"] == 100) & (table["length"] == "4")]
    sums = table.groupby("replicate")[["correct", "predicted", "charged", "gold"]].sum()
    wholes = [sums["predicted"], sums["correct"] + sums["charged"], sums["gold"]]
    for axes, whole in zip(figure.axes, wholes, strict=True):
        assert points(axes, figures.ARMS["token"])[3] == pytest.approx((100 * sums["correct"] / whole).mean())
    old = blocks["a"].drop(columns="charged")
    assert [axes.get_title(loc="left") for axes in contiguity.precision_and_recall(old).axes] == [
        "precision",
        "recall",
    ]


def test_outcomes_fill_their_bars(blocks):
    table = block_a(4)
    axes = contiguity.errors_by_length(table).axes[0]
    widths = np.array([[bar.get_width() for bar in bars] for bars in axes.containers if len(bars) == 24])
    assert len(widths) == 5 and widths.sum(axis=0) == pytest.approx(100)
    assert (
        len({bars[0].get_hatch() for bars in axes.containers if len(bars) == 24}) == 4
    )  # the ends are plain
    last = table[(table["arm"] == "span") & (table["tokens_seen"] == 12 * M)]
    last = last[(last["labelled_sentences"] == 100) & (last["length"] == "2")]
    sums = last.groupby("replicate")[["wrong_type", "gold"]].sum()
    share = 100 * sums["wrong_type"] / sums["gold"]
    assert widths[2][7] == pytest.approx(share.mean())  # four arms a length
    values = contiguity.values_of_errors_by_length(table)
    assert values.loc[("2", "span masking"), "wrong type"] == text_of(share)
    with pytest.raises(ValueError, match="without the kinds of errors"):
        contiguity.errors_by_length(table.drop(columns="missed"))


def test_the_map_of_pieces_leaves_rare_sizes_empty(blocks):
    axes, beside = contiguity.by_pieces(blocks["a"]).axes[:2]
    grid = axes.images[0].get_array()
    rows, columns = ([label.get_text() for label in labels] for labels in (
        axes.get_yticklabels(), axes.get_xticklabels()))  # fmt: skip
    cell = {"length": "3", "pieces": "6", "tokens_seen": 12 * M, **CORE}
    difference = recalls(blocks["a"], arm="whole_word", **cell) - recalls(blocks["a"], arm="token", **cell)
    assert grid[rows.index("3"), columns.index("6")] == pytest.approx(difference.mean())
    assert np.ma.is_masked(grid[rows.index("5+"), columns.index("7")])  # 12 mentions
    assert axes.images[0].norm.vmin == 0 and grid.min() >= 0
    both_signs = contiguity.by_pieces(blocks["a"], "span", "whole_word").axes[0].images[0]
    assert both_signs.norm.vmin == -both_signs.norm.vmax and both_signs.get_array().min() < 0
    assert {f"{difference.mean():+.1f}", "45"} <= {text.get_text() for text in axes.texts}
    values = contiguity.values_of_by_pieces(blocks["a"])
    assert values.loc[("3", "6"), "whole word − token"] == text_of(difference, "+")
    cell |= {"length": "1", "pieces": "2"}
    difference = recalls(blocks["a"], arm="span", **cell) - recalls(blocks["a"], arm="whole_word", **cell)
    assert points(beside, contrasts.STEPS["span", "whole_word"])[1] == pytest.approx(difference.mean())
    assert values.loc[("1", "2"), "span − whole word"] == text_of(difference, "+")


# --- maps ------------------------------------------------------------------------------------------


def same_seeds(table):
    return table[table["replicate"] < 1_004]  # block A has six, the others four


def test_the_map_of_rates_holds_recall_and_frames_the_best(blocks):
    axes = maps.rate_and_length(blocks["d"], blocks["a"]).axes[0]
    plain = np.array(
        [
            [
                recalls(
                    same_seeds(blocks["d" if rate > 0.15 or arm == "span_short" else "a"]), LONG,
                    **CORE | {"mask_rate": rate}, arm=arm, tokens_seen=6 * M,
                ).mean()
                for arm in ("token", "whole_word", "span_short", "span")
            ]
            for rate in (0.15, 0.3, 0.5)
        ]
    )  # fmt: skip
    assert axes.images[0].get_array().data == pytest.approx(plain)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["15%", "30%", "50%"]
    framed = [(round(frame.get_y()), round(frame.get_x())) for frame in axes.patches]
    assert sorted(framed) == list(enumerate(plain.argmax(axis=1).tolist()))
    values = maps.values_of_rate_and_length(blocks["d"], blocks["a"])
    at = [
        recalls(blocks["d"], LONG, **CORE | {"mask_rate": 0.5}, arm=arm, tokens_seen=6 * M)
        for arm in ("span", "token")
    ]
    assert values.loc[(0.5, "recall, 3+ words"), "span masking"] == text_of(at[0])
    assert values.loc[(0.5, "minus token"), "span masking"] == text_of(at[0] - at[1], "+")
    written = [text.get_text() for text in axes.texts]
    assert text_of(at[0] - at[1], "+").replace("-", "−") in written
    together = pd.concat([blocks["d"], blocks["a"][blocks["a"]["arm"] != "span_short"]])
    assert maps.values_of_rate_and_length(together).equals(values)


def test_dials_begin_with_the_default_world_on_the_same_seeds(blocks):
    axes = maps.dials(blocks["e"], blocks["a"]).axes[0]
    values = maps.values_of_dials(blocks["e"], blocks["a"])
    rows = {
        "default world": (same_seeds(blocks["a"]), ""),
        "context 0.95 → 0.5": (blocks["e"], "context=0.5"),
    }
    for row, (table, condition) in rows.items():
        cell = {**CORE, "condition": condition, "tokens_seen": 6 * M}
        span, token, whole = (
            recalls(table, LONG, arm=arm, **cell) for arm in ("span", "token", "whole_word")
        )
        assert values.loc[row, "span − token"] == text_of(span - token, "+")
        assert values.loc[row, "span − whole word"] == text_of(span - whole, "+")
        place = list(values.index).index(row)
        means = [container.lines[0].get_xdata()[place] for container in axes.containers]
        assert means == pytest.approx([(span - token).mean(), (span - whole).mean()])
    assert list(values.index)[:2] == ["default world", "predictability 0.9 → 0"]
    assert "4 replicates × 330 mentions" in [text.get_text() for text in axes.texts]
    together = pd.concat([blocks["a"], blocks["e"], blocks["c"]])
    assert maps.values_of_dials(together).equals(values)


def test_vocabularies_are_compared_on_the_same_seeds(blocks):
    long = maps.vocabulary(blocks["c"], blocks["a"]).axes[2]
    for table, condition, style in (
        (same_seeds(blocks["a"]), "", contrasts.STEPS["span", "token"]),
        (blocks["c"], "vocabulary_size=5000", contrasts.OTHER_STEP),
    ):
        cells = [{**CORE, "condition": condition, "tokens_seen": n * M} for n in (3, 6, 12)]
        differences = [
            recalls(table, LONG, arm="span", **cell) - recalls(table, LONG, arm="token", **cell)
            for cell in cells
        ]
        assert points(long, style) == pytest.approx([one.mean() for one in differences])
    values = maps.values_of_vocabulary(blocks["c"], blocks["a"])
    label = "span − token, 5,000 wordpieces"
    assert values.loc[("3+ words", 12 * M), label] == text_of(differences[-1], "+")
    with pytest.raises(ValueError, match="no results for another condition"):
        maps.vocabulary(blocks["e"], blocks["a"])


def test_probes_are_compared_within_a_seed(blocks):
    probes = blocks["a"][blocks["a"]["arm"] == "span_boundary"]
    found = {
        ("span_boundary", "span"): (
            maps.values_of_boundary(probes, blocks["a"]),
            {"5+": ["5+"], "all": None},
        ),
        ("span_short", "whole_word"): (
            maps.values_of_short_spans(blocks["a"]),
            {"3+ words": LONG, "1–2 words": ["1", "2"]},
        ),
    }
    for (arm, baseline), (values, groups) in found.items():
        for (name, lengths), tokens in product(groups.items(), (3 * M, 12 * M)):
            one, other = (
                recalls(same_seeds(blocks["a"]), lengths, **CORE, arm=each, tokens_seen=tokens)
                for each in (arm, baseline)
            )
            assert values.loc[(name, tokens)].iloc[-1] == text_of(one - other, "+")
            assert values.loc[(name, tokens), "replicates"] == "4"
    with pytest.raises(ValueError, match="two arms"):
        maps.values_of_short_spans(probes)
