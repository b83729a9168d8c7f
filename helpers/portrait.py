"""A corpus in numbers: how long its names are, how many are torn, what a list and a clue find by themselves.

`word_list`, `tag_from_list` and `guess_rate` are those that notebook 01 builds.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence

import pandas as pd
from transformers import PreTrainedTokenizerFast

from helpers import scoring, tokenization
from helpers.corpora import Sentence
from helpers.scoring import SurfaceIndex

Name = tuple[str, ...]  # its words
LONG = 3  # words and more


def word_list(labelled: Iterable[Sentence]) -> dict[Name, str]:
    """Write down every name of some labelled sentences.

    Args:
        labelled: words and IOB2 tags of each.

    Returns:
        From the words of each name to its type; the last one, if it had several.
    """
    return {
        tuple(words[start:end]): kind for words, tags in labelled for kind, start, end in scoring.spans(tags)
    }


def tag_from_list(words: Sequence[str], known: Mapping[Name, str], longest: int) -> list[str]:
    """Mark the names of a list, from left to right, at each word the longest that fits.

    Args:
        words: of a sentence.
        known: types of names, as `word_list` returns them.
        longest: words of the longest of them, at least 1.

    Returns:
        An IOB2 tag for each word.
    """
    tags = ["O"] * len(words)
    place = 0
    while place < len(words):
        for length in range(min(longest, len(words) - place), 0, -1):
            kind = known.get(tuple(words[place : place + length]))
            if kind:
                tags[place : place + length] = [f"B-{kind}"] + [f"I-{kind}"] * (length - 1)
                break
        place += length
    return tags


def guess_rate(seen: Iterable[tuple[Hashable, str]], asked: Iterable[tuple[Hashable, str]]) -> float:
    """Guess each answer by the most frequent one behind the same clue.

    Args:
        seen: pairs (clue, answer) to learn from.
        asked: pairs to be guessed.

    Returns:
        The share (0-1) of `asked` that are right; a clue that was never seen makes a wrong one.
    """
    best: dict[Hashable, str] = {}
    for (clue, answer), _ in Counter(seen).most_common():
        best.setdefault(clue, answer)
    asked = list(asked)
    return sum(best.get(clue) == answer for clue, answer in asked) / len(asked)


def portrait(
    labelled: Sequence[Sentence],
    test: Sequence[Sentence],
    text: SurfaceIndex,
    tokenizer: PreTrainedTokenizerFast,
) -> pd.Series:
    """Describe the names of a test split by what a model might make use of.

    What is learnt from labelled sentences rises with their number: compare corpora at the same one.

    Args:
        labelled: words and IOB2 tags of the training sentences that are labelled.
        test: the same of the test sentences.
        text: an index of the unlabelled text.
        tokenizer: that cuts words into pieces.

    Returns:
        Percentages, but for the first: names; lengths of names in words (1, 2, 3, 4, 5+); names with a torn
        word, words of names that are torn, and other words that are; names that stand in the labelled
        sentences, in the text only, or nowhere; next words of a name that the word before gives away, and
        types that the word before the name does; F1 over all names, and recall at three words and more, of
        a word list.
    """
    names, torn, torn_others = [], [], []
    for (words, tags), counts in zip(test, _pieces(test, tokenizer), strict=True):
        for _, start, end in scoring.spans(tags):
            names.append(tuple(words[start:end]))
            torn.append([count > 1 for count in counts[start:end]])
        torn_others += [count > 1 for count, tag in zip(counts, tags, strict=True) if tag == "O"]
    novelty = text.with_labelled(words for words, _ in labelled)
    lengths = Counter(scoring.length_bucket(len(name)) for name in names)
    places = Counter(map(novelty, names))
    known = word_list(labelled)
    longest = max(map(len, known), default=1)
    found = [tag_from_list(words, known, longest) for words, _ in test]
    by_list = scoring.f1_by_length([tags for _, tags in test], found, edges=(1, LONG)).set_index("length")
    share = 100 / len(names)
    return pd.Series(
        {
            "names": len(names),
            **{f"of length {name}": share * lengths[name] for name in ("1", "2", "3", "4", "5+")},
            "with a torn word": share * sum(map(any, torn)),
            "words of names that are torn": 100 * sum(map(sum, torn)) / sum(map(len, torn)),
            "other words that are torn": 100 * sum(torn_others) / len(torn_others),
            "in the labelled sentences": share * places["labelled"],
            "in the text only": share * places["text"],
            "in neither": share * places["never"],
            "next word guessed": 100 * guess_rate(_next_words(labelled), _next_words(test)),
            "type guessed": 100 * guess_rate(_types(labelled), _types(test)),
            "word list, F1": by_list["f1"]["all"],
            f"word list, recall at {LONG}+ words": by_list["recall"][f"{LONG}+"],
        }
    )


def _pieces(sentences: Sequence[Sentence], tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    return tokenization.count_pieces([words for words, _ in sentences], tokenizer)


def _next_words(sentences: Iterable[Sentence]) -> list[tuple[str, str]]:
    return [
        (words[place], words[place + 1])
        for words, tags in sentences
        for _, start, end in scoring.spans(tags)
        for place in range(start, end - 1)
    ]


def _types(sentences: Iterable[Sentence]) -> list[tuple[str, str]]:
    return [
        (words[start - 1] if start else "", kind)
        for words, tags in sentences
        for kind, start, _ in scoring.spans(tags)
    ]
