"""The span boundary objective: hidden tokens are also foretold from what stands around their run.

Of a run x_s … x_e the model gives the states at s − 1 and e + 1, and a small head of its own has to name each
x_i from these two and from its place in the run. So what is said about a span gathers at its ends. The head
serves pre-training alone: fine-tuning and checkpoints leave it out.

Source: Joshi et al. 2020 (SpanBERT), section 3.2.
"""

import torch
from transformers import BertConfig, BertForMaskedLM

from helpers import model as bert
from helpers.masking import IGNORED, run_starts


class BoundaryHead(torch.nn.Module):
    """Scores all wordpieces for a hidden token, from both neighbours of its run and its place in it.

    Source:
        Joshi et al. 2020, section 3.2.
    """

    def __init__(self, config: BertConfig, seed: int):
        super().__init__()
        size, positions = config.hidden_size, config.max_position_embeddings
        with torch.random.fork_rng():
            torch.manual_seed(1_000_003 * (seed + 1))  # the seed itself has drawn BERT's weights
            self.places = torch.nn.Embedding(positions, size)
            self.layers = torch.nn.Sequential(
                *(torch.nn.Linear(3 * size, size), torch.nn.GELU()),
                torch.nn.LayerNorm(size, config.layer_norm_eps),
                *(torch.nn.Linear(size, size), torch.nn.GELU()),
                torch.nn.LayerNorm(size, config.layer_norm_eps),
            )
            for module in (self.places, self.layers[0], self.layers[3]):
                torch.nn.init.normal_(module.weight, std=config.initializer_range)
            for layer in (self.layers[0], self.layers[3]):
                torch.nn.init.zeros_(layer.bias)
        self.bias = torch.nn.Parameter(torch.zeros(config.vocab_size))

    def forward(
        self, left: torch.Tensor, right: torch.Tensor, place: torch.Tensor, words: torch.Tensor
    ) -> torch.Tensor:
        """Score the wordpieces.

        Args:
            left: `[tokens, hidden_size]` states before the tokens' runs.
            right: `[tokens, hidden_size]` states behind them.
            place: `[tokens]` places in the runs, from 1.
            words: `[vocabulary, hidden_size]` embeddings of the wordpieces, which are BERT's.

        Returns:
            `[tokens, vocabulary]` logits.
        """
        around = torch.cat([left, right, self.places(place).to(left.dtype)], dim=-1)
        return torch.nn.functional.linear(self.layers(around), words, self.bias)


def add_head(model: BertForMaskedLM, seed: int) -> BertForMaskedLM:
    """Give a model a boundary head, `model.boundary`; its other weights stay as they are.

    Args:
        model: changed in place.
        seed: decides the head's weights.

    Returns:
        The model.
    """
    model.boundary = BoundaryHead(model.config, seed).to(model.device)
    return model


def weights_without_head(model: BertForMaskedLM) -> dict[str, torch.Tensor]:
    """Return a model's weights as a plain `BertForMaskedLM` has them, for a checkpoint."""
    return {name: weight for name, weight in model.state_dict().items() if not name.startswith("boundary.")}


def neighbours(hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Find what stands around each hidden token's run, and the token's place in it.

    The row [CLS] a # # b # with hidden tokens # has (zeros stand at visible tokens)

        left   0 0 1 1 0 4
        right  0 0 4 4 0 0
        place  0 0 1 2 0 1

    A left neighbour is always there, since [CLS] is never hidden. A run that ends with the row has no right
    one, and takes [CLS], which sees the whole row: SpanBERT's rows end in [SEP], ours are cut anywhere.

    Args:
        hidden: `[batch, length]` bool, False in the first column.

    Returns:
        left, right: `[batch, length]` int64 positions; place: `[batch, length]` int64, from 1.
    """
    length = hidden.shape[1]
    start = run_starts(hidden)
    end = length - 1 - run_starts(hidden.flip(1)).flip(1)
    place = torch.arange(length, device=hidden.device) - start + 1
    left, right = start - 1, (end + 1) % length
    return left * hidden, right * hidden, place * hidden


def loss(
    model: BertForMaskedLM, inputs: torch.Tensor, positions: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Compute the masked-LM loss plus the boundary loss, each a mean over the hidden tokens.

    Both read one encoding, whose last layer is computed at hidden tokens and at the neighbours of runs only.

    Args:
        model: with a boundary head.
        inputs: `[batch, length]`, without padding; [CLS] comes first.
        positions: `[batch, slots]`: where tokens are hidden; unused slots point anywhere else.
        labels: `[batch, length]`, -100 where nothing is hidden.

    Returns:
        A single number, in nats.

    Source:
        Joshi et al. 2020, section 3.2.
    """
    hidden = labels != IGNORED  # [batch, length]
    left, right, place = (found.gather(1, positions) for found in neighbours(hidden))  # [batch, slots]
    needed = hidden.scatter(1, torch.cat([positions, left, right], dim=1), True)
    most = int(needed.sum(1).max())
    read = needed.byte().argsort(dim=1, descending=True, stable=True)[:, :most]  # rows that need fewer: more
    index = read[:, :, None].expand(-1, -1, model.config.hidden_size)
    found = bert.encode(model.bert, inputs, read)
    states = found.new_zeros(*inputs.shape, found.shape[-1]).scatter(1, index, found)

    def at(where: torch.Tensor) -> torch.Tensor:
        """Return the states at `[batch, slots]` positions: `[batch * slots, hidden_size]`."""
        return states.gather(1, where[:, :, None].expand(-1, -1, states.shape[-1])).flatten(0, 1)

    answers = labels.gather(1, positions).flatten()
    words = model.get_input_embeddings().weight
    from_itself = model.cls(at(positions))  # [batch * slots, vocabulary]
    from_around = model.boundary(at(left), at(right), place.flatten(), words)
    return sum(
        torch.nn.functional.cross_entropy(logits.float(), answers) for logits in (from_itself, from_around)
    )
