"""The look at plateaus: a line for each arm and variant, and only what was varied is varied."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from helpers.settings import SCALES, varied
from tests import micro
from tests.benchmarks import plateau

TINY = {"model.vocabulary_size": 600, "model.hidden_size": 16, "model.layers": 1}


@pytest.fixture
def recipes(tmp_path, monkeypatch):
    """The look in miniature; gives the recipes that were trained."""
    small = varied(SCALES["smoke"], {**TINY, "pretraining.warmup_tokens": 2_048})
    monkeypatch.setattr(
        plateau.settings, "real", lambda scale, tokens=(16_384,): varied(small, {"tokens": tokens})
    )
    # Threads, since other processes would not see these changes.
    monkeypatch.setattr(plateau, "ProcessPoolExecutor", lambda processes, *_: ThreadPoolExecutor(1))
    trained, look = [], plateau.losses

    def losses(arm):
        trained.append(arm.recipe)
        return look(arm)

    monkeypatch.setattr(plateau, "losses", losses)
    own = micro.own_files(tmp_path)
    arguments = ["--corpus", str(own), "--text", str(own / "text.txt"), "--tokens", "16384"]
    arguments += ["--vary", "pretraining.learning_rate=1e-3;3e-3", "pretraining.short_rows=[[8192, 32]]"]
    arguments += ["--csv", str(tmp_path / "plateau.csv")]
    monkeypatch.setattr(sys, "argv", ["plateau", *arguments])
    with micro.workshop(tmp_path / "artifacts"):
        yield trained


def test_each_variant_changes_one_value(recipes, capsys):
    plateau.main()
    lines = capsys.readouterr().out.splitlines()[1:]
    assert len(lines) == len(recipes) == 2 * 4 and all("at the end" in line for line in lines)
    span, whole_word = recipes[:4], recipes[4:]
    assert {one.strategy for one in span} == {"span"}
    assert {one.strategy for one in whole_word} == {"whole_word"}
    rows = [(one.learning_rate, one.short_rows) for one in span]
    usual = span[0].learning_rate, span[0].short_rows
    assert rows[1:] == [(1e-3, usual[1]), (3e-3, usual[1]), (usual[0], ((8_192, 32),))]


def test_the_mark_is_passed_where_the_mean_of_five_is_below_it(recipes, monkeypatch, capsys, tmp_path):
    falling = pd.DataFrame(
        {"tokens_seen": range(1_000_000, 11_000_000, 1_000_000), "loss": [7.0] * 4 + [6.05] * 6}
    )
    monkeypatch.setattr(plateau, "losses", lambda arm: falling)
    plateau.main()
    assert set(pd.read_csv(tmp_path / "plateau.csv")["passed"]) == {8.0}
    assert "8.0 M, at the end 6.05" in capsys.readouterr().out  # their mean is 6.24, before that 6.43
    rising = falling.assign(loss=[6.0] * 4 + [8.5] + [6.0] * 5)  # below, above from the fifth to the ninth
    monkeypatch.setattr(plateau, "losses", lambda arm: rising.iloc[:9])
    plateau.main()
    assert "not passed, at the end 6.50" in capsys.readouterr().out
    monkeypatch.setattr(plateau, "losses", lambda arm: rising)
    plateau.main()
    assert "10.0 M, at the end 6.00" in capsys.readouterr().out
    monkeypatch.setattr(plateau, "losses", lambda arm: falling.assign(loss=7.0))
    plateau.main()
    assert "not passed, at the end 7.00" in capsys.readouterr().out
