"""The graded exercises of the series, and the copies of the notebooks that are handed out to students.

The complete notebooks are the only source. Their graded cells carry nbgrader's metadata
(https://nbgrader.readthedocs.io): a solution cell, a visible check, and one cell for each point.
"""

import ast
import io
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from helpers.coursework import records
from helpers.coursework.records import CourseworkError, write_whole
from helpers.publishing import colab, notebooks
from helpers.settings import ROOT

FOLDER = ROOT / "data" / "runs" / "coursework"  # the students' copies, and the record of them
ASSIGNMENT = "token-or-span"  # nbgrader's name of it
CODE_STUB = "raise NotImplementedError  # your code here"
ANSWER_STUB = "YOUR ANSWER HERE"


# --- the exercises, read from the complete notebooks ---


@dataclass(frozen=True)
class Point:
    """One cell that is worth points: its first line is the title, the rest is the check."""

    name: str  # nbgrader's grade_id
    title: str
    source: str
    points: float


@dataclass(frozen=True)
class Exercise:
    """A graded exercise: a function that students write, or a question that they answer in words."""

    name: str  # of the function; nbgrader's grade_id of the solution cell
    notebook: str  # the notebook's name without .ipynb
    cell_id: str
    source: str  # of the cell with its solution
    points: tuple[Point, ...]
    written: bool = False  # answered in words, and graded by hand
    locked_cells: tuple[str, ...] = ()  # their grade_ids

    @property
    def maximum(self) -> float:
        """The points for a perfect solution."""
        return sum(point.points for point in self.points)


def nbgrader_metadata(cell) -> dict:
    """Return nbgrader's metadata of a cell.

    Args:
        cell: a cell as a dictionary, possibly from a damaged notebook.

    Returns:
        The metadata; empty if the cell has none.
    """
    metadata = cell.get("metadata", {}).get("nbgrader", {})
    return metadata if isinstance(metadata, dict) else {}


@cache
def complete_notebooks() -> dict:
    """Read the complete notebooks, once.

    Returns:
        The notebooks by their names without .ipynb.
    """
    return {path.stem: notebooks.read(path) for path in notebooks.paths()}


@cache
def all_exercises() -> tuple[Exercise, ...]:
    """Read all graded exercises from the complete notebooks.

    Returns:
        The exercises in reading order.
    """
    found = []
    for notebook_name, notebook in complete_notebooks().items():
        cells = [cell for cell in notebook.cells if nbgrader_metadata(cell)]
        for cell in cells:
            if not nbgrader_metadata(cell)["solution"]:
                continue
            name = nbgrader_metadata(cell)["grade_id"]
            written = cell.cell_type == "markdown"
            parts = [cell] if written else [other for other in cells if _is_check_of(other, name)]
            points = tuple(_point(part) for part in parts if nbgrader_metadata(part)["grade"])
            locked = [nbgrader_metadata(part) for part in parts if nbgrader_metadata(part)["locked"]]
            locked_cells = tuple(metadata["grade_id"] for metadata in locked)
            found.append(Exercise(name, notebook_name, cell.id, cell.source, points, written, locked_cells))
    return tuple(found)


def _is_check_of(cell, exercise_name: str) -> bool:
    metadata = nbgrader_metadata(cell)
    return metadata["grade_id"].rpartition("_")[0] == exercise_name and not metadata["solution"]


def _point(cell) -> Point:
    title = cell.source.partition("\n")[0].partition(": ")[2]
    return Point(nbgrader_metadata(cell)["grade_id"], title, cell.source, nbgrader_metadata(cell)["points"])


def imports(notebook_name: str, code: str, with_helpers: bool) -> str:
    """Return those imports of a notebook that some code needs.

    So a student's function may use whatever its notebook imports, and need not wait for the other imports.

    Args:
        notebook_name: the notebook's name without .ipynb.
        code: the code whose names are looked for.
        with_helpers: whether imports from `helpers` count.

    Returns:
        Import statements, one per line; empty if the code cannot be parsed.
    """
    try:
        names = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""  # running the code reports the error
    lines = []
    for node in _import_statements(notebook_name):
        used = [alias for alias in node.names if (alias.asname or alias.name) in names]
        module = (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        if module.partition(".")[0] == "helpers" and not with_helpers:
            continue
        if used and isinstance(node, ast.ImportFrom):
            lines.append(ast.unparse(ast.ImportFrom(node.module, used, 0)))
        elif used:
            lines.append(ast.unparse(ast.Import(used)))
    return "\n".join(dict.fromkeys(lines))


@cache
def _import_statements(notebook_name: str) -> list[ast.Import | ast.ImportFrom]:
    cells = [cell for cell in complete_notebooks()[notebook_name].cells if cell.cell_type == "code"]
    nodes = [node for cell in cells for node in ast.parse(cell.source).body]
    return [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]


# --- handing out ---


def release(
    folder: Path = FOLDER, roster: list[dict[str, str]] | None = None, allow_placeholder: bool = False
) -> list[Path]:
    """Make the students' copies of the notebooks with `nbgrader generate_assignment`.

    Whoever is in the folder's record from an earlier hand-out keeps their seed, in the list or not. The
    copies fetch the very commit that they were made from.

    Args:
        folder: where the copies and their record go.
        roster: the rows of the list of students; each student gets a copy with a world seed of their own.
            Without it, all students in the record get theirs again; if there are none, there is one copy for
            all.
        allow_placeholder: whether the copies may point to the placeholder, an address that belongs to nobody.

    Returns:
        The zip files to hand out.

    Raises:
        CourseworkError: if the project's address is the placeholder, the notebooks were changed since the
            last commit or that was not pushed, the record of an earlier hand-out is damaged, or nbgrader is
            missing or fails.
    """
    if colab.is_placeholder() and not allow_placeholder:
        raise CourseworkError(
            f"students' copies would fetch the project from {colab.PLACEHOLDER}, which belongs to nobody: "
            "publish the project, then run python -m helpers address --repository https://github.com/YOU/NAME"
        )
    commit = "" if colab.is_placeholder() else _commit()
    recorded = records.read(folder)["seeds"] if (folder / records.FILE).exists() else {}
    if roster is None:
        roster = [{"student": name} for name in recorded]
    (folder / "handout").mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as work:
        sources = _generate(Path(work))
        # Before the copies: if this stops half-way, no copy has a seed that is not recorded.
        seeds = records.add_students(folder, roster)
        copies: dict[str, int | None] = {**seeds} or {ASSIGNMENT: None}
        return [
            _pack(sources, folder / "handout" / f"{name}.zip", seed, commit) for name, seed in copies.items()
        ]


def _commit() -> str:
    """Return the commit of this checkout, which students' copies will fetch."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True)
        if done.returncode:
            raise CourseworkError(
                f"students' copies fetch a commit of the project, and git finds none in {ROOT} "
                f"({done.stderr.strip()}): hand out from a clone of your repository"
            )
        return done.stdout.strip()

    commit = git("rev-parse", "HEAD")
    changed = git("status", "--porcelain", "--", "helpers", "notebooks", "data", "pyproject.toml")
    if changed:
        raise CourseworkError(
            f"students' copies would fetch commit {commit[:12]}, and these files have changed since: "
            f"commit and push them, then hand out\n{changed}"
        )
    if not git("branch", "--remotes", "--contains", commit):
        raise CourseworkError(
            f"students' copies would fetch commit {commit[:12]}, which was not pushed yet: push it to "
            f"{colab.address()[0]} (git push), then hand out"
        )
    return commit


def _generate(work: Path) -> list[Path]:
    """Make the notebooks without solutions, hidden checks and outputs in the folder `work`."""
    source = work / "source" / ASSIGNMENT
    source.mkdir(parents=True)
    for path in notebooks.paths():
        (source / path.name).write_bytes(path.read_bytes())
    (work / "nbgrader_config.py").write_text(
        f"c = get_config()\nc.ClearSolutions.code_stub = {{'python': {CODE_STUB!r}}}\n"
        f"c.ClearSolutions.text_stub = {ANSWER_STUB!r}\n"
    )
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", ASSIGNMENT, "--no-db"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True)
    if done.returncode:
        raise CourseworkError(
            f"nbgrader failed. If it is not installed: pip install -e '.[coursework]'\n{done.stderr}"
        )
    return sorted((work / "release" / ASSIGNMENT).glob("*.ipynb"))


def _pack(sources: list[Path], path: Path, seed: int | None, commit: str) -> Path:
    """Write the notebooks, with a cell for the student's seed if there is one, into a zip file."""
    import nbformat

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for source in sources:
            notebook = nbformat.read(source, 4)
            notebook.metadata.pop(notebooks.RECORD, None)
            notebook.metadata[ASSIGNMENT] = {"notebook": source.stem, "seed": seed}
            if commit:
                setup = next(cell for cell in notebook.cells if _is_setup(cell))
                setup.source = colab.setup_source(colab.address()[0], commit, is_commit=True)
            if seed is not None:
                _insert_seed(notebook, seed)
            archive.writestr(f"{ASSIGNMENT}/{source.name}", nbformat.writes(notebook))
    write_whole(path, packed.getvalue())
    return path


def _insert_seed(notebook, seed: int) -> None:
    from nbformat.v4 import new_code_cell

    setup = next(number for number, cell in enumerate(notebook.cells) if _is_setup(cell))
    source = (
        "# Your own world: the numbers that you measure are yours alone. Leave this cell as it is.\n"
        f'import os\n\nos.environ["SEED"] = "{seed}"'
    )
    locked = {"deletable": False, "editable": False, "tags": ["seed"]}
    notebook.cells.insert(setup + 1, new_code_cell(source, metadata=locked, id="seed"))


def _is_setup(cell) -> bool:
    return "setup" in cell.metadata.get("tags", [])
