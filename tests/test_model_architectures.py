"""Any masked LM of the library: the same loss and tags as its own forward pass, from fewer logits."""

import pytest
import torch

from helpers import finetuning, model
from helpers.settings import FinetuningSettings
from helpers.tokenization import Windows
from tests.tiny import random_batch
from tests.tiny_architectures import ARCHITECTURES, masked_lm


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_sparse_loss_and_its_gradients_are_the_library_s(name):
    inputs, positions, labels = random_batch(vocabulary=60)
    sparse, dense = masked_lm(name).eval(), masked_lm(name).eval()
    ours = model.masked_lm_loss(sparse, inputs, positions, labels)
    theirs = dense(inputs, attention_mask=torch.ones_like(inputs), labels=labels).loss
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)
    ours.backward()
    theirs.backward()
    compared = 0
    for (parameter, one), (_, other) in zip(sparse.named_parameters(), dense.named_parameters(), strict=True):
        if other.grad is not None and one.grad is not None:
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-6, msg=parameter)
            compared += bool(other.grad.abs().sum() > 0)
    assert compared > 10


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_head_sees_the_positions_that_count_and_no_others(name):
    inputs, positions, _ = random_batch(vocabulary=60)
    bert = masked_lm(name).eval()
    assert model.logits_at(bert, inputs, positions).shape == (*positions.shape, 60)
    full = bert(inputs, attention_mask=torch.ones_like(inputs)).logits  # the hook is gone again
    assert full.shape == (*inputs.shape, 60)
    some = full.gather(1, positions[:, :, None].expand(-1, -1, 60))
    torch.testing.assert_close(model.logits_at(bert, inputs, positions), some, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_tagger_takes_over_the_encoder_and_learns(name):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(5, 60, (12, 10), generator=generator)
    mask = torch.ones_like(inputs)
    mask[::2, 7:] = 0  # padding
    words = torch.arange(10).repeat(12, 1).where(mask == 1, -1)
    labels = (inputs % 3 == 0).long().where(mask == 1, -100)
    sentence = torch.arange(12)[:, None].expand(-1, 10).where(mask == 1, -1)
    windows = Windows(inputs.where(mask == 1, 0), mask, labels, sentence, words)
    bert = masked_lm(name)
    recipe = FinetuningSettings(steps=80, batch_size=6, learning_rate=1e-2)
    tagger = finetuning.finetune(bert, windows, ["O", "B-X"], recipe)
    assert tagger.config.id2label == {0: "O", 1: "B-X"}
    predicted = finetuning.predict(tagger, windows)
    plain = tagger(windows.input_ids, attention_mask=mask).logits.argmax(-1)
    scored = labels >= 0
    assert torch.equal(predicted[scored], plain[scored])
    assert (predicted[scored] == labels[scored]).float().mean() > 0.8
    fresh = model.token_classifier(bert, ["O", "B-X"], seed=0, dropout=0.1)
    for (_, one), (_, other) in zip(
        fresh.base_model.state_dict().items(), bert.base_model.state_dict().items(), strict=True
    ):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_dropout_is_what_it_was_set_to_everywhere(name):
    tagger = model.token_classifier(masked_lm(name), ["O"], seed=0, dropout=0.25)
    found = {module.p for module in tagger.modules() if isinstance(module, torch.nn.Dropout)}
    assert found <= {0.25} and found
