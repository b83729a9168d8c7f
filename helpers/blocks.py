"""The reference, block by block: which arms are trained under which conditions, on which seeds.

A block is one question. Its arms are compared within a seed, and the seeds are shared between blocks: what a
block needs under the conditions of block A, it finds there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from helpers.settings import ROOT, SCALES, UNTRAINED, Scale, WorldSettings, continued, real, varied

FIRST_SEED = 1_000  # seeds below were for development
DTYPE = "float32"  # on every machine, unless a block says otherwise: one table never mixes precisions

SIZES = (25, 50, 100, 200, 400)  # of the labelled sets
BASE = replace(
    SCALES["laptop"],
    name="reference",
    replicates=12,
    tokens=(1_000_000, 3_000_000, 6_000_000, 12_000_000),
    labelled_sentences=SIZES,
    subsets=3,
    first_seed=FIRST_SEED,
    world=WorldSettings(sentences=400_000),  # 14.7 million tokens
)

# Real text. What block real reads is not part of the project: tests/benchmarks/real_corpora.py puts it there.
FOLDER_OF_REAL = ROOT / "data" / "runs" / "real"
CROSSNER = str(FOLDER_OF_REAL / "crossner")
WIKIPEDIA = tuple(str(FOLDER_OF_REAL / "wikipedia" / f"{shard}.txt.xz") for shard in ("AA", "AB", "AC", "AD"))
CROSSNER_SENTENCES = 2_746  # labelled, in its train split
REAL = replace(
    real(SCALES["laptop"], (4_000_000, 16_000_000)),
    name="reference",
    core_sentences=CROSSNER_SENTENCES,
    first_seed=FIRST_SEED,
    words=30_000_000,  # all 27.8 million
)

# A pre-trained model that a package of the index ships, put beside the data by the same command.
MINILM = str(FOLDER_OF_REAL / "all-MiniLM-L6-v2")
CONTINUED = replace(
    continued(SCALES["laptop"], (3_000_000,)),
    name="reference",
    core_sentences=CROSSNER_SENTENCES,
    first_seed=FIRST_SEED,
    words=2_400_000,  # about one pass
)

Cell = tuple[int, int, int]  # tokens seen, labelled sentences, labelled subset


@dataclass(frozen=True)
class Condition:
    """What differs from block A, and the arms that are trained under it."""

    arms: tuple[str, ...]
    changes: tuple[tuple[str, object], ...] = ()  # fields of the scale, as for `settings.varied`

    @property
    def name(self) -> str:
        """The changes as text, for the table's column `condition`; the mask rate has a column of its own."""
        shown = [(field, value) for field, value in self.changes if field != "pretraining.mask_rate"]
        return ", ".join(f"{field.rpartition('.')[2]}={value}" for field, value in shown)


@dataclass(frozen=True)
class Block:
    """A part of the reference that one command makes."""

    name: str
    question: str
    replicates: int
    tokens: tuple[int, ...]  # pre-training budgets
    conditions: tuple[Condition, ...]
    labelled_sentences: tuple[int, ...] = (BASE.core_sentences,)
    first_seed: int = FIRST_SEED
    last_budget_only: bool = False  # fine-tune after the largest budget alone
    keeps_predictions: bool = False  # those of the core cell, so that anything else can be counted later
    every_size: bool = False  # fine-tune on every number of labelled sentences after every budget
    corpus: str = "world"
    text: tuple[str, ...] = ()
    model: str = ""  # that training starts from; a new tiny BERT if left out
    dtype: str = DTYPE  # of pre-training and fine-tuning
    recipe: tuple[tuple[str, object], ...] = ()  # fields of `base` that all of its conditions change

    @property
    def seeds(self) -> range:
        """The seeds of its replicates."""
        return range(self.first_seed, self.first_seed + self.replicates)

    @property
    def base(self) -> Scale:
        """What its conditions change."""
        if self.model:
            return CONTINUED
        return BASE if self.corpus == "world" else REAL

    def scale(self, condition: Condition) -> Scale:
        """Return the scale that a condition is run at."""
        scale = replace(
            self.base,
            replicates=self.replicates,
            tokens=self.tokens,
            arms=condition.arms,
            labelled_sentences=self.labelled_sentences,
        )
        return varied(scale, dict((*self.recipe, *condition.changes)))

    def cells(self, arm: str) -> tuple[Cell, ...]:
        """List what is fine-tuned for an arm.

        Args:
            arm: "none" and "as_it_came" have no budgets of tokens.

        Returns:
            (tokens seen, labelled sentences, subset): every budget with the sentences of the core cell, on
            as many labelled subsets as `base` says; and the other numbers of sentences after the largest
            budget, or after every one, on one subset.
        """
        budgets = (0,) if arm in UNTRAINED else tuple(reversed(self.tokens))  # the core cell first
        core, subsets = self.base.core_sentences, self.base.subsets
        cells = [(tokens, core, subset) for tokens in budgets for subset in range(subsets)]
        if self.last_budget_only:
            cells = cells[:subsets]
        others = [count for count in self.labelled_sentences if count != core]
        after = budgets if self.every_size else budgets[:1]
        return (*cells, *((tokens, count, 0) for tokens in after for count in others))

    def kept_cells(self, arm: str) -> tuple[Cell, ...]:
        """List the cells of an arm whose predicted mentions are kept: those of the core cell, or none."""
        cells = self.cells(arm) if self.keeps_predictions else ()
        return tuple(cell for cell in cells if cell[:2] == self.cells(arm)[0][:2])


def _one_at_a_time(arms: tuple[str, ...], values: Mapping[str, tuple]) -> tuple[Condition, ...]:
    return tuple(Condition(arms, ((field, value),)) for field, some in values.items() for value in some)


LADDER = ("token", "whole_word", "span")
SCHEMES = ("token", "whole_word", "span_short", "span")

A = Block(
    "A",
    "Which contiguity helps, after how much training, with how many labels?",
    12,
    BASE.tokens,
    (Condition(("none", *LADDER)),),
    labelled_sentences=SIZES,
    keeps_predictions=True,
)

SHORTER_ROWS = Block(
    "real_rows",
    "Does it hold on real text where no arm lies long on the plateau?",
    8,
    (16_000_000,),
    (Condition(LADDER),),
    labelled_sentences=(CROSSNER_SENTENCES,),
    corpus=CROSSNER,
    text=WIKIPEDIA,
    dtype="bfloat16",
)

LARGER = (
    ("model.layers", 4),
    ("model.hidden_size", 256),
    ("model.heads", 4),
    ("model.initializer_range", 0.035),  # 0.02 scaled from 768 units
    ("pretraining.learning_rate", 7.5e-4),
    ("pretraining.warmup_tokens", 1_200_000),  # with 150,000 some trainings learn nothing
    ("finetuning.learning_rate", 1e-3),
)

BLOCKS = {
    block.name: block
    for block in (
        A,
        replace(
            A, name="R", question="Does block A come out again on other seeds?", first_seed=FIRST_SEED + 12
        ),
        Block(
            "C",
            "Where no word is torn, does contiguity across words help?",
            6,
            (3_000_000, 6_000_000, 12_000_000),
            (Condition(("token", "span"), (("model.vocabulary_size", 5_000),)),),
        ),
        Block(
            "D",
            "Does another mask rate, or another span length, turn the order?",
            6,
            (6_000_000,),
            (
                Condition(SCHEMES),  # at 15%; block A's three once more, so that one machine makes the map
                *_one_at_a_time(SCHEMES, {"pretraining.mask_rate": (0.3, 0.5)}),
            ),
        ),
        Block(
            "E",
            "In which world does span masking win?",
            4,
            (6_000_000,),
            _one_at_a_time(
                LADDER,
                {"world.predictability": (0.0, 0.5), "world.context": (0.5,), "world.names": (1_000,)},
            ),
        ),
        Block(
            "S",
            "Do spans of two words find more long names than whole words do?",
            6,
            (6_000_000, 12_000_000),
            (Condition(("whole_word", "span_short")),),
            first_seed=FIRST_SEED + 24,
        ),
        Block(
            "B",
            "Is it the length of the spans, the missing second loss, or the short rows?",
            8,
            (3_000_000, 6_000_000, 12_000_000),
            (
                Condition(("span_short", "span_boundary", "mentions")),
                Condition(("whole_word", "span"), (("pretraining.short_rows", ()),)),
                Condition(("whole_word", "span"), (("model.length", 128), ("pretraining.batch_size", 16))),
            ),
        ),
        Block(
            "G",
            "Does the order turn with more training?",
            8,
            (24_000_000,),
            (Condition(LADDER),),
        ),
        Block(
            "F",
            "Does another recipe of fine-tuning turn the order?",
            6,
            BASE.tokens,
            tuple(
                Condition(
                    ("none", *LADDER), (("finetuning.learning_rate", rate), ("finetuning.steps", steps))
                )
                for rate in (1e-3, 2e-3, 4e-3)
                for steps in (150, 600)
                if (rate, steps) != (BASE.finetuning.learning_rate, BASE.finetuning.steps)
            ),
            last_budget_only=True,
        ),
        Block(
            "real",
            "Does it hold on real text and real names?",
            8,
            REAL.tokens,
            (Condition(("none", *SCHEMES)),),
            labelled_sentences=(100, 500, CROSSNER_SENTENCES),
            every_size=True,
            corpus=CROSSNER,
            text=WIKIPEDIA,
            recipe=(("pretraining.short_rows", ((1_000_000, 32), (2_000_000, 64))),),  # of its time
        ),
        SHORTER_ROWS,
        replace(
            SHORTER_ROWS,
            name="real_short_spans",
            question="And short spans, with the same rows?",
            conditions=(Condition(("span_short",)),),
        ),
        replace(
            SHORTER_ROWS,
            name="real_labels",
            question="With those rows, does it hold with fewer labels?",
            conditions=(Condition(SCHEMES),),
            labelled_sentences=(100, 500, CROSSNER_SENTENCES),
        ),
        replace(
            SHORTER_ROWS,
            name="real_long",
            question="With those rows, do spans catch up with more training?",
            tokens=(38_000_000,),
            conditions=(Condition(SCHEMES),),
            labelled_sentences=(100, 500, CROSSNER_SENTENCES),
        ),
        replace(
            SHORTER_ROWS,
            name="real_vocabulary",
            question="With as many wordpieces as BERT has, is there less to gain?",
            conditions=(Condition(LADDER, (("model.vocabulary_size", 30_000),)),),
        ),
        replace(
            SHORTER_ROWS,
            name="real_large",
            question="Does it hold for a model of twice the layers and twice the width?",
            replicates=5,  # of eight that were wanted: what the time was enough for
            recipe=LARGER,
        ),
        replace(
            SHORTER_ROWS,
            name="real_combined",
            question="With the larger model, more wordpieces and more training together, what is left?",
            tokens=(16_000_000, 38_000_000),
            recipe=(*LARGER, ("model.vocabulary_size", 30_000)),
        ),
        Block(
            "real_model",
            "What does more pre-training do to a model that is there already?",
            3,
            CONTINUED.tokens,
            (Condition(CONTINUED.arms),),
            labelled_sentences=(CROSSNER_SENTENCES,),
            corpus=CROSSNER,
            text=WIKIPEDIA,
            model=MINILM,
            dtype="bfloat16",
        ),
    )
}
