"""Pre-training: the learning rate, the order of rows, and a loop that is the plain one, only faster."""

import math
from dataclasses import replace

import pytest
import torch

from helpers import boundary, masking, model, pretraining
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


def seen(monkeypatch, blocks, recipe, bert) -> list[tuple[torch.Tensor, ...]]:
    """What `mask` is given and gives at each of 30 steps: rows, hidden tokens, and the mention ids if any."""
    steps, real = [], pretraining.mask

    def spy(input_ids, word_ids, scheme, vocabulary, generator, mention_ids=None):
        masked = real(input_ids, word_ids, scheme, vocabulary, generator, mention_ids)
        steps.append((input_ids.clone(), masked.labels != masking.IGNORED, mention_ids))
        return masked

    with monkeypatch.context() as patch:
        patch.setattr(pretraining, "mask", spy)
        order = row_order(len(blocks.input_ids), 30, recipe.batch_size, recipe.seed)
        losses = train(
            Training.start(bert, recipe, "float32"), blocks, order, VOCABULARY, recipe, lambda _: 1e-3
        )
        assert len(list(losses)) == 30
    return steps


def test_the_arms_of_a_replicate_are_paired(monkeypatch, blocks):
    """The same weights at the start, the same rows in each step, as many hidden tokens in each row."""
    short_rows = replace(RECIPE, short_rows=((10 * 8 * 16, 4), (20 * 8 * 16, 8)))
    two_tokens_a_word = Blocks(blocks.input_ids, blocks.word_ids.div(2, rounding_mode="floor"))
    starts, arms = [], []
    for strategy, with_head in (("token", False), ("whole_word", False), ("span", False), ("span", True)):
        bert = model.build(TINY, RECIPE.seed)
        if with_head:
            boundary.add_head(bert, RECIPE.seed)
        starts.append({name: weight.clone() for name, weight in boundary.weights_without_head(bert).items()})
        recipe = replace(short_rows, strategy=strategy, boundary=with_head)
        arms.append(seen(monkeypatch, two_tokens_a_word, recipe, bert))
    for other in starts[1:]:
        assert other.keys() == starts[0].keys()
        assert all(torch.equal(weight, other[name]) for name, weight in starts[0].items())
    for steps in zip(*arms, strict=True):
        rows, hidden, _ = zip(*steps, strict=True)
        assert all(torch.equal(rows[0], other) for other in rows[1:])
        assert all(torch.equal(hidden[0].sum(1), other.sum(1)) for other in hidden[1:])
        assert torch.equal(hidden[2], hidden[3])  # the second objective hides the same tokens
    assert not torch.equal(hidden[0], hidden[1]) and not torch.equal(hidden[1], hidden[2])


def test_the_oracle_hides_about_half_the_budget_on_mentions(monkeypatch):
    """Rows of 32 with a mention of one, two or three words after every three others."""
    lengths, of_row = (1, 2, 3, 1, 2), [-1]
    for number in range(30):
        of_row += [-1] * 3 + [number] * lengths[number % 5]
    mention_ids = torch.tensor(of_row[:32]).expand(40, 32).int().contiguous()
    input_ids = torch.randint(5, 30, (40, 32), generator=torch.Generator().manual_seed(0))
    input_ids[:, 0] = 2
    word_ids = torch.arange(-1, 31).expand(40, 32).contiguous()
    rows = Blocks(input_ids, word_ids, mention_ids)
    recipe = replace(RECIPE, strategy="mentions", short_rows=((10 * 8 * 32, 16),), mask_rate=0.3)
    shape = replace(TINY, length=32)
    steps = seen(monkeypatch, rows, recipe, model.build(shape, 0))
    assert [tuple(mentions.shape) for _, _, mentions in steps] == [(16, 16)] * 10 + [(8, 32)] * 20
    assert all((mentions[:, 0] == -1).all() for _, _, mentions in steps)
    assert all(torch.equal(mentions[0], mention_ids[0]) for _, _, mentions in steps[10:])

    def on_whole_mentions(steps) -> float:
        whole = tokens = 0
        for _, hidden, mentions in steps:
            tokens += int(hidden.sum())
            for number in range(30):
                of_it = mentions == number
                whole += int((hidden & of_it)[(hidden | ~of_it).all(1)].sum())
        return whole / tokens

    spans = seen(monkeypatch, rows, replace(recipe, strategy="span"), model.build(shape, 0))
    assert 0.4 < on_whole_mentions(steps) < 0.65  # some of the spans cover a mention as well
    assert on_whole_mentions(spans) < on_whole_mentions(steps) - 0.1
    with pytest.raises(ValueError, match="needs mention_ids"):
        seen(monkeypatch, Blocks(input_ids, word_ids), recipe, model.build(shape, 0))


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
