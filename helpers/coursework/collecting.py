"""Collects what students hand in: finds the cells that are graded, and names what is wrong with the files."""

import ast
import json
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from helpers.coursework.exercises import (
    ANSWER_STUB,
    FOLDER,
    NAME,
    STUB,
    CourseworkError,
    Exercise,
    all_exercises,
    complete,
    graded,
    record,
)

LARGEST = 512 << 20  # bytes of a submitted file that are read
HEAVY = 10 << 20  # bytes from which on outputs are mentioned


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
    handed_out = record(released)
    seeds, about = handed_out["seeds"], {row.pop("student"): row for row in handed_out["roster"]}
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
    name, say, tasks = submission.student, submission.findings.append, all_exercises()
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
    if isinstance(marked, str) and marked in complete():
        return marked
    grades = {_grade_id(cell) for cell in notebook["cells"]}
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


def _cell_id(cell: dict) -> str:
    return str(cell.get("id") or cell.get("metadata", {}).get("id"))


def _grade_id(cell: dict) -> str:
    return str(graded(cell).get("grade_id"))  # a damaged file may hold anything here


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
            copies = [cell for cell in cells if _grade_id(cell) == name]
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
    named = [cell for cell in of_kind if _grade_id(cell) == task.name]
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
