"""The series as a web book: the sources that Sphinx reads, put together from what the project holds already.

Nothing is written twice. The pages are the committed notebooks, README, CONTRIBUTING and the other Markdown
files; the reference lists what the map in helpers/__init__.py calls front rooms. `book/` adds the way in.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

import helpers
from helpers.publishing import colab, notebooks, pages
from helpers.settings import ROOT

BOOK = ROOT / "book"  # Sphinx's settings, and the pages that stand nowhere else
FOLDER = ROOT / "build" / "book"

WITHIN = ("CONTRIBUTING.md", "CHANGELOG.md", "data/README.md", "data/reference/README.md")
REUSE = ("Past one machine", "Your own data", "The pieces alone")  # of README; the rest is about running it

CODE = re.compile(r"(^ *```.*?^ *```|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<path>[^)\s#:]*)(?P<anchor>#[^)\s]*)?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
GROUP = re.compile(r"^(\S.*)\n((?:    .*(?:\n|$))+)", re.MULTILINE)  # of the map: a title, and its rooms
ROOM = re.compile(r"^    ([a-z]\w*) +(.+?)(?: +<.*)?$", re.MULTILINE)  # not in a wing, not the door

ROOM_PAGE = """# {room}

```{{eval-rst}}
.. automodule:: helpers.{room}
   :members:
```
"""


class BookError(RuntimeError):
    """The book cannot be made; the message says why and what to do."""


def build(folder: Path = FOLDER) -> Path:
    """Make the book, from the beginning.

    Args:
        folder: where it goes; what was there is deleted.

    Returns:
        Its first page.

    Raises:
        BookError: Sphinx is missing, or warned of something, such as a link that leads nowhere.
    """
    shutil.rmtree(folder, ignore_errors=True)
    write_sources(folder / "source")
    command = [sys.executable, "-m", "sphinx", "-b", "html", "--fail-on-warning", "--quiet"]
    command += ["-c", str(BOOK), "-d", str(folder / "doctrees"), str(folder / "source"), str(folder / "html")]
    if subprocess.run(command, cwd=ROOT).returncode:
        raise BookError(
            "Sphinx made no book; it says why above. Without Sphinx: "
            'python -m pip install -c constraints.txt -e ".[lab,book]"'
        )
    return folder / "html" / "index.html"


def write_sources(folder: Path) -> None:
    """Write what Sphinx reads. Each page keeps its place in the project, so that most links stay as they are.

    Args:
        folder: where it goes.
    """
    import nbformat

    texts = {**_readme(), **_reference()}
    for path in BOOK.glob("*.md"):
        own = path.read_text(encoding="utf-8")
        texts[path.name] = f"{texts[path.name]}\n{own}" if path.name in texts else own
    for name in (*WITHIN, *_relative(notebooks.FOLDER.glob("*.md"))):
        texts[name] = (ROOT / name).read_text(encoding="utf-8")
    books = {name: notebooks.read(ROOT / name) for name in _relative(notebooks.paths())}
    places = _places({*texts, *books}, texts)

    for name, notebook in books.items():
        _prepare(notebook, name, places, folder)
        texts[name] = nbformat.writes(notebook) + "\n"
    for name, text in texts.items():
        if name not in books:
            text = _lead(_without_badges(text), name, places, folder)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


def rooms() -> dict[str, dict[str, str]]:
    """Return the front rooms, as the map in helpers/__init__.py lists them.

    Returns:
        Titles of groups, and for each what its rooms are for.
    """
    groups = {title: dict(ROOM.findall(lines)) for title, lines in GROUP.findall(helpers.__doc__ or "")}
    return {title: found for title, found in groups.items() if found}


# --- pages that are put together ---


def _readme() -> dict[str, str]:
    """Split README into three pages: what was found, how to run it, and how to use its parts."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first, fence, rest = readme.partition("```")
    parts: dict[str, list[str]] = {"running.md": ["# Run it yourself\n"], "reuse.md": ["# Use its parts\n"]}
    for section in re.split(r"^(?=## )", fence + rest, flags=re.MULTILINE):
        title = section.partition("\n")[0].removeprefix("## ")
        parts["reuse.md" if title in REUSE else "running.md"].append(section)
    return {"index.md": first, **{name: "\n".join(sections) for name, sections in parts.items()}}


def _reference() -> dict[str, str]:
    """List the front rooms on one page, and give each a page of its own."""
    found = rooms()
    texts = {f"api/{room}.md": ROOM_PAGE.format(room=room) for group in found.values() for room in group}
    index = ["# The code", "", (helpers.__doc__ or "").split("\n\n")[1], ""]
    for title, group in found.items():
        entries = [f"- [{room}]({room}.md): {about}" for room, about in group.items()]
        index += [f"## {title}", "", *entries, ""]
    index += ["```{toctree}", ":hidden:", "", *(Path(name).stem for name in texts), "```", ""]
    return {**texts, "api/index.md": "\n".join(index)}


def _prepare(notebook, name: str, places: dict[str, str], folder: Path) -> None:
    """Ready a notebook for its page, in place: descriptions of figures, folds, links; no badge, no bars."""
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            cell.source = _lead(_without_badges(cell.source), name, places, folder)
        elif cell.cell_type == "code":
            cell.outputs = notebooks.lasting_outputs(cell.outputs)
            for output in cell.outputs:
                if html := output.get("data", {}).get("text/html"):
                    output.data["text/html"] = html.replace("<th></th>", "<td></td>")
            settings: dict = {"image": {"alt": pages.description(notebook, index)}}
            if what := _folded(cell):
                cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-input"]
                settings |= {"code_prompt_show": what, "code_prompt_hide": what}
            cell.metadata["mystnb"] = settings


def _folded(cell) -> str:
    """Return what a code cell is that a reader does not need at first; "" for all others."""
    graded = cell.metadata.get("nbgrader", {})
    if "setup" in cell.metadata.get("tags", []):
        return "Setup: finds the project, or fetches it"
    if graded.get("solution") and not graded.get("grade"):
        return "Solution"
    if graded.get("grade") and not graded.get("solution"):
        return cell.source.partition("\n")[0].removeprefix("# ")  # "1 point: what it checks"
    return ""


# --- links ---


def _relative(paths) -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for path in paths)


def _without_badges(text: str) -> str:
    """Links in words instead of badges, which are pictures from elsewhere."""
    repository, ref = colab.address()
    return colab.BADGE.sub(
        lambda found: f"[Open in Colab]({colab.link(repository, ref, found['name'])}){{.colab}}", text
    )


def _places(names: set[str], texts: dict[str, str]) -> dict[str, str]:
    """Where a path of the project, with or without an anchor, stands in the book."""
    places = {name: name for name in names} | {"README.md": "index.md", "helpers/__init__.py": "api/index.md"}
    for group in rooms().values():
        places |= {f"helpers/{room}.py": f"api/{room}.md" for room in group}
    for page in ("running.md", "reuse.md"):
        for heading in HEADING.findall(CODE.sub("", texts[page])):
            anchor = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")  # as GitHub has it
            places[f"README.md#{anchor}"] = f"{page}#{anchor}"
    return places


def _lead(text: str, name: str, places: dict[str, str], folder: Path) -> str:
    """Let links lead to pages of the book, and to the project's address where it has no such page.

    Args:
        text: in Markdown.
        name: of the page that it stands on.
        places: as from `_places`.
        folder: of the sources; a picture that is linked to is copied there.

    Returns:
        The text.
    """
    repository, ref = colab.address()
    origin = "README.md" if name in ("index.md", "running.md", "reuse.md") else name
    here = PurePosixPath(name).parent.as_posix()

    def lead(found: re.Match) -> str:
        anchor = found["anchor"] or ""
        path = normpath(PurePosixPath(origin).parent / found["path"]) if found["path"] else origin
        place = places.get(path + anchor)
        if place is None and path in places:
            place = places[path] + anchor
        if place is not None:
            return f"]({relpath(place, here)})"
        target = ROOT / path
        if target.suffix in (".png", ".svg", ".jpg") and target.is_file():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(target, folder / path)
            return f"]({relpath(path, here)})"
        if not target.exists():  # a page of `book/` may link to another one, and Sphinx checks the rest
            return found[0]
        return f"]({repository}/{'tree' if target.is_dir() else 'blob'}/{ref}/{path}{anchor})"

    parts = CODE.split(text)
    parts[::2] = [LINK.sub(lead, part) for part in parts[::2]]
    return "".join(parts)
