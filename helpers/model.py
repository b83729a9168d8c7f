"""A tiny BERT whose vocabulary logits are computed at the hidden positions only."""

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from transformers import BertConfig, BertForMaskedLM, BertForTokenClassification

from helpers.settings import ModelSettings


def sinusoids(positions: int, size: int) -> torch.Tensor:
    """The fixed position encoding of Vaswani et al. (2017), section 3.5.

    Returns:
        `[positions, size]`: sines in the first half of each vector, cosines in the second.
    """
    place = torch.arange(positions)[:, None]
    rate = 10_000 ** (-torch.arange(0, size, 2) / size)
    return torch.cat([torch.sin(place * rate), torch.cos(place * rate)], dim=1)


def build(settings: ModelSettings, seed: int) -> BertForMaskedLM:
    """A new `BertForMaskedLM` with random weights; the seed decides them.

    The architecture is BERT's. Three starting values are not, all to leave the first plateau sooner. Weights
    have a standard deviation that suits the width (0.02 is right for 768 units). Position embeddings, learnt
    as ever, start from small sinusoids instead of noise, so that neighbours are alike. Key weights start as
    a copy of the query weights, so that attention goes to what is alike. Dropout is off: a run this short
    sees too little to overfit.
    """
    config = BertConfig(
        vocab_size=settings.vocabulary_size,
        hidden_size=settings.hidden_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=4 * settings.hidden_size,
        max_position_embeddings=settings.length,
        type_vocab_size=1,
        initializer_range=settings.initializer_range,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = BertForMaskedLM(config)
    model.set_attn_implementation("eager")  # at 64 tokens plain attention beats the fused kernels on a CPU
    if settings.position_scale:
        positions = model.bert.embeddings.position_embeddings.weight
        with torch.no_grad():
            positions.copy_(settings.position_scale * sinusoids(*positions.shape))
    if settings.tied_start:
        for layer in model.bert.encoder.layer:
            attention = layer.attention.self
            attention.key.load_state_dict(attention.query.state_dict())
    return model


def precision(name: str, device: str | torch.device = "cpu") -> AbstractContextManager:
    """The context that a forward pass runs in: "float32", or "bfloat16" for mixed precision."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=name == "bfloat16")


def masked_lm_loss(model: BertForMaskedLM, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy of the hidden tokens; in `labels` ([batch, length]) -100 stands for "not hidden".

    The same value as `model(inputs, labels=labels).loss`. That computes logits for every token and throws
    85% of them away; here the hidden positions are picked first.
    """
    hidden_states = model.bert(inputs).last_hidden_state  # [batch, length, hidden_size]
    chosen = labels != -100
    logits = model.cls(hidden_states[chosen])  # [hidden tokens, vocabulary]
    return torch.nn.functional.cross_entropy(logits.float(), labels[chosen])


def token_classifier(
    pretrained: BertForMaskedLM, tags: Sequence[str], seed: int, dropout: float
) -> BertForTokenClassification:
    """The encoder of a masked LM under a new linear layer that scores each of `tags` for each token."""
    config = copy.deepcopy(pretrained.config)
    config.id2label = dict(enumerate(tags))
    config.label2id = {tag: number for number, tag in enumerate(tags)}
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        classifier = BertForTokenClassification(config)
    classifier.bert.load_state_dict(pretrained.bert.state_dict())
    classifier.set_attn_implementation("eager")
    return classifier
