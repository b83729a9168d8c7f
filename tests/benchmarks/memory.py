"""What training holds in a GPU's memory, on paper: added up from the settings, term by term.

Printed by `python -m tests.benchmarks.on_paper`; tests/test_memory.py compares it with what PyTorch keeps and
allocates on a CPU. No GPU has run this: the allocator's reserve and CUDA's context are assumptions.

Mixed precision is counted by CUDA's rules: matrix products and GELU in 16 bits; softmax, layer norm and loss
in 32 (PyTorch, "Automatic Mixed Precision", lists of operations that autocast). Each product keeps a copy of
its input in 16 bits. The masks of dropout are counted as large as a CPU's; CUDA's are of one byte.
"""

from dataclasses import replace

from helpers.masking import slots
from helpers.settings import ModelSettings, Scale

FULL, LONG = 4, 8  # bytes of float32 and of int64
CARD = 16e9  # bytes of a T4
TOKENS_PER_SENTENCE = 36.6  # of the world with 1,000 wordpieces, counted
TAGS = 11  # O, and B- and I- of five types
PREDICTED_ROWS = 128  # at once: the default of finetuning.predict
MASK_NUMBERS = 14  # of int64 for each token, at most, while masks are drawn: ids, words, keys, units, labels
CONTEXT = 1e9  # bytes, assumed: CUDA's context, its kernels and the workspace of cuBLAS, in each process
RESERVE = 1.0  # assumed: what the allocator holds in vain, as a share of the tensors
PROCESSES = 3  # at most: `make run` trains an arm at a time on a GPU, then executes notebooks two at a time


def parameters(shape: ModelSettings) -> int:
    """Weights of the masked LM: embeddings, layers, and the head, whose matrix is that of the embeddings."""
    h = shape.hidden_size
    embeddings = (shape.vocabulary_size + shape.length + 1) * h + 2 * h
    attention, feed_forward = 4 * (h * h + h) + 2 * h, 8 * h * h + 5 * h + 2 * h
    head = h * h + h + 2 * h + shape.vocabulary_size
    return embeddings + shape.layers * (attention + feed_forward) + head


def layer(shape: ModelSettings, rows: int, read: int, mixed: bool, dropout: bool = False) -> dict[str, int]:
    """Bytes by term that a layer keeps for its backward pass.

    Args:
        rows: of the batch; all their tokens are keys and values.
        read: places of each row that are queries and pass through the feed-forward part; all but in the last
            layer.
        mixed: whether in 16 bits where CUDA's rules allow.
    """
    h, low, tokens, queries = shape.hidden_size, 2 if mixed else FULL, rows * shape.length, rows * read
    states = low * h * (2 * tokens + queries) if mixed else FULL * h * tokens
    if read < shape.length:  # what is gathered, from what, and where
        states += FULL * h * queries + (FULL * h * tokens if mixed else 0) + LONG * queries
    weights = queries * shape.heads * shape.length
    return {
        "what queries, keys and values are made from": states,
        "queries, keys, values": low * h * (2 * tokens + queries),
        f"attention [{rows}, {shape.heads}, {read}, {shape.length}], behind softmax": weights
        * (FULL + low if mixed or dropout else FULL),
        "masks of dropout": FULL * (weights + 2 * queries * h) if dropout else 0,
        "inputs of two products and two layer norms": queries * (2 * low * h + 2 * (FULL * h + 2 * FULL)),
        f"GELU [{queries}, {4 * h}], before and behind": queries * 2 * 4 * h * low,
    }


def activations(
    shape: ModelSettings, rows: int, read: int, mixed: bool, dropout: bool = False
) -> dict[str, int]:
    """Bytes by term that the encoder keeps for its backward pass, where `read` places of a row are read."""
    h, tokens = shape.hidden_size, rows * shape.length
    terms = {f"embeddings [{rows}, {shape.length}, {h}]": tokens * (FULL * h + 2 * FULL + LONG)}
    if dropout:
        terms["dropout of the embeddings"] = FULL * h * tokens
    for number in range(shape.layers):
        places = read if number == shape.layers - 1 else shape.length
        for name, size in layer(shape, rows, places, mixed, dropout).items():
            terms[f"layer {number + 1}: {name}"] = size
    return terms


def head(shape: ModelSettings, hidden: int, mixed: bool) -> int:
    """Bytes that the head keeps at the hidden places: two products, GELU, a layer norm, log-probabilities."""
    low = 2 if mixed else FULL
    return hidden * (shape.hidden_size * (3 * low + FULL) + 2 * FULL + FULL * shape.vocabulary_size + LONG)


def widest(shape: ModelSettings, tokens: int, mixed: bool) -> int:
    """Bytes of the gradients that come and go in a layer: before and behind GELU, and twice of its states."""
    return tokens * shape.hidden_size * (2 * 4 * (2 if mixed else FULL) + 2 * FULL)


def pretraining(scale: Scale, mixed: bool) -> dict[str, int]:
    """Bytes by term while an arm trains, with rows of full length: short ones need less attention."""
    shape, rows = scale.model, scale.pretraining.batch_size
    read = slots(shape.length, scale.pretraining.mask_rate)
    size, tokens, hidden = parameters(shape), rows * shape.length, rows * read
    logits = hidden * shape.vocabulary_size * (2 * FULL + (2 if mixed else 0))
    at_head = head(shape, hidden, mixed)
    gone = at_head + sum(layer(shape, rows, read, mixed).values())  # when the last layer but one is reached
    return {
        # A trunk, a branch off it, the last finished model, and one on its way from trunk to branch.
        f"weights in float32, {size:,}, four times": 4 * FULL * size,
        "Adam's two moments in float32, of trunk and branch": 4 * FULL * size,
        "gradients of the weights in float32": FULL * size,
        "weights in 16 bits": 2 * size if mixed else 0,
        "corpus: ids and word ids, int64": round(2 * LONG * TOKENS_PER_SENTENCE * scale.world.sentences),
        "drawing masks": MASK_NUMBERS * LONG * tokens,
        **activations(shape, rows, read, mixed),
        f"head, and log-probabilities [{hidden}, {shape.vocabulary_size}] in float32": at_head,
        "gradients that come and go: of logits, or of a layer": max(
            logits, widest(shape, tokens, mixed) - gone
        ),
    }


def finetuning(scale: Scale, mixed: bool) -> int:
    """Bytes of a fine-tuning run whose sentences all fill their rows and consist of one-piece words."""
    shape, rows = scale.model, scale.finetuning.batch_size
    size, tokens = parameters(shape), rows * shape.length
    kept = activations(shape, rows, shape.length, mixed, dropout=True)
    weights = (2 + 2 + 1) * FULL * size + (2 * size if mixed else 0)  # two models, moments, gradients
    tags = tokens * (2 * FULL * shape.hidden_size + 5 * FULL * TAGS)
    return weights + sum(kept.values()) + tags + widest(shape, tokens, mixed)


def prediction(scale: Scale, mixed: bool) -> int:
    """Bytes of a prediction, at most: a layer's passing results are fewer than those it would keep."""
    shape = scale.model
    made = layer(shape, PREDICTED_ROWS, shape.length, mixed)
    return 2 * FULL * parameters(shape) + sum(made.values())


def process(scale: Scale, mixed: bool) -> dict[str, float]:
    """Bytes of a process at its peak: the largest of its tasks, which come one after the other."""
    tasks = {
        "pre-training": sum(pretraining(scale, mixed).values()),
        f"fine-tuning, {scale.finetuning.batch_size} rows": finetuning(scale, mixed),
        f"prediction, {PREDICTED_ROWS} rows": prediction(scale, mixed),
    }
    tensors = max(tasks.values())
    return {
        **tasks,
        "the largest of these": tensors,
        "the allocator's reserve (assumed)": RESERVE * tensors,
        "CUDA's context and libraries (assumed)": CONTEXT,
        "one process": tensors * (1 + RESERVE) + CONTEXT,
        f"{PROCESSES} processes, the most at once": PROCESSES * (tensors * (1 + RESERVE) + CONTEXT),
    }


def most_rows(scale: Scale, mixed: bool) -> int:
    """The rows of a pre-training step with which one process would fill the card."""

    def one_process(rows: int) -> float:
        batch = replace(scale.pretraining, batch_size=rows)
        return process(replace(scale, pretraining=batch), mixed)["one process"]

    for_each = one_process(2_000) - one_process(1_999)  # of such sizes pre-training is the largest task
    return round(2_000 + (CARD - one_process(2_000)) / for_each)


def show(scale: Scale) -> None:
    """Prints all terms, in MB, in float32 and in mixed precision."""
    print(f"{f'Memory of a GPU at scale {scale.name}, MB':70} {'float32':>8} {'16 bits':>8}")
    for terms in (pretraining, process):
        in_16_bits = terms(scale, mixed=True)
        for name, size in terms(scale, mixed=False).items():
            if size or in_16_bits[name]:
                print(f"{name:70} {size / 1e6:8,.1f} {in_16_bits[name] / 1e6:8,.1f}")
        print()
    rows = [most_rows(scale, mixed) for mixed in (False, True)]
    print(f"{'rows a step that would fill 16 GB':70} {rows[0]:8,} {rows[1]:8,}")
