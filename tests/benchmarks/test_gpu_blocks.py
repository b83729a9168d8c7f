"""The command for a GPU makes on a CPU what `python -m helpers reference` makes."""

import gzip
from dataclasses import replace

import pytest
import torch

from helpers.blocks import BLOCKS, Condition
from helpers.running import reference
from tests.benchmarks import gpu_blocks

TINY = (
    ("world.sentences", 1_500),
    ("world.test", 60),
    ("model.hidden_size", 32),
    ("pretraining.warmup_tokens", 1_600),
    ("finetuning.steps", 5),
)


@pytest.fixture
def block(monkeypatch, tmp_path):
    monkeypatch.setattr(reference, "FOLDER", tmp_path / "blocks")
    conditions = tuple(
        Condition(("token", "span"), (*TINY, ("pretraining.mask_rate", rate))) for rate in (0.15, 0.3)
    )
    return replace(BLOCKS["D"], replicates=1, tokens=(16_384,), conditions=conditions)


def test_units_read_one_replicate_each(block):
    units = gpu_blocks.units([block])
    assert [(name, seed) for name, seed, _ in units] == [("D", 1000)] * 2
    assert [task for _, _, some in units for task in some] == reference.tasks(block, 1000)
    for _, _, some in units:
        assert len({task.arm.settings for task in some}) == 1 and len(some) == 2


def test_a_seed_is_written_as_the_reference_writes_it(block, capsys, monkeypatch):
    gpu_blocks.run([block], processes=1, minutes=5)
    assert "block D: 1 of 1 seeds" in capsys.readouterr().out
    (made,) = reference.folder(block).glob("*.csv.gz")
    counts = gzip.decompress(made.read_bytes())
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # sums depend on it
    monkeypatch.setattr(reference.artifacts, "FOLDER", reference.FOLDER.parent / "artifacts")
    made.with_name("manifest.json").unlink()
    for task in reference.tasks(block, 1000):
        task.arm.scores()
    torch.set_num_threads(before)
    reference.write(block, 1000, reference.tasks(block, 1000))
    assert gzip.decompress(made.read_bytes()) == counts and len(counts) > 1_000
