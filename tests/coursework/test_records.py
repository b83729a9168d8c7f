"""What nobody can make again stays: seeds, and files that somebody typed into."""

import errno
import re
import shutil
import subprocess

import pytest

from helpers.coursework import records
from helpers.coursework.records import CourseworkError
from helpers.settings import ROOT


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"seeds": {"ada": 100',
        "[]",
        '{"seeds": {}}',
        '{"seeds": [], "roster": []}',
        '{"seeds": {"ada": null}, "roster": []}',
        '{"seeds": {}, "roster": [5]}',
        '{"seeds": {}, "roster": [{"email": "a@example.org"}]}',
        "[" * 100_000,
        "\xff",
    ],
)
def test_a_damaged_record_is_named_and_not_replaced(content, tmp_path):
    path = tmp_path / "record.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(CourseworkError, match=re.escape(str(path)) + " cannot be read .*restore it"):
        records.read(tmp_path)
    with pytest.raises(CourseworkError, match="restore it"):
        records.add_students(tmp_path, [{"student": "ada"}])
    assert path.read_bytes() == content.encode("latin-1")


def test_a_file_that_cannot_be_written_to_the_end_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "record.json"
    records.write_whole(path, b"old")

    def disk_is_full(self, content):
        with self.open("wb") as file:
            file.write(content[:1])
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(type(path), "write_bytes", disk_is_full)
        with pytest.raises(OSError, match="no space left"):
            records.write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path], "nothing half-written is left"
    records.write_whole(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,email\nAda,a@b\n", r":1: there is no column 'student'"),
        ("student\nada\n../eve\n", r":3: '../eve' cannot name a folder"),
        ("student,x\nada,1\n,2\n", r":3: '' cannot name a folder"),
        ("student\nada\0\n", r":2: 'ada.x00' cannot name a folder"),
        ("student\nada\nben\nAda\n", r":4: 'Ada' already stands in line 2"),
        ("student\n", r"lists no students"),
    ],
)
def test_a_bad_list_of_students_names_the_line(text, message, tmp_path):
    path = tmp_path / "students.csv"
    path.write_text(text)
    with pytest.raises(CourseworkError, match=re.escape(str(path)) + ".*" + message.lstrip("r")):
        records.students(path)


def test_lists_of_students_as_spreadsheets_write_them(tmp_path):
    path = tmp_path / "students.csv"
    path.write_bytes("\ufeffstudent;name\r\nada;Ada Löf\r\n".encode())
    assert records.students(path) == [{"student": "ada", "name": "Ada Löf"}]
    path.write_bytes("student\nL\xf6f\n".encode("latin-1"))
    with pytest.raises(CourseworkError, match="UTF-8"):
        records.students(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_are_read_as_spreadsheets_save_them(encoding, separator, tmp_path):
    lines = ["student,name,note", 'ada,Ada Löf,"1, 2; 3"', ",,", "ben,Ben,,,"]
    text = "\r\n".join(line.replace(",", separator).replace(f'"1{separator} 2', '"1, 2') for line in lines)
    (tmp_path / "table.csv").write_bytes(text.encode(encoding))
    rows = records.read_table(tmp_path / "table.csv", ["student", "note"])
    assert [row.values["note"] for row in rows] == ["1, 2; 3", ""]
    assert [row.line for row in rows] == [2, 4] and rows[0].values["name"] == "Ada Löf"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "table.csv:1: there is no column 'student'"),
        (
            b"student\nada\nL\xf6f\n",
            "table.csv:3 cannot be read, it is not in UTF-8: save it as CSV in UTF-8",
        ),
        (b"student,x\nada,1\nben,1,2\n", "table.csv:3: the row has 3 cells and must have 2 columns"),
        (b"student,x\nada\n", "table.csv:2: the row has 1 cells"),
        (b"student,x,x\n", "table.csv:1: the column 'x' is there twice"),
        (b'student,x\nada,"half a', "table.csv:2 cannot be read .*save it as CSV"),
        (b"student\n" + b"a" * 200_000, "table.csv:2 cannot be read .field larger than field limit"),
    ],
)
def test_a_damaged_table_names_the_line(content, message, tmp_path):
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(CourseworkError, match=message):
        records.read_table(tmp_path / "table.csv", ["student"])


@pytest.mark.parametrize("column", ["total", "look", "most", "token_masking"])
def test_a_column_that_the_grades_have_themselves_is_refused(column, tmp_path):
    (tmp_path / "students.csv").write_text(f"student,{column}\nada,1\n")
    with pytest.raises(CourseworkError, match=f":1: grades.csv has a column '{column}' of its own: rename"):
        records.students(tmp_path / "students.csv", (*records.OUR_COLUMNS, "token_masking"))


# --- seeds ---


def test_seeds_are_far_apart_and_never_given_twice(tmp_path):
    names = [f"student{number}" for number in range(300)]
    first = records.add_students(tmp_path, [{"student": name} for name in names])
    records.add_students(tmp_path, [{"student": "late"}])
    seeds = records.read(tmp_path)["seeds"]
    assert seeds.items() > first.items() and len(set(seeds.values())) == 301
    assert all(seed % 100 == 0 and seed >= 10_000 for seed in seeds.values())


@pytest.mark.parametrize(
    ("recorded", "listed"),
    [("00123", "123"), ("1e5", "100000"), ("1e5", "1E+05"), ("7", "7.0"), ("ada", "Ada")],
)
def test_an_identifier_that_a_spreadsheet_changed_gets_no_new_seed(recorded, listed, tmp_path):
    seeds = records.add_students(tmp_path, [{"student": recorded}])
    with pytest.raises(
        CourseworkError, match=f"earlier hand-out has '{recorded}'.*format the column as text"
    ):
        records.add_students(tmp_path, [{"student": listed}])
    assert records.read(tmp_path)["seeds"] == seeds
    if recorded.lower() != listed.lower():
        both = records.add_students(tmp_path, [{"student": recorded}, {"student": listed}])
        assert both[recorded] == seeds[recorded] != both[listed], "both in one list are two students"


def test_when_no_seeds_are_left_that_is_said(tmp_path):
    many = [{"student": str(number)} for number in range(9901)]
    with pytest.raises(CourseworkError, match="there are seeds for 9900 students"):
        records.add_students(tmp_path, many)
    assert not (tmp_path / "record.json").exists()


# --- files ---


def test_what_is_replaced_is_kept(tmp_path):
    path = tmp_path / "written.csv"
    for content in (b"one", b"two", b"two", b"three"):
        records.replace(path, content)
    kept = sorted((tmp_path / "backups").iterdir())
    assert [(file.name, file.read_bytes()) for file in kept] == [
        ("written.0001.csv", b"one"),
        ("written.0002.csv", b"two"),
    ]
    assert path.read_bytes() == b"three"


@pytest.mark.parametrize("fails", ["backup", "file"])
def test_a_full_disk_costs_nothing_that_was_there(fails, tmp_path, monkeypatch):
    path = tmp_path / "written.csv"
    records.replace(path, b"points")
    write = type(path).write_bytes

    def full(self, content):
        if ("backups" in self.parts) is (fails == "backup"):
            write(self, content[:1])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, content)

    monkeypatch.setattr(type(path), "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        records.replace(path, b"other")
    assert path.read_bytes() == b"points" and not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("name", ["ada", "x" * 255, "ad\u202ea", "Löf", "a/b", "..", "con.txt", "-rf"])
def test_any_name_makes_a_file_name(name, tmp_path):
    made = records.file_name(name)
    assert len(made) <= 80 and "/" not in made and (made == name) is (name in ("ada", "con.txt"))
    (tmp_path / f"{made}.html.123456.part").touch()
    assert made != records.file_name(name + "x")


def test_cleaning_up_keeps_seeds_and_points(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    runs = tmp_path / "data" / "runs"
    for file in (
        "laptop/results.csv",
        "coursework/record.json",
        "autumn/graded/written.csv",
        ".hidden/x",
        "loose",
    ):
        (runs / file).parent.mkdir(parents=True, exist_ok=True)
        (runs / file).touch()
    (tmp_path / ".venv").mkdir()
    done = subprocess.run(["make", "clean"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert sorted(path.name for path in runs.iterdir()) == ["autumn", "coursework"]
    assert "Kept: data/runs/coursework" in done.stdout and not (tmp_path / ".venv").exists()
    for name in ("autumn", "coursework"):
        shutil.rmtree(runs / name)
    subprocess.run(["make", "clean"], cwd=tmp_path, capture_output=True, check=True)
    assert not runs.exists()
