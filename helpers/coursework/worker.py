"""The process in which a student's code runs: it defines functions, calls them and replies.

`sandbox` starts it as a script that needs only Python's standard library. It reads requests and writes
replies, each a JSON object on one line. It never sees a check, and arguments and results are plain data, so
none of the student's objects reaches the process that grades.
"""

import json
import os
import sys
from array import array
from base64 import b64decode, b64encode
from collections.abc import Mapping, Set
from random import Random
from typing import Any

MAX_ITEMS = 1_000_000  # the most that are read from a generator
LIBRARIES = 16 << 30  # bytes of address space for code: CUDA's libraries map several gigabytes
CODE_NAME = "<your code>"  # stands for the student's cell in tracebacks


def encode(value: Any) -> Any:
    """Turn a value into what JSON can hold.

    Args:
        value: plain data, an array or number of NumPy or PyTorch, a generator, or a `random.Random`.
            Anything else becomes the name of its type.

    Returns:
        Strings, numbers, lists, and for all else a dictionary with one entry: its kind and its content.
    """
    if isinstance(value, bool | int | float | str | None):
        return value
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [encode(item) for item in value]}
    if isinstance(value, Set):
        return {"set": [encode(item) for item in value]}
    if isinstance(value, Mapping):
        return {"dict": [[encode(key), encode(item)] for key, item in value.items()]}
    if isinstance(value, Random):
        version, numbers, gauss = value.getstate()
        # In every call and every reply: as 625 numbers it would take longer than most functions.
        return {"random": [version, b64encode(array("I", numbers)).decode(), gauss]}
    if hasattr(value, "tolist"):  # arrays and numbers of NumPy and PyTorch
        return encode(value.tolist())
    if hasattr(value, "__next__") or isinstance(value, range):
        return [encode(item) for _, item in zip(range(MAX_ITEMS), value, strict=False)]
    return {"other": type(value).__name__}


def printable(text: str) -> str:
    """Replace what could steer a terminal, or turn a line around, in a text that a student chose.

    Args:
        text: any text.

    Returns:
        The text with a replacement character for each that cannot be printed; line ends stay.
    """
    return "".join(
        letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


class OtherObject:
    """Stands for a result that is not plain data."""

    def __init__(self, type_name: str):
        self.type_name = type_name

    def __repr__(self) -> str:
        return f"<an object of type {printable(self.type_name)}>"


def decode(value: Any) -> Any:
    """Turn what `encode` returned back into a value.

    Args:
        value: what `encode` returned, or anything else that JSON can hold.

    Returns:
        A value equal to the original.

    Raises:
        ValueError: if `encode` did not return this.
        TypeError: the same.
        KeyError: the same.
        RecursionError: if it is nested too deeply.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "random":
        version, numbers, gauss = content
        generator = Random()
        generator.setstate((version, tuple(array("I", b64decode(numbers))), gauss))
        return generator
    if kind == "other":
        return OtherObject(str(content))
    if kind == "dict":
        return {decode(key): decode(item) for key, item in content}
    return {"tuple": tuple, "set": set}[kind](map(decode, content))


class NoHelpers:
    """An import hook that refuses `import helpers`: a graded function is the student's own work."""

    def find_spec(self, name: str, path=None, target=None) -> None:
        """Leave every other module to Python's own import hooks.

        Args:
            name: the full name of the module.
            path: not used.
            target: not used.

        Raises:
            ModuleNotFoundError: if the module is `helpers` or part of it.
        """
        if name.partition(".")[0] == "helpers":
            raise ModuleNotFoundError("graded functions cannot use helpers: write it yourself", name=name)


def set_limits(memory: int, seconds: int, threads: int) -> None:
    """Limit what this process may use, for good. The size and the number of open files are limited too.

    Args:
        memory: bytes that it may write to. Address space has a wider limit: numeric libraries map gigabytes
            of code, which take no memory before they run.
        seconds: seconds of processor time, after which SIGXCPU ends it; SIGKILL does two seconds later.
        threads: how many threads the user may have, or 0 for no limit. Linux counts them for each user,
            so this makes sense only if nobody else is this user; root is not limited.
    """
    import resource

    limits = {"DATA": memory, "AS": memory + LIBRARIES, "STACK": 8 << 20}
    limits |= {"CPU": seconds + 2, "FSIZE": 1 << 24, "NOFILE": 256, "CORE": 0}
    if threads:
        limits["NPROC"] = threads
    for name, maximum in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        allowed = resource.getrlimit(kind)[1]
        maximum = maximum if allowed == resource.RLIM_INFINITY else min(maximum, allowed)
        resource.setrlimit(kind, (min(seconds, maximum) if name == "CPU" else maximum, maximum))


def describe_error(error: BaseException) -> dict:
    """Describe an error for the reply.

    Args:
        error: what the student's code raised.

    Returns:
        {"error": [type, message, line of the student's cell or None]}.
    """
    trace, line = error.__traceback__, None
    while trace:
        if trace.tb_frame.f_code.co_filename == CODE_NAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    # NumPy's error is of a type of its own
    kind = "MemoryError" if isinstance(error, MemoryError) else type(error).__name__
    return {"error": [kind, str(error)[:300], line]}


def reply(request: dict, names: dict) -> dict:
    """Do what one request asks for.

    Args:
        request: {"define": source}, or {"call": name, "arguments": […], "keywords": {…}}.
        names: the variables of the student's code, changed in place.

    Returns:
        {"value": …, "arguments": as the call left them}, or {"error": …}.
    """
    try:
        if "define" in request:
            try:
                code = compile(request["define"], CODE_NAME, "exec")
            except (RecursionError, MemoryError):
                return {"error": ["SyntaxError", "it is nested too deeply for Python to read", None]}
            exec(code, names)
            return {"value": None}
        if request["call"] not in names:
            return {"error": ["NameError", f"there is no function {request['call']}", None]}
        arguments, keywords = decode(request["arguments"]), decode(request["keywords"])
        value = encode(names[request["call"]](*arguments, **keywords))
        return {"value": value, "arguments": encode(arguments)}
    except BaseException as error:  # the student's code may raise SystemExit and KeyboardInterrupt too
        return describe_error(error)


def main() -> None:
    """Reply to requests from standard input until it ends."""
    memory, seconds, threads = map(int, sys.argv[1:])
    requests, replies = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # the student's code can neither print into the replies nor read the requests
        os.dup2(null, stream)
    sys.meta_path.insert(0, NoHelpers())
    set_limits(memory, seconds, threads)
    names = {"__name__": "graded"}
    for line in requests:
        answer = reply(json.loads(line), names)
        try:
            text = json.dumps(answer)
        except (ValueError, RecursionError) as error:  # a number of too many digits
            text = json.dumps(describe_error(error))
        print(text, file=replies, flush=True)


if __name__ == "__main__":
    main()
