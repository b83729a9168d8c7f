"""The notebooks as files: what a reader relies on in each, fresh outputs, and how they are run."""

import itertools
import json
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


# --- the address ---


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A small project with one notebook, in which `helpers.publishing` works."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["json", "absent-package==1"]\n'
        '[tool.token-or-span]\nrepository = "https://github.com/old/name"\nref = "main"\n'
    )
    badge = colab.badge("https://github.com/old/name", "main", "00_first")
    (tmp_path / "README.md").write_text(f"git clone https://github.com/old/name\n\n{badge}\n")
    (tmp_path / "notebooks").mkdir()
    cells = [
        new_markdown_cell(f"# First\n\n{badge}\n\nText."),
        new_code_cell("# setup", metadata={"tags": ["setup"]}),
        new_code_cell("1 + 1"),
    ]
    nbformat.write(new_notebook(cells=cells), tmp_path / "notebooks" / "00_first.ipynb")
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path / "notebooks")
    monkeypatch.setattr(colab, "PYPROJECT", tmp_path / "pyproject.toml")
    monkeypatch.setattr(colab, "README", tmp_path / "README.md")
    return tmp_path


def test_a_new_address_reaches_every_place(project):
    changed = colab.rewrite("https://github.com/new/home.git", "v1.0")
    assert {path.name for path in changed} == {"pyproject.toml", "README.md", "00_first.ipynb"}
    assert colab.address() == ("https://github.com/new/home", "v1.0")
    for path in changed:
        text = path.read_text()
        assert "old/name" not in text and "new/home" in text
    first, setup, _ = nbformat.read(notebooks.paths()[0], as_version=4).cells
    assert first.source.count("new/home/blob/v1.0/notebooks/00_first.ipynb") == 1
    assert first.source.startswith("# First\n\n[![Open in Colab]") and first.source.endswith("\n\nText.")
    assert '"https://github.com/new/home"' in setup.source and "--branch=v1.0" in setup.source
    assert colab.rewrite() == [], "a second time there is nothing to do"


@pytest.mark.parametrize(
    "repository", ["git@github.com:a/b", "https://example.org/a/b", "https://github.com/a"]
)
def test_an_address_that_colab_cannot_open_is_refused(project, repository):
    before = (project / "pyproject.toml").read_text()
    with pytest.raises(ValueError, match="https://github.com/OWNER/NAME"):
        colab.rewrite(repository)
    assert (project / "pyproject.toml").read_text() == before


def test_a_notebook_without_a_setup_cell_is_named(project):
    nbformat.write(new_notebook(cells=[new_markdown_cell("# First")]), notebooks.paths()[0])
    with pytest.raises(ValueError, match="00_first.*'setup'"):
        colab.rewrite()


# --- the setup cell, where nothing else is ---


@pytest.fixture
def remote(project, tmp_path):
    """A repository to clone, and a stand-in for pip that writes down what it is asked for."""
    here, there = notebooks.ROOT, tmp_path / "remote"
    for name in (
        "helpers/__init__.py",
        "helpers/publishing/__init__.py",
        "helpers/publishing/colab.py",
        "helpers/publishing/notebooks.py",
        "helpers/settings.py",
        "helpers/masking.py",
    ):
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        (there / name).write_bytes((here / name).read_bytes())
    (there / "notebooks").mkdir()
    (there / "notebooks" / "00_first.ipynb").write_text("{}")
    (there / "pyproject.toml").write_bytes((project / "pyproject.toml").read_bytes())
    git = ["git", "-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message=all"]):
        subprocess.run([*git, *command], cwd=there, check=True)
    pip = tmp_path / "stand-in" / "pip"
    pip.mkdir(parents=True)
    pip.joinpath("__init__.py").touch()
    pip.joinpath("__main__.py").write_text(
        f"import sys\nopen({str(tmp_path / 'asked')!r}, 'a').write(sys.argv[-1])"
    )
    return there


def run_setup(remote, folder, times=1):
    """Runs the setup cell in a fresh Python and prints where that ends up."""
    cell = colab.setup_source(str(remote), "main")
    lines = "import os, helpers\nprint(os.getcwd(), helpers.__file__, sep='\\n')"
    program = f"cell = {cell!r}\n" + "exec(cell)\n" * times + lines
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(remote.parent / "stand-in")}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-2:]


@pytest.mark.parametrize("times", [1, 2])
def test_setup_fetches_the_project_and_installs_only_what_is_missing(remote, tmp_path, times):
    alone = tmp_path / "alone"
    (alone / "token-or-span.part" / ".git").mkdir(parents=True)  # a download that was interrupted
    where, helpers = run_setup(remote, alone, times)
    assert where == str(alone / "token-or-span" / "notebooks")
    assert helpers == str(alone / "token-or-span" / "helpers" / "__init__.py")
    assert not (alone / "token-or-span.part").exists()
    assert (tmp_path / "asked").read_text() == "absent-package==1"


def test_setup_uses_what_an_earlier_kernel_fetched(remote, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    first = run_setup(remote, alone)
    (alone / "token-or-span" / "mine").touch()
    assert run_setup(remote, alone) == first
    assert (alone / "token-or-span" / "mine").exists()


@pytest.mark.parametrize("folder", ["notebooks", "."])
def test_setup_beside_the_project_fetches_and_installs_nothing(remote, tmp_path, folder):
    where, helpers = run_setup(remote, remote / folder)
    assert where == str(remote / "notebooks")
    assert helpers == str(remote / "helpers" / "__init__.py")
    assert not (tmp_path / "asked").exists() and not (remote / "token-or-span").exists()


def test_pip_without_a_network_is_one_clear_error(remote, tmp_path):
    (remote.parent / "stand-in" / "pip" / "__main__.py").write_text("raise SystemExit(1)")
    alone = tmp_path / "alone"
    alone.mkdir()
    with pytest.raises(subprocess.CalledProcessError) as raised:
        run_setup(remote, alone)
    assert "RuntimeError: pip cannot install absent-package==1" in raised.value.stderr.splitlines()[-1]


# --- results on a Google Drive ---


@pytest.fixture
def runs_on_colab(tmp_path, monkeypatch):
    """A fetched project on a machine with Colab's module and the reader's Drive; gives its data/runs."""
    (tmp_path / "drive of the reader").mkdir()
    (tmp_path / "content" / "token-or-span" / "data").mkdir(parents=True)
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "colab" / "stand_in")
    monkeypatch.setenv("STAND_IN_DRIVE", str(tmp_path / "drive of the reader"))
    monkeypatch.setattr(colab, "ROOT", tmp_path / "content" / "token-or-span")
    before = set(sys.modules)
    yield tmp_path / "content" / "token-or-span" / "data" / "runs"
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_results_outlive_the_runtime_on_a_drive(runs_on_colab, tmp_path):
    for _ in range(2):  # running the cell twice is harmless
        colab.keep_on_drive("mine/first")
        (runs_on_colab / "smoke").mkdir(exist_ok=True)
        (runs_on_colab / "smoke" / "results.csv").write_text("kept")
    colab.keep_on_drive("second")
    assert not list(runs_on_colab.iterdir())
    colab.keep_on_drive("mine/first")
    assert (runs_on_colab / "smoke" / "results.csv").read_text() == "kept"
    assert (tmp_path / "drive of the reader" / "mine" / "first" / "smoke" / "results.csv").exists()


def test_what_was_made_before_a_drive_was_named_goes_there_too(runs_on_colab, tmp_path):
    kept = tmp_path / "drive of the reader" / "mine"
    for folder, text in ((runs_on_colab, "new"), (kept, "old")):
        (folder / "smoke").mkdir(parents=True)
        (folder / "smoke" / "plan.json").write_text(text)
    (runs_on_colab / "smoke" / "predictions.json").write_text("new")
    colab.keep_on_drive("mine")
    assert runs_on_colab.resolve() == kept
    assert (runs_on_colab / "smoke" / "plan.json").read_text() == "old", "nothing on the Drive is overwritten"
    assert (runs_on_colab / "smoke" / "predictions.json").read_text() == "new"


@pytest.mark.parametrize("name", ["../elsewhere", "/content"])
def test_a_folder_outside_the_drive_is_refused(runs_on_colab, name):
    with pytest.raises(ValueError, match="give the name of a folder"):
        colab.keep_on_drive(name)


def test_a_drive_elsewhere_than_on_colab_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", None)
    with pytest.raises(RuntimeError, match='works on Colab only: write DRIVE = ""'):
        colab.keep_on_drive("mine")


# --- execution ---


def test_executing_again_continues(project, tmp_path):
    path, out = notebooks.FOLDER / "01_counts.ipynb", tmp_path / "out"
    (notebooks.FOLDER / "00_first.ipynb").unlink()
    count = "with open('count', 'a') as file:\n    file.write('x')"
    nbformat.write(new_notebook(cells=[new_markdown_cell("# Counts"), new_code_cell(count)]), path)
    [(_, copy)] = notebooks.execute_all(out, key="a")
    notebooks.execute_all(out, key="a")
    assert (notebooks.FOLDER / "count").read_text() == "x", "kernels run in the notebooks' folder, once"
    notebooks.execute_all(out, key="b")
    assert (notebooks.FOLDER / "count").read_text() == "xx"
    assert "Counts" in pages.to_html(copy).read_text(encoding="utf-8")


def test_two_notebooks_run_side_by_side_and_an_error_of_either_is_raised(project, tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks.os, "cpu_count", lambda: 2)
    meet = (
        "import time\nfrom pathlib import Path\nPath('{mine}').touch()\n"
        "for _ in range(600):\n    time.sleep(0.1)\n    if Path('{other}').exists():\n        break\n"
        "else:\n    raise TimeoutError"
    )
    for name, mine, other in (("00_first", "a", "b"), ("01_second", "b", "a")):
        cells = [new_markdown_cell("# Meet"), new_code_cell(meet.format(mine=mine, other=other))]
        nbformat.write(new_notebook(cells=cells), notebooks.FOLDER / f"{name}.ipynb")
    done = notebooks.execute_all(tmp_path / "out", key="")
    assert [path.stem for path, _ in done] == ["00_first", "01_second"]
    nbformat.write(new_notebook(cells=[new_code_cell("1 / 0")]), notebooks.FOLDER / "01_second.ipynb")
    with pytest.raises(notebooks.NotebookError, match="01_second"):
        notebooks.execute_all(tmp_path / "out", key="again")


def test_a_notebook_that_fails_is_named_with_its_cell_and_leaves_a_copy(project, tmp_path):
    path = notebooks.paths()[0]
    cells = [
        new_code_cell("print('before')"),
        new_code_cell("\nvalue = 1 / 0"),
        new_code_cell("print('after')"),
    ]
    nbformat.write(new_notebook(cells=cells), path)
    with pytest.raises(
        notebooks.NotebookError, match=r"00_first.ipynb, cell In \[2\].*1 / 0.*ZeroDivisionError"
    ):
        notebooks.execute_all(tmp_path / "out", key="")
    copy = tmp_path / "out" / path.name
    assert "before" in copy.read_text() and notebooks.RECORD not in notebooks.read(copy).metadata


def test_a_kernel_that_dies_is_named_with_its_cell(tmp_path):
    notebook = nbformat.v4.new_notebook()
    sources = ("1", "import os, time\ntime.sleep(1)\nos._exit(1)", "2")
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(notebook, tmp_path / "dies.ipynb")
    with pytest.raises(notebooks.NotebookError, match=r"dies\.ipynb, code cell 2: .*want of memory"):
        notebooks.execute(tmp_path / "dies.ipynb", tmp_path / "copy.ipynb")


def test_an_unknown_notebook_is_refused(project, tmp_path):
    with pytest.raises(ValueError, match="09"):
        notebooks.execute_all(tmp_path / "out", "", ["09"])


# --- pages ---

FIGURE = new_output("display_data", data={"image/png": "iVBORw0KGgo=", "text/plain": "<Figure>"})


@pytest.mark.parametrize(
    ("above", "after", "words"),
    [
        ("Text.", "*Two bars,\nnearly `equal`.*\n\nMore text.", "Two bars, nearly equal."),
        ("Text.", "*Bars with **thick** edges.*", "Bars with thick edges."),
        ("First.\n\nThe figure shows two bars.", "**Bold** is no description.", "The figure shows two bars."),
        ("The figure shows two bars.", "# A heading", "The figure shows two bars."),
    ],
)
def test_a_figure_is_described_below_it_or_above_it(above, after, words):
    cells = [new_markdown_cell(above), new_code_cell("draw()", outputs=[FIGURE]), new_code_cell("values()")]
    assert pages.description(new_notebook(cells=[*cells, new_markdown_cell(after)]), 1) == words


def test_a_page_needs_nothing_from_elsewhere(tmp_path):
    links = "[next](01_text_and_entities.ipynb#words), [there](https://example.org/a.ipynb), [how](guide.md)"
    cells = [
        new_markdown_cell(f"# First\n\n{colab.badge('https://github.com/a/b', 'main', '00_first')}"),
        new_code_cell("draw()", outputs=[FIGURE]),
        new_markdown_cell(f'*A "square".*\n\n{links}'),
    ]
    nbformat.write(new_notebook(cells=cells), tmp_path / "00_first.ipynb")
    page = pages.to_html(tmp_path / "00_first.ipynb").read_text(encoding="utf-8")
    assert 'alt="A &quot;square&quot;."' in page or "alt='A \"square\".'" in page
    assert 'href="01_text_and_entities.html#words"' in page and 'href="https://example.org/a.ipynb"' in page
    repository, ref = colab.address()
    assert f'href="{repository}/blob/{ref}/notebooks/guide.md"' in page
    assert not re.search(r"""<(?:script|link|img)[^>]*\b(?:src|href)=["']https?:""", page)


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
    [(path, copy)] = notebooks.execute_all(tmp_path / "out", key="")
    assert copy.read_text().count(notebooks.WIDGET) >= 2  # the progress bar and the panel
    notebooks.commit(path, copy)
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
        notebooks.commit(path, copy)


def test_an_unreadable_notebook_is_named(tmp_path):
    broken = tmp_path / "00_broken.ipynb"
    broken.write_text("{")
    with pytest.raises(ValueError, match="00_broken.ipynb is not a readable notebook"):
        notebooks.read(broken)
