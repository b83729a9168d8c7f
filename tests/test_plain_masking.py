"""The plain loops: the notebooks' are word for word theirs, and the authors' do as described."""

import ast
import inspect
import random

import pytest
import torch

from helpers import masking, plain_masking
from tests.notebook_code import bare, defined_by, functions_of

BUILT = {  # by which notebook, and which functions
    "02_token_masking": ("choose_tokens", "corrupt", "make_labels", "mask_tokens"),
    "03_span_masking": (
        "choose_whole_words",
        "draw_span_length",
        "span_weights",
        "stretches",
        "choose_spans",
    ),
}


@pytest.mark.parametrize(("notebook", "name"), [(book, name) for book in BUILT for name in BUILT[book]])
def test_a_loop_of_a_notebook_is_the_notebook_s_own(notebook, name):
    ours = ast.parse(inspect.getsource(getattr(plain_masking, name))).body[0]
    assert [bare(theirs) for theirs in functions_of(notebook)[name]] == [bare(ours)]


@pytest.mark.parametrize("strategy", ["token", "whole_word", "span"])
def test_the_tensors_of_notebook_03_hide_what_mask_hides(strategy):
    """From the same random numbers; each stretch gets its seats from those that all stretches share."""
    choose = defined_by("03_span_masking")["choose"]
    scheme, length = masking.Scheme(strategy), 60
    row = [-1, 0, 0, 0, 1, 2, 3, 3, 4, 5, -1, 6, 7, 7, 8, -1, *range(9, 50), 50, 50, -1]
    word_ids = torch.tensor([row] * 200)
    assert word_ids.shape[1] == length
    keys = masking.draw_keys(200, length, scheme, torch.Generator().manual_seed(3))
    vocabulary = masking.Vocabulary(1000, 4, (0, 1, 2, 3, 4))
    masked = masking.mask_with_keys(torch.full((200, length), 7), word_ids, scheme, vocabulary, keys)
    if strategy == "token":  # each token is a word of its own
        word_ids = torch.where(word_ids >= 0, torch.arange(length), -1)
    numbers, low = keys.units >> masking.BITS, keys.units & (1 << masking.BITS) - 1
    priority = torch.full((200, 250), 1 << 40)
    lengths = torch.ones(200, 250, dtype=torch.long)
    stretch = (word_ids[0] < 0).cumsum(0).tolist()
    for word, number in {
        (word, s) for word, s in zip(word_ids[0].tolist(), stretch, strict=True) if word >= 0
    }:
        if strategy != "span":
            priority[:, word + 9 * number] = numbers[:, word]
            continue
        for place in range(word, word + 10):  # its own candidate and those that can reach it
            seat = place + 9 * (number - 1)
            candidate = numbers[:, place] & ~15 | place & 15
            priority[:, seat] = candidate ^ (low[:, number] & ~15)
            lengths[:, seat] = masking.span_lengths(keys, scheme)[:, place]
    budget = int((masked.labels[0] != -100).sum())
    chosen = choose(word_ids, priority, lengths, budget).sort(1).values
    assert torch.equal(chosen, masked.positions[:, :budget].sort(1).values)


def test_the_room_needs_nothing_but_the_standard_library():
    tree = ast.parse(inspect.getsource(plain_masking))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    named = {
        name for node in imports for name in [getattr(node, "module", None), *(n.name for n in node.names)]
    }
    assert named <= {None, "itertools", "math", "random", "collections.abc", "Sequence"}


def test_spans_that_overlap_or_touch_are_merged():
    assert plain_masking.merged([[7, 8], [2, 3], [3, 4], [5], [12]]) == [[2, 3, 4, 5], [7, 8], [12]]


def test_a_row_of_spanbert_shares_its_fate_within_a_merged_span():
    ids, words = list(range(100, 160)), list(range(60))
    shown = set()
    for seed in range(200):
        seen, labels = plain_masking.spanbert_row(ids, words, 0.15, 0.2, 10, 4, [7, 8], random.Random(seed))
        positions = [place for place, label in enumerate(labels) if label != -100]
        assert len(positions) == 9 and all(labels[place] == ids[place] for place in positions)
        assert all(seen[place] == ids[place] for place in range(60) if place not in positions)
        for span in plain_masking.merged([positions]):
            kinds = {{4: "mask", 7: "random", 8: "random"}.get(seen[place], "kept") for place in span}
            assert len(kinds) == 1
            shown |= kinds
    assert shown == {"mask", "random", "kept"}


def test_a_row_of_google_s_hides_whole_words_within_the_budget():
    words = [-1, *(word for word in range(20) for _ in range(1 + word % 3)), -1]
    ids = list(range(100, 100 + len(words)))
    budget = round(0.15 * len(words))
    for seed in range(200):
        seen, labels = plain_masking.google_row(ids, words, 0.15, 4, 50, random.Random(seed))
        positions = [place for place, label in enumerate(labels) if label != -100]
        hidden = {words[place] for place in positions}
        assert positions == [place for place, word in enumerate(words) if word in hidden]
        assert budget - 2 <= len(positions) <= budget and -1 not in hidden
        assert all(seen[place] == 4 or seen[place] < 50 or seen[place] == ids[place] for place in positions)
        assert all(seen[place] == ids[place] for place in range(len(ids)) if place not in positions)
