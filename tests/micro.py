"""The experiment at a micro scale, for tests that go through all of it in seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.running import artifacts, plan
from helpers.settings import SCALES, FinetuningSettings, ModelSettings, WorldSettings
from helpers.world import generate

MICRO = replace(
    SCALES["smoke"],
    name="micro",
    replicates=1,
    tokens=(8_192, 16_384),  # four and eight steps
    labelled_sentences=(10, 20),
    core_sentences=20,
    subsets=2,
    arms=("none", "token", "span"),
    words=20_000,
    world=WorldSettings(sentences=400, train=40, dev=10, test=40),
    model=ModelSettings(vocabulary_size=600, hidden_size=16, layers=1),
    finetuning=FinetuningSettings(steps=12, learning_rate=1e-2),
)
LONGER = replace(MICRO, arms=("none", "span", "token"), tokens=(245_760, 491_520))  # 120 and 240 steps


def own_files(folder: Path, world: WorldSettings = MICRO.world) -> Path:
    """A folder as a user brings it, with text: what a small world holds, as files."""
    own, made = folder / "own", generate(world)
    own.mkdir(exist_ok=True)
    for name in ("train", "dev", "test"):
        rows = [[f"{word}\t{tag}\n" for word, tag in zip(*one, strict=True)] for one in getattr(made, name)]
        (own / f"{name}.txt").write_text("\n".join(map("".join, rows)), encoding="utf-8")
    (own / "text.txt").write_text("\n".join(made.text), encoding="utf-8")
    return own


@contextmanager
def workshop(folder: Path, faster: str = "float32") -> Iterator[None]:
    """Artifacts of their own, one process, and a precision that is always measured to be the faster one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifacts, "FOLDER", folder)
        patch.setattr(plan, "MOST_WORKERS", 1)  # other processes would not see these changes
        speed = lambda bert, first, recipe, dtype: 20_000.0 if dtype == faster else 1.0  # noqa: E731
        patch.setattr(plan, "training_speed", speed)
        yield


def stamps(folder: Path) -> dict[str, int]:
    """When each file below a folder was changed last, in nanoseconds."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path): path.stat().st_mtime_ns for path in files}
