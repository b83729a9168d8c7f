"""Blocks of the reference: what they train, that they go on from what is committed, and what they write."""

import json
from dataclasses import replace
from hashlib import sha256

import pandas as pd
import pytest

from helpers import blocks, experiment, own_model, scoring
from helpers.blocks import Block, Condition
from helpers.running import executors, reference
from helpers.running.arm import COLUMNS, pack_mentions, unpack_mentions
from tests.micro import MICRO, own_files, workshop
from tests.tiny_architectures import save

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


@pytest.fixture(scope="module")
def real(small, tmp_path_factory):
    """A block on files, and the folder that they lie in."""
    own = own_files(tmp_path_factory.mktemp("real"))
    block = Block(
        "real-text",
        "On files?",
        1,
        (8_192, 16_384),
        (Condition(("none", "span")),),
        labelled_sentences=(10, 20),
        every_size=True,
        corpus=str(own),
        text=(str(own / "text.txt"),),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "REAL", replace(SMALL, subsets=1))
        assert reference.make(block, workers=1) is None
        yield block, own


def test_a_block_on_files_lies_in_a_folder_of_its_own_with_their_checksums(real, small):
    block, own = real
    folder = small.parent / "real-text"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert sorted(path.name for path in folder.iterdir()) == ["1000.csv.gz", "manifest.json"]
    expected = {path.name: sha256(path.read_bytes()).hexdigest() for path in own.iterdir()}
    assert manifest["inputs"] == expected and len(expected) == 4
    (facts,) = manifest["settings"]
    assert facts["corpus"] == {"name": "own", "words": SMALL.words} and "world" not in facts
    table = reference.results(block)
    assert list(table.columns) == COLUMNS and set(table["corpus"]) == {"own"}
    cells = table.query("arm == 'span'")[["tokens_seen", "labelled_sentences", "subset"]].drop_duplicates()
    every = [(tokens, size, 0) for tokens in (8_192, 16_384) for size in (10, 20)]
    assert sorted(cells.itertuples(index=False, name=None)) == every


def test_a_block_may_start_from_a_model_which_its_manifest_names(real, small, tmp_path, monkeypatch):
    block, own = real
    start = save("bert", tmp_path / "tiny-bert")
    monkeypatch.setattr(blocks, "CONTINUED", replace(SMALL, subsets=1, tokens=(8_192,)))
    arms = Condition(("as_it_came", "token"))
    block = replace(
        block,
        name="continued",
        tokens=(8_192,),
        conditions=(arms,),
        every_size=False,
        model=str(start),
    )
    reference.make(block, workers=1)
    manifest = json.loads((small.parent / "continued" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["settings"][0]["started_from"] == "tiny-bert"
    assert manifest["inputs"]["tiny-bert"] == own_model.fingerprint(str(start))
    assert [cost["arm"] for cost in manifest["seeds"]["1000"]["costs"]] == ["token"]
    cells = reference.results(block).groupby("arm")[["tokens_seen", "labelled_sentences"]]
    found = {arm: sorted(set(cell.itertuples(index=False, name=None))) for arm, cell in cells}
    assert found == {"as_it_came": [(0, 10), (0, 20)], "token": [(8_192, 10), (8_192, 20)]}
    missing = replace(block, model=str(tmp_path / "elsewhere" / "tiny-bert"))
    assert reference.done(missing) == [1000], "and it is read where the model is not"
    with pytest.raises(reference.ReferenceError, match=r"real_corpora puts it there"):
        reference.inputs(missing)


def test_a_block_on_files_is_read_without_them_and_made_from_the_same_ones(real):
    block, own = real
    more = replace(block, replicates=2)
    before = (own / "train.txt").read_text(encoding="utf-8")
    (own / "train.txt").write_text(before + "\nOslo\tB-LOC\n", encoding="utf-8")
    with pytest.raises(reference.ReferenceError, match="made from other files"):
        reference.make(more, workers=1)
    (own / "train.txt").unlink()
    assert not reference.results(block).empty
    with pytest.raises(reference.ReferenceError, match=r"real_corpora puts it there"):
        reference.make(more, workers=1)
    (own / "train.txt").write_text(before, encoding="utf-8")
    assert reference.done(more) == [1000]


def test_the_overview_does_without_files_that_are_missing(small, monkeypatch):
    missing = replace(blocks.BLOCKS["real"], corpus="no/such/folder")
    monkeypatch.setattr(reference, "BLOCKS", {"T": BLOCK, "real": missing})
    monkeypatch.setattr(reference.plan, "speeds", lambda settings, dtype: (1_000.0, 2.0))
    overview = reference.overview().set_index("block")
    assert overview.loc["real", "hours left"] == "not known"
    # Three arms of 16,384 + 15% of 8,192 tokens, none and two trained ones with 3 and 5 cells: 2 replicates
    # in all, less those that are there.
    assert overview.loc["T", "hours left"] != "not known"
    tokens, _ = overview.loc["real", ["million tokens left", "fine-tunings left"]]
    assert tokens == round(8 * 4 * (16 + 0.15 * 4))


def test_packed_mentions_come_back():
    tags = [["B-PER", "I-PER", "O"], ["O"], ["B-LOC", "B-LOC", "I-LOC"]]
    assert unpack_mentions(pack_mentions(tags), [3, 1, 3]) == tags
    assert unpack_mentions(pack_mentions([["O", "O"]]), [2]) == [["O", "O"]]
