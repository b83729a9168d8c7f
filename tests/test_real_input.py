"""Real corpora as they are published. They may stand beside the repository, and are no part of it."""

import pytest

from helpers import tokenization
from helpers.corpora import load
from helpers.settings import ROOT

CORPORA = ROOT.parent / "shared" / "corpora"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not CORPORA.is_dir(), reason="no real corpora beside the repository (shared/corpora)"),
]


@pytest.mark.parametrize(
    ("folder", "sizes", "types"),
    [
        ("crossner/politics", (200, 541, 651), 9),
        ("wnut17", (3394, 1009, 1287), 6),
        ("litbank", (6387, 814, 1361), 6),
    ],
)
def test_published_folders_load_as_they_are(folder, sizes, types):
    corpus = load(CORPORA / folder)
    assert tuple(len(corpus.splits[split]) for split in ("train", "dev", "test")) == sizes
    assert len(corpus.types) == types
    assert not any("converted" in note or "lack their first tag" in note for note in corpus.notes)


def test_hashes_that_are_words_stay():
    words = {word for sentence, _ in load(CORPORA / "wnut17").splits["test"] for word in sentence}
    assert "#" in words


def test_wikipedia_is_read_up_to_a_limit_and_packed():
    corpus = load(CORPORA / "crossner/politics", CORPORA / "wiki-en-2014" / "AA.txt.xz", words=200_000)
    # Up to one line more are read, and those that hold dev or test sentences are dropped (0.2%).
    assert 199_000 <= sum(len(line.split()) for line in corpus.text) < 201_000
    assert any("AA.txt.xz" in note for note in corpus.notes)
    tokenizer = tokenization.train(corpus.text, 3_000)
    assert len(tokenizer) == 3_000
    blocks = tokenization.pack(corpus.text, tokenizer, 64)
    unknown = (blocks.input_ids == tokenizer.unk_token_id).float().mean()
    assert unknown < 0.001
    sentences, gold = map(list, zip(*corpus.splits["test"], strict=True))
    names = corpus.tag_names
    numbers = [[names.index(tag) for tag in tags] for tags in gold]
    windows = tokenization.encode(sentences, numbers, tokenizer, 64)
    assert tokenization.decode(windows, windows.labels, sentences, names) == gold
