"""Records of the hub's data sets: the commit, the files with their checksums, the names of the labels.

A record is made once, of what the hub's main branch holds then, and from then on nothing else is used.
"""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from helpers.reading.fetching import HubFile, NotThereError, Show, fetch, listing, sha256
from helpers.reading.files import CorpusError, readable
from helpers.reading.parquet import label_names
from helpers.settings import ROOT

FOLDER = ROOT / "data" / "hub"
CONVERTED = "refs/convert/parquet"  # the branch where the hub keeps its own conversion of every public set
# A split's name, or the word in a file's name that gives it away -> the split.
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "devel", "development"), "dev"),
    **dict.fromkeys(("test", "testing"), "test"),
}


@dataclass(frozen=True)
class Pin:
    """A configuration of a data set at one commit."""

    name: str
    config: str
    revision: str  # the commit, 40 digits
    licence: str
    splits: dict[str, list[HubFile]]  # by the names that the set's makers gave
    labels: dict[str, list[str]]  # by column: the README's names of class labels, in their order

    def size(self, splits: Iterable[str]) -> str:
        """Say how much some splits are to download, whole."""
        files = [file for split in splits for file in self.splits[split]]
        size = sum(file.size for file in files)
        amount = f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"
        return f"{amount} in {len(files)} file{'s'[: len(files) > 1]}"


def place(name: str, config: str, folder: Path = FOLDER) -> Path:
    """Return the file that holds the record of a set, or of one of its configurations."""
    return folder / (quote(name.replace("/", "--") + (f"--{config}" if config else ""), safe=" ") + ".json")


def recorded(name: str, config: str, folder: Path = FOLDER) -> Pin | None:
    """Read a record.

    Args:
        name: of the data set.
        config: of its configurations, as it was asked for; "" for the only or the default one.
        folder: that holds the records.

    Returns:
        The record; None if there is none.

    Raises:
        CorpusError: the file is damaged.
    """
    path = place(name, config, folder)
    try:
        content = json.loads(path.read_bytes())
        splits = {
            split: [HubFile(file["path"], file["size"], file["sha256"]) for file in files]
            for split, files in content["splits"].items()
        }
        pin = Pin(**{**content, "splits": splits})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        fault = f"{type(error).__name__}: {error}"
    else:
        checksums = [str(file.checksum) for files in splits.values() for file in files]
        whole = checksums and all(re.fullmatch("[0-9a-f]{64}", checksum) for checksum in checksums)
        if pin.name == name and re.fullmatch("[0-9a-f]{40}", str(pin.revision)) and whole:
            return pin
        fault = "its name, commit or checksums are not those of a data set"
    raise CorpusError(
        f"{readable(path)}: no record of {name} ({fault}). Get the file again, or make a new one: "
        f"python -m helpers pin hub:{name}{':' * bool(config)}{config}"
    )


def record(name: str, config: str, folder: Path = FOLDER, show: Show = print) -> Pin:
    """Record what a data set's main branch holds now; an earlier record is replaced.

    Large files are not downloaded for that: the hub lists their checksums, and `fetch` compares.

    Args:
        name: of the data set.
        config: which of its configurations; "" for the only or the default one.
        folder: that holds the records.
        show: is called with where the record is, and what it replaces.

    Returns:
        The record.

    Raises:
        CorpusError: the hub cannot be asked, or offers no parquet files for this configuration.
    """
    asked = f"hub:{name}{':' * bool(config)}{config}"
    revision, files = listing(name, None, asked, show)
    card = _card(name, revision, files, asked, show)
    layout, default = _layout(files, card)
    found = _choose(layout, config, default)
    origin = "its main branch"
    if not found:
        origin = "the hub's conversion to parquet"
        try:
            revision, files = listing(name, CONVERTED, asked, show)
        except NotThereError:
            files = []
        converted = _by_folder(files)
        found = _choose(converted, config, default)
        layout = {**converted, **layout}
    if not found:
        wanted = f"no configuration {config!r}" if config else "no single or default configuration"
        raise CorpusError(
            f"hub:{name}: it has {wanted} with parquet files. It offers: "
            f"{', '.join(sorted(layout)) or 'none'}. Name one of them: hub:{name}:CONFIG"
        )
    config_found, splits = found
    checked = {
        split: [_with_sha256(name, revision, file, asked, show) for file in files]
        for split, files in splits.items()
    }
    licence = card.get("license") or "not stated"
    pin = Pin(
        name,
        config_found,
        revision,
        ", ".join(map(str, licence)) if isinstance(licence, list) else str(licence),
        checked,
        _labels(card, config_found),
    )
    path = place(name, config, folder)
    before = _revision_before(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")  # so that no record is ever half-written
    files_of = {
        split: [{"path": file.path, "size": file.size, "sha256": file.checksum} for file in files]
        for split, files in checked.items()
    }
    content = json.dumps({**asdict(pin), "splits": files_of}, indent=1, ensure_ascii=False)
    temporary.write_text(content + "\n", encoding="utf-8")
    temporary.replace(path)
    show(
        f"{asked}: commit {revision[:12]} of {origin} was recorded in {readable(path)}, with the checksums "
        "of its files. From now on only these are used."
    )
    if before not in (None, revision):
        show(f"{asked}: before, it was commit {before}: results on that are results on other data.")
    return pin


def _revision_before(path: Path) -> str | None:
    try:
        return str(json.loads(path.read_bytes())["revision"])
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
    ):  # none, or a damaged one that is mended now
        return None


def _with_sha256(name: str, revision: str, file: HubFile, asked: str, show: Show) -> HubFile:
    if len(file.checksum) == 64:
        return file
    local = fetch(name, revision, file, asked, show)  # small: git keeps it itself
    return HubFile(file.path, file.size, sha256(local))


def _card(name: str, revision: str, files: list[HubFile], asked: str, show: Show) -> dict[str, Any]:
    """Return what the README says in its YAML part."""
    from huggingface_hub import metadata_load

    readme = next((file for file in files if file.path == "README.md"), None)
    if readme is None:
        return {}
    local = fetch(name, revision, readme, asked, show)
    try:
        return metadata_load(local) or {}
    except Exception as error:  # of the YAML library, which is not ours to import
        reason = str(error).partition("\n")[0]
        raise CorpusError(
            f"{asked}: README.md: its YAML part cannot be read ({reason}). Choose another set."
        ) from error


# --- which files are which split of which configuration ---


def _layout(files: list[HubFile], card: dict[str, Any]) -> tuple[dict[str, dict[str, list[HubFile]]], str]:
    """Return the parquet files by configuration and split, and which configuration is the default one."""
    parquet = _parquet(files)
    entries = [entry for entry in card.get("configs") or [] if isinstance(entry, dict)]
    if not entries:
        return ({"default": _grouped(parquet)} if parquet else {}), "default"
    layout = {str(entry.get("config_name", "default")): _splits_of(entry, parquet) for entry in entries}
    flagged = [str(entry.get("config_name")) for entry in entries if entry.get("default")]
    return {config: splits for config, splits in layout.items() if splits}, (flagged or ["default"])[0]


def _by_folder(files: list[HubFile]) -> dict[str, dict[str, list[HubFile]]]:
    """Return the same where the hub converted the set: CONFIG/SPLIT/0000.parquet."""
    layout: dict[str, dict[str, list[HubFile]]] = {}
    for file in _parquet(files):
        config, _, rest = file.path.partition("/")
        folder = rest.rpartition("/")[0]  # of large sets only the first part is converted: "partial-train"
        split = folder.removeprefix("partial-") or _split_in(rest)
        layout.setdefault(config, {}).setdefault(split, []).append(file)
    return layout


def _parquet(files: list[HubFile]) -> list[HubFile]:
    return sorted((file for file in files if file.path.endswith(".parquet")), key=lambda file: file.path)


def _splits_of(entry: dict[str, Any], parquet: list[HubFile]) -> dict[str, list[HubFile]]:
    """Return the files of a configuration, as its entry in the README gives them."""
    given = entry.get("data_files")
    if given is None:
        folder = str(entry.get("data_dir", "")).strip("/")
        return _grouped([file for file in parquet if not folder or file.path.startswith(f"{folder}/")])
    if isinstance(given, dict):
        pairs = list(given.items())
    elif isinstance(given, list) and all(isinstance(item, dict) for item in given):
        pairs = [(item.get("split", "train"), item.get("path")) for item in given]
    else:
        pairs = [("train", given)]
    splits = {}
    for split, patterns in pairs:
        wanted = [_pattern(str(one)) for one in (patterns if isinstance(patterns, list) else [patterns])]
        matched = [file for file in parquet if any(one.fullmatch(file.path) for one in wanted)]
        if matched:
            splits[str(split)] = matched
    return splits


def _pattern(glob: str) -> re.Pattern:
    """Translate a pattern such as "data/**/train-*": a single star does not match a slash."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob.removeprefix("./"))
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(part) or re.escape(part) for part in parts))


def _grouped(parquet: list[HubFile]) -> dict[str, list[HubFile]]:
    splits: dict[str, list[HubFile]] = {}
    for file in parquet:
        splits.setdefault(_split_in(file.path), []).append(file)
    return splits


def _split_in(path: str) -> str:
    """Return the word in a path that names a split, the last one; "train" if none does."""
    words = [word for word in re.split("[^a-z]+", path.lower()) if word in SPLITS]
    return words[-1] if words else "train"


def _choose(
    layout: dict[str, dict[str, list[HubFile]]], config: str, default: str
) -> tuple[str, dict[str, list[HubFile]]] | None:
    """Choose a configuration: the one that was asked for, the only one, or the default one."""
    chosen = config or (next(iter(layout)) if len(layout) == 1 else default)
    return (chosen, layout[chosen]) if chosen in layout else None


def _labels(card: dict[str, Any], config: str) -> dict[str, list[str]]:
    """Return the names of class labels that the README lists for a configuration, by column."""
    infos = card.get("dataset_info") or []
    infos = [info for info in (infos if isinstance(infos, list) else [infos]) if isinstance(info, dict)]
    of_config = [info for info in infos if info.get("config_name", config) == config]
    labels = {}
    for info in of_config:
        for feature in info.get("features") or []:
            names = label_names(feature)
            if names:
                labels[str(feature["name"])] = names
    return labels
