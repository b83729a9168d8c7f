"""Lines of text as one piece of UTF-8, in memory or in a file: a list of them takes twice the memory."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import overload

import numpy as np

ERRORS = "surrogatepass"  # half of an emoji is no reason to lose a text
CONTENT, PLACES = "text.utf8", "lines.npy"


class Lines(Sequence[str]):
    """A sequence of lines, each of which becomes a string when it is asked for.

    Args:
        content: the text, `[bytes]` uint8.
        places: where each line begins and ends in it, `[lines, 2]` int64.
    """

    def __init__(self, content: np.ndarray, places: np.ndarray) -> None:
        self._content = content
        self._bytes = memoryview(content)
        self._places = places

    @classmethod
    def of(cls, lines: Iterable[str]) -> "Lines":
        """Put lines one after the other."""
        content, ends = bytearray(), [0]
        for line in lines:
            content += line.encode(errors=ERRORS)
            ends.append(len(content))
        bounds = np.array(ends, np.int64)
        return cls(np.frombuffer(content, np.uint8), np.stack([bounds[:-1], bounds[1:]], axis=1))

    @classmethod
    def open(cls, folder: Path) -> "Lines":
        """Open what `save` has left in a folder; it stays on the disk until it is read."""
        places = np.load(folder / PLACES)
        empty = not (folder / CONTENT).stat().st_size
        return cls(np.empty(0, np.uint8) if empty else np.memmap(folder / CONTENT, np.uint8, "r"), places)

    def save(self, folder: Path) -> None:
        """Write the lines to a folder, with an end behind each."""
        with (folder / CONTENT).open("wb") as file:
            for start, end in self._places.tolist():
                file.write(self._bytes[start:end])
                file.write(b"\n")
        lengths = self._places[:, 1] - self._places[:, 0]
        starts = np.cumsum(lengths + 1) - lengths - 1
        np.save(folder / PLACES, np.stack([starts, starts + lengths], axis=1))

    def take(self, numbers: Iterable[int]) -> "Lines":
        """Return some of the lines; the text is not copied."""
        return Lines(self._content, self._places[np.fromiter(numbers, np.int64)])

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, number: int) -> str: ...

    @overload
    def __getitem__(self, number: slice) -> list[str]: ...

    def __getitem__(self, number: int | slice) -> str | list[str]:
        if isinstance(number, slice):
            return [self._line(start, end) for start, end in self._places[number].tolist()]
        return self._line(*self._places[number].tolist())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def _line(self, start: int, end: int) -> str:
        return str(self._bytes[start:end], "utf-8", ERRORS)
