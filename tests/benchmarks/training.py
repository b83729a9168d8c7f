"""Training against `transformers.Trainer`: tokens per second, what each lever brings, where the time goes.

    python -m tests.benchmarks.training                                      (everything; about an hour)
    python -m tests.benchmarks.training --rounds 9 --json FILE --only pretraining levers

Model, data, batch and precision are the same for all. Every contestant lives in a spawned process of its own,
because what one does to a process (memory that is kept, compiled code) must not help or harm the next. They
take turns within each round, so that whatever else the machine does hits all of them alike; a turn is some
steps to warm up and then as many as fit into a few seconds. Tables give the median of the rounds with the
10th and 90th percentiles, ratios are those of the medians with the smallest and largest of any round.

The Trainer is given its special tokens beforehand, which saves it a loop over rows in Python.
"""

import argparse
import copy
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from datasets import Dataset
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertTokenizer,
    DataCollatorForLanguageModeling,
    DataCollatorForTokenClassification,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from helpers import experiment, model, pretraining, settings
from helpers.finetuning import finetune, predict
from helpers.masking import Masked, Scheme, Vocabulary, mask
from helpers.model import ModelSettings
from helpers.running import plan as plans
from helpers.running.arm import fine_tune_and_tag
from helpers.running.replicate import new_model
from helpers.settings import PretrainingSettings
from helpers.tokenization import SPECIAL_TOKENS, Blocks, Windows
from tests.benchmarks.masking import processor, text

PARTS = ("pretraining", "levers", "step", "finetuning", "memory", "growth", "gpu")
WARM_UP = 5  # steps at the start of each turn that are not timed
RATE = 1e-4  # of learning: it changes no time
MOST_PROCESSES = plans.MOST_WORKERS
TRAINER, TRAINER_LEAN, PLAIN = "Trainer", "Trainer, our model", "plain loop"
OURS, OURS_BY_CORE = "ours", "ours, one process per core"
MATRIX = "matrix product"
BAR_CORE_CELL = 4  # seconds
MEMORY_STEPS = 20
NOT_MEASURED = "not measured"
KINDS = {  # of operations; what is in none of them is "other"
    "matrix products": ("mm", "addmm", "bmm", "baddbmm"),
    "elementwise and normalisation": (
        *("add", "add_", "sub", "mul", "mul_", "div", "div_", "neg", "exp", "tanh", "sum", "mean", "where"),
        *("fill_", "zero_", "masked_fill_", "gelu", "gelu_backward", "_softmax", "_softmax_backward_data"),
        *("_log_softmax", "_log_softmax_backward_data", "nll_loss_forward", "nll_loss_backward"),
        *("native_layer_norm", "native_layer_norm_backward", "tanh_backward", "native_dropout"),
    ),
    "copies and casts": ("copy_", "_to_copy", "to", "clone", "contiguous", "cat"),
    "optimiser": ("_fused_adamw_",),
}


@dataclass(frozen=True)
class Effort:
    """How much is measured. `smoke` is for the tests: tiny models, short turns."""

    rounds: int
    seconds: float  # of a turn
    steps: int  # in a round of the parts of a step
    smoke: bool = False


@dataclass(frozen=True)
class Work:
    """A model to pre-train, and its data."""

    name: str
    model: ModelSettings
    input_ids: np.ndarray  # [rows, length]
    word_ids: np.ndarray  # [rows, length]
    pieces: tuple[str, ...]  # the vocabulary
    batch: int = 32  # rows

    @property
    def tokens(self) -> int:
        """Tokens of a step."""
        return self.batch * self.input_ids.shape[1]

    def blocks(self, device: str) -> Blocks:
        return Blocks(*(torch.from_numpy(ids).to(device) for ids in (self.input_ids, self.word_ids)))

    @property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary.of(self.tokenizer())

    def tokenizer(self) -> BertTokenizer:
        return BertTokenizer(vocab={piece: number for number, piece in enumerate(self.pieces)})


def world(smoke: bool) -> Work:
    """The experiment's own model and rows."""
    chosen = settings.choose("smoke" if smoke else "laptop")
    shared = experiment.replicate(chosen, 0)
    pieces = tuple(shared.tokenizer.convert_ids_to_tokens(range(len(shared.tokenizer))))
    shape = replace(chosen.scale.model, vocabulary_size=len(pieces))
    name = f"{shape.layers}x{shape.hidden_size}, world"
    return Work(name, shape, shared.blocks.input_ids.numpy(), shared.blocks.word_ids.numpy(), pieces)


def random_rows(shape: ModelSettings, rows: int, batch: int = 32) -> Work:
    """Random pieces, some words of several, for vocabularies that no text here fills."""
    ids, words, *_ = text(rows, shape.length, shape.vocabulary_size)
    pieces = (*SPECIAL_TOKENS, *(f"w{number}" for number in range(5, shape.vocabulary_size)))
    name = f"{shape.layers}x{shape.hidden_size}, {shape.vocabulary_size} wordpieces, length {shape.length}"
    return Work(name, shape, ids.numpy(), words.numpy(), pieces, batch)


def configurations(smoke: bool) -> list[Work]:
    if smoke:
        tiny = ModelSettings(vocabulary_size=1_200, length=32, hidden_size=32, layers=1)
        return [world(smoke), random_rows(tiny, 64)]
    larger = ModelSettings(8_192, length=128, hidden_size=256, layers=4, heads=4)
    full_vocabulary = ModelSettings(30_522, length=128)
    return [world(smoke), random_rows(larger, 2_048), random_rows(full_vocabulary, 2_048)]


# Turns


class Clock:
    """Counts the steps of one turn that end within `seconds`, behind some that warm up."""

    def __init__(self, seconds: float, device: str = "cpu", barrier=None, warm_up: int = WARM_UP):
        self.window, self.device, self.barrier, self.warm_up = seconds, device, barrier, warm_up
        self.made, self.first, self.ticks, self.steps, self.seconds = time.perf_counter(), 0.0, 0, 0, 0.0

    def tick(self) -> bool:
        """To be called at the end of each step; whether the turn is over."""
        self.ticks += 1
        now = time.perf_counter()
        if self.ticks == 1:
            self.first = now - self.made  # seconds
        if self.ticks <= self.warm_up:
            if self.ticks == self.warm_up:
                self._wait()
                if self.barrier:  # processes side by side start together
                    self.barrier.wait(120)  # seconds
                self.started = time.perf_counter()
            return False
        over = now >= self.started + self.window
        if over and self.device == "cuda":
            self._wait()  # the steps so far were only asked for
            now = time.perf_counter()
        if not over or self.device == "cuda" or not self.steps:
            self.steps += 1
            self.seconds = now - self.started
        return over

    def whole(self, function: Callable[[], object]) -> None:
        """A turn of one call."""
        started = time.perf_counter()
        function()
        self.steps, self.seconds = 1, time.perf_counter() - started

    def _wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


class Contestant(NamedTuple):
    """Something to measure. `make`, called once in the process it lives in, returns what takes a turn."""

    make: Callable[[], Callable[[Clock], None]]
    units: float  # in a step: tokens, sentences, operations
    threads: int
    processes: int = 1  # side by side
    home: str = ""  # contestants with the same one share a process
    device: str = "cpu"


def _live(connection, contestants: dict[str, Contestant], barrier) -> None:
    """A process that waits for turns, takes them, and says how it went."""
    turns = {}
    while (order := connection.recv()) is not None:
        name, seconds = order
        try:
            torch.set_num_threads(contestants[name].threads)
            if name not in turns:
                turns[name] = contestants[name].make()
            clock = Clock(seconds, contestants[name].device, barrier)
            turns[name](clock)
            connection.send((clock.steps / clock.seconds, clock.first))
        except Exception as error:
            connection.send(f"{type(error).__name__}: {error}")


class Measured(NamedTuple):
    """Of each contestant: units per second in each round, and the seconds of its very first step."""

    rates: dict[str, list[float]]
    first: dict[str, float]
    failed: dict[str, str]  # what could not be measured, and why


def measure(contestants: dict[str, Contestant], effort: Effort, may_fail: Sequence[str] = ()) -> Measured:
    """Lets contestants take turns, `effort.rounds` times.

    Raises:
        RuntimeError: one that is not in `may_fail` did.
    """
    context, homes = processes(effort), {}
    for name, one in contestants.items():
        homes.setdefault(one.home or name, []).append(name)
    found = Measured({name: [] for name in contestants}, {}, {})
    with ExitStack() as stack:
        connections, barriers = {}, []
        for names in homes.values():
            count = contestants[names[0]].processes
            barrier = context.Barrier(count) if count > 1 else None
            barriers.append(barrier)  # it must outlive the start of its processes
            pairs = [context.Pipe() for _ in range(count)]
            for _, far in pairs:
                chosen = {name: contestants[name] for name in names}
                process = context.Process(target=_live, args=(far, chosen, barrier), daemon=True)
                process.start()
                far.close()
                stack.callback(process.join)
            for near, _ in pairs:
                stack.callback(near.send, None)  # before the joins
            connections |= dict.fromkeys(names, [near for near, _ in pairs])
        for _ in range(effort.rounds):
            for name in contestants:
                if name not in found.failed:
                    _turn(name, contestants[name], connections[name], effort, found, may_fail)
    return found


def _turn(
    name: str, one: Contestant, connections: list, effort: Effort, found: Measured, may_fail: Sequence[str]
) -> None:
    """One turn of one contestant, in all of its processes at once."""
    for connection in connections:
        connection.send((name, effort.seconds))
    answers = [connection.recv() for connection in connections]
    errors = [answer for answer in answers if isinstance(answer, str)]
    if errors and name not in may_fail:
        raise RuntimeError(f"{name}: {errors[0]}")
    if errors:
        found.failed[name] = errors[0]
        return
    found.rates[name].append(one.units * sum(rate for rate, _ in answers))
    found.first.setdefault(name, max(first for _, first in answers))


def processes(effort: Effort) -> BaseContext:
    """Where processes come from. Those of a smoke run are copies of one that did the imports."""
    if not effort.smoke or "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([__spec__.name])
    return context


def in_child(effort: Effort, function: Callable, *arguments):
    """What `function` returns in a process of its own."""
    with ProcessPoolExecutor(1, processes(effort)) as pool:
        return pool.submit(function, *arguments).result()


def spread(values: Sequence[float]) -> list[float]:
    """10th percentile, median, 90th percentile."""
    return np.percentile(values, (10, 50, 90)).tolist()


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Smallest ratio of a round, ratio of the medians, largest ratio of a round."""
    rounds = np.divide(ours, theirs)
    return [float(rounds.min()), float(np.median(ours) / np.median(theirs)), float(rounds.max())]


# Contestants: pre-training


def take_turns(steps: Iterator) -> Callable[[Clock], None]:
    """Turns of an endless loop: each goes on where the last one stopped."""

    def turn(clock: Clock) -> None:
        for _ in steps:
            if clock.tick():
                return

    return turn


def matrix_product(size: int, dtype: str, device: str) -> Callable[[Clock], None]:
    """A square product, over and over: what the machine can do."""
    one, other = (torch.randn(size, size, device=device, dtype=getattr(torch, dtype)) for _ in range(2))
    return take_turns(torch.mm(one, other) for _ in iter(int, 1))


def trainer(work: Work, dtype: str, device: str, own_model: bool) -> Callable[[Clock], None]:
    """`transformers.Trainer` with its collator for masked LMs, on BERT as configured by default or ours."""
    shape, folder = work.model, TemporaryDirectory()
    config = BertConfig(
        vocab_size=shape.vocabulary_size,
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=4 * shape.hidden_size,
        max_position_embeddings=shape.length,
    )
    bert = model.build(shape, seed=0) if own_model else BertForMaskedLM(config)
    ids = work.input_ids
    columns = {
        "input_ids": ids,
        "token_type_ids": np.zeros_like(ids),
        "attention_mask": np.ones_like(ids),
        "special_tokens_mask": (work.word_ids < 0).astype(int),
    }
    rows = Dataset.from_dict({name: column.tolist() for name, column in columns.items()})
    collator = DataCollatorForLanguageModeling(work.tokenizer())
    options = training_arguments(folder.name, work.batch, 1_000_000, RATE, 0.01, dtype, device)

    def turn(clock: Clock) -> None:
        start(Trainer(copy.deepcopy(bert), options, collator, rows, callbacks=[Ticker(clock)]))

    return turn


def training_arguments(
    folder: str, batch: int, steps: int, rate: float, decay: float, dtype: str, device: str
) -> TrainingArguments:
    """The Trainer's defaults, less all that it would write, print or upload."""
    return TrainingArguments(
        folder,
        per_device_train_batch_size=batch,
        per_device_eval_batch_size=128,
        max_steps=steps,
        learning_rate=rate,
        weight_decay=decay,
        bf16=dtype == "bfloat16",
        use_cpu=device == "cpu",
        dataloader_drop_last=True,
        dataloader_pin_memory=device == "cuda",
        remove_unused_columns=False,  # the collator wants to see where the special tokens are
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )


class Ticker(TrainerCallback):
    """Stops a Trainer when its turn is over."""

    def __init__(self, clock: Clock):
        self.clock = clock

    def on_step_end(self, args, state, control, **rest) -> None:
        if self.clock.tick():
            control.should_training_stop = True


def start(trainer: Trainer) -> None:
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def by_tokens(batch: int) -> PretrainingSettings:
    return PretrainingSettings(strategy="token", batch_size=batch)  # as the Trainer masks


def real_steps(work: Work, dtype: str, device: str = "cpu") -> Iterator[torch.Tensor]:
    """Endless pre-training by `helpers.pretraining.train`; each item is a step."""
    bert = model.build(work.model, seed=0).to(device)
    recipe, rows = by_tokens(work.batch), work.blocks(device)
    training = pretraining.Training.start(bert, recipe, dtype)
    order = pretraining.row_order(len(work.input_ids), 1_000, work.batch, seed=0)
    while True:
        training.step = 0
        yield from pretraining.train(training, rows, order, work.vocabulary, recipe, lambda step: RATE, dtype)


def ours(work: Work, dtype: str, device: str) -> Callable[[Clock], None]:
    """Our pre-training, in a process prepared as `pretrain` does it."""
    model.keep_freed_memory()
    return take_turns(real_steps(work, dtype, device))


@dataclass(frozen=True)
class Loop:
    """A training loop written out here, lever by lever between the plain one and ours."""

    dtype: str
    dropout: float = 0.0
    attention: str = "sdpa"
    loss: str = "dense"  # logits everywhere; "gathered": at hidden positions; "ours": the last layer as well
    keeps_memory: bool = False
    fused_optimizer: bool = True
    joined: bool = False  # query, key and value in one product
    fused_attention: bool = False  # PyTorch's, within our loss
    compiled: tuple[tuple[str, bool], ...] | None = None  # options of torch.compile


def loop_steps(work: Work, loop: Loop, device: str = "cpu") -> Iterator[torch.Tensor]:
    """Endless pre-training by a `Loop`; each item is the loss of a step."""
    if loop.keeps_memory:
        model.keep_freed_memory()
    bert = model.build(work.model, seed=0).to(device)
    bert.set_attn_implementation(loop.attention)
    for module in bert.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = loop.dropout
    loss_of = loss_function(bert, loop)
    weights = [weight for weight in bert.parameters() if weight.requires_grad]
    which = {"fused": True} if loop.fused_optimizer else {"foreach": True}
    optimizer = torch.optim.AdamW(weights, RATE, weight_decay=by_tokens(work.batch).weight_decay, **which)
    rows, scheme = work.blocks(device), Scheme("token")
    order = pretraining.row_order(len(work.input_ids), 1_000, work.batch, seed=0)
    generator, step = torch.Generator(device), 0
    while True:
        generator.manual_seed(step)
        chosen = order[step % len(order)].to(device)
        masked = mask(rows.input_ids[chosen], rows.word_ids[chosen], scheme, work.vocabulary, generator)
        with model.precision(loop.dtype, device):
            loss = loss_of(bert, masked)
        loss.backward()
        optimizer.param_groups[0]["lr"] = RATE
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        yield loss.detach()


def written_out(work: Work, loop: Loop, device: str) -> Callable[[Clock], None]:
    return take_turns(loop_steps(work, loop, device))


def loss_function(bert: BertForMaskedLM, loop: Loop) -> Callable[[BertForMaskedLM, Masked], torch.Tensor]:
    """The loss of a loop; where it needs joined weights, `bert` gets them here."""
    if loop.loss == "dense":
        return lambda bert, masked: bert(masked.inputs, labels=masked.labels).loss
    if loop.loss == "gathered":
        return gathered_loss
    if loop.joined:
        join(bert)
    if loop.joined or loop.fused_attention:
        return partial(other_loss, joined=loop.joined, fused=loop.fused_attention)
    loss = model.masked_lm_loss
    if loop.compiled is not None:
        loss = torch.compile(loss, dynamic=False, options=dict(loop.compiled) or None)
    return lambda bert, masked: loss(bert, masked.inputs, masked.positions, masked.labels)


def gather(states: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    return states.gather(1, positions[:, :, None].expand(-1, -1, states.shape[-1]))


def from_states(bert: BertForMaskedLM, states: torch.Tensor, masked: Masked) -> torch.Tensor:
    """The loss from states at the hidden positions, `[batch, slots, hidden_size]`."""
    logits = bert.cls(states.flatten(0, 1))  # [batch * slots, vocabulary]
    return functional.cross_entropy(logits.float(), masked.labels.gather(1, masked.positions).flatten())


def gathered_loss(bert: BertForMaskedLM, masked: Masked) -> torch.Tensor:
    """All layers everywhere, logits at the hidden positions."""
    states = bert.bert(masked.inputs).last_hidden_state
    return from_states(bert, gather(states, masked.positions), masked)


def join(bert: BertForMaskedLM) -> None:
    """One layer instead of query, key and value; in the last layer, where queries are few, of two of them."""
    *_, last = bert.bert.encoder.layer
    for layer in bert.bert.encoder.layer:
        attention = layer.attention.self
        parts = [attention.key, attention.value]
        if layer is not last:
            parts.insert(0, attention.query)
        size, width = parts[0].weight.shape
        attention.joined = torch.nn.Linear(width, len(parts) * size, device=bert.device)
        with torch.no_grad():
            attention.joined.weight.copy_(torch.cat([part.weight for part in parts]))
            attention.joined.bias.copy_(torch.cat([part.bias for part in parts]))
        for part in parts:
            part.requires_grad_(False)


def other_loss(bert: BertForMaskedLM, masked: Masked, joined: bool, fused: bool) -> torch.Tensor:
    """`helpers.model.masked_lm_loss` as it might have been."""
    states = bert.bert.embeddings(masked.inputs)
    *early, last = bert.bert.encoder.layer
    for layer in early:
        states = _through(layer, states, states, joined, fused)
    queries = gather(states, masked.positions)
    return from_states(bert, _through(last, queries, states, joined, fused), masked)


def _through(
    layer: torch.nn.Module, queries: torch.Tensor, states: torch.Tensor, joined: bool, fused: bool
) -> torch.Tensor:
    """One layer; the names are those of `helpers.model._through`."""
    attention = layer.attention.self
    if not joined:
        found = attention.query(queries), attention.key(states), attention.value(states)
    elif queries is states:
        found = attention.joined(states).chunk(3, dim=-1)
    else:
        found = attention.query(queries), *attention.joined(states).chunk(2, dim=-1)
    query, key, value = (
        vectors.unflatten(-1, (attention.num_attention_heads, -1)).transpose(1, 2) for vectors in found
    )
    if fused:
        found = functional.scaled_dot_product_attention(query, key, value)
    else:
        found = (query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5).softmax(-1) @ value
    attended = layer.attention.output(found.transpose(1, 2).flatten(2), queries)
    return layer.output(layer.intermediate(attended), attended)


# What is measured


def precisions(work: Work, effort: Effort, device: str, threads: int) -> dict:
    """Tokens per second of ours and of the Trainer in both precisions; chosen is the one faster for ours."""
    contestants = {}
    for dtype in ("float32", "bfloat16"):
        one, other = partial(ours, work, dtype, device), partial(trainer, work, dtype, device, False)
        contestants[f"{OURS}, {dtype}"] = Contestant(one, work.tokens, threads, device=device)
        contestants[f"{TRAINER}, {dtype}"] = Contestant(other, work.tokens, threads, device=device)
    rates = measure(contestants, effort).rates
    table = {name: spread(values) for name, values in rates.items()}
    chosen = max(("float32", "bfloat16"), key=lambda dtype: table[f"{OURS}, {dtype}"][1])
    return {"tokens_per_second": table, "chosen": chosen}


def arithmetic(work: Work) -> dict[str, int]:
    """Operations in matrix products of one step, forwards and backwards, of the plain dense loop and ours."""
    loops = {
        "dense": loop_steps(work, Loop("float32", attention="eager")),
        "ours": real_steps(work, "float32"),
    }
    counts = {}
    for name, steps in loops.items():
        with FlopCounterMode(display=False) as counter:
            next(steps)
        counts[name] = counter.get_total_flops()
    return counts


def pretraining_speed(
    works: Sequence[Work], effort: Effort, device: str, dtype: str, threads: int, cores: int
) -> dict:
    """Tokens per second, ratios to the Trainer, and shares of what the machine can do in matrix products."""
    size = 256 if effort.smoke else 8_192 if device == "cuda" else 2_048
    results = {}
    for work in works:
        makers = {
            TRAINER: partial(trainer, work, dtype, device, False),
            TRAINER_LEAN: partial(trainer, work, dtype, device, True),
            PLAIN: partial(written_out, work, Loop(dtype), device),
            OURS: partial(ours, work, dtype, device),
        }
        contestants = {
            name: Contestant(make, work.tokens, threads, device=device) for name, make in makers.items()
        }
        if device == "cpu":
            contestants[OURS_BY_CORE] = Contestant(makers[OURS], work.tokens, 1, cores)
        product = partial(matrix_product, size, dtype, device)
        contestants[MATRIX] = Contestant(product, 2 * size**3, threads, device=device)
        rates = measure(contestants, effort).rates
        peak, counts = rates.pop(MATRIX), arithmetic(work)
        own = {name: counts["ours" if name in (OURS, OURS_BY_CORE) else "dense"] for name in rates}
        results[work.name] = {
            "tokens_per_second": {name: spread(values) for name, values in rates.items()},
            "ratio_to_trainer": {name: ratio(values, rates[TRAINER]) for name, values in rates.items()},
            "operations_per_step": counts,
            "matrix_rate": spread(peak),  # operations per second
            "share_of_matrix_rate": {  # by own arithmetic
                name: float(np.median(values)) / work.tokens * own[name] / float(np.median(peak))
                for name, values in rates.items()
            },
        }
        show_pretraining(f"{work.name}, {dtype}, {device}", results[work.name])
    return results


def ladder(dtype: str, device: str, smoke: bool) -> tuple[dict[str, Loop], dict[str, Loop]]:
    """The levers that are kept, each on top of those before, and those tried on top of them all."""
    loops = {"plain loop: float32, dropout 0.1, sdpa": Loop("float32", dropout=0.1)}

    def add(name: str, **change) -> None:
        loops[name] = replace(list(loops.values())[-1], **change)

    if dtype != "float32":
        add(dtype, dtype=dtype)
    add("no dropout", dropout=0.0)
    add("attention written out", attention="eager")
    add("logits at hidden positions only", loss="gathered")
    add("last layer at hidden positions only", loss="ours")
    if device == "cpu":
        add("freed memory kept", keeps_memory=True)
    final = list(loops.values())[-1]
    tried = {
        "query, key and value in one product": replace(final, joined=True),
        "sdpa within our loss": replace(final, fused_attention=True),
        "optimiser not fused (foreach)": replace(final, fused_optimizer=False),
    }
    if dtype == "float32":
        tried["bfloat16"] = replace(final, dtype="bfloat16")
    if not smoke:
        tried["torch.compile"] = replace(final, compiled=())
        tried["torch.compile, no pattern matcher"] = replace(final, compiled=(("pattern_matcher", False),))
    return loops, tried


def levers(work: Work, effort: Effort, device: str, dtype: str, threads: int, cores: int) -> list[dict]:
    """What each step from the plain loop to ours brings, and what was tried beyond."""
    loops, tried = ladder(dtype, device, effort.smoke)
    contestants = {
        name: Contestant(partial(written_out, work, each, device), work.tokens, threads, device=device)
        for name, each in (loops | tried).items()
    }
    final = list(loops)[-1]
    steps = [(name, before) for before, name in zip([None, *loops], loops, strict=False)]
    steps += [(name, final) for name in tried]
    kept = set(loops)
    whole = "helpers.pretraining.train (the same again)"
    contestants[whole] = Contestant(partial(ours, work, dtype, device), work.tokens, threads, device=device)
    steps.append((whole, final))
    kept.add(whole)
    if device == "cpu":
        side_by_side = f"{cores} processes with one thread each, instead of one with {threads}"
        contestants[side_by_side] = Contestant(
            partial(written_out, work, loops[final], device), work.tokens, 1, cores
        )
        steps.append((side_by_side, final))
        kept.add(side_by_side)  # as `experiment.results` does it
    compiled = [name for name in tried if tried[name].compiled is not None]
    found = measure(contestants, effort, may_fail=compiled)
    rows = []
    for name, before in steps:
        if name in found.failed:
            row = {"tokens_per_second": NOT_MEASURED, "factor": NOT_MEASURED, "why": found.failed[name]}
        else:
            rates = found.rates[name]
            factors = ratio(rates, found.rates[before]) if before else [1.0, 1.0, 1.0]
            row = {"tokens_per_second": spread(rates), "factor": factors[1], "factors": factors}
        if name in compiled and name not in found.failed:
            row["seconds_to_compile"] = found.first[name] - found.first[final]  # both with a first step
        rows.append({"name": name, "against": before, "kept": name in kept, **row})
    show_levers(f"{work.name}, {device}", rows)
    return rows


def timed_steps(work: Work, dtype: str) -> Iterator[dict[str, float]]:
    """What `pretraining.train` does, with the clock read between the parts: seconds of each, and of all."""
    bert, choice = model.build(work.model, seed=0), by_tokens(work.batch)
    training, now = pretraining.Training.start(bert, choice, dtype), time.perf_counter
    blocks = work.blocks("cpu")
    scheme = Scheme(choice.strategy, mask_rate=choice.mask_rate, p=choice.p)
    order = pretraining.row_order(len(work.input_ids), 1_000, work.batch, seed=0)
    generator, step, done = torch.Generator(), 0, now()
    while True:
        generator.manual_seed(step)
        start = now()
        rows = order[step % len(order), 0::1].to(bert.device)
        ids, words = blocks.input_ids[rows], blocks.word_ids[rows]
        indexed = now()
        masked = mask(ids, words, scheme, work.vocabulary, generator)
        hidden = now()
        with model.precision(dtype, bert.device):
            states = model.encode(bert.bert, masked.inputs, masked.positions)
            encoded = now()
            loss = from_states(bert, states, masked)
        lost = now()
        training.scaler.scale(loss).backward()
        backward = now()
        training.optimizer.param_groups[0]["lr"] = RATE
        update = now()
        training.scaler.step(training.optimizer)
        training.scaler.update()
        training.optimizer.zero_grad()
        before, done = done, now()
        step += 1
        parts = {
            "rows": indexed - start,
            "masking": hidden - indexed,
            "encoder forward": encoded - hidden,
            "head and loss forward": lost - encoded,
            "backward": backward - lost,
            "optimiser": done - update,
        }
        yield {**parts, "Python and the rest": done - before - sum(parts.values()), "all": done - before}
        done = now()  # whoever asked for the step may have taken a while


def step_parts(work: Work, dtype: str, threads: int, effort: Effort) -> dict:
    """Seconds of the parts of a step, the fixed cost of a step, and shares by kind of operation."""
    model.keep_freed_memory()
    numbers = {"one thread": 1, "all threads": threads}
    parts = {label: timed_steps(work, dtype) for label in numbers}
    steps = {label: real_steps(work, dtype) for label in numbers}
    single = {label: real_steps(replace(work, batch=1), dtype) for label in numbers}
    seen = {label: [] for label in numbers}

    def seconds(steps: Iterator) -> float:
        started = time.perf_counter()
        for _ in range(effort.steps):
            next(steps)
        return (time.perf_counter() - started) / effort.steps

    for number in range(effort.rounds + 1):  # the first one warms up
        for label, count in numbers.items():
            torch.set_num_threads(count)
            for _ in range(2):
                next(parts[label])
            laps = [next(parts[label]) for _ in range(effort.steps)]
            mean = {name: float(np.mean([lap[name] for lap in laps])) for name in laps[0]}
            mean["pretraining.train"] = seconds(steps[label])
            mean["fixed cost (one row)"] = seconds(single[label])
            seen[label] += [mean] if number else []
    results = {}
    for label, count in numbers.items():
        torch.set_num_threads(count)
        times = {name: spread([mean[name] for mean in seen[label]]) for name in seen[label][0]}
        results[label] = {"seconds": times, **operations(steps[label], effort.steps)}
    return results


def operations(steps: Iterator, count: int) -> dict:
    """Shares of the processor's time that go to each kind of operation, and the ten largest by name."""
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as profiler:
        for _ in range(count):
            next(steps)
    times = {event.key: event.self_cpu_time_total for event in profiler.key_averages()}
    total = sum(times.values())
    kinds = {
        kind: sum(times.get(f"aten::{name}", 0) for name in names) / total for kind, names in KINDS.items()
    }
    largest = sorted(times, key=times.get, reverse=True)[:10]
    return {
        "kinds": {**kinds, "other": 1 - sum(kinds.values())},
        "largest": {name: times[name] / total for name in largest},
    }


def step(work: Work, effort: Effort, dtype: str, threads: int) -> dict:
    result = in_child(effort, step_parts, work, dtype, threads, effort)
    show_step(work.name, result)
    return result


def tagging(chosen: settings.Settings, dtype: str) -> dict[str, Callable[[Clock], None]]:
    """Turns of our fine-tuning, of prediction, and of both as the experiment runs them."""
    shared, scale = experiment.replicate(chosen, 0), chosen.scale
    bert = new_model(scale.model, shared)
    labelled = shared.labelled(scale.core_sentences)
    tune = partial(finetune, bert, labelled, shared.tags, dtype=dtype)
    tagger = tune(replace(scale.finetuning, steps=2))
    predict(tagger, shared.test, dtype)
    cell = partial(fine_tune_and_tag, shared, bert, scale.core_sentences, 0, scale.finetuning, dtype)
    return {
        "fine-tuning": lambda clock: clock.whole(lambda: tune(scale.finetuning)),
        "prediction": lambda clock: clock.whole(lambda: predict(tagger, shared.test, dtype)),
        "core cell": lambda clock: clock.whole(cell),
    }


def trainer_tagging(chosen: settings.Settings, dtype: str) -> dict[str, Callable[[Clock], None]]:
    """The same by `transformers.Trainer`."""
    shared, recipe = experiment.replicate(chosen, 0), chosen.scale.finetuning
    bert, folder = new_model(chosen.scale.model, shared), TemporaryDirectory()
    labelled = sentence_rows(shared.labelled(chosen.scale.core_sentences))
    test, collator = sentence_rows(shared.test), DataCollatorForTokenClassification(shared.tokenizer)

    def new(steps: int) -> Trainer:
        tagger = model.token_classifier(bert, shared.tags, recipe.seed, recipe.dropout)
        options = training_arguments(
            folder.name, recipe.batch_size, steps, recipe.learning_rate, recipe.weight_decay, dtype, "cpu"
        )
        options.warmup_steps = round(recipe.warmup * steps)
        options.dataloader_drop_last = False
        return Trainer(tagger, options, collator, labelled)

    tagger = new(2)
    start(tagger)
    tagger.predict(test)
    return {
        "fine-tuning": lambda clock: clock.whole(lambda: start(new(recipe.steps))),
        "prediction": lambda clock: clock.whole(lambda: tagger.predict(test)),
    }


def sentence_rows(windows: Windows) -> Dataset:
    """Windows as a data set without padding."""
    there = windows.attention_mask == 1
    names = ("input_ids", "attention_mask", "labels")
    return Dataset.from_dict(
        {
            name: [row[keep].tolist() for row, keep in zip(vars(windows)[name], there, strict=True)]
            for name in names
        }
    )


def part_of(makers: Callable[[], dict[str, Callable]], name: str) -> Callable[[Clock], None]:
    return makers()[name]


def finetuning(effort: Effort, dtype: str, threads: int) -> dict:
    """Sentences per second of fine-tuning and prediction, and the seconds of the experiment's core cell."""
    chosen = settings.choose("smoke" if effort.smoke else "laptop")
    if effort.smoke:
        few = replace(chosen.scale.finetuning, steps=6)
        chosen = replace(chosen, scale=replace(chosen.scale, finetuning=few))
    recipe, shared = chosen.scale.finetuning, experiment.replicate(chosen, 0)
    units = {
        "fine-tuning": recipe.steps * recipe.batch_size,
        "prediction": len(shared.sentences("test")),
        "core cell": 1,
    }
    contestants = {}
    for label, count in {"one thread": 1, "all threads": threads}.items():
        for who, makers in {OURS: tagging, TRAINER: trainer_tagging}.items():
            make = partial(makers, chosen, dtype)
            for what in units if who == OURS else [name for name in units if name != "core cell"]:
                contestants[f"{what}, {who}, {label}"] = Contestant(
                    partial(part_of, make, what), units[what], count, home=f"{who}, {label}"
                )
    rates = measure(contestants, effort).rates
    results = {"sentences_per_second": {}, "ratio_to_trainer": {}, "core_cell_seconds": {}}
    for name, values in rates.items():
        what, who, label = name.split(", ")
        if what == "core cell":
            results["core_cell_seconds"][label] = spread([1 / value for value in values])
            continue
        results["sentences_per_second"][name] = spread(values)
        if who == OURS:
            other = rates[f"{what}, {TRAINER}, {label}"]
            results["ratio_to_trainer"][f"{what}, {label}"] = ratio(values, other)
    show_finetuning(results)
    return results


def peak_memory() -> float:
    """The most memory that this process has held so far, in bytes.

    Linux tells it in /proc. `getrusage` would count what the parent held before it became this process.
    """
    file = Path("/proc/self/status")
    if file.exists():
        lines = file.read_text().splitlines()
        return 1024 * float(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    import resource  # there is none on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else 1024 * peak)


def peaks(make: Callable[[], Callable[[Clock], None]], threads: int) -> list[float]:
    """Bytes: the peak after imports, and after so many steps."""
    before = peak_memory()
    torch.set_num_threads(threads)
    make()(Clock(0.0, warm_up=MEMORY_STEPS - 1))
    return [before, peak_memory()]


def memory(works: Sequence[Work], effort: Effort, dtype: str, threads: int) -> dict:
    """Peak memory of a process that trains, and what of it training adds to the imports."""
    results = {}
    for work in works[: 1 if effort.smoke else None]:
        rows = MEMORY_STEPS * work.batch
        work = replace(work, input_ids=work.input_ids[:rows], word_ids=work.word_ids[:rows])
        makers = {
            OURS: partial(ours, work, dtype, "cpu"),
            TRAINER: partial(trainer, work, dtype, "cpu", False),
        }
        results[work.name] = {}
        for name, make in makers.items():
            before, after = in_child(effort, peaks, make, threads)
            results[work.name][name] = {"imports": before, "peak": after, "added": after - before}
    show_memory(results)
    return results


def growth(effort: Effort, dtype: str, threads: int) -> dict:
    """Tokens per second of ours over the length of rows, the batch and the vocabulary, on random rows."""
    if effort.smoke:
        base, at_once, batch = ModelSettings(500, length=32, hidden_size=32, layers=1), 128, 4
        lengths, batches, sizes = (16, 32), (4, 8), (300, 600)
    else:
        base, at_once, batch = ModelSettings(), 2_048, 32
        lengths, batches, sizes = (32, 64, 128, 256), (8, 16, 32, 64, 128), (1_000, 4_000, 8_192, 30_522)
    points = {
        "length": {n: random_rows(replace(base, length=n), 4 * at_once // n, at_once // n) for n in lengths},
        "batch": {n: random_rows(base, 4 * n, n) for n in batches},
        "vocabulary": {n: random_rows(replace(base, vocabulary_size=n), 4 * batch, batch) for n in sizes},
    }
    contestants = {
        (what, value): Contestant(partial(ours, work, dtype, "cpu"), work.tokens, threads, home="growth")
        for what, works in points.items()
        for value, work in works.items()
    }
    rates = measure(contestants, effort).rates
    results = {what: {} for what in points}
    for (what, value), values in rates.items():
        results[what][str(value)] = spread(values)
    show_growth(results)
    return results


# The tables


def amounts(row: Sequence[float], unit: float = 1.0, digits: int = 0) -> str:
    """A median, and the percentiles in brackets."""
    low, median, high = (f"{value / unit:,.{digits}f}" for value in row)
    return f"{median:>10} {f'[{low}, {high}]':24}"


def times(row: Sequence[float]) -> str:
    low, middle, high = row
    return f"{middle:5.2f} times [{low:.2f}, {high:.2f}]"


def show_pretraining(title: str, result: dict) -> None:
    """Tokens per second, the ratio to the Trainer, and the share of the machine's matrix rate."""
    print(f"\n{title:44} thousand tokens/s [p10, p90]   Trainer's [least, most]   share of matrix rate")
    for name, row in result["tokens_per_second"].items():
        than, share = times(result["ratio_to_trainer"][name]), result["share_of_matrix_rate"][name]
        print(f"{name:44} {amounts(row, 1e3, 1)} {than:26} {share:6.1%}")
    counts = result["operations_per_step"]
    print(
        f"  A large matrix product: {result['matrix_rate'][1] / 1e9:,.0f} billion operations per second;",
        end="",
    )
    print(f" a step: dense {counts['dense'] / 1e9:.2f}, ours {counts['ours'] / 1e9:.2f} billion", flush=True)


def show_levers(title: str, rows: Sequence[dict]) -> None:
    print(f"\n{f'Levers, {title}':68} thousand tokens/s [p10, p90]   factor [least, most]")
    for row in rows:
        sign = "+" if row["kept"] else "tried:"
        if row["factor"] == NOT_MEASURED:
            print(f"{sign} {row['name']}: {NOT_MEASURED} ({row['why'].splitlines()[0]})")
            continue
        compile_time = row.get("seconds_to_compile")
        end = f", {compile_time:.0f} s to compile" if compile_time else ""
        speed = amounts(row["tokens_per_second"], 1e3, 1)
        print(f"{f'{sign} ' + row['name']:68} {speed} {times(row['factors'])}{end}", flush=True)


def show_step(title: str, result: dict) -> None:
    for label, found in result.items():
        seconds = found["seconds"]
        print(f"\n{f'A step, {title}, {label}':44} milliseconds [p10, p90]")
        for name, row in seconds.items():
            print(f"  {name:42} {amounts(row, 1e-3, 2)} {row[1] / seconds['all'][1]:6.1%}")
        kinds = ", ".join(f"{kind} {share:.0%}" for kind, share in found["kinds"].items())
        print(f"  By kind of operation: {kinds}", flush=True)


def show_finetuning(result: dict) -> None:
    print(f"\n{'Fine-tuning and prediction':44} sentences/s [p10, p90]")
    for name, row in result["sentences_per_second"].items():
        print(f"{name:44} {amounts(row)}")
    for name, row in result["ratio_to_trainer"].items():
        print(f"  {name:42} {times(row)} the Trainer's")
    for label, row in result["core_cell_seconds"].items():
        met = "met" if row[1] <= BAR_CORE_CELL else "NOT MET"
        print(f"  core cell, {label}: {amounts(row, 1, 2)} s, at most {BAR_CORE_CELL}: {met}", flush=True)


def show_memory(result: dict) -> None:
    print(f"\n{'Peak memory, MB':44} {'imports':>8} {'peak':>8} {'added':>8}")
    for title, found in result.items():
        for name, row in found.items():
            numbers = " ".join(f"{row[key] / 1e6:8.0f}" for key in ("imports", "peak", "added"))
            print(f"{f'{title}: {name}':44} {numbers}", flush=True)


def show_growth(result: dict) -> None:
    print(f"\n{'Ours, as it grows':44} thousand tokens/s [p10, p90]")
    for what, rows in result.items():
        for value, row in rows.items():
            print(f"{f'{what} {value}':44} {amounts(row, 1e3, 1)}", flush=True)


def on_gpu(works: Sequence[Work], effort: Effort, dtype: str | None) -> dict:
    """Pre-training and levers on the first GPU."""
    if not torch.cuda.is_available():
        print(f"\nGPU: {NOT_MEASURED}")
        return dict.fromkeys(("precision", "pretraining", "levers"), NOT_MEASURED)
    threads = torch.get_num_threads()
    precision = precisions(works[0], effort, "cuda", threads)
    dtype = dtype or precision["chosen"]
    return {
        "precision": precision,
        "pretraining": pretraining_speed(works, effort, "cuda", dtype, threads, 1),
        "levers": levers(works[0], effort, "cuda", dtype, threads, 1),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn (2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="NAME", help=str(PARTS))
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="the faster one if left out")
    parser.add_argument("--smoke", action="store_true", help="does it run at all? Numbers mean nothing")
    options = parser.parse_args(arguments)
    threads, cores = torch.get_num_threads(), min(os.cpu_count() or 1, MOST_PROCESSES)
    effort = Effort(options.rounds, options.seconds, steps=20)
    if options.smoke:
        effort = Effort(rounds=2, seconds=0.01, steps=2, smoke=True)
        threads = 1
    works = configurations(options.smoke)
    machine = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "versions": settings.versions(),
        "load_at_start": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }
    print(f"{machine['processor']}, {threads} threads; {machine['versions']}; {effort.rounds} rounds")
    precision = precisions(works[0], effort, "cpu", threads)
    dtype = options.dtype or precision["chosen"]
    print(f"\n{f'Precision: {dtype}':44} thousand tokens/s [p10, p90]")
    for name, row in precision["tokens_per_second"].items():
        print(f"{name:44} {amounts(row, 1e3, 1)}", flush=True)
    run = {
        "pretraining": lambda: pretraining_speed(works, effort, "cpu", dtype, threads, cores),
        "levers": lambda: levers(works[0], effort, "cpu", dtype, threads, cores),
        "step": lambda: step(works[0], effort, dtype, threads),
        "finetuning": lambda: finetuning(effort, dtype, threads),
        "memory": lambda: memory(works, effort, dtype, threads),
        "growth": lambda: growth(effort, dtype, threads),
        "gpu": lambda: on_gpu(works, effort, options.dtype),
    }
    results = {"machine": machine, "rounds": effort.rounds, "seconds": effort.seconds}
    results |= {"dtype": dtype, "precision": precision}
    for name in PARTS:
        if name in options.only:
            results[name] = run[name]()
            if options.json:  # after each part: it takes long
                options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
