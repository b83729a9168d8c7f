"""The command line: what it sets up, what it says when something goes wrong, and whole runs."""

import errno
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from safetensors import SafetensorError

from helpers import __main__ as cli
from helpers import experiment, figures, settings, verdicts, world
from helpers.publishing import notebooks
from helpers.running import checkpoints, distributed
from helpers.running.executors import WorkersLost
from helpers.running.plan import ONLY_A_TRIAL

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def environment(monkeypatch):
    """No run of the outer world reaches the tests, and none of theirs leaks out."""
    for name in ("SCALE", "CORPUS", "TEXT", "OUT", "TAG_COLUMNS", "MODEL"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def chosen(environment):
    """Runs the `plan` command and catches the settings that it works with."""
    seen = []

    def choose(*arguments):
        environment.setattr(cli, "_plan", lambda settings, options: seen.append((settings, options)))
        assert cli.main(["plan", *arguments]) == 0
        return seen[-1]

    return choose


def test_laptop_on_the_world_is_the_default(chosen):
    run, options = chosen()
    assert (run.scale.name, run.corpus, run.text) == ("laptop", "world", ())
    assert run.out == ROOT / "data" / "runs" / "laptop"
    assert options.minutes is None and options.replicates is None


def test_the_variable_scale_is_the_default_of_the_option(chosen, monkeypatch):
    monkeypatch.setenv("SCALE", "smoke")
    assert chosen()[0].scale.name == "smoke"
    assert chosen("--scale", "gpu")[0].scale.name == "gpu"


def test_kernels_in_another_folder_find_the_same_files(chosen, monkeypatch, tmp_path):
    """Options are passed on, and leave this process's environment alone."""
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    corpus = ("--corpus", "mine", "--text", "a.txt", "10:30 news.gz", "--columns", "word=2,tag=3")
    run, _ = chosen(*corpus, "--out", "results", "--seed", "7")
    assert run.columns == "word=2,tag=3"
    assert os.environ == before
    assert run.corpus == str(tmp_path / "mine") and run.out == tmp_path / "results"
    assert (
        run.text == (str(tmp_path / "a.txt"), str(tmp_path / "10:30 news.gz")) and run.scale.first_seed == 7
    )
    monkeypatch.chdir(ROOT / "notebooks")
    for name, value in run.variables().items():
        monkeypatch.setenv(name, value)
    assert settings.from_environment() == run, "what a notebook's kernel reads"


def test_minutes_and_replicates_are_numbers(chosen):
    assert chosen("--minutes", "2.5")[1].minutes == 2.5
    assert chosen("--replicates", "3")[1].replicates == 3


def test_relative_paths_in_variables_reach_the_kernels_as_well(chosen, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "10:30").write_text("A single file, whose name holds what separates files.")
    for name, value in (("CORPUS", "mine"), ("TEXT", "10:30"), ("OUT", "results")):
        monkeypatch.setenv(name, value)
    run, _ = chosen()
    assert run.corpus == str(tmp_path / "mine") and run.text == (str(tmp_path / "10:30"),)
    monkeypatch.chdir(ROOT / "notebooks")
    for name, value in run.variables().items():
        monkeypatch.setenv(name, value)
    assert settings.from_environment() == run


def test_a_plan_that_was_only_asked_for_leaves_no_trace(environment, tmp_path):
    asked = []
    environment.setattr(cli, "_plan", lambda settings, options: asked.append(settings.out))
    for options in ([], ["--replicates", "20"], ["--minutes", "5"]):
        assert cli.main(["plan", "--out", str(tmp_path), *options]) == 0
    assert asked[0] == tmp_path and tmp_path not in asked[1:]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--scale", "huge"], "invalid choice: 'huge'"),
        (["run", "--minutes", "0"], "must be above 0"),
        (["run", "--minutes", "inf"], "must be above 0, and finite"),
        (["run", "--replicates", "two"], "invalid int value: 'two'"),
        ([], "required"),
    ],
)
def test_a_wrong_option_is_named(arguments, said, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2 and said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["plan"], {"SCALE": "huge"}, "SCALE is 'huge'; choose one of smoke, laptop, gpu"),
        (["run", "--corpus", "no/such/folder"], {"SCALE": "smoke"}, "no/such/folder: no such folder"),
        (["report", "--out", "nothing-there"], {}, "holds no results.csv: finish a run first"),
        (["plan", "--text", "news.txt"], {}, "the built-in world brings its own text"),
        (["notebooks", "99"], {}, "no notebook in notebooks/ has a name that starts with 99"),
        (["notebooks"], {"SCALE": "huge"}, "SCALE is 'huge'"),
        (["address", "--repository", "ftp://a"], {}, "is not of the form https://github.com/OWNER/NAME"),
        (["plan", "--seed", "one"], {}, "SEED is 'one'; choose a whole number"),
        (["plan", "--seed", "100000000000000000"], {}, "choose a whole number from 0 to 1,000,000"),
        *(
            (["plan", f"--{name}", ""], {}, f"--{name} is empty")
            for name in ("corpus", "out", "seed", "text")
        ),
        (["plan", "--corpus", "real"], {}, "python -m helpers pin real"),
        (["pin", "hub:lab/people"], {"HF_HUB_OFFLINE": "1"}, "hub:lab/people: it is not in the cache"),
        (["notebooks", ""], {}, "a name is empty"),
        (["run", "--out", "a" * 300], {}, "name another folder by --out"),
        (["plan", "--minutes", "5", "--replicates", "2"], {}, "not allowed with argument"),
        (["coursework", "release", "--release", ""], {}, "'' is no folder"),
        (["coursework", "release", "--release", "a-file"], {}, "'a-file' is no folder"),
        (["run", "--out", "a-file"], {}, "a-file is a file, so results cannot go to"),
        (["run", "--out", "a-file/below"], {}, "a-file is a file, so results cannot go to"),
        (["coursework", "release", "--release", "out"], {}, "address"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, variables, said, tmp_path, environment, capsys):
    (tmp_path / "a-file").touch()
    environment.chdir(tmp_path)
    environment.setenv("OUT", str(tmp_path / "out"))
    for name, value in variables.items():
        environment.setenv(name, value)
    try:
        code = cli.main(arguments)
    except SystemExit as left:  # of the parser
        code = left.code
    assert code == 2 and said in capsys.readouterr().err.splitlines()[-1]


def test_bad_input_in_a_process_of_its_own(tmp_path):
    done = started(tmp_path, command=["report"], stderr=subprocess.PIPE)
    _, complaint = done.communicate(timeout=100)
    assert done.returncode == 2 and "Traceback" not in complaint
    assert "holds no results.csv: finish a run first" in complaint.splitlines()[-1]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (notebooks.NotebookError("03_span_masking.ipynb, cell In [4]: KeyError"), 1, "cell In [4]"),
        (KeyboardInterrupt(), 130, "Interrupted"),
        (
            WorkersLost(["span of replicate 3"]),
            1,
            "Not finished: span of replicate 3",
        ),
        (FloatingPointError("the loss is nan at step 20"), 1, "the loss is nan at step 20"),
        (MemoryError("a batch does not fit: choose a smaller one"), 1, "choose a smaller one"),
        (MemoryError(), 1, "no memory is left: end other programs, or choose a smaller --scale"),
        (OSError(errno.ENOSPC, "No space left on device", "/a/b"), 1, "device: '/a/b'. Make room there"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), 1, "The disk is full"),
    ],
)
def test_a_run_that_stops_says_that_it_can_go_on(environment, capsys, error, code, said):
    def stop(*_):
        raise error

    environment.setattr(cli, "_plan", stop)
    assert cli.main(["run"]) == code
    complaint = capsys.readouterr().err
    assert said in complaint and "the same command goes on from there" in complaint


def test_a_state_that_cannot_be_written_is_one_message(environment, capsys, tmp_path):
    """Also from a worker, whose error travels as a pickle."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    def stop(*_):
        try:
            checkpoints.write(tmp_path, "trunk", 1, {}, {})
        except OSError as error:
            raise pickle.loads(pickle.dumps(error)) from None

    environment.setattr(checkpoints.os, "fsync", full)
    environment.setattr(cli, "_plan", stop)
    assert cli.main(["run"]) == 1
    complaint = capsys.readouterr().err
    assert "cannot write a checkpoint" in complaint and "No space left" in complaint
    assert "Make room there and start again" in complaint and complaint.count("\n") == 2


def test_a_defect_is_not_hidden(environment):
    environment.setattr(cli, "_plan", lambda *_: {}["missing"])
    with pytest.raises(KeyError):
        cli.main(["run"])


def started(tmp_path, *options: str, command=("plan",), **streams) -> subprocess.Popen:
    """A command in a process of its own, without anything of the outer world."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OUT": str(tmp_path / "out"), "SCALE": "smoke"}
    return subprocess.Popen(
        [sys.executable, *options, "-m", "helpers", *command],
        cwd=tmp_path,
        env=variables,
        text=True,
        **streams,
    )


@pytest.mark.parametrize("option", ["-O", "-OO"])
def test_a_python_without_asserts_is_refused(tmp_path, option):
    """They are what checks a student's answer; and with -OO there are no docstrings for the help either."""
    done = started(tmp_path, option, stderr=subprocess.PIPE)
    _, complaint = done.communicate(timeout=100)
    assert (
        done.returncode == 2 and len(complaint.splitlines()) == 1 and "start Python without it" in complaint
    )


def test_nobody_has_to_read_what_is_printed(tmp_path, environment):
    """`python -m helpers report | head -1`: the report is written all the same, and nothing complains."""
    experiment.laptop_run().to_csv(tmp_path / "results.csv", index=False)
    reader, writer = os.pipe()
    os.close(reader)
    command = ("report", "--scale", "laptop", "--out", str(tmp_path))
    done = started(tmp_path, command=command, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    _, complaint = done.communicate(timeout=300)
    assert done.returncode == 0 and "Traceback" not in complaint and "BrokenPipe" not in complaint, complaint
    assert (tmp_path / "report.html").exists()


def test_closed_streams_are_no_error(tmp_path):
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OUT": str(tmp_path / "out"), "SCALE": "smoke"}
    command = f"exec {sys.executable} -m helpers plan --replicates 1 <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, env=variables).returncode == 0


def test_sigterm_is_an_interrupt(environment, capsys):
    def preempted(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()

    before = signal.getsignal(signal.SIGTERM)
    environment.setattr(cli, "_plan", preempted)
    assert cli.main(["run"]) == 143
    assert "Interrupted. What is finished is kept" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


# --- the report ---


def test_a_report_on_results_of_another_corpus_is_refused(environment, tmp_path, capsys):
    experiment.laptop_run().assign(corpus="2003").to_csv(tmp_path / "results.csv", index=False)
    assert cli.main(["report", "--out", str(tmp_path)]) == 2
    assert "holds results of 2003, not of world: name that corpus by --corpus" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", ["", "corpus,arm\nworld", "corpus,arm\nworld,none,1,2\n", "\x00", "HEADER", "LETTERS"]
)
def test_results_that_are_damaged_are_named(environment, tmp_path, capsys, content):
    whole = experiment.laptop_run()
    content = whole.head(0).to_csv(index=False) if content == "HEADER" else content
    content = whole.assign(gold="abc").to_csv(index=False) if content == "LETTERS" else content
    (tmp_path / "results.csv").write_text(content)
    assert cli.main(["report", "--out", str(tmp_path)]) == 2
    assert "results.csv" in (complaint := capsys.readouterr().err) and "Start the run again" in complaint


@pytest.mark.parametrize("content", ["", "garbage", "arm,replicate,seconds_per_step\nspan,0,quick"])
def test_costs_that_are_damaged_are_named(environment, tmp_path, capsys, content):
    experiment.laptop_run().to_csv(tmp_path / "results.csv", index=False)
    (tmp_path / "costs.csv").write_text(content)
    assert cli.main(["report", "--out", str(tmp_path)]) == 2
    assert "costs.csv" in (complaint := capsys.readouterr().err) and "Start the run again" in complaint


@pytest.mark.parametrize("name", ["plan.json", "results.csv"])
def test_a_folder_in_the_place_of_a_file_is_named(environment, tmp_path, capsys, name):
    (tmp_path / "out" / name).mkdir(parents=True)
    command = "plan" if name == "plan.json" else "report"
    assert cli.main([command, "--scale", "smoke", "--out", str(tmp_path / "out")]) == 1
    complaint = capsys.readouterr().err
    assert name in complaint and "Move it out of the way" in complaint


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A finished run of the reference's table: its folder, and the verdicts on it."""
    folder = tmp_path_factory.mktemp("judged")
    experiment.laptop_run().to_csv(folder / "results.csv", index=False)
    experiment.laptop_run_costs().to_csv(folder / "costs.csv", index=False)
    return folder


@pytest.mark.parametrize(
    "plan",
    [None, "{}", '{"scale": "laptop"}', "[", '{"scale": 1}'],
    ids=["none", "empty", "old", "cut", "odd"],
)
def test_the_report_judges_for_itself(environment, judged, capsys, plan):
    """Whatever became of the plan, and of a file of verdicts that older versions read."""
    for name, content in (("plan.json", plan), ("verdicts.csv", "cut sh")):
        (judged / name).unlink(missing_ok=True)
        if content is not None:
            (judged / name).write_text(content)
    assert cli.main(["report", "--out", str(judged)]) == 0
    said, page = capsys.readouterr().out, (judged / "report.html").read_text(encoding="utf-8")
    expected = verdicts.judge(
        experiment.laptop_run(),
        dict.fromkeys(verdicts.ARCHITECTURE_CHECKS, True),
        experiment.laptop_run_costs(),
    )
    for row in expected.itertuples():
        assert f"{row.statement}{row.part}. {row.text} {row.verdict.upper()}" in said
    assert "plan.json is missing, damaged or of another version" in page and "None" not in page


def test_one_large_training_reads_as_much_text_as_its_tokens_ask_for(environment, tmp_path):
    seen = []
    environment.setattr(distributed, "pretrain", lambda chosen, *_: seen.append(chosen.scale) or tmp_path)
    command = ["pretrain", "--arm", "span", "--tokens", "400000000", "--out", str(tmp_path)]
    assert cli.main([*command, "--corpus", "mine"]) == cli.main(command) == 0
    own, of_world = seen
    assert own.words == 300_000_000 and own.model.length == 128
    assert of_world == settings.SCALES["laptop"]


@pytest.mark.parametrize("scale", ["smoke", "laptop"])
def test_smoke_says_first_and_last_that_it_only_shows_that_the_job_runs(environment, tmp_path, capsys, scale):
    environment.setattr(cli, "_plan", lambda *_: "the plan")
    environment.setattr(cli, "_report", lambda *_: "report.html")
    environment.setattr(experiment, "results", lambda _: experiment.reference())
    environment.setattr(cli.notebooks, "execute_all", lambda *_, **__: [])
    for figure in ("f1_by_entity_length", "save"):
        environment.setattr(figures, figure, lambda *_: None)
    assert cli.main(["run", "--scale", scale, "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines.count(ONLY_A_TRIAL) == (2 if scale == "smoke" else 0)
    assert (lines[0] == lines[-1] == ONLY_A_TRIAL) is (scale == "smoke")


# --- the whole of it ---


def run_at_smoke_scale(*options):
    command = [sys.executable, "-m", "helpers", "run", "--scale", "smoke", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def check_whole(out, done):
    assert done.returncode == 0, done.stderr[-2000:]
    for name in (
        "results.csv",
        "costs.csv",
        "report.html",
        "f1_by_entity_length.png",
        "f1_by_entity_length.svg",
    ):
        assert (out / name).stat().st_size > 0, name
    first, *_, report, folder, last = done.stdout.splitlines()
    assert (report, folder) == (
        f"Report: {out / 'report.html'}",
        f"Table, figure and executed notebooks: {out}",
    )
    assert first == last == ONLY_A_TRIAL
    for said in (
        "F1 (0-100) by entity length",
        "span masking",
        "2 paired replicates",
        "1. Span masking needs",
    ):
        assert said in done.stdout
    assert len(list((out / "notebooks").glob("*.ipynb"))) == 9


@pytest.mark.slow
def test_a_whole_run_on_the_world_and_again(tmp_path):
    out = tmp_path / "out"
    check_whole(out, run_at_smoke_scale("--out", str(out)))
    table = pd.read_csv(out / "results.csv")
    assert (table.groupby("arm")["correct"].sum() > 0).all()  # small as it is, it finds something
    copies = {path: path.stat().st_mtime_ns for path in (out / "notebooks").glob("*.ipynb")}
    check_whole(out, run_at_smoke_scale("--out", str(out)))
    assert {path: path.stat().st_mtime_ns for path in copies} == copies  # nothing is done twice
    truncated = min(copies)
    truncated.write_text(truncated.read_text()[:1000])  # as a kill would leave it
    check_whole(out, run_at_smoke_scale("--out", str(out)))
    assert len(notebooks.read(truncated).cells) > 10
    assert {path for path in copies if path.stat().st_mtime_ns != copies[path]} == {truncated}


@pytest.mark.slow
def test_a_whole_run_on_files_of_the_users_own(tmp_path):
    """In IO tags, without dev, with words longer than a window, odd letters, names like 2003 and NA."""
    made = world.generate(settings.SCALES["smoke"].world)
    odd = (
        ["https://example.org/" + "x7" * 40, "$$", "\u00a0", "US$/A$", "Tarn"],
        ["O", "O", "O", "O", "I-NA"],
    )
    folder = tmp_path / "2003"
    folder.mkdir()
    for name, sentences in (("train", made.train + [odd] * 60), ("test", made.test + [odd] * 20)):
        lines = []
        for words, tags in sentences:
            lines += [f"{word}\t{tag.replace('B-', 'I-')}" for word, tag in zip(words, tags, strict=True)] + [
                ""
            ]
        (folder / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "news.txt").write_text("\n".join(made.text), encoding="utf-8")
    out = tmp_path / "out"
    options = ("--corpus", str(folder), "--text", str(tmp_path / "news.txt"), "--out", str(out))
    done = run_at_smoke_scale(*options)
    check_whole(out, done)
    assert "IO tags were converted to IOB2" in done.stdout and "No dev file" in done.stdout
    assert "test sentences also stand in train" in done.stdout
