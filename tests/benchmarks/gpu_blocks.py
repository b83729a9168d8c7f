"""Blocks of the reference on a machine with one GPU, within minutes: a process for each seed and world.

    python -m tests.benchmarks.gpu_blocks E real --minutes 9
    python -m tests.benchmarks.gpu_blocks --check --speed

The steps are replayed as CUDA graphs (`graphs.py`), in bfloat16 compiled as well, and a few processes share
the GPU: on an H100, two got further together than sixteen, which wait for each other
(data/reference/gpu.json). The arms, the loop, the masks and the recipe are those of `python -m helpers
reference`. `--check` trains both ways and prints how far apart they are and what each takes,
`--check-finetuning` likewise; `--speed` times steps of a few sizes.

A seed is written as soon as all its arms are scored. What is not written when the minutes are over is lost.
"""

import argparse
import tempfile
import time
import traceback
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import replace
from functools import partial
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from helpers import finetuning, model, pretraining
from helpers.blocks import BLOCKS, Block
from helpers.masking import Vocabulary
from helpers.model import masked_lm_loss
from helpers.running import artifacts, reference, replicate
from helpers.running.arm import Arm
from helpers.settings import FinetuningSettings, ModelSettings, PretrainingSettings, Settings
from helpers.tokenization import Blocks, Windows
from tests.benchmarks import graphs
from tests.benchmarks.graphs import Compiled, Graphed

SIZES = (  # layers, units, rows, their length, precision
    (2, 128, 32, 64, "float32"),
    (4, 256, 32, 128, "float32"),
    (4, 256, 512, 128, "float32"),
    (4, 256, 128, 128, "bfloat16"),
    (4, 256, 512, 128, "bfloat16"),
)
CHECKED_TOKENS = 400_000, 1_200_000  # the second budget sees rows of all three lengths

Unit = tuple[str, int, tuple[reference.Task, ...]]  # name of a block, seed, tasks


def units(blocks: list[Block]) -> list[Unit]:
    """List what is missing of some blocks: the tasks that invent the same world together, others alone."""
    found: list[Unit] = []
    for block in blocks:
        for seed in block.seeds:
            if seed not in reference.done(block):
                tasks = reference.tasks(block, seed)
                if block.corpus != "world":
                    found += [(block.name, seed, (task,)) for task in tasks]
                    continue
                for _, some in groupby(tasks, lambda task: task.arm.settings):
                    found.append((block.name, seed, tuple(some)))
    return found


def group_for(dtype: str) -> pretraining.Group:
    """Return how a process trains: on a GPU it replays its passes, which are compiled for bfloat16."""
    if not torch.cuda.is_available():
        return pretraining.Group()
    return Compiled() if dtype == "bfloat16" else Graphed()


def prepare(settings: Settings) -> None:
    """Make the vocabulary, the packed rows and the index of names that all seeds of a block share."""
    replicate.load(settings)
    replicate.surface_index(settings)


def pretrained(arm: Arm) -> Path:
    """Return the folder with the checkpoints of an arm; train them if needed, the fast way."""
    make = partial(arm.train_into, group=group_for(arm.dtype))
    return artifacts.build("pretrained", arm.training_key, make, resumable=True)


def work(unit: Unit) -> str:
    """Make the scores of a unit's arms; return a line that says what they took."""
    _, _, tasks = unit
    began, trained = time.monotonic(), 0.0
    for task in tasks:
        if task.arm.training_key:
            task.arm.replicate  # noqa: B018 (what the arms share is not part of what training takes)
            before = time.monotonic()
            pretrained(task.arm)
            trained += time.monotonic() - before
        task.arm.scores()
    replicate.load.cache_clear()
    million = sum(task.arm.tokens_to_train for task in tasks) / 1e6
    return f"{len(tasks)} arms, {million:.0f} M tokens in {trained:.0f} of {time.monotonic() - began:.0f} s"


def run(blocks: list[Block], processes: int, minutes: float, graphed: bool = True) -> None:
    """Make blocks, and stop when the minutes are over; fine-tuning is not graphed if so wanted."""
    end, began = time.monotonic() + 60 * minutes, time.monotonic()
    left, by_name = units(blocks), {block.name: block for block in blocks}
    waiting = {(name, seed): sum(one[:2] == (name, seed) for one in left) for name, seed, _ in left}
    pool = ProcessPoolExecutor(processes, get_context("spawn"), graphs.start, (graphed,))
    for block in blocks:
        if block.corpus != "world":
            pool.submit(prepare, reference.tasks(block, block.first_seed)[0].arm.settings)
    futures = {pool.submit(work, unit): unit for unit in left}
    open_ones = set(futures)
    while open_ones and time.monotonic() < end:
        ended, open_ones = wait(open_ones, timeout=1, return_when=FIRST_COMPLETED)
        for future in ended:
            name, seed, _ = futures[future]
            error = future.exception()  # it costs its own seed, and no other
            said = "".join(traceback.format_exception(error)) if error else future.result()
            print(f"{time.monotonic() - began:4.0f} s: {name} {seed}, {said}", flush=True)
            waiting[name, seed] -= not error
            if not waiting[name, seed]:
                reference.write(by_name[name], seed, reference.tasks(by_name[name], seed))
    for process in list(pool._processes.values()):
        process.kill()
    pool.shutdown(wait=False, cancel_futures=True)
    for block in blocks:
        print(f"block {block.name}: {len(reference.done(block))} of {block.replicates} seeds")
    if broken := [futures[future][:2] for future in set(futures) - open_ones if future.exception()]:
        raise SystemExit(f"an arm failed, as said above, in {sorted(set(broken))}")


def check() -> None:
    """Train two arms of block A for a little, step by step and as graphs, and compare."""
    block = replace(BLOCKS["A"], tokens=CHECKED_TOKENS)
    print(f"{model.device_name()}, torch {torch.__version__}, float32")
    for task in reference.tasks(block, block.first_seed):
        if task.arm.name not in ("token", "span"):
            continue
        ways = {}
        for name, group in (("step by step", pretraining.Group()), ("as graphs", Graphed())):
            with tempfile.TemporaryDirectory() as folder:
                began = time.monotonic()
                task.arm.train_into(Path(folder), group)
                seconds = time.monotonic() - began
                history = pd.read_csv(Path(folder) / str(CHECKED_TOKENS[-1]) / "history.csv")
                cost = pd.read_csv(Path(folder) / "cost.csv").iloc[0]
            ways[name] = history["loss"]
            speed = task.arm.tokens_to_train / seconds
            print(
                f"{task.arm.name} {name}: {1_000 * cost['seconds_per_step']:.2f} ms a step, {speed:,.0f} "
                f"tokens a second with the start, last loss {history['loss'].iloc[-1]:.4f}"
            )
        apart = (ways["step by step"] - ways["as graphs"]).abs()
        print(f"{task.arm.name}: losses at most {apart.max():.1e} apart, at first {apart.iloc[0]:.1e}")


def check_finetuning() -> None:
    """Fine-tune a model without dropout both ways, and compare its logits; then time both with dropout."""
    generator = torch.Generator().manual_seed(0)
    size = ModelSettings(8_192, 128, initializer_range=0.05)
    lengths = torch.randint(20, 128, (200, 1), generator=generator)
    there = torch.arange(128) < lengths  # [rows, length]
    ids = torch.randint(200, 8_192, there.shape, generator=generator)
    place = torch.arange(128).expand_as(ids).where(there, -1)
    labels = (ids % 3).where(there & (ids % 2 == 0), -100)
    windows = Windows(ids.where(there, 0), there.long(), labels, place, place)
    bert = model.build(size, 0).to(model.device())
    alone, made = finetuning.logits_at, {}
    for way in ("step by step", "as graphs"):
        if way == "as graphs":
            graphs.graph_finetuning()
        for dropout in (0.0, 0.1):
            recipe = FinetuningSettings(steps=300, dropout=dropout)
            began = time.monotonic()
            tagger = finetuning.finetune(bert, windows, ["O", "B-X", "I-X"], recipe)
            torch.cuda.synchronize()
            seconds = time.monotonic() - began
            with torch.no_grad():
                made[way, dropout] = tagger(windows.input_ids[:50].to(tagger.device)).logits
            print(f"fine-tuning {way}, dropout {dropout}: {1_000 * seconds / 300:.2f} ms a step")
    finetuning.logits_at = alone
    for dropout in (0.0, 0.1):
        one, other = made["step by step", dropout], made["as graphs", dropout]
        apart = ((one - other).norm() / one.norm()).item()
        print(f"logits after 300 steps with dropout {dropout}: {apart:.1e} apart")
        if not dropout and apart > 0.01:
            raise SystemExit("fine-tuning as graphs is not the same")


def speed() -> None:
    """Time steps of three sizes, and print their share of the rate of a large matrix product."""
    print(f"{model.device_name()}, torch {torch.__version__}")
    one = torch.randn(8_192, 8_192, device=model.device(), dtype=torch.bfloat16)
    peak = 2 * 8_192**3 / _seconds(lambda: one @ one)
    print(f"8192 x 8192 x 8192 in bfloat16: {peak / 1e12:.0f} TFLOP/s")
    for layers, size, rows, length, dtype in SIZES:
        settings = ModelSettings(8_192, length, size, layers, heads=size // 64)
        bert = model.build(settings, 0).to(model.device())
        recipe = PretrainingSettings(strategy="whole_word", batch_size=rows, short_rows=())
        training = pretraining.Training.start(bert, recipe, dtype)
        made = torch.randint(200, settings.vocabulary_size, (rows, length), device=bert.device)
        words = (torch.arange(length, device=bert.device) - 1).repeat(rows, 1)
        vocabulary = Vocabulary(settings.vocabulary_size, 4, (0, 1, 2, 3, 4))
        order = torch.arange(rows).expand(10_000, -1)
        blocks = Blocks(made, words)
        steps = pretraining.train(
            training, blocks, order, vocabulary, recipe, lambda step: 1e-4, dtype, group_for(dtype)
        )
        with FlopCounterMode(display=False) as counter:
            bert.zero_grad()
            masked_lm_loss(bert, made, words[:, 1 : 1 + round(0.15 * length)], made).backward()
        seconds = _seconds(lambda steps=steps: next(steps))
        share = counter.get_total_flops() / seconds / peak
        print(
            f"{layers} x {size}, 8,192 wordpieces, {rows} rows of {length}, {dtype}: "
            f"{rows * length / seconds:,.0f} tokens a second, {1_000 * seconds:.2f} ms a step, "
            f"{share:.1%} of the matrix rate",
            flush=True,
        )


def _seconds(call: Callable[[], object]) -> float:
    """Return the median time of a call on the GPU, after it has run a few times."""
    times = []
    for _ in range(60):
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(5):
            call()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - began) / 5)
    return sorted(times[10:])[25]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("blocks", nargs="*", choices=[*BLOCKS, []], metavar="BLOCK")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--eager-finetuning", action="store_true", help="fine-tune step by step")
    parser.add_argument("--prepare", action="store_true", help="pack the text of the blocks, and stop")
    parser.add_argument("--check", action="store_true", help="train both ways, and stop")
    parser.add_argument("--check-finetuning", action="store_true", help="fine-tune both ways, and stop")
    parser.add_argument("--speed", action="store_true", help="time steps of a few sizes, and stop")
    chosen = parser.parse_args()
    checks = {check: chosen.check, check_finetuning: chosen.check_finetuning, speed: chosen.speed}
    for one, wanted in checks.items():
        if wanted:
            one()
    names = [BLOCKS[name] for name in chosen.blocks]
    for block in names if chosen.prepare else []:
        prepare(reference.tasks(block, block.first_seed)[0].arm.settings)
    if not any((*checks.values(), chosen.prepare)):
        run(names, chosen.processes, chosen.minutes, not chosen.eager_finetuning)
