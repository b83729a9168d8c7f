"""The process that a student's code runs in: defines it, calls it, and answers. It never sees a check.

`sandbox` runs it as a script, with Python's standard library alone. One JSON object a line comes in, and one
goes out. Arguments and results are data, so nothing of the student's reaches the process that grades.
"""

import json
import os
import sys
from collections.abc import Mapping, Set
from random import Random

ITEMS = 1_000_000  # of a generator, so many are read


def encode(value: object) -> object:
    """A value as JSON. What is neither data nor a `random.Random` becomes the name of its type."""
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
        return {"random": [version, numbers, gauss]}
    if hasattr(value, "tolist"):  # NumPy's and PyTorch's arrays and numbers
        return encode(value.tolist())
    if hasattr(value, "__next__") or isinstance(value, range):
        return [encode(item) for _, item in zip(range(ITEMS), value, strict=False)]
    return {"other": type(value).__name__}


class Other:
    """What a function returned that is no data."""

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return f"<an object of type {self.name}>"


def decode(value: object) -> object:
    """What `encode` wrote.

    Raises:
        ValueError, TypeError, KeyError, RecursionError: it did not write this.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "random":
        version, numbers, gauss = content
        generator = Random()
        generator.setstate((version, tuple(numbers), gauss))
        return generator
    if kind == "other":
        return Other(str(content))
    if kind == "dict":
        return {decode(key): decode(item) for key, item in content}
    return {"tuple": tuple, "set": set}[kind](map(decode, content))


class NoHelpers:
    """Refuses `import helpers`: a graded function is the student's own work."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "helpers":
            raise ModuleNotFoundError("graded functions cannot use helpers: write it yourself", name=name)


def limit(memory: int, seconds: int, processes: int) -> None:
    """Limits this process for good: bytes of memory, seconds of processor, processes (0: no limit), files.

    Processes are counted for each user, so their limit makes sense only where this one is a user of its own.
    Linux does not hold root to it.
    """
    import resource

    limits = {"AS": memory, "CPU": seconds, "FSIZE": 1 << 24, "CORE": 0}
    for name, most in limits.items() | ({("NPROC", processes)} if processes else set()):
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))


def described(error: BaseException) -> dict:
    """An error for the answer: type and message, and the line of the student's code that raised it."""
    trace, line = error.__traceback__, None
    while trace:
        if trace.tb_frame.f_code.co_filename == "<your code>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return {"error": [type(error).__name__, str(error)[:300], line]}


def answer(request: dict, names: dict) -> dict:
    """Answers one request: {"define": source}, or {"call": name, "arguments": […], "keywords": {…}}."""
    try:
        if "define" in request:
            exec(compile(request["define"], "<your code>", "exec"), names)
            return {"value": None}
        if request["call"] not in names:
            raise NameError(f"there is no function {request['call']}")
        arguments, keywords = decode(request["arguments"]), decode(request["keywords"])
        value = encode(names[request["call"]](*arguments, **keywords))
        return {"value": value, "arguments": encode(arguments)}
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: they are the student's
        return described(error)


def main() -> None:
    limits = map(int, sys.argv[1:])
    requests, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # what the student prints goes nowhere
        os.dup2(nowhere, stream)
    sys.meta_path.insert(0, NoHelpers())
    limit(*limits)
    names = {"__name__": "graded"}
    for line in requests:
        print(json.dumps(answer(json.loads(line), names)), file=answers, flush=True)


if __name__ == "__main__":
    main()
