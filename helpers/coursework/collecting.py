"""Collects submissions: finds the cells of the graded exercises, and reports what is wrong with the files."""

import ast
import json
import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from helpers.coursework.exercises import (
    ANSWER_STUB,
    ASSIGNMENT,
    CODE_STUB,
    FOLDER,
    CourseworkError,
    Exercise,
    all_exercises,
    complete_notebooks,
    nbgrader_metadata,
    record,
)

MAX_FILE_BYTES = 512 << 20  # larger files are not read
LARGE_FILE_BYTES = 10 << 20  # larger files are read, and reported


@dataclass
class Finding:
    """A problem with a submission, its remedy, and whether it was repaired while reading."""

    where: str  # the student, or a file of theirs
    problem: str
    remedy: str
    repaired: bool = False

    def __str__(self) -> str:
        state = "repaired" if self.repaired else "to do"
        return f"{self.where}: {self.problem} [{state}: {self.remedy}]"


@dataclass
class Submission:
    """What one student handed in: the source of each exercise's cell that was found."""

    student: str
    seed: int | None
    roster_columns: dict[str, str] = field(default_factory=dict)  # the other columns of the list of students
    answers: dict[str, str] = field(default_factory=dict)  # exercise -> source of its cell
    findings: list[Finding] = field(default_factory=list)

    def add_finding(self, where: str, problem: str, remedy: str, repaired: bool = False) -> None:
        """Add a finding to this submission.

        Args:
            where: the student, or a file of theirs.
            problem: what is wrong.
            remedy: what to do about it, or what was done.
            repaired: whether it was repaired while reading.
        """
        self.findings.append(Finding(where, problem, remedy, repaired))


def collect(folder: Path, released: Path = FOLDER) -> list[Submission]:
    """Read all submissions in a folder without changing any of them.

    Args:
        folder: holds a folder, a zip file or a notebook for each student, with the identifier as its name.
        released: the folder of the hand-out.

    Returns:
        The submissions, and an empty one for each student who handed in nothing.

    Raises:
        CourseworkError: if there is no such folder, it holds no submissions, or the hand-out's record cannot
            be read.
    """
    handed_out = record(released)
    seeds = handed_out["seeds"]
    roster_columns = {row.pop("student"): row for row in handed_out["roster"]}
    if not folder.is_dir():
        raise CourseworkError(
            f"{folder} is not a folder: name the one that holds a folder or a zip file for each student"
        )
    paths: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        if path.is_dir() or path.suffix.lower() in (".zip", ".ipynb"):
            paths[_text(path.name if path.is_dir() else path.stem)].append(path)
    if not paths:
        raise CourseworkError(
            f"{folder} holds no submissions: put a folder or a zip file for each student there"
        )
    submissions = [
        Submission(name, seeds.get(name), roster_columns.get(name, {}))
        for name in dict.fromkeys([*paths, *seeds])
    ]
    for submission in submissions:
        _read_submission(submission, paths[submission.student], seeds)
    return submissions


def _read_submission(submission: Submission, paths: list[Path], seeds: dict[str, int]) -> None:
    student = submission.student
    if not paths:
        submission.add_finding(student, "nothing was handed in", "ask for it; without it the grade is 0")
        return
    if seeds and student not in seeds:
        submission.add_finding(
            student, "is not on the list of students", "rename it to the student's identifier"
        )
    if len(paths) > 1:
        submission.add_finding(
            student, "was handed in as a folder and as a file", "remove one of them; the first was read"
        )
    copies: dict[str, list[tuple[str, dict]]] = defaultdict(list)
    for where, data in _notebook_files(paths[0], submission):
        notebook = _parse(where, data, submission)
        if notebook is not None:
            copies[_identify(where, notebook, submission)].append((where, notebook))
    for name in dict.fromkeys(exercise.notebook for exercise in all_exercises()):
        exercises = [exercise for exercise in all_exercises() if exercise.notebook == name]
        found = copies.get(name, [])
        if not found:
            remedy = f"ask for it; without it {_points_lost(exercises)}"
            submission.add_finding(student, f"{name}.ipynb is missing", remedy)
            continue
        if len(found) > 1:
            files = ", ".join(where for where, _ in found)
            submission.add_finding(
                student,
                f"there are {len(found)} copies of {name}.ipynb ({files})",
                "keep one of them; the first was read",
            )
        _read_notebook(*found[0], exercises, submission)


def _points_lost(exercises: Iterable[Exercise]) -> str:
    return f"{sum(exercise.maximum for exercise in exercises):g} points are lost"


# --- files ---


def _notebook_files(path: Path, submission: Submission) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of each notebook in a folder or a zip file."""
    if path.suffix.lower() == ".zip" and path.is_file():
        yield from _zipped_notebooks(path, submission)
        return
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        name = _text(file.relative_to(path.parent).as_posix())
        if not _is_notebook(name):
            continue
        if file.is_symlink() or not file.is_file():
            submission.add_finding(name, "is a link or not an ordinary file", "ask for the notebook itself")
        elif file.stat().st_size > MAX_FILE_BYTES:
            submission.add_finding(name, "is too large to be read", "ask for it without outputs")
        else:
            yield name, file.read_bytes()


def _zipped_notebooks(path: Path, submission: Submission) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                name = _text(f"{path.name}/{entry.filename}")
                if not _is_notebook(entry.filename):
                    continue
                if entry.file_size > MAX_FILE_BYTES:
                    submission.add_finding(name, "is too large to be read", "ask for it without outputs")
                    continue
                yield name, archive.read(entry)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, zlib.error) as error:
        submission.add_finding(_text(path.name), f"cannot be unpacked ({error})", "ask for it again")


def _text(name: str) -> str:
    """Return the name of a file such that it can be written, even if its bytes are not UTF-8."""
    return name.encode("utf-8", "replace").decode()


def _is_notebook(name: str) -> bool:
    parts = name.lower().split("/")
    return parts[-1].endswith(".ipynb") and not {".ipynb_checkpoints", "__macosx"} & set(parts)


def _parse(where: str, data: bytes, submission: Submission) -> dict | None:
    """Return a notebook as plain data, with each cell's source as one string; None if it cannot be read."""
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
        problem = f"is not a notebook ({type(error).__name__}: {error})"[:200]
        submission.add_finding(where, problem, "ask for the .ipynb file that JupyterLab or Colab saves")
        return None
    if len(data) > LARGE_FILE_BYTES:
        problem = f"has {len(data) >> 20} MB, mostly outputs"
        submission.add_finding(where, problem, "outputs are not read", repaired=True)
    return notebook


# --- the cells of a notebook ---


def _identify(where: str, notebook: dict, submission: Submission) -> str:
    """Return which notebook of the series this is a copy of; empty if of none."""
    metadata = notebook.get("metadata") or {}
    stamp = metadata.get(ASSIGNMENT) if isinstance(metadata, dict) else None
    stamped_name = stamp.get("notebook") if isinstance(stamp, dict) else None
    if isinstance(stamped_name, str) and stamped_name in complete_notebooks():
        return stamped_name
    grade_ids = {_grade_id(cell) for cell in notebook["cells"]}
    for exercise in all_exercises():
        if exercise.name in grade_ids or grade_ids & set(exercise.locked_cells):
            return exercise.notebook
    cell_ids = {_cell_id(cell) for cell in notebook["cells"]}
    for name, complete in complete_notebooks().items():  # most cells keep their id when metadata is lost
        if 2 * len(cell_ids & {cell.id for cell in complete.cells}) > len(notebook["cells"]):
            return name
    code = "\n".join(cell["source"] for cell in notebook["cells"])
    for exercise in all_exercises():
        if _definition(exercise).search(code):
            return exercise.notebook
    submission.add_finding(where, "is not a notebook of this course", "ask for the one that was handed out")
    return ""


def _cell_id(cell: dict) -> str:
    return str(cell.get("id") or cell.get("metadata", {}).get("id"))


def _grade_id(cell: dict) -> str:
    return str(nbgrader_metadata(cell).get("grade_id"))  # not always a string in a damaged file


def _definition(exercise: Exercise) -> re.Pattern:
    return re.compile(rf"^def {exercise.name}\(", re.MULTILINE)


def _read_notebook(where: str, notebook: dict, exercises: Sequence[Exercise], submission: Submission) -> None:
    """Add a notebook's answers to the submission, and report what is wrong with its cells."""
    cells = notebook["cells"]
    _compare_seed(where, cells, submission)
    for exercise in exercises:
        answer = _find_answer(where, cells, exercise, submission)
        if answer is not None:
            submission.answers[exercise.name] = answer
        _compare_checks(where, cells, exercise, submission)


def _compare_seed(where: str, cells: list[dict], submission: Submission) -> None:
    """Report if the notebook's seed is not the student's."""
    if submission.seed is None:
        return
    code = "\n".join(cell["source"] for cell in cells)
    found = set(re.findall(r'^os\.environ\["SEED"\] = "(\d+)"', code, re.MULTILINE))
    if not found:
        remedy = f"it is graded with seed {submission.seed}"
        submission.add_finding(where, "the cell with the student's seed is missing", remedy, repaired=True)
    elif found != {str(submission.seed)}:
        submission.add_finding(
            where,
            f"has seed {', '.join(sorted(found))}; this student's is {submission.seed}",
            "ask whether it is another student's copy; it is graded with this student's seed",
        )


def _compare_checks(where: str, cells: list[dict], exercise: Exercise, submission: Submission) -> None:
    """Report an exercise's checks that are missing or were changed."""
    complete = complete_notebooks()[exercise.notebook].cells
    originals = {_grade_id(cell): _without_hidden_tests(cell["source"]) for cell in complete}
    for name in exercise.locked_cells:
        copies = [cell for cell in cells if _grade_id(cell) == name]
        if not copies:
            problem = f"the check {name} is missing"
        elif any(_normalized(cell["source"]) != _normalized(originals[name]) for cell in copies):
            problem = f"the check {name} was changed"
        else:
            continue
        submission.add_finding(where, problem, "the original check is used", repaired=True)


def _without_hidden_tests(source: str) -> str:
    return re.sub(r"\n?### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS", "", source, flags=re.DOTALL)


def _normalized(source: str) -> str:
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


def _find_answer(where: str, cells: list[dict], exercise: Exercise, submission: Submission) -> str | None:
    """Return the student's answer to an exercise, of several copies the last that is solved."""
    found = _answer_cells(where, cells, exercise, submission)
    if not found:
        remedy = f"ask for it; without it {_points_lost([exercise])}"
        submission.add_finding(where, f"the cell of {exercise.name} is missing", remedy)
        return None
    sources = list(dict.fromkeys(_normalized(cell["source"]) for cell in found))
    solved = [source for source in sources if CODE_STUB not in source and source.strip() != ANSWER_STUB]
    if len(found) > 1:
        problem = f"there are {len(found)} cells of {exercise.name}"
        if len(solved) <= 1:
            remedy = "they agree, or only one of them is solved: that one is graded"
            submission.add_finding(where, problem, remedy, repaired=True)
        else:
            remedy = "they differ: ask which one counts; the last one is graded"
            submission.add_finding(where, problem, remedy)
    return (solved or sources)[-1]


def _answer_cells(where: str, cells: list[dict], exercise: Exercise, submission: Submission) -> list[dict]:
    """Return the cells that answer an exercise: by nbgrader's name, by cell id, or by the function."""
    cells = [cell for cell in cells if (cell.get("cell_type") == "markdown") == exercise.written]
    by_name = [cell for cell in cells if _grade_id(cell) == exercise.name]
    if by_name:
        return by_name
    found = [cell for cell in cells if _cell_id(cell) == exercise.cell_id]
    if not found and not exercise.written:
        found = [cell for cell in cells if _definition(exercise).search(cell["source"])]
    if found:
        problem = f"the cell of {exercise.name} has lost its metadata"
        submission.add_finding(where, problem, "it was found all the same", repaired=True)
    return found


def canonical_code(source: str) -> str:
    """Return code without comments, blanks and docstrings, to tell whether two students share theirs.

    Args:
        source: a cell of code.

    Returns:
        A text that is equal for equal code; not code itself.
    """
    try:
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
                node.body = node.body[1:]
        return ast.dump(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _normalized(source)
