"""Parquet files, as the hub has them: which columns there are, and their rows, few in memory at a time."""

# Not by datasets.load_dataset: it writes a second copy that nobody checks, or imports torch to stream, and it
# takes brackets in a folder's name for a pattern.

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from helpers.reading.files import CorpusError

ROWS = 1_000  # in memory at a time
BUFFER = 1 << 20  # bytes of a column; without it, and with pre_buffer, all of a row group are in memory


class Table:
    """An open file; complaints about it are the user's to read."""

    def __init__(self, file: Any, place: str) -> None:
        self._file = file  # pyarrow.parquet.ParquetFile
        self._schema = file.schema_arrow
        self.place = place

    def rows(self, *columns: str) -> Iterator[tuple]:
        """Yield the rows, each as a tuple of what the columns hold."""
        for batch in self._file.iter_batches(batch_size=ROWS, columns=list(columns)):
            yield from zip(*(_plain(batch.column(column)) for column in columns), strict=True)

    def require_text(self, column: str) -> None:
        """Refuse a column that holds anything but strings."""
        remedy = "Name another: hub:NAME:CONFIG:COLUMN"
        if not _is_text(self._kind(column, remedy)):
            self._refuse(f"column {column!r} does not hold text", remedy)

    def require_list(self, column: str, what: str, numbers: bool = False) -> bool:
        """Refuse a column whose rows are not lists of strings.

        Args:
            column: its name.
            what: the lists are of.
            numbers: whether whole numbers will do as well.

        Returns:
            Whether they are whole numbers.
        """
        from pyarrow import types

        remedy = "Name others by --columns word=COLUMN,tag=COLUMN"
        kind = self._kind(column, remedy)
        inner = kind.value_type if types.is_list(kind) or types.is_large_list(kind) else None
        whole = inner is not None and types.is_integer(inner)
        if inner is None or not (_is_text(inner) or (numbers and whole)):
            self._refuse(f"column {column!r} does not hold lists of {what}", remedy)
        return whole

    def class_labels(self, column: str) -> list[str] | None:
        """Return the names of a column's labels in the order of their numbers, if the file holds them."""
        try:
            about = json.loads((self._schema.metadata or {})[b"huggingface"])
            return label_names(about["info"]["features"][column])
        except (KeyError, TypeError, ValueError):
            return None

    def _kind(self, column: str, remedy: str) -> Any:
        if column not in self._schema.names:
            self._refuse(f"there is no column {column!r}", remedy)
        return self._schema.field(column).type

    def _refuse(self, why: str, remedy: str) -> None:
        there = ", ".join(f"{field.name} ({field.type})" for field in self._schema)
        raise CorpusError(f"{self.place}: {why}. The columns are {there}. {remedy}")


def _plain(array: Any) -> list:
    """Return an array's content as Python's own objects: as `to_pylist`, but in a fraction of its time."""
    from pyarrow import types

    if array.null_count or types.is_dictionary(array.type) or types.is_nested(array.type):
        is_list = types.is_list(array.type) or types.is_large_list(array.type)
        if array.null_count or not is_list or array.flatten().null_count:
            return array.to_pylist()
        values, offsets = (
            _plain(array.flatten()),
            array.offsets.to_pylist(),
        )  # a part of a larger array, perhaps
        return [values[start - offsets[0] : end - offsets[0]] for start, end in pairwise(offsets)]
    return array.to_numpy(zero_copy_only=False).tolist()


def label_names(feature: Any) -> list[str] | None:
    """Return the names of class labels in their order, from a column's description.

    Args:
        feature: as `datasets` writes it into a file's metadata or a README, in any of its generations.

    Returns:
        The names; None if the column has no class labels.
    """
    while isinstance(feature, list | dict) and "names" not in feature:
        if isinstance(feature, list):
            feature = feature[0] if feature else None
        else:
            inner = ("class_label", "sequence", "list", "feature", "dtype")
            feature = next((feature[key] for key in inner if key in feature), None)
    names = feature["names"] if isinstance(feature, dict) else None
    if isinstance(names, dict):  # by number
        names = [names[number] for number in sorted(names, key=int)]
    return [str(name) for name in names] if names else None


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    return types.is_string(kind) or types.is_large_string(kind)


@contextmanager
def opened(local: Path, place: str) -> Iterator[Table]:
    """Open a file for the length of a `with` block.

    Args:
        local: the file.
        place: what to call it in a message.

    Yields:
        Its table.

    Raises:
        CorpusError: the file is no parquet file, or a part of it cannot be read.
    """
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(local, buffer_size=BUFFER, pre_buffer=False) as file:
            yield Table(file, place)
    except (ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise CorpusError(
            f"{place}: it cannot be read as a parquet file ({reason}). It lies on the hub like that: choose "
            "another set or configuration."
        ) from error
