"""Five masking functions for an exercise of notebook 02: one is right, four have a silent bug each.

The bugs are to be found by counting what the functions do. Reading on spoils it.

Each function masks one row of tokens at a rate of 15%, with 80/10/10, and takes the same arguments.
"""

import random
from collections.abc import Callable, Sequence
from functools import partial

# What can be said about a suspect, and what to count to find out.
VERDICTS = {
    "right": "each of the counts below comes out as it should",
    "special token": "how often does a token without a word have a label?",
    "varying budget": "how many labels have rows with equally many tokens of text?",
    "wrong mix": "of the tokens with a label, what share shows [MASK], another token, itself?",
    "missing labels": "how many labels has a row, and how many should it have?",
    "safe place": "how often is each place hidden, the first and the last token of text too?",
    "same masks": "in how many rows is the same place hidden?",
}
BUGS = {"A": "wrong mix", "B": "same masks", "C": "right", "D": "missing labels", "E": "safe place"}


def masked(
    input_ids: Sequence[int],
    word_ids: Sequence[int],
    mask_token_id: int,
    ordinary: Sequence[int],
    rng: random.Random,
    bug: str = "right",
) -> tuple[list[int], list[int]]:
    """Mask one row of single tokens, with a bug or without.

    Args:
        input_ids: ids of the row.
        word_ids: word of each token, -1 at special tokens and padding.
        mask_token_id: id of [MASK].
        ordinary: ids that may replace a token.
        rng: source of the draws.
        bug: one of the values of `BUGS`.

    Returns:
        The ids that the model sees, and the labels.
    """
    candidates = [position for position, word in enumerate(word_ids) if word >= 0]
    budget = max(1, round(0.15 * len(candidates)))
    if bug == "safe place" and len(candidates) > 1:
        candidates.pop()
    places = random.Random(0) if bug == "same masks" else rng
    seen, labels = list(input_ids), [-100] * len(input_ids)
    for position in places.sample(candidates, budget):
        labels[position] = input_ids[position]
        fate = rng.random()
        if fate < 0.8:
            seen[position] = mask_token_id
        elif fate < (0.82 if bug == "wrong mix" else 0.9):
            seen[position] = rng.choice(ordinary)
        elif bug == "missing labels":
            labels[position] = -100
    return seen, labels


SUSPECTS: dict[str, Callable[..., tuple[list[int], list[int]]]] = {
    name: partial(masked, bug=bug) for name, bug in BUGS.items()
}
