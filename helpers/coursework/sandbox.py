"""Runs a student's code in a process of its own, isolated by bubblewrap, with limited time and memory.

Isolated, that one process is all there is of a submission: it can make threads but no other process, and no
memory that does not count as its own. So its limits are those of the submission, and need no control group.

The checks stay in this process. They call the student's function through `Worker.function`, which sends the
arguments over a pipe and gets the result back as plain data. So the student's process holds no check to read,
nothing to patch, and nowhere to print a score.
"""

import json
import math
import os
import platform
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

from helpers.coursework import syscalls, worker

MAX_REPLY_BYTES = 1 << 25
PATIENCE = 4  # times the limit of processor time may pass on the clock: the machine may be busy
SCRATCH_BYTES = 64 << 20  # of /tmp, which libraries want to write to; it lies in memory
# One thread for each numeric library: by default they take one for each core, and meet the limit of threads.
THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "RAYON")
ENVIRONMENT = {f"{library}_NUM_THREADS": "1" for library in THREADS}


@dataclass(frozen=True)
class Limits:
    """How much time and memory the check of one point may use."""

    seconds: float = 10  # of processor time
    memory: int = 2 << 30  # bytes that its process may write to


class StudentError(Exception):
    """The student's code failed; the message tells the student how."""


class TooSlowError(StudentError):
    """The student's code did not finish in time."""


class UnsolvedError(StudentError):
    """The student's code raised NotImplementedError, or returned None."""


class IsolationError(RuntimeError):
    """Submissions cannot be isolated on this machine; the message says what to do."""


def bubblewrap() -> list[str]:
    """Return the command that isolates a process: put it in front of the process's own command.

    The process has no network, sees no other processes, and can write nowhere but to a small /tmp of its
    own. Of the file system it sees Python and its libraries, but neither the project nor other submissions
    nor the home folder. https://github.com/containers/bubblewrap

    Returns:
        The beginning of a command line, for `_start`.

    Raises:
        IsolationError: if bubblewrap is not installed, or may not make namespaces here, or the system calls
            of this machine are not known.
    """
    remedy = "With --no-isolation, submissions run with your rights: they can read and delete your files."
    program = shutil.which("bwrap")
    if program is None:
        raise IsolationError(
            f"bubblewrap (bwrap) is not installed: on Debian and Ubuntu, apt install bubblewrap. {remedy}"
        )
    if platform.machine() not in syscalls.MACHINES:
        known = " and ".join(syscalls.MACHINES)
        raise IsolationError(
            f"submissions can be isolated on {known}, and this is {platform.machine()}. {remedy}"
        )
    command = [program, "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]
    for name, value in (ENVIRONMENT | {"HOME": "/tmp"}).items():
        command += ["--setenv", name, value]
    command += ["--cap-drop", "ALL", "--uid", "65534", "--gid", "65534"]
    command += ["--size", str(SCRATCH_BYTES), "--tmpfs", "/tmp", "--chdir", "/tmp"]
    paths = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", sys.base_prefix, sys.prefix]
    for path in dict.fromkeys(paths):
        command += ["--ro-bind-try", path, path]  # of a link, what it leads to
    # Outside it may be root, who could write to /proc/sys and so to the settings of the whole machine.
    command += ["--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    command += ["--ro-bind", worker.__file__, "/worker.py", "--remount-ro", "/"]
    trial = _start(
        command, ["-c", ""], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, problem = trial.communicate()
    if trial.returncode:
        reason = problem.decode(errors="replace").strip()
        raise IsolationError(f"bubblewrap (0.7 or later) does not work here: {reason}. {remedy}")
    return command


def _start(isolation: list[str], arguments: list[str], **options) -> subprocess.Popen:
    """Start Python, isolated by `bubblewrap()`, or by an empty list not at all."""
    python = [sys.executable, "-I", *arguments]
    if not isolation:
        return subprocess.Popen(python, env=ENVIRONMENT, **options)
    readable, writable = os.pipe()
    try:
        os.write(writable, syscalls.program(platform.machine()))
        os.close(writable)
        return subprocess.Popen(
            [*isolation, "--seccomp", str(readable), *python], pass_fds=[readable], **options
        )
    finally:
        os.close(readable)


class Worker:
    """One process with a student's code in it. Use it in a `with` block, which ends the process.

    Args:
        sources: pieces of code, run one after the other when the block is entered. An error in one is raised
            there as StudentError.
        isolation: `bubblewrap()`, or an empty list for a process with the rights of this one.
        limits: the time on the clock, `PATIENCE` times that of the processor, starts when the object is made.
    """

    def __init__(self, sources: list[str], isolation: list[str], limits: Limits):
        self.limits = limits
        self.deadline = time.monotonic() + PATIENCE * limits.seconds
        self.folder = tempfile.TemporaryDirectory()
        script = "/worker.py" if isolation else worker.__file__
        memory = limits.memory - (SCRATCH_BYTES if isolation else 0)
        seconds = math.ceil(limits.seconds)
        threads = 64 if isolation else 0
        self.process = _start(
            isolation,
            [script, *map(str, (memory, seconds, threads))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self.folder.name,
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
        """Kill the process and all that it started.

        Without isolation, a process that has left its session survives.
        """
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            pipe.close()
        self.folder.cleanup()

    def function(self, name: str) -> Callable:
        """Return the student's function, which can be called like any other.

        A list that it changes in place, or a generator of random numbers that it draws from, is changed for
        the caller too. A call raises StudentError if the function fails, TooSlowError if it does not finish
        in time, and UnsolvedError if it is not solved.

        Args:
            name: the function's name.

        Returns:
            The function.
        """

        def call(*arguments, **keywords):
            request = {
                "call": name,
                "arguments": worker.encode(list(arguments)),
                "keywords": worker.encode(keywords),
            }
            reply = self._ask(request)
            try:
                value, after = worker.decode(reply["value"]), worker.decode(reply["arguments"])
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
        """Send a request and return the reply; raise the error that it reports."""
        text = self._exchange(json.dumps(request).encode() + b"\n")
        try:
            reply = json.loads(text)
            if "error" in reply:
                kind, message, line = reply["error"]
                kind, message = (worker.printable(str(text)[:300]) for text in (kind, message))
            elif "value" in reply:
                return reply
            else:
                raise ValueError("neither an error nor a value")
        except (ValueError, TypeError, RecursionError) as error:
            raise StudentError("your function's result cannot be read") from error
        if kind == "NotImplementedError":
            raise UnsolvedError(message)
        if kind == "MemoryError":
            raise StudentError(
                f"it needs more memory than the {self.limits.memory >> 20:,} MB that it may use"
            )
        where = f" in line {line} of the cell" if isinstance(line, int) else ""
        hint = ". A graded cell must define or import all that it uses" if kind == "NameError" else ""
        raise StudentError(f"it stopped with {kind}{where}: {message}{hint}")

    def _too_slow(self) -> TooSlowError:
        return TooSlowError(
            f"it did not end within {self.limits.seconds:g} seconds: does a loop run forever?"
        )

    def _exchange(self, request: bytes) -> bytes:
        """Write a line and read one, until the time is up."""
        to_worker, from_worker = self.process.stdin.fileno(), self.process.stdout.fileno()
        while b"\n" not in self.unread:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise self._too_slow()
            readable, writable, _ = select.select([from_worker], [to_worker] if request else [], [], left)
            try:
                if writable:
                    request = request[os.write(to_worker, request[: 1 << 16]) :]
                if readable:
                    more = os.read(from_worker, 1 << 20)
                    if not more:
                        raise BrokenPipeError
                    self.unread += more
            except BlockingIOError:
                continue
            except BrokenPipeError as error:
                with suppress(subprocess.TimeoutExpired):
                    if self.process.wait(5) in (-signal.SIGXCPU, 128 + signal.SIGXCPU):
                        raise self._too_slow() from error
                raise StudentError("it ended Python (by exit(), a crash, or too much memory)") from error
            if len(self.unread) > MAX_REPLY_BYTES:
                raise StudentError("its result is too large")
        line, _, self.unread = self.unread.partition(b"\n")
        return line
