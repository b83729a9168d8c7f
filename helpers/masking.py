"""Hiding tokens for masked-LM training: single tokens, whole words, spans of words, known mentions.

One function, `mask`. The strategies differ in their *units* alone: a unit is one token (BERT), one word
(whole-word masking), a run of words of random length (SpanBERT) or a mention that is known beforehand. Each
unit has a random priority, and a token belongs to the covering unit of lowest priority. Tokens are ordered
by (priority, position), a key that no two share, and the first K of a row are hidden. So every strategy hides
exactly K tokens; a unit's tokens stand together in that order, so only the last unit can be cut, and it
keeps its beginning. The same corruption follows for all.

Plain PyTorch, no loop over tokens, words or rows. All choices are comparisons of whole numbers (the budget
alone is computed in float64), so the same random numbers (`Keys`) give the same masks on a CPU and on a GPU
with CUDA. No shape depends on the data.
"""

import math
from dataclasses import dataclass
from itertools import accumulate
from numbers import Integral
from typing import NamedTuple

import torch

STRATEGIES = ("token", "whole_word", "span", "mentions")
IGNORED = -100  # the label that PyTorch's cross entropy leaves out
BITS = 30  # of a priority, a length, a fate
PLACE_BITS = 16  # of a position or a unit's number within its row, so priority and both fit into 63 bits
LAST = 1 << (BITS + PLACE_BITS)  # comes after every unit


@dataclass(frozen=True)
class Scheme:
    """What is hidden, how much of it, and what the model sees there.

    Raises:
        ValueError: an option that does not exist, or a number outside its range.
    """

    strategy: str = "span"  # or "token" (Devlin et al. 2019), "whole_word" (their update of 2019), "mentions"
    mask_rate: float = 0.15  # share of a row's tokens of text that is hidden, in (0, 1)
    p: float = 0.2  # spans: of the geometric distribution of their lengths, in (0, 1)
    longest: int = 10  # spans: words; the distribution of lengths is cut off here
    edges: str = "before"  # spans may start before a row; "inside": only at its words (Joshi et al. 2020)
    keep_whole: bool = False  # a word that the budget would cut stays visible, and its slots stay unused
    corruption: tuple[float, float, float] = (0.8, 0.1, 0.1)  # show [MASK], a random token, the token itself
    corrupt_per: str = "token"  # drawn for each hidden token; "run": once for neighbours (SpanBERT's paper)

    def __post_init__(self):
        def choose(name: str, choices: tuple[str, ...]) -> None:
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(choices)}")

        choose("strategy", STRATEGIES)
        choose("edges", ("before", "inside"))
        choose("corrupt_per", ("token", "run"))
        for name in ("mask_rate", "p"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must lie between 0 and 1, not {getattr(self, name)}")
        if not isinstance(self.longest, Integral) or self.longest < 1:
            raise ValueError(f"longest must be a whole number of words, at least 1, not {self.longest}")
        mix = self.corruption
        if not isinstance(mix, tuple) or len(mix) != 3 or min(mix) < 0 or not math.isclose(sum(mix), 1):
            raise ValueError(f"corruption must be a tuple of three shares that add up to 1, not {mix}")


@dataclass(frozen=True)
class Vocabulary:
    """What masking has to know of a tokenizer. Replacement tokens are drawn from all but the special ids.

    That is all that the special ids are for here. What is never hidden is said by the word ids (-1): the
    unknown word, for one, is a special token for tokenizers, and a word of the text.

    Raises:
        ValueError: no size, or ids that do not lie in 0 … size − 1, or nothing left to draw from.
    """

    size: int
    mask_token_id: int
    special_ids: tuple[int, ...] = ()

    def __post_init__(self):
        if not isinstance(self.size, Integral) or self.size < 1:
            raise ValueError(f"the vocabulary's size must be a whole number above 0, not {self.size!r}")
        for token_id in (self.mask_token_id, *self.special_ids):
            if not isinstance(token_id, Integral) or not 0 <= token_id < self.size:
                raise ValueError(
                    f"mask_token_id and special_ids must lie in 0 … {self.size - 1}, not {token_id!r}"
                )
        if len({self.mask_token_id, *self.special_ids}) >= self.size:
            raise ValueError(f"all {self.size} tokens are special: none is left to replace others")

    @classmethod
    def of(cls, tokenizer) -> "Vocabulary":
        """Size, mask token and special tokens of a `transformers` tokenizer."""
        return cls(len(tokenizer), tokenizer.mask_token_id, tuple(tokenizer.all_special_ids))


class Masked(NamedTuple):
    """A masked batch.

    `positions` lists the hidden tokens once more, with a fixed number of slots. Where a row hides fewer, the
    rest of its slots are unused: they point at tokens that are not hidden, and `labels.gather(1, positions)`
    is -100 there.
    """

    inputs: torch.Tensor  # [batch, length] what the model sees
    labels: torch.Tensor  # [batch, length] int64, the original id where a token is hidden, -100 elsewhere
    positions: torch.Tensor  # [batch, slots] in the order of drawing, all different; unused slots come last
    units: torch.Tensor  # [batch, length] a number that the tokens of a unit share, -1 at special tokens


class Keys(NamedTuple):
    """The random numbers behind one batch of masks: int64, uniform in 0 … 2^60 − 1."""

    units: torch.Tensor  # [batch, length], spans longest − 1 more: a unit's priority, and a span's length
    slots: torch.Tensor  # [batch, slots] one per hidden token: its fate and its replacement


def mask(
    input_ids: torch.Tensor,
    word_ids: torch.Tensor,
    scheme: Scheme,
    vocabulary: Vocabulary,
    generator: torch.Generator,
    mention_ids: torch.Tensor | None = None,
) -> Masked:
    """Hide a share of each row's tokens and say which, for masked-LM training.

    The checks wait for the device; `mask_with_keys` does the same without them.

    Args:
        input_ids: `[batch, length]` int64 or int32.
        word_ids: `[batch, length]`, -1 at tokens that are never hidden (special tokens, padding). Elsewhere
            the number of the token's word. Between two special tokens the numbers never fall; behind one
            they may begin again.
        scheme: strategy, rate, corruption.
        vocabulary: the mask token, and the tokens that may replace others.
        generator: source of all randomness, on the device of `input_ids`.
        mention_ids: `[batch, length]`, the number of the mention that a token is part of, -1 outside; whole
            words only. The strategy "mentions" needs them, the others ignore them.

    Returns:
        `Masked`. In each row round(mask_rate · tokens of text) tokens are hidden, at least one, whatever the
        strategy. With `keep_whole` it may be fewer, or none where the first word drawn does not fit: words
        longer than the budget are then never hidden.

    Raises:
        ValueError: tensors that do not fit together, a row without words, word ids that fall, a row that
            shows the mask token already, missing mention ids, a generator on another device.
    """
    _check(input_ids, word_ids, scheme, vocabulary, generator, mention_ids)
    keys = draw_keys(*input_ids.shape, scheme, generator)
    return mask_with_keys(input_ids, word_ids, scheme, vocabulary, keys, mention_ids)


def draw_keys(batch: int, length: int, scheme: Scheme, generator: torch.Generator) -> Keys:
    """Random numbers for one batch, on the generator's device. Their shapes do not depend on the text."""
    shapes = key_shapes(batch, length, scheme)
    device = generator.device
    return Keys(
        *(torch.randint(1 << 2 * BITS, shape, generator=generator, device=device) for shape in shapes)
    )


def key_shapes(batch: int, length: int, scheme: Scheme) -> tuple[tuple[int, int], tuple[int, int]]:
    """The shapes of `Keys` for a batch: of `units` and of `slots`."""
    before = scheme.longest - 1 if scheme.strategy in ("span", "mentions") else 0
    return (batch, length + before), (batch, slots(length, scheme.mask_rate))


def mask_with_keys(
    input_ids: torch.Tensor,
    word_ids: torch.Tensor,
    scheme: Scheme,
    vocabulary: Vocabulary,
    keys: Keys,
    mention_ids: torch.Tensor | None = None,
) -> Masked:
    """`mask` for given random numbers, without its checks: nothing waits for the device or recompiles.

    Raises:
        ValueError: the keys were drawn for another shape or scheme.
    """
    wanted, got = key_shapes(*input_ids.shape, scheme), tuple(tuple(key.shape) for key in keys)
    if got != wanted:
        raise ValueError(f"the keys have the shapes {got}; this batch and scheme need {wanted}")
    can_hide = word_ids >= 0  # [batch, length]
    words = number_words(word_ids)  # [batch, length]
    count = budget(can_hide, scheme.mask_rate)  # [batch]
    if scheme.strategy == "token":
        units = token_units(words, keys)  # [batch, length]
    elif scheme.strategy == "whole_word":
        units = whole_word_units(words, keys)
    else:
        units = span_units(words, can_hide, keys, scheme)
    if scheme.strategy == "mentions":
        units = mentions_first(units, mention_ids, count, keys)

    # The position makes each token's key unique: a plain top-k over a unit's equal priorities would tear it.
    column = torch.arange(words.shape[1], device=words.device)  # [length]
    key = units.masked_fill(~can_hide, LAST).bitwise_left_shift_(PLACE_BITS).bitwise_or_(column)
    positions = key.topk(keys.slots.shape[1], dim=1, largest=False).indices  # [batch, slots]
    used = torch.arange(positions.shape[1], device=positions.device) < count[:, None]
    if scheme.keep_whole and scheme.strategy != "token":
        used &= ~in_torn_word(words.masked_fill(~can_hide, -1), positions, count)

    original = input_ids.gather(1, positions)  # [batch, slots]
    answers = original.long().masked_fill(~used, IGNORED)
    shown = corrupt(original, positions, used, scheme, vocabulary, keys, words.shape[1])
    return Masked(
        inputs=input_ids.scatter(1, positions, torch.where(used, shown, original)),
        labels=torch.full_like(input_ids, IGNORED, dtype=torch.long).scatter(1, positions, answers),
        positions=positions,
        units=units.masked_fill(~can_hide, -1),
    )


def slots(length: int, mask_rate: float) -> int:
    """How many tokens a row of `length` can hide at most: the number of columns of `Masked.positions`."""
    return max(1, round(mask_rate * length))


def budget(can_hide: torch.Tensor, mask_rate: float) -> torch.Tensor:
    """How many tokens of each row are hidden: the rate times the tokens that may be, rounded, at least one.

    BERT counts special tokens too, and SpanBERT rounds up.

    Args:
        can_hide: `[batch, length]` bool.
        mask_rate: share of those tokens, in (0, 1).

    Returns:
        `[batch]` int64, the same whatever the strategy.
    """
    return (can_hide.sum(1).double() * mask_rate).round().clamp(min=1).long()


def number_words(word_ids: torch.Tensor) -> torch.Tensor:
    """The words of a row counted from 0: `[batch, length]`; a special token has the number before it (or 0).

    A word ends at a special token, even where the same number goes on behind it.
    """
    begins = word_ids >= 0
    begins[:, 1:] &= word_ids[:, 1:] != word_ids[:, :-1]
    return begins.cumsum(1).sub_(1).clamp_(min=0)


# Units. Each function returns, per token, its unit: the priority in the upper bits, the number of the unit in
# the lower ones; the lowest goes first. `[batch, length]` int64.


def token_units(words: torch.Tensor, keys: Keys) -> torch.Tensor:
    """Each token is a unit of its own."""
    return _priority(keys.units) << PLACE_BITS | torch.arange(words.shape[1], device=words.device)


def whole_word_units(words: torch.Tensor, keys: Keys) -> torch.Tensor:
    """Each word is a unit: its tokens share the priority that belongs to the word's number."""
    return _priority(keys.units).gather(1, words) << PLACE_BITS | words


def span_units(words: torch.Tensor, can_hide: torch.Tensor, keys: Keys, scheme: Scheme) -> torch.Tensor:
    """Runs of words: a candidate span starts at every word and at each of the places before the row.

    There are `longest` − 1 of those, so that the first words are within reach of as many candidates as all
    others. They are even hidden somewhat more often, because the unit that the budget cuts keeps its
    beginning: the first word 1.2 times as often as the average in rows of 64 one-token words, 1.1 times in
    rows of 128, and 1.6 times in rows of 20, where a single span takes the whole budget.

    For the same reason a span goes on behind a special token. But its words there are another unit: each
    stretch of text between special tokens reorders the candidates with a random number of its own (exclusive
    or, which maps random priorities one to one onto random priorities). Lengths are not drawn again, so very
    short stretches are not wholly independent: neighbours of one word each are hidden together 6% more often
    than by chance; from five words on nothing is seen of it.

    SpanBERT (Joshi et al. 2020, section 3.1) starts spans at the words of random tokens of the row, and draws
    again where that token is hidden already.
    """
    batch, length = words.shape
    before = scheme.longest - 1
    # In 32 bits, which is faster. The last bits of a candidate are those of its place (word w is place
    # w + before): enough to tell apart the `longest` candidates that can reach a word.
    tag = (1 << before.bit_length()) - 1
    place = torch.arange(length + before, device=words.device)
    candidates = (_priority(keys.units) & ~tag | place & tag).int()  # [batch, places]
    length_key = _second(keys.units).int()  # [batch, places]
    # From tokens to words; what belongs to special tokens goes to an extra column, which is dropped.
    segments = (~can_hide).cumsum(1)  # [batch, length] the stretch of text between special tokens
    of_word = torch.zeros(batch, length + 1, dtype=torch.long, device=words.device)
    of_word = of_word.scatter(1, words.masked_fill(~can_hide, length), segments)[:, :length]
    if scheme.edges == "inside":
        of_start = torch.nn.functional.pad(of_word, (before, 0), value=-1)  # [batch, places]
    # Stretch s takes the s-th of the lengths' numbers, which have no part in the priorities.
    reorder = (length_key & ~tag).gather(1, of_word)  # [batch, words]

    never = 1 << BITS
    lowest = candidates[:, before:] ^ reorder  # [batch, words]: each word's own candidate covers it
    for distance, longer in enumerate(longer_than(scheme)[1:], start=1):  # of a word from a span's start
        starts = slice(before - distance, before - distance + length)
        # Below zero if the span is too short, and then the bit of `never` is set: faster than a masked fill.
        covering = (length_key[:, starts] - longer).bitwise_and_(never)
        covering.bitwise_or_(candidates[:, starts] ^ reorder)
        if scheme.edges == "inside":
            covering.masked_fill_(of_start[:, starts] != of_word, never)
        torch.minimum(lowest, covering, out=lowest)
    here = place[before:].int()  # [words] the place of each word
    start = here - (here - lowest & tag)  # [batch, words] the place within reach that has these last bits
    units = (lowest >> before.bit_length()).long().bitwise_left_shift_(PLACE_BITS).bitwise_or_(start)
    return units.gather(1, words)


def mentions_first(
    units: torch.Tensor, mention_ids: torch.Tensor, count: torch.Tensor, keys: Keys
) -> torch.Tensor:
    """Half the budget goes to known mentions, the rest to the units given: an oracle, for comparison only.

    Mentions come in random order, always whole. One is taken if its middle still falls into half the budget.
    Over mixed lengths that makes 47% of it; a mention of as many tokens as the budget, or more, is never
    taken. Where a row has too few mentions, the rest goes to spans.

    Args:
        units: of spans, `[batch, length]`.
        mention_ids: `[batch, length]`, -1 outside mentions.
        count: `[batch]`, the budget.
    """
    batch, length = units.shape
    inside = mention_ids >= 0
    mention = number_words(mention_ids)
    first = _priority(keys.units).gather(1, mention) << PLACE_BITS | mention  # [batch, length]
    column = torch.arange(length, device=units.device)
    in_order = (first.masked_fill(~inside, LAST) << PLACE_BITS | column).argsort(1)
    rank = torch.empty_like(in_order).scatter(1, in_order, column.expand_as(in_order))
    # Per mention: tokens of mentions that come before it, and its own. Tokens outside go to an extra column.
    of_token = mention.masked_fill(~inside, length)
    empty = torch.zeros(batch, length + 1, dtype=torch.long, device=units.device)
    size = empty.scatter_add(1, of_token, inside.long()).gather(1, of_token)
    before = (empty + length).scatter_reduce(1, of_token, rank, "amin").gather(1, of_token)
    taken = inside & (2 * before + size < count[:, None])
    return torch.where(taken, first - LAST, units)  # below -1, so before all spans


# Lengths


def span_length_weights(p: float = 0.2, longest: int = 10) -> list[float]:
    """Probability of a span of 1 … `longest` words: geometric, cut off and renormalised.

    p(1−p)^(l−1) over l = 1 … longest, as in SpanBERT (Joshi et al. 2020, section 3.1); with p = 0.2 and
    longest = 10 the mean is 3.797 words. Cutting off is not the same as clipping, which piles all longer
    spans up at `longest` (mean 4.46).
    """
    weights = [p * (1 - p) ** more for more in range(longest)]
    total = sum(weights)
    return [weight / total for weight in weights]


def longer_than(scheme: Scheme) -> list[int]:
    """For d = 0 … `longest` − 1: a span is longer than d words if its random number reaches entry d.

    The number is uniform in 0 … 2^30 − 1, so these are 2^30 times the probability of at most d words.
    """
    at_most = accumulate(span_length_weights(scheme.p, scheme.longest)[:-1], initial=0.0)
    return [round(chance * (1 << BITS)) for chance in at_most]


def span_lengths(keys: Keys, scheme: Scheme) -> torch.Tensor:
    """Words in each candidate span as drawn, 1 … `longest`: `[batch, length + longest − 1]`."""
    return sum((_second(keys.units) >= longer).long() for longer in longer_than(scheme))


# What the model sees


def corrupt(
    original: torch.Tensor,
    positions: torch.Tensor,
    used: torch.Tensor,
    scheme: Scheme,
    vocabulary: Vocabulary,
    keys: Keys,
    length: int,
) -> torch.Tensor:
    """The mask token, a random token or the token itself, by `scheme.corruption` (Devlin et al. 2019, 3.1).

    One random number decides between the three. BERT draws it for each token; SpanBERT's paper once for each
    run of hidden neighbours (`corrupt_per="run"`), in which replaced tokens still differ from each other.

    Args:
        original, positions, used: `[batch, slots]`: the ids, where they stand, whether the slot is used.
        length: of a row.

    Returns:
        `[batch, slots]` ids.
    """
    fate = _priority(keys.slots)
    if scheme.corrupt_per == "run":
        hidden = torch.zeros(len(positions), length, dtype=torch.bool, device=positions.device)
        hidden = hidden.scatter(1, positions, used)
        fate_at = torch.zeros_like(hidden, dtype=torch.long).scatter(1, positions, fate)
        fate = fate_at.gather(1, run_starts(hidden).gather(1, positions))
    special_ids = {vocabulary.mask_token_id, *vocabulary.special_ids}
    replacement = _second(keys.slots) * (vocabulary.size - len(special_ids)) >> BITS
    for special_id in sorted(special_ids):  # step over it
        replacement = replacement + (replacement >= special_id)
    replacement = replacement.to(original.dtype)
    show_mask, show_random, _ = scheme.corruption
    mask_below, random_below = round(show_mask * (1 << BITS)), round((show_mask + show_random) * (1 << BITS))
    shown = torch.where(fate < random_below, replacement, original)
    return torch.where(fate < mask_below, vocabulary.mask_token_id, shown)


def run_starts(hidden: torch.Tensor) -> torch.Tensor:
    """Where the run of hidden neighbours that a token stands in begins; meaningless at visible tokens.

    Args:
        hidden: `[batch, length]` bool.

    Returns:
        `[batch, length]` int64.
    """
    previous = torch.nn.functional.pad(hidden[:, :-1], (1, 0))
    column = torch.arange(hidden.shape[1], device=hidden.device)
    return torch.where(hidden & ~previous, column, 0).cummax(1).values


def in_torn_word(words: torch.Tensor, positions: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Which slots belong to a word that the budget cuts: `[batch, slots]` bool.

    Only the word hidden last can be cut, and the next of its tokens is then visible.

    Args:
        words: `[batch, length]`, -1 at special tokens.
        positions: `[batch, slots]`.
        count: `[batch]`, how many slots are used.
    """
    last = positions.gather(1, count[:, None] - 1)  # [batch, 1]
    word = words.gather(1, last)
    following = torch.nn.functional.pad(words, (0, 1), value=-1).gather(1, last + 1)
    return (words.gather(1, positions) == word) & (following == word)


# How it turned out


class Statistics(NamedTuple):
    """What became of the budget, over all rows of a batch."""

    hidden: int  # tokens hidden
    rate: float  # of all tokens that may be hidden
    unused: float  # slots of the budget left unused (`keep_whole`), as a share of the budget
    cut_units: float  # share of rows with a unit of which a part is hidden and a part visible
    cut_words: float  # share of rows with such a word
    unit_lengths: torch.Tensor  # [units that hide something] words, a cut one counts
    run_lengths: torch.Tensor  # [runs of hidden neighbours, of one unit or several] tokens


def statistics(masked: Masked, word_ids: torch.Tensor, scheme: Scheme) -> Statistics:
    """Count what a mask did: tokens, unused slots, cut units and words, lengths.

    Args:
        masked: what `mask` returned.
        word_ids: `[batch, length]`, as handed to `mask`.
        scheme: as handed to `mask`.
    """
    hidden, can_hide = masked.labels != IGNORED, word_ids >= 0  # [batch, length]
    row = torch.arange(len(hidden), device=hidden.device)[:, None].expand_as(hidden)
    words = number_words(word_ids)

    def rows_with_both(groups: torch.Tensor) -> float:
        """Share of rows in which a group of tokens is partly hidden; groups: `[batch, length]` numbers."""
        group, of_token = torch.stack([row, groups], -1)[can_hide].unique(dim=0, return_inverse=True)
        tokens = torch.bincount(of_token, minlength=len(group))
        hidden_tokens = torch.bincount(of_token[hidden[can_hide]], minlength=len(group))
        partly = (hidden_tokens > 0) & (hidden_tokens < tokens)
        return len(group[partly, 0].unique()) / len(hidden)

    unit_words = torch.stack([row, masked.units, words], -1)[hidden].unique(dim=0)  # [words, 3]
    runs = torch.stack([row, run_starts(hidden)], -1)[hidden]
    return Statistics(
        hidden=int(hidden.sum()),
        rate=(hidden.sum() / can_hide.sum()).item(),
        unused=1 - (hidden.sum() / budget(can_hide, scheme.mask_rate).sum()).item(),
        cut_units=rows_with_both(masked.units),
        cut_words=rows_with_both(words),
        unit_lengths=unit_words[:, :2].unique(dim=0, return_counts=True)[1],
        run_lengths=runs.unique(dim=0, return_counts=True)[1],
    )


def _priority(keys: torch.Tensor) -> torch.Tensor:
    """The first of the two numbers in a key, 0 … 2^30 − 1."""
    return keys >> BITS


def _second(keys: torch.Tensor) -> torch.Tensor:
    """The second of the two numbers in a key, 0 … 2^30 − 1."""
    return keys & (1 << BITS) - 1


def _same_device(one: torch.device, other: torch.device) -> bool:
    """Whether both are one device; "cuda" without a number, as a generator may have it, is any of them."""
    return one.type == other.type and (None in (one.index, other.index) or one.index == other.index)


def _check(
    input_ids: torch.Tensor,
    word_ids: torch.Tensor,
    scheme: Scheme,
    vocabulary: Vocabulary,
    generator: torch.Generator,
    mention_ids: torch.Tensor | None,
) -> None:
    """Raise ValueError, with what was expected and what came, if `mask` cannot work with these."""
    if scheme.strategy == "mentions" and mention_ids is None:
        raise ValueError('the strategy "mentions" needs mention_ids: [batch, length], -1 outside mentions')
    tensors = {"input_ids": input_ids, "word_ids": word_ids}
    if mention_ids is not None:
        tensors["mention_ids"] = mention_ids
    for name, tensor in tensors.items():
        if tensor.dim() != 2 or tensor.shape != input_ids.shape:
            raise ValueError(
                f"{' and '.join(tensors)} must have one shape, [batch, length]; "
                f"{name} has {list(tensor.shape)}, input_ids {list(input_ids.shape)}"
            )
        if tensor.dtype not in (torch.int64, torch.int32):
            raise ValueError(f"{name} must be int64 or int32, not {tensor.dtype}")
        if tensor.device != input_ids.device:
            raise ValueError(f"{name} is on {tensor.device}, input_ids on {input_ids.device}")
    if not _same_device(generator.device, input_ids.device):
        raise ValueError(
            f"the generator is on {generator.device}, input_ids on {input_ids.device}: "
            f"make it with torch.Generator({str(input_ids.device)!r})"
        )
    if input_ids.shape[1] + scheme.longest > 1 << PLACE_BITS:
        raise ValueError(
            f"rows of {input_ids.shape[1]} tokens are too long: at most {(1 << PLACE_BITS) - scheme.longest}"
        )
    can_hide = word_ids >= 0
    without = word_ids.amax(1) < 0
    if without.count_nonzero():
        row = int(without.nonzero()[0])
        raise ValueError(f"row {row} has no word that could be hidden: every word id is -1")
    if (masked := (input_ids == vocabulary.mask_token_id) & can_hide).count_nonzero():
        row, column = masked.nonzero()[0].tolist()
        raise ValueError(
            f"row {row} shows the mask token at position {column} already: mask fresh ids each time, "
            "or give it the word id -1 if it is part of the text"
        )
    if mention_ids is not None:
        if (strays := (mention_ids >= 0) & ~can_hide).any():
            row, column = strays.nonzero()[0].tolist()
            raise ValueError(
                f"mention_ids must be -1 where word_ids are; row {row}, position {column} is not"
            )
        same_word = (word_ids[:, 1:] == word_ids[:, :-1]) & can_hide[:, 1:]
        if (cuts := same_word & (mention_ids[:, 1:] != mention_ids[:, :-1])).any():
            row, column = cuts.nonzero()[0].tolist()
            raise ValueError(f"mentions must consist of whole words; row {row} has one cut at {column + 1}")
    falls = (word_ids[:, 1:] < word_ids[:, :-1]) & can_hide[:, 1:]
    if falls.count_nonzero():
        row, column = falls.nonzero()[0].tolist()
        raise ValueError(
            f"word ids must not fall between two special tokens; in row {row} "
            f"{word_ids[row, column]} is followed by {word_ids[row, column + 1]} at position {column + 1}"
        )
