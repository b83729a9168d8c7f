"""A run in words: its last lines on the terminal, and report.html, one file that needs no other."""

import base64
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader

from helpers import figures
from helpers.publishing import notebooks
from helpers.settings import Settings, processors, versions

BY_SIZE = "F1 (0-100) over all names by number of labelled sentences, after the largest budget"


def caption(settings: Settings, table: pd.DataFrame) -> str:
    """Return what the table of F1 by entity length shows: its budget, and over how many replicates.

    Args:
        settings: of the run.
        table: its results, as `experiment.results` returns them.

    Returns:
        One sentence, without a full stop.
    """
    replicates = table["replicate"].nunique()
    what = f"mean and 95% interval over {replicates} paired replicates"
    return (
        f"F1 (0-100) by entity length, {table['tokens_seen'].max():,} tokens seen, "
        f"{settings.scale.core_sentences} labelled sentences; "
        + (what if replicates > 1 else "one replicate, so no intervals")
    )


def effect(verdict: pd.Series) -> str:
    """Return the effect behind a verdict in words.

    Args:
        verdict: a row of what `verdicts.judge` returns.

    Returns:
        The effect with its interval and unit; empty where there is no interval.
    """
    if pd.isna(verdict.low):
        return ""
    sign, unit = ("", "times") if verdict.unit == "ratio" else ("+", verdict.unit)
    return f"{verdict.effect:{sign}.2f} [{verdict.low:{sign}.2f}, {verdict.high:{sign}.2f}] {unit}"


def answer(settings: Settings, table: pd.DataFrame, verdicts: pd.DataFrame) -> str:
    """Return the answer for a terminal.

    Args:
        settings: of the run.
        table: its results, as `experiment.results` returns them.
        verdicts: a row for each statement, as `verdicts.judge` returns them.

    Returns:
        F1 by entity length for each arm, and a line for each statement and part of one.
    """
    f1 = figures.values_by_length(table, settings.scale.core_sentences)
    lines = [f"\n{caption(settings, table)}:", f1.reset_index().to_string(index=False), ""]
    if settings.corpus != "world":
        sizes = figures.values_by_labelled_sentences(table).reset_index()
        lines += [f"{BY_SIZE}:", sizes.to_string(index=False), ""]
    for _, verdict in verdicts.iterrows():
        size = f" ({effect(verdict)})" if effect(verdict) else ""
        lines.append(f"{verdict.statement}{verdict.part}. {verdict.text} {verdict.verdict.upper()}{size}")
    return "\n".join(lines)


def write(
    settings: Settings,
    table: pd.DataFrame,
    verdicts: pd.DataFrame,
    *,
    plan: str | None,
    notes: Sequence[str],
    pages: Sequence[Path],
) -> Path:
    """Write report.html into the folder of the run, with f1_by_entity_length.svg from there as its figure.

    Args:
        settings: of the run.
        table: its results, as `experiment.results` returns them.
        verdicts: a row for each statement, as `verdicts.judge` returns them.
        plan: what ran, in words; None if that is not known.
        notes: what was done to the corpus.
        pages: the executed notebooks as web pages, somewhere below the folder of the run, for the links.

    Returns:
        The path of the report.
    """
    f1 = figures.values_by_length(table, settings.scale.core_sentences)
    of_world = settings.corpus == "world"
    tables = [(f"{caption(settings, table)}.", "F1 by entity length", f1.map(_fact))]
    if not of_world:
        sizes = figures.values_by_labelled_sentences(table)
        tables.append((f"{BY_SIZE}.", "F1 by number of labelled sentences", sizes.map(_fact)))
    svg = (settings.out / "f1_by_entity_length.svg").read_bytes()
    values = "; ".join(
        f"{arm}: " + ", ".join(f"{length} {f1.loc[length, arm]}" for length in f1.index) for arm in f1
    )
    scale = asdict(settings.scale)
    if settings.model:
        named = settings.model_name if Path(settings.model).is_dir() else settings.model
        scale["model"] = {"name": named, "length": settings.scale.model.length}
    if not of_world:
        del scale["world"]
    for part in ("strategy", "seed"):  # these differ from model to model
        del scale["pretraining"][part]
    del scale["finetuning"]["seed"]
    facts = {name.replace("_", " "): _fact(value) for name, value in scale.items()}
    facts |= {"versions": versions(), "machine": machine()}
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    html = environment.get_template("report.html.j2").render(
        model=settings.model_name,
        corpus="the invented world" if of_world else settings.corpus_name,
        figure="data:image/svg+xml;base64," + base64.b64encode(svg).decode(),
        alt=f"A line for each arm, F1 against entity length. {values}.",
        tables=tables,
        verdicts=[{**row, "size": effect(row)} for _, row in verdicts.iterrows()],
        notes=notes,
        plan=plan,
        facts=facts,
        pages=[(path.relative_to(settings.out).as_posix(), notebooks.title(path.stem)) for path in pages],
    )
    path = settings.out / "report.html"
    # Names of files in another encoding than the locale's come as surrogates, which stand for their bytes.
    path.write_text(html, encoding="utf-8", errors="surrogateescape", newline="\n")
    return path


def _fact(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_fact(item)}" for name, item in value.items())
    if isinstance(value, tuple):
        return ", ".join(f"({_fact(item)})" if isinstance(item, tuple) else _fact(item) for item in value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def machine() -> str:
    """Return the machine in words.

    Returns:
        System, type of processor, how many of them this process may use, and the accelerator if there is one.
    """
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{platform.system()}, {platform.machine()}, {processors()} processors, {device}"
