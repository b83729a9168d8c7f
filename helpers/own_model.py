"""A pre-trained model of your own: opened, checked, and text as rows for it.

A masked LM of `transformers` with a fast tokenizer will do: BERT, RoBERTa, DistilBERT, ELECTRA's generator,
ModernBERT, XLM-R and others. It is a folder that `save_pretrained` wrote, or a name on the hub, such as
"google-bert/bert-base-cased", perhaps with a revision: "google-bert/bert-base-cased@cd5ef92".
"""

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.utils import HFValidationError, validate_repo_id
from transformers import (
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoModelForMaskedLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

from helpers.model import logits_at, set_dropout
from helpers.tokenization import Blocks, frame, plain_text_backend

FILES = (".json", ".safetensors", ".bin", ".model", ".txt")  # that a model and its tokenizer are read from
LINES_AT_ONCE = 1_000
PROBE = "one two three"
TOLERANCE = 1e-3  # of logits that are computed in two ways, as a share of the largest


class ModelError(ValueError):
    """The model cannot be used; the message names it, and says why and what to do."""


@dataclass(frozen=True)
class Facts:
    """What a run has to know of a model before it starts."""

    longest_row: int  # tokens, special ones included
    notes: tuple[str, ...]


# --- which model ---


def pinned(name: str) -> str:
    """Name a model so that every process, and every later run, opens the same one.

    Args:
        name: a folder, or a name on the hub, perhaps with "@" and a revision.

    Returns:
        The folder's absolute path, or NAME@COMMIT.

    Raises:
        ModelError: there is no such folder, and the hub and its cache know no such name.
    """
    if folder := _folder(name):
        return str(folder)
    try:
        validate_repo_id(name.partition("@")[0])
    except HFValidationError as error:
        raise ModelError(
            f"{name!r} is neither a folder nor a name on the hub. Give the path of a folder that holds "
            "config.json, the weights and tokenizer.json, or a name such as google-bert/bert-base-cased"
        ) from error
    return f"{name.partition('@')[0]}@{_commit(name)}"


def _folder(name: str) -> Path | None:
    folder = Path(name).expanduser()
    return folder.resolve() if folder.is_dir() else None


@lru_cache(maxsize=8)
def _commit(name: str) -> str:
    repository, _, revision = name.partition("@")
    with _explained(name):
        file = hf_hub_download(repository, "config.json", revision=revision or "main")
    return Path(file).parent.name  # …/snapshots/COMMIT/config.json


def fingerprint(name: str) -> str:
    """Return what decides the model's weights and tokenizer: a hash of its files, or NAME@COMMIT."""
    folder = _folder(name)
    if folder is None:
        return pinned(name)
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in FILES):
        add_file(digest, file)
    return digest.hexdigest()


def add_file(digest: "hashlib._Hash", file: Path) -> None:
    """Add a file's name and content to a digest; a file that has not changed is read once.

    Args:
        digest: what the file is added to.
        file: to be read.
    """
    facts = file.stat()
    digest.update(file.name.encode("utf-8", "surrogateescape"))
    digest.update(_hash_of_file(file, facts.st_size, facts.st_mtime_ns))


@lru_cache(maxsize=256)
def _hash_of_file(path: Path, size: int, changed: int) -> bytes:
    with path.open("rb") as file:  # a large file is not read into memory at once
        return hashlib.file_digest(file, "sha256").digest()


# --- opening it ---


def configuration(name: str) -> PreTrainedConfig:
    """Open a model's configuration.

    Args:
        name: as for `pinned`.

    Returns:
        The configuration, as it came.

    Raises:
        ModelError: it cannot be opened.
    """
    with _explained(name):
        return AutoConfig.from_pretrained(**_place(name))


def open_tokenizer(name: str) -> PreTrainedTokenizerFast:
    """Open a model's own tokenizer.

    Args:
        name: as for `pinned`.

    Returns:
        A fast tokenizer with a mask token and a padding token, that splits text at blanks.

    Raises:
        ModelError: it cannot be opened, or is another one.
    """
    with _explained(name), _quiet():
        opened = AutoTokenizer.from_pretrained(**_place(name))
    if not opened.is_fast:
        raise ModelError(
            f"{name}: its tokenizer, {type(opened).__name__}, is slow and has no word ids. Give a model with "
            "a fast one (a tokenizer.json)"
        )
    if len(opened) <= len(opened.all_special_ids):
        raise ModelError(f"{name}: there is no tokenizer. Put its tokenizer.json beside the weights")
    for role in ("mask", "pad"):
        if getattr(opened, f"{role}_token_id") is None:
            raise ModelError(
                f"{name}: its tokenizer has no {role} token, so this is no masked LM. Give one, such as a "
                "BERT or a RoBERTa"
            )
    words = plain_text_backend(opened).encode(PROBE, add_special_tokens=False).word_ids
    if len({*words}) < len(PROBE.split()):
        raise ModelError(
            f"{name}: its tokenizer takes {PROBE!r} for fewer words, so words cannot be told apart. Give a "
            "model whose tokenizer splits at blanks"
        )
    return opened


def load(name: str, seed: int) -> PreTrainedModel:
    """Open a model to go on training it: in float32, without dropout, on the CPU.

    Args:
        name: as for `pinned`.
        seed: decides the weights that the files lack, those of a new head.

    Returns:
        The masked LM.

    Raises:
        ModelError: it cannot be opened, or is no masked LM.
    """
    return _load(name, seed)[0]


def _load(name: str, seed: int) -> tuple[PreTrainedModel, set[str]]:
    """Open a model, and list the weights of its head that the files lack."""
    config = configuration(name)
    needed = (MODEL_FOR_MASKED_LM_MAPPING, MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING)
    if not all(type(config) in mapping for mapping in needed):
        raise ModelError(
            f"{name} is a {config.model_type}, which cannot be both a masked LM and a tagger. Give an "
            "encoder, such as a BERT, a RoBERTa or a DistilBERT"
        )
    set_dropout(config, 0.0)
    with _explained(name), _quiet(), torch.random.fork_rng():
        torch.manual_seed(seed)
        model, found = AutoModelForMaskedLM.from_pretrained(
            **_place(name),
            config=config,
            dtype=torch.float32,
            attn_implementation="eager",
            output_loading_info=True,
        )
    missing = found["missing_keys"] & dict(model.named_parameters()).keys()
    if inside := sorted(key for key in missing if key.startswith(f"{model.base_model_prefix}.")):
        raise ModelError(
            f"{name}: {len(inside)} weights of the encoder are missing, {inside[0]} among them. The file is "
            "not whole, or belongs to another architecture: fetch it again"
        )
    return model, missing


def inspect(name: str) -> Facts:
    """Open a model and its tokenizer, and try whether they fit each other and the training loop.

    Args:
        name: as for `pinned`.

    Returns:
        What a run has to know of it.

    Raises:
        ModelError: they cannot be used.
    """
    return _inspect(name, fingerprint(name))


@lru_cache(maxsize=4)
def _inspect(name: str, fingerprint: str) -> Facts:
    tokenizer, (model, missing) = open_tokenizer(name), _load(name, 0)
    rows = model.get_input_embeddings().num_embeddings
    largest = max(tokenizer.get_vocab().values())
    if largest >= rows:
        raise ModelError(
            f"{name}: its tokenizer has ids up to {largest:,}, but the model only {rows:,} embeddings. They "
            "do not belong together: give the folder of both"
        )
    longest = _longest_row(model, tokenizer)
    _compare_logits(name, model.eval(), tokenizer, min(128, longest))
    notes = []
    if missing:
        said = Path(name).name if _folder(name) else name
        notes.append(
            f"{said} came without a masked-LM head ({len(missing)} weights, such as {min(missing)}). It got "
            "a new one, random but for its output weights, which are the embeddings where the two are tied. "
            "All arms start from the same one, and learn it on the text."
        )
    return Facts(longest, tuple(notes))


def _longest_row(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> int:
    """Return how many tokens a row may have: as the tokenizer says, and as there are positions."""
    most = getattr(model.config, "max_position_embeddings", None)
    limits = [tokenizer.model_max_length, most]
    for module in model.base_model.modules():
        if isinstance(module, torch.nn.Embedding) and module.num_embeddings == most:
            # RoBERTa's positions start behind that of padding.
            first = 0 if module.padding_idx is None else module.padding_idx + 1
            limits.append(most - first)
    return min(limit for limit in limits if isinstance(limit, int) and limit > 0)


def _compare_logits(
    name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, length: int
) -> None:
    """Refuse a model whose head needs more than the states at the positions that it scores."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.tensor(sorted({*tokenizer.get_vocab().values()} - {*tokenizer.all_special_ids}))
    inputs = ids[torch.randint(len(ids), (1, length), generator=generator)]
    positions = torch.arange(length)[None, ::3]
    with torch.inference_mode(), _explained(name):
        whole = model(input_ids=inputs, attention_mask=torch.ones_like(inputs)).logits
        some = logits_at(model, inputs, positions)
    expected = whole.gather(1, positions[:, :, None].expand(-1, -1, whole.shape[-1]))
    if some.shape != expected.shape or (some - expected).abs().max() > TOLERANCE * whole.abs().max():
        raise ModelError(
            f"{name}: a {model.config.model_type} gives other logits at some positions than in a whole row, "
            "so it cannot be trained here. Give another architecture, such as a BERT or a RoBERTa"
        )


def _place(name: str) -> dict[str, Any]:
    """Say where the library finds it; code that comes with a model is never run."""
    if folder := _folder(name):
        return {"pretrained_model_name_or_path": str(folder), "trust_remote_code": False}
    repository, _, revision = name.partition("@")
    place = {"pretrained_model_name_or_path": repository, "revision": revision or "main"}
    return {**place, "trust_remote_code": False}


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn whatever the libraries raise for a model that cannot be opened into one clear error."""
    try:
        yield
    except (MemoryError, ModelError):
        raise
    except Exception as error:  # OSError, ValueError, SafetensorError, errors of pickle and JSON, …
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")
        folder = _folder(name)
        if folder is None:
            remedy = "Check the name and the network, or give a folder that save_pretrained wrote"
        elif not (folder / "config.json").is_file():
            reason, remedy = "it has no config.json", "Give a folder that save_pretrained wrote"
        else:
            remedy = "Fetch the model again: its files may be cut short, or of a kind that is not known here"
        raise ModelError(f"{name} cannot be opened as a model: {reason}. {remedy}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the library's reports on loading, which `inspect` puts into a note."""
    before, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bar:
            logging.enable_progress_bar()


def restore_dropout(config: PreTrainedConfig, name: str) -> None:
    """Give a configuration the dropouts that the model `name` came with, which training switched off."""
    for key, value in vars(configuration(name)).items():
        if "dropout" in key:
            setattr(config, key, value)


# --- text as rows ---


def pack(
    text: Iterable[str], tokenizer: PreTrainedTokenizerFast, length: int, *, minimum_rows: int = 1
) -> Blocks:
    """Pack lines of text into full rows, as `tokenization.pack` does, with any fast tokenizer.

    A row is framed by the tokenizer's special tokens, and those that end a text stand between lines too, so
    a BERT reads [CLS] line [SEP] line [SEP]. Words are the tokenizer's own. Runs of blanks count as one, and
    special tokens written out in the text are read as ordinary words.

    Args:
        text: lines; empty ones are left out.
        tokenizer: any fast one.
        length: tokens in a row.
        minimum_rows: refuse a text that fills fewer rows, such as those of one batch.

    Returns:
        The rows.

    Raises:
        ValueError: the text fills fewer rows than that (at least one), or `length` leaves no room for it.
    """
    before, after = frame(tokenizer)
    body = length - len(before) - len(after)  # pieces of text in a row
    if body < 1:
        raise ValueError(f"length={length} leaves no room for text: choose at least {length - body + 1}.")
    backend, ids, starts = plain_text_backend(tokenizer), array("i"), array("b")
    lines = (" ".join(line.split()) for line in text if line.strip())
    while some := list(islice(lines, LINES_AT_ONCE)):
        for encoding in backend.encode_batch(some, add_special_tokens=False):
            ids.extend([*encoding.ids, *after])
            starts.extend(one != other for one, other in pairwise([None, *encoding.word_ids]))
            starts.extend(-1 for _ in after)  # neither the first piece of a word nor a later one
    rows = len(ids) // body
    if rows < max(1, minimum_rows):
        raise ValueError(
            f"The text is too short: it fills {rows} rows of {length} pieces, and at least "
            f"{max(1, minimum_rows)} are needed. Give more text."
        )
    pieces, kinds = (
        np.frombuffer(all_of, dtype)[: rows * body].reshape(rows, body)
        for all_of, dtype in ((ids, np.int32), (starts, np.int8))
    )
    first = kinds == 1
    first[:, 0] = kinds[:, 0] >= 0  # a word that the end of a row cuts counts in both
    numbers = np.where(kinds >= 0, np.cumsum(first, axis=1) - 1, -1)
    edge = (np.array(before, np.int64), np.array(after, np.int64))
    frames = [np.broadcast_to(ends, (rows, len(ends))) for ends in edge]
    outside = [np.full((rows, len(ends)), -1) for ends in edge]
    return Blocks(
        torch.from_numpy(np.hstack([frames[0], pieces, frames[1]]).astype(np.int64)),
        torch.from_numpy(np.hstack([outside[0], numbers, outside[1]]).astype(np.int64)),
    )
