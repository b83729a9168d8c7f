"""Every decimal in the notebooks' prose is printed by a cell, or its paragraph cites a source."""

import bisect
import re
from pathlib import Path

import nbformat
import pytest

from helpers.settings import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("0*.ipynb"))
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")
WORKED_OUT = {  # in prose, or by a solution that the reader runs
    "00": {"1.25": "a rule's threshold"},
    "01": {"47.0": "exercise 3's solution"},
    "02": {"14.8": "9 of 61"},
    "04": {
        "0.16": "1.21 - 1.05",
        "0.39": "3.93 - 3.54",
        "0.4": "the recipe's short rows, in millions",
        "0.8": "the recipe's short rows, in millions",
        "15.5": "worked out in the sentence",
    },
    "06": {"0.05": "exercise 3's solution"},
    "07": {
        "3.9": "12 times 0.32",
        "3.4": "12 times 0.28",
        "4.5": "12 times 0.38; and version 1's budget",
        "6.8": "version 1, in data/reference/README.md",
        "10.4": "notebook 06",
    },
    "08": {"2.7": "79.0 - 76.3, cited above"},
}


def numbers(text: str) -> list[str]:
    return [found.rstrip(".").replace(",", "") for found in NUMBER.findall(text)]


def printed(notebook: nbformat.NotebookNode) -> list[float]:
    """All numbers that code or outputs of a notebook hold, in order of size."""
    texts = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            texts.append(cell.source)
            for output in cell.outputs:
                texts += [output.get("text", ""), output.get("data", {}).get("text/plain", "")]
    return sorted({float(found) for text in texts for found in numbers(text)})


def claimed(notebook: nbformat.NotebookNode) -> list[tuple[str, str]]:
    """The decimals of all paragraphs that cite nothing, each with its paragraph."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            prose = re.sub(r"```.*?```", "", cell.source, flags=re.DOTALL)
            for paragraph in re.split(r"\n\s*\n|\n(?=[-|*] )", prose):
                if "](http" not in paragraph:
                    plain = re.sub(r"`[^`]*`", "", paragraph)
                    found += [(number, paragraph) for number in numbers(plain) if "." in number]
    return found


def is_printed(number: str, those: list[float]) -> bool:
    half = 0.5000001 * 10 ** -len(number.partition(".")[2])  # what rounds to it counts
    place = bisect.bisect_left(those, float(number) - half)
    return place < len(those) and those[place] <= float(number) + half


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_decimal_is_printed_cited_or_worked_out(path: Path):
    notebook = nbformat.read(path, 4)
    those, worked_out = printed(notebook), WORKED_OUT.get(path.stem[:2], {})
    for number, paragraph in claimed(notebook):
        assert number in worked_out or is_printed(number, those), f"no cell prints {number}: {paragraph}"
    assert worked_out.keys() <= {number for number, _ in claimed(notebook)}


def test_a_number_that_nobody_printed_is_found():
    cells = [
        nbformat.v4.new_code_cell("print(share)", outputs=[nbformat.v4.new_output("stream", text="12.34\n")]),
        nbformat.v4.new_markdown_cell("It is 12.3, not 12.4.\n\nOthers got 9.9 ([paper](https://x.org))."),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    assert [number for number, _ in claimed(notebook)] == ["12.3", "12.4"]
    assert [is_printed(number, printed(notebook)) for number in ("12.3", "12.4", "12")] == [True, False, True]
