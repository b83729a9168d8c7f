"""Collects submissions: whose each file is, which copy of a notebook counts, and what is wrong with it."""

import ast
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from helpers.coursework import answers, archives, records
from helpers.coursework.archives import printable
from helpers.coursework.exercises import (
    ANSWER_STUB,
    ASSIGNMENT,
    CODE_STUB,
    FOLDER,
    Exercise,
    all_exercises,
    complete_notebooks,
    nbgrader_metadata,
)
from helpers.coursework.records import CourseworkError

NOTHING = "nothing was handed in"
LARGE_FILE_BYTES = 10 << 20  # larger files are read, and reported
# What learning platforms, browsers and people put behind an identifier, beside numbers and dates.
SUFFIXES = set(
    [
        "attempt",
        "versuch",
        "late",
        "copy",
        "kopie",
        "copie",
        "final",
        "v",
        "version",
        "submission",
        "abgabe",
        "token",
        "or",
        "span",
    ]
)
# Canvas, Moodle, Blackboard
PLATFORM = re.compile(r"[ _-](late_)?\d+_(\d+_|assignsubmission).*|[ _-]attempt_\d.*", re.IGNORECASE)


@dataclass
class Finding:
    """A problem with a submission, its remedy, and whether it was repaired while reading."""

    where: str  # the student, or a file of theirs
    problem: str
    remedy: str
    repaired: bool = False

    def __str__(self) -> str:
        state = "repaired" if self.repaired else "to do"
        return printable(f"{self.where}: {self.problem} [{state}: {self.remedy}]")


@dataclass
class Submission:
    """What one student handed in: the source of each exercise's cell that was found."""

    student: str
    seed: int | None
    roster_columns: dict[str, str] = field(default_factory=dict)  # the other columns of the list of students
    answers: dict[str, str] = field(default_factory=dict)  # exercise -> source of its cell
    findings: list[Finding] = field(default_factory=list)
    taken_along: dict[str, str] = field(default_factory=dict)  # exercise -> what it uses of other cells
    handed_in: bool = True  # whether there is any file of theirs

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
        folder: holds a folder, an archive or a notebook for each student, with the identifier as its name.
        released: the folder of the hand-out.

    Returns:
        The submissions, and an empty one for each student who handed in nothing.

    Raises:
        CourseworkError: if there is no such folder, it holds no submissions, or the hand-out's record cannot
            be read.
    """
    handed_out = records.read(released)
    seeds = handed_out["seeds"]
    roster_columns = {row.pop("student"): row for row in handed_out["roster"]}
    if not folder.is_dir():
        raise CourseworkError(
            f"{folder} is not a folder: name the one that holds a folder or a zip file for each student"
        )
    try:
        entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith((".", "__MACOSX"))]
    except OSError as error:
        raise CourseworkError(f"{folder} cannot be read ({error.strerror}): make it readable") from error
    attempts, unclaimed = _whose(entries, seeds)
    if not attempts:
        raise CourseworkError(
            f"{folder} holds no submissions: put a folder or a zip file for each student there"
        )
    submissions = [
        Submission(name, seeds.get(name), roster_columns.get(name, {}), handed_in=name in attempts)
        for name in dict.fromkeys([*attempts, *seeds])
    ]
    for submission in submissions:
        try:
            _read_submission(submission, attempts.get(submission.student, []), seeds, unclaimed)
        except Exception as error:  # whatever is in it, it must not stop the others
            problem = f"cannot be read to the end ({type(error).__name__}: {error})"[:200]
            submission.add_finding(submission.student, problem, "look at it yourself, or ask for it again")
    return submissions


# --- whose a file is, and which attempt ---


def _whose(
    entries: Sequence[Path], seeds: dict[str, int]
) -> tuple[dict[str, list[Path]], dict[str, list[str]]]:
    """Sort the entries of a folder by students, a student's attempts by their numbers.

    Returns:
        The attempts of each student, the last one last; and for students without any the entries that may be
        theirs.
    """
    stems = {path: _stem(path) for path in entries}
    names = seeds or [stem for path, stem in stems.items() if _looks_submitted(path)]
    attempts: dict[str, list[tuple[list[int], Path]]] = defaultdict(list)
    unclaimed = defaultdict(list)
    for path, stem in stems.items():
        student = _owner(stem, list(names), listed=bool(seeds))
        if student or _looks_submitted(path):
            student = student or printable(stem)
            suffix = stem[len(student) :] if stem.lower().startswith(student.lower()) else stem
            attempts[student].append(([int(number) for number in re.findall(r"\d{1,20}", suffix)], path))
        for name in seeds:
            if student not in seeds and stem.lower().startswith(name.lower()):
                unclaimed[name].append(printable(path.name))
    last_one_last = {
        student: [path for _, path in sorted(found, key=lambda one: one[0])]
        for student, found in attempts.items()
    }
    return last_one_last, unclaimed


def _owner(stem: str, names: list[str], listed: bool) -> str | None:
    """Return whose identifier the name of a file holds, with what platforms add to it; None if nobody's."""
    if not listed:  # without a list, ada-2 may be somebody else; a browser's "ada (2)" is nobody
        plain = re.sub(r"[ _-]?\(\d+\)$", "", stem)
        return plain if plain in names else None
    for name in sorted(names, key=len, reverse=True):  # because one may be called ada, and one ada-2
        rest = stem[len(name) :]
        if not stem.lower().startswith(name.lower()) or rest[:1].isalnum():
            continue
        words = re.findall(r"[^\W\d_]+", rest.lower())
        if set(words) <= SUFFIXES or PLATFORM.fullmatch(rest):
            return name
    inside = re.search(r"_([^_]+)_attempt_", stem)  # Blackboard writes ASSIGNMENT_ID_attempt_DATE
    return next((name for name in names if inside and name.lower() == inside[1].lower()), None)


def _stem(path: Path) -> str:
    """Return the name without the ending of an archive or notebook, or of any other file."""
    if path.is_dir():
        return path.name
    ending = archives.ending(path.name)
    return path.name[: -len(ending)] if path.name.lower().endswith(ending or " ") else path.stem


def _looks_submitted(path: Path) -> bool:
    return path.is_dir() or bool(archives.ending(path.name))


def _read_submission(
    submission: Submission, paths: list[Path], seeds: dict[str, int], unclaimed: dict[str, list[str]]
) -> None:
    student = submission.student
    if not paths:
        maybe = unclaimed.get(student, [])
        remedy = "ask for it; without it the grade is 0"
        if maybe:
            remedy += f". Or is it {', '.join(maybe)}? Then give it the identifier as its name"
        submission.add_finding(student, NOTHING, remedy)
        return
    if seeds and student not in seeds:
        submission.add_finding(
            student, "is not on the list of students", "rename it to the student's identifier"
        )
    files, stems = ", ".join(printable(path.name) for path in paths), {_stem(path).lower() for path in paths}
    if len(stems) < len(paths):
        remedy = f"remove one of them; {printable(paths[-1].name)} was read first"
        submission.add_finding(student, f"was handed in as a folder and as a file ({files})", remedy)
    elif len(paths) > 1:
        remedy = f"of each notebook the last one counts, from {printable(paths[-1].name)} if it is there"
        submission.add_finding(student, f"there are {len(paths)} attempts ({files})", remedy, repaired=True)
    elif stems != {student.lower()} and student in seeds:
        submission.add_finding(
            student, f"{files} was taken for theirs", "rename it if it is not", repaired=True
        )
    copies: dict[str, list[_Copy]] = defaultdict(list)
    allowance, files_read, before = archives.Allowance(), 0, len(submission.findings)
    for attempt, path in enumerate(paths):
        for where, data in archives.notebooks(path, submission.add_finding, allowance):
            files_read += 1
            try:
                copy = _read_copy(where, attempt, data, submission)
            except Exception as error:
                problem = f"is not a notebook that can be read ({type(error).__name__}: {error})"[:200]
                submission.add_finding(where, problem, "look at it yourself, or ask for it again")
            else:
                if copy:
                    copies[copy.notebook].append(copy)
    if not files_read and len(submission.findings) == before:
        submission.add_finding(student, f"there is no notebook in {files}", "ask for the .ipynb files")
    for name in dict.fromkeys(exercise.notebook for exercise in all_exercises()):
        exercises = [exercise for exercise in all_exercises() if exercise.notebook == name]
        if not copies[name]:
            remedy = f"ask for it; without it {_points_lost(exercises)}"
            submission.add_finding(student, f"{name}.ipynb is missing", remedy)
        else:
            _read_notebook(_choose(copies[name], submission), exercises, submission)


def _points_lost(exercises: Iterable[Exercise]) -> str:
    return f"{sum(exercise.maximum for exercise in exercises):g} points are lost"


# --- which copy of a notebook counts ---


@dataclass
class _Copy:
    """One copy of a notebook."""

    where: str
    attempt: int
    notebook: str  # which of the series; empty if none
    cells: list[dict]  # without outputs

    def order(self) -> tuple:
        """Return what sorts copies: the attempt, then the numbers in names such as "02 (1)"."""
        name = self.where.rpartition("/")[2].removesuffix(".ipynb")
        return self.attempt, [int(number) for number in re.findall(r"\d+", name.partition("_")[2] or name)]

    def solutions(self) -> tuple[str, ...]:
        """Return the answers that are no stubs."""
        mine = [exercise for exercise in all_exercises() if exercise.notebook == self.notebook]
        found = [source for exercise in mine for source, _ in _candidates(self.cells, exercise, [])]
        return tuple(normalized(source) for source in found if not _is_stub(source))


def _choose(copies: list[_Copy], submission: Submission) -> _Copy:
    """Return the copy that counts: the last one that is not as it was handed out."""
    copies = sorted(copies, key=_Copy.order)
    solved = [copy for copy in copies if copy.solutions()] or copies
    chosen = solved[-1]
    same_attempt = [copy for copy in copies if copy.attempt == chosen.attempt]
    if len(same_attempt) > 1:
        files = ", ".join(copy.where for copy in same_attempt)
        problem = f"there are {len(same_attempt)} copies of {chosen.notebook}.ipynb ({files})"
        if len({copy.solutions() for copy in solved if copy.attempt == chosen.attempt}) > 1:
            remedy = f"they differ: ask which one counts; {chosen.where} was read"
            submission.add_finding(submission.student, problem, remedy)
        else:
            remedy = f"they agree, or one is as it was handed out; {chosen.where} was read"
            submission.add_finding(submission.student, problem, remedy, repaired=True)
    if chosen.attempt < max(copy.attempt for copy in copies):
        submission.add_finding(
            chosen.where,
            "is solved in this attempt, and not in a later one",
            "this one was read",
            repaired=True,
        )
    return chosen


def _read_copy(where: str, attempt: int, data: bytes, submission: Submission) -> _Copy | None:
    """Return a notebook without its outputs; None if it cannot be read, or is not the student's."""
    try:
        notebook = json.loads(
            data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        )
        cells = [_clean(cell) for cell in notebook["cells"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problem = f"is not a notebook ({type(error).__name__}: {error})"[:200]
        submission.add_finding(where, problem, "ask for the .ipynb file that JupyterLab or Colab saves")
        return None
    if len(data) > LARGE_FILE_BYTES:
        problem = f"has {len(data) >> 20} MB, mostly outputs"
        submission.add_finding(where, problem, "outputs are not read", repaired=True)
    if any("### BEGIN HIDDEN TESTS" in cell["source"] for cell in cells):
        problem = "is the published notebook with the solutions, not the student's copy"
        submission.add_finding(
            where, problem, "it is not graded; the student's own copy is, if it is there", True
        )
        return None
    name = _identify(notebook.get("metadata"), cells)
    if not name:
        submission.add_finding(
            where, "is not a notebook of this course", "ask for the one that was handed out"
        )
        return None
    return _Copy(where, attempt, name, cells)


def _clean(cell: dict) -> dict:
    """Return what is read of a cell: its type, source, metadata and id, whatever the file holds."""
    source = cell["source"]
    source = "".join(source) if isinstance(source, list) else str(source)
    metadata = cell.get("metadata")
    return {
        "cell_type": cell.get("cell_type"),
        "source": source.encode("utf-8", "replace").decode(),
        "metadata": metadata if isinstance(metadata, dict) else {},
        "id": cell.get("id"),
    }


def _identify(metadata: object, cells: list[dict]) -> str:
    """Return which notebook of the series this is a copy of; empty if of none."""
    stamp = metadata.get(ASSIGNMENT) if isinstance(metadata, dict) else None
    stamped_name = stamp.get("notebook") if isinstance(stamp, dict) else None
    if isinstance(stamped_name, str) and stamped_name in complete_notebooks():
        return stamped_name
    grade_ids = {_grade_id(cell) for cell in cells}
    for exercise in all_exercises():
        if exercise.name in grade_ids or grade_ids & set(exercise.locked_cells):
            return exercise.notebook
    cell_ids = {_cell_id(cell) for cell in cells}
    for name, complete in complete_notebooks().items():  # most cells keep their id when metadata is lost
        if 2 * len(cell_ids & {cell.id for cell in complete.cells}) > len(cells):
            return name
    for exercise in all_exercises():
        if any(answers.defines(cell["source"], exercise.name) for cell in cells if not exercise.written):
            return exercise.notebook
    return ""


def _cell_id(cell: dict) -> str:
    return str(cell.get("id") or cell["metadata"].get("id"))


def _grade_id(cell: dict) -> str:
    return str(nbgrader_metadata(cell).get("grade_id"))  # not always a string in a damaged file


# --- the cells of a notebook ---


def _read_notebook(copy: _Copy, exercises: Sequence[Exercise], submission: Submission) -> None:
    """Add a notebook's answers to the submission, and report what is wrong with its cells."""
    _compare_seed(copy.where, copy.cells, submission)
    for exercise in exercises:
        try:
            _read_answer(copy.where, copy.cells, exercise, submission)
        except Exception as error:
            problem = f"the cell of {exercise.name} cannot be read ({type(error).__name__}: {error})"[:200]
            submission.add_finding(copy.where, problem, "look at it yourself")
        _compare_checks(copy.where, copy.cells, exercise, submission)


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
            f"has seed {', '.join(sorted(found))[:100]}; this student's is {submission.seed}",
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
        elif any(normalized(cell["source"]) != normalized(originals[name]) for cell in copies):
            problem = f"the check {name} was changed"
        else:
            continue
        submission.add_finding(where, problem, "the original check is used", repaired=True)


def _without_hidden_tests(source: str) -> str:
    return re.sub(r"\n?### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS", "", source, flags=re.DOTALL)


def normalized(source: str) -> str:
    """Return a cell as it is compared with others.

    Args:
        source: of a cell.

    Returns:
        The source without blanks at the ends of lines; not always the same code, so this is never graded.
    """
    return "\n".join(line.rstrip() for line in source.strip().split("\n"))


def _is_stub(source: str) -> bool:
    return CODE_STUB in source or source.strip() in (ANSWER_STUB, "")


def _read_answer(where: str, cells: list[dict], exercise: Exercise, submission: Submission) -> None:
    """Add the student's answer to an exercise: of several the last that is solved."""
    notes: list[str] = []
    found = _candidates(cells, exercise, notes)
    for note in notes:
        submission.add_finding(
            where, f"the cell of {exercise.name} {note}", "it was found all the same", True
        )
    if not found:
        remedy = f"ask for it; without it {_points_lost([exercise])}"
        submission.add_finding(where, f"the cell of {exercise.name} is missing", remedy)
        return
    solved = [(source, place) for source, place in found if not _is_stub(source)]
    different = {normalized(source) for source, _ in solved}
    if exercise.written:
        pieces = dict.fromkeys(source for source, _ in solved or found[:1])
        submission.answers[exercise.name] = "\n\n".join(pieces)
        if len(pieces) > 1:
            problem = f"the answer of {exercise.name} stands in {len(pieces)} cells"
            submission.add_finding(where, problem, "they were put together", repaired=True)
        return
    if len(found) > 1:
        problem = f"there are {len(found)} cells of {exercise.name}"
        if len(different) <= 1:
            remedy = "they agree, or only one of them is solved: that one is graded"
            submission.add_finding(where, problem, remedy, repaired=True)
        else:
            remedy = "they differ: ask which one counts; the last one is graded"
            submission.add_finding(where, problem, remedy)
    source, place = (solved or found)[-1]
    submission.answers[exercise.name] = source
    if solved:
        _read_as_jupyter(where, cells, place, exercise, submission)


def _candidates(cells: list[dict], exercise: Exercise, notes: list[str]) -> list[tuple[str, int]]:
    """Return the cells that may answer an exercise, by nbgrader's name, by cell id, or by the function.

    Args:
        cells: all cells of the notebook.
        exercise: the exercise.
        notes: what was repaired is added here.

    Returns:
        The source of each, and its place; code before text that looks like it.
    """
    own = [place for place, cell in enumerate(cells) if _grade_id(cell) == exercise.name]
    lost = not own
    if lost:
        own = [place for place, cell in enumerate(cells) if _cell_id(cell) == exercise.cell_id]
    if exercise.written:
        sources = [(cells[place]["source"], place) for place in _with_new_cells(cells, own, exercise)]
        turned = [cells[place]["cell_type"] for place in own if cells[place]["cell_type"] != "markdown"]
    else:
        original = {cell.id for cell in complete_notebooks()[exercise.notebook].cells}  # text may show code
        free = [
            place
            for place, cell in enumerate(cells)
            if _grade_id(cell) not in exercise.locked_cells
            and answers.defines(cell["source"], exercise.name)
            and (cell["cell_type"] == "code" or _cell_id(cell) not in original)
        ]
        places = sorted({*own, *(place for place in free if cells[place]["cell_type"] == "code")}) or free
        code = {place: _code(cells, place) for place in places}
        if any(was_split for _, was_split in code.values()):
            notes.append("was split")
        sources = [(source, place) for place, (source, _) in code.items()]
        # A cell that JupyterLab split has a piece without the function; it is taken along where it is used.
        sources = [one for one in sources if answers.defines(one[0], exercise.name)] or sources
        turned = [cells[place]["cell_type"] for _, place in sources if cells[place]["cell_type"] != "code"]
    if lost and sources:
        notes.append("has lost its metadata")
    if turned and sources:
        notes.append(
            f"was turned into {'code' if exercise.written else 'text'} ({printable(str(turned[0]))})"
        )
    return sources


def _with_new_cells(cells: list[dict], own: list[int], exercise: Exercise) -> list[int]:
    """Return the places of a written answer, and of the cells of text that the student added below it."""
    original = {cell.id for cell in complete_notebooks()[exercise.notebook].cells}
    places = []
    for place in own:
        places.append(place)
        for new in range(place + 1, len(cells)):
            cell = cells[new]
            if (
                cell["cell_type"] != "markdown"
                or _grade_id(cell) != "None"
                or _cell_id(cell) in {*original, "None"}
            ):
                break
            places.append(new)
    return places


def _code(cells: list[dict], place: int) -> tuple[str, bool]:
    """Return a cell's code without Markdown's fences, with the pieces below it if it was split inside.

    Returns:
        The code, and whether it was split.
    """
    source, pieces = cells[place]["source"], []
    if cells[place]["cell_type"] != "code":
        source = re.sub(r"^\s*```.*\n|\n```\s*$", "", source)
    for cell in cells[place + 1 :]:
        first = next((line for line in cell["source"].split("\n") if line.strip()), "")
        if cell["cell_type"] != "code" or not first.startswith((" ", "\t")):
            break
        pieces.append(cell["source"])
    return "\n".join([source, *pieces]), bool(pieces)


def _read_as_jupyter(
    where: str, cells: list[dict], place: int, exercise: Exercise, submission: Submission
) -> None:
    """Collect what an answer uses of other cells, and report what will be left out, or cannot be graded."""
    source, name = submission.answers[exercise.name], exercise.name
    error = answers.error_in(source)
    if error:
        submission.add_finding(where, f"{name} is no Python ({error})", f"ask; {_points_lost([exercise])}")
        return
    if answers.as_python(source) != source.replace("\r\n", "\n"):
        problem = f"the cell of {name} holds magics or shell lines"
        submission.add_finding(where, problem, "they are left out", repaired=True)
    parts = answers.parts(name, source)
    if parts.awaits:
        problem = f"the cell of {name} has `await` outside a function, in line {parts.awaits[0]}"
        submission.add_finding(where, problem, "this is left out", repaired=True)
    if not answers.defines(source, name):
        submission.add_finding(
            where, f"the cell of {name} does not define it", f"ask; {_points_lost([exercise])}"
        )
        return
    others = [
        cell["source"]
        if cell["cell_type"] == "code" and number != place and _grade_id(cell) not in exercise.locked_cells
        else ""
        for number, cell in enumerate(cells)
    ]
    code, missing = answers.take_along(exercise, source, others, place)
    if code:
        submission.taken_along[name] = code
        problem = f"{name} uses {', '.join(sorted(answers.bound(code)))[:200]}, which other cells define"
        submission.add_finding(where, problem, "this is graded with it", repaired=True)
    if missing:
        names = printable(", ".join(sorted(missing)))[:200]
        problem = (
            f"{name} uses {names}: not defined anywhere, or with `helpers`, which graded functions cannot use"
        )
        submission.add_finding(where, problem, "ask; it fails where it needs this")


def canonical_code(source: str) -> str:
    """Return code without comments, blanks and docstrings, to tell whether two students share theirs.

    Args:
        source: a cell of code.

    Returns:
        A text that is equal for equal code; not code itself.
    """
    try:
        tree = ast.parse(answers.as_python(source))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
                node.body = node.body[1:]
        return ast.dump(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return normalized(source)
