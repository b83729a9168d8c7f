"""Masking: the budget, what is never touched, 80/10/10, units that stay whole, and the drawn lengths."""

import random
from itertools import groupby

import pytest
import torch
from scipy.stats import chi2_contingency

from helpers.masking import STRATEGIES, mask, span_length_weights

PAD, UNK, CLS, SEP, MASK = range(5)
VOCABULARY = 1_000


def row(pattern: str) -> tuple[list[int], list[int]]:
    """Ids and word ids: "C" is [CLS], "S" [SEP], "_" padding, a digit a word of so many pieces."""
    specials = {"C": CLS, "S": SEP, "_": PAD}
    ids, word_ids, word = [], [], 0
    for sign in pattern:
        if sign in specials:
            ids.append(specials[sign])
            word_ids.append(-1)
        else:
            ids += [10 + word] * int(sign)
            word_ids += [word] * int(sign)
            word += 1
    return ids, word_ids


def batch(*patterns: str, copies: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    ids, word_ids = zip(*map(row, patterns), strict=True)
    return torch.tensor(ids).repeat(copies, 1), torch.tensor(word_ids).repeat(copies, 1)


def masked(input_ids, word_ids, strategy, seed=0, **options):
    options = {"mask_token_id": MASK, "vocab_size": VOCABULARY, "special_ids": (0, 1, 2, 3, 4), **options}
    return mask(input_ids, word_ids, strategy, generator=torch.Generator().manual_seed(seed), **options)


# [CLS], three sentences, [SEP] after each, and padding; words of one to three pieces; 40 places.
MIXED = ("C" + "12131" * 2 + "S" + "31" * 2 + "S" + "11" * 3 + "S______", "C" + "3" * 12 + "S__")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_hides_the_same_exact_number_in_each_row(strategy):
    # 20, 40, 63 and 3 tokens that may be hidden: 15% of them, rounded, but at least one.
    patterns = ["C" + "1" * n + "S" * (63 - n) for n in (20, 40, 63, 3)]
    input_ids, word_ids = batch(*patterns, copies=50)
    for rate, expected in ((0.15, [3, 6, 9, 1]), (0.3, [6, 12, 19, 1])):
        hidden = masked(input_ids, word_ids, strategy, mask_rate=rate).labels != -100
        assert hidden.sum(1).tolist() == expected * 50


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_only_hidden_tokens_change_and_labels_keep_what_they_were(strategy):
    input_ids, word_ids = batch(*MIXED, copies=200)
    before = input_ids.clone()
    inputs, labels, units = masked(input_ids, word_ids, strategy)
    hidden = labels != -100
    assert torch.equal(input_ids, before)
    assert not hidden[word_ids < 0].any()  # special tokens and padding are never hidden
    assert torch.equal(inputs[~hidden], input_ids[~hidden])
    assert torch.equal(labels[hidden], input_ids[hidden])
    assert torch.equal(units >= 0, hidden) and (units[~hidden] == -1).all()
    assert inputs.dtype == labels.dtype == input_ids.dtype


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_80_percent_mask_10_percent_random_10_percent_kept(strategy):
    input_ids, word_ids = batch("C" + "1" * 63, copies=12_000)  # 9 hidden in each row
    inputs, labels, _ = masked(input_ids, word_ids, strategy)
    shown, original = inputs[labels != -100], labels[labels != -100]
    assert len(shown) == 108_000
    is_mask, is_kept = shown == MASK, shown == original
    # Five standard errors, sqrt(0.8 · 0.2 / 108,000) = 0.0012; a random token is the same once in 995.
    assert is_mask.float().mean().item() == pytest.approx(0.8, abs=0.006)
    assert is_kept.float().mean().item() == pytest.approx(0.1, abs=0.005)
    random_ones = shown[~is_mask & ~is_kept]
    assert random_ones.min() == 5 and random_ones.max() == VOCABULARY - 1  # never special, all others
    # 10,800 draws over 995 ids: a uniform choice leaves out e^-10.9 of them, a few in 100,000.
    assert len(random_ones.unique()) > 990


def test_the_fate_of_a_token_does_not_follow_its_neighbour():
    input_ids, word_ids = batch("C" + "1" * 63, copies=12_000)
    inputs, labels, units = masked(input_ids, word_ids, "span")
    both = (units[:, 1:] == units[:, :-1]) & (units[:, 1:] >= 0)  # neighbours of one span
    is_mask = inputs == MASK
    agree = (is_mask[:, 1:] & is_mask[:, :-1])[both].float().mean().item()
    # Drawn for each token 0.8², for each span 0.8; about 50,000 pairs, standard error 0.002.
    assert agree == pytest.approx(0.64, abs=0.01)


@pytest.mark.parametrize("strategy", ["whole_word", "span"])
def test_words_stay_whole_but_in_the_one_cut_unit_which_keeps_a_prefix(strategy):
    input_ids, word_ids = batch(*MIXED, copies=500)
    _, labels, units = masked(input_ids, word_ids, strategy)
    cut_rows = 0
    for hidden, words, unit in zip((labels != -100).tolist(), word_ids.tolist(), units.tolist(), strict=True):
        pieces = {word: [] for word in words if word >= 0}
        for place, word in enumerate(words):
            if word >= 0:
                pieces[word].append(place)
        cut = [word for word, places in pieces.items() if 0 < sum(hidden[p] for p in places) < len(places)]
        assert len(cut) <= 1
        for word in cut:
            shown = [hidden[place] for place in pieces[word]]
            assert shown == sorted(shown, reverse=True)  # hidden pieces first
        for word, places in pieces.items():
            assert word in cut or len({unit[place] for place in places}) == 1  # one unit
        cut_rows += len(cut)
    assert cut_rows > 50  # the case does occur


def test_token_masking_tears_words():
    input_ids, word_ids = batch("C" + "3" * 13, copies=200)
    _, labels, units = masked(input_ids, word_ids, "token")
    hidden = (labels != -100)[:, 1:].view(-1, 13, 3).sum(2)
    torn = ((hidden > 0) & (hidden < 3)).float().sum() / (hidden > 0).float().sum()
    assert torn > 0.9  # all three pieces of a word: 15%² of the time
    assert torch.equal(units.max(1).values, (labels != -100).long().mul(torch.arange(40)).max(1).values)


@pytest.mark.parametrize("strategy", ["whole_word", "span"])
def test_a_unit_leaves_no_hole(strategy):
    input_ids, word_ids = batch(*MIXED, copies=500)
    _, _, units = masked(input_ids, word_ids, strategy)
    for unit in units.tolist():
        for number in set(unit) - {-1}:
            places = [place for place, other in enumerate(unit) if other == number]
            assert all(unit[place] >= 0 for place in range(places[0], places[-1] + 1))


def test_spans_do_not_cross_special_tokens():
    input_ids, word_ids = batch("C" + "1" * 4 + "S" + "1" * 5 + "S" + "1" * 6 + "SS" + "1" * 5, copies=2_000)
    _, _, units = masked(input_ids, word_ids, "span", mask_rate=0.6)
    for words, unit in zip(word_ids.tolist(), units.tolist(), strict=True):
        texts = [
            {number for _, number in places} - {-1}
            for special, places in groupby(zip(words, unit, strict=True), key=lambda place: place[0] < 0)
            if not special
        ]
        assert len(texts) == 4
        assert len(set().union(*texts)) == sum(map(len, texts))  # no unit in two texts


# Lengths


def test_span_length_weights_are_a_geometric_distribution_cut_off_at_ten():
    weights = span_length_weights(0.2, 10)
    by_hand = [0.2 * 0.8 ** (length - 1) / (1 - 0.8**10) for length in range(1, 11)]
    assert weights.tolist() == pytest.approx(by_hand, rel=1e-12)
    # The mean that SpanBERT's authors give as 3.8; clipping instead of cutting off would give 4.46.
    assert sum(length * w for length, w in enumerate(weights.tolist(), 1)) == pytest.approx(3.797, abs=5e-4)
    assert span_length_weights(0.5, 3).tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    for p in (0, 1, -0.1):
        with pytest.raises(ValueError, match="p must lie between 0 and 1"):
            span_length_weights(p)


def plain_span_rows(texts: list[int], budget: int, p: float, rows: int) -> list[list[list[int]]]:
    """The scheme in plain Python: of each row and text, the span number of each word, -1 where it is seen.

    `texts` are the numbers of words between special tokens; every word is one token.
    """
    draw = random.Random(1)
    chances = [p * (1 - p) ** more for more in range(10)]
    result = []
    for _ in range(rows):
        lowest = []  # (priority, text, word, number of the span)
        for text, words in enumerate(texts):
            best = [(2.0, None)] * words
            for start in range(-9, words):
                priority, (length,) = draw.random(), draw.choices(range(1, 11), chances)
                for word in range(max(0, start), min(words, start + length)):
                    best[word] = min(best[word], (priority, start))
            lowest += [(priority, text, word, start) for word, (priority, start) in enumerate(best)]
        hidden = [[-1] * words for words in texts]
        for _, text, word, start in sorted(lowest)[:budget]:
            hidden[text][word] = start + 9
        result.append(hidden)
    return result


def unit_lengths(rows: list[list[int]]) -> list[int]:
    """How often a unit hides 1, 2, … 9 words of a text (runs of one number)."""
    lengths = [0] * 9
    for row in rows:
        for unit, run in groupby(row):
            if unit >= 0:
                lengths[len(list(run)) - 1] += 1
    return lengths


def run_lengths(rows: list[list[int]]) -> list[int]:
    """How often 1, 2, … 9 neighbouring words are hidden, by whatever unit."""
    return unit_lengths([[1 if unit >= 0 else -1 for unit in row] for row in rows])


@pytest.mark.parametrize("lengths_of", [unit_lengths, run_lengths])
def test_span_lengths_are_those_of_a_sampler_in_plain_python(lengths_of):
    texts = [20, 41]  # and [CLS], [SEP] before them, [SEP] at the end: 64 places, 9 hidden
    plain = [text for row in plain_span_rows(texts, 9, 0.2, rows=1_500) for text in row]
    input_ids, word_ids = batch("C" + "1" * 20 + "S" + "1" * 41 + "S", copies=6_000)

    def ours(p):
        _, _, units = masked(input_ids, word_ids, "span", p=p)
        return units.tolist()

    def chance_of_so_different(p):
        return chi2_contingency([lengths_of(plain), lengths_of(ours(p))]).pvalue

    assert chance_of_so_different(0.2) > 0.001  # seeds are fixed: a right sampler passes every time
    assert chance_of_so_different(0.3) < 1e-6  # and the comparison does see another p


def test_every_word_is_hidden_about_equally_often():
    input_ids, word_ids = batch("C" + "1" * 30 + "S" + "1" * 32, copies=20_000)
    share = 9 / 62  # the budget over the words
    for strategy in STRATEGIES:
        hidden = (masked(input_ids, word_ids, strategy).labels != -100).float().mean(0)[word_ids[0] >= 0]
        relative = hidden / share  # [62]
        # Standard error 1.7%: the largest of 62 deviations stays below four of them. Of spans, the cut one
        # keeps a prefix, which favours the first words of a text: the first by 17%, the second by 10%.
        # Spans that only started inside the text would hide its first word a third as often as others.
        assert relative[[0, 30]].tolist() == pytest.approx([1, 1], abs=0.25 if strategy == "span" else 0.07)
        assert relative.sub(1).abs().sort().values[:-2].max() < (0.15 if strategy == "span" else 0.07)


# Randomness and bad input


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_generator_decides_everything(strategy):
    input_ids, word_ids = batch(*MIXED, copies=20)
    global_state = torch.random.get_rng_state()
    first, again, other = (masked(input_ids, word_ids, strategy, seed=seed) for seed in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.labels, other.labels)
    assert torch.equal(torch.random.get_rng_state(), global_state)


def test_strategies_with_the_same_budget_hide_different_places():
    input_ids, word_ids = batch(*MIXED, copies=20)
    hidden = [masked(input_ids, word_ids, strategy).labels != -100 for strategy in STRATEGIES]
    assert not torch.equal(hidden[0], hidden[1]) and not torch.equal(hidden[1], hidden[2])


@pytest.mark.parametrize(
    ("strategy", "options", "message"),
    [
        ("spans", {}, "choose one of token, whole_word, span"),
        ("token", {"mask_rate": 0.0}, "mask_rate must lie between 0 and 1"),
        ("span", {"mask_rate": 1.0}, "mask_rate must lie between 0 and 1"),
        ("span", {"p": 1.5}, "p must lie between 0 and 1"),
    ],
)
def test_bad_options(strategy, options, message):
    with pytest.raises(ValueError, match=message):
        masked(*batch("C111S"), strategy, **options)


def test_bad_tensors():
    input_ids, word_ids = batch("C111S")
    for ids, words in ((input_ids, word_ids[:, 1:]), (input_ids[0], word_ids[0])):
        with pytest.raises(ValueError, match=r"must both be \[batch, length\]"):
            masked(ids, words, "token")
    with pytest.raises(ValueError, match="a row has no word"):
        masked(*batch("C111S", "CSS__"), "token")
