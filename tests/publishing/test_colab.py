"""A notebook opened alone: the address, the setup cell, what it installs, and results on a Google Drive."""

import subprocess
import sys
from pathlib import Path

import nbformat
import packaging
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

from helpers.publishing import colab, notebooks

# --- the address ---


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


@pytest.mark.parametrize("ending", ["", "/", ".git"])
def test_the_placeholder_is_refused_as_a_new_address(project, ending):
    for repository in (colab.PLACEHOLDER, colab.PLACEHOLDER.replace("/token", "/Token")):
        with pytest.raises(ValueError, match="belongs to nobody.*--repository https://github.com/YOU/NAME"):
            colab.rewrite(repository + ending)
    assert colab.address()[0] == "https://github.com/old/name"


def test_while_the_address_is_the_placeholder_the_cells_can_be_written_again(project):
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(text.replace("https://github.com/old/name", colab.PLACEHOLDER))
    assert colab.is_placeholder()
    assert {path.name for path in colab.rewrite()} == {"README.md", "00_first.ipynb"}
    assert "belongs to nobody" in notebooks.read(notebooks.paths()[0]).cells[1].source
    colab.rewrite("https://github.com/new/home")
    assert not colab.is_placeholder()
    assert "belongs to nobody" not in notebooks.read(notebooks.paths()[0]).cells[1].source


def test_a_notebook_without_a_setup_cell_is_named(project):
    nbformat.write(new_notebook(cells=[new_markdown_cell("# First")]), notebooks.paths()[0])
    with pytest.raises(ValueError, match="00_first.*'setup'"):
        colab.rewrite()


# --- the setup cell, where nothing else is ---


@pytest.fixture
def remote(project, tmp_path):
    """A repository to clone, and a stand-in for pip that writes down what it is asked to install."""
    copy = tmp_path / "remote"
    for name in (
        "helpers/__init__.py",
        "helpers/publishing/__init__.py",
        "helpers/publishing/colab.py",
        "helpers/publishing/notebooks.py",
        "helpers/settings.py",
        "helpers/masking.py",
    ):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((notebooks.ROOT / name).read_bytes())
    (copy / "notebooks").mkdir()
    (copy / "notebooks" / "00_first.ipynb").write_text("{}")
    (copy / "pyproject.toml").write_bytes((project / "pyproject.toml").read_bytes())
    git = ["git", "-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message=all"]):
        subprocess.run([*git, *command], cwd=copy, check=True)
    pip = tmp_path / "stand-in" / "pip"
    pip.mkdir(parents=True)
    pip.joinpath("__init__.py").touch()
    pip.joinpath("__main__.py").write_text(
        f"import sys\nopen({str(tmp_path / 'asked')!r}, 'a').write(' '.join(sys.argv[3:]))"
    )
    return copy


def run_setup(remote, folder, times=1, cell=None):
    """Runs the setup cell in a fresh Python; returns where that ends up: its folder, and where helpers is."""
    cell = cell or colab.setup_source(str(remote), "main")
    lines = "import os, helpers\nprint(os.getcwd(), helpers.__file__, sep='\\n')"
    program = f"cell = {cell!r}\n" + "exec(cell)\n" * times + lines
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(remote.parent / "stand-in")}
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return ended.stdout.splitlines()[-2:]


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


def test_setup_fetches_nothing_from_the_placeholder_and_says_what_to_set(remote, tmp_path):
    cell = colab.setup_source(colab.PLACEHOLDER, "main")
    alone = tmp_path / "alone"
    alone.mkdir()
    with pytest.raises(subprocess.CalledProcessError) as raised:
        run_setup(remote, alone, cell=cell)
    last = raised.value.stderr.splitlines()[-1]
    assert last.startswith(f"ValueError: {colab.PLACEHOLDER} is a placeholder, which belongs to nobody")
    assert "`address = ...` of this cell" in last
    assert "python -m helpers address --repository https://github.com/YOU/NAME" in last
    assert not list(alone.iterdir())
    edited = cell.replace(f'address = "{colab.PLACEHOLDER}"', f'address = "{remote}"')
    run_setup(remote, alone, cell=edited)
    assert (alone / "token-or-span" / "helpers").is_dir()
    run_setup(remote, remote / "notebooks", cell=cell)  # a project that is there needs no address


# --- what the setup cell installs ---


def dependencies(project, *lines):
    (project / "pyproject.toml").write_text(f"[project]\ndependencies = {list(lines)!r}\n")


@pytest.fixture
def installed(project, monkeypatch):
    """What pip is asked to install, instead of installing it."""
    asked = []

    def run(command):
        asked.append(command[command.index("--quiet") + 1 :])
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(colab.subprocess, "run", run)
    return asked


def test_only_what_is_missing_is_installed(project, installed):
    dependencies(project, "numpy>=1", "absent-one>=1,<2", "absent-two; python_version >= '3'")
    colab.install_dependencies()
    assert installed == [["absent-one>=1,<2", "absent-two"]]


def test_a_dependency_of_another_platform_is_none(project, installed):
    dependencies(project, "numpy<1; python_version < '3'", "absent-one; sys_platform == 'elsewhere'")
    colab.install_dependencies()
    assert not installed


def test_development_and_local_versions_are_judged_like_others(project, installed, monkeypatch):
    dependencies(project, "torch>=2.6,<3")
    for version in ("2.6.0+cu124", "2.9.0.dev20260101", "2.7rc1"):
        monkeypatch.setattr(colab.importlib.metadata, "version", lambda name, version=version: version)
        colab.install_dependencies()
    assert not installed


def test_versions_outside_their_ranges_are_one_error_and_stay_as_they_are(project, installed, monkeypatch):
    versions = {"transformers": "4.57.1", "torch": "2.5.1+cpu", "numpy": "2.1.0"}
    monkeypatch.setattr(colab.importlib.metadata, "version", versions.__getitem__)
    dependencies(project, "transformers>=5,<6")
    with pytest.raises(RuntimeError) as raised:
        colab.install_dependencies()
    assert str(raised.value) == (
        "transformers 4.57.1 is installed, and the series needs transformers>=5,<6: run "
        "`%pip install 'transformers>=5,<6'` in a cell, restart the runtime, and run this cell again"
    )
    dependencies(project, "torch>=2.6,<3", "numpy>=2,<3", "transformers>=5,<6")
    with pytest.raises(
        RuntimeError, match=r"torch 2\.5\.1\+cpu is.*%pip install 'torch>=2\.6,<3' 'transformers>=5,<6'`"
    ):
        colab.install_dependencies()
    assert not installed


def test_a_python_without_packaging_gets_that_first(remote, tmp_path):
    asked, site = tmp_path / "asked", Path(packaging.__file__).parents[1]
    dependencies(remote, "absent-package==1", "packaging>=23")
    (tmp_path / "stand-in" / "pip" / "__main__.py").write_text(
        "import shutil, sys\nfrom pathlib import Path\n"
        f"asked = Path({str(asked)!r})\n"
        "asked.write_text((asked.read_text() if asked.exists() else '') + ' '.join(sys.argv[3:]) + '\\n')\n"
        f"for found in Path({str(site)!r}).glob('packaging*') if 'packaging' in sys.argv[-1] else ():\n"
        f"    shutil.copytree(found, Path({str(tmp_path / 'stand-in')!r}) / found.name)\n"
    )
    program = "from helpers.publishing import colab\ncolab.install_dependencies()"
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path / "stand-in")}
    command = [sys.executable, "-S", "-c", program]  # -S: without any installed package
    subprocess.run(command, cwd=remote, env=environment, check=True)
    assert asked.read_text().splitlines() == ["packaging>=23", "absent-package==1"]


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
