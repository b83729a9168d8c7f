"""Malicious submissions, each as one cell: what they score, and what they touch.

    python -m tests.coursework.hostile_submissions

prints the table. Each attack knows where the grader's files are, which a real one would have to find out. Its
function solves nothing, so every point that it gets is one that it stole.
"""

import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from helpers.coursework import collecting, exercises, grading
from helpers.coursework.sandbox import Limits, bubblewrap

SECRET = "the hidden checks of this course"
BLANK = """
def token_masking(input_ids, special_ids, mask_rate, mix, mask_token_id, ordinary, rng):
    return [], []
"""

ATTACKS = {
    "loops forever": "while True: pass",
    "sleeps forever, and ignores signals": """
import signal, time
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
time.sleep(10_000)
""",
    "eats memory": """
hoard = []
while True: hoard.append(bytearray(1 << 26))
""",
    "returns a result of 400 MB": """
def token_masking(*arguments): return "x" * (400 << 20), []
""",
    "returns numbers that make a check run forever": """
def geometric_spans(*arguments): return [(0, 10 ** 15)]
""",
    "deletes the grader's files": """
import shutil
shutil.rmtree(DESK)
""",
    "changes the other student's grade": """
import pathlib
for file in pathlib.Path(DESK).rglob("*"):
    if file.is_file(): file.write_text("5 of 5")
""",
    "plants a file among the grader's": """
open(DESK + "/planted.txt", "w").write("5 of 5")
""",
    "reads the hidden checks": """
raise RuntimeError(open(DESK + "/hidden_checks.txt").read())
""",
    "takes the published solution from the project": """
import json
cells = json.load(open(PROJECT + "/notebooks/02_token_masking.ipynb"))["cells"]
exec(next("".join(c["source"]) for c in cells if "def token_masking(" in "".join(c["source"])))
""",
    "opens a socket": """
import socket
socket.create_connection(("127.0.0.1", PORT), timeout=2).sendall(b"all the submissions")
""",
    "patches the checks and helpers": """
import builtins, sys
builtins.AssertionError = type("Never", (Exception,), {})
builtins.all = builtins.any = builtins.abs = lambda *arguments: True
for module in list(sys.modules.values()):
    for name in ("grade_point", "grade_exercise", "reply", "Outcome"):
        if hasattr(module, name): setattr(module, name, lambda *arguments: 5)
""",
    "imports helpers": """
from helpers.coursework import grading
grading.grade_point = lambda *arguments: grading.Outcome(5, "")
""",
    "looks for the checks in its own frames": """
import gc, sys
frame, found = sys._getframe(), []
while frame: found.append(str(frame.f_locals)); frame = frame.f_back
found += [str(thing)[:2000] for thing in gc.get_objects() if isinstance(thing, (dict, str))]
if any("HIDDEN" + " TESTS" in text for text in found): raise RuntimeError("SECRET")
""",
    "prints its own score": """
print("5 of 5"); print('{"earned": 5, "message": ""}')
""",
    "writes its own answers into every file it has open": """
import os
for number in range(3, 256):
    try: os.write(number, b'{"value": [true, 5], "earned": 5, "message": ""}\\n' * 100)
    except OSError: pass
""",
    "returns something that is equal to everything": """
class Right(list):
    def __eq__(self, other): return True
    def __contains__(self, other): return True
    def __len__(self): return 7
def token_masking(*arguments): return Right(), Right()
""",
    "raises an error with a half character": """
raise RuntimeError("\\ud800")
""",
    "forges an error of 20 MB": """
import os
for number in range(3, 256):
    try: os.write(number, b'{"error": ["RuntimeError", "' + b"x" * (20 << 20) + b'", 1]}\\n')
    except OSError: pass
""",
    "steers the terminal by its error": """
raise type("\\x1b[2J", (Exception,), {})("\\x1b]0;mine\\x07 \\u202e\\x9b2J")
""",
    "is nested too deeply to be read": "nested = " + "-" * 5000 + "1",
    "returns a number of too many digits": """
def token_masking(*arguments): return 10 ** 100_000, []
""",
    "prints without end": """
import os
while True: os.write(1, b"x" * (1 << 20))
""",
    "ends Python as if all were well": "import os; os._exit(0)",
    "kills the grader": """
import os, signal
os.kill(os.getppid(), signal.SIGKILL)
""",
    "leaves processes behind": """
import os, time
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            import ctypes; ctypes.CDLL(None).prctl(15, b"leftbehind")
            time.sleep(60)
        os._exit(0)
""",
}


@dataclass
class Harm:
    """What one attack scored, what it was told, and what it touched."""

    scored: float
    message: str
    touched: list[str] = field(default_factory=list)


@contextmanager
def grader() -> Iterator[tuple[Path, socket.socket]]:
    """A grader's desk: hidden checks, another student's work and grade, and a server on loopback."""
    with TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        for name in ("hidden_checks.txt", "submissions/ada.ipynb", "graded/results/ada.json"):
            file = Path(folder) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(SECRET)
        yield Path(folder), server


def attack(name: str, isolate: bool, limits: Limits | None = None) -> Harm:
    """Grade one attack, and look at what it touched. Without isolation it runs with your rights."""
    limits = limits or Limits(seconds=3, memory=1 << 30)
    function = re.search(r"^def (\w+)", ATTACKS[name] + BLANK, re.MULTILINE)[1]
    exercise = next(exercise for exercise in exercises.all_exercises() if exercise.name == function)
    with grader() as (desk, server):
        place = f"DESK, PROJECT, PORT = {str(desk)!r}, {str(exercises.ROOT)!r}, {server.getsockname()[1]}\n"
        solves_nothing = "" if "\ndef " in ATTACKS[name] else BLANK
        # The function first: what is raised after it does not keep it from being called.
        cell = f"{place}{solves_nothing}{ATTACKS[name].replace('SECRET', SECRET)}"
        submission = collecting.Submission("eve", 0, {}, {exercise.name: cell})
        outcomes = grading.grade_exercise(exercise, submission, bubblewrap() if isolate else [], limits)
        touched = []
        files = {file.relative_to(desk).as_posix(): file for file in desk.rglob("*") if file.is_file()}
        lost = {"hidden_checks.txt", "submissions/ada.ipynb", "graded/results/ada.json"} - files.keys()
        touched += [f"deleted {file}" for file in sorted(lost)]
        touched += [f"changed {file}" for file in sorted(files) if files[file].read_text() != SECRET]
        if any(SECRET in outcome.message for outcome in outcomes.values()):
            touched.append("read a file of the grader's")
        if not all(outcome.message.isprintable() for outcome in outcomes.values()):
            touched.append("wrote control characters")
        try:
            server.accept()
            touched.append("reached the network")
        except TimeoutError:
            pass
        time.sleep(0.2)
        left = [process for process in psutil.process_iter(["name"]) if process.info["name"] == "leftbehind"]
        if left:
            touched.append("left processes behind")
            for process in left:
                process.kill()
    message = next(iter(outcomes.values())).message.replace(SECRET, "…")
    return Harm(sum(outcome.earned for outcome in outcomes.values()), message, touched)


def main() -> None:
    print("| submission | isolated: scored, touched | not isolated | what it is told (isolated) |")
    print("|---|---|---|---|")
    for name in ATTACKS:
        harms = [attack(name, isolate) for isolate in (True, False)]
        cells = [f"{harm.scored:g} of 5, {'; '.join(harm.touched) or 'nothing'}" for harm in harms]
        print(f"| {name} | {cells[0]} | {cells[1]} | {harms[0].message[:120]} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
