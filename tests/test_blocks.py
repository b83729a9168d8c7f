"""The blocks of the reference, as they are defined."""

import pytest

from helpers import settings
from helpers.blocks import BASE, BLOCKS
from helpers.running import reference


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_blocks_can_be_run(block):
    # Those beside A share its first seeds; R has seeds of its own.
    shared = set(BLOCKS["A"].seeds)
    assert not shared & set(block.seeds) if block.name == "R" else set(block.seeds) <= shared
    assert block.seeds[0] >= 1000
    for condition in block.conditions:
        scale = block.scale(condition)
        assert set(condition.arms) <= set(settings.ARMS)
        assert scale.pretraining.warmup_tokens < 0.85 * scale.tokens[0]
        assert max(block.labelled_sentences) <= scale.world.train


def test_a_condition_is_named_once():
    for block in BLOCKS.values():
        rows = [
            (condition.name, dict(condition.changes).get("pretraining.mask_rate"), arm)
            for condition in block.conditions
            for arm in condition.arms
        ]
        assert len(rows) == len(set(rows)), block.name


def test_fine_tuning_conditions_use_the_models_of_block_a():
    trained = {str(task.arm.training_key) for task in reference.tasks(BLOCKS["A"], 1000)}
    assert {str(task.arm.training_key) for task in reference.tasks(BLOCKS["F"], 1000)} <= trained


def test_the_text_lasts_for_two_passes():
    longest = max(block.tokens[-1] for block in BLOCKS.values())
    assert BASE.world.sentences == 400_000 and longest <= 2 * 14_664_000  # tokens, at seed 60
