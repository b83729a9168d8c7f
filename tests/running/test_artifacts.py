"""Artifacts: made once, never half-written, made again when damaged, found by their key."""

import json
import multiprocessing
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers.running import artifacts
from helpers.running.artifacts import build, find, is_whole, source_hash


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path) -> Path:
    monkeypatch.setattr(artifacts, "FOLDER", tmp_path / "artifacts")
    monkeypatch.setattr(artifacts, "LOCKS", tmp_path / "locks")
    return tmp_path / "artifacts"


class Maker:
    """Writes two files, one in a folder of its own, and counts how often it was asked."""

    def __init__(self):
        self.calls = 0

    def __call__(self, place: Path) -> None:
        self.calls += 1
        (place / "inner").mkdir()
        (place / "weights.bin").write_bytes(bytes(range(256)))
        (place / "inner" / "text.txt").write_text("words", encoding="utf-8")


def test_it_is_built_once(folder):
    make = Maker()
    assert find("thing", {"size": 1}) is None
    first = build("thing", {"size": 1}, make)
    assert find("thing", {"size": 1}) == first and is_whole(first)
    assert first.parent == folder and first.name.startswith("thing-")
    before = (first / "weights.bin").stat().st_mtime_ns
    assert build("thing", {"size": 1}, make) == first
    assert make.calls == 1
    assert (first / "weights.bin").stat().st_mtime_ns == before
    assert set(json.loads((first / "manifest.json").read_text())) == {"weights.bin", "inner/text.txt"}
    assert list(folder.iterdir()) == [first], "the folder may be on a Google Drive, where no lock holds"


def slow_build(folder: Path, log: Path, start) -> None:
    artifacts.FOLDER = folder

    def make(place: Path) -> None:
        with log.open("a") as file:
            file.write("made\n")
        time.sleep(0.3)
        (place / "file").write_text("whole")

    start.wait()
    assert (artifacts.build("thing", 1, make) / "file").read_text() == "whole"


def test_two_processes_at_once_build_once(folder, tmp_path):
    context = multiprocessing.get_context("fork")  # quick: nothing is imported again
    start = context.Event()
    log = tmp_path / "log"
    processes = [context.Process(target=slow_build, args=(folder, log, start)) for _ in range(2)]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join(20)
    assert [process.exitcode for process in processes] == [0, 0]
    assert log.read_text() == "made\n"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_nothing(folder, error):
    def fail(place: Path) -> None:
        (place / "half").write_text("half")
        raise error("stopped")

    with pytest.raises(error, match="stopped"):
        build("thing", 1, fail)
    assert find("thing", 1) is None
    assert not list(folder.iterdir())
    make = Maker()
    assert is_whole(build("thing", 1, make)) and make.calls == 1  # and the lock is free again


def test_what_a_killed_process_left_is_thrown_away(folder):
    make = Maker()
    left = build("thing", 1, make).rename(folder / "as it was")
    left = left.rename(folder / f"{build('thing', 1, make).name}.part")  # where it is made
    (left / "half").write_text("half")
    (left.with_suffix("") / "weights.bin").unlink()  # so that it is made again
    assert is_whole(build("thing", 1, make)) and make.calls == 3
    assert not left.exists() and not list(folder.glob("*/half"))


def slow_and_resumable(folder: Path, log: Path) -> None:
    artifacts.FOLDER = folder

    def make(place: Path) -> None:
        lines = place / "lines"
        while not lines.exists() or len(lines.read_text().split()) < 20:
            with lines.open("a") as file, log.open("a") as other:
                file.write("line\n")
                other.write("line\n")
            time.sleep(0.05)

    artifacts.build("thing", 1, make, resumable=True)


def test_what_is_resumable_goes_on_where_a_killed_process_was(folder, tmp_path):
    """Another process that waits for the same artifact takes it over, and does nothing twice."""
    log, context = tmp_path / "log", multiprocessing.get_context("fork")
    processes = [context.Process(target=slow_and_resumable, args=(folder, log)) for _ in range(2)]
    processes[0].start()
    while not log.exists() or len(log.read_text()) < 20:
        time.sleep(0.01)
    processes[1].start()
    processes[0].kill()
    processes[1].join(30)
    assert processes[1].exitcode == 0 and log.read_text() == "line\n" * 20
    (made,) = (path for path in folder.iterdir() if path.is_dir())
    assert is_whole(made) and made.suffix == ""


def test_what_is_resumable_is_kept_when_it_fails(folder):
    def fail(place: Path) -> None:
        (place / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build("thing", 1, fail, resumable=True)
    assert find("thing", 1) is None
    made = build("thing", 1, lambda place: (place / "whole").write_text("whole"), resumable=True)
    assert {path.name for path in made.iterdir()} == {"half", "whole", "manifest.json"}
    assert [path for path in folder.iterdir() if path.suffix == ".part"] == []


def test_a_file_is_written_as_a_whole(tmp_path, monkeypatch):
    file = tmp_path / "new folder" / "plan.json"
    artifacts.write(file, "old\n")
    monkeypatch.setattr(artifacts.os, "replace", lambda *_: 1 / 0)  # stopped before it is in place
    with pytest.raises(ZeroDivisionError):
        artifacts.write(file, "new\n")
    assert file.read_bytes() == b"old\n" and list(file.parent.iterdir()) == [file]


def flip_a_byte(place: Path) -> None:
    data = bytearray((place / "weights.bin").read_bytes())
    data[100] ^= 1
    (place / "weights.bin").write_bytes(data)


def remove_a_file(place: Path) -> None:
    (place / "inner" / "text.txt").unlink()


def cut_the_manifest(place: Path) -> None:
    (place / "manifest.json").write_text('{"weights.bin": "12')


@pytest.mark.parametrize("damage", [flip_a_byte, remove_a_file, cut_the_manifest])
def test_damage_is_seen_and_made_again(damage):
    make = Maker()
    place = build("thing", 1, make)
    damage(place)
    assert not is_whole(place) and find("thing", 1) is None
    assert build("thing", 1, make) == place and make.calls == 2
    assert is_whole(place)
    assert (place / "weights.bin").read_bytes() == bytes(range(256))


def test_files_of_others_do_not_count():
    """macOS, Windows and Google Drive leave some in every folder."""
    make = Maker()
    place = build("thing", 1, make)
    (place / ".DS_Store").write_bytes(b"\0")
    (place / "inner" / "desktop.ini").write_text("")
    assert find("thing", 1) == place == build("thing", 1, make) and make.calls == 1


@pytest.mark.parametrize("sound", [True, False])
def test_what_can_be_mended_is_not_made_again(capsys, sound):
    make, seen = Maker(), []

    def mend(place: Path) -> bool:
        seen.append(place)
        (place / "inner" / "text.txt").write_text("made again")
        return sound

    place = build("thing", 1, make)
    remove_a_file(place)
    assert build("thing", 1, make, mend=mend) == place and is_whole(place) and seen == [place]
    assert make.calls == (1 if sound else 2)
    assert ("small files in it were made again" in capsys.readouterr().out) is sound


def test_a_file_in_the_place_of_an_artifact_is_replaced(folder):
    make = Maker()
    place = build("thing", 1, make)
    shutil.rmtree(place)
    place.write_text("not a folder")
    place.with_name(f"{place.name}.part").write_text("not a folder either")
    assert find("thing", 1) is None
    for resumable in (False, True):
        assert is_whole(build("thing", 1, make, resumable=resumable))
    assert make.calls == 2


@dataclass(frozen=True)
class Key:
    size: int
    name: str = "a"


def test_the_key_decides_the_folder():
    make = Maker()
    keys = [{"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 2, "b": 1}, (1, 2), (2, 1), Key(1), Key(2), Key(1, "b")]
    folders = [build("thing", key, make) for key in keys]
    assert len(set(folders)) == len(keys) == make.calls
    assert build("other", keys[0], make) not in folders  # the kind counts too


def test_the_order_in_which_a_key_is_written_does_not_count():
    make = Maker()
    assert build("thing", {"a": 1, "b": 2}, make) == build("thing", {"b": 2, "a": 1}, make)
    assert build("thing", Key(1), make) == build("thing", Key(name="a", size=1), make)
    assert make.calls == 2


def test_source_hash_follows_the_code(monkeypatch, tmp_path):
    (tmp_path / "helpers").mkdir()
    for name, code in (("one", "a = 1"), ("two", "b = 2")):
        (tmp_path / "helpers" / f"{name}.py").write_text(code)
    monkeypatch.setattr(artifacts, "ROOT", tmp_path)
    before, both = source_hash("one"), source_hash("one", "two")
    (tmp_path / "helpers" / "two.py").write_text("b = 3")
    assert source_hash("one") == before and source_hash("one", "two") != both
    both = source_hash("one", "two")
    (tmp_path / "helpers" / "one.py").write_text('"""What it is."""\n\na = 1  # one\n')
    assert source_hash("one") == before and source_hash("one", "two") == both


def test_a_string_that_is_no_docstring_counts(monkeypatch, tmp_path):
    (tmp_path / "helpers").mkdir()
    monkeypatch.setattr(artifacts, "ROOT", tmp_path)
    hashes = set()
    for code in (
        'def f():\n    "a"\n    return "b"',
        'def f():\n    "a"\n    return "c"',
        'x = "a"',
        'x = "b"',
    ):
        (tmp_path / "helpers" / "one.py").write_text(code)
        hashes.add(source_hash("one"))
    assert len(hashes) == 4


def hash_of(monkeypatch, tmp_path, code: str, *parts: str) -> str:
    (tmp_path / "helpers" / "inner").mkdir(parents=True, exist_ok=True)
    (tmp_path / "helpers" / "inner" / "one.py").write_text(code)
    artifacts._hash_of_code.cache_clear()  # two versions within one tick of the file system's clock
    monkeypatch.setattr(artifacts, "ROOT", tmp_path)
    return source_hash(*parts)


DECIDES = """
LIMIT = 3


class Box:
    def size(self):
        return helper(LIMIT)


def helper(x):
    return x + 1


def result(x):
    return Box().size() + x


def shows(bar):
    print(bar)
"""


@pytest.mark.parametrize(
    ("old", "new", "moves"),
    [
        ("x + 1", "x + 2", True),
        ("LIMIT = 3", "LIMIT = 4", True),
        ("return Box().size() + x", "return Box().size() - x", True),
        ("print(bar)", "print(bar, bar)", False),
        ("def shows(bar):\n    print(bar)", "def shows(progress):\n    print(progress)", False),
        ("def helper(x):", "def helper(x: int) -> int:", False),
        ("def helper(x):", "def helper(x):\n    # why", False),
    ],
)
def test_only_what_a_function_uses_counts(monkeypatch, tmp_path, old, new, moves):
    assert old in DECIDES
    before = hash_of(monkeypatch, tmp_path, DECIDES, "inner/one:result")
    after = hash_of(monkeypatch, tmp_path, DECIDES.replace(old, new), "inner/one:result")
    assert (before != after) is moves


def test_a_name_that_is_not_there_is_an_error(monkeypatch, tmp_path):
    with pytest.raises(KeyError, match="gone"):
        hash_of(monkeypatch, tmp_path, DECIDES, "inner/one:gone")
