"""The sweep of continued training: a row for each rate, on sentences that are no test sentences."""

import sys

import pytest

from helpers import model
from helpers.running import replicate
from helpers.settings import ModelSettings
from tests import micro
from tests.benchmarks import continuing


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Runs the sweep on a tiny model of its own; gives what each fine-tuning was given."""
    own = micro.own_files(tmp_path)
    with micro.workshop(tmp_path / "artifacts"):
        chosen = continuing.settings.choose("smoke", str(own), (str(own / "text.txt"),))
        tokenizer = replicate.load(chosen).tokenizer
    tiny = ModelSettings(vocabulary_size=len(tokenizer), hidden_size=16, layers=1)
    model.build(tiny, 0).save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")
    given, tag = [], continuing.fine_tune_and_tag

    def fine_tune_and_tag(shared, start, count, subset, recipe, dtype):
        given.append((shared, start, count, recipe))
        return tag(shared, start, count, subset, recipe, dtype)

    monkeypatch.setattr(continuing, "fine_tune_and_tag", fine_tune_and_tag)

    def run(*options: str):
        arguments = ["--model", str(tmp_path / "tiny"), "--corpus", str(own), "--text", str(own / "text.txt")]
        arguments += ["--scale", "smoke", "--tokens", "8192", "--sentences", "20", "--dtype", "float32"]
        arguments += ["--rates", "0", "1e-3", "--tagging-rates", "1e-2", "--steps", "4", "8"]
        monkeypatch.setattr(sys, "argv", ["continuing", *arguments, *options])
        with micro.workshop(tmp_path / "artifacts"):
            continuing.main()
            return given, replicate.load(chosen).corpus.splits

    return run


def test_each_rate_has_each_recipe_and_test_sentences_are_not_looked_at(sweep, capsys):
    given, splits = sweep()
    head, _, as_it_came, trained = capsys.readouterr().out.splitlines()[-4:]
    assert head.split() == ["masked-LM", "loss", "0.01", "×", "4", "0.01", "×", "8"]
    assert as_it_came.split()[:2] == ["0", "NaN"]
    assert trained.split()[0] == "0.001" and float(trained.split()[1]) > 0
    assert [recipe.steps for *_, recipe in given] == [4, 8, 4, 8]
    assert all(shared.corpus.splits["test"] == splits["dev"] for shared, *_ in given)
    first, other = given[0][1].state_dict(), given[2][1].state_dict()
    assert any((first[name] != other[name]).any() for name in first), "the second was trained on"


def test_held_out_sentences_are_neither_labelled_nor_test_sentences(sweep):
    given, splits = sweep("--hold-out", "10")
    held_out = given[0][0].corpus.splits
    assert len(held_out["test"]) == 10 and not any(one in splits["test"] for one in held_out["test"])
    assert all(one in splits["train"] for one in held_out["test"])
    assert not any(one in held_out["train"] for one in held_out["test"])
