"""Counts of mentions and errors against a second scorer, seqeval and nervaluate; and their speed."""

import random
import time
from collections import Counter

import pytest
from nervaluate import Evaluator
from seqeval.metrics import f1_score
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2

from helpers import scoring

TYPES = ["LOC", "ORG", "PER"]
TAGS = ["O", *(f"{prefix}-{name}" for name in TYPES for prefix in "BI")]
COLUMNS = [
    *("gold", "predicted", "correct", "missed", "wrong_boundary", "wrong_type", "wrong_both"),
    *("charged", "invented"),
]


# --- what is scored ---


def draw_tags(rng, size, legal=False):
    """Tags of one sentence; unless they must be legal, I- comes without B- and types change inside too."""
    tags = []
    for _ in range(size):
        inside = "I" + tags[-1][1:] if tags and tags[-1] != "O" else "O"
        tags.append(
            rng.choice([inside, inside, rng.choice(["O", "B-LOC", "B-ORG", "B-PER"] if legal else TAGS)])
        )
    return tags


def rename(rng, tags):
    """The same mentions of other types, now and then."""
    other = dict(zip(TYPES, rng.sample(TYPES, 3), strict=True))
    return [tag if tag == "O" else tag[:2] + other[tag[2:]] for tag in tags]


def disturb(rng, tags):
    """What a fair model says: many of the tags are right, so all kinds of error and success occur."""
    if rng.random() < 0.2:
        tags = rename(rng, tags)
    return [rng.choice(TAGS) if rng.random() < 0.15 else tag for tag in tags]


def draw_corpus(rng, sentences=10):
    gold = [draw_tags(rng, rng.randint(0, 14)) for _ in range(sentences)]
    predicted = [draw_tags(rng, len(tags)) if rng.random() < 0.3 else disturb(rng, tags) for tags in gold]
    return gold, predicted


# --- a second scorer, from the definitions alone: it imports nothing, and is slow ---


def mentions_of(tags):
    """All (type, words) where B-TYPE is followed by I-TYPE only, and the next word would not go on."""
    found = set()
    for start, tag in enumerate(tags):
        for end in range(start + 1, len(tags) + 1):
            inside = all(other == "I" + tag[1:] for other in tags[start + 1 : end])
            goes_on = end < len(tags) and tags[end] == "I" + tag[1:]
            if tag[0] == "B" and inside and not goes_on:
                found.add((tag[2:], frozenset(range(start, end))))
    return found


def range_name(number, edges):
    """The bucket as text: the last edge that is reached, up to one below the next edge."""
    reached = [edge for edge in edges if edge <= number]
    later = [edge for edge in edges if edge > number]
    if not reached:
        return "0"
    if not later:
        return f"{reached[-1]}+"
    return str(reached[-1]) if later[0] == reached[-1] + 1 else f"{reached[-1]}-{later[0] - 1}"


def second_count(gold, predicted, sentences, novelty, pieces, edges):
    """The counts that are not 0, by (type, novelty, length, pieces, column)."""
    counts = Counter()
    for gold_tags, predicted_tags, words, sizes in zip(gold, predicted, sentences, pieces, strict=True):

        def add(mention, column, words=words, sizes=sizes):
            kind, own = mention
            name = novelty(tuple(words[i] for i in sorted(own)))
            size = range_name(sum(sizes[i] for i in own), range(1, 9))
            counts[kind, name, range_name(len(own), edges), size, column] += 1

        truth, guesses = mentions_of(gold_tags), mentions_of(predicted_tags)
        for mention in truth:
            add(mention, "gold")
            kind, own = mention
            touching = [guess for guess in guesses if guess[1] & own]
            if mention in guesses:
                add(mention, "correct")
            elif any(words_of_guess == own for _, words_of_guess in touching):
                add(mention, "wrong_type")
            elif any(kind_of_guess == kind for kind_of_guess, _ in touching):
                add(mention, "wrong_boundary")
            elif touching:
                add(mention, "wrong_both")
            else:
                add(mention, "missed")
        for guess in guesses:
            add(guess, "predicted")
            if guess in truth:
                continue
            touched = [mention for mention in truth if mention[1] & guess[1]]
            if touched:
                add(max(touched, key=lambda one: (len(one[1] & guess[1]), -min(one[1]))), "charged")
            else:
                add(guess, "invented")
    return counts


@pytest.mark.parametrize("edges", [(1, 2, 3, 4, 5), (1, 3), (1,)])
def test_every_count_is_that_of_the_second_scorer(edges):
    rng = random.Random(len(edges))
    seen = Counter()
    for _ in range(150):  # 10 pairs of sequences each, so 4,500 over all edges
        gold, predicted = draw_corpus(rng)
        words = [[rng.choice("abc") for _ in tags] for tags in gold]
        pieces = [[rng.choice([0, 1, 1, 2, 3, 9]) for _ in tags] for tags in gold]
        novelty = lambda text: "ends alike" if text[0] == text[-1] else "another"  # noqa: E731
        expected = second_count(gold, predicted, words, novelty, pieces, edges)
        table = scoring.count(
            gold, predicted, sentences=words, novelty=novelty, pieces=pieces, edges=edges
        ).set_index(["type", "novelty", "length", "pieces"])
        assert list(table.columns) == COLUMNS
        assert table.index.is_unique and (table[["gold", "predicted"]].sum(axis=1) > 0).all()
        found = {(*key, name): value for key, row in table.iterrows() for name, value in row.items() if value}
        assert found == expected
        seen.update(name for *_, name in expected.elements())
    assert min(seen[name] for name in COLUMNS) > 100, seen  # every column was put to the test


def test_totals_are_those_of_seqeval():
    rng = random.Random(0)
    options = {"scheme": IOB2, "zero_division": 0}  # `v1` is strict; it is what mode="strict" calls
    for _ in range(100):
        gold, predicted = draw_corpus(rng, sentences=30)
        table = scoring.count(gold, predicted).groupby("type")[COLUMNS].sum()
        by_type = [
            table["correct"] / table["predicted"],  # a wrong one may be charged to another type
            table["correct"] / table["gold"],
            2 * table["correct"] / (table["gold"] + table["predicted"]),
            table["gold"],
        ]
        theirs = precision_recall_fscore_support(gold, predicted, average=None, **options)
        for own, other in zip(by_type, theirs, strict=True):
            assert own.tolist() == pytest.approx(list(other))
        total = table.sum()
        said = total["correct"] + total["charged"] + total["invented"]
        should = total["correct"] + total[scoring.ERRORS].sum()
        micro = [total["correct"] / said, total["correct"] / should, 2 * total["correct"] / (said + should)]
        theirs = precision_recall_fscore_support(gold, predicted, average="micro", **options)
        assert micro == pytest.approx(list(theirs[:3]))


# --- nervaluate ---


def nervaluate(gold, predicted):
    return Evaluator(gold, predicted, tags=TYPES, loader="list").evaluate()["overall"]


def draw_legal_pair(rng):
    size = rng.randint(1, 14)
    gold = draw_tags(rng, size, legal=True)
    return gold, rename(rng, gold) if rng.random() < 0.4 else draw_tags(rng, size, legal=True)


def is_one_to_one(gold, predicted):
    """Whether each mention shares words with one mention of the other side at most."""
    pairs = [
        (one, other) for one in mentions_of(gold) for other in mentions_of(predicted) if one[1] & other[1]
    ]
    return all(len(set(side)) == len(pairs) for side in zip(*pairs, strict=True))


def test_errors_are_those_of_nervaluate_where_mentions_meet_one_to_one():
    """Each of its four readings adds up other kinds of ours.

    The tags are legal, because it takes an I- without B- for the start of a mention.
    """
    rng, meeting = random.Random(0), Counter()
    for _ in range(30):
        pairs = [pair for pair in (draw_legal_pair(rng) for _ in range(100)) if is_one_to_one(*pair)]
        gold, predicted = map(list, zip(*pairs, strict=True))
        ours = scoring.count(gold, predicted)[COLUMNS].sum()
        meeting.update(ours.to_dict())
        right, boundary, kind, both = ours[["correct", "wrong_boundary", "wrong_type", "wrong_both"]]
        expected = {  # correct, incorrect, partial
            "strict": (right, boundary + kind + both, 0),
            "exact": (right + kind, boundary + both, 0),
            "ent_type": (right + boundary, kind + both, 0),
            "partial": (right + kind, 0, boundary + both),
        }
        for name, theirs in nervaluate(gold, predicted).items():
            assert (theirs.correct, theirs.incorrect, theirs.partial) == expected[name], name
            assert (theirs.missed, theirs.spurious) == (ours["missed"], ours["invented"])
        assert ours["charged"] == boundary + kind + both
    assert min(meeting[name] for name in COLUMNS) > 100, meeting


def test_where_several_mentions_meet_nervaluate_lets_one_go():
    """It pairs each mention once, and calls the rest missed or spurious, although words are shared."""
    rng, differ = random.Random(1), 0
    for _ in range(500):
        gold, predicted = draw_legal_pair(rng)
        ours = scoring.count([gold], [predicted])[COLUMNS].sum()
        theirs = nervaluate([gold], [predicted])["strict"]
        assert theirs.correct == ours["correct"]  # an exact match shares words with nothing else
        assert theirs.missed >= ours["missed"] and theirs.spurious >= ours["invented"]
        if (theirs.missed, theirs.spurious) != (ours["missed"], ours["invented"]):
            assert not is_one_to_one(gold, predicted)
            differ += 1
    assert differ > 50


# --- speed ---


def test_counting_takes_a_third_of_seqevals_time_at_most():
    """The two in one run, as a ratio: seconds alone would judge the machine. Measured: a seventh."""
    rng = random.Random(0)
    gold = [draw_tags(rng, 20) for _ in range(5_000)]
    predicted = [disturb(rng, tags) for tags in gold]
    pieces = [[rng.randint(1, 4) for _ in tags] for tags in gold]

    def seconds(work):
        taken = []
        for _ in range(3):
            start = time.process_time()  # of this process alone: others do not count
            work()
            taken.append(time.process_time() - start)
        return min(taken)

    ours = seconds(lambda: scoring.count(gold, predicted, pieces=pieces))
    theirs = seconds(lambda: f1_score(gold, predicted))
    print(f"{ours:.2f} s for 100,000 gold tags and as many predicted ones, {theirs:.2f} s in seqeval")
    assert ours < theirs / 3
