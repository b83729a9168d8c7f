"""Masking in plain Python: the loops of notebooks 02 and 03, then samplers as their authors describe them.

All take and return lists of numbers, one row at a time, and draw from a `random.Random`. `helpers/masking.py`
does the same on tensors; its tests compare the two, and `tests/benchmarks/masking.py` times them.

Throughout, `word_ids` holds the number of each token's word, -1 at special tokens and padding, which the
notebooks' loops and Google's never hide. Where `ordinary` appears, it lists the ids that may replace a token:
all but the special ones.
"""

import itertools
import math
import random
from collections.abc import Sequence

# Notebook 02: single tokens. The code of this section and the next is the notebooks', word for word.


def choose_tokens(word_ids: Sequence[int], mask_rate: float, rng: random.Random) -> list[int]:
    """Choose the single tokens to hide in one row: exactly the budget.

    Args:
        word_ids: word of each token, -1 at special tokens and padding.
        mask_rate: share of the tokens of text to hide.
        rng: source of the draws.

    Returns:
        The positions, ascending.
    """
    candidates = [position for position, word in enumerate(word_ids) if word >= 0]
    budget = max(1, round(mask_rate * len(candidates)))
    return sorted(rng.sample(candidates, budget))


def corrupt(
    input_ids: Sequence[int],
    positions: Sequence[int],
    mask_token_id: int,
    ordinary: Sequence[int],
    rng: random.Random,
) -> list[int]:
    """Replace the chosen tokens: 80% by [MASK], 10% by a random token, and 10% stay as they are.

    Args:
        input_ids: ids of one row.
        positions: the chosen positions.
        mask_token_id: id of [MASK].
        ordinary: ids that may replace a token.
        rng: source of the draws.

    Returns:
        The ids that the model sees.
    """
    seen = list(input_ids)
    for position in positions:
        fate = rng.random()
        if fate < 0.8:
            seen[position] = mask_token_id
        elif fate < 0.9:
            seen[position] = rng.choice(ordinary)
    return seen


def make_labels(input_ids: Sequence[int], positions: Sequence[int]) -> list[int]:
    """Label the chosen positions with the original tokens, and all others with -100.

    Args:
        input_ids: original ids of one row.
        positions: the chosen positions.

    Returns:
        One label for each token; the loss leaves -100 out.
    """
    labels = [-100] * len(input_ids)
    for position in positions:
        labels[position] = input_ids[position]
    return labels


def mask_tokens(
    input_ids: Sequence[int],
    word_ids: Sequence[int],
    mask_rate: float,
    mask_token_id: int,
    ordinary: Sequence[int],
    rng: random.Random,
) -> tuple[list[int], list[int]]:
    """Mask single tokens of one row.

    Args:
        input_ids: ids of the row.
        word_ids: word of each token, -1 at special tokens and padding.
        mask_rate: share of the tokens of text to hide.
        mask_token_id: id of [MASK].
        ordinary: ids that may replace a token.
        rng: source of the draws.

    Returns:
        The ids that the model sees, and the labels.

    Source:
        Devlin et al. 2019, section 3.1, with an exact budget in place of a coin for each token.
    """
    positions = choose_tokens(word_ids, mask_rate, rng)
    seen = corrupt(input_ids, positions, mask_token_id, ordinary, rng)
    return seen, make_labels(input_ids, positions)


# Notebook 03: whole words and spans of words


def choose_whole_words(word_ids: Sequence[int], mask_rate: float, rng: random.Random) -> list[int]:
    """Choose the tokens to hide in one row, word by word; the last word may be cut, and keeps its beginning.

    Args:
        word_ids: word of each token, -1 at special tokens and padding.
        mask_rate: share of the tokens of text to hide.
        rng: source of the draws.

    Returns:
        The positions, ascending: exactly the budget.
    """
    candidates = [position for position, word in enumerate(word_ids) if word >= 0]
    budget = max(1, round(mask_rate * len(candidates)))
    words = sorted({word_ids[position] for position in candidates})
    rng.shuffle(words)
    positions = [position for word in words for position in candidates if word_ids[position] == word]
    return sorted(positions[:budget])


def draw_span_length(p: float, longest: int, rng: random.Random) -> int:
    """Draw the length of a span: after each word stop with probability `p`; draw again if it gets too long.

    Args:
        p: probability of stopping, above 0.
        longest: most words in a span.
        rng: source of the draws.

    Returns:
        A number of words, 1 … `longest`.
    """
    while True:
        length = 1
        while rng.random() >= p:
            length += 1
        if length <= longest:
            return length


def span_weights(p: float, longest: int) -> list[float]:
    """Work out how often `draw_span_length` returns each length.

    Args:
        p: probability of stopping, in (0, 1).
        longest: most words in a span.

    Returns:
        The probabilities of 1, 2, … `longest` words.
    """
    weights = [p * (1 - p) ** (length - 1) for length in range(1, longest + 1)]
    return [weight / sum(weights) for weight in weights]


def stretches(word_ids: Sequence[int]) -> list[tuple[int, int]]:
    """Find the stretches of text between special tokens.

    Args:
        word_ids: word of each token, -1 at special tokens and padding.

    Returns:
        For each stretch the numbers of its first and its last word.
    """
    groups = itertools.groupby(word_ids, key=lambda word: word >= 0)
    texts = [list(words) for is_text, words in groups if is_text]
    return [(words[0], words[-1]) for words in texts]


def choose_spans(
    word_ids: Sequence[int], mask_rate: float, weights: Sequence[float], rng: random.Random, before: int = 0
) -> list[int]:
    """Choose the tokens to hide in one row, span by span; the last span may be cut, and keeps its beginning.

    Args:
        word_ids: word of each token, -1 at special tokens and padding; no number may come twice in a row.
        mask_rate: share of the tokens of text to hide.
        weights: probabilities of spans of 1, 2, … words, as `span_weights` returns them.
        rng: source of the draws.
        before: how many words before its stretch of text a span may start. With one fewer than the longest
            span has, the first words of a stretch are hidden as often as the others.

    Returns:
        The positions, ascending: exactly the budget.
    """
    candidates = [position for position, word in enumerate(word_ids) if word >= 0]
    budget = max(1, round(mask_rate * len(candidates)))
    starts = [(start, text) for text in stretches(word_ids) for start in range(text[0] - before, text[1] + 1)]
    rng.shuffle(starts)
    positions = []
    for start, (first, last) in starts:
        length = rng.choices(range(1, len(weights) + 1), weights)[0]
        words = range(max(start, first), min(start + length - 1, last) + 1)  # the part inside its stretch
        positions += [place for place in candidates if word_ids[place] in words and place not in positions]
        if len(positions) >= budget:
            break
    return sorted(positions[:budget])


# SpanBERT


def spanbert_positions(
    word_ids: Sequence[int], mask_rate: float, p: float, longest: int, rng: random.Random
) -> list[list[int]]:
    """Choose the spans that SpanBERT hides in one row.

    Lengths in words come from a geometric distribution, cut off and renormalised. The anchor of a span is a
    random token; if it is hidden already, both are drawn again. The span starts at the anchor's word and
    grows word by word until it has its length, the row ends, or the budget, ceil(mask_rate · tokens), is
    spent.

    Args:
        word_ids: word of each token; special tokens are not treated apart.
        mask_rate: share of the tokens to hide.
        p: parameter of the geometric distribution, in (0, 1).
        longest: most words in a span.
        rng: source of the draws.

    Returns:
        The positions of each span, in the order of drawing; spans may overlap.

    Source:
        Joshi et al. 2020, section 3.1, and their released code (facebookresearch/SpanBERT).
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
    """Merge spans that overlap or touch, as SpanBERT does before it corrupts them.

    Args:
        spans: the positions of each span.

    Returns:
        The positions of each merged span, from left to right.
    """
    joined: list[list[int]] = []
    for position in sorted(set().union(*spans)):
        if joined and joined[-1][-1] == position - 1:
            joined[-1].append(position)
        else:
            joined.append([position])
    return joined


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
    """Mask one row as SpanBERT does: one 80/10/10 draw for each merged span.

    Args:
        input_ids: ids of the row.
        word_ids: word of each token; special tokens are not treated apart.
        mask_rate: share of the tokens to hide.
        p: parameter of the geometric distribution of span lengths, in (0, 1).
        longest: most words in a span.
        mask_token_id: id of [MASK].
        ordinary: ids that may replace a token.
        rng: source of the draws.

    Returns:
        The ids that the model sees, and the labels.

    Source:
        Joshi et al. 2020, section 3.1.
    """
    seen, labels = list(input_ids), [-100] * len(input_ids)
    for span in merged(spanbert_positions(word_ids, mask_rate, p, longest, rng)):
        fate = rng.random()
        for position in span:
            labels[position] = input_ids[position]
            if fate < 0.8:
                seen[position] = mask_token_id
            elif fate < 0.9:
                seen[position] = rng.choice(ordinary)
    return seen, labels


# Google's BERT with whole words


def google_whole_words(
    word_ids: Sequence[int], mask_rate: float, rng: random.Random, *, skip: bool = True
) -> list[int]:
    """Choose the whole words that Google's BERT hides in one row.

    Words are shuffled and hidden one by one; a word that would overshoot the budget is skipped, and later,
    shorter ones still get their chance. The budget counts all tokens of the row, special ones too; the
    original's cap on it (max_predictions_per_seq) is left out.

    Args:
        word_ids: word of each token, -1 at special tokens.
        mask_rate: share of the tokens to hide.
        rng: source of the draws.
        skip: False stops at the first word that does not fit.

    Returns:
        The positions, ascending: at most the budget.

    Source:
        google-research/bert, `create_masked_lm_predictions` in create_pretraining_data.py.
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
    for positions in words:
        if len(hidden) >= budget:
            break
        if len(hidden) + len(positions) > budget:
            if skip:
                continue
            break
        hidden += positions
    return sorted(hidden)


def google_row(
    input_ids: Sequence[int],
    word_ids: Sequence[int],
    mask_rate: float,
    mask_token_id: int,
    vocabulary_size: int,
    rng: random.Random,
) -> tuple[list[int], list[int]]:
    """Mask one row as Google's BERT does with whole words: one 80/10/10 draw for each token.

    Args:
        input_ids: ids of the row.
        word_ids: word of each token, -1 at special tokens.
        mask_rate: share of the tokens to hide.
        mask_token_id: id of [MASK].
        vocabulary_size: how many ids there are; each of them may replace a token.
        rng: source of the draws.

    Returns:
        The ids that the model sees, and the labels.

    Source:
        google-research/bert, `create_masked_lm_predictions` in create_pretraining_data.py.
    """
    seen, labels = list(input_ids), [-100] * len(input_ids)
    for position in google_whole_words(word_ids, mask_rate, rng):
        labels[position] = input_ids[position]
        if rng.random() < 0.8:
            seen[position] = mask_token_id
        elif rng.random() >= 0.5:
            seen[position] = rng.randrange(vocabulary_size)
    return seen, labels
