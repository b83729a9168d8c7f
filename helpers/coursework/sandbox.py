"""Runs a student's code in a process of its own, walled off by bubblewrap, within limits of time and memory.

The checks stay in this process. They call the student's function through `Worker.function`, which sends the
arguments over a pipe and gets the result back as plain data: in the student's process there is nothing to
read, to patch or to print a score into.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from helpers.coursework import worker

LONGEST_ANSWER = 1 << 25  # bytes


@dataclass(frozen=True)
class Limits:
    """What one point of one exercise may use."""

    seconds: float = 10
    memory: int = 2 << 30  # bytes of address space


class StudentError(Exception):
    """The student's code failed; the message says how, for the student."""


class TooSlowError(StudentError):
    """The student's code did not end in time."""


class UnsolvedError(StudentError):
    """The student's code raised NotImplementedError, or returned None."""


class IsolationError(RuntimeError):
    """Submissions cannot be isolated on this machine; the message says what to do."""


def bubblewrap() -> list[str]:
    """The command that isolates a process: no network, no processes but its own, a read-only view of Python.

    Nothing else of the file system is there: not the home folder, the project or the other submissions. The
    process cannot write anywhere. https://github.com/containers/bubblewrap

    Raises:
        IsolationError: bubblewrap is not installed, or may not make namespaces here.
    """
    remedy = "With --no-isolation submissions run with your rights: they can read and delete your files."
    program = shutil.which("bwrap")
    if program is None:
        raise IsolationError(
            f"bubblewrap (bwrap) is not installed: on Debian and Ubuntu, apt install bubblewrap. {remedy}"
        )
    command = [program, "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    command += ["--cap-drop", "ALL", "--uid", "65534", "--gid", "65534"]
    places = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", sys.base_prefix, sys.prefix]
    for place in dict.fromkeys(places):
        if os.path.islink(place):
            command += ["--symlink", os.readlink(place), place]
        elif os.path.exists(place):
            command += ["--ro-bind", place, place]
    command += ["--proc", "/proc", "--dev", "/dev", "--dir", "/tmp", "--chdir", "/tmp"]
    command += ["--ro-bind", worker.__file__, "/worker.py", "--remount-ro", "/dev", "--remount-ro", "/"]
    tried = subprocess.run([*command, sys.executable, "-I", "-c", ""], capture_output=True, text=True)
    if tried.returncode:
        raise IsolationError(f"bubblewrap does not work here: {tried.stderr.strip()}. {remedy}")
    return command


class Worker:
    """One process with a student's code in it. Use it in a `with` block; it is killed at the end.

    It runs the `sources` one after the other. `wall` is `bubblewrap()`, or empty for a process with the
    rights of this one.
    """

    def __init__(self, sources: list[str], wall: list[str], limits: Limits):
        self.limits = limits
        self.ends = time.monotonic() + limits.seconds
        self.folder = tempfile.TemporaryDirectory()
        script = "/worker.py" if wall else worker.__file__
        seconds = int(limits.seconds) + 2  # of processor: ends what is no longer waited for
        self.process = subprocess.Popen(
            [*wall, sys.executable, "-I", script, str(limits.memory), str(seconds), str(64 if wall else 0)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self.folder.name,
            env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,
            bufsize=0,
        )
        self.unread = b""
        for pipe in (self.process.stdin, self.process.stdout):
            os.set_blocking(pipe.fileno(), False)
        self.sources = sources

    def __enter__(self) -> "Worker":
        try:
            for source in self.sources:
                self._ask({"define": source})
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Kills the process and what it started. (Without isolation, not what has left its session.)"""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            pipe.close()
        self.folder.cleanup()

    def function(self, name: str) -> Callable:
        """The student's function `name`, to be called like any other.

        Lists and generators of random numbers that it is given are changed in place, as it changed them.
        The call raises StudentError, or UnsolvedError.
        """

        def call(*arguments, **keywords):
            request = {
                "call": name,
                "arguments": worker.encode(list(arguments)),
                "keywords": worker.encode(keywords),
            }
            answer = self._ask(request)
            try:
                value, after = worker.decode(answer["value"]), worker.decode(answer["arguments"])
                for given, now in zip(arguments, after, strict=True):
                    if isinstance(given, list):
                        given[:] = now
                    elif hasattr(given, "setstate"):
                        given.setstate(now.getstate())
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                raise StudentError("your function's result cannot be read") from error
            if value is None:
                raise UnsolvedError("it returns None: is `return` missing?")
            return value

        return call

    def _ask(self, request: dict) -> dict:
        answer = self._exchange(json.dumps(request).encode() + b"\n")
        try:
            answer = json.loads(answer)
            if "error" in answer:
                kind, message, line = answer["error"]
            elif "value" in answer:
                return answer
            else:
                raise ValueError("neither an error nor a value")
        except (ValueError, TypeError, RecursionError) as error:
            raise StudentError("your function's result cannot be read") from error
        if kind == "NotImplementedError":
            raise UnsolvedError(message)
        if kind == "MemoryError":
            raise StudentError(f"it needs more than the {self.limits.memory >> 20:,} MB of memory it may use")
        where = f" in line {line} of the cell" if isinstance(line, int) else ""
        hint = ""
        if kind == "NameError":
            hint = ". A graded cell must define or import all that it uses"
        raise StudentError(f"it stopped with {kind}{where}: {message}{hint}")

    def _exchange(self, request: bytes) -> bytes:
        """Writes a line and reads one, until the time is up."""
        pipes = self.process.stdin.fileno(), self.process.stdout.fileno()
        while b"\n" not in self.unread:
            left = self.ends - time.monotonic()
            if left <= 0:
                raise TooSlowError(
                    f"it did not end within {self.limits.seconds:g} seconds: does a loop run forever?"
                )
            readable, writable, _ = select.select(pipes[1:], pipes[:1] if request else (), (), left)
            try:
                if writable:
                    request = request[os.write(pipes[0], request[: 1 << 16]) :]
                if readable:
                    more = os.read(pipes[1], 1 << 20)
                    if not more:
                        raise BrokenPipeError
                    self.unread += more
            except BlockingIOError:
                continue
            except BrokenPipeError as error:
                raise StudentError("it ended Python (by exit, a crash, or too much memory)") from error
            if len(self.unread) > LONGEST_ANSWER:
                raise StudentError("its result is too large")
        line, _, self.unread = self.unread.partition(b"\n")
        return line
