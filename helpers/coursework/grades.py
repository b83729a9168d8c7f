"""What a student earned: the table of all grades, who shares code with whom, and a page for each student."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from helpers.coursework import collecting, records
from helpers.coursework.archives import printable
from helpers.coursework.collecting import Submission
from helpers.coursework.exercises import Exercise, all_exercises
from helpers.coursework.written import cell

OWN_NUMBERS = "own_numbers"  # an exercise that is solved by numbers: there, equal code says nothing
EARLIER = "not in this folder: the points are of an earlier run"


@dataclass
class Outcome:
    """The result of one point: what was earned, and what to tell the student."""

    earned: float | None  # None: not graded yet
    message: str
    timed_out: bool = False


@dataclass
class Grade:
    """The results of one student."""

    submission: Submission
    outcomes: dict[str, Outcome] = field(default_factory=dict)  # by the names of the points
    same_code: dict[str, list[str]] = field(default_factory=dict)  # exercise -> who has the same code
    carried_over: list[str] = field(default_factory=list)  # exercises whose points are of an earlier run

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
        names = [exercise.name for exercise in all_exercises() if exercise.written]
        return sum(self.outcomes[name].earned is None for name in names if name in self.outcomes)

    def total(self) -> float:
        """Add up the points so far.

        Returns:
            The sum.
        """
        return sum(outcome.earned or 0 for outcome in self.outcomes.values())


def find_same_code(grades: list[Grade]) -> None:
    """Note for each exercise who handed in the same code, and whether it is the published solution.

    Args:
        grades: of all students; what is found is added to them.
    """
    for exercise in all_exercises():
        if exercise.written or exercise.name == OWN_NUMBERS:
            continue
        published = collecting.canonical_code(exercise.source)
        students = defaultdict(list, {published: ["the published solution"]})
        code = {}
        for grade in (grade for grade in grades if grade.earned(exercise)):
            student = grade.submission.student
            if exercise.name not in grade.submission.answers:
                continue  # of an earlier run
            code[student] = collecting.canonical_code(grade.submission.answers[exercise.name])
            students[code[student]].append(student)
        for grade in (grade for grade in grades if grade.submission.student in code):
            student = grade.submission.student
            others = [name for name in students[code[student]] if name != student]
            if others:
                grade.same_code[exercise.name] = others


def write_table(grades: list[Grade], path: Path, say: Callable[[str], None]) -> None:
    """Write a row for each student: the points of each exercise, the total, and what needs a look.

    Rows of an earlier run stay if their student handed in nothing this time. What the table held before is
    kept in `backups`.

    Args:
        grades: of all students.
        path: grades.csv.
        say: called with a line about what the instructor should know.
    """
    rows = {cell(grade.submission.student): _row(grade) for grade in grades}
    missing = {cell(grade.submission.student): grade for grade in grades if not grade.submission.handed_in}
    if path.exists():
        try:
            earlier = {row.values["student"]: row.values for row in records.read_table(path, ["student"])}
            for name in [name for name in earlier if records.same_student(name, list(rows))]:
                changed, theirs = earlier.pop(name), records.same_student(name, list(rows))
                say(f"{path}: {name} was taken for {theirs}: a spreadsheet may have changed it")
                earlier.setdefault(theirs, changed | {"student": theirs})
        except records.CourseworkError as error:
            say(f"{error}. It is in the folder `backups` now, and was written again without its rows")
            earlier = {}
        kept = [
            name
            for name, row in earlier.items()
            if name not in rows or (name in missing and collecting.NOTHING not in row.get("look", ""))
        ]
        for name in kept:
            look = earlier[name].get("look", "").removeprefix(EARLIER).removeprefix("; ")
            known = name in missing and (missing[name].carried_over or missing[name].total())
            row = rows[name] if known else earlier[name]  # with what was typed since
            rows[name] = row | {"look": "; ".join(filter(None, [EARLIER, look]))}
        if kept:
            shown = ", ".join(map(printable, kept[:20])) + (", …" if len(kept) > 20 else "")
            say(f"{path}: {len(kept)} rows are of an earlier run: their folders are not here: {shown}")
    ours = [*(exercise.name for exercise in all_exercises()), *records.OUR_COLUMNS[1:]]
    others = [column for row in rows.values() for column in row if column not in (*ours, "student")]
    records.write_table(path, list(dict.fromkeys(["student", *others, *ours])), list(rows.values()))


def _row(grade: Grade) -> dict[str, str]:
    row = {"student": grade.submission.student}
    for exercise in all_exercises():
        earned = grade.earned(exercise)
        row[exercise.name] = "" if earned is None else f"{earned:g}"
    row["total"] = f"{grade.total():g}"
    row["most"] = f"{sum(exercise.maximum for exercise in all_exercises()):g}"
    to_do = [str(finding) for finding in grade.submission.findings if not finding.repaired]
    if grade.carried_over:
        to_do.insert(0, f"{EARLIER} for {', '.join(grade.carried_over)}")
    same = [f"{name}: same code as {', '.join(others)}" for name, others in grade.same_code.items()]
    row["look"] = "; ".join([*to_do, *same])
    for column, value in grade.submission.roster_columns.items():
        row[cell(column if column not in row else f"{column} (list of students)")] = value
    return {column: cell(value) for column, value in row.items()}


def write_page(grade: Grade, path: Path) -> None:
    """Write a student's feedback as a web page that needs no other file.

    Args:
        grade: the student's grade.
        path: the file.
    """
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    template = environment.get_template("feedback.html.j2")
    html = template.render(grade=grade, submission=grade.submission, exercises=all_exercises())
    records.write_whole(path, html.encode())
