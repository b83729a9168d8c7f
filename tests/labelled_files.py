"""Labelled files as people bring them, written and read for the tests of `helpers/reading`."""

from pathlib import Path

from helpers.reading.labelled import read_labelled

DEV = "Bruno\tB-PER\nslept\tO\n"
TEST = "Oslo\tB-LOC\nwoke\tO\n"


def read(folder: Path, train: str, dev: str | None = None, test: str | None = None, **options):
    """Train's sentences as (word, tag) pairs, and the notes; dev and test are train once more if left out."""
    splits, notes = read_all(folder, train, dev, test, **options)
    return splits["train"], notes


def read_all(
    folder: Path, train: str, dev: str | None, test: str | None, end: str = ".txt", columns: str = ""
):
    """The sentences of all splits as (word, tag) pairs, and the notes."""
    paths = {}
    for split, content in (("train", train), ("dev", dev), ("test", test)):
        paths[split] = folder / f"{split}{end}"
        paths[split].write_text(train if content is None else content, encoding="utf-8", newline="")
    notes: list[str] = []
    splits = read_labelled(paths, columns, notes)
    pairs = {
        split: [list(zip(words, tags, strict=True)) for words, tags in sentences]
        for split, sentences in splits.items()
    }
    return pairs, notes
