"""The measurements of a block's models at the micro scale: what they cover, and that they go on."""

import json
from dataclasses import replace

import pandas as pd
import pytest
import torch

from helpers import __main__ as door
from helpers import blocks, why
from helpers.blocks import Block, Condition
from helpers.running import arm, explanations, reference
from helpers.running import replicate as replicates
from tests.micro import MICRO, workshop

SMALL = replace(MICRO, name="reference", first_seed=blocks.FIRST_SEED, arms=())
BLOCK = Block("T", "A test?", 3, (8_192, 16_384), (Condition(("none", "token", "span")),))
CELLS = [(name, tokens) for name in ("token", "span") for tokens in BLOCK.tokens]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The measurements of two seeds, of which the second was interrupted."""
    place = tmp_path_factory.mktemp("why")
    with workshop(place / "artifacts"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BASE", SMALL)
        patch.setattr(explanations, "FOLDER", place / "why")
        patch.setattr(explanations, "HELD_OUT", 120)
        patch.setattr(explanations, "MENTIONS", 60)
        patch.setattr(explanations, "TESTED", 20)
        explanations.make(BLOCK, [1001])
        first = {name: (place / "why" / f"{name}.csv").read_text() for name in explanations.MEASUREMENTS}

        def interrupted(subject):
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as inner:
            inner.setitem(explanations.MEASUREMENTS, "probes", interrupted)
            with pytest.raises(KeyboardInterrupt):
                explanations.make(BLOCK, [1000])
        assert set(explanations.read("loss_matrix")["replicate"]) == {1000, 1001}
        assert set(explanations.read("probes")["replicate"]) == {1001}
        explanations.make(BLOCK, [1000, 1001])
        for name, text in first.items():
            lines = text.splitlines()
            whole = (place / "why" / f"{name}.csv").read_text().splitlines()
            assert whole[0] == lines[0] and whole[-len(lines) + 1 :] == lines[1:], "1001 stays as it was"
        yield place / "why"


def test_what_is_there_is_not_measured_again(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(explanations, "Subject", lambda *_: pytest.fail("nothing is left to measure"))
    explanations.make(BLOCK, [1000, 1001])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_every_measurement_has_every_cell(folder):
    tables = {name: explanations.read(name) for name in explanations.MEASUREMENTS}
    for name, table in tables.items():
        assert table["replicate"].drop_duplicates().tolist() == [1000, 1001], name
        keys = [*table.select_dtypes(exclude="float"), *(["share"] if name == "plateau_end" else [])]
        assert not table.duplicated(keys).any(), name
    one = {name: table[table["replicate"] == 1000] for name, table in tables.items()}
    assert len(one["visible_siblings"]) == 4 and set(one["plateau_end"]["arm"]) == {"token", "span"}

    def cells(name: str) -> list[tuple]:
        return sorted(set(one[name][["arm", "tokens_seen"]].itertuples(index=False, name=None)))

    assert cells("loss_matrix") == sorted(CELLS)
    assert cells("restored_mentions") == sorted([*CELLS, ("none", 0)])
    assert cells("probes") == [("none", 0), ("span", 16_384), ("token", 16_384)]
    assert len(one["probes"]) == 3 * 3 * (1 + SMALL.model.layers)


def test_tables_make_sense(folder):
    share = explanations.read("visible_siblings").query("words == '2+'").groupby("arm")["share"].mean()
    assert share["token"] > 2 * share["span"]
    losses = explanations.read("loss_matrix")
    hidden = losses.groupby(["replicate", "arm", "tokens_seen", "masks"])["hidden"].sum()
    assert hidden.groupby("replicate").nunique().eq(1).all(), "all hide the same number of tokens"
    restored = explanations.read("restored_mentions")
    mass = restored["first_right_type"] + restored["first_other_types"]
    assert mass.between(0, 100.01).all() and restored["first_true"].gt(20).all()
    assert restored.groupby(["replicate", "arm", "tokens_seen"])["mentions"].sum().eq(60).all()
    for name in explanations.MEASUREMENTS:
        summary = getattr(why, f"summary_of_{name}")(explanations.read(name))
        assert len(summary) and set(summary["n"]) <= {0, 1, 2}, name


def test_no_model_has_read_the_held_out_text(folder):
    subject = explanations.Subject(BLOCK, 1000)
    assert subject._world.text[:-120] == subject.replicate.corpus.text
    assert not set(subject._world.text[-120:]) & set(subject.replicate.corpus.text)
    text = subject.replicate.tokenizer.decode(subject.text.input_ids[0, 1:8])
    assert subject._world.text[-120].startswith(text.split()[0])


def test_mentions_and_shares_are_those_of_the_world(folder):
    subject = explanations.Subject(BLOCK, 1000)
    of, mention = subject.replicate, subject.mentions.iloc[-1]
    pieces = subject.text.input_ids[mention["row"], mention["start"] : mention["end"]]
    words = of.tokenizer.decode(pieces)
    assert any(words == " ".join(line.split()[start:end]).replace("'", " ' ")
               and kind == explanations.TYPES[mention["type"]] and end - start == mention["words"]
               for line, tags in zip(subject._world.text[-120:], subject._world.text_tags[-120:], strict=True)
               for kind, start, end in explanations.scoring.spans(tags))  # fmt: skip
    settings = next(iter(subject.arms.values())).settings
    ids = replicates.mention_ids(settings, 0)
    inside = of.blocks.input_ids[ids >= 0].unique()
    assert torch.equal(subject.type_shares.sum((0, 1)).nonzero()[:, 0], inside)
    assert set(subject.type_shares.sum(1).unique().round(decimals=4).tolist()) == {0, 1}


def test_the_masks_of_a_seed_are_the_same_again(folder):
    one, other = (explanations.Subject(BLOCK, 1000).masks["span"] for _ in range(2))
    assert torch.equal(one.inputs, other.inputs) and torch.equal(one.labels, other.labels)
    assert not torch.equal(one.labels, explanations.Subject(BLOCK, 1001).masks["span"].labels)


def test_first_sentences(folder):
    test = explanations.Subject(BLOCK, 1000).replicate.test
    some = explanations.first_sentences(test, 5)
    assert sorted(set(some.sentence[some.sentence >= 0].tolist())) == [0, 1, 2, 3, 4]


def test_other_settings_and_strange_seeds_are_refused(folder):
    with pytest.raises(reference.ReferenceError, match="no seed 999"):
        explanations.make(BLOCK, [999])
    with pytest.raises(reference.ReferenceError, match="other settings"):
        explanations.make(replace(BLOCK, tokens=(8_192,)), [1000])
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["seeds"]) == {"1000", "1001"}


def test_the_command_takes_seeds(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(explanations, "make", lambda seeds: asked.append(seeds))
    assert door.main(["reference", "why"]) == 0
    assert door.main(["reference", "why", "--seeds", "1003", "1004"]) == 0
    assert asked == [None, [1003, 1004]]
    assert door.main(["reference", "A", "--seeds", "1003"]) == 2 and "why" in capsys.readouterr().err


def test_missing_models_are_trained_and_others_are_not(folder, monkeypatch, capsys):
    monkeypatch.setattr(arm.Arm, "train_into", lambda *_: pytest.fail("all models are there"))
    subject = explanations.Subject(BLOCK, 1001)
    assert list(subject.models) == [*CELLS, ("none", 0)]
    assert isinstance(explanations.plateau_end(subject), pd.DataFrame)
