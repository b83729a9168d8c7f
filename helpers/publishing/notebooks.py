"""The notebooks as files: finding, reading and executing them, and committing their outputs."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from helpers.settings import ROOT, processors

# nbformat, nbclient and running.artifacts are imported where they are used: on Colab the setup cell imports
# this module to install what is missing.

FOLDER = ROOT / "notebooks"


def paths() -> list[Path]:
    """Return the notebooks of the series, in reading order.

    Returns:
        Paths of the files in `FOLDER`.
    """
    return sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))


def named(names: Sequence[str] = ()) -> list[Path]:
    """Return the notebooks whose file names start with one of the given names, or all of them.

    Args:
        names: beginnings of file names, such as "03"; none stands for all notebooks.

    Returns:
        Their paths, in reading order.

    Raises:
        ValueError: no notebook has such a name.
    """
    chosen = [path for path in paths() if path.name.startswith(tuple(names) or "")]
    if "" in names:
        raise ValueError(
            "a name is empty: give the first letters of a notebook, such as 03, or no name for all"
        )
    if not chosen:
        raise ValueError(f"no notebook in {FOLDER.name}/ has a name that starts with {' or '.join(names)}")
    return chosen


def read(path: Path):
    """Read a notebook.

    Args:
        path: the notebook.

    Returns:
        The notebook as nbformat's dictionary, in format 4.

    Raises:
        ValueError: the file is not a readable notebook; the message names it.
    """
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:
        raise ValueError(f"{path} is not a readable notebook: {error}") from error


def write(notebook, path: Path) -> None:
    """Write a notebook as a whole: an interruption leaves the old file or the new one, never half a file.

    Args:
        notebook: nbformat's dictionary.
        path: where to write it.
    """
    import nbformat

    from helpers.running import artifacts

    artifacts.write(path, nbformat.writes(notebook) + "\n")


def title(name: str) -> str:
    """Return the title of a notebook of the series.

    Args:
        name: the notebook's file name without its ending, such as "06_f1_by_entity_length".

    Returns:
        The title with its number, such as "6. F1 by entity length".
    """
    return read(FOLDER / f"{name}.ipynb").cells[0].source.splitlines()[0].removeprefix("# ")


# --- execution ---

RECORD = "token_or_span"  # the notebook's metadata under this name say what its outputs were made from
WIDGET = "application/vnd.jupyter.widget-view+json"


class NotebookError(RuntimeError):
    """A notebook that stopped. The message names the notebook, the cell and the error."""


def code_hash(notebook) -> str:
    """Return a hash of a notebook's code, the setup cell excepted: an address changes no result.

    Args:
        notebook: nbformat's dictionary.

    Returns:
        SHA-256 over the sources of the code cells, in hexadecimal digits.
    """
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    sources = [cell.source for cell in cells if "setup" not in cell.metadata.get("tags", [])]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def execute(path: Path, executed: Path, key: str = "", environment: Mapping[str, str] | None = None) -> None:
    """Execute a notebook in its own folder, and save a copy with its outputs after every cell.

    Args:
        path: the notebook.
        executed: where the copy goes; once all cells have run, it records the hash of the code, and `key`.
        key: stands for everything else that the outputs depend on.
        environment: variables that the kernel gets in addition to those of this process.

    Raises:
        NotebookError: a cell raised an error, or the kernel died. The copy holds the outputs up to there.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    notebook = read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in code:
        cell.execution_count, cell.outputs = None, []
    notebook.metadata.pop(RECORD, None)
    write(notebook, executed)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        extra_arguments=["--log-level=CRITICAL"],  # the kernel must not write into our progress bar
        record_timing=False,
        raise_on_iopub_timeout=True,  # rather than losing outputs on a busy machine
        iopub_timeout=60,  # seconds
    )
    client.create_kernel_manager()
    # Kernels open files and paths as UTF-8, whatever the locale is.
    variables = {**os.environ, "PYTHONUTF8": "1", **(environment or {})}
    cell = None
    try:
        with client.setup_kernel(cwd=str(path.parent.absolute()), env=variables):
            reply = client.wait_for_reply(client.kc.kernel_info())
            notebook.metadata["language_info"] = reply["content"]["language_info"]
            for index, cell in enumerate(notebook.cells):
                if cell.cell_type == "code":
                    try:
                        client.execute_cell(cell, index)
                    finally:
                        write(notebook, executed)
            client.set_widgets_metadata()
    except (CellExecutionError, CellTimeoutError, RuntimeError) as error:
        where = _where(path, cell, client.code_cells_executed)
        reason = str(error)  # the kernel did not start, or outputs did not arrive
        if isinstance(error, CellExecutionError):
            reason = f"{error.ename}: {error.evalue}"
        elif isinstance(error, DeadKernelError):
            reason = "its kernel died, most likely because memory ran out"
        raise NotebookError(f"{where}: {reason}\nIts outputs up to there: {executed}") from error
    notebook.metadata[RECORD] = {"code_hash": code_hash(notebook), "key": key}
    write(notebook, executed)


def _where(path: Path, cell, number: int) -> str:
    if cell is None:  # the kernel has not started
        return path.name
    line = next((line for line in cell.source.splitlines() if line.strip()), "")
    return f"{path.name}, cell In [{number}], which starts {line!r}"


def execute_all(
    folder: Path, key: str, names: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> list[tuple[Path, Path]]:
    """Execute the notebooks, two at a time, except those that were executed with the same code and key.

    Each notebook stands alone, and much of its time goes into starting a kernel, reading and drawing, which
    one processor does. So two share a machine well, each with its part of the processors. Since finished
    copies are kept, an interrupted run continues.

    Args:
        folder: where the executed copies go.
        key: as in `execute`.
        names: beginnings of the names of the notebooks to execute, as in `named`.
        environment: as in `execute`.

    Returns:
        Pairs of a notebook and its executed copy, in reading order.

    Raises:
        NotebookError: as in `execute`, for the first notebook that stops.
    """
    from tqdm import tqdm

    chosen = [(path, folder.absolute() / path.name) for path in named(names)]
    waiting, finished = SimpleQueue(), SimpleQueue()
    remaining = [pair for pair in chosen if not _is_finished(*pair, key)]
    for pair in remaining:
        waiting.put(pair)
    kernels = min(2, processors())
    threads = max(1, processors() // kernels)  # of a kernel's torch
    variables = {**(environment or {}), "OMP_NUM_THREADS": str(threads)}

    def execute_waiting() -> None:
        while True:
            try:
                path, executed = waiting.get_nowait()
            except Empty:
                return
            try:
                execute(path, executed, key, variables)
                finished.put(path.stem)
            except BaseException as error:
                finished.put(error)
                return

    for _ in range(kernels):  # daemons: Ctrl-C does not wait for a notebook to end
        Thread(target=execute_waiting, daemon=True).start()
    with tqdm(remaining, desc="Notebooks", unit="notebook", disable=not remaining) as bar:
        for _ in bar:
            result = finished.get()
            if isinstance(result, BaseException):
                raise result
            bar.set_postfix_str(f"{result} done")
    return chosen


def _is_finished(path: Path, executed: Path, key: str) -> bool:
    try:
        record = read(executed).metadata.get(RECORD)
    except ValueError:  # missing or damaged
        return False
    return record == {"code_hash": code_hash(read(path)), "key": key}


# --- committing outputs ---


def lasting_outputs(outputs: list) -> list:
    """Return the outputs that last: no progress bars, and of widgets only the image that comes with them.

    Args:
        outputs: of a code cell; those that last are changed in place.

    Returns:
        The outputs that last, in the same order.
    """
    lasting = []
    for output in outputs:
        progress = output.output_type == "stream" and output.name == "stderr" and "\r" in output.text
        data = output.get("data", {})
        if progress or (WIDGET in data and "image/png" not in data):
            continue
        data.pop(WIDGET, None)
        lasting.append(output)
    return lasting


def commit(path: Path, executed: Path) -> None:
    """Write the outputs of an executed copy into the notebook, ready to be committed.

    Cells keep their tags, nbgrader's metadata and whether JupyterLab folds them, and the notebook says which
    code its outputs come from; all other metadata (widget state, the kernel's version) would only make noise
    in the history.

    Args:
        path: the notebook.
        executed: its executed copy.

    Raises:
        ValueError: the copy was made from other code, or its execution did not finish.
    """
    notebook, copy = read(path), read(executed)
    if copy.metadata.get(RECORD, {}).get("code_hash") != code_hash(notebook):
        raise ValueError(f"{executed} was made from other code, or not finished: execute it again")
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    sources = [cell for cell in copy.cells if cell.cell_type == "code"]
    for number, (cell, source) in enumerate(zip(cells, sources, strict=True), start=1):
        cell.execution_count, cell.outputs = number, lasting_outputs(source.outputs)
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
    for cell in notebook.cells:
        cell.metadata = {
            name: cell.metadata[name] for name in ("tags", "nbgrader", "jupyter") if cell.metadata.get(name)
        }
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        RECORD: {"code_hash": code_hash(notebook)},
    }
    write(notebook, path)
