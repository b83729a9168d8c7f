"""Text to pre-train on and labelled sentences to fine-tune on, checked on the way in.

`load("world")` is the built-in invented world; `load(FOLDER, text=FILES)` reads your own files.
"""

import gzip
import hashlib
import lzma
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from helpers import world as invented
from helpers.settings import WorldSettings

SUFFIXES = {".txt", ".conll", ".bio", ".tsv"}
SPLITS = {"train": ("train",), "dev": ("dev", "valid", "validation"), "test": ("test",)}
BEGINS, CONTINUES, ENDS = "BSU", "IEL", "ESLU"  # prefixes; S and U (or E and L) mean the same
Sentence = tuple[list[str], list[str]]  # words and their IOB2 tags


class CorpusError(ValueError):
    """A corpus that cannot be used; the message names the file, the line where there is one, and a remedy."""


@dataclass(frozen=True)
class Corpus:
    """Unlabelled text and labelled splits, ready for `tokenization`."""

    text: list[str]  # for pre-training: one sentence or paragraph a line
    splits: dict[str, list[Sentence]]  # train, dev, test
    types: tuple[str, ...]  # entity types, sorted
    provenance: dict  # corpus, files, and sha256 of text and splits as used
    notes: list[str]  # a sentence for everything that was converted, held out, dropped or looks wrong

    @property
    def tag_names(self) -> list[str]:
        """The IOB2 tags in the order of their numbers: O, B- and I- of the first type, and so on."""
        return ["O", *(f"{prefix}-{type_}" for type_ in self.types for prefix in "BI")]


def load(
    corpus: str | Path = "world",
    text: str | Path | Sequence[str | Path] | None = None,
    *,
    world: WorldSettings | None = None,
    words: int | None = 10_000_000,
) -> Corpus:
    """Load the built-in world, or the labelled files in a folder together with unlabelled text.

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

    Returns:
        Text and splits; dev and test sentences are left out of the text.

    Raises:
        CorpusError: the input cannot be used, for whatever reason; nothing else has happened by then.
    """
    text_files = _text_files(corpus, text)
    if str(corpus) == "world":
        settings = world or WorldSettings()
        generated = invented.generate(settings)
        labelled = {"train": generated.train, "dev": generated.dev, "test": generated.test}
        names = dict.fromkeys(labelled, "world")
        return _valid_corpus("world", generated.text, labelled, names, {"settings": repr(settings)}, [])

    notes: list[str] = []
    paths = _find_splits(Path(corpus))
    labelled = {split: _read_labelled(path, notes) for split, path in paths.items()}
    names = {split: _readable(path.name) for split, path in paths.items()}
    if "dev" not in labelled:
        labelled["train"], labelled["dev"] = _hold_out(labelled["train"], paths["train"], notes)
        names["dev"] = names["train"]
    lines = _read_text(text_files, words, notes)
    if not text_files:
        lines = [" ".join(sentence) for sentence, _ in labelled["train"]]
        notes.append(f"No unlabelled text was given: the words of {names['train']} serve for pre-training.")
    origin = {"files": names, "text": [_readable(path.name) for path in text_files] or [names["train"]]}
    name = _readable(Path(corpus).resolve().name)
    return _valid_corpus(name, lines, labelled, names, origin, notes)


def files(corpus: str | Path, text: str | Path | Sequence[str | Path] | None = ()) -> list[Path]:
    """List the files that `load` reads, and no others that happen to lie in the same folder.

    Args:
        corpus: "world" or a folder.
        text: files of unlabelled text for a folder.

    Returns:
        For the world its four files by name; for a folder train, dev (if there is one), test, then the text.

    Raises:
        CorpusError: a file or the folder is missing, or the choice of split files is ambiguous, as in `load`.
    """
    text_files = _text_files(corpus, text)
    if str(corpus) == "world":
        return [invented.FOLDER / name for name in invented.FILES]
    return [*_find_splits(Path(corpus)).values(), *text_files]


def _valid_corpus(
    name: str,
    text: list[str],
    labelled: dict[str, list[Sentence]],
    names: dict[str, str],
    origin: dict,
    notes: list[str],
) -> Corpus:
    """Refuse sentences that are not IOB2, and drop text that is also a dev or test sentence."""
    for split, sentences in labelled.items():
        for number, (words, tags) in enumerate(sentences, start=1):
            continues = (a[2:] == b[2:] for a, b in pairwise(["O", *tags]) if b.startswith("I-"))
            if len(words) != len(tags) or not all(continues):
                raise CorpusError(
                    f"{names[split]}: sentence {number} of {split} is not IOB2, one tag per word with every "
                    f"entity starting at B-: {list(zip(words, tags, strict=False))}"
                )
        if not any(tag != "O" for _, tags in sentences for tag in tags):
            raise CorpusError(
                f"{names[split]}: the {split} split has no entities, every tag is O. Check that the tag is "
                "the last column" + (", or add a dev file." if names["dev"] == names["train"] else ".")
            )
    train = {tuple(words) for words, _ in labelled["train"]}
    shared = sum(tuple(words) in train for words, _ in labelled["test"])
    if shared:
        notes.append(
            f"Warning: {shared} of {len(labelled['test'])} test sentences also stand in train "
            f"({names['test']}, {names['train']}), so test scores may flatter."
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
    sha256 = {"text": _sha256(kept), **{split: _sha256(map(repr, labelled[split])) for split in SPLITS}}
    splits = {split: labelled[split] for split in SPLITS}
    return Corpus(kept, splits, tuple(types), {"corpus": name, **origin, "sha256": sha256}, notes)


def _readable(path: str | Path) -> str:
    """Return a path as text that can be written as UTF-8."""
    # Where the locale is not UTF-8, Python escapes a path's bytes as surrogates, which no file takes.
    return str(path).encode(errors="surrogateescape").decode(errors="replace")


def _sha256(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


# Labelled files


def _find_splits(folder: Path) -> dict[str, Path]:
    """Find each split's file; dev may be missing. An exact name (train.txt) wins over one that holds it."""
    shown = _readable(folder)
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
            listed = " and ".join(_readable(path.name) for path in matches)
            raise CorpusError(f"{shown}: {listed} both match the {split} split. Keep one, or move the other.")
        if not matches and split != "dev":
            wanted = ", ".join(split + suffix for suffix in sorted(SUFFIXES))
            listed = ", ".join(_readable(path.name) for path in present) or "nothing"
            raise CorpusError(
                f"{shown}: no {split} file. Looked for {wanted} or a name with {split!r} in it; "
                f"the folder holds {listed}."
            )
        if matches:
            found[split] = matches[0]
    if len(set(found.values())) < len(found):
        listed = ", ".join(f"{split}: {_readable(path.name)}" for split, path in found.items())
        raise CorpusError(
            f"{shown}: one file matches two splits ({listed}). Name files train.txt, test.txt, …"
        )
    return found


def _read_labelled(path: Path, notes: list[str]) -> list[Sentence]:
    """Read the sentences of a column file, and convert their tags to IOB2."""
    # A line that starts with "#" is a comment, unless it has as many columns as the file's first line of
    # another kind and ends in a tag: then it holds a word, like "#" or "#nerd".
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
                f"{_readable(path)}:{number}: one column ({line.strip()!r}). A line is a word and its tag, "
                "split by a tab or blanks; an empty line ends a sentence."
            )
        if not _is_tag(columns[-1]):
            raise CorpusError(
                f"{_readable(path)}:{number}: unknown tag {columns[-1]!r}. The last column is O or a prefix "
                "and a type, like B-PER; the prefixes are B I (IO, IOB1, IOB2), B I E S (BIOES) or B I L U "
                "(BILOU)."
            )
        sentences[-1].append((columns[0], columns[-1], number))
    sentences = [sentence for sentence in sentences if sentence]
    if not sentences:
        raise CorpusError(f"{_readable(path)}: the file holds no sentences. A line is a word and its tag.")
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
        raise CorpusError(f"{_readable(path)}: mixes BIOES and BILOU prefixes. Use one of them throughout.")
    closing = "BIOES" if prefixes & set("ES") else "BILOU" if prefixes & set("LU") else None
    if closing or (orphans and not true_starts):
        scheme = closing or ("IOB1" if "B" in prefixes else "IO")
        notes.append(f"{_readable(path.name)}: {scheme} tags were converted to IOB2.")
    if orphans and (closing or true_starts):
        notes.append(
            f"Warning: {_readable(path.name)}: {len(orphans)} entities lack their first tag (the first at "
            f"line {orphans[0]}); they were read as if they began with B-."
        )
    return converted


def _hold_out(
    sentences: list[Sentence], path: Path, notes: list[str]
) -> tuple[list[Sentence], list[Sentence]]:
    """Make every tenth training sentence a dev sentence."""
    if len(sentences) < 10:
        raise CorpusError(
            f"{_readable(path)}: {len(sentences)} sentences are too few to hold some out. Add a dev file."
        )
    dev = sentences[9::10]
    notes.append(
        f"No dev file: every tenth sentence of {_readable(path.name)} ({len(dev)} of {len(sentences)}) is "
        "held out."
    )
    return [sentence for k, sentence in enumerate(sentences) if k % 10 != 9], dev


# Unlabelled text


def _text_files(corpus: str | Path, text: str | Path | Sequence[str | Path] | None) -> list[Path]:
    """Return the files of unlabelled text; refuse any for the world, and any that is missing."""
    paths = [Path(text)] if isinstance(text, str | Path) else [Path(file) for file in text or ()]
    if paths and str(corpus) == "world":
        raise CorpusError("The built-in world brings its own text: leave out text, or give a folder.")
    for path in paths:
        if not path.is_file():
            raise CorpusError(f"{_readable(path)}: no such file. Check the path.")
    return paths


def _read_text(paths: list[Path], words: int | None, notes: list[str]) -> list[str]:
    """Read plain, gzip or xz files, without empty lines, up to the line that reaches `words` words."""
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
                    f"Unlabelled text was read up to {count:,} words, in {_readable(path.name)}; the rest is "
                    "not used."
                )
                return lines
            lines.append(line)
            count += len(line.split())
        if len(lines) == before:
            raise CorpusError(
                f"{_readable(path)}: the file is empty. Give a file with one sentence or paragraph a line."
            )
    return lines


def _raw_lines(path: Path) -> Iterator[bytes]:
    openers: dict[str, Callable] = {".gz": gzip.open, ".xz": lzma.open}
    try:
        with openers.get(path.suffix.lower(), open)(path, "rb") as file:
            yield from file
    except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise CorpusError(
            f"{_readable(path)}: cannot be read ({error}). Check that the file is complete."
        ) from error


def _decoded(path: Path, lines: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    """Decode lines and number them; line ends and a byte order mark are left out."""
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise CorpusError(
                f"{_readable(path)}:{number}: not UTF-8 (byte 0x{line[error.start]:02x} at position "
                f"{error.start + 1}). Save the file as UTF-8."
            ) from None
        yield number, text.rstrip("\r\n")
