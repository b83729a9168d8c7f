"""The experiment at a micro scale: the grid, the table, and what a second run does not do again."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from helpers import experiment, model
from helpers.corpora import CorpusError
from helpers.experiment import COLUMNS, cells, plan, predictions, pretrained, replicate, results
from helpers.running import arm, artifacts, executors
from helpers.running import plan as plans
from helpers.settings import SCALES, Settings
from helpers.world import generate
from tests.micro import MICRO, stamps


@pytest.fixture(scope="module")
def table(settings) -> pd.DataFrame:
    return results(settings)


def test_cells_are_slices_through_the_core(settings):
    core = [(16_384, 20, 0), (16_384, 20, 1)]
    assert cells(settings, "span", (10, 20)) == [*core, (8_192, 20, 0), (16_384, 10, 0)]
    assert cells(settings, "none", (10, 20)) == [(0, 20, 0), (0, 20, 1), (0, 10, 0)]
    assert cells(settings, "none", (20,)) == [(0, 20, 0), (0, 20, 1)]


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
    kept = experiment.read_table(settings.out / "results.csv")
    pd.testing.assert_frame_equal(kept, table, check_dtype=False)
    costs = experiment.costs(settings)
    assert set(costs["arm"]) == {"token", "span"} and (costs["seconds_per_step"] > 0).all()
    assert list(costs.columns) == ["arm", "replicate", "seconds_per_step", "seconds", "device"]


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
    real_pretrain, real_finetune = arm.pretrain, arm.finetune

    def spy_pretrain(bert, blocks, vocabulary, recipe, budgets, **options):
        weights = torch.cat([parameter.detach().flatten().clone() for parameter in bert.parameters()])
        pretraining.append((weights, blocks, recipe, budgets))
        return real_pretrain(bert, blocks, vocabulary, recipe, budgets, **options)

    def spy_finetune(bert, windows, tags, recipe, dtype):
        finetuning.append((windows, tags, recipe, dtype))
        return real_finetune(bert, windows, tags, recipe, dtype)

    plan(settings)
    monkeypatch.setattr(artifacts, "FOLDER", folder / "again")
    monkeypatch.setattr(arm, "pretrain", spy_pretrain)
    monkeypatch.setattr(arm, "finetune", spy_finetune)
    results(settings)
    (weights, blocks, recipe, budgets), (other_weights, other_blocks, other_recipe, other_budgets) = (
        pretraining
    )
    assert {recipe.strategy, other_recipe.strategy} == {"token", "span"}
    assert replace(recipe, strategy="") == replace(other_recipe, strategy="") and budgets == other_budgets
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

    monkeypatch.setattr(arm, "finetune", spy)
    for number, subset in ((0, 0), (0, 1), (1, 0), (1, 1)):
        with pytest.raises(InterruptedError):
            experiment.predictions(settings, "none", number, subset=subset)
    assert len(set(seeds)) == 4


# A run that goes on


def test_a_finished_run_is_not_done_again(table, settings, monkeypatch):
    before = stamps(artifacts.FOLDER)
    for room, name in ((arm, "pretrain"), (arm, "finetune"), (executors, "run")):
        monkeypatch.setattr(room, name, None)  # an error if called
    (settings.out / "results.csv").unlink()
    pd.testing.assert_frame_equal(results(settings), table)
    assert (settings.out / "results.csv").exists()
    assert stamps(artifacts.FOLDER) == before


def test_an_interrupted_run_goes_on_where_it_was(table, settings, folder, monkeypatch):
    plan(settings)
    monkeypatch.setattr(artifacts, "FOLDER", folder / "interrupted")
    real, runs = arm.finetune, []

    def stop_at_the_sixth(*options):
        runs.append(options)
        if len(runs) == 6:  # the second arm's second run
            raise KeyboardInterrupt
        return real(*options)

    monkeypatch.setattr(arm, "finetune", stop_at_the_sixth)
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


def test_the_laptop_run_is_whole():
    """Every arm of every replicate has every cell, and what it cost; or else pairs would fall apart."""
    laptop = Settings(SCALES["laptop"])
    made, cost = experiment.laptop_run(), experiment.laptop_run_costs()
    assert list(made.columns) == COLUMNS
    assert set(made["replicate"]) == set(range(8)) and set(made["arm"]) == set(laptop.scale.arms)
    for (name, _), rows in made.groupby(["arm", "replicate"]):
        found = set(rows[["tokens_seen", "labelled_sentences", "subset"]].itertuples(index=False, name=None))
        assert found == set(cells(laptop, name, laptop.scale.labelled_sentences))
    pairs = set(cost[["arm", "replicate"]].itertuples(index=False, name=None))
    assert pairs == {(name, seed) for name in ("token", "whole_word", "span") for seed in range(8)}
    assert (cost["seconds_per_step"] > 0).all()


def test_what_float16_made_is_another_artifact(table, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(model, "device_name", lambda: "a T4")
    monkeypatch.setattr(plans, "precisions", lambda capability: ("float32", "float16"))
    monkeypatch.setattr(plans, "training_speed", lambda *args: 1.0 + 2 * (args[3] == "float16"))
    before = {path: when for path, when in stamps(artifacts.FOLDER).items() if "precision-" not in path}
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


# A corpus of the reader's own


def write_conll(folder: Path, name: str, sentences) -> None:
    blocks = ["".join(f"{w}\t{t}\n" for w, t in zip(*pair, strict=True)) for pair in sentences]
    (folder / name).write_text("\n".join(blocks), encoding="utf-8")


def test_names_that_look_like_numbers_or_nothing_are_text(tmp_path):
    frame = pd.DataFrame(
        {"corpus": ["2003"], "arm": ["none"], "type": ["NA"], "novelty": ["text"], "length": ["1"]}
    )
    frame.to_csv(tmp_path / "results.csv", index=False)
    made = experiment.read_table(tmp_path / "results.csv")
    pd.testing.assert_frame_equal(made[frame.columns], frame, check_dtype=False)
    # A table of version 1 has neither; it is read as what it is: any number of wordpieces, no condition.
    assert made["pieces"].tolist() == ["any"] and made["condition"].tolist() == [""]


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
    replicate.cache_clear()
    changed = results(mine)
    assert changed["gold"].sum() < table["gold"].sum()


def test_a_folder_that_is_not_there(settings, tmp_path):
    with pytest.raises(CorpusError, match="no such folder"):
        plan(replace(settings, corpus=str(tmp_path / "nowhere"), out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()
