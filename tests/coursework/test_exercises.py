"""Handing out and collecting: what students get, and every way in which a submission comes back damaged."""

import io
import json
import re
import zipfile

import nbformat
import pytest

from helpers.coursework import collecting, exercises
from helpers.coursework.exercises import CourseworkError
from helpers.publishing import notebooks

GRADED = "02_token_masking", "03_span_masking", "05_fine_tuning", "06_f1_by_entity_length"


@pytest.fixture(scope="session")
def released(tmp_path_factory):
    """A hand-out for two students."""
    folder = tmp_path_factory.mktemp("handout")
    exercises.release(folder, [{"student": "ada", "email": "ada@example.org"}, {"student": "ben"}])
    return folder


def unpacked(released, student, folder):
    with zipfile.ZipFile(released / "handout" / f"{student}.zip") as archive:
        archive.extractall(folder / student)
    return folder / student / exercises.NAME


@pytest.fixture
def submitted(released, tmp_path):
    """Edits one of Ada's notebooks, which are solved, in a folder that holds nothing of Ben's."""
    place = unpacked(released, "ada", tmp_path)
    solutions = {task.name: task for task in exercises.all_exercises()}

    def edit(name, change=None):
        path = place / f"{name}.ipynb"
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            task = solutions.get(exercises.graded(cell).get("grade_id"))
            if task and not task.written:
                cell["source"] = task.source
        if change:
            change(notebook)
        path.write_text(json.dumps(notebook), encoding="utf-8")

    for path in place.glob("*.ipynb"):
        edit(path.stem)
    edit.folder, edit.place = tmp_path, place
    return edit


def ada(edit, released):
    found = {submission.student: submission for submission in collecting.collect(edit.folder, released)}
    return found["ada"]


def cell_of(notebook, name):
    return next(cell for cell in notebook["cells"] if exercises.graded(cell).get("grade_id") == name)


# --- the one source ---


def test_every_graded_exercise_has_a_solution_a_visible_check_and_a_cell_for_each_point():
    tasks = {task.name: task for task in exercises.all_exercises()}
    assert {"token_masking", "whole_word_masking", "geometric_spans", "align_labels", "f1_in_buckets"} <= set(
        tasks
    )
    assert sum(task.written for task in tasks.values()) == 1
    for task in tasks.values():
        if not task.written:
            assert "### BEGIN SOLUTION" in task.source and f"def {task.name}(" in task.source
            assert f"{task.name}_check" in task.cells
            assert all(point.points == 1 and point.title for point in task.points)
            assert all("### BEGIN HIDDEN TESTS" in point.source for point in task.points)
    assert sum(task.most for task in tasks.values()) == 30


# --- handing out ---


def test_students_get_no_solutions_and_no_hidden_checks(released, tmp_path):
    place = unpacked(released, "ada", tmp_path)
    assert [path.name for path in sorted(place.iterdir())] == [path.name for path in notebooks.paths()]
    for path in place.iterdir():
        notebook = nbformat.read(path, 4)
        nbformat.validate(notebook)
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(BEGIN|END) (SOLUTION|HIDDEN)", text)
        for task in exercises.all_exercises():
            hidden = [line for point in task.points for line in point.source.splitlines()[2:-1]]
            assert not [line for line in hidden if json.dumps(line)[1:-1] in text and "assert" in line]
        assert not [cell for cell in notebook.cells if cell.get("outputs")]
        for cell in notebook.cells:
            if exercises.graded(cell).get("locked"):
                assert cell.metadata["editable"] is False and cell.metadata["deletable"] is False


def test_nothing_but_solutions_hidden_checks_and_outputs_is_gone(released, tmp_path):
    place = unpacked(released, "ada", tmp_path)
    for path in notebooks.paths():
        ours = [cell for cell in nbformat.read(path, 4).cells]
        theirs = [cell for cell in nbformat.read(place / path.name, 4).cells if cell.id != "seed"]
        assert [cell.id for cell in ours] == [cell.id for cell in theirs]
        for cell, copy in zip(ours, theirs, strict=True):
            if not exercises.graded(cell):
                assert cell.source == copy.source


def test_each_student_has_a_seed_of_their_own_and_keeps_it(released, tmp_path):
    seeds = json.loads((released / "record.json").read_text())["seeds"]
    assert len(set(seeds.values())) == 2
    assert all(seed % 100 == 0 and seed >= 10_000 for seed in seeds.values()), "development uses 0 to 99"
    for student, seed in seeds.items():
        with zipfile.ZipFile(released / "handout" / f"{student}.zip") as archive:
            for name in archive.namelist():
                cells = json.loads(archive.read(name))["cells"]
                assert "".join(cells[2]["source"]).endswith(f'os.environ["SEED"] = "{seed}"'), (
                    "after the setup"
                )
    (tmp_path / "record.json").write_bytes((released / "record.json").read_bytes())
    exercises.release(tmp_path, [{"student": "ada"}, {"student": "ben"}, {"student": "cleo"}])
    again = json.loads((tmp_path / "record.json").read_text())["seeds"]
    assert {name: again[name] for name in seeds} == seeds and len(set(again.values())) == 3


def test_without_a_list_there_is_one_copy_for_all(tmp_path):
    (made,) = exercises.release(tmp_path / "all")
    with zipfile.ZipFile(made) as archive:
        assert len(archive.namelist()) == len(notebooks.paths())
        assert b'os.environ[\\"SEED\\"]' not in archive.read(archive.namelist()[0])
    assert json.loads((tmp_path / "all" / "record.json").read_text())["seeds"] == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,email\nAda,a@b\n", r":1: no column is called 'student'"),
        ("student\nada\n../eve\n", r":3: '../eve' cannot name a folder"),
        ("student,x\nada,1\n,2\n", r":3: '' cannot name a folder"),
        ("student\nada\nben\nAda\n", r":4: 'Ada' is in line 2 already"),
        ("student\n", r"lists no students"),
    ],
)
def test_a_bad_list_of_students_names_the_line(text, message, tmp_path):
    path = tmp_path / "students.csv"
    path.write_text(text)
    with pytest.raises(CourseworkError, match=re.escape(str(path)) + ".*" + message.lstrip("r")):
        exercises.students(path)


def test_lists_of_students_as_spreadsheets_write_them(tmp_path):
    path = tmp_path / "students.csv"
    path.write_bytes("\ufeffstudent;name\r\nada;Ada Löf\r\n".encode())
    assert exercises.students(path) == [{"student": "ada", "name": "Ada Löf"}]
    path.write_bytes("student\nL\xf6f\n".encode("latin-1"))
    with pytest.raises(CourseworkError, match="UTF-8"):
        exercises.students(path)


# --- collecting ---


def test_a_sound_submission_has_no_findings(submitted, released):
    submission = ada(submitted, released)
    assert submission.findings == []
    assert set(submission.answers) == {task.name for task in exercises.all_exercises()}
    assert submission.about == {"email": "ada@example.org"}


def test_who_handed_in_nothing_is_named(submitted, released):
    ben = next(one for one in collecting.collect(submitted.folder, released) if one.student == "ben")
    assert [str(finding) for finding in ben.findings] == ["ben: nothing was handed in [to do: graded with 0]"]


def lose_metadata(notebook):
    for cell in notebook["cells"]:
        cell["metadata"] = {}


def lose_metadata_and_ids(notebook):
    notebook["metadata"] = {}
    for cell in notebook["cells"]:
        cell["metadata"] = {"id": "x"}
        cell.pop("id", None)


def as_colab_saves(notebook):
    notebook["nbformat_minor"] = 0
    for cell in notebook["cells"]:
        cell["metadata"]["id"] = cell.pop("id")
        cell["source"] = (
            cell["source"] if isinstance(cell["source"], list) else cell["source"].splitlines(True)
        )


def duplicate(notebook):
    cell = cell_of(notebook, "token_masking")
    notebook["cells"].append(json.loads(json.dumps(cell)))


def duplicate_with_the_stub(notebook):
    copy = json.loads(json.dumps(cell_of(notebook, "token_masking")))
    copy["source"] = f"def token_masking():\n    {exercises.STUB}"
    notebook["cells"].append(copy)


def duplicate_another(notebook):
    copy = json.loads(json.dumps(cell_of(notebook, "token_masking")))
    copy["source"] = "def token_masking(*arguments):\n    return [], []"
    notebook["cells"].append(copy)


def delete(notebook):
    notebook["cells"].remove(cell_of(notebook, "token_masking"))


def delete_and_write_elsewhere(notebook):
    cell = cell_of(notebook, "token_masking")
    notebook["cells"].remove(cell)
    notebook["cells"].append({"cell_type": "code", "metadata": {}, "source": cell["source"]})


def change_a_check(notebook):
    cell_of(notebook, "token_masking_1")["source"] = "token_masking = 5"


def delete_a_check(notebook):
    notebook["cells"].remove(cell_of(notebook, "token_masking_2"))


def fifty_megabytes(notebook):
    output = {"output_type": "stream", "name": "stdout", "text": "x" * (50 << 20)}
    notebook["cells"][3].update(cell_type="code", outputs=[output])


def another_seed(notebook):
    cell = next(cell for cell in notebook["cells"] if cell.get("id") == "seed")
    cell["source"] = 'os.environ["SEED"] = "12300"'


def no_seed(notebook):
    notebook["cells"] = [cell for cell in notebook["cells"] if cell.get("id") != "seed"]


def another_course(notebook):
    notebook["metadata"] = {}
    notebook["cells"] = [{"cell_type": "code", "metadata": {}, "source": "print('Calculus')"}]


def metadata_of_another_kind(notebook):
    notebook["metadata"] = {exercises.NAME: {"notebook": []}}
    for cell in notebook["cells"]:
        cell["metadata"], cell["id"] = {"nbgrader": {"grade_id": []}}, {}


DAMAGES = [  # what happened, the finding, whether it is repaired, whether the code is still found
    (lose_metadata, "the cell of token_masking has lost its metadata", True, True),
    (lose_metadata_and_ids, "the cell of token_masking has lost its metadata", True, True),
    (metadata_of_another_kind, "the cell of token_masking has lost its metadata", True, True),
    (duplicate, "the cell of token_masking is there 2 times", True, True),
    (duplicate_with_the_stub, "the cell of token_masking is there 2 times", True, True),
    (duplicate_another, "the copies differ: ask which one counts", False, None),
    (delete, "the cell of token_masking is gone", False, False),
    (delete_and_write_elsewhere, "the cell of token_masking has lost its metadata", True, True),
    (change_a_check, "the check token_masking_1 was changed", True, True),
    (delete_a_check, "the check token_masking_2 is gone", True, True),
    (fifty_megabytes, "has 50 MB, mostly outputs", True, True),
    (another_seed, "has seed 12300; this student's is", False, True),
    (no_seed, "the cell with the student's seed is gone", True, True),
    (another_course, "is not a notebook of this course", False, False),
]


@pytest.mark.parametrize(
    ("damage", "said", "repaired", "found"), DAMAGES, ids=lambda value: getattr(value, "__name__", "")
)
def test_damage_is_named_with_a_remedy_and_repaired_where_that_is_safe(
    damage, said, repaired, found, submitted, released
):
    submitted("02_token_masking", damage)
    before = {path: path.read_bytes() for path in submitted.folder.rglob("*.ipynb")}
    submission = ada(submitted, released)
    (finding,) = [finding for finding in submission.findings if said in str(finding)]
    assert finding.repaired is repaired and finding.remedy and "02_token_masking" in finding.where
    solution = next(task.source for task in exercises.all_exercises() if task.name == "token_masking")
    if found is not None:
        assert (submission.answers.get("token_masking") == solution) is found
    assert submission.answers["geometric_spans"], "the other notebooks are read all the same"
    assert before == {path: path.read_bytes() for path in before}, "a submission is never changed"


def test_what_colab_saves_is_read_without_findings(submitted, released):
    for name in GRADED:
        submitted(name, as_colab_saves)
    assert ada(submitted, released).findings == []


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"{}", b'{"cells": [1]}', b"[" * 100_000, b"\xff\xfe", b'{"cells": 5}']
)
def test_what_is_no_notebook_is_named(content, submitted, released):
    (submitted.place / "02_token_masking.ipynb").write_bytes(content)
    said = [str(finding) for finding in ada(submitted, released).findings]
    assert any("02_token_masking.ipynb: is not a notebook" in line and "ask for" in line for line in said)
    assert any("02_token_masking.ipynb is missing" in line and "5 points are lost" in line for line in said)


def test_zip_files_are_read_like_folders(submitted, released):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in submitted.place.iterdir():
            archive.write(path, f"some folder/{path.name}")
            archive.writestr(f"__MACOSX/some folder/._{path.name}", b"not one of ours")
            archive.writestr(f"../../outside-{path.name}", b"{}")
    for path in submitted.place.iterdir():
        path.unlink()
    submitted.place.rmdir(), (submitted.folder / "ada").rmdir()
    (submitted.folder / "ada.zip").write_bytes(packed.getvalue())
    submission = ada(submitted, released)
    assert set(submission.answers) == {task.name for task in exercises.all_exercises()}
    assert not list(submitted.folder.parent.glob("**/outside-*")), "nothing is unpacked"
    (submitted.folder / "ada.zip").write_bytes(packed.getvalue()[:5000])
    assert any("cannot be unpacked" in str(finding) for finding in ada(submitted, released).findings)


def test_renamed_files_are_recognised(submitted, released):
    (submitted.place / "02_token_masking.ipynb").rename(submitted.place / "Kopie von 02 (1).ipynb")
    submission = ada(submitted, released)
    assert submission.findings == [] and "token_masking" in submission.answers


def test_two_copies_of_a_notebook_are_named(submitted, released):
    copy = submitted.place / "02_token_masking (1).ipynb"
    copy.write_bytes((submitted.place / "02_token_masking.ipynb").read_bytes())
    assert any("there 2 times" in str(finding) for finding in ada(submitted, released).findings)


def test_a_stranger_and_an_empty_folder_are_named(submitted, released, tmp_path_factory):
    (submitted.folder / "ada").rename(submitted.folder / "adda")
    found = {one.student: one for one in collecting.collect(submitted.folder, released)}
    assert any("nobody on the list" in str(finding) for finding in found["adda"].findings)
    with pytest.raises(CourseworkError, match="holds no submissions"):
        collecting.collect(tmp_path_factory.mktemp("empty"), released)
    with pytest.raises(CourseworkError, match="--release"):
        collecting.collect(submitted.folder, tmp_path_factory.mktemp("nothing released"))


def test_links_are_not_followed(submitted, released, tmp_path_factory):
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.ipynb"
    secret.write_text("{}")
    (submitted.place / "02_token_masking.ipynb").unlink()
    (submitted.place / "02_token_masking.ipynb").symlink_to(secret)
    assert any("is a link" in str(finding) for finding in ada(submitted, released).findings)


# --- what students do with it ---


@pytest.mark.parametrize(
    "name",
    [
        path.stem if path.stem.startswith("02") else pytest.param(path.stem, marks=pytest.mark.slow)
        for path in notebooks.paths()
    ],
)
def test_an_unsolved_copy_runs_to_the_end_with_the_students_own_seed(name, released, tmp_path, monkeypatch):
    place = unpacked(released, "ada", tmp_path)
    (place / "token-or-span").symlink_to(notebooks.ROOT)  # what the setup cell would fetch
    monkeypatch.setenv("SCALE", "smoke")
    monkeypatch.setenv("OUT", str(tmp_path / "out"))
    notebook = nbformat.read(place / f"{name}.ipynb", 4)
    notebook.cells.append(nbformat.v4.new_code_cell("print(run.scale.first_seed)"))
    nbformat.write(notebook, place / f"{name}.ipynb")
    notebooks.execute(place / f"{name}.ipynb", tmp_path / "executed.ipynb")
    executed = nbformat.read(tmp_path / "executed.ipynb", 4)
    seed = json.loads((released / "record.json").read_text())["seeds"]["ada"]
    assert executed.cells[-1].outputs[0].text == f"{seed}\n"
    printed = [
        output.text
        for cell in executed.cells
        if exercises.graded(cell)
        for output in cell.get("outputs", [])
        if output.output_type == "stream"
    ]
    tasks = [task for task in exercises.all_exercises() if task.notebook == name and not task.written]
    assert printed == [f"{task.name}: not solved yet\n" for task in tasks]
