"""What the names of the real corpora are like, beside those of the invented world: portraits.csv.

    python -m tests.benchmarks.real_names

Reads what `python -m tests.benchmarks.real_corpora` made. A column for each corpus: all are described from
as many labelled sentences, drawn from its training split. The text of the real ones is that of block `real`,
cut by its vocabulary of 8,192 wordpieces, and in the last row by one of 30,000.
"""

from dataclasses import replace
from random import Random

import pandas as pd

from helpers import corpora, portrait, tokenization, world
from helpers.blocks import BASE, BLOCKS, CROSSNER_SENTENCES, FIRST_SEED, FOLDER_OF_REAL
from helpers.running import reference, replicate
from helpers.scoring import SurfaceIndex

FILE = reference.FOLDER.parent / "real" / "portraits.csv"
LARGE = 30_000  # wordpieces, about as many as the vocabularies of BERT have
SETS = {"CrossNER": "crossner", "LitBank": "litbank-1", "WNUT-17": "wnut17"}


def main() -> None:
    made = {"the invented world": of_the_world()}
    block = BLOCKS["real"]
    reference.inputs(block)  # says what is missing, if it is
    arm = reference.tasks(block, block.first_seed)[0].arm
    shared, text = arm.replicate, replicate.surface_index(arm.settings)
    large = tokenization.train(shared.corpus.text, LARGE)
    for name, folder in SETS.items():
        splits = corpora.load(str(FOLDER_OF_REAL / folder)).splits
        labelled = Random(0).sample(splits["train"], CROSSNER_SENTENCES)
        made[name] = portrait.portrait(labelled, splits["test"], text, shared.tokenizer)
        row = "words of names that are torn"
        by_large = portrait.portrait(labelled, splits["test"], text, large)
        made[name][f"{row} by 30,000 wordpieces"] = by_large[row]
    table = pd.DataFrame(made, index=made["CrossNER"].index).round(1).rename_axis("quantity")
    FILE.parent.mkdir(exist_ok=True)
    table.to_csv(FILE, lineterminator="\n")
    print(table.to_string())


def of_the_world() -> pd.Series:
    """Describe the world of block A's first seed, with more labelled sentences than the block has."""
    drawn = replace(BASE.world, seed=FIRST_SEED, train=CROSSNER_SENTENCES)
    made = world.generate(drawn)
    cut = tokenization.train(made.text, BASE.model.vocabulary_size)
    return portrait.portrait(made.train, made.test, SurfaceIndex(made.text), cut)


if __name__ == "__main__":
    main()
