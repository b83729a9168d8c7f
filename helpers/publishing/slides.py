"""The slides for a lecture: the sources that Sphinx makes a reveal.js presentation of."""

from pathlib import Path

from helpers.publishing import excerpts
from helpers.settings import ROOT

SLIDES = ROOT / "book" / "slides"  # the template, the style, and Sphinx's settings


def write_sources(folder: Path) -> None:
    """Write what Sphinx reads: the slides, with the figures and numbers of the committed notebooks.

    Args:
        folder: where it goes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    template = SLIDES / "index.md"
    name = template.relative_to(ROOT).as_posix()
    text = excerpts.render(template.read_text(encoding="utf-8"), name, folder / "figures")
    (folder / "index.md").write_text(text, encoding="utf-8", newline="\n")
