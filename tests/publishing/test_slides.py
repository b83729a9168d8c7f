"""The slides: enough of them, each with notes, figures from the notebooks, and no numbers of their own."""

import re

import pytest

from helpers.publishing import slides

TEMPLATE = (slides.SLIDES / "index.md").read_text(encoding="utf-8")
SLIDE = re.compile(r"^#{1,2} (.+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    slides.write_sources(folder)
    return folder


def test_each_slide_has_notes(source):
    titles, *parts = SLIDE.split((source / "index.md").read_text(encoding="utf-8"))
    assert 15 <= len(parts) // 2 <= 22
    for title, slide in zip(parts[::2], parts[1::2], strict=True):
        (notes,) = re.findall(r'<aside class="notes">\n\n(.+?)\n\n</aside>', slide, re.DOTALL)
        assert len(notes.split()) > 20, title


def test_figures_are_those_of_the_notebooks_and_are_described(source):
    figures = re.findall(r"!\[(.+?)\]\((figures/.+?)\)\n", (source / "index.md").read_text(encoding="utf-8"))
    assert len(figures) == TEMPLATE.count("{{ figure(") > 10
    assert all(len(words) > 30 and (source / path).stat().st_size > 1000 for words, path in figures)
    assert not list(slides.SLIDES.glob("**/*.png"))


def test_results_come_from_the_notebooks():
    """A decimal, or a number with a sign, could contradict what a notebook measures."""
    own = re.sub(r"\{\{.*?\}\}", "", TEMPLATE, flags=re.DOTALL)
    assert not re.findall(r"\d\.\d|[+−±]\s?\d", own)
