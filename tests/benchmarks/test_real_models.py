"""Other people's labels for the models of a block: folds together, and no sentence of the text."""

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pandas as pd
import pytest

from helpers import blocks
from helpers.blocks import BLOCKS, Condition
from helpers.running import reference
from helpers.running.arm import COLUMNS, read_table
from helpers.scoring import spans
from tests import micro
from tests.benchmarks import real_models
from tests.benchmarks.real_corpora import read

TINY = (
    ("core_sentences", 20),
    ("model.vocabulary_size", 600),
    ("model.hidden_size", 16),
    ("model.length", 64),
    ("pretraining.short_rows", ()),
    ("pretraining.warmup_tokens", 1_600),
    ("finetuning.steps", 5),
)


@pytest.fixture
def folds(tmp_path, monkeypatch):
    """The block in miniature, and two folds; a test sentence of the first stands in the text."""
    own = micro.own_files(tmp_path)
    text = (own / "text.txt").read_text(encoding="utf-8").split("\n")
    leak = next(line.split() for line in text if len(line.split()) >= 8)
    for fold in ("litbank-1", "litbank-2"):
        shutil.copytree(own, tmp_path / fold, ignore=shutil.ignore_patterns("text.txt"))
    with (tmp_path / "litbank-1" / "test.txt").open("a", encoding="utf-8") as file:
        file.write("\n" + "".join(f"{word}\tO\n" for word in leak))
    small = replace(
        BLOCKS["real"],
        replicates=1,
        tokens=(16_384,),
        conditions=(Condition(("none", "token"), TINY),),
        labelled_sentences=(20,),
        corpus=str(own),
        text=(str(own / "text.txt"),),
    )
    changes = {"BLOCKS": {"real": small}, "FOLDER_OF_REAL": tmp_path, "PARTS": tmp_path / "parts"}
    changes |= {"SETS": {"litbank": ("litbank-1", "litbank-2")}}
    monkeypatch.setattr(blocks, "REAL", replace(blocks.REAL, core_sentences=20))
    monkeypatch.setattr(real_models.reference, "folder", lambda block: tmp_path / "out")
    for name, value in changes.items():
        monkeypatch.setattr(real_models, name, value)
    # Threads, since other processes would not see these changes.
    monkeypatch.setattr(real_models, "ProcessPoolExecutor", lambda processes, *_: ThreadPoolExecutor(1))
    monkeypatch.setattr(real_models.artifacts, "FOLDER", tmp_path / "artifacts")
    real_models.replicate.surface_index.cache_clear()
    yield [tmp_path / fold for fold in changes["SETS"]["litbank"]]
    real_models.replicate.surface_index.cache_clear()


def test_folds_are_counted_together_without_what_stands_in_the_text(folds, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["real_models", "losses", "litbank"])
    real_models.main()
    printed = capsys.readouterr().out
    assert "litbank-1: 1 test sentences" in printed and "litbank-2: 0 test sentences" in printed
    table = read_table(tmp_path / "out" / "litbank.csv.gz")
    assert list(table) == COLUMNS and set(table["corpus"]) == {"litbank"}
    mentions = sum(len(spans(tags)) for fold in folds for _, tags in read(fold / "test.txt"))
    assert table.groupby("arm")["gold"].sum().to_dict() == {"none": mentions, "token": mentions}
    assert dict(zip(table["arm"], table["tokens_seen"], strict=True)) == {"none": 0, "token": 16_384}
    fell = pd.read_csv(tmp_path / "out" / "losses.csv.gz")
    assert set(fell["arm"]) == {"token"} and set(fell["replicate"]) == {1000} and fell["loss"].gt(0).all()


def test_what_is_done_is_not_done_again(folds, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["real_models", "litbank"])
    real_models.main()
    made = (tmp_path / "out" / "litbank.csv.gz").read_bytes()
    monkeypatch.setattr(real_models, "fine_tune_and_tag", None)
    capsys.readouterr()
    real_models.main()
    assert (tmp_path / "out" / "litbank.csv.gz").read_bytes() == made
    assert "to go" not in capsys.readouterr().out


def test_mentions_that_are_found_add_up_to_the_counts_of_the_block(folds, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["real_models", "mentions"])
    block = real_models.BLOCKS["real"]
    counts = []
    for name in block.conditions[0].arms:
        table = read_table(real_models.arm_of(block, 1000, name).scores() / "scores.csv")
        counts.append(table.assign(arm=name, replicate=1000))
    known = pd.concat(counts)
    monkeypatch.setattr(real_models.reference, "results", lambda block: known)
    real_models.main()
    found = pd.read_csv(tmp_path / "out" / "mentions.csv.gz")
    assert list(found) == [*real_models.MENTION, "none 1000", "token 1000"]
    test = [tags for _, tags in read(folds[1] / "test.txt")]
    expected = [(n, start, end - start) for n, tags in enumerate(test) for _, start, end in spans(tags)]
    assert list(found[["sentence", "start", "length"]].itertuples(index=False, name=None)) == expected
    assert found["pieces"].ge(found["length"]).all() and found["pieces"].gt(found["length"]).any()
    of_none = known[known["arm"] == "none"]
    assert sorted(found["pieces"].clip(upper=8)) == sorted(
        int(pieces.removesuffix("+")) for pieces in of_none["pieces"].repeat(of_none["gold"])
    )
    assert 0 < known["correct"].sum() == found[["none 1000", "token 1000"]].sum().sum()
    known.loc[known["correct"] > 0, "correct"] += 1
    with pytest.raises(ValueError, match="of seed 1000 finds .* in block real"):
        real_models.main()


def test_the_committed_mentions_are_the_counts_and_no_name_is_torn_by_the_larger_vocabulary_alone():
    tables = []
    for name in ("real_labels", "real_vocabulary"):
        block = BLOCKS[name]
        found = pd.read_csv(reference.folder(block) / "mentions.csv.gz")
        known = reference.results(block)
        known = known[known["labelled_sentences"] == block.base.core_sentences]
        for (arm, seed), counts in known.groupby(["arm", "replicate"]):
            assert (
                found[f"{arm} {seed}"].sum() == counts["correct"].sum() and len(found) == counts["gold"].sum()
            )
        tables.append(found)
    small, large = tables
    place = ["sentence", "start", "length"]
    pd.testing.assert_frame_equal(small[place], large[place])
    assert not ((large["pieces"] > large["length"]) & (small["pieces"] == small["length"])).any()
