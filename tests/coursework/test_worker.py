"""The protocol between a student's function and its check, without a process in between."""

import json
import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.coursework import worker

KEYS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
DATA = st.recursive(
    KEYS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.sets(KEYS)
        | st.dictionaries(KEYS | st.tuples(KEYS, KEYS), inner)
    ),
)


@given(DATA)
def test_data_comes_back_as_it_was(value):
    assert worker.decode(json.loads(json.dumps(worker.encode(value)))) == value


def test_a_generator_of_random_numbers_goes_on_where_it_was():
    generator = random.Random(5)
    generator.gauss(0, 1)
    copy = worker.decode(json.loads(json.dumps(worker.encode(generator))))
    assert [copy.gauss(0, 1), copy.random()] == [generator.gauss(0, 1), generator.random()]


@pytest.mark.parametrize(
    "forged", [{}, {"tuple": [], "set": []}, {"code": "print()"}, {"random": [3, [1], None]}, {"set": [[1]]}]
)
def test_what_was_not_encoded_is_refused(forged):
    with pytest.raises((ValueError, TypeError, KeyError)):
        worker.decode(forged)


def test_requests_define_and_call():
    names, source = {}, "def f(x, y=0):\n    x.append(y)\n    return len(x)"
    assert worker.reply({"define": source}, names) == {"value": None}
    called = worker.reply({"call": "f", "arguments": [[1, 2]], "keywords": {"dict": [["y", 5]]}}, names)
    assert called == {"value": 3, "arguments": [[1, 2, 5]]}
    missing = worker.reply({"call": "g", "arguments": [], "keywords": {"dict": []}}, names)
    assert missing == {"error": ["NameError", "there is no function g", None]}


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("x = 1\n\nx / 0", ["ZeroDivisionError", "division by zero", 3]),
        ("raise SystemExit(5)", ["SystemExit", "5", 1]),
        ("raise ValueError('x' * 1000)", ["ValueError", "x" * 300, 1]),
    ],
)
def test_errors_name_the_line_of_the_cell(source, error):
    assert worker.reply({"define": source}, {}) == {"error": error}


def test_helpers_cannot_be_imported_and_all_else_can(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [worker.NoHelpers(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "helpers.masking", raising=False)
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    kind, message, _ = worker.reply({"define": "import helpers.masking"}, {})["error"]
    assert kind == "ModuleNotFoundError" and "cannot use helpers" in message
    assert worker.reply({"define": "import colorsys"}, {}) == {"value": None}
