"""The sources of the web book: complete, linked, described and folded."""

import fnmatch
import importlib
import inspect
import io
import json
import re
import subprocess
from posixpath import normpath
from urllib.parse import unquote

import pytest
import yaml
from docutils.core import publish_doctree
from sphinx.ext.napoleon import Config, GoogleDocstring

from helpers.__main__ import main
from helpers.coursework import exercises
from helpers.publishing import book, colab, excerpts, notebooks
from helpers.settings import ROOT

ROOMS = [path.stem for path in sorted((ROOT / "helpers").glob("*.py")) if not path.stem.startswith("_")]
NOTEBOOKS = [path.stem for path in notebooks.paths()]
TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^ *```.*?^ *```|`[^`\n]+`", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("book")
    book.write_sources(folder)
    return folder


def pages(sources):
    """The names of all pages, without their endings."""
    files = [path for path in sources.rglob("*") if path.suffix in (".md", ".ipynb")]
    return sorted(path.relative_to(sources).with_suffix("").as_posix() for path in files)


def prose(path):
    """The Markdown of a page, without code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return FENCE.sub("", text)


def test_every_page_stands_in_the_contents_once(sources):
    listed = []
    for name in ("index", "api/index"):
        folder = name.rpartition("/")[0]
        for block in TOCTREE.findall((sources / f"{name}.md").read_text(encoding="utf-8")):
            for entry in (line for line in block.splitlines() if line and not line.startswith(":")):
                pattern = normpath(f"{folder}/{entry}").removeprefix("/")
                listed += fnmatch.filter(pages(sources), pattern) or [pattern]
    assert sorted(listed) == [name for name in pages(sources) if name != "index"]


def test_every_notebook_and_every_front_room_has_a_page(sources):
    assert {f"notebooks/{name}" for name in NOTEBOOKS} | {f"api/{room}" for room in ROOMS} <= {
        *pages(sources)
    }
    assert sorted(room for group in book.rooms().values() for room in group) == ROOMS


def test_links_lead_to_pages_of_the_book(sources):
    repository, _ = colab.address()
    for path in [*sources.rglob("*.md"), *sources.rglob("*.ipynb")]:
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
            file, _, anchor = target.partition("#")
            if file.startswith(f"{repository}/blob/"):
                inside = file.removeprefix(f"{repository}/blob/").partition("/")[2]
                assert (ROOT / inside).is_file(), f"{path.name}: {target}"
                assert inside not in ("README.md", "CONTRIBUTING.md"), f"{path.name}: {target} is in the book"
            elif file and not re.match(r"\w+:", file):
                assert (path.parent / unquote(file)).is_file(), f"{path.name}: {target}"


def test_links_that_are_right_on_github_follow_a_section_to_its_page(sources):
    contributing = prose(sources / "CONTRIBUTING.md")
    assert "](running.md#without-make-or-on-windows)" in contributing
    assert "](api/index.md)" in (sources / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert "](running.md#a-fork-of-your-own)" in prose(sources / "running.md")


def test_the_first_page_shows_what_was_found(sources):
    text = (sources / "index.md").read_text(encoding="utf-8")
    assert text.startswith("# ") and len(re.findall(r"!\[[^]]{30,}\]\(", text)) == 1
    assert f"](notebooks/{NOTEBOOKS[0]}.ipynb)" in text
    beside_the_table = re.sub(r"^\|.*\n", "", TOCTREE.sub("", text), flags=re.MULTILINE)
    assert 50 < len(beside_the_table.split()) < 300
    rest = "".join((sources / f"{name}.md").read_text(encoding="utf-8") for name in ("running", "reuse"))
    headings = re.findall(r"^## .+", FENCE.sub("", (ROOT / "README.md").read_text("utf-8")), re.MULTILINE)
    assert headings and all(f"{heading}\n" in rest for heading in headings)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_readied_for_its_page(sources, name):
    cells = notebooks.read(sources / "notebooks" / f"{name}.ipynb").cells
    (setup,) = [cell for cell in cells if "setup" in cell.metadata.get("tags", [])]
    hidden = [cell for cell in cells if "BEGIN HIDDEN" in cell.source or "BEGIN SOLUTION" in cell.source]
    for cell in (setup, *(cell for cell in hidden if cell.cell_type == "code")):
        assert "hide-input" in cell.metadata.tags and len(cell.metadata.mystnb.code_prompt_show) > 7
    figures = 0
    for cell in (cell for cell in cells if cell.cell_type == "code"):
        for output in cell.outputs:
            assert notebooks.WIDGET not in output.get("data", {})
            if "image/png" in output.get("data", {}):
                figures += 1
                assert len(cell.metadata.mystnb.image.alt) > 30
    assert figures
    repository, ref = colab.address()
    assert f"[Open in Colab]({colab.link(repository, ref, name)}){{.colab}}" in cells[0].source
    assert "colab-badge" not in "".join(cell.source for cell in cells)


# --- docstrings, as Sphinx reads them ---


def documented(room):
    """Name and docstring of a room, and of the public things that are defined there."""
    module = importlib.import_module(f"helpers.{room}")
    yield room, module.__doc__
    for name, thing in vars(module).items():
        if getattr(thing, "__module__", "") == module.__name__ and not name.startswith("_"):
            yield f"{room}.{name}", inspect.getdoc(thing)
            if inspect.isclass(thing):
                for part, method in vars(thing).items():
                    if not part.startswith("_") and inspect.getdoc(method):
                        yield f"{room}.{name}.{part}", inspect.getdoc(method)


def misread(docstring):
    """What is wrong with a docstring as reStructuredText; "" if nothing is."""
    text = str(GoogleDocstring(inspect.cleandoc(docstring), Config(napoleon_use_ivar=True)))
    warnings = io.StringIO()
    settings = {"report_level": 2, "halt_level": 5, "warning_stream": warnings}
    publish_doctree(f".. default-role:: code\n\n{text}", settings_overrides=settings)
    return warnings.getvalue()


def test_a_docstring_can_be_misread():
    assert "Unexpected indentation" in misread("Do it:\n- a list\n  goes on\nand ends")
    assert "Unknown target name" in misread('Each behind "first_" or "later_".')
    assert (
        misread("Do it.\n\nArgs:\n    one: `first_`, or\n        two.\n\nReturns:\n    This: that.\n") == ""
    )


@pytest.mark.parametrize("room", ROOMS)
def test_docstrings_are_read_as_they_are_meant(room):
    assert {name: wrong for name, text in documented(room) if text and (wrong := misread(text))} == {}


# --- the bibliography ---


def test_what_is_cited_stands_in_the_bibliography():
    listed = (book.BOOK / "bibliography.md").read_text(encoding="utf-8")
    entries = re.findall(r"^([A-Z]\w+)[^(\n]*\((\d{4})\)\.$", listed, re.MULTILINE)
    texts = {path.name: prose(path) for path in notebooks.paths()}
    texts |= {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "helpers").rglob("*.py")}
    cited = {
        (name, year, where)
        for where, text in texts.items()
        for name, year in re.findall(r"(\w+) et al\.,? \(?(\d{4})", " ".join(text.split()))
    }
    assert len(cited) > 10
    assert not [one for one in cited if one[:2] not in entries]
    linked = re.findall(r"https://arxiv\.org/abs/[\d.]+\d", "\n".join(texts.values()))
    assert linked and not [link for link in linked if link not in listed]


# --- making it ---


def test_a_book_that_cannot_be_made_names_the_remedy(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(book, "write_sources", lambda folder: None)
    monkeypatch.setattr(book.build, "__defaults__", (tmp_path / "book",))
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 2))
    assert main(["book"]) == 1
    assert 'pip install -c constraints.txt -e ".[lab,book]"' in capsys.readouterr().err


def test_the_workflow_publishes_what_the_command_makes():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "book.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["build"]["steps"]
    assert [step["run"] for step in steps if "run" in step][-1] == "python -m helpers book"
    assert (ROOT / steps[-1]["with"]["path"]) == book.FOLDER / "html"


# --- for lecturers ---


def lecturers(name):
    return (book.BOOK / book.LECTURERS / f"{name}.md").read_text(encoding="utf-8")


def test_outcomes_are_mapped_to_every_graded_exercise(sources):
    mapped, _, table = (sources / "lecturers" / "outcomes.md").read_text(encoding="utf-8").rpartition("\n## ")
    for exercise in exercises.all_exercises():
        assert f"(`{exercise.name}`, {exercise.maximum:g} points)" in mapped
        assert f"(`{exercise.name}`)" in table
    rows = [line for line in mapped.splitlines() if "../notebooks/" in line]
    assert {name for name in NOTEBOOKS if name[:2] != "00"} == set(
        re.findall(r"notebooks/(\w+)\.ipynb", str(rows))
    )


def test_plans_name_what_there_is(sources):
    """Each plan assigns every graded exercise; slides and questions exist."""
    plans = re.split(r"^## ", lecturers("plans"), flags=re.MULTILINE)
    weeks = [plan for plan in plans if " weeks: " in plan.partition("\n")[0]]
    assert len(weeks) == 3
    for plan in weeks:
        names = re.findall(r"`(\w+)`", plan)
        assert sorted(names) == sorted(exercise.name for exercise in exercises.all_exercises())
    slides = (book.BOOK / "slides" / "index.md").read_text(encoding="utf-8")
    titles = re.findall(r'(?:up to|from) "([^"]+)"', lecturers("plans"))
    assert titles and not [title for title in titles if f"\n## {title}\n" not in slides]
    questions = re.findall(r"^## (\d+)\. ", lecturers("discussion"), re.MULTILINE)
    assert questions == [str(number) for number in range(1, len(questions) + 1)]
    assert lecturers("discussion").count("<details>") == len(questions) >= 8
    asked = [*re.findall(r"questions? ([\d, and]+)", lecturers("plans") + lecturers("outcomes"))]
    assert {number for text in asked for number in re.findall(r"\d+", text)} <= set(questions)


def test_the_rubric_has_a_row_for_each_point_and_a_sample_for_each_level():
    (written,) = [exercise for exercise in exercises.all_exercises() if exercise.written]
    rows = re.findall(r"^\| \*\*\d\. .+\|$", lecturers("rubric"), re.MULTILINE)
    assert len(rows) == written.maximum
    assert all(re.search(r'\*"[^*]+"\*$', cell.strip()) for row in rows for cell in row.split("|")[2:-1])


def test_a_page_that_asks_for_what_is_not_there_stops_the_book(monkeypatch, capsys, tmp_path):
    def ask(folder):
        raise excerpts.ExcerptError("book/lecturers/plans.md:3: notebook 01 has no section 'x'")

    monkeypatch.setattr(book, "write_sources", ask)
    monkeypatch.setattr(book.build, "__defaults__", (tmp_path / "book",))
    assert main(["book"]) == 1
    assert "book/lecturers/plans.md:3: notebook 01" in capsys.readouterr().err
