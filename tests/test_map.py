"""The map in helpers/__init__.py names every room and what it imports; rooms import only from below."""

import ast
import json
import re

import pytest

import helpers
from helpers.settings import ROOT

WINGS = ("running", "publishing", "coursework")
LINE = re.compile(r"^    (?P<room>[\w/]+)  +(?P<about>[^<]+?)(?:\s+< (?P<imports>[\w ]+))?$", re.MULTILINE)
ROOMS = {found["room"]: found for found in LINE.finditer(re.sub(r"\n {20,}", " ", helpers.__doc__))}
FILES = {
    path.relative_to(ROOT / "helpers").with_suffix("").as_posix(): path
    for path in (ROOT / "helpers").rglob("*.py")
    if path.name != "__init__.py"
}


def imported(code: str) -> set[str]:
    """Rooms that code imports, "running/arm" for those in wings, wherever the import stands."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "helpers":
            inner = node.module.split(".")[1:]
            for name in (alias.name for alias in node.names):
                path = [*inner, name] if not inner or (len(inner) == 1 and inner[0] in WINGS) else inner
                found.add("/".join(path))
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("helpers.") for alias in node.names), "use from … import"
    return found


IMPORTS = {room: imported(path.read_text(encoding="utf-8")) for room, path in FILES.items()}


def test_the_map_names_every_room_once():
    assert list(ROOMS) == list(dict.fromkeys(ROOMS)) and set(ROOMS) == set(FILES)


@pytest.mark.parametrize("room", FILES)
def test_the_map_says_what_a_room_imports(room):
    mapped = (ROOMS[room]["imports"] or "").split()
    wings = {name.partition("/")[0] for name in IMPORTS[room]}
    assert mapped == sorted(mapped) and set(mapped) == wings


def test_a_room_imports_only_from_below():
    """There is an order of all rooms in which each comes after what it imports."""
    waiting, built = dict(IMPORTS), set()
    while ready := [room for room, needs in waiting.items() if needs <= built]:
        built |= set(ready)
        waiting = {room: needs for room, needs in waiting.items() if room not in built}
    assert not waiting, "these import each other, or something that is no room"


def test_front_rooms_know_nothing_of_the_wings():
    front = [room for room in FILES if "/" not in room and room not in ("experiment", "__main__")]
    assert not [room for room in front if any(name.startswith(WINGS) for name in IMPORTS[room])]
    assert not IMPORTS["masking"] and not IMPORTS["plain_masking"]


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_import_front_rooms(path):
    """All but the setup cell, which fetches the project on Colab."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    sources = ["".join(cell["source"]) for cell in code if "setup" not in cell["metadata"].get("tags", [])]
    names = set().union(*map(imported, sources))
    assert names and not [name for name in names if name.startswith(WINGS)]


def test_the_sizes_that_a_reader_can_take_in():
    """The grid and the training loop have to fit into a head."""
    lines = {room: len(path.read_text(encoding="utf-8").splitlines()) for room, path in FILES.items()}
    assert lines["experiment"] < 220 and lines["pretraining"] < 150
    loop = FILES["pretraining"].read_text(encoding="utf-8").splitlines()
    first = next(line for line in loop if line.startswith(("def ", "class ")))
    assert first == "def train("


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=lambda path: path.stem)
def test_no_test_imports_another(path):
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    modules = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    assert not [module for module in modules if module.split(".")[-1].startswith("test_")]


def test_tests_are_laid_out_like_the_rooms():
    """A test file is named after a room of the same wing, or after something that is not in a room at all."""
    elsewhere = ("test_map", "test_packaging", "test_colours", "test_memory", "test_real_input", "test_cli")
    rooms = {*FILES, "benchmark_training", "coursework/wrong_solutions", "coursework/hostile_submissions"}
    for path in (ROOT / "tests").rglob("test_*.py"):
        wing, stem = path.parent.name, path.stem.removeprefix("test_")
        if wing in ("browser", "colab", "benchmarks") or path.stem in elsewhere:
            continue
        name = stem if wing == "tests" else f"{wing}/{stem}"
        assert name in rooms or any(name.startswith(f"{room}_") for room in rooms), path


def test_docs_lead_to_the_map():
    for name in ("README.md", "CONTRIBUTING.md"):
        assert "helpers/__init__.py" in (ROOT / name).read_text(encoding="utf-8")
