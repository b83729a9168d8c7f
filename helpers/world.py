"""News from an invented world: text and entities in any amount, from a seed, with three dials.

The word lists and patterns are plain text in `data/world/`. The same settings give the same bytes on every
platform and Python version: all randomness comes from `random.Random(int).random()`, which is documented to
be stable, and weights need only addition, multiplication and division.
"""

import re
import sys
from bisect import bisect
from dataclasses import dataclass, field
from itertools import accumulate, chain
from random import Random

from helpers.settings import ROOT, WorldSettings

FOLDER = ROOT / "data" / "world"
FILES = ("names.txt", "sentences.txt", "syllables.txt", "words.txt")
TYPES = ("PER", "LOC", "ORG", "WORK", "EVENT")
INVENTED = ("given", "surname", "place", "stem", "feast")  # lists of invented words; stems name companies
SYLLABLES = ("beginning", "vowel", "common", *INVENTED)  # sections of the syllables that make them
NEW_NAMES = 0.15  # share of mentions whose name is made up on the spot; few of these ever recur
ZIPF_OFFSET = 3  # the name of rank r (from 0) is mentioned in proportion to 1 / (r + offset)
PLAIN_CLAUSES = 0.08  # share of clauses without a name
# Mentions of 1, 2, … words out of 100, as in CrossNER's Wikipedia text (5 and more together: 8).
LENGTHS = (33, 35, 16, 9, 4, 2, 1)
PATIENCE = 20  # draws for each word or sentence, after which the lists and patterns count as too few

Sentence = tuple[list[str], list[str]]  # words, IOB2 tags


@dataclass(frozen=True)
class World:
    """Unlabelled text (one sentence a line, words separated by blanks) and three labelled splits."""

    text: list[str]
    train: list[Sentence]
    dev: list[Sentence]
    test: list[Sentence]
    text_tags: list[list[str]] = field(default_factory=list)  # IOB2 tags of each line of text


class Draw:
    """Random choices that are the same on every platform."""

    def __init__(self, seed: int):
        self.random = Random(seed).random

    def one(self, items: list):
        """Draw one item, all equally likely.

        Args:
            items: what to choose from.

        Returns:
            One of the items.
        """
        return items[int(self.random() * len(items))]

    def weighted(self, items: list, cumulative: list[float]):
        """Draw one item by weight.

        Args:
            items: what to choose from.
            cumulative: for each item its weight added to those before it.

        Returns:
            One of the items.
        """
        return items[bisect(cumulative, self.random() * cumulative[-1])]


def read_sections(name: str, needed: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Read the lines of a file in `data/world` by [section], without comments and blank lines.

    Args:
        name: the file's.
        needed: sections that must be there.

    Returns:
        The lines of each section.

    Raises:
        ValueError: a line comes before the first section, or a needed section is missing or empty.
    """
    sections: dict[str, list[str]] = {}
    lines = None
    for number, line in enumerate((FOLDER / name).read_text(encoding="utf-8").splitlines(), 1):
        line = line.strip()
        heading = re.fullmatch(r"\[(\w+)\]", line)
        if heading:
            lines = sections.setdefault(heading[1], [])
        elif line and not line.startswith("#"):
            if lines is None:
                raise ValueError(f"data/world/{name}:{number}: put a [section] line before this one")
            lines.append(line)
    if lacking := [section for section in needed if not sections.get(section)]:
        raise ValueError(f"data/world/{name}: [{lacking[0]}] is missing or empty: add a line under it")
    return sections


def check_slots(name: str, sections: dict[str, list[str]], words: dict[str, list[str]]) -> None:
    """Refuse patterns with a slot for a list of words, or for a type, that does not exist.

    Args:
        name: the file's, for the message.
        sections: its patterns.
        words: the lists of words.

    Raises:
        ValueError: a pattern has such a slot.
    """
    for line in chain.from_iterable(sections.values()):
        for part in line.split():
            slot = part[1:-1]
            if part.startswith("<") and part != "<Demonym>" and not words.get(slot.lower()):
                raise ValueError(f"data/world/{name}: {part} in {line!r}: add [{slot.lower()}] to words.txt")
            if part.startswith("[") and slot not in (*TYPES, "ANY"):
                raise ValueError(
                    f"data/world/{name}: {part} in {line!r}: choose from {', '.join(TYPES)}, ANY"
                )


def invent_words(draw: Draw, syllables: dict[str, list[str]], ending: str, count: int) -> list[str]:
    """Invent different capitalised words of two or three syllables and an ending.

    Args:
        draw: source of the draws.
        syllables: beginnings, vowels and endings.
        ending: the list of endings to use.
        count: how many words.

    Returns:
        The words, in the order of drawing.

    Raises:
        ValueError: the syllables do not make so many.
    """
    words: dict[str, None] = {}
    for _ in range(PATIENCE * count + 1):
        if len(words) == count:
            return list(words)
        word = "".join(
            draw.one(syllables["beginning"]) + draw.one(syllables["vowel"])
            for _ in range(3 if draw.random() < 0.3 else 2)
        )
        words[(word + draw.one(syllables[ending])).capitalize()] = None
    raise ValueError(f"data/world/syllables.txt: too few syllables for {count} different words: add some")


class Names:
    """Who and what exists in a world, and how often each is mentioned."""

    def __init__(self, settings: WorldSettings, words: dict[str, list[str]], draw: Draw):
        self.words, self.draw = words, draw
        self.predictability, self.count = settings.predictability, settings.names
        self.followers: dict[tuple[str, str], str] = {}
        self.patterns = read_sections("names.txt", TYPES)
        check_slots("names.txt", self.patterns, words)
        longest = max(chain.from_iterable(self.patterns.values()), key=lambda line: len(line.split()))
        if len(longest.split()) > len(LENGTHS):
            raise ValueError(f"data/world/names.txt: {longest!r} has more than {len(LENGTHS)} words")
        tilt, power, weights = 0.5 + settings.length, 1.0, []  # a tilt of 1 leaves the lengths as they are
        for share in LENGTHS:
            weights.append(share * power)
            power *= tilt
        self.by_type = {kind: self._names(kind, weights) for kind in TYPES}
        self.zipf = list(accumulate(1 / (rank + ZIPF_OFFSET) for rank in range(self.count)))

    def _names(self, kind: str, weights: list[float]) -> tuple[list[tuple], list[float]]:
        """Return, for each length that the type has, patterns and names by rank; and cumulative weights."""
        by_length, chances = [], []
        for length, weight in enumerate(weights, 1):
            patterns = [pattern.split() for pattern in self.patterns[kind] if len(pattern.split()) == length]
            if patterns:
                names = {tuple(self._name(self.draw, patterns)): None for _ in range(self.count)}
                by_length.append((patterns, [list(name) for name in names]))
                chances.append(weight)
        return by_length, list(accumulate(chances))

    def _name(self, draw: Draw, patterns: list[list[str]]) -> list[str]:
        name: list[str] = []
        for part in draw.one(patterns):
            if part.startswith("<"):
                part = self._word(draw, part[1:-1], name[-1] if name else "")
            name.append(part)
        return name

    def _word(self, draw: Draw, slot: str, previous: str) -> str:
        """Fill a slot: with probability `predictability` by the word that always follows `previous`."""
        if previous and draw.random() < self.predictability:
            if (slot, previous) not in self.followers:
                self.followers[slot, previous] = pick(self.draw, self.words, slot)
            return self.followers[slot, previous]
        return pick(draw, self.words, slot)

    def mention(self, draw: Draw, kind: str) -> list[str]:
        """Draw a mention: first its length, then the name by Zipf's law.

        Args:
            draw: source of the draws.
            kind: its entity type.

        Returns:
            The words of the name.
        """
        patterns, names = draw.weighted(*self.by_type[kind])
        if draw.random() < NEW_NAMES:
            return self._name(draw, patterns)
        return draw.weighted(names, self.zipf[: len(names)])


def pick(draw: Draw, words: dict[str, list[str]], slot: str) -> str:
    """Draw a word for a slot.

    Args:
        draw: source of the draws.
        words: the lists of words.
        slot: the name of a list; with a capital letter, the word is capitalised.

    Returns:
        The word.
    """
    word = draw.one(words[slot.lower()])
    return word.capitalize() if slot[0].isupper() else word


class Newspaper:
    """A writer of sentences from the patterns in `data/world/sentences.txt`."""

    def __init__(self, settings: WorldSettings, words: dict[str, list[str]], names: Names):
        self.words, self.names, self.context = words, names, settings.context
        sections = read_sections("sentences.txt", ("telling", "neutral", "plain", "frames"))
        check_slots("sentences.txt", sections, words)
        self.clauses = {
            kind: [line.split() for line in sections[kind]] for kind in ("telling", "neutral", "plain")
        }
        self.frames = [line.split() for line in sections["frames"]]

    def sentence(self, draw: Draw) -> Sentence:
        """Write one sentence.

        Args:
            draw: source of the draws.

        Returns:
            Its words and their IOB2 tags.
        """
        words: list[str] = []
        tags: list[str] = []
        for part in draw.one(self.frames):
            if part == "{clause}":
                self._clause(draw, words, tags)
            else:
                self._part(draw, part, words, tags)
        first = 1 if words[0] == '"' else 0
        words[first] = words[first][0].upper() + words[first][1:]
        return words, tags

    def _clause(self, draw: Draw, words: list[str], tags: list[str]) -> None:
        chance = draw.random()
        if chance < PLAIN_CLAUSES:
            kind = "plain"
        else:
            kind = "telling" if draw.random() < self.context else "neutral"
        for part in draw.one(self.clauses[kind]):
            self._part(draw, part, words, tags)

    def _part(self, draw: Draw, part: str, words: list[str], tags: list[str]) -> None:
        if part.startswith("["):
            kind = draw.one(TYPES) if part == "[ANY]" else part[1:-1]
            name = self.names.mention(draw, kind)
            words += name
            begin, inside = sys.intern(f"B-{kind}"), sys.intern(f"I-{kind}")  # one string for all mentions
            tags += [begin] + [inside] * (len(name) - 1)
            return
        if part.startswith("("):
            part = draw.one(part[1:-1].split("|"))
        elif part == "<Demonym>":
            part = draw.one(self.words["place"]) + "i"
        elif part.startswith("<"):
            part = pick(draw, self.words, part[1:-1])
        words.append(part)
        tags.append("O")


def generate(settings: WorldSettings) -> World:
    """Invent a world and write its news: unlabelled text and labelled splits that share no sentence.

    The three splits are written first, so that more unlabelled text does not change them.

    Args:
        settings: how much text, from which seed, and the dials.

    Returns:
        Text and splits.

    Raises:
        ValueError: a file in `data/world` cannot be used, or its patterns do not make so many sentences.
    """
    draw = Draw(3 * settings.seed)
    words = {name: " ".join(lines).split() for name, lines in read_sections("words.txt").items()}
    syllables = {
        name: " ".join(lines).split() for name, lines in read_sections("syllables.txt", SYLLABLES).items()
    }
    shared = round(settings.invented_words * settings.shared_words)
    common = invent_words(draw, syllables, "common", shared)
    for kind in INVENTED:
        words[kind] = common + invent_words(draw, syllables, kind, settings.invented_words - shared)
    newspaper = Newspaper(settings, words, Names(settings, words, draw))

    written: set[str] = set()

    def write(draw: Draw, count: int) -> list[Sentence]:
        sentences = []
        for _ in range(PATIENCE * count + 1):
            if len(sentences) == count:
                return sentences
            sentence = newspaper.sentence(draw)
            text = " ".join(sentence[0])
            if text not in written:
                written.add(text)
                sentences.append(sentence)
        raise ValueError(f"data/world: the patterns do not make {count:,} different sentences: add some")

    labelled = Draw(3 * settings.seed + 1)
    test, dev, train = (write(labelled, count) for count in (settings.test, settings.dev, settings.train))
    text = write(Draw(3 * settings.seed + 2), settings.sentences)
    lines = [" ".join(sentence) for sentence, _ in text]
    return World(lines, train, dev, test, text_tags=[tags for _, tags in text])
