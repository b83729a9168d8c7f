"""The tiny BERT: its sparse loss, its start, and the classifier that takes over its encoder."""

import math
from dataclasses import replace

import pytest
import torch

from helpers import model
from helpers.settings import ModelSettings
from tests.tiny import random_batch

TINY = ModelSettings(vocabulary_size=50, length=16, hidden_size=8, layers=2, heads=2)


# The loss


def test_the_sparse_loss_and_its_gradients_are_those_of_the_dense_one():
    inputs, positions, labels = random_batch()
    sparse, dense = model.build(TINY, seed=1), model.build(TINY, seed=1)
    ours = model.masked_lm_loss(sparse, inputs, positions, labels)
    theirs = dense(inputs, labels=labels).loss  # logits everywhere, -100 left out by the cross entropy
    # The same sums in another order, in float32: some units in the seventh digit.
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    ours.backward()
    theirs.backward()
    for (name, one), (_, other) in zip(sparse.named_parameters(), dense.named_parameters(), strict=True):
        if other.grad is not None:
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6, msg=name)
    assert sparse.bert.embeddings.word_embeddings.weight.grad.abs().sum() > 0


def test_the_loss_of_a_uniform_guess_is_the_logarithm_of_the_vocabulary():
    bert = model.build(TINY, seed=0)
    with torch.no_grad():
        for parameter in bert.parameters():
            parameter.zero_()
    assert model.masked_lm_loss(bert, *random_batch()).item() == pytest.approx(math.log(50), abs=1e-5)


# The start


def test_the_seed_decides_the_weights_and_the_global_generator_stays():
    before = torch.random.get_rng_state()
    one, same, other = model.build(TINY, 3), model.build(TINY, 3), model.build(TINY, 4)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(99)
    later = model.build(TINY, 3)
    for name, weights in one.state_dict().items():
        assert torch.equal(weights, same.state_dict()[name]) and torch.equal(
            weights, later.state_dict()[name]
        )
    word = "bert.embeddings.word_embeddings.weight"
    assert not torch.equal(one.state_dict()[word], other.state_dict()[word])


def test_sinusoids_are_those_of_the_formula():
    # PE(pos, 2i) = sin(pos / 10000^(2i/d)), PE(pos, 2i + 1) = cos of the same; here sines first.
    made = model.sinusoids(20, 6)
    assert made.shape == (20, 6)
    for place in range(20):
        angles = [place / 10_000 ** (2 * i / 6) for i in range(3)]
        by_hand = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
        assert made[place].tolist() == pytest.approx(by_hand, abs=1e-5)  # float32, angles up to 19


def test_positions_start_from_small_sinusoids_and_are_learnt():
    bert = model.build(replace(TINY, position_scale=0.1), seed=0)
    positions = bert.bert.embeddings.position_embeddings.weight
    torch.testing.assert_close(positions.detach(), 0.1 * model.sinusoids(16, 8))
    model.masked_lm_loss(bert, *random_batch()).backward()
    assert positions.requires_grad and positions.grad.abs().sum() > 0
    noise = model.build(replace(TINY, position_scale=0.0), seed=0).bert.embeddings.position_embeddings.weight
    assert noise.std().item() == pytest.approx(0.05, rel=0.3)  # 128 draws: standard error 6%


def test_keys_start_as_a_copy_of_the_queries_and_part_in_training():
    tied, untied = (model.build(replace(TINY, tied_start=tied), seed=0) for tied in (True, False))
    for layers, equal in ((tied.bert.encoder.layer, True), (untied.bert.encoder.layer, False)):
        for layer in layers:
            attention = layer.attention.self
            assert torch.equal(attention.key.weight, attention.query.weight) is equal
    model.masked_lm_loss(tied, *random_batch()).backward()
    attention = tied.bert.encoder.layer[0].attention.self
    assert attention.key.weight is not attention.query.weight
    assert not torch.equal(attention.key.weight.grad, attention.query.weight.grad)


def test_the_settings_decide_the_shape():
    bert = model.build(replace(TINY, hidden_size=12, layers=3, heads=4, initializer_range=0.2), seed=0)
    config = bert.config
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (12, 3, 4)
    assert (config.intermediate_size, config.max_position_embeddings, config.vocab_size) == (48, 16, 50)
    dense = torch.cat([layer.intermediate.dense.weight.flatten() for layer in bert.bert.encoder.layer])
    assert dense.std().item() == pytest.approx(0.2, rel=0.1)  # 1,728 draws: standard error 1.7%
    inputs, *_ = random_batch()
    assert torch.equal(bert(inputs).logits, bert(inputs).logits)  # in training mode: no dropout


def test_precision():
    ones = torch.ones(2, 2)
    with model.precision("bfloat16"):
        assert (ones @ ones).dtype == torch.bfloat16
    with model.precision("float32"):
        assert (ones @ ones).dtype == torch.float32


# The classifier


def test_the_classifier_takes_a_copy_of_the_encoder():
    pretrained = model.build(TINY, seed=0)
    before = {name: weights.clone() for name, weights in pretrained.state_dict().items()}
    config = pretrained.config.to_dict()
    tags = ["O", "B-PER", "I-PER"]
    classifier = model.token_classifier(pretrained, tags, seed=1, dropout=0.3)
    for name, weights in classifier.bert.state_dict().items():
        assert torch.equal(weights, before[f"bert.{name}"])
    assert classifier.config.id2label == {0: "O", 1: "B-PER", 2: "I-PER"}
    assert classifier.config.label2id == {"O": 0, "B-PER": 1, "I-PER": 2}
    assert classifier.config.hidden_dropout_prob == classifier.config.attention_probs_dropout_prob == 0.3
    assert classifier(random_batch()[0]).logits.shape == (4, 16, 3)
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.add_(1.0)
    assert pretrained.config.to_dict() == config
    for name, weights in pretrained.state_dict().items():
        assert torch.equal(weights, before[name])


def test_the_seed_decides_the_tag_layer():
    pretrained, tags = model.build(TINY, seed=0), ["O", "B-PER", "I-PER"]
    before = torch.random.get_rng_state()
    one, same, other = (
        model.token_classifier(pretrained, tags, seed, 0.1).classifier.weight for seed in (1, 1, 2)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)


# What the machine is, and what its C library grants


class Allocator:
    """A C library that takes thresholds up to a limit."""

    def __init__(self, limit: int):
        self.limit, self.set = limit, {}

    def mallopt(self, parameter: int, value: int) -> int:
        if parameter == model.M_MMAP_THRESHOLD and value > self.limit:
            return 0
        self.set[parameter] = value
        return 1


@pytest.mark.parametrize(
    ("limit", "kept", "threshold"), [(2**40, True, 2**30), (2**25, True, 2**25), (0, False, None)]
)
def test_a_threshold_that_the_c_library_refuses_is_lowered(monkeypatch, limit, kept, threshold):
    allocator = Allocator(limit)
    monkeypatch.setattr(model.platform, "libc_ver", lambda: ("glibc", "2.17"))
    monkeypatch.setattr(model.ctypes, "CDLL", lambda name: allocator)
    assert model.keep_freed_memory() is kept
    assert allocator.set.get(model.M_MMAP_THRESHOLD) == threshold
    assert (model.M_TRIM_THRESHOLD in allocator.set) is kept


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(model.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(model.ctypes, "CDLL", None)  # an error if called
    assert model.keep_freed_memory() is False


def test_a_device_has_a_name_of_its_own(monkeypatch):
    processor = model.device_name()
    assert processor not in ("cpu", "") and torch.backends.cpu.get_cpu_capability() in processor
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA T4")
    assert model.device_name() == "NVIDIA T4" and model.device().type == "cuda"
