"""The checks of notebooks 04 to 07: reference solutions pass, typical mistakes are named."""

from math import exp, inf, log

import numpy as np
import pytest
from scipy import stats

from helpers import checks

# ---------------------------------------------------------------- reference solutions


def encoder_parameters(width, layers):
    attention = 4 * (width * width + width)
    feed_forward = (width * 4 * width + 4 * width) + (4 * width * width + width)
    layer_norms = 2 * (width + width)
    return layers * (attention + feed_forward + layer_norms)


def rate_factor(step, steps, warm_up, cooling):
    return min(1, (step + 1) / warm_up, (steps - step) / cooling)


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


def f1_of_replicate(subsets):
    scores = [200 * correct / (gold + predicted) for gold, predicted, correct in subsets]
    return sum(scores) / len(scores)


def paired_interval(span, token):
    differences = np.array(span) - np.array(token)
    n = len(differences)
    half = stats.t.ppf(0.975, n - 1) * differences.std(ddof=1) / np.sqrt(n)
    return differences.mean() - half, differences.mean() + half


def sentences_needed(sizes, scores, target):
    if scores[0] >= target:
        return sizes[0]
    for i in range(1, len(sizes)):
        if scores[i] >= target:
            share = (target - scores[i - 1]) / (scores[i] - scores[i - 1])
            return sizes[i - 1] * (sizes[i] / sizes[i - 1]) ** share
    return inf


def no_difference(intervals, smallest):
    if all(-smallest < low and high < smallest for low, high in intervals):
        return "supported"
    if any(low > smallest or high < -smallest for low, high in intervals):
        return "contradicted"
    return "cannot tell"


SOLUTIONS = [
    encoder_parameters,
    rate_factor,
    tags_of_words,
    repair,
    f1_of_replicate,
    paired_interval,
    sentences_needed,
    no_difference,
]


@pytest.mark.parametrize("solution", SOLUTIONS, ids=lambda f: f.__name__)
def test_reference_solution_passes(solution):
    checks.CHECKS[solution.__name__](solution)


# ---------------------------------------------------------------- typical mistakes


def paired_mistake(quantile=0.975, lost=1, ddof=1, power=0.5):
    def wrong(span, token):
        differences = np.array(span) - np.array(token)
        n = len(differences)
        half = stats.t.ppf(quantile, n - lost) * differences.std(ddof=ddof) / n**power
        return differences.mean() - half, differences.mean() + half

    return wrong


def unpaired_interval(span, token):
    interval = stats.ttest_ind(span, token).confidence_interval()
    return interval.low, interval.high


def normal_interval(span, token):
    differences = np.array(span) - np.array(token)
    half = 1.959964 * differences.std(ddof=1) / np.sqrt(len(differences))
    return differences.mean() - half, differences.mean() + half


def pooled_f1(subsets):
    gold, predicted, correct = map(sum, zip(*subsets, strict=True))
    return 200 * correct / (gold + predicted)


def mean_of_precision_and_recall(subsets):
    return sum(50 * (c / g + c / p) for g, p, c in subsets) / len(subsets)


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


def next_size(sizes, scores, target):
    return next((size for size, score in zip(sizes, scores, strict=True) if score >= target), inf)


def plain_scale(sizes, scores, target):
    return float(np.interp(target, scores, sizes)) if target <= scores[-1] else inf


def stops_at_the_largest(sizes, scores, target):
    return exp(np.interp(target, scores, np.log(sizes)))


def left_in_logarithms(sizes, scores, target):
    return float(np.interp(target, scores, np.log(sizes)))


def extrapolates_below(sizes, scores, target):
    if target < scores[0]:
        slope = (log(sizes[1]) - log(sizes[0])) / (scores[1] - scores[0])
        return exp(log(sizes[0]) + slope * (target - scores[0]))
    return sentences_needed(sizes, scores, target)


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


MISTAKES = [
    ("encoder_parameters", lambda w, n: n * 12 * w * w, "biases and the LayerNorms"),
    ("encoder_parameters", lambda w, n: n * (12 * w * w + 9 * w), "LayerNorms are missing"),
    ("encoder_parameters", lambda w, n: n * (12 * w * w + 4 * w), "biases are missing"),
    ("encoder_parameters", lambda w, n: n * (11 * w * w + 12 * w), "four matrices"),
    ("encoder_parameters", lambda w, n: n * (12 * w * w + 10 * w), "4 \\* width numbers"),
    ("encoder_parameters", lambda w, n: encoder_parameters(w, 1), "do all layers count"),
    ("rate_factor", lambda s, n, w, c: min(1, s / w, (n - s) / c), "0 at step 0"),
    ("rate_factor", lambda s, n, w, c: min(1, (s + 1) / w, (n - s - 1) / c), "0 before the end"),
    ("rate_factor", lambda s, n, w, c: min(1, (s + 1) / w), "never falls"),
    ("rate_factor", lambda s, n, w, c: min((s + 1) / w, (n - s) / c), "exceeds 1"),
    ("rate_factor", lambda s, n, w, c: min((s + 1) / w, (n - s) / (n - w), 1), "constant between"),
    ("tags_of_words", lambda tags, ids: tags, "one tag for each piece"),
    ("tags_of_words", lambda tags, ids: tags[1:-1], "two pieces has two tags"),
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
    ("f1_of_replicate", pooled_f1, "added up"),
    ("f1_of_replicate", mean_of_precision_and_recall, "harmonic"),
    ("f1_of_replicate", lambda subsets: f1_of_replicate(subsets) / 100, "fraction"),
    ("f1_of_replicate", lambda subsets: f1_of_replicate(subsets) / 2, "2 \\* correct"),
    ("f1_of_replicate", lambda subsets: f1_of_replicate(subsets[:1]), "left out"),
    ("paired_interval", normal_interval, "1.96"),
    ("paired_interval", unpaired_interval, "subtract within each replicate"),
    ("paired_interval", paired_mistake(quantile=0.95), "90%"),
    ("paired_interval", paired_mistake(ddof=0), "ddof"),
    ("paired_interval", paired_mistake(power=0), "square root of n is missing"),
    ("paired_interval", paired_mistake(power=1), "in place of its square root"),
    ("paired_interval", paired_mistake(lost=0), "degrees of freedom"),
    ("paired_interval", lambda span, token: paired_interval(token, span), "token - span"),
    ("sentences_needed", plain_scale, "plain scale"),
    ("sentences_needed", next_size, "next size"),
    ("sentences_needed", stops_at_the_largest, "never reached"),
    ("sentences_needed", left_in_logarithms, "logarithm"),
    ("sentences_needed", extrapolates_below, "smallest size"),
    ("no_difference", verdict(lambda i, s: all(a <= 0 <= b for a, b in i), outside), "not significant"),
    (
        "no_difference",
        verdict(inside, lambda i, s: any(a > 0 or b < 0 for a, b in i)),
        "reaches into the band",
    ),
    ("no_difference", verdict(lambda i, s: any(inside([x], s) for x in i), outside), "enough to contradict"),
    ("no_difference", verdict(inside, lambda i, s: any(a > s for a, b in i)), "loss is a difference"),
    ("no_difference", lambda i, s: no_difference(i, 1), "use smallest"),
]


@pytest.mark.parametrize(("name", "wrong", "message"), MISTAKES)
def test_typical_mistake_is_named(name, wrong, message, capsys):
    with pytest.raises(AssertionError, match=message):
        checks.CHECKS[name](wrong)
    assert not checks.check(name, wrong)
    assert f"{name}: not yet" in capsys.readouterr().out


@pytest.mark.parametrize("solution", SOLUTIONS, ids=lambda f: f.__name__)
def test_three_mistakes_and_more_are_tried(solution):
    assert sum(name == solution.__name__ for name, *_ in MISTAKES) >= 3
