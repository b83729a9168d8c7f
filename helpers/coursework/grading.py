"""Grades collected coursework: each point in a fresh process, a table for all, a page for each student."""

import csv
import hashlib
import json
import multiprocessing
import os
import resource
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from tqdm import tqdm

from helpers.coursework import collecting, exercises
from helpers.coursework.collecting import Submission
from helpers.coursework.exercises import CourseworkError, Exercise, Point
from helpers.coursework.sandbox import Limits, StudentError, TooSlowError, UnsolvedError, Worker, bubblewrap

ANSWER = ["student", "exercise", "most", "points", "comment", "answer"]  # columns of written.csv
PATIENCE = 2  # checks of an exercise that may hang before the others are not tried


@dataclass
class Outcome:
    """What became of one point: what was earned, and what to tell the student."""

    earned: float | None  # None: not graded by hand yet
    said: str
    hung: bool = False  # it did not end in time


@dataclass
class Grade:
    """One student's result."""

    submission: Submission
    outcomes: dict[str, Outcome] = field(
        default_factory=dict
    )  # nbgrader's name of a point -> what became of it
    same_code: dict[str, list[str]] = field(default_factory=dict)  # exercise -> who has the same code

    def earned(self, task: Exercise) -> float | None:
        """The points for an exercise; None if a part is not graded yet."""
        parts = [self.outcomes[point.name].earned for point in task.points]
        return None if None in parts else sum(parts)

    def waits(self) -> int:
        """Answers that nobody has graded yet."""
        return sum(outcome.earned is None for outcome in self.outcomes.values())

    def total(self) -> float:
        """All points so far."""
        return sum(outcome.earned or 0 for outcome in self.outcomes.values())


def grade(
    submissions: list[Submission], folder: Path, isolate: bool = True, limits: Limits | None = None
) -> list[Grade]:
    """Grades all submissions, and writes grades.csv, written.csv and feedback/STUDENT.html into `folder`.

    What was graded before, with the same code and the same checks, is not graded again. Points and comments
    in written.csv are kept and added.

    Raises:
        IsolationError: submissions are to be isolated and cannot be.
        CourseworkError: written.csv cannot be used.
    """
    limits = limits or Limits()
    wall = bubblewrap() if isolate else []
    by_hand = _by_hand(folder / "written.csv")
    for task in exercises.all_exercises():  # once, and not in every process that starts from this one
        for point in task.points if not task.written else ():
            exec(exercises.imports(task.notebook, point.source, ours=True), {})
    (folder / "results").mkdir(parents=True, exist_ok=True)
    grades = []
    bar = tqdm(submissions, desc="Grading", unit="student")
    for submission in bar:
        bar.set_postfix_str(submission.student)
        known = folder / "results" / f"{submission.student}.json"
        result = Grade(submission, _automatic(submission, known, wall, limits))
        for task in exercises.all_exercises():
            if task.written:
                result.outcomes[task.name] = _written(submission, task, by_hand)
        grades.append(result)
    _compare(grades)
    _write_table(grades, folder / "grades.csv")
    _write_answers(grades, folder / "written.csv")
    for one in grades:
        write_page(one, folder / "feedback" / f"{one.submission.student}.html")
    return grades


# --- one submission ---


def _automatic(submission: Submission, known: Path, wall: list[str], limits: Limits) -> dict[str, Outcome]:
    tasks = [task for task in exercises.all_exercises() if not task.written]
    checks = [point.source for task in tasks for point in task.points]
    answers = [submission.answers.get(task.name) for task in tasks]
    parts = [answers, submission.seed, checks, bool(wall), asdict(limits)]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    try:
        saved = json.loads(known.read_text(encoding="utf-8"))
        if saved["key"] == key:
            return {name: Outcome(*outcome) for name, outcome in saved["outcomes"].items()}
    except (OSError, ValueError, KeyError, TypeError):  # not graded before, or not to the end
        pass
    outcomes = {}
    for task in tasks:
        outcomes |= graded(task, submission, wall, limits)
    saved = {"key": key, "outcomes": {name: [o.earned, o.said, o.hung] for name, o in outcomes.items()}}
    if not any(outcome.hung for outcome in outcomes.values()):  # a busy machine may have been the reason
        known.write_text(json.dumps(saved), encoding="utf-8")
    return outcomes


def graded(task: Exercise, submission: Submission, wall: list[str], limits: Limits) -> dict[str, Outcome]:
    """The outcome of each point of an exercise.

    A result can be such that checking it never ends, or takes all memory. So each check runs in a process
    that is limited like the student's.
    """
    answer = submission.answers.get(task.name)
    if answer is None:
        return {point.name: Outcome(0, "the cell was not handed in") for point in task.points}
    outcomes, hung = {}, 0
    for point in task.points:
        if hung == PATIENCE:
            outcomes[point.name] = Outcome(0, f"not tried: {PATIENCE} checks before it did not end")
            continue
        here, there = multiprocessing.get_context("fork").Pipe(duplex=False)
        checker = multiprocessing.get_context("fork").Process(
            target=_check_limited, args=(there, task, point, answer, submission.seed or 0, wall, limits)
        )
        checker.start()
        there.close()
        try:
            ends = here.poll(limits.seconds + 5)  # the student's process has ended by then
            outcome = here.recv() if ends else Outcome(0, "checking what it returned did not end", True)
        except EOFError:  # for want of memory, or a student's process has killed it
            outcome = Outcome(0, "its check was ended from outside: did it return something very large?")
        checker.kill()
        checker.join()
        outcomes[point.name] = outcome
        hung += outcome.hung
    return outcomes


def _check_limited(pipe, *arguments) -> None:
    limits = arguments[-1]
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory + _address_space(),) * 2)
    outcome = check(*arguments)
    # A student's code may have a say in it: no megabytes, and no half characters, which no file can hold.
    outcome.said = outcome.said[:500].encode("utf-8", "replace").decode()
    pipe.send(outcome)
    os._exit(0)


def _address_space() -> int:
    """Bytes that this process uses up already."""
    statm = Path("/proc/self/statm")  # Linux
    return int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 1 << 32


def check(task: Exercise, point: Point, answer: str, seed: int, wall: list[str], limits: Limits) -> Outcome:
    """Runs the check of one point against a student's cell in a fresh process."""
    names = {"seed": seed}
    exec(exercises.imports(task.notebook, point.source, ours=True), names)
    try:
        with Worker([exercises.imports(task.notebook, answer, ours=False), answer], wall, limits) as worker:
            names[task.name] = worker.function(task.name)
            exec(compile(point.source, point.name, "exec"), names)
    except AssertionError as mistake:
        return Outcome(0, str(mistake))
    except UnsolvedError as unsolved:
        return Outcome(0, f"not solved {unsolved}".strip())
    except StudentError as error:
        return Outcome(0, str(error), isinstance(error, TooSlowError))
    except Exception as error:  # the check stumbled over what came back
        return Outcome(0, f"what it returned does not fit ({type(error).__name__}: {error})"[:300])
    return Outcome(point.points, "")


# --- the question that is graded by hand ---


def _by_hand(path: Path) -> dict[tuple[str, str], dict[str, str]]:
    if not path.exists():
        return {}
    most = {task.name: task.most for task in exercises.all_exercises() if task.written}
    found = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != ANSWER:
            raise CourseworkError(f"{path}:1: the columns are {', '.join(ANSWER)}, separated by commas")
        for row in reader:
            where = f"{path}:{reader.line_num}: {row['student']}"
            if row["points"] and not _is_number(row["points"], most.get(row["exercise"], 0)):
                raise CourseworkError(f"{where}: points are a number from 0 to {row['most']}, or nothing yet")
            found[row["student"], row["exercise"]] = row
    return found


def _is_number(text: str, most: float) -> bool:
    try:
        return 0 <= float(text) <= most
    except ValueError:
        return False


def _written(submission: Submission, task: Exercise, by_hand: dict) -> Outcome:
    answer = submission.answers.get(task.name, "")
    if not answer or answer.strip() == exercises.ANSWER_STUB:
        return Outcome(0, "not answered")
    row = by_hand.get((submission.student, task.name), {})
    if row.get("points") and row["answer"].split() == _safe(answer).split():  # spreadsheets change line ends
        return Outcome(float(row["points"]), row["comment"])
    return Outcome(None, "not graded yet")


# --- what comes out ---


def _compare(grades: list[Grade]) -> None:
    """Notes for each exercise who handed in the same code, and whether it is the published solution."""
    for task in exercises.all_exercises():
        if task.written or task.name == "own_numbers":
            continue
        who = defaultdict(list, {collecting.code_of(task.source): ["the published solution"]})
        solved = [one for one in grades if one.earned(task)]
        for one in solved:
            who[collecting.code_of(one.submission.answers[task.name])].append(one.submission.student)
        for one in solved:
            others = who[collecting.code_of(one.submission.answers[task.name])]
            if len(others) > 1:
                one.same_code[task.name] = [name for name in others if name != one.submission.student]


def _safe(text: str) -> str:
    """Text of a student's for a spreadsheet: one that would be read as a formula gets an apostrophe."""
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _write_csv(path: Path, columns: list[str], rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8-sig", newline="") as file:  # spreadsheets look for the BOM
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def _write_table(grades: list[Grade], path: Path) -> None:
    """One row for each student: who, the points of each exercise, the total, and what needs a look."""
    tasks = exercises.all_exercises()
    rows = []
    for one in grades:
        row = {"student": one.submission.student, **one.submission.about}
        for task in tasks:
            earned = one.earned(task)
            row[task.name] = "" if earned is None else f"{earned:g}"
        to_do = [finding for finding in one.submission.findings if not finding.repaired]
        same = [f"{name}: same code as {', '.join(others)}" for name, others in one.same_code.items()]
        row |= {"total": f"{one.total():g}", "most": f"{sum(task.most for task in tasks):g}"}
        row["look"] = _safe("; ".join([*map(str, to_do), *same]))
        rows.append(row)
    columns = dict.fromkeys(column for row in rows for column in row)
    _write_csv(path, list(columns), rows)


def _write_answers(grades: list[Grade], path: Path) -> None:
    tasks = [task for task in exercises.all_exercises() if task.written]
    rows = []
    for one in grades:
        for task in tasks:
            outcome = one.outcomes[task.name]
            graded = outcome.earned is not None and task.name in one.submission.answers
            row = {"student": one.submission.student, "exercise": task.name, "most": f"{task.most:g}"}
            row["answer"] = _safe(one.submission.answers.get(task.name, ""))
            row["points"] = f"{outcome.earned:g}" if graded else ""
            row["comment"] = outcome.said if graded else ""
            rows.append(row)
    _write_csv(path, ANSWER, rows)


def write_page(one: Grade, path: Path) -> None:
    """Writes a student's feedback as a web page that needs no other file."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    html = environment.get_template("feedback.html.j2").render(
        grade=one, submission=one.submission, tasks=exercises.all_exercises()
    )
    path.write_text(html, encoding="utf-8", newline="\n")
