"""Executed notebooks as web pages."""

import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers.publishing import colab, pages

FIGURE = new_output("display_data", data={"image/png": "iVBORw0KGgo=", "text/plain": "<Figure>"})


@pytest.mark.parametrize(
    ("above", "after", "words"),
    [
        ("Text.", "*Two bars,\nnearly `equal`.*\n\nMore text.", "Two bars, nearly equal."),
        ("Text.", "*Bars with **thick** edges.*", "Bars with thick edges."),
        ("First.\n\nThe figure shows two bars.", "**Bold** is no description.", "The figure shows two bars."),
        ("The figure shows two bars.", "# A heading", "The figure shows two bars."),
    ],
)
def test_a_figure_is_described_below_it_or_above_it(above, after, words):
    cells = [new_markdown_cell(above), new_code_cell("draw()", outputs=[FIGURE]), new_code_cell("values()")]
    assert pages.description(new_notebook(cells=[*cells, new_markdown_cell(after)]), 1) == words


def test_a_page_needs_nothing_from_elsewhere(tmp_path):
    links = "[next](01_text_and_entities.ipynb#words), [there](https://example.org/a.ipynb), [how](guide.md)"
    cells = [
        new_markdown_cell(f"# First\n\n{colab.badge('https://github.com/a/b', 'main', '00_first')}"),
        new_code_cell("draw()", outputs=[FIGURE]),
        new_markdown_cell(f'*A "square".*\n\n{links}'),
    ]
    nbformat.write(new_notebook(cells=cells), tmp_path / "00_first.ipynb")
    page = pages.to_html(tmp_path / "00_first.ipynb").read_text(encoding="utf-8")
    assert 'alt="A &quot;square&quot;."' in page or "alt='A \"square\".'" in page
    assert 'href="01_text_and_entities.html#words"' in page and 'href="https://example.org/a.ipynb"' in page
    repository, ref = colab.address()
    assert f'href="{repository}/blob/{ref}/notebooks/guide.md"' in page
    assert not re.search(r"""<(?:script|link|img)[^>]*\b(?:src|href)=["']https?:""", page)
