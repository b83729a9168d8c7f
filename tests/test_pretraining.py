"""Pre-training: the learning rate, the order of rows, budgets as branches, and a loss that falls."""

import errno
import math
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

from helpers import checkpoints, model, pretraining
from helpers.checkpoints import CheckpointError
from helpers.masking import Scheme, Vocabulary
from helpers.pretraining import learning_rate, pretrain, row_order
from helpers.settings import ModelSettings, PretrainingSettings
from helpers.tokenization import Blocks

TINY = ModelSettings(vocabulary_size=30, length=16, hidden_size=16, layers=1, heads=2)
RUN = PretrainingSettings(batch_size=8, short_rows=(), learning_rate=3e-3, warmup=0.1, cooldown=0.25, seed=7)
STEP = 8 * 16  # tokens


@pytest.fixture(scope="module")
def blocks() -> Blocks:
    """Rows that count upwards: [CLS] n n+1 n+2 …, so that a hidden token can be told from its neighbours."""
    return counting_rows()


def counting_rows() -> Blocks:
    starts = torch.randint(0, 25, (50, 1), generator=torch.Generator().manual_seed(0))
    counting = (starts + torch.arange(15)) % 25 + 5
    input_ids = torch.cat([torch.full((50, 1), 2), counting], dim=1)
    word_ids = torch.cat([torch.tensor([-1]), torch.arange(15)]).expand(50, 16)
    return Blocks(input_ids, word_ids.contiguous())


def weights_of(bert) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in bert.parameters()])


# The plan of a run


def test_the_learning_rate_rises_stays_and_cools():
    settings = PretrainingSettings(learning_rate=0.1, cooldown=0.2)
    rates = [learning_rate(step, 100, settings, warmup=10) for step in range(100)]
    assert rates[:10] == pytest.approx([0.01 * step for step in range(1, 11)])
    assert rates[9:81] == pytest.approx([0.1] * 72)
    assert rates[80:] == pytest.approx([0.1 * left / 20 for left in range(20, 0, -1)])


def test_a_shorter_run_has_the_same_rates_until_it_cools():
    settings = PretrainingSettings(learning_rate=0.1, cooldown=0.2)
    short, long = ([learning_rate(step, n, settings, 10) for step in range(n)] for n in (50, 100))
    assert short[:40] == long[:40] and short[45] < long[45]


def test_row_order_takes_all_rows_once_before_any_comes_again():
    order = row_order(rows=10, steps=9, batch_size=4, seed=0)
    assert order.shape == (9, 4)
    flat = order.flatten().tolist()
    for start in (0, 10, 20):
        assert sorted(flat[start : start + 10]) == list(range(10))
    assert len(set(flat[30:])) == 6
    assert flat[:10] != flat[10:20]
    assert torch.equal(order, row_order(10, 9, 4, 0)) and not torch.equal(order, row_order(10, 9, 4, 1))
    assert torch.equal(row_order(10, 20, 4, 0)[:9], order)  # a longer run starts the same


def test_short_rows_come_first_and_all_begin_alike(blocks):
    settings = replace(RUN, short_rows=((100, 4), (300, 8)))
    assert [pretraining.row_length(tokens, settings, 16) for tokens in (0, 99, 100, 299, 300, 9_999)] == [
        *(4, 4, 8, 8, 16, 16)
    ]
    assert pretraining.row_length(0, RUN, 16) == 16
    row = torch.arange(16)[None] + 100
    assert pretraining.cut(row, 8).tolist() == [
        [100, 101, 102, 103, 104, 105, 106, 107],
        [100, 109, 110, 111, 112, 113, 114, 115],
    ]
    two = pretraining.cut(blocks.input_ids[:2], 4)
    assert two.shape == (8, 4) and two[:, 0].eq(2).all()
    assert torch.equal(two[[1, 5], 1:], blocks.input_ids[:2, 5:8])
    assert torch.equal(pretraining.cut(blocks.word_ids[:2], 16), blocks.word_ids[:2])


def test_a_run_sees_short_rows_until_they_end(monkeypatch, blocks):
    settings = replace(RUN, short_rows=((3 * STEP, 4), (5 * STEP, 8)))
    shapes = [tuple(rows.shape) for _, rows, _ in seen_rows(monkeypatch, blocks, settings)]
    assert shapes == [(32, 4)] * 3 + [(16, 8)] * 2 + [(8, 16)] * 5


@pytest.mark.parametrize("short_rows", [((100, 5),), ((100, 2),), ((200, 8), (100, 4)), ((100, 32),)])
def test_short_rows_that_do_not_fit_are_refused(blocks, short_rows):
    with pytest.raises(ValueError, match="short_rows"):
        list(pretrain(model.build(TINY, 0), blocks, replace(RUN, short_rows=short_rows), (5 * STEP,)))


# Runs


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
        list(pretrain(model.build(TINY, 0), blocks, settings, budgets))
    return steps


def test_two_arms_see_the_same_rows_at_the_same_step(monkeypatch, blocks):
    token, span = (seen_rows(monkeypatch, blocks, replace(RUN, strategy=arm)) for arm in ("token", "span"))
    assert len(token) == len(span) == 10
    assert {step[0] for step in token} == {"token"} and {step[0] for step in span} == {"span"}
    for (_, rows, hidden), (_, other_rows, other_hidden) in zip(token, span, strict=True):
        assert torch.equal(rows, other_rows)
        assert torch.equal(hidden.sum(1), other_hidden.sum(1)) and not torch.equal(hidden, other_hidden)
    order = row_order(50, 10, 8, seed=7)
    assert all(torch.equal(rows, blocks.input_ids[order[step]]) for step, (_, rows, _) in enumerate(token))


def test_masks_never_repeat(monkeypatch, blocks):
    one_batch = Blocks(blocks.input_ids[:8], blocks.word_ids[:8])  # every step sees the same eight rows
    steps = seen_rows(monkeypatch, one_batch, RUN)
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
    settings = replace(RUN, strategy=strategy)
    (checkpoint,) = pretrain(model.build(TINY, 0), four_words, settings, (150 * STEP,))
    losses = [loss for _, loss in checkpoint.losses]
    # Of 30 entries all are as likely at first, ln 30 = 3.4; then it learns that there are four, ln 4 = 1.4.
    assert losses[0] > 2.5 and losses[-1] < 1.6


def test_every_budget_is_a_run_of_its_own(blocks):
    """The trunk is shared; a branch is the run that only had this budget and the same warm-up."""
    settings = replace(RUN, strategy="span")
    both = list(pretrain(model.build(TINY, 0), blocks, settings, (12 * STEP, 24 * STEP)))
    assert [checkpoint.tokens_seen for checkpoint in both] == [12 * STEP, 24 * STEP]
    (large,) = pretrain(model.build(TINY, 0), blocks, settings, (24 * STEP,))
    assert torch.equal(weights_of(both[1].model), weights_of(large.model))
    # Warm-up is a share of the longest budget: 10% of 24 steps and 20% of 12 are two steps.
    assert round(0.1 * 24) == round(0.2 * 12) == 2
    (small,) = pretrain(model.build(TINY, 0), blocks, replace(settings, warmup=0.2), (12 * STEP,))
    assert torch.equal(weights_of(both[0].model), weights_of(small.model))
    assert not torch.equal(weights_of(both[0].model), weights_of(both[1].model))


def test_a_run_is_one_plain_loop(blocks):
    """Nothing is lost at the branch: one model, one AdamW, BERT's own dense loss, from step to step."""
    (checkpoint,) = pretrain(model.build(TINY, 0), blocks, RUN, (20 * STEP,))
    bert, order, generator = model.build(TINY, 0), row_order(50, 20, 8, RUN.seed), torch.Generator()
    scheme, vocabulary = Scheme("token"), Vocabulary(30, 4, (0, 1, 2, 3, 4))
    optimizer = torch.optim.AdamW(bert.parameters(), weight_decay=RUN.weight_decay)
    for step in range(20):
        rows, words = blocks.input_ids[order[step]], blocks.word_ids[order[step]]
        generator.manual_seed(RUN.seed * 1_000_003 + step)
        masked = pretraining.mask(rows, words, scheme, vocabulary, generator)
        optimizer.zero_grad()
        bert(masked.inputs, labels=masked.labels).loss.backward()
        optimizer.param_groups[0]["lr"] = 3e-3 * min(1, (step + 1) / 2, (20 - step) / 5)
        optimizer.step()
    # Adam divides by the size of a gradient, so a rounding error in a tiny one is seen: a step is 3e-3.
    assert (weights_of(checkpoint.model) - weights_of(bert)).abs().max() < 1e-4


def test_the_first_50_losses_are_those_of_a_plain_loop_with_dense_logits():
    """Two layers of 32, 300 wordpieces, rows of 32 tokens; same seeds, same masks, float32."""
    shape = ModelSettings(vocabulary_size=300, length=32, hidden_size=32)
    settings = replace(RUN, strategy="span", learning_rate=1e-3)
    input_ids = torch.randint(5, 300, (64, 32), generator=torch.Generator().manual_seed(1))
    word_ids = torch.arange(32).expand(64, 32).contiguous()
    run = pretraining.new_run(model.build(shape, 0), settings, "float32")
    order = row_order(64, 50, 8, settings.seed)
    rows = Blocks(input_ids, word_ids)
    ours = [loss.item() for loss in pretraining.train(run, rows, order, lambda step: 1e-3, settings)]

    bert, generator = model.build(shape, 0), torch.Generator()
    optimizer = torch.optim.AdamW(bert.parameters(), lr=1e-3, weight_decay=settings.weight_decay, fused=False)
    scheme, vocabulary = Scheme("span"), Vocabulary(300, 4, (0, 1, 2, 3, 4))
    plain = []
    for step in range(50):
        generator.manual_seed(settings.seed * 1_000_003 + step)
        chosen = order[step]
        masked = pretraining.mask(input_ids[chosen], word_ids[chosen], scheme, vocabulary, generator)
        loss = bert(masked.inputs, labels=masked.labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        plain.append(loss.item())
    assert plain[-1] < plain[0]
    assert ours == pytest.approx(plain, abs=1e-3)


def test_the_same_seed_gives_the_same_model_and_another_does_not(blocks):
    one, same, other = (
        weights_of(next(pretrain(model.build(TINY, 0), blocks, settings, (5 * STEP,))).model)
        for settings in (RUN, RUN, replace(RUN, seed=8))
    )
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_losses_and_progress_count_tokens(blocks):
    ticks = []
    small, large = pretrain(model.build(TINY, 0), blocks, RUN, (40 * STEP, 60 * STEP), progress=ticks.append)
    for checkpoint, budget in ((small, 40), (large, 60)):
        seen = [tokens for tokens, _ in checkpoint.losses]
        assert all(a < b for a, b in pairwise(seen)) and seen[-1] == budget * STEP
    assert [tokens for tokens, _ in small.losses] == [20 * STEP, 30 * STEP, 40 * STEP]  # 30: cooling starts
    # 60 steps, and the ten over which the smaller budget cools.
    assert sum(ticks) == 70 * STEP and set(ticks) == {STEP}


def test_a_checkpoint_opens_as_any_masked_lm(blocks, tmp_path):
    (checkpoint,) = pretrain(model.build(TINY, 0), blocks, RUN, (4 * STEP,))
    checkpoint.model.save_pretrained(tmp_path)
    opened = AutoModelForMaskedLM.from_pretrained(tmp_path, attn_implementation="eager")
    inputs = blocks.input_ids[:3]
    torch.testing.assert_close(opened(inputs).logits, checkpoint.model(inputs).logits)


def test_a_loss_that_is_no_number_stops_the_run(blocks):
    broken = model.build(TINY, 0)
    with torch.no_grad():
        broken.cls.predictions.bias[7] = float("nan")
    with pytest.raises(FloatingPointError, match="the loss is nan at step .*learning_rate or float32"):
        list(pretrain(broken, blocks, RUN, (5 * STEP,)))


def test_a_gpu_without_room_is_named_with_the_remedy(monkeypatch, blocks):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(pretraining, "masked_lm_loss", full)
    with pytest.raises(MemoryError, match="a batch of 8 rows .* choose a smaller batch_size"):
        list(pretrain(model.build(TINY, 0), blocks, RUN, (5 * STEP,)))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_low_precision_learns_too(blocks, dtype):
    (checkpoint,) = pretrain(model.build(TINY, 0), blocks, RUN, (60 * STEP,), dtype=dtype)
    assert checkpoint.losses[-1][1] < checkpoint.losses[0][1]
    assert {parameter.dtype for parameter in checkpoint.model.parameters()} == {torch.float32}


def test_a_step_whose_gradients_overflow_is_skipped_and_halves_the_scale(blocks):
    run = pretraining.new_run(model.build(TINY, 0), RUN, "float16")
    run.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)  # far above what float16 can hold
    before = weights_of(run.model)
    steps = pretraining.train(run, blocks, row_order(50, 60, 8, 0), lambda step: 1e-3, RUN, "float16")
    assert math.isfinite(next(steps)) and run.scaler.get_scale() == 2.0**39
    assert torch.equal(weights_of(run.model), before)
    list(steps)
    assert 1 < run.scaler.get_scale() < 2.0**30
    assert run.step == 60 and not torch.equal(weights_of(run.model), before)


# Nothing lost: rows, masks and the learning rate follow from the step's number, the rest is in the state

BUDGETS = (20 * STEP, 40 * STEP)
LONG_RUN = replace(RUN, strategy="span", warmup=0.05)


def run_to_the_end(blocks, folder=None, dtype="float32", **options) -> list:
    made = pretrain(model.build(TINY, 0), blocks, LONG_RUN, BUDGETS, dtype=dtype, folder=folder, **options)
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


# 15 steps of the trunk, 5 of the first branch, 15 more of the trunk, 10 of the second branch.
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


@pytest.fixture
def one_thread():
    """Sums of floats depend on how many threads share them, and a forked process has one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("seed", range(3))
def test_a_run_that_is_killed_at_random_moments_goes_on_bit_by_bit(one_thread, tmp_path, seed):
    whole = run_to_the_end(counting_rows())
    chance, context = random.Random(seed), multiprocessing.get_context("fork")
    kills = 0
    for _ in range(4):
        process = context.Process(target=train_slowly, args=(tmp_path, 0.01))
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
    endless = replace(LONG_RUN, learning_rate=float("inf"))
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        list(pretrain(model.build(TINY, 0), blocks, endless, BUDGETS, folder=tmp_path))
    assert list(tmp_path.iterdir()) == []
