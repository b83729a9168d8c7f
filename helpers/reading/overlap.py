"""Held-out sentences in running text: whole ones, or eight words in a row, however they are written."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

WORDS = 8  # in a row, that count as a part of a held-out sentence
FEWEST_WORDS = 4  # of a sentence that is looked for inside longer lines
COMMON = 10  # words in a row that stand in more lines than this are a phrase of the language
WINDOWS = (8, 16)  # characters that are hashed together
BLOCK = 1 << 18  # characters of text that are worked on together
LAST = 0x3FFFF  # no letter or digit has a code point this high
ENDS = frozenset(".!?…。！？؟।\n")  # one of these stands before and after a sentence
BRACKET = re.compile(r"-[lr][rsc]b-")  # as the Penn Treebank writes brackets


class Overlap(NamedTuple):
    """What a text shares with held-out sentences."""

    lines: set[int]  # numbers of the lines that hold one, or a part of one
    sentences: int  # different held-out sentences that stand there


def find_held_out(text: Sequence[str], sentences: Iterable[Sequence[str]]) -> Overlap:
    """Find the lines of a text that hold held-out sentences.

    A line holds a sentence if the whole sentence stands in it, or eight words in a row. Case, accents,
    blanks, punctuation, quotes and brackets (`-LRB-` too) make no difference, nor does it matter where words
    and lines end. Eight words that stand in more than ten lines are a phrase of the language and count for
    nothing, except where the whole sentence stands. A sentence of four to seven words has to stand between
    the ends of sentences or lines; an even shorter one has to fill its line.

    The time is linear in the text: a hash of 8 or 16 characters rolls over it, and characters are compared
    where a passage begins with the same hash.

    Args:
        text: lines.
        sentences: words of each held-out sentence.

    Returns:
        The lines, and how many sentences they hold.

    Source:
        Brown et al. 2020 (GPT-3), appendix C: 8 to 13 words in a row, without case and punctuation, by the
        length of the sentences; those found more than ten times left out. Karp and Rabin 1987.
    """
    passages = _Passages.of(sentences)
    found: dict[str, set[int]] = defaultdict(set)  # passage -> numbers of the lines
    for passage, first, last in _occurrences(text, passages):
        found[passage].update(range(first, last + 1))
    held = {
        passage: lines
        for passage, lines in found.items()
        if passage in passages.whole or len(lines) <= COMMON
    }
    numbers = (passages.sentences[passage] for passage in held)
    return Overlap(set().union(*held.values()), len(set().union(*numbers)))


def fold(text: str) -> str:
    """Return the letters and digits of a text, in lower case and without accents.

    Args:
        text: any text.

    Returns:
        What is left when everything between the letters and digits is left out.
    """
    return "".join(filter(str.isalnum, _plain(text)))


def _plain(text: str) -> str:
    return BRACKET.sub("", unicodedata.normalize("NFKD", text.lower()))


class _Passages(NamedTuple):
    """What is looked for, folded."""

    sentences: dict[str, set[int]]  # each passage -> numbers of the sentences that it is from
    whole: set[str]  # passages that are a whole sentence
    bounded: set[str]  # those of them that must stand between the ends of sentences
    alone: set[str]  # those of them that must fill their line

    @classmethod
    def of(cls, sentences: Iterable[Sequence[str]]) -> "_Passages":
        passages = cls(defaultdict(set), set(), set(), set())
        folded = cache(fold)
        different = dict.fromkeys(tuple(filter(None, map(folded, words))) for words in sentences)
        for number, words in enumerate(different):
            whole = "".join(words)
            if not whole:
                continue
            passages.whole.add(whole)
            passages.sentences[whole].add(number)
            if len(words) < FEWEST_WORDS or len(whole) < WINDOWS[0]:
                passages.alone.add(whole)
            elif len(words) < WORDS:
                passages.bounded.add(whole)
            for start in range(len(words) - WORDS + 1):
                passages.sentences["".join(words[start : start + WORDS])].add(number)
        return passages

    def by_window(self) -> Iterator[tuple[int, dict[str, set[int]]]]:
        """Yield each size of window, and for the first characters of passages the lengths of the passages."""
        searched = self.sentences.keys() - self.alone
        for size, following in zip(WINDOWS, [*WINDOWS[1:], None], strict=True):
            lengths: dict[str, set[int]] = defaultdict(set)
            for passage in searched:
                if size <= len(passage) and (following is None or len(passage) < following):
                    lengths[passage[:size]].add(len(passage))
            if lengths:
                yield size, lengths


def _occurrences(text: Sequence[str], passages: _Passages) -> Iterator[tuple[str, int, int]]:
    """Yield passages with the numbers of the first and the last line that an occurrence touches."""
    windows = [(size, lengths, _Filter(lengths)) for size, lengths in passages.by_window()]
    longest = max(map(len, passages.sentences), default=0)
    for first, own, lines in _blocks(text, 4 * longest):
        plain = _plain("\n".join(lines) + "\n")
        codes = np.frombuffer(plain.encode("utf-32-le", "surrogatepass"), np.uint32)
        place = np.flatnonzero(_is_alnum()[np.minimum(codes, LAST)])  # of each letter in `plain`
        letters = codes[place]
        folded = letters.tobytes().decode("utf-32-le", "surrogatepass")
        starts = np.searchsorted(place, np.flatnonzero(codes == ord("\n")))  # of each line but the first
        starts = np.concatenate([[0], starts])
        if passages.alone:
            for line, (start, end) in enumerate(zip(starts[:own], starts[1:], strict=False)):
                if (whole := folded[start:end]) in passages.alone:
                    yield whole, first + line, first + line
        for size, lengths, is_first in windows:
            for start in is_first.places(letters[: starts[own] + size - 1]):
                for length in lengths.get(folded[start : start + size], ()):
                    passage, end = folded[start : start + length], start + length
                    if passage not in passages.sentences:
                        continue
                    if passage in passages.bounded:
                        before = plain[place[start - 1] + 1 : place[start]] if start else "\n"
                        after = plain[place[end - 1] + 1 : place[end] if end < len(place) else None]
                        if not (ENDS & set(before) and ENDS & set(after)):
                            continue
                    touched = np.searchsorted(starts, [start, end - 1], side="right") - 1 + first
                    yield passage, *touched.tolist()


def _blocks(text: Sequence[str], beyond: int) -> Iterator[tuple[int, int, Sequence[str]]]:
    """Yield the number of a block's first line, how many lines are its own, and they and some beyond."""
    first = 0
    while first < len(text):
        end, size = first, 0
        while end < len(text) and size < BLOCK:
            size += len(text[end])
            end += 1
        last, size = end, 0
        while last < len(text) and size < beyond:
            size += len(text[last])
            last += 1
        yield first, end - first, text[first:last]
        first = end


class _Filter:
    """Finds where one of many strings of one length begins, by their hashes."""

    BITS = 22  # of a hash that are looked up in a table before it is compared

    def __init__(self, strings: Iterable[str]) -> None:
        strings = list(strings)
        self.size = len(strings[0])
        codes = np.frombuffer("".join(strings).encode("utf-32-le", "surrogatepass"), np.uint32)
        self.hashes = np.unique(self._hash(codes.reshape(-1, self.size)))
        self.table = np.zeros(1 << self.BITS, bool)
        self.table[self.hashes >> np.uint64(64 - self.BITS)] = True

    def places(self, codes: np.ndarray) -> list[int]:
        """Return the places, ascending, where the next characters have the hash of a string."""
        hashes = self._hash(codes)
        places = np.flatnonzero(self.table[hashes >> np.uint64(64 - self.BITS)])
        nearest = np.searchsorted(self.hashes[:-1], hashes[places])  # of the known hashes, which are sorted
        return places[self.hashes[nearest] == hashes[places]].tolist()

    def _hash(self, codes: np.ndarray) -> np.ndarray:
        """Hash all stretches of `size` characters along the last axis, from halves to wholes."""
        hashes, reach, factor = codes.astype(np.uint64), 1, 0x9E3779B97F4A7C15
        while reach < self.size:
            if hashes.shape[-1] <= reach:
                return hashes[..., :0].ravel()
            hashes = hashes[..., :-reach] * np.uint64(factor) + hashes[..., reach:]
            reach, factor = 2 * reach, factor * factor % (1 << 64)
        return hashes.ravel()


@cache
def _is_alnum() -> np.ndarray:
    """Tell for each code point up to `LAST` whether it is a letter or a digit."""
    return np.fromiter((chr(code).isalnum() for code in range(LAST + 1)), bool)
