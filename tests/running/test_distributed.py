"""One training on several processes: DDP's gradients are those of both halves, and torchrun starts it."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from transformers import AutoModelForMaskedLM, AutoTokenizer

from helpers import __main__ as cli
from helpers import experiment, model
from helpers.pretraining import Group
from helpers.running import distributed
from helpers.running.resume import pretrain
from helpers.settings import ROOT, SCALES, Settings, choose
from tests.tiny import weights_of


def test_a_batch_that_cannot_be_divided(monkeypatch):
    three = SimpleNamespace(process_index=0, num_processes=3)
    monkeypatch.setattr(distributed, "join", lambda: three)
    with pytest.raises(ValueError, match="a batch of 32 rows cannot be divided among 3 processes"):
        distributed.pretrain(Settings(SCALES["smoke"]), "span", 32_768)


def test_processes_that_do_not_find_each_other(monkeypatch, capsys):
    monkeypatch.setattr(distributed, "Accelerator", lambda cpu: SimpleNamespace(num_processes=1))
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert cli.main(["pretrain", "--scale", "smoke", "--arm", "span", "--tokens", "32768"]) == 2
    assert "2 processes were started, but each trains in a group of 1: start them by torchrun" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--tokens", "1000000000000000"], "more than any machine could train on here"),
        (["--tokens", "32768", "--text", "a.txt"], "the built-in world brings its own text"),
        (
            ["--tokens", "32768", "--corpus", ".", "--text", "news: today.txt"],
            "news: today.txt: no such file",
        ),
        (["--tokens", "32768", "--corpus", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_what_cannot_be_trained_on_is_one_line(tmp_path, monkeypatch, capsys, options, said):
    for name in ("train.txt", "test.txt"):
        (tmp_path / name).write_text("Anna\tB-PER\n\n" * 30, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    command = ["pretrain", "--scale", "smoke", "--arm", "span", "--dtype", "float32", "--out", "out"]
    assert cli.main([*command, *options]) == 2
    complaint = capsys.readouterr().err
    assert said in complaint and "Traceback" not in complaint


# What each process of a group does; `sys.argv[1]` says what is on trial.
PAIR = """
import os
import sys

import torch

from helpers import model
from helpers.masking import mask
from helpers.pretraining import Training, mask_seed, row_order, train
from helpers.running import distributed
from tests.tiny import RECIPE, TINY, VOCABULARY, counting_rows, weights_of

torch.set_num_threads(1)
group, blocks = distributed.Processes(distributed.join()), counting_rows()
order = row_order(50, 6, 8, RECIPE.seed)

# Each starts from weights of its own: DDP gives all of them the first one's.
bert = model.build(TINY, seed=group.rank)
training = Training.start(bert, RECIPE, "float32")
list(train(training, blocks, order, VOCABULARY, RECIPE, lambda step: 1e-3, group=group))
ours = weights_of(bert)

# One process with both halves of each batch, under the same masks.
alone = model.build(TINY, seed=0)
optimizer = torch.optim.AdamW(alone.parameters(), lr=1e-3, weight_decay=RECIPE.weight_decay)
generator = torch.Generator()
for step in range(6):
    halves = []
    for rank in range(2):
        chosen = order[step, rank::2]
        generator.manual_seed(mask_seed(RECIPE.seed, step, rank))
        halves.append(mask(blocks.input_ids[chosen], blocks.word_ids[chosen], SCHEME, VOCABULARY, generator))
    inputs, labels = (torch.cat([getattr(half, name) for half in halves]) for name in ("inputs", "labels"))
    optimizer.zero_grad()
    alone(inputs, labels=labels).loss.backward()
    optimizer.step()
assert (ours - weights_of(alone)).abs().max() < 1e-4, "not the gradients of both halves"

# They agree on what the first one has, and hear of an interrupt of any.
assert group.agree({"step": group.rank}) == {"step": 0}
assert group.any(group.rank == 1) and not group.any(False)
print(f"rank {group.rank} of {group.size}: fine", flush=True)
group.accelerator.end_training()
""".replace("SCHEME", "Scheme('token')").replace("import mask\n", "import Scheme, mask\n")


def torchrun(folder, script: str, *arguments: str) -> subprocess.CompletedProcess:
    """Two processes that each run a script in `folder`."""
    (folder / "script.py").write_text(script)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*command, "script.py", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
    )


def test_two_processes_are_one_with_both_halves_of_the_batch(tmp_path):
    run = torchrun(tmp_path, PAIR)
    assert run.returncode == 0, run.stderr[-3000:]
    assert all(f"rank {rank} of 2: fine" in run.stdout for rank in range(2))


SPY = """
import hashlib
import os
import sys
from pathlib import Path

import torch

from helpers import __main__ as cli
from helpers.running import arm

real = arm.pretrain


def digest(bert):
    weights = torch.cat([weights.detach().flatten() for weights in bert.parameters()])
    return hashlib.sha256(weights.numpy().tobytes()).hexdigest()


def spy(bert, *arguments, **options):
    before = digest(bert)
    for checkpoint in real(bert, *arguments, **options):
        Path(f"weights-{os.environ['RANK']}").write_text(f"{before} {digest(checkpoint.model)}")
        yield checkpoint


arm.pretrain = spy
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_torchrun_trains_one_model(tmp_path):
    options = ["pretrain", "--arm", "span", "--tokens", "32768", "--scale", "smoke", "--dtype", "float32"]
    run = torchrun(tmp_path, SPY, *options, "--out", "out")
    assert run.returncode == 0, run.stderr
    (folder,) = (tmp_path / "out").glob("pretrained-span-*/32768")
    assert run.stdout.count(f"Model, tokenizer and history.csv: {folder}") == 1  # the other one is silent
    bert, tokenizer = AutoModelForMaskedLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer) == bert.config.vocab_size == 800 and not (folder.parent / "states").exists()

    shared = experiment.replicate(choose("smoke"))
    recipe = replace(SCALES["smoke"].pretraining, strategy="span")
    shape = replace(SCALES["smoke"].model, vocabulary_size=800)
    ranks = [(tmp_path / f"weights-{rank}").read_text().split() for rank in range(2)]
    assert ranks[0] == ranks[1]  # the same weights before and after
    start = weights_of(model.build(shape, 0)).numpy().tobytes()
    assert ranks[0][0] == hashlib.sha256(start).hexdigest()  # and one process starts from the same

    # One process with four streams of masks: what masks alone make of the loss.
    def last_loss(rank: int) -> float:
        group = Group()
        group.rank = rank
        steps = pretrain(
            model.build(shape, 0), shared.blocks, shared.vocabulary, recipe, (32_768,), group=group
        )
        return next(steps).losses[-1][1]

    alone = [last_loss(rank) for rank in range(4)]
    loss = pd.read_csv(folder / "history.csv")["loss"].iloc[-1]
    spread = max(alone) - min(alone)
    # The first process's loss is over half of the rows, so its own noise is larger by the root of 2.
    assert abs(loss - sum(alone) / 4) < 3 * spread
    again = torchrun(tmp_path, SPY, *options, "--out", "out")  # there is nothing left to do
    assert again.returncode == 0 and str(folder) in again.stdout
