"""Grades submissions: each point in a fresh process, a table for all, and a page for each student."""

import hashlib
import json
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path

from tqdm import tqdm

from helpers import settings
from helpers.coursework import answers, grades, written
from helpers.coursework.collecting import Submission
from helpers.coursework.exercises import Exercise, Point, all_exercises, imports
from helpers.coursework.grades import Grade, Outcome, write_page
from helpers.coursework.records import CourseworkError, file_name, write_whole
from helpers.coursework.sandbox import (
    PATIENCE,
    Limits,
    StudentError,
    TooSlowError,
    UnsolvedError,
    Worker,
    bubblewrap,
)
from helpers.coursework.worker import printable
from helpers.running import artifacts

MAX_TIMEOUTS = 2  # after so many, the other points of an exercise are not tried
MAX_MESSAGE = 500  # characters
REFERENCE = "the reference solutions"
# The code that decides a grade, beside the checks themselves.
GRADED_BY = (
    *(f"coursework/{name}" for name in ("answers", "exercises", "grading", "sandbox", "syscalls", "worker")),
    *("checks", "scoring", "settings", "world"),
)


def grade(
    submissions: list[Submission],
    folder: Path,
    isolate: bool = True,
    limits: Limits | None = None,
    jobs: int | None = None,
    say: Callable[[str], None] = print,
) -> list[Grade]:
    """Grade all submissions, and write grades.csv, written.csv and feedback/STUDENT.html.

    A submission that was graded before is not graded again unless something that decides its grade has
    changed. Points and comments in written.csv are kept and added, and so are the rows and pages of students
    who were graded before and handed in nothing this time.

    Args:
        submissions: what was collected.
        folder: where the files go.
        isolate: whether the students' code is isolated by bubblewrap.
        limits: for each point; by default those of `Limits`.
        jobs: how many exercises are graded side by side; by default one for each processor.
        say: called with a line about what the instructor should know.

    Returns:
        The grades in the order of the submissions.

    Raises:
        IsolationError: if the students' code is to be isolated and cannot be.
        CourseworkError: if Python ignores assertions, written.csv cannot be used, or the reference solutions
            lose points here.
    """
    if not __debug__:
        raise CourseworkError(
            "Python ignores the assertions that the checks consist of, so everybody would get all points: "
            "start it without -O, and without the variable PYTHONOPTIMIZE"
        )
    limits = limits or Limits()
    isolation = bubblewrap() if isolate else []
    typed = folder / "written.csv"
    written.read(typed)  # what is wrong with it is said before hours are spent
    outcomes = _grade_code(submissions, folder / "results", isolation, limits, jobs or settings.processors())
    carried = [
        _carried_over(submission, of_code, folder / "results")
        for submission, of_code in zip(submissions, outcomes, strict=True)
    ]
    rows = written.match(written.read(typed), [one.student for one in submissions], say, typed)
    found = []
    for submission, of_code, earlier in zip(submissions, outcomes, carried, strict=True):
        by_hand = {
            exercise.name: Outcome(
                *written.grade(rows, submission.student, exercise, submission.answers.get(exercise.name))
            )
            for exercise in written.exercises()
        }
        found.append(Grade(submission, of_code | by_hand, carried_over=earlier))
    grades.find_same_code(found)
    written.write(typed, rows, {one.student: one.answers for one in submissions}, say)
    grades.write_table(found, folder / "grades.csv", say)
    for one in found:
        page = folder / "feedback" / f"{file_name(one.submission.student)}.html"
        if one.submission.handed_in or not page.exists():
            write_page(one, page)
    return found


def _code_exercises() -> list[Exercise]:
    return [exercise for exercise in all_exercises() if not exercise.written]


def _import_once() -> None:
    """Import here what the checks need, so that the processes forked from this one need not."""
    for exercise in _code_exercises():
        for point in exercise.points:
            exec(imports(exercise.notebook, point.source, with_helpers=True), {})


# --- functions, graded by checks ---


def _grade_code(
    submissions: Sequence[Submission], folder: Path, isolation: list[str], limits: Limits, jobs: int
) -> list[dict[str, Outcome]]:
    """Grade the functions of all submissions, or read from `folder` how they were graded before."""
    keys = [_key_or_none(submission, isolation, limits) for submission in submissions]
    caches = [_cache_of(submission, folder) for submission in submissions]
    outcomes = [_read_cache(cache, key) if key else None for cache, key in zip(caches, keys, strict=True)]
    waiting = [place for place, found in enumerate(outcomes) if found is None and submissions[place].answers]
    if waiting:
        _import_once()
        _grade_reference(tuple(isolation), limits, jobs)
    tasks = [(exercise, submissions[place]) for place in waiting for exercise in _code_exercises()]
    places = [place for place in waiting for _ in _code_exercises()]
    parts: dict[int, list[dict[str, Outcome]]] = {place: [] for place in waiting}
    bar = tqdm(total=len(waiting), desc="Grading", unit="student", disable=not waiting)
    for number, result in _side_by_side(tasks, isolation, limits, jobs):
        place, (exercise, submission) = places[number], tasks[number]
        if isinstance(result, Exception):  # the grader's own trouble costs nobody points
            problem = f"{exercise.name} could not be graded ({type(result).__name__}: {result})"[:300]
            submission.add_finding(submission.student, problem, "grade again, or grade it by hand")
            result = {point.name: Outcome(None, "not graded yet") for point in exercise.points}
        parts[place].append(result)
        if len(parts[place]) == len(_code_exercises()):
            whole = {name: part for found in parts[place] for name, part in found.items()}
            outcomes[place], key = whole, keys[place]
            if key:
                whole |= _earlier(submission, _read_cache(caches[place]) or {})
                _write_cache(caches[place], key, whole)
            bar.update()
    bar.close()
    return [_not_handed_in() if found is None else found for found in outcomes]


def _not_handed_in() -> dict[str, Outcome]:
    points = [point for exercise in _code_exercises() for point in exercise.points]
    return {point.name: Outcome(0, "the cell was not handed in") for point in points}


def _cache_of(submission: Submission, folder: Path) -> Path:
    return folder / f"{file_name(submission.student)}.json"


def _earlier(submission: Submission, outcomes: dict[str, Outcome]) -> dict[str, Outcome]:
    """Return earlier outcomes of exercises that earned points then and are not among the answers now."""
    return {
        point.name: outcomes[point.name]
        for exercise in _code_exercises()
        if exercise.name not in submission.answers
        and any(outcomes[one.name].earned for one in exercise.points if one.name in outcomes)
        for point in exercise.points
    }


def _carried_over(submission: Submission, outcomes: dict[str, Outcome], folder: Path) -> list[str]:
    """Keep the points of an earlier run for exercises that this one does not hold.

    A folder of late hand-ins, or a zip file that cannot be read this time, takes nothing away.

    Args:
        submission: what was collected this time.
        outcomes: of its points; those of an earlier run are put in.
        folder: of the cache.

    Returns:
        The names of the exercises.
    """
    earlier = _earlier(submission, _read_cache(_cache_of(submission, folder)) or {})
    outcomes |= earlier
    return [
        exercise.name
        for exercise in _code_exercises()
        if any(point.name in earlier for point in exercise.points)
    ]


@cache  # once in a process
def _grade_reference(isolation: tuple[str, ...], limits: Limits, jobs: int) -> None:
    """Grade the reference solutions, so that a class does not get 0 because something is wrong here."""
    reference = Submission(
        REFERENCE, 0, {}, {exercise.name: exercise.source for exercise in _code_exercises()}
    )
    tasks = [(exercise, reference) for exercise in _code_exercises()]
    for _, result in _side_by_side(tasks, list(isolation), limits, jobs):
        if isinstance(result, Exception):
            raise CourseworkError(_no_fault_of_theirs(f"{type(result).__name__}: {result}")) from result
        for name, outcome in result.items():
            if not outcome.earned:
                raise CourseworkError(_no_fault_of_theirs(f"{name}: {outcome.message}"))


def _no_fault_of_theirs(message: str) -> str:
    return (
        f"{REFERENCE} lose points on this machine, and so would everybody ({message}). Nobody was graded. "
        "Look at the limits of this shell (ulimit -a) and the free memory; try --seconds or --memory"
    )


def _side_by_side(
    tasks: Sequence[tuple[Exercise, Submission]], isolation: list[str], limits: Limits, jobs: int
) -> Iterator[tuple[int, dict[str, Outcome] | Exception]]:
    """Yield the number of each task and its outcomes, or the error that kept it from being graded."""
    rest = list(range(len(tasks)))
    if min(jobs, len(tasks)) > 1:
        fork = multiprocessing.get_context("fork")  # what was imported here is there
        pool = ProcessPoolExecutor(min(jobs, len(tasks)), fork, initializer=_in_a_group_of_its_own)
        try:
            futures = {
                pool.submit(grade_exercise, *tasks[number], isolation, limits): number for number in rest
            }
            for future in as_completed(futures):
                if isinstance(future.exception(), BrokenExecutor):
                    continue  # a process was killed from outside, for memory perhaps: once more, below
                rest.remove(futures[future])
                error = future.exception()
                yield futures[future], error if isinstance(error, Exception) else future.result()
        except BaseException:  # Ctrl-C, say: what runs now is run again another time
            for pid in [process.pid for process in multiprocessing.active_children() if process.pid]:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    for number in rest:
        try:
            result = grade_exercise(*tasks[number], isolation, limits)
        except Exception as error:
            yield number, error
        else:
            yield number, result


def _in_a_group_of_its_own() -> None:
    os.setpgid(0, 0)  # which the process that started this one ends, with all that run in it
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _key_or_none(submission: Submission, isolation: list[str], limits: Limits) -> str | None:
    try:
        return _key(submission, isolation, limits)
    except Exception:  # grading it will say what is wrong, and to whom
        return None


def _key(submission: Submission, isolation: list[str], limits: Limits) -> str:
    """Return a hash of all that decides the points of a submission's functions."""
    parts: list = [submission.seed, bool(isolation), asdict(limits), settings.versions()]
    parts.append(artifacts.source_hash(*GRADED_BY))
    for exercise in _code_exercises():
        answer = submission.answers.get(exercise.name)
        if answer is not None:
            parts.append(answers.program(exercise, answer, submission.taken_along.get(exercise.name, "")))
        parts += [exercise.name, answer]
        for point in exercise.points:
            with_imports = imports(exercise.notebook, point.source, with_helpers=True)
            parts += [point.name, point.points, point.source, with_imports]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _write_cache(cache: Path, key: str, outcomes: dict[str, Outcome]) -> None:
    if any(outcome.timed_out or outcome.earned is None for outcome in outcomes.values()):
        key = ""  # the machine may have been busy: it is tried again
    rows = {name: [part.earned, part.message, part.timed_out] for name, part in outcomes.items()}
    write_whole(cache, json.dumps({"key": key, "outcomes": rows}).encode())


def _read_cache(cache: Path, key: str | None = None) -> dict[str, Outcome] | None:
    """Return the outcomes that were saved, under this key or under any; None without any, or if damaged."""
    try:
        saved = json.loads(cache.read_text(encoding="utf-8"))
        if key is not None and saved["key"] != key:
            return None
        outcomes = {}
        for point in (point for exercise in _code_exercises() for point in exercise.points):
            earned, message, timed_out = saved["outcomes"][point.name]
            if earned not in (0, point.points, None) or not isinstance(message, str):
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
    taken_along = submission.taken_along.get(exercise.name, "")
    answers.program(exercise, answer, taken_along)  # is kept, for the processes forked from this one
    outcomes, timeouts = {}, 0
    for point in exercise.points:
        if timeouts == MAX_TIMEOUTS:
            outcome = Outcome(0, f"not tried, because {MAX_TIMEOUTS} earlier checks ran out of time")
        else:
            arguments = exercise, point, answer, submission.seed or 0, isolation, limits, taken_along
            outcome = _grade_in_process(*arguments)
        outcomes[point.name] = outcome
        timeouts += outcome.timed_out
    return outcomes


def _grade_in_process(*arguments) -> Outcome:
    """Do what `grade_point` does in a process of its own, with its limits of memory and time."""
    limits = arguments[5]
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_outcome, args=(sender, *arguments))
    process.start()
    sender.close()
    try:
        if receiver.poll(PATIENCE * limits.seconds + 5):  # by then the student's process has ended
            return receiver.recv()
        return Outcome(0, "checking its result took too long", timed_out=True)
    except EOFError:  # it ran out of memory, or a student's process has killed it
        return Outcome(0, "its check was killed: did it return something very large?")
    finally:
        process.kill()
        process.join()


def _send_outcome(sender, *arguments) -> None:
    limits = arguments[5]
    wanted, (_, most) = limits.memory + _address_space(), resource.getrlimit(resource.RLIMIT_AS)
    allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
    outcome = grade_point(*arguments)
    # The student's code may have chosen the text: it must be short, and a lone half of a surrogate pair
    # cannot be written into any file.
    outcome.message = printable(outcome.message[:MAX_MESSAGE].encode("utf-8", "replace").decode())
    sender.send(outcome)
    os._exit(0)


def _address_space() -> int:
    """Return how many bytes of address space this process has already; 4 GB where Linux does not tell."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 1 << 32


def grade_point(
    exercise: Exercise,
    point: Point,
    answer: str,
    seed: int,
    isolation: list[str],
    limits: Limits,
    taken_along: str = "",
) -> Outcome:
    """Run the check of one point here, and the student's code in a fresh process.

    Args:
        exercise: the exercise.
        point: one of its points.
        answer: the source of the student's cell.
        seed: the student's world seed.
        isolation: `bubblewrap()`, or an empty list for none.
        limits: for the student's process.
        taken_along: what the cell uses of other cells.

    Returns:
        What was earned, and why it was not more.
    """
    names: dict = {"seed": seed}
    exec(imports(exercise.notebook, point.source, with_helpers=True), names)
    try:
        with Worker(list(answers.program(exercise, answer, taken_along)), isolation, limits) as worker:
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
