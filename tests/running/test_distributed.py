"""One run on several processes: the same gradients as on one, stopped together, started by torchrun."""

import hashlib
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from helpers.distributed import Exchange
from test_pretraining import RUN, STEP, TINY, blocks, weights_of  # noqa: F401 (blocks is a fixture)
from transformers import AutoModelForMaskedLM, AutoTokenizer

from helpers import __main__ as cli
from helpers import distributed, experiment, model, pretraining
from helpers.masking import Scheme, Vocabulary, mask
from helpers.pretraining import Group, pretrain
from helpers.settings import ROOT, SCALES, Settings, choose


class Pair:
    """Two threads that stand for two processes."""

    def __init__(self):
        self.barrier, self.sent, self.means = threading.Barrier(2, timeout=30), {}, []

    def reduce(self, rank: int):
        def mean(tensor: torch.Tensor) -> torch.Tensor:
            self.sent[rank] = tensor.clone()
            self.barrier.wait()
            result = (self.sent[0] + self.sent[1]) / 2
            self.barrier.wait()  # before either sends again
            if rank == 0:
                self.means.append(result[:-1])
            return result

        return mean

    def pretrain(self, blocks, steps: int, folder: Path | None = None, stop: dict | None = None):  # noqa: F811
        """Both ranks' models after `steps`, or what they raised; `stop`: each rank's last step."""
        results = [None, None]

        def rank(number: int) -> None:
            taken = []

            def progress(tokens: int) -> None:
                taken.append(tokens)
                if (stop or {}).get(number) == len(taken):
                    raise KeyboardInterrupt

            exchange = Exchange(self.reduce(number))
            group = Group(number, 2, exchange.average)
            try:
                (checkpoint,) = pretrain(
                    models[number],
                    blocks,
                    RUN,
                    (steps * STEP,),
                    folder=folder,
                    group=group,
                    progress=progress,
                )
                results[number] = checkpoint.model
            except KeyboardInterrupt as error:
                exchange.interrupt_the_others()
                results[number] = error

        models = [model.build(TINY, 0) for _ in range(2)]
        threads = [threading.Thread(target=rank, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results


def test_two_processes_are_one_with_both_halves_of_the_batch(blocks):  # noqa: F811
    """The same masks on one process: each half's come from a stream of its own."""
    pair = Pair()
    first, second = pair.pretrain(blocks, 6)
    assert torch.equal(weights_of(first), weights_of(second))

    bert, order, generator = (
        model.build(TINY, 0),
        pretraining.row_order(50, 6, 8, RUN.seed),
        torch.Generator(),
    )
    optimizer = torch.optim.AdamW(bert.parameters(), weight_decay=RUN.weight_decay)
    for step in range(6):
        halves = []
        for rank in range(2):
            rows = order[step, rank::2]
            generator.manual_seed(pretraining._mask_seed(RUN.seed, step, rank))
            vocabulary = Vocabulary(30, 4, (0, 1, 2, 3, 4))
            halves.append(
                mask(blocks.input_ids[rows], blocks.word_ids[rows], Scheme("token"), vocabulary, generator)
            )
        inputs, labels = (
            torch.cat([getattr(half, name) for half in halves]) for name in ("inputs", "labels")
        )
        optimizer.zero_grad()
        bert(inputs, labels=labels).loss.backward()
        gradients = torch.cat([p.grad.flatten() for p in bert.parameters() if p.grad is not None])
        # After some steps rounding errors of the earlier ones are seen: Adam divides by a gradient's size.
        assert (pair.means[step] - gradients).abs().max() < (1e-6 if step == 0 else 1e-4)
        optimizer.param_groups[0]["lr"] = pretraining.learning_rate(step, 6, RUN, warmup=1)
        optimizer.step()
    assert (weights_of(first) - weights_of(bert)).abs().max() < 1e-4


@pytest.mark.parametrize("stop", [{0: 5}, {1: 5}, {0: 5, 1: 5}])
def test_all_stop_when_one_is_interrupted(blocks, tmp_path, stop):  # noqa: F811
    whole, _ = Pair().pretrain(blocks, 12)
    stopped = Pair().pretrain(blocks, 12, tmp_path, stop)
    assert [type(result) for result in stopped] == [KeyboardInterrupt] * 2
    assert [file.name.split("-")[:2] for file in tmp_path.iterdir()] == [["trunk", "000000005"]]
    first, second = Pair().pretrain(blocks, 12, tmp_path)
    assert torch.equal(weights_of(first), weights_of(whole)) and torch.equal(
        weights_of(second), weights_of(whole)
    )


def test_a_batch_that_cannot_be_divided(monkeypatch):
    alone = SimpleNamespace(is_main_process=True, num_processes=3)
    monkeypatch.setattr(distributed, "join", lambda: alone)
    with pytest.raises(ValueError, match="a batch of 32 rows cannot be divided among 3 processes"):
        distributed.pretrain(Settings(SCALES["smoke"]), "span", 32_768)


def test_processes_that_do_not_find_each_other(monkeypatch, capsys):
    monkeypatch.setattr(distributed, "Accelerator", lambda cpu: SimpleNamespace(num_processes=1))
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert cli.main(["pretrain", "--scale", "smoke", "--arm", "span", "--tokens", "32768"]) == 2
    assert "2 processes were started, but each trains in a group of 1: start them by torchrun" in (
        capsys.readouterr().err
    )


SPY = """
import hashlib
import os
import sys
from pathlib import Path

import torch

from helpers import __main__ as cli
from helpers import pretraining

real = pretraining.pretrain


def digest(bert):
    weights = torch.cat([weights.detach().flatten() for weights in bert.parameters()])
    return hashlib.sha256(weights.numpy().tobytes()).hexdigest()


def spy(bert, *arguments, **options):
    before = digest(bert)
    for checkpoint in real(bert, *arguments, **options):
        Path(f"weights-{os.environ['RANK']}").write_text(f"{before} {digest(checkpoint.model)}")
        yield checkpoint


pretraining.pretrain = spy
sys.exit(cli.main(sys.argv[1:]))
"""


def test_torchrun_trains_one_model(tmp_path):
    (tmp_path / "spy.py").write_text(SPY)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "spy.py",
    ]
    command += ["pretrain", "--arm", "span", "--tokens", "32768", "--scale", "smoke", "--dtype", "float32"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [*command, "--out", "out"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500
    )
    assert run.returncode == 0, run.stderr
    (folder,) = (tmp_path / "out").glob("pretrained-span-*")
    assert run.stdout.count(f"Model, tokenizer and history.csv: {folder}") == 1  # the other one is silent
    bert, tokenizer = AutoModelForMaskedLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer) == bert.config.vocab_size == 800 and not (folder / "states").exists()

    of = experiment.replicate(choose("smoke"))
    settings = replace(SCALES["smoke"].pretraining, strategy="span")
    shape = replace(SCALES["smoke"].model, vocabulary_size=800)
    ranks = [(tmp_path / f"weights-{rank}").read_text().split() for rank in range(2)]
    assert ranks[0] == ranks[1]  # the same weights before and after
    start = weights_of(model.build(shape, 0)).numpy().tobytes()
    assert ranks[0][0] == hashlib.sha256(start).hexdigest()  # and one process starts from the same

    # One process with four streams of masks: what masks alone make of the loss.
    alone = [
        next(pretrain(model.build(shape, 0), of.blocks, settings, (32_768,), group=Group(rank=rank))).losses[
            -1
        ][1]
        for rank in range(4)
    ]
    loss = pd.read_csv(folder / "history.csv")["loss"].iloc[-1]
    spread = max(alone) - min(alone)
    # The first process's loss is over half of the rows, so its own noise is larger by the root of 2.
    assert abs(loss - sum(alone) / 4) < 3 * spread
