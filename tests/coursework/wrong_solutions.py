"""Solutions as students hand them in: wrong ones, and right ones written in another way.

    python -m tests.coursework.wrong_solutions        a table: what each should lose, and what it scored
    python -m tests.coursework.wrong_solutions budget labels   those with one of these words in their name

`loses` was decided by reading the exercise's text: the points whose property the mistake breaks, each with a
piece (a regular expression) of the message that names the mistake. `test_wrong_solutions.py` holds the
hidden checks to it.
"""

import re
import sys
from typing import NamedTuple

from helpers.coursework import exercises, grading
from helpers.coursework.sandbox import Limits

ALL = "every point"


class Solution(NamedTuple):
    """A cell as it is handed in. `loses`: number of a point -> what its message says; or {ALL: …}."""

    name: str
    exercise: str
    mistake: str  # empty: there is none
    loses: dict
    source: str
    seconds: float = 5
    seed: int = 0


SOLUTIONS = []


def handed_in(name, exercise, mistake, loses, source, **more):
    """Adds a solution to the list."""
    SOLUTIONS.append(Solution(name, exercise, mistake, loses, source.strip("\n"), **more))


# ---------------------------------------------------------------- own_numbers

OWN = "own_numbers"

handed_in(
    "numbers of another seed",
    OWN,
    "the numbers of seed 0; the student's is 4200",
    {1: "your own seed", 2: "your own seed"},
    """
def own_numbers():
    return {"mentions": 1414, "long_share": 30.6}
""",
    seed=4200,
)

handed_in(
    "words for mentions",
    OWN,
    "counts the words in mentions",
    {1: "counts once"},
    """
def own_numbers():
    return {"mentions": 3187, "long_share": 30.6}
""",
)

handed_in(
    "more than three",
    OWN,
    "the share of names of more than three words",
    {2: "three words count too"},
    """
def own_numbers():
    return {"mentions": 1414, "long_share": 16.3}
""",
)

handed_in(
    "share as a fraction",
    OWN,
    "0.306 for 30.6%",
    {2: "per cent|fraction"},
    """
def own_numbers():
    return {"mentions": 1414, "long_share": 0.306}
""",
)

handed_in(
    "share rounded to whole",
    OWN,
    "31 for 30.6%",
    {2: "one decimal"},
    """
def own_numbers():
    numbers = {}
    numbers["mentions"] = 1414
    numbers["long_share"] = 31
    return numbers
""",
)

handed_in(
    "numbers computed from the notebook",
    OWN,
    "uses variables of other cells",
    {ALL: "NameError.*must define or import"},
    """
def own_numbers():
    lengths = [end - start for tags in train_tags for _, start, end in scoring.spans(tags)]
    return {"mentions": len(lengths), "long_share": 100 * sum(l >= 3 for l in lengths) / len(lengths)}
""",
)

handed_in(
    "all digits of the share",
    OWN,
    "",
    {},
    """
def own_numbers():
    mentions = 1414
    return dict(mentions=mentions, long_share=100 * 432 / mentions)
""",
)

handed_in(
    "not a number",
    OWN,
    "nan, which no comparison holds against",
    {1: "your own seed", 2: "your own seed"},
    """
def own_numbers():
    return {"mentions": float("nan"), "long_share": float("nan")}
""",
)

handed_in(
    "nothing measured",
    OWN,
    "zeros",
    {1: "your own seed", 2: "your own seed"},
    """
def own_numbers():
    return {"mentions": 0, "long_share": 0.0}
""",
)

# ---------------------------------------------------------------- token_masking

TOKENS = "token_masking"

handed_in(
    "coin per token",
    TOKENS,
    "every token is chosen with probability mask_rate",
    {2: "varies"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen, labels = [], []
    for token in input_ids:
        if token in special_ids or rng.random() >= mask_rate:
            seen.append(token)
            labels.append(-100)
            continue
        labels.append(token)
        r = rng.random()
        if r < mix[0]:
            seen.append(mask_token_id)
        elif r < mix[0] + mix[1]:
            seen.append(rng.choice(ordinary))
        else:
            seen.append(token)
    return seen, labels
""",
)

handed_in(
    "special tokens in the budget",
    TOKENS,
    "mask_rate is applied to the length of the row",
    {2: "special"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    candidates = [i for i in range(len(input_ids)) if input_ids[i] not in special_ids]
    k = max(1, round(mask_rate * len(input_ids)))
    chosen = rng.sample(candidates, min(k, len(candidates)))
    seen = input_ids.copy()
    labels = [-100] * len(input_ids)
    for i in chosen:
        labels[i] = input_ids[i]
        r = rng.random()
        if r < mix[0]:
            seen[i] = mask_token_id
        elif r < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "int for round",
    TOKENS,
    "the budget is rounded down",
    {2: r"round"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    ok = [i for i, t in enumerate(input_ids) if t not in special_ids]
    n = max(1, int(mask_rate * len(ok)))
    seen = list(input_ids)
    labels = [-100 for _ in input_ids]
    for i in rng.sample(ok, n):
        labels[i] = input_ids[i]
        x = rng.random()
        if x < mix[0]:
            seen[i] = mask_token_id
        elif x < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "ceil for round",
    TOKENS,
    "the budget is rounded up",
    {2: r"round"},
    """
import math

def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    ok = [i for i, t in enumerate(input_ids) if t not in special_ids]
    n = math.ceil(mask_rate * len(ok))
    seen = list(input_ids)
    labels = [-100 for _ in input_ids]
    for i in rng.sample(ok, n):
        labels[i] = input_ids[i]
        x = rng.random()
        if x < mix[0]:
            seen[i] = mask_token_id
        elif x < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "no token in a short row",
    TOKENS,
    "max(1, …) is missing",
    {2: "at least (one|1)"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    places = [i for i, t in enumerate(input_ids) if t not in special_ids]
    rng.shuffle(places)
    places = places[:round(mask_rate * len(places))]
    seen = list(input_ids)
    labels = [-100] * len(seen)
    for i in places:
        labels[i] = seen[i]
        fate = rng.random()
        if fate < mix[0]:
            seen[i] = mask_token_id
        elif fate < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "drawn with replacement",
    TOKENS,
    "rng.choices may draw a token twice",
    {2: "twice"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    budget = max(1, round(mask_rate * len(candidates)))
    chosen = rng.choices(candidates, k=budget)
    seen, labels = list(input_ids), [-100] * len(input_ids)
    for i in chosen:
        labels[i] = input_ids[i]
        fate = rng.random()
        if fate < mix[0]:
            seen[i] = mask_token_id
        elif fate < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "first tokens of the row",
    TOKENS,
    "the first tokens are chosen, not random ones",
    {2: "more often than others"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    chosen = candidates[:max(1, round(mask_rate * len(candidates)))]
    seen, labels = list(input_ids), [-100] * len(input_ids)
    for i in chosen:
        labels[i] = input_ids[i]
        fate = rng.random()
        if fate < mix[0]:
            seen[i] = mask_token_id
        elif fate < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "only the ends are special",
    TOKENS,
    "[CLS] and the last token are spared, not [SEP] and padding inside",
    {1: "special token or padding", 2: "special"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    candidates = list(range(1, len(input_ids) - 1))
    seen, labels = list(input_ids), [-100] * len(input_ids)
    for i in rng.sample(candidates, max(1, round(mask_rate * len(candidates)))):
        labels[i] = input_ids[i]
        fate = rng.random()
        if fate < mix[0]:
            seen[i] = mask_token_id
        elif fate < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "special ids typed in",
    TOKENS,
    "ids 0 to 4 are taken for the special ones, whatever special_ids says",
    {1: "special_ids"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    candidates = [i for i, token in enumerate(input_ids) if token > 4]
    seen, labels = list(input_ids), [-100] * len(input_ids)
    for i in rng.sample(candidates, max(1, round(mask_rate * len(candidates)))):
        labels[i] = input_ids[i]
        fate = rng.random()
        if fate < mix[0]:
            seen[i] = mask_token_id
        elif fate < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "labels everywhere",
    TOKENS,
    "the labels are a copy of the row",
    {3: "every token has a label"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    labels = list(input_ids)
    seen = list(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    for i in rng.sample(candidates, max(1, round(mask_rate * len(candidates)))):
        fate = rng.random()
        if fate < mix[0]:
            seen[i] = mask_token_id
        elif fate < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "label 0 for -100",
    TOKENS,
    "tokens that were not chosen have label 0",
    {3: "elsewhere the label is -100"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    labels = [0] * len(input_ids)
    seen = list(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    for i in rng.sample(candidates, max(1, round(mask_rate * len(candidates)))):
        labels[i] = input_ids[i]
        fate = rng.random()
        if fate < mix[0]:
            seen[i] = mask_token_id
        elif fate < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "labels where it changed",
    TOKENS,
    "a token that was chosen and shows itself has no label",
    {3: "left as it is has a label"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen = list(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    for i in rng.sample(candidates, max(1, round(mask_rate * len(candidates)))):
        fate = rng.random()
        if fate < mix[0]:
            seen[i] = mask_token_id
        elif fate < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    labels = [old if old != new else -100 for old, new in zip(input_ids, seen)]
    return seen, labels
""",
)

handed_in(
    "label taken too late",
    TOKENS,
    "the label is what the model sees",
    {3: "before anything was hidden"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen, labels = list(input_ids), [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    for i in rng.sample(candidates, max(1, round(mask_rate * len(candidates)))):
        fate = rng.random()
        if fate < mix[0]:
            seen[i] = mask_token_id
        elif fate < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
        labels[i] = seen[i]
    return seen, labels
""",
)

handed_in(
    "two random numbers",
    TOKENS,
    "a second number is drawn for the second case",
    {4: "two random numbers"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen, labels = list(input_ids), [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    for i in rng.sample(candidates, max(1, round(mask_rate * len(candidates)))):
        labels[i] = input_ids[i]
        if rng.random() < mix[0]:
            seen[i] = mask_token_id
        elif rng.random() < mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "second case never ends right",
    TOKENS,
    "compares with mix[1], not with mix[0] + mix[1]",
    {4: "second case"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen, labels = list(input_ids), [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    for i in rng.sample(candidates, max(1, round(mask_rate * len(candidates)))):
        labels[i] = input_ids[i]
        r = rng.random()
        if r < mix[0]:
            seen[i] = mask_token_id
        elif r < mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "mix hard-coded",
    TOKENS,
    "80/10/10, whatever mix says",
    {4: "whatever `mix` says"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen, labels = list(input_ids), [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    for i in rng.sample(candidates, max(1, round(mask_rate * len(candidates)))):
        labels[i] = input_ids[i]
        r = rng.random()
        if r < 0.8:
            seen[i] = mask_token_id
        elif r < 0.9:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "always the mask",
    TOKENS,
    "every chosen token shows mask_token_id",
    {4: "mix"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    chosen = rng.sample(candidates, max(1, round(mask_rate * len(candidates))))
    seen = [mask_token_id if i in chosen else t for i, t in enumerate(input_ids)]
    labels = [t if i in chosen else -100 for i, t in enumerate(input_ids)]
    return seen, labels
""",
)

handed_in(
    "any token of the vocabulary",
    TOKENS,
    "the random token may be a special one",
    {4: "not in `ordinary`"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen, labels = list(input_ids), [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    for i in rng.sample(candidates, max(1, round(mask_rate * len(candidates)))):
        labels[i] = input_ids[i]
        r = rng.random()
        if r < mix[0]:
            seen[i] = mask_token_id
        elif r < mix[0] + mix[1]:
            seen[i] = rng.randint(0, max(ordinary))
    return seen, labels
""",
)

handed_in(
    "one fate per row",
    TOKENS,
    "one random number decides for all chosen tokens",
    {4: "share one fate"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen, labels = list(input_ids), [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    chosen = rng.sample(candidates, max(1, round(mask_rate * len(candidates))))
    r = rng.random()
    for i in chosen:
        labels[i] = input_ids[i]
        if r < mix[0]:
            seen[i] = mask_token_id
        elif r < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "one replacement per row",
    TOKENS,
    "the token from ordinary is drawn before the loop",
    {4: "one replacement"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen, labels = list(input_ids), [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    random_token = rng.choice(ordinary)
    for i in rng.sample(candidates, max(1, round(mask_rate * len(candidates)))):
        labels[i] = input_ids[i]
        r = rng.random()
        if r < mix[0]:
            seen[i] = mask_token_id
        elif r < mix[0] + mix[1]:
            seen[i] = random_token
    return seen, labels
""",
)

handed_in(
    "random for rng",
    TOKENS,
    "one draw uses the module random",
    {5: "use `rng` for every draw"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen, labels = list(input_ids), [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    for i in random.sample(candidates, max(1, round(mask_rate * len(candidates)))):
        labels[i] = input_ids[i]
        r = rng.random()
        if r < mix[0]:
            seen[i] = mask_token_id
        elif r < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "a seed of one's own",
    TOKENS,
    "a generator with seed 42: the same places in every row",
    {2: "`rng`", 5: "not a generator of your own"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    rng = random.Random(42)
    seen, labels = list(input_ids), [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    for i in rng.sample(candidates, max(1, round(mask_rate * len(candidates)))):
        labels[i] = input_ids[i]
        r = rng.random()
        if r < mix[0]:
            seen[i] = mask_token_id
        elif r < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "changed in place",
    TOKENS,
    "input_ids itself is changed",
    {5: "work on a copy"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    labels = [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    for i in rng.sample(candidates, max(1, round(mask_rate * len(candidates)))):
        labels[i] = input_ids[i]
        r = rng.random()
        if r < mix[0]:
            input_ids[i] = mask_token_id
        elif r < mix[0] + mix[1]:
            input_ids[i] = rng.choice(ordinary)
    return input_ids, labels
""",
)

handed_in(
    "changed in place, labels late",
    TOKENS,
    "in place, and the label is read afterwards: two mistakes",
    {3: "before anything was hidden", 5: "work on a copy"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen = input_ids
    labels = [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    for i in rng.sample(candidates, max(1, round(mask_rate * len(candidates)))):
        r = rng.random()
        if r < mix[0]:
            seen[i] = mask_token_id
        elif r < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
        labels[i] = input_ids[i]
    return seen, labels
""",
)

handed_in(
    "syntax error",
    TOKENS,
    "a bracket is not closed",
    {ALL: "SyntaxError"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    candidates = [i for i in range(len(input_ids) if input_ids[i] not in special_ids]
    return candidates
""",
)

handed_in(
    "no return",
    TOKENS,
    "the result is printed",
    {ALL: "`return` missing"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen, labels = list(input_ids), [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    for i in rng.sample(candidates, max(1, round(mask_rate * len(candidates)))):
        labels[i] = input_ids[i]
        seen[i] = mask_token_id
    print(seen, labels)
""",
)

handed_in(
    "another name",
    TOKENS,
    "the function is called mask_tokens",
    {ALL: "no function.*token_masking|token_masking.*not defined"},
    """
def mask_tokens(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    return list(input_ids), [-100] * len(input_ids)
""",
)

handed_in(
    "a parameter too few",
    TOKENS,
    "special_ids was removed from the first line",
    {ALL: "takes 6 positional arguments but 7"},
    """
def token_masking(input_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen, labels = list(input_ids), [-100] * len(input_ids)
    for i in rng.sample(range(len(seen)), max(1, round(mask_rate * len(seen)))):
        labels[i] = input_ids[i]
        seen[i] = mask_token_id
    return seen, labels
""",
)

handed_in(
    "a function of another cell",
    TOKENS,
    "calls choose_tokens, which the notebook defines above",
    {ALL: "NameError.*choose_tokens.*must define or import"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    word_ids = [-1 if t in special_ids else i for i, t in enumerate(input_ids)]
    positions = choose_tokens(word_ids, mask_rate, rng)
    seen = [mask_token_id if i in positions else t for i, t in enumerate(input_ids)]
    labels = [t if i in positions else -100 for i, t in enumerate(input_ids)]
    return seen, labels
""",
)

handed_in(
    "asks for a number",
    TOKENS,
    "input() in the cell",
    {ALL: "EOFError"},
    """
rate = float(input("mask rate? "))

def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    return list(input_ids), [-100] * len(input_ids)
""",
)

handed_in(
    "tokens by numpy",
    TOKENS,
    "",
    {},
    """
import numpy as np

def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    generator = np.random.default_rng(rng.getrandbits(64))
    ids = np.array(input_ids)
    candidates = np.flatnonzero(~np.isin(ids, list(special_ids)))
    k = max(1, round(mask_rate * len(candidates)))
    chosen = generator.permutation(candidates)[:k]
    labels = np.full(len(ids), -100)
    labels[chosen] = ids[chosen]
    fate = generator.choice(3, size=k, p=mix)
    ids[chosen[fate == 0]] = mask_token_id
    ids[chosen[fate == 1]] = generator.choice(ordinary, size=(fate == 1).sum())
    return ids, labels
""",
)

handed_in(
    "tokens by random keys",
    TOKENS,
    "",
    {},
    '''
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    """Gives every token a random key; those with the smallest keys are chosen."""
    keys = {i: rng.random() for i, t in enumerate(input_ids) if t not in special_ids}
    k = max(1, round(mask_rate * len(keys)))
    chosen = set(sorted(keys, key=keys.get)[:k])
    print("chosen:", chosen)  # still here from looking for a mistake

    def fate(i, token):
        if i not in chosen:
            return token, -100
        what = rng.choices(["mask", "other", "same"], weights=mix)[0]
        return {"mask": mask_token_id, "other": rng.choice(ordinary), "same": token}[what], token

    pairs = [fate(i, token) for i, token in enumerate(input_ids)]
    return [seen for seen, _ in pairs], [label for _, label in pairs]


token_masking([2, 10, 11, 3], {2, 3}, 0.5, (1, 0, 0), 4, [7], random.Random(0))
''',
)

handed_in(
    "tokens by shuffle",
    TOKENS,
    "",
    {},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    order = []
    for i in range(len(input_ids)):
        if not (input_ids[i] in special_ids):
            order.append(i)
    k = round(len(order) * mask_rate)
    if k == 0:
        k = 1
    rng.shuffle(order)
    first = mix[0]
    second = 1 - mix[2]
    seen = input_ids[:]
    labels = []
    for i in range(len(input_ids)):
        labels.append(-100)
    while k > 0:
        k -= 1
        i = order[k]
        labels[i] = input_ids[i]
        x = rng.random()
        if x < first:
            seen[i] = mask_token_id
        if first <= x and x < second:
            seen[i] = ordinary[int(rng.random() * len(ordinary))]
    return (seen, labels)
""",
)

handed_in(
    "hides nothing",
    TOKENS,
    "returns the row and -100",
    {
        1: "nothing is hidden",
        2: "nothing is hidden",
        3: "has a label too",
        4: "no token was replaced",
        5: "another seed",
    },
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    return list(input_ids), [-100] * len(input_ids)
""",
)

handed_in(
    "ids for places",
    TOKENS,
    "draws ids, and hides every token with one of them",
    {2: "places, not ids"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    tokens = [t for t in input_ids if t not in special_ids]
    chosen = set(rng.sample(tokens, max(1, round(mask_rate * len(tokens)))))
    seen, labels = list(input_ids), [-100] * len(input_ids)
    for i, token in enumerate(input_ids):
        if token in chosen:
            labels[i] = token
            r = rng.random()
            if r < mix[0]:
                seen[i] = mask_token_id
            elif r < mix[0] + mix[1]:
                seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "place of the token by index",
    TOKENS,
    "input_ids.index(token) finds the first of equal tokens",
    {2: "only the first"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    tokens = [t for t in input_ids if t not in special_ids]
    seen, labels = list(input_ids), [-100] * len(input_ids)
    for token in rng.sample(tokens, max(1, round(mask_rate * len(tokens)))):
        i = input_ids.index(token)
        labels[i] = token
        r = rng.random()
        if r < mix[0]:
            seen[i] = mask_token_id
        elif r < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "budget over the set of tokens",
    TOKENS,
    "equal tokens count once",
    {2: "equal tokens count each"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen, labels = list(input_ids), [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    k = max(1, round(mask_rate * len(set(input_ids) - set(special_ids))))
    for i in rng.sample(candidates, k):
        labels[i] = input_ids[i]
        r = rng.random()
        if r < mix[0]:
            seen[i] = mask_token_id
        elif r < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "half rounded up",
    TOKENS,
    "int(x + 0.5), which takes 2.5 to 3",
    {2: "takes 2.5 to 2"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen, labels = list(input_ids), [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    k = max(1, int(mask_rate * len(candidates) + 0.5))
    for i in rng.sample(candidates, k):
        labels[i] = input_ids[i]
        r = rng.random()
        if r < mix[0]:
            seen[i] = mask_token_id
        elif r < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "half rounded down",
    TOKENS,
    "ceil(x - 0.5), which takes 3.5 to 3",
    {2: "3.5 to 4"},
    """
import math

def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen, labels = list(input_ids), [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    k = max(1, math.ceil(mask_rate * len(candidates) - 0.5))
    for i in rng.sample(candidates, k):
        labels[i] = input_ids[i]
        r = rng.random()
        if r < mix[0]:
            seen[i] = mask_token_id
        elif r < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "one block of tokens",
    TOKENS,
    "the chosen tokens are neighbours",
    {2: "side by side"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen, labels = list(input_ids), [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    k = max(1, round(mask_rate * len(candidates)))
    start = rng.randrange(len(candidates))
    for i in (candidates + candidates)[start : start + k]:
        labels[i] = input_ids[i]
        r = rng.random()
        if r < mix[0]:
            seen[i] = mask_token_id
        elif r < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "one block inside the row",
    TOKENS,
    "neighbours, and those at the ends of the row are chosen less often",
    {2: "more often|side by side"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen, labels = list(input_ids), [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    k = max(1, round(mask_rate * len(candidates)))
    start = rng.randrange(len(candidates) - k + 1)
    for i in candidates[start : start + k]:
        labels[i] = input_ids[i]
        r = rng.random()
        if r < mix[0]:
            seen[i] = mask_token_id
        elif r < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "every n-th token",
    TOKENS,
    "at equal distances from a random start",
    {2: "more often|side by side"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen, labels = list(input_ids), [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    k = max(1, round(mask_rate * len(candidates)))
    step = len(candidates) // k
    start = rng.randrange(len(candidates))
    for i in [candidates[(start + n * step) % len(candidates)] for n in range(k)]:
        labels[i] = input_ids[i]
        r = rng.random()
        if r < mix[0]:
            seen[i] = mask_token_id
        elif r < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "quotas",
    TOKENS,
    "exact shares of the chosen tokens instead of a draw for each",
    {4: "no quotas"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen, labels = list(input_ids), [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    chosen = rng.sample(candidates, max(1, round(mask_rate * len(candidates))))
    first = round(mix[0] * len(chosen))
    second = first + round(mix[1] * len(chosen))
    for n, i in enumerate(chosen):
        labels[i] = input_ids[i]
        if n < first:
            seen[i] = mask_token_id
        elif n < second:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "quotas from a deck of cards",
    TOKENS,
    "the fates are dealt from a shuffled list with the right shares",
    {4: "no quotas"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen, labels = list(input_ids), [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    chosen = rng.sample(candidates, max(1, round(mask_rate * len(candidates))))
    fates = ["mask"] * int(mix[0] * len(chosen)) + ["random"] * int(mix[1] * len(chosen))
    fates += ["keep"] * (len(chosen) - len(fates))
    rng.shuffle(fates)
    for i, fate in zip(chosen, fates):
        labels[i] = input_ids[i]
        if fate == "mask":
            seen[i] = mask_token_id
        elif fate == "random":
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

handed_in(
    "mostly the first of ordinary",
    TOKENS,
    "an index that is rounded down too often",
    {4: "each token of `ordinary`"},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen, labels = list(input_ids), [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    k = max(1, round(mask_rate * len(candidates)))
    for i in rng.sample(candidates, k):
        labels[i] = input_ids[i]
        r = rng.random()
        if r < mix[0]:
            seen[i] = mask_token_id
        elif r < mix[0] + mix[1]:
            seen[i] = ordinary[int(rng.random() * rng.random() * len(ordinary))]
    return seen, labels
""",
)

handed_in(
    "tokens by drawing again",
    TOKENS,
    "",
    {},
    """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    seen, labels = list(input_ids), [-100] * len(input_ids)
    candidates = [i for i, t in enumerate(input_ids) if t not in special_ids]
    k = max(1, round(mask_rate * len(candidates)))
    chosen = []
    while len(chosen) < k:
        i = candidates[rng.randint(0, len(candidates) - 1)]
        if i in chosen:
            continue
        chosen.append(i)
    for i in chosen:
        labels[i] = input_ids[i]
        r = rng.random()
        if r < mix[0]:
            seen[i] = mask_token_id
        elif r < mix[0] + mix[1]:
            seen[i] = rng.choice(ordinary)
    return seen, labels
""",
)

# ---------------------------------------------------------------- whole_word_masking

WORDS = "whole_word_masking"

handed_in(
    "last word torn",
    WORDS,
    "the last word is cut, as in choose_whole_words",
    {1: "hidden in part"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    candidates = [position for position, word in enumerate(word_ids) if word >= 0]
    budget = max(1, round(mask_rate * len(candidates)))
    words = sorted({word_ids[position] for position in candidates})
    rng.shuffle(words)
    positions = [position for word in words for position in candidates if word_ids[position] == word]
    return sorted(positions[:budget])
""",
)

handed_in(
    "stops at a word that does not fit",
    WORDS,
    "break for continue",
    {3: "try the next one"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    words = {}
    for position, word in enumerate(word_ids):
        if word != -1:
            words.setdefault(word, []).append(position)
    budget = max(1, round(mask_rate * sum(len(places) for places in words.values())))
    order = list(words)
    rng.shuffle(order)
    hidden = []
    for word in order:
        if len(hidden) + len(words[word]) > budget:
            break
        hidden += words[word]
    return sorted(hidden)
""",
)

handed_in(
    "a word that just fits",
    WORDS,
    "< for <=: the budget is never reached",
    {3: "just fits"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    budget = max(1, round(mask_rate * sum(word >= 0 for word in word_ids)))
    order = sorted(set(word_ids) - {-1})
    rng.shuffle(order)
    hidden = []
    for word in order:
        places = [i for i, w in enumerate(word_ids) if w == word]
        if len(hidden) + len(places) < budget:
            hidden.extend(places)
    return sorted(hidden)
""",
)

handed_in(
    "budget in words",
    WORDS,
    "a share of the words is hidden, not of the tokens",
    {2: "tokens, not words", 3: "in tokens"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    words = sorted(set(word for word in word_ids if word >= 0))
    k = max(1, round(mask_rate * len(words)))
    chosen = rng.sample(words, k)
    return [i for i, word in enumerate(word_ids) if word in chosen]
""",
)

handed_in(
    "word that overshoots",
    WORDS,
    "words are hidden until the budget is reached or passed",
    {2: "the budget is"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    n = len([w for w in word_ids if w >= 0])
    budget = max(1, round(mask_rate * n))
    words = list(set(w for w in word_ids if w >= 0))
    rng.shuffle(words)
    positions = []
    while len(positions) < budget:
        word = words.pop()
        positions += [i for i in range(len(word_ids)) if word_ids[i] == word]
    return sorted(positions)
""",
)

handed_in(
    "-1 is a word",
    WORDS,
    "special tokens are one more word, and count",
    {1: "special token", 2: "special tokens"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    sizes = Counter(word_ids)
    left = max(1, round(mask_rate * len(word_ids)))
    words = list(sizes)
    rng.shuffle(words)
    hidden = set()
    for word in words:
        if sizes[word] <= left:
            hidden.add(word)
            left -= sizes[word]
    return [i for i, word in enumerate(word_ids) if word in hidden]
""",
)

handed_in(
    "special tokens in the words' budget",
    WORDS,
    "mask_rate is applied to the length of the row",
    {2: "special tokens"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    sizes = Counter(word for word in word_ids if word >= 0)
    left = max(1, round(mask_rate * len(word_ids)))
    words = list(sizes)
    rng.shuffle(words)
    hidden = set()
    for word in words:
        if sizes[word] <= left:
            hidden.add(word)
            left -= sizes[word]
    return [i for i, word in enumerate(word_ids) if word in hidden]
""",
)

handed_in(
    "int for round, words",
    WORDS,
    "the budget is rounded down, so a word that fits is left over",
    {3: "round"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    sizes = Counter(word for word in word_ids if word >= 0)
    left = max(1, int(mask_rate * sizes.total()))
    words = list(sizes)
    rng.shuffle(words)
    hidden = set()
    for word in words:
        if sizes[word] <= left:
            hidden.add(word)
            left -= sizes[word]
    return [i for i, word in enumerate(word_ids) if word in hidden]
""",
)

handed_in(
    "ceil for round, words",
    WORDS,
    "the budget is rounded up",
    {2: "round"},
    """
from math import ceil

def whole_word_masking(word_ids, mask_rate, rng):
    sizes = Counter(word for word in word_ids if word >= 0)
    left = ceil(mask_rate * sizes.total())
    words = list(sizes)
    rng.shuffle(words)
    hidden = set()
    for word in words:
        if sizes[word] <= left:
            hidden.add(word)
            left -= sizes[word]
    return [i for i, word in enumerate(word_ids) if word in hidden]
""",
)

handed_in(
    "nothing in a short row",
    WORDS,
    "max(1, …) is missing",
    {3: "at least 1"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    sizes = Counter(word for word in word_ids if word >= 0)
    left = round(mask_rate * sizes.total())
    words = list(sizes)
    rng.shuffle(words)
    hidden = set()
    for word in words:
        if sizes[word] <= left:
            hidden.add(word)
            left -= sizes[word]
    return [i for i, word in enumerate(word_ids) if word in hidden]
""",
)

handed_in(
    "first words first",
    WORDS,
    "the words are not shuffled",
    {4: "shuffle"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    sizes = Counter(word for word in word_ids if word >= 0)
    left = max(1, round(mask_rate * sizes.total()))
    hidden = set()
    for word in sizes:
        if sizes[word] <= left:
            hidden.add(word)
            left -= sizes[word]
    return [i for i, word in enumerate(word_ids) if word in hidden]
""",
)

handed_in(
    "longest words first",
    WORDS,
    "shuffled, then sorted by size so that the budget fills well",
    {4: "random order"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    sizes = Counter(word for word in word_ids if word >= 0)
    left = max(1, round(mask_rate * sizes.total()))
    words = list(sizes)
    rng.shuffle(words)
    words.sort(key=lambda word: sizes[word], reverse=True)
    hidden = set()
    for word in words:
        if sizes[word] <= left:
            hidden.add(word)
            left -= sizes[word]
    return [i for i, word in enumerate(word_ids) if word in hidden]
""",
)

handed_in(
    "numbers of words",
    WORDS,
    "returns the words' numbers, not positions",
    {1: "position", 3: "position", 4: "position"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    sizes = Counter(word for word in word_ids if word >= 0)
    left = max(1, round(mask_rate * sizes.total()))
    words = list(sizes)
    rng.shuffle(words)
    hidden = []
    for word in words:
        if sizes[word] <= left:
            hidden.append(word)
            left -= sizes[word]
    return sorted(hidden)
""",
)

handed_in(
    "positions out of order",
    WORDS,
    "in the order of drawing, not ascending",
    {4: "ascending order"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    budget = max(1, round(mask_rate * sum(word >= 0 for word in word_ids)))
    order = sorted(set(word_ids) - {-1})
    rng.shuffle(order)
    hidden = []
    for word in order:
        places = [i for i, w in enumerate(word_ids) if w == word]
        if len(hidden) + len(places) <= budget:
            hidden.extend(places)
    return hidden
""",
)

handed_in(
    "random for rng, words",
    WORDS,
    "shuffles with the module random",
    {4: "use `rng`"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    sizes = Counter(word for word in word_ids if word >= 0)
    left = max(1, round(mask_rate * sizes.total()))
    words = list(sizes)
    random.shuffle(words)
    hidden = set()
    for word in words:
        if sizes[word] <= left:
            hidden.add(word)
            left -= sizes[word]
    return [i for i, word in enumerate(word_ids) if word in hidden]
""",
)

handed_in(
    "a seed of one's own, words",
    WORDS,
    "a generator with seed 0: the same words in every row",
    {4: "`rng`"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    rng = random.Random(0)
    sizes = Counter(word for word in word_ids if word >= 0)
    left = max(1, round(mask_rate * sizes.total()))
    words = list(sizes)
    rng.shuffle(words)
    hidden = set()
    for word in words:
        if sizes[word] <= left:
            hidden.add(word)
            left -= sizes[word]
    return [i for i, word in enumerate(word_ids) if word in hidden]
""",
)

handed_in(
    "endless where nothing fits",
    WORDS,
    "draws words until the budget is full, which may never be",
    {2: "does a loop run forever", 3: "does a loop run forever"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    budget = max(1, round(mask_rate * sum(w >= 0 for w in word_ids)))
    words = [w for w in set(word_ids) if w >= 0]
    hidden = set()
    while len(hidden) < budget:
        word = rng.choice(words)
        places = {i for i, w in enumerate(word_ids) if w == word}
        if len(hidden | places) <= budget:
            hidden |= places
    return sorted(hidden)
""",
    seconds=2,
)

handed_in(
    "words by random keys, recursive",
    WORDS,
    "",
    {},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    places = {}
    for i, word in enumerate(word_ids):
        if word >= 0:
            places.setdefault(word, []).append(i)

    def fill(queue, left):
        if not queue or left == 0:
            return []
        first, *rest = queue
        if len(places[first]) > left:
            return fill(rest, left)
        return places[first] + fill(rest, left - len(places[first]))

    queue = sorted(places, key=lambda word: rng.random())
    return sorted(fill(queue, max(1, round(mask_rate * sum(map(len, places.values()))))))
""",
)

handed_in(
    "words by a generator",
    WORDS,
    "",
    {},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    def drawn():
        left = max(1, round(mask_rate * sum(1 for w in word_ids if w != -1)))
        pool = list(dict.fromkeys(w for w in word_ids if w != -1))
        while pool:
            word = pool.pop(rng.randrange(len(pool)))
            size = word_ids.count(word)
            if size > left:
                continue
            left -= size
            yield word

    hidden = set(drawn())
    return (i for i, word in enumerate(word_ids) if word in hidden)
""",
)

handed_in(
    "hides no word",
    WORDS,
    "returns an empty list",
    {ALL: "nothing is hidden"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    return []
""",
)

handed_in(
    "half rounded up, words",
    WORDS,
    "int(x + 0.5), which takes 2.5 to 3",
    {2: "takes 2.5 to 2"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    sizes = Counter(word for word in word_ids if word >= 0)
    left = max(1, int(mask_rate * sizes.total() + 0.5))
    words = list(sizes)
    rng.shuffle(words)
    hidden = set()
    for word in words:
        if sizes[word] <= left:
            hidden.add(word)
            left -= sizes[word]
    return [i for i, word in enumerate(word_ids) if word in hidden]
""",
)

handed_in(
    "half rounded down, words",
    WORDS,
    "ceil(x - 0.5), which takes 3.5 to 3, so a word that fits is left over",
    {3: "round the budget"},
    """
from math import ceil

def whole_word_masking(word_ids, mask_rate, rng):
    sizes = Counter(word for word in word_ids if word >= 0)
    left = max(1, ceil(mask_rate * sizes.total() - 0.5))
    words = list(sizes)
    rng.shuffle(words)
    hidden = set()
    for word in words:
        if sizes[word] <= left:
            hidden.add(word)
            left -= sizes[word]
    return [i for i, word in enumerate(word_ids) if word in hidden]
""",
)

handed_in(
    "words rotated",
    WORDS,
    "the list of words begins somewhere, and is not shuffled",
    {4: "do not rotate"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    sizes = Counter(word for word in word_ids if word >= 0)
    left = max(1, round(mask_rate * sizes.total()))
    words = list(sizes)
    start = rng.randrange(len(words))
    words = words[start:] + words[:start]
    hidden = set()
    for word in words:
        if sizes[word] <= left:
            hidden.add(word)
            left -= sizes[word]
    return [i for i, word in enumerate(word_ids) if word in hidden]
""",
)

handed_in(
    "words rotated, or backwards",
    WORDS,
    "from a random word on, in a random direction",
    {4: "do not rotate"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    sizes = Counter(word for word in word_ids if word >= 0)
    left = max(1, round(mask_rate * sizes.total()))
    words = list(sizes)
    start = rng.randrange(len(words))
    words = words[start:] + words[:start]
    if rng.random() < 0.5:
        words.reverse()
    hidden = set()
    for word in words:
        if sizes[word] <= left:
            hidden.add(word)
            left -= sizes[word]
    return [i for i, word in enumerate(word_ids) if word in hidden]
""",
)

handed_in(
    "words in two halves",
    WORDS,
    "even and odd words are shuffled apart",
    {4: "together"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    sizes = Counter(word for word in word_ids if word >= 0)
    left = max(1, round(mask_rate * sizes.total()))
    words = list(sizes)
    even, odd = words[::2], words[1::2]
    rng.shuffle(even)
    rng.shuffle(odd)
    words = even + odd if rng.random() < 0.5 else odd + even
    hidden = set()
    for word in words:
        if sizes[word] <= left:
            hidden.add(word)
            left -= sizes[word]
    return [i for i, word in enumerate(word_ids) if word in hidden]
""",
)

handed_in(
    "words counted from 0",
    WORDS,
    "numbers of words from 0 to how many there are; some are missing",
    {3: "may have gaps"},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    sizes = Counter(word for word in word_ids if word >= 0)
    left = max(1, round(mask_rate * sizes.total()))
    words = list(range(len(sizes)))
    rng.shuffle(words)
    hidden = set()
    for word in words:
        if sizes[word] <= left:
            hidden.add(word)
            left -= sizes[word]
    return [i for i, word in enumerate(word_ids) if word in hidden]
""",
)

handed_in(
    "words by sample",
    WORDS,
    "",
    {},
    """
def whole_word_masking(word_ids, mask_rate, rng):
    numbers = np.array(word_ids)
    left = max(1, int(np.round(mask_rate * (numbers >= 0).sum())))
    hidden = np.zeros(len(numbers), dtype=bool)
    for word in rng.sample(range(numbers.max() + 1), int(numbers.max()) + 1):
        tokens = numbers == word
        if tokens.sum() <= left:
            hidden |= tokens
            left -= tokens.sum()
    return np.flatnonzero(hidden)
""",
)

# ---------------------------------------------------------------- geometric_spans

SPANS = "geometric_spans"

handed_in(
    "lengths clipped",
    SPANS,
    "a length above longest becomes longest",
    {3: "counted as `longest`"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = 1
        while rng.random() >= p:
            length += 1
        length = min(length, longest)
        start = rng.randrange(words)
        end = min(start + length, words)
        if any(word in hidden for word in range(start, end)):
            continue
        end = min(end, start + budget - len(hidden))
        spans.append((start, end))
        hidden.update(range(start, end))
    return spans
""",
)

handed_in(
    "loop stops at longest",
    SPANS,
    "`and length < longest` in the loop: clipped as well",
    {3: "counted as `longest`"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans = []
    taken = [False] * words
    left = budget
    while left > 0:
        length = 1
        while rng.random() > p and length < longest:
            length = length + 1
        start = rng.randint(0, words - 1)
        end = min(start + length, words)
        if True in taken[start:end]:
            continue
        if end - start > left:
            end = start + left
        for i in range(start, end):
            taken[i] = True
        left -= end - start
        spans.append((start, end))
    return spans
""",
)

handed_in(
    "longest ignored",
    SPANS,
    "spans of any length",
    {3: "draw such a length again"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = 1
        while rng.random() >= p:
            length += 1
        start = rng.randrange(words)
        end = min(start + length, words)
        if hidden & set(range(start, end)):
            continue
        end = min(end, start + budget - len(hidden))
        spans.append((start, end))
        hidden |= set(range(start, end))
    return spans
""",
)

handed_in(
    "longest is never reached",
    SPANS,
    "lengths from longest on are drawn again",
    {3: "may be reached"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = longest
        while length >= longest:
            length = 1
            while rng.random() >= p:
                length += 1
        start = rng.randrange(words)
        end = min(start + length, words)
        if hidden & set(range(start, end)):
            continue
        end = min(end, start + budget - len(hidden))
        spans.append((start, end))
        hidden |= set(range(start, end))
    return spans
""",
)

handed_in(
    "p upside down",
    SPANS,
    "goes on with probability p",
    {2: "the chance to stop; here"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = 1
        while rng.random() < p:
            length += 1
        if length > longest:
            continue
        start = rng.randrange(words)
        end = min(start + length, words)
        if hidden & set(range(start, end)):
            continue
        end = min(end, start + budget - len(hidden))
        spans.append((start, end))
        hidden |= set(range(start, end))
    return spans
""",
)

handed_in(
    "lengths from 0",
    SPANS,
    "counts from 0, so there are spans without a word",
    {2: "start at 1"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = 0
        while rng.random() >= p:
            length += 1
        if length > longest:
            continue
        start = rng.randrange(words)
        end = min(start + length, words)
        if hidden & set(range(start, end)):
            continue
        end = min(end, start + budget - len(hidden))
        spans.append((start, end))
        hidden |= set(range(start, end))
    return spans
""",
)

handed_in(
    "lengths from 2",
    SPANS,
    "the toss comes after the first step, so the shortest span has two words",
    {2: "start at 1"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = 1
        while True:
            length += 1
            if rng.random() < p:
                break
        if length > longest:
            continue
        start = rng.randrange(words)
        end = min(start + length, words)
        if hidden & set(range(start, end)):
            continue
        end = min(end, start + budget - len(hidden))
        spans.append((start, end))
        hidden |= set(range(start, end))
    return spans
""",
)

handed_in(
    "uniform lengths",
    SPANS,
    "every length up to longest is as likely as any other",
    {2: "equally often"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = rng.randint(1, longest)
        start = rng.randrange(words)
        end = min(start + length, words)
        if hidden & set(range(start, end)):
            continue
        end = min(end, start + budget - len(hidden))
        spans.append((start, end))
        hidden |= set(range(start, end))
    return spans
""",
)

handed_in(
    "only where a span fits",
    SPANS,
    "a span never reaches the end of the row",
    {4: "end of the row"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = 1
        while rng.random() >= p:
            length += 1
        if length > longest or length > words:
            continue
        start = rng.randint(0, words - length)
        end = start + length
        if hidden & set(range(start, end)):
            continue
        end = min(end, start + budget - len(hidden))
        spans.append((start, end))
        hidden |= set(range(start, end))
    return spans
""",
)

handed_in(
    "never the first word",
    SPANS,
    "rng.randint(1, words - 1): word 0 is taken for a special token",
    {4: "first word"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = 1
        while rng.random() >= p:
            length += 1
        if length > longest:
            continue
        start = rng.randint(1, words - 1)
        end = min(start + length, words)
        if hidden & set(range(start, end)):
            continue
        end = min(end, start + budget - len(hidden))
        spans.append((start, end))
        hidden |= set(range(start, end))
    return spans
""",
)

handed_in(
    "spans overlap",
    SPANS,
    "words that are hidden already are not looked at",
    {1: "share a word"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, count = [], 0
    while count < budget:
        length = 1
        while rng.random() >= p:
            length += 1
        if length > longest:
            continue
        start = rng.randrange(words)
        end = min(start + length, words, start + budget - count)
        spans.append((start, end))
        count += end - start
    return spans
""",
)

handed_in(
    "last span overshoots",
    SPANS,
    "the last span is not cut",
    {1: "cut the last span"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = 1
        while rng.random() >= p:
            length += 1
        if length > longest:
            continue
        start = rng.randrange(words)
        end = min(start + length, words)
        if hidden & set(range(start, end)):
            continue
        spans.append((start, end))
        hidden |= set(range(start, end))
    return spans
""",
)

handed_in(
    "last span dropped",
    SPANS,
    "a last span that does not fit is left out",
    {1: "cut the last span|dropped"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = 1
        while rng.random() >= p:
            length += 1
        if length > longest:
            continue
        start = rng.randrange(words)
        end = min(start + length, words)
        if hidden & set(range(start, end)):
            continue
        if len(hidden) + end - start > budget:
            break
        spans.append((start, end))
        hidden |= set(range(start, end))
    return spans
""",
)

handed_in(
    "beyond the row",
    SPANS,
    "a span may reach beyond the end of the row",
    {1: "beyond the row"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = 1
        while rng.random() >= p:
            length += 1
        if length > longest:
            continue
        start = rng.randrange(words)
        end = start + length
        if hidden & set(range(start, end)):
            continue
        end = min(end, start + budget - len(hidden))
        spans.append((start, end))
        hidden |= set(range(start, end))
    return spans
""",
)

# What is wrong here is the pair itself, and every point that reads `end` is lost by it.
handed_in(
    "pairs of start and length",
    SPANS,
    "returns (start, length)",
    {1: r"\(start, end\)", 2: r"\(start, end\)", 3: r"\(start, end\)"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = 1
        while rng.random() >= p:
            length += 1
        if length > longest:
            continue
        start = rng.randrange(words)
        length = min(length, words - start)
        if hidden & set(range(start, start + length)):
            continue
        length = min(length, budget - len(hidden))
        spans.append((start, length))
        hidden |= set(range(start, start + length))
    return spans
""",
)

handed_in(
    "end is the last word",
    SPANS,
    "returns (start, end) with end inside the span",
    {1: "`end - 1`", 2: "`end - 1`", 3: "`end - 1`"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = 1
        while rng.random() >= p:
            length += 1
        if length > longest:
            continue
        start = rng.randrange(words)
        end = min(start + length - 1, words - 1)
        span = list(range(start, end + 1))[:budget - len(hidden)]
        if hidden.intersection(range(start, end + 1)):
            continue
        spans.append((start, span[-1]))
        hidden.update(span)
    return spans
""",
)

handed_in(
    "random for rng, spans",
    SPANS,
    "lengths are drawn with the module random",
    {5: "use `rng` for every draw"},
    """
def geometric_spans(words, budget, p, longest, rng):
    def draw():
        length = 1
        while random.random() >= p:
            length += 1
        return length if length <= longest else draw()

    spans, hidden = [], set()
    while len(hidden) < budget:
        length = draw()
        start = rng.randrange(words)
        end = min(start + length, words)
        if hidden & set(range(start, end)):
            continue
        end = min(end, start + budget - len(hidden))
        spans.append((start, end))
        hidden |= set(range(start, end))
    return spans
""",
)

handed_in(
    "a seed of one's own, spans",
    SPANS,
    "a generator with seed 0: the same starts in every row",
    {4: "`rng`", 5: "not a generator of your own"},
    """
def geometric_spans(words, budget, p, longest, rng):
    rng = random.Random(0)
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = 1
        while rng.random() >= p:
            length += 1
        if length > longest:
            continue
        start = rng.randrange(words)
        end = min(start + length, words)
        if hidden & set(range(start, end)):
            continue
        end = min(end, start + budget - len(hidden))
        spans.append((start, end))
        hidden |= set(range(start, end))
    return spans
""",
)

handed_in(
    "endless loop",
    SPANS,
    "the words that are hidden are never counted",
    {ALL: "does a loop run forever"},
    """
def geometric_spans(words, budget, p, longest, rng):
    hidden = 0
    while hidden < budget:
        length = 1
        while rng.random() >= p:
            length += 1
        start = rng.randrange(words)
    return [(start, start + length)]
""",
    seconds=1,
)

handed_in(
    "spans by weights",
    SPANS,
    "",
    {},
    """
from dataclasses import dataclass
from itertools import accumulate

@dataclass
class Span:
    start: int
    end: int

    def meets(self, other):
        return self.start < other.end and other.start < self.end

def geometric_spans(words, budget, p, longest, rng):
    weights = list(accumulate(p * (1 - p) ** (k - 1) for k in range(1, longest + 1)))
    found, left = [], budget
    while left:
        (length,) = rng.choices(range(1, longest + 1), cum_weights=weights)
        start = int(rng.random() * words)
        span = Span(start, min(words, start + length))
        if not any(span.meets(other) for other in found):
            span.end = min(span.end, span.start + left)
            left -= span.end - span.start
            found.append(span)
    return [(span.start, span.end) for span in found]
""",
)

handed_in(
    "spans by recursion and a logarithm",
    SPANS,
    "",
    {},
    """
from math import ceil, log

def geometric_spans(words, budget, p, longest, rng, hidden=frozenset()):
    if len(hidden) == budget:
        return []
    length = max(1, ceil(log(1 - rng.random()) / log(1 - p)))
    start = rng.choice(range(words))
    span = [word for word in range(start, start + length) if word < words]
    if length > longest or hidden.intersection(span):
        return geometric_spans(words, budget, p, longest, rng, hidden)
    span = span[:budget - len(hidden)]
    rest = geometric_spans(words, budget, p, longest, rng, hidden.union(span))
    return [(span[0], span[-1] + 1)] + rest
""",
)

handed_in(
    "spans by numpy",
    SPANS,
    "",
    {},
    """
def geometric_spans(words, budget, p, longest, rng):
    g = np.random.default_rng(rng.randrange(2 ** 32))
    hidden = np.zeros(words, dtype=bool)
    spans = []
    while hidden.sum() < budget:
        length = g.geometric(p)
        if length > longest:
            continue
        start = g.integers(words)
        end = min(start + length, words)
        if hidden[start:end].any():
            continue
        end = min(end, start + budget - hidden.sum())
        hidden[start:end] = True
        spans.append([start, end])
    return np.array(spans)
""",
)

# Not to the letter, and no point of the exercise is about it.
handed_in(
    "a new start, the same length",
    SPANS,
    "",
    {},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], []
    while len(hidden) < budget:
        length = longest + 1
        while length > longest:
            length = 1
            while rng.random() >= p:
                length += 1
        free = False
        while not free:
            start = rng.randrange(words)
            end = min(start + length, words, start + budget - len(hidden))
            free = not any(word in hidden for word in range(start, end))
        spans.append((start, end))
        hidden.extend(range(start, end))
    return spans
""",
)

handed_in(
    "hides no span",
    SPANS,
    "returns an empty list",
    {
        1: "0 words are hidden",
        2: "lengths start at 1",
        3: "wrong form",
        4: "first span",
        5: "another seed",
    },
    """
def geometric_spans(words, budget, p, longest, rng):
    return []
""",
)

handed_in(
    "exponential lengths",
    SPANS,
    "an exponential number with mean 1 / p, cut to a whole one",
    {2: "exponential number"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = int(rng.expovariate(p)) + 1
        if length > longest:
            continue
        start = rng.randrange(words)
        end = min(start + length, words)
        if hidden & set(range(start, end)):
            continue
        end = min(end, start + budget - len(hidden))
        spans.append((start, end))
        hidden |= set(range(start, end))
    return spans
""",
)

handed_in(
    "exponential lengths, rounded",
    SPANS,
    "an exponential number with mean 1 / p, rounded, and at least 1",
    {2: "exponential number"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = max(1, round(rng.expovariate(p)))
        if length > longest:
            continue
        start = rng.randrange(words)
        end = min(start + length, words)
        if hidden & set(range(start, end)):
            continue
        end = min(end, start + budget - len(hidden))
        spans.append((start, end))
        hidden |= set(range(start, end))
    return spans
""",
)

handed_in(
    "normal lengths",
    SPANS,
    "a normal number with mean and deviation of the geometric distribution",
    {2: "rounded normal"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = max(1, round(rng.gauss(1 / p, (1 - p) ** 0.5 / p)))
        if length > longest:
            continue
        start = rng.randrange(words)
        end = min(start + length, words)
        if hidden & set(range(start, end)):
            continue
        end = min(end, start + budget - len(hidden))
        spans.append((start, end))
        hidden |= set(range(start, end))
    return spans
""",
)

handed_in(
    "normal lengths, drawn until positive",
    SPANS,
    "a normal number with mean and deviation 1 / p; below 1 it is drawn again",
    {2: "rounded normal|equally often"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = round(rng.gauss(1 / p, 1 / p))
        if length < 1:
            continue
        if length > longest:
            continue
        start = rng.randrange(words)
        end = min(start + length, words)
        if hidden & set(range(start, end)):
            continue
        end = min(end, start + budget - len(hidden))
        spans.append((start, end))
        hidden |= set(range(start, end))
    return spans
""",
)

handed_in(
    "last span drawn again",
    SPANS,
    "a span that is longer than what is left is drawn again, not cut",
    {1: "drawn again; cut it"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = 1
        while rng.random() >= p:
            length += 1
        if length > budget - len(hidden):
            continue
        if length > longest:
            continue
        start = rng.randrange(words)
        end = min(start + length, words)
        if hidden & set(range(start, end)):
            continue
        end = min(end, start + budget - len(hidden))
        spans.append((start, end))
        hidden |= set(range(start, end))
    return spans
""",
)

handed_in(
    "length drawn up to what is left",
    SPANS,
    "longest is lowered to what is left, so the last spans are drawn again",
    {1: "drawn again; cut it"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        most = min(longest, budget - len(hidden))
        (length,) = rng.choices(range(1, most + 1), weights=[(1 - p) ** n for n in range(most)])
        start = rng.randrange(words)
        end = min(start + length, words)
        if hidden.isdisjoint(range(start, end)):
            spans.append((start, end))
            hidden.update(range(start, end))
    return spans
""",
)

handed_in(
    "only the start looked at",
    SPANS,
    "a span may run into one that was drawn earlier",
    {1: "share a word"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = 1
        while rng.random() >= p:
            length += 1
        if length > longest:
            continue
        start = rng.randrange(words)
        end = min(start + length, words)
        if start in hidden:
            continue
        end = min(end, start + budget - len(hidden))
        spans.append((start, end))
        hidden |= set(range(start, end))
    return spans
""",
)

handed_in(
    "only the ends looked at",
    SPANS,
    "a span may lie across a shorter one that was drawn earlier",
    {1: "share a word"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = 1
        while rng.random() >= p:
            length += 1
        if length > longest:
            continue
        start = rng.randrange(words)
        end = min(start + length, words)
        if start in hidden or end - 1 in hidden:
            continue
        end = min(end, start + budget - len(hidden))
        spans.append((start, end))
        hidden |= set(range(start, end))
    return spans
""",
)

handed_in(
    "cut at the next span",
    SPANS,
    "only the start must be free; the span ends where one drawn earlier begins",
    {1: "cut where they meet"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = 1
        while rng.random() >= p:
            length += 1
        start = rng.randrange(words)
        if length > longest or start in hidden:
            continue
        end = start
        while end < min(start + length, words) and end not in hidden and len(hidden) < budget:
            hidden.add(end)
            end += 1
            if end in hidden:
                break
        spans.append((start, end))
    return spans
""",
)

handed_in(
    "spans side by side",
    SPANS,
    "one start is drawn, and each span begins where the one before ends",
    {4: "close together"},
    """
def geometric_spans(words, budget, p, longest, rng):
    spans, left, start = [], budget, rng.randrange(words)
    while left > 0:
        length = 1
        while rng.random() >= p:
            length += 1
        if length > longest:
            continue
        end = min(start + length, words, start + left)
        spans.append((start, end))
        left -= end - start
        start = end % words
    return spans
""",
)

handed_in(
    "spans by an exponential that is geometric",
    SPANS,
    "",
    {},
    """
import math

def geometric_spans(words, budget, p, longest, rng):
    spans, hidden = [], set()
    while len(hidden) < budget:
        length = 1 + int(rng.expovariate(-math.log(1 - p)))
        if length > longest:
            continue
        start = rng.randrange(words)
        end = min(start + length, words)
        if hidden & set(range(start, end)):
            continue
        end = min(end, start + budget - len(hidden))
        spans.append((start, end))
        hidden |= set(range(start, end))
    return spans
""",
)

handed_in(
    "spans by a list of free words",
    SPANS,
    "",
    {},
    """
def geometric_spans(words, budget, p, longest, rng):
    free = [True] * words
    result = []

    def toss():
        count = 1
        while not rng.random() < p:
            count += 1
        return count

    left = budget
    while left:
        length = toss()
        while length > longest:
            length = toss()
        start = rng.randint(0, words - 1)
        if not all(free[start:start + length]):
            continue
        end = start
        while end < words and end < start + length and left:
            free[end] = False
            end += 1
            left -= 1
        result.append((start, end))
    return result
""",
)

# ---------------------------------------------------------------- align_labels

LABELS = "align_labels"

handed_in(
    "a label for every piece",
    LABELS,
    "every piece gets the tag of its word, with and without label_all",
    {1: "only the first one", 4: "B- is repeated"},
    """
def align_labels(word_tags, word_ids, names, label_all=False):
    labels = []
    for word in word_ids:
        if word is None:
            labels.append(-100)
        else:
            labels.append(names.index(word_tags[word]))
    return labels
""",
)

handed_in(
    "label on the last piece",
    LABELS,
    "the last piece of a word gets the label",
    {1: "last piece"},
    """
def align_labels(word_tags, word_ids, names, label_all=False):
    labels = []
    for i, word in enumerate(word_ids):
        if word is None:
            labels.append(-100)
            continue
        tag = word_tags[word]
        last = i + 1 == len(word_ids) or word_ids[i + 1] != word
        first = i == 0 or word_ids[i - 1] != word
        if label_all:
            if not first and tag != "O":
                tag = "I-" + tag[2:]
            labels.append(names.index(tag))
        else:
            labels.append(names.index(tag) if last else -100)
    return labels
""",
)

handed_in(
    "tags compared",
    LABELS,
    "a piece with the tag of the piece before is taken for the same word",
    {3: "compare numbers, not tags", 4: "side by side became one"},
    """
def align_labels(word_tags, word_ids, names, label_all=False):
    labels = []
    previous = None
    for word in word_ids:
        if word is None:
            labels.append(-100)
            previous = None
            continue
        tag = word_tags[word]
        if tag != previous:
            labels.append(names.index(tag))
        elif label_all:
            labels.append(names.index(tag.replace("B-", "I-")))
        else:
            labels.append(-100)
        previous = tag
    return labels
""",
)

handed_in(
    "words counted",
    LABELS,
    "the next tag is taken at each new word; a word without pieces shifts them",
    {3: "slipped"},
    """
def align_labels(word_tags, word_ids, names, label_all=False):
    labels = []
    count = -1
    previous = None
    for word in word_ids:
        if word is None:
            labels.append(-100)
        elif word != previous:
            count += 1
            labels.append(names.index(word_tags[count]))
        elif label_all:
            tag = word_tags[count]
            if tag.startswith("B"):
                tag = "I" + tag[1:]
            labels.append(names.index(tag))
        else:
            labels.append(-100)
        previous = word
    return labels
""",
)

handed_in(
    "B- repeated",
    LABELS,
    "with label_all the later pieces get the tag of the word as it is",
    {4: "B- is repeated"},
    """
def align_labels(word_tags, word_ids, names, label_all=False):
    labels, previous = [], None
    for word in word_ids:
        if word is None:
            labels.append(-100)
        elif word != previous or label_all:
            labels.append(names.index(word_tags[word]))
        else:
            labels.append(-100)
        previous = word
    return labels
""",
)

handed_in(
    "O for special tokens",
    LABELS,
    "special tokens get the label of O",
    {2: "label other than -100"},
    """
def align_labels(word_tags, word_ids, names, label_all=False):
    labels, previous = [], None
    for word in word_ids:
        if word is None:
            labels.append(names.index("O"))
        elif word != previous:
            labels.append(names.index(word_tags[word]))
        elif label_all:
            labels.append(names.index(word_tags[word].replace("B-", "I-")))
        else:
            labels.append(-100)
        previous = word
    return labels
""",
)

handed_in(
    "special tokens left out",
    LABELS,
    "no label for special tokens, so the list is too short",
    {
        1: "one label for each piece",
        2: "one label for each piece",
        3: "one label for each piece",
        4: "one label for each piece",
    },
    """
def align_labels(word_tags, word_ids, names, label_all=False):
    labels, previous = [], None
    for word in word_ids:
        if word is None:
            continue
        if word != previous:
            labels.append(names.index(word_tags[word]))
        elif label_all:
            labels.append(names.index(word_tags[word].replace("B-", "I-")))
        else:
            labels.append(-100)
        previous = word
    return labels
""",
)

handed_in(
    "None looked up",
    LABELS,
    "word_tags[None]",
    {ALL: "TypeError"},
    """
def align_labels(word_tags, word_ids, names, label_all=False):
    return [names.index(word_tags[word]) for word in word_ids]
""",
)

handed_in(
    "last special tokens as a word",
    LABELS,
    "None equals the None before: with label_all it gets a label",
    {2: "label other than -100"},
    """
def align_labels(word_tags, word_ids, names, label_all=False):
    labels, previous, label = [], -1, -100
    for word in word_ids:
        if word == previous:
            labels.append(label if label_all else -100)
        elif word is None:
            labels.append(-100)
        else:
            tag = word_tags[word]
            labels.append(names.index(tag))
            label = names.index(tag.replace("B-", "I-"))
        previous = word
    return labels
""",
)

handed_in(
    "label_all ignored",
    LABELS,
    "later pieces are -100 also with label_all",
    {4: "later pieces have a label"},
    """
def align_labels(word_tags, word_ids, names, label_all=False):
    labels = []
    seen = set()
    for word in word_ids:
        if word is None or word in seen:
            labels.append(-100)
        else:
            labels.append(names.index(word_tags[word]))
            seen.add(word)
    return labels
""",
)

handed_in(
    "I- of O",
    LABELS,
    "with label_all a later piece of an O word gets I-",
    {4: "I-"},
    """
def align_labels(word_tags, word_ids, names, label_all=False):
    labels, previous = [], None
    for word in word_ids:
        if word is None:
            labels.append(-100)
        elif word != previous:
            labels.append(names.index(word_tags[word]))
        elif label_all:
            labels.append(names.index("I-" + word_tags[word][2:]))
        else:
            labels.append(-100)
        previous = word
    return labels
""",
)

handed_in(
    "label plus one",
    LABELS,
    "I- is taken for the label after B-, whatever the order in names",
    {4: "look each tag up"},
    """
def align_labels(word_tags, word_ids, names, label_all=False):
    labels, previous = [], None
    for word in word_ids:
        if word is None:
            labels.append(-100)
        else:
            label = names.index(word_tags[word])
            if word == previous:
                if not label_all:
                    label = -100
                elif word_tags[word].startswith("B-"):
                    label = label + 1
            labels.append(label)
        previous = word
    return labels
""",
)

handed_in(
    "tags, not numbers",
    LABELS,
    "returns the tags themselves",
    {1: "place", 3: "place", 4: "place"},
    """
def align_labels(word_tags, word_ids, names, label_all=False):
    labels, previous = [], None
    for word in word_ids:
        if word is None:
            labels.append(-100)
        elif word != previous:
            labels.append(word_tags[word])
        elif label_all:
            labels.append(word_tags[word].replace("B-", "I-"))
        else:
            labels.append(-100)
        previous = word
    return labels
""",
)

handed_in(
    "helpers imported",
    LABELS,
    "uses the project's own function",
    {ALL: "cannot use helpers"},
    """
from helpers import finetuning

def align_labels(word_tags, word_ids, names, label_all=False):
    return finetuning.align(word_tags, word_ids, names)
""",
)

handed_in(
    "label_all forgotten in the first line",
    LABELS,
    "the parameter label_all was removed",
    {2: "takes 3 positional arguments but 4|unexpected keyword", 4: "unexpected keyword"},
    """
def align_labels(word_tags, word_ids, names):
    labels, previous = [], None
    for word in word_ids:
        labels.append(-100 if word is None or word == previous else names.index(word_tags[word]))
        previous = word
    return labels
""",
)

handed_in(
    "labels by groupby",
    LABELS,
    "",
    {},
    """
from itertools import groupby

def align_labels(word_tags, word_ids, names, label_all=False):
    number = {tag: i for i, tag in enumerate(names)}
    labels = []
    for word, pieces in groupby(word_ids):
        count = len(list(pieces))
        if word is None:
            labels += count * [-100]
            continue
        first = word_tags[word]
        later = number["I" + first[1:] if first[0] == "B" else first] if label_all else -100
        labels += [number[first]] + (count - 1) * [later]
    return labels
""",
)

handed_in(
    "labels by recursion",
    LABELS,
    "",
    {},
    """
def align_labels(word_tags, word_ids, names, label_all=False, before=None):
    if len(word_ids) == 0:
        return []
    word = word_ids[0]
    rest = align_labels(word_tags, word_ids[1:], names, label_all, word)
    if word is None:
        return [-100] + rest
    tag = word_tags[word]
    if word == before and not label_all:
        return [-100] + rest
    if word == before:
        tag = tag.replace("B-", "I-")
    return [names.index(tag)] + rest
""",
)

handed_in(
    "no label anywhere",
    LABELS,
    "-100 for every piece",
    {
        1: "expected",
        2: "no piece of a word has a label",
        3: "two words",
        4: "later pieces have a label too",
    },
    """
def align_labels(word_tags, word_ids, names, label_all=False):
    return [-100 for _ in word_ids]
""",
)

handed_in(
    "type of three letters",
    LABELS,
    "tag[-3:] is taken for the type",
    {4: "not in list"},
    """
def align_labels(word_tags, word_ids, names, label_all=False):
    labels, previous = [], None
    for word in word_ids:
        if word is None:
            labels.append(-100)
        elif word != previous:
            labels.append(names.index(word_tags[word]))
        elif label_all:
            tag = word_tags[word]
            labels.append(names.index("O" if tag == "O" else "I-" + tag[-3:]))
        else:
            labels.append(-100)
        previous = word
    return labels
""",
)

handed_in(
    "every B replaced",
    LABELS,
    "replace('B', 'I') also changes the type",
    {4: "not in list"},
    """
def align_labels(word_tags, word_ids, names, label_all=False):
    labels, previous = [], None
    for word in word_ids:
        if word is None:
            labels.append(-100)
        elif word != previous:
            labels.append(names.index(word_tags[word]))
        elif label_all:
            tag = word_tags[word]
            labels.append(names.index(tag.replace("B", "I")))
        else:
            labels.append(-100)
        previous = word
    return labels
""",
)

handed_in(
    "B- stripped",
    LABELS,
    "lstrip takes every B and - from the left",
    {4: "not in list"},
    """
def align_labels(word_tags, word_ids, names, label_all=False):
    labels, previous = [], None
    for word in word_ids:
        if word is None:
            labels.append(-100)
        elif word != previous:
            labels.append(names.index(word_tags[word]))
        elif label_all:
            tag = word_tags[word]
            labels.append(names.index("O" if tag == "O" else "I-" + tag.lstrip("BI-")))
        else:
            labels.append(-100)
        previous = word
    return labels
""",
)

handed_in(
    "O in the tag",
    LABELS,
    "a tag with an O in it is taken for O",
    {4: "expected"},
    """
def align_labels(word_tags, word_ids, names, label_all=False):
    labels, previous = [], None
    for word in word_ids:
        if word is None:
            labels.append(-100)
        elif word != previous:
            labels.append(names.index(word_tags[word]))
        elif label_all:
            tag = word_tags[word]
            labels.append(names.index("O" if "O" in tag else "I-" + tag[2:]))
        else:
            labels.append(-100)
        previous = word
    return labels
""",
)

handed_in(
    "neighbours joined",
    LABELS,
    "a B- after a word of the same type becomes I-",
    {3: "two words", 4: "side by side became one"},
    """
def align_labels(word_tags, word_ids, names, label_all=False):
    labels, previous, last_type = [], None, None
    for word in word_ids:
        if word is None:
            labels.append(-100)
            last_type = None
        elif word != previous or label_all:
            tag = word_tags[word]
            if tag != "O":
                tag = ("I-" if tag[2:] == last_type else "B-") + tag[2:]
            labels.append(names.index(tag))
            last_type = tag[2:]
        else:
            labels.append(-100)
        previous = word
    return labels
""",
)

handed_in(
    "neighbours joined with label_all",
    LABELS,
    "with label_all a B- after a piece of the same type becomes I-",
    {4: "side by side became one"},
    """
def align_labels(word_tags, word_ids, names, label_all=False):
    labels, previous, before = [], None, "O"
    for word in word_ids:
        if word is None:
            labels.append(-100)
        elif label_all:
            tag = word_tags[word]
            if tag[0] == "B" and before[2:] == tag[2:]:
                tag = "I" + tag[1:]
            labels.append(names.index(tag))
            before = tag
        else:
            labels.append(names.index(word_tags[word]) if word != previous else -100)
        previous = word
    return labels
""",
)

handed_in(
    "labels by a regular expression",
    LABELS,
    "",
    {},
    """
import re

def align_labels(word_tags, word_ids, names, label_all=False):
    labels, previous = [], None
    for word in word_ids:
        if word is None:
            labels.append(-100)
        elif word != previous:
            labels.append(names.index(word_tags[word]))
        elif label_all:
            tag = word_tags[word]
            labels.append(names.index(re.sub("^B-", "I-", tag)))
        else:
            labels.append(-100)
        previous = word
    return labels
""",
)

handed_in(
    "labels by the last number",
    LABELS,
    "",
    {},
    """
def align_labels(word_tags, word_ids, names, label_all=False):
    def label(place):
        word = word_ids[place]
        if word is None:
            return -100
        kind, dash, name = word_tags[word].partition("-")
        if place == 0 or word_ids[place - 1] != word:
            return names.index(kind + dash + name)
        return names.index("I-" + name if name else kind) if label_all else -100

    return tuple(map(label, range(len(word_ids))))
""",
)

# ---------------------------------------------------------------- f1_in_buckets

F1 = "f1_in_buckets"

handed_in(
    "type ignored",
    F1,
    "compares start and end only",
    {1: "type is wrong"},
    """
def f1_in_buckets(gold, predicted, edges):
    g, p, c = Counter(), Counter(), Counter()
    for truth, guess in zip(gold, predicted):
        places = [(start, end) for _, start, end in truth]
        for _, start, end in truth:
            g[max(e for e in edges if e <= end - start)] += 1
        for _, start, end in guess:
            b = max(e for e in edges if e <= end - start)
            p[b] += 1
            if (start, end) in places:
                c[b] += 1
    scores = {e: 200 * c[e] / (g[e] + p[e]) if g[e] + p[e] else 0 for e in edges}
    total = sum(g.values()) + sum(p.values())
    scores["all"] = 200 * sum(c.values()) / total if total else 0
    return scores
""",
)

handed_in(
    "sentence ignored",
    F1,
    "all mentions are thrown into one set",
    {1: "different sentences"},
    """
def f1_in_buckets(gold, predicted, edges):
    gold = {m for sentence in gold for m in sentence}
    predicted = {m for sentence in predicted for m in sentence}

    def f1(low, high):
        g = {m for m in gold if low <= m[2] - m[1] < high}
        p = {m for m in predicted if low <= m[2] - m[1] < high}
        if not g and not p:
            return 0.0
        return 100 * 2 * len(g & p) / (len(g) + len(p))

    scores = {}
    for low, high in zip(edges, edges[1:] + [10 ** 9]):
        scores[low] = f1(low, high)
    scores["all"] = f1(0, 10 ** 9)
    return scores
""",
)

handed_in(
    "left boundary only",
    F1,
    "a mention is correct if type and start agree",
    {1: "end is wrong"},
    """
def f1_in_buckets(gold, predicted, edges):
    def bucket(m):
        return max(e for e in edges if e <= m[2] - m[1])

    g, p, c = Counter(), Counter(), Counter()
    for truth, guess in zip(gold, predicted):
        g.update(bucket(m) for m in truth)
        p.update(bucket(m) for m in guess)
        starts = {m[:2] for m in truth}
        c.update(bucket(m) for m in guess if m[:2] in starts)
    scores = {e: 200 * c[e] / (g[e] + p[e]) if g[e] + p[e] else 0 for e in edges}
    n = g.total() + p.total()
    scores["all"] = 200 * c.total() / n if n else 0
    return scores
""",
)

handed_in(
    "right boundary only",
    F1,
    "a mention is correct if type and end agree",
    {1: "start is wrong"},
    """
def f1_in_buckets(gold, predicted, edges):
    def bucket(m):
        return max(e for e in edges if e <= m[2] - m[1])

    g, p, c = Counter(), Counter(), Counter()
    for truth, guess in zip(gold, predicted):
        g.update(bucket(m) for m in truth)
        p.update(bucket(m) for m in guess)
        ends = {(m[0], m[2]) for m in truth}
        c.update(bucket(m) for m in guess if (m[0], m[2]) in ends)
    scores = {e: 200 * c[e] / (g[e] + p[e]) if g[e] + p[e] else 0 for e in edges}
    n = g.total() + p.total()
    scores["all"] = 200 * c.total() / n if n else 0
    return scores
""",
)

handed_in(
    "prediction in gold's bucket",
    F1,
    "a prediction counts in the bucket of the gold mention it meets",
    {2: "precision suffers there"},
    """
def f1_in_buckets(gold, predicted, edges):
    g, p, c = Counter(), Counter(), Counter()
    for truth, guess in zip(gold, predicted):
        for mention in truth:
            g[max(e for e in edges if e <= mention[2] - mention[1])] += 1
        for mention in guess:
            length = mention[2] - mention[1]
            for other in truth:
                if mention[1] < other[2] and other[1] < mention[2]:
                    length = other[2] - other[1]
            b = max(e for e in edges if e <= length)
            p[b] += 1
            if mention in truth:
                c[b] += 1
    scores = {e: 200 * c[e] / (g[e] + p[e]) if g[e] + p[e] else 0 for e in edges}
    n = sum(g.values()) + sum(p.values())
    scores["all"] = 200 * sum(c.values()) / n if n else 0
    return scores
""",
)

handed_in(
    "mean of the buckets",
    F1,
    '"all" is the mean of the buckets\' scores',
    {5: "mean over the buckets"},
    """
def f1_in_buckets(gold, predicted, edges):
    g, p, c = Counter(), Counter(), Counter()
    for truth, guess in zip(gold, predicted):
        for t, s, e in truth:
            g[max(x for x in edges if x <= e - s)] += 1
        for t, s, e in guess:
            b = max(x for x in edges if x <= e - s)
            p[b] += 1
            c[b] += (t, s, e) in truth
    scores = {e: 200 * c[e] / (g[e] + p[e]) if g[e] + p[e] else 0 for e in edges}
    scores["all"] = sum(scores.values()) / len(scores)
    return scores
""",
)

handed_in(
    "from 0 to 1",
    F1,
    "F1 as a fraction",
    {1: "from 0 to 100"},
    """
def f1_in_buckets(gold, predicted, edges):
    g, p, c = Counter(), Counter(), Counter()
    for truth, guess in zip(gold, predicted):
        for t, s, e in truth:
            b = max(x for x in edges if x <= e - s)
            g.update([b, "all"])
        for t, s, e in guess:
            b = max(x for x in edges if x <= e - s)
            p.update([b, "all"])
            if (t, s, e) in truth:
                c.update([b, "all"])
    return {b: 2 * c[b] / (g[b] + p[b]) if g[b] + p[b] else 0 for b in [*edges, "all"]}
""",
)

handed_in(
    "mean of precision and recall",
    F1,
    "their arithmetic mean for F1",
    {1: "make 66.7, not 75"},
    """
def f1_in_buckets(gold, predicted, edges):
    g, p, c = Counter(), Counter(), Counter()
    for truth, guess in zip(gold, predicted):
        for t, s, e in truth:
            b = max(x for x in edges if x <= e - s)
            g.update([b, "all"])
        for t, s, e in guess:
            b = max(x for x in edges if x <= e - s)
            p.update([b, "all"])
            if (t, s, e) in truth:
                c.update([b, "all"])
    scores = {}
    for b in [*edges, "all"]:
        precision = c[b] / p[b] if p[b] else 0
        recall = c[b] / g[b] if g[b] else 0
        scores[b] = 100 * (precision + recall) / 2
    return scores
""",
)

handed_in(
    "division by zero",
    F1,
    "an empty bucket is not thought of",
    {4: "ZeroDivisionError"},
    """
def f1_in_buckets(gold, predicted, edges):
    g, p, c = Counter(), Counter(), Counter()
    for truth, guess in zip(gold, predicted):
        for t, s, e in truth:
            b = max(x for x in edges if x <= e - s)
            g.update([b, "all"])
        for t, s, e in guess:
            b = max(x for x in edges if x <= e - s)
            p.update([b, "all"])
            if (t, s, e) in truth:
                c.update([b, "all"])
    return {b: 100 * 2 * c[b] / (g[b] + p[b]) for b in [*edges, "all"]}
""",
)

handed_in(
    "precision and recall divide by zero",
    F1,
    "2PR / (P + R), and nothing is correct",
    {4: "ZeroDivisionError"},
    """
def f1_in_buckets(gold, predicted, edges):
    g, p, c = Counter(), Counter(), Counter()
    for truth, guess in zip(gold, predicted):
        for t, s, e in truth:
            b = max(x for x in edges if x <= e - s)
            g.update([b, "all"])
        for t, s, e in guess:
            b = max(x for x in edges if x <= e - s)
            p.update([b, "all"])
            if (t, s, e) in truth:
                c.update([b, "all"])
    scores = {}
    for b in [*edges, "all"]:
        precision = c[b] / p[b]
        recall = c[b] / g[b]
        scores[b] = 100 * 2 * precision * recall / (precision + recall)
    return scores
""",
)

handed_in(
    "missing buckets",
    F1,
    "a bucket without mentions is left out",
    {4: "a bucket is missing"},
    """
def f1_in_buckets(gold, predicted, edges):
    g, c = Counter(), Counter()
    for truth, guess in zip(gold, predicted):
        for t, s, e in truth + guess:
            b = max(x for x in edges if x <= e - s)
            g.update([b, "all"])
        for t, s, e in set(truth) & set(guess):
            b = max(x for x in edges if x <= e - s)
            c.update([b, "all"])
    return {b: 200 * c[b] / g[b] for b in g}
""",
)

handed_in(
    "last bucket closed",
    F1,
    "the last bucket holds one length only",
    {3: "last bucket holds all longer"},
    """
def f1_in_buckets(gold, predicted, edges):
    def f1(low, high):
        g = p = c = 0
        for truth, guess in zip(gold, predicted):
            g += sum(low <= e - s < high for _, s, e in truth)
            p += sum(low <= e - s < high for _, s, e in guess)
            c += sum(low <= m[2] - m[1] < high for m in guess if m in truth)
        return 200 * c / (g + p) if g + p else 0

    edges = list(edges)
    scores = {low: f1(low, high) for low, high in zip(edges, edges[1:] + [edges[-1] + 1])}
    scores["all"] = f1(0, 1000)
    return scores
""",
)

handed_in(
    "one length per bucket",
    F1,
    "a bucket holds the mentions whose length is its edge",
    {3: "four words belongs to the bucket of 3"},
    """
def f1_in_buckets(gold, predicted, edges):
    g, p, c = Counter(), Counter(), Counter()
    for truth, guess in zip(gold, predicted):
        for t, s, e in truth:
            g[e - s] += 1
        for t, s, e in guess:
            p[e - s] += 1
            if (t, s, e) in truth:
                c[e - s] += 1
    scores = {}
    for edge in edges:
        n = g[edge] + p[edge]
        scores[edge] = 200 * c[edge] / n if n else 0
    n = g.total() + p.total()
    scores["all"] = 200 * c.total() / n if n else 0
    return scores
""",
)

handed_in(
    "length one too many",
    F1,
    "end - start + 1",
    {3: "a length is end - start"},
    """
def f1_in_buckets(gold, predicted, edges):
    g, p, c = Counter(), Counter(), Counter()
    for truth, guess in zip(gold, predicted):
        for t, s, e in truth:
            b = max(x for x in edges if x <= e - s + 1)
            g.update([b, "all"])
        for t, s, e in guess:
            b = max(x for x in edges if x <= e - s + 1)
            p.update([b, "all"])
            if (t, s, e) in truth:
                c.update([b, "all"])
    return {b: 200 * c[b] / (g[b] + p[b]) if g[b] + p[b] else 0 for b in [*edges, "all"]}
""",
)

handed_in(
    "no key for all",
    F1,
    "the score over all mentions is missing",
    {4: '"all"', 5: "KeyError: .all"},
    """
def f1_in_buckets(gold, predicted, edges):
    g, p, c = Counter(), Counter(), Counter()
    for truth, guess in zip(gold, predicted):
        for t, s, e in truth:
            g[max(x for x in edges if x <= e - s)] += 1
        for t, s, e in guess:
            b = max(x for x in edges if x <= e - s)
            p[b] += 1
            c[b] += (t, s, e) in truth
    return {e: 200 * c[e] / (g[e] + p[e]) if g[e] + p[e] else 0 for e in edges}
""",
)

handed_in(
    "scoring from helpers",
    F1,
    "imports the project's own scores",
    {ALL: "cannot use helpers"},
    """
from helpers import scoring

def f1_in_buckets(gold, predicted, edges):
    counts = scoring.count(gold, predicted)
    return {edge: 100 * counts.f1(edge) for edge in edges} | {"all": 100 * counts.f1()}
""",
)

handed_in(
    "F1 by a data class, rounded",
    F1,
    "",
    {},
    """
from bisect import bisect_right
from dataclasses import dataclass

@dataclass
class Counts:
    gold: int = 0
    predicted: int = 0
    correct: int = 0

    def f1(self):
        n = self.gold + self.predicted
        return round(100 * 2 * self.correct / n, 1) if n > 0 else 0.0

def f1_in_buckets(gold, predicted, edges):
    counts = [Counts() for _ in edges]
    everything = Counts()
    for truth, guess in zip(gold, predicted):
        for mention in set(truth) | set(guess):
            _, start, end = mention
            for one in (counts[bisect_right(edges, end - start) - 1], everything):
                one.gold += mention in truth
                one.predicted += mention in guess
                one.correct += mention in truth and mention in guess
    return {edge: one.f1() for edge, one in zip(edges, counts)} | {"all": everything.f1()}
""",
)

handed_in(
    "F1 by sets of numbered mentions",
    F1,
    "",
    {},
    """
def f1_in_buckets(gold, predicted, edges):
    g = {(i, *mention) for i, sentence in enumerate(gold) for mention in sentence}
    p = {(i, *mention) for i, sentence in enumerate(predicted) for mention in sentence}

    def score(low, high):
        a = {m for m in g if low <= m[3] - m[2] < high}
        b = {m for m in p if low <= m[3] - m[2] < high}
        try:
            precision, recall = len(a & b) / len(b), len(a & b) / len(a)
            return 100 * 2 * precision * recall / (precision + recall)
        except ZeroDivisionError:
            return 0

    ends = list(edges[1:]) + [float("inf")]
    return {**{low: score(low, high) for low, high in zip(edges, ends)}, "all": score(0, float("inf"))}
""",
)

handed_in(
    "F1 by numpy and pandas",
    F1,
    "",
    {},
    """
def f1_in_buckets(gold, predicted, edges):
    rows = [(i, *m, 1, 0) for i, ms in enumerate(gold) for m in ms]
    rows += [(i, *m, 0, 1) for i, ms in enumerate(predicted) for m in ms]
    frame = pd.DataFrame(rows, columns=["sentence", "type", "start", "end", "gold", "predicted"])
    frame = frame.groupby(["sentence", "type", "start", "end"], as_index=False).sum()
    frame["correct"] = frame.gold * frame.predicted
    length = (frame.end - frame.start).to_numpy(dtype=int)
    bucket = np.searchsorted(edges, length, side="right") - 1

    def f1(part):
        n = part.gold.sum() + part.predicted.sum()
        return float(200 * part.correct.sum() / n) if n else 0.0

    scores = {edge: f1(frame[bucket == i]) for i, edge in enumerate(edges)}
    scores["all"] = f1(frame)
    return scores
""",
)

handed_in(
    "counts nothing",
    F1,
    "0 for every bucket",
    {
        1: "from 0 to 100",
        2: "missing in its bucket",
        3: "1 and 2 words",
        4: "F1 is 0",
        5: "wrong form",
    },
    """
def f1_in_buckets(gold, predicted, edges):
    return dict.fromkeys([*edges, "all"], 0.0)
""",
)

# ---------------------------------------------------------------- grading them


def exercise(name: str) -> exercises.Exercise:
    """The graded exercise of this name."""
    return next(found for found in exercises.all_exercises() if found.name == name)


def expected(solution: Solution) -> dict[int, str]:
    """Number of each point that the solution should lose -> what its message says."""
    if ALL not in solution.loses:
        return solution.loses
    return dict.fromkeys(range(1, len(exercise(solution.exercise).points) + 1), solution.loses[ALL])


def lost(solution: Solution) -> dict[int, str]:
    """Number of each point that the solution does lose -> the message for the student."""
    limits = Limits(seconds=solution.seconds)
    found = {}
    for number, point in enumerate(exercise(solution.exercise).points, start=1):
        # No isolation: these solutions are harmless, and the tests should run where bubblewrap does not.
        outcome = grading.grade_point(
            exercise(solution.exercise), point, solution.source, solution.seed, [], limits
        )
        if outcome.earned != point.points:
            found[number] = outcome.message
    return found


def table(solutions: list[Solution]) -> str:
    """What each solution should lose, what it scored, and its first message, as Markdown."""
    lines = ["| solution | exercise | what is wrong | loses | scored | first message | |", "|" + " --- |" * 7]
    for solution in solutions:
        wanted, found = expected(solution), lost(solution)
        points = len(exercise(solution.exercise).points)
        named = all(re.search(wanted[number], found[number]) for number in wanted if number in found)
        note = "" if set(found) == set(wanted) and named else f"**lost {sorted(found)}**"
        cells = (
            solution.name,
            solution.exercise,
            solution.mistake or "nothing",
            ", ".join(map(str, wanted)) or "none",
            f"{points - len(found)} of {points}",
            next(iter(found.values()), "").replace("|", "\\|"),
            note or ("" if named else "**message**"),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    words = sys.argv[1:]
    print(table([found for found in SOLUTIONS if not words or any(word in found.name for word in words)]))
