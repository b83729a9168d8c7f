"""Token, whole-word and span masking as a data collator, for `Trainer` and for a plain `DataLoader`.

It replaces `transformers.DataCollatorForLanguageModeling`, which cannot hide spans. In six lines, for a
`datasets.Dataset` with a column "text"::

    rows = dataset.map(lambda batch: encode_with_word_ids(batch["text"], tokenizer, max_length=128),
                       batched=True, remove_columns=dataset.column_names)
    collator = MaskingCollator(tokenizer, Scheme(strategy="span", mask_rate=0.15))
    arguments = TrainingArguments("out", remove_unused_columns=False)  # or Trainer drops the word ids
    trainer = Trainer(model, arguments, train_dataset=rows, data_collator=collator)
    trainer.train()
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from helpers.masking import Scheme, Vocabulary, mask
from helpers.tokenization import with_blanks

if TYPE_CHECKING:
    from tokenizers import Encoding
    from transformers import PreTrainedTokenizerBase


def encode_with_word_ids(
    texts: Sequence[str] | Sequence[Sequence[str]],
    tokenizer: "PreTrainedTokenizerBase",
    max_length: int,
    is_split_into_words: bool = False,
) -> dict[str, list[list[int]]]:
    """Tokenize texts and keep the number of each token's word, which `MaskingCollator` needs.

    Words are the tokenizer's own (`BatchEncoding.word_ids`), so they differ from kind to kind:

    - BERT's WordPiece: text is split at blanks, and each punctuation mark is a word ("isn't:" is
      isn | ' | t | :).
    - Byte-level BPE of GPT-2 and RoBERTa: the blank before a word is part of it, and further blanks are a
      word. Consecutive punctuation marks are one word; so is an ending like 't ("isn't:" is isn | 't | :).
    - Unigram with Metaspace, as in T5 and XLM-R: text is split at blanks only ("isn't:" is one word). The "▁"
      before a word is part of it, and further blanks are words.

    With `is_split_into_words` they are the words given. Byte-level tokenizers without add_prefix_space=True
    would see no blanks between them, so all words but the first of a text are given one: the pieces are those
    of the words in running text.

    Args:
        texts: strings, or lists of words with `is_split_into_words`. A text without words (an empty line) is
            left out.
        tokenizer: a fast one that splits at blanks.
        max_length: most tokens in a row, special ones included; the rest of a longer text is cut off.
        is_split_into_words: whether the texts are lists of words.

    Returns:
        Three columns, "input_ids", "attention_mask" and "word_ids" (-1 at special tokens), with one list for
        each text.

    Raises:
        ValueError: the tokenizer is slow, or does not split at blanks, so that a whole sentence would be
            hidden as one word; the texts are not of the kind that `is_split_into_words` says; or a row of
            `max_length` has no room for a word.
    """
    if not tokenizer.is_fast:
        raise ValueError(f"{type(tokenizer).__name__} is slow and has no word ids: use a fast tokenizer")
    if isinstance(texts, str) or any(isinstance(text, str) == is_split_into_words for text in texts):
        raise ValueError(
            "texts must be a list of strings, or of lists of words with is_split_into_words=True"
        )
    special = tokenizer.num_special_tokens_to_add()
    if max_length <= special:
        raise ValueError(
            f"max_length is {max_length}: it must be above {special}, the special tokens of a row"
        )
    rows: dict[str, list[list[int]]] = {"input_ids": [], "attention_mask": [], "word_ids": []}
    if not len(texts):
        return rows
    options = {"max_length": max_length, "is_split_into_words": is_split_into_words}
    given = with_blanks(texts, tokenizer) if is_split_into_words else list(texts)
    encodings = tokenizer(given, truncation=True, **options).encodings
    special_ids = _special_ids(tokenizer)
    for text, encoding in zip(texts, encodings, strict=True):
        if isinstance(text, str):
            _refuse_words_with_blanks(text, encoding)
        tokens = zip(encoding.ids, encoding.word_ids, strict=True)
        word_ids = [-1 if word is None or token in special_ids else word for token, word in tokens]
        blank = isinstance(text, str) and not text.strip()  # which some tokenizers take for a word
        if max(word_ids, default=-1) >= 0 and not blank:
            rows["input_ids"].append(encoding.ids)
            rows["attention_mask"].append(encoding.attention_mask)
            rows["word_ids"].append(word_ids)
    return rows


@dataclass
class MaskingCollator:
    """Pad rows, hide tokens by `scheme`, label the hidden ones.

    Every epoch and every worker gets masks of its own. A worker's generator is seeded with `seed` and with
    the seed that the `DataLoader` gives the worker, which differs between workers and changes each time
    workers start. In the main process, one generator seeded with `seed` continues from call to call. So the
    masks are reproducible if the loader's `generator` or `torch.manual_seed` is set (`Trainer` does that).

    In distributed training, give each rank a `seed` of its own. Do the same for training that is resumed, or
    without workers it repeats its first masks. `Trainer` uses one collator for training and evaluation, so
    each evaluation sees other masks: to compare checkpoints, mask the evaluation rows once beforehand.

    Raises:
        ValueError: the tokenizer has no mask token, the scheme is none, or the seed is negative.
    """

    tokenizer: "PreTrainedTokenizerBase"
    scheme: Scheme = Scheme()
    pad_to_multiple_of: int | None = None  # tokens
    seed: int = 0  # at least 0

    def __post_init__(self):
        if not isinstance(self.scheme, Scheme):
            raise ValueError(
                f'scheme is {self.scheme!r}: write it as Scheme(strategy="span", mask_rate=0.15)'
            )
        if self.tokenizer.mask_token is None:
            raise ValueError("the tokenizer has no mask token: set tokenizer.mask_token")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, not {self.seed}")
        self._vocabulary = Vocabulary.of(self.tokenizer)  # as it is now: tokens added later are not drawn
        self._special_ids = sorted(_special_ids(self.tokenizer))
        self._generator, self._generator_seeds = None, None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the generator, which spawned workers fail to unpickle; a copy starts from its seeds."""
        return {**self.__dict__, "_generator": None, "_generator_seeds": None}

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Make a batch of rows, at least one.

        Args:
            features: rows with "input_ids" and, of the same length, "word_ids" (-1 or None at special
                tokens); for the strategy "mentions" also "mention_ids" (-1 or None outside mentions).

        Returns:
            `[batch, length]` each: "input_ids", "attention_mask", "labels" (-100 at tokens that are not
            hidden), and the tokenizer's other model inputs if the rows have them ("token_type_ids").

        Raises:
            ValueError: there are no rows, a column is missing or has another length, or
                `helpers.masking.mask` refuses the rows, for example one without words.
        """
        if not len(features):
            raise ValueError("a batch needs at least one row: check that the texts hold words")
        names = {*self.tokenizer.model_input_names, "attention_mask"}
        batch = self.tokenizer.pad(
            [{name: row[name] for name in row if name in names} for row in features],
            pad_to_multiple_of=self.pad_to_multiple_of,
            return_attention_mask=True,
            return_tensors="pt",
        )
        input_ids = batch["input_ids"]
        word_ids = self._pad(features, "word_ids", input_ids)
        # A special token written out in the text ("[SEP]") has a word id, but must not be hidden either.
        word_ids = word_ids.masked_fill(torch.isin(input_ids, torch.tensor(self._special_ids)), -1)
        mention_ids = None
        if self.scheme.strategy == "mentions":
            mention_ids = self._pad(features, "mention_ids", input_ids)
        masked = mask(input_ids, word_ids, self.scheme, self._vocabulary, self._own_generator(), mention_ids)
        return {**batch, "input_ids": masked.inputs, "labels": masked.labels}

    def _pad(self, features: Sequence[Mapping[str, Any]], name: str, like: torch.Tensor) -> torch.Tensor:
        """Pad a column of the rows with -1, on the tokenizer's side, to the shape of `like`."""
        padded = torch.full_like(like, -1)  # [batch, length]
        for number, row in enumerate(features):
            if name not in row:
                raise ValueError(
                    f'the rows have no "{name}". encode_with_word_ids makes word_ids; Trainer drops such '
                    "columns unless you set TrainingArguments(remove_unused_columns=False)"
                )
            values, length = row[name], len(row["input_ids"])
            if len(values) != length:
                raise ValueError(f"row {number} has {len(values)} {name}, but {length} input_ids")
            first = padded.shape[1] - length if self.tokenizer.padding_side == "left" else 0
            values = [-1 if value is None else int(value) for value in values]
            padded[number, first : first + length] = torch.tensor(values)
        return padded

    def _own_generator(self) -> torch.Generator:
        """Return this process's generator: a worker, with its copy of the collator, needs its own."""
        worker = torch.utils.data.get_worker_info()
        seeds = (self.seed,) if worker is None else (self.seed, worker.seed)
        if self._generator_seeds != seeds:
            # Hashed to 32 bits: torch's generator on the CPU ignores all higher bits of a seed.
            (seed,) = np.random.SeedSequence(seeds).generate_state(1).tolist()
            self._generator, self._generator_seeds = torch.Generator().manual_seed(seed), seeds
        return self._generator


def _special_ids(tokenizer: "PreTrainedTokenizerBase") -> set[int]:
    """Return the special ids that are never hidden; the unknown word may be, unless it has another role."""
    roles = [getattr(tokenizer, f"{role}_token_id") for role in ("bos", "eos", "sep", "pad", "cls", "mask")]
    return {*tokenizer.all_special_ids} - ({tokenizer.unk_token_id} - {*roles})


def _refuse_words_with_blanks(text: str, encoding: "Encoding") -> None:
    """Raise ValueError if a word has a blank inside: then the tokenizer's word ids do not split the text."""
    for word in {*encoding.word_ids} - {None}:
        start, end = encoding.word_to_chars(word)
        if " " in (joined := text[start:end].strip()):
            raise ValueError(
                f"the tokenizer takes {joined!r} for one word: its pre-tokenizer does not split at blanks. "
                "Give lists of words with is_split_into_words=True, or use another tokenizer"
            )
