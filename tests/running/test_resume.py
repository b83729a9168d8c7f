"""Pre-training that can be stopped: budgets as branches, and states from which it goes on bit by bit."""

import errno
import multiprocessing
import os
import random
import signal
import time
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from transformers import AutoModelForMaskedLM

from helpers import masking, model, pretraining
from helpers.masking import Scheme
from helpers.pretraining import row_order
from helpers.running import checkpoints, resume
from helpers.running.checkpoints import CheckpointError
from helpers.running.resume import Stopwatch, pretrain
from helpers.tokenization import Blocks
from tests.tiny import RECIPE, STEP, TINY, VOCABULARY, counting_rows, weights_of

BUDGETS = (20 * STEP, 40 * STEP)
LONG_RECIPE = replace(RECIPE, strategy="span")


def trained(blocks, recipe, *steps: int, bert=None, **options) -> list:
    """A checkpoint after each of these numbers of steps."""
    bert, budgets = bert or model.build(TINY, 0), tuple(step * STEP for step in steps)
    return list(pretrain(bert, blocks, VOCABULARY, recipe, budgets, **options))


def test_a_run_sees_short_rows_until_they_end(monkeypatch, blocks):
    settings = replace(RECIPE, short_rows=((3 * STEP, 4), (5 * STEP, 8)))
    shapes = [tuple(rows.shape) for _, rows, _ in seen_rows(monkeypatch, blocks, settings)]
    assert shapes == [(32, 4)] * 3 + [(16, 8)] * 2 + [(8, 16)] * 5


@pytest.mark.parametrize("short_rows", [((100, 5),), ((100, 2),), ((200, 8), (100, 4)), ((100, 32),)])
def test_short_rows_that_do_not_fit_are_refused(blocks, short_rows):
    with pytest.raises(ValueError, match="short_rows"):
        list(
            pretrain(
                model.build(TINY, 0), blocks, VOCABULARY, replace(RECIPE, short_rows=short_rows), (5 * STEP,)
            )
        )


def seen_rows(monkeypatch, blocks, settings, budgets=(10 * STEP,)):
    """What `mask` is given and gives at every step of a run: (input_ids, mask)."""
    steps = []
    real = pretraining.mask

    def spy(input_ids, word_ids, scheme, *rest):
        masked = real(input_ids, word_ids, scheme, *rest)
        steps.append((scheme.strategy, input_ids.clone(), masked.labels != -100))
        return masked

    with monkeypatch.context() as patch:
        patch.setattr(pretraining, "mask", spy)
        list(pretrain(model.build(TINY, 0), blocks, VOCABULARY, settings, budgets))
    return steps


def test_two_arms_see_the_same_rows_at_the_same_step(monkeypatch, blocks):
    token, span = (seen_rows(monkeypatch, blocks, replace(RECIPE, strategy=arm)) for arm in ("token", "span"))
    assert len(token) == len(span) == 10
    assert {step[0] for step in token} == {"token"} and {step[0] for step in span} == {"span"}
    for (_, rows, hidden), (_, other_rows, other_hidden) in zip(token, span, strict=True):
        assert torch.equal(rows, other_rows)
        assert torch.equal(hidden.sum(1), other_hidden.sum(1)) and not torch.equal(hidden, other_hidden)
    order = row_order(50, 10, 8, seed=7)
    assert all(torch.equal(rows, blocks.input_ids[order[step]]) for step, (_, rows, _) in enumerate(token))


def test_masks_never_repeat(monkeypatch, blocks):
    one_batch = Blocks(blocks.input_ids[:8], blocks.word_ids[:8])  # every step sees the same eight rows
    steps = seen_rows(monkeypatch, one_batch, RECIPE)
    places = {}
    for _, rows, hidden in steps:
        for row, where in zip(rows.tolist(), hidden.tolist(), strict=True):
            places.setdefault(tuple(row), set()).add(tuple(where))
    # Two of 15 places: 105 ways. Ten draws without repetition would be luck (64%), half of them is not.
    assert all(len(ways) > 5 for ways in places.values())


@pytest.mark.parametrize("strategy", ["token", "whole_word", "span"])
def test_the_loss_falls(blocks, strategy):
    four_words = Blocks(
        blocks.input_ids.where(blocks.word_ids < 0, 5 + blocks.input_ids % 4), blocks.word_ids
    )
    settings = replace(RECIPE, strategy=strategy)
    (checkpoint,) = pretrain(model.build(TINY, 0), four_words, VOCABULARY, settings, (150 * STEP,))
    losses = [loss for _, loss in checkpoint.losses]
    # Of 30 entries all are as likely at first, ln 30 = 3.4; then it learns that there are four, ln 4 = 1.4.
    assert losses[0] > 2.5 and losses[-1] < 1.6


def test_every_budget_is_a_run_of_its_own(blocks):
    """The trunk is shared; a branch is the run that only had this budget, warm-up included."""
    settings = replace(RECIPE, strategy="span")
    both = list(pretrain(model.build(TINY, 0), blocks, VOCABULARY, settings, (12 * STEP, 24 * STEP)))
    assert [checkpoint.tokens_seen for checkpoint in both] == [12 * STEP, 24 * STEP]
    (large,) = pretrain(model.build(TINY, 0), blocks, VOCABULARY, settings, (24 * STEP,))
    assert torch.equal(weights_of(both[1].model), weights_of(large.model))
    (small,) = pretrain(model.build(TINY, 0), blocks, VOCABULARY, settings, (12 * STEP,))
    assert torch.equal(weights_of(both[0].model), weights_of(small.model))
    assert not torch.equal(weights_of(both[0].model), weights_of(both[1].model))


def test_a_run_is_one_plain_loop(blocks):
    """Nothing is lost at the branch: one model, one AdamW, BERT's own dense loss, from step to step."""
    (checkpoint,) = pretrain(model.build(TINY, 0), blocks, VOCABULARY, RECIPE, (20 * STEP,))
    bert, order, generator = model.build(TINY, 0), row_order(50, 20, 8, RECIPE.seed), torch.Generator()
    scheme = Scheme("token")
    optimizer = torch.optim.AdamW(bert.parameters(), weight_decay=RECIPE.weight_decay)
    for step in range(20):
        rows, words = blocks.input_ids[order[step]], blocks.word_ids[order[step]]
        generator.manual_seed(RECIPE.seed * 1_000_003 + step)
        masked = masking.mask(rows, words, scheme, VOCABULARY, generator)
        optimizer.zero_grad()
        bert(masked.inputs, labels=masked.labels).loss.backward()
        optimizer.param_groups[0]["lr"] = 3e-3 * min(1, (step + 1) / 2, (20 - step) / 5)
        optimizer.step()
    # Adam divides by the size of a gradient, so a rounding error in a tiny one is seen: a step is 3e-3.
    assert (weights_of(checkpoint.model) - weights_of(bert)).abs().max() < 1e-4


def test_the_same_seed_gives_the_same_model_and_another_does_not(blocks):
    one, same, other = (
        weights_of(next(pretrain(model.build(TINY, 0), blocks, VOCABULARY, settings, (5 * STEP,))).model)
        for settings in (RECIPE, RECIPE, replace(RECIPE, seed=8))
    )
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_losses_and_progress_count_tokens(blocks):
    ticks = []
    small, large = trained(blocks, RECIPE, 40, 60, progress=ticks.append)
    for checkpoint, budget in ((small, 40), (large, 60)):
        seen = [tokens for tokens, _ in checkpoint.losses]
        assert all(a < b for a, b in pairwise(seen)) and seen[-1] == budget * STEP
    assert [tokens for tokens, _ in small.losses] == [20 * STEP, 30 * STEP, 40 * STEP]  # 30: cooling starts
    # 60 steps, and the ten over which the smaller budget cools.
    assert sum(ticks) == 70 * STEP and set(ticks) == {STEP}


def test_a_checkpoint_opens_as_any_masked_lm(blocks, tmp_path):
    (checkpoint,) = pretrain(model.build(TINY, 0), blocks, VOCABULARY, RECIPE, (4 * STEP,))
    checkpoint.model.save_pretrained(tmp_path)
    opened = AutoModelForMaskedLM.from_pretrained(tmp_path, attn_implementation="eager")
    inputs = blocks.input_ids[:3]
    torch.testing.assert_close(opened(inputs).logits, checkpoint.model(inputs).logits)


def test_a_loss_that_is_no_number_stops_the_run(blocks):
    broken = model.build(TINY, 0)
    with torch.no_grad():
        broken.cls.predictions.bias[7] = float("nan")
    with pytest.raises(FloatingPointError, match="the loss is nan at step .*learning_rate or float32"):
        list(pretrain(broken, blocks, VOCABULARY, RECIPE, (5 * STEP,)))


def test_a_gpu_without_room_is_named_with_the_remedy(monkeypatch, blocks):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(pretraining, "masked_lm_loss", full)
    with pytest.raises(MemoryError, match="a batch of 8 rows .* choose a smaller batch_size"):
        list(pretrain(model.build(TINY, 0), blocks, VOCABULARY, RECIPE, (5 * STEP,)))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_low_precision_learns_too(blocks, dtype):
    (checkpoint,) = pretrain(model.build(TINY, 0), blocks, VOCABULARY, RECIPE, (60 * STEP,), dtype=dtype)
    assert checkpoint.losses[-1][1] < checkpoint.losses[0][1]
    assert {parameter.dtype for parameter in checkpoint.model.parameters()} == {torch.float32}


def run_to_the_end(blocks, folder=None, dtype="float32", **options) -> list:
    made = trained(blocks, LONG_RECIPE, 20, 40, dtype=dtype, folder=folder, **options)
    return [(weights_of(checkpoint.model), checkpoint.tokens_seen, checkpoint.losses) for checkpoint in made]


def assert_same(one: list, other: list) -> None:
    assert len(one) == len(other) == len(BUDGETS)
    for (weights, tokens, losses), (other_weights, other_tokens, other_losses) in zip(
        one, other, strict=True
    ):
        assert torch.equal(weights, other_weights) and tokens == other_tokens and losses == other_losses


@pytest.fixture(scope="module")
def uninterrupted(blocks) -> list:
    return run_to_the_end(blocks)


@pytest.mark.parametrize("stop_after", [1, 7, 14, 15, 16, 20, 21, 30, 35, 36, 45])
def test_an_interrupted_run_goes_on_bit_by_bit(blocks, uninterrupted, tmp_path, stop_after):
    steps = 0

    def stop(_):
        nonlocal steps
        steps += 1
        if steps == stop_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_to_the_end(blocks, tmp_path, progress=stop)
    left = []
    assert_same(run_to_the_end(blocks, tmp_path, progress=left.append), uninterrupted)
    assert len(left) == 45 - stop_after  # no step is taken twice


def test_a_run_can_be_interrupted_at_every_step(blocks, uninterrupted, tmp_path):
    def stop(_):
        raise KeyboardInterrupt

    for _ in range(45):
        with pytest.raises(KeyboardInterrupt):
            run_to_the_end(blocks, tmp_path, progress=stop)
    assert_same(run_to_the_end(blocks, tmp_path), uninterrupted)


def test_loss_scaling_goes_on_too(blocks, tmp_path):
    whole = run_to_the_end(blocks, dtype="float16")
    ticks = []
    with pytest.raises(KeyboardInterrupt):
        run_to_the_end(
            blocks, tmp_path, "float16", progress=lambda _: ticks.append(1) or len(ticks) < 11 or stop_here()
        )
    assert_same(run_to_the_end(blocks, tmp_path, "float16"), whole)


def stop_here():
    raise KeyboardInterrupt


def test_ctrl_c_stops_at_the_end_of_a_step_and_keeps_the_state(blocks, uninterrupted, tmp_path, monkeypatch):
    real, steps = pretraining.masked_lm_loss, []

    def pressed_in_the_middle(*arguments):
        steps.append(1)
        if len(steps) == 12:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(pretraining, "masked_lm_loss", pressed_in_the_middle)
        with pytest.raises(KeyboardInterrupt):
            run_to_the_end(blocks, tmp_path)
    (state,) = tmp_path.iterdir()
    assert state.name.startswith("trunk-000000012-")
    assert_same(run_to_the_end(blocks, tmp_path), uninterrupted)


def train_slowly(folder, seconds_per_step: float) -> None:
    """In a process of its own: a run that keeps its state after every step that it may."""
    torch.set_num_threads(1)
    run_to_the_end(
        counting_rows(), folder, seconds_between_states=0, progress=lambda _: time.sleep(seconds_per_step)
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_is_killed_at_random_moments_goes_on_bit_by_bit(one_thread, tmp_path, seed):
    whole = run_to_the_end(counting_rows())
    chance, context = random.Random(seed), multiprocessing.get_context("fork")
    kills = 0
    for _ in range(4):  # 40 steps of 0.04 s last longer than the first two waits, on any machine
        process = context.Process(target=train_slowly, args=(tmp_path, 0.04))
        process.start()
        process.join(chance.uniform(0.05, 0.4))
        kills += process.is_alive()
        process.kill()
        process.join()
    assert kills >= 2
    assert_same(run_to_the_end(counting_rows(), tmp_path), whole)


def test_a_damaged_state_costs_only_the_steps_since_the_one_before(blocks, uninterrupted, tmp_path):
    ticks = []
    with pytest.raises(KeyboardInterrupt):
        run_to_the_end(blocks, tmp_path, progress=lambda _: ticks.append(1) or len(ticks) < 42 or stop_here())
    (newest,) = tmp_path.glob("branch-40-*")  # the trunk's last state, after 30 steps, is the one before
    data = bytearray(newest.read_bytes())
    data[-5] ^= 1
    newest.write_bytes(data)
    left = []
    assert_same(run_to_the_end(blocks, tmp_path, progress=left.append), uninterrupted)
    assert len(left) == 10


def test_a_full_disk_stops_the_run_and_earlier_states_stay(blocks, uninterrupted, tmp_path, monkeypatch):
    real, writes = os.replace, []

    def full_at_the_second(source, target):
        writes.append(target)
        if len(writes) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.os, "replace", full_at_the_second)
        with pytest.raises(CheckpointError, match="Make room"):
            run_to_the_end(blocks, tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    assert_same(run_to_the_end(blocks, tmp_path), uninterrupted)


def test_a_loss_that_is_no_number_leaves_the_states_before_it(blocks, tmp_path):
    endless = replace(LONG_RECIPE, learning_rate=float("inf"))
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        list(pretrain(model.build(TINY, 0), blocks, VOCABULARY, endless, BUDGETS, folder=tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_in_the_middle_of_a_step_repeats_no_step(
    blocks, uninterrupted, tmp_path, monkeypatch, number
):
    """Weights that have moved on while the counter has not must not be kept."""
    real, updates = torch.amp.GradScaler.update, []

    def pressed_twice(scaler):
        real(scaler)
        updates.append(1)
        if len(updates) == 12:  # the optimiser has taken this step, and nobody has counted it yet
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)

    with monkeypatch.context() as patch:
        patch.setattr(torch.amp.GradScaler, "update", pressed_twice)
        with pytest.raises(KeyboardInterrupt):
            run_to_the_end(blocks, tmp_path)
    assert_same(run_to_the_end(blocks, tmp_path), uninterrupted)


def test_a_budget_that_no_machine_could_train_is_refused(blocks):
    with pytest.raises(
        ValueError, match=r"1,000,000,000,000,000 tokens are more .* choose at most 1,280,000,000$"
    ):
        list(pretrain(model.build(TINY, 0), blocks, VOCABULARY, RECIPE, (10**15,)))


# Groups


class Second(pretraining.Group):
    """The second of two processes. It sees what the first one has, and somebody may ask for an end."""

    rank, size = 1, 2

    def __init__(self, first: list, stop_at: int = 10**9):
        self.first, self.stop_at, self.asked = first, stop_at, 0

    def agree(self, value):
        return self.first.pop(0)

    def any(self, flag):
        self.asked += 1
        return flag or self.asked == self.stop_at


def test_a_group_goes_on_from_the_state_of_its_first_process(blocks, tmp_path):
    """The other machines may hold no state, or an older one."""
    with pytest.raises(KeyboardInterrupt):
        run_to_the_end(
            blocks,
            tmp_path / "first",
            progress=lambda _, ticks=[]: ticks.append(1) or len(ticks) < 7 or stop_here(),
        )
    state = checkpoints.newest(tmp_path / "first", "trunk", at_most=30)
    taken = []
    trained(
        blocks,
        LONG_RECIPE,
        40,
        folder=tmp_path / "second",
        group=Second([None, state]),
        progress=taken.append,
    )
    assert state[0] == 7 and len(taken) == 40 - 7
    assert not (tmp_path / "second").exists()  # the first one writes


def test_a_group_ends_when_any_of_its_processes_is_interrupted(blocks):
    group, taken = Second([None, None], stop_at=2), []
    with pytest.raises(KeyboardInterrupt):
        trained(blocks, LONG_RECIPE, 100, group=group, progress=taken.append)
    assert len(taken) == 40  # they ask each other where they read the losses, every 20 steps


# What it took


def test_the_stopwatch_leaves_pauses_out(tmp_path, monkeypatch):
    clock = iter([100.0, 101.0, 103.0, 105.0, 500.0, 504.0, 900.0])
    monkeypatch.setattr(resume.time, "perf_counter", lambda: next(clock))
    file = tmp_path / "states" / "seconds.json"
    first = Stopwatch(file, "one GPU")
    for _ in range(3):
        first.tick()
    assert first.spent() == {"seconds_per_step": 2.0, "seconds": 5.0, "device": "one GPU"}
    # Killed: what came after the last note, at the first step, is not known to the next.
    second = Stopwatch(file, "another GPU")
    second.tick()
    assert second.spent() == {"seconds_per_step": 4.0, "seconds": 1.0 + 4.0, "device": "another GPU"}
    third = Stopwatch(file, "a third")  # it had nothing left to train
    assert third.spent() == {"seconds_per_step": 4.0, "seconds": 5.0, "device": "another GPU"}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"seconds": "many"}', "null"])
def test_a_note_that_is_damaged_is_no_error(tmp_path, content):
    (tmp_path / "seconds.json").write_text(content)
    stopwatch = Stopwatch(tmp_path / "seconds.json", "a GPU")
    stopwatch.tick()
    assert 0 < stopwatch.spent()["seconds"] < 60
