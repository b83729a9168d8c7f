"""Masking on rows of every shape: what is hidden, what the model sees, errors, counts.

Distributions are in `test_masking_distributions.py`, other people's samplers in
`test_masking_against_others.py`.
"""

import random
from collections import defaultdict
from dataclasses import replace
from itertools import groupby
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._dynamo.testing import CompileCounter
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from helpers.masking import (
    IGNORED,
    STRATEGIES,
    Keys,
    Masked,
    Scheme,
    Vocabulary,
    budget,
    draw_keys,
    mask,
    mask_with_keys,
    run_starts,
    slots,
    span_lengths,
    statistics,
)
from tests.masking_rows import MASK, VOCABULARY, batch, generator, masked

# Special ids at both ends and in the middle; [MASK] is special even where `special_ids` does not name it.
SMALL = Vocabulary(40, mask_token_id=17, special_ids=(0, 5, 39))
ORDINARY = [token_id for token_id in range(40) if token_id not in (0, 5, 17, 39)]
MIXES = [(0.8, 0.1, 0.1), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.6, 0.3, 0.1)]


class Case(NamedTuple):
    """A batch and a scheme, as hypothesis draws them."""

    input_ids: torch.Tensor
    word_ids: torch.Tensor
    mention_ids: torch.Tensor
    scheme: Scheme
    seed: int

    def mask(self, **options) -> Masked:
        scheme = replace(self.scheme, **options)
        return mask(self.input_ids, self.word_ids, scheme, SMALL, generator(self.seed), self.mention_ids)

    def random_numbers(self) -> Keys:
        return draw_keys(*self.input_ids.shape, self.scheme, generator(self.seed))


def random_row(sizes: list[int], length: int, numbering: str, rng: random.Random) -> list[list[int]]:
    """Ids, word ids and mention ids of a row; sizes are pieces of words, 0 is a special token.

    Numbering: word ids "go on" behind a special token, "begin again" or are the "same" as before it. Some
    numbers are left out. Mentions are runs of words, and two may touch.
    """
    ids, word_ids, mention_ids = [], [], []
    word, mention, inside = rng.randrange(3), 0, False
    for size in sizes:
        if size == 0:
            ids.append(rng.choice([0, 5]))
            word_ids.append(-1)
            mention_ids.append(-1)
            inside = False
            word = {"go on": word, "begin again": 0, "same": max(0, word - 1)}[numbering]
            continue
        starts = rng.random() < 0.3
        inside = starts or (inside and rng.random() < 0.5)
        mention += starts
        ids += [rng.choice(ORDINARY) for _ in range(size)]
        word_ids += [word] * size
        mention_ids += [mention if inside else -1] * size
        word += 1 if rng.random() < 0.8 or numbering == "same" else 2
    for values, filler in ((ids, 0), (word_ids, -1), (mention_ids, -1)):
        values[:] = (values + [filler] * length)[:length]
    if max(word_ids) < 0:  # every row needs a word
        ids[0], word_ids[0] = ORDINARY[0], 0
    return [ids, word_ids, mention_ids]


@st.composite
def cases(draw, **fixed) -> Case:
    length = draw(st.integers(1, 48))
    rng = random.Random(draw(st.integers(0, 2**32)))
    rows = [
        random_row(
            draw(st.lists(st.integers(0, 5), min_size=1, max_size=length)),
            length,
            draw(st.sampled_from(["go on", "begin again", "same"])),
            rng,
        )
        for _ in range(draw(st.integers(1, 3)))
    ]
    options = {
        "strategy": draw(st.sampled_from(STRATEGIES)),
        "mask_rate": draw(st.sampled_from([0.01, 0.15, 0.25, 0.5, 0.8, 0.99]) | st.floats(0.01, 0.99)),
        "p": draw(st.sampled_from([0.05, 0.2, 0.5]) | st.floats(0.01, 0.99)),
        "longest": draw(st.integers(1, 12)),
        "edges": draw(st.sampled_from(["before", "inside"])),
        "keep_whole": draw(st.booleans()),
        "corruption": draw(st.sampled_from(MIXES)),
        "corrupt_per": draw(st.sampled_from(["token", "run"])),
    }
    dtype = draw(st.sampled_from([torch.int32, torch.int64]))
    input_ids, word_ids, mention_ids = torch.tensor(rows).to(dtype).unbind(1)
    return Case(input_ids, word_ids, mention_ids, Scheme(**{**options, **fixed}), draw(st.integers(0, 999)))


def plain_budget(word_ids: list[int], mask_rate: float) -> int:
    return max(1, round(mask_rate * sum(word >= 0 for word in word_ids)))


def plain_stretches(word_ids: list[int]) -> list[list[list[int]]]:
    """The positions of a row by stretch of text between special tokens, and in it by word."""
    return [
        [list(word) for _, word in groupby(places, key=lambda place: word_ids[place])]
        for special, places in groupby(range(len(word_ids)), key=lambda place: word_ids[place] < 0)
        if not special
    ]


def by_value(values: list[int]) -> dict[int, list[int]]:
    """The positions of each value; those of -1 are left out."""
    places = defaultdict(list)
    for place, value in enumerate(values):
        if value != -1:
            places[value].append(place)
    return dict(places)


def partly(groups, hidden: set[int]) -> list:
    """Those groups of positions of which a part is hidden and a part is not."""
    return [group for group in groups if 0 < len(hidden & set(group)) < len(group)]


def hidden_places(result: Masked) -> list[set[int]]:
    return [
        {place for place, hidden in enumerate(row) if hidden} for row in (result.labels != IGNORED).tolist()
    ]


# What is hidden


@settings(max_examples=200)
@given(cases(keep_whole=False))
def test_every_row_hides_exactly_its_budget(case):
    budgets = [plain_budget(words, case.scheme.mask_rate) for words in case.word_ids.tolist()]
    assert [len(places) for places in hidden_places(case.mask())] == budgets


def test_the_budget_rounds_as_python_does_and_never_exceeds_the_slots():
    # Halves come up, such as 0.15 of 190; float32 would round some of them the other way.
    can_hide = torch.ones(1_000, 1_000).tril().bool()  # rows of 1, 2, … 1,000 tokens of text
    for rate in (0.15, 0.05, 0.35, 0.5, 0.001, 0.999):
        expected = [max(1, round(rate * tokens)) for tokens in range(1, 1_001)]
        assert budget(can_hide, rate).tolist() == expected
        assert [slots(length, rate) for length in range(1, 1_001)] == expected


@settings(max_examples=150)
@given(cases())
def test_only_hidden_tokens_change_and_labels_keep_what_they_were(case):
    before = [tensor.clone() for tensor in case[:3]]
    result = case.mask()
    hidden = result.labels != IGNORED
    assert all(torch.equal(tensor, old) for tensor, old in zip(case[:3], before, strict=True))
    assert not hidden[case.word_ids < 0].any()  # special tokens and padding
    assert torch.equal(result.inputs[~hidden], case.input_ids[~hidden])
    assert torch.equal(result.labels[hidden], case.input_ids[hidden].long())
    assert result.inputs.dtype == case.input_ids.dtype
    assert result.labels.dtype == torch.int64  # what cross entropy takes; -100 has no place in fewer bits
    special_ids = torch.tensor([0, 5, 39], dtype=case.input_ids.dtype)
    assert not torch.isin(result.inputs[hidden], special_ids).any()  # the text itself holds none of these


@settings(max_examples=150)
@given(cases())
def test_positions_are_all_different_and_their_labels_are_those_of_the_hidden_tokens(case):
    result = case.mask()
    width = max(1, round(case.scheme.mask_rate * case.input_ids.shape[1]))
    assert result.positions.shape == (len(case.input_ids), width)
    assert slots(case.input_ids.shape[1], case.scheme.mask_rate) == width
    labels = result.labels.gather(1, result.positions)  # [rows, slots]
    used = labels != IGNORED
    for places, hidden, use in zip(
        result.positions.tolist(), hidden_places(result), used.tolist(), strict=True
    ):
        assert len(set(places)) == len(places)
        assert {place for place, is_used in zip(places, use, strict=True) if is_used} == hidden
    if not case.scheme.keep_whole:  # then the used slots come first
        assert (used.long().diff(dim=1) <= 0).all()


@settings(max_examples=200)
@given(cases(keep_whole=False))
def test_no_unit_is_torn_but_the_one_that_the_budget_cuts_and_it_keeps_its_beginning(case):
    result = case.mask()
    for words, units, positions, hidden in zip(
        case.word_ids.tolist(),
        result.units.tolist(),
        result.positions.tolist(),
        hidden_places(result),
        strict=True,
    ):
        groups = by_value(units)
        assert [unit == -1 for unit in units] == [word < 0 for word in words]
        cut = partly(groups.values(), hidden)
        assert len(cut) <= 1
        order = positions[: len(hidden)]  # the order of drawing: unit by unit, each from left to right
        for _, drawn in groupby(order, key=lambda place: units[place]):
            drawn = list(drawn)
            group = groups[units[drawn[0]]]
            assert drawn == group[: len(drawn)]
            assert len(drawn) == len(group) or drawn[-1] == order[-1]


@settings(max_examples=200)
@given(cases())
def test_units_are_tokens_words_or_spans_of_words_within_one_stretch_of_text(case):
    longest = case.scheme.longest
    for words, units in zip(case.word_ids.tolist(), case.mask().units.tolist(), strict=True):
        groups = by_value(units).values()
        stretches = plain_stretches(words)
        all_words = [word for stretch in stretches for word in stretch]
        if case.scheme.strategy == "token":
            assert all(len(group) == 1 for group in groups)
        elif case.scheme.strategy == "whole_word":
            assert sorted(groups) == all_words
        else:
            number = {place: index for index, word in enumerate(all_words) for place in word}
            for word in all_words:
                assert len({units[place] for place in word}) == 1
            for stretch in stretches:
                # A unit is no part of two stretches, and its words lie within one span of `longest`.
                inside = {units[place] for word in stretch for place in word}
                outside = {units[place] for word in all_words if word not in stretch for place in word}
                assert not inside & outside
            if case.scheme.strategy == "span":
                assert all(number[group[-1]] - number[group[0]] < longest for group in groups)


@settings(max_examples=150)
@given(cases(keep_whole=False))
def test_keep_whole_hides_the_same_tokens_but_those_of_the_cut_word(case):
    cut, whole = case.mask(), case.mask(keep_whole=True)
    for words, all_hidden, kept in zip(
        case.word_ids.tolist(), hidden_places(cut), hidden_places(whole), strict=True
    ):
        torn = partly([word for stretch in plain_stretches(words) for word in stretch], all_hidden)
        if case.scheme.strategy == "token":  # its units are tokens: no word is kept whole
            torn = []
        assert kept == all_hidden - {place for word in torn for place in word}
    assert torch.equal(cut.positions, whole.positions)
    assert torch.equal(cut.units, whole.units)


@settings(max_examples=200)
@given(cases(strategy="mentions", keep_whole=False))
def test_mentions_that_are_taken_are_hidden_whole_and_come_first(case):
    result = case.mask()
    for mentions, units, positions, hidden in zip(
        case.mention_ids.tolist(),
        result.units.tolist(),
        result.positions.tolist(),
        hidden_places(result),
        strict=True,
    ):
        of_mention = by_value(mentions)
        # A mention that was taken is a unit of its own, with a number below those of all spans.
        taken = {unit: group for unit, group in by_value(units).items() if unit < -1}
        assert all(group in of_mention.values() for group in taken.values())
        assert all(hidden.issuperset(group) for group in taken.values())
        tokens = sum(map(len, taken.values()))
        assert {place for group in taken.values() for place in group} == set(positions[:tokens])
        # The middle of the last one lies within half the budget; of those left, the next one's did not.
        if taken:
            last = len(taken[units[positions[tokens - 1]]])
            assert 2 * (tokens - last) + last < len(hidden)
        left = [len(group) for group in of_mention.values() if group not in taken.values()]
        assert not left or 2 * tokens + max(left) >= len(hidden)


# What the model sees


@settings(max_examples=60)
@given(cases())
def test_each_pure_mix_shows_what_it_says(case):
    hidden = case.mask().labels != IGNORED
    shown = {mix: case.mask(corruption=mix).inputs[hidden] for mix in MIXES[1:4]}
    assert (shown[1.0, 0.0, 0.0] == 17).all()
    assert torch.equal(shown[0.0, 0.0, 1.0], case.input_ids[hidden])
    assert set(shown[0.0, 1.0, 0.0].tolist()) <= set(ORDINARY)


@settings(max_examples=100)
@given(cases(corrupt_per="run", corruption=(0.5, 0.0, 0.5)))
def test_per_run_all_hidden_neighbours_show_the_mask_token_or_none(case):
    for shown, hidden in zip(case.mask().inputs.tolist(), hidden_places(case.mask()), strict=True):
        fates = [shown[place] == 17 if place in hidden else None for place in range(len(shown))]
        for is_hidden, run in groupby(fates, key=lambda fate: fate is not None):
            assert not is_hidden or len(set(run)) == 1


def test_per_run_a_fate_ends_at_a_special_token_and_per_token_neighbours_differ():
    # "11S11" with 3 of 4 hidden: at least one run of two on one side, and a run beside the special token.
    input_ids, word_ids = batch("11S11", copies=2_000)
    half = {"mask_rate": 0.99, "corruption": (0.5, 0.0, 0.5)}
    for strategy in ("token", "span"):
        per_run = masked(input_ids, word_ids, Scheme(strategy, corrupt_per="run", **half)).inputs == 4
        per_token = masked(input_ids, word_ids, Scheme(strategy, corrupt_per="token", **half)).inputs == 4
        same = per_run[:, [0, 1]].eq(per_run[:, [1, 3]]).float().mean(0)
        # Standard error 0.011 of a half.
        assert same.tolist() == [1.0, pytest.approx(0.5, abs=0.05)]
        assert per_token[:, 0].eq(per_token[:, 1]).float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_in_a_run_replaced_tokens_differ_from_each_other():
    input_ids, word_ids = batch("C" + "1" * 40, copies=50)
    scheme = Scheme(mask_rate=0.5, corruption=(0.0, 1.0, 0.0), corrupt_per="run")
    result = masked(input_ids, word_ids, scheme)
    both = (result.labels[:, 1:] != IGNORED) & (result.labels[:, :-1] != IGNORED)
    equal = result.inputs[:, 1:].eq(result.inputs[:, :-1])[both].float().mean().item()
    assert equal < 0.02  # by chance 1 in 995; about 800 pairs


def test_run_starts_are_where_a_run_begins():
    hidden = torch.tensor([[1, 1, 0, 1, 0, 1, 1, 1], [0, 1, 1, 1, 1, 0, 0, 1]], dtype=torch.bool)
    starts = [[0, 0, 3, 5, 5, 5], [1, 1, 1, 1, 7]]
    assert [
        row[is_hidden].tolist() for row, is_hidden in zip(run_starts(hidden), hidden, strict=True)
    ] == starts


# The same numbers, step by step


def plain_row(ids, word_ids, mention_ids, scheme, units, lengths, slot_keys):
    """One row of `mask_with_keys` in plain Python, from the same random numbers.

    Returns:
        What the model sees; the hidden positions in the order of drawing; per token the name of its unit.
    """
    budget = plain_budget(word_ids, scheme.mask_rate)
    priority = [key >> 30 for key in units]
    stretches = plain_stretches(word_ids)
    words = [(word, stretch) for stretch in stretches for word in stretch]
    order, name = {}, {}  # of tokens: the lowest order comes first
    for number, (word, stretch) in enumerate(words):
        if scheme.strategy == "whole_word":
            best = (priority[number], number)
        elif scheme.strategy in ("span", "mentions"):
            special = sum(other < 0 for other in word_ids[: word[0]])  # special tokens before this stretch
            # A priority's last bits are left to the place, as many as tell `longest` of them apart.
            low = (1 << (scheme.longest - 1).bit_length()) - 1
            best = min(
                ((priority[place] ^ units[special] % 2**30) & ~low, place & low, place)
                for distance in range(scheme.longest)
                for place in [number + scheme.longest - 1 - distance]  # where a span starts
                if lengths[place] > distance
                and (
                    scheme.edges == "before"
                    or (distance <= number and words[number - distance][1] is stretch)
                )
            )
        for place in word:
            if scheme.strategy == "token":
                best = (priority[place], place)
            order[place] = (1, *best)
            name[place] = (stretch[0][0], *best) if scheme.strategy in ("span", "mentions") else best
    if scheme.strategy == "mentions":
        spent = 0
        mentions = list(by_value(mention_ids).values())
        for rank, number in sorted((priority[number], number) for number in range(len(mentions))):
            tokens = len(mentions[number])
            if 2 * spent + tokens < budget:
                for place in mentions[number]:
                    order[place], name[place] = (0, rank, number), ("mention", number)
            spent += tokens
    drawn = sorted(order, key=lambda place: (order[place], place))[:budget]
    if scheme.keep_whole and scheme.strategy != "token":
        torn = partly([word for word, _ in words], set(drawn))
    else:
        torn = []
    used = [place not in [torn_place for word in torn for torn_place in word] for place in drawn]
    hidden = {place for place, use in zip(drawn, used, strict=True) if use}
    slot_of = {place: slot for slot, place in enumerate(drawn)}
    shown = list(ids)
    for place in hidden:
        start = place
        while scheme.corrupt_per == "run" and start - 1 in hidden:
            start -= 1
        fate = (slot_keys[slot_of[start]] >> 30) / 2**30
        if fate < scheme.corruption[0]:
            shown[place] = 17
        elif fate < scheme.corruption[0] + scheme.corruption[1]:
            second = slot_keys[slot_of[place]] % 2**30
            shown[place] = ORDINARY[second * len(ORDINARY) // 2**30]
    return shown, [place for place in drawn if place in hidden], name


def check_against_plain_loop(case: Case, result: Masked, keys: Keys) -> None:
    spans = case.scheme.strategy in ("span", "mentions")
    lengths = span_lengths(keys, case.scheme) if spans else keys.units
    for ids, words, mentions, seen, labels, positions, units, *row_keys in zip(
        *(tensor.tolist() for tensor in (*case[:3], *result)),
        *(tensor.tolist() for tensor in (keys.units, lengths, keys.slots)),
        strict=True,
    ):
        shown, drawn, name = plain_row(ids, words, mentions, case.scheme, *row_keys)
        assert seen == shown
        assert [place for place in positions if labels[place] != IGNORED] == drawn
        assert sorted(by_value(units).values()) == sorted(
            by_value([name.get(i, -1) for i in range(len(ids))]).values()
        )


@settings(max_examples=400)
@given(cases())
def test_the_tensors_do_what_a_plain_loop_does_with_the_same_random_numbers(case):
    check_against_plain_loop(case, case.mask(), case.random_numbers())


def test_a_random_number_that_just_reaches_a_bound_counts_as_beyond_it():
    # Spans of 1, 2, 3 words come up 4, 2, 1 times in 7; fates are split at a half and at three quarters.
    scheme = Scheme(p=0.5, longest=3, mask_rate=0.7, corruption=(0.5, 0.25, 0.25))
    first, second = round(2**30 * 4 / 7), round(2**30 * 6 / 7)
    length_keys, lengths = [0, first - 1, first, second - 1, second, 2**30 - 1], [1, 1, 2, 2, 3, 3]
    fates = [0, 2**29 - 1, 2**29, 3 * 2**28 - 1, 3 * 2**28, 2**30 - 1]
    replacements = [0, 2**30 - 1]
    ids, words = list(range(20, 28)), list(range(8))
    for seed in range(300):
        rng = random.Random(seed)
        spans = [rng.choice(list(zip(length_keys, lengths, strict=True))) for _ in range(10)]
        units = [rng.randrange(2**30) << 30 | length_key for length_key, _ in spans]
        row_keys = [rng.choice(fates) << 30 | rng.choice(replacements) for _ in range(6)]
        keys = Keys(*(torch.tensor([numbers]) for numbers in (units, row_keys)))
        drawn_lengths = [length for _, length in spans]
        assert span_lengths(keys, scheme).tolist() == [drawn_lengths]
        result = mask_with_keys(torch.tensor([ids]), torch.tensor([words]), scheme, SMALL, keys)
        shown, drawn, _ = plain_row(ids, words, [], scheme, units, drawn_lengths, row_keys)
        assert result.inputs.tolist() == [shown]
        assert result.positions.tolist() == [drawn]


@settings(max_examples=20)
@given(cases())
def test_given_random_numbers_decide_the_mask_on_every_device(case):
    for device in ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]:
        tensors = [tensor.to(device) for tensor in case[:3]]
        keys = Keys(*(key.to(device) for key in case.random_numbers()))
        result = mask_with_keys(*tensors[:2], case.scheme, SMALL, keys, tensors[2])
        check_against_plain_loop(case, Masked(*(tensor.cpu() for tensor in result)), case.random_numbers())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_only_whole_numbers_decide(strategy):
    fractions = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor) and result.is_floating_point():
                fractions.append((result.dtype, tuple(result.shape)))
            return result

    input_ids, word_ids = batch("C12131S111S__", "C333S1111S")
    scheme = Scheme(strategy, keep_whole=True, corrupt_per="run")
    with Watch():
        masked(input_ids, word_ids, scheme, mention_ids=torch.where(word_ids == 1, 0, -1))
    # The budget, rate times tokens, is the one product; float64 rounds it alike everywhere.
    assert set(fractions) == {(torch.float64, (2,))}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_shapes_do_not_depend_on_the_data(strategy):
    # Tensors on "meta" have shapes and nothing else: whoever asks for their data gets an error.
    scheme = Scheme(strategy, keep_whole=True, corrupt_per="run")
    empty = torch.empty(3, 20, dtype=torch.long, device="meta")
    keys = Keys(*(key.to("meta") for key in draw_keys(3, 20, scheme, generator(0))))
    result = mask_with_keys(empty, empty, scheme, SMALL, keys, empty)
    assert [tuple(tensor.shape) for tensor in result] == [(3, 20), (3, 20), (3, 3), (3, 20)]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_several_batches_are_compiled_once_to_the_same_masks(strategy):
    torch._dynamo.reset()
    counter = CompileCounter()
    compiled = torch.compile(mask_with_keys, fullgraph=True, backend=counter)
    scheme = Scheme(strategy, keep_whole=True, corrupt_per="run")
    batches = [("C12131S111S__", "C333S1111S"), ("1" * 16, "C_1" + "_" * 13), ("C" + "3" * 5, "44431")]
    for seed, patterns in enumerate(batches):
        input_ids, word_ids = batch(*patterns)
        keys = draw_keys(*input_ids.shape, scheme, generator(seed))
        mention_ids = torch.where(word_ids == 1, 0, -1)
        arguments = (input_ids, word_ids, scheme, SMALL, keys, mention_ids)
        for ours, plain in zip(compiled(*arguments), mask_with_keys(*arguments), strict=True):
            assert torch.equal(ours, plain)
    assert counter.frame_count == 1


# Randomness


@settings(max_examples=50)
@given(cases())
def test_the_generator_decides_everything_and_no_other_state_changes(case):
    global_state = torch.random.get_rng_state()
    assert all(torch.equal(a, b) for a, b in zip(case.mask(), case.mask(), strict=True))
    assert torch.equal(torch.random.get_rng_state(), global_state)
    by_hand = mask_with_keys(*case[:2], case.scheme, SMALL, case.random_numbers(), case.mention_ids)
    assert all(torch.equal(a, b) for a, b in zip(case.mask(), by_hand, strict=True))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_another_seed_and_the_next_call_give_other_masks(strategy):
    input_ids, word_ids = batch("C" + "12131" * 2 + "S" + "31" * 2, copies=20)
    scheme = Scheme(strategy, corruption=(0.4, 0.3, 0.3))
    one = generator(5)
    arguments = (input_ids, word_ids, scheme, Vocabulary(1_000, 4, (0, 1, 2, 3)))
    mentions = torch.where(word_ids == 1, 0, -1)
    first, second = mask(*arguments, one, mentions), mask(*arguments, one, mentions)
    other = mask(*arguments, generator(6), mentions)
    for a, b in ((first, second), (first, other)):
        assert not torch.equal(a.labels, b.labels) and not torch.equal(a.inputs, b.inputs)


@settings(max_examples=80)
@given(cases(), st.integers(0, 2**32))
def test_a_row_does_not_depend_on_the_other_rows_of_its_batch(case, seed):
    rows, length = case.input_ids.shape
    keep = seed % rows
    rng = random.Random(seed)
    others = torch.tensor([random_row([rng.randrange(6)], length, "go on", rng) for _ in range(rows)])
    changed = [tensor.clone() for tensor in case[:3]]
    for tensor, other in zip(changed, others.unbind(1), strict=True):
        tensor[torch.arange(rows) != keep] = other.to(tensor.dtype)[torch.arange(rows) != keep]
    result = Case(*changed, case.scheme, case.seed).mask()
    assert all(torch.equal(a[keep], b[keep]) for a, b in zip(result, case.mask(), strict=True))


@settings(max_examples=80)
@given(cases())
def test_padding_behind_the_text_changes_no_budget_and_no_kind_of_number(case):
    pad = torch.nn.functional.pad
    wider = Case(pad(case.input_ids, (0, 7)), *(pad(t, (0, 7), value=-1) for t in case[1:3]), *case[3:])
    ours, padded = (hidden_places(one.mask(keep_whole=False)) for one in (case, wider))
    assert [len(places) for places in ours] == [len(places) for places in padded]
    assert wider.mask().inputs[:, -7:].eq(0).all()


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "spans"}, r"strategy is 'spans'; choose one of token, whole_word, span, mentions"),
        ({"edges": "outside"}, "edges is 'outside'; choose one of before, inside"),
        ({"corrupt_per": "span"}, "corrupt_per is 'span'; choose one of token, run"),
        ({"mask_rate": 0}, "mask_rate must lie between 0 and 1, not 0"),
        ({"mask_rate": 1}, "mask_rate must lie between 0 and 1, not 1"),
        ({"mask_rate": 15.0}, r"mask_rate must lie between 0 and 1, not 15\.0"),
        ({"mask_rate": -0.1}, r"mask_rate must lie between 0 and 1, not -0\.1"),
        ({"mask_rate": float("nan")}, "mask_rate must lie between 0 and 1, not nan"),
        ({"p": 0.0}, r"p must lie between 0 and 1, not 0\.0"),
        ({"p": 1.0}, r"p must lie between 0 and 1, not 1\.0"),
        ({"longest": 0}, "longest must be a whole number of words, at least 1, not 0"),
        ({"longest": 2.5}, r"longest must be a whole number of words, at least 1, not 2\.5"),
        ({"longest": None}, "longest must be a whole number of words, at least 1, not None"),
        (
            {"corruption": [0.8, 0.1, 0.1]},
            r"a tuple of three shares that add up to 1, not \[0\.8, 0\.1, 0\.1\]",
        ),
        ({"corruption": (0.8, 0.1)}, r"tuple of three shares that add up to 1, not \(0\.8, 0\.1\)"),
        (
            {"corruption": (0.8, 0.1, 0.2)},
            r"tuple of three shares that add up to 1, not \(0\.8, 0\.1, 0\.2\)",
        ),
        (
            {"corruption": (1.1, -0.1, 0.0)},
            r"tuple of three shares that add up to 1, not \(1\.1, -0\.1, 0\.0\)",
        ),
    ],
)
def test_a_scheme_says_what_it_expected_and_what_came(options, message):
    with pytest.raises(ValueError, match=message):
        Scheme(**options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, 4), "size must be a whole number above 0, not None"),
        ((0, 4), "size must be a whole number above 0, not 0"),
        ((30.5, 4), r"size must be a whole number above 0, not 30\.5"),
        ((100, None), "must lie in 0 … 99, not None"),
        ((100, 100), "must lie in 0 … 99, not 100"),
        ((100, 4, (0, -1)), "must lie in 0 … 99, not -1"),
        ((100, 4, (0, 100)), "must lie in 0 … 99, not 100"),
        ((3, 0, (1, 2)), "all 3 tokens are special"),
    ],
)
def test_a_vocabulary_says_what_it_expected_and_what_came(arguments, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary(*arguments)


@pytest.mark.parametrize("strategy", ["token", "whole_word", "span"])
def test_no_rows_give_an_empty_batch_and_rows_without_tokens_are_refused(strategy):
    nothing = torch.zeros(0, 8, dtype=torch.long)
    assert masked(nothing, nothing, Scheme(strategy)).inputs.shape == (0, 8)
    with pytest.raises(ValueError, match=r"row 0 has no word that could be hidden.*Leave such rows out"):
        masked(nothing.new_zeros(2, 0), nothing.new_zeros(2, 0), Scheme(strategy))


def test_a_vocabulary_comes_from_a_tokenizer():
    class Tokenizer:
        mask_token_id, all_special_ids = 4, [0, 1, 2, 3, 4]

        def get_vocab(self):
            return {str(number): number for number in range(1_000) if not 500 <= number < 510}

    gap = tuple(range(500, 510))
    assert Vocabulary.of(Tokenizer()) == Vocabulary(1_000, 4, (0, 1, 2, 3, 4, *gap))
    assert Vocabulary.of(Tokenizer()).never_drawn == ((0, 5), (500, 10))
    assert Vocabulary(np.int64(1_000), np.int64(4), (np.int64(0),)) == Vocabulary(1_000, 4, (0,))


IDS, WORDS = batch("C12S1_", "C111S1_")
STRAY = torch.where(WORDS == 1, 0, -1).index_put((torch.tensor(1), torch.tensor(4)), torch.tensor(0))
TWICE = IDS.where(WORDS != 1, MASK)  # as if it had been masked before
PART = torch.full_like(WORDS, -1).index_put((torch.tensor(0), torch.tensor(2)), torch.tensor(0))
LONG = torch.zeros(1, 2**16 - 9, dtype=torch.long)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((IDS, WORDS[:, 1:]), r"one shape, \[batch, length\]; word_ids has \[2, 6\], input_ids \[2, 7\]"),
        ((IDS[0], WORDS[0]), r"one shape, \[batch, length\]; input_ids has \[7\]"),
        ((IDS.float(), WORDS), r"input_ids must be int64 or int32, not torch\.float32"),
        ((IDS, WORDS.double()), r"word_ids must be int64 or int32, not torch\.float64"),
        ((IDS, WORDS >= 0), r"word_ids must be int64 or int32, not torch\.bool"),
        ((IDS.to("meta"), WORDS), "word_ids is on cpu, input_ids on meta"),
        ((IDS.to("meta"), WORDS.to("meta")), "the generator is on cpu, input_ids on meta"),
        ((IDS, WORDS.where(torch.tensor([[True], [False]]), -1)), "row 1 has no word that could be hidden"),
        ((IDS, WORDS.flip(1)), r"in row 0 1 is followed by 0 at position 5"),
        ((IDS.to(torch.uint8), WORDS), r"input_ids must be int64 or int32, not torch\.uint8"),
        ((TWICE, WORDS), "row 0 shows the mask token at position 2 already"),
        ((IDS, WORDS, None), "needs mention_ids"),
        ((IDS, WORDS, WORDS[:, 1:]), r"mention_ids has \[2, 6\], input_ids \[2, 7\]"),
        ((IDS, WORDS, WORDS.float()), r"mention_ids must be int64 or int32, not torch\.float32"),
        ((IDS, WORDS, STRAY), r"mention_ids must be -1 where word_ids are; row 1, position 4"),
        ((IDS, WORDS, PART), r"mentions must consist of whole words; row 0 has one cut at 3"),
        ((LONG, LONG), f"rows of {2**16 - 9} tokens are too long: at most {2**16 - 10}"),
    ],
)
def test_bad_tensors_are_named(arguments, message):
    scheme = Scheme("mentions" if len(arguments) == 3 else "span")
    with pytest.raises(ValueError, match=message):
        masked(*arguments[:2], scheme, mention_ids=arguments[2] if len(arguments) == 3 else None)


@pytest.mark.parametrize(
    ("drawn_on", "ids_on", "same"),
    [
        ("cpu", "cpu", True),
        ("cuda", "cuda:0", True),
        ("cuda:1", "cuda:1", True),
        ("cuda:0", "cuda:1", False),
        ("cpu", "cuda:0", False),
    ],
)
def test_a_generator_without_a_number_is_on_the_device_of_the_ids(drawn_on, ids_on, same):
    # Fake tensors are on any device, but hold no data: what comes after the check of devices asks for some.
    error, message = (
        (DataDependentOutputException, None) if same else (ValueError, f"generator is on {drawn_on}")
    )
    elsewhere = SimpleNamespace(device=torch.device(drawn_on))
    with FakeTensorMode(), pytest.raises(error, match=message):
        words = torch.zeros(2, 7, dtype=torch.long, device=ids_on)
        mask(words, words, Scheme(), VOCABULARY, elsewhere)


def test_mention_ids_that_do_not_fit_are_named_where_they_are_not_needed_too():
    with pytest.raises(ValueError, match=r"mention_ids has \[2, 6\], input_ids \[2, 7\]"):
        masked(IDS, WORDS, Scheme("token"), mention_ids=WORDS[:, 1:])


def test_the_longest_row_is_masked_and_a_longer_one_is_not_begun():
    words = torch.arange(2**16 - 10)[None]
    result = masked(torch.full_like(words, 10), words, Scheme("span"))
    assert (result.labels != IGNORED).sum() == round(0.15 * (2**16 - 10))
    assert len(set(result.positions[0].tolist())) == result.positions.shape[1]


@pytest.mark.parametrize(("shape", "scheme"), [((2, 8), Scheme(mask_rate=0.5)), ((2, 7), Scheme("token"))])
def test_keys_of_another_shape_or_scheme_are_refused(shape, scheme):
    keys = draw_keys(*shape, scheme, torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"the keys have the shapes .*need \(\(2, 16\), \(2, 1\)\)"):
        mask_with_keys(IDS, WORDS, Scheme("span"), SMALL, keys)


# Statistics


@settings(max_examples=150)
@given(cases())
def test_statistics_are_what_plain_counting_gives(case):
    result = case.mask()
    hidden_rows, rows = hidden_places(result), len(case.word_ids)
    maskable = sum(word >= 0 for row in case.word_ids.tolist() for word in row)
    budget = sum(plain_budget(words, case.scheme.mask_rate) for words in case.word_ids.tolist())
    hidden = sum(map(len, hidden_rows))
    cut_units = cut_words = 0
    unit_lengths, run_lengths = [], []
    for words, units, places in zip(case.word_ids.tolist(), result.units.tolist(), hidden_rows, strict=True):
        all_words = [word for stretch in plain_stretches(words) for word in stretch]
        cut_words += bool(partly(all_words, places))
        groups = by_value(units).values()
        cut_units += bool(partly(groups, places))
        lengths = [sum(bool({*word} & {*group} & places) for word in all_words) for group in groups]
        unit_lengths += [length for length in lengths if length > 0]
        is_hidden = [place in places for place in range(len(words))]
        run_lengths += [len(list(run)) for hides, run in groupby(is_hidden) if hides]
    counted = statistics(result, case.word_ids, case.scheme)
    assert counted.hidden == hidden
    assert counted.rate == pytest.approx(hidden / maskable)
    assert counted.unused == pytest.approx(1 - hidden / budget, abs=1e-6)
    assert counted.cut_units == pytest.approx(cut_units / rows)
    assert counted.cut_words == pytest.approx(cut_words / rows)
    assert sorted(counted.unit_lengths.tolist()) == sorted(unit_lengths)
    assert sorted(counted.run_lengths.tolist()) == sorted(run_lengths)


def test_rows_that_are_masked_alike_are_counted_apart():
    words = torch.arange(20).expand(3, 20)
    scheme = Scheme("span")
    alike = Keys(*(key[:1].expand(3, -1) for key in draw_keys(3, 20, scheme, generator(0))))
    result = mask_with_keys(torch.full_like(words, 10), words, scheme, VOCABULARY, alike)
    three, one = (
        statistics(Masked(*(part[:rows] for part in result)), words[:rows], scheme) for rows in (3, 1)
    )
    assert sorted(three.unit_lengths.tolist()) == sorted(3 * one.unit_lengths.tolist())
    assert three.run_lengths.sum() == 3 * one.run_lengths.sum()
    assert (three.cut_units, three.cut_words) == (one.cut_units, one.cut_words)
