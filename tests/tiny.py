"""A model and rows so small that a training takes a blink, for the tests of pre-training."""

import torch

from helpers.masking import Vocabulary
from helpers.settings import ModelSettings, PretrainingSettings
from helpers.tokenization import Blocks

TINY = ModelSettings(vocabulary_size=30, length=16, hidden_size=16, layers=1, heads=2)
RECIPE = PretrainingSettings(
    batch_size=8, short_rows=(), learning_rate=3e-3, warmup_tokens=2 * 8 * 16, cooldown=0.25, seed=7
)
STEP = 8 * 16  # tokens
VOCABULARY = Vocabulary(30, 4, (0, 1, 2, 3, 4))


def counting_rows() -> Blocks:
    """Rows that count upwards: [CLS] n n+1 n+2 …, so that a hidden token can be told from its neighbours."""
    starts = torch.randint(0, 25, (50, 1), generator=torch.Generator().manual_seed(0))
    counting = (starts + torch.arange(15)) % 25 + 5
    input_ids = torch.cat([torch.full((50, 1), 2), counting], dim=1)
    word_ids = torch.cat([torch.tensor([-1]), torch.arange(15)]).expand(50, 16)
    return Blocks(input_ids, word_ids.contiguous())


def weights_of(bert) -> torch.Tensor:
    """All weights of a model, one after the other."""
    return torch.cat([parameter.detach().flatten() for parameter in bert.parameters()])


def random_batch(rows: int = 4, length: int = 16, vocabulary: int = 50):
    """Rows, positions in them, and labels there; one slot is not used."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(5, vocabulary, (rows, length), generator=generator)
    positions = torch.rand(rows, length, generator=generator).argsort(dim=1)[:, :3]
    labels = torch.full_like(inputs, -100).scatter(1, positions, inputs.gather(1, positions))
    labels[0, positions[0, 2]] = -100  # a slot that is not used
    return inputs, positions, labels
