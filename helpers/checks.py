"""Self-checks for the exercises: what a learner's function must do, and the mistake behind a wrong answer.

An exercise cell ends in `checks.check("mentions", mentions_of)`. It prints "passed", "not solved yet", or
"not yet:" and the likely mistake, and never stops the notebook.

Each check is an ordinary function that takes the learner's function and raises AssertionError with the
message to show. `@exercise("name")` registers it in `CHECKS`, where tests and graders can also find it.
"""

import random
from collections.abc import Callable
from math import isclose

from scipy import stats

from helpers import suspects

UNLIKELY = 1e-9
CHECKS: dict[str, Callable[[Callable], None]] = {}


def exercise(name: str) -> Callable:
    """Register the decorated function as the check of an exercise.

    Args:
        name: The name that the exercise cell uses.

    Returns:
        A decorator that returns the function as it is.
    """

    def register(check_function: Callable[[Callable], None]) -> Callable[[Callable], None]:
        CHECKS[name] = check_function
        return check_function

    return register


def check(name: str, function: Callable) -> bool:
    """Check a learner's function and print the outcome.

    A function that raises NotImplementedError or returns None counts as "not solved yet". Any other exception
    is reported as the learner's, with its type and message.

    Args:
        name: The name of the exercise.
        function: The learner's function.

    Returns:
        Whether it passed.

    Raises:
        KeyError: There is no such exercise.
        RuntimeError: Python runs without assert statements, so every answer would pass.
    """
    if not __debug__:
        raise RuntimeError(
            "the checks are assert statements, which Python skips here: "
            "start it without -O and without PYTHONOPTIMIZE"
        )
    if name not in CHECKS:
        raise KeyError(f"no exercise is called {name!r}; there are: {', '.join(sorted(CHECKS))}")
    try:
        CHECKS[name](_insist_on_a_result(function))
    except NotImplementedError as unsolved:
        print(f"{name}: not solved yet {unsolved}".rstrip())
    except AssertionError as mistake:
        print(f"{name}: not yet: {mistake}")
    except Exception as error:
        print(f"{name}: not yet: your function stopped with {type(error).__name__}: {error}")
    else:
        print(f"{name}: passed")
        return True
    return False


def unlikely(count: int, trials: int, probability: float) -> bool:
    """Say whether a count is one that a right solution almost never gives.

    For checks of what is drawn at random. They ask this a few hundred times in all, so a right solution loses
    a point by bad luck less than once in a million times.

    Args:
        count: How often something happened.
        trials: How often it could have.
        probability: How likely a right solution makes it each time.

    Returns:
        Whether counts as far from the expected one as this have a probability below 1e-9; never where there
        were no trials.
    """
    return trials > 0 and bool(stats.binomtest(count, trials, probability).pvalue < UNLIKELY)


def _insist_on_a_result(function: Callable) -> Callable:
    """Wrap a function so that a result of None (an empty body, no return) means "not solved yet"."""

    def call(*arguments, **keywords):
        result = function(*arguments, **keywords)
        if result is None:
            raise NotImplementedError("(it returns None: is `return` missing?)")
        return result

    return call


# ---------------------------------------------------------------- notebook 01


@exercise("mentions")
def _mentions(mentions: Callable) -> None:
    words = ["Anna", "Berg", "met", "Orel", "in", "New", "Torven"]
    tags = ["B-PER", "I-PER", "O", "B-PER", "O", "B-LOC", "I-LOC"]
    expected = [("PER", "Anna Berg"), ("PER", "Orel"), ("LOC", "New Torven")]
    result = list(mentions(words, tags))
    assert result, "the list is empty; start a mention at every tag that begins with B-"
    assert all(len(mention) == 2 for mention in result), (
        'each mention is a pair (type, text), such as ("PER", "Anna Berg")'
    )
    assert not any(entity_type[:2] in ("B-", "I-") for entity_type, _ in result), (
        "the type is the tag without its B- or I-"
    )
    texts = [text for _, text in result]
    assert "Anna" not in texts, (
        "a word tagged I- belongs to the mention before it: a mention can have several words"
    )
    assert not any("met" in text or " in" in text for text in texts), (
        "a word tagged O is in a mention; does O close the open mention?"
    )
    assert "New Torven" in texts, (
        "the mention at the end of the sentence is lost; is it added after the loop?"
    )
    assert "Orel" in texts, "a mention of one word is lost; a single B- is a complete mention"
    assert result == expected, f"expected {expected}, got {result}"
    neighbours = list(mentions(["Kalmar", "Torven"], ["B-LOC", "B-LOC"]))
    assert neighbours == [("LOC", "Kalmar"), ("LOC", "Torven")], (
        "two mentions side by side were merged; B- always starts a new one"
    )
    assert list(mentions(["Nobody", "came"], ["O", "O"])) == [], "a sentence without names has no mentions"


# ---------------------------------------------------------------- notebook 02


@exercise("empty_rows")
def _empty_rows(empty_rows: Callable) -> None:
    rate, result = 0.15, empty_rows(10, 0.15)
    assert not isclose(result, 1 - (1 - rate) ** 10), "this is the probability of at least one label"
    assert not isclose(result, rate**10), "this is the probability that all tokens are hidden"
    assert not isclose(result, 1 - rate * 10), (
        "subtracting works for one token; for several, multiply the probabilities"
    )
    assert not isclose(result, 1 - rate**10), "this is the probability that not all tokens are hidden"
    assert isclose(result, (1 - rate) ** 10), f"for 10 tokens at 15% expected 0.1969, got {result:.4f}"
    assert isclose(empty_rows(3, 0.5), 0.125), "right at 15%, wrong at 50%: use the rate that is passed in"


@exercise("findings")
def _findings(findings: Callable) -> None:
    found = findings()
    assert isinstance(found, dict) and set(found) == set(suspects.BUGS), (
        f"return a dictionary with the keys {', '.join(suspects.BUGS)}"
    )
    for verdict in found.values():
        assert verdict in suspects.VERDICTS, f"{verdict!r} is none of {', '.join(suspects.VERDICTS)}"
    for name, bug in suspects.BUGS.items():
        verdict = found[name]
        assert bug != "right" or verdict == "right", (
            f"{name} is not guilty of {verdict!r}; count again: {suspects.VERDICTS[verdict]}"
        )
        assert verdict == bug or verdict != "right", f"{name} has a bug; count: {suspects.VERDICTS[bug]}"
        assert bug != "missing labels" or verdict not in ("wrong mix", "varying budget"), (
            f"with {name} that is the trace, not the cause: of the tokens with a label none is left as it "
            "is. Which tokens have lost theirs?"
        )
        assert verdict == bug, (
            f"{name} has a bug, but not {verdict!r}; count something else: {suspects.VERDICTS[bug]}"
        )


# ---------------------------------------------------------------- notebook 03


@exercise("half_hidden")
def _half_hidden(half_hidden: Callable) -> None:
    result = half_hidden(60, 9, 3)  # all hidden: 0.0025, none: 0.6086
    assert not isclose(result, 0.391408, rel_tol=1e-4), (
        "this is the probability that at least one is hidden; if all are, nothing is left to guess from"
    )
    assert not isclose(result, 0.997545, rel_tol=1e-4), (
        "this counts names in which nothing is hidden as half hidden; subtract them too"
    )
    assert not isclose(result, 1 - 0.85**3 - 0.15**3, rel_tol=1e-4), (
        "the hidden tokens are drawn without replacement: after the first, 8 of the other 59 are hidden"
    )
    assert not isclose(result, 0.611047, rel_tol=1e-4), "this is the opposite: all hidden, or none"
    assert not isclose(result, 0.335331, rel_tol=1e-3), (
        "this is the probability of exactly one hidden token; two of three count too"
    )
    assert isclose(result, 0.388953, rel_tol=1e-4), f"half_hidden(60, 9, 3) is 0.3890, not {result:.4f}"
    assert isclose(half_hidden(60, 9, 1), 0, abs_tol=1e-9), "a name of one token cannot be half hidden"
    assert isclose(half_hidden(10, 2, 3), 8 / 15, rel_tol=1e-6), (
        "wrong where the name is longer than the budget: a budget of two cannot hide three tokens"
    )


@exercise("anchor_priority")
def _anchor_priority(anchor_priority: Callable) -> None:
    import torch

    #                          [CLS] a  a  a  b [SEP] c  c [SEP]
    word_ids = torch.tensor([[-1, 0, 0, 0, 1, -1, 2, 2, -1], [-1, 0, 1, 1, 2, 3, 3, 4, -1]])
    drawn = torch.tensor([[1, 50, 20, 92, 70, 2, 40, 30, 3], [4, 80, 60, 10, 15, 25, 5, 35, 6]]).float()
    given = word_ids.clone(), drawn.clone()
    result = anchor_priority(*given)
    assert isinstance(result, torch.Tensor) and result.shape == drawn.shape, (
        "return a tensor of the shape of token_priority: a number for each token, special ones too"
    )
    assert torch.equal(given[0], word_ids) and torch.equal(given[1], drawn), (
        "an argument was changed; `masked_fill_` and other names that end in _ work in place"
    )
    assert bool(result[word_ids < 0].isposinf().all()), "special tokens have the priority infinity"
    assert not torch.equal(result[word_ids >= 0], drawn[word_ids >= 0]), (
        "these are the tokens' own priorities; the tokens of a word share the lowest of them"
    )
    first_word, second_word = result[0, 1].item(), result[0, 4].item()
    wrong = {
        1: "the first word got the priority of a special token: give those infinity before you collect",
        54: "this is the mean of a word's tokens, not the lowest",
        92: "this is the highest of a word's tokens, not the lowest",
        50: "this is the first token's priority, not the lowest of the word",
    }
    assert first_word not in wrong, wrong[int(first_word)]
    assert second_word != 10, "words of different rows were mixed: a word's number counts within its row"
    last = float("inf")
    expected = [[last, 20, 20, 20, 70, last, 30, 30, last], [last, 80, 10, 10, 15, 5, 5, 35, last]]
    assert result.tolist() == expected, f"expected {expected}, got {result.tolist()}"


# ---------------------------------------------------------------- notebook 04


@exercise("encoder_parameters")
def _encoder_parameters(encoder_parameters: Callable) -> None:
    width, expected = 128, 12 * 128 * 128 + 13 * 128
    result = encoder_parameters(width, 1)
    wrong = {
        "the LayerNorms are missing: two, each with a scale and a shift": 4 * width,
        "each LayerNorm has a scale and a shift, and there are two of them": 2 * width,
        "the biases are missing: each of the six matrices has one": 9 * width,
        "the biases and the LayerNorms are missing": 13 * width,
        "the bias of the layer from width to 4 * width has 4 * width numbers, not width": 3 * width,
        "the feed-forward part has two matrices: to 4 * width, and back": 4 * width * width + width,
        "attention has four matrices: query, key, value and output": width * width + width,
    }
    for mistake, lacking in wrong.items():
        assert result != expected - lacking, mistake
    assert result == expected, f"for width 128 and one layer expected {expected:,}, got {result:,}"
    assert encoder_parameters(width, 3) == 3 * expected, "right for one layer; do all layers count?"
    assert encoder_parameters(64, 1) == 12 * 64 * 64 + 13 * 64, "right for 128 units, wrong for 64"


@exercise("both_visible")
def _both_visible(both_visible: Callable) -> None:
    import torch

    def share(*rows: str) -> float:
        """Ask about rows such as ".#.", in which # is a hidden token."""
        return float(
            both_visible(torch.tensor([[7 if token == "#" else -100 for token in row] for row in rows]))
        )

    result = share(".#.##.#.")
    wrong = {
        "divide by the number of hidden tokens, not by that of all tokens": 2 / 8,
        "these are percent; return a number from 0 to 1": 50,
        "this is the number of such tokens; divide it by that of all hidden tokens": 2,
        "this is the share with at least one visible neighbour; both have to be visible": 1,
        "only one of the two neighbours is looked at": 3 / 4,
    }
    for mistake, value in wrong.items():
        assert not isclose(result, value), mistake
    assert isclose(result, 2 / 4), f"in .#.##.#., where # is hidden, the share is 0.5, got {result:g}"
    end = share(".#.#")
    assert not isclose(end, 1), (
        "the last token has only one neighbour and does not count; torch.roll lends it the first token"
    )
    assert isclose(end, 1 / 2), (
        f"in .#.#, where the last token has no right neighbour, it is 0.5, got {end:g}"
    )
    several = share(".#...", ".###.")
    assert not isclose(several, 1 / 2), "this is the mean over rows; each hidden token should count once"
    assert isclose(several, 1 / 4), f"in two rows, .#... and .###., it is 0.25, got {several:g}"


# ---------------------------------------------------------------- notebook 05


@exercise("tags_of_words")
def _tags_of_words(tags_of_words: Callable) -> None:
    #            [CLS]  Tor      ##ven    met  Li       [SEP]
    word_ids = [None, 0, 0, 1, 2, None]
    pieces = ["B-ORG", "B-LOC", "I-LOC", "O", "B-PER", "O"]
    result = list(tags_of_words(pieces, word_ids))
    assert result != pieces, "you returned one tag for each piece, but there are three words"
    assert result != pieces[1:-1], "a word of two pieces got two tags; only its first piece counts"
    assert len(result) <= 3, "the result includes the tag of [CLS] or [SEP]; their word number is None"
    assert result != ["I-LOC", "O", "B-PER"], (
        "this is the tag of each word's last piece; the first one counts"
    )
    assert result == ["B-LOC", "O", "B-PER"], f"expected ['B-LOC', 'O', 'B-PER'], got {result}"
    neighbours = list(tags_of_words(["O", "B-PER", "B-PER", "O"], [None, 0, 1, None]))
    assert neighbours == ["B-PER", "B-PER"], (
        "two words with the same tag were merged; compare the numbers of the words, not their tags"
    )
    assert list(tags_of_words(["O", "I-PER", "O"], [None, 0, None])) == ["I-PER"], (
        "a tag was changed; return it as it is, even where it breaks IOB2"
    )


@exercise("repair")
def _repair(repair: Callable) -> None:
    def repaired(*tags: str) -> list[str]:
        return list(repair(list(tags)))

    given = ["O", "I-PER"]
    repair(given)
    assert given == ["O", "I-PER"], "the list that was passed in was changed; make a new one"
    assert repaired("O", "I-PER", "O") != ["O", "O", "O"], (
        "the orphan was thrown away; it should become the beginning of a mention"
    )
    assert repaired("O", "I-PER", "O") == ["O", "B-PER", "O"], "an I- after O becomes B- of the same type"
    assert repaired("B-PER", "I-PER") == ["B-PER", "I-PER"], "an I- that continues a B- stays as it is"
    assert repaired("B-PER", "I-PER", "I-PER") == ["B-PER", "I-PER", "I-PER"], (
        "an I- that continues an I- stays as it is; only B- before it was accepted"
    )
    assert repaired("I-LOC", "O") == ["B-LOC", "O"], "the first word has nothing before it to continue"
    assert repaired("B-PER", "I-LOC") == ["B-PER", "B-LOC"], (
        "I-LOC after B-PER continues nothing: compare the types, not only B-, I- and O"
    )
    assert repaired("O", "I-PER", "I-PER") == ["O", "B-PER", "I-PER"], (
        "of two orphans in a row the second continues the first, once that is repaired"
    )
    assert repaired("B-PER", "B-PER", "O") == ["B-PER", "B-PER", "O"], "a B- always stays as it is"


# ---------------------------------------------------------------- notebook 06


@exercise("split_gain")
def _split_gain(split_gain: Callable) -> None:
    recall, precision = split_gain((100, 80, 40), (100, 80, 60))  # precision 0.5 to 0.75, recall 0.4 to 0.6
    assert not isclose(recall, 0.122971, rel_tol=1e-3), "these are fractions; F1 goes from 0 to 100 here"
    assert not isclose(recall, 9.925123, rel_tol=1e-3), "the part of recall comes first: (recall, precision)"
    assert not isclose(recall, -12.297147, rel_tol=1e-3), "the other way round: a gain is after - before"
    for one in (10.101010, 14.492754):
        assert not isclose(recall, one, rel_tol=1e-3), (
            "this is one order alone, and the other one splits differently; take the mean of both orders"
        )
    assert isclose(recall + precision, 22.222222, rel_tol=1e-3), (
        f"F1 rises from 44.4 to 66.7, so the parts add up to 22.2, not to {recall + precision:.1f}"
    )
    assert isclose(recall, 12.297147, rel_tol=1e-3), (
        f"expected 12.3 from recall and 9.9 from precision, got {recall:.1f}"
    )
    recall, precision = split_gain((100, 40, 20), (100, 80, 40))
    assert abs(precision) < 1e-6, f"precision stays at 50% here and brings nothing, not {precision:.1f}"
    nothing, something = (10, 0, 0), (10, 10, 5)
    assert isclose(sum(split_gain(nothing, something)), 50), (
        "where nothing is predicted, precision counts as 0, and so does an F1 of two zeros"
    )


@exercise("replicates_needed")
def _replicates_needed(replicates_needed: Callable) -> None:
    differences = [3.0, 1.0, 5.0, 2.0]
    found = replicates_needed(list(differences), 0.5), replicates_needed(list(differences), 1.0)
    wrong = {
        (45, 12): "1.96 is the quantile of the normal distribution; Student's t is wider",
        (34, 10): "this is for a 90% interval: 5% are left on each side, not 2.5%",
        (37, 11): "the standard deviation is divided by n; with ddof=1 it is divided by n - 1",
        (119, 30): "the quantile is that of the four values; it changes with n",
        (47, 13): "one too few: with this n the interval is still wider than asked",
        (49, 15): "one too many: one replicate fewer is already narrow enough",
    }
    assert found not in wrong, wrong[found]
    assert found == (48, 14), f"for half widths of 0.5 and 1 expected 48 and 14 replicates, got {found}"
    assert replicates_needed(list(differences), 100.0) == 2, "no interval without a spread: n is at least 2"
    assert replicates_needed([10 * value for value in differences], 10.0) == 14, (
        "ten times the spread and ten times the width need as many replicates"
    )


# ---------------------------------------------------------------- notebook 07


@exercise("no_difference")
def _no_difference(no_difference: Callable) -> None:
    def verdict(*intervals: tuple[float, float], smallest: float = 1.0) -> str:
        return no_difference(list(intervals), smallest)

    known = {"supported", "contradicted", "cannot tell"}
    assert verdict((-0.5, 0.6)) in known, f"the verdict is one of {sorted(known)}"
    assert verdict((-3, 4)) != "supported", (
        "an interval from -3 to 4 contains 0, but also 3: not significant does not mean no difference"
    )
    assert verdict((0.2, 0.8)) != "contradicted", (
        "an interval from 0.2 to 0.8 excludes 0, but no value in it is large enough to matter"
    )
    assert verdict((0.5, 3)) != "contradicted", (
        "an interval from 0.5 to 3 reaches into the band, so a difference too small to matter is possible"
    )
    assert verdict((-3, -1.2)) == "contradicted", (
        "an interval from -3 to -1.2 lies outside, on the other side: a loss is a difference too"
    )
    assert verdict((-0.5, 0.5), (1.5, 3)) == "contradicted", (
        "one interval that lies wholly outside is enough to contradict, even if the others lie inside"
    )
    assert verdict((-0.5, 0.5), (-2, 2)) == "cannot tell", (
        "one interval inside is not enough to support: all of them have to lie inside"
    )
    assert verdict((-0.5, 0.6), (0.2, 0.8)) == "supported", "both intervals lie inside the band: supported"
    assert verdict((-3, 4)) == "cannot tell" and verdict((0.5, 3)) == "cannot tell", (
        "an interval partly inside and partly outside the band leaves it open"
    )
    assert verdict((-1.5, 1.5), smallest=2) == "supported", "right for ±1, wrong for ±2: use smallest"


@exercise("false_alarm")
def _false_alarm(false_alarm: Callable) -> None:
    steady = [1.0, 1.5, 0.5, 1.2, 0.8, 1.1, 0.9, 1.3]
    loud = [1.0, -1.0] * 8
    early = [*steady, *(-value for value in steady)]  # convincing after eight values, nothing in the end
    assert false_alarm(steady, 8), "with eight values around 1 the interval lies above 0: an alarm"
    assert false_alarm([-value for value in steady], 8), (
        "an interval below 0 is an alarm as well: whoever looks reports a loss too"
    )
    assert not false_alarm(loud, 8), "values around 0 give intervals that hold 0, at every look"
    assert false_alarm(early, 8), (
        "after eight values the interval lies above 0, so a look stops the study; you looked at the end only"
    )
    late = [*loud[:8], *[4.0, 4.5] * 10]
    assert false_alarm(late, 8), "look again after each further value, not only after the first eight"
    assert not false_alarm([*steady[:4], *[30.0, -30.0] * 8], 8), (
        "the first look comes after `first` values, not before"
    )
    assert not false_alarm([0.45, 1.4, -0.4, 1.2, 0.1, 1.0, -0.3, 0.9], 8), (
        "this interval holds 0, just so: 97.5% of Student's t, and a standard deviation over n - 1"
    )


# ---------------------------------------------------------------- notebook 08


@exercise("neighbours_of_run")
def _neighbours_of_run(neighbours_of_run: Callable) -> None:
    #                              3  4  5  6  7     9  10
    hidden = [sign == "#" for sign in "...#####.##"]
    result = tuple(neighbours_of_run(list(hidden), 6))
    assert len(result) == 3, "return three numbers: the left neighbour, the right neighbour and the place"
    left, right, place = result
    assert (left, right) != (5, 7), (
        "these are the tokens on either side of i, which are hidden too; walk on to the ends of the run"
    )
    assert (left, right) != (3, 7), (
        "these are the first and the last hidden token of the run; its neighbours are visible"
    )
    assert (left, right) != (8, 2), "the left neighbour comes first, then the right one"
    assert left != 0, "this is the start of the row; the left neighbour stands right before the run"
    assert left == 2, f"the run of token 6 begins at 3, so its left neighbour is 2, not {left}"
    assert right == 8, f"the run of token 6 ends at 7, so its right neighbour is 8, not {right}"
    assert place != 6, "this is the place in the row; count from the beginning of the run"
    assert place != 3, "the places of a run start at 1, not at 0"
    assert place != 2, "counted from the right end of the run; count from the left"
    assert place == 4, f"token 6 is the fourth of its run, not number {place}"
    right = neighbours_of_run(list(hidden), 9)[1]
    assert right != 11, "a run that ends with the row has no right neighbour: 11 is past the end; return 0"
    assert right != 10, "token 10 is hidden; a run that ends with the row has no right neighbour: return 0"
    assert right == 0, f"a run that ends with the row has no right neighbour: return 0, not {right}"
    expected = {3: (2, 8, 1), 7: (2, 8, 5), 10: (8, 0, 2)}
    for i, wanted in expected.items():
        found = tuple(neighbours_of_run(list(hidden), i))
        assert found == wanted, f"right for token 6, wrong for token {i}: expected {wanted}, got {found}"


@exercise("visible_neighbours")
def _visible_neighbours(visible_neighbours: Callable) -> None:
    def found(*spans: tuple[int, int]) -> list[tuple[int, int]]:
        return [tuple(pair) for pair in visible_neighbours(list(spans))]

    far_apart = found((2, 3), (9, 9))
    assert far_apart != [(2, 3), (9, 9)], "these are the spans; their neighbours stand one place outside"
    assert far_apart != [(1, 4)], "the last run is lost; is it added after the loop?"
    assert far_apart == [(1, 4), (8, 10)], f"expected [(1, 4), (8, 10)], got {far_apart}"
    touching = found((2, 3), (4, 6))
    assert touching != [(1, 4), (3, 7)], (
        "4 and 3 are hidden themselves: the spans (2, 3) and (4, 6) touch, so they are one run"
    )
    assert touching == [(1, 7)], f"(2, 3) and (4, 6) are one run with the neighbours (1, 7), got {touching}"
    one_between = found((2, 3), (5, 6))
    assert one_between != [(1, 7)], (
        "4 is visible, so (2, 3) and (5, 6) are two runs, and 4 is a neighbour of both"
    )
    assert one_between == [(1, 4), (4, 7)], f"expected [(1, 4), (4, 7)], got {one_between}"
    assert found((2, 5), (4, 8)) == [(1, 9)], (
        "spans that overlap are one run too: (2, 5) and (4, 8) have the neighbours (1, 9)"
    )
    assert found((2, 8), (3, 4)) == [(1, 9)], (
        "(3, 4) lies inside (2, 8); a run ends where the span that reaches farthest ends"
    )
    assert found((2, 3), (4, 5), (6, 7)) == [(1, 8)], (
        "three spans that touch are one run; compare each with the run so far, not with the span before it"
    )
    given = [(2, 3), (4, 6)]
    visible_neighbours(given)
    assert given == [(2, 3), (4, 6)], "the list that was passed in was changed; make a new one"
    assert found() == [], "without spans there are no neighbours"


@exercise("stands_in")
def _stands_in(stands_in: Callable) -> None:
    sentence = ["the", "old", "mayor", "of", "Oslo", "spoke"]

    def found(line: str, words_in_a_row: int = 3) -> bool:
        return bool(stands_in(list(sentence), line.split(), words_in_a_row))

    assert stands_in(list(sentence), list(sentence), 3) is not None, "return True or False"
    assert found("then the old mayor came"), (
        "three words in a row of the sentence stand in the line: expected True"
    )
    assert not found("old is the mayor of"), (
        "the line has words of the sentence, but no three of them in a row: compare runs, not sets of words"
    )
    assert not found("spoke Oslo of mayor"), "these are words of the sentence backwards: the order counts"
    assert not found("the old and mayor of course"), "a gap ends a run: look at words next to each other"
    assert not found("they bathe old mayors"), "mayor is not mayors: compare whole words, not characters"
    assert found("we hear: of Oslo spoke"), "the last three words of the sentence are a run too"
    assert found("and the old mayor of Oslo spoke twice", 8), (
        "a sentence shorter than words_in_a_row counts if the line holds the whole of it"
    )
    assert not found("the old mayor of Oslo", 8), (
        "a part of a sentence shorter than words_in_a_row does not count"
    )
    assert not found("The Old Mayor of Paris"), "capital letters count"
    assert not stands_in([], ["a", "b"], 3), "an empty sentence stands in no line"


# ---------------------------------------------------------------- graded exercises: what students see
# Points come from other checks, which are in the complete notebooks but not in the students'.


@exercise("own_numbers")
def _own_numbers(own_numbers: Callable) -> None:
    numbers = own_numbers()
    assert isinstance(numbers, dict) and set(numbers) == {"mentions", "long_share"}, (
        'return a dictionary with the keys "mentions" and "long_share"'
    )
    assert isinstance(numbers["mentions"], int), '"mentions" is a whole number'
    assert 1 < numbers["long_share"] <= 100, '"long_share" is a percentage, from 0 to 100'


@exercise("token_masking")
def _token_masking(token_masking: Callable) -> None:
    row = [2, *range(20, 40), 3]
    result = token_masking(row, {0, 2, 3}, 0.15, (0.8, 0.1, 0.1), 4, [7, 8], random.Random(0))
    assert len(result) == 2, "return two lists: what the model sees, and the labels"
    seen, labels = map(list, result)
    assert len(seen) == len(labels) == len(row), "both lists are as long as the row"
    assert len([label for label in labels if label != -100]) == 3, (
        "15% of 20 tokens are 3, so three labels differ from -100"
    )
    row = [2, *[20, 21] * 5, 3]
    counts = set()
    for seed in range(20):
        result = token_masking(list(row), {0, 2, 3}, 0.25, (1, 0, 0), 4, [7, 8], random.Random(seed))
        counts.add(sum(label != -100 for label in result[1]))
    assert max(counts) < 5, (
        "every token equal to a hidden one is hidden too: choose places in the row, not ids"
    )
    assert counts != {1} and len(counts) == 1, (
        "where a row holds equal tokens, the number that is hidden is wrong or varies: "
        "choose places in the row, each of them once, and count every token for the budget"
    )
    assert counts == {2}, f"25% of 10 tokens are 2.5, and Python's round makes that 2, not {min(counts)}"


@exercise("whole_word_masking")
def _whole_word_masking(whole_word_masking: Callable) -> None:
    #           [CLS] a  a  b  c  c  d [SEP]
    positions = list(whole_word_masking([-1, 0, 0, 1, 2, 2, 3, -1], 1.0, random.Random(0)))
    assert positions == [1, 2, 3, 4, 5, 6], (
        f"at a rate of 100% all tokens of text are hidden, in order: expected 1 to 6, got {positions}"
    )
    assert list(whole_word_masking([0, 0, 0, 1, 1, 1], 0.3, random.Random(0))) == [], (
        "the budget is 2 tokens and both words have 3, so neither fits"
    )
    gaps = list(whole_word_masking([-1, 0, 3, 3, 7, -1], 1.0, random.Random(0)))
    assert gaps == [1, 2, 3, 4], f"the numbers of words may have gaps: expected 1 to 4, got {gaps}"
    ones = list(whole_word_masking(list(range(10)), 0.25, random.Random(0)))
    assert len(ones) == 2, f"25% of 10 tokens are 2.5, and Python's round makes that 2, not {len(ones)}"


@exercise("geometric_spans")
def _geometric_spans(geometric_spans: Callable) -> None:
    spans = list(geometric_spans(60, 9, 0.2, 10, random.Random(0)))
    assert spans and all(len(span) == 2 for span in spans), "return a list of pairs (start, end)"
    assert all(0 <= start < end <= 60 for start, end in spans), (
        "a span goes from start to end, its last word is end - 1, and the row has 60 words"
    )
    for seed in range(20):
        spans = geometric_spans(200, 60, 0.2, 10, random.Random(seed))
        hidden = [word for start, end in spans for word in range(start, end)]
        assert len(hidden) == len(set(hidden)), (
            "two spans share a word: before you take a span, look at all its words, not only at its ends"
        )


@exercise("align_labels")
def _align_labels(align_labels: Callable) -> None:
    names = ["O", "B-LOC", "I-LOC"]
    #              [CLS]  New Tor ##ven  is  [SEP]
    word_ids = [None, 0, 1, 1, 2, None]
    labels = list(align_labels(["B-LOC", "I-LOC", "O"], word_ids, names))
    assert labels == [-100, 1, 2, -100, 0, -100], f"expected [-100, 1, 2, -100, 0, -100], got {labels}"
    names = ["O", "B-BOOK", "I-BOOK"]
    try:
        labels = list(align_labels(["B-BOOK", "B-BOOK"], [0, 0, 1, 1], names, label_all=True))
    except (ValueError, KeyError) as error:
        raise AssertionError(
            f"with label_all a tag was looked up that is not in names ({error}): "
            "change only the letter before the -, whatever type follows"
        ) from error
    assert labels != [1, 2, 2, 2], "two mentions side by side became one: a word with B- always begins one"
    assert labels == [1, 2, 1, 2], f"with label_all expected [1, 2, 1, 2], got {labels}"


@exercise("f1_in_buckets")
def _f1_in_buckets(f1_in_buckets: Callable) -> None:
    gold, predicted = [[("PER", 0, 1), ("ORG", 4, 7)]], [[("PER", 0, 1), ("PER", 4, 7)]]
    scores = f1_in_buckets(gold, predicted, [1, 2, 3])
    assert isinstance(scores, dict), 'return a dictionary from edge, or "all", to F1'
    assert set(scores) == {1, 2, 3, "all"}, f'the keys are 1, 2, 3 and "all", not {list(scores)}'
    assert isclose(scores[1], 100), f"the only name of one word was found, so its F1 is 100, not {scores[1]}"
