"""A notebook opened alone, as on Colab: its badge, its setup cell, and the address that both contain."""

import importlib.metadata
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

# nbformat and packaging are imported where they are used: they may be among what has to be installed.

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
    address = "{repository}"
{refusal}\
    part, project = Path("token-or-span.part"), Path("token-or-span")
    shutil.rmtree(part, ignore_errors=True)  # left by an interrupted download
    if project.exists():  # incomplete: put aside
        project.rename(f"token-or-span.{{time.time():.0f}}")
{fetch}\
        raise ConnectionError(f"cannot fetch {{address}}: check the network, then run this cell again")
    part.rename(project)
sys.path.insert(0, str(project.resolve()))
from helpers.publishing.colab import install_dependencies, keep_on_drive

if project.name == "token-or-span":
    install_dependencies()  # what is installed already keeps its version
if DRIVE:
    keep_on_drive(DRIVE)
os.chdir(project / "notebooks")"""

REFUSAL = """\
    if address == "{placeholder}":
        raise ValueError(
            f"{{address}} is a placeholder, which belongs to nobody. Put the address of a copy you trust "
            "into the line `address = ...` of this cell, or set it for all notebooks of your own copy with "
            "python -m helpers address --repository https://github.com/YOU/NAME"
        )
"""  # part of the setup cell as long as the address is the placeholder


FETCH = """\
    git = ["git", "clone", "--quiet", "--depth=1", "--branch={ref}", address, part]
    if subprocess.run(git).returncode:
"""
FETCH_COMMIT = """\
    part.mkdir()
    gits = ["init"], ["fetch", "--depth=1", address, "{ref}"], ["checkout", "FETCH_HEAD"]
    if any(subprocess.run(["git", "-C", part, git[0], "--quiet", *git[1:]]).returncode for git in gits):
"""  # of students' copies: what is graded later is what they worked with


# --- address: one place (pyproject.toml), and everything that repeats it ---


def address() -> tuple[str, str]:
    """Return the project's repository and ref, from [tool.token-or-span] in pyproject.toml.

    Returns:
        The address of the repository, and a branch or tag.
    """
    table = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["token-or-span"]
    return table["repository"], table["ref"]


def setup_source(repository: str, ref: str, is_commit: bool = False) -> str:
    """Return the code of the setup cell, which is the same in every notebook.

    Args:
        repository: an address that git can clone.
        ref: a branch or tag of it, or a commit.
        is_commit: whether it is a commit, which git fetches differently.

    Returns:
        The cell's source. With the placeholder as the address, the cell refuses to fetch the project.
    """
    refusal = REFUSAL.format(placeholder=PLACEHOLDER) if repository == PLACEHOLDER else ""
    fetch = (FETCH_COMMIT if is_commit else FETCH).format(ref=ref)
    return SETUP.format(repository=repository, fetch=fetch, refusal=refusal)


def link(repository: str, ref: str, name: str) -> str:
    """Return the address at which Colab, which opens notebooks from GitHub only, opens a notebook.

    Args:
        repository: the project's address on GitHub.
        ref: a branch or tag of it.
        name: the notebook's file name without its ending.

    Returns:
        An address on Colab.
    """
    path = repository.removeprefix("https://github.com/")
    return f"https://colab.research.google.com/github/{path}/blob/{ref}/notebooks/{name}.ipynb"


def badge(repository: str, ref: str, name: str) -> str:
    """Return the badge that opens a notebook on Colab.

    Args:
        repository: the project's address on GitHub.
        ref: a branch or tag of it.
        name: the notebook's file name without its ending.

    Returns:
        An image with a link, in Markdown.
    """
    image = "https://colab.research.google.com/assets/colab-badge.svg"
    return f"[![Open in Colab]({image})]({link(repository, ref, name)})"


def set_address(notebook, repository: str, ref: str, name: str) -> None:
    """Write an address into a notebook, in place: into the badge under its title, and into its setup cell.

    Args:
        notebook: nbformat's dictionary.
        repository: an address that git can clone.
        ref: a branch or tag of it.
        name: the notebook's file name without its ending.

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
    """Write the project's address into pyproject.toml, the README, every badge and every setup cell.

    Args:
        repository: the new address on GitHub; None keeps the current one.
        ref: the new branch or tag; None keeps the current one.

    Returns:
        The files that changed.

    Raises:
        ValueError: the new repository is the placeholder or not on GitHub, the ref is not a name, or a
            notebook lacks the cells that hold the address.
    """
    old_repository, old_ref = address()
    given = repository is not None
    repository = (repository or old_repository).removesuffix("/").removesuffix(".git")
    ref = ref or old_ref
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", repository):
        raise ValueError(f"{repository!r} is not of the form https://github.com/OWNER/NAME, as Colab needs")
    if given and repository.lower() == PLACEHOLDER:
        raise ValueError(
            f"{repository} is a placeholder, which belongs to nobody: give the address of your own copy, "
            "--repository https://github.com/YOU/NAME"
        )
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


# --- a fresh Colab runtime ---


def install_dependencies() -> None:
    """Install the dependencies in pyproject.toml that are missing, and leave those alone that are installed.

    Raises:
        RuntimeError: a dependency is installed in a version that the series cannot use, or pip failed; the
            message says what to do.
    """
    lines = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    if importlib.util.find_spec("packaging") is None:  # without it no version can be judged
        _install([line for line in lines if re.match(r"packaging\b", line)])

    from packaging.requirements import Requirement

    missing, unfit = [], {}
    for line in lines:
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate():
            continue
        needed = line.partition(";")[0].strip()
        try:
            installed = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(needed)
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            unfit[needed] = f"{requirement.name} {installed} is installed, and the series needs {needed}"
    if unfit:
        command = " ".join(["%pip install", *(f"'{needed}'" for needed in unfit)])
        findings = "; ".join(unfit.values())
        raise RuntimeError(
            f"{findings}: run `{command}` in a cell, restart the runtime, and run this cell again"
        )
    if missing:
        _install(missing)


def _install(needed: list[str]) -> None:
    names = ", ".join(needed)
    print("Installing", names)
    if subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *needed]).returncode:
        raise RuntimeError(
            f"pip cannot install {names}, as it says above: check the network, then run this cell again"
        )
    importlib.invalidate_caches()


def keep_on_drive(name: str) -> None:
    """Keep everything that is made in the reader's Google Drive, which outlives a Colab runtime.

    `data/runs` becomes a link to a folder there. Results that an earlier runtime left in it are found again;
    those that this runtime has made already are copied into it.

    Args:
        name: the folder in the Drive.

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
    mounted = ROOT.parent / "drive"  # /content/drive, where Colab's own button mounts it
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
