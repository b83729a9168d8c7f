"""Fast tokenizers of the three kinds that people have, learnt from a small text."""

import random

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from helpers import tokenization

KINDS = ("wordpiece", "byte-level bpe", "unigram")
SPECIAL = ["<pad>", "<unk>", "<s>", "</s>", "<mask>"]


def make_text(lines: int = 300) -> list[str]:
    """Sentences of 8 to 30 words with everything that tokenizers treat differently."""
    rng = random.Random(1)
    syllables = ["har", "bour", "lis", "bon", "tra", "vel", "mo", "ün", "é", "ka", "ster", "dam", "ri", "o"]
    words = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(150)]
    words += [
        "isn't",
        "they'll",
        "12",
        "1999",
        "U.S.",
        "(or",
        "4)",
        "half-way",
        "end...",
        "€",
        "two ",
        " blanks",
    ]
    return [
        " ".join(rng.choices(words, k=rng.randint(8, 30))) + rng.choice([".", "!?", ""]) for _ in range(lines)
    ]


TEXT = make_text()


def make_tokenizer(kind: str, split: bool = True) -> PreTrainedTokenizerFast:
    """Small vocabularies, so that most words have several pieces."""
    if kind == "wordpiece":
        return tokenization.train(TEXT, 130)
    if kind == "byte-level bpe":
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=300,
            special_tokens=SPECIAL,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
    else:
        backend = Tokenizer(models.Unigram())
        backend.pre_tokenizer = pre_tokenizers.Metaspace(split=split)
        trainer = trainers.UnigramTrainer(
            vocab_size=90, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
        )
    backend.train_from_iterator(TEXT if split else TEXT[:20], trainer)
    ends = [(token, SPECIAL.index(token)) for token in ("<s>", "</s>")]
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=ends
    )
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return PreTrainedTokenizerFast(tokenizer_object=backend, **dict(zip(names, SPECIAL, strict=True)))
