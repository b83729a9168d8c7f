"""The published solutions that no check runs: each must run where a reader would paste it."""

import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from helpers.publishing import notebooks
from helpers.settings import ROOT

MARK = "<summary>Solution</summary>"


def solutions(notebook):
    """The code of the solutions to exercises without a check."""
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown" and MARK in cell.source]
    unchecked = [text.split(MARK)[1] for text in texts if "no check" in text.partition("\n")[0]]
    return re.findall(r"```python\n(.*?)```", "\n".join(unchecked), re.DOTALL)


READ = {path.stem: notebooks.read(path) for path in notebooks.paths()}


def test_some_have_code():
    assert sum(bool(solutions(notebook)) for notebook in READ.values()) >= 4


@pytest.mark.parametrize("name", [name for name, notebook in READ.items() if solutions(notebook)])
def test_they_run_at_the_end_of_their_notebook(name, tmp_path):
    notebook = READ[name].copy()
    setup = f"""import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from helpers.running import artifacts
artifacts.FOLDER = Path({str(tmp_path)!r})  # what is made here leaves the project's folder alone"""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    added = map(new_code_cell, solutions(notebook))
    notebook.cells = [new_code_cell(setup), *cells[1:], *added]
    nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    executed = tmp_path / "executed.ipynb"
    notebooks.execute(tmp_path / f"{name}.ipynb", executed, "", {"SCALE": "smoke"})
    assert nbformat.read(executed, as_version=4).cells[-1].execution_count
