"""Masking against other people's: tokens per second on one thread, what bounds ours, and what a GPU adds.

    make bench                                                    (python -m tests.benchmarks.masking)
    make bench ARGS="--json data/reference/masking_speed.json"    writes the results down as well

The contenders take turns within each round, so that whatever else the machine does hits all of them alike;
the table gives the median of the rounds and the 10th and 90th percentiles. Loops over rows get their rows as
lists or arrays, whichever suits them, and nobody charges them for turning the result into tensors.
"""

import argparse
import json
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer, models
from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerFast

from helpers import masking, model, plain_masking, pretraining, settings
from helpers.masking import Scheme, Vocabulary, mask
from helpers.tokenization import Blocks

LAPTOP = settings.SCALES["laptop"]
SHAPES = ((32, 512), (256, 128), (LAPTOP.pretraining.batch_size, LAPTOP.model.length))
WITH_BARS = SHAPES[:2]  # in small batches the fixed cost of an operation decides: told, not judged
CLS, SEP, MASK, SPECIAL = 2, 3, 4, (0, 1, 2, 3, 4)
VOCABULARY = 8_192
RATE, P, LONGEST = 0.15, 0.2, 10
OURS = {
    "token": Scheme("token"),
    "whole_word": Scheme("whole_word"),
    "span": Scheme("span"),
    "span, inside": Scheme("span", edges="inside"),
    "span, per run": Scheme("span", corrupt_per="run"),
    "mentions": Scheme("mentions"),
}
SPANBERT, SPANBERT_LEAN = "SpanBERT-style loop", "SpanBERT, lean loop"
GOOGLE, HF_TOKEN, HF_WORD = "Google-style words", "Hugging Face token", "Hugging Face words"
RATIOS = (  # ours, theirs, at least
    ("span", SPANBERT, 10),
    ("span", SPANBERT_LEAN, None),
    ("whole_word", HF_WORD, 4),
    ("whole_word", GOOGLE, None),
    ("token", HF_TOKEN, None),
)
MOST_OF_A_STEP = 0.02
SHORTEST_TIMING = 0.02  # seconds: faster calls are repeated within a round


class Batch(NamedTuple):
    """Rows of text, `[batch, length]` each, and the size of the vocabulary."""

    input_ids: torch.Tensor
    word_ids: torch.Tensor
    mention_ids: torch.Tensor
    vocabulary: Vocabulary


def text(rows: int, length: int, vocabulary_size: int = VOCABULARY, seed: int = 0) -> Batch:
    """[CLS], then sentences of 8 to 30 words with [SEP] after each; three of four words are one piece."""
    rng = random.Random(seed)
    batch = []
    for _ in range(rows):
        row, word, mention = [(CLS, -1, -1)], 0, 0
        while len(row) < length:
            left = 0  # words that the mention still has
            for _ in range(rng.randint(8, 30)):
                if not left and rng.random() < 0.1:
                    left, mention = rng.randint(1, 4), mention + 1
                pieces = 1 if rng.random() < 0.75 else rng.randint(2, 4)
                number = mention if left else -1
                row += [(rng.randrange(len(SPECIAL), vocabulary_size), word, number) for _ in range(pieces)]
                word, left = word + 1, max(0, left - 1)
            row.append((SEP, -1, -1))
        batch.append(row[:length])
    return Batch(*torch.tensor(batch).unbind(-1), Vocabulary(vocabulary_size, MASK, SPECIAL))


# The contenders: functions of a fresh copy of the ids, which only Hugging Face's need


def ours(batch: Batch, device: str = "cpu") -> dict[str, Callable]:
    """Our own `mask`, checks included, for each strategy."""
    ids, words, mentions, vocabulary = (*(tensor.to(device) for tensor in batch[:3]), batch.vocabulary)
    generator = torch.Generator(device).manual_seed(0)

    def run(scheme: Scheme, _) -> masking.Masked:
        known = mentions if scheme.strategy == "mentions" else None
        return mask(ids, words, scheme, vocabulary, generator, known)

    return {name: partial(run, scheme) for name, scheme in OURS.items()}


def hugging_face(batch: Batch, whole_word: bool) -> Callable:
    """`DataCollatorForLanguageModeling` with all that it may be given: special tokens, offsets of the words.

    By words it always shows [MASK] (100/0/0), which is less to do. It writes into the ids that it gets.
    """
    names = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *map(str, range(5, batch.vocabulary.size)))
    words = models.WordLevel({name: number for number, name in enumerate(names)}, "[UNK]")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words), mask_token="[MASK]")
    shares = {"mask_replace_prob": 1.0, "random_replace_prob": 0.0} if whole_word else {}
    collator = DataCollatorForLanguageModeling(tokenizer, whole_word_mask=whole_word, **shares)
    special = batch.word_ids < 0
    # The characters of a word's pieces follow upon each other, and a blank stands before each word.
    start = torch.arange(special.shape[1]) + masking.number_words(batch.word_ids)
    offsets = torch.stack([start, start + 1], -1).masked_fill(special[..., None], 0) if whole_word else None
    return lambda ids: collator.torch_mask_tokens(ids, special.long(), offsets)


def spanbert_style(
    input_ids: np.ndarray, word_ids: Sequence[int], chances: Sequence[float], ordinary: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One row as SpanBERT's released code goes about it: numpy for every draw, a set, word by word.

    The corruption is the paper's, one draw for each merged span. Left out are the pairs of boundaries for
    the other objective and the look-ups that say where a word starts; the released code does these too.
    """
    tokens, lengths = len(input_ids), list(range(1, LONGEST + 1))
    budget = math.ceil(RATE * tokens)
    starts_word = [place == 0 or word_ids[place] != word_ids[place - 1] for place in range(tokens)]

    def get_word_start(place: int) -> int:
        while not starts_word[place]:
            place -= 1
        return place

    def get_word_end(place: int) -> int:
        place += 1
        while place < tokens and not starts_word[place]:
            place += 1
        return place

    hidden: set[int] = set()
    spans = []  # first and last position
    while len(hidden) < budget:
        words_left = np.random.choice(lengths, p=chances)
        anchor = np.random.choice(tokens)
        if anchor in hidden:
            continue
        start = end = get_word_start(anchor)
        while words_left and end < tokens and len(hidden) < budget:
            word, words_left = range(end, get_word_end(end)), words_left - 1
            for place in word:
                if len(hidden) < budget:
                    hidden.add(place)
                    last = place
            end = word.stop
        spans.append((start, last))

    runs: list[list[int]] = []
    for start, last in sorted(spans):
        if runs and start <= runs[-1][1] + 1:
            runs[-1][1] = max(runs[-1][1], last)
        else:
            runs.append([start, last])
    seen, labels = np.copy(input_ids), np.full(tokens, -100)
    for start, last in runs:
        fate = np.random.random()
        for place in range(start, last + 1):
            labels[place] = seen[place]
            if fate < 0.8:
                seen[place] = MASK
            elif fate < 0.9:
                seen[place] = np.random.choice(ordinary)
    return seen, labels


def contenders(batch: Batch) -> dict[str, Callable]:
    """What is timed on a CPU, by name."""
    rng, size = random.Random(0), batch.vocabulary.size
    arrays, rows, words = batch.input_ids.numpy(), batch.input_ids.tolist(), batch.word_ids.tolist()
    chances, ordinary = masking.span_length_weights(P, LONGEST), list(range(len(SPECIAL), size))

    def each_row(function: Callable, rows: Sequence, *rest) -> Callable:
        return lambda _: [function(row, word, *rest) for row, word in zip(rows, words, strict=True)]

    return {
        **ours(batch),
        HF_TOKEN: hugging_face(batch, whole_word=False),
        HF_WORD: hugging_face(batch, whole_word=True),
        SPANBERT: each_row(spanbert_style, arrays, chances, np.array(ordinary)),
        SPANBERT_LEAN: each_row(plain_masking.spanbert_row, rows, RATE, P, LONGEST, MASK, ordinary, rng),
        GOOGLE: each_row(plain_masking.google_row, rows, RATE, MASK, size, rng),
    }


# What is measured


def seconds(
    functions: dict[str, Callable], rounds: int, fresh: Callable = lambda: None, wait: Callable = lambda: None
) -> dict[str, list[float]]:
    """Seconds of a call of each function: median, 10th and 90th percentile. `fresh` makes the argument."""

    def once(function: Callable, calls: int) -> float:
        total = 0.0
        for _ in range(calls):
            argument = fresh()
            wait()
            started = time.perf_counter()
            function(argument)
            wait()
            total += time.perf_counter() - started
        return total / calls

    for function in functions.values():
        once(function, 2)  # warms up
    calls = {name: math.ceil(SHORTEST_TIMING / once(function, 2)) for name, function in functions.items()}
    times = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            times[name].append(once(function, calls[name]))
    return {name: np.percentile(values, (50, 10, 90)).tolist() for name, values in times.items()}


def speeds(batch: Batch, rounds: int) -> dict[str, list[float]]:
    """Tokens per second of all contenders: median, 10th and 90th percentile."""
    times, size = seconds(contenders(batch), rounds, batch.input_ids.clone), batch.input_ids.numel()
    return {name: [size / median, size / high, size / low] for name, (median, low, high) in times.items()}


def speeds_on_gpu(batch: Batch, rounds: int) -> dict[str, list[float]]:
    """Those of our strategies on the first GPU, which finishes each call before the clock is read."""
    times, size = seconds(ours(batch, "cuda"), rounds, wait=torch.cuda.synchronize), batch.input_ids.numel()
    return {name: [size / median, size / high, size / low] for name, (median, low, high) in times.items()}


def real_steps(batch: Batch, dtype: str) -> Iterator[torch.Tensor]:
    """Endless pre-training of the laptop model: each item is a step, from masking to AdamW."""
    recipe = replace(LAPTOP.pretraining, strategy="token", short_rows=())
    training = pretraining.Training.start(model.build(LAPTOP.model, seed=0), recipe, dtype)
    vocabulary = Vocabulary(LAPTOP.model.vocabulary_size, MASK, SPECIAL)
    rows = Blocks(batch.input_ids, batch.word_ids)
    order = torch.arange(len(batch.input_ids)).expand(1_000, -1)
    while True:
        training.step = 0
        yield from pretraining.train(training, rows, order, vocabulary, recipe, lambda step: 1e-4, dtype)


def share_of_a_step(rounds: int) -> dict:
    """What masking takes of a pre-training step on the laptop's batch, in the faster precision."""
    batch = text(*SHAPES[-1], LAPTOP.model.vocabulary_size)
    steps = {dtype: real_steps(batch, dtype) for dtype in ("float32", "bfloat16")}
    functions = {name: lambda _, step=step: next(step) for name, step in steps.items()} | ours(batch)
    times = {name: median for name, (median, *_) in seconds(functions, rounds).items()}
    dtype = min(steps, key=times.get)
    return {"dtype": dtype, "seconds": times, "shares": {name: times[name] / times[dtype] for name in OURS}}


def parts(batch: Batch, rounds: int) -> dict:
    """Seconds of the parts of a span mask, each timed by itself on new random numbers, and the bytes copied.

    New ones, because a processor learns to foresee the comparisons of a selection that it has made before.
    """
    ids, words, _, vocabulary = batch
    scheme, one_pass = OURS["span"], replace(OURS["span"], longest=1)
    generator, used = torch.Generator().manual_seed(0), torch.tensor(True)
    can_hide, numbers, column = words >= 0, masking.number_words(words), torch.arange(ids.shape[1])

    def fresh() -> tuple[masking.Keys, masking.Keys, torch.Tensor, torch.Tensor, torch.Tensor]:
        keys, few = (masking.draw_keys(*ids.shape, which, generator) for which in (scheme, one_pass))
        units = masking.span_units(numbers, can_hide, keys, scheme)
        key = units.masked_fill(~can_hide, masking.LAST) << masking.PLACE_BITS | column
        positions = select((keys, few, key))
        return keys, few, key, positions, ids.gather(1, positions)

    def select(new: tuple) -> torch.Tensor:
        return new[2].topk(new[0].slots.shape[1], dim=1, largest=False).indices

    def corrupt(new: tuple) -> torch.Tensor:
        return masking.corrupt(new[4], new[3], used, scheme, vocabulary, new[0], ids.shape[1])

    functions = {
        "all": ours(batch)["span"],
        "checks": lambda _: masking._refuse_bad_input(ids, words, scheme, vocabulary, generator, None),
        "random numbers": lambda _: masking.draw_keys(*ids.shape, scheme, generator),
        "words, budget": lambda _: (masking.number_words(words), masking.budget(words >= 0, RATE)),
        "ten passes": lambda new: masking.span_units(numbers, can_hide, new[0], scheme),
        "first pass": lambda new: masking.span_units(numbers, can_hide, new[1], one_pass),
        "selection": select,
        "corruption": corrupt,
        "copy": lambda _: ids.clone(),
    }
    times = {name: median for name, (median, *_) in seconds(functions, rounds, fresh).items()}
    unavoidable = times["random numbers"] + times["selection"] + times["copy"]
    return {"seconds": times, "unavoidable": unavoidable, "bytes copied": 2 * ids.nbytes}


# The tables


def processor() -> str:
    """The processor's name, where the system tells it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


def verdict(met: bool) -> str:
    return "met" if met else "NOT MET"


def show_speeds(title: str, table: dict[str, list[float]], bars: bool = False) -> None:
    """Tokens per second, then the ratios, as far as both sides are there, and which bars are met."""
    print(f"\n{title:22} {'million tokens/s':>17}   10th to 90th percentile")
    for name, row in table.items():
        median, low, high = (value / 1e6 for value in row)
        print(f"{name:22} {median:17.2f}   {low:.2f} to {high:.2f}")
    for us, them, bar in RATIOS:
        if them in table:
            ratio = table[us][0] / table[them][0]
            print(f"  {f'{us} / {them}':32} {ratio:6.1f}", end="")
            print(f"   at least {bar}: {verdict(ratio >= bar)}" if bar and bars else "")


def show_step(result: dict) -> None:
    """Masking as a share of a pre-training step."""
    times, dtype = result["seconds"], result["dtype"]
    print(f"\nA step of the laptop model, {dtype}: {1e3 * times[dtype]:.1f} ms, of which masking")
    for name, share in result["shares"].items():
        bar = f"at most {MOST_OF_A_STEP:.0%}: {verdict(share <= MOST_OF_A_STEP)}"
        print(f"  {name:20} {1e6 * times[name]:7.0f} µs {share:7.2%}   {bar}")


def show_parts(title: str, result: dict) -> None:
    """What bounds a span mask: each part as a share of the whole, and the distance from what must be done."""
    times, must = dict(result["seconds"]), result["unavoidable"]
    total, copy, more = times.pop("all"), times.pop("copy"), times.pop("ten passes") - times["first pass"]
    rest = total - sum(times.values()) - more
    print(f"\nWhat bounds a span mask, {title}: {1e6 * total:.0f} µs, of which")
    for name, value in (*times.items(), ("nine more passes", more), ("rest", rest), ("(one copy)", copy)):
        print(f"  {name:20} {1e6 * value:7.0f} µs {value / total:7.1%}")
    print(
        f"  Random numbers, selection and the ids copied once, at {result['bytes copied'] / copy / 1e9:.0f}"
    )
    print(f"  GB/s read and written, are {1e6 * must:.0f} µs; mask() takes {total / must:.1f} times as long.")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    np.random.seed(0)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    machine = {"processor": processor(), "threads": 1, "gpu": gpu, "versions": settings.versions()}
    print(f"{machine['processor']}, one thread; {machine['versions']}; {options.rounds} rounds")
    results = {"machine": machine, "rounds": options.rounds, "speeds": {}, "parts": {}, "gpu": {}}
    for shape in SHAPES:
        title = "{} x {}".format(*shape)
        results["speeds"][title] = speeds(text(*shape), options.rounds)
        show_speeds(title, results["speeds"][title], bars=shape in WITH_BARS)
    results["step"] = share_of_a_step(options.rounds)
    show_step(results["step"])
    for shape, title in zip(SHAPES, results["speeds"], strict=True):
        results["parts"][title] = parts(text(*shape), options.rounds)
        show_parts(title, results["parts"][title])
    if gpu is None:
        print("\nGPU: not measured")
    for shape, title in zip(SHAPES if gpu else (), results["speeds"] if gpu else (), strict=True):
        results["gpu"][title] = speeds_on_gpu(text(*shape), options.rounds)
        show_speeds(f"{gpu}, {title}", results["gpu"][title])
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
