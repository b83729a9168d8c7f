"""Collecting: all that can be wrong with a submission is named and, where that is safe, repaired."""

import io
import json
import os
import zipfile

import pytest

from helpers.coursework import collecting, exercises
from helpers.coursework.exercises import CourseworkError

NOTEBOOKS = "02_token_masking", "03_span_masking", "05_fine_tuning", "06_f1_by_entity_length"


def ada(submitted, released):
    submissions = collecting.collect(submitted.folder, released)
    return next(submission for submission in submissions if submission.student == "ada")


def cell_of(notebook, name):
    cells = notebook["cells"]
    return next(cell for cell in cells if exercises.nbgrader_metadata(cell).get("grade_id") == name)


def test_a_sound_submission_has_no_findings(submitted, released):
    submission = ada(submitted, released)
    assert submission.findings == []
    assert set(submission.answers) == {exercise.name for exercise in exercises.all_exercises()}
    assert submission.roster_columns == {"email": "ada@example.org"}


def test_who_handed_in_nothing_is_named(submitted, released):
    submissions = collecting.collect(submitted.folder, released)
    (finding,) = next(submission for submission in submissions if submission.student == "ben").findings
    assert str(finding) == "ben: nothing was handed in [to do: ask for it; without it the grade is 0]"


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
    copy["source"] = f"def token_masking():\n    {exercises.CODE_STUB}"
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
    notebook["metadata"] = {exercises.ASSIGNMENT: {"notebook": []}}
    for cell in notebook["cells"]:
        cell["metadata"], cell["id"] = {"nbgrader": {"grade_id": []}}, {}


DAMAGES = [  # what happened, the finding, whether it is repaired, whether the code is still found
    (lose_metadata, "the cell of token_masking has lost its metadata", True, True),
    (lose_metadata_and_ids, "the cell of token_masking has lost its metadata", True, True),
    (metadata_of_another_kind, "the cell of token_masking has lost its metadata", True, True),
    (duplicate, "there are 2 cells of token_masking", True, True),
    (duplicate_with_the_stub, "there are 2 cells of token_masking", True, True),
    (duplicate_another, "they differ: ask which one counts", False, None),
    (delete, "the cell of token_masking is missing", False, False),
    (delete_and_write_elsewhere, "the cell of token_masking has lost its metadata", True, True),
    (change_a_check, "the check token_masking_1 was changed", True, True),
    (delete_a_check, "the check token_masking_2 is missing", True, True),
    (fifty_megabytes, "has 50 MB, mostly outputs", True, True),
    (another_seed, "has seed 12300; this student's is", False, True),
    (no_seed, "the cell with the student's seed is missing", True, True),
    (another_course, "is not a notebook of this course", False, False),
]


@pytest.mark.parametrize(
    ("damage", "message", "repaired", "found"), DAMAGES, ids=lambda value: getattr(value, "__name__", "")
)
def test_damage_is_named_with_a_remedy_and_repaired_where_that_is_safe(
    damage, message, repaired, found, submitted, released
):
    submitted("02_token_masking", damage)
    before = {path: path.read_bytes() for path in submitted.folder.rglob("*.ipynb")}
    submission = ada(submitted, released)
    (finding,) = [finding for finding in submission.findings if message in str(finding)]
    assert finding.repaired is repaired and finding.remedy and "02_token_masking" in finding.where
    solutions = {exercise.name: exercise.source for exercise in exercises.all_exercises()}
    if found is not None:
        assert (submission.answers.get("token_masking") == solutions["token_masking"]) is found
    assert submission.answers["geometric_spans"], "the other notebooks are read all the same"
    assert before == {path: path.read_bytes() for path in before}, "a submission is never changed"


def test_what_colab_saves_is_read_without_findings(submitted, released):
    for name in NOTEBOOKS:
        submitted(name, as_colab_saves)
    assert ada(submitted, released).findings == []


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"{}", b'{"cells": [1]}', b"[" * 100_000, b"\xff\xfe", b'{"cells": 5}']
)
def test_what_is_no_notebook_is_named(content, submitted, released):
    (submitted.place / "02_token_masking.ipynb").write_bytes(content)
    lines = [str(finding) for finding in ada(submitted, released).findings]
    assert any("02_token_masking.ipynb: is not a notebook" in line and "ask for" in line for line in lines)
    lost = "02_token_masking.ipynb is missing", "5 points are lost"
    assert any(all(part in line for part in lost) for line in lines)


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
    assert set(submission.answers) == {exercise.name for exercise in exercises.all_exercises()}
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
    assert any(
        "there are 2 copies of 02_token_masking.ipynb" in str(finding)
        for finding in ada(submitted, released).findings
    )


def test_a_stranger_and_an_empty_folder_are_named(submitted, released, tmp_path_factory):
    (submitted.folder / "ada").rename(submitted.folder / "adda")
    found = {submission.student: submission for submission in collecting.collect(submitted.folder, released)}
    assert any("not on the list" in str(finding) for finding in found["adda"].findings)
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


def test_a_name_that_is_not_utf8_is_named_in_a_way_that_can_be_written(submitted, released):
    (submitted.place / os.fsdecode(b"\xdcbung.ipynb")).write_text("not a notebook")
    other = submitted.folder / os.fsdecode(b"L\xf6f")
    other.mkdir()
    submissions = collecting.collect(submitted.folder, released)
    assert {submission.student for submission in submissions} == {"ada", "ben", "L?f"}
    findings = [str(finding).encode("utf-8") for one in submissions for finding in one.findings]
    assert any(b"/?bung.ipynb: is not a notebook" in finding for finding in findings)


def test_code_is_the_same_whatever_its_comments_and_layout_and_however_long_it_is():
    first = 'def f(x):\n    """One."""\n    return x + 1  # one more\n'
    second = "def f(x):\n\n    return (x+1)"
    assert collecting.canonical_code(first) == collecting.canonical_code(second)
    assert collecting.canonical_code(first) != collecting.canonical_code(first.replace("1", "2"))
    deep = "x = " + " + ".join(["1"] * 2000)  # can be run, but is nested too deeply to be compared as a tree
    assert collecting.canonical_code(deep) == collecting.canonical_code(deep + "\n")
