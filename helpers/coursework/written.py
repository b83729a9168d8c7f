"""The answers in words: written.csv, into which a person types points and comments.

Nothing that somebody typed is ever dropped: rows of students who are not among the submissions stay, and so
do points for an answer that was changed since.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from helpers.coursework.archives import printable
from helpers.coursework.exercises import ANSWER_STUB, Exercise, all_exercises
from helpers.coursework.records import CourseworkError, Row, number_in, read_table, write_table

COLUMNS = ["student", "exercise", "most", "points", "comment", "answer"]
NOT_ANSWERED = "not answered"
MAX_CELL = 32_000  # characters; spreadsheets hold 32,767
FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "＝",
    "＋",
    "－",
    "＠",
)  # what begins one, in some spreadsheet


def exercises() -> list[Exercise]:
    """Return the exercises that are answered in words.

    Returns:
        The exercises in reading order.
    """
    return [exercise for exercise in all_exercises() if exercise.written]


def cell(text: str) -> str:
    """Return text for a cell of a spreadsheet, which must not take it for a formula.

    Args:
        text: a text that somebody else has chosen.

    Returns:
        The text, perhaps behind an apostrophe, cut to what a cell holds.
    """
    return ("'" + text if text.lstrip(" ").startswith(FORMULA) else text)[:MAX_CELL]


def read(path: Path) -> list[Row]:
    """Read what was typed so far.

    Args:
        path: written.csv.

    Returns:
        Its rows; none if it is not there yet.

    Raises:
        CourseworkError: if it cannot be read, or points are impossible; the message names the line.
    """
    if not path.exists():
        return []
    maximum = {exercise.name: exercise.maximum for exercise in exercises()}
    rows = read_table(path, COLUMNS)
    for row in rows:
        row.values["points"] = (
            row.values["points"].strip().replace(",", ".")
        )  # 4,5 as much of Europe writes it
        if row.values["points"] and not _is_number(row.values["points"], maximum.get(row.values["exercise"])):
            raise CourseworkError(
                f"{path}:{row.line}: {printable(row.values['student'])}: points must be a number from 0 to "
                f"{row.values['most']}, or empty if they are not given yet"
            )
    return rows


def _is_number(text: str, maximum: float | None) -> bool:
    try:
        return 0 <= float(text) <= (float("inf") if maximum is None else maximum)
    except ValueError:
        return False


def match(rows: Iterable[Row], students: Sequence[str], say: Callable[[str], None], path: Path) -> list[Row]:
    """Give rows back to their students where a spreadsheet has changed an identifier, such as 00123 to 123.

    Args:
        rows: the rows of written.csv.
        students: the identifiers of all submissions.
        say: called with a line about what was found.
        path: written.csv, for that line.

    Returns:
        The rows, with the identifiers as the students have them. Those that match nobody stay.
    """
    names = {cell(student): student for student in students}
    numbers = defaultdict(list)
    for student in students:
        numbers[number_in(student)].append(student)
    matched, strangers = [], []
    for row in rows:
        name = row.values["student"]
        same = numbers[number_in(name)] if number_in(name) is not None else []
        if name not in names and len(same) == 1:
            say(f"{path}:{row.line}: {name} was taken for {same[0]}: a spreadsheet may have changed it")
            row = Row(row.line, row.values | {"student": cell(same[0])})
        elif name not in names and is_typed(row):
            strangers.append(f"{printable(name)} (line {row.line})")
        matched.append(row)
    if strangers:
        say(
            f"{path}: {len(strangers)} rows with points or comments are of nobody whose submission is here. "
            f"They are kept: {', '.join(strangers[:20])}{', …' if len(strangers) > 20 else ''}"
        )
    return matched


def is_typed(row: Row) -> bool:
    """Return whether somebody typed something into a row.

    Args:
        row: a row of written.csv.

    Returns:
        False for one that stands as it was written, waiting.
    """
    typed = row.values["points"].strip(), row.values["comment"].strip()
    return any(typed) and not (not _words(row.values["answer"]) and typed == ("0", NOT_ANSWERED))


def _words(answer: str | None) -> list[str]:
    """Return an answer as it is compared: spreadsheets change line ends, and the stub is no answer."""
    words = cell(answer or "").split()
    return [] if words == ANSWER_STUB.split() else words


def find(rows: Iterable[Row], student: str, exercise: Exercise, answer: str | None) -> Row | None:
    """Find the row that was written for this very answer.

    Args:
        rows: the rows of written.csv.
        student: an identifier.
        exercise: the exercise.
        answer: the student's answer; None if it was not handed in.

    Returns:
        The row; None if there is none.

    Raises:
        CourseworkError: if two rows give it different points.
    """
    key, found = (cell(student), exercise.name), None
    for row in rows:
        if (row.values["student"], row.values["exercise"]) != key or _words(row.values["answer"]) != _words(
            answer
        ):
            continue
        if found and is_typed(found) and is_typed(row) and found.values["points"] != row.values["points"]:
            raise CourseworkError(
                f"written.csv:{row.line}: {printable(student)} has other points in line {found.line} "
                "for the same answer: delete one of the rows"
            )
        if found is None or not is_typed(found):
            found = row
    return found


def grade(
    rows: Sequence[Row], student: str, exercise: Exercise, answer: str | None
) -> tuple[float | None, str]:
    """Look up the points that a person gave.

    Args:
        rows: the rows of written.csv.
        student: an identifier.
        exercise: the exercise.
        answer: the student's answer; None if it was not handed in.

    Returns:
        The points and the comment; None for points that are not given yet.
    """
    row = find(rows, student, exercise, answer)
    if row is None and answer is None:  # not here this time: what was handed in and typed before counts
        earlier = [one for one in rows if _key(one) == (cell(student), exercise.name)]
        typed = [one for one in earlier if is_typed(one)]
        if not typed and any(_words(one.values["answer"]) for one in earlier):
            return None, "not graded yet"
        row = typed[-1] if typed else None
    if row and row.values["points"]:
        return float(row.values["points"]), row.values["comment"]
    if not _words(answer):
        return 0, NOT_ANSWERED
    return None, "not graded yet"


def write(
    path: Path, rows: Sequence[Row], answers: dict[str, dict[str, str]], say: Callable[[str], None]
) -> None:
    """Write a row for each answer, with what was typed, and all other rows that hold something typed.

    Args:
        path: written.csv.
        rows: what it holds now.
        answers: exercise -> answer for each student, as they were collected.
        say: called with a line about points for an answer that is not there any more.
    """
    written: list[dict[str, str]] = []
    for student, given in answers.items():
        for exercise in exercises():
            answer = given.get(exercise.name)
            own = [row for row in rows if _key(row) == (cell(student), exercise.name)]
            same = find(own, student, exercise, answer)
            others = [row for row in own if row is not same and is_typed(row)]
            if others and answer is not None:
                lines = ", ".join(str(row.line) for row in others)
                say(f"{path}:{lines}: {printable(student)}: points for another answer are kept, uncounted")
            older = [row.values for row in others]
            if same is None and answer is None and own:
                written += [row.values for row in own]
                continue
            values = {"points": "", "comment": ""}
            if same and is_typed(same):
                values = same.values
            elif answer is not None and not _words(answer):
                values = {"points": "0", "comment": NOT_ANSWERED}
            ours = {"student": cell(student), "exercise": exercise.name, "most": f"{exercise.maximum:g}"}
            written += [{**values, **ours, "answer": cell(answer or "")}, *older]
    known = {(cell(student), exercise.name) for student in answers for exercise in exercises()}
    written += [row.values for row in rows if _key(row) not in known]
    columns = dict.fromkeys([*COLUMNS, *(column for row in rows for column in row.values)])
    write_table(path, list(columns), written)


def _key(row: Row) -> tuple[str, str]:
    return row.values["student"], row.values["exercise"]
