"""The span boundary objective: what stands around a run, the head, the loss, and notebook 08's own."""

import ast
import inspect
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from helpers import boundary, masking, model
from helpers.masking import Scheme
from helpers.running.resume import pretrain
from tests.notebook_code import bare, defined_by, functions_of
from tests.tiny import RECIPE, STEP, TINY, VOCABULARY, weights_of

SPANS = replace(RECIPE, strategy="span", boundary=True)
NOTEBOOK = "08_the_boundary_objective"


def with_head(seed: int = 0):
    return boundary.add_head(model.build(TINY, seed), seed)


@pytest.mark.parametrize(
    ("row", "left", "right", "place"),
    [
        ("..##.#", [0, 0, 1, 1, 0, 4], [0, 0, 4, 4, 0, 0], [0, 0, 1, 2, 0, 1]),  # the last one ends the row
        (".#####", [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 1, 2, 3, 4, 5]),
        (".#.#..", [0, 0, 0, 2, 0, 0], [0, 2, 0, 4, 0, 0], [0, 1, 0, 1, 0, 0]),
        ("...###", [0, 0, 0, 2, 2, 2], [0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 2, 3]),
        ("......", [0] * 6, [0] * 6, [0] * 6),
    ],
)
def test_what_stands_around_a_run(row, left, right, place):
    hidden = torch.tensor([[sign == "#" for sign in row], [False] * len(row)])
    found = boundary.neighbours(hidden)
    assert [tensor[0].tolist() for tensor in found] == [left, right, place]
    assert not torch.stack(found)[:, 1].any()


def plain_loss(bert, inputs, labels) -> torch.Tensor:
    """Run after run, token after token, with the states that the whole model gives everywhere."""
    states, head = bert.bert(inputs).last_hidden_state, bert.boundary
    first, _, first_norm, second, _, second_norm = head.layers
    by_boundary, by_itself = [], []
    for row in range(len(inputs)):
        column, length = 0, inputs.shape[1]
        while column < length:
            start = column
            while column < length and labels[row, column] != -100:
                column += 1
            for at in range(start, column):
                right = states[row, column] if column < length else states[row, 0]
                around = torch.cat([states[row, start - 1], right, head.places.weight[at - start + 1]])
                for linear, norm in ((first, first_norm), (second, second_norm)):
                    around = functional.gelu(linear.weight @ around + linear.bias)
                    around = functional.layer_norm(around, (16,), norm.weight, norm.bias, 1e-12)
                scores = bert.bert.embeddings.word_embeddings.weight @ around + head.bias
                by_boundary.append(-scores.log_softmax(0)[labels[row, at]])
                by_itself.append(-bert.cls(states[row, at]).log_softmax(0)[labels[row, at]])
            column += column == start
    return torch.stack(by_itself).mean() + torch.stack(by_boundary).mean()


@pytest.mark.parametrize("strategy", ["token", "whole_word", "span"])
@pytest.mark.parametrize("keep_whole", [False, True])  # True leaves slots unused
def test_the_loss_is_that_of_a_plain_loop(blocks, strategy, keep_whole):
    bert, scheme = with_head(), Scheme(strategy, mask_rate=0.4, keep_whole=keep_whole)
    with torch.no_grad():
        bert.boundary.bias.normal_()
        for parameter in bert.boundary.layers.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    rows = blocks.input_ids[:20]
    two_tokens_a_word = blocks.word_ids[:20].div(2, rounding_mode="floor")
    generator = torch.Generator().manual_seed(1)
    batch = masking.mask(rows, two_tokens_a_word, scheme, VOCABULARY, generator)
    hidden = batch.labels != -100
    assert hidden[:, -1].any() and (hidden[:, 1:] & hidden[:, :-1]).any()  # runs that end with their row
    if keep_whole and strategy != "token":
        assert len(hidden.sum(1).unique()) > 1
    ours = boundary.loss(bert, batch.inputs, batch.positions, batch.labels)
    plain = plain_loss(bert, batch.inputs, batch.labels)
    torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)
    parameters = list(bert.parameters())
    for own, expected in zip(
        torch.autograd.grad(ours, parameters), torch.autograd.grad(plain, parameters), strict=True
    ):
        torch.testing.assert_close(own, expected, atol=1e-5, rtol=1e-4)


def test_the_head_leaves_the_weights_and_the_random_numbers_as_they_are():
    before, state = model.build(TINY, 3), torch.get_rng_state()
    bert = with_head(3)
    assert torch.equal(torch.get_rng_state(), state)
    own = boundary.weights_without_head(bert)
    assert own.keys() == before.state_dict().keys() and len(bert.state_dict()) > len(own)
    assert all(torch.equal(own[name], weight) for name, weight in before.state_dict().items())
    one, same, other = (weights_of(with_head(seed).boundary) for seed in (3, 3, 4))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert one.std() < 1 and bert.boundary.layers[0].weight.std().item() == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradients_reach_the_head_and_the_embeddings(blocks, dtype):
    bert = with_head()
    batch = masking.mask(
        blocks.input_ids[:8], blocks.word_ids[:8], Scheme("span"), VOCABULARY, torch.Generator()
    )
    with model.precision(dtype):
        loss = boundary.loss(bert, batch.inputs, batch.positions, batch.labels)
        alone = model.masked_lm_loss(bert, batch.inputs, batch.positions, batch.labels)
    (loss - alone).backward()  # the boundary's share
    assert loss.dtype == torch.float32
    assert all(parameter.grad.abs().sum() > 0 for parameter in bert.boundary.parameters())
    assert bert.bert.embeddings.word_embeddings.weight.grad.abs().sum() > 0
    assert bert.bert.encoder.layer[0].attention.self.value.weight.grad.abs().sum() > 0


def test_training_with_it_lowers_both_losses(blocks):
    """Rows count upwards, so what stands before a run and a place in it tell every token."""
    (checkpoint,) = pretrain(with_head(), blocks, VOCABULARY, SPANS, (400 * STEP,))
    losses = [loss for _, loss in checkpoint.losses]
    assert losses[0] > 6 and losses[-1] < 0.8 * losses[0]  # two losses of ln 30 = 3.4 each

    def by_boundary(bert) -> float:
        generator = torch.Generator().manual_seed(9)
        batch = masking.mask(blocks.input_ids, blocks.word_ids, Scheme("span"), VOCABULARY, generator)
        arguments = (batch.inputs, batch.positions, batch.labels)
        return (boundary.loss(bert, *arguments) - model.masked_lm_loss(bert, *arguments)).item()

    assert by_boundary(checkpoint.model) < 0.8 * by_boundary(with_head())
    assert not torch.equal(weights_of(checkpoint.model.boundary), weights_of(with_head().boundary))


@pytest.mark.parametrize(
    "stop_after", [3, 7, 8, 9]
)  # eight steps, and two over which the smaller budget cools
def test_an_interrupted_training_goes_on_bit_by_bit(blocks, tmp_path, stop_after):
    budgets, ticks = (4 * STEP, 8 * STEP), []

    def stop(_):
        ticks.append(1)
        if len(ticks) == stop_after:
            raise KeyboardInterrupt

    whole = list(pretrain(with_head(), blocks, VOCABULARY, SPANS, budgets))
    with pytest.raises(KeyboardInterrupt):
        list(pretrain(with_head(), blocks, VOCABULARY, SPANS, budgets, folder=tmp_path, progress=stop))
    left = []
    again = pretrain(with_head(), blocks, VOCABULARY, SPANS, budgets, folder=tmp_path, progress=left.append)
    for one, other in zip(whole, again, strict=True):
        assert torch.equal(weights_of(one.model), weights_of(other.model)) and one.losses == other.losses
        assert one.model.boundary is not other.model.boundary
    assert len(left) == 9 - stop_after


# Notebook 08 builds all of it anew


@pytest.mark.parametrize("function", [masking.run_starts, boundary.neighbours])
def test_what_the_notebook_computes_at_once_is_word_for_word_ours(function):
    ours = ast.parse(inspect.getsource(function)).body[0]
    assert [bare(theirs) for theirs in functions_of(NOTEBOOK)[function.__name__]] == [bare(ours)]


def test_the_loop_of_the_notebook_finds_the_same_neighbours():
    hidden = torch.rand(200, 24, generator=torch.Generator().manual_seed(0)) < 0.4
    hidden[:, 0] = False
    by_loop = [defined_by(NOTEBOOK)["neighbours_by_loop"](row) for row in hidden.tolist()]
    for ours, looped in zip(boundary.neighbours(hidden), zip(*by_loop, strict=True), strict=True):
        assert ours.tolist() == list(looped)


def test_head_and_losses_of_the_notebook_give_our_loss(blocks):
    theirs, bert = defined_by(NOTEBOOK), with_head()
    with torch.no_grad():
        for parameter in bert.boundary.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    head = theirs["Head"](bert.config)
    head.load_state_dict(bert.boundary.state_dict())
    generator = torch.Generator().manual_seed(1)
    batch = masking.mask(
        blocks.input_ids, blocks.word_ids, Scheme("span", mask_rate=0.4), VOCABULARY, generator
    )
    states = bert.bert(batch.inputs).last_hidden_state
    found = theirs["masked_lm_loss"](bert, states, batch), theirs["boundary_loss"](bert, head, states, batch)
    ours = boundary.loss(bert, batch.inputs, batch.positions, batch.labels)
    torch.testing.assert_close(sum(found), ours, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        found[0], model.masked_lm_loss(bert, batch.inputs, batch.positions, batch.labels)
    )
