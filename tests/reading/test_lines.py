"""A text in one piece is the sequence of its lines, in memory and on the disk."""

import numpy as np
import pytest

from helpers.reading.lines import Lines

TEXT = ["first", "", "naïve 日本", "half an emoji \ud83d", "with an end\ninside", "last"]


@pytest.mark.parametrize("text", [TEXT, [], [""]])
def test_lines_come_back_as_they_were(text, tmp_path):
    made = Lines.of(iter(text))
    made.save(tmp_path)
    for lines in (made, Lines.open(tmp_path)):
        assert list(lines) == text == lines[:] and lines == text and text == lines
        assert len(lines) == len(text)
    if text:
        assert made[-1] == text[-1] and "nowhere" not in made
        with pytest.raises(IndexError):
            made[len(text)]


def test_some_lines_are_taken_without_a_copy(tmp_path):
    some = Lines.of(TEXT).take(number for number in range(len(TEXT)) if number % 2)
    assert some == TEXT[1::2] and some != TEXT[::2]
    some.save(tmp_path)
    assert Lines.open(tmp_path) == TEXT[1::2]
    assert Lines.of(TEXT).take([]) == []


def test_what_is_opened_stays_on_the_disk(tmp_path):
    Lines.of(TEXT).save(tmp_path)
    assert isinstance(Lines.open(tmp_path)._content, np.memmap)
