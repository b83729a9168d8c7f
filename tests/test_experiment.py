"""The experiment at a micro scale: the plan, the grid, the table, and what a second run does not do again."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from helpers import artifacts, experiment
from helpers.corpora import CorpusError
from helpers.experiment import cells, plan, predictions, pretrained, replicate, results
from helpers.settings import ROOT, SCALES, FinetuningSettings, ModelSettings, Settings, WorldSettings
from helpers.world import generate

MICRO = replace(
    SCALES["smoke"],
    name="micro",
    replicates=1,
    tokens=(8_192, 16_384),  # four and eight steps
    labelled_sentences=(10, 20),
    core_sentences=20,
    subsets=2,
    arms=("none", "token", "span"),
    words=20_000,
    vocabulary_size_of_real_text=600,
    world=WorldSettings(sentences=400, train=40, dev=10, test=40),
    model=ModelSettings(vocabulary_size=600, hidden_size=16, layers=1),
    finetuning=FinetuningSettings(steps=12, learning_rate=1e-2),
)
COLUMNS = [
    *("corpus", "arm", "replicate", "mask_rate", "tokens_seen", "labelled_sentences", "subset"),
    *("type", "novelty", "length", "gold", "predicted", "correct"),
]


@contextmanager
def workshop(folder: Path):
    """Artifacts of their own, one process, and a measured speed that is the same every time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifacts, "FOLDER", folder)
        patch.setattr(experiment, "MOST_WORKERS", 1)  # other processes would not see these changes
        speeds = {"float32": 20_000.0, "bfloat16": 1.0}
        patch.setattr(experiment, "_training_speed", lambda bert, of, run, dtype: speeds[dtype])
        yield


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("experiment")
    with workshop(place / "artifacts"):
        yield place


@pytest.fixture(scope="module")
def settings(folder) -> Settings:
    return Settings(MICRO, out=folder / "out")


@pytest.fixture(scope="module")
def table(settings) -> pd.DataFrame:
    return results(settings)


# The plan


def test_the_plan_is_measured_once_and_kept(settings, monkeypatch):
    made = plan(settings)
    assert (made.replicates, made.arms, made.workers, made.dtype) == (1, MICRO.arms, 1, "float32")
    assert made.tokens == MICRO.tokens and made.labelled_sentences == (10, 20)
    assert made.finetuning_seconds > 0
    monkeypatch.setattr(experiment, "_measure", None)  # would be an error if it were called
    assert plan(settings) == made
    assert json.loads((settings.out / "plan.json").read_text())["replicates"] == 1
    assert "1 paired replicate of 3 arms (none, token, span)" in str(made)
    assert "16,384 tokens" in str(made) and "10, 20 labelled sentences" in str(made)


def test_the_plan_fits_into_the_minutes(settings, folder, monkeypatch):
    many = replace(settings, scale=replace(MICRO, replicates=50), out=folder / "many")
    roomy = plan(many, minutes=10_000)
    assert roomy.replicates == roomy.wanted == 50
    # At 60 tokens a second pre-training alone takes 2 · (16,384 + 15% of 8,192) / 60 s = 9.8 minutes.
    monkeypatch.setattr(experiment, "_training_speed", lambda *_: 60.0)
    tight = plan(many, minutes=50)
    assert 4 <= tight.replicates <= 5 and tight.wanted == 50
    assert 39 < tight.minutes <= 50
    assert "as many as fit into 50 minutes; 50 wanted" in str(tight)
    least = plan(many, minutes=0.1)
    assert least.replicates == 1  # never nothing, and it says so
    assert "the least there is; it takes longer than 0.1 minutes" in str(least)
    assert plan(many) == plan(many, minutes=0.1)  # what was asked for last stays
    asked = plan(many, replicates=7)
    assert asked.replicates == 7  # however long it takes
    assert "7 paired replicates of 3 arms" in str(asked)


def test_a_plan_for_another_device_is_measured_again(settings, folder):
    """A folder on a drive may have been made with a GPU that is not there today."""
    moved = replace(settings, out=folder / "moved")
    here = plan(moved)
    there = replace(here, device="cuda" if here.device == "cpu" else "cpu", tokens_per_second=1)
    (moved.out / "plan.json").write_text(json.dumps(asdict(there)))
    assert plan(moved).device == here.device and plan(moved).tokens_per_second > 1


@pytest.mark.parametrize("options", [{"replicates": 0}, {"minutes": 0}, {"minutes": -1}])
def test_a_plan_of_nothing_is_refused(settings, options):
    with pytest.raises(ValueError, match="must be positive"):
        plan(settings, **options)


def test_tasks_go_to_the_worker_that_is_free():
    assert experiment._side_by_side([3, 3, 1], 1) == 7
    assert experiment._side_by_side([3, 3, 1], 2) == 4
    assert experiment._side_by_side([3, 3, 1, 3, 3, 1], 2) == 7
    assert experiment._side_by_side([3, 3, 1], 4) == 3  # more workers than tasks are no help


def test_a_new_plan_keeps_the_precision(settings, folder, monkeypatch):
    """Or else a close timing flips it, and everything that was trained is trained again."""
    again = replace(settings, out=folder / "again")
    monkeypatch.setattr(
        experiment, "_training_speed", lambda *args: {"bfloat16": 2.0, "float32": 1.0}[args[3]]
    )
    assert plan(again).dtype == "bfloat16"
    monkeypatch.setattr(
        experiment, "_training_speed", lambda *args: {"bfloat16": 1.0, "float32": 2.0}[args[3]]
    )
    assert plan(again, replicates=3).dtype == "bfloat16"
    assert plan(replace(settings, out=folder / "fresh")).dtype == "float32"


@pytest.mark.parametrize("capability", [(6, 0), (7, 0), (7, 5), (8, 0), (8, 9), (9, 0), (12, 0), None])
def test_bfloat16_is_timed_where_it_is_native(capability):
    older = capability in [(6, 0), (7, 0), (7, 5)]  # P100, V100, T4
    assert experiment.precisions(capability) == ("float32", "float16" if older else "bfloat16")


@pytest.mark.parametrize(
    ("capability", "timed", "faster"),
    [
        (None, ("float32", "bfloat16"), "bfloat16"),
        ((7, 5), ("float32", "float16"), "float16"),
        ((7, 5), ("float32", "float16"), "float32"),
        ((8, 0), ("float32", "bfloat16"), "bfloat16"),
    ],
    ids=["CPU", "T4", "T4, float32 faster", "A100"],
)
def test_the_device_decides_which_precisions_are_timed(
    settings, tmp_path, monkeypatch, capability, timed, faster
):
    """A CPU that pretends to be a GPU: the model stays where it is."""
    seen, real = [], experiment._new_model

    def new_model(*arguments):
        bert = real(*arguments)
        bert.to = lambda device: bert
        return bert

    def speed(bert, of, run, dtype):
        seen.append(dtype)
        return 2.0 if dtype == faster else 1.0

    monkeypatch.setattr(experiment, "_new_model", new_model)
    monkeypatch.setattr(experiment, "_training_speed", speed)
    monkeypatch.setattr(experiment, "MOST_WORKERS", 4)
    monkeypatch.setattr(experiment.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: capability is not None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    made = plan(replace(settings, out=tmp_path))
    assert tuple(seen) == timed and made.dtype == faster
    device, workers = ("cuda", 1) if capability else ("cpu", 2)  # one process on a GPU: its memory is one
    assert (made.device, made.workers) == (device, workers)
    assert f"on {device} in {faster} ({workers} at a time)" in str(made)


def test_what_float16_made_is_another_artifact(table, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "precisions", lambda capability: ("float32", "float16"))
    monkeypatch.setattr(experiment, "_training_speed", lambda *args: 1.0 + (args[3] == "float16"))
    before = stamps(artifacts.FOLDER)
    scaled = results(replace(settings, scale=replace(MICRO, arms=("none", "token")), out=tmp_path))
    after = stamps(artifacts.FOLDER)
    assert {path: after[path] for path in before} == before
    made = sorted(
        Path(path).parent.name.partition("-")[0]
        for path in set(after) - set(before)
        if path.endswith("/manifest.json")
    )
    assert made == ["pretrained", "scores", "scores"]  # and the rows are those that are there
    cell = COLUMNS[:7]
    there = table[table["arm"] != "span"]
    assert set(scaled[cell].itertuples(index=False)) == set(there[cell].itertuples(index=False))


@pytest.mark.parametrize("content", ['{"scale": "lap', "[]", '{"another": "version"}'])
def test_a_plan_that_cannot_be_read_is_made_again(settings, folder, content):
    broken = replace(settings, out=folder / "broken")
    broken.out.mkdir(exist_ok=True)
    (broken.out / "plan.json").write_text(content)
    assert plan(broken).replicates == 1
    assert json.loads((broken.out / "plan.json").read_text())["replicates"] == 1


def test_cells_are_slices_through_the_core(settings):
    core = [(16_384, 20, 0), (16_384, 20, 1)]
    assert cells(settings, "span", (10, 20)) == [*core, (8_192, 20, 0), (16_384, 10, 0)]
    assert cells(settings, "none", (10, 20)) == [(0, 20, 0), (0, 20, 1), (0, 10, 0)]
    assert cells(settings, "none", (20,)) == [(0, 20, 0), (0, 20, 1)]


# A replicate


def test_a_replicate_is_one_seed(settings):
    zero, one = replicate(settings, 0), replicate(settings, 1)
    assert (zero.seed, one.seed) == (0, 1)
    assert zero.corpus.text == generate(MICRO.world).text
    assert one.corpus.text == generate(replace(MICRO.world, seed=1)).text
    assert zero.blocks.input_ids.shape[1] == 64 and not torch.equal(
        zero.blocks.input_ids[:30], one.blocks.input_ids[:30]
    )
    assert replicate(replace(settings, scale=replace(MICRO, first_seed=1)), 0).corpus.text == one.corpus.text


def test_the_kept_rows_are_those_made(settings):
    made = replicate(settings)
    experiment.replicate.cache_clear()
    opened = replicate(settings)
    assert opened is not made
    assert torch.equal(opened.blocks.input_ids, made.blocks.input_ids)
    assert torch.equal(opened.blocks.word_ids, made.blocks.word_ids)
    assert opened.tokenizer.get_vocab() == made.tokenizer.get_vocab()


def test_labelled_subsets_are_nested_and_differ(settings):
    of = replicate(settings)
    for subset in (0, 1):
        assert of.labelled_rows(10, subset) == of.labelled_rows(20, subset)[:10]
        assert len(set(of.labelled_rows(20, subset))) == 20
    assert set(of.labelled_rows(20, 0)) != set(of.labelled_rows(20, 1))
    assert of.labelled_rows(20, 0) != replicate(settings, 1).labelled_rows(20, 0)
    windows = of.labelled(10, 1)
    assert len(windows.sentence.unique()) == 11  # ten sentences, and -1
    for number, row in enumerate(of.labelled_rows(10, 1)):
        gold = [of.tags.index(tag) for tag in of.gold("train")[row]]
        assert windows.labels[windows.sentence == number].tolist() == gold


@pytest.mark.parametrize("count", [0, 41])
def test_more_labelled_sentences_than_there_are(settings, count):
    of = replicate(settings)
    with pytest.raises(ValueError, match="choose from 1 to 40"):
        of.labelled(count)


def test_gold_is_the_test_split_of_the_world(settings):
    of, made = replicate(settings), generate(MICRO.world)
    assert of.gold() == [tags for _, tags in made.test]
    assert of.sentences("test") == [words for words, _ in made.test]


def test_too_few_labelled_sentences_are_refused(settings):
    scale = replace(MICRO, core_sentences=100)
    with pytest.raises(CorpusError, match="has 40 labelled training sentences, but scale micro needs 100"):
        replicate(replace(settings, scale=scale))


def test_too_little_text_is_refused(settings):
    scale = replace(MICRO, world=replace(MICRO.world, sentences=20))
    with pytest.raises(CorpusError, match="too short"):
        replicate(replace(settings, scale=scale))


# The table


def test_the_table_has_the_columns_of_the_contract(table):
    assert list(table.columns) == COLUMNS
    assert set(table["corpus"]) == {"world"} and set(table["replicate"]) == {0}
    assert set(table["length"]) <= {"1", "2", "3", "4", "5+"}
    assert set(table["novelty"]) <= {"labelled", "text", "never"}
    assert set(table["type"]) == {"PER", "LOC", "ORG", "WORK", "EVENT"}
    for column in (
        "replicate",
        "tokens_seen",
        "labelled_sentences",
        "subset",
        "gold",
        "predicted",
        "correct",
    ):
        assert table[column].dtype.kind == "i", column
    assert (table["correct"] <= table[["gold", "predicted"]].min(axis=1)).all()
    assert (table[["gold", "predicted"]].max(axis=1) > 0).all()
    assert not table.duplicated(COLUMNS[:-3]).any()


def test_the_table_holds_every_cell_once(table, settings):
    found = {
        arm: set(rows[["tokens_seen", "labelled_sentences", "subset"]].itertuples(index=False, name=None))
        for arm, rows in table.groupby("arm")
    }
    assert found == {arm: set(cells(settings, arm, (10, 20))) for arm in MICRO.arms}
    rates = table.groupby("arm")["mask_rate"].unique().map(list).to_dict()
    assert rates == {"none": [0.0], "token": [0.15], "span": [0.15]}


def test_gold_counts_are_the_mentions_of_the_test_split(table):
    """Counted by hand from the tags; the same in every cell of every arm."""
    counts = Counter()
    for _, tags in generate(MICRO.world).test:
        for place, tag in enumerate(tags):
            if tag.startswith("B-"):
                rest = tags[place + 1 :]
                inside = next((n for n, other in enumerate(rest) if not other.startswith("I-")), len(rest))
                counts[tag[2:], str(inside + 1) if inside < 4 else "5+"] += 1
    for _, cell in table.groupby(["arm", "tokens_seen", "labelled_sentences", "subset"]):
        gold = cell.groupby(["type", "length"])["gold"].sum()
        assert {key: count for key, count in gold.items() if count} == dict(counts)


def test_novelty_follows_the_labelled_sentences(table, settings):
    of = replicate(settings)
    core = table.query("arm == 'span' and tokens_seen == 16384 and labelled_sentences == 20")
    for subset, cell in core.groupby("subset"):
        labelled = [f" {' '.join(of.sentences('train')[row])} " for row in of.labelled_rows(20, subset)]
        by_hand = Counter()
        for words, tags in zip(of.sentences("test"), of.gold(), strict=True):
            for place, tag in enumerate(tags):
                if tag.startswith("B-"):
                    end = place + 1
                    while end < len(tags) and tags[end].startswith("I-"):
                        end += 1
                    surface = f" {' '.join(words[place:end])} "
                    in_text = any(surface in f" {line} " for line in of.corpus.text)
                    in_labelled = any(surface in line for line in labelled)
                    by_hand["labelled" if in_labelled else "text" if in_text else "never"] += 1
        assert len(by_hand) == 3
        assert cell.groupby("novelty")["gold"].sum().to_dict() == dict(by_hand)


def test_results_csv_is_the_table(table, settings):
    kept = pd.read_csv(settings.out / "results.csv", dtype={"length": str})
    pd.testing.assert_frame_equal(kept, table)
    costs = experiment.costs(settings)
    assert set(costs["arm"]) == {"token", "span"} and (costs["seconds_per_step"] > 0).all()
    assert list(costs.columns) == ["arm", "replicate", "seconds_per_step", "seconds"]


def test_predictions_are_those_that_were_counted(table, settings):
    gold, predicted = predictions(settings, "token", labelled_sentences=10)
    assert gold == replicate(settings).gold()
    assert [len(tags) for tags in predicted] == [len(tags) for tags in gold]
    cell = table.query("arm == 'token' and labelled_sentences == 10")
    # Strict IOB2: only B- starts a mention.
    assert sum(tag.startswith("B-") for tags in predicted for tag in tags) == cell["predicted"].sum()


def test_a_checkpoint_opens_with_its_tokenizer_and_history(table, settings):
    for tokens in (8_192, 16_384):
        place = pretrained(settings, "span", tokens=tokens)
        bert, tokenizer = AutoModelForMaskedLM.from_pretrained(place), AutoTokenizer.from_pretrained(place)
        assert bert.config.vocab_size == len(tokenizer)
        history = pd.read_csv(place / "history.csv")
        assert list(history.columns) == ["tokens_seen", "loss"]
        assert history["tokens_seen"].iloc[-1] == tokens
    assert pretrained(settings, "span") == place
    with pytest.raises(ValueError, match="no checkpoint is kept after 9000 tokens; choose from"):
        pretrained(settings, "span", tokens=9_000)


# Arms are paired


def test_arms_share_everything_but_what_is_hidden(settings, folder, monkeypatch):
    pretraining, finetuning = [], []
    real_pretrain, real_finetune = experiment.pretrain, experiment.finetune

    def spy_pretrain(bert, blocks, run, budgets, **options):
        weights = torch.cat([parameter.detach().flatten().clone() for parameter in bert.parameters()])
        pretraining.append((weights, blocks, run, budgets))
        return real_pretrain(bert, blocks, run, budgets, **options)

    def spy_finetune(bert, windows, tags, recipe, dtype):
        finetuning.append((windows, tags, recipe, dtype))
        return real_finetune(bert, windows, tags, recipe, dtype)

    plan(settings)
    monkeypatch.setattr(artifacts, "FOLDER", folder / "again")
    monkeypatch.setattr(experiment, "pretrain", spy_pretrain)
    monkeypatch.setattr(experiment, "finetune", spy_finetune)
    results(settings)
    (weights, blocks, run, budgets), (other_weights, other_blocks, other_run, other_budgets) = pretraining
    assert {run.strategy, other_run.strategy} == {"token", "span"}
    assert replace(run, strategy="") == replace(other_run, strategy="") and budgets == other_budgets
    assert torch.equal(weights, other_weights) and blocks is other_blocks
    arms = (finetuning[:4], finetuning[4:8], finetuning[8:])  # span, token, none; without a smaller budget
    assert [len(runs) for runs in arms] == [4, 4, 3]
    for span, token in zip(*arms[:2], strict=True):
        assert torch.equal(span[0].input_ids, token[0].input_ids) and span[1:] == token[1:]
    for span, none in zip([arms[0][0], arms[0][1], arms[0][3]], arms[2], strict=True):
        assert torch.equal(span[0].labels, none[0].labels) and span[1:] == none[1:]


def test_the_seed_of_a_replicate_decides_its_fine_tuning(settings, monkeypatch):
    seeds = []

    def spy(bert, windows, tags, recipe, dtype):
        seeds.append(recipe.seed)
        raise InterruptedError

    monkeypatch.setattr(experiment, "finetune", spy)
    for number, subset in ((0, 0), (0, 1), (1, 0), (1, 1)):
        with pytest.raises(InterruptedError):
            experiment.predictions(settings, "none", number, subset=subset)
    assert len(set(seeds)) == 4


# A run that goes on


def stamps(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path): path.stat().st_mtime_ns for path in files}


def test_a_finished_run_is_not_done_again(table, settings, monkeypatch):
    before = stamps(artifacts.FOLDER)
    for name in ("pretrain", "finetune", "_run"):
        monkeypatch.setattr(experiment, name, None)  # an error if called
    (settings.out / "results.csv").unlink()
    pd.testing.assert_frame_equal(results(settings), table)
    assert (settings.out / "results.csv").exists()
    assert stamps(artifacts.FOLDER) == before


def test_an_interrupted_run_goes_on_where_it_was(table, settings, folder, monkeypatch):
    plan(settings)
    monkeypatch.setattr(artifacts, "FOLDER", folder / "interrupted")
    real, runs = experiment.finetune, []

    def stop_at_the_sixth(*options):
        runs.append(options)
        if len(runs) == 6:  # the second arm's second run
            raise KeyboardInterrupt
        return real(*options)

    monkeypatch.setattr(experiment, "finetune", stop_at_the_sixth)
    with pytest.raises(KeyboardInterrupt):
        results(settings)
    before = stamps(artifacts.FOLDER)
    assert sum(path.endswith("scores.csv") for path in before) == 1
    assert sum(path.endswith("cost.csv") and "pretrained-" in path for path in before) == 2
    again = results(settings)
    assert len(runs) == 6 + 4 + 3  # the second arm from its start, and the third
    after = stamps(artifacts.FOLDER)
    assert {path: after[path] for path in before} == before  # what was there is untouched
    pd.testing.assert_frame_equal(again, table)  # and the result is the same


def test_another_number_of_replicates_is_honoured(table, settings, folder):
    """Only the new replicate is made; arms can change as well."""
    wider = replace(settings, scale=replace(MICRO, arms=("none", "token")), out=folder / "wider")
    assert plan(wider, replicates=2).replicates == 2
    before = stamps(artifacts.FOLDER)
    both = results(wider)
    assert set(both["replicate"]) == {0, 1} and set(both["arm"]) == {"none", "token"}
    after = stamps(artifacts.FOLDER)
    assert {path: after[path] for path in before} == before
    first = both[both["replicate"] == 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, table[table["arm"] != "span"].reset_index(drop=True))
    golds = both.groupby("replicate")["gold"].sum()
    assert golds[0] != golds[1]  # another world


def test_the_arm_without_pre_training_alone(table, settings, folder):
    alone = replace(settings, scale=replace(MICRO, arms=("none",)), out=folder / "alone")
    made = results(alone)
    expected = table[table["arm"] == "none"].reset_index(drop=True)
    pd.testing.assert_frame_equal(made, expected)
    assert not (alone.out / "costs.csv").exists()


def test_the_reference_is_a_whole_laptop_run():
    """Every arm of every replicate has every cell, and what it cost; or else pairs would fall apart."""
    laptop = Settings(SCALES["laptop"])
    made, cost = experiment.reference(), experiment.reference_costs()
    assert list(made.columns) == COLUMNS
    assert set(made["replicate"]) == set(range(8)) and set(made["arm"]) == set(laptop.scale.arms)
    for (arm, _), rows in made.groupby(["arm", "replicate"]):
        found = set(rows[["tokens_seen", "labelled_sentences", "subset"]].itertuples(index=False, name=None))
        assert found == set(cells(laptop, arm, laptop.scale.labelled_sentences))
    pairs = set(cost[["arm", "replicate"]].itertuples(index=False, name=None))
    assert pairs == {(arm, seed) for arm in ("token", "span") for seed in range(8)}
    assert (cost["seconds_per_step"] > 0).all()


# Several processes

PROGRAM = """
import os
import sys
from dataclasses import replace
from pathlib import Path
from helpers import experiment
sys.path.append(sys.argv[1])
from test_experiment import MICRO, Settings
os.cpu_count = lambda: 2
experiment._training_speed = lambda bert, of, run, dtype: {"float32": 2.0, "bfloat16": 1.0}[dtype]
settings = Settings(replace(MICRO, arms=("none", "span")), out=Path("out").resolve())
assert experiment.plan(settings).workers == 2
experiment.results(settings)
"""


def test_processes_side_by_side_make_the_same_cells(table, tmp_path):
    """In a copy of the project, whose artifacts stand in its own folder."""
    shutil.copytree(ROOT / "helpers", tmp_path / "helpers", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "data" / "world", tmp_path / "data" / "world")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(ROOT / "tests")],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    made = pd.read_csv(tmp_path / "out" / "results.csv", dtype={"length": str})
    # Threads may change the last digits of a weight, and so a tag; the cells and what is gold cannot change.
    cell = [*COLUMNS[:7], "type", "length"]
    gold = [
        rows[rows["arm"] != "token"].groupby(cell)["gold"].sum().loc[lambda counts: counts > 0]
        for rows in (made, table)
    ]
    pd.testing.assert_series_equal(*gold)
    assert len(list((tmp_path / "data" / "runs" / "artifacts").glob("scores-*/scores.csv"))) == 2


def test_workers_end_when_the_run_is_killed(tmp_path):
    shutil.copytree(ROOT / "helpers", tmp_path / "helpers", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "data" / "world", tmp_path / "data" / "world")
    program = PROGRAM.replace("replace(MICRO,", "replace(MICRO, tokens=(10**9,),")  # longer than the test
    program = program.replace(
        "assert experiment.plan", "real, experiment._run = experiment._run, spied\nassert experiment.plan"
    )
    run = subprocess.Popen([sys.executable, "-c", SPY + program, str(ROOT / "tests")], cwd=tmp_path)
    pids, end = tmp_path / "pids", time.monotonic() + 90
    while not pids.exists() and time.monotonic() < end:
        time.sleep(0.2)
    workers = [int(pid) for pid in pids.read_text().split()]
    assert len(workers) == 2 and all(map(is_alive, workers))
    time.sleep(5)  # until they are at work
    run.kill()
    run.wait()
    while any(map(is_alive, workers)) and time.monotonic() < end:
        time.sleep(0.2)
    assert not any(map(is_alive, workers))


SPY = """
import threading
import time
from multiprocessing import active_children

def watch():
    while len(active_children()) < 2:
        time.sleep(0.1)
    Path("part").write_text(" ".join(str(child.pid) for child in active_children()))
    Path("part").rename("pids")

def spied(*arguments):
    threading.Thread(target=watch, daemon=True).start()
    real(*arguments)
"""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# A corpus of the reader's own


def write_conll(folder: Path, name: str, sentences) -> None:
    blocks = ["".join(f"{w}\t{t}\n" for w, t in zip(*pair, strict=True)) for pair in sentences]
    (folder / name).write_text("\n".join(blocks), encoding="utf-8")


def test_names_that_look_like_numbers_or_nothing_are_text(tmp_path):
    frame = pd.DataFrame(
        {"corpus": ["2003"], "arm": ["none"], "type": ["NA"], "novelty": ["text"], "length": ["1"]}
    )
    frame.to_csv(tmp_path / "results.csv", index=False)
    pd.testing.assert_frame_equal(experiment.read_table(tmp_path / "results.csv"), frame, check_dtype=False)


def test_a_folder_of_conll_files_runs_through(folder):
    made = generate(replace(MICRO.world, seed=5))
    corpus = folder / "mine"
    corpus.mkdir()
    write_conll(corpus, "train.txt", made.train)
    write_conll(corpus, "dev.txt", made.dev)
    write_conll(corpus, "test.txt", made.test)
    (folder / "news.txt").write_text("\n".join(made.text), encoding="utf-8")
    scale = replace(MICRO, arms=("none", "span"))
    mine = Settings(scale, str(corpus), (str(folder / "news.txt"),), folder / "mine-out")
    of = replicate(mine)
    assert of.corpus.text == made.text and len(of.tokenizer) <= 600
    table = results(mine)
    assert list(table.columns) == COLUMNS and set(table["corpus"]) == {"mine"}
    core = table.query("arm == 'span' and tokens_seen == 16384 and labelled_sentences == 20 and subset == 0")
    assert core["gold"].sum() == sum(tag.startswith("B-") for _, tags in made.test for tag in tags)
    # A change of the reader's files is another run.
    write_conll(corpus, "test.txt", made.test[:20])
    experiment._user_corpus.cache_clear()
    experiment._corpus_key.cache_clear()
    experiment.replicate.cache_clear()
    changed = results(mine)
    assert changed["gold"].sum() < table["gold"].sum()


def test_a_folder_that_is_not_there(settings, tmp_path):
    with pytest.raises(CorpusError, match="no such folder"):
        plan(replace(settings, corpus=str(tmp_path / "nowhere"), out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()
