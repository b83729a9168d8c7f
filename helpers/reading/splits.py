"""Which file of a folder is which split, by the names that people and shared tasks give them."""

import re
from pathlib import Path

from helpers.reading.files import CorpusError, readable

SPLITS = ("train", "dev", "test")
NAMES = {  # testa and testb are the shared tasks' of CoNLL-2002 and -2003
    "train": {"train", "training", "trn"},
    "dev": {"dev", "devel", "development", "valid", "validation", "val", "testa"},
    "test": {"test", "testing", "tst", "testb"},
}
EXACT = {"train": {"train"}, "dev": {"dev", "valid", "validation"}, "test": {"test"}}
SUFFIXES = {".txt", ".conll", ".bio", ".tsv"}
PACKED = r"(\.(gz|xz|bz2|zip|zst|tgz|tar))+$"


def find_splits(folder: Path, notes: list[str]) -> dict[str, Path]:
    """Find each split's file; dev may be missing.

    An exact name (train.txt) wins over one that has the split among its words (ner-de.train), and that over
    one that only holds it (mytrain.conll).

    Args:
        folder: with one file a split.
        notes: gets a sentence for every name that needs an explanation.

    Returns:
        Files by split, in the order of `SPLITS`.

    Raises:
        CorpusError: the folder or a file is missing, or more than one file could be meant.
    """
    shown = readable(folder)
    if not folder.is_dir():
        what = "a file, not a folder" if folder.is_file() else "no such folder"
        raise CorpusError(f'{shown}: {what}. A corpus is "world" or a folder with train and test files.')
    present = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    pairs = {path: pair for path in present if (pair := _pair(path))}
    single = [path for path in present if path not in pairs]
    found = {split: _matches(split, single) for split in SPLITS}
    for split, matches in found.items():
        for path in matches:
            if not _words(path) & NAMES[split] and not any(_at_an_end(name, path) for name in EXACT[split]):
                notes.append(f"{readable(path.name)} is read as {split}: its name alone holds that.")
    _resolve_pairs(pairs, found, shown, notes)
    for split, matches in found.items():
        if len(matches) > 1:
            listed = " and ".join(readable(path.name) for path in matches)
            raise CorpusError(
                f"{shown}: {listed} both match the {split} split. Keep one, or move the other; a file that "
                f"is called {split}.txt wins over other names."
            )
        if not matches and split != "dev":
            raise CorpusError(_nothing_found(split, folder, present))
    chosen = {split: matches[0] for split, matches in found.items() if matches}
    if len(set(chosen.values())) < len(chosen):
        listed = ", ".join(f"{split}: {readable(path.name)}" for split, path in chosen.items())
        raise CorpusError(
            f"{shown}: one file matches two splits ({listed}). Name files train.txt, test.txt, …"
        )
    shared_task = [split for split, path in chosen.items() if _words(path) & {"testa", "testb"}]
    if shared_task:
        said = " and ".join(f"{readable(chosen[split].name)} as {split}" for split in shared_task)
        notes.append(f"{said}: so CoNLL-2002 and -2003 name development (testa) and test set (testb).")
    return chosen


def _matches(split: str, present: list[Path]) -> list[Path]:
    """Return the files that could be a split, by the strongest rule that any of them meets."""
    for rule in (
        lambda path: _stem(path) in EXACT[split] and Path(_unpacked(path)).suffix in SUFFIXES,
        lambda path: _stem(path) in NAMES[split],
        lambda path: _words(path) & NAMES[split],
        lambda path: not _says_a_split(path) and any(_at_an_end(name, path) for name in EXACT[split]),
        lambda path: split != "dev" and not _says_a_split(path) and _only_holds(split, path),
    ):
        if matches := [path for path in present if rule(path)]:
            return matches
    return []


def _only_holds(split: str, path: Path) -> bool:
    return any(name in _unpacked(path) for name in EXACT[split])


def _at_an_end(name: str, path: Path) -> bool:
    """Say whether a split's name is a part of a file's: wnut17train and testset, but not latest."""
    parts = re.findall(r"[^\W_]+", _unpacked(path))
    return any(re.fullmatch(rf"(.*\d)?{name}(\d.*|set|data|file|ing)?", part) for part in parts)


def _unpacked(path: Path) -> str:
    return re.sub(PACKED, "", path.name.lower())


def _stem(path: Path) -> str:
    return Path(_unpacked(path)).stem


def _words(path: Path) -> set[str]:
    return set(re.findall(r"[^\W\d_]+", _unpacked(path)))


def _says_a_split(path: Path) -> bool:
    return any(_words(path) & names for names in NAMES.values())


def _pair(path: Path) -> str:
    """Return "train_dev" for a name of both, "devtest" for one of dev and test, and "" for any other."""
    words = _words(path)
    splits = {split for split in SPLITS if words & (NAMES[split] - {"testa", "testb"})}
    if splits == {"train", "dev"} or words & {"traindev", "trainval"}:
        return "train_dev"
    return "devtest" if splits == {"dev", "test"} or "devtest" in words else ""


def _resolve_pairs(
    pairs: dict[Path, str], found: dict[str, list[Path]], shown: str, notes: list[str]
) -> None:
    """Decide what `train_dev` (train and dev in one) and `devtest` (a second dev set) serve as."""
    for path, pair in pairs.items():
        name = readable(path.name)
        train, dev, test = (" and ".join(readable(path.name) for path in found[split]) for split in SPLITS)
        if pair == "train_dev":
            if train and dev:
                notes.append(f"{name} is not read: it holds train and dev together, {train} and {dev}.")
            elif train:
                raise CorpusError(
                    f"{shown}: {name} may be the dev file, or {train} and the dev file together. In the "
                    "first case rename it to dev.txt; in the second move it away, and every tenth sentence "
                    f"of {train} is held out instead."
                )
            elif dev:
                raise CorpusError(
                    f"{shown}: {name} holds train and dev together, so its sentences would be trained on and "
                    f"chosen by. Add the train file, or move {dev} away: then every tenth sentence of {name} "
                    "is held out."
                )
            else:
                found["train"].append(path)
                notes.append(f"{name}, train and dev together, is read as train.")
        elif dev and test:
            notes.append(f"{name} is not read: {dev} is the dev file and {test} the test file.")
        else:
            split = "dev" if test else "test"
            found[split].append(path)
            notes.append(f"{name} is read as {split}, since no other file is.")


def _nothing_found(split: str, folder: Path, present: list[Path]) -> str:
    wanted = ", ".join(split + suffix for suffix in sorted(SUFFIXES))
    listed = ", ".join(readable(path.name) for path in present) or "nothing"
    folders = sorted(readable(path.name) for path in folder.iterdir() if path.is_dir())
    inside = f" Name one of its folders instead, such as {folders[0]}." if folders and not present else ""
    return (
        f"{readable(folder)}: no {split} file. Looked for {wanted} or a name with {split!r} in it; the "
        f"folder holds {listed}.{inside}"
    )


# --- without a dev file ---


def hold_out(sentences: list, path: Path, notes: list[str]) -> tuple[list, list]:
    """Make every tenth training sentence a dev sentence.

    Args:
        sentences: of train.
        path: their file.
        notes: gets a sentence that says so.

    Returns:
        What is left of train, and dev.

    Raises:
        CorpusError: there are fewer than ten.
    """
    if len(sentences) < 10:
        raise CorpusError(
            f"{readable(path)}: {len(sentences)} sentences are too few to hold some out. Add a dev file, or "
            "check that an empty line ends each sentence."
        )
    dev = sentences[9::10]
    notes.append(
        f"No dev file: every tenth sentence of {readable(path.name)} ({len(dev)} of {len(sentences)}) is "
        "held out."
    )
    return [sentence for k, sentence in enumerate(sentences) if k % 10 != 9], dev
