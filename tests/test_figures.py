"""The figures show what the results table holds, in ways that survive grey and colour-blindness."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from helpers import figures, scoring
from tests.example_figures import RESULT_FIGURES, draw_all, hidden_mentions, make_table


@pytest.fixture(scope="module")
def table():
    return make_table()


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_every_figure_has_a_title_axis_names_and_a_legend(table):
    for figure in draw_all(table):
        axes = figure.axes[0]
        assert axes.get_title(loc="left")
        assert axes.get_xlabel() and axes.get_ylabel()
        assert axes.get_legend() is not None


def subtitle(figure):
    return figure.axes[0].texts[0].get_text()


def test_arms_differ_in_more_than_colour():
    markers = [style.marker for style in figures.ARMS.values()]
    lines = [str(style.linestyle) for style in figures.ARMS.values()]
    assert len(set(markers)) == len(set(lines)) == len(figures.ARMS)


def drawn_points(axes, arm):
    """The heights of an arm's points."""
    containers = [c for c in axes.containers if c.lines[0].get_marker() == figures.ARMS[arm].marker]
    return np.concatenate([container.lines[0].get_ydata() for container in containers])


@pytest.mark.parametrize("arm", ["none", "token", "span"])
def test_the_points_are_the_means_of_the_table(table, arm):
    scores = scoring.replicate_scores(scoring.core_cell(table))
    means = scores[scores["arm"] == arm].groupby("length")["f1"].mean()
    points = drawn_points(figures.f1_by_entity_length(table).axes[0], arm)
    assert points.tolist() == pytest.approx(means[["1", "2", "3", "4", "5+", "all"]].tolist())


def test_support_stands_below_every_length(table):
    ticks = [label.get_text() for label in figures.f1_by_entity_length(table).axes[0].get_xticklabels()]
    assert ticks == ["1\n330", "2\n350", "3\n160", "4\n90", "5+\n80", "all\n1,010"]


def error_bars(figure):
    """Lengths of all error bars that are drawn."""
    segments = [s for c in figure.axes[0].containers for b in c.lines[2] for s in b.get_segments()]
    return [s[1][1] - s[0][1] for s in segments if len(s) == 2 and not np.isnan(s).any()]


@pytest.mark.parametrize("draw", RESULT_FIGURES)
def test_one_replicate_has_no_interval_and_says_so(table, draw):
    many, one = draw(table), draw(table[table["replicate"] == 0])
    assert "8 replicates" in subtitle(many)
    assert max(error_bars(many)) > 0
    assert "one replicate, so no interval" in subtitle(one)
    assert error_bars(one) == []


def test_slices_are_drawn_at_their_values(table):
    axes = figures.f1_by_labelled_sentences(table).axes[0]
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["25", "50", "100", "200", "400"]


def test_an_arm_without_style_is_refused(table):
    with pytest.raises(ValueError, match="no style for the arms .'oracle'."):
        figures.f1_by_entity_length(table.replace({"arm": {"span": "oracle"}}))


def test_another_number_of_labelled_sentences(table):
    figure = figures.f1_by_entity_length(table, labelled_sentences=25)
    assert "25 labelled sentences" in subtitle(figure)
    with pytest.raises(ValueError, match="no results with 7 labelled sentences"):
        figures.f1_by_entity_length(table, labelled_sentences=7)


# --- values as text --------------------------------------------------------------------------------


def test_values_by_length_are_mean_and_interval(table):
    values = figures.values_by_length(table)
    scores = scoring.replicate_scores(scoring.core_cell(table))
    span = scores[(scores["arm"] == "span") & (scores["length"] == "3")]["f1"]
    mean, low, high, _ = scoring.interval(span)
    assert values.loc["3", "span masking"] == f"{mean:.1f} [{low:.1f}, {high:.1f}]"
    assert values.loc["3", "gold mentions per replicate"] == 160
    assert list(values.index) == ["1", "2", "3", "4", "5+", "all"]
    assert list(values.columns)[1:] == ["no pre-training", "token masking", "span masking"]


def test_values_of_one_replicate_have_no_interval():
    values = figures.values_by_length(make_table(replicates=1, sizes=(100,)))
    assert values["token masking"].str.fullmatch(r"\d+\.\d").all()


def test_values_of_slices(table):
    labels = figures.values_by_labelled_sentences(table)
    assert list(labels.index) == [25, 50, 100, 200, 400]
    core = figures.values_by_length(table).loc["all", "span masking"]
    assert labels.loc[100, "span masking"] == core


# --- teaching figures and files ----------------------------------------------------------------------


def test_run_lengths_are_shares_of_all_spans():
    axes = figures.run_lengths([1, 1, 2, 3, 12], [0.5, 0.3, 0.2]).axes[0]
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == pytest.approx([0.4, 0.2, 0.2, *[0] * 8, 0.2])
    assert axes.lines[0].get_ydata().tolist() == [0.5, 0.3, 0.2]


def test_a_share_of_nought_is_left_out_of_the_log_axis():
    axes = hidden_mentions().axes[0]
    token = next(line for line in axes.lines if line.get_label() == "token masking")
    assert np.isnan(token.get_ydata()[2])
    assert token.get_ydata()[:2].tolist() == pytest.approx([15, 2])  # percent


def test_mentions_have_their_theory_and_their_support_beside_them():
    axes = hidden_mentions().axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1\n900", "2\n80", "3+\n7"]
    dashes = [line.get_ydata() for line in axes.lines if line.get_marker() == "_" and len(line.get_ydata())]
    assert [dash[0] for dash in dashes] == pytest.approx([7.5, 7.5])  # token and span, in percent


def test_save_writes_the_same_bytes_twice(table, tmp_path):
    paths = figures.save(figures.f1_by_entity_length(table), tmp_path / "new" / "f1.by.length")
    assert [path.name for path in paths] == ["f1.by.length.png", "f1.by.length.svg"]
    again = figures.save(figures.f1_by_entity_length(table), tmp_path / "again")
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]
    assert plt.get_fignums() == []


def test_levers_are_bars_at_their_medians_and_differ_without_colour():
    table = pd.DataFrame(
        {
            "name": ["plain loop", "no dropout", "compiled"],
            "low": [9e3, 18e3, 19e3],
            "median": [10e3, 20e3, 21e3],
            "high": [12e3, 21e3, 30e3],
            "kept": [True, True, False],
        }
    )
    figure = figures.levers(table)
    axes = figure.axes[0]
    assert sorted(bar.get_width() for bar in axes.patches) == [10, 20, 21]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(table["name"])
    assert axes.get_yticks()[0] > axes.get_yticks()[-1]  # from top to bottom
    assert {bar.get_hatch() for bar in axes.patches} == {None, "///"}
    assert {text.get_text() for text in axes.texts} == {"10", "20", "21"}  # the values, at the bars
    assert "tokens per second" in axes.get_xlabel() and len(axes.get_legend().get_texts()) == 2
    low, high = axes.lines[-1].get_xdata(), axes.lines[0].get_xdata()
    assert {*low, *high} == {9, 18, 19, 12, 21, 30}
