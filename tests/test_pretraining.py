"""Pre-training: the learning rate, the order of rows, and a loop that is the plain one, only faster."""

import math
from dataclasses import replace

import pytest
import torch

from helpers import masking, model, pretraining
from helpers.masking import Scheme, Vocabulary
from helpers.pretraining import Training, learning_rate, row_order, train
from helpers.settings import ModelSettings, PretrainingSettings
from helpers.tokenization import Blocks
from tests.tiny import RECIPE, TINY, VOCABULARY, weights_of


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
    settings = replace(RECIPE, short_rows=((100, 4), (300, 8)))
    assert [pretraining.row_length(tokens, settings, 16) for tokens in (0, 99, 100, 299, 300, 9_999)] == [
        *(4, 4, 8, 8, 16, 16)
    ]
    assert pretraining.row_length(0, RECIPE, 16) == 16
    row = torch.arange(16)[None] + 100
    assert pretraining.cut(row, 8).tolist() == [
        [100, 101, 102, 103, 104, 105, 106, 107],
        [100, 109, 110, 111, 112, 113, 114, 115],
    ]
    two = pretraining.cut(blocks.input_ids[:2], 4)
    assert two.shape == (8, 4) and two[:, 0].eq(2).all()
    assert torch.equal(two[[1, 5], 1:], blocks.input_ids[:2, 5:8])
    assert torch.equal(pretraining.cut(blocks.word_ids[:2], 16), blocks.word_ids[:2])


def test_the_first_50_losses_are_those_of_a_plain_loop_with_dense_logits():
    """Two layers of 32, 300 wordpieces, rows of 32 tokens; same seeds, same masks, float32."""
    shape = ModelSettings(vocabulary_size=300, length=32, hidden_size=32)
    settings = replace(RECIPE, strategy="span", learning_rate=1e-3)
    input_ids = torch.randint(5, 300, (64, 32), generator=torch.Generator().manual_seed(1))
    word_ids = torch.arange(32).expand(64, 32).contiguous()
    training = Training.start(model.build(shape, 0), settings, "float32")
    order = row_order(64, 50, 8, settings.seed)
    rows = Blocks(input_ids, word_ids)
    steps = train(training, rows, order, Vocabulary(300, 4, (0, 1, 2, 3, 4)), settings, lambda step: 1e-3)
    ours = [loss.item() for loss in steps]

    bert, generator = model.build(shape, 0), torch.Generator()
    optimizer = torch.optim.AdamW(bert.parameters(), lr=1e-3, weight_decay=settings.weight_decay, fused=False)
    scheme, vocabulary = Scheme("span"), Vocabulary(300, 4, (0, 1, 2, 3, 4))
    plain = []
    for step in range(50):
        generator.manual_seed(settings.seed * 1_000_003 + step)
        chosen = order[step]
        masked = masking.mask(input_ids[chosen], word_ids[chosen], scheme, vocabulary, generator)
        loss = bert(masked.inputs, labels=masked.labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        plain.append(loss.item())
    assert plain[-1] < plain[0]
    assert ours == pytest.approx(plain, abs=1e-3)


def test_a_step_whose_gradients_overflow_is_skipped_and_halves_the_scale(blocks):
    training = Training.start(model.build(TINY, 0), RECIPE, "float16")
    training.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)  # far above what float16 can hold
    before = weights_of(training.model)
    order, rate = row_order(50, 60, 8, 0), lambda step: 1e-3
    steps = train(training, blocks, order, VOCABULARY, RECIPE, rate, "float16")
    assert math.isfinite(next(steps)) and training.scaler.get_scale() == 2.0**39
    assert torch.equal(weights_of(training.model), before)
    list(steps)
    assert 1 < training.scaler.get_scale() < 2.0**30
    assert training.step == 60 and not torch.equal(weights_of(training.model), before)
