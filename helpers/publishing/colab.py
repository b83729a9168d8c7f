"""A notebook opened alone, as on Colab: its badge, its setup cell, and the address that both hold."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from helpers.publishing import notebooks
from helpers.settings import ROOT

PYPROJECT = ROOT / "pyproject.toml"
README = ROOT / "README.md"

BADGE = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]\([^)]*?(?:/(?P<name>\w+)\.ipynb)?\)")

SETUP = """\
# Setup: puts the project on Python's path. A notebook opened alone, as on Colab, fetches the project first.
DRIVE = ""  # on Colab: the name of a folder in your Google Drive; everything made here is kept there
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

places = [Path(".."), Path("."), Path("token-or-span")]  # above this notebook, here, fetched before
project = next((place for place in places if (place / "helpers" / "masking.py").is_file()), None)
if project is None:
    part, project = Path("token-or-span.part"), Path("token-or-span")
    shutil.rmtree(part, ignore_errors=True)  # left by an interrupted download
    if project.exists():  # not whole: put aside
        project.rename(f"token-or-span.{{time.time():.0f}}")
    address = "{repository}"
    git = ["git", "clone", "--quiet", "--depth=1", "--branch={ref}", address, part]
    if subprocess.run(git).returncode:
        raise ConnectionError(f"cannot fetch {{address}}: check the network, then run this cell again")
    part.rename(project)
sys.path.insert(0, str(project.resolve()))
from helpers.publishing.colab import install_missing, keep_on_drive

if project.name == "token-or-span":
    install_missing()  # whatever is installed already keeps its version
if DRIVE:
    keep_on_drive(DRIVE)
os.chdir(project / "notebooks")"""


# --- address: one place (pyproject.toml), and everything that repeats it ---


def address() -> tuple[str, str]:
    """The project's repository and ref, from [tool.token-or-span] in pyproject.toml."""
    table = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["token-or-span"]
    return table["repository"], table["ref"]


def setup_source(repository: str, ref: str) -> str:
    """The setup cell of every notebook, for a repository that git can clone and a branch or tag of it."""
    return SETUP.format(repository=repository, ref=ref)


def badge(repository: str, ref: str, name: str) -> str:
    """Markdown of the badge that opens notebook `name` on Colab. Colab opens notebooks from GitHub only."""
    path = repository.removeprefix("https://github.com/")
    return (
        "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        f"(https://colab.research.google.com/github/{path}/blob/{ref}/notebooks/{name}.ipynb)"
    )


def set_address(notebook, repository: str, ref: str, name: str) -> None:
    """Writes the badge under the title (the first cell's first line) and the cell tagged `setup`, in place.

    Raises:
        ValueError: the notebook lacks a title cell or a code cell tagged `setup`.
    """
    first = notebook.cells[0]
    if first.cell_type != "markdown" or not first.source.startswith("# "):
        raise ValueError(f"{name}: the first cell must be markdown and start with the title, '# …'")
    title, _, rest = BADGE.sub("", first.source).partition("\n")
    first.source = f"{title}\n\n{badge(repository, ref, name)}\n\n{rest.strip()}".strip()
    setup = [cell for cell in notebook.cells if "setup" in cell.metadata.get("tags", [])]
    if len(setup) != 1 or setup[0].cell_type != "code":
        raise ValueError(f"{name}: exactly one code cell must carry the tag 'setup'")
    setup[0].source = setup_source(repository, ref)


def rewrite(repository: str | None = None, ref: str | None = None) -> list[Path]:
    """Writes the address (a new one, or the one in place) everywhere; returns the files that changed.

    Raises:
        ValueError: the repository is not on GitHub, or a notebook has no place for it.
    """
    old_repository, old_ref = address()
    repository = (repository or old_repository).removesuffix("/").removesuffix(".git")
    ref = ref or old_ref
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", repository):
        raise ValueError(f"{repository!r} is not of the form https://github.com/OWNER/NAME, as Colab needs")
    if not re.fullmatch(r"[\w./-]+", ref):
        raise ValueError(f"{ref!r} is not the name of a branch or a tag")

    import nbformat

    texts = {PYPROJECT: PYPROJECT.read_text(encoding="utf-8"), README: README.read_text(encoding="utf-8")}
    texts[PYPROJECT] = texts[PYPROJECT].replace(
        f'repository = "{old_repository}"', f'repository = "{repository}"'
    )
    texts[PYPROJECT] = texts[PYPROJECT].replace(f'ref = "{old_ref}"', f'ref = "{ref}"')
    texts[README] = BADGE.sub(lambda match: badge(repository, ref, match["name"]), texts[README])
    texts[README] = texts[README].replace(old_repository, repository)
    for path in notebooks.paths():
        notebook = notebooks.read(path)
        set_address(notebook, repository, ref, path.stem)
        texts[path] = nbformat.writes(notebook) + "\n"
    changed = [path for path, text in texts.items() if path.read_text(encoding="utf-8") != text]
    for path in changed:
        path.write_text(texts[path], encoding="utf-8", newline="\n")
    return changed


def install_missing() -> None:
    """Installs the dependencies of pyproject.toml that cannot be imported; never upgrades one that can.

    Raises:
        RuntimeError: pip failed; its output says why.
    """
    needs = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    missing = [need for need in needs if importlib.util.find_spec(re.match(r"\w+", need)[0]) is None]
    if missing:
        names = ", ".join(missing)
        print("Installing", names)
        if subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *missing]).returncode:
            raise RuntimeError(
                f"pip cannot install {names}, as it says above: check the network, then run this cell again"
            )
        importlib.invalidate_caches()


def keep_on_drive(name: str) -> None:
    """Has all that is made go to a folder of the reader's Google Drive, which outlives a Colab runtime.

    `data/runs` becomes a link to that folder. What an earlier runtime left there is found again; what this
    one has made already is copied there.

    Raises:
        RuntimeError: this is not Colab.
        ValueError: `name` leads out of the Drive.
    """
    try:
        from google.colab import drive
    except ImportError as error:
        raise RuntimeError('DRIVE works on Colab only: write DRIVE = "" in the setup cell') from error
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise ValueError(f"DRIVE is {name!r}; give the name of a folder, such as token-or-span")
    mounted = ROOT.parent / "drive"  # /content/drive, as Colab's own button has it
    drive.mount(str(mounted))
    kept, runs = mounted / "MyDrive" / name, ROOT / "data" / "runs"
    kept.mkdir(parents=True, exist_ok=True)
    if runs.is_symlink():
        runs.unlink()
    elif runs.exists():
        shutil.copytree(runs, kept, dirs_exist_ok=True, copy_function=_copy_if_missing)
        shutil.rmtree(runs)
    runs.symlink_to(kept, target_is_directory=True)
    print(f"Everything made here is kept in your Google Drive, in {name}")


def _copy_if_missing(source: str, target: str) -> None:
    if not os.path.exists(target):
        shutil.copy2(source, target)


PLACEHOLDER = "https://github.com/token-or-span/token-or-span"  # belongs to nobody


def is_placeholder() -> bool:
    """Return whether the project's address is still the placeholder, which belongs to nobody."""
    return address()[0] == PLACEHOLDER
