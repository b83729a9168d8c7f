"""A tiny BERT, or a public model, whose logits are computed at the positions that count only."""

import copy
import ctypes
import math
import platform
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from transformers import (
    AutoModelForTokenClassification,
    BertConfig,
    BertForMaskedLM,
    BertForTokenClassification,
    BertModel,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.utils import ModelOutput

from helpers.settings import ModelSettings

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # from <malloc.h>
MMAP_THRESHOLDS = 2**30, 2**25  # bytes; older versions of glibc take no more than the second


def device() -> torch.device:
    """Return where models are trained here: on a GPU if there is one, else on the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name() -> str:
    """Return which GPU or processor that is: "cuda" alone could be any of them, and "cpu" as well."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")  # Linux
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    name = next(named, platform.processor() or platform.machine())
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"  # processors of one name differ in it


def sinusoids(positions: int, size: int) -> torch.Tensor:
    """Compute a fixed position encoding.

    Args:
        positions: how many.
        size: of each vector, even.

    Returns:
        `[positions, size]`: sines in the first half of each vector, cosines in the second.

    Source:
        Vaswani et al. 2017, section 3.5.
    """
    place = torch.arange(positions)[:, None]
    rate = 10_000 ** (-torch.arange(0, size, 2) / size)
    return torch.cat([torch.sin(place * rate), torch.cos(place * rate)], dim=1)


def build(settings: ModelSettings, seed: int) -> BertForMaskedLM:
    """Build a new `BertForMaskedLM` with random weights.

    The architecture is BERT's. Three starting values are not, so that the model leaves the first plateau
    sooner. Weights have a standard deviation that suits the width (0.02 is right for 768 units). Position
    embeddings, learnt as ever, start from small sinusoids instead of noise, so that neighbours are alike. Key
    weights start as a copy of the query weights, so that attention goes to what is alike. Dropout is off:
    a training this short sees too little to overfit.

    Args:
        settings: size and starting values.
        seed: decides the weights.

    Returns:
        The model, on the CPU.

    Source:
        Devlin et al. 2019, for the architecture.
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
    if settings.position_scale:
        positions = model.bert.embeddings.position_embeddings.weight
        with torch.no_grad():
            positions.copy_(settings.position_scale * sinusoids(*positions.shape))
    if settings.tied_start:
        for layer in model.bert.encoder.layer:
            attention = layer.attention.self
            attention.key.load_state_dict(attention.query.state_dict())
    return model


def keep_freed_memory() -> bool:
    """Make this process keep memory that it frees, for the next tensor of the same size.

    By default the C library of Linux returns every block above a limit to the system at once, and each page
    of the next one costs a page fault. A training step frees and takes the same blocks again and again;
    `make bench-training` shows what keeping them is worth.

    Returns:
        Whether memory is kept: not where the C library is another one, or refuses.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)  # mallopt returns 1 if it did what it was asked
    taken = any(libc.mallopt(M_MMAP_THRESHOLD, threshold) == 1 for threshold in MMAP_THRESHOLDS)
    return taken and libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1) == 1


def precision(name: str, device: str | torch.device = "cpu") -> AbstractContextManager:
    """Return the context of a forward pass in "float32", or in mixed precision, "bfloat16" or "float16"."""
    low = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(name)
    return torch.autocast(torch.device(device).type, low, enabled=low is not None)


def encode(
    bert: BertModel,
    input_ids: torch.Tensor,
    positions: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Compute the hidden states behind the last layer, at some positions only.

    The same numbers as `bert(input_ids, attention_mask).last_hidden_state` has there. Every position of the
    last layer is a key and a value for the others, but a query and a feed-forward pass matter only where its
    result is read. Of two layers that saves a third of the arithmetic, at 15% of the positions.

    Args:
        bert: the encoder.
        input_ids: `[batch, length]`.
        positions: `[batch, slots]`.
        attention_mask: `[batch, length]`, 0 at padding; rows without padding need none.

    Returns:
        `[batch, slots, hidden_size]`.
    """
    states = bert.embeddings(input_ids)  # [batch, length, hidden_size]
    *early, last = bert.encoder.layer
    for layer in early:
        states = _through(layer, states, states, attention_mask)
    index = positions[:, :, None].expand(-1, -1, states.shape[-1])
    return _through(last, states.gather(1, index), states, attention_mask)


def _through(
    layer: torch.nn.Module, queries: torch.Tensor, states: torch.Tensor, attention_mask: torch.Tensor | None
) -> torch.Tensor:
    """Send `queries` ([batch, slots, hidden_size]), which attend to all `states`, through one layer."""
    # Attention is written out: on a CPU, with rows this short, it beats the fused kernels, whose backward
    # pass is slow (measured in tests/benchmarks/training.py).
    attention = layer.attention.self

    def heads(vectors: torch.Tensor) -> torch.Tensor:
        return vectors.unflatten(-1, (attention.num_attention_heads, -1)).transpose(1, 2)

    query, key, value = (
        heads(attention.query(queries)),
        heads(attention.key(states)),
        heads(attention.value(states)),
    )
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])  # [batch, heads, slots, length]
    if attention_mask is not None:
        scores = scores.masked_fill(attention_mask[:, None, None] == 0, -math.inf)
    weights = attention.dropout(scores.softmax(-1))
    found = (weights @ value).transpose(1, 2).flatten(2)  # [batch, slots, hidden_size]
    attended = layer.attention.output(found, queries)
    return layer.output(layer.intermediate(attended), attended)


def logits_at(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    positions: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Compute the logits of a masked LM or a token classifier at some positions only.

    A BERT goes through `encode`, which also saves most of the last layer. Any other architecture computes its
    own encoder in full, and its head sees the states at these positions and no others.

    Args:
        model: an encoder with a head, such as `RobertaForMaskedLM`.
        input_ids: `[batch, length]`.
        positions: `[batch, slots]`.
        attention_mask: `[batch, length]`, 0 at padding; rows without padding need none.

    Returns:
        `[batch, slots, vocabulary or tags]`.
    """
    if isinstance(model, BertForMaskedLM):
        return model.cls(encode(model.bert, input_ids, positions, attention_mask))
    if isinstance(model, BertForTokenClassification):
        return model.classifier(model.dropout(encode(model.bert, input_ids, positions, attention_mask)))

    def only_these(encoder: torch.nn.Module, inputs: tuple, output: ModelOutput) -> ModelOutput:
        states = output.last_hidden_state  # [batch, length, hidden_size]
        index = positions[:, :, None].expand(-1, -1, states.shape[-1])
        output.last_hidden_state = states.gather(1, index)
        return output

    # All encoders with a head in transformers hand the encoder's states to the head, one position at a time.
    hook = model.base_model.register_forward_hook(only_these)
    try:
        return model(input_ids=input_ids, attention_mask=attention_mask).logits
    finally:
        hook.remove()


def masked_lm_loss(
    model: PreTrainedModel, inputs: torch.Tensor, positions: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Compute the mean cross entropy of the hidden tokens, from logits at their positions only.

    The same value as `model(inputs, labels=labels).loss`. That computes logits for every token and throws
    85% of them away.

    Args:
        model: the masked LM.
        inputs: `[batch, length]`, without padding.
        positions: `[batch, slots]`: where tokens are hidden; unused slots point anywhere else.
        labels: `[batch, length]`, -100 where nothing is hidden.

    Returns:
        A single number, in nats.
    """
    logits = logits_at(model, inputs, positions).flatten(0, 1)  # [batch * slots, vocabulary]
    return torch.nn.functional.cross_entropy(logits.float(), labels.gather(1, positions).flatten())


def token_classifier(
    pretrained: PreTrainedModel, tags: Sequence[str], seed: int, dropout: float
) -> PreTrainedModel:
    """Put a new linear layer, which scores tags for each token, on the encoder of a masked LM.

    Args:
        pretrained: its encoder is copied.
        tags: their names, in the order of their numbers.
        seed: decides the new layer's weights.
        dropout: share of units left out in training, wherever the architecture has a dropout.

    Returns:
        The classifier, on the CPU.

    Source:
        Devlin et al. 2019, section 5.3.
    """
    config = copy.deepcopy(pretrained.config)
    config.id2label = dict(enumerate(tags))
    config.label2id = {tag: number for number, tag in enumerate(tags)}
    set_dropout(config, dropout)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        classifier = AutoModelForTokenClassification.from_config(config)
    classifier.base_model.load_state_dict(pretrained.base_model.state_dict())
    return classifier


def set_dropout(config: PreTrainedConfig, dropout: float) -> None:
    """Set every dropout of a model's configuration, whatever its architecture calls them."""
    for name, value in vars(config).items():
        if "dropout" in name and isinstance(value, int | float):
            setattr(config, name, dropout)
