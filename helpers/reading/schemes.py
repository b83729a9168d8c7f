"""Tags: how they are spelt, which scheme they follow, and what they are in IOB2."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from helpers.reading.files import CorpusError

# An entity begins at B, S, U and W, and ends at E, L and those that stand alone.
BEGINS, CONTINUES, ENDS = "BSUW", "IELM", "ESLUW"
SCHEMES = {"IOB2": "BI", "BIOES": "BIES", "BMES": "BMES", "BILOU": "BILU", "BMEWO": "BMEW"}
PREFIXES = "".join(dict.fromkeys("".join(SCHEMES.values())))
UNTYPED = "ENTITY"  # the type of tags that have none
KNOWN = (
    "A tag is O, or a prefix and a type like B-PER; the prefixes are B I (IO, IOB1, IOB2), B I E S (BIOES), "
    "B I L U (BILOU), B M E S (BMES) or B M E W (BMEWO)"
)
FORMS = {
    "B-PER": re.compile(rf"(?P<prefix>[{PREFIXES}])[-_](?P<type>\S+)", re.IGNORECASE),
    "PER-B": re.compile(rf"(?P<type>\S+)[-_](?P<prefix>[{PREFIXES}])", re.IGNORECASE),
    "B": re.compile(rf"(?P<prefix>[{PREFIXES}])(?P<type>)", re.IGNORECASE),
}
TWO_TAGS = re.compile(rf"[|+,;/](O$|[{PREFIXES}][-_])")  # B-PER|B-LOC: nested levels in one column
OUTSIDE = ("O", "o")

Tag = tuple[str, str]  # prefix and type; ("O", "") outside


def form_of(counts: Counter[str]) -> str | None:
    """Say how the tags of a column are spelt, or that it holds none.

    Args:
        counts: how often each field stands in the column.

    Returns:
        A key of `FORMS`; None if fewer than half of the fields are tags.
    """
    outside = sum(counts[tag] for tag in OUTSIDE)
    found = {form: sum(n for tag, n in counts.items() if _parsed(tag, form)) - outside for form in FORMS}
    if not outside:  # such fields may be parts of speech or features as well
        found["PER-B"] = 0
    if not outside or found["B"] + outside < counts.total():
        found["B"] = 0
    form = max(found, key=lambda name: found[name])
    return form if 2 * (found[form] + outside) > counts.total() else None


def _parsed(tag: str, form: str) -> Tag | None:
    if tag in OUTSIDE:
        return "O", ""
    match = FORMS[form].fullmatch(tag)
    if match is None or TWO_TAGS.search(tag) or not tag.isprintable():  # a type with U+200B is another type
        return None
    return match["prefix"].upper(), match["type"]


@dataclass
class Reading:
    """What the tags of one file mean."""

    form: str
    parsed: dict[str, Tag]  # every tag of the file that can be read

    @classmethod
    def of(cls, counts: Iterable[str], form: str) -> "Reading":
        """Parse the different tags of a file."""
        return cls(form, {tag: parsed for tag in counts if (parsed := _parsed(tag, form))})


def unknown(tag: str, form: str) -> str:
    """Say what is wrong with a tag that cannot be read."""
    if not tag:
        return "no tag, the field is empty. Words outside have the tag O."
    if TWO_TAGS.search(tag):
        return f"two tags in one ({tag!r}). Keep one of them, such as that of the longest entity."
    if FORMS["B"].fullmatch(tag):
        return f"tag {tag!r} without a type, where others have one. Give it its type, like {tag}-PER."
    if tag.isdecimal():
        return (
            f"unknown tag {tag!r}. If tags are numbers of classes, write the names that the data set lists "
            f"for them instead: names[{tag}]."
        )
    written = "" if form == "B-PER" else f" The other tags are written like {form}."
    foreign = next((character for character in tag if not character.isascii()), "")
    if foreign:  # it may look like an O, or like nothing
        written += f" It holds U+{ord(foreign):04X} ({unicodedata.name(foreign, 'no name')})."
    return f"unknown tag {tag!r}. {KNOWN}. Where tags are types alone, write I-PER for PER.{written}"


# --- one scheme for the corpus ---


def scheme_of(places: dict[str, tuple[str, str]]) -> str:
    """Find the scheme that all prefixes of a corpus belong to.

    Args:
        places: prefix -> the first tag with it and where it stands, in the order in which they were found.

    Returns:
        A key of `SCHEMES`; "IOB2" stands for IO and IOB1 too.

    Raises:
        CorpusError: no scheme has all of them.
    """
    seen = ""
    for prefix, (tag, place) in places.items():
        if not any(set(seen + prefix) <= set(letters) for letters in SCHEMES.values()):
            before = next(
                other
                for other in seen
                if not any({other, prefix} <= set(letters) for letters in SCHEMES.values())
            )
            first = next(name for name, letters in SCHEMES.items() if set(seen) <= set(letters))
            second = next(name for name, letters in SCHEMES.items() if prefix in letters)
            raise CorpusError(
                f"{place}: {tag!r} mixes {first} and {second}, after {places[before][0]!r} at "
                f"{places[before][1]}. Use one scheme throughout."
            )
        seen += prefix
    return next(name for name, letters in SCHEMES.items() if set(seen) <= set(letters))


# --- IOB2 ---


@dataclass
class Converted:
    """The tags of a file in IOB2, and what had to be done for it."""

    tags: list[str]
    orphans: list[int] = field(default_factory=list)  # rows of entities whose first tag was missing
    true_starts: int = 0  # B where no entity of its type goes before: IO and IOB1 have none


def to_iob2(tags: Sequence[str], sentences: Iterable[slice], reading: Reading) -> Converted:
    """Convert tags of any of the schemes to IOB2.

    An entity begins at B, S, U and W, and at an I, M, E or L that no entity of its type leads up to. That
    last rule reads IO and IOB1, and mends IOB2 where a B- is missing.

    Args:
        tags: of a whole file.
        sentences: which of them belong together.
        reading: of these tags.

    Returns:
        As many tags.
    """
    facts = {
        tag: (type_ or (UNTYPED if prefix != "O" else ""), prefix in BEGINS, prefix in ENDS, prefix == "B")
        for tag, (prefix, type_) in reading.parsed.items()
    }
    begin = {type_: f"B-{type_}" for type_, *_ in facts.values()}
    inside = {type_: f"I-{type_}" for type_, *_ in facts.values()}
    done = Converted([])
    add = done.tags.append
    for sentence in sentences:
        open_type = ""  # what an I- would continue
        for row, tag in enumerate(tags[sentence], start=sentence.start):
            type_, begins, ends, is_b = facts[tag]
            if not type_:
                add("O")
                open_type = ""
                continue
            if begins or type_ != open_type:
                add(begin[type_])
                if not begins:
                    done.orphans.append(row)
                done.true_starts += is_b and type_ != open_type
            else:
                add(inside[type_])
            open_type = "" if ends else type_
    return done


def conversion_notes(done: Converted, reading: Reading, scheme: str, first: str) -> list[str]:
    """Say what was done to the tags of a file.

    Args:
        done: its converted tags.
        reading: how they were read.
        scheme: of the corpus.
        first: the line of the first entity without a first tag.

    Returns:
        Sentences to follow the file's name; none for clean IOB2.
    """
    notes = []
    prefixes = {prefix for prefix, _ in reading.parsed.values()} - {"O"}
    closing = bool(prefixes - {"B", "I"})
    if closing or (done.orphans and not done.true_starts):
        found = scheme if closing else "IOB1" if "B" in prefixes else "IO"
        notes.append(f"{found} tags were converted to IOB2.")
    if done.orphans and (closing or done.true_starts):
        notes.append(
            f"Warning: {len(done.orphans)} entities lack their first tag (the first at {first}); "
            "they were read as if they began with B-."
        )
    if reading.form == "B" and prefixes:
        notes.append(f"tags without a type were given the type {UNTYPED}.")
    else:
        spelt = {tag: f"{prefix}-{type_}" for tag, (prefix, type_) in reading.parsed.items() if type_}
        other = [tag for tag in spelt if tag != spelt[tag]]
        if other:
            notes.append(f"tags like {other[0]} were read as {spelt[other[0]]}.")
    return notes
