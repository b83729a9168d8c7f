"""Each check accepts the reference solution and rejects typical mistakes with a message that names them."""

import ast
import json
import os
import re
import subprocess
import sys
from functools import partial
from math import comb

import numpy as np
import pytest
import torch
from scipy import stats

from helpers import checks, suspects
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


def empty_rows(tokens, mask_rate):
    return (1 - mask_rate) ** tokens


def findings():
    return dict(suspects.BUGS)


def half_hidden(n, hidden, k):
    return 1 - comb(n - k, hidden) / comb(n, hidden) - all_hidden(n, hidden, k)


def all_hidden(n, hidden, k):
    return comb(n - k, hidden - k) / comb(n, hidden) if k <= hidden else 0


def anchor_priority(word_ids, token_priority):
    words = word_ids.clamp(min=0)
    priority = token_priority.masked_fill(word_ids < 0, torch.inf)
    lowest = torch.full_like(priority, torch.inf).scatter_reduce(1, words, priority, "amin")
    return lowest.gather(1, words).masked_fill(word_ids < 0, torch.inf)


def encoder_parameters(width, layers):
    attention = 4 * (width * width + width)
    feed_forward = (width * 4 * width + 4 * width) + (4 * width * width + width)
    layer_norms = 2 * (width + width)
    return layers * (attention + feed_forward + layer_norms)


def both_visible(labels):
    hidden = labels != -100
    inner = hidden[:, 1:-1] & ~hidden[:, :-2] & ~hidden[:, 2:]
    return (inner.sum() / hidden.sum()).item()


def rolled(labels, how, whole=None):
    """The share of hidden tokens whose neighbours, those behind the ends too, are visible."""
    hidden = labels != -100
    left, right = ~hidden.roll(1, 1), ~hidden.roll(-1, 1)
    return ((hidden & how(left, right)).sum() / (hidden if whole is None else whole(hidden)).sum()).item()


def tags_of_words(piece_tags, word_ids):
    tags, previous = [], None
    for tag, word in zip(piece_tags, word_ids, strict=True):
        if word is not None and word != previous:
            tags.append(tag)
        previous = word
    return tags


def repair(tags):
    repaired, previous = [], "O"
    for tag in tags:
        if tag.startswith("I-") and previous[2:] != tag[2:]:
            tag = "B-" + tag[2:]
        repaired.append(tag)
        previous = tag
    return repaired


def f1_of(precision, recall):
    return 200 * precision * recall / (precision + recall) if precision + recall else 0.0


def halves(counts):
    gold, predicted, correct = counts
    return (correct / predicted if predicted else 0.0), (correct / gold if gold else 0.0)


def split_gain(before, after):
    (p0, r0), (p1, r1) = halves(before), halves(after)
    recall = (f1_of(p0, r1) - f1_of(p0, r0) + f1_of(p1, r1) - f1_of(p1, r0)) / 2
    precision = (f1_of(p1, r0) - f1_of(p0, r0) + f1_of(p1, r1) - f1_of(p0, r1)) / 2
    return recall, precision


def replicates_needed(differences, half_width, quantile=0.975, ddof=1, more=0):
    n, deviation = 2, np.std(differences, ddof=ddof)
    while stats.t.ppf(quantile, n - 1) * deviation / np.sqrt(n) > half_width:
        n += 1
    return n + more


def no_difference(intervals, smallest):
    if all(-smallest < low and high < smallest for low, high in intervals):
        return "supported"
    if any(low > smallest or high < -smallest for low, high in intervals):
        return "contradicted"
    return "cannot tell"


def false_alarm(differences, first):
    for n in range(first, len(differences) + 1):
        seen = np.array(differences[:n])
        half = stats.t.ppf(0.975, n - 1) * seen.std(ddof=1) / np.sqrt(n)
        if abs(seen.mean()) > half:
            return True
    return False


def neighbours_of_run(hidden, i):
    left = right = i
    while hidden[left]:
        left -= 1
    while right < len(hidden) and hidden[right]:
        right += 1
    return left, right % len(hidden), i - left


def visible_neighbours(spans):
    runs = []
    for first, last in spans:
        if runs and first <= runs[-1][1] + 1:
            runs[-1][1] = max(runs[-1][1], last)
        else:
            runs.append([first, last])
    return [(first - 1, last + 1) for first, last in runs]


def stands_in(sentence, line, words_in_a_row=8):
    length = min(words_in_a_row, len(sentence))
    runs = lambda words: {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}  # noqa: E731
    return length > 0 and not runs(sentence).isdisjoint(runs(line))


SOLUTIONS = [
    mentions,
    empty_rows,
    findings,
    half_hidden,
    anchor_priority,
    encoder_parameters,
    both_visible,
    tags_of_words,
    repair,
    split_gain,
    replicates_needed,
    no_difference,
    false_alarm,
    neighbours_of_run,
    visible_neighbours,
    stands_in,
]


# ---------------------------------------------------------------- typical mistakes


def stands_in_any_order(sentence, line, n):
    runs = lambda words: {frozenset(words[i : i + n]) for i in range(len(words) - n + 1)}  # noqa: E731
    return not runs(sentence).isdisjoint(runs(line))


def stands_in_as_characters(sentence, line, n):
    length = min(n, len(sentence))
    runs = (" ".join(sentence[i : i + length]) for i in range(len(sentence) - length + 1))
    return any(run in " ".join(line) for run in runs)


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


def findings_but(**wrong):
    """Findings that are right but for these."""
    return lambda: suspects.BUGS | wrong


def collected(how):
    """A wrong `anchor_priority` that collects something else than the lowest."""

    def wrong(word_ids, token_priority):
        words, text = word_ids.clamp(min=0) + (word_ids >= 0), word_ids >= 0
        collected = torch.zeros_like(token_priority).scatter_reduce(
            1, words, token_priority, how, include_self=False
        )
        return collected.gather(1, words).masked_fill(~text, torch.inf)

    return wrong


def specials_collected(word_ids, token_priority):
    words = word_ids.clamp(min=0)
    lowest = torch.full_like(token_priority, torch.inf).scatter_reduce(1, words, token_priority, "amin")
    return lowest.gather(1, words).masked_fill(word_ids < 0, torch.inf)


def rows_mixed(word_ids, token_priority):
    words = word_ids.clamp(min=0).flatten()
    priority = token_priority.masked_fill(word_ids < 0, torch.inf).flatten()
    lowest = torch.full_like(priority, torch.inf).scatter_reduce(0, words, priority, "amin")
    return lowest[words].view_as(token_priority).masked_fill(word_ids < 0, torch.inf)


def changed_in_place(word_ids, token_priority):
    return token_priority.copy_(anchor_priority(word_ids, token_priority))


def by_quantile(quantile_of):
    def wrong(differences, half_width):
        n, deviation = 2, np.std(differences, ddof=1)
        while quantile_of(differences) * deviation / np.sqrt(n) > half_width:
            n += 1
        return n

    return wrong


def in_one_order(before, after):
    (p0, r0), (p1, r1) = halves(before), halves(after)
    return f1_of(p0, r1) - f1_of(p0, r0), f1_of(p1, r1) - f1_of(p0, r1)


def in_the_other_order(before, after):
    (p0, r0), (p1, r1) = halves(before), halves(after)
    return f1_of(p1, r1) - f1_of(p1, r0), f1_of(p1, r0) - f1_of(p0, r0)


def precision_forgotten(before, after):
    return split_gain(before, after)[0], 0.0


def undefined_precision(before, after):
    return (0.0, 0.0) if not before[1] else split_gain(before, after)


def last_pieces(piece_tags, word_ids):
    return list(
        {word: tag for word, tag in zip(word_ids, piece_tags, strict=True) if word is not None}.values()
    )


def merged_by_tag(piece_tags, word_ids):
    tags = []
    for tag, word in zip(piece_tags, word_ids, strict=True):
        if word is not None and tag.replace("I-", "B-") not in tags[-1:]:
            tags.append(tag)
    return tags


def repair_first_word_forgotten(tags):
    pairs = list(zip(tags, tags[1:], strict=False))
    return tags[:1] + ["B-" + t[2:] if t[0] == "I" and p[2:] != t[2:] else t for p, t in pairs]


def repair_by_letter(tags):
    """Looks at O only, not at the type before."""
    return ["B-" + t[2:] if t[0] == "I" and p == "O" else t for p, t in zip(["O", *tags], tags, strict=False)]


def repair_by_original(tags):
    """An I- after an orphan becomes B- too, since only B- before it counts."""
    pairs = zip(["O", *tags], tags, strict=False)
    return ["B-" + t[2:] if t[0] == "I" and p != "B-" + t[2:] else t for p, t in pairs]


def repair_in_place(tags):
    tags[:] = repair(tags)
    return tags


def looks(first=None, last=None, quantile=0.975, ddof=1, both=True):
    """An alarm with another first or last look, quantile or deviation, or for gains alone."""

    def wrong(differences, first_asked):
        start = first if first is not None else first_asked
        for n in range(start, len(differences) + 1) if last is None else [len(differences)]:
            seen = np.array(differences[:n])
            half = stats.t.ppf(quantile, n - 1) * seen.std(ddof=ddof) / np.sqrt(n)
            if seen.mean() > half or (both and seen.mean() < -half):
                return True
        return False

    return lambda differences, first: wrong(differences, first)


def first_look_alone(differences, first):
    return false_alarm(differences[:first], first)


def verdict(supported, contradicted):
    def wrong(intervals, smallest):
        if supported(intervals, smallest):
            return "supported"
        return "contradicted" if contradicted(intervals, smallest) else "cannot tell"

    return wrong


def inside(intervals, smallest):
    return all(-smallest < low and high < smallest for low, high in intervals)


def outside(intervals, smallest):
    return any(low > smallest or high < -smallest for low, high in intervals)


def past_the_row(hidden, i):
    left, right, place = neighbours_of_run(hidden, i)
    return left, right or len(hidden), place


def ends_of_the_run(hidden, i):
    left, right, place = neighbours_of_run(hidden, i)
    return left + 1, (right or len(hidden)) - 1, place


def never_from_the_end(hidden, i):
    right = next((column for column in range(i, len(hidden)) if not hidden[column]), len(hidden) - 1)
    return neighbours_of_run(hidden, i)[0], right, neighbours_of_run(hidden, i)[2]


def placed(place):
    """A wrong `neighbours_of_run` whose only difference is how places are counted."""

    def wrong(hidden, i):
        left, right, _ = neighbours_of_run(hidden, i)
        return left, right, place(i, left, right)

    return wrong


def runs_of(joins, last_of=max):
    """A wrong `visible_neighbours` whose only difference is which spans it joins, or where a run ends."""

    def wrong(spans):
        runs = []
        for first, last in spans:
            if runs and joins(first, runs[-1][1]):
                runs[-1][1] = last_of(runs[-1][1], last)
            else:
                runs.append([first, last])
        return [(first - 1, last + 1) for first, last in runs]

    return wrong


def joined_with_the_span_before(spans):
    pairs, skip = [], False
    for span, after in zip(spans, [*spans[1:], (10**6, 0)], strict=True):
        joined = after[0] <= span[1] + 1
        if not skip:
            pairs.append((span[0] - 1, max(span[1], after[1]) + 1 if joined else span[1] + 1))
        skip = joined and not skip
    return pairs


def joined_in_place(spans):
    found = visible_neighbours(spans)
    spans[:] = [(left + 1, right - 1) for left, right in found]
    return found


def last_run_lost(spans):
    return visible_neighbours(spans)[:-1]


MISTAKES = [
    ("mentions", mentions_merged, "B- always starts a new one"),
    ("mentions", mentions_last_lost, "lost"),
    ("mentions", mentions_one_word_each, "belongs to the mention before"),
    ("mentions", mentions_with_prefix, "without its B-"),
    ("mentions", mentions_never_closed, "does O close"),
    ("empty_rows", lambda tokens, rate: 1 - (1 - rate) ** tokens, "at least one"),
    ("empty_rows", lambda tokens, rate: rate**tokens, "all tokens are hidden"),
    ("empty_rows", lambda tokens, rate: 1 - rate * tokens, "multiply"),
    ("empty_rows", lambda tokens, rate: 0.85**tokens, "passed in"),
    ("findings", findings_but(C="wrong mix"), "C is not guilty of 'wrong mix'; count again: of the tokens"),
    ("findings", findings_but(B="right"), "B has a bug; count: in how many rows"),
    ("findings", findings_but(E="right"), "the first and the last token of text"),
    ("findings", findings_but(D="wrong mix"), "the trace, not the cause"),
    ("findings", findings_but(D="varying budget"), "the trace, not the cause"),
    ("findings", findings_but(A="safe place"), "not 'safe place'; count something else: of the tokens"),
    ("findings", findings_but(A="bad luck"), "'bad luck' is none of"),
    ("findings", lambda: {"A": "right"}, "the keys A, B"),
    ("half_hidden", lambda n, hidden, k: 1 - comb(n - k, hidden) / comb(n, hidden), "at least one"),
    ("half_hidden", lambda n, hidden, k: 1 - all_hidden(n, hidden, k), "nothing is hidden"),
    (
        "half_hidden",
        lambda n, hidden, k: 1 - (1 - hidden / n) ** k - (hidden / n) ** k,
        "without replacement",
    ),
    ("half_hidden", lambda n, hidden, k: 1 - half_hidden(n, hidden, k), "opposite"),
    ("half_hidden", lambda n, hidden, k: k * comb(n - k, hidden - 1) / comb(n, hidden), "exactly one"),
    ("anchor_priority", collected("mean"), "this is the mean"),
    ("anchor_priority", collected("amax"), "this is the highest"),
    ("anchor_priority", lambda words, priority: priority.masked_fill(words < 0, torch.inf), "own priorities"),
    ("anchor_priority", specials_collected, "the priority of a special token"),
    ("anchor_priority", rows_mixed, "words of different rows"),
    ("anchor_priority", lambda words, priority: anchor_priority(words, priority)[words >= 0], "of the shape"),
    (
        "anchor_priority",
        lambda words, priority: anchor_priority(words, priority).nan_to_num(posinf=9),
        "infinity",
    ),
    ("anchor_priority", changed_in_place, "an argument was changed"),
    ("encoder_parameters", lambda w, n: n * 12 * w * w, "biases and the LayerNorms"),
    ("encoder_parameters", lambda w, n: n * (12 * w * w + 9 * w), "LayerNorms are missing"),
    ("encoder_parameters", lambda w, n: n * (12 * w * w + 4 * w), "biases are missing"),
    ("encoder_parameters", lambda w, n: n * (11 * w * w + 12 * w), "four matrices"),
    ("encoder_parameters", lambda w, n: n * (12 * w * w + 10 * w), "4 \\* width numbers"),
    ("encoder_parameters", lambda w, n: encoder_parameters(w, 1), "do all layers count"),
    ("both_visible", lambda x: rolled(x, torch.logical_and), "torch.roll"),
    ("both_visible", lambda x: rolled(x, torch.logical_or), "both have to be visible"),
    ("both_visible", lambda x: rolled(x, lambda left, right: left), "only one of the two"),
    ("both_visible", lambda x: rolled(x, torch.logical_and, torch.ones_like), "not by that of all tokens"),
    ("both_visible", lambda x: 100 * both_visible(x), "these are percent"),
    ("both_visible", lambda x: both_visible(x) * int((x != -100).sum()), "divide it by that"),
    ("both_visible", lambda x: sum(both_visible(row[None]) for row in x) / len(x), "mean over rows"),
    ("tags_of_words", lambda tags, ids: tags, "one tag for each piece"),
    ("tags_of_words", lambda tags, ids: tags[1:-1], "two pieces got two tags"),
    ("tags_of_words", last_pieces, "last piece"),
    ("tags_of_words", merged_by_tag, "compare the numbers"),
    (
        "tags_of_words",
        lambda tags, ids: [tags[i] for i in range(len(ids)) if ids[i] != ids[i - 1]],
        "\\[CLS\\]",
    ),
    ("repair", repair_first_word_forgotten, "first word"),
    ("repair", repair_by_letter, "compare the types"),
    ("repair", repair_by_original, "continues an I-"),
    ("repair", lambda tags: [t.replace("I-", "B-") for t in tags], "continues a B-"),
    ("repair", repair_in_place, "make a new one"),
    ("split_gain", lambda b, a: tuple(part / 100 for part in split_gain(b, a)), "fractions"),
    ("split_gain", lambda b, a: split_gain(b, a)[::-1], "recall comes first"),
    ("split_gain", lambda b, a: split_gain(a, b), "other way round"),
    ("split_gain", in_one_order, "mean of both orders"),
    ("split_gain", in_the_other_order, "mean of both orders"),
    ("split_gain", precision_forgotten, "add up to 22.2"),
    ("split_gain", undefined_precision, "nothing is predicted"),
    ("replicates_needed", by_quantile(lambda differences: 1.959964), "1.96"),
    ("replicates_needed", by_quantile(lambda d: stats.t.ppf(0.975, len(d) - 1)), "changes with n"),
    ("replicates_needed", partial(replicates_needed, quantile=0.95), "90%"),
    ("replicates_needed", partial(replicates_needed, ddof=0), "ddof"),
    ("replicates_needed", partial(replicates_needed, more=-1), "one too few"),
    ("replicates_needed", partial(replicates_needed, more=1), "one too many"),
    ("replicates_needed", lambda d, width: max(3, replicates_needed(d, width)), "at least 2"),
    ("replicates_needed", lambda d, width: replicates_needed(d, max(width, 0.9)), "expected 48 and 14"),
    ("replicates_needed", lambda d, width: {0.5: 48, 1.0: 14}.get(width, 2), "ten times the spread"),
    ("false_alarm", looks(last=-1), "looked at the end only"),
    ("false_alarm", looks(both=False), "a loss too"),
    ("false_alarm", looks(first=2), "first look comes after"),
    ("false_alarm", first_look_alone, "after each further value"),
    ("false_alarm", looks(quantile=0.95), "97.5%"),
    ("false_alarm", looks(ddof=0), "over n - 1"),
    ("false_alarm", lambda differences, first: True, "hold 0"),
    ("no_difference", verdict(lambda i, s: all(a <= 0 <= b for a, b in i), outside), "not significant"),
    (
        "no_difference",
        verdict(inside, lambda i, s: any(a > 0 or b < 0 for a, b in i)),
        "reaches into the band",
    ),
    ("no_difference", verdict(lambda i, s: any(inside([x], s) for x in i), outside), "enough to contradict"),
    ("no_difference", verdict(inside, lambda i, s: any(a > s for a, b in i)), "loss is a difference"),
    ("no_difference", lambda i, s: no_difference(i, 1), "use smallest"),
    ("neighbours_of_run", lambda hidden, i: (i - 1, i + 1, neighbours_of_run(hidden, i)[2]), "hidden too"),
    ("neighbours_of_run", ends_of_the_run, "first and the last hidden token"),
    ("neighbours_of_run", lambda hidden, i: (0, *neighbours_of_run(hidden, i)[1:]), "start of the row"),
    ("neighbours_of_run", lambda hidden, i: neighbours_of_run(hidden, i)[:2], "three numbers"),
    ("neighbours_of_run", placed(lambda i, left, right: i - left - 1), "start at 1"),
    ("neighbours_of_run", placed(lambda i, left, right: right - i), "from the right end"),
    ("neighbours_of_run", placed(lambda i, left, right: i), "place in the row"),
    ("neighbours_of_run", past_the_row, "11 is past the end"),
    ("neighbours_of_run", never_from_the_end, "token 10 is hidden"),
    ("visible_neighbours", lambda spans: list(spans), "one place outside"),
    ("visible_neighbours", last_run_lost, "last run is lost"),
    ("visible_neighbours", runs_of(lambda first, last: False), "hidden themselves"),
    ("visible_neighbours", runs_of(lambda first, last: first <= last), "hidden themselves"),
    ("visible_neighbours", runs_of(lambda first, last: first <= last + 2), "4 is visible"),
    ("visible_neighbours", runs_of(lambda first, last: first == last + 1), "overlap are one run"),
    (
        "visible_neighbours",
        runs_of(lambda first, last: first <= last + 1, lambda before, last: last),
        "lies inside",
    ),
    ("visible_neighbours", joined_with_the_span_before, "three spans"),
    ("visible_neighbours", joined_in_place, "make a new one"),
    ("stands_in", lambda sentence, line, n: len({*sentence} & {*line}) >= n, "no three of them in a row"),
    ("stands_in", stands_in_any_order, "the order counts"),
    ("stands_in", lambda sentence, line, n: stands_in(sentence[:n], line, n), "are a run too"),
    ("stands_in", stands_in_as_characters, "compare whole words"),
    (
        "stands_in",
        lambda sentence, line, n: len(sentence) >= n and stands_in(sentence, line, n),
        "the whole of it",
    ),
    ("stands_in", lambda sentence, line, n: stands_in(sentence, line, 3), "does not count"),
    (
        "stands_in",
        lambda *rows: stands_in(*[[w.lower() for w in row] for row in rows[:2]], rows[2]),
        "capital",
    ),
    (
        "stands_in",
        lambda sentence, line, n: not sentence or stands_in(sentence, line, n),
        "an empty sentence",
    ),
]


@pytest.mark.parametrize("solution", SOLUTIONS, ids=lambda solution: solution.__name__)
def test_accepts_the_reference_solution(solution, capsys):
    assert checks.check(solution.__name__, solution)
    assert capsys.readouterr().out == f"{solution.__name__}: passed\n"


@pytest.mark.parametrize(("name", "mistake", "message"), MISTAKES)
def test_names_the_mistake(name, mistake, message, capsys):
    with pytest.raises(AssertionError, match=message):
        checks.CHECKS[name](mistake)
    assert not checks.check(name, mistake)
    assert f"{name}: not yet" in capsys.readouterr().out


@pytest.mark.parametrize("solution", SOLUTIONS, ids=lambda solution: solution.__name__)
def test_at_least_three_mistakes_for_each_exercise(solution):
    assert sum(name == solution.__name__ for name, *_ in MISTAKES) >= 3


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


NOTEBOOKS = sorted((ROOT / "notebooks").glob("0[1-9]*.ipynb"))


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


def unsolved(*arguments):
    raise NotImplementedError


@pytest.mark.parametrize("name", sorted(checks.CHECKS))
def test_an_unsolved_exercise_does_not_stop_the_notebook(name, capsys):
    assert checks.check(name, unsolved) is False
    assert capsys.readouterr().out == f"{name}: not solved yet\n"
    assert checks.check(name, lambda *arguments: None) is False
    assert "returns None" in capsys.readouterr().out


def test_reports_an_error_of_the_learners_function(capsys):
    assert checks.check("empty_rows", lambda tokens, rate: tokens["x"]) is False
    assert "stopped with TypeError" in capsys.readouterr().out


def test_unknown_exercise_is_an_error():
    with pytest.raises(KeyError, match="no exercise is called 'findingz'"):
        checks.check("findingz", findings)


@pytest.mark.parametrize(("flags", "variables"), [(["-O"], {}), ([], {"PYTHONOPTIMIZE": "1"})])
def test_without_assert_statements_no_answer_passes(flags, variables):
    wrong = "from helpers import checks; checks.check('empty_rows', lambda tokens, rate: 0)"
    process = subprocess.run(
        [sys.executable, *flags, "-c", wrong],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 1
    assert process.stdout == ""
    assert "RuntimeError: the checks are assert statements" in process.stderr
