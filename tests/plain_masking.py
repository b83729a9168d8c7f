"""Masking as its authors describe it, in plain Python, written apart from `helpers/masking.py`.

The tests compare distributions with these, and `tests/benchmarks/masking.py` times them. They take and return
lists of Python numbers, one row at a time, as the authors' own code does.
"""

import math
import random
from collections.abc import Sequence


def spanbert_positions(
    word_ids: Sequence[int], mask_rate: float, p: float, longest: int, rng: random.Random
) -> list[list[int]]:
    """SpanBERT (Joshi et al. 2020, section 3.1, and its released code): the spans hidden in one row.

    Lengths in words from a geometric distribution, cut off and renormalised. The anchor is a random token
    that is not hidden yet, or else it is drawn again. The span starts at the anchor's word and grows word by
    word until it has its length, the row ends, or the budget, ceil(mask_rate · tokens), is spent.

    Returns:
        The positions of each span, in the order of drawing; spans may overlap.
    """
    tokens = len(word_ids)
    budget = math.ceil(mask_rate * tokens)
    lengths = range(1, longest + 1)
    weights = [p * (1 - p) ** (length - 1) for length in lengths]
    hidden: set[int] = set()
    spans = []
    while len(hidden) < budget:
        (span_length,) = rng.choices(lengths, weights)
        anchor = rng.randrange(tokens)
        if anchor in hidden:
            continue
        position = anchor
        while position > 0 and word_ids[position - 1] == word_ids[anchor]:
            position -= 1
        span: list[int] = []
        words = 0
        while position < tokens and len(hidden) < budget:
            if not span or word_ids[position] != word_ids[position - 1]:
                words += 1
                if words > span_length:
                    break
            hidden.add(position)
            span.append(position)
            position += 1
        spans.append(span)
    return spans


def merged(spans: Sequence[Sequence[int]]) -> list[list[int]]:
    """Spans that overlap or touch become one, as SpanBERT does before it corrupts them."""
    runs: list[list[int]] = []
    for position in sorted(set().union(*spans)):
        if runs and runs[-1][-1] == position - 1:
            runs[-1].append(position)
        else:
            runs.append([position])
    return runs


def spanbert_row(
    input_ids: Sequence[int],
    word_ids: Sequence[int],
    mask_rate: float,
    p: float,
    longest: int,
    mask_token_id: int,
    ordinary: Sequence[int],
    rng: random.Random,
) -> tuple[list[int], list[int]]:
    """One row masked and corrupted as in SpanBERT's paper: one 80/10/10 draw for each merged span."""
    seen, labels = list(input_ids), [-100] * len(input_ids)
    for run in merged(spanbert_positions(word_ids, mask_rate, p, longest, rng)):
        fate = rng.random()
        for position in run:
            labels[position] = input_ids[position]
            if fate < 0.8:
                seen[position] = mask_token_id
            elif fate < 0.9:
                seen[position] = rng.choice(ordinary)
    return seen, labels


def google_whole_words(
    word_ids: Sequence[int], mask_rate: float, rng: random.Random, *, skip: bool = True
) -> list[int]:
    """google-research/bert, `create_masked_lm_predictions` with whole words: the positions hidden in one row.

    Words are shuffled and hidden one by one; a word that would overshoot the budget is skipped, and later,
    shorter ones still get their chance. The budget counts all tokens of the row, special ones too; the
    original's cap on it (max_predictions_per_seq) is left out.

    Args:
        word_ids: -1 at special tokens, which are never hidden.
        skip: False stops at the first word that does not fit.
    """
    words: list[list[int]] = []
    for position, word in enumerate(word_ids):
        if word < 0:
            continue
        if words and word_ids[position - 1] == word:
            words[-1].append(position)
        else:
            words.append([position])
    rng.shuffle(words)
    budget = max(1, round(mask_rate * len(word_ids)))
    hidden: list[int] = []
    for word in words:
        if len(hidden) >= budget:
            break
        if len(hidden) + len(word) > budget:
            if skip:
                continue
            break
        hidden += word
    return sorted(hidden)


def google_row(
    input_ids: Sequence[int],
    word_ids: Sequence[int],
    mask_rate: float,
    mask_token_id: int,
    vocabulary_size: int,
    rng: random.Random,
) -> tuple[list[int], list[int]]:
    """One row masked by whole words and corrupted token by token, as in google-research/bert."""
    seen, labels = list(input_ids), [-100] * len(input_ids)
    for position in google_whole_words(word_ids, mask_rate, rng):
        labels[position] = input_ids[position]
        if rng.random() < 0.8:
            seen[position] = mask_token_id
        elif rng.random() >= 0.5:
            seen[position] = rng.randrange(vocabulary_size)
    return seen, labels
