"""Keeps what an instructor cannot make again: the students, their seeds, and files that people typed into.

Such a file is written aside and renamed, and what it held before goes into the folder `backups` beside it.
"""

import csv
import hashlib
import io
import json
import os
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from helpers.coursework.archives import printable

FILE = "record.json"
OUR_COLUMNS = ("student", "total", "most", "look")  # of grades.csv, beside those of the exercises
ENCODINGS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"", "utf-8-sig"))


class CourseworkError(ValueError):
    """The list of students, the folder or the hand-out cannot be used; the message says what to do."""


# --- files ---


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that whoever reads it finds the old or the new content, never half of it.

    Args:
        path: the file; its folder is made if it is missing.
        content: everything that the file will hold.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        with part.open("rb+") as file:
            os.fsync(file.fileno())  # a full disk is noticed here at the latest, with the old file in place
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def replace(path: Path, content: bytes) -> None:
    """Write a file that people may have typed into: what it held before is kept in `backups`.

    Args:
        path: the file; it is left alone if it holds this already.
        content: everything that the file will hold.
    """
    if path.exists():
        before = path.read_bytes()
        if before == content:
            return
        folder = path.parent / "backups"
        numbers = [int(file.suffixes[0][1:]) for file in folder.glob(f"{path.stem}.*{path.suffix}")]
        write_whole(folder / f"{path.stem}.{max(numbers, default=0) + 1:04}{path.suffix}", before)
    write_whole(path, content)


@dataclass
class Row:
    """A row of a table, and the line of the file where it ends."""

    line: int
    values: dict[str, str]


def read_table(path: Path, needed: Sequence[str]) -> list[Row]:
    """Read a table as spreadsheets write it: commas, semicolons or tabs, UTF-8 or UTF-16.

    Args:
        path: the file.
        needed: columns that must be there.

    Returns:
        The rows that are not empty.

    Raises:
        CourseworkError: if it cannot be read, a column is missing or there twice, or a row is too long or too
            short; the message names the line.
    """
    remedy = "save it as CSV in UTF-8"
    try:
        content = path.read_bytes()
        encoding = next(name for start, name in ENCODINGS if content.startswith(start))
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise CourseworkError(f"{path}:{line} cannot be read, it is not in UTF-8: {remedy}") from error
    except OSError as error:
        raise CourseworkError(f"{path} cannot be read: {error.strerror or error}") from error
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows: list[Row] = []
    try:
        columns = [column.strip() for column in next(reader, [])]
        for column in needed:
            if column not in columns:
                raise CourseworkError(
                    f"{path}:1: there is no column {column!r}: the columns must be {', '.join(needed)}"
                    if len(needed) > 1
                    else f"{path}:1: there is no column {column!r}: give the column of identifiers this name"
                )
        twice = [column for column in columns if columns.count(column) > 1]
        if twice:
            raise CourseworkError(f"{path}:1: the column {twice[0]!r} is there twice: rename one of them")
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            while len(cells) > len(columns) and not cells[-1].strip():
                cells.pop()  # spreadsheets end rows with empty cells
            if len(cells) != len(columns):
                raise CourseworkError(
                    f"{path}:{reader.line_num}: the row has {len(cells)} cells and must have {len(columns)} "
                    "columns: restore it, or delete it"
                )
            rows.append(Row(reader.line_num, dict(zip(columns, cells, strict=True))))
    except csv.Error as error:
        raise CourseworkError(f"{path}:{reader.line_num} cannot be read ({error}): {remedy}") from error
    return rows


def write_table(path: Path, columns: Sequence[str], rows: Sequence[dict[str, str]]) -> None:
    """Write a table for a spreadsheet; what the file held before is kept in `backups`.

    Args:
        path: the file.
        columns: the columns in their order.
        rows: the rows; a column that one lacks is empty there.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    replace(path, text.getvalue().encode("utf-8-sig"))  # spreadsheets recognise UTF-8 by the BOM


# --- students and their seeds ---


def number_in(name: str) -> float | None:
    """Return the number for which a spreadsheet takes an identifier, so that it writes it differently.

    Args:
        name: an identifier such as 00123 or 1e5.

    Returns:
        The number; None if it is none.
    """
    return float(name) if re.fullmatch(r"\d+(\.\d*)?([eE][+-]?\d{1,2})?", name, re.ASCII) else None


def same_student(name: str, students: Sequence[str]) -> str:
    """Return whose identifier a spreadsheet has changed into this one, such as 00123 into 123.

    Args:
        name: as it stands in a table.
        students: the identifiers.

    Returns:
        The one that means the same number; empty if none or several do, or the name is one of them.
    """
    number = number_in(name)
    same = [student for student in students if number is not None and number_in(student) == number]
    return same[0] if len(same) == 1 and name not in students else ""


def students(path: Path, taken: Sequence[str] = OUR_COLUMNS) -> list[dict[str, str]]:
    """Read the list of students, a table whose column `student` holds a short identifier for each.

    Args:
        path: the file.
        taken: columns that grades.csv has itself.

    Returns:
        The rows, with all their columns.

    Raises:
        CourseworkError: if the file cannot be read, lacks the column or has one of grades.csv's own, or an
            identifier is empty, cannot name a folder or occurs twice; the message names the line.
    """
    rows, lines = [], {}
    for row in read_table(path, ["student"]):
        clash = [column for column in row.values if column in taken and column != "student"]
        if clash:
            raise CourseworkError(
                f"{path}:1: grades.csv has a column {clash[0]!r} of its own: rename this one"
            )
        name, line = row.values["student"].strip(), row.line
        if not re.fullmatch(r"[A-Za-z0-9][\w.@+-]{0,63}", name, re.ASCII):
            raise CourseworkError(
                f"{path}:{line}: {name[:80]!r} cannot name a folder: use letters, digits and . _ @ + - only"
            )
        if name.lower() in lines:
            raise CourseworkError(f"{path}:{line}: {name!r} already stands in line {lines[name.lower()]}")
        lines[name.lower()] = line
        rows.append({key: value for key, value in row.values.items() if key} | {"student": name})
    if not rows:
        raise CourseworkError(f"{path} lists no students")
    return rows


def read(folder: Path) -> dict:
    """Read the record of what was handed out.

    Args:
        folder: the folder of the hand-out.

    Returns:
        {"seeds": {student: seed}, "roster": rows of the list of students}.

    Raises:
        CourseworkError: if there is no record.json, or it cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        raise CourseworkError(f"{path} is missing: name the folder of the hand-out with --release")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        seeds = {name: int(seed) for name, seed in content["seeds"].items()}
        roster = [dict(row, student=str(row["student"])) for row in content["roster"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CourseworkError(
            f"{path} cannot be read ({type(error).__name__}: {error}): restore it from the folder `backups` "
            "beside it or from a backup of your own, because it holds the students' seeds"
        ) from error
    return {"seeds": seeds, "roster": roster}


def add_students(folder: Path, roster: Sequence[dict[str, str]]) -> dict[str, int]:
    """Give a seed to each student who has none, and keep all others that the record holds.

    Args:
        folder: the folder of the hand-out.
        roster: rows of a list of students, of all of them or of late ones only.

    Returns:
        The seeds of the students in `roster`.

    Raises:
        CourseworkError: if the record is damaged, no seeds are left, or an identifier seems to be a recorded
            one that was changed.
    """
    recorded = read(folder) if (folder / FILE).exists() else {"seeds": {}, "roster": []}
    seeds: dict[str, int] = recorded["seeds"]
    listed = [row["student"] for row in roster]
    for name in set(listed) - set(seeds):
        for other in set(seeds) - set(listed):
            number = number_in(name)
            if name.lower() == other.lower() or (number is not None and number == number_in(other)):
                raise CourseworkError(
                    f"{name!r} is new, and the earlier hand-out has {other!r}: if they are one student, "
                    f"write {other!r} into the list (in a spreadsheet, format the column as text); "
                    "if they are two, list both"
                )
    # A hundred apart, because a run uses as many seeds in a row as it has replicates.
    free = sorted({100 * number for number in range(100, 10_000)} - set(seeds.values()))
    new = [name for name in listed if name not in seeds]
    if len(new) > len(free):
        raise CourseworkError(f"there are seeds for {len(seeds) + len(free)} students: use another --release")
    seeds = seeds | dict(zip(new, random.SystemRandom().sample(free, len(new)), strict=True))
    rows = {row["student"]: row for row in recorded["roster"]}
    rows |= {row["student"]: rows.get(row["student"], {}) | row for row in roster}
    text = json.dumps({"seeds": seeds, "roster": list(rows.values())}, indent=1) + "\n"
    replace(folder / FILE, text.encode())
    return {name: seeds[name] for name in listed}


def file_name(student: str) -> str:
    """Return a name for a student's files: the identifier, or what any file system takes instead of it.

    Args:
        student: an identifier, or the name of a folder that is nobody's.

    Returns:
        A name of at most 80 characters without an ending.
    """
    if re.fullmatch(r"[A-Za-z0-9][\w.@+-]{0,63}", student, re.ASCII):
        return student
    digest = hashlib.sha256(printable(student).encode()).hexdigest()[:8]
    plain = re.sub(r"[^\w.@+-]", "_", student, flags=re.ASCII)[:64]
    return f"{plain}-{digest}"
