"""The tables and figures of the reference that are quoted elsewhere."""

import pandas as pd
import pytest

from helpers import __main__ as cli
from helpers import contiguity, contrasts, experiment, scoring
from helpers.publishing import answer
from helpers.running import reference
from helpers.running.arm import COLUMNS


@pytest.fixture
def measured(monkeypatch):
    """The laptop run stands in for block A, and no other block is there."""
    core = experiment.laptop_run()
    monkeypatch.setattr(reference, "read", lambda name: core if name == "A" else core.head(0))
    monkeypatch.setattr(reference, "read_costs", lambda name: experiment.laptop_run_costs())
    return core


def test_differences_by_length_are_those_of_the_figures(measured):
    tables = answer.tables()
    assert len(tables) == 5
    words, pieces, groups = list(tables.values())[:3]
    lengths = ["all", "1", "2", "3", "4", "5+"]
    assert list(words.index) == [(name, tokens) for name in lengths for tokens in (1_000_000, 3_000_000)]
    pd.testing.assert_frame_equal(groups, contiguity.values_of_decomposition(measured))
    for tokens in (1_000_000, 3_000_000):
        everything = groups.loc[("all names", tokens)].tolist()
        assert words.loc[("all", tokens)].tolist() == everything == pieces.loc[("all", tokens)].tolist()


def test_the_command_prints_them_and_saves_figures(measured, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(answer.save_figures, "__defaults__", (tmp_path,))
    assert cli.main(["reference", "tables"]) == 0
    said = capsys.readouterr().out
    assert "span − whole word" in said and "contradicted" in said
    assert {path.name for path in tmp_path.iterdir()} >= {"ladder.png", "f1_by_entity_length.png"}
    for path in tmp_path.iterdir():
        assert path.stat().st_size > 10_000 and str(path) in said


def test_without_block_a_there_is_nothing_to_tell(monkeypatch, tmp_path):
    monkeypatch.setattr(reference, "read", lambda name: pd.DataFrame(columns=COLUMNS))
    assert answer.tables() == {} and answer.save_figures(tmp_path) == [] and not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def everything():
    """All tables of the committed reference, which take a while."""
    return answer.tables()


def test_other_labels_and_fewer_labels_stand_beside_each_other(everything):
    few, novels = (
        next(table for title, table in everything.items() if title.startswith(start))
        for start in ("Block real_labels, 100 labelled sentences", "Block real_labels, labels of litbank")
    )
    assert list(few.columns[2:]) == contrasts.labels_of(answer.STEPS) == list(novels.columns[2:])
    table = experiment.reference("real_labels").query("labelled_sentences == 100")
    gain = scoring.paired_difference(
        table, "whole_word", "token", contrasts.LENGTHS, measure="recall", labelled_sentences=100
    )
    mean = gain.loc[gain["length"] == contrasts.LONG, "difference"].mean()
    assert few.loc[contrasts.LONG, "whole word − token"].startswith(f"{mean:+.1f} [")


def test_a_larger_vocabulary_stands_beside_the_smaller_one_with_what_changes(everything):
    title = "Block real_vocabulary, 30,000 wordpieces beside the 8,192"
    (shown,) = (table for name, table in everything.items() if name.startswith(title))
    gains = {}
    for name, block in (("30,000", "real_vocabulary"), ("8,192", "real_labels")):
        table = experiment.reference(block).query("labelled_sentences == 2746").assign(condition="")
        gain = scoring.paired_difference(
            table, "whole_word", "token", contrasts.LENGTHS, measure="recall", labelled_sentences=2_746
        )
        gains[name] = gain.loc[gain["length"] == contrasts.LONG].set_index("replicate")["difference"]
        assert shown.loc[(contrasts.LONG, name), "whole word − token"].startswith(
            f"{gains[name].mean():+.1f} ["
        )
    mean, low, high, _ = scoring.interval(gains["30,000"] - gains["8,192"])
    assert (
        shown.loc[(contrasts.LONG, "change"), "whole word − token"]
        == f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"
    )
