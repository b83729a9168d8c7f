"""Hiding tokens for masked-LM training: single tokens, whole words, spans of words, known mentions.

One function, `mask`. The strategies differ in their *units* alone: a unit is one token (BERT), one word
(whole-word masking), a span of consecutive words of random length (SpanBERT), or a mention that is known
beforehand. Each unit has a random priority, and a token belongs to the unit of lowest priority among those
that cover it. Tokens are ordered by (priority, position), a pair that no two share, and the first K of a row
are hidden. So every strategy hides exactly K tokens. A unit's tokens are neighbours in that order, so only
the last unit can be cut, and it keeps its beginning. What the model sees is drawn alike for all strategies.

Plain PyTorch, no loop over tokens, words or rows. All choices compare whole numbers (only the budget is
computed in float64), so the same random numbers (`Keys`) give the same masks on a CPU and on a CUDA GPU. No
shape depends on the data.
"""

import math
from dataclasses import dataclass, field
from itertools import accumulate
from numbers import Integral
from typing import NamedTuple

import torch

STRATEGIES = ("token", "whole_word", "span", "mentions")
IGNORED = -100  # the label that PyTorch's cross entropy leaves out
BITS = 30  # of a priority, a span length's number, a fate, a replacement's number
PLACE_BITS = 16  # of a position or a unit's number within its row, so priority and both fit into 63 bits
LAST = 1 << (BITS + PLACE_BITS)  # comes after every unit


@dataclass(frozen=True)
class Scheme:
    """What is hidden, how much of it, and what the model sees there.

    Raises:
        ValueError: an option does not exist, or a number is outside its range.
    """

    strategy: str = "span"  # or "token" (Devlin et al. 2019), "whole_word" (their update of 2019), "mentions"
    mask_rate: float = 0.15  # share of a row's tokens of text that is hidden, in (0, 1)
    p: float = 0.2  # spans: parameter of the geometric distribution of their lengths, in (0, 1)
    longest: int = 10  # spans: most words; the distribution of lengths is cut off here
    edges: str = "before"  # spans may start before a row; "inside": only at its words (Joshi et al. 2020)
    keep_whole: bool = False  # a word that the budget would cut stays visible, and its slots stay unused
    corruption: tuple[float, float, float] = (0.8, 0.1, 0.1)  # show [MASK], a random token, the token itself
    corrupt_per: str = (
        "token"  # one draw a hidden token; "run": one a run of hidden tokens (SpanBERT's paper)
    )

    def __post_init__(self):
        def require_one_of(name: str, choices: tuple[str, ...]) -> None:
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(choices)}")

        require_one_of("strategy", STRATEGIES)
        require_one_of("edges", ("before", "inside"))
        require_one_of("corrupt_per", ("token", "run"))
        for name in ("mask_rate", "p"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must lie between 0 and 1, not {getattr(self, name)}")
        if not isinstance(self.longest, Integral) or self.longest < 1:
            raise ValueError(f"longest must be a whole number of words, at least 1, not {self.longest}")
        shares = self.corruption
        if (
            not isinstance(shares, tuple)
            or len(shares) != 3
            or min(shares) < 0
            or not math.isclose(sum(shares), 1)
        ):
            raise ValueError(f"corruption must be a tuple of three shares that add up to 1, not {shares}")


@dataclass(frozen=True)
class Vocabulary:
    """What masking needs to know about a tokenizer. Replacements are drawn from all but the special ids.

    The special ids serve for nothing else, so ids that belong to no token are listed among them. Tokens that
    must never be hidden are marked by the word id -1 instead, because a special token can be text: the
    unknown word is one.

    Raises:
        ValueError: the size is not a whole number above 0, an id does not lie in 0 … size − 1, or all tokens
            are special.
    """

    size: int
    mask_token_id: int
    special_ids: tuple[int, ...] = ()
    # The special ids as runs (first id, how many).
    never_drawn: tuple[tuple[int, int], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        if not isinstance(self.size, Integral) or self.size < 1:
            raise ValueError(f"the vocabulary's size must be a whole number above 0, not {self.size!r}")
        for token_id in (self.mask_token_id, *self.special_ids):
            if not isinstance(token_id, Integral) or not 0 <= token_id < self.size:
                raise ValueError(
                    f"mask_token_id and special_ids must lie in 0 … {self.size - 1}, not {token_id!r}"
                )
        special_ids = {self.mask_token_id, *self.special_ids}
        if len(special_ids) >= self.size:
            raise ValueError(f"all {self.size} tokens are special: none is left to replace others")
        runs: list[list[int]] = []
        for special_id in sorted(special_ids):
            if runs and special_id == sum(runs[-1]):
                runs[-1][1] += 1
            else:
                runs.append([int(special_id), 1])
        object.__setattr__(self, "never_drawn", tuple(map(tuple, runs)))

    @classmethod
    def of(cls, tokenizer) -> "Vocabulary":
        """Read size, mask token and special tokens off a tokenizer.

        Args:
            tokenizer: a `transformers` tokenizer with a mask token.

        Returns:
            Its vocabulary, added tokens included. Where the ids have gaps, it goes up to the largest, and the
            ids that belong to no token are special.
        """
        ids = set(tokenizer.get_vocab().values())
        size = max(ids) + 1
        gaps = sorted(set(range(size)) - ids)
        return cls(size, tokenizer.mask_token_id, (*tokenizer.all_special_ids, *gaps))


class Masked(NamedTuple):
    """A masked batch.

    `positions` lists the hidden tokens once more, in a fixed number of slots. If a row hides fewer tokens,
    its other slots are unused: they point at visible tokens, and `labels.gather(1, positions)` is -100 there.
    """

    inputs: torch.Tensor  # [batch, length] what the model sees
    labels: torch.Tensor  # [batch, length] int64, the original id where a token is hidden, -100 elsewhere
    positions: torch.Tensor  # [batch, slots] in the order of drawing, all different; unused slots come last
    units: torch.Tensor  # [batch, length] a number that the tokens of a unit share, -1 at special tokens


class Keys(NamedTuple):
    """The random numbers behind one batch of masks: int64, uniform in 0 … 2^60 − 1, two of 30 bits each."""

    units: torch.Tensor  # [batch, length], for spans longest − 1 more: a unit's priority, and a span's length
    slots: torch.Tensor  # [batch, slots] for each hidden token: its fate (what it shows), and its replacement


def mask(
    input_ids: torch.Tensor,
    word_ids: torch.Tensor,
    scheme: Scheme,
    vocabulary: Vocabulary,
    generator: torch.Generator,
    mention_ids: torch.Tensor | None = None,
) -> Masked:
    """Hide a share of each row's tokens and say which, for masked-LM training.

    Checking the arguments waits for the device; `mask_with_keys` does the same without checks.

    Args:
        input_ids: `[batch, length]` int64 or int32.
        word_ids: `[batch, length]`, -1 at tokens that are never hidden (special tokens, padding). Elsewhere
            the number of the token's word. Between two special tokens the numbers never decrease; after one
            they may start again.
        scheme: strategy, rate, corruption.
        vocabulary: the mask token, and the tokens that may replace others.
        generator: source of all randomness, on the device of `input_ids`.
        mention_ids: `[batch, length]`, the number of the mention that a token is part of, -1 outside; whole
            words only. The strategy "mentions" needs them, the others ignore them.

    Returns:
        The masked batch. In each row round(mask_rate · tokens of text) tokens are hidden, at least one,
        whatever the strategy. With `keep_whole` it may be fewer, or none where the first word drawn does not
        fit: words longer than the budget are then never hidden.

    Raises:
        ValueError: tensors do not fit together, a row has no words, word ids decrease, a row shows the mask
            token already, mention ids are missing or cut a word, or the generator is on another device.
    """
    _refuse_bad_input(input_ids, word_ids, scheme, vocabulary, generator, mention_ids)
    keys = draw_keys(*input_ids.shape, scheme, generator)
    return mask_with_keys(input_ids, word_ids, scheme, vocabulary, keys, mention_ids)


def draw_keys(batch: int, length: int, scheme: Scheme, generator: torch.Generator) -> Keys:
    """Draw the random numbers for one batch. Their shapes do not depend on the text.

    Args:
        batch: number of rows.
        length: tokens in a row.
        scheme: decides how many numbers are needed.
        generator: source of the numbers; they are made on its device.

    Returns:
        The numbers for `mask_with_keys`.
    """
    shapes = key_shapes(batch, length, scheme)
    device = generator.device
    return Keys(
        *(torch.randint(1 << 2 * BITS, shape, generator=generator, device=device) for shape in shapes)
    )


def key_shapes(batch: int, length: int, scheme: Scheme) -> tuple[tuple[int, int], tuple[int, int]]:
    """Work out the shapes of `Keys` for a batch.

    Args:
        batch: number of rows.
        length: tokens in a row.
        scheme: strategy, longest span, rate.

    Returns:
        The shape of `units` and that of `slots`.
    """
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
    """Mask with given random numbers and without checks: nothing waits for the device or recompiles.

    Args:
        input_ids: `[batch, length]` int64 or int32.
        word_ids: `[batch, length]`, -1 at tokens that are never hidden.
        scheme: strategy, rate, corruption.
        vocabulary: the mask token, and the tokens that may replace others.
        keys: drawn by `draw_keys` for this shape and scheme.
        mention_ids: `[batch, length]`, -1 outside mentions; for the strategy "mentions".

    Returns:
        The masked batch.

    Raises:
        ValueError: the keys were drawn for another shape or scheme.
    """
    wanted, got = key_shapes(*input_ids.shape, scheme), tuple(tuple(key.shape) for key in keys)
    if got != wanted:
        raise ValueError(f"the keys have the shapes {got}; this batch and scheme need {wanted}")
    can_hide = word_ids >= 0  # [batch, length]
    words = number_words(word_ids)  # [batch, length]
    budgets = budget(can_hide, scheme.mask_rate)  # [batch]
    if scheme.strategy == "token":
        units = token_units(words, keys)  # [batch, length]
    elif scheme.strategy == "whole_word":
        units = whole_word_units(words, keys)
    else:
        units = span_units(words, can_hide, keys, scheme)
    if scheme.strategy == "mentions":
        units = mentions_first(units, mention_ids, budgets, keys)

    # The position makes each token's rank unique: a plain top-k over a unit's equal priorities would tear it.
    column = torch.arange(words.shape[1], device=words.device)  # [length]
    rank = units.masked_fill(~can_hide, LAST).bitwise_left_shift_(PLACE_BITS).bitwise_or_(column)
    positions = rank.topk(keys.slots.shape[1], dim=1, largest=False).indices  # [batch, slots]
    used = torch.arange(positions.shape[1], device=positions.device) < budgets[:, None]
    if scheme.keep_whole and scheme.strategy != "token":
        used &= ~in_cut_word(words.masked_fill(~can_hide, -1), positions, budgets)

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
    """Count the tokens that a row can hide at most: the columns of `Masked.positions`.

    Args:
        length: tokens in the row.
        mask_rate: share of them, in (0, 1).

    Returns:
        At least 1.
    """
    return max(1, round(mask_rate * length))


def budget(can_hide: torch.Tensor, mask_rate: float) -> torch.Tensor:
    """Work out each row's budget: the rate times the tokens that may be hidden, rounded, at least one.

    BERT counts special tokens too, and SpanBERT rounds up.

    Args:
        can_hide: `[batch, length]` bool.
        mask_rate: share of those tokens, in (0, 1).

    Returns:
        `[batch]` int64 tokens to hide, the same whatever the strategy.
    """
    return (can_hide.sum(1).double() * mask_rate).round().clamp(min=1).long()


def number_words(word_ids: torch.Tensor) -> torch.Tensor:
    """Count each row's words from 0; a word ends at a special token, even if its id goes on after it.

    Args:
        word_ids: `[batch, length]`, -1 at special tokens.

    Returns:
        `[batch, length]` int64; a special token has the number of the word before it (or 0).
    """
    begins = word_ids >= 0
    begins[:, 1:] &= word_ids[:, 1:] != word_ids[:, :-1]
    return begins.cumsum(1).sub_(1).clamp_(min=0)


# Units. Each function returns one number for each token, `[batch, length]` int64: the priority of its unit in
# the upper bits, the number of the unit in the lower ones. The lowest goes first.


def token_units(words: torch.Tensor, keys: Keys) -> torch.Tensor:
    """Make each token a unit of its own.

    Args:
        words: `[batch, length]`, as `number_words` returns them.
        keys: random numbers of the batch.

    Returns:
        `[batch, length]` units.
    """
    return _upper(keys.units) << PLACE_BITS | torch.arange(words.shape[1], device=words.device)


def whole_word_units(words: torch.Tensor, keys: Keys) -> torch.Tensor:
    """Make each word a unit: its tokens share the priority that belongs to the word's number.

    Args:
        words: `[batch, length]`, as `number_words` returns them.
        keys: random numbers of the batch.

    Returns:
        `[batch, length]` units.

    Source:
        google-research/bert, update of May 2019.
    """
    return _upper(keys.units).gather(1, words) << PLACE_BITS | words


def span_units(words: torch.Tensor, can_hide: torch.Tensor, keys: Keys, scheme: Scheme) -> torch.Tensor:
    """Make spans of consecutive words units: one candidate starts at every word, and some before the row.

    There are `longest` − 1 places before the row, so that as many candidates can reach the first words as any
    others. The first words are even hidden somewhat more often, because the unit that the budget cuts keeps
    its beginning: the first word 1.2 times as often as the average in rows of 64 one-token words, 1.1 times
    in rows of 128, and 1.6 times in rows of 20, where a single span takes the whole budget.

    For the same reason a span goes on after a special token, but the words there form another unit: each
    stretch of text between special tokens reorders the candidates with a random number of its own (by
    exclusive or, which maps random priorities one to one onto random priorities). Lengths are not drawn
    again, so very short stretches are not quite independent. Neighbouring stretches of one word each are
    hidden together 6% more often than by chance; from five words on, the effect is too small to see.

    Args:
        words: `[batch, length]`, as `number_words` returns them.
        can_hide: `[batch, length]` bool, False at special tokens.
        keys: random numbers of the batch.
        scheme: parameters of the spans, and where they may start.

    Returns:
        `[batch, length]` units.

    Source:
        Joshi et al. 2020, section 3.1. SpanBERT starts spans at the words of random tokens of the row, and
        draws again where that token is hidden already.
    """
    batch, length = words.shape
    before = scheme.longest - 1
    # In 32 bits, which is faster. Candidates are numbered by their places; the one at word w has the place
    # w + before. Its lowest bits are those of the place: enough to tell apart the `longest` candidates that
    # can reach a word.
    place_mask = (1 << before.bit_length()) - 1
    place = torch.arange(length + before, device=words.device)
    candidates = (_upper(keys.units) & ~place_mask | place & place_mask).int()  # [batch, places]
    length_key = _lower(keys.units).int()  # [batch, places]
    # From tokens to words; what belongs to special tokens goes to an extra column, which is dropped.
    token_stretch = (~can_hide).cumsum(1)  # [batch, length] the stretch of text between special tokens
    word_stretch = torch.zeros(batch, length + 1, dtype=torch.long, device=words.device)
    word_stretch = word_stretch.scatter(1, words.masked_fill(~can_hide, length), token_stretch)[:, :length]
    if scheme.edges == "inside":
        place_stretch = torch.nn.functional.pad(word_stretch, (before, 0), value=-1)  # [batch, places]
    # Stretch s takes the s-th of the lengths' numbers, which have no part in the priorities.
    reorder = (length_key & ~place_mask).gather(1, word_stretch)  # [batch, words]

    out_of_reach = 1 << BITS
    lowest = candidates[:, before:] ^ reorder  # [batch, words]: each word's own candidate covers it
    for distance, threshold in enumerate(length_thresholds(scheme)[1:], start=1):  # from a span's start
        starts = slice(before - distance, before - distance + length)
        # Negative if the span is too short, and then the bit of `out_of_reach` is set: faster than filling.
        covering = (length_key[:, starts] - threshold).bitwise_and_(out_of_reach)
        covering.bitwise_or_(candidates[:, starts] ^ reorder)
        if scheme.edges == "inside":
            covering.masked_fill_(place_stretch[:, starts] != word_stretch, out_of_reach)
        torch.minimum(lowest, covering, out=lowest)
    word_place = place[before:].int()  # [words]
    start = word_place - (word_place - lowest & place_mask)  # [batch, words] the place with these lowest bits
    units = (lowest >> before.bit_length()).long().bitwise_left_shift_(PLACE_BITS).bitwise_or_(start)
    return units.gather(1, words)


def mentions_first(
    units: torch.Tensor, mention_ids: torch.Tensor, budgets: torch.Tensor, keys: Keys
) -> torch.Tensor:
    """Give half the budget to known mentions and the rest to the given units: an oracle, only for comparison.

    Mentions come in random order, always whole. One is taken if its middle still falls into half the budget.
    Over mixed lengths this adds up to 47% of the budget; a mention with as many tokens as the budget, or
    more, is never taken. If a row has too few mentions, the rest goes to spans.

    Args:
        units: `[batch, length]` units of spans.
        mention_ids: `[batch, length]`, -1 outside mentions.
        budgets: `[batch]` tokens to hide.
        keys: random numbers of the batch.

    Returns:
        `[batch, length]` units; those of the mentions taken are below -1, and come before all spans.
    """
    batch, length = units.shape
    in_mention = mention_ids >= 0
    mention = number_words(mention_ids)
    mention_units = _upper(keys.units).gather(1, mention) << PLACE_BITS | mention  # [batch, length]
    column = torch.arange(length, device=units.device)
    in_order = (mention_units.masked_fill(~in_mention, LAST) << PLACE_BITS | column).argsort(1)
    rank = torch.empty_like(in_order).scatter(1, in_order, column.expand_as(in_order))
    # For each mention, the tokens of earlier mentions and its own. Other tokens go to an extra column.
    mention = mention.masked_fill(~in_mention, length)
    zeros = torch.zeros(batch, length + 1, dtype=torch.long, device=units.device)
    size = zeros.scatter_add(1, mention, in_mention.long()).gather(1, mention)
    earlier = (zeros + length).scatter_reduce(1, mention, rank, "amin").gather(1, mention)
    taken = in_mention & (2 * earlier + size < budgets[:, None])
    return torch.where(taken, mention_units - LAST, units)


# Lengths


def span_length_weights(p: float = 0.2, longest: int = 10) -> list[float]:
    """Work out the probabilities of spans of 1 … `longest` words: geometric, cut off and renormalised.

    With p = 0.2 and longest = 10 the mean is 3.797 words. Cutting off is not the same as clipping, which
    piles all longer spans up at `longest` (mean 4.46).

    Args:
        p: parameter of the geometric distribution, in (0, 1).
        longest: most words in a span.

    Returns:
        p(1−p)^(l−1) for l = 1 … longest, divided by their sum.

    Source:
        Joshi et al. 2020, section 3.1.
    """
    weights = [p * (1 - p) ** more for more in range(longest)]
    total = sum(weights)
    return [weight / total for weight in weights]


def length_thresholds(scheme: Scheme) -> list[int]:
    """Work out from which random number on a span is longer than 0, 1, … `longest` − 1 words.

    Args:
        scheme: parameters of the spans.

    Returns:
        2^30 times the probability of at most 0, 1, … words, as the numbers are uniform in 0 … 2^30 − 1.
    """
    at_most = accumulate(span_length_weights(scheme.p, scheme.longest)[:-1], initial=0.0)
    return [round(chance * (1 << BITS)) for chance in at_most]


def span_lengths(keys: Keys, scheme: Scheme) -> torch.Tensor:
    """Read the length of each candidate span off the random numbers.

    Args:
        keys: random numbers of a batch.
        scheme: that they were drawn for.

    Returns:
        `[batch, length + longest − 1]` words, 1 … `longest`.
    """
    return sum((_lower(keys.units) >= threshold).long() for threshold in length_thresholds(scheme))


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
    """Choose what hidden tokens show: the mask token, a random token or themselves, by `scheme.corruption`.

    One random number, the fate, decides between the three. BERT draws it for each token; SpanBERT's paper
    once for each run of hidden tokens (`corrupt_per="run"`), in which replacements still differ.

    Args:
        original: `[batch, slots]` ids of the tokens in the slots.
        positions: `[batch, slots]` where they stand.
        used: `[batch, slots]` bool, whether the slot is used.
        scheme: shares, and whether runs of hidden tokens share their fate.
        vocabulary: the mask token, and the tokens that may replace others.
        keys: random numbers of the batch.
        length: tokens in a row.

    Returns:
        `[batch, slots]` ids.

    Source:
        Devlin et al. 2019, section 3.1; Joshi et al. 2020, section 3.1.
    """
    fate = _upper(keys.slots)
    if scheme.corrupt_per == "run":
        hidden = torch.zeros(len(positions), length, dtype=torch.bool, device=positions.device)
        hidden = hidden.scatter(1, positions, used)
        fate_by_position = torch.zeros_like(hidden, dtype=torch.long).scatter(1, positions, fate)
        fate = fate_by_position.gather(1, run_starts(hidden).gather(1, positions))
    ordinary = vocabulary.size - sum(number for _, number in vocabulary.never_drawn)
    replacement = _lower(keys.slots) * ordinary >> BITS
    for first, number in vocabulary.never_drawn:  # step over them
        replacement = replacement + number * (replacement >= first)
    replacement = replacement.to(original.dtype)
    show_mask, show_random, _ = scheme.corruption
    mask_below, random_below = round(show_mask * (1 << BITS)), round((show_mask + show_random) * (1 << BITS))
    shown = torch.where(fate < random_below, replacement, original)
    return torch.where(fate < mask_below, vocabulary.mask_token_id, shown)


def run_starts(hidden: torch.Tensor) -> torch.Tensor:
    """Find where the run of hidden tokens begins that each hidden token is part of.

    Args:
        hidden: `[batch, length]` bool.

    Returns:
        `[batch, length]` int64 positions; meaningless at visible tokens.
    """
    previous = torch.nn.functional.pad(hidden[:, :-1], (1, 0))
    column = torch.arange(hidden.shape[1], device=hidden.device)
    return torch.where(hidden & ~previous, column, 0).cummax(1).values


def in_cut_word(words: torch.Tensor, positions: torch.Tensor, budgets: torch.Tensor) -> torch.Tensor:
    """Find the slots whose word the budget cuts.

    Only the word hidden last can be cut, and then the token after its last hidden one is visible.

    Args:
        words: `[batch, length]` numbers of words, -1 at special tokens.
        positions: `[batch, slots]`.
        budgets: `[batch]`, how many slots are used.

    Returns:
        `[batch, slots]` bool.
    """
    last = positions.gather(1, budgets[:, None] - 1)  # [batch, 1]
    word = words.gather(1, last)
    following = torch.nn.functional.pad(words, (0, 1), value=-1).gather(1, last + 1)
    return (words.gather(1, positions) == word) & (following == word)


# How it turned out


class Statistics(NamedTuple):
    """What became of the budget, over all rows of a batch."""

    hidden: int  # tokens hidden
    rate: float  # of all tokens that may be hidden
    unused: float  # slots of the budget left unused (`keep_whole`), as a share of the budget
    cut_units: float  # share of rows with a unit that is partly hidden and partly visible
    cut_words: float  # share of rows with such a word
    unit_lengths: torch.Tensor  # [units that hide something] words, a cut one counts
    run_lengths: torch.Tensor  # [runs of hidden tokens, of one unit or several] tokens


def statistics(masked: Masked, word_ids: torch.Tensor, scheme: Scheme) -> Statistics:
    """Count what a mask did: tokens, unused slots, cut units and words, lengths.

    Args:
        masked: what `mask` returned.
        word_ids: `[batch, length]`, as handed to `mask`.
        scheme: as handed to `mask`.

    Returns:
        The counts over all rows.
    """
    hidden, can_hide = masked.labels != IGNORED, word_ids >= 0  # [batch, length]
    row = torch.arange(len(hidden), device=hidden.device)[:, None].expand_as(hidden)
    words = number_words(word_ids)

    def rows_with_cut(groups: torch.Tensor) -> float:
        """Share of rows in which a group of tokens is partly hidden; groups: `[batch, length]` numbers."""
        group, group_of_token = torch.stack([row, groups], -1)[can_hide].unique(dim=0, return_inverse=True)
        tokens = torch.bincount(group_of_token, minlength=len(group))
        hidden_tokens = torch.bincount(group_of_token[hidden[can_hide]], minlength=len(group))
        partly = (hidden_tokens > 0) & (hidden_tokens < tokens)
        return len(group[partly, 0].unique()) / len(hidden)

    unit_words = torch.stack([row, masked.units, words], -1)[hidden].unique(dim=0)  # [words, 3]
    runs = torch.stack([row, run_starts(hidden)], -1)[hidden]
    return Statistics(
        hidden=int(hidden.sum()),
        rate=(hidden.sum() / can_hide.sum()).item(),
        unused=1 - (hidden.sum() / budget(can_hide, scheme.mask_rate).sum()).item(),
        cut_units=rows_with_cut(masked.units),
        cut_words=rows_with_cut(words),
        unit_lengths=unit_words[:, :2].unique(dim=0, return_counts=True)[1],
        run_lengths=runs.unique(dim=0, return_counts=True)[1],
    )


def _upper(keys: torch.Tensor) -> torch.Tensor:
    """Return the upper of the two numbers in each key, 0 … 2^30 − 1."""
    return keys >> BITS


def _lower(keys: torch.Tensor) -> torch.Tensor:
    """Return the lower of the two numbers in each key, 0 … 2^30 − 1."""
    return keys & (1 << BITS) - 1


def _same_device(one: torch.device, other: torch.device) -> bool:
    """Compare two devices; "cuda" without a number, as a generator may have it, equals any of them."""
    return one.type == other.type and (None in (one.index, other.index) or one.index == other.index)


def _refuse_bad_input(
    input_ids: torch.Tensor,
    word_ids: torch.Tensor,
    scheme: Scheme,
    vocabulary: Vocabulary,
    generator: torch.Generator,
    mention_ids: torch.Tensor | None,
) -> None:
    """Raise ValueError, with what was expected and what came, if `mask` cannot work with its arguments."""
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
            raise ValueError(f"{name} must be int64 or int32, not {tensor.dtype}: convert it with .long()")
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
            "; cut them"
        )
    can_hide = word_ids >= 0
    wordless = can_hide.sum(1) == 0
    if wordless.count_nonzero():
        row = int(wordless.nonzero()[0])
        raise ValueError(
            f"row {row} has no word that could be hidden: every word id is -1. Leave such rows out"
        )
    if (masked := (input_ids == vocabulary.mask_token_id) & can_hide).count_nonzero():
        row, column = masked.nonzero()[0].tolist()
        raise ValueError(
            f"row {row} shows the mask token at position {column} already: mask fresh ids each time, "
            "or give it the word id -1 if it is part of the text"
        )
    if mention_ids is not None:
        if (outside_text := (mention_ids >= 0) & ~can_hide).any():
            row, column = outside_text.nonzero()[0].tolist()
            raise ValueError(
                f"mention_ids must be -1 where word_ids are; row {row}, position {column} is not"
                ": set it to -1"
            )
        same_word = (word_ids[:, 1:] == word_ids[:, :-1]) & can_hide[:, 1:]
        if (cuts := same_word & (mention_ids[:, 1:] != mention_ids[:, :-1])).any():
            row, column = cuts.nonzero()[0].tolist()
            raise ValueError(
                f"mentions must consist of whole words; row {row} has one cut at {column + 1}. Give all "
                "tokens of a word one mention id"
            )
    decreases = (word_ids[:, 1:] < word_ids[:, :-1]) & can_hide[:, 1:]
    if decreases.count_nonzero():
        row, column = decreases.nonzero()[0].tolist()
        raise ValueError(
            f"word ids must not decrease between two special tokens; in row {row} "
            f"{word_ids[row, column]} is followed by {word_ids[row, column + 1]} at position {column + 1}. "
            "Number the words from left to right, and give the word id -1 to special tokens"
        )
