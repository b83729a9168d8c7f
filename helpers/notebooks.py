"""The notebooks as files: their address, their execution, and whether their outputs are up to date."""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from helpers.settings import ROOT

# nbformat, nbconvert and papermill are imported where they are used: on Colab the setup cell imports this
# module to install what is missing.

FOLDER = ROOT / "notebooks"
PYPROJECT = ROOT / "pyproject.toml"
README = ROOT / "README.md"

LINK = re.compile(r"\]\((\d\d_\w+)\.ipynb(#[^)]*)?\)")  # from one notebook to another
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
from helpers.notebooks import install_missing, keep_on_drive

if project.name == "token-or-span":
    install_missing()  # whatever is installed already keeps its version
if DRIVE:
    keep_on_drive(DRIVE)
os.chdir(project / "notebooks")"""


def paths() -> list[Path]:
    """The notebooks of the series, in reading order."""
    return sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))


def read(path: Path):
    """A notebook as nbformat's dictionary.

    Raises:
        ValueError: the file is not a readable notebook; the message names it.
    """
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:
        raise ValueError(f"{path} is not a readable notebook: {error}") from error


def title(name: str) -> str:
    """The title of a notebook of the series: "06 F1 by entity length" for "06_f1_by_entity_length"."""
    return read(FOLDER / f"{name}.ipynb").cells[0].source.splitlines()[0].removeprefix("# ")


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
    for path in paths():
        notebook = read(path)
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


# --- execution ---

RECORD = "token_or_span"  # the notebook's metadata under this name tell what its outputs were made from
WIDGET = "application/vnd.jupyter.widget-view+json"


class NotebookError(RuntimeError):
    """A notebook stopped. The message names the notebook, the cell and the error."""


def code_hash(notebook) -> str:
    """SHA-256 over the sources of the code cells, the setup cell excepted: an address changes no result."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    sources = [cell.source for cell in cells if "setup" not in cell.metadata.get("tags", [])]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def execute(path: Path, copy: Path, key: str = "") -> None:
    """Executes a notebook, in its own folder, into `copy`; records its code's hash and `key` when it is done.

    Raises:
        NotebookError: a cell raised, or the kernel died. `copy` holds everything up to there.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError

    try:
        notebook = papermill.execute_notebook(
            path,
            copy,
            cwd=path.parent,
            kernel_name="python3",
            progress_bar=False,
            extra_arguments=["--log-level=CRITICAL"],  # the kernel must not write into the progress bar
        )
    except papermill.PapermillExecutionError as error:
        line = next((line for line in error.source.splitlines() if line.strip()), "")
        where = f"{path.name}, cell In [{error.exec_count}], which starts {line!r}"
        message = f"{where}: {error.ename}: {error.evalue}\nIts outputs up to there: {copy}"
        raise NotebookError(message) from error
    except DeadKernelError as error:
        cells = [cell for cell in read(copy).cells if cell.cell_type == "code"]
        started = sum(cell.metadata.get("papermill", {}).get("start_time") is not None for cell in cells)
        where = f"{path.name}, code cell {started}"
        message = f"{where}: {error}, mostly for want of memory\nIts outputs up to there: {copy}"
        raise NotebookError(message) from error
    notebook.metadata[RECORD] = {"code_hash": code_hash(notebook), "key": key}
    nbformat.write(notebook, copy)


def named(names: Sequence[str] = ()) -> list[Path]:
    """The notebooks whose file names start with one of `names` ("03"), or all.

    Raises:
        ValueError: none does.
    """
    chosen = [path for path in paths() if path.name.startswith(tuple(names) or "")]
    if not chosen:
        raise ValueError(f"no notebook in {FOLDER.name}/ has a name that starts with {' or '.join(names)}")
    return chosen


def execute_all(folder: Path, key: str, names: Sequence[str] = ()) -> list[tuple[Path, Path]]:
    """Executes the notebooks into `folder`, two at a time; returns pairs of a notebook and its executed copy.

    Each notebook stands alone, and much of its time goes into starting a kernel, reading and drawing, which
    one processor does. So two share a machine well, each with its part of the processors. A copy that was
    finished from the same code with the same `key` is kept, so that a run that was interrupted continues.
    `names` as in `named`.

    Raises:
        NotebookError: as `execute`.
        ValueError: as `named`.
    """
    from tqdm import tqdm

    chosen = [(path, folder / path.name) for path in named(names)]
    folder.mkdir(parents=True, exist_ok=True)
    todo = [(path, copy) for path, copy in chosen if not _is_done(path, copy, key)]
    at_once = min(2, os.cpu_count() or 1)
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // at_once))  # of a kernel's torch
    waiting, finished = SimpleQueue(), SimpleQueue()
    for path, copy in todo:
        waiting.put((path, copy))

    def work() -> None:
        while True:
            try:
                path, copy = waiting.get_nowait()
            except Empty:
                return
            try:
                execute(path, copy, key)
                finished.put(path.stem)
            except BaseException as error:
                finished.put(error)
                return

    for _ in range(at_once):  # daemons: Ctrl-C does not wait for a notebook's end
        Thread(target=work, daemon=True).start()
    with tqdm(todo, desc="Notebooks", unit="notebook", disable=not todo) as bar:
        for _ in bar:
            done = finished.get()
            if isinstance(done, BaseException):
                raise done
            bar.set_postfix_str(f"{done} done")
    return chosen


def _is_done(path: Path, copy: Path, key: str) -> bool:
    try:
        done = read(copy).metadata.get(RECORD)
    except ValueError:  # not there, or cut short by a kill
        return False
    return done == {"code_hash": code_hash(read(path)), "key": key}


# nbconvert's page, with alternative text in the images. Its prompts and some of its code are too pale there,
# and its links differ from the text around them by colour alone.
PAGE = """{%- extends 'lab/index.html.j2' -%}
{%- block html_head_css -%}
{{ super() }}
<style>
:root {
  --jp-cell-prompt-not-active-opacity: 1;
  --jp-cell-prompt-not-active-font-color: #595959;
  --jp-mirror-editor-comment-color: #346a6a;
  --jp-mirror-editor-number-color: #006e00;
  --jp-mirror-editor-operator-color: #8000d0;
}
.jp-RenderedHTMLCommon a:link { text-decoration: underline; }
</style>
{%- endblock -%}
{%- block data_png scoped -%}
<div class="jp-RenderedImage jp-OutputArea-output {{ extra_class }}">
<img src="data:image/png;base64,{{ output.data['image/png'] }}" alt="{{ output.metadata.alt | escape_html }}">
</div>
{%- endblock -%}
"""


def description(notebook, index: int) -> str:
    """The figure of code cell `index` in words: its alternative text.

    That is the paragraph in italics with which the next markdown cell begins, or else the last paragraph of
    the markdown above.
    """
    after = next((cell.source for cell in notebook.cells[index + 1 :] if cell.cell_type == "markdown"), "")
    above = [cell.source for cell in notebook.cells[:index] if cell.cell_type == "markdown"]
    if italics := re.match(r"\*[^*].*?[^*]\*(?!\*)", after, flags=re.DOTALL):
        words = italics[0]
    else:
        words = above[-1].split("\n\n")[-1] if above else ""
    return " ".join(re.sub(r"[*`]", "", words).split())


def to_html(copy: Path) -> Path:
    """Writes an executed notebook as a web page beside it, and returns the page.

    Pages need nothing from elsewhere and no kernel, so they have no live widgets and no badge. Links between
    notebooks lead to their pages, and figures carry their description as alternative text.
    """
    from nbconvert import HTMLExporter

    notebook = read(copy)
    notebook.metadata.pop("widgets", None)
    elsewhere = "/".join([address()[0], "blob", address()[1], FOLDER.name])
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            cell.outputs = lasting_outputs(cell.outputs)
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    output.metadata["alt"] = description(notebook, index)
        elif cell.cell_type == "markdown":
            cell.source = LINK.sub(r"](\1.html\2)", BADGE.sub("", cell.source))
            cell.source = re.sub(r"\]\((\w+\.md)\)", rf"]({elsewhere}/\1)", cell.source)
    exporter = HTMLExporter(
        raw_template=PAGE, require_js_url="", jquery_url="", mathjax_url="", embed_images=True
    )
    html, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": copy.stem}})
    html = html.replace("<th></th>", "<td></td>")  # a heading of a column says something
    page = copy.with_suffix(".html")
    page.write_text(html, encoding="utf-8", newline="\n")
    return page


# --- committing outputs ---


def lasting_outputs(outputs: list) -> list:
    """The outputs that last: no progress bars, and of widgets only the image that comes with them."""
    lasting = []
    for output in outputs:
        progress = output.output_type == "stream" and output.name == "stderr" and "\r" in output.text
        data = output.get("data", {})
        if progress or (WIDGET in data and "image/png" not in data):
            continue
        data.pop(WIDGET, None)
        lasting.append(output)
    return lasting


def commit(path: Path, copy: Path) -> None:
    """Writes the outputs of an executed copy into the notebook, ready to be committed.

    Cells keep their tags and nbgrader's metadata, and the notebook says which code its outputs come from; all
    other metadata (widget state, timings, the kernel's version) would only make noise in the history.

    Raises:
        ValueError: the copy was made from other code.
    """
    import nbformat

    notebook, executed = read(path), read(copy)
    if executed.metadata.get(RECORD, {}).get("code_hash") != code_hash(notebook):
        raise ValueError(f"{copy} was made from other code, or not finished: execute it again")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    sources = [cell for cell in executed.cells if cell.cell_type == "code"]
    for number, (cell, source) in enumerate(zip(code, sources, strict=True), start=1):
        cell.execution_count, cell.outputs = number, lasting_outputs(source.outputs)
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
    for cell in notebook.cells:
        cell.metadata = {
            name: cell.metadata[name] for name in ("tags", "nbgrader") if cell.metadata.get(name)
        }
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        RECORD: {"code_hash": code_hash(notebook)},
    }
    nbformat.write(notebook, path)
