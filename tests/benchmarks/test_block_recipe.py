"""The operating point of a block: taken are the lowest loss and the highest F1, on seeds for trials."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from helpers import blocks
from helpers.blocks import BLOCKS
from helpers.running import artifacts
from tests import micro
from tests.benchmarks import block_recipe


@pytest.fixture
def block(monkeypatch, tmp_path):
    monkeypatch.setattr(artifacts, "FOLDER", tmp_path / "artifacts")
    monkeypatch.setattr(blocks, "REAL", replace(blocks.REAL, core_sentences=20))
    own = micro.own_files(tmp_path)
    small = (
        ("model.hidden_size", 32),
        ("pretraining.warmup_tokens", 1_600),
        ("finetuning.steps", 60),
        ("model.vocabulary_size", 600),
        ("model.length", 64),
        ("pretraining.short_rows", ((4_096, 16),)),
        ("pretraining.batch_size", 16),
    )
    return replace(
        BLOCKS["real_large"], recipe=small, corpus=str(own), text=(str(own / "text.txt"),), tokens=(1,)
    )


def test_taken_are_the_lowest_loss_and_the_highest_f1(block, capsys):
    with ThreadPoolExecutor(1) as pool:
        start = block_recipe.choose_start(pool, block, [(1e-7, 1_600), (1e-3, 1_600)], 65_536, [74, 75])
        arms = {"token": block_recipe.arm_at(block, "token", start, 65_536)}
        tagging = block_recipe.choose_tagging(pool, arms, [1e-7, 5e-3], held_out=10)
        with pytest.raises(SystemExit, match="some training ends above 0.1 nats"):  # the same models
            block_recipe.choose_start(pool, block, [(1e-3, 1_600)], 65_536, [74, 75], mark=0.1)
    assert start == (1e-3, 1_600) and tagging == 5e-3
    assert 4 < block_recipe.by_frequency(arms["token"]) < math.log(600)
    printed = capsys.readouterr().out
    assert "rate 0.001, warm-up 1,600, seed 75: span" in printed and "fine-tuning at 0.005: token" in printed


def test_a_start_that_leaves_a_training_on_the_plateau_is_not_taken(block, monkeypatch):
    made = {1e-3: (4.0, 7.1), 2e-3: (6.0, 6.2), 3e-3: (7.1, 7.2)}  # of tokens and spans
    end = lambda arm: made[arm.recipe.learning_rate][arm.name == "span"]  # noqa: E731
    monkeypatch.setattr(block_recipe, "loss", end)
    with ThreadPoolExecutor(1) as pool:
        taken = block_recipe.choose_start(pool, block, [(1e-3, 0), (2e-3, 0)], 65_536, [74])
        assert taken == (2e-3, 0)
        with pytest.raises(SystemExit, match=r"some training ends above 6\.4 nats"):
            block_recipe.choose_start(pool, block, [(1e-3, 0), (3e-3, 0)], 65_536, [74])


def test_an_arm_has_the_start_that_is_tried(block):
    arm = block_recipe.arm_at(block, "span", (2e-3, 32_000), 65_536, 76)
    recipe = arm.recipe
    assert (arm.seed, recipe.strategy, recipe.learning_rate, recipe.warmup_tokens) == (
        76,
        "span",
        2e-3,
        32_000,
    )
