"""The command line: python -m helpers run, plan, report, reference, pretrain, notebooks and more."""

import argparse
import errno
import hashlib
import math
import os
import signal
import sys
from concurrent.futures import BrokenExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

# Modules that import torch are imported where they are used, so that --help and address answer at once.
from helpers import settings
from helpers.publishing import book, colab, notebooks, pages
from helpers.settings import ROOT, SCALES, Settings

CONTINUES = "What is finished is kept: the same command goes on from there."
ASSERTS = "python -O leaves out the checks, and then every answer would pass: start Python without it"


class InputError(ValueError):
    """The command line, the corpus or the text cannot be used; the message says why and what to do."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: of the command line; those of this process if left out.

    Returns:
        The exit code: 0 done, 1 something failed, 2 bad input, 130 interrupted, 143 terminated.
    """
    terminated = False

    def interrupt(*_) -> None:
        nonlocal terminated
        terminated = True
        raise KeyboardInterrupt  # a cluster's preemption: the state is kept, as for Ctrl-C

    try:
        _refuse_to_run_without_asserts()
        options = _parser().parse_args(arguments)
        before = signal.signal(signal.SIGTERM, interrupt)
        try:
            options.command(options)
        finally:
            signal.signal(signal.SIGTERM, before)
    except InputError as error:
        _print(f"error: {error}", sys.stderr)
        return 2
    except KeyboardInterrupt:
        _print(f"\nInterrupted. {CONTINUES}", sys.stderr)
        return 143 if terminated else 130
    except Exception as error:
        message = _message(error)
        if not message:
            raise
        _print(f"\n{message}", sys.stderr)
        return 1
    return 0


def _refuse_to_run_without_asserts() -> None:
    if not __debug__:
        raise InputError(ASSERTS)


def _print(text: object, stream=None) -> None:
    """Print a line. If nobody is reading any more (`| head -1`), the work goes on all the same."""
    stream = stream or sys.stdout
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except UnicodeEncodeError:  # a terminal in another locale
        print(str(text).encode("ascii", "backslashreplace").decode(), file=stream, flush=True)
    except (OSError, ValueError):  # closed by whoever started this process
        pass


def _message(error: Exception) -> str:
    """Return what to tell the user of an error that is not a defect of the program; "" for any other."""
    if isinstance(error, BrokenExecutor):  # says itself how it goes on
        return str(error)
    if isinstance(error, book.BookError):
        return str(error)
    if isinstance(error, notebooks.NotebookError | FloatingPointError):
        return f"{error}\n{CONTINUES}"
    if isinstance(error, MemoryError):
        message = str(error) or "no memory is left: end other programs, or choose a smaller --scale"
        return f"{message}.\n{CONTINUES}"
    # The libraries in Rust (safetensors, tokenizers) have errors of their own for a full disk.
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "(os error 28)" in str(error):
        return f"The disk is full: {error}. Make room there.\n{CONTINUES}"

    from helpers.running.checkpoints import CheckpointError

    if isinstance(error, CheckpointError):
        return str(error)
    if isinstance(error, OSError) and error.filename:  # a file where a folder is wanted, no permission, …
        return f"{error.filename}: {error.strerror}. Move it out of the way, or name another folder by --out."
    return ""


# --- options ---


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m helpers", description="Token or span? The whole series.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    what = argparse.ArgumentParser(add_help=False)
    what.add_argument("--scale", choices=SCALES, help="how large (default: the variable SCALE, or laptop)")
    what.add_argument(
        "--corpus",
        help="'world' (the default), a folder with train, dev and test files, hub:NAME[:CONFIG], or 'real'",
    )
    what.add_argument(
        "--text",
        nargs="+",
        metavar="FILE",
        help="unlabelled text: files, plain or compressed by gzip, bzip2, xz; or hub:NAME[:CONFIG[:COLUMN]]",
    )
    what.add_argument(
        "--columns", metavar="word=2,tag=3", help="which columns of the corpus hold words and tags"
    )
    what.add_argument(
        "--model",
        metavar="NAME",
        help="a pre-trained masked LM to go on training: a folder, or a name on the hub",
    )
    what.add_argument(
        "--out",
        metavar="FOLDER",
        help="where results go (default: a folder in data/runs, named after scale, corpus, model and seed)",
    )
    what.add_argument("--seed", metavar="S", help="of the first replicate (default: 0); the next ones follow")
    size = argparse.ArgumentParser(add_help=False)
    how_many = size.add_mutually_exclusive_group()
    how_many.add_argument("--minutes", type=_positive(float), help="fit the replicates into this time")
    how_many.add_argument(
        "--replicates", type=_positive(int), metavar="N", help="run this many, however long"
    )

    for name, command, parents in (
        ("run", run, [what, size]),
        ("plan", plan, [what, size]),
        ("adapt", adapt, [what]),
        ("report", report, [what]),
        ("reference", reference, []),
        ("pretrain", pretrain, [what]),
        ("pin", pin, []),
        ("notebooks", execute_notebooks, []),
        ("address", address, []),
        ("book", make_book, []),
    ):
        about = (command.__doc__ or "").partition("\n")[0]
        commands.add_parser(name, parents=parents, help=about, description=about).set_defaults(
            command=command
        )
    adapting = commands.choices["adapt"]
    adapting.add_argument(
        "--keep", choices=("token", "whole_word", "span"), required=True, help="what is hidden"
    )
    adapting.add_argument(
        "--tokens", type=_positive(int), metavar="N", help="to train on (default: the scale's)"
    )
    large = commands.choices["pretrain"]
    large.add_argument("--arm", choices=("token", "whole_word", "span"), required=True)
    large.add_argument("--tokens", type=_positive(int), metavar="N", required=True, help="to train on")
    large.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), help="default: the faster one")
    commands.choices["reference"].add_argument(
        "block",
        nargs="?",
        metavar="BLOCK",
        help="A, R, C, D, E, B, G, F or real; 'why' measures block A's models; 'tables' prints what was "
        "found; what each costs if left out",
    )
    commands.choices["reference"].add_argument(
        "--seeds", nargs="+", type=_positive(int), metavar="S", help="for 'why' (default: the first eight)"
    )
    commands.choices["pin"].add_argument("set", metavar="SET", help="hub:NAME[:CONFIG], or 'real'")
    commands.choices["notebooks"].add_argument(
        "names", nargs="*", metavar="NN", help="only these, such as 03"
    )
    commands.choices["address"].add_argument("--repository", metavar="URL", help="on GitHub, as Colab needs")
    commands.choices["address"].add_argument("--ref", help="a branch or a tag")
    _add_coursework(commands.add_parser("coursework", help="Hand the series out, collect it and grade it."))
    return parser


def _add_coursework(parser: argparse.ArgumentParser) -> None:
    steps = parser.add_subparsers(required=True, metavar="STEP")
    for name, command in (("release", release), ("check", list_findings), ("grade", grade)):
        about = (command.__doc__ or "").partition("\n")[0]
        step = steps.add_parser(name, help=about, description=about)
        step.set_defaults(command=command)
        if name != "release":
            step.add_argument("folder", type=Path, metavar="FOLDER", help="a folder or zip file per student")
        step.add_argument(
            "--release", type=_folder, metavar="FOLDER", help="the hand-out (default: data/runs/coursework)"
        )
    first = steps.choices["release"]
    first.add_argument(
        "--students", type=Path, metavar="FILE.csv", help="with a column 'student': each gets a world seed"
    )
    first.add_argument(
        "--placeholder", action="store_true", help="even if the project has no address of its own yet"
    )
    last = steps.choices["grade"]
    last.add_argument("--no-isolation", action="store_true", help="run submissions with your own rights")
    last.add_argument("--as-root", action="store_true", help="grade as root, in a machine you throw away")
    last.add_argument(
        "--jobs", type=_positive(int), metavar="N", help="side by side (default: all processors)"
    )
    last.add_argument("--seconds", type=_positive(float), default=10.0, help="for each point (default: 10)")
    last.add_argument("--memory", type=_positive(int), default=2048, metavar="MB", help="default: 2048")


def _positive(number: type):
    def parse(text: str):
        if not 0 < number(text) < math.inf:
            raise argparse.ArgumentTypeError("must be above 0, and finite")
        return number(text)

    parse.__name__ = number.__name__
    return parse


def _folder(text: str) -> Path:
    if not text or Path(text).is_file():
        raise argparse.ArgumentTypeError(f"{text!r} is no folder")
    return Path(text)


def _settings(options: argparse.Namespace) -> Settings:
    """Return the settings of this run; an option takes precedence over an environment variable."""
    names = ("scale", "corpus", "text", "columns", "model", "out", "seed")
    given = {name: getattr(options, name, None) for name in names}
    for name, value in given.items():  # as from a variable of the shell that is not set
        if value is not None and not all(value if name == "text" else [value]):
            raise InputError(f"--{name} is empty: give a value, or leave it out")
    try:
        chosen = settings.from_environment(**given)
        place = next(folder for folder in (chosen.out, *chosen.out.parents) if folder.exists())
    except ValueError as error:
        raise InputError(error) from error
    except OSError as error:
        raise InputError(f"results cannot go there ({error}): name another folder by --out") from error
    if not place.is_dir():
        raise InputError(f"{place} is a file, so results cannot go to {chosen.out}: name a folder by --out")
    return replace(
        chosen,
        corpus=settings.in_full(chosen.corpus),
        text=tuple(map(settings.in_full, chosen.text)),
        model=_pinned(chosen.model),
    )


def _pinned(model: str) -> str:
    """Name a model so that all processes of the run open the same one, in any folder."""
    if not model:
        return ""
    from helpers import own_model

    try:
        return own_model.pinned(model)
    except own_model.ModelError as error:
        raise InputError(error) from error


# --- commands of a run ---


def _plan(chosen: Settings, options: argparse.Namespace):
    """Plan the run. The user's own corpus is read first, so bad input is reported before any training."""
    from helpers import experiment

    try:
        if chosen.corpus != "world" or chosen.model:
            for note in experiment.replicate(chosen).corpus.notes:
                _print(note)
        return experiment.plan(chosen, minutes=options.minutes, replicates=options.replicates)
    except ValueError as error:
        raise InputError(error) from error


def _fingerprint(chosen: Settings) -> str:
    """Hash all that could change what a notebook shows: settings, results, helpers and shipped data."""
    files = [chosen.out / name for name in ("results.csv", "costs.csv", "expectations.json")]
    for folder in ("helpers", "data/world", "data/reference"):
        files += (path for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts)
    digest = hashlib.sha256(repr(chosen).encode("utf-8", "surrogateescape"))
    for path in sorted(path for path in files if path.is_file()):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def run(options: argparse.Namespace) -> None:
    """Run the whole series: the experiment, notebooks 00-09, the table, the figure and the report.

    The notebooks build a model of their own; with --model they are left out.
    """
    from helpers import experiment, figures
    from helpers.running.plan import ONLY_A_TRIAL

    chosen = _settings(options)
    if chosen.scale.name == "smoke":
        _print(ONLY_A_TRIAL)
    _print(_plan(chosen, options))
    table = experiment.results(chosen)
    figure = figures.f1_by_entity_length(table, chosen.scale.core_sentences)
    figures.save(figure, chosen.out / "f1_by_entity_length")
    if not chosen.model:
        executed = notebooks.execute_all(
            chosen.out / "notebooks", _fingerprint(chosen), environment=chosen.variables()
        )
        for _, copy in executed:
            pages.to_html(copy)
    page = _report(chosen, table)
    made = "Table and figure" if chosen.model else "Table, figure and executed notebooks"
    _print(f"\nReport: {page}\n{made}: {chosen.out}")
    if chosen.scale.name == "smoke":
        _print(ONLY_A_TRIAL)


def adapt(options: argparse.Namespace) -> None:
    """Adapt a model of your own to text and labels, and leave it and a tagger as folders with model cards."""
    from helpers.running import adapting

    chosen = _settings(options)
    if not chosen.model:
        raise InputError("name the model that is to be adapted: --model NAME-OR-FOLDER")
    if options.tokens:
        chosen = replace(chosen, scale=settings.continued(chosen.scale, (options.tokens,)))
    try:
        adapted, tagger, card = adapting.adapt(chosen, options.keep)
    except ValueError as error:
        raise InputError(error) from error
    _print(f"{card}\nMasked LM: {adapted}\nTagger: {tagger}")


def plan(options: argparse.Namespace) -> None:
    """Say what a scale would run, and how long that takes here; text and precision are kept for the run."""
    chosen = _settings(options)
    with (
        TemporaryDirectory() as folder
    ):  # so that the next run is not bound by times that were only asked for
        asked = options.minutes or options.replicates
        _print(_plan(replace(chosen, out=Path(folder)) if asked else chosen, options))


def report(options: argparse.Namespace) -> None:
    """Write report.html again from the results of a finished run, and print the answer."""
    from helpers import experiment, scoring

    chosen = _settings(options)
    results = chosen.out / "results.csv"
    if not results.exists():
        raise InputError(f"{chosen.out} holds no results.csv: finish a run first, python -m helpers run")
    try:
        table = experiment.read_table(results)[experiment.COLUMNS]
        table = table.astype(dict.fromkeys(scoring.COUNT_COLUMNS, int))
        experiment.costs(chosen)
        if table.empty:
            raise ValueError("no rows")
    except (ValueError, KeyError) as error:
        what = f"results.csv or costs.csv in {chosen.out} is damaged ({error})"
        raise InputError(f"{what}. Start the run again: it writes both") from error
    corpus, found = chosen.corpus_name, ", ".join(table["corpus"].unique())
    if corpus != found:
        raise InputError(
            f"{chosen.out} holds results of {found}, not of {corpus}: name that corpus by --corpus"
        )
    if ("as_it_came" in set(table["arm"])) != bool(chosen.model):
        raise InputError(
            f"{chosen.out} holds results of another model: name it by --model, or leave that out"
        )
    try:
        experiment.replicate(chosen)
    except ValueError as error:
        raise InputError(error) from error
    _print(f"\nReport: {_report(chosen, table)}")


def _report(chosen: Settings, table) -> Path:
    from helpers import experiment, figures
    from helpers.publishing import report as reports
    from helpers.running import plan as plans

    verdicts = experiment.judge(chosen, table)
    _print(reports.answer(chosen, table, verdicts))
    if not (chosen.out / "f1_by_entity_length.svg").exists():
        figure = figures.f1_by_entity_length(table, chosen.scale.core_sentences)
        figures.save(figure, chosen.out / "f1_by_entity_length")
    planned = plans.read(chosen)
    return reports.write(
        chosen,
        table,
        verdicts,
        plan=str(
            planned or f"{plans.FILE} is missing, damaged or of another version: the plan is not known."
        ),
        notes=experiment.replicate(chosen).corpus.notes,
        pages=sorted((chosen.out / "notebooks").glob("*.html")),
    )


def reference(options: argparse.Namespace) -> None:
    """Make a block of the reference, print its tables, or say what each block costs here."""
    from helpers.blocks import BLOCKS
    from helpers.publishing import answer
    from helpers.running import explanations
    from helpers.running import reference as references

    if options.seeds and options.block != "why":
        raise InputError("--seeds is for 'why': the seeds of a block are fixed")
    try:
        if options.block == "why":
            explanations.make(seeds=options.seeds)
        elif options.block == "tables":
            for title, table in answer.tables().items():
                _print(f"{title}\n{table.to_string()}\n")
            _print("\n".join(f"wrote {path}" for path in answer.save_figures()))
        elif options.block is None:
            _print(references.overview().to_string(index=False))
        elif options.block in BLOCKS:
            references.make(BLOCKS[options.block])
        else:
            raise InputError(
                f"there is no block {options.block!r}; choose one of {', '.join(BLOCKS)}, why, tables"
            )
    except references.ReferenceError as error:
        raise InputError(error) from error


def pretrain(options: argparse.Namespace) -> None:
    """Train one model, in one process or in all that torchrun starts (torchrun … -m helpers pretrain …)."""
    from helpers.running import distributed

    chosen = _settings(options)
    if chosen.corpus != "world" and not chosen.model:  # as much of the text as the tokens ask for
        chosen = replace(chosen, scale=settings.real(chosen.scale, (options.tokens,)))
    try:
        folder = distributed.pretrain(
            chosen, options.arm, options.tokens, chosen.scale.first_seed, options.dtype
        )
    except ValueError as error:
        raise InputError(error) from error
    if distributed.is_first():
        _print(f"Model, tokenizer and history.csv: {folder}")


def pin(options: argparse.Namespace) -> None:
    """Record the commit and the checksums that a data set of the hub has now; from then on they are used."""
    from helpers.reading.hub import pin as record

    try:
        record(options.set, show=_print)
    except ValueError as error:
        raise InputError(error) from error


def execute_notebooks(options: argparse.Namespace) -> None:
    """Execute the notebooks and put their outputs into notebooks/, ready to be committed."""
    from helpers import experiment

    chosen = _settings(options)
    if chosen.model:
        raise InputError("the notebooks build a model of their own: leave MODEL out")
    try:
        notebooks.named(options.names)
    except ValueError as error:
        raise InputError(error) from error
    experiment.results(chosen)  # what 06 and 07 show, so that it is there before the first fingerprint
    for path, copy in notebooks.execute_all(
        chosen.out / "notebooks", _fingerprint(chosen), options.names, chosen.variables()
    ):
        notebooks.commit(path, copy)
        _print(path.relative_to(ROOT))


def address(options: argparse.Namespace) -> None:
    """Write the project's address into every badge and setup cell, after changing it if asked to."""
    try:
        changed = colab.rewrite(options.repository, options.ref)
    except ValueError as error:
        raise InputError(error) from error
    names = "\n".join(str(path.relative_to(ROOT)) for path in changed)
    _print(names or "Everything has this address already.")


def make_book(options: argparse.Namespace) -> None:
    """Make the web book from the committed notebooks, the Markdown files and the docstrings."""
    _print(f"Book: {book.build()}")


# --- coursework ---


def release(options: argparse.Namespace) -> None:
    """Make the students' notebooks: a zip file for each student, or one for all."""
    from helpers.coursework import exercises, records

    folder = options.release or exercises.FOLDER
    try:
        taken = (*records.OUR_COLUMNS, *(exercise.name for exercise in exercises.all_exercises()))
        roster = records.students(options.students, taken) if options.students else None
        made = exercises.release(folder, roster, allow_placeholder=options.placeholder)
        kept = set(records.read(folder)["seeds"]) - {path.stem for path in made}
    except records.CourseworkError as error:
        raise InputError(error) from error
    _print(f"{len(made)} to hand out: {made[0].parent}")
    if kept:
        names = ", ".join(sorted(kept)[:20]) + (", …" if len(kept) > 20 else "")
        _print(f"{len(kept)} students of earlier hand-outs are not in the list and keep their seeds: {names}")


def list_findings(options: argparse.Namespace) -> None:
    """Read the submissions and name what is wrong with them; nothing is changed or run."""
    submissions = _collected(options)
    findings = [finding for submission in submissions for finding in submission.findings]
    to_do = sum(not finding.repaired for finding in findings)
    for finding in findings:
        _print(finding)
    repaired = len(findings) - to_do
    _print(f"{len(submissions)} submissions: {to_do} things to do, {repaired} repaired on the way in")


def grade(options: argparse.Namespace) -> None:
    """Grade the submissions: grades.csv, written.csv for the answers in words, and a page per student."""
    if os.name == "nt":
        raise InputError("grading needs Linux (in a virtual machine or WSL), or macOS with --no-isolation")

    if os.geteuid() == 0 and not options.as_root:
        raise InputError(
            "grading as root lifts some limits for what students hand in: grade as another user, or with "
            "--as-root in a container or virtual machine that you throw away"
        )

    from helpers.coursework import exercises, grading, records, sandbox

    submissions = _collected(options)
    folder = (options.release or exercises.FOLDER) / "graded"
    limits = sandbox.Limits(options.seconds, options.memory << 20)
    try:
        grades = grading.grade(
            submissions, folder, not options.no_isolation, limits, options.jobs, say=_print
        )
    except (records.CourseworkError, sandbox.IsolationError) as error:
        raise InputError(error) from error
    waiting = sum(grade.ungraded() for grade in grades)
    _print(f"Grades: {folder / 'grades.csv'}\nA page for each student: {folder / 'feedback'}")
    if waiting:
        _print(
            f"{waiting} written answers wait: fill in points in {folder / 'written.csv'}, and grade again."
        )


def _collected(options: argparse.Namespace) -> list:
    from helpers.coursework import collecting, exercises, records

    try:
        return collecting.collect(options.folder, options.release or exercises.FOLDER)
    except records.CourseworkError as error:
        raise InputError(error) from error


if __name__ == "__main__":
    sys.exit(main())
