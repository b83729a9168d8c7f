"""A model of your own, adapted to your text and labels: two folders that others open, with model cards."""

import os
import shutil
from dataclasses import replace
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from helpers import own_model, scoring, tokenization
from helpers.finetuning import finetune, predict
from helpers.running import plan, replicate
from helpers.running.arm import Arm
from helpers.settings import HUB, Settings, versions

PASSES = 3  # over all labelled sentences, at least (Devlin et al. 2019, A.3: 2 to 4)

CARD = """---
library_name: transformers
pipeline_tag: {task}
{base}---
# {title}

{what}

```python
from transformers import pipeline

{use}
```

| | |
|---|---|
| started from | {model} |
| text | {text}; {rows:,} rows of {length} tokens |
| trained on it | {tokens:,} tokens, {passes:.3g} passes; {strategy} masking, {rate:.0%} of tokens hidden |
| recipe | AdamW, learning rate {learning_rate:g}, batches of {batch} rows, seed {seed}, {dtype} |
| labelled | {corpus}: {train:,} sentences to train, {test:,} to test; {types} |
| fine-tuned | {steps:,} steps of {small} rows, learning rate {tagging_rate:g}, dropout {dropout:g} |
| versions | {versions} |

F1 (0-100) of the tagger on the test sentences, by length of the entities in words. Strict: a wrong boundary
or type is an error. One training, so no interval.

{f1}
What was done to the corpus:

{notes}
The licence of the model that training started from, and those of the text and the labels, go on to apply.
"""


def adapt(settings: Settings, keep: str) -> tuple[Path, Path, str]:
    """Go on training the model of some settings on their text, then fine-tune it on all labelled sentences.

    What a run with the same settings has trained already is taken from there.

    Args:
        settings: with a model; the last budget of the scale is what it is trained on.
        keep: what is hidden: "token", "whole_word" or "span".

    Returns:
        The folder of the adapted masked LM, that of the tagger, both below `settings.out` and each with a
        README.md; and the tagger's F1 by entity length in words.
    """
    shared, scale = replicate.load(settings), settings.scale
    with TemporaryDirectory() as folder:  # the plan of a run stays as it is
        dtype = plan.make(replace(settings, out=Path(folder)), lambda *_: [], replicates=1).dtype
    arm, tokens = Arm(settings, keep, 0, dtype), scale.tokens[-1]
    with tqdm(total=arm.tokens_to_train, unit=" tokens", unit_scale=True, desc=keep, leave=False) as bar:
        replace(arm, progress=bar.update).pretrained()
    model = arm.model(tokens)
    train = len(shared.corpus.splits["train"])
    labelled = shared.labelled(train)
    batches = ceil(PASSES * len(labelled.input_ids) / scale.finetuning.batch_size)
    recipe = replace(scale.finetuning, steps=max(scale.finetuning.steps, batches), seed=1_000 * arm.seed)
    tagger = finetune(model, labelled, shared.tags, recipe, dtype)
    numbers = predict(tagger, shared.test, dtype)
    predicted = tokenization.decode(shared.test, numbers, shared.sentences("test"), shared.tags)
    f1 = scoring.f1_by_length(shared.gold(), predicted)

    facts = _facts(settings, arm, f1) | {
        **{"steps": recipe.steps, "small": recipe.batch_size, "tagging_rate": recipe.learning_rate},
        **{"dropout": recipe.dropout, "train": train},
    }
    name, tag = settings.model_name, f"tagger-{keep}"
    facts |= {"task": "fill-mask", "title": f"{name}, adapted by {arm.recipe.strategy} masking"}
    facts["what"] = f"A masked LM: {name}, trained on with {facts['strategy']} masking."
    facts["use"] = f'fill = pipeline("fill-mask", "adapted-{keep}")'
    own_model.restore_dropout(model.config, settings.model)
    adapted = _write(settings.out / f"adapted-{keep}", model, arm, CARD.format(**facts))
    facts |= {"task": "token-classification", "title": f"{name}, tagging {', '.join(shared.corpus.types)}"}
    facts["what"] = (
        f"A tagger: {name}, trained on with {facts['strategy']} masking, then fine-tuned on the labelled "
        'sentences. Each word has the tag of its first piece, hence `aggregation_strategy="first"`.'
    )
    facts["use"] = f'tag = pipeline("token-classification", "{tag}", aggregation_strategy="first")'
    return adapted, _write(settings.out / tag, tagger, arm, CARD.format(**facts)), f1.to_string(index=False)


def _facts(settings: Settings, arm: Arm, f1: pd.DataFrame) -> dict:
    """Return what both model cards say."""
    shared, recipe, tokens = arm.replicate, arm.recipe, settings.scale.tokens[-1]
    place = own_model.pinned(settings.model)
    of_hub = not Path(place).is_dir()
    said = (
        place
        if of_hub
        else f"{settings.model_name} (sha256 {own_model.fingerprint(place)[:12]} of its files)"
    )
    text = ", ".join(file if file.startswith(HUB) else Path(file).name for file in settings.text)
    of_world = settings.corpus == "world"
    scheme = f"span (p = {recipe.p:g})" if recipe.strategy == "span" else recipe.strategy.replace("_", "-")
    rows = "".join(
        f"| {row.length} | {row.support:,} | {row.precision:.1f} | {row.recall:.1f} | {row.f1:.1f} |\n"
        for row in f1.itertuples()
    )
    return {
        "base": f"base_model: {settings.model_name}\n" if of_hub else "",
        "model": said,
        "text": text
        or ("the invented world" if of_world else "the words of the labelled training sentences"),
        "rows": len(shared.blocks.input_ids),
        "length": shared.length,
        "tokens": tokens,
        "passes": tokens / shared.blocks.input_ids.numel(),
        "strategy": scheme,
        "rate": recipe.mask_rate,
        "learning_rate": recipe.learning_rate,
        "batch": recipe.batch_size,
        "seed": arm.seed,
        "dtype": arm.dtype,
        "corpus": "the invented world" if of_world else settings.corpus_name,
        "test": len(shared.corpus.splits["test"]),
        "types": ", ".join(shared.corpus.types),
        "versions": versions(),
        "f1": f"| length | mentions | precision | recall | F1 |\n|---|---|---|---|---|\n{rows}",
        "notes": "".join(f"- {note}\n" for note in shared.corpus.notes) or "- nothing\n",
    }


def _write(folder: Path, model: PreTrainedModel, arm: Arm, card: str) -> Path:
    """Write a folder as a whole, in the place of an older one."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    model.cpu().save_pretrained(part)
    arm.replicate.tokenizer.save_pretrained(part)
    (part / "README.md").write_text(card, encoding="utf-8", errors="surrogateescape", newline="\n")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(part, folder)
    return folder
