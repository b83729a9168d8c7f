"""Each check accepts the reference solution and rejects typical mistakes with a message that names them."""

import ast
import json
import random
import re
from collections import Counter
from math import comb

import pytest

from helpers import checks
from helpers.settings import ROOT

# ---------------------------------------------------------------- reference solutions


def mentions(words, tags):
    found = []
    for word, tag in zip(words, tags, strict=True):
        if tag.startswith("B-"):
            found.append((tag[2:], [word]))
        elif tag.startswith("I-"):
            found[-1][1].append(word)
    return [(kind, " ".join(parts)) for kind, parts in found]


def length_shares(lengths):
    counts = Counter(str(length) if length < 5 else "5+" for length in lengths)
    return {bucket: 100 * counts[bucket] / len(lengths) for bucket in ("1", "2", "3", "4", "5+")}


def labels(input_ids, hidden):
    return [token if chosen else -100 for token, chosen in zip(input_ids, hidden, strict=True)]


def empty_rows(tokens, mask_rate):
    return (1 - mask_rate) ** tokens


def corrupt(input_ids, hidden, mix, mask_token_id, ordinary, rng):
    seen = list(input_ids)
    for position, chosen in enumerate(hidden):
        if chosen:
            fate = rng.random()
            if fate < mix[0]:
                seen[position] = mask_token_id
            elif fate < mix[0] + mix[1]:
                seen[position] = rng.choice(ordinary)
    return seen


def mean_span_length(p, longest):
    weights = [p * (1 - p) ** (length - 1) for length in range(1, longest + 1)]
    return sum(length * weight for length, weight in enumerate(weights, start=1)) / sum(weights)


def half_hidden(n, hidden, k):
    return 1 - comb(n - k, hidden) / comb(n, hidden) - all_hidden(n, hidden, k)


def all_hidden(n, hidden, k):
    return comb(n - k, hidden - k) / comb(n, hidden) if k <= hidden else 0


def cut_words(word_ids, hidden):
    fates = {}
    for word, chosen in zip(word_ids, hidden, strict=True):
        if word >= 0:
            fates.setdefault(word, set()).add(chosen)
    return sum(len(fate) == 2 for fate in fates.values())


SOLUTIONS = [mentions, length_shares, labels, empty_rows, corrupt, mean_span_length, half_hidden, cut_words]


# ---------------------------------------------------------------- typical mistakes


def mentions_merged(words, tags):
    found, open_mention = [], False
    for word, tag in zip(words, tags, strict=True):
        if tag != "O" and open_mention:
            found[-1][1].append(word)
        elif tag != "O":
            found.append((tag[2:], [word]))
        open_mention = tag != "O"
    return [(kind, " ".join(parts)) for kind, parts in found]


def mentions_last_lost(words, tags):
    found, current = [], None
    for word, tag in zip(words, tags, strict=True):
        if tag[0] in "BO" and current:
            found.append((current[0], " ".join(current[1])))
            current = None
        if tag[0] == "B":
            current = (tag[2:], [word])
        elif tag[0] == "I":
            current[1].append(word)
    return found


def mentions_one_word_each(words, tags):
    return [(tag[2:], word) for word, tag in zip(words, tags, strict=True) if tag != "O"]


def mentions_with_prefix(words, tags):
    return [("B-" + kind, text) for kind, text in mentions(words, tags)]


def mentions_never_closed(words, tags):
    found = []
    for word, tag in zip(words, tags, strict=True):
        if tag.startswith("B-"):
            found.append((tag[2:], [word]))
        elif found:
            found[-1][1].append(word)
    return [(kind, " ".join(parts)) for kind, parts in found]


def shares_five_alone(lengths):
    counts = Counter(lengths)
    return {bucket: 100 * counts[int(bucket[0])] / len(lengths) for bucket in ("1", "2", "3", "4", "5+")}


def shares_without_zeros(lengths):
    return {bucket: share for bucket, share in length_shares(lengths).items() if share}


def corrupt_with(choose):
    """A wrong `corrupt` whose only difference is how a chosen token gets its fate."""

    def wrong(input_ids, hidden, mix, mask_token_id, ordinary, rng):
        seen = list(input_ids)
        for position, chosen in enumerate(hidden):
            if chosen:
                seen[position] = choose(seen[position], mix, mask_token_id, ordinary, rng)
        return seen

    return wrong


def second_draw(token, mix, mask_token_id, ordinary, rng):
    if rng.random() < mix[0]:
        return mask_token_id
    return rng.choice(ordinary) if rng.random() < mix[1] else token


def eighty_ten_ten(token, mix, mask_token_id, ordinary, rng):
    fate = rng.random()
    return mask_token_id if fate < 0.8 else rng.choice(ordinary) if fate < 0.9 else token


def special_replacement(token, mix, mask_token_id, ordinary, rng):
    fate = rng.random()
    return mask_token_id if fate < mix[0] else rng.randrange(5) if fate < mix[0] + mix[1] else token


def global_generator(token, mix, mask_token_id, ordinary, rng):
    fate = random.random()  # not rng
    return mask_token_id if fate < mix[0] else random.choice(ordinary) if fate < mix[0] + mix[1] else token


def corrupt_everything(input_ids, hidden, mix, mask_token_id, ordinary, rng):
    return corrupt(input_ids, [True] * len(hidden), mix, mask_token_id, ordinary, rng)


def corrupt_in_place(input_ids, hidden, mix, mask_token_id, ordinary, rng):
    input_ids[:] = corrupt(input_ids, hidden, mix, mask_token_id, ordinary, rng)
    return input_ids


def corrupt_rowwise(input_ids, hidden, mix, mask_token_id, ordinary, rng):
    return [mask_token_id if chosen else token for token, chosen in zip(input_ids, hidden, strict=True)]


def clipped_mean(p, longest):
    lengths = range(1, longest)
    return sum(k * p * (1 - p) ** (k - 1) for k in lengths) + longest * (1 - p) ** (longest - 1)


MISTAKES = [
    ("mentions", mentions_merged, "B- always starts a new one"),
    ("mentions", mentions_last_lost, "lost"),
    ("mentions", mentions_one_word_each, "belongs to the mention before"),
    ("mentions", mentions_with_prefix, "without its B-"),
    ("mentions", mentions_never_closed, "does O close"),
    (
        "length_shares",
        lambda lengths: {k: v / 100 for k, v in length_shares(lengths).items()},
        "multiply by 100",
    ),
    ("length_shares", shares_five_alone, "five words and more"),
    ("length_shares", shares_without_zeros, "key must still be there"),
    ("length_shares", lambda lengths: dict(Counter(lengths)), "keys are strings"),
    ("labels", lambda input_ids, hidden: list(input_ids), "every token has a label"),
    ("labels", lambda input_ids, hidden: labels(input_ids, [not h for h in hidden]), "wrong way round"),
    ("labels", lambda input_ids, hidden: [t * h for t, h in zip(input_ids, hidden, strict=True)], r"\[PAD\]"),
    ("labels", lambda input_ids, hidden: [1 if h else -100 for h in hidden], "not a 1"),
    (
        "labels",
        lambda input_ids, hidden: [t for t, h in zip(input_ids, hidden, strict=True) if h],
        "per token",
    ),
    ("empty_rows", lambda tokens, rate: 1 - (1 - rate) ** tokens, "at least one"),
    ("empty_rows", lambda tokens, rate: rate**tokens, "all tokens are hidden"),
    ("empty_rows", lambda tokens, rate: 1 - rate * tokens, "multiply"),
    ("empty_rows", lambda tokens, rate: 0.85**tokens, "an argument"),
    ("corrupt", corrupt_with(second_draw), "second random number"),
    ("corrupt", corrupt_with(eighty_ten_ten), "80/10/10"),
    ("corrupt", corrupt_with(special_replacement), "special token"),
    ("corrupt", corrupt_with(global_generator), "same seed"),
    ("corrupt", corrupt_everything, "not chosen"),
    ("corrupt", corrupt_in_place, "copy"),
    ("corrupt", corrupt_rowwise, "once for each token"),
    ("mean_span_length", lambda p, longest: 1 / p, "cut off"),
    ("mean_span_length", clipped_mean, "clipped"),
    (
        "mean_span_length",
        lambda p, longest: mean_span_length(p, longest) * (1 - 0.8**10),
        "divide by their sum",
    ),
    ("mean_span_length", lambda p, longest: mean_span_length(p, longest) - 1, "start at 1"),
    ("mean_span_length", lambda p, longest: (1 + longest) / 2, "weigh"),
    ("half_hidden", lambda n, hidden, k: 1 - comb(n - k, hidden) / comb(n, hidden), "at least one"),
    ("half_hidden", lambda n, hidden, k: 1 - all_hidden(n, hidden, k), "nothing is hidden"),
    ("half_hidden", lambda n, hidden, k: 1 - (1 - hidden / n) ** k - (hidden / n) ** k, "without putting"),
    ("half_hidden", lambda n, hidden, k: 1 - half_hidden(n, hidden, k), "opposite"),
    ("half_hidden", lambda n, hidden, k: k * comb(n - k, hidden - 1) / comb(n, hidden), "exactly one"),
    (
        "cut_words",
        lambda word_ids, hidden: len({w for w, h in zip(word_ids, hidden, strict=True) if h}),
        "wholly hidden are not cut",
    ),
    ("cut_words", lambda word_ids, hidden: sum(hidden), "count words"),
    (
        "cut_words",
        lambda word_ids, hidden: sum(
            not h and a == b and g
            for a, b, g, h in zip(word_ids, word_ids[1:], hidden, hidden[1:], strict=False)
        ),
        "first token",
    ),
    (
        "cut_words",
        lambda word_ids, hidden: len({w for w, h in zip(word_ids, hidden, strict=True) if not h}),
        "touched",
    ),
]


@pytest.mark.parametrize("solution", SOLUTIONS, ids=lambda solution: solution.__name__)
def test_accepts_the_reference_solution(solution, capsys):
    assert checks.check(solution.__name__, solution)
    assert capsys.readouterr().out == f"{solution.__name__}: passed\n"


@pytest.mark.parametrize(("name", "mistake", "message"), MISTAKES)
def test_names_the_mistake(name, mistake, message):
    with pytest.raises(AssertionError, match=message):
        checks.CHECKS[name](mistake)


def solutions_in(cells):
    """(exercise, folded solution, name of the function) of each checked exercise of a notebook, in order."""
    solution = None
    for source in cells:
        if "<summary>Solution" in source:
            block = re.search(r"```python\n(.*?)```", source.partition("<summary>Solution")[2], re.DOTALL)
            solution = block[1] if block else None
        if found := re.search(r'checks\.check\("(\w+)", (\w+)\)', source):
            yield found[1], solution, found[2]


def imports_of(sources):
    """What the code cells import, as a namespace: a solution may rely on it."""
    namespace = {}
    for source in sources:
        for node in ast.parse(source).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                exec(ast.unparse(node), namespace)
    return namespace


NOTEBOOKS = sorted((ROOT / "notebooks").glob("0[1-7]*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_folded_solutions_pass(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    namespace = imports_of(code[1:])  # the setup cell may hold shell commands
    practice = [cell for cell in cells if "nbgrader" not in cell["metadata"]]  # graded ones: test_grading
    solutions = list(solutions_in("".join(cell["source"]) for cell in practice))
    assert solutions
    for exercise, solution, function in solutions:
        exec(solution, namespace)
        assert checks.check(exercise, namespace[function]), exercise


def test_at_least_three_mistakes_for_each_exercise():
    tried = Counter(name for name, _, _ in MISTAKES)
    assert all(tried[solution.__name__] >= 3 for solution in SOLUTIONS)


def unsolved(*arguments):
    raise NotImplementedError


@pytest.mark.parametrize("name", sorted(checks.CHECKS))
def test_an_unsolved_exercise_does_not_stop_the_notebook(name, capsys):
    assert checks.check(name, unsolved) is False
    assert capsys.readouterr().out == f"{name}: not solved yet\n"
    assert checks.check(name, lambda *arguments: None) is False
    assert "returns None" in capsys.readouterr().out


def test_reports_an_error_of_the_learners_function(capsys):
    assert checks.check("labels", lambda input_ids, hidden: input_ids["x"]) is False
    assert "stopped with TypeError" in capsys.readouterr().out


def test_unknown_exercise_is_an_error():
    with pytest.raises(KeyError, match="no exercise is called 'labelz'"):
        checks.check("labelz", labels)
