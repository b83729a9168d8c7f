"""The blocks of the reference, as they are defined."""

import pytest

from helpers import settings
from helpers.blocks import BASE, BLOCKS
from helpers.running import reference


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_blocks_can_be_run(block):
    # Those beside A share its first seeds; R and S, which confirm, have seeds of their own.
    others = {seed for name in {"A", "R", "S"} - {block.name} for seed in BLOCKS[name].seeds}
    confirms = block.name in ("A", "R", "S")
    assert not others & set(block.seeds) if confirms else set(block.seeds) <= set(BLOCKS["A"].seeds)
    assert block.seeds[0] >= 1000
    for condition in block.conditions:
        scale = block.scale(condition)
        assert set(condition.arms) <= set(settings.ARMS)
        assert scale.pretraining.warmup_tokens < 0.85 * scale.tokens[0]
        assert block.base.core_sentences in block.labelled_sentences
        if block.corpus == "world":
            assert max(block.labelled_sentences) <= scale.world.train


def test_real_text_has_its_recipe_and_every_cell():
    block = BLOCKS["real"]
    (condition,) = block.conditions
    laptop = settings.varied(settings.choose("laptop", block.corpus).scale, dict(block.recipe))
    scale = block.scale(condition)
    assert (scale.model, scale.pretraining, scale.finetuning) == (
        laptop.model,
        laptop.pretraining,
        laptop.finetuning,
    )
    labelled = (100, 500, scale.core_sentences)
    every = {(tokens, count, 0) for tokens in (4_000_000, 16_000_000) for count in labelled}
    assert set(block.cells("span")) == every and len(block.cells("span")) == len(every)
    assert set(block.cells("none")) == {(0, count, 0) for count in labelled}
    assert block.cells("span")[0] == (16_000_000, scale.core_sentences, 0), "the core cell"


def test_shorter_rows_on_real_text_are_all_that_differs_but_the_precision():
    rows, block = BLOCKS["real_rows"], BLOCKS["real"]
    (condition,), (before,) = rows.conditions, block.conditions
    assert not rows.recipe and dict(block.recipe).keys() == {"pretraining.short_rows"}
    assert not condition.changes and set(condition.arms) < set(before.arms)
    changed, kept = rows.scale(condition).pretraining, block.scale(before).pretraining
    assert changed.short_rows == settings.REAL["pretraining.short_rows"] != kept.short_rows
    assert rows.seeds == block.seeds
    assert {task.arm.dtype for task in reference.tasks(rows, 1000)} == {"bfloat16"}
    assert {task.arm.dtype for task in reference.tasks(block, 1000)} == {"float32"}
    assert [reference.facts(one)[0].get("dtype") for one in (rows, block)] == ["bfloat16", None]
    assert rows.cells("span") == ((16_000_000, 2_746, 0),) and rows.cells("span")[0] in block.cells("span")


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
    longest = max(block.tokens[-1] for block in BLOCKS.values() if block.corpus == "world")
    assert BASE.world.sentences == 400_000 and longest <= 2 * 14_664_000  # tokens, at seed 60


def test_fewer_labels_use_the_models_of_the_blocks_before():
    """The texts are not part of the project, so their keys cannot be compared: what makes them up is."""
    fewer = BLOCKS["real_labels"]
    before = [BLOCKS[name] for name in ("real_rows", "real_short_spans")]
    arms = {arm for block in before for condition in block.conditions for arm in condition.arms}
    assert set(fewer.conditions[0].arms) == arms
    for block in before:
        assert (block.corpus, block.text, block.dtype, block.tokens, block.seeds) == (
            fewer.corpus,
            fewer.text,
            fewer.dtype,
            fewer.tokens,
            fewer.seeds,
        )
        (one,), (other,) = (
            [each.scale(condition) for condition in each.conditions] for each in (block, fewer)
        )
        assert (one.model, one.pretraining, one.words) == (other.model, other.pretraining, other.words)
