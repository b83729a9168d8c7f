"""A cell that runs and passes in Jupyter gets its points, whatever stands around the function."""

import pytest

from helpers.coursework import answers, exercises, grading
from helpers.coursework.sandbox import Limits

ALIGN = next(exercise for exercise in exercises.all_exercises() if exercise.name == "align_labels")
RIGHT = ALIGN.source
FIRST, _, BODY = RIGHT.partition("\n")  # `def align_labels(…):` and what follows

AROUND = {
    "nothing": RIGHT,
    "%%time": f"%%time\n{RIGHT}",
    "two cell magics and an empty line": f"\n%%time\n%%capture out\n{RIGHT}",
    "%timeit below": f"{RIGHT}\n%timeit sum([1])",
    "%matplotlib above": f"%matplotlib inline\n{RIGHT}",
    "a shell line above": f"!pip list\n{RIGHT}",
    "a shell line whose output is kept": f"files = !ls\n{RIGHT}",
    "a question mark": f"{RIGHT}\nalign_labels?",
    "what Jupyter gives": f"{RIGHT}\ndisplay(1)\nget_ipython().run_line_magic('pylab', '')",
    "a magic inside the function": f"{FIRST}\n    %config InlineBackend\n{BODY}",
    "a constant by %time": f"%time ALL = -100\n{RIGHT.replace('-100', 'ALL')}",
    "top-level await": f"import asyncio\n{RIGHT}\nawait asyncio.sleep(0)",
    "U+2028 in a string": f'{FIRST}\n    "one\u2028two\x0cthree\x85"\n{BODY}',
    "line ends of Windows": RIGHT.replace("\n", "\r\n"),
    "an assert that fails": f"{RIGHT}\nassert align_labels([], [], []) == 5",
    "an error above, in what it does not need": f"gold = replicate.gold('train')\nprint(len(gold))\n{RIGHT}",
    "a loop above that fails": f"for one in replicate.gold('train'):\n    print(one)\n{RIGHT}",
    "a file above that is not there": f"import csv\nrows = list(csv.reader(open('my.csv')))\n{RIGHT}",
    "helpers above, unused": f"from helpers.masking import Scheme\nexample = Scheme('span')\n{RIGHT}",
    "a table above that it needs": f"NONE = []\nNONE.append(-100)\n{RIGHT.replace('-100', 'NONE[0]')}",
    "another error below": f"{RIGHT}\n1 / 0",
    "leaving below": f"{RIGHT}\nexit()",
    "a trial call above": f"align_labels([], [], [])\n{RIGHT}",
    "a trial call that takes its time": f"{RIGHT}\nfor _ in range(10**9): align_labels([], [], [])",
    "a trial call on the same line": f"{RIGHT}\nx = 'ü'; print(align_labels([], [], [])); y = 1",
    "asking the check": f'from helpers import checks\n{RIGHT}\nchecks.check("align_labels", align_labels)',
    "names of the setup cell": f"{FIRST}\n    Path('a'), sys.path, time.time()\n{BODY}",
    "a constant below": f"{RIGHT.replace('-100', 'NONE')}\nNONE = -100",
    "its own decorator": f"def same(f): return f\n@same\n{RIGHT}",
    "another name, assigned": RIGHT.replace("align_labels", "mine") + "\nalign_labels = mine",
    "an if around it": "if True:\n    " + RIGHT.replace("\n", "\n    "),
}


@pytest.mark.parametrize("answer", AROUND.values(), ids=AROUND)
def test_what_stands_around_a_right_function_costs_no_points(answer):
    outcome = grading.grade_point(ALIGN, ALIGN.points[0], answer, 0, [], Limits(seconds=20))
    assert (outcome.earned, outcome.message) == (1, "")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (f"1 / 0\n{RIGHT}", "ZeroDivisionError in line 1 of the cell"),
        (f"%%time\n\n{FIRST}\n    return 1 / 0", "ZeroDivisionError in line 4 of the cell"),
        (
            f"x = '''\n'''; align_labels(1)\n{FIRST}\n    return 1 / 0",
            "ZeroDivisionError in line 4 of the cell",
        ),
        (f"from helpers import scoring\n{FIRST}\n    return scoring", "graded functions cannot use helpers"),
        (f"{FIRST}\n    return (", "SyntaxError"),
        ("%%bash\nls", "NameError in line 2"),
        ("x = 1", "there is no function align_labels"),
        ("x = " + "(" * 1200 + "1" + ")" * 1200, "SyntaxError"),
        ("x = " + "-" * 100_000 + "1", "SyntaxError"),
    ],
)
def test_what_fails_in_jupyter_fails_here_and_the_line_is_named(answer, message):
    outcome = grading.grade_point(ALIGN, ALIGN.points[0], answer, 0, [], Limits(seconds=20))
    assert outcome.earned == 0 and message in outcome.message


def test_python_is_never_translated():
    for python in ("x = 5 % 2", 'text = """\n!ls\n%time\n"""', "x = (1\n% 3)", "", "# only a comment"):
        assert answers.as_python(python) == python
    assert answers.as_python("no code at all ;-)") == "no code at all ;-)"
    assert answers.as_python("%%time\n%pwd\nx = 1").count("\n") == 2


def test_errors_are_found_before_anything_runs():
    assert answers.error_in(RIGHT) == answers.error_in("%%time\nawait x") == ""
    assert "SyntaxError in line 2" in answers.error_in("x = 1\nreturn x")
    assert "SyntaxError in line 1" in answers.error_in("def f(:")
    assert answers.error_in("x = '\x00'") != ""


def taken(answer, *cells, place=1):
    return answers.take_along(ALIGN, answer, cells, place)


def test_what_other_cells_define_is_taken_along_with_all_that_it_needs():
    answer = f"{FIRST}\n    return helper(word_tags)"
    cells = (
        "BASE = 2",
        "import numpy as np\nBASE = 5",
        "",
        "def helper(x):\n    return np.log(BASE + scale(x))",
    )
    more = "def scale(x): return helper if x else BASE", "print(BASE)"
    code, missing = taken(answer, *cells, *more, place=2)
    assert missing == set() and "BASE = 5" in code and "BASE = 2" not in code and "print" not in code
    assert {"helper", "scale", "BASE", "np"} == answers.bound(code)


def test_what_cannot_be_taken_along_is_named():
    cells = "from helpers import masking\nunits = masking.UNITS", "", "def mine(x): return units"
    code, missing = taken(f"{FIRST}\n    return mine, masking, nowhere", *cells)
    assert (code, missing) == ("", {"mine", "masking", "nowhere"})
    assert taken(RIGHT, *cells) == ("", set())
    local = f"{FIRST}\n    mine = [masking for masking in names]\n    global kept\n    kept = mine, kept"
    assert taken(local, *cells) == ("", set()), "names of the function's own are not looked for"


def test_what_is_taken_along_is_graded_with_the_answer():
    answer = RIGHT.replace("-100", "nothing()")
    program = ALIGN, ALIGN.points[0], answer, 0, [], Limits(seconds=20)
    assert "NameError" in grading.grade_point(*program).message
    assert grading.grade_point(*program, "def nothing(): return -100").earned == 1
