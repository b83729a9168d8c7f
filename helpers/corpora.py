"""Text to pre-train on and labelled sentences to fine-tune on, checked on the way in.

`load("world")` is the built-in invented world; `load(FOLDER, text=FILES)` reads your own files.
"""

import gzip
import hashlib
import lzma
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

from helpers import world as invented
from helpers.settings import WorldSettings

SUFFIXES = {".txt", ".conll", ".bio", ".tsv"}
SPLITS = {"train": ("train",), "dev": ("dev", "valid", "validation"), "test": ("test",)}
BEGINS, CONTINUES, ENDS = "BSU", "IEL", "ESLU"  # prefixes; S and U (or E and L) mean the same
Sentence = tuple[list[str], list[str]]  # words and their tags


class CorpusError(ValueError):
    """A corpus that cannot be used; the message names the file, the line where there is one, and a remedy."""


@dataclass(frozen=True)
class Corpus:
    """Unlabelled text and labelled splits, ready for `tokenization`."""

    text: list[str]  # for pre-training: one sentence or paragraph a line
    splits: DatasetDict  # train, dev, test: `tokens` (words) and `ner_tags` (numbers of IOB2 tags)
    types: tuple[str, ...]  # entity types, in the order of the tags: O, B-types[0], I-types[0], B-types[1], …
    provenance: dict  # corpus, files, and sha256 of text and splits as used
    notes: list[str]  # a sentence for everything that was converted, held out, dropped or looks wrong


def load(
    corpus: str | Path = "world",
    text: str | Path | Sequence[str | Path] | None = None,
    *,
    world: WorldSettings | None = None,
    words: int | None = 10_000_000,
) -> Corpus:
    """The built-in world, or the labelled files in a folder together with unlabelled text.

    A folder holds train, test and perhaps dev (or valid, validation) files, named like `train.txt`,
    `dev.conll`, `test.bio` or `valid.tsv`; failing that, one file with the split in its name, like
    `emerging.test.annotated`. Columns are split by a tab or blanks, the word first and the tag last; an empty
    line ends a sentence. IO, IOB1, IOB2, BIOES and BILOU tags become IOB2. Without a dev file, every tenth
    training sentence is held out.

    Args:
        corpus: "world" or a folder.
        text: files of unlabelled text for a folder, plain, `.gz` or `.xz`; without them, the training words.
        world: what world to invent; the default settings if left out.
        words: stop reading unlabelled text after the line that reaches this many words, so that memory
            stays bounded; None reads all of it.

    Raises:
        CorpusError: bad input, before anything else is done with it.
    """
    files = [text] if isinstance(text, str | Path) else list(text or ())
    if str(corpus) == "world":
        if files:
            raise CorpusError("The built-in world brings its own text: leave out text, or give a folder.")
        settings = world or WorldSettings()
        generated = invented.generate(settings)
        labelled = {"train": generated.train, "dev": generated.dev, "test": generated.test}
        names = dict.fromkeys(labelled, "world")
        return _checked("world", generated.text, labelled, names, {"settings": repr(settings)}, [])

    notes: list[str] = []
    paths = _find_splits(Path(corpus))
    labelled = {split: _read_labelled(path, notes) for split, path in paths.items()}
    names = {split: path.name for split, path in paths.items()}
    if "dev" not in labelled:
        labelled["train"], labelled["dev"] = _hold_out(labelled["train"], paths["train"], notes)
        names["dev"] = names["train"]
    lines = _read_text([Path(file) for file in files], words, notes)
    if not files:
        lines = [" ".join(sentence) for sentence, _ in labelled["train"]]
        notes.append(f"No unlabelled text was given: the words of {names['train']} serve for pre-training.")
    origin = {"files": names, "text": [Path(file).name for file in files] or [names["train"]]}
    return _checked(Path(corpus).resolve().name, lines, labelled, names, origin, notes)


def _checked(
    name: str,
    text: list[str],
    labelled: dict[str, list[Sentence]],
    files: dict[str, str],
    origin: dict,
    notes: list[str],
) -> Corpus:
    """A Corpus of valid IOB2 sentences that shares no unlabelled sentence with dev or test."""
    for split, sentences in labelled.items():
        for number, (words, tags) in enumerate(sentences, start=1):
            continues = (a[2:] == b[2:] for a, b in pairwise(["O", *tags]) if b.startswith("I-"))
            if len(words) != len(tags) or not all(continues):
                raise CorpusError(
                    f"{files[split]}: sentence {number} of {split} is not IOB2, one tag per word with every "
                    f"entity starting at B-: {list(zip(words, tags, strict=False))}"
                )
        if not any(tag != "O" for _, tags in sentences for tag in tags):
            raise CorpusError(
                f"{files[split]}: the {split} split has no entities, every tag is O. Check that the tag is "
                "the last column" + (", or add a dev file." if files["dev"] == files["train"] else ".")
            )
    train = {tuple(words) for words, _ in labelled["train"]}
    shared = sum(tuple(words) in train for words, _ in labelled["test"])
    if shared:
        notes.append(
            f"Warning: {shared} of {len(labelled['test'])} test sentences also stand in train "
            f"({files['test']}, {files['train']}), so test scores may flatter."
        )
    # Blanks are left out of the comparison, since running text has none before a full stop.
    held_out = {"".join(words) for split in ("dev", "test") for words, _ in labelled[split]}
    kept = [line for line in text if "".join(line.split()) not in held_out]
    if len(kept) < len(text):
        notes.append(f"{len(text) - len(kept)} lines of the text are dev or test sentences and were dropped.")
    if not kept:
        raise CorpusError(f"{name}: no unlabelled text is left to pre-train on. Give a text file.")

    types = sorted(
        {tag[2:] for sentences in labelled.values() for _, tags in sentences for tag in tags} - {""}
    )
    tag_names = ["O", *(f"{prefix}-{type_}" for type_ in types for prefix in "BI")]
    number = {tag: k for k, tag in enumerate(tag_names)}
    features = Features(tokens=List(Value("string")), ner_tags=List(ClassLabel(names=tag_names)))
    splits = DatasetDict()
    for split in SPLITS:
        columns = {
            "tokens": [words for words, _ in labelled[split]],
            "ner_tags": [[number[tag] for tag in tags] for _, tags in labelled[split]],
        }
        splits[split] = Dataset.from_dict(columns, features=features)
    sha256 = {"text": _sha256(kept), **{split: _sha256(map(repr, labelled[split])) for split in SPLITS}}
    return Corpus(kept, splits, tuple(types), {"corpus": name, **origin, "sha256": sha256}, notes)


def _sha256(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


# Labelled files


def _find_splits(folder: Path) -> dict[str, Path]:
    """The file of each split; dev may be missing. An exact name (train.txt) wins over one that holds it."""
    if not folder.is_dir():
        raise CorpusError(
            f'{folder}: no such folder. A corpus is "world" or a folder with train and test files.'
        )
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    found: dict[str, Path] = {}
    for split, words in SPLITS.items():
        exact = [path for path in files if path.stem.lower() in words and path.suffix.lower() in SUFFIXES]
        matches = exact or [path for path in files if any(word in path.name.lower() for word in words)]
        if len(matches) > 1:
            listed = " and ".join(path.name for path in matches)
            raise CorpusError(
                f"{folder}: {listed} both match the {split} split. Keep one, or move the other."
            )
        if not matches and split != "dev":
            wanted = ", ".join(split + suffix for suffix in sorted(SUFFIXES))
            present = ", ".join(path.name for path in files) or "nothing"
            raise CorpusError(
                f"{folder}: no {split} file. Looked for {wanted} or a name with {split!r} in it; "
                f"the folder holds {present}."
            )
        if matches:
            found[split] = matches[0]
    if len(set(found.values())) < len(found):
        listed = ", ".join(f"{split}: {path.name}" for split, path in found.items())
        raise CorpusError(
            f"{folder}: one file matches two splits ({listed}). Name files train.txt, test.txt, …"
        )
    return found


def _read_labelled(path: Path, notes: list[str]) -> list[Sentence]:
    """Sentences of a column file, their tags converted to IOB2.

    A line that starts with "#" is a comment, unless it has as many columns as the file's first line of
    another kind and ends in a tag: then it holds a word, like "#" or "#nerd".
    """
    lines = [(number, line, _columns(line)) for number, line in _decoded(path, _raw_lines(path))]
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
                f"{path}:{number}: one column ({line.strip()!r}). A line is a word and its tag, split by a "
                "tab or blanks; an empty line ends a sentence."
            )
        if not _is_tag(columns[-1]):
            raise CorpusError(
                f"{path}:{number}: unknown tag {columns[-1]!r}. The last column is O or a prefix and a type, "
                "like B-PER; the prefixes are B I (IO, IOB1, IOB2), B I E S (BIOES) or B I L U (BILOU)."
            )
        sentences[-1].append((columns[0], columns[-1], number))
    sentences = [sentence for sentence in sentences if sentence]
    if not sentences:
        raise CorpusError(f"{path}: the file holds no sentences. A line is a word and its tag.")
    return _to_iob2(sentences, path, notes)


def _columns(line: str) -> list[str]:
    """Columns split by tabs, or by blanks where there is no tab; other white space can be a word."""
    columns = [column.strip(" ") for column in line.split("\t")] if "\t" in line else line.split(" ")
    return [column for column in columns if column]


def _is_tag(column: str) -> bool:
    return column == "O" or bool(re.fullmatch(r"[BIESLU]-\S+", column))


def _to_iob2(sentences: list[list[tuple[str, str, int]]], path: Path, notes: list[str]) -> list[Sentence]:
    """IOB2 tags for any of the schemes. An entity starts at B, S, U, and at I, E, L after another one's end.

    That last rule reads IO and IOB1, and mends IOB2 where the B- is missing.
    """
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
        raise CorpusError(f"{path}: mixes BIOES and BILOU prefixes. Use one of them throughout.")
    closing = "BIOES" if prefixes & set("ES") else "BILOU" if prefixes & set("LU") else None
    if closing or (orphans and not true_starts):
        scheme = closing or ("IOB1" if "B" in prefixes else "IO")
        notes.append(f"{path.name}: {scheme} tags were converted to IOB2.")
    if orphans and (closing or true_starts):
        notes.append(
            f"Warning: {path.name}: {len(orphans)} entities lack their first tag (the first at line "
            f"{orphans[0]}); they were read as if they began with B-."
        )
    return converted


def _hold_out(
    sentences: list[Sentence], path: Path, notes: list[str]
) -> tuple[list[Sentence], list[Sentence]]:
    """Every tenth training sentence becomes dev."""
    if len(sentences) < 10:
        raise CorpusError(f"{path}: {len(sentences)} sentences are too few to hold some out. Add a dev file.")
    dev = sentences[9::10]
    notes.append(
        f"No dev file: every tenth sentence of {path.name} ({len(dev)} of {len(sentences)}) is held out."
    )
    return [sentence for k, sentence in enumerate(sentences) if k % 10 != 9], dev


# Unlabelled text


def _read_text(paths: list[Path], words: int | None, notes: list[str]) -> list[str]:
    """Lines of plain, gzip or xz files, without empty ones, up to the line that reaches `words` words."""
    lines: list[str] = []
    count = 0
    for path in paths:
        before = len(lines)
        for _, line in _decoded(path, _raw_lines(path)):
            line = line.strip()
            if not line:
                continue
            if words is not None and count >= words:
                notes.append(
                    f"Unlabelled text was read up to {count:,} words, in {path.name}; the rest is not used."
                )
                return lines
            lines.append(line)
            count += len(line.split())
        if len(lines) == before:
            raise CorpusError(
                f"{path}: the file is empty. Give a file with one sentence or paragraph a line."
            )
    return lines


def _raw_lines(path: Path) -> Iterator[bytes]:
    opener = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix.lower(), open)
    if not path.is_file():
        raise CorpusError(f"{path}: no such file. Check the path.")
    try:
        with opener(path, "rb") as file:
            yield from file
    except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise CorpusError(f"{path}: cannot be read ({error}). Check that the file is complete.") from error


def _decoded(path: Path, lines: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """Numbered lines as text, without line ends and byte order mark."""
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise CorpusError(
                f"{path}:{number}: not UTF-8 (byte 0x{line[error.start]:02x} at position {error.start + 1}). "
                "Save the file as UTF-8."
            ) from None
        yield number, text.rstrip("\r\n")
