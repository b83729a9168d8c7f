"""The command line: python -m helpers run | plan | report | pretrain | notebooks | address | coursework."""

import argparse
import errno
import hashlib
import math
import os
import sys
from concurrent.futures import BrokenExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

# Modules that import torch are imported where they are used, so that --help and address answer at once.
from helpers import settings
from helpers.publishing import colab, notebooks, pages
from helpers.settings import ROOT, SCALES, Settings

VERDICTS = "verdicts.csv"  # written by notebook 07, which gathers the evidence
VARIABLES = (
    "scale",
    "corpus",
    "text",
    "out",
    "seed",
)  # options that are variables of the environment as well
CONTINUES = "What is finished is kept: the same command goes on from there."


class InputError(ValueError):
    """The command line, the corpus or the text cannot be used; the message says why and what to do."""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code: 0 done, 1 something failed, 2 bad input, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nInterrupted. {CONTINUES}", file=sys.stderr)
        return 130
    except Exception as error:
        said = _said(error)
        if not said:
            raise
        print(f"\n{said}", file=sys.stderr)
        return 1
    return 0


def _said(error: Exception) -> str:
    """What to say of an error that is no defect of the program, and what to do; nothing of any other."""
    if isinstance(error, BrokenExecutor):  # says itself how it goes on
        return str(error)
    if isinstance(error, notebooks.NotebookError | FloatingPointError):
        return f"{error}\n{CONTINUES}"
    if isinstance(error, MemoryError):
        said = str(error) or "no memory is left: end other programs, or choose a smaller --scale"
        return f"{said}.\n{CONTINUES}"
    # The libraries in Rust (safetensors, tokenizers) have errors of their own for a full disk.
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "(os error 28)" in str(error):
        return f"The disk is full: {error}. Make room there.\n{CONTINUES}"

    from helpers.checkpoints import CheckpointError

    return str(error) if isinstance(error, CheckpointError) else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m helpers", description="Token or span? The whole series.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    what = argparse.ArgumentParser(add_help=False)
    what.add_argument("--scale", choices=SCALES, help="how large (default: the variable SCALE, or laptop)")
    what.add_argument("--corpus", help="'world' (the default), or a folder with train, dev and test files")
    what.add_argument(
        "--text", nargs="+", metavar="FILE", help="unlabelled text for a folder: plain, .gz, .xz"
    )
    what.add_argument("--out", metavar="FOLDER", help="where results go (default: data/runs/SCALE)")
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument(
        "--seed", metavar="S", help="of the first replicate; the next ones follow (default: 0)"
    )
    much = argparse.ArgumentParser(add_help=False)
    much.add_argument("--minutes", type=_positive(float), help="fit the replicates into this time")
    much.add_argument("--replicates", type=_positive(int), metavar="N", help="run this many, however long")

    for name, command, parents in (
        ("run", run, [what, first, much]),
        ("plan", plan, [what, first, much]),
        ("report", report, [what, first]),
        ("pretrain", pretrain, [what]),
        ("notebooks", commit_notebooks, []),
        ("address", address, []),
    ):
        about = command.__doc__.partition("\n")[0]
        commands.add_parser(name, parents=parents, help=about, description=about).set_defaults(
            command=command
        )
    large = commands.choices["pretrain"]
    large.add_argument("--arm", choices=("token", "whole_word", "span"), required=True)
    large.add_argument("--tokens", type=_positive(int), metavar="N", required=True, help="to train on")
    large.add_argument("--seed", type=int, default=0, dest="one_seed", metavar="S", help="default: 0")
    large.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), help="default: the faster one")
    commands.choices["notebooks"].add_argument(
        "names", nargs="*", metavar="NN", help="only these, such as 03"
    )
    commands.choices["address"].add_argument("--repository", metavar="URL", help="on GitHub, as Colab needs")
    commands.choices["address"].add_argument("--ref", help="a branch or a tag")
    _add_coursework(
        commands.add_parser("coursework", help="Hands the series out, collects it and grades it.")
    )
    return parser


def _add_coursework(parser: argparse.ArgumentParser) -> None:
    steps = parser.add_subparsers(required=True, metavar="STEP")
    for name, command in (("release", release), ("check", check), ("grade", grade)):
        about = command.__doc__.partition("\n")[0]
        step = steps.add_parser(name, help=about, description=about)
        step.set_defaults(command=command)
        if name != "release":
            step.add_argument("folder", type=Path, metavar="FOLDER", help="a folder or zip file per student")
        step.add_argument(
            "--release", type=Path, metavar="FOLDER", help="the hand-out (default: data/runs/coursework)"
        )
    steps.choices["release"].add_argument(
        "--students", type=Path, metavar="FILE.csv", help="with a column 'student': each gets a world seed"
    )
    last = steps.choices["grade"]
    last.add_argument("--no-isolation", action="store_true", help="run submissions with your own rights")
    last.add_argument("--seconds", type=_positive(float), default=10.0, help="for each point (default: 10)")
    last.add_argument("--memory", type=_positive(int), default=2048, metavar="MB", help="default: 2048")


def _positive(number: type):
    def parse(text: str):
        if not 0 < number(text) < math.inf:
            raise argparse.ArgumentTypeError("must be above 0, and finite")
        return number(text)

    parse.__name__ = number.__name__
    return parse


def _settings(options: argparse.Namespace) -> Settings:
    """The settings of this run, left in the environment for the kernels of the notebooks too.

    Paths are made absolute there: the kernels run in another folder.
    """
    given = {name.upper(): value for name, value in vars(options).items() if name in VARIABLES and value}
    if "TEXT" in given:
        given["TEXT"] = os.pathsep.join(given["TEXT"])
    for name, value in given.items():
        os.environ[name] = value
    try:
        chosen = settings.from_environment()
    except ValueError as error:
        raise InputError(error) from error
    if chosen.corpus != "world":
        os.environ["CORPUS"] = str(Path(chosen.corpus).resolve())
        os.environ["TEXT"] = os.pathsep.join(str(Path(file).resolve()) for file in chosen.text)
    os.environ["OUT"] = str(chosen.out)
    return settings.from_environment()


def _plan(chosen: Settings, options: argparse.Namespace):
    """What will run. A corpus of the user's is read first: bad input is reported before any training."""
    from helpers import experiment

    try:
        if chosen.corpus != "world":
            for note in experiment.replicate(chosen).corpus.notes:
                print(note)
        return experiment.plan(chosen, minutes=options.minutes, replicates=options.replicates)
    except ValueError as error:
        raise InputError(error) from error


def _fingerprint(chosen: Settings) -> str:
    """Changes when anything that a notebook shows could: settings, results, helpers or shipped data."""
    files = [chosen.out / name for name in ("results.csv", "costs.csv", "predictions.json")]
    for folder in ("helpers", "data/world", "data/reference"):
        files += (path for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts)
    digest = hashlib.sha256(repr(chosen).encode())
    for path in sorted(path for path in files if path.is_file()):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def run(options: argparse.Namespace) -> None:
    """The whole series: the experiment, notebooks 00-07, the table, the figure and the report."""
    from helpers import experiment, figures

    chosen = _settings(options)
    print(_plan(chosen, options))
    table = experiment.results(chosen)
    figure = figures.f1_by_entity_length(table, chosen.scale.core_sentences)
    figures.save(figure, chosen.out / "f1_by_entity_length")
    executed = notebooks.execute_all(chosen.out / "notebooks", _fingerprint(chosen))
    for _, copy in executed:
        pages.to_html(copy)
    page = _report(chosen, table)
    print(f"\nReport: {page}\nTable, figure and executed notebooks: {chosen.out}")


def plan(options: argparse.Namespace) -> None:
    """What a scale would run, and how long that takes here; runs nothing but a measurement of speed."""
    chosen = _settings(options)
    with TemporaryDirectory() as folder:  # so that the next run is not bound by what was only asked
        asked = options.minutes or options.replicates
        print(_plan(replace(chosen, out=Path(folder)) if asked else chosen, options))


def report(options: argparse.Namespace) -> None:
    """Writes report.html again from the results of a finished run, and prints the answer."""
    from helpers import experiment

    chosen = _settings(options)
    for name in ("results.csv", "plan.json", VERDICTS):
        if not (chosen.out / name).exists():
            raise InputError(f"{chosen.out} holds no {name}: finish a run first, python -m helpers run")
    table = experiment.read_table(chosen.out / "results.csv")
    corpus, found = Path(chosen.corpus).resolve().name, ", ".join(table["corpus"].unique())
    if corpus != found:
        raise InputError(
            f"{chosen.out} holds results of {found}, not of {corpus}: name the folder by --corpus"
        )
    try:
        experiment.replicate(chosen)
    except ValueError as error:
        raise InputError(error) from error
    print(f"\nReport: {_report(chosen, table)}")


def _report(chosen: Settings, table) -> Path:
    import pandas as pd

    from helpers import experiment
    from helpers.publishing import report as reports

    verdicts = pd.read_csv(chosen.out / VERDICTS)
    print(reports.answer(chosen, table, verdicts))
    return reports.write(
        chosen,
        table,
        verdicts,
        plan=str(experiment.read_plan(chosen)),
        notes=experiment.replicate(chosen).corpus.notes,
        pages=sorted((chosen.out / "notebooks").glob("*.html")),
    )


def pretrain(options: argparse.Namespace) -> None:
    """One model, on one process or on all that torchrun starts: torchrun … -m helpers pretrain …"""
    from helpers import distributed

    chosen = _settings(options)
    try:
        folder = distributed.pretrain(chosen, options.arm, options.tokens, options.one_seed, options.dtype)
    except ValueError as error:
        raise InputError(error) from error
    if distributed.is_first():
        print(f"Model, tokenizer and history.csv: {folder}")


def commit_notebooks(options: argparse.Namespace) -> None:
    """Executes the notebooks and puts their outputs into notebooks/, ready to be committed."""
    from helpers import experiment

    chosen = _settings(options)
    try:
        notebooks.named(options.names)
    except ValueError as error:
        raise InputError(error) from error
    experiment.results(chosen)  # what 06 and 07 show, so that it is there before the first fingerprint
    for path, copy in notebooks.execute_all(chosen.out / "notebooks", _fingerprint(chosen), options.names):
        notebooks.commit(path, copy)
        print(path.relative_to(ROOT))


def address(options: argparse.Namespace) -> None:
    """Writes the project's address into every badge and setup cell, after changing it if asked to."""
    try:
        changed = colab.rewrite(options.repository, options.ref)
    except ValueError as error:
        raise InputError(error) from error
    print(
        "\n".join(str(path.relative_to(ROOT)) for path in changed) or "Everything has this address already."
    )


def release(options: argparse.Namespace) -> None:
    """Makes the students' notebooks: a zip file for each student, or one for all."""
    from helpers.coursework import exercises

    try:
        roster = exercises.students(options.students) if options.students else None
        made = exercises.release(options.release or exercises.FOLDER, roster)
    except exercises.CourseworkError as error:
        raise InputError(error) from error
    print(f"{len(made)} to hand out: {made[0].parent}")


def check(options: argparse.Namespace) -> None:
    """Reads the submissions and names what is wrong with them; changes and runs nothing."""
    submissions = _collected(options)
    findings = [finding for submission in submissions for finding in submission.findings]
    to_do = sum(not finding.repaired for finding in findings)
    print(*findings, sep="\n", end="\n" if findings else "")
    done = len(findings) - to_do
    print(f"{len(submissions)} submissions: {to_do} things to do, {done} repaired on the way in")


def grade(options: argparse.Namespace) -> None:
    """Grades the submissions: grades.csv, written.csv for the answers in words, and a page per student."""
    if os.name == "nt":
        raise InputError("grading needs Linux (in a virtual machine or WSL), or macOS with --no-isolation")

    from helpers.coursework import exercises, grading, sandbox

    submissions = _collected(options)
    folder = (options.release or exercises.FOLDER) / "graded"
    limits = sandbox.Limits(options.seconds, options.memory << 20)
    try:
        grades = grading.grade(submissions, folder, not options.no_isolation, limits)
    except (exercises.CourseworkError, sandbox.IsolationError) as error:
        raise InputError(error) from error
    todo = sum(one.waits() for one in grades)
    print(f"Grades: {folder / 'grades.csv'}\nA page for each student: {folder / 'feedback'}")
    if todo:
        print(f"{todo} written answers wait: fill in points in {folder / 'written.csv'}, and grade again.")


def _collected(options: argparse.Namespace) -> list:
    from helpers.coursework import collecting, exercises

    try:
        return collecting.collect(options.folder, options.release or exercises.FOLDER)
    except exercises.CourseworkError as error:
        raise InputError(error) from error


if __name__ == "__main__":
    sys.exit(main())
