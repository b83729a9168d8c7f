"""What these tests share: a small project."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers.publishing import colab, notebooks


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A small project with one notebook, in which `helpers.publishing` works."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["numpy", "absent-package==1"]\n'
        '[tool.token-or-span]\nrepository = "https://github.com/old/name"\nref = "main"\n'
    )
    badge = colab.badge("https://github.com/old/name", "main", "00_first")
    (tmp_path / "README.md").write_text(f"git clone https://github.com/old/name\n\n{badge}\n")
    (tmp_path / "notebooks").mkdir()
    cells = [
        new_markdown_cell(f"# First\n\n{badge}\n\nText."),
        new_code_cell("# setup", metadata={"tags": ["setup"]}),
        new_code_cell("1 + 1"),
    ]
    nbformat.write(new_notebook(cells=cells), tmp_path / "notebooks" / "00_first.ipynb")
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path / "notebooks")
    monkeypatch.setattr(colab, "PYPROJECT", tmp_path / "pyproject.toml")
    monkeypatch.setattr(colab, "README", tmp_path / "README.md")
    return tmp_path
