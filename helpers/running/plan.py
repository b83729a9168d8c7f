"""How much fits: a short measurement of everything that a run does, and what follows from it."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import torch
from scipy.stats import t
from transformers import PreTrainedModel

from helpers import model
from helpers.finetuning import finetune, predict
from helpers.running import artifacts, replicate
from helpers.running.arm import SCORED_BY, TRAINED_BY, Arm, Cell
from helpers.running.replicate import Replicate
from helpers.running.resume import pretrain
from helpers.settings import FinetuningSettings, PretrainingSettings, Settings, in_full, processors
from helpers.verdicts import REPLICATES_NEEDED

FILE = "plan.json"
NOTEBOOK_MINUTES = {"smoke": 1.5, "laptop": 2.2, "gpu": 4.5}  # of a run's minutes; for gpu a guess
ONLY_A_TRIAL = "Scale smoke only shows that the job runs: its models are too small to say anything."
MOST_WORKERS = 4  # a worker holds 0.7 GB, and a run should fit into 4 GB
TOO_SLOW = 2.0  # a precision is given up on another machine if another one is so many times as fast


@dataclass(frozen=True)
class Plan:
    """What will run: how many replicates, in what precision, on what, and how long it takes."""

    scale: str
    arms: tuple[str, ...]
    replicates: int
    wanted: int
    minutes: float  # for everything, measured at the start
    limit: float | None  # minutes that it was to fit into, if any
    device: str  # the name of the GPU or processor that was measured
    dtype: str
    workers: int  # processes that train side by side
    tokens_per_second: int  # pre-training, all workers together
    finetuning_seconds: float  # one fine-tuning with its prediction
    tokens: tuple[int, ...]
    labelled_sentences: tuple[int, ...]
    key: str
    remark: str = ""  # on the precision, where it has changed
    corpus: str = ""  # whose results the folder holds

    def __str__(self) -> str:
        fits = ""
        if self.limit and self.minutes > self.limit:
            fits = f" (the least there is; it takes longer than {self.limit:g} minutes)"
        elif self.limit and self.replicates < self.wanted:
            fits = f" (as many as fit into {self.limit:g} minutes; {self.wanted} wanted)"
        training = "continued pre-training" if "as_it_came" in self.arms else "pre-training"
        return (
            f"Scale {self.scale}: {self.replicates} paired replicate{'s' * (self.replicates > 1)}{fits} "
            f"of {len(self.arms)} arms "
            f"({', '.join(self.arms)}),\n"
            f"{self.tokens[-1]:,} tokens of {training} for each, then fine-tuning on "
            f"{', '.join(map(str, self.labelled_sentences))} labelled sentences.\n"
            f"Measured here: {self.tokens_per_second:,} tokens per second on {self.device} in {self.dtype} "
            f"({self.workers} at a time), {self.finetuning_seconds:.1f} s a fine-tuning run.\n"
            f"That takes about {self.minutes:.0f} minutes where nothing is done yet.\n"
            f"{self.decides()}" + (f"\n{self.remark}" if self.remark else "")
        )

    def decides(self) -> str:
        """Say which statements a run with so many replicates can give a verdict on."""
        if self.scale == "smoke":
            return ONLY_A_TRIAL
        if self.replicates >= REPLICATES_NEEDED:
            return (
                "It decides statement 1, and statements 2 to 5 as far as the intervals allow: "
                '"cannot tell" is a verdict too.'
            )
        few = "It decides statement 1. Statements 2 to 5 get no verdict, "
        few += f"which takes {REPLICATES_NEEDED} replicates: "
        if self.replicates == 1:
            return f"{few}their differences are printed, without intervals."
        reach, enough = (t.ppf(0.975, n - 1) / n**0.5 for n in (self.replicates, REPLICATES_NEEDED))
        return (
            f"{few}their\ndifferences are printed, with 95% intervals of ±{reach:.1f} standard deviations "
            f"over replicates (±{enough:.1f} with {REPLICATES_NEEDED})."
        )


def make(
    settings: Settings,
    cells: Callable[[str, Sequence[int]], list[Cell]],
    *,
    minutes: float | None = None,
    replicates: int | None = None,
) -> Plan:
    """Work out what a run would be here. Measured once for each set of options and kept in `settings.out`.

    Args:
        settings: corpus and scale.
        cells: what is fine-tuned for an arm, given the numbers of labelled sentences that there are.
        minutes: what the run is to fit into; the scale's own if left out.
        replicates: run so many, however long it takes.

    Returns:
        The plan; the one that was made last, if neither of the two is given and it was measured here.

    Raises:
        ValueError: fewer than one replicate or minute, or the folder holds the results of another corpus. (A
            corpus that cannot be used is a `CorpusError`.)
    """
    if (replicates is not None and replicates < 1) or (minutes is not None and minutes <= 0):
        raise ValueError("minutes and replicates must be positive")
    key = _key(settings)
    wish = f"{key} {minutes} {replicates}"
    old = read(settings)
    if old and old.corpus not in ("", in_full(settings.corpus)):
        raise ValueError(
            f"{settings.out} holds the results of {old.corpus}, whose place those of "
            f"{in_full(settings.corpus)} would take: name another folder with --out (in a notebook: OUT)"
        )
    if old and old.device == model.device_name():  # what a GPU can do says nothing where there is none
        as_before = minutes is None and replicates is None and old.key.startswith(key)
        if as_before or old.key == wish:
            return old
    planned = _measured(settings, cells, minutes, replicates, wish)
    artifacts.write(settings.out / FILE, json.dumps(asdict(planned), indent=1) + "\n")
    return planned


def read(settings: Settings) -> Plan | None:
    """Read the plan of the last run.

    Args:
        settings: whose folder it lies in.

    Returns:
        The plan; None if there is none, or one that is damaged or of another version of the series.
    """
    try:
        values = json.loads((settings.out / FILE).read_text(encoding="utf-8"))
        values = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        plan, hints = Plan(**values), get_type_hints(Plan)
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    sound = all(_fits(getattr(plan, field.name), hints[field.name]) for field in fields(Plan))
    return (
        plan if sound and min(plan.replicates, plan.workers, len(plan.arms), len(plan.tokens)) > 0 else None
    )


def _fits(value: object, hint: Any) -> bool:
    """Whether a value from a file has the type that a field wants."""
    if get_origin(hint) is UnionType:
        return any(_fits(value, one) for one in get_args(hint))
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(item, get_args(hint)[0]) for item in value)
    wanted: Any = {float: (int, float), None: NoneType}.get(hint, hint)
    return isinstance(value, wanted) and not isinstance(value, bool)


def _key(settings: Settings) -> str:
    corpus = replicate.corpus_key(settings, settings.scale.first_seed)
    code = artifacts.source_hash(*TRAINED_BY, *SCORED_BY, "running/plan")
    key = [settings.scale, corpus, code, artifacts.versions("torch", "transformers")]
    return artifacts.digest(key + ([replicate.model_key(settings)] if settings.model else []))


def _measured(
    settings: Settings,
    cells: Callable[[str, Sequence[int]], list[Cell]],
    minutes: float | None,
    replicates: int | None,
    key: str,
) -> Plan:
    """Time a few steps of everything, choose the precision, and work out how many replicates fit."""
    scale, device = settings.scale, model.device()
    # Two models of the usual size would not fit into the memory that a run may take, and gain little.
    workers = 1 if device.type == "cuda" or settings.model else min(processors(), MOST_WORKERS)
    started = time.perf_counter()
    first = replicate.load(settings)
    preparing = time.perf_counter() - started
    threads = torch.get_num_threads()
    torch.set_num_threads(threads_for(workers))
    bert = replicate.new_model(scale.model, first).to(device)
    recipe = replace(scale.pretraining, strategy="span", seed=first.seed)
    dtype, speed, remark = _precision(settings, bert, first, recipe)
    finetuning = _finetuning_seconds(bert, first, scale.core_sentences, scale.finetuning, dtype)
    torch.set_num_threads(threads)

    sizes = labelled_sizes(scale.labelled_sentences, len(first.corpus.splits["train"]))
    arms = [Arm(settings, name, 0, dtype, tuple(cells(name, sizes))) for name in reversed(scale.arms)]
    seconds = [preparing + len(arm.cells) * finetuning + arm.tokens_to_train / speed for arm in arms]
    limit = None if replicates else minutes or scale.minutes

    def takes(count: int) -> float:
        notebooks = 0 if settings.model else NOTEBOOK_MINUTES.get(scale.name, 0)
        return notebooks + side_by_side(count * seconds, workers) / 60

    fitting = [count for count in range(1, scale.replicates + 1) if limit and takes(count) <= limit]
    count = replicates or max(fitting, default=1)
    return Plan(
        scale=scale.name,
        arms=scale.arms,
        replicates=count,
        wanted=replicates or scale.replicates,
        minutes=round(takes(count), 1),
        limit=limit,
        device=model.device_name(),
        dtype=dtype,
        workers=workers,
        tokens_per_second=round(speed * workers),
        finetuning_seconds=round(finetuning, 2),
        tokens=scale.tokens,
        labelled_sentences=sizes,
        key=key,
        remark=remark,
        corpus=in_full(settings.corpus),
    )


def labelled_sizes(wanted: Sequence[int | str], there: int) -> tuple[int, ...]:
    """Return the numbers of labelled sentences that a corpus has enough of, in order.

    Args:
        wanted: one of them may be `settings.ALL`.
        there: how many the corpus has.

    Returns:
        The numbers, with that of all in the place of `ALL`.
    """
    found = {there if isinstance(count, str) else count for count in wanted}
    return tuple(sorted(count for count in found if count <= there))


def threads_for(workers: int) -> int:
    """Return how many threads each of so many processes may use."""
    return max(1, processors() // workers)


def side_by_side(seconds: Sequence[float], workers: int) -> float:
    """Return the seconds until all tasks are done, if each goes to the worker that is free first."""
    busy = [0.0] * workers
    for task in seconds:
        busy[busy.index(min(busy))] += task
    return max(busy)


# --- precision: a part of what a run is, so it is kept where its models are ---


def precisions(capability: tuple[int, int] | None) -> tuple[str, ...]:
    """Return the precisions that are timed on a device: float32, and one of 16 bits.

    bfloat16 needs no loss scaling. A GPU without it, such as a T4, can imitate it, but slowly, so float16 is
    timed there. (`torch.cuda.is_bf16_supported()` answers yes for such a GPU too.)

    Args:
        capability: of a GPU, as `torch.cuda.get_device_capability()` gives it: (7, 5) for a T4. From (8, 0)
            on bfloat16 is native (source of `torch.cuda.is_bf16_supported`). None for a CPU.

    Returns:
        Their names.
    """
    return ("float32", "float16" if capability and capability < (8, 0) else "bfloat16")


def _precision(
    settings: Settings, bert: PreTrainedModel, first: Replicate, recipe: PretrainingSettings
) -> tuple[str, float, str]:
    """Choose the precision.

    What was trained in one precision is not comparable with what is trained in another. So the first choice
    stays, unless the machine is another one and much slower with it, or cannot compute it.

    Returns:
        The precision, its tokens per second, and a remark if the precision is not the one chosen before.
    """
    key = [settings.scale.model, settings.scale.pretraining, replicate.corpus_key(settings, 0)]
    key += [replicate.model_key(settings)] if settings.model else []
    file = artifacts.FOLDER / f"precision-{artifacts.digest(key)}.json"
    device = model.device_name()
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        before, machine = str(kept["dtype"]), str(kept["device"])
    except (OSError, ValueError, TypeError, KeyError):
        before, machine = "", ""
    timed = precisions(torch.cuda.get_device_capability() if torch.cuda.is_available() else None)
    if before in timed and machine == device:
        timed = (before,)
    speeds = {dtype: training_speed(bert, first, recipe, dtype) for dtype in timed}
    dtype = max(speeds, key=lambda name: speeds[name])
    if before in speeds and speeds[dtype] < TOO_SLOW * speeds[before]:
        dtype = before
    if dtype != before:
        artifacts.write(file, json.dumps({"dtype": dtype, "device": device}, indent=1) + "\n")
    if not before or dtype == before:
        return dtype, speeds[dtype], ""
    remark = (
        f"Precision: {dtype}, where {machine} used {before}, which is slow or missing here. All models are "
        f"trained again in {dtype}, since one table never mixes precisions."
    )
    return dtype, speeds[dtype], remark


def speeds(settings: Settings, dtype: str) -> tuple[float, float]:
    """Measure one process with one thread.

    Args:
        settings: whose scale is measured, on less text.
        dtype: of training.

    Returns:
        Tokens of pre-training per second, and seconds of a fine-tuning with its prediction.
    """
    scale = settings.scale
    small = replace(scale, words=min(scale.words, 1_000_000), world=replace(scale.world, sentences=5_000))
    first = replicate.load(replace(settings, scale=small))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    bert = replicate.new_model(small.model, first).to(model.device())
    recipe = replace(small.pretraining, strategy="span", short_rows=(), seed=first.seed)
    speed = training_speed(bert, first, recipe, dtype)
    finetuning = _finetuning_seconds(bert, first, small.core_sentences, small.finetuning, dtype)
    torch.set_num_threads(threads)
    return speed, finetuning


def training_speed(bert: PreTrainedModel, first: Replicate, recipe: PretrainingSettings, dtype: str) -> float:
    """Measure tokens per second over four steps, after two that warm up."""
    ticks: list[float] = []
    tokens = recipe.batch_size * first.length
    steps = pretrain(
        *(bert, first.blocks, first.vocabulary, recipe, (6 * tokens,)),
        dtype=dtype,
        progress=lambda _: ticks.append(time.perf_counter()),
    )
    list(steps)
    return 4 * tokens / (ticks[-1] - ticks[1])


def _finetuning_seconds(
    bert: PreTrainedModel, first: Replicate, count: int, recipe: FinetuningSettings, dtype: str
) -> float:
    """Estimate what a fine-tuning and its prediction take, from a very short one and a short one."""
    labelled, seconds = first.labelled(count), {}
    tagger: PreTrainedModel
    for steps in (8, 2, 34):  # the first one warms up
        started = time.perf_counter()
        tagger = finetune(bert, labelled, first.tags, replace(recipe, steps=steps), dtype)
        seconds[steps] = time.perf_counter() - started
    per_step = (seconds[34] - seconds[2]) / 32
    test = first.test  # encoded here: a worker does it once for all its cells
    predict(tagger, test, dtype)  # warms up
    started = time.perf_counter()
    predict(tagger, test, dtype)
    return seconds[2] + (recipe.steps - 2) * max(per_step, 0) + time.perf_counter() - started
