"""What the lecturers' pages and the slides take from the notebooks, when the book is made.

These pages are Jinja templates. A figure, a number, an exercise or a time stands in one notebook, and a page
asks for it, so a page cannot go on saying what the notebook no longer does.
"""

import base64
import math
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

from helpers.coursework.exercises import Exercise, all_exercises, complete_notebooks
from helpers.publishing import pages
from helpers.settings import ROOT

TEMPLATE = "<template>"  # what Jinja calls a page that it was handed as a text
EXERCISE = re.compile(r"^### Exercise (?P<number>\d+): (?P<title>.+?) \((?P<effort>[^)]+)\)$", re.MULTILINE)
GRADED = re.compile(r"^### (?P<title>.+?) \(\d+ points?\b", re.MULTILINE)
TIME = re.compile(r"\*\*Time\*\* (.+?)(?:\n\n|\Z)", re.DOTALL)
MINUTES = {
    "reading": re.compile(r"(?:about )?(\d+) minutes to read"),
    "exercises": re.compile(r"(\d+) minutes for the exercises"),
    "graded": re.compile(r"(\d+)(?: minutes)? for the (?:\w+ )?graded \w+"),
}
KINDS = {"image/png": "a figure", "stream": "printed text", "text/html": "a table", "": "anything"}


class ExcerptError(ValueError):
    """A page asks for something that no notebook holds; the message names both, and what there is."""


def render(text: str, name: str, figures: Path) -> str:
    """Fill in a page.

    Args:
        text: a Jinja template in Markdown; the functions it can call are the public ones below this one.
        name: of its file, for messages.
        figures: a folder beside the page, where pictures go.

    Returns:
        The page in Markdown.

    Raises:
        ExcerptError: it asks for something that is not there, or is no template.
    """
    from jinja2 import Environment, StrictUndefined, TemplateError

    def save_figure(notebook: str, code: str) -> str:
        return figure(notebook, code, figures)

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True)
    functions = (
        exercise,
        practice,
        graded,
        section,
        minutes,
        hours,
        output,
        table,
        says,
        points,
        readme_table,
    )
    environment.globals |= {function.__name__: function for function in functions}
    environment.globals["figure"] = save_figure
    try:
        return environment.from_string(text).render()
    except (ExcerptError, TemplateError) as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == TEMPLATE]
        line = (
            getattr(error, "lineno", None) or frames[-1].lineno
        )  # of the first, Jinja cannot parse the page
        raise ExcerptError(f"{name}:{line}: {error}") from error


# --- exercises ---


def exercise(name: str) -> str:
    """Return a graded exercise as a page names it.

    Args:
        name: nbgrader's name of it, such as "token_masking".

    Returns:
        Its title, its name and its points.

    Raises:
        ExcerptError: there is no such exercise.
    """
    found = {one.name: one for one in all_exercises()}
    if name not in found:
        raise ExcerptError(f"no graded exercise is called {name}; there are {', '.join(found)}")
    return f"*{_title(found[name])}* (`{name}`, {found[name].maximum:g} points)"


def practice(notebook: str, title: str) -> str:
    """Return an exercise for practice as a page names it.

    Args:
        notebook: the number of the notebook, such as "02".
        title: of the exercise, without its number.

    Returns:
        Its number, its title and the effort that its heading names.

    Raises:
        ExcerptError: the notebook has no such exercise.
    """
    found = {one["title"]: one for one in EXERCISE.finditer(_prose(notebook))}
    if title not in found:
        raise ExcerptError(f"notebook {notebook} has no exercise {title!r}; it has {list(found)}")
    return f"exercise {found[title]['number']}, *{title}* ({found[title]['effort']})"


def graded() -> str:
    """Return all graded exercises.

    Returns:
        A table: exercise, notebook, points, and what each point is given for.
    """
    rows = [["Exercise", "Notebook", "Points", "One point for each of"]]
    for one in all_exercises():
        titles = "; ".join(point.title for point in one.points)
        by_hand = "graded by hand, see the [rubric](rubric.md)"
        rows += [[f"*{_title(one)}* (`{one.name}`)", one.notebook[:2], f"{one.maximum:g}", titles or by_hand]]
    total = sum(one.maximum for one in all_exercises())
    return _table([*rows, ["**All**", "", f"**{total:g}**", ""]])


def section(notebook: str, heading: str) -> str:
    """Return the heading of a section as a page names it.

    Args:
        notebook: the number of the notebook.
        heading: the heading.

    Returns:
        The heading, in quotation marks.

    Raises:
        ExcerptError: the notebook has no such heading.
    """
    found = re.findall(r"^##+ (.+)$", _prose(notebook), re.MULTILINE)
    if heading not in found:
        raise ExcerptError(f"notebook {notebook} has no section {heading!r}; it has {found}")
    return f'"{heading}"'


def _title(one: Exercise) -> str:
    cells = complete_notebooks()[one.notebook].cells
    index = next(index for index, cell in enumerate(cells) if cell.id == one.cell_id)
    above = "\n".join(cell.source for cell in cells[:index] if cell.cell_type == "markdown")
    titles = [found["title"] for found in GRADED.finditer(above)]
    if not titles:
        raise ExcerptError(f"{one.notebook} has no heading with points above {one.name}")
    return titles[-1]


# --- time ---


def minutes() -> str:
    """Return what the notebooks say of the time they take.

    Returns:
        A table with a line for each notebook: minutes of reading and of its exercises, and what it says of
        computing.
    """
    rows, total = [["Notebook", *(kind.capitalize() for kind in MINUTES), "Computing, in its own words"]], {}
    for name, notebook in complete_notebooks().items():
        times, rest = _times(name)
        for kind, minute in times.items():
            total[kind] = total.get(kind, 0) + minute
        title = notebook.cells[0].source.partition("\n")[0].removeprefix("# ")
        numbers = [str(times[kind]) if kind in times else "–" for kind in MINUTES]
        rows.append([f"[{title}](../../notebooks/{name}.ipynb)", *numbers, rest])
    return _table([*rows, ["**All**", *(f"**{total[kind]}**" for kind in MINUTES), ""]])


def hours(numbers: str, practice: bool = True, graded: bool = True) -> str:
    """Return the hours that some notebooks take, without their computing.

    Args:
        numbers: of the notebooks, such as "00 01".
        practice: whether the exercises for practice are done.
        graded: whether the graded ones are.

    Returns:
        The hours, rounded up to halves.
    """
    kinds = {"reading": True, "exercises": practice, "graded": graded}
    times = [_times(_name(number))[0] for number in numbers.split()]
    total = sum(minute for one in times for kind, minute in one.items() if kinds[kind])
    return f"{math.ceil(total / 30) / 2:g}"


def _times(name: str) -> tuple[dict[str, int], str]:
    """Return the minutes that a notebook's first cell names, and what else it says of time."""
    notebook = complete_notebooks()[name]
    found = TIME.search(notebook.cells[0].source)
    rest, times = " ".join(found[1].split()) if found else "", {}
    for kind, pattern in MINUTES.items():
        if stated := pattern.search(rest):
            times[kind] = int(stated[1])
            rest = rest.replace(stated[0], "")
    prose = _prose(name[:2])
    expected = {"reading"} | ({"exercises"} if EXERCISE.search(prose) else set())
    expected |= {"graded"} if GRADED.search(prose) else set()
    if missing := expected - set(times):
        raise ExcerptError(f"{name}: its paragraph **Time** lacks the minutes of: {', '.join(missing)}")
    return times, re.sub(r"(?: *,)+ *(?=[.,]|$)", "", rest).strip(" ,.").removeprefix(". ")


# --- outputs ---


def figure(notebook: str, code: str, folder: Path) -> str:
    """Save a figure of a notebook, and return it with its description.

    Args:
        notebook: its number, such as "06".
        code: what the cell that draws the figure holds; the first such cell counts.
        folder: where the picture goes, beside the page.

    Returns:
        The picture in Markdown, with its alternative text.
    """
    index, cell = _cell(notebook, code, "image/png")
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{notebook}-{cell.id}.png"
    (folder / name).write_bytes(base64.b64decode(_output(cell, "image/png")))
    words = pages.description(complete_notebooks()[_name(notebook)], index)
    escaped = re.sub(r"([][])", r"\\\1", words)  # [MASK] is no link
    return f"![{escaped}]({folder.name}/{name})"


def output(notebook: str, code: str) -> str:
    """Return what a cell prints.

    Args:
        notebook: its number.
        code: what the cell holds.

    Returns:
        The text.
    """
    return _output(_cell(notebook, code, "stream")[1], "stream").strip()


def table(notebook: str, code: str) -> str:
    """Return the table that a cell shows.

    Args:
        notebook: its number.
        code: what the cell holds.

    Returns:
        The table in HTML, without pandas' own style, and with the name of the index above the index.

    Raises:
        ExcerptError: the cell shows no table.
    """
    shown = _output(_cell(notebook, code, "text/html")[1], "text/html")
    found = re.search(r"<table.*</table>", shown, re.DOTALL)
    if not found:
        raise ExcerptError(f"notebook {notebook}: the cell with {code!r} shows HTML, but no table")
    plain = re.sub(r' border="\d+"| style="[^"]*"|\s*(?=\n)|(?<=\n) +', "", found[0])
    plain = plain.replace("<th></th>", "<td></td>")
    if named := re.search(r"</tr>\n<tr>\n(<th>.*</th>)\n(?:<td></td>\n)+(?=</tr>\n</thead>)", plain):
        plain = plain.replace(named[0], "").replace("<td></td>", named[1], 1)
    return plain


def says(notebook: str, code: str) -> str:
    """Return the paragraph in which a notebook says what a figure or a table shows.

    Args:
        notebook: its number.
        code: what the cell holds that shows it.

    Returns:
        The first paragraph of prose behind that cell, in one line; headings and descriptions in italics do
        not count.
    """
    index, _ = _cell(notebook, code)
    cells = complete_notebooks()[_name(notebook)].cells[index + 1 :]
    prose = (part for cell in cells if cell.cell_type == "markdown" for part in cell.source.split("\n\n"))
    plain = (part for part in prose if re.match(r"[\w\"“(]|\*\*", part.strip()))
    return " ".join(next(plain, "").split())


def points(notebook: str, heading: str) -> str:
    """Return the points of a list, each in the words in bold that it begins with.

    Args:
        notebook: its number.
        heading: the one that the list stands under.

    Returns:
        A list.

    Raises:
        ExcerptError: there is no such list.
    """
    section = re.split(rf"^#+ {re.escape(heading)}$", _prose(notebook), flags=re.MULTILINE)
    found = re.findall(r"^- \*\*(.+?)\*\*", re.split(r"^#", section[-1], flags=re.MULTILINE)[0], re.MULTILINE)
    if len(section) != 2 or not found:
        raise ExcerptError(f'notebook {notebook} has no list under "{heading}" with a beginning in bold')
    return "\n".join(f"- {point.rstrip('.')}" for point in found)


def readme_table(cell: str) -> str:
    """Return a table of README.

    Args:
        cell: what its first line holds.

    Returns:
        The table.

    Raises:
        ExcerptError: there is none.
    """
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for block in re.findall(r"(?:^\|.*\n)+", readme, re.MULTILINE):
        if cell in block.partition("\n")[0]:
            return block.rstrip()
    raise ExcerptError(f'README.md has no table with "{cell}" in its first line')


# --- looking things up ---


def _name(number: str) -> str:
    found = [name for name in complete_notebooks() if name.startswith(f"{number}_")]
    if len(found) != 1:
        raise ExcerptError(f"there is no notebook {number}")
    return found[0]


def _prose(number: str) -> str:
    cells = complete_notebooks()[_name(number)].cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def _outputs(cell) -> Iterator[tuple[str, str]]:
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stdout":
            yield "stream", output.text
        yield from output.get("data", {}).items()


def _output(cell, kind: str) -> str:
    return "".join(text for found, text in _outputs(cell) if found == kind)


def _cell(number: str, code: str, kind: str = ""):
    """Find the first code cell that holds some code and has an output of some kind; with its place."""
    cells = complete_notebooks()[_name(number)].cells
    fitting = [
        (index, cell)
        for index, cell in enumerate(cells)
        if cell.cell_type == "code" and (not kind or _output(cell, kind))
    ]
    for index, cell in fitting:
        if code in cell.source:
            return index, cell
    lines = (line for _, cell in fitting for line in cell.source.removesuffix("plt.show()").splitlines()[-1:])
    raise ExcerptError(
        f"notebook {number} has no cell that holds {code!r} and shows {KINDS[kind]}; those that do end in\n  "
        + "\n  ".join(lines)
    )


def _table(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(part.replace("|", "\\|") for part in row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])
