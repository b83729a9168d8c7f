"""The notebooks as files: what a reader relies on in each, fresh outputs, and how they are run."""

import itertools
import json
import os
import re
import statistics
import subprocess
import symtable
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers.publishing import colab, notebooks, pages

NAMES = [
    "00_the_question",
    "01_text_and_entities",
    "02_token_masking",
    "03_span_masking",
    "04_pretraining",
    "05_fine_tuning",
    "06_f1_by_entity_length",
    "07_five_statements",
    "08_the_boundary_objective",
    "09_real_text",
]
series = pytest.mark.parametrize("name", NAMES)


def load(name):
    return nbformat.read(notebooks.FOLDER / f"{name}.ipynb", as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


# --- the series as committed ---


def test_the_series_is_complete():
    assert [path.stem for path in notebooks.paths()] == NAMES


@series
def test_format_is_valid_and_cells_have_their_own_ids(name):
    notebook = load(name)
    nbformat.validate(notebook)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert notebook.metadata.kernelspec.name == "python3"


@series
def test_outputs_come_from_this_code(name):
    notebook = load(name)
    recorded = notebook.metadata.get(notebooks.RECORD, {}).get("code_hash")
    assert recorded == notebooks.code_hash(notebook), (
        f"outputs are stale: python -m helpers notebooks {name[:2]}"
    )


@series
def test_cells_ran_once_in_order_without_error(name):
    cells = code(load(name))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [cell.source for cell in cells for output in cell.outputs if output.output_type == "error"]


@series
def test_outputs_hold_no_widgets_and_no_machine(name):
    notebook = load(name)
    assert "widgets" not in notebook.metadata and "papermill" not in notebook.metadata
    outputs = json.dumps([cell.outputs for cell in code(notebook)])
    assert notebooks.WIDGET not in outputs
    assert not re.search(r"(?<![\w.])/(?:home|root|tmp|work|Users|content)/", outputs)


@series
def test_badge_and_setup_cell_carry_the_address(name):
    notebook = load(name)
    repository, ref = colab.address()
    assert colab.badge(repository, ref, name) in notebook.cells[0].source
    setup = [cell.source for cell in code(notebook) if "setup" in cell.metadata.get("tags", [])]
    assert setup == [colab.setup_source(repository, ref)]
    assert notebook.cells[1].source == setup[0], "the setup cell comes first"


@series
def test_opens_with_what_it_teaches_needs_and_takes(name):
    opening = load(name).cells[0].source
    for promise in ("You will learn", "You need", "Time"):
        assert f"**{promise}" in opening
    assert "minutes" in opening


@series
def test_headings_are_in_order(name):
    text = re.sub(r"```.*?```", "", prose(load(name)), flags=re.DOTALL)
    levels = [len(match) for match in re.findall(r"^(#+) ", text, flags=re.MULTILINE)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))


def with_figure(cell):
    outputs = cell.outputs if cell.cell_type == "code" else []
    return any("image/png" in output.get("data", {}) for output in outputs)


def texts(cell):
    """What a code cell says: printed lines and tables, not the names of objects such as <Figure …>."""
    for output in cell.outputs if cell.cell_type == "code" else []:
        text = output.get("text", "") or output.get("data", {}).get("text/plain", "")
        if text.strip() and "image/png" not in output.get("data", {}):
            yield text


@series
def test_every_figure_is_described(name):
    """Its description becomes its alternative text on web pages."""
    notebook = load(name)
    for index, cell in enumerate(notebook.cells):
        assert not with_figure(cell) or len(pages.description(notebook, index)) > 30, cell.id


@series
def test_every_figure_has_its_values_as_text(name):
    """A picture of tokens in its own cell; a plot there, or in the next three before another figure comes."""
    cells = load(name).cells
    silent = []
    for index, cell in enumerate(cells):
        if with_figure(cell):
            plot = any(output.output_type == "display_data" for output in cell.outputs)
            after = itertools.takewhile(lambda cell: not with_figure(cell), cells[index + 1 : index + 4])
            if not any(any(texts(one)) for one in (cell, *(after if plot else ()))):
                silent.append(cell.id)
    assert not silent


@series
def test_code_cells_are_short(name):
    cells = [cell for cell in code(load(name)) if "setup" not in cell.metadata.get("tags", [])]
    lines = [cell.source.splitlines() for cell in cells]
    assert statistics.median(map(len, lines)) <= 10
    assert not [line for cell in lines for line in cell if len(line) > 120]


@series
def test_links_lead_somewhere(name):
    links = re.findall(r"\]\(([^)\s]+)\)", prose(load(name)))
    local = [
        link.partition("#")[0] for link in links if not link.startswith(("https://", "#", "attachment:"))
    ]
    assert not [link for link in local if not (notebooks.FOLDER / link).exists()]


@series
def test_the_next_notebook_is_linked(name):
    following = NAMES[NAMES.index(name) + 1 :][:1]
    assert all(f"({after}.ipynb)" in load(name).cells[-1].source for after in following)


def left_behind(cell):
    """The names that a cell assigns, imports or defines outside functions."""
    names = symtable.symtable(cell.source, cell.id, "exec").get_symbols()
    return {name.get_name() for name in names if name.is_assigned() or name.is_imported()}


@series
def test_the_checks_behind_points_leave_the_names_of_the_notebook_alone(name):
    """What a panel or a later cell uses must still be what it was when all cells have run."""
    names = {True: set(), False: set()}
    for cell in code(load(name)):
        if "setup" not in cell.metadata.get("tags", []):
            names["nbgrader" in cell.metadata] |= left_behind(cell)
    assert not names[True] & names[False]


@pytest.mark.parametrize("name", NAMES[1:])
def test_exercises_are_checked_and_their_solutions_folded(name):
    notebook = load(name)
    notebook.cells = [cell for cell in notebook.cells if "nbgrader" not in cell.metadata]
    checks = sum(cell.source.count("checks.check(") for cell in code(notebook))
    assert checks >= 1
    assert prose(notebook).count("<details>") >= 2 * checks, "a hint and a solution for each exercise"
    assert sum("raise NotImplementedError" in cell.source for cell in code(notebook)) == checks


# --- execution ---


def save(name, *sources):
    """Writes a notebook of these code cells into the project's folder."""
    cells = [new_markdown_cell(f"# {name}"), *map(new_code_cell, sources)]
    nbformat.write(new_notebook(cells=cells), notebooks.FOLDER / f"{name}.ipynb")


def printed(executed):
    """What the cells of an executed notebook printed."""
    return "".join(output.text for cell in code(notebooks.read(executed)) for output in cell.outputs)


def test_executing_again_continues(project, tmp_path):
    save("00_first", "with open('count', 'a') as file:\n    file.write('x')")
    [(_, executed)] = notebooks.execute_all(tmp_path / "out", key="a")
    notebooks.execute_all(tmp_path / "out", key="a")
    assert (notebooks.FOLDER / "count").read_text() == "x", "kernels run in the notebooks' folder, once"
    notebooks.execute_all(tmp_path / "out", key="b")
    assert (notebooks.FOLDER / "count").read_text() == "xx"
    executed.write_text(executed.read_text()[:50])  # as a full disk would leave it
    notebooks.execute_all(tmp_path / "out", key="b")
    assert (notebooks.FOLDER / "count").read_text() == "xxx"


MEET = (
    "import time\nfrom pathlib import Path\nPath('{mine}').touch()\n"
    "for _ in range(600):\n    time.sleep(0.1)\n    if Path('{other}').exists():\n        break\n"
    "else:\n    raise TimeoutError"
)


def test_two_notebooks_run_side_by_side_and_an_error_of_either_is_raised(project, tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "processors", lambda: 2)
    save("00_first", MEET.format(mine="a", other="b"))
    save("01_second", MEET.format(mine="b", other="a"))
    pairs = notebooks.execute_all(tmp_path / "out", key="")
    assert [path.stem for path, _ in pairs] == ["00_first", "01_second"]
    save("01_second", "1 / 0")
    with pytest.raises(notebooks.NotebookError, match="01_second"):
        notebooks.execute_all(tmp_path / "out", key="again")


def test_the_callers_folder_may_be_anywhere_and_stays_what_it_is(project, tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "processors", lambda: 2)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    folders, write = set(), notebooks.write
    monkeypatch.setattr(notebooks, "write", lambda *what: folders.add(Path.cwd()) or write(*what))
    where = "import os\nprint(os.getcwd())"
    save("00_first", MEET.format(mine="a", other="b"), where)
    save("01_second", MEET.format(mine="b", other="a"), where)
    pairs = notebooks.execute_all(Path("out"), key="")  # beside the caller
    assert folders == {elsewhere} and Path.cwd() == elsewhere
    assert [executed for _, executed in pairs] == sorted((elsewhere / "out").iterdir())
    assert {printed(executed) for _, executed in pairs} == {f"{notebooks.FOLDER}\n"}


def test_variables_reach_the_kernels_and_not_this_process(project, tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "processors", lambda: 6)
    for name, value in (("OUT", "the caller's"), ("SCALE", "the caller's"), ("OMP_NUM_THREADS", "1")):
        monkeypatch.setenv(name, value)
    names = ["OUT", "SCALE", "CORPUS", "OMP_NUM_THREADS"]
    save("00_first", f"import os\nprint(*map(os.getenv, {names}), sep='; ')")
    before = dict(os.environ)
    variables = {"SCALE": "smoke", "CORPUS": "größe"}
    [(_, executed)] = notebooks.execute_all(tmp_path / "out", "", environment=variables)
    assert printed(executed) == "the caller's; smoke; größe; 3\n", "two kernels share six processors"
    assert dict(os.environ) == before and variables == {"SCALE": "smoke", "CORPUS": "größe"}


def test_a_project_may_lie_in_any_folder(project, tmp_path, monkeypatch):
    folder = "größe {} {0} {connection_file} 100%d%% #2"
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path / folder / "notebooks")
    (tmp_path / folder).mkdir()
    (tmp_path / "notebooks").rename(notebooks.FOLDER)
    save("00_first", "import os\nprint(os.getcwd())")
    [(path, executed)] = notebooks.execute_all(tmp_path / folder / "out", key="")
    assert printed(executed) == f"{notebooks.FOLDER}\n"
    notebooks.commit(path, executed)
    assert folder in pages.to_html(executed).read_text(encoding="utf-8")


def test_a_locale_without_utf_8_harms_nothing(project, tmp_path):
    folder = tmp_path / "größe"
    folder.mkdir()
    (project / "notebooks").rename(folder / "notebooks")
    cells = [
        new_markdown_cell("# Größe"),
        new_code_cell("import os\nopen('é', 'w').write('é')\nprint(open('é').read(), os.getcwd())\n1 / 0"),
    ]
    nbformat.write(new_notebook(cells=cells), folder / "notebooks" / "00_first.ipynb")
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom helpers.publishing import notebooks, pages\n"
        "assert sys.getfilesystemencoding() == 'ascii'\n"
        "notebooks.FOLDER = Path(os.environ['OUT']) / 'notebooks'\n"
        "try:\n    notebooks.execute_all(Path(os.environ['OUT']) / 'out', key='')\n"
        "except notebooks.NotebookError as error:\n    print(error, file=sys.stderr)\n"
        "print(pages.to_html(Path(os.environ['OUT']) / 'out' / '00_first.ipynb'))"
    )
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "OUT": str(folder)}
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"}
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=notebooks.ROOT, env=kept | locale, capture_output=True)
    assert ended.returncode == 0, ended.stderr.decode()
    assert "ZeroDivisionError: division by zero" in ended.stderr.decode()
    page = folder / "out" / "00_first.html"
    assert ended.stdout.decode().splitlines() == [str(page)]
    text = page.read_text(encoding="utf-8")
    assert "Größe" in text and f"é {folder / 'notebooks'}" in text


def test_a_notebook_that_fails_is_named_with_its_cell_and_leaves_a_copy(project, tmp_path):
    cells = [
        new_code_cell("print('before')"),
        new_code_cell("\nvalue = 1 / 0"),
        new_code_cell("print('after')", outputs=[new_output("stream", text="of another day")]),
    ]
    path, executed = notebooks.paths()[0], tmp_path / "out" / "00_first.ipynb"
    notebook = new_notebook(cells=cells)
    notebook.metadata[notebooks.RECORD] = {"code_hash": notebooks.code_hash(notebook)}
    nbformat.write(notebook, path)
    with pytest.raises(
        notebooks.NotebookError,
        match=r"00_first.ipynb, cell In \[2\], which starts 'value = 1 / 0': ZeroDivisionError: division by "
        rf"zero\nIts outputs up to there: {re.escape(str(executed))}",
    ):
        notebooks.execute_all(tmp_path / "out", key="")
    first, second, third = code(notebooks.read(executed))
    assert first.outputs[0].text == "before\n" and second.outputs[0].ename == "ZeroDivisionError"
    assert not third.outputs and third.execution_count is None
    with pytest.raises(ValueError, match="not finished: execute it again"):
        notebooks.commit(path, executed)


def test_the_copy_is_saved_after_every_cell(project, tmp_path):
    executed = tmp_path / "out" / "00_first.ipynb"
    look = f"import json\nprint(len(json.load(open({str(executed)!r}))['cells'][1]['outputs'][0]['text']))"
    save("00_first", "print('a')\nprint('b')", look)
    notebooks.execute_all(tmp_path / "out", key="")
    assert printed(executed) == "a\nb\n2\n", "the second cell finds the two lines of the first"
    assert [file.name for file in executed.parent.iterdir()] == [executed.name]


def test_a_kernel_that_dies_is_named_with_its_cell(project, tmp_path):
    save("00_first", "print('before')", "import os, time\ntime.sleep(1)\nos._exit(1)", "2")
    with pytest.raises(
        notebooks.NotebookError,
        match=r"00_first\.ipynb, cell In \[2\], which starts 'import os, time': its kernel died.*memory",
    ):
        notebooks.execute(notebooks.paths()[0], tmp_path / "copy.ipynb")
    assert printed(tmp_path / "copy.ipynb") == "before\n"


def test_a_kernel_that_does_not_start_is_one_clear_error(project, tmp_path):
    with pytest.raises(notebooks.NotebookError, match=r"^00_first\.ipynb: Kernel died before"):
        notebooks.execute_all(tmp_path / "out", "", environment={"PYTHONHOME": str(tmp_path)})


def test_an_unknown_notebook_is_refused(project, tmp_path):
    with pytest.raises(ValueError, match="09"):
        notebooks.execute_all(tmp_path / "out", "", ["09"])


# --- committing outputs ---


def test_committed_outputs_last_and_match_their_code(project, tmp_path):
    path = notebooks.paths()[0]
    cells = [
        new_markdown_cell("# First", metadata={"collapsed": True}),
        new_code_cell(
            "from tqdm.auto import tqdm\nfor _ in tqdm([1]):\n    pass", metadata={"tags": ["slow"]}
        ),
        new_code_cell(
            f"import sys\nsys.path.insert(0, {str(notebooks.ROOT)!r})\n"
            "from matplotlib.figure import Figure\nfrom helpers.display import Panel\n"
            "Panel(lambda size: Figure((size, 1)), {'size': (1, [1, 2])}, 'An empty square.')"
        ),
    ]
    nbformat.write(new_notebook(cells=cells), path)
    [(path, executed)] = notebooks.execute_all(tmp_path / "out", key="")
    assert executed.read_text().count(notebooks.WIDGET) >= 2  # the progress bar and the panel
    notebooks.commit(path, executed)
    notebook = notebooks.read(path)
    assert [cell.execution_count for cell in code(notebook)] == [1, 2]
    assert [len(cell.outputs) for cell in code(notebook)] == [0, 1]
    assert set(notebook.cells[-1].outputs[0].data) == {"image/png", "text/plain"}
    assert [cell.metadata for cell in notebook.cells] == [{}, {"tags": ["slow"]}, {}]
    assert set(notebook.metadata) == {"kernelspec", "language_info", notebooks.RECORD}

    notebook.cells[-1].source = "1 + 2"
    nbformat.write(notebook, path)
    assert notebook.metadata[notebooks.RECORD]["code_hash"] != notebooks.code_hash(notebook)
    with pytest.raises(ValueError, match="execute it again"):
        notebooks.commit(path, executed)


def test_an_unreadable_notebook_is_named(tmp_path):
    broken = tmp_path / "00_broken.ipynb"
    broken.write_text("{")
    with pytest.raises(ValueError, match="00_broken.ipynb is not a readable notebook"):
        notebooks.read(broken)
