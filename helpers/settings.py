"""What a run consists of: frozen dataclasses, three scales, and the only place that reads its variables."""

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MOST_SEED = 1_000_000  # multiples of a seed have to fit into 64 bits
ALL = "all"  # of the labelled sentences that the corpus has
HUB = "hub:"  # begins the name of a data set of the hub, where a folder or file could stand as well
# What stands for a corpus and its text.
PRESETS = {"real": ("hub:DFKI-SLT/few-nerd:supervised", "hub:Salesforce/wikitext:wikitext-103-raw-v1:text")}


@dataclass(frozen=True)
class WorldSettings:
    """The built-in corpus: how much of it, from which seed, and its three dials (each in [0, 1])."""

    seed: int = 0
    sentences: int = 50_000  # unlabelled text
    train: int = 400  # labelled sentences to draw the labelled subsets from
    dev: int = 200
    test: int = 3_200
    invented_words: int = 200  # of each kind: given names, surnames, places, companies, feasts
    shared_words: float = 0.08  # share of them that serves as all of these
    names: int = 100  # of each type and length; some come out twice and count once
    predictability: float = 0.9  # how well the words of a name foretell each other
    context: float = 0.95  # how often the words around a name give its type away
    length: float = 0.5  # 0: names are mostly one word; 1: mostly long; 0.5: as in Wikipedia


@dataclass(frozen=True)
class ModelSettings:
    """A tiny BERT. `initializer_range` 0.05 is 0.02 scaled from 768 hidden units to 128."""

    vocabulary_size: int = 1_000
    length: int = 64  # tokens of a row, [CLS] included
    hidden_size: int = 128
    layers: int = 2
    heads: int = 2
    initializer_range: float = 0.05
    position_scale: float = 0.1  # size of the sinusoids that position embeddings start from; 0: random start
    tied_start: bool = True  # key weights start as a copy of the query weights: attention starts out local


@dataclass(frozen=True)
class PretrainingSettings:
    """The recipe of a pre-training; the learning rate is constant after warm-up, then cools."""

    strategy: str = "token"  # with `p` and `boundary`, an arm's; see ARMS
    mask_rate: float = 0.15
    p: float = 0.2  # of the geometric span length
    boundary: bool = False  # SpanBERT's second objective, beside the masked LM
    batch_size: int = 32  # rows
    short_rows: tuple[tuple[int, int], ...] = ((400_000, 16), (800_000, 32))  # (until so many tokens, length)
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    warmup_tokens: int = 150_000  # whatever the budgets: adding one does not change the others
    cooldown: float = 0.15  # share of this budget's tokens at its end
    seed: int = 0


@dataclass(frozen=True)
class FinetuningSettings:
    """The recipe of a fine-tuning: a fixed number of steps, so more sentences do not mean more updates."""

    steps: int = 150
    batch_size: int = 16  # rows: sentences, or windows of long ones
    learning_rate: float = 2e-3
    warmup: float = 0.1
    dropout: float = 0.1
    weight_decay: float = 0.01
    seed: int = 0


@dataclass(frozen=True)
class Scale:
    """How large an experiment is. The core cell is the last of `tokens` with `core_sentences` labelled."""

    name: str
    replicates: int  # paired replicates wanted
    minutes: float  # what the whole run is to fit into
    tokens: tuple[int, ...]  # pre-training budgets
    labelled_sentences: tuple[int | str, ...] = (25, 50, 100, 200)  # one may be `ALL`
    core_sentences: int = 100
    subsets: int = 1  # labelled subsets per pre-trained model in the core cell
    arms: tuple[str, ...] = ("none", "token", "whole_word", "span")
    first_seed: int = 0  # development uses seeds 0–99; 1000 and above are kept for the confirmatory run
    words: int = 1_500_000  # read of a text of the reader's own, at most
    world: WorldSettings = field(default_factory=WorldSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    pretraining: PretrainingSettings = field(default_factory=PretrainingSettings)
    finetuning: FinetuningSettings = field(default_factory=FinetuningSettings)


# What each arm changes in the recipe. Contiguity rises from token to span; the last two are probes.
ARMS: dict[str, dict[str, Any]] = {
    "none": {},  # no pre-training
    "as_it_came": {},  # the pre-trained model that a run started from
    "token": {"strategy": "token"},
    "whole_word": {"strategy": "whole_word"},
    "span_short": {"strategy": "span", "p": 0.5},  # two words on average
    "span": {"strategy": "span"},  # SpanBERT's, 3.8 words on average
    "span_boundary": {"strategy": "span", "boundary": True},  # and its second loss
    "mentions": {"strategy": "mentions"},  # half the budget on known names
}

UNTRAINED = ("none", "as_it_came")  # arms that no text is read for

SCALES = {
    "smoke": Scale(
        name="smoke",
        replicates=2,
        minutes=3,
        tokens=(16_384, 32_768),
        labelled_sentences=(20, 40),
        core_sentences=40,
        subsets=2,
        words=60_000,
        world=WorldSettings(sentences=1_500, train=60, dev=40, test=80),
        model=ModelSettings(vocabulary_size=800, hidden_size=32),
        pretraining=PretrainingSettings(
            short_rows=((4_096, 16), (8_192, 32)), learning_rate=1e-3, warmup_tokens=1_600
        ),
        finetuning=FinetuningSettings(steps=100, learning_rate=5e-3),  # so small a model needs a higher rate
    ),
    "laptop": Scale(name="laptop", replicates=8, minutes=15, tokens=(1_000_000, 3_000_000)),
    "gpu": Scale(
        name="gpu",
        replicates=20,
        minutes=30,
        tokens=(1_000_000, 2_000_000, 4_000_000, 8_000_000),
        labelled_sentences=(25, 50, 100, 200, 400),
        subsets=3,
        world=WorldSettings(sentences=120_000),
    ),
}

# What changes where a new model learns real text; `real` says where each value comes from.
REAL: dict[str, Any] = {
    "minutes": 60,
    "labelled_sentences": (100, 500, ALL),
    "model.vocabulary_size": 8_192,
    "model.length": 128,
    "pretraining.short_rows": ((1_000_000, 16), (2_000_000, 32)),
    "pretraining.learning_rate": 1.5e-3,
    "finetuning.steps": 600,
    "finetuning.learning_rate": 2e-3,
}
REAL_TOKENS = {"laptop": (4_000_000, 8_000_000), "gpu": (4_000_000, 16_000_000, 32_000_000)}
WORDS_PER_TOKEN = 0.75  # of English, with 8,192 wordpieces

# What changes where a run starts from a pre-trained model: a recipe that goes on from what is there, and
# budgets that a larger model gets through. A sweep on held-out sentences of CrossNER chose both rates and the
# steps of fine-tuning, for all-MiniLM-L6-v2 (tests/benchmarks/continuing.py; data/reference/README.md).
CONTINUED: dict[str, Any] = {
    "arms": ("as_it_came", "token", "whole_word", "span"),
    "model.length": 128,  # at most; fewer where the model has fewer positions
    "pretraining.short_rows": (),
    "pretraining.learning_rate": 1e-4,
    "finetuning.learning_rate": 5e-4,
}
CONTINUED_LIKE_REAL = ("minutes", "labelled_sentences", "finetuning.steps")
CONTINUED_TOKENS = {"laptop": (250_000, 1_000_000)}
CONTINUED_WARMUP = 0.06  # of the largest budget


@dataclass(frozen=True)
class Settings:
    """A scale on a corpus, and the folder that everything the run leaves goes to."""

    scale: Scale
    corpus: str = "world"
    text: tuple[str, ...] = ()
    out: Path = field(default_factory=lambda: ROOT / "data" / "runs" / "laptop")
    columns: str = ""  # of words and tags in the corpus's files, such as "word=2,tag=3"; "" to find them
    model: str = ""  # that training starts from: a folder or a name on the hub; "" for a new tiny BERT

    @property
    def model_name(self) -> str:
        """The model's name, without the path that it lies at or its revision."""
        return name_of_model(self.model)

    @property
    def corpus_name(self) -> str:
        """What the results call the corpus: "world", a folder's name, or that of a set of the hub."""
        return name_of(self.corpus)

    def variables(self) -> dict[str, str]:
        """Return the environment in which `from_environment` gives these settings, in any folder."""
        return {
            "SCALE": self.scale.name,
            "CORPUS": in_full(self.corpus),
            "TEXT": json.dumps([in_full(file) for file in self.text]) if self.text else "",
            "OUT": str(self.out),
            "SEED": str(self.scale.first_seed),
            "TAG_COLUMNS": self.columns,
            "MODEL": str(Path(self.model).resolve()) if _is_folder(self.model) else self.model,
        }


def in_full(place: str) -> str:
    """Return the whole path of a folder or file; the world and sets of the hub have none."""
    return place if place == "world" or place.startswith(HUB) else str(Path(place).resolve())


def name_of(corpus: str) -> str:
    """Return a short name, fit for a file: "few-nerd-supervised" for hub:DFKI-SLT/few-nerd:supervised."""
    if corpus.startswith(HUB):
        name, *config = corpus.removeprefix(HUB).split(":")
        return re.sub(r"[^\w.-]", "-", "-".join(filter(None, [name.rpartition("/")[2], *config])))
    return Path(corpus).resolve().name


def name_of_model(model: str) -> str:
    """Return a folder's name, or that on the hub without a revision."""
    return Path(model).resolve().name if _is_folder(model) else model.partition("@")[0]


def _is_folder(model: str) -> bool:
    return bool(model) and Path(model).is_dir()  # Path("") is the folder that one is in


def preset(corpus: str, text: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return a corpus and its text, those that a preset stands for if `corpus` names one.

    Args:
        corpus: "world", a folder, a set of the hub, or a preset.
        text: takes the place of the preset's.

    Returns:
        The same without presets.
    """
    if corpus not in PRESETS:
        return corpus, text
    of_preset, its_text = PRESETS[corpus]
    return of_preset, text or (its_text,)


def varied(scale: Scale, changes: Mapping[str, Any]) -> Scale:
    """Change fields of a scale.

    Args:
        scale: which stays as it is.
        changes: new values by name, such as "tokens" or "world.predictability".

    Returns:
        The changed scale.

    Raises:
        TypeError: it has no such field.
    """
    for name, value in changes.items():
        part, _, field_name = name.rpartition(".")
        if part:
            scale = replace(scale, **{part: replace(getattr(scale, part), **{field_name: value})})
        else:
            scale = replace(scale, **{field_name: value})
    return scale


def real(scale: Scale, tokens: tuple[int, ...] = ()) -> Scale:
    """Change a scale's recipes to those of real text, for a new model and any corpus but the world.

    From a pilot on Wikipedia and CrossNER (seeds 70 and 71; data/reference/README.md): rows of 128 tokens,
    8,192 wordpieces, short rows for the first 2 M tokens, and the learning rate, which is the world's too.
    The lengths of the short rows are the world's: with longer ones spans lie on the plateau for most of the
    budget (seed 73; tests/benchmarks/plateau.py, with its table in the same file). From the width: the scale
    of the initial weights, 0.02 at BERT's 768 units. From the budget: the words of the text that are read,
    enough for one pass. From the minutes: 8 M tokens, so that two replicates of three pre-trained arms fit
    into an hour of two cores that train 20,000 tokens a second each. From a sweep on held-out training
    sentences (tests/benchmarks/real_recipe.py, with its table beside the pilot's): steps and learning rate of
    fine-tuning. `smoke` stays as small as it is.

    Args:
        scale: which stays as it is.
        tokens: the budgets; those of the scale if left out.

    Returns:
        The changed scale.
    """
    if scale.name == "smoke":
        return varied(scale, {"model.vocabulary_size": 1_500})
    tokens = tokens or REAL_TOKENS.get(scale.name, scale.tokens)
    from_width = round(0.02 * (768 / scale.model.hidden_size) ** 0.5, 3)
    fitting = {"tokens": tokens, "words": round(WORDS_PER_TOKEN * tokens[-1])}
    return varied(scale, {**REAL, **fitting, "model.initializer_range": from_width})


def continued(scale: Scale, tokens: tuple[int, ...] = ()) -> Scale:
    """Change a scale's recipes to those of a run that starts from a pre-trained model.

    Args:
        scale: which stays as it is.
        tokens: the budgets; those of the scale if left out.

    Returns:
        The changed scale.
    """
    if scale.name != "smoke":  # which stays as small as it is
        scale = varied(scale, {name: REAL[name] for name in CONTINUED_LIKE_REAL})
    tokens = tokens or CONTINUED_TOKENS.get(scale.name, scale.tokens)
    warmup = round(CONTINUED_WARMUP * tokens[-1])
    return varied(scale, {**CONTINUED, "tokens": tokens, "pretraining.warmup_tokens": warmup})


def choose(
    scale: str = "laptop",
    corpus: str = "world",
    text: tuple[str, ...] = (),
    out: str | Path | None = None,
    seed: int = 0,
    columns: str = "",
    model: str = "",
) -> Settings:
    """Choose settings by name.

    Args:
        scale: "smoke", "laptop" or "gpu".
        corpus: "world", a folder of labelled files, a set of the hub (hub:NAME:CONFIG), or a preset, "real".
        text: files of unlabelled text or texts of the hub (hub:NAME:CONFIG:COLUMN), for a corpus of files.
        out: where results go; a folder in data/runs, named after scale, corpus, model and seed, if left out.
        seed: of the first replicate; the others follow it.
        columns: which columns of a folder's files hold words and tags, such as "word=2,tag=3".
        model: a pre-trained masked LM to go on training, by its folder or its name on the hub; a new tiny
            BERT if left out.

    Returns:
        The settings.

    Raises:
        ValueError: there is no scale of that name, or text or columns are given for the world, which has its
            own, or the seed is negative.
    """
    if scale not in SCALES:
        raise ValueError(f"SCALE is {scale!r}; choose one of {', '.join(SCALES)}")
    corpus, text = preset(corpus, tuple(text))
    if corpus == "world" and text:
        raise ValueError("the built-in world brings its own text: leave TEXT out, or give a CORPUS folder")
    if corpus == "world" and columns:
        raise ValueError("the built-in world has no columns: leave TAG_COLUMNS out, or give a CORPUS folder")
    if not 0 <= seed <= MOST_SEED:
        raise ValueError(f"SEED is {seed}; choose a whole number from 0 to {MOST_SEED:,}")
    if out is None:
        name = scale if corpus == "world" else f"{scale}-{name_of(corpus)}"
        name += f"-{name_of_model(model).rpartition('/')[2]}" if model else ""
        out = ROOT / "data" / "runs" / (f"{name}-seed-{seed}" if seed else name)
    chosen = replace(SCALES[scale], first_seed=seed) if seed else SCALES[scale]
    if model:
        chosen = continued(chosen)
    elif corpus != "world":
        chosen = real(chosen)
    return Settings(chosen, corpus, text, Path(out).resolve(), columns, model)


def from_environment(
    scale: str | None = None,
    corpus: str | None = None,
    text: Sequence[str] | None = None,
    out: str | None = None,
    seed: str | None = None,
    columns: str | None = None,
    model: str | None = None,
) -> Settings:
    """Choose settings by the variables of the environment; by default `laptop` on the world.

    They are SCALE, CORPUS, TEXT, OUT, SEED, TAG_COLUMNS and MODEL. TEXT holds several files as PATH does, or
    as a JSON list, which file names with any character fit into.

    Args:
        scale: in place of the variable, like the others; as for `choose`.
        corpus: in place of CORPUS.
        text: in place of TEXT.
        out: in place of OUT.
        seed: in place of SEED.
        columns: in place of TAG_COLUMNS (COLUMNS is the width of a terminal).
        model: in place of MODEL.

    Returns:
        The settings.

    Raises:
        ValueError: as `choose`, the seed is no whole number, or TEXT mixes files and the hub.
    """
    seed = seed or os.environ.get("SEED") or "0"
    if not seed.isdecimal():
        raise ValueError(f"SEED is {seed!r}; choose a whole number from 0 to {MOST_SEED:,}")
    return choose(
        scale or os.environ.get("SCALE") or "laptop",
        corpus or os.environ.get("CORPUS") or "world",
        tuple(text or _files(os.environ.get("TEXT", ""))),
        out or os.environ.get("OUT") or None,
        int(seed),
        columns or os.environ.get("TAG_COLUMNS") or "",
        model or os.environ.get("MODEL") or "",
    )


def _files(text: str) -> list[str]:
    if text.startswith("["):
        try:
            return [str(name) for name in json.loads(text)]
        except ValueError:
            pass  # the name of a file that starts with a bracket
    if f"{os.pathsep}{HUB}" in text:
        raise ValueError(
            f"TEXT is {text!r}: write several texts with one of the hub among them as a JSON list, such as "
            '["news.txt", "hub:NAME"]'
        )
    if text.startswith(HUB) or Path(text).is_file():  # a single one, whose name may hold a colon
        return [text]
    return [name for name in text.split(os.pathsep) if name]


def processors() -> int:
    """Return how many processors this process may use, by its affinity and the quota of its container.

    Returns:
        At least 1. `os.cpu_count()` counts those of the machine, whoever they are reserved for.
    """
    from joblib import cpu_count

    return cpu_count()


def versions() -> str:
    """Return the versions of Python and of the packages that a result depends on, in one line."""
    packages = ("torch", "transformers", "datasets", "seqeval", "numpy", "pandas", "matplotlib")
    return ", ".join(
        [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)]
    )
