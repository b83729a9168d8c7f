"""The benchmark of training: that it runs, and that what it times computes the same."""

import json
import warnings

import numpy as np
import pytest
import torch

from helpers import model
from helpers.masking import Scheme, Vocabulary, mask
from helpers.settings import ModelSettings
from tests.benchmarks import training

TINY = ModelSettings(vocabulary_size=60, length=16, hidden_size=16, layers=2, heads=2)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict:
    """What a smoke run of all parts writes down."""
    file = tmp_path_factory.mktemp("bench") / "training.json"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        training.main(["--smoke", "--json", str(file)])
    return json.loads(file.read_text())


def leaves(values) -> list:
    """All numbers and texts in nested lists and dictionaries."""
    if isinstance(values, dict | list):
        inside = values.values() if isinstance(values, dict) else values
        return [leaf for value in inside for leaf in leaves(value)]
    return [values]


@pytest.mark.slow
def test_all_parts_are_there_and_positive(results):
    assert set(training.PARTS) <= set(results)
    for part in ("precision", "pretraining", "finetuning", "memory", "growth"):
        numbers = [leaf for leaf in leaves(results[part]) if not isinstance(leaf, str)]
        assert numbers and min(numbers) > 0
    if not torch.cuda.is_available():
        assert set(leaves(results["gpu"])) == {training.NOT_MEASURED}


@pytest.mark.slow
def test_pretraining_counts_its_arithmetic(results):
    for row in results["pretraining"].values():
        dense, ours = (row["operations_per_step"][name] for name in ("dense", "ours"))
        assert 0.1 * dense < ours < dense
        assert set(row["tokens_per_second"]) == set(row["share_of_matrix_rate"]) >= {"Trainer", "ours"}
        assert row["ratio_to_trainer"]["Trainer"] == [1.0, 1.0, 1.0]


def test_arithmetic_is_what_a_count_by_hand_gives():
    work = training.random_rows(TINY, 8, batch=4)
    tokens, width, length = 4 * 16, 16, 16
    layer = 2 * tokens * width * (4 * width + 8 * width) + 2 * 2 * tokens * width * length
    head = 2 * tokens * width * (width + 60)
    assert training.arithmetic(work)["dense"] == 3 * (2 * layer + head)  # once forwards, twice backwards


@pytest.mark.slow
def test_each_lever_has_a_factor(results):
    rows = results["levers"]
    names = [row["name"] for row in rows]
    assert len(set(names)) == len(names) and {row["kept"] for row in rows} == {True, False}
    assert rows[0]["against"] is None and all(row["against"] in names for row in rows[1:])
    for row in rows:
        low, median, high = row["tokens_per_second"]
        assert 0 < low <= median <= high and row["factor"] > 0


@pytest.mark.slow
def test_parts_of_a_step_add_up(results):
    for found in results["step"].values():
        middle = {name: median for name, (_, median, _) in found["seconds"].items()}
        assert middle["Python and the rest"] > -0.01 * middle["all"]
        assert all(value > 0 for name, value in middle.items() if name != "Python and the rest")
        assert sum(found["kinds"].values()) == pytest.approx(1)
        assert found["kinds"]["matrix products"] > 0


@pytest.mark.parametrize(
    "change",
    [
        {"loss": "dense"},
        {"loss": "gathered", "attention": "eager"},
        {},
        {"joined": True},
        {"fused_attention": True},
    ],
    ids=str,
)
def test_every_lever_computes_the_same_loss(change):
    loop = training.Loop("float32", **{"loss": "ours", **change})
    bert = model.build(TINY, seed=0)
    ids, words, *_ = training.text(4, TINY.length, TINY.vocabulary_size)
    vocabulary = Vocabulary(TINY.vocabulary_size, 4, (0, 1, 2, 3, 4))
    masked = mask(ids, words, Scheme("token"), vocabulary, torch.Generator().manual_seed(0))
    expected = bert(masked.inputs, labels=masked.labels).loss
    torch.testing.assert_close(training.loss_function(bert, loop)(bert, masked), expected)


def test_all_loops_learn_alike():
    """Ten steps end at the same loss, whatever the levers; joined weights are the same weights."""
    work = training.random_rows(TINY, 64, batch=8)
    ends = []
    for change in ({"loss": "dense"}, {"loss": "ours"}, {"loss": "ours", "joined": True}):
        steps = training.loop_steps(work, training.Loop("float32", **change))
        ends.append([float(next(steps)) for _ in range(10)][-1])
    np.testing.assert_allclose(ends[1:], ends[0], rtol=1e-4)


def test_a_clock_counts_what_ends_in_time(monkeypatch):
    now = iter([0.0, 1.0, 2.0, 2.0, 3.0, 4.0, 5.5])  # made, two ticks, started, three ticks
    monkeypatch.setattr(training.time, "perf_counter", lambda: next(now))
    clock = training.Clock(3.0, warm_up=2)
    assert [clock.tick() for _ in range(5)] == [False, False, False, False, True]
    assert (clock.first, clock.steps, clock.seconds) == (1.0, 2, 2.0)


def test_ratios_and_spreads():
    assert training.ratio([2.0, 4.0, 9.0], [1.0, 4.0, 3.0]) == [1.0, 4 / 3, 3.0]
    assert training.spread([1.0, 2.0, 3.0]) == pytest.approx([1.2, 2.0, 2.8])
