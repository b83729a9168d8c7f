"""The notebooks as files: finding, reading and executing them, and committing their outputs."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from helpers.settings import ROOT

# nbformat, nbconvert and papermill are imported where they are used: on Colab the setup cell imports this
# module to install what is missing.

FOLDER = ROOT / "notebooks"


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
