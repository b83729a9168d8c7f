"""Labelled sentences: which file is which split, which column holds what, which scheme the tags follow."""

import re
from pathlib import Path

from helpers.reading.files import CorpusError, decoded, raw_lines, readable

SUFFIXES = {".txt", ".conll", ".bio", ".tsv"}
SPLITS = {"train": ("train",), "dev": ("dev", "valid", "validation"), "test": ("test",)}
BEGINS, CONTINUES, ENDS = "BSU", "IEL", "ESLU"  # prefixes; S and U (or E and L) mean the same
Sentence = tuple[list[str], list[str]]  # words and their IOB2 tags


def find_splits(folder: Path) -> dict[str, Path]:
    """Find each split's file; dev may be missing. An exact name (train.txt) wins over one that holds it."""
    shown = readable(folder)
    if not folder.is_dir():
        raise CorpusError(
            f'{shown}: no such folder. A corpus is "world" or a folder with train and test files.'
        )
    present = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    found: dict[str, Path] = {}
    for split, words in SPLITS.items():
        exact = [path for path in present if path.stem.lower() in words and path.suffix.lower() in SUFFIXES]
        matches = exact or [path for path in present if any(word in path.name.lower() for word in words)]
        if len(matches) > 1:
            listed = " and ".join(readable(path.name) for path in matches)
            raise CorpusError(f"{shown}: {listed} both match the {split} split. Keep one, or move the other.")
        if not matches and split != "dev":
            wanted = ", ".join(split + suffix for suffix in sorted(SUFFIXES))
            listed = ", ".join(readable(path.name) for path in present) or "nothing"
            raise CorpusError(
                f"{shown}: no {split} file. Looked for {wanted} or a name with {split!r} in it; "
                f"the folder holds {listed}."
            )
        if matches:
            found[split] = matches[0]
    if len(set(found.values())) < len(found):
        listed = ", ".join(f"{split}: {readable(path.name)}" for split, path in found.items())
        raise CorpusError(
            f"{shown}: one file matches two splits ({listed}). Name files train.txt, test.txt, …"
        )
    return found


def read_labelled(path: Path, notes: list[str]) -> list[Sentence]:
    """Read the sentences of a column file, and convert their tags to IOB2."""
    # A line that starts with "#" is a comment, unless it has as many columns as the file's first line of
    # another kind and ends in a tag: then it holds a word, like "#" or "#nerd".
    lines = [(number, line, _columns(line)) for number, line in decoded(path, raw_lines(path))]
    others = (columns for _, line, columns in lines if columns and not line.startswith(("#", "-DOCSTART-")))
    width = len(next(others, ()))
    sentences: list[list[tuple[str, str, int]]] = [[]]  # word, tag, line number
    for number, line, columns in lines:
        if not columns or line.startswith("-DOCSTART-"):
            sentences.append([])
            continue
        if line.startswith("#") and not (len(columns) == width and _is_tag(columns[-1])):
            continue
        if len(columns) < 2:
            raise CorpusError(
                f"{readable(path)}:{number}: one column ({line.strip()!r}). A line is a word and its tag, "
                "split by a tab or blanks; an empty line ends a sentence."
            )
        if not _is_tag(columns[-1]):
            raise CorpusError(
                f"{readable(path)}:{number}: unknown tag {columns[-1]!r}. The last column is O or a prefix "
                "and a type, like B-PER; the prefixes are B I (IO, IOB1, IOB2), B I E S (BIOES) or B I L U "
                "(BILOU)."
            )
        sentences[-1].append((columns[0], columns[-1], number))
    sentences = [sentence for sentence in sentences if sentence]
    if not sentences:
        raise CorpusError(f"{readable(path)}: the file holds no sentences. A line is a word and its tag.")
    return _to_iob2(sentences, path, notes)


def _columns(line: str) -> list[str]:
    """Split a line by tabs, or by blanks if it has no tab; other white space can be a word."""
    columns = [column.strip(" ") for column in line.split("\t")] if "\t" in line else line.split(" ")
    return [column for column in columns if column]


def _is_tag(column: str) -> bool:
    return column == "O" or bool(re.fullmatch(r"[BIESLU]-\S+", column))


def _to_iob2(sentences: list[list[tuple[str, str, int]]], path: Path, notes: list[str]) -> list[Sentence]:
    """Convert tags of any of the schemes to IOB2."""
    # An entity starts at B, S and U, and at an I, E or L that no entity of its type leads up to. That last
    # rule reads IO and IOB1, and mends IOB2 where a B- is missing.
    converted: list[Sentence] = []
    prefixes, orphans, true_starts = set(), [], 0
    for sentence in sentences:
        tags, open_type = [], None  # the type that an I- would continue
        for _, tag, line in sentence:
            prefix, type_ = tag[0], tag[2:]
            prefixes.add(prefix)
            if prefix == "O":
                tags.append("O")
                open_type = None
                continue
            starts = prefix in BEGINS or type_ != open_type
            if starts and prefix in CONTINUES:
                orphans.append(line)
            true_starts += prefix == "B" and type_ != open_type
            tags.append(("B-" if starts else "I-") + type_)
            open_type = None if prefix in ENDS else type_
        converted.append(([word for word, _, _ in sentence], tags))

    if prefixes & set("ES") and prefixes & set("LU"):
        raise CorpusError(f"{readable(path)}: mixes BIOES and BILOU prefixes. Use one of them throughout.")
    closing = "BIOES" if prefixes & set("ES") else "BILOU" if prefixes & set("LU") else None
    if closing or (orphans and not true_starts):
        scheme = closing or ("IOB1" if "B" in prefixes else "IO")
        notes.append(f"{readable(path.name)}: {scheme} tags were converted to IOB2.")
    if orphans and (closing or true_starts):
        notes.append(
            f"Warning: {readable(path.name)}: {len(orphans)} entities lack their first tag (the first at "
            f"line {orphans[0]}); they were read as if they began with B-."
        )
    return converted


def hold_out(
    sentences: list[Sentence], path: Path, notes: list[str]
) -> tuple[list[Sentence], list[Sentence]]:
    """Make every tenth training sentence a dev sentence."""
    if len(sentences) < 10:
        raise CorpusError(
            f"{readable(path)}: {len(sentences)} sentences are too few to hold some out. Add a dev file."
        )
    dev = sentences[9::10]
    notes.append(
        f"No dev file: every tenth sentence of {readable(path.name)} ({len(dev)} of {len(sentences)}) is "
        "held out."
    )
    return [sentence for k, sentence in enumerate(sentences) if k % 10 != 9], dev
