"""Hands the series out as coursework, and collects it: graded exercises, students' copies, submissions.

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
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from helpers import notebooks
from helpers.settings import ROOT

FOLDER = ROOT / "data" / "runs" / "coursework"  # what is handed out, and the record of it
NAME = "token-or-span"  # of the assignment
STUB = "raise NotImplementedError  # your code here"
ANSWER_STUB = "YOUR ANSWER HERE"
LARGEST = 512 << 20  # bytes of a submitted file that are read
HEAVY = 10 << 20  # bytes from which on outputs are mentioned


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
def exercises() -> tuple[Exercise, ...]:
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
    record = _record(folder) if (folder / "record.json").exists() else {}
    seeds = _seeds([row["student"] for row in roster or []], record.get("seeds", {}))
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


def _record(folder: Path) -> dict:
    try:
        return json.loads((folder / "record.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CourseworkError(
            f"{folder / 'record.json'} cannot be read ({error}): name the hand-out's folder by --release"
        ) from error


# --- collecting ---


@dataclass
class Finding:
    """Something wrong with a submission: what, what to do, and whether it was repaired on the way in."""

    where: str
    what: str
    remedy: str
    repaired: bool = False

    def __str__(self) -> str:
        state = "repaired" if self.repaired else "to do"
        return f"{self.where}: {self.what} [{state}: {self.remedy}]"


@dataclass
class Submission:
    """What one student handed in: the source of each exercise's cell that could be found."""

    student: str
    seed: int | None
    about: dict[str, str] = field(default_factory=dict)  # the other columns of the list of students
    answers: dict[str, str] = field(default_factory=dict)  # exercise -> source of its cell
    findings: list[Finding] = field(default_factory=list)


def collect(folder: Path, released: Path = FOLDER) -> list[Submission]:
    """Reads all submissions below `folder`: a folder or a zip file for each student. Changes none of them.

    Raises:
        CourseworkError: there is no such folder, nothing in it, or no record of the hand-out.
    """
    record = _record(released)
    seeds, about = record["seeds"], {row.pop("student"): row for row in record["roster"]}
    if not folder.is_dir():
        raise CourseworkError(
            f"{folder} is not a folder: name the one that holds a folder or zip per student"
        )
    places: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        if path.is_dir() or path.suffix.lower() in (".zip", ".ipynb"):
            places[path.name if path.is_dir() else path.stem].append(path)
    if not places:
        raise CourseworkError(f"{folder} holds no submissions: a folder, or a zip file, for each student")
    found = [
        Submission(name, seeds.get(name), about.get(name, {})) for name in dict.fromkeys([*places, *seeds])
    ]
    for submission in found:
        _fill(submission, places[submission.student], seeds)
    return found


def _fill(submission: Submission, paths: list[Path], seeds: dict[str, int]) -> None:
    """Reads what lies at `paths` into the submission."""
    name, say, tasks = submission.student, submission.findings.append, exercises()
    if not paths:
        say(Finding(name, "nothing was handed in", "graded with 0"))
        return
    if seeds and name not in seeds:
        say(Finding(name, "is nobody on the list of students", "rename it to the student's identifier"))
    if len(paths) > 1:
        say(Finding(name, "is there both as a folder and as a file", "remove one; the first was read"))
    by_stem: dict[str, list[tuple[str, dict]]] = defaultdict(list)
    for where, data in _files(paths[0], say):
        notebook = _parsed(where, data, say)
        if notebook is not None:
            by_stem[_which(where, notebook, tasks, say)].append((where, notebook))
    for stem in dict.fromkeys(task.notebook for task in tasks):
        wanted = [task for task in tasks if task.notebook == stem]
        copies = by_stem.get(stem, [])
        if not copies:
            say(Finding(name, f"{stem}.ipynb is missing", f"ask for it; without it {_worth(wanted)}"))
            continue
        if len(copies) > 1:
            others = ", ".join(where for where, _ in copies)
            say(
                Finding(
                    name,
                    f"{stem}.ipynb is there {len(copies)} times ({others})",
                    "keep one; the first was read",
                )
            )
        _read(*copies[0], wanted, submission)
    return submission


def _worth(tasks: Sequence[Exercise]) -> str:
    return f"{sum(task.most for task in tasks):g} points are lost"


def _files(path: Path, say) -> Iterator[tuple[str, bytes]]:
    """The notebooks in a folder or a zip file, as (name, content)."""
    if path.suffix.lower() == ".zip" and path.is_file():
        try:
            with zipfile.ZipFile(path) as archive:
                for entry in archive.infolist():
                    name = f"{path.name}/{entry.filename}"
                    if not _is_notebook(entry.filename):
                        continue
                    if entry.file_size > LARGEST:
                        say(Finding(name, "is too large to be read", "ask for it without outputs"))
                        continue
                    yield name, archive.read(entry)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, zipfile.zlib.error) as error:
            say(Finding(path.name, f"cannot be unpacked ({error})", "ask for it again"))
        return
    inside = [path] if path.is_file() else sorted(path.rglob("*"))
    for file in inside:
        name = file.relative_to(path.parent).as_posix()
        if not _is_notebook(name):
            continue
        if file.is_symlink() or not file.is_file():
            say(Finding(name, "is a link or no ordinary file", "ask for the notebook itself"))
        elif file.stat().st_size > LARGEST:
            say(Finding(name, "is too large to be read", "ask for it without outputs"))
        else:
            yield name, file.read_bytes()


def _is_notebook(name: str) -> bool:
    parts = name.lower().split("/")
    return parts[-1].endswith(".ipynb") and not {".ipynb_checkpoints", "__macosx"} & set(parts)


def _parsed(where: str, data: bytes, say) -> dict | None:
    """A notebook as plain data with a list of cells, or None and a finding."""
    try:
        notebook = json.loads(data.decode("utf-8-sig"))
        cells = notebook["cells"]
        for cell in cells:
            if isinstance(cell["source"], list):
                cell["source"] = "".join(cell["source"])
            cell["source"] = str(cell["source"]).encode("utf-8", "replace").decode()
            if not isinstance(cell.get("metadata", {}), dict):
                cell["metadata"] = {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        about = f"is not a notebook ({type(error).__name__}: {error})"
        say(Finding(where, about[:200], "ask for the .ipynb file as JupyterLab or Colab saves it"))
        return None
    if len(data) > HEAVY:
        say(
            Finding(where, f"has {len(data) >> 20} MB, mostly outputs", "outputs are not read", repaired=True)
        )
    return notebook


def _which(where: str, notebook: dict, tasks: Sequence[Exercise], say) -> str:
    """The name of the notebook that this is a copy of; empty, with a finding, if of another course."""
    metadata = notebook.get("metadata") or {}
    stamp = metadata.get(NAME) if isinstance(metadata, dict) else None
    marked = stamp.get("notebook") if isinstance(stamp, dict) else None
    if marked in complete():
        return marked
    grades = {graded(cell).get("grade_id") for cell in notebook["cells"]}
    for task in tasks:
        if task.name in grades or {cell for cell in task.cells if cell in grades}:
            return task.notebook
    ids = {_cell_id(cell) for cell in notebook["cells"]}
    for stem, whole in complete().items():  # without metadata: most cells' ids are still there
        if 2 * len(ids & {cell.id for cell in whole.cells}) > len(notebook["cells"]):
            return stem
    functions = "\n".join(cell["source"] for cell in notebook["cells"])
    for task in tasks:
        if re.search(rf"^def {task.name}\(", functions, re.MULTILINE):
            return task.notebook
    say(Finding(where, "is not a notebook of this course", "ask for the one that was handed out"))
    return ""


def _cell_id(cell: dict) -> object:
    return cell.get("id") or cell.get("metadata", {}).get("id")


def _read(where: str, notebook: dict, tasks: Sequence[Exercise], submission: Submission) -> None:
    """Finds the exercises' cells in a notebook, and says what is wrong with it."""
    say, cells = submission.findings.append, notebook["cells"]
    _check_seed(where, cells, submission)
    given = {graded(cell)["grade_id"]: cell for cell in complete()[tasks[0].notebook].cells if graded(cell)}
    for task in tasks:
        answer = _find(where, cells, task, say)
        if answer is not None:
            submission.answers[task.name] = answer
        for name in task.cells:
            copies = [cell for cell in cells if graded(cell).get("grade_id") == name]
            expected = _shown(given[name]["source"])
            if not copies:
                say(Finding(where, f"the check {name} is gone", "the check of the hand-out is used", True))
            elif any(_plain(cell["source"]) != _plain(expected) for cell in copies):
                say(
                    Finding(where, f"the check {name} was changed", "the check of the hand-out is used", True)
                )


def _check_seed(where: str, cells: list[dict], submission: Submission) -> None:
    wanted, say = submission.seed, submission.findings.append
    seeds = re.findall(
        r'^os\.environ\["SEED"\] = "(\d+)"', "\n".join(c["source"] for c in cells), re.MULTILINE
    )
    if wanted is None:
        return
    if not seeds:
        say(Finding(where, "the cell with the student's seed is gone", f"graded with seed {wanted}", True))
    elif set(seeds) != {str(wanted)}:
        what = f"has seed {', '.join(sorted(set(seeds)))}; this student's is {wanted}"
        say(Finding(where, what, "is it another student's copy? Graded with the student's own seed"))


def _shown(source: str) -> str:
    """A locked cell as the students get it."""
    return re.sub(r"\n?### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS", "", source, flags=re.DOTALL)


def _plain(source: str) -> str:
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


def _find(where: str, cells: list[dict], task: Exercise, say) -> str | None:
    """The student's cell for an exercise: by nbgrader's name, by cell id, or by the function it defines."""
    of_kind = [cell for cell in cells if (cell.get("cell_type") == "markdown") == task.written]
    named = [cell for cell in of_kind if graded(cell).get("grade_id") == task.name]
    if not named:
        defines = re.compile(rf"^def {task.name}\(", re.MULTILINE)
        by_id = [cell for cell in of_kind if _cell_id(cell) == task.cell_id]
        by_function = [] if task.written else [cell for cell in of_kind if defines.search(cell["source"])]
        named = by_id or by_function
        if not named:
            remedy = f"ask for it; without it {_worth([task])}"
            say(Finding(where, f"the cell of {task.name} is gone", remedy))
            return None
        say(
            Finding(
                where, f"the cell of {task.name} has lost its metadata", "it was found all the same", True
            )
        )
    sources = list(dict.fromkeys(_plain(cell["source"]) for cell in named))
    solved = [source for source in sources if not _unsolved(source)]
    if len(named) > 1:
        what = f"the cell of {task.name} is there {len(named)} times"
        if len(solved) <= 1:
            say(Finding(where, what, "the copies agree, or one alone is solved: it is graded", True))
        else:
            say(Finding(where, what, "the copies differ: ask which one counts. The last is graded"))
    return (solved or sources)[-1]


def _unsolved(source: str) -> bool:
    return STUB in source or source.strip() == ANSWER_STUB


def code_of(source: str) -> str:
    """Code without comments, blanks and docstrings, to tell whether two students handed in the same."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return _plain(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)
