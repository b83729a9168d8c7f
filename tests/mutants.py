"""Planted errors in `helpers/masking.py`: do the masking tests notice each of them?

    python tests/mutants.py                 all of them, two at a time
    python tests/mutants.py budget fate     those with one of these words in their name
    python tests/mutants.py --check         no tests: does each broken source still mask something?

Each mutant is one small change to the source, in a copy of the project; no file of the project is touched.
Exit status 1 if a mutant survives, or if the tests fail on the source as it stands.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SOURCE = "helpers/masking.py"
NEEDED = ("helpers", "tests", "pyproject.toml")
TESTS = "tests/test_masking*.py"
# A failing example is enough: Hypothesis need not look for the smallest one.
NO_SHRINKING = """
from hypothesis import Phase

series = hypothesis.settings.get_profile("series")
hypothesis.settings.register_profile("mutants", series, phases=[Phase.explicit, Phase.generate])
hypothesis.settings.load_profile("mutants")
"""


class Mutant(NamedTuple):
    """One change: `old`, which stands in the source once (or for the `nth` time, from 1), becomes `new`."""

    name: str
    breaks: str
    old: str
    new: str
    nth: int = 0


MUTANTS = (
    # What may be hidden, and how much of it
    Mutant(
        "special tokens hidden",
        "special tokens and padding are drawn like text",
        "rank = units.masked_fill(~can_hide, LAST).bit",
        "rank = units.clone().bit",
    ),
    Mutant(
        "first word safe",
        "word 0 is taken for a special token",
        "can_hide = word_ids >= 0  # [batch, length]\n    words",
        "can_hide = word_ids > 0  # [batch, length]\n    words",
    ),
    Mutant(
        "budget of padding",
        "padding and special tokens count in the budget",
        "budgets = budget(can_hide, scheme.mask_rate)",
        "budgets = budget(torch.ones_like(can_hide), scheme.mask_rate)",
    ),
    Mutant(
        "budget up", "the budget is rounded up", ".round().clamp(min=1).long()", ".ceil().clamp(min=1).long()"
    ),
    Mutant(
        "budget down",
        "the budget is rounded down",
        ".round().clamp(min=1).long()",
        ".floor().clamp(min=1).long()",
    ),
    Mutant("budget of none", "short rows hide nothing", ".round().clamp(min=1).long()", ".round().long()"),
    Mutant(
        "budget in float32",
        "0.15 of 190 tokens, 28.5, comes out on the other side",
        "(can_hide.sum(1).double() * mask_rate)",
        "(can_hide.sum(1).float() * mask_rate)",
    ),
    Mutant(
        "budget plus one",
        "one token more wherever there is a slot left",
        "device=positions.device) < budgets[:, None]",
        "device=positions.device) <= budgets[:, None]",
    ),
    Mutant(
        "budget of the fullest",
        "every row gets the budget of the fullest",
        "(can_hide.sum(1).double() * mask_rate)",
        "(can_hide.sum(1).amax().expand(len(can_hide)).double() * mask_rate)",
    ),
    Mutant(
        "slots rounded down",
        "rows full of text have a slot too few",
        "return max(1, round(mask_rate * length))",
        "return max(1, int(mask_rate * length))",
    ),
    Mutant(
        "suffix kept",
        "the unit that the budget cuts keeps its end",
        ".bitwise_or_(column)",
        ".bitwise_or_(column.flip(0))",
    ),
    Mutant(
        "ties torn",
        "equal priorities fall in any order: no position in the key",
        ".bitwise_left_shift_(PLACE_BITS).bitwise_or_(column)",
        "",
    ),
    Mutant(
        "keys as float32",
        "keys lose their last digits, and the position with them",
        ".bitwise_or_(column)",
        ".bitwise_or_(column).float()",
    ),
    Mutant(
        "keys as float64",
        "a float of 64 bits has 53 for a key of 62",
        ".bitwise_or_(column)",
        ".bitwise_or_(column).double()",
    ),
    # What comes back
    Mutant(
        "labels everywhere",
        "visible tokens have labels too",
        "labels=torch.full_like(input_ids, IGNORED, dtype=torch.long).scatter(",
        "labels=input_ids.long().scatter(",
    ),
    Mutant(
        "labels of changed",
        "hidden tokens that are shown as they are have no label",
        ".scatter(1, positions, answers)",
        ".scatter(1, positions, answers.masked_fill(shown == original, IGNORED))",
    ),
    Mutant(
        "labels of unused",
        "unused slots have labels",
        "answers = original.long().masked_fill(~used, IGNORED)",
        "answers = original.long()",
    ),
    Mutant(
        "unused corrupted",
        "tokens of unused slots are replaced",
        "torch.where(used, shown, original)",
        "shown",
    ),
    Mutant(
        "in place", "writes into the caller's ids", "inputs=input_ids.scatter(", "inputs=input_ids.scatter_("
    ),
    Mutant(
        "positions collide",
        "all unused slots stand at position 0",
        "original = input_ids.gather(1, positions)",
        "positions = positions.masked_fill(~used, 0)\n    original = input_ids.gather(1, positions)",
    ),
    Mutant(
        "positions sorted",
        "slots go from left to right, not in the order of drawing",
        "dim=1, largest=False).indices",
        "dim=1, largest=False).indices.sort(1).values",
    ),
    Mutant(
        "units of specials",
        "special tokens belong to units",
        "units=units.masked_fill(~can_hide, -1)",
        "units=units",
    ),
    Mutant(
        "ids of 32 bits",
        "ids that are not int64 fail",
        "replacement = replacement.to(original.dtype)",
        "replacement = replacement.long()",
    ),
    # Words
    Mutant(
        "word boundaries ignored",
        "every token is a word",
        "begins[:, 1:] &= word_ids[:, 1:] != word_ids[:, :-1]",
        "begins[:, 1:] &= word_ids[:, :-1] < 0",
    ),
    Mutant(
        "word across a special",
        "a word goes on behind a special token if its number does",
        "begins[:, 1:] &= word_ids[:, 1:] != word_ids[:, :-1]",
        "begins[:, 1:] &= word_ids[:, 1:] != word_ids.cummax(1).values[:, :-1]",
    ),
    Mutant(
        "row begins with a word",
        "without [CLS], words 0 and 1 are one",
        "    begins = word_ids >= 0\n",
        "    begins = word_ids > 0\n",
    ),
    Mutant(
        "words torn",
        "the tokens of a word have priorities of their own",
        "_upper(keys.units).gather(1, words) << PLACE_BITS | words",
        "_upper(keys.units) << PLACE_BITS | words",
    ),
    # Spans
    Mutant(
        "spans too long",
        "each span has a word too many",
        "enumerate(length_thresholds(scheme)[1:], start=1)",
        "enumerate(length_thresholds(scheme)[:-1], start=1)",
    ),
    Mutant(
        "spans too short",
        "each span has a word too few",
        "enumerate(length_thresholds(scheme)[1:], start=1)",
        "enumerate(length_thresholds(scheme)[2:], start=1)",
    ),
    Mutant(
        "span end exact",
        "a number that just reaches an entry counts as too short",
        "covering = (length_key[:, starts] - threshold).bitwise_and_(out_of_reach)",
        "covering = (length_key[:, starts] - threshold - 1).bitwise_and_(out_of_reach)",
    ),
    Mutant(
        "span lengths exact",
        "the same in the lengths that are reported",
        "(_lower(keys.units) >= threshold)",
        "(_lower(keys.units) > threshold)",
    ),
    Mutant(
        "nearest start wins",
        "a word belongs to the span that starts there: spans of one word",
        "torch.minimum(lowest, covering, out=lowest)",
        "lowest = torch.where(lowest < out_of_reach, lowest, covering)",
    ),
    Mutant(
        "longest never drawn",
        "lengths end one word early",
        "for more in range(longest)]",
        "for more in range(max(1, longest - 1))]",
    ),
    Mutant(
        "lengths clipped",
        "longer spans pile up at the longest",
        "return [weight / total for weight in weights]",
        "return [*weights[:-1], 1 - sum(weights[:-1])]",
    ),
    Mutant(
        "weights not renormalised",
        "the weights add up to 0.89",
        "return [weight / total for weight in weights]",
        "return weights",
    ),
    Mutant(
        "p upside down",
        "p is the probability that a span goes on",
        "weights = [p * (1 - p) ** more",
        "weights = [(1 - p) * p**more",
    ),
    Mutant(
        "long spans last",
        "length and priority come from one number",
        "length_key = _lower(keys.units)",
        "length_key = _upper(keys.units)",
    ),
    Mutant(
        "no starts before",
        "spans start at words only, so the first words are hidden less often",
        "(_upper(keys.units) & ~place_mask | place & place_mask).int()",
        "(_upper(keys.units) & ~place_mask | place & place_mask).int() | (place < before).int() << BITS",
    ),
    Mutant(
        "edges ignored",
        'spans start before a row with edges="inside" too',
        "covering.masked_fill_(place_stretch[:, starts] != word_stretch, out_of_reach)",
        "pass",
    ),
    Mutant(
        "edges of the row alone",
        'with edges="inside" spans still start in an earlier stretch',
        "place_stretch[:, starts] != word_stretch",
        "place_stretch[:, starts] < 0",
    ),
    Mutant(
        "not reordered",
        "spans go on behind special tokens: no new order for each stretch",
        "covering.bitwise_or_(candidates[:, starts] ^ reorder)",
        "covering.bitwise_or_(candidates[:, starts])",
    ),
    Mutant(
        "stretch of the special",
        "the last word of a stretch is ordered with the next one",
        "word_stretch.scatter(1, words.masked_fill(~can_hide, length), token_stretch)",
        "word_stretch.scatter(1, words, token_stretch)",
    ),
    # Words that the budget cuts
    Mutant(
        "keep_whole ignored",
        "words are cut all the same",
        'if scheme.keep_whole and scheme.strategy != "token":',
        "if False:",
    ),
    Mutant(
        "keep_whole of tokens",
        "token masking leaves slots unused as well",
        'if scheme.keep_whole and scheme.strategy != "token":',
        "if scheme.keep_whole:",
    ),
    Mutant(
        "keep_whole drops units",
        "the whole unit stays visible",
        "in_cut_word(words.masked_fill(~can_hide, -1), positions, budgets)",
        "in_cut_word(units.masked_fill(~can_hide, -1), positions, budgets)",
    ),
    Mutant(
        "keep_whole at specials",
        "a whole word before a special token counts as cut",
        "in_cut_word(words.masked_fill(~can_hide, -1), positions, budgets)",
        "in_cut_word(words, positions, budgets)",
    ),
    Mutant(
        "keep_whole at the wrong end",
        "looks at the word drawn first",
        "last = positions.gather(1, budgets[:, None] - 1)",
        "last = positions[:, :1]",
    ),
    Mutant(
        "keep_whole always",
        "the last word stays visible, cut or not",
        "(words.gather(1, positions) == word) & (following == word)",
        "words.gather(1, positions) == word",
    ),
    Mutant(
        "keep_whole one token",
        "of a cut word only the last hidden token stays visible",
        "(words.gather(1, positions) == word) & (following == word)",
        "(positions == last) & (following == word)",
    ),
    # Mentions
    Mutant(
        "mentions take all",
        "mentions may have the whole budget",
        "2 * earlier + size < budgets[:, None]",
        "earlier + size < budgets[:, None]",
    ),
    Mutant(
        "mentions cut",
        "half the budget ends in the middle of a mention",
        "2 * earlier + size < budgets[:, None]",
        "2 * rank < budgets[:, None]",
    ),
    Mutant(
        "mentions by their start",
        "taken if the first token falls into half the budget: more than half on average",
        "2 * earlier + size < budgets[:, None]",
        "2 * earlier < budgets[:, None]",
    ),
    Mutant(
        "mentions from the left",
        "the first mentions of a row are taken, in no random order",
        "mention_units = _upper(keys.units).gather(1, mention) << PLACE_BITS | mention",
        "mention_units = mention",
    ),
    Mutant(
        "mentions not first",
        "mentions compete with spans",
        "mention_units - LAST, units",
        "mention_units, units",
    ),
    Mutant(
        "shares swapped",
        "random for kept and kept for random",
        "show_mask, show_random, _ = scheme.corruption",
        "show_mask, _, show_random = scheme.corruption",
    ),
    Mutant(
        "shares ignored",
        "always 80/10/10",
        "show_mask, show_random, _ = scheme.corruption",
        "show_mask, show_random, _ = 0.8, 0.1, 0.1",
    ),
    Mutant(
        "fate from the replacement",
        "fate and replacement come from one number",
        "fate = _upper(keys.slots)",
        "fate = _lower(keys.slots)",
    ),
    Mutant(
        "replacement from the fate",
        "the same the other way round",
        "replacement = _lower(keys.slots) * (",
        "replacement = _upper(keys.slots) * (",
    ),
    Mutant(
        "one replacement",
        "all random tokens of a row are the same",
        "replacement = _lower(keys.slots) * (",
        "replacement = _lower(keys.slots[:, :1]) * (",
    ),
    Mutant(
        "special replacement",
        "special tokens may replace others",
        "special_ids = {self.mask_token_id, *self.special_ids}",
        "special_ids = set()",
    ),
    Mutant(
        "mask as replacement",
        "a mask token that is not listed as special may replace others",
        "special_ids = {self.mask_token_id, *self.special_ids}",
        "special_ids = set(self.special_ids)",
    ),
    Mutant(
        "step over special late",
        "the number of a special token itself is not stepped over",
        "(replacement >= first)",
        "(replacement > first)",
    ),
    Mutant(
        "step over special downwards",
        "special ids are stepped over from the highest",
        "in vocabulary.never_drawn:",
        "in reversed(vocabulary.never_drawn):",
    ),
    Mutant(
        "last id never drawn",
        "the vocabulary's last id replaces nothing",
        "* ordinary >> BITS",
        "* (ordinary - 1) >> BITS",
    ),
    Mutant(
        "mask for random",
        "the mask token instead of random ones",
        "torch.where(fate < random_below, replacement, original)",
        "torch.where(fate < random_below, vocabulary.mask_token_id, original)",
    ),
    Mutant(
        "never per run", "every token has a fate of its own", 'if scheme.corrupt_per == "run":', "if False:"
    ),
    Mutant("always per run", "neighbours share their fate", 'if scheme.corrupt_per == "run":', "if True:"),
    Mutant(
        "run across a visible token",
        "one visible token does not end a run",
        "previous = torch.nn.functional.pad(hidden[:, :-1], (1, 0))",
        "previous = torch.nn.functional.pad(hidden[:, :-1], (1, 0))\n"
        "    previous |= torch.nn.functional.pad(previous[:, :-1], (1, 0))",
    ),
    Mutant(
        "run across an unused slot",
        "unused slots join runs",
        "hidden = hidden.scatter(1, positions, used)",
        "hidden = hidden.scatter(1, positions, True)",
    ),
    # Randomness
    Mutant(
        "generator ignored",
        "numbers come from the global generator",
        "shape, generator=generator, device=device",
        "shape, device=device",
    ),
    Mutant(
        "rows alike",
        "all rows share their random numbers",
        "torch.randint(1 << 2 * BITS, shape, generator=generator, device=device)",
        "torch.randint(1 << 2 * BITS, (1, shape[1]), generator=generator, device=device).expand(shape)",
    ),
    Mutant(
        "half the numbers",
        "the highest bit is never drawn",
        "torch.randint(1 << 2 * BITS,",
        "torch.randint(1 << 2 * BITS - 1,",
    ),
    Mutant(
        "words of another row",
        "the words of the first row shift the numbers of all",
        "_upper(keys.units).gather(1, words) << PLACE_BITS | words",
        "_upper(keys.units).roll(int(words[0].max()), 1).gather(1, words) << PLACE_BITS | words",
    ),
    Mutant(
        "spans of another row",
        "how much text the other rows have shifts the numbers of all",
        "candidates = (_upper(keys.units) & ~place_mask",
        "candidates = (_upper(keys.units).roll(int(can_hide.sum()), 1) & ~place_mask",
    ),
    # Statistics
    Mutant(
        "rate of all tokens",
        "padding counts in the rate",
        "rate=(hidden.sum() / can_hide.sum())",
        "rate=hidden.float().mean()",
    ),
    Mutant("used for unused", "the share of slots used", "unused=1 - (", "unused=("),
    Mutant(
        "cut or visible",
        "groups that are all visible count as cut",
        "partly = (hidden_tokens > 0) & (hidden_tokens < tokens)",
        "partly = hidden_tokens < tokens",
    ),
    Mutant(
        "cut groups for rows",
        "counts each cut group, not each row",
        "len(group[partly, 0].unique()) / len(hidden)",
        "len(group[partly, 0]) / len(hidden)",
    ),
    Mutant(
        "cut units as words",
        "units for words",
        "cut_words=rows_with_cut(words)",
        "cut_words=rows_with_cut(masked.units)",
    ),
    Mutant(
        "cut words as units",
        "words for units",
        "cut_units=rows_with_cut(masked.units)",
        "cut_units=rows_with_cut(words)",
    ),
    Mutant(
        "lengths in tokens",
        "units are measured in tokens",
        "[hidden].unique(dim=0)  # [words, 3]",
        "[hidden]",
    ),
    Mutant(
        "lengths across rows",
        "units of one number in different rows are one",
        "unit_words[:, :2].unique(",
        "unit_words[:, 1:2].unique(",
    ),
    Mutant(
        "runs across rows",
        "runs at one place in different rows are one",
        "torch.stack([row, run_starts(hidden)], -1)[hidden]",
        "torch.stack([run_starts(hidden)], -1)[hidden]",
    ),
    # What is refused
    Mutant("strategy unchecked", "any strategy goes", 'require_one_of("strategy", STRATEGIES)', "pass"),
    Mutant("edges unchecked", "any edges go", 'require_one_of("edges", ("before", "inside"))', "pass"),
    Mutant(
        "corrupt_per unchecked",
        "any corrupt_per goes",
        'require_one_of("corrupt_per", ("token", "run"))',
        "pass",
    ),
    Mutant(
        "rate of one",
        "a rate of 1 or more goes",
        "if not 0 < getattr(self, name) < 1:",
        "if not 0 < getattr(self, name):",
    ),
    Mutant(
        "rate of nothing",
        "a rate of 0 goes",
        "if not 0 < getattr(self, name) < 1:",
        "if not 0 <= getattr(self, name) < 1:",
    ),
    Mutant("p unchecked", "any p goes", 'for name in ("mask_rate", "p"):', 'for name in ("mask_rate",):'),
    Mutant(
        "longest of none",
        "spans of at most no word go",
        "if not isinstance(self.longest, Integral) or self.longest < 1:",
        "if not isinstance(self.longest, Integral):",
    ),
    Mutant(
        "longest of a half",
        "spans of at most two and a half words go",
        "if not isinstance(self.longest, Integral) or self.longest < 1:",
        "if self.longest < 1:",
    ),
    Mutant("shares short of one", "shares need not add up to 1", " or not math.isclose(sum(shares), 1)", ""),
    Mutant(
        "negative shares",
        "shares below 0 go",
        " or min(shares) < 0",
        "",
    ),
    Mutant(
        "ids beyond the size",
        "special ids may lie outside the vocabulary",
        "if not isinstance(token_id, Integral) or not 0 <= token_id < self.size:",
        "if not isinstance(token_id, Integral):",
    ),
    Mutant(
        "ids of no number",
        "a tokenizer without a mask token goes",
        "if not isinstance(token_id, Integral) or not 0 <= token_id < self.size:",
        "if isinstance(token_id, Integral) and not 0 <= token_id < self.size:",
    ),
    Mutant(
        "nothing to draw",
        "a vocabulary of special tokens alone goes",
        "*self.special_ids}) >= self.size:",
        "*self.special_ids}) > self.size:",
    ),
    Mutant(
        "added tokens forgotten",
        "tokens added to a tokenizer are never drawn",
        "return cls(len(tokenizer),",
        "return cls(tokenizer.vocab_size,",
    ),
    Mutant(
        "mentions missing",
        "no word about missing mention ids",
        'mentions" and mention_ids is None:',
        'mentions" and False:',
    ),
    Mutant(
        "mentions of parts of words",
        "mentions may cut words",
        "if (cuts := same_word & (",
        "if False and (cuts := same_word & (",
    ),
    Mutant(
        "mentions by the way",
        "the form of mention ids that no strategy asked for is not checked",
        'if mention_ids is not None:\n        tensors["mention_ids"]',
        'if scheme.strategy == "mentions":\n        tensors["mention_ids"]',
    ),
    Mutant(
        "size from numpy",
        "a size from numpy is refused",
        "if not isinstance(self.size, Integral)",
        "if not isinstance(self.size, int)",
    ),
    Mutant(
        "ids from numpy",
        "special ids from numpy are refused",
        "if not isinstance(token_id, Integral)",
        "if not isinstance(token_id, int)",
    ),
    Mutant(
        "flat tensors",
        "rows without a batch get as far as an obscure error",
        "if tensor.dim() != 2 or tensor.shape != input_ids.shape:",
        "if tensor.shape != input_ids.shape:",
    ),
    Mutant(
        "shapes unchecked",
        "tensors of different shapes get as far as an obscure error",
        "if tensor.dim() != 2 or tensor.shape != input_ids.shape:",
        "if tensor.dim() != 2:",
    ),
    Mutant(
        "floats",
        "ids with a fraction go",
        "if tensor.dtype not in (torch.int64, torch.int32):",
        "if tensor.dtype not in (torch.int64, torch.int32, torch.float32, torch.float64):",
    ),
    Mutant(
        "truth values",
        "word ids of type bool go",
        "if tensor.dtype not in (torch.int64, torch.int32):",
        "if tensor.dtype not in (torch.int64, torch.int32, torch.bool):",
    ),
    Mutant(
        "tensors apart",
        "word ids on another device get as far as an obscure error",
        "if tensor.device != input_ids.device:",
        "if False:",
    ),
    Mutant(
        "generator apart",
        "a generator on another device gets as far as an obscure error",
        "if not _same_device(generator.device, input_ids.device):",
        "if False:",
    ),
    Mutant(
        "rows too long",
        "positions spill over into priorities",
        "if input_ids.shape[1] + scheme.longest > 1 << PLACE_BITS:",
        "if False:",
    ),
    Mutant(
        "rows without words",
        "a row without words goes if another has some",
        "if wordless.count_nonzero():",
        "if wordless.all():",
    ),
    Mutant(
        "mentions at specials",
        "mentions may contain special tokens",
        "(outside_text := (mention_ids >= 0) & ~can_hide).any():",
        "(outside_text := (mention_ids >= 0) & ~can_hide).all():",
    ),
    Mutant(
        "small integers",
        "ids of 8 bits pass, and their labels wrap round",
        "if tensor.dtype not in (torch.int64, torch.int32):",
        "if tensor.dtype not in (torch.int64, torch.int32, torch.uint8):",
    ),
    Mutant(
        "masked twice",
        "a row that shows the mask token already is masked again",
        "if (masked := (input_ids == vocabulary.mask_token_id) & can_hide).count_nonzero():",
        "if False:",
    ),
    Mutant(
        "keys of any shape",
        "random numbers drawn for another batch or scheme pass",
        "if got != wanted:",
        "if False:",
    ),
    Mutant(
        "mentions of parts",
        "a mention may begin within a word",
        "if (cuts := same_word & (mention_ids[:, 1:] != mention_ids[:, :-1])).any():",
        "if False:",
    ),
    Mutant(
        "tags of one bit less",
        "two candidates that reach the same word can look alike",
        "place_mask = (1 << before.bit_length()) - 1",
        "place_mask = (1 << before.bit_length()) // 2 - 1",
    ),
    Mutant(
        "stretches reordered alike",
        "all stretches of a row take the same number",
        "reorder = (length_key & ~place_mask).gather(1, word_stretch)",
        "reorder = (length_key & ~place_mask).gather(1, 0 * word_stretch)",
    ),
    Mutant(
        "decreasing words",
        "word ids may decrease",
        "if decreases.count_nonzero():",
        "if False:",
    ),
)


def mutated(source: str, mutant: Mutant) -> str:
    """The source with the change in it.

    Raises:
        ValueError: the old text does not stand there as often as it should. Mutants must follow the source.
    """
    pieces = source.split(mutant.old)
    found = len(pieces) - 1
    if found < max(1, mutant.nth) or (found > 1 and not mutant.nth):
        raise ValueError(
            f"mutant {mutant.name!r}: its old text stands {found} times in {SOURCE}, not "
            f"{f'{mutant.nth} times or more' if mutant.nth else 'once'}; adapt it:\n  {mutant.old!r}"
        )
    nth = mutant.nth or 1
    return mutant.old.join(pieces[:nth]) + mutant.new + mutant.old.join(pieces[nth:])


def copy(folder: Path) -> None:
    """What the masking tests need of the project."""
    for pattern in NEEDED:
        for path in ROOT.glob(pattern):
            target = folder / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(path, target)
    with (folder / "tests" / "conftest.py").open("a", encoding="utf-8") as conftest:
        conftest.write(NO_SHRINKING)


def python(folder: Path, *arguments: str, limit: float | None = None) -> subprocess.CompletedProcess:
    """Runs Python in a copy of the project, on one thread, since several run side by side."""
    environment = os.environ | {
        "PYTHONPATH": str(folder),
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=limit,
    )


def first_failure(original: Path, source: str, limit: float | None = None) -> tuple[str, float, str]:
    """Runs the masking tests on a source: the first that fails (or ""), seconds, what pytest wrote."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "project"
        shutil.copytree(original, folder)
        (folder / SOURCE).write_text(source, encoding="utf-8")
        files = sorted(str(file.relative_to(folder)) for file in folder.glob(TESTS))
        try:
            done = python(folder, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *files, limit=limit)
        except subprocess.TimeoutExpired:
            return "(the time limit)", time.monotonic() - started, ""
    failed = re.search(r"^(?:FAILED|ERROR) (?:tests/)?([^\s\[]+)", done.stdout, re.MULTILINE)
    first = failed[1] if failed else f"(exit status {done.returncode})" if done.returncode else ""
    return first, time.monotonic() - started, done.stdout + done.stderr


CHECK = """
import importlib.util, sys, torch
words = torch.tensor([[-1, 0, 1, 1, 2, 3, 4, -1, 5, 6, 6, 6, 7, 8, 9, -1]]).repeat(4, 1)
mentions = torch.where((words == 3) | (words == 4), 0, -1)
failed = 0
for name in sys.argv[1:]:
    runs, spec = [], importlib.util.spec_from_file_location("mutant", name)
    module = sys.modules["mutant"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for strategy in module.STRATEGIES:
        try:
            vocabulary = module.Vocabulary(1_000, 4, (0, 1, 2, 3, 4))
            generator = torch.Generator().manual_seed(0)
            module.mask(words + 10, words, module.Scheme(strategy), vocabulary, generator, mentions)
            runs.append(strategy)
        except Exception as error:
            print(f"  {name}: {strategy}: {error!r}")
    failed += not runs
print(f"{len(sys.argv) - 1 - failed} of {len(sys.argv) - 1} mutants still mask something")
sys.exit(failed > 0)
"""


def check(mutants: list[Mutant], source: str) -> int:
    """Exit status 0 if each mutant can be imported and masks with one strategy at least."""
    with tempfile.TemporaryDirectory() as name:
        files = [f"{number:03} {mutant.name}.py" for number, mutant in enumerate(mutants)]
        for file, mutant in zip(files, mutants, strict=True):
            (Path(name) / file).write_text(mutated(source, mutant), encoding="utf-8")
        done = python(Path(name), "-c", CHECK, *files)
    print(done.stdout + done.stderr, end="")
    return done.returncode


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", help="only mutants with one of these words in their name")
    parser.add_argument("--check", action="store_true", help="only see whether they can mask at all")
    parser.add_argument("--at-once", type=int, default=2)
    options = parser.parse_args()
    source = (ROOT / SOURCE).read_text(encoding="utf-8")
    chosen = [
        mutant
        for mutant in MUTANTS
        if not options.words or any(word in mutant.name for word in options.words)
    ]
    try:
        sources = [mutated(source, mutant) for mutant in chosen]
    except ValueError as error:
        sys.exit(str(error))
    if options.check:
        return check(chosen, source)

    started = time.monotonic()
    survivors = []
    with tempfile.TemporaryDirectory() as name:
        original = Path(name) / "project"
        copy(original)
        failed, seconds, output = first_failure(original, source)
        if failed:
            print(output[-4_000:])
            sys.exit(f"{SOURCE} as it stands fails {failed}: no mutant was tried")
        print(f"{SOURCE} as it stands passes in {seconds:.0f} s; {len(chosen)} mutants\n", flush=True)
        limit = 60 + 4 * seconds  # beside another, and on a source that may not come to an end
        print(f"{'mutant':28} {'what it breaks':80} {'s':>3}  killed by")
        with ThreadPoolExecutor(options.at_once) as pool:
            tested = pool.map(lambda source: first_failure(original, source, limit), sources)
            for mutant, (failed, seconds, _) in zip(chosen, tested, strict=True):
                survivors += [] if failed else [mutant.name]
                print(
                    f"{mutant.name:28} {mutant.breaks:80} {seconds:3.0f}  {failed or 'SURVIVED'}", flush=True
                )
    minutes = (time.monotonic() - started) / 60
    print(f"\n{len(chosen) - len(survivors)} of {len(chosen)} mutants killed in {minutes:.0f} minutes")
    if survivors:
        print("Survived:", ", ".join(survivors))
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
