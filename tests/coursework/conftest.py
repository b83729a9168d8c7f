"""What the tests of coursework share: a hand-out for two students, and one of them handing it in."""

import json
import zipfile

import pytest

from helpers.coursework import exercises


@pytest.fixture(scope="session")
def released(tmp_path_factory):
    """A hand-out for two students."""
    folder = tmp_path_factory.mktemp("handout")
    roster = [{"student": "ada", "email": "ada@example.org"}, {"student": "ben"}]
    exercises.release(folder, roster, allow_placeholder=True)
    return folder


@pytest.fixture
def unpack(released, tmp_path):
    """Unpacks a student's copy, and returns the folder with the notebooks."""

    def unpacked(student):
        with zipfile.ZipFile(released / "handout" / f"{student}.zip") as archive:
            archive.extractall(tmp_path / student)
        return tmp_path / student / exercises.ASSIGNMENT

    return unpacked


@pytest.fixture
def submitted(unpack, tmp_path):
    """Edits one of Ada's notebooks, which are solved, in a folder that holds nothing of Ben's."""
    place = unpack("ada")
    solutions = {exercise.name: exercise for exercise in exercises.all_exercises()}

    def edit(name, change=None):
        path = place / f"{name}.ipynb"
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            exercise = solutions.get(exercises.nbgrader_metadata(cell).get("grade_id"))
            if exercise and not exercise.written:
                cell["source"] = exercise.source
        if change:
            change(notebook)
        path.write_text(json.dumps(notebook), encoding="utf-8")

    for path in place.glob("*.ipynb"):
        edit(path.stem)
    edit.folder, edit.place = tmp_path, place
    return edit
