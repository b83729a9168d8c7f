"""The command for a GPU makes on a CPU what `python -m helpers reference` makes."""

import gzip
from dataclasses import replace

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from helpers import blocks, boundary, finetuning, model, tokenization
from helpers.blocks import BLOCKS, Condition
from helpers.running import reference
from helpers.settings import FinetuningSettings, ModelSettings
from tests import micro
from tests.benchmarks import gpu_blocks, graphs

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


def test_real_text_is_prepared_once_and_its_seeds_are_written(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(reference, "FOLDER", tmp_path / "blocks")
    own = micro.own_files(tmp_path)
    monkeypatch.setattr(blocks, "REAL", replace(blocks.REAL, core_sentences=20))
    small = (("model.vocabulary_size", 600), ("pretraining.short_rows", ()), ("model.length", 64))
    block = replace(
        BLOCKS["real"],
        replicates=2,
        tokens=(16_384,),
        conditions=(Condition(("none", "span_short"), (*TINY[2:], *small)),),
        labelled_sentences=(10, 20),
        corpus=str(own),
        text=(str(own / "text.txt"),),
    )
    gpu_blocks.run([block], processes=2, minutes=5)
    assert "block real: 2 of 2 seeds" in capsys.readouterr().out
    made = reference.results(block)
    assert set(made["arm"]) == {"none", "span_short"} and set(made["replicate"]) == {1000, 1001}


def test_fine_tuning_as_graphs_learns_from_the_same_rows(monkeypatch):
    """A graph replays one shape: padding a batch to it may change no logit that counts, and no weight."""
    words = [["Anna", "met", "Bo"], ["in", "Oslo"], ["Bo", "left", "Oslo", "for", "good"]]
    tokenizer = tokenization.train([" ".join(line) for line in words] * 20, 60)
    windows = tokenization.encode(words, [[1] + [0] * (len(line) - 1) for line in words], tokenizer, 32)
    bert = model.build(ModelSettings(len(tokenizer), 32, 16, heads=2), 0)
    recipe = FinetuningSettings(steps=6, batch_size=2, dropout=0)
    alone = finetuning.finetune(bert, windows, ["O", "B-X"], recipe)
    shapes = []
    monkeypatch.setattr(finetuning, "logits_at", finetuning.logits_at)  # puts it back afterwards
    monkeypatch.setattr(graphs, "_captures", lambda of: True)

    def capture(module, batch):
        shapes.append([tuple(one.shape) for one in batch])
        return module

    monkeypatch.setattr(graphs, "_capture", capture)
    graphs.graph_finetuning()
    replayed = finetuning.finetune(bert, windows, ["O", "B-X"], recipe)
    assert shapes == [[(2, 32)] * 3]  # captured once
    for one, other in zip(alone.parameters(), replayed.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_one_compiled_loss_serves_all_models_of_a_process(monkeypatch):
    counter = CompileCounter()
    monkeypatch.setattr(graphs, "FUSED", torch.compile(model.masked_lm_loss, backend=counter, dynamic=False))
    size = ModelSettings(600, 32, 16, heads=2)
    ids = torch.randint(10, 600, (4, 32), generator=torch.Generator().manual_seed(0))
    positions = torch.tensor([[3, 5, 6]]).expand(4, -1)
    for seed in (0, 1, 0):
        bert = model.build(size, seed)
        for length in (16, 32):  # short rows are not compiled
            given = ids[:, :length], positions, ids[:, :length]
            with model.precision("bfloat16"):
                alone, made = model.masked_lm_loss(bert, *given), graphs.Compiled().loss_of(bert)(*given)
            torch.testing.assert_close(made, alone)
    assert counter.frame_count == 1
    boundary.add_head(bert, 0)
    assert graphs.Compiled().loss_of(bert).func is boundary.loss  # its second loss is not left out
