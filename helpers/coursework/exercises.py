"""The series as coursework: its graded exercises, and the copies that are handed out to students.

The complete notebooks are the one source. Their graded cells carry nbgrader's metadata
(https://nbgrader.readthedocs.io): a solution cell, a visible check, and one cell for each point.
"""

import ast
import csv
import io
import json
import random
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from helpers.publishing import notebooks
from helpers.settings import ROOT

FOLDER = ROOT / "data" / "runs" / "coursework"  # what is handed out, and the record of it
NAME = "token-or-span"  # of the assignment
STUB = "raise NotImplementedError  # your code here"
ANSWER_STUB = "YOUR ANSWER HERE"


class CourseworkError(ValueError):
    """The list of students, the folder or the hand-out cannot be used; the message says what to do."""


# --- the exercises, read from the complete notebooks ---


@dataclass(frozen=True)
class Point:
    """One cell that gives points: its first line says for what, `source` is its check."""

    name: str  # nbgrader's grade_id
    title: str
    source: str
    points: float


@dataclass(frozen=True)
class Exercise:
    """A graded exercise: the function that students write, or a question that is answered in words."""

    name: str  # of the function; nbgrader's grade_id of the solution cell
    notebook: str  # the notebook's name without .ipynb
    cell_id: str
    source: str  # of the cell with its solution
    points: tuple[Point, ...]
    written: bool = False  # graded by hand
    cells: tuple[str, ...] = ()  # grade_ids of its locked cells

    @property
    def most(self) -> float:
        """The points that can be had."""
        return sum(point.points for point in self.points)


def graded(cell) -> dict:
    """nbgrader's metadata of a cell; empty where it has none."""
    found = cell.get("metadata", {}).get("nbgrader", {})
    return found if isinstance(found, dict) else {}


@cache
def complete() -> dict:
    """The complete notebooks by their names, read once."""
    return {path.stem: notebooks.read(path) for path in notebooks.paths()}


@cache
def all_exercises() -> tuple[Exercise, ...]:
    """All graded exercises of the complete notebooks, in reading order."""
    found = []
    for stem, notebook in complete().items():
        cells = [cell for cell in notebook.cells if graded(cell)]
        for cell in cells:
            name = graded(cell)["grade_id"]
            written = cell.cell_type == "markdown"
            if not graded(cell)["solution"]:
                continue
            parts = [cell] if written else [other for other in cells if _belongs(other, name)]
            points = tuple(_point(part) for part in parts if graded(part)["grade"])
            locked = tuple(graded(part)["grade_id"] for part in parts if graded(part)["locked"])
            found.append(Exercise(name, stem, cell.id, cell.source, points, written, locked))
    return tuple(found)


def _belongs(cell, name: str) -> bool:
    return graded(cell)["grade_id"].rpartition("_")[0] == name and not graded(cell)["solution"]


def _point(cell) -> Point:
    title = cell.source.partition("\n")[0].partition(": ")[2]
    return Point(graded(cell)["grade_id"], title, cell.source, graded(cell)["points"])


def imports(stem: str, used_by: str, ours: bool) -> str:
    """The imports of a notebook that bind a name used by the code `used_by`; with `ours`, of helpers too.

    So a student's function may use what its notebook imports, and starts as fast as what it uses.
    """
    try:
        names = {node.id for node in ast.walk(ast.parse(used_by)) if isinstance(node, ast.Name)}
    except (SyntaxError, ValueError, RecursionError):
        return ""  # the code says so itself when it is run
    lines = []
    cells = [cell for cell in complete()[stem].cells if cell.cell_type == "code" and not _is_setup(cell)]
    for node in (node for cell in cells for node in ast.parse(cell.source).body):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "helpers" and not ours:
            continue
        used = [name for name in node.names if (name.asname or name.name) in names]
        if used:
            module = [node.module, 0] if isinstance(node, ast.ImportFrom) else []
            lines.append(ast.unparse(type(node)(*module[:1], used, *module[1:])))
    return "\n".join(dict.fromkeys(lines))


# --- handing out ---


def students(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file of students. Its column `student` names each by a short identifier.

    Raises:
        CourseworkError: the file cannot be read, lacks the column, or an identifier is empty, unfit for the
            name of a folder, or there twice; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CourseworkError(f"{path} cannot be read: {error}. Save it as CSV in UTF-8") from error
    separator = ";" if ";" in text.partition("\n")[0] else ","  # spreadsheets of half of Europe write ;
    reader = csv.DictReader(io.StringIO(text), delimiter=separator)
    if "student" not in (reader.fieldnames or ()):
        raise CourseworkError(f"{path}:1: no column is called 'student': name the one with identifiers so")
    rows, seen = [], {}
    for row in reader:
        name, line = (row["student"] or "").strip(), reader.line_num
        if not re.fullmatch(r"[A-Za-z0-9][\w.@+-]{0,63}", name, re.ASCII):
            raise CourseworkError(
                f"{path}:{line}: {name!r} cannot name a folder: use letters, digits and . _ @ + - only"
            )
        if name.lower() in seen:
            raise CourseworkError(f"{path}:{line}: {name!r} is in line {seen[name.lower()]} already")
        seen[name.lower()] = line
        rows.append({"student": name} | {key: row[key] or "" for key in row if key not in ("student", None)})
    if not rows:
        raise CourseworkError(f"{path} lists no students")
    return rows


def release(folder: Path = FOLDER, roster: list[dict[str, str]] | None = None) -> list[Path]:
    """Makes the students' notebooks with `nbgrader generate_assignment`; returns the zip files to hand out.

    With a roster there is one for each student, with a world seed of their own; otherwise one for all. A
    student who was there when `folder` was made before keeps their seed.

    Raises:
        CourseworkError: nbgrader is not installed, or refuses the notebooks.
    """
    known = record(folder)["seeds"] if (folder / "record.json").exists() else {}
    seeds = _seeds([row["student"] for row in roster or []], known)
    (folder / "handout").mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as work:
        made = _generate(Path(work))
        zips = [
            _pack(made, folder / "handout" / f"{name}.zip", name, seed)
            for name, seed in (seeds or {NAME: None}).items()
        ]
    text = json.dumps({"seeds": seeds, "roster": roster or []}, indent=1)
    (folder / "record.json").write_text(text + "\n", encoding="utf-8")
    return zips


def _seeds(names: list[str], known: dict[str, int]) -> dict[str, int]:
    """A seed for each student, far from every other: a run takes as many in a row as it has replicates."""
    taken = set(known.values())
    free = (
        seed for seed in random.SystemRandom().sample(range(100, 10_000), 9_900) if 100 * seed not in taken
    )
    return {name: known.get(name) or 100 * next(free) for name in names}


def _generate(work: Path) -> list[Path]:
    """The notebooks without solutions, hidden checks and outputs, made below `work`."""
    source = work / "source" / NAME
    source.mkdir(parents=True)
    for path in notebooks.paths():
        (source / path.name).write_bytes(path.read_bytes())
    (work / "nbgrader_config.py").write_text(
        f"c = get_config()\nc.ClearSolutions.code_stub = {{'python': {STUB!r}}}\n"
        f"c.ClearSolutions.text_stub = {ANSWER_STUB!r}\n"
    )
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", NAME, "--no-db"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True)
    if done.returncode:
        raise CourseworkError(
            f"nbgrader failed. If it is missing: pip install -e '.[coursework]'\n{done.stderr}"
        )
    return sorted((work / "release" / NAME).glob("*.ipynb"))


def _pack(made: list[Path], path: Path, student: str, seed: int | None) -> Path:
    import nbformat
    from nbformat.v4 import new_code_cell

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for source in made:
            notebook = nbformat.read(source, 4)
            notebook.metadata.pop(notebooks.RECORD, None)
            notebook.metadata[NAME] = {"notebook": source.stem, "seed": seed}
            if seed is not None:
                setup = next(i for i, cell in enumerate(notebook.cells) if _is_setup(cell))
                lines = (
                    "# Your own world: numbers that you measure are yours alone. Leave this cell as it is.",
                    f'os.environ["SEED"] = "{seed}"',
                )
                locked = {"deletable": False, "editable": False, "tags": ["seed"]}
                notebook.cells.insert(setup + 1, new_code_cell("\n".join(lines), metadata=locked, id="seed"))
            archive.writestr(f"{NAME}/{source.name}", nbformat.writes(notebook))
    return path


def _is_setup(cell) -> bool:
    return "setup" in cell.metadata.get("tags", [])


def record(folder: Path) -> dict:
    """What was handed out: {"seeds": {student: seed}, "roster": rows of the list of students}.

    Raises:
        CourseworkError: the file record.json cannot be read.
    """
    try:
        return json.loads((folder / "record.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CourseworkError(
            f"{folder / 'record.json'} cannot be read ({error}): name the hand-out's folder by --release"
        ) from error
