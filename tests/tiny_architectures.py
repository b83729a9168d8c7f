"""Tiny models of the architectures that people adapt, with random weights."""

from pathlib import Path

import torch
from transformers import (
    AlbertConfig,
    AutoModelForMaskedLM,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    MPNetConfig,
    PreTrainedConfig,
    PreTrainedModel,
    RobertaConfig,
    XLMRobertaConfig,
)

from tests.tiny_tokenizers import make_tokenizer

SIZE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 80,
}
DISTILBERT = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 80}
SPECIAL = {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}


def config(name: str, vocabulary_size: int) -> PreTrainedConfig:
    """Return the configuration of a tiny model."""
    size = SIZE | {"vocab_size": vocabulary_size, "pad_token_id": 0}
    return {
        "bert": lambda: BertConfig(**size),
        "roberta": lambda: RobertaConfig(**size),
        "xlm-roberta": lambda: XLMRobertaConfig(**size),
        "distilbert": lambda: DistilBertConfig(vocab_size=vocabulary_size, **DISTILBERT),
        "electra": lambda: ElectraConfig(embedding_size=8, **size),
        "modernbert": lambda: ModernBertConfig(**size | SPECIAL),
        "albert": lambda: AlbertConfig(embedding_size=8, **size),
        "deberta-v2": lambda: DebertaV2Config(**size),
        "mpnet": lambda: MPNetConfig(**size),
    }[name]()


ARCHITECTURES = (
    *("bert", "roberta", "xlm-roberta", "distilbert", "electra", "modernbert"),
    *("albert", "deberta-v2", "mpnet"),
)


def masked_lm(name: str, vocabulary_size: int = 60, seed: int = 0) -> PreTrainedModel:
    """Build one; ELECTRA's masked LM is its generator."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AutoModelForMaskedLM.from_config(config(name, vocabulary_size))


TOKENIZERS = {"roberta": "byte-level bpe", "modernbert": "byte-level bpe"} | dict.fromkeys(
    ("xlm-roberta", "albert", "deberta-v2"), "unigram"
)


def save(name: str, folder: Path) -> Path:
    """Put one with a tokenizer of its usual kind into a folder."""
    tokenizer = make_tokenizer(TOKENIZERS.get(name, "wordpiece"))
    masked_lm(name, len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
