"""Colab as far as it can be had without it: its Python, its versions, and runtimes that start out empty."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
from filelock import FileLock
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from helpers.publishing import colab, notebooks
from helpers.settings import ROOT

HERE = Path(__file__).parent
VERSIONS = HERE / "versions.txt"
CACHE = ROOT / ".colab"
SETTINGS_OF_THIS_MACHINE = ("PATH", "TMPDIR", "LANG", "OMP_NUM_THREADS", "REQUESTS_CA_BUNDLE")
THEIR_PREFIXES = ("PIP_", "SSL_", "LC_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


class CellError(Exception):
    """A cell raised; the message has its error and everything that it wrote."""


def _call(*command: object, **options) -> str:
    """Runs a command; returns what it writes, and raises with all of that if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{done.stdout[-3000:]}")
    return done.stdout


# --- the machine ---


def python_of_colab() -> str:
    """A Python 3.13 that starts and has venv and pip: COLAB_PYTHON, or the first one that is found.

    Raises:
        RuntimeError: there is none; the message says what to do.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [sys.executable, "python3.13", *sorted(map(str, pyenv.glob("versions/3.13*/bin/python")))]
    candidates = [os.environ["COLAB_PYTHON"]] if os.environ.get("COLAB_PYTHON") else found
    fits = "import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, 13))"
    for python in candidates:
        path = shutil.which(python)
        if path and subprocess.run([path, "-c", fits], capture_output=True).returncode == 0:
            return path
    raise RuntimeError(
        f"These tests need Python 3.13 with venv and pip, as Colab has; there is none among: "
        f"{', '.join(candidates)}. Install one, or name it: COLAB_PYTHON=/path/to/python3.13 make test"
    )


def environment() -> Path:
    """The folder of an environment with Colab's versions; built once, and again when the versions change.

    Raises:
        RuntimeError: there is no Python 3.13, or pip failed; the message says which.
    """
    folder = CACHE / hashlib.sha256(VERSIONS.read_bytes()).hexdigest()[:12]
    whole = folder / "whole"  # written at the end: what an interrupted attempt left is built again
    CACHE.mkdir(exist_ok=True)
    with FileLock(CACHE / "lock"):
        if not whole.exists():
            for old in CACHE.iterdir():
                if old.is_dir():
                    shutil.rmtree(old)
            _call(python_of_colab(), "-m", "venv", folder)
            # Byte code is left to the first import, which needs little of it: that halves the time.
            _call(_python(folder), "-m", "pip", "install", "--quiet", "--no-compile", "-r", VERSIONS)
            whole.touch()
    return folder


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _packages(folder: Path) -> Path:
    return folder / "lib" / "python3.13" / "site-packages"


def repository(folder: Path) -> str:
    """Makes a git repository of the project as it stands, with what is not committed yet; its address."""
    listed = _call("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():  # or else it is deleted, but not committed so
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git = ["git", "-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main"]
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message=all"]):
        _call(*git, *command, cwd=folder)
    return folder.as_uri()


# --- a runtime on it ---


class Runtime:
    """What Colab gives a reader: a machine with nothing on it but Colab's packages.

    It has an environment of its own, in which those packages can be imported, but into which everything new
    goes. So runtimes do not see what others installed.

    Args:
        folder: for everything that the runtime holds; empty.
        drive: the reader's Google Drive, which outlives runtimes.
        variables: of the environment of its kernels.
    """

    def __init__(self, folder: Path, drive: Path, **variables: str):
        self.content, self.own = folder / "content", folder / "python"
        base = environment()
        for new in (self.content, folder / "home"):
            new.mkdir(parents=True)
        _call(_python(base), "-m", "venv", "--without-pip", self.own)
        lines = f"{_packages(base)}\n{HERE / 'stand_in'}\n"
        (_packages(self.own) / "colab.pth").write_text(lines, encoding="utf-8")
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in SETTINGS_OF_THIS_MACHINE or name.upper().startswith(THEIR_PREFIXES)
        }
        self.variables = {
            **kept,
            "PATH": f"{self.own / 'bin'}{os.pathsep}{kept['PATH']}",
            "HOME": str(folder / "home"),
            "COLAB_RELEASE_TAG": "stand-in",
            "CUDA_VISIBLE_DEVICES": "",  # no GPU, wherever the tests run
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # or else each kernel warns of its debugger
            "STAND_IN_DRIVE": str(drive),
            "SCALE": "smoke",
            **variables,
        }
        command = [str(_python(self.own)), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": command, "display_name": "Colab", "language": "python"}
        self.specs = folder / "kernels"
        (self.specs / "colab").mkdir(parents=True)
        (self.specs / "colab" / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")

    def packages(self) -> set[str]:
        """What pip finds installed, as "name==version"."""
        listed = _call(_python(self.own), "-m", "pip", "freeze", "--all", env=self.variables)
        return set(listed.split("\n")) - {""}

    def open(self, name: str, address: str, drive: str = "") -> list[str]:
        """Puts one notebook into the folder, with this address in its setup cell; returns its code cells.

        Args:
            drive: what the reader writes between the quotes of DRIVE.
        """
        notebook = notebooks.read(notebooks.FOLDER / f"{name}.ipynb")
        colab.set_address(notebook, address, "main", name)
        setup = next(cell for cell in notebook.cells if "setup" in cell.metadata.get("tags", []))
        setup.source = setup.source.replace('DRIVE = ""', f'DRIVE = "{drive}"')
        nbformat.write(notebook, self.content / f"{name}.ipynb")
        return [cell.source for cell in notebook.cells if cell.cell_type == "code"]

    def kernel(self) -> "Kernel":
        """A new kernel, as after "Restart session"."""
        return Kernel(self)


class Kernel:
    """A kernel of a runtime; as a context manager, it is shut down at the end."""

    def __init__(self, runtime: Runtime):
        specs = KernelSpecManager(kernel_dirs=[str(runtime.specs)])
        self.manager = KernelManager(kernel_name="colab", kernel_spec_manager=specs)
        self.manager.start_kernel(cwd=str(runtime.content), env=runtime.variables)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def __enter__(self) -> "Kernel":
        return self

    def __exit__(self, *_) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, source: str, timeout: float = 600) -> list[dict]:
        """Runs a cell; returns the messages that it sends, each with `msg_type` and `content`.

        Raises:
            CellError: the cell raised.
            TimeoutError: it takes longer than `timeout` seconds, or the kernel died.
        """
        sent: list[dict] = []
        reply = self.client.execute_interactive(
            source, allow_stdin=False, output_hook=sent.append, timeout=timeout
        )["content"]
        if reply["status"] != "ok":
            raise CellError(f"{reply['ename']}: {reply['evalue']}\n{written(sent)}")
        return sent

    def start(self, source: str) -> None:
        """Starts a cell and does not wait for it."""
        # After a cell that failed, a kernel would drop what comes next for a moment, as Run All wants it.
        self.started = self.client.execute(source, allow_stdin=False, stop_on_error=False)

    def stop(self) -> None:
        """Interrupts the cell that `start` started, as the stop button does, and waits until it has ended."""
        self.manager.interrupt_kernel()
        while self.client.get_shell_msg(timeout=60)["parent_header"].get("msg_id") != self.started:
            pass

    def kill(self) -> None:
        """Ends the kernel and all processes that it started at once, as when the runtime is lost."""
        self.client.stop_channels()
        os.killpg(self.manager.provisioner.pgid, signal.SIGKILL)
        self.manager.provisioner.process.wait()


def written(messages: list[dict]) -> str:
    """What a cell wrote to its output and to its errors."""
    return "".join(sent["content"]["text"] for sent in messages if sent["msg_type"] == "stream")
