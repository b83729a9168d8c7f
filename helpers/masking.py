"""Token, whole-word and span masking: one function, the strategies differ in their units.

Every strategy divides a row into candidate units and hides units until the budget is spent. A unit is one
token (BERT), one word (whole-word masking) or a run of words of random length (SpanBERT). Each unit draws a
random priority; a token belongs to the covering unit of lowest priority; tokens are ordered by (priority,
position) and the first K of a row are hidden. So every strategy hides exactly the same number of tokens,
and the last unit of a row may be cut to a prefix.
"""

from typing import NamedTuple

import torch

STRATEGIES = ("token", "whole_word", "span")
IGNORED = -100  # the label that PyTorch's cross entropy leaves out


class Masked(NamedTuple):
    """A masked batch; every field is `[batch, length]`."""

    inputs: torch.Tensor  # what the model sees
    labels: torch.Tensor  # the original id where a token is hidden, -100 elsewhere
    units: torch.Tensor  # the number of the unit a hidden token belongs to, -1 elsewhere


def span_length_weights(p: float = 0.2, longest: int = 10) -> torch.Tensor:
    """Probability of a span of 1 … `longest` words: geometric, cut off and renormalised.

    p(1−p)^(l−1) over l = 1 … longest, as in SpanBERT (Joshi et al. 2020, section 3.1); with p = 0.2 and
    longest = 10 the mean is 3.797 words. Cutting off is not the same as clipping, which piles all longer
    spans up at `longest` (mean 4.46).

    Returns:
        `[longest]` float64, sums to 1.
    """
    if not 0 < p < 1:
        raise ValueError(f"p must lie between 0 and 1, not {p}")
    weights = p * (1 - p) ** torch.arange(longest, dtype=torch.float64)
    return weights / weights.sum()


def budget(can_hide: torch.Tensor, mask_rate: float) -> torch.Tensor:
    """How many tokens of each row are hidden: the rate times the tokens that may be, rounded, at least one.

    Args:
        can_hide: `[batch, length]` bool.
        mask_rate: share of those tokens, in (0, 1).

    Returns:
        `[batch]` integers, the same whatever the strategy.
    """
    return (can_hide.sum(1) * mask_rate).round().clamp(min=1).long()


def token_units(words: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Each token is a unit of its own: a random priority per token, and the token's position."""
    priority = torch.rand(words.shape, generator=generator, device=words.device)
    return priority, torch.arange(words.shape[1], device=words.device).expand_as(words)


def whole_word_units(words: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Each word is a unit: its tokens share one priority.

    Args:
        words: `[batch, length]`, the number of each token's word within its row, from 0.
    """
    priority = torch.rand(words.shape, generator=generator, device=words.device)  # of word 0, 1, 2, …
    return priority.gather(1, words), words


def span_units(
    words: torch.Tensor, breaks: torch.Tensor, generator: torch.Generator, p: float = 0.2, longest: int = 10
) -> tuple[torch.Tensor, torch.Tensor]:
    """Runs of words: a candidate span starts at every word, its length drawn from a geometric distribution.

    Candidates also start up to `longest` − 1 words before the text between two special tokens, so that its
    first words are not starved; of those, only the part inside the text counts. For this, every special
    token leaves a gap of that many places, and no span can reach across it. The first word is hidden too
    often (17.6% instead of 15% in notebook 03's count): the unit that the budget cuts keeps its beginning.

    Args:
        words: `[batch, length]`, the number of each token's word within its row, from 0.
        breaks: `[batch, length]`, how many special tokens stand before each token.

    Returns:
        For each token the lowest priority among the spans that cover its word, and the place where that span
        starts, both `[batch, length]`.
    """
    gap = longest - 1
    places = words + gap * (1 + breaks)  # [batch, length]
    starts = int(places.max()) + 1
    rows = len(words)
    priority = torch.rand(rows, starts, generator=generator, device=words.device)
    weights = span_length_weights(p, longest).to(words.device, torch.float32)
    lengths = 1 + torch.multinomial(weights, rows * starts, replacement=True, generator=generator)
    lengths = lengths.view(rows, starts)
    # A place is covered by the span that starts d places before it if that span is longer than d.
    reach = torch.arange(longest, device=words.device)[:, None, None]  # d
    reaching = torch.where(lengths > reach, priority, torch.inf)  # [longest, rows, starts]
    covering = torch.stack([reaching[d].roll(d, dims=1) for d in range(longest)])
    lowest, distance = covering.min(0)  # [rows, starts]; the first places are a gap, so nothing wraps round
    lowest, distance = lowest.gather(1, places), distance.gather(1, places)  # [batch, length]
    return lowest, places - distance


def mask(
    input_ids: torch.Tensor,
    word_ids: torch.Tensor,
    strategy: str,
    *,
    mask_rate: float = 0.15,
    p: float = 0.2,
    mask_token_id: int,
    vocab_size: int,
    special_ids: tuple[int, ...] = (),
    generator: torch.Generator,
) -> Masked:
    """Hides a share of each row's tokens and says which, for masked-LM training.

    Args:
        input_ids: `[batch, length]` integers.
        word_ids: `[batch, length]`, a number that grows by one with each word of a row; -1 at tokens that are
            never hidden (special tokens and padding).
        strategy: "token" (Devlin et al. 2019), "whole_word" (google-research/bert, 2019 update) or "span"
            (SpanBERT, Joshi et al. 2020).
        mask_rate: share of a row's words' tokens that is hidden, the same count for every strategy.
        p: parameter of the geometric distribution of span lengths in words ("span" only).
        mask_token_id: id of [MASK].
        vocab_size: replacement tokens are drawn from 0 … vocab_size − 1, without the special ones.
        special_ids: ids that never serve as replacement.
        generator: source of all randomness, on the device of `input_ids`.

    Returns:
        `Masked(inputs, labels, units)`. Of the hidden tokens 80% show [MASK], 10% a random token, 10% their
        own, drawn for each token on its own whatever the strategy.

    Raises:
        ValueError: an unknown strategy, a rate outside (0, 1), shapes that differ, a row without words.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy is {strategy!r}; choose one of {', '.join(STRATEGIES)}")
    if not 0 < mask_rate < 1:
        raise ValueError(f"mask_rate must lie between 0 and 1, not {mask_rate}")
    if input_ids.shape != word_ids.shape or input_ids.dim() != 2:
        raise ValueError(
            "input_ids and word_ids must both be [batch, length], "
            f"not {list(input_ids.shape)} and {list(word_ids.shape)}"
        )
    can_hide = word_ids >= 0
    if not can_hide.any(1).all():
        raise ValueError("a row has no word that could be hidden: every word id is -1")

    previous = torch.nn.functional.pad(word_ids[:, :-1], (1, 0), value=-1)
    words = ((word_ids != previous) & can_hide).cumsum(1).sub(1).clamp(min=0)  # 0, 0, 1, 2, 2, … in each row
    if strategy == "token":
        priority, units = token_units(words, generator)
    elif strategy == "whole_word":
        priority, units = whole_word_units(words, generator)
    else:
        priority, units = span_units(words, (~can_hide).cumsum(1), generator, p)

    hidden = first_k(priority.masked_fill(~can_hide, torch.inf), budget(can_hide, mask_rate))
    labels = input_ids.masked_fill(~hidden, IGNORED)
    inputs = corrupt(input_ids, hidden, mask_token_id, vocab_size, special_ids, generator)
    return Masked(inputs, labels, units.masked_fill(~hidden, -1))


def first_k(priority: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """Marks the k tokens of each row that come first by (priority, position).

    The sort is stable: tokens of one unit share a priority and stay in order, so that only the last unit of
    a row can be cut, and keeps a prefix. A top-k over tied priorities would tear units into pieces.

    Args:
        priority: `[batch, length]`.
        k: `[batch]`.

    Returns:
        `[batch, length]` bool.
    """
    order = priority.sort(dim=1, stable=True).indices
    in_budget = torch.arange(priority.shape[1], device=priority.device) < k[:, None]  # [batch, length]
    return torch.zeros_like(in_budget).scatter(1, order, in_budget)


def corrupt(
    input_ids: torch.Tensor,
    hidden: torch.Tensor,
    mask_token_id: int,
    vocab_size: int,
    special_ids: tuple[int, ...],
    generator: torch.Generator,
) -> torch.Tensor:
    """Of the hidden tokens 80% become [MASK], 10% a random one, 10% stay (Devlin et al. 2019, 3.1)."""
    device = input_ids.device
    ordinary = torch.ones(vocab_size, dtype=torch.bool, device=device)
    ordinary[[mask_token_id, *special_ids]] = False
    ordinary = ordinary.nonzero().squeeze(1)  # ids that may replace
    fate = torch.rand(input_ids.shape, generator=generator, device=device)
    pick = torch.randint(len(ordinary), input_ids.shape, generator=generator, device=device)
    inputs = torch.where(hidden & (fate < 0.8), mask_token_id, input_ids)
    return torch.where(hidden & (fate >= 0.8) & (fate < 0.9), ordinary[pick], inputs)
