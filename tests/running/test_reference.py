"""Blocks of the reference: what they train, that they go on from what is committed, and what they write."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from helpers import blocks, experiment, scoring
from helpers.blocks import Block, Condition
from helpers.running import executors, reference
from helpers.running.arm import COLUMNS, pack_mentions, unpack_mentions
from tests.micro import MICRO, workshop

SMALL = replace(MICRO, name="reference", first_seed=blocks.FIRST_SEED, subsets=2, arms=())
BLOCK = Block(
    "T",
    "A test?",
    2,
    (8_192, 16_384),
    (Condition(("none", "span")), Condition(("token",), (("world.predictability", 0.0),))),
    labelled_sentences=(10, 20),
    keeps_predictions=True,
)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A workshop with blocks at the micro scale, and a folder for what is committed."""
    folder = tmp_path_factory.mktemp("reference")
    with workshop(folder / "artifacts"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BASE", SMALL)
        patch.setattr(reference, "BASE", SMALL)
        patch.setattr(reference, "FOLDER", folder / "blocks")
        yield folder / "blocks"


@pytest.fixture(scope="module")
def made(small):
    """The block, made with an interrupt after the first seed."""
    real = reference.write

    def interrupted(block, seed, some):
        real(block, seed, some)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            reference.make(BLOCK, workers=1)
    assert reference.done(BLOCK) == [1000]
    assert reference.results(BLOCK).empty, "no look before all replicates are there"
    first = {path.name: path.read_bytes() for path in (small / "T").iterdir() if path.name != "manifest.json"}
    reference.make(BLOCK, workers=1)
    for name, content in first.items():
        assert (small / "T" / name).read_bytes() == content
    return small / "T"


def test_a_block_goes_on_from_what_is_committed(made):
    assert reference.done(BLOCK) == [1000, 1001]
    table = reference.results(BLOCK)
    assert list(table.columns) == COLUMNS
    found = table.groupby(["condition", "arm"])["replicate"].unique().map(sorted).to_dict()
    assert found == dict.fromkeys([("", "none"), ("", "span"), ("predictability=0.0", "token")], [1000, 1001])


def test_notebooks_read_a_block_that_is_measured_and_find_others_empty(made, monkeypatch):
    monkeypatch.setitem(blocks.BLOCKS, "T", BLOCK)
    pd.testing.assert_frame_equal(experiment.reference("T"), reference.results(BLOCK))
    assert len(experiment.reference("T")) and len(experiment.reference_costs("T"))
    for name in set(blocks.BLOCKS) - {"T"}:  # the folder of this test holds none of them
        assert experiment.reference(name).empty and "arm" in experiment.reference(name)


def test_every_cell_has_its_subsets(made):
    span = reference.results(BLOCK).query("arm == 'span' and replicate == 1000")
    cells = span[["tokens_seen", "labelled_sentences", "subset"]].drop_duplicates()
    core = [(tokens, 20, subset) for tokens in (8_192, 16_384) for subset in (0, 1)]
    assert sorted(cells.itertuples(index=False, name=None)) == sorted([*core, (16_384, 10, 0)])


def test_kept_predictions_give_the_same_counts(made):
    sentences = reference.test_sentences(1001)
    gold = [tags for _, tags in sentences]
    counted = scoring.count(gold, reference.predictions(BLOCK, 1001, "span", subset=1))
    cell = "arm == 'span' and replicate == 1001 and tokens_seen == 16384 and labelled_sentences == 20"
    rows = reference.results(BLOCK).query(f"{cell} and subset == 1")
    for name in scoring.COUNT_COLUMNS:
        assert counted[name].sum() == rows[name].sum(), name
    assert rows["gold"].sum() == sum(tag.startswith("B-") for tags in gold for tag in tags)


def test_a_manifest_says_how_each_seed_was_made(made):
    manifest = json.loads((made / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["block"] == "T" and set(manifest["seeds"]) == {"1000", "1001"}
    for facts in manifest["seeds"].values():
        assert facts["device"] and facts["versions"]["torch"] and len(facts["code"]) == 12
    costs = reference.costs(BLOCK)
    assert set(costs["arm"]) == {"span", "token"} and (costs["seconds_per_step"] > 0).all()


def test_other_settings_are_refused(made):
    other = replace(BLOCK, conditions=BLOCK.conditions[:1])
    with pytest.raises(reference.ReferenceError, match="other settings"):
        reference.make(other, workers=1)
    assert reference.done(replace(BLOCK, replicates=1)) == [1000], "replicates may be added"


def test_seeds_that_are_scored_are_written_without_training(made, monkeypatch):
    (made / "manifest.json").unlink()
    monkeypatch.setattr(executors, "run", lambda *_, **__: pytest.fail("nothing is left to train"))
    before = (made / "1000.csv.gz").read_bytes()
    reference.make(BLOCK, workers=1)
    assert reference.done(BLOCK) == [1000, 1001] and (made / "1000.csv.gz").read_bytes() == before


def test_packed_mentions_come_back():
    tags = [["B-PER", "I-PER", "O"], ["O"], ["B-LOC", "B-LOC", "I-LOC"]]
    assert unpack_mentions(pack_mentions(tags), [3, 1, 3]) == tags
    assert unpack_mentions(pack_mentions([["O", "O"]]), [2]) == [["O", "O"]]
