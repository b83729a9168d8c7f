"""On paper: how long BERT-base on a whole Wikipedia would take with this code, and what memory `gpu` needs.

    python -m tests.benchmarks.on_paper

For the time it counts the arithmetic of one step of ours at 12 x 768, and divides it by the rate that the
largest measured configuration reached (data/reference/training_speed.json). So it assumes that a larger model
reaches the same share of the machine's matrix rate. For the memory see tests/benchmarks/memory.py. Nothing of
this was run.
"""

import json

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertForMaskedLM

from helpers.experiment import REFERENCE
from helpers.model import masked_lm_loss
from helpers.settings import SCALES
from tests.benchmarks import memory

WIKIPEDIA = 3.3e9  # wordpieces: 2.5 billion words (Devlin et al. 2019, section 3.1), 1.3 wordpieces for each
MEASURED = "4x256, 8192 wordpieces, length 128"
LENGTH, MASK_RATE = 512, 0.15


def operations_per_token() -> float:
    """Operations in matrix products of a step, forwards and backwards, for each token."""
    with torch.device("meta"):  # shapes without numbers
        bert = BertForMaskedLM(BertConfig())
        inputs = torch.zeros(1, LENGTH, dtype=torch.long)
        positions = torch.zeros(1, round(MASK_RATE * LENGTH), dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        masked_lm_loss(bert, inputs, positions, inputs).backward()
    return counter.get_total_flops() / LENGTH


def main() -> None:
    speed = json.loads((REFERENCE / "training_speed.json").read_text(encoding="utf-8"))
    measured = speed["pretraining"][MEASURED]
    share = measured["share_of_matrix_rate"]["ours"]
    rate = share * measured["matrix_rate"][1]  # operations per second
    operations = operations_per_token()
    days = WIKIPEDIA * operations / rate / 86_400
    print(f"BERT-base, rows of {LENGTH}: {operations / 1e9:.2f} billion operations per token.")
    print(f"{rate / 1e9:.0f} billion operations per second, {share:.0%} of the matrix rate, were measured at")
    print(f"{MEASURED}, on {speed['machine']['cores']} cores of {speed['machine']['processor']}.")
    print(f"At that rate one pass over {WIKIPEDIA / 1e9:.1f} billion wordpieces takes {days:.0f} days.\n")
    memory.show(SCALES["gpu"])


if __name__ == "__main__":
    main()
