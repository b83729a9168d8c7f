"""Collecting: all that can be wrong with a submission is named and, where that is safe, repaired."""

import io
import json
import os
import shutil
import tarfile
import zipfile

import pytest

from helpers.coursework import collecting, exercises, records
from helpers.coursework.records import CourseworkError
from helpers.publishing import notebooks

ALL = [exercise.name for exercise in exercises.all_exercises()]
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


def turn_into(cell_type, before="", after=""):
    def turn(notebook):
        cell = cell_of(notebook, "token_masking")
        cell.update(cell_type=cell_type, source=f"{before}{cell['source']}{after}")

    turn.__name__ = f"turn_into_{cell_type}{'_with_fences' if before else ''}"
    return turn


def solve_in_a_new_cell(notebook):
    cell = cell_of(notebook, "token_masking")
    new = {"cell_type": "code", "metadata": {}, "id": "new", "source": cell["source"]}
    notebook["cells"].insert(notebook["cells"].index(cell) + 1, new)
    cell["source"] = f"def token_masking(*arguments):\n    {exercises.CODE_STUB}"


def split(notebook):
    """As JupyterLab does: the pieces share the metadata."""
    cell = cell_of(notebook, "token_masking")
    places = notebook["cells"].index(cell)
    above, below = (json.loads(json.dumps(cell)) for _ in range(2))
    above["source"], below["source"] = "import random\nLEFT = 1", "print(token_masking)"
    notebook["cells"][places : places + 1] = [above, cell, below]


def split_inside_the_function(notebook):
    cell = cell_of(notebook, "token_masking")
    lines = cell["source"].split("\n")
    below = json.loads(json.dumps(cell)) | {"source": "\n".join(lines[4:])}
    cell["source"] = "\n".join(lines[:4])
    notebook["cells"].insert(notebook["cells"].index(cell) + 1, below)


def time_it(notebook):
    cell = cell_of(notebook, "token_masking")
    cell["source"] = f"%%time\n{cell['source']}"


def wait_for_it(notebook):
    cell = cell_of(notebook, "token_masking")
    cell["source"] += "\nawait something()"


def break_it(notebook):
    cell = cell_of(notebook, "token_masking")
    cell["source"] += "\nreturn seen"


def use_helpers(notebook):
    cell = cell_of(notebook, "token_masking")
    cell["source"] = "def token_masking(*arguments):\n    return masking.mask(*arguments)"


def nest_deeply(notebook):
    cell_of(notebook, "token_masking")["source"] = "x = " + "(1+" * 1200 + "1" + ")" * 1200


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
    (turn_into("markdown"), "the cell of token_masking was turned into text (markdown)", True, True),
    (turn_into("raw"), "the cell of token_masking was turned into text (raw)", True, True),
    (turn_into("markdown", "```python\n", "\n```"), "was turned into text (markdown)", True, True),
    (solve_in_a_new_cell, "there are 2 cells of token_masking", True, True),
    (split_inside_the_function, "the cell of token_masking was split", True, True),
    (time_it, "the cell of token_masking holds magics or shell lines", True, None),
    (wait_for_it, "the cell of token_masking has `await` outside a function, in line", True, None),
    (break_it, "token_masking is no Python (SyntaxError in line", False, None),
    (use_helpers, "token_masking uses masking: not defined anywhere, or with `helpers`", False, None),
    (nest_deeply, "token_masking is no Python", False, False),
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


def test_of_copies_that_agree_one_is_read_and_of_others_the_last(submitted, released):
    copy = submitted.place / "02_token_masking (1).ipynb"
    copy.write_bytes((submitted.place / "02_token_masking.ipynb").read_bytes())
    (finding,) = ada(submitted, released).findings
    assert "there are 2 copies of 02_token_masking.ipynb" in finding.problem and finding.repaired
    for number in (2, 10):
        copy = submitted.place / f"02_token_masking ({number}).ipynb"
        text = (submitted.place / "02_token_masking.ipynb").read_text()
        copy.write_text(text.replace("fate < mix[0]:", f"fate < mix[{number}]:"))
    submission = ada(submitted, released)
    (finding,) = submission.findings
    assert "they differ: ask which one counts" in finding.remedy and not finding.repaired
    assert "mix[10]" in submission.answers["token_masking"], "2 comes before 10"


def test_what_the_setup_cell_fetched_is_not_graded_in_the_students_place(submitted, released):
    submitted("02_token_masking", lambda notebook: cell_of(notebook, "token_masking").update(source=MINE))
    for place in ("", "token-or-span/notebooks"):
        (submitted.place / place).mkdir(parents=True, exist_ok=True)
        for path in notebooks.paths():
            name = path.name if place else f"00 {path.name}"  # sorted before and after the student's own
            shutil.copy(path, submitted.place / place / name)
    submission = ada(submitted, released)
    assert submission.answers["token_masking"] == MINE
    published = [finding for finding in submission.findings if "the published notebook" in finding.problem]
    assert published and all(finding.repaired for finding in published)
    (submitted.place / "02_token_masking.ipynb").unlink()
    assert "token_masking" not in ada(submitted, released).answers


def test_a_copy_as_it_was_handed_out_does_not_count_beside_a_solved_one(
    submitted, released, unpack, tmp_path
):
    with zipfile.ZipFile(released / "handout" / "ada.zip") as archive:
        content = archive.read("token-or-span/02_token_masking.ipynb")
    (submitted.place / "02_token_masking (9).ipynb").write_bytes(content)
    submission = ada(submitted, released)
    assert "random" in submission.answers["token_masking"] or "rng" in submission.answers["token_masking"]
    (finding,) = submission.findings
    assert "one is as it was handed out" in finding.remedy and finding.repaired


MINE = "def token_masking(*arguments):\n    return [], []"


def test_what_other_cells_define_comes_with_the_answer(submitted, released):
    def use_another_cell(notebook):
        cell = cell_of(notebook, "token_masking")
        notebook["cells"].insert(
            0, {"cell_type": "code", "metadata": {}, "source": "def half(x): return x / 2"}
        )
        cell["source"] = "def token_masking(*arguments):\n    return half(arguments)"

    submitted("02_token_masking", use_another_cell)
    submission = ada(submitted, released)
    assert submission.taken_along == {"token_masking": "def half(x):\n    return x / 2"}
    assert any("token_masking uses half, which other cells define" in str(one) for one in submission.findings)


@pytest.mark.parametrize("turned", ["markdown", "code", "raw"])
def test_an_answer_in_words_is_found_in_any_cell_and_in_several(turned, submitted, released):
    def answer(notebook):
        cell = cell_of(notebook, "own_verdict")
        place = notebook["cells"].index(cell)
        more = [
            {"cell_type": "markdown", "metadata": {}, "id": name, "source": f"{name} part"} for name in "ab"
        ]
        notebook["cells"][place + 1 : place + 1] = more
        cell["cell_type"] = turned

    submitted("07_five_statements", answer)
    submission = ada(submitted, released)
    assert submission.answers["own_verdict"] == "a part\n\nb part"
    lines = [str(finding) for finding in submission.findings]
    assert any("stands in 2 cells [repaired: they were put together]" in line for line in lines)
    assert any("was turned into code" in line for line in lines) is (turned != "markdown")


def test_characters_that_end_lines_elsewhere_stay_in_the_answer(submitted, released):
    odd = "def token_masking(*arguments):\n    return 'one\u2028two\x0cthree  ', [\x85]"
    submitted("02_token_masking", lambda notebook: cell_of(notebook, "token_masking").update(source=odd))
    assert ada(submitted, released).answers["token_masking"] == odd


# --- whose it is, and which attempt ---


def attempt(submitted, path, change=None):
    """Write Ada's notebooks as a zip file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(submitted.place.iterdir()):
            text = file.read_text()
            archive.writestr(file.name, change(text) if change else text)


@pytest.mark.parametrize(
    "names",
    [
        ("ada.zip", "ada (1).zip", "ada (2).zip", "ada (10).zip"),
        ("ada-1.zip", "ada-2.zip", "ada-10.zip"),
        ("ada_late_123_456_token-or-span.zip", "ada_late_123_457_token-or-span-1.zip"),
        ("ada_123_assignsubmission_file_/a.zip", "ada_124_assignsubmission_file_/a.zip"),
        (
            "token-or-span_ada_attempt_2024-09-30-10-00-00_a.zip",
            "token-or-span_ada_attempt_2024-10-01-09-00-00_a.zip",
        ),
        ("Ada.zip", "ada attempt 2.zip"),
        ("ada_v1.zip", "ada_final_v2.zip"),
    ],
)
def test_of_several_attempts_the_last_one_counts(names, submitted, released, tmp_path):
    inbox = tmp_path / "inbox"
    for number, name in enumerate(names):
        attempt(
            submitted,
            inbox / name,
            lambda text, number=number: text.replace("fate < mix[0]", f"fate < {number}"),
        )
    submissions = collecting.collect(inbox, released)
    assert [submission.student for submission in submissions] == ["ada", "ben"]
    assert f"fate < {len(names) - 1}" in submissions[0].answers["token_masking"]
    (finding,) = submissions[0].findings
    assert f"there are {len(names)} attempts" in finding.problem and finding.repaired
    assert "last one counts" in finding.remedy


def test_a_notebook_that_the_last_attempt_lacks_is_taken_from_an_earlier_one(submitted, released, tmp_path):
    inbox = tmp_path / "inbox"
    attempt(submitted, inbox / "ada.zip")
    with zipfile.ZipFile(inbox / "ada-2.zip", "w") as archive:
        text = (submitted.place / "02_token_masking.ipynb").read_text()
        archive.writestr("02_token_masking.ipynb", text.replace("fate < mix[0]", "fate < 2"))
    answers = collecting.collect(inbox, released)[0].answers
    assert "fate < 2" in answers["token_masking"] and set(answers) == set(ALL)


def test_identifiers_that_begin_like_others_are_told_apart(submitted, tmp_path):
    records.add_students(tmp_path / "record", [{"student": name} for name in ("ada", "ada-2", "7", "70")])
    inbox = tmp_path / "inbox"
    for name in ("ada", "ada-2", "ada-2 (1)", "70", "7_1", "adam", "7b", "x_7_attempt_1"):
        (inbox / name).mkdir(parents=True)
    (inbox / "ada_notes.docx").touch(), (inbox / ".DS_Store").touch(), (inbox / "readme").touch()
    found = {one.student: one for one in collecting.collect(inbox, tmp_path / "record")}
    assert list(found) == ["70", "7", "7b", "ada", "ada-2", "adam"]
    assert [one for one in found["adam"].findings if "not on the list" in one.problem]
    assert [one for one in found["ada-2"].findings if "(ada-2, ada-2 (1))" in one.problem]


def test_without_a_list_only_a_browsers_number_joins_attempts(submitted, tmp_path):
    records.add_students(tmp_path / "record", [])
    for name in ("lee", "lee-2", "lee (1)", "kim (1)"):
        (tmp_path / "inbox" / name).mkdir(parents=True)
    found = collecting.collect(tmp_path / "inbox", tmp_path / "record")
    assert [one.student for one in found] == ["kim (1)", "lee", "lee-2"]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("ben.7z", "ben.7z: is a .7z file, which is not read"),
        ("ben.pdf", "ben.pdf: is neither a notebook nor an archive"),
        ("ben.py", "ben.py: is neither a notebook nor an archive"),
        (
            "ben-work.docx",
            "nothing was handed in [to do: ask for it; without it the grade is 0. Or is it ben-work",
        ),
        ("ben/essay.pdf", "ben: there is no notebook in ben [to do: ask for the .ipynb files"),
        ("ben/all.rar", "ben/all.rar: is a .rar file, which is not read"),
    ],
)
def test_what_lies_there_is_never_called_nothing(name, line, submitted, released):
    path = submitted.folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    ben = next(one for one in collecting.collect(submitted.folder, released) if one.student == "ben")
    lines = [str(finding) for finding in ben.findings]
    assert any(line in one for one in lines), lines
    assert ben.handed_in is ("nothing" not in line)


@pytest.mark.parametrize("packed", ["ada/token-or-span.zip", "ada/token-or-span.tar.gz", "ada.tar.gz"])
def test_archives_in_a_students_folder_are_read(packed, submitted, released, tmp_path):
    path = tmp_path / "inbox" / packed
    path.parent.mkdir(parents=True)
    if packed.endswith(".zip"):
        attempt(submitted, path)
    else:
        with tarfile.open(path, "w:gz") as archive:
            archive.add(submitted.place, "work")
    (submission, _) = collecting.collect(tmp_path / "inbox", released)
    assert submission.findings == [] and set(submission.answers) == set(ALL)


# --- one submission never stops the others ---


def test_an_error_while_reading_costs_its_submission_only(submitted, released, monkeypatch):
    (submitted.folder / "ben").mkdir()
    read = collecting.archives.notebooks

    def fails_for_ben(path, *arguments):
        if path.name == "ben":
            raise RecursionError("too deep")
        return read(path, *arguments)

    monkeypatch.setattr(collecting.archives, "notebooks", fails_for_ben)
    found = {one.student: one for one in collecting.collect(submitted.folder, released)}
    assert set(found["ada"].answers) == set(ALL)
    (finding,) = found["ben"].findings
    assert finding.problem == "cannot be read to the end (RecursionError: too deep)"


def test_an_error_in_one_exercise_costs_no_other(submitted, released, monkeypatch):
    monkeypatch.setattr(collecting.answers, "parts", lambda *_: 1 / 0)
    submission = ada(submitted, released)
    assert set(submission.answers) == set(ALL)
    assert any(
        "the cell of token_masking cannot be read (ZeroDivisionError" in str(one)
        for one in submission.findings
    )


def test_names_that_steer_a_terminal_or_are_very_long_are_shown_harmlessly(submitted, released):
    (submitted.folder / "[31mred").mkdir()
    (submitted.folder / ("x" * 255)).mkdir()
    (submitted.place / "]0;title.ipynb").write_text("{}")
    submissions = collecting.collect(submitted.folder, released)
    assert "x" * 255 in {submission.student for submission in submissions}
    lines = [str(finding) for one in submissions for finding in one.findings]
    assert lines and all(line.isprintable() for line in lines)
    assert any("\\x1b]0;title\\x07.ipynb: is not a notebook" in line for line in lines)


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
