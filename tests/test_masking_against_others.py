"""Masking beside other people's samplers: where they agree, and each difference with its size.

The loops of notebooks 02 and 03 agree in everything. Hugging Face, SpanBERT and Google differ by design: each
test says in what, by how much, and in which case they agree.
"""

import random
import warnings
from collections import Counter
from functools import cache, partial

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency, chisquare
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerFast

from helpers import plain_masking
from helpers.masking import IGNORED, Scheme, Vocabulary, mask, span_length_weights
from helpers.plain_masking import google_whole_words, spanbert_positions
from tests.masking_rows import (
    MASK,
    as_matrix,
    batch,
    chance_of_so_different,
    hidden_tokens,
    masked,
    runs,
)

FITS, DIFFERS = 1e-3, 1e-6
ORDINARY = list(range(5, 1_000))


# The loops of the notebooks (tests/test_plain_masking.py holds them to the notebooks' cells)


def span_loop(
    word_ids: list[int], rate: float, rng: random.Random, before: int = 9, p: float = 0.2
) -> list[int]:
    return plain_masking.choose_spans(word_ids, rate, plain_masking.span_weights(p, 10), rng, before)


ONE_STRETCH = "C" + "1213" * 6 + "1111" + "S___"  # 46 tokens of text, 7 hidden
STRETCHES = "C" + "1213" * 3 + "S" + "11" + "S" + "12131" * 2 + "111" + "S___"  # 42 tokens of text, 6 hidden
CHOICES = {
    "token": (plain_masking.choose_tokens, Scheme("token")),
    "whole words": (plain_masking.choose_whole_words, Scheme("whole_word")),
    "spans": (span_loop, Scheme("span")),
    "spans from inside": (partial(span_loop, before=0), Scheme("span", edges="inside")),
}
ROWS = 6_000


def places_runs_pairs(hidden: np.ndarray, text: np.ndarray) -> np.ndarray:
    """What is compared of each row: its hidden places, lengths of runs, pairs that are near each other."""
    near = [hidden[:, apart:] & hidden[:, :-apart] for apart in (1, 2, 4)]
    first_pairs = near[0].reshape(len(hidden), -1)[:, text[1:] & text[:-1]]
    pairs = [pair.sum(1, keepdims=True) for pair in near]
    return np.concatenate([hidden[:, text], runs(hidden, 5), first_pairs, *pairs], 1)


@pytest.mark.parametrize("pattern", [ONE_STRETCH, STRETCHES])
@pytest.mark.parametrize("kind", CHOICES)
def test_the_loops_of_the_notebooks_hide_what_the_tensors_hide(kind, pattern):
    loop, scheme = CHOICES[kind]
    input_ids, word_ids = batch(pattern, copies=ROWS)
    row, rng = word_ids[0].tolist(), random.Random(0)
    theirs = as_matrix([loop(row, 0.15, rng) for _ in range(ROWS)], len(row))
    ours = hidden_tokens(masked(input_ids, word_ids, scheme))
    assert set(theirs.sum(1)) == set(ours.sum(1)) == {round(0.15 * sum(word >= 0 for word in row))}
    text = np.array(row) >= 0

    def compare(one: np.ndarray, other: np.ndarray) -> float:
        return chance_of_so_different(places_runs_pairs(one, text), places_runs_pairs(other, text))

    assert compare(ours, theirs) > FITS
    for name, (_, another) in CHOICES.items():  # each other strategy is told apart
        if name != kind:
            assert compare(hidden_tokens(masked(input_ids, word_ids, another)), theirs) < DIFFERS


@pytest.mark.parametrize("kind", CHOICES)
def test_the_loops_of_the_notebooks_have_the_same_budget_in_every_row(kind):
    loop, scheme = CHOICES[kind]
    rng = random.Random(1)
    for _ in range(60):
        length = rng.randrange(3, 60)
        signs = "".join(rng.choice("1112345S") for _ in range(length))
        input_ids, word_ids = batch("C1" + signs)
        rate = rng.uniform(0.01, 0.6)
        hidden = hidden_tokens(masked(input_ids, word_ids, Scheme(scheme.strategy, mask_rate=rate))).sum()
        assert len(loop(word_ids[0].tolist(), rate, rng)) == hidden


def test_the_loop_of_the_notebook_corrupts_and_labels_as_the_tensors_do():
    input_ids, word_ids = batch("C" + "1" * 60 + "S", copies=ROWS)
    ours = masked(input_ids, word_ids, Scheme("token"))
    row, words, rng = input_ids[0].tolist(), word_ids[0].tolist(), random.Random(2)
    both = [plain_masking.mask_tokens(row, words, 0.15, MASK, ORDINARY, rng) for _ in range(ROWS)]
    theirs_seen, theirs_labels = (torch.tensor(part) for part in zip(*both, strict=True))

    def kinds(seen: torch.Tensor, labels: torch.Tensor) -> list[int]:
        hidden = labels != IGNORED
        is_mask, is_kept = (seen == MASK)[hidden], (seen == labels)[hidden]
        return [int(is_mask.sum()), int((~is_mask & ~is_kept).sum()), int(is_kept.sum())]

    def ids(seen: torch.Tensor, labels: torch.Tensor) -> list[int]:
        replaced = seen[(labels != IGNORED) & (seen != MASK) & (seen != labels)]
        return np.histogram(replaced, bins=20, range=(0, 1_000))[0].tolist()

    for counts in (kinds, ids):
        assert (
            chi2_contingency([counts(ours.inputs, ours.labels), counts(theirs_seen, theirs_labels)]).pvalue
            > FITS
        )
    other = masked(input_ids, word_ids, Scheme("token", corruption=(0.78, 0.12, 0.1)))
    assert chi2_contingency([kinds(*other[:2]), kinds(theirs_seen, theirs_labels)]).pvalue < DIFFERS
    positions = ours.positions[0].tolist()
    assert plain_masking.make_labels(row, positions) == ours.labels[0].tolist()
    some = plain_masking.corrupt(row, positions, MASK, ORDINARY, rng)
    assert all(some[place] == row[place] for place in range(len(row)) if place not in positions)


def test_the_loops_of_notebook_03_draw_the_same_lengths():
    rng = random.Random(3)
    counts = Counter(plain_masking.draw_span_length(0.2, 10, rng) for _ in range(50_000))
    drawn = [counts[length] for length in range(1, 11)]
    assert chisquare(drawn, 50_000 * np.array(plain_masking.span_weights(0.2, 10))).pvalue > FITS
    assert chisquare(drawn, 50_000 * np.array(plain_masking.span_weights(0.22, 10))).pvalue < DIFFERS
    assert plain_masking.span_weights(0.2, 10) == pytest.approx(span_length_weights(0.2, 10), rel=1e-12)


# Hugging Face: DataCollatorForLanguageModeling


@cache
def tokenizer() -> PreTrainedTokenizerFast:
    """A vocabulary of 100 tokens, of which 5 are special."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = {word: number for number, word in enumerate([*specials, *(f"w{n}" for n in range(95))])}
    backend = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    names = dict(zip(["pad", "unk", "cls", "sep", "mask"], specials, strict=True))
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, **{f"{name}_token": token for name, token in names.items()}
    )


def hugging_face(pattern: str, rows: int, seed: int = 0, **options) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and labels of a batch of equal rows, through the collator as a data loader calls it."""
    input_ids, word_ids = batch(pattern)
    row, words = input_ids[0].tolist(), word_ids[0].tolist()
    example = {"input_ids": row, "special_tokens_mask": [int(word < 0) for word in words]}
    if options.get("whole_word_mask"):
        # Pieces of one word touch in the text, words have a space between them.
        spaces = np.cumsum([word != other for word, other in zip(words, [None, *words[:-1]], strict=True)])
        example["offset_mapping"] = [(int(n + s), int(n + s + 1)) for n, s in enumerate(spaces)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that whole words get no random replacements
        collator = DataCollatorForLanguageModeling(tokenizer(), seed=seed, **options)
    result = collator([dict(example) for _ in range(rows)])
    return result["input_ids"], result["labels"]


def test_hugging_face_hides_as_many_tokens_on_average_but_not_in_each_row():
    pattern, rows = "C" + "1" * 60 + "SSS", 16_000
    _, labels = hugging_face(pattern, rows)
    theirs = (labels != IGNORED).numpy()
    ours = hidden_tokens(masked(*batch(pattern, copies=rows), Scheme("token")))
    # The same rate at each place: 9 of 60, exactly 0.15.
    assert chance_of_so_different(theirs[:, 1:61], np.full(60, 0.15)) > FITS
    assert chance_of_so_different(ours[:, 1:61], theirs[:, 1:61]) > FITS
    # A coin for each token: 9 on average, standard deviation sqrt(60 · 0.15 · 0.85) = 2.77. Ours: always 9.
    assert set(ours.sum(1)) == {9}
    assert theirs.sum(1).std() == pytest.approx(2.77, abs=0.07)
    assert theirs.sum(1).min() <= 1 and theirs.sum(1).max() >= 18
    assert not theirs[:, [0, 61, 62, 63]].any()


def test_hugging_face_corrupts_in_the_same_shares_but_its_random_tokens_may_be_special():
    pattern, rows = "C" + "1" * 60 + "SSS", 16_000
    inputs, labels = hugging_face(pattern, rows)
    small = Vocabulary(100, MASK, (0, 1, 2, 3, 4))
    ours = mask(*batch(pattern, copies=rows), Scheme("token"), small, torch.Generator().manual_seed(0))

    def shown(inputs: torch.Tensor, labels: torch.Tensor) -> list[int]:
        """How often hidden tokens show [MASK], a special token, another one, themselves."""
        seen, original = inputs[labels != IGNORED], labels[labels != IGNORED]
        is_kept, is_mask, is_special = seen == original, seen == MASK, (seen < 5) & (seen != MASK)
        return [int(part.sum()) for part in (is_mask, is_special, ~is_kept & (seen > 4), is_kept)]

    total = int((labels != IGNORED).sum())
    theirs = shown(inputs, labels)
    # Of 100 ids one is [MASK], 4 are special otherwise, one is the token itself.
    expected = np.array([0.8 + 0.1 / 100, 0.1 * 4 / 100, 0.1 * 94 / 100, 0.1 + 0.1 / 100])
    assert chisquare(theirs, total * expected).pvalue > FITS
    assert theirs[1] / total == pytest.approx(
        0.004, abs=0.0007
    )  # a hidden token in 250; standard error 0.00016
    ordinary = np.array([0.8, 0.1 * 94 / 95, 0.1 + 0.1 / 95])
    found = shown(ours.inputs, ours.labels)
    assert found[1] == 0
    assert chisquare([found[0], *found[2:]], 9 * rows * ordinary).pvalue > FITS
    # With a real vocabulary of some 30,000 ids only one hidden token in 60,000 would differ.


def test_hugging_face_draws_words_alike_but_hides_all_of_each_and_always_shows_the_mask_token():
    # Words of 1 to 5 pieces, four times: 60 tokens, 20 words.
    pattern, rows = "C" + "12345" * 4 + "SSS", 8_000
    inputs, labels = hugging_face(pattern, rows, whole_word_mask=True)
    theirs = (labels != IGNORED).numpy()
    result = masked(*batch(pattern, copies=rows), Scheme("whole_word"))
    ours = hidden_tokens(result)
    word_ids = batch(pattern)[1][0].numpy()
    firsts = np.array([np.flatnonzero(word_ids == word)[0] for word in range(20)])
    # Each word has its coin, whatever its length, and is hidden whole.
    assert chance_of_so_different(theirs[:, firsts], np.full(20, 0.15)) > FITS
    assert all(
        (theirs[:, place] == theirs[:, firsts[word]]).all()
        for place, word in enumerate(word_ids)
        if word >= 0
    )
    # Ours are drawn alike, too: the word that comes first is any of the 20.
    drawn = np.bincount(word_ids[result.positions[:, 0].numpy()], minlength=20)
    assert chisquare(drawn).pvalue > FITS
    # The number of tokens: a standard deviation of sqrt(0.15 · 0.85 · 4 · (1 + 4 + 9 + 16 + 25)) = 5.30; 0.
    assert theirs.sum(1).std() == pytest.approx(5.30, abs=0.15)
    assert theirs.sum(1).min() == 0  # 0.85^20: in 4% of the rows there is nothing to learn
    assert (theirs.sum(1) == 0).mean() == pytest.approx(0.85**20, abs=0.01)
    assert set(ours.sum(1)) == {9}
    # What is shown: nothing but [MASK] there, 80/10/10 here (standard error 0.0015).
    assert (inputs[labels != IGNORED] == MASK).all()
    assert (result.inputs == MASK).sum().item() / (9 * rows) == pytest.approx(0.8, abs=0.006)


# SpanBERT, as its authors describe it


@cache
def spanbert(pattern: str, rate: float, rows: int, p: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """The hidden tokens, `[rows, length]`, and where the first span of each row starts, `[rows]`."""
    row, rng = batch(pattern)[1][0].tolist(), random.Random(4)
    spans = [spanbert_positions(row, rate, p, 10, rng) for _ in range(rows)]
    return as_matrix([sorted(set().union(*one)) for one in spans], len(row)), np.array(
        [one[0][0] for one in spans]
    )


def our_spans(pattern: str, rate: float, rows: int, p: float = 0.2, seed: int = 0) -> np.ndarray:
    return hidden_tokens(
        masked(*batch(pattern, copies=rows), Scheme(mask_rate=rate, p=p, edges="inside"), seed)
    )


def test_spanbert_agrees_where_spans_hardly_meet():
    # 6 of 300 words: one span and a half, so two spans rarely touch.
    pattern, rows = "1" * 300, 3_500
    theirs, _ = spanbert(pattern, 0.02, rows)
    ours = our_spans(pattern, 0.02, rows)
    assert chance_of_so_different(runs(ours, 6), runs(theirs, 6)) > FITS
    assert chance_of_so_different(runs(our_spans(pattern, 0.02, rows, p=0.25), 6), runs(theirs, 6)) < DIFFERS

    def by_ten(hidden: np.ndarray) -> np.ndarray:
        return hidden.reshape(rows, 30, 10).sum(2)

    assert chance_of_so_different(by_ten(ours), by_ten(theirs)) > FITS


@pytest.mark.parametrize(
    ("rate", "rows", "ours_run", "theirs_run"),
    [(0.15, 17_000, 3.195, 3.135), (0.4, 6_000, 4.40, 4.12)],
)
def test_spanbert_draws_hidden_anchors_again_so_its_runs_are_a_little_shorter(
    rate, rows, ours_run, theirs_run
):
    # 9 or 24 of 60 words. A span that starts in a hidden one adds its end here; there it is drawn again. So
    # runs are 2% longer here at a rate of 0.15, 7% at 0.4 (standard errors 0.4%, 0.5%).
    theirs, _ = spanbert("1" * 60, rate, rows)
    ours = our_spans("1" * 60, rate, rows)
    assert set(ours.sum(1)) == set(theirs.sum(1)) == {60 * rate}
    means = [hidden.sum() / runs(hidden, 1).sum() for hidden in (ours, theirs)]
    assert means == pytest.approx([ours_run, theirs_run], rel=0.01)
    assert chance_of_so_different(runs(ours, 9), runs(theirs, 9)) < (DIFFERS if rate == 0.4 else 0.05)
    # At the first word they are alike: a third of the average, since no span starts before the row.
    assert [hidden[:, 0].mean() / rate for hidden in (ours, theirs)] == pytest.approx([0.36, 0.36], abs=0.04)


def test_spanbert_starts_spans_at_tokens_so_long_words_start_more_of_them():
    # Words of one and of five pieces in turn. An anchor is one of 60 tokens there, one of 20 words here.
    pattern, rows = "15" * 10, 17_000
    theirs, starts = spanbert(pattern, 0.15, rows, p=0.5)
    result = masked(*batch(pattern, copies=rows), Scheme(p=0.5, edges="inside"))
    word_ids = batch(pattern)[1][0].numpy()
    long = word_ids % 2 == 1
    # Standard error 0.004.
    assert long[starts].mean() == pytest.approx(5 / 6, abs=0.015)
    assert long[result.positions[:, 0].numpy()].mean() == pytest.approx(1 / 2, abs=0.015)
    # A word of one piece is hidden at 52% of the average there, at 106% here. (The rest of a budget of 9 is
    # often the beginning of a long word, hence not 100%.)
    ours = hidden_tokens(result)
    assert theirs[:, ~long].mean() / 0.15 == pytest.approx(0.52, abs=0.02)
    assert ours[:, ~long].mean() / 0.15 == pytest.approx(1.06, abs=0.03)


def test_spanbert_rounds_its_budget_up():
    for words, theirs_hide, ours_hide in ((61, 10, 9), (60, 9, 9), (63, 10, 9), (66, 10, 10)):
        theirs, _ = spanbert("1" * words, 0.15, 20)
        assert (set(theirs.sum(1)), set(our_spans("1" * words, 0.15, 20).sum(1))) == (
            {theirs_hide},
            {ours_hide},
        )


# Google's whole words


def test_google_skips_long_words_that_no_longer_fit_and_ours_cuts_one_instead():
    # Words of 1 to 5 pieces, four times: 60 tokens and 3 special ones, 9 hidden (9.45 rounded) in both.
    pattern, rows = "C" + "12345" * 4 + "SS", 16_000
    row, rng = batch(pattern)[1][0].tolist(), random.Random(5)
    pieces = np.array([row.count(word) if word >= 0 else 0 for word in row])
    ours = hidden_tokens(masked(*batch(pattern, copies=rows), Scheme("whole_word")))
    whole = hidden_tokens(masked(*batch(pattern, copies=rows), Scheme("whole_word", keep_whole=True)))
    skips = as_matrix([google_whole_words(row, 0.15, rng) for _ in range(rows)], len(row))
    stops = as_matrix([google_whole_words(row, 0.15, rng, skip=False) for _ in range(rows)], len(row))

    def rates(hidden: np.ndarray) -> list[float]:
        """How often tokens of words of 1, 2, … 5 pieces are hidden."""
        return [hidden[:, pieces == size].mean().item() for size in range(1, 6)]

    # Standard errors 0.001 to 0.0015.
    assert rates(ours) == pytest.approx([0.168, 0.160, 0.154, 0.147, 0.142], abs=0.006)
    assert rates(skips) == pytest.approx([0.326, 0.199, 0.156, 0.130, 0.108], abs=0.006)
    # A word of 5 pieces loses 15% against one of 1 here, 67% there.
    assert rates(ours)[4] / rates(ours)[0] == pytest.approx(0.85, abs=0.05)
    assert rates(skips)[4] / rates(skips)[0] == pytest.approx(0.33, abs=0.02)
    # If Google stopped at the first word that does not fit, it would be `keep_whole`, in everything.
    text = pieces > 0
    assert chance_of_so_different(whole[:, text], stops[:, text]) > FITS
    assert chance_of_so_different(runs(whole, 7), runs(stops, 7)) > FITS
    assert chance_of_so_different(whole[:, text], ours[:, text]) < DIFFERS
    # Which leaves 15% of the budget unused; skipping leaves next to nothing.
    shares = [hidden.sum() / (9 * rows) for hidden in (ours, skips, whole)]
    assert shares == pytest.approx([1, 0.9997, 0.852], abs=0.008)
