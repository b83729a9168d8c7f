"""The graded exercises of the series, and the copies of the notebooks that are handed out to students.

The complete notebooks are the only source. Their graded cells carry nbgrader's metadata
(https://nbgrader.readthedocs.io): a solution cell, a visible check, and one cell for each point.
"""

import ast
import csv
import io
import json
import os
import random
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from helpers.publishing import colab, notebooks
from helpers.settings import ROOT

FOLDER = ROOT / "data" / "runs" / "coursework"  # the students' copies, and the record of them
ASSIGNMENT = "token-or-span"  # nbgrader's name of it
CODE_STUB = "raise NotImplementedError  # your code here"
ANSWER_STUB = "YOUR ANSWER HERE"


class CourseworkError(ValueError):
    """The list of students, the folder or the hand-out cannot be used; the message says what to do."""


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
    cells = [cell for cell in complete_notebooks()[notebook_name].cells if cell.cell_type == "code"]
    for node in (node for cell in cells if not _is_setup(cell) for node in ast.parse(cell.source).body):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        used = [alias for alias in node.names if (alias.asname or alias.name) in names]
        module = (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        if module.partition(".")[0] == "helpers" and not with_helpers:
            continue
        if used and isinstance(node, ast.ImportFrom):
            lines.append(ast.unparse(ast.ImportFrom(node.module, used, 0)))
        elif used:
            lines.append(ast.unparse(ast.Import(used)))
    return "\n".join(dict.fromkeys(lines))


# --- handing out ---


def students(path: Path) -> list[dict[str, str]]:
    """Read the list of students, a CSV file whose column `student` holds a short identifier for each.

    Args:
        path: the file, separated by commas or semicolons.

    Returns:
        The rows, with all their columns.

    Raises:
        CourseworkError: if the file cannot be read or lacks the column, or an identifier is empty, cannot
            name a folder or occurs twice; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CourseworkError(f"{path} cannot be read: {error}. Save it as CSV in UTF-8") from error
    separator = ";" if ";" in text.partition("\n")[0] else ","  # many European spreadsheets write semicolons
    reader = csv.DictReader(io.StringIO(text), delimiter=separator)
    if "student" not in (reader.fieldnames or ()):
        raise CourseworkError(
            f"{path}:1: there is no column 'student': give the column of identifiers this name"
        )
    rows, lines = [], {}
    for row in reader:
        name, line = (row["student"] or "").strip(), reader.line_num
        if not re.fullmatch(r"[A-Za-z0-9][\w.@+-]{0,63}", name, re.ASCII):
            raise CourseworkError(
                f"{path}:{line}: {name!r} cannot name a folder: use letters, digits and . _ @ + - only"
            )
        if name.lower() in lines:
            raise CourseworkError(f"{path}:{line}: {name!r} already stands in line {lines[name.lower()]}")
        lines[name.lower()] = line
        rows.append({"student": name} | {key: row[key] or "" for key in row if key not in ("student", None)})
    if not rows:
        raise CourseworkError(f"{path} lists no students")
    return rows


def release(
    folder: Path = FOLDER, roster: list[dict[str, str]] | None = None, allow_placeholder: bool = False
) -> list[Path]:
    """Make the students' copies of the notebooks with `nbgrader generate_assignment`.

    A student who is in the folder's record from an earlier hand-out keeps their seed.

    Args:
        folder: where the copies and their record go.
        roster: the rows of the list of students; each student gets a copy with a world seed of their own.
            Without it there is one copy for all.
        allow_placeholder: whether the copies may point to the placeholder, an address that belongs to nobody.

    Returns:
        The zip files to hand out.

    Raises:
        CourseworkError: if the project's address is the placeholder, the record of an earlier hand-out is
            damaged, or nbgrader is missing or fails.
    """
    if colab.is_placeholder() and not allow_placeholder:
        raise CourseworkError(
            f"students' copies would fetch the project from {colab.PLACEHOLDER}, which belongs to nobody: "
            "publish the project, then run python -m helpers address --repository https://github.com/YOU/NAME"
        )
    recorded = record(folder)["seeds"] if (folder / "record.json").exists() else {}
    seeds = _seeds([row["student"] for row in roster or []], recorded)
    (folder / "handout").mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as work:
        sources = _generate(Path(work))
        # Before the copies: if this stops half-way, no copy has a seed that is not recorded.
        text = json.dumps({"seeds": seeds, "roster": roster or []}, indent=1) + "\n"
        write_whole(folder / "record.json", text.encode())
        copies: dict[str, int | None] = {**seeds} or {ASSIGNMENT: None}
        return [_pack(sources, folder / "handout" / f"{name}.zip", seed) for name, seed in copies.items()]


def _seeds(names: list[str], recorded: dict[str, int]) -> dict[str, int]:
    """Return a seed for each student, a hundred apart: a run uses as many in a row as it has replicates."""
    taken = set(recorded.values())
    free = (
        seed for seed in random.SystemRandom().sample(range(100, 10_000), 9_900) if 100 * seed not in taken
    )
    return {name: recorded.get(name) or 100 * next(free) for name in names}


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


def _pack(sources: list[Path], path: Path, seed: int | None) -> Path:
    """Write the notebooks, with a cell for the student's seed if there is one, into a zip file."""
    import nbformat

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for source in sources:
            notebook = nbformat.read(source, 4)
            notebook.metadata.pop(notebooks.RECORD, None)
            notebook.metadata[ASSIGNMENT] = {"notebook": source.stem, "seed": seed}
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
        f'os.environ["SEED"] = "{seed}"'
    )
    locked = {"deletable": False, "editable": False, "tags": ["seed"]}
    notebook.cells.insert(setup + 1, new_code_cell(source, metadata=locked, id="seed"))


def _is_setup(cell) -> bool:
    return "setup" in cell.metadata.get("tags", [])


def record(folder: Path) -> dict:
    """Read the record of what was handed out.

    Args:
        folder: the folder of the hand-out.

    Returns:
        {"seeds": {student: seed}, "roster": rows of the list of students}.

    Raises:
        CourseworkError: if there is no record.json, or it cannot be read.
    """
    path = folder / "record.json"
    if not path.exists():
        raise CourseworkError(f"{path} is missing: name the folder of the hand-out with --release")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        seeds = {name: int(seed) for name, seed in content["seeds"].items()}
        roster = [dict(row, student=str(row["student"])) for row in content["roster"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CourseworkError(
            f"{path} cannot be read ({type(error).__name__}: {error}): "
            "restore it from a backup, because it holds the students' seeds"
        ) from error
    return {"seeds": seeds, "roster": roster}


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that whoever reads it finds the old or the new content, never half of it.

    Args:
        path: the file; its folder is made if it is missing.
        content: everything that the file will hold.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
