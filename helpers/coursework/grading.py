"""Grades submissions: each point in a fresh process, a table for all, and a page for each student."""

import csv
import hashlib
import io
import json
import multiprocessing
import os
import resource
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from tqdm import tqdm

from helpers.coursework import collecting
from helpers.coursework.collecting import Submission
from helpers.coursework.exercises import (
    ANSWER_STUB,
    CourseworkError,
    Exercise,
    Point,
    all_exercises,
    imports,
    write_whole,
)
from helpers.coursework.sandbox import Limits, StudentError, TooSlowError, UnsolvedError, Worker, bubblewrap

WRITTEN_COLUMNS = ["student", "exercise", "most", "points", "comment", "answer"]  # of written.csv
MAX_TIMEOUTS = 2  # after so many, the other points of an exercise are not tried
MAX_MESSAGE = 500  # characters
MAX_CELL = 32_000  # characters; spreadsheets hold 32,767
OWN_NUMBERS = "own_numbers"  # an exercise that is solved by numbers: there, equal code says nothing


@dataclass
class Outcome:
    """The result of one point: what was earned, and what to tell the student."""

    earned: float | None  # None: not graded by hand yet
    message: str
    timed_out: bool = False


@dataclass
class Grade:
    """The results of one student."""

    submission: Submission
    outcomes: dict[str, Outcome] = field(default_factory=dict)  # by the names of the points
    same_code: dict[str, list[str]] = field(default_factory=dict)  # exercise -> who has the same code

    def earned(self, exercise: Exercise) -> float | None:
        """Return the points for an exercise.

        Args:
            exercise: the exercise.

        Returns:
            The points; None if a part is not graded yet.
        """
        parts = [self.outcomes[point.name].earned for point in exercise.points]
        graded = [part for part in parts if part is not None]
        return sum(graded) if len(graded) == len(parts) else None

    def ungraded(self) -> int:
        """Count the answers that still wait to be graded by hand.

        Returns:
            Their number.
        """
        return sum(outcome.earned is None for outcome in self.outcomes.values())

    def total(self) -> float:
        """Add up the points so far.

        Returns:
            The sum.
        """
        return sum(outcome.earned or 0 for outcome in self.outcomes.values())


def grade(
    submissions: list[Submission], folder: Path, isolate: bool = True, limits: Limits | None = None
) -> list[Grade]:
    """Grade all submissions, and write grades.csv, written.csv and feedback/STUDENT.html.

    A submission that was graded before is not graded again unless its code, the checks or the limits have
    changed. Points and comments in written.csv are kept and added.

    Args:
        submissions: what was collected.
        folder: where the files go.
        isolate: whether the students' code is isolated by bubblewrap.
        limits: for each point; by default those of `Limits`.

    Returns:
        The grades in the order of the submissions.

    Raises:
        IsolationError: if the students' code is to be isolated and cannot be.
        CourseworkError: if Python ignores assertions, or written.csv cannot be used.
    """
    if not __debug__:
        raise CourseworkError(
            "Python ignores the assertions that the checks consist of, so everybody would get all points: "
            "start it without -O, and without the variable PYTHONOPTIMIZE"
        )
    limits = limits or Limits()
    isolation = bubblewrap() if isolate else []
    graded_by_hand = _read_written(folder / "written.csv")
    _import_once()
    grades = []
    bar = tqdm(submissions, desc="Grading", unit="student")
    for submission in bar:
        bar.set_postfix_str(submission.student)
        cache = folder / "results" / f"{submission.student}.json"
        outcomes = _grade_code(submission, cache, isolation, limits)
        for exercise in _written_exercises():
            outcomes[exercise.name] = _grade_written(submission, exercise, graded_by_hand)
        grades.append(Grade(submission, outcomes))
    _find_same_code(grades)
    _write_grades(grades, folder / "grades.csv")
    _write_written(grades, folder / "written.csv")
    for student_grade in grades:
        write_page(student_grade, folder / "feedback" / f"{student_grade.submission.student}.html")
    return grades


def _code_exercises() -> list[Exercise]:
    return [exercise for exercise in all_exercises() if not exercise.written]


def _written_exercises() -> list[Exercise]:
    return [exercise for exercise in all_exercises() if exercise.written]


def _import_once() -> None:
    """Import here what the checks need, so that the processes forked from this one need not."""
    for exercise in _code_exercises():
        for point in exercise.points:
            exec(imports(exercise.notebook, point.source, with_helpers=True), {})


# --- functions, graded by checks ---


def _grade_code(
    submission: Submission, cache: Path, isolation: list[str], limits: Limits
) -> dict[str, Outcome]:
    """Grade a submission's functions, or read from `cache` how they were graded before."""
    exercises = _code_exercises()
    checks = [point.source for exercise in exercises for point in exercise.points]
    answers = [submission.answers.get(exercise.name) for exercise in exercises]
    parts = [answers, submission.seed, checks, bool(isolation), asdict(limits)]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    outcomes = _read_cache(cache, key)
    if outcomes is None:
        outcomes = {}
        for exercise in exercises:
            outcomes |= grade_exercise(exercise, submission, isolation, limits)
        if not any(outcome.timed_out for outcome in outcomes.values()):  # the machine may have been busy
            rows = {name: [part.earned, part.message, part.timed_out] for name, part in outcomes.items()}
            write_whole(cache, json.dumps({"key": key, "outcomes": rows}).encode())
    return outcomes


def _read_cache(cache: Path, key: str) -> dict[str, Outcome] | None:
    """Return the outcomes that were saved under this key; None if there are none, or they are damaged."""
    try:
        saved = json.loads(cache.read_text(encoding="utf-8"))
        if saved["key"] != key:
            return None
        outcomes = {}
        for point in (point for exercise in _code_exercises() for point in exercise.points):
            earned, message, timed_out = saved["outcomes"][point.name]
            if earned not in (0, point.points) or not isinstance(message, str):
                return None
            outcomes[point.name] = Outcome(earned, message, bool(timed_out))
        return outcomes
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def grade_exercise(
    exercise: Exercise, submission: Submission, isolation: list[str], limits: Limits
) -> dict[str, Outcome]:
    """Grade each point of an exercise.

    A result may be such that checking it never ends, or takes all memory. So each check runs in a process
    that is limited like the student's.

    Args:
        exercise: the exercise, one with a function.
        submission: what the student handed in.
        isolation: `bubblewrap()`, or an empty list for none.
        limits: for each point.

    Returns:
        The outcomes by the names of the points.
    """
    answer = submission.answers.get(exercise.name)
    if answer is None:
        return {point.name: Outcome(0, "the cell was not handed in") for point in exercise.points}
    outcomes, timeouts = {}, 0
    for point in exercise.points:
        if timeouts == MAX_TIMEOUTS:
            outcome = Outcome(0, f"not tried, because {MAX_TIMEOUTS} earlier checks ran out of time")
        else:
            outcome = _grade_in_process(exercise, point, answer, submission.seed or 0, isolation, limits)
        outcomes[point.name] = outcome
        timeouts += outcome.timed_out
    return outcomes


def _grade_in_process(*arguments) -> Outcome:
    """Do what `grade_point` does in a process of its own, with its limits of memory and time."""
    limits = arguments[-1]
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_outcome, args=(sender, *arguments))
    process.start()
    sender.close()
    try:
        if receiver.poll(limits.seconds + 5):  # by then the student's process has ended
            return receiver.recv()
        return Outcome(0, "checking its result took too long", timed_out=True)
    except EOFError:  # it ran out of memory, or a student's process has killed it
        return Outcome(0, "its check was killed: did it return something very large?")
    finally:
        process.kill()
        process.join()


def _send_outcome(sender, *arguments) -> None:
    limits = arguments[-1]
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory + _address_space(),) * 2)
    outcome = grade_point(*arguments)
    # The student's code may have chosen the text: it must be short, and a lone half of a surrogate pair
    # cannot be written into any file.
    outcome.message = outcome.message[:MAX_MESSAGE].encode("utf-8", "replace").decode()
    sender.send(outcome)
    os._exit(0)


def _address_space() -> int:
    """Return how many bytes of address space this process has already; 4 GB where Linux does not tell."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 1 << 32


def grade_point(
    exercise: Exercise, point: Point, answer: str, seed: int, isolation: list[str], limits: Limits
) -> Outcome:
    """Run the check of one point here, and the student's code in a fresh process.

    Args:
        exercise: the exercise.
        point: one of its points.
        answer: the source of the student's cell.
        seed: the student's world seed.
        isolation: `bubblewrap()`, or an empty list for none.
        limits: for the student's process.

    Returns:
        What was earned, and why it was not more.
    """
    names: dict = {"seed": seed}
    exec(imports(exercise.notebook, point.source, with_helpers=True), names)
    sources = [imports(exercise.notebook, answer, with_helpers=False), answer]
    try:
        with Worker(sources, isolation, limits) as worker:
            names[exercise.name] = worker.function(exercise.name)
            exec(compile(point.source, point.name, "exec"), names)
    except AssertionError as mistake:
        return Outcome(0, str(mistake))
    except UnsolvedError as error:
        return Outcome(0, f"not solved: {error}" if str(error) else "not solved")
    except StudentError as error:
        return Outcome(0, str(error), isinstance(error, TooSlowError))
    except Exception as error:  # the check cannot use what the function returned
        return Outcome(0, f"its result has the wrong form ({type(error).__name__}: {error})"[:300])
    return Outcome(point.points, "")


# --- answers in words, graded by hand ---


def _read_written(path: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Return the rows of written.csv by student and exercise; none if it is not there yet."""
    if not path.exists():
        return {}
    maximum = {exercise.name: exercise.maximum for exercise in _written_exercises()}
    rows = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if reader.fieldnames != WRITTEN_COLUMNS:
                columns = ", ".join(WRITTEN_COLUMNS)
                raise CourseworkError(f"{path}:1: the columns must be {columns}, separated by commas")
            for row in reader:
                where = f"{path}:{reader.line_num}"
                if None in row or None in row.values():
                    raise CourseworkError(
                        f"{where}: the row must have {len(WRITTEN_COLUMNS)} columns: restore it, or delete it"
                    )
                if row["points"] and not _is_number(row["points"], maximum.get(row["exercise"], 0)):
                    raise CourseworkError(
                        f"{where}: {row['student']}: points must be a number from 0 to {row['most']}, "
                        "or empty if they are not given yet"
                    )
                rows[row["student"], row["exercise"]] = row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CourseworkError(
            f"{path} cannot be read ({error}): save it as CSV in UTF-8, or delete it to have it written "
            "again without points"
        ) from error
    return rows


def _is_number(text: str, maximum: float) -> bool:
    try:
        return 0 <= float(text) <= maximum
    except ValueError:
        return False


def _grade_written(
    submission: Submission, exercise: Exercise, rows: dict[tuple[str, str], dict[str, str]]
) -> Outcome:
    """Return the points from written.csv if they were given for this very answer."""
    answer = submission.answers.get(exercise.name, "")
    if not answer or answer.strip() == ANSWER_STUB:
        return Outcome(0, "not answered")
    row = rows.get((submission.student, exercise.name), {})
    same = row and row["answer"].split() == _cell(answer).split()  # spreadsheets change line ends
    if same and row["points"]:
        return Outcome(float(row["points"]), row["comment"])
    return Outcome(None, "not graded yet")


# --- tables and pages ---


def _find_same_code(grades: list[Grade]) -> None:
    """Note for each exercise who handed in the same code, and whether it is the published solution."""
    for exercise in _code_exercises():
        if exercise.name == OWN_NUMBERS:
            continue
        published = collecting.canonical_code(exercise.source)
        students = defaultdict(list, {published: ["the published solution"]})
        code = {}
        for grade in (grade for grade in grades if grade.earned(exercise)):
            student = grade.submission.student
            code[student] = collecting.canonical_code(grade.submission.answers[exercise.name])
            students[code[student]].append(student)
        for grade in (grade for grade in grades if grade.submission.student in code):
            student = grade.submission.student
            others = [name for name in students[code[student]] if name != student]
            if others:
                grade.same_code[exercise.name] = others


def _cell(text: str) -> str:
    """Return a student's text for a cell of a spreadsheet, which must not take it for a formula."""
    return ("'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text)[:MAX_CELL]


def _write_csv(path: Path, columns: Iterable[str], rows: list[dict]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(columns))
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode("utf-8-sig"))  # spreadsheets recognise UTF-8 by the BOM


def _write_grades(grades: list[Grade], path: Path) -> None:
    """Write a row for each student: the points of each exercise, the total, and what needs a look."""
    rows = []
    for grade in grades:
        row = {"student": grade.submission.student, **grade.submission.roster_columns}
        for exercise in all_exercises():
            earned = grade.earned(exercise)
            row[exercise.name] = "" if earned is None else f"{earned:g}"
        row["total"] = f"{grade.total():g}"
        row["most"] = f"{sum(exercise.maximum for exercise in all_exercises()):g}"
        to_do = [str(finding) for finding in grade.submission.findings if not finding.repaired]
        same = [f"{name}: same code as {', '.join(others)}" for name, others in grade.same_code.items()]
        row["look"] = _cell("; ".join([*to_do, *same]))
        rows.append(row)
    _write_csv(path, dict.fromkeys(column for row in rows for column in row), rows)


def _write_written(grades: list[Grade], path: Path) -> None:
    """Write a row for each answer in words, with the points and the comment that it has already."""
    rows = []
    for grade in grades:
        for exercise in _written_exercises():
            answer, outcome = grade.submission.answers.get(exercise.name), grade.outcomes[exercise.name]
            is_graded = outcome.earned is not None and answer is not None
            rows.append(
                {
                    "student": grade.submission.student,
                    "exercise": exercise.name,
                    "most": f"{exercise.maximum:g}",
                    "points": f"{outcome.earned:g}" if is_graded else "",
                    "comment": outcome.message if is_graded else "",
                    "answer": _cell(answer or ""),
                }
            )
    _write_csv(path, WRITTEN_COLUMNS, rows)


def write_page(grade: Grade, path: Path) -> None:
    """Write a student's feedback as a web page that needs no other file.

    Args:
        grade: the student's grade.
        path: the file.
    """
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    template = environment.get_template("feedback.html.j2")
    html = template.render(grade=grade, submission=grade.submission, exercises=all_exercises())
    write_whole(path, html.encode())
