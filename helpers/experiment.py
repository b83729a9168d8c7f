"""The grid: replicates × arms × slices, into one tidy table.

A replicate is one seed, and the seed decides everything that chance could: the world and its names, the
initial weights, the order of the rows, the masks, which sentences are labelled. Its arms share all of that
but the positions that are hidden. Every arm of every replicate is one artifact, so that a run can be
interrupted and goes on where it was.
"""

import hashlib
import json
import math
import os
import shutil
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from multiprocessing import get_context, parent_process
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from tqdm.auto import tqdm
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertForMaskedLM,
    BertForTokenClassification,
    PreTrainedTokenizerFast,
)
from transformers.utils.logging import disable_progress_bar

from helpers import artifacts, corpora, model, scoring, tokenization
from helpers.finetuning import finetune, predict
from helpers.pretraining import pretrain
from helpers.settings import ROOT, FinetuningSettings, PretrainingSettings, Settings

REFERENCE = ROOT / "data" / "reference" / "results.csv"
TEXT_COLUMNS = ("corpus", "arm", "type", "novelty", "length")  # of the results table; the others are numbers
PREPARING = ("world", "corpora", "tokenization")  # modules that decide what a replicate is
TRAINING = (*PREPARING, "masking", "model", "pretraining")
SCORING = (*TRAINING, "finetuning", "scoring", "experiment")
NOTEBOOK_MINUTES = {"smoke": 1.5, "laptop": 2.2, "gpu": 4.5}  # of a run's minutes; for gpu a guess
MOST_WORKERS = 4  # a worker holds 0.7 GB, and a run should fit into 4 GB
SECONDS_TO_STOP = 15  # for a worker that is asked to stop; a fine-tuning run is not cut short
SUBMISSIONS = 3  # of a run to an executor, before it counts as lost

disable_progress_bar()  # loading a tiny model takes milliseconds, and its bar would break ours


# --- what a replicate is ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Replicate:
    """One seed's corpus, vocabulary and packed text, shared by all its arms."""

    seed: int
    corpus: corpora.Corpus
    tokenizer: PreTrainedTokenizerFast
    blocks: tokenization.Blocks
    length: int

    @cached_property
    def tags(self) -> list[str]:
        """Names of the tags, in the order of their numbers."""
        return self.corpus.splits["test"].features["ner_tags"].feature.names

    @cached_property
    def test(self) -> tokenization.Windows:
        """The whole test split."""
        return self._windows("test")

    def sentences(self, split: str) -> list[list[str]]:
        """The words of a split's sentences."""
        return list(self.corpus.splits[split]["tokens"])

    def gold(self, split: str = "test") -> list[list[str]]:
        """The IOB2 tags of a split's sentences."""
        return [[self.tags[tag] for tag in tags] for tags in self.corpus.splits[split]["ner_tags"]]

    def labelled_rows(self, count: int, subset: int) -> list[int]:
        """Which training sentences are labelled: a larger `count` holds all of a smaller one.

        Raises:
            ValueError: there are fewer than `count`.
        """
        order = list(range(len(self.corpus.splits["train"])))
        if not 0 < count <= len(order):
            raise ValueError(f"{count} labelled sentences are asked for; choose from 1 to {len(order)}")
        Random(1_000 * self.seed + subset).shuffle(order)
        return order[:count]

    def labelled(self, count: int, subset: int = 0) -> tokenization.Windows:
        """`count` labelled training sentences, the same ones for every arm."""
        return self._windows("train", self.labelled_rows(count, subset))

    def _windows(self, split: str, rows: list[int] | None = None) -> tokenization.Windows:
        data = self.corpus.splits[split] if rows is None else self.corpus.splits[split].select(rows)
        return tokenization.encode(list(data["tokens"]), list(data["ner_tags"]), self.tokenizer, self.length)


@lru_cache(maxsize=1)
def _user_corpus(corpus: str, text: tuple[str, ...], words: int) -> corpora.Corpus:
    return corpora.load(corpus, text or None, words=words)


@lru_cache(maxsize=2)
def replicate(settings: Settings, number: int = 0) -> Replicate:
    """Corpus, vocabulary and packed text of one replicate; vocabulary and rows are kept as an artifact.

    Raises:
        CorpusError: bad input, or too little text for one batch.
    """
    scale, seed = settings.scale, settings.scale.first_seed + number
    if settings.corpus == "world":
        corpus = corpora.load("world", world=replace(scale.world, seed=seed))
        vocabulary_size = scale.model.vocabulary_size
    else:
        corpus = _user_corpus(settings.corpus, settings.text, scale.words)
        vocabulary_size = scale.vocabulary_size_of_real_text
    if len(corpus.splits["train"]) < scale.core_sentences:
        raise corpora.CorpusError(
            f"{settings.corpus} has {len(corpus.splits['train'])} labelled training sentences, but scale "
            f"{scale.name} needs {scale.core_sentences}: give more, or choose --scale smoke"
        )

    def make(folder: Path) -> None:
        tokenizer = tokenization.train(corpus.text, vocabulary_size)
        rows = scale.pretraining.batch_size
        blocks = tokenization.pack(corpus.text, tokenizer, scale.model.length, minimum_rows=rows)
        tokenizer.save_pretrained(folder)
        save_file(
            {name: tensor.contiguous() for name, tensor in vars(blocks).items()},
            folder / "blocks.safetensors",
        )

    key = (corpus.provenance, vocabulary_size, scale.model.length, artifacts.source_hash(*PREPARING))
    try:
        folder = artifacts.build("rows", key, make)
    except ValueError as error:
        source = ", ".join(settings.text) or settings.corpus
        raise corpora.CorpusError(f"{source}: {error}") from error
    blocks = tokenization.Blocks(**load_file(folder / "blocks.safetensors"))
    return Replicate(seed, corpus, AutoTokenizer.from_pretrained(folder), blocks, scale.model.length)


# --- how much fits ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """What will run here: how many replicates, in what precision, on what, and how long it takes."""

    scale: str
    arms: tuple[str, ...]
    replicates: int
    wanted: int
    minutes: float  # for everything, measured at the start
    limit: float | None  # minutes that it was to fit into, if any
    device: str
    dtype: str
    workers: int  # processes that train side by side
    tokens_per_second: int  # pre-training, all workers together
    finetuning_seconds: float  # one run with its prediction
    tokens: tuple[int, ...]
    labelled_sentences: tuple[int, ...]
    key: str

    def __str__(self) -> str:
        fits = ""
        if self.limit and self.minutes > self.limit:
            fits = f" (the least there is; it takes longer than {self.limit:g} minutes)"
        elif self.limit and self.replicates < self.wanted:
            fits = f" (as many as fit into {self.limit:g} minutes; {self.wanted} wanted)"
        return (
            f"Scale {self.scale}: {self.replicates} paired replicate{'s' * (self.replicates > 1)}{fits} "
            f"of {len(self.arms)} arms "
            f"({', '.join(self.arms)}),\n"
            f"{self.tokens[-1]:,} tokens of pre-training for each, then fine-tuning on "
            f"{', '.join(map(str, self.labelled_sentences))} labelled sentences.\n"
            f"Measured here: {self.tokens_per_second:,} tokens per second on {self.device} in {self.dtype} "
            f"({self.workers} at a time), {self.finetuning_seconds:.1f} s a fine-tuning run.\n"
            f"That takes about {self.minutes:.0f} minutes where nothing is done yet."
        )


def plan(settings: Settings, *, minutes: float | None = None, replicates: int | None = None) -> Plan:
    """What a run would be here. Measured once for each set of options and kept in `settings.out`.

    Args:
        minutes: what the run is to fit into; the scale's own if left out.
        replicates: run so many, however long it takes.

    Raises:
        CorpusError: bad input.
        ValueError: fewer than one replicate or minute.
    """
    if (replicates is not None and replicates < 1) or (minutes is not None and minutes <= 0):
        raise ValueError("minutes and replicates must be positive")
    file = settings.out / "plan.json"
    made_from = (settings, _corpus_key(settings), artifacts.source_hash(*SCORING))
    key = hashlib.sha256(repr(made_from).encode()).hexdigest()[:12]
    wish = f"{key} {minutes} {replicates}"
    old = read_plan(settings)
    if old and old.device == _device():  # a plan for a GPU does not hold without one
        as_before = minutes is None and replicates is None and old.key.startswith(key)
        if as_before or old.key == wish:
            return old
    made = _measure(settings, minutes, replicates, wish, old)
    artifacts.write(file, json.dumps(asdict(made), indent=1) + "\n")
    return made


def read_plan(settings: Settings) -> Plan | None:
    """The plan of the last run; None if there is none, or one that another version of the series wrote."""
    try:
        values = json.loads((settings.out / "plan.json").read_text(encoding="utf-8"))
        return Plan(
            **{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        )
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def _measure(
    settings: Settings, minutes: float | None, replicates: int | None, key: str, old: Plan | None
) -> Plan:
    """Times a few steps of everything, chooses the precision, and works out how many replicates fit.

    An older plan keeps its precision: what was trained in one is not comparable with, and not found among,
    what is trained in another.
    """
    scale = settings.scale
    device = _device()
    workers = 1 if device == "cuda" else min(os.cpu_count() or 1, MOST_WORKERS)
    started = time.perf_counter()
    first = replicate(settings)
    preparing = time.perf_counter() - started
    threads = torch.get_num_threads()
    torch.set_num_threads(_threads(workers))
    bert = _new_model(settings, first).to(device)
    run = replace(scale.pretraining, strategy="span", seed=first.seed)
    dtypes = precisions(torch.cuda.get_device_capability() if device == "cuda" else None)
    if old and old.device == device:
        dtypes = (old.dtype,)
    speeds = {dtype: _training_speed(bert, first, run, dtype) for dtype in dtypes}
    dtype = max(speeds, key=speeds.get)
    labelled = first.labelled(scale.core_sentences)
    finetuning, tagger = _finetuning_seconds(bert, first, labelled, scale.finetuning, dtype)
    test = first.test  # encoded here: a worker does it once for all its runs
    predict(tagger, test, dtype)  # warms up
    started = time.perf_counter()
    predict(tagger, test, dtype)
    finetuning += time.perf_counter() - started
    torch.set_num_threads(threads)

    sizes = tuple(n for n in scale.labelled_sentences if n <= len(first.corpus.splits["train"]))
    arms = [
        preparing
        + len(cells(settings, arm, sizes)) * finetuning
        + (arm != "none") * _tokens_trained(settings) / speeds[dtype]
        for arm in reversed(scale.arms)
    ]  # seconds
    limit = None if replicates else minutes or scale.minutes

    def takes(count: int) -> float:
        return NOTEBOOK_MINUTES.get(scale.name, 0) + _side_by_side(count * arms, workers) / 60

    fitting = [count for count in range(1, scale.replicates + 1) if limit and takes(count) <= limit]
    count = replicates or max(fitting, default=1)
    return Plan(
        scale=scale.name,
        arms=scale.arms,
        replicates=count,
        wanted=replicates or scale.replicates,
        minutes=round(takes(count), 1),
        limit=limit,
        device=device,
        dtype=dtype,
        workers=workers,
        tokens_per_second=round(speeds[dtype] * workers),
        finetuning_seconds=round(finetuning, 2),
        tokens=scale.tokens,
        labelled_sentences=sizes,
        key=key,
    )


def precisions(capability: tuple[int, int] | None) -> tuple[str, ...]:
    """The precisions that are timed on a device: float32, and one of 16 bits.

    bfloat16 needs no loss scaling. A GPU without it, such as a T4, can imitate it, but slowly, so float16 is
    timed there. (`torch.cuda.is_bf16_supported()` answers yes for such a GPU too.)

    Args:
        capability: of a GPU, as `torch.cuda.get_device_capability()` gives it: (7, 5) for a T4. From (8, 0)
            on bfloat16 is native (source of `torch.cuda.is_bf16_supported`). None for a CPU.
    """
    return ("float32", "float16" if capability and capability < (8, 0) else "bfloat16")


def _side_by_side(seconds: Sequence[float], workers: int) -> float:
    """Seconds until all tasks are done, if each goes to the worker that is free first."""
    busy = [0.0] * workers
    for task in seconds:
        busy[busy.index(min(busy))] += task
    return max(busy)


def _training_speed(bert: BertForMaskedLM, of: Replicate, run: PretrainingSettings, dtype: str) -> float:
    """Tokens per second over four steps, after two that warm up."""
    ticks: list[float] = []
    tokens = run.batch_size * of.length
    list(
        pretrain(
            bert, of.blocks, run, (6 * tokens,), dtype=dtype, progress=lambda _: ticks.append(time.time())
        )
    )
    return 4 * tokens / (ticks[-1] - ticks[1])


def _finetuning_seconds(
    bert: BertForMaskedLM,
    of: Replicate,
    labelled: tokenization.Windows,
    recipe: FinetuningSettings,
    dtype: str,
) -> tuple[float, BertForTokenClassification]:
    """What a run will take, from a very short one and a short one, and the tagger of the latter."""
    seconds = {}
    for steps in (8, 2, 34):  # the first one warms up
        started = time.perf_counter()
        tagger = finetune(bert, labelled, of.tags, replace(recipe, steps=steps), dtype)
        seconds[steps] = time.perf_counter() - started
    per_step = (seconds[34] - seconds[2]) / 32
    return seconds[2] + (recipe.steps - 2) * max(per_step, 0), tagger


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _threads(workers: int) -> int:
    return max(1, (os.cpu_count() or 1) // workers)


def _tokens_trained(settings: Settings) -> int:
    """Tokens of one arm, the branches that cool for the smaller budgets included."""
    *smaller, largest = settings.scale.tokens
    return round(largest + settings.scale.pretraining.cooldown * sum(smaller))


def cells(settings: Settings, arm: str, sizes: Sequence[int]) -> list[tuple[int, int, int]]:
    """What is fine-tuned for an arm: (tokens seen, labelled sentences, subset).

    The core cell is scored on several labelled subsets; the slices through it, which move one factor, on one.
    `sizes` are the numbers of labelled sentences that the corpus has enough of.
    """
    scale = settings.scale
    *smaller, largest = (0,) if arm == "none" else scale.tokens
    core = [(largest, scale.core_sentences, subset) for subset in range(scale.subsets)]
    budgets = [(tokens, scale.core_sentences, 0) for tokens in smaller]
    return core + budgets + [(largest, n, 0) for n in sizes if n != scale.core_sentences]


# --- one arm of one replicate ----------------------------------------------------------------------


def _new_model(settings: Settings, of: Replicate) -> BertForMaskedLM:
    return model.build(replace(settings.scale.model, vocabulary_size=len(of.tokenizer)), of.seed)


def _key(settings: Settings, arm: str, number: int, sources: tuple[str, ...], dtype: str) -> tuple:
    scale = replace(settings.scale, name="", replicates=0, minutes=0, arms=())
    return (
        _corpus_key(settings),
        scale,
        arm,
        scale.first_seed + number,
        dtype,
        artifacts.source_hash(*sources),
    )


@lru_cache(maxsize=4)
def _corpus_key(settings: Settings) -> str:
    """A hash of the files that the corpus is made from."""
    folder = ROOT / "data" / "world" if settings.corpus == "world" else Path(settings.corpus)
    if not folder.is_dir():
        raise corpora.CorpusError(f"{folder}: no such folder. Check the path.")
    paths = [*sorted(path for path in folder.iterdir() if path.is_file()), *map(Path, settings.text)]
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:  # a large text is not read into memory at once
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _pretrained(
    settings: Settings, plan: Plan, arm: str, number: int, progress: Callable[[int], None]
) -> Path:
    """The artifact with a checkpoint for each budget of one arm, in folders named by their tokens."""

    def make(folder: Path) -> None:
        of = replicate(settings, number)
        bert = _new_model(settings, of).to(plan.device)
        run = replace(settings.scale.pretraining, strategy=arm, seed=of.seed)
        states = folder / "states"  # of an attempt that was stopped, from which training goes on
        timer = _Timer(states / "seconds.json")

        def step(tokens: int) -> None:
            timer.tick()
            progress(tokens)

        for checkpoint in pretrain(
            bert, of.blocks, run, settings.scale.tokens, dtype=plan.dtype, progress=step, folder=states
        ):
            place = folder / str(checkpoint.tokens_seen)
            checkpoint.model.save_pretrained(place)
            of.tokenizer.save_pretrained(place)
            history = pd.DataFrame(checkpoint.losses, columns=["tokens_seen", "loss"])
            history.to_csv(place / "history.csv", index=False)
        cost = {"arm": arm, "replicate": of.seed, **timer.spent()}
        pd.DataFrame([cost]).to_csv(folder / "cost.csv", index=False)
        shutil.rmtree(states)

    key = _key(settings, arm, number, TRAINING, plan.dtype)
    return artifacts.build("pretrained", key, make, resumable=True)


class _Timer:
    """What a pre-training run takes, over all its attempts; the pauses between them do not count.

    Every few seconds it is noted in a file, which the next attempt reads. A kill loses what came after the
    last note; steps that have to be taken again after it count again, since the machine did take them.
    """

    def __init__(self, file: Path):
        self.file = file
        self.before = json.loads(file.read_text()) if file.exists() else {"seconds": 0.0}
        self.ticks = [time.perf_counter()]
        self.noted = -math.inf  # the first step is noted, so that there is never no time of a step

    def tick(self) -> None:
        """To be called after each step."""
        self.ticks.append(time.perf_counter())
        if self.ticks[-1] - self.noted > 5:
            self.noted = self.ticks[-1]
            artifacts.write(self.file, json.dumps(self.spent()))

    def spent(self) -> dict[str, float]:
        """`seconds_per_step`: median over the steps of the last attempt that took any; `seconds`: of all."""
        seconds = self.before["seconds"] + self.ticks[-1] - self.ticks[0]
        if len(self.ticks) == 1:
            return {**self.before, "seconds": seconds}
        return {"seconds_per_step": float(np.median(np.diff(self.ticks))), "seconds": seconds}


def pretrained(settings: Settings, arm: str, number: int = 0, tokens: int | None = None) -> Path:
    """The checkpoint folder of an arm, built if missing, with a progress bar.

    Args:
        arm: a masking strategy, "token", "whole_word" or "span".
        tokens: one of the scale's budgets; the largest if left out.

    Raises:
        ValueError: `tokens` is none of them.
    """
    budgets = settings.scale.tokens
    if tokens not in (None, *budgets):
        raise ValueError(f"no checkpoint is kept after {tokens} tokens; choose from {budgets}")
    chosen = plan(settings)
    there = artifacts.exists("pretrained", _key(settings, arm, number, TRAINING, chosen.dtype))
    total = _tokens_trained(settings)
    with tqdm(total=total, unit=" tokens", unit_scale=True, desc=arm, leave=False, disable=there) as bar:
        folder = _pretrained(settings, chosen, arm, number, bar.update)
    return folder / str(tokens or budgets[-1])


def _tagged(
    settings: Settings, plan: Plan, of: Replicate, bert: BertForMaskedLM, count: int, subset: int
) -> list[list[str]]:
    """Fine-tunes on one labelled subset and tags the test split; the seed is the same for every arm."""
    recipe = replace(settings.scale.finetuning, seed=1_000 * of.seed + subset)
    tagger = finetune(bert, of.labelled(count, subset), of.tags, recipe, plan.dtype)
    return tokenization.decode(of.test, predict(tagger, of.test, plan.dtype), of.sentences("test"), of.tags)


def _model_of(settings: Settings, plan: Plan, arm: str, number: int, tokens: int) -> BertForMaskedLM:
    of = replicate(settings, number)
    if arm == "none":
        return _new_model(settings, of).to(plan.device)
    folder = _pretrained(settings, plan, arm, number, lambda tokens: None)
    bert = AutoModelForMaskedLM.from_pretrained(folder / str(tokens), attn_implementation="eager")
    return bert.to(plan.device)


def predictions(
    settings: Settings, arm: str, number: int = 0, labelled_sentences: int | None = None, subset: int = 0
) -> tuple[list[list[str]], list[list[str]]]:
    """Gold and predicted IOB2 tags of the test split for one arm; "none" is not pre-trained at all."""
    chosen, of = plan(settings), replicate(settings, number)
    if arm != "none":
        pretrained(settings, arm, number)  # with a progress bar
    bert = _model_of(settings, chosen, arm, number, settings.scale.tokens[-1])
    count = labelled_sentences or settings.scale.core_sentences
    return of.gold(), _tagged(settings, chosen, of, bert, count, subset)


def _scores(settings: Settings, plan: Plan, arm: str, number: int, progress: Callable[[int], None]) -> Path:
    """The artifact with one arm's rows of the results table."""

    def make(folder: Path) -> None:
        if arm != "none":
            cost = _pretrained(settings, plan, arm, number, progress) / "cost.csv"
            (folder / "cost.csv").write_bytes(cost.read_bytes())
        of = replicate(settings, number)
        text = scoring.SurfaceIndex(of.corpus.text)
        train, tables = of.sentences("train"), []
        for tokens, count, subset in cells(settings, arm, plan.labelled_sentences):
            bert = _model_of(settings, plan, arm, number, tokens)
            predicted = _tagged(settings, plan, of, bert, count, subset)
            seen = text.with_labelled([train[row] for row in of.labelled_rows(count, subset)])
            table = scoring.count(of.gold(), predicted, sentences=of.sentences("test"), novelty=seen)
            cell = {
                "corpus": Path(settings.corpus).resolve().name,
                "arm": arm,
                "replicate": of.seed,
                "mask_rate": 0.0 if arm == "none" else settings.scale.pretraining.mask_rate,
                "tokens_seen": tokens,
                "labelled_sentences": count,
                "subset": subset,
            }
            tables.append(table.assign(**cell)[[*cell, *table.columns]])
            progress(_finetuning_tokens(settings))
        pd.concat(tables).to_csv(folder / "scores.csv", index=False)

    return artifacts.build("scores", _key(settings, arm, number, SCORING, plan.dtype), make)


def _finetuning_tokens(settings: Settings) -> int:
    """What a fine-tuning run counts on the progress bar, in tokens of pre-training that take as long."""
    recipe = settings.scale.finetuning
    return 75 * (recipe.steps * recipe.batch_size + settings.scale.world.test // 3)


# --- the grid --------------------------------------------------------------------------------------

KILLED = "A process that trained was killed, mostly for want of memory."
_done = _stop = None  # in a worker: what it shares with the process that shows the progress bar


class WorkersLost(BrokenExecutor):
    """Runs whose processes were killed or whose machines went away; the message names them."""

    def __init__(self, tasks: Sequence[tuple[str, int]], reason: str = KILLED):
        runs = ", ".join(f"{arm} of replicate {number}" for arm, number in tasks)
        super().__init__(
            f"{reason} Not finished: {runs}. What is finished is kept: the same command goes on from there."
        )


def _start_worker(done, stop, threads: int) -> None:
    global _done, _stop
    _done, _stop = done, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all processes; `stop` is for these
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this worker when the run that started it is gone, however it was killed."""
    parent_process().join()
    os._exit(1)


def _work(settings: Settings, plan: Plan, arm: str, number: int) -> None:
    def progress(tokens: int) -> None:
        with _done.get_lock():
            _done.value += tokens
        if _stop.value:
            raise KeyboardInterrupt  # at the end of a step: its state is kept

    progress(0)  # a run that was waiting does not start once the others stop
    _scores(settings, plan, arm, number, progress)


_alone = threading.Lock()


def _work_elsewhere(settings: Settings, plan: Plan, arm: str, number: int) -> Exception | None:
    """One arm of one replicate, wherever an executor runs it. An error of the run itself is returned.

    So nothing that the executor raises is the run's own: it may go well on another try. RuntimeErrors are
    among these: CUDA's, and submitit's when a time limit ends a job.
    """
    with _alone:  # weights and dropout are drawn from the one generator of a process, and dask has threads
        try:
            _scores(settings, replace(plan, device=_device()), arm, number, lambda tokens: None)
        except RuntimeError:
            raise
        except Exception as error:
            error.add_note(traceback.format_exc())  # a traceback itself does not travel
            return error


def results(settings: Settings, executor: Any = None) -> pd.DataFrame:
    """The results table of the plan, `settings.out/results.csv`; runs what is missing, with a progress bar.

    Can be interrupted at any time: a finished arm of a replicate is kept, and one that is not goes on from
    its last state. Beside the table stands `costs.csv`: seconds per step of each pre-training run.

    Args:
        executor: runs each arm of each replicate elsewhere: anything whose `submit(function, *arguments)`
            gives an object with `done()` and `result()`, such as submitit's `AutoExecutor`, dask's
            `Client.get_executor()` or a pool of `concurrent.futures`. Its processes have to see the project's
            folder, the corpus and the text at the same paths, on a file system with locks: artifacts are
            shared through it. The precision is the plan's, which is measured here; the device is the
            worker's own. Processes of this machine if left out.

    Returns:
        One row per corpus, arm, replicate (its seed), mask rate, tokens seen, number of labelled sentences,
        labelled subset, type, novelty and length bucket, with gold, predicted and correct counts.

    Raises:
        WorkersLost: processes were killed; with an executor, again and again.
        FloatingPointError, MemoryError, CheckpointError: see `pretraining.pretrain`.
    """
    chosen = plan(settings)
    tasks = [(arm, number) for number in range(chosen.replicates) for arm in reversed(chosen.arms)]
    missing = [
        task for task in tasks if not artifacts.exists("scores", _key(settings, *task, SCORING, chosen.dtype))
    ]
    if missing:
        _run(settings, chosen, missing, executor)
    folders = [_scores(settings, chosen, *task, lambda tokens: None) for task in tasks]
    table = pd.concat([read_table(folder / "scores.csv") for folder in folders])
    costs = [pd.read_csv(folder / "cost.csv") for folder in folders if (folder / "cost.csv").exists()]
    artifacts.write(settings.out / "results.csv", table.to_csv(index=False, lineterminator="\n"))
    if costs:  # the arm without pre-training has none
        artifacts.write(settings.out / "costs.csv", pd.concat(costs).to_csv(index=False, lineterminator="\n"))
    return table.reset_index(drop=True)


def _run(settings: Settings, plan: Plan, tasks: list[tuple[str, int]], executor: Any) -> None:
    """Makes the scores of each (arm, replicate number): one after the other, side by side or elsewhere."""
    sizes = {task: _size(settings, plan, *task) for task in tasks}
    total = sum(sizes.values())
    with tqdm(total=total, unit=" tokens", unit_scale=True, desc=f"{len(tasks)} runs", smoothing=0.02) as bar:
        if executor is not None:
            _run_elsewhere(settings, plan, sizes, executor, bar)
        elif plan.workers > 1:
            _run_side_by_side(settings, plan, tasks, bar)
        else:
            for task in tasks:
                _scores(settings, plan, *task, bar.update)
        bar.update(max(0, total - bar.n))  # steps from before an interrupt were not counted


def _size(settings: Settings, plan: Plan, arm: str, number: int) -> int:
    """What a run counts on the progress bar, in tokens of pre-training."""
    finetuning = len(cells(settings, arm, plan.labelled_sentences)) * _finetuning_tokens(settings)
    key = _key(settings, arm, number, TRAINING, plan.dtype)
    trained = arm == "none" or artifacts.exists("pretrained", key)
    return finetuning + (0 if trained else _tokens_trained(settings))


def _run_side_by_side(settings: Settings, plan: Plan, tasks: list[tuple[str, int]], bar: tqdm) -> None:
    context = get_context("spawn")
    done = context.Value("q", 0)
    stop = context.RawValue("b", 0)  # without a lock, which a worker could take to its grave
    options = (done, stop, _threads(plan.workers))
    pool = ProcessPoolExecutor(plan.workers, context, _start_worker, options)
    futures: dict = {}
    try:
        with _interrupts_blocked():
            for task in tasks:
                futures[pool.submit(_work, settings, plan, *task)] = task
        waiting = set(futures)
        while waiting:
            finished, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
            bar.update(done.get_obj().value - bar.n)
            for future in finished:
                future.result()  # raises what the worker raised
    except BrokenExecutor as error:
        whole = {task for future, task in futures.items() if future.done() and not future.exception()}
        raise WorkersLost([task for task in tasks if task not in whole]) from error
    except BaseException:
        stop.value = 1
        try:
            wait(futures, timeout=SECONDS_TO_STOP)
        finally:
            for process in list(pool._processes.values()):
                process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Ctrl-C waits until the end of the block; processes that start in it never see one, nor die of it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run_elsewhere(
    settings: Settings, plan: Plan, sizes: dict[tuple[str, int], int], executor: Any, bar: tqdm
) -> None:
    """Has an executor do all runs, and those again whose worker was lost, once the others are done."""
    finished: set[tuple[str, int]] = set()
    for _ in range(SUBMISSIONS):
        jobs: dict = {}
        try:
            for task in sizes:
                if task not in finished:
                    jobs[task] = executor.submit(_work_elsewhere, settings, plan, *task)
            while jobs:
                time.sleep(0.2)
                for task in [task for task, job in jobs.items() if job.done()]:
                    try:
                        error = jobs.pop(task).result()
                    except Exception as problem:
                        lost = problem  # and the task is submitted again when all the others are done
                        continue
                    if error is not None:
                        raise error
                    finished.add(task)
                    bar.update(sizes[task])
        except BrokenExecutor as error:  # a pool that lost a process takes no more
            raise WorkersLost([task for task in sizes if task not in finished]) from error
        except BaseException:
            for job in jobs.values():
                getattr(job, "cancel", int)()  # if it can be; `int` does nothing
            raise
        if len(finished) == len(sizes):
            return
    reason = f"Workers were lost {SUBMISSIONS} times, the last one with {type(lost).__name__}."
    raise WorkersLost([task for task in sizes if task not in finished], reason) from lost


def reference() -> pd.DataFrame:
    """The results table that is committed with the series: the `laptop` run of its authors."""
    return read_table(REFERENCE)


def read_table(file: Path) -> pd.DataFrame:
    """A results table from its file. A corpus called "2003" or a type called "NA" is text all the same."""
    return pd.read_csv(file, dtype=dict.fromkeys(TEXT_COLUMNS, str), keep_default_na=False)


def reference_costs() -> pd.DataFrame:
    """What the pre-training runs behind `reference` cost; columns as in `costs`."""
    return pd.read_csv(REFERENCE.with_name("costs.csv"))


def costs(settings: Settings) -> pd.DataFrame:
    """What each pre-training run of a finished plan cost: arm, replicate, seconds_per_step, seconds."""
    return pd.read_csv(settings.out / "costs.csv")
