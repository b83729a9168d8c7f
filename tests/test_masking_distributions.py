"""Masking over a million tokens: each distribution against the one it should be.

Seeds are fixed, so a right sampler passes every time. A test of fit passes at p > 0.001; beside it stands a
contrast, a slightly wrong expectation that gives p < 0.000001: so the test would notice.
"""

import random
from functools import cache

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from helpers.masking import (
    IGNORED,
    STRATEGIES,
    Masked,
    Scheme,
    Vocabulary,
    draw_keys,
    mask,
    span_length_weights,
    span_lengths,
)
from tests.masking_rows import (
    MASK,
    VOCABULARY,
    as_matrix,
    batch,
    chance_of_so_different,
    generator,
    hidden_tokens,
    masked,
    runs,
)

ROWS = 16_000  # of 64 tokens
FITS, DIFFERS = 1e-3, 1e-6
# 61 words of one piece, 9 of them hidden.
EVEN = "C" + "1" * 30 + "S" + "1" * 31 + "S"
# Stretches of 20, 12, 3 and 14 words of one to three pieces, 58 tokens in all, 9 hidden; padding.
MIXED = "C" + "1" * 20 + "S" + "1213" * 3 + "S" + "111" + "S" + "1" * 14 + "S_"


@cache
def rows(pattern: str) -> tuple[torch.Tensor, torch.Tensor]:
    return batch(pattern, copies=ROWS)


def of_text(pattern: str) -> np.ndarray:
    """Which places of a row hold tokens of text."""
    return (rows(pattern)[1][0] >= 0).numpy()


@cache
def ours(pattern: str, scheme: Scheme, seed: int = 0) -> Masked:
    input_ids, word_ids = rows(pattern)
    # For the strategy "mentions": the words 3 and 4, 6 and 7, 9 and 10, … are mentions.
    return masked(input_ids, word_ids, scheme, seed, torch.where(word_ids % 3 > 0, word_ids // 3, -1))


# How many


def test_the_hidden_rate_is_the_mask_rate_whatever_the_length_of_the_text():
    lengths = torch.arange(34, 134).repeat(125)  # 12,500 rows, more than a million tokens of text
    word_ids = torch.arange(134).expand(len(lengths), 134).clone()
    word_ids[word_ids >= lengths[:, None]] = -1
    hidden = hidden_tokens(masked(torch.full_like(word_ids, 10), word_ids, Scheme("token")))
    # Rounding a row is off by 0.29 tokens (standard deviation), 12,500 rows by 32 of 1.04 million, 0.00003;
    # rounding up would add 0.006, counting padding 0.09.
    assert hidden.sum() / int(lengths.sum()) == pytest.approx(0.15, abs=0.0002)


# What the model sees


def fates(result: Masked, input_ids: torch.Tensor) -> np.ndarray:
    """How many hidden tokens of each row show [MASK], another token, the token itself: `[rows, 3]`."""
    hidden = result.labels != IGNORED
    is_mask, is_kept = hidden & (result.inputs == MASK), hidden & (result.inputs == input_ids)
    return torch.stack([is_mask, hidden & ~is_mask & ~is_kept, is_kept], 1).sum(2).numpy()


def expected(mix: tuple[float, float, float]) -> np.ndarray:
    """The same as it should be: a random one of 995 tokens is the token itself once in 995."""
    by_chance = mix[1] / 995
    return 9 * np.array([mix[0], mix[1] - by_chance, mix[2] + by_chance])


@pytest.mark.parametrize("corrupt_per", ["token", "run"])
@pytest.mark.parametrize("mix", [(0.8, 0.1, 0.1), (0.6, 0.3, 0.1)])
@pytest.mark.parametrize("strategy", ["token", "span"])
def test_the_shares_of_mask_random_and_kept_are_as_set(strategy, mix, corrupt_per):
    found = fates(ours(EVEN, Scheme(strategy, corruption=mix, corrupt_per=corrupt_per)), rows(EVEN)[0])
    assert chance_of_so_different(found, expected(mix)) > FITS
    wrong = (mix[0] - 0.02, mix[1] + 0.02, mix[2])
    assert chance_of_so_different(found, expected(wrong)) < DIFFERS


@pytest.mark.parametrize("strategy", ["whole_word", "mentions"])
def test_the_other_strategies_share_that_mix(strategy):
    found = fates(ours(EVEN, Scheme(strategy)), rows(EVEN)[0])
    assert chance_of_so_different(found, expected((0.8, 0.1, 0.1))) > FITS
    assert chance_of_so_different(found, expected((0.8, 0.09, 0.11))) < DIFFERS


@pytest.mark.parametrize("strategy", ["token", "span"])
def test_per_token_fates_of_neighbours_and_of_slots_are_independent_and_per_run_they_are_not(strategy):
    def products(corrupt_per: str) -> np.ndarray:
        """Deviations from 0.8 of the tokens that two slots hold, multiplied: `[rows, pairs]`, mean 0."""
        result = ours(EVEN, Scheme(strategy, corrupt_per=corrupt_per))
        off = (result.inputs == MASK).float() - 0.8
        off = off.masked_fill(result.labels == IGNORED, 0)
        slots = off.gather(1, result.positions[:, :9])  # the tenth is for rows without special tokens
        neighbours = (off[:, 1:] * off[:, :-1]).sum(1, keepdim=True)
        return torch.cat([neighbours, slots[:, 1:] * slots[:, :-1], slots[:, :1] * slots[:, 2:]], 1).numpy()

    assert chance_of_so_different(products("token"), np.zeros(16)) > FITS
    assert chance_of_so_different(products("run"), np.zeros(16)) < DIFFERS


def test_every_slot_has_the_same_shares_and_the_mask_does_not_follow_from_the_replacement():
    result = ours(EVEN, Scheme("token", corruption=(0.5, 0.5, 0.0)))
    slots = result.positions[:, :9]  # the tenth is for rows without special tokens
    shows_mask = (result.inputs == MASK).gather(1, slots).numpy()
    assert chance_of_so_different(shows_mask, np.full(9, 0.5)) > FITS
    assert chance_of_so_different(shows_mask, np.full(9, 0.51)) < DIFFERS
    # Of a fate below a half, the ids would be the lower half if the same random number drew both.
    ids = result.inputs.gather(1, slots).numpy()[~shows_mask]
    assert chisquare(np.bincount(ids, minlength=1_000)[5:]).pvalue > FITS


@pytest.mark.parametrize("special_ids", [(0, 1, 2, 3), (), (0, 3, 5, 6, 500, 999), (996, 997, 998, 999)])
def test_replacements_are_uniform_over_all_tokens_but_special_ones(special_ids):
    vocabulary = Vocabulary(1_000, MASK, special_ids)
    input_ids, word_ids = rows(EVEN)
    scheme = Scheme("token", corruption=(0.0, 1.0, 0.0))
    result = mask(input_ids, word_ids, scheme, vocabulary, generator(1))
    counts = np.bincount(result.inputs[result.labels != IGNORED].numpy(), minlength=1_000)  # 144,000 in all
    ordinary = [token_id for token_id in range(1_000) if token_id not in {MASK, *special_ids}]
    assert counts.sum() == counts[ordinary].sum() == 9 * ROWS
    assert chisquare(counts[ordinary]).pvalue > FITS
    tilted = np.linspace(1.1, 0.9, len(ordinary))
    assert chisquare(counts[ordinary], 9 * ROWS * tilted / tilted.sum()).pvalue < DIFFERS
    # No id comes twice as often, as it would if it stood in for a special one: twelve standard errors.
    assert counts.max() < 1.5 * counts[ordinary].mean()


# How long


@pytest.mark.parametrize(("p", "longest"), [(0.2, 10), (0.5, 4), (0.05, 12)])
def test_spans_are_drawn_from_a_geometric_distribution_that_is_cut_off(p, longest):
    scheme = Scheme(p=p, longest=longest)
    drawn = span_lengths(draw_keys(ROWS, 64, scheme, generator(2)), scheme)
    assert drawn.shape == (ROWS, 64 + longest - 1)
    counts = np.bincount(drawn.flatten().numpy(), minlength=longest + 1)
    assert counts[0] == 0 and len(counts) == longest + 1

    def fit(p: float, clipped: bool = False) -> float:
        shares = np.array([p * (1 - p) ** (length - 1) for length in range(1, longest + 1)])
        if clipped:
            shares[-1] += 1 - shares.sum()
        return chisquare(counts[1:], drawn.numel() * shares / shares.sum()).pvalue

    assert fit(p) > FITS
    assert fit(p * 1.05) < DIFFERS
    assert fit(p, clipped=True) < DIFFERS  # longer spans piled up at the longest


def test_span_length_weights_are_those_of_the_formula():
    by_hand = [0.2 * 0.8 ** (length - 1) / (1 - 0.8**10) for length in range(1, 11)]
    assert span_length_weights(0.2, 10) == pytest.approx(by_hand, rel=1e-12)
    assert span_length_weights() == span_length_weights(0.2, 10)
    # The mean that SpanBERT's authors give as 3.8; clipping instead of cutting off would give 4.46.
    assert sum(length * w for length, w in enumerate(span_length_weights(), 1)) == pytest.approx(
        3.797, abs=5e-4
    )
    assert span_length_weights(0.5, 3) == pytest.approx([4 / 7, 2 / 7, 1 / 7])


def plain_spans(word_ids: list[int], scheme: Scheme, rng: random.Random) -> list[list[int]]:
    """The scheme in plain Python: the spans hidden in one row, in the order of drawing.

    Each stretch of text between special tokens has its own candidates, one for each place where a span may
    start: its words, and as many places before them as leave a span of the longest kind one word. All
    candidates come in random order, and a span hides what is not hidden yet.
    """
    stretches: list[list[list[int]]] = []
    for place, word in enumerate(word_ids):
        if word >= 0:
            if place == 0 or word_ids[place - 1] < 0:
                stretches.append([])
            if not stretches[-1] or word_ids[place - 1] != word:
                stretches[-1].append([])
            stretches[-1][-1].append(place)
    budget = max(1, round(scheme.mask_rate * sum(word >= 0 for word in word_ids)))
    before = scheme.longest - 1 if scheme.edges == "before" else 0
    candidates = [(words, start) for words in stretches for start in range(-before, len(words))]
    rng.shuffle(candidates)
    lengths = range(1, scheme.longest + 1)
    weights = [scheme.p * (1 - scheme.p) ** (length - 1) for length in lengths]
    hidden: set[int] = set()
    spans = []
    for words, start in candidates:
        (length,) = rng.choices(lengths, weights)
        span = [place for word in words[max(0, start) : max(0, start + length)] for place in word]
        span = [place for place in span if place not in hidden][: budget - len(hidden)]
        spans.append(span)
        hidden.update(span)
        if len(hidden) == budget:
            return spans
    raise AssertionError("every word starts a span, so the budget is always spent")


@cache
def plain(scheme: Scheme) -> list[list[list[int]]]:
    word_ids, rng = rows(MIXED)[1][0].tolist(), random.Random(3)
    return [plain_spans(word_ids, scheme, rng) for _ in range(ROWS)]


def plain_hidden(scheme: Scheme) -> np.ndarray:
    return as_matrix([sum(spans, []) for spans in plain(scheme)], 64)


def our_unit_lengths(scheme: Scheme) -> np.ndarray:
    """How many units of 1, 2, … 9 tokens each row of `MIXED` hides: `[rows, 9]`."""
    result = ours(MIXED, scheme)
    units = result.units.gather(1, result.positions[:, :9]).numpy()  # in the order of drawing
    row_of, starts = np.nonzero(np.diff(units, axis=1, prepend=-2))
    lengths = np.diff(np.append(row_of * 9 + starts, ROWS * 9))
    counts = np.zeros((ROWS, 9), dtype=int)
    np.add.at(counts, (row_of, lengths - 1), 1)
    return counts


@pytest.mark.parametrize("edges", ["before", "inside"])
def test_spans_are_as_long_and_stand_where_those_of_a_plain_sampler_are(edges):
    right, wrong = Scheme(edges=edges), Scheme(edges=edges, p=0.25)
    theirs, text = plain_hidden(right), of_text(MIXED)

    def chances(scheme: Scheme) -> list[float]:
        hidden = hidden_tokens(ours(MIXED, scheme))
        units = np.array([np.bincount([len(span) for span in spans], minlength=10) for spans in plain(right)])
        return [
            chance_of_so_different(runs(hidden, 9), runs(theirs, 9)),
            chance_of_so_different(our_unit_lengths(scheme), units[:, 1:]),
            chance_of_so_different(hidden[:, text], theirs[:, text]),
        ]

    assert min(chances(right)) > FITS
    assert max(chances(wrong)[:2]) < DIFFERS
    other_edges = Scheme(edges="inside" if edges == "before" else "before")
    assert chances(other_edges)[2] < DIFFERS


# Where


@pytest.mark.parametrize("pattern", [EVEN, MIXED])
def test_single_tokens_are_hidden_equally_often_everywhere(pattern):
    hidden = hidden_tokens(ours(pattern, Scheme("token")))[:, of_text(pattern)]
    same = np.full(hidden.shape[1], 9 / hidden.shape[1])
    assert chance_of_so_different(hidden, same) > FITS
    tilted = same * np.linspace(1.05, 0.95, len(same))
    assert chance_of_so_different(hidden, tilted) < DIFFERS


def test_words_are_drawn_equally_often_whatever_their_length():
    hidden = hidden_tokens(ours(EVEN, Scheme("whole_word")))[:, of_text(EVEN)]
    assert chance_of_so_different(hidden, np.full(61, 9 / 61)) > FITS
    # The first word of each row: 20 + 12 + 3 + 14 words, of one to three pieces.
    word_ids = rows(MIXED)[1]
    counts = np.bincount(word_ids.gather(1, ours(MIXED, Scheme("whole_word")).positions[:, :1]).flatten())
    assert len(counts) == 49
    assert chisquare(counts).pvalue > FITS
    tokens = np.bincount(word_ids[0][word_ids[0] >= 0])
    assert chisquare(counts, ROWS * tokens / tokens.sum()).pvalue < DIFFERS  # drawn by token, long ones win


@pytest.mark.parametrize(("words", "multiple"), [(20, 1.62), (64, 1.18), (128, 1.09)])
def test_the_shorter_a_row_the_more_its_first_word_gains_from_the_cut(words, multiple):
    # More units begin there than at any other word, and the one that is cut keeps its beginning. In rows of
    # 20 the budget is 3, less than a span.
    copies = 1_000_000 // words
    hidden = hidden_tokens(masked(*batch("1" * words, copies=copies), Scheme("span")))
    rate, standard_error = hidden[:, 0].mean() / hidden.mean(), (0.85 / 0.15 / copies) ** 0.5
    assert rate == pytest.approx(multiple, abs=3 * standard_error)  # 0.03, 0.06, 0.08


def rate_by_word(edges: str) -> np.ndarray:
    """How often words 1, 2, … 30 of a stretch are hidden, as a multiple of the mean."""
    hidden = hidden_tokens(ours(EVEN, Scheme(edges=edges))).mean(0) / (9 / 61)
    return (hidden[1:31] + hidden[32:62]) / 2  # the two stretches; standard error 0.013


def test_spans_that_start_before_a_stretch_starve_no_word_and_favour_the_first_a_little():
    rate = rate_by_word("before")
    # The unit that the budget cuts keeps its beginning, and more units begin at the first word of a stretch
    # than at any other. Bands of four standard errors.
    assert rate[:4].tolist() == pytest.approx([1.18, 1.12, 1.08, 1.055], abs=0.052)
    assert rate.min() > 0.93 and rate[5:].max() < 1.06


def test_spans_that_start_inside_a_stretch_starve_its_first_words():
    rate = rate_by_word("inside")
    assert rate[:4].tolist() == pytest.approx([0.365, 0.60, 0.77, 0.88], abs=0.052)
    assert rate[6:].min() > 0.97 and rate.max() < 1.13


def test_stretches_of_one_word_are_hidden_together_a_little_too_often():
    # A span that goes on behind a special token keeps its length there, so a long one offers itself to all
    # the words that it reaches, though at another priority. Between stretches of five words and more this
    # makes no difference that 30,000 rows would show.
    input_ids, word_ids = batch("1S" * 32, copies=ROWS)
    hidden = hidden_tokens(masked(input_ids, word_ids, Scheme()))[:, ::2]
    by_chance = 5 * 4 / (32 * 31)  # 5 of 32 words
    both = [(hidden[:, apart:] & hidden[:, :-apart]).mean() / by_chance for apart in (1, 12)]
    assert both == pytest.approx([1.06, 1.0], abs=0.045)  # four standard errors
    assert both[0] > 1.02


# Mentions


def test_known_mentions_come_in_random_order_and_get_almost_half_of_the_budget():
    input_ids, word_ids = rows(EVEN)
    # In turn mentions of 1, 2, 1, 4 and 3 words, with two words between them.
    of_word = sum(([number] * size + [-1] * 2 for number, size in enumerate([1, 2, 1, 4, 3] * 3)), [])
    mention_ids = torch.tensor([*of_word[:61], -1])[word_ids]  # a word id of -1 takes the last entry
    result = masked(input_ids, word_ids, Scheme("mentions"), 4, mention_ids)
    first = mention_ids.gather(1, result.positions[:, :1]).flatten()
    assert chisquare(torch.bincount(first).numpy()).pvalue > FITS  # each mention fits, so the first is taken
    share = ((result.labels != IGNORED) & (result.units < -1)).sum().item() / (9 * ROWS)
    # Between 1 and 7 of 9 tokens, by the sizes that come up. Standard error 0.001.
    assert share == pytest.approx(0.47, abs=0.03)


# Independence


def joint(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Deviations of two masks from their means, multiplied: of mean 0 at each place if independent."""
    return (first - first.mean(0)) * (second - second.mean(0))


def chance_of_such_a_likeness(first: np.ndarray, second: np.ndarray) -> float:
    return chance_of_so_different(joint(first, second), np.zeros(first.shape[1]))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_epochs_workers_and_rows_are_masked_independently(strategy):
    input_ids, word_ids = rows(EVEN)
    mention_ids = torch.where(word_ids % 3 > 0, word_ids // 3, -1)
    worker, scheme = generator(1), Scheme(strategy)
    text = of_text(EVEN)
    epoch, next_epoch = (
        hidden_tokens(mask(input_ids, word_ids, scheme, VOCABULARY, worker, mention_ids))[:, text]
        for _ in range(2)
    )
    other_worker = hidden_tokens(ours(EVEN, scheme, seed=0))[:, text]
    assert chance_of_such_a_likeness(epoch, next_epoch) > FITS
    assert chance_of_such_a_likeness(epoch, other_worker) > FITS
    assert chance_of_such_a_likeness(next_epoch, other_worker) > FITS
    assert chance_of_such_a_likeness(epoch[1:], epoch[:-1]) > FITS  # of one row and the next
    # The contrast: each twentieth row is masked as before.
    next_epoch[::20] = epoch[::20]
    assert chance_of_such_a_likeness(epoch, next_epoch) < DIFFERS
