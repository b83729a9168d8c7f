"""A run and an adaptation that start from a model of one's own, as the command line makes them."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoModelForTokenClassification, pipeline

from helpers import __main__ as cli
from helpers import experiment, settings
from helpers.running import artifacts, plan, replicate
from helpers.running.arm import Arm
from tests.micro import MICRO, workshop
from tests.tiny_architectures import save

SMALLER = replace(MICRO, tokens=(8_192,), labelled_sentences=(20,), subsets=1)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save("roberta", tmp_path_factory.mktemp("models") / "tiny-roberta")


@pytest.fixture(scope="module")
def chosen(base, tmp_path_factory):
    """The settings of the commands below; `smoke` is even smaller for them."""
    out = tmp_path_factory.mktemp("own") / "out"
    with pytest.MonkeyPatch.context() as patch, workshop(out.parent / "artifacts"):
        patch.setitem(settings.SCALES, "smoke", SMALLER)
        patch.setattr(
            plan, "threads_for", lambda workers: 1
        )  # two would wait for each other on a busy machine
        for name in ("SCALE", "CORPUS", "TEXT", "OUT", "TAG_COLUMNS", "MODEL", "SEED"):
            patch.delenv(name, raising=False)
        yield settings.choose("smoke", out=out, model=str(base))


def command(name: str, chosen: settings.Settings, *options: str) -> int:
    return cli.main([name, "--scale", "smoke", "--model", chosen.model, "--out", str(chosen.out), *options])


@pytest.fixture(scope="module")
def run(chosen):
    assert command("run", chosen) == 0
    return pd.read_csv(chosen.out / "results.csv")


def test_a_run_compares_the_model_as_it_came_with_what_each_masking_makes_of_it(chosen, run):
    assert set(run["arm"]) == {"as_it_came", "token", "whole_word", "span"}
    seen = run.groupby("arm")["tokens_seen"].max()
    assert seen["as_it_came"] == 0 and set(seen.drop("as_it_came")) == {8_192}
    assert run.groupby("arm")["gold"].sum().drop("as_it_came").nunique() == 1
    report = (chosen.out / "report.html").read_text(encoding="utf-8")
    assert '<th scope="col">as it came</th>' in report and "no pre-training" not in report
    assert f"{chosen.model_name} went on training on text" in report and "A tiny BERT" not in report
    assert chosen.model not in report, "a report may be handed on, and needs no path of this machine"
    assert "executed notebooks" not in report and not (chosen.out / "notebooks").exists()
    assert (chosen.out / "f1_by_entity_length.svg").stat().st_size > 0


def test_all_arms_start_from_the_model_and_all_differ(chosen, run, base):
    start = AutoModelForMaskedLM.from_pretrained(base).state_dict()
    shared = replicate.load(chosen)
    assert shared.base == str(base) and shared.length == 79
    as_it_came = Arm(chosen, "as_it_came", 0, "float32").model(0).state_dict()
    assert all(torch.equal(as_it_came[key], start[key]) for key in start)
    places = {name: experiment.pretrained(chosen, name) for name in ("token", "whole_word", "span")}
    ends = {name: AutoModelForMaskedLM.from_pretrained(place).state_dict() for name, place in places.items()}
    weights = [state["roberta.embeddings.word_embeddings.weight"] for state in (start, *ends.values())]
    assert len({tuple(one.flatten().tolist()) for one in weights}) == 4
    farthest = max((ends["span"][key] - start[key]).abs().max() for key in start)
    assert farthest < 0.01, "8,192 tokens at 1e-4 move a weight by little: nothing was drawn anew"


def test_a_model_moves_every_key_and_its_files_do(chosen, base, tmp_path):
    def keys(model: str) -> list[str]:
        arm = Arm(replace(chosen, model=model), "span", 0, "float32")
        rows = replicate.rows_key(arm.settings, 0)
        return [artifacts.digest(key) for key in (rows, arm.training_key, arm.scores_key)]

    other = save("bert", tmp_path / "bert")
    found = [keys(model) for model in ("", str(base), str(other))]
    assert all(len({*kind}) == 3 for kind in zip(*found, strict=True))
    (other / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes() + b" ")
    assert not set(keys(str(other))) & set(found[2])


def test_the_results_of_one_model_are_not_taken_for_those_of_another(chosen, run, capsys):
    assert cli.main(["report", "--scale", "smoke", "--out", str(chosen.out)]) == 2
    assert "holds results of another model: name it by --model" in capsys.readouterr().err
    assert command("report", chosen) == 0


def test_an_adapted_model_and_its_tagger_are_folders_that_others_open(chosen, run, base, capsys):
    trained = {path: path.stat().st_mtime_ns for path in artifacts.FOLDER.glob("pretrained-*/manifest.json")}
    assert command("adapt", chosen, "--keep", "span") == 0
    again = {path: path.stat().st_mtime_ns for path in artifacts.FOLDER.glob("pretrained-*/manifest.json")}
    assert trained == again, "what the run has trained is not trained again"
    said = capsys.readouterr().out
    adapted, tagger = chosen.out / "adapted-span", chosen.out / "tagger-span"
    assert f"Masked LM: {adapted}\nTagger: {tagger}" in said

    masked_lm = AutoModelForMaskedLM.from_pretrained(adapted)
    kept = AutoModelForMaskedLM.from_pretrained(experiment.pretrained(chosen, "span"))
    assert all(torch.equal(kept.state_dict()[key], w) for key, w in masked_lm.state_dict().items())
    assert masked_lm.config.hidden_dropout_prob == 0.1, "as it came"
    fill = pipeline("fill-mask", str(adapted))
    assert len(fill(f"harbour {fill.tokenizer.mask_token} lisbon")) == 5

    names = AutoModelForTokenClassification.from_pretrained(tagger).config.id2label
    assert names[0] == "O" and {name[:2] for name in list(names.values())[1:]} == {"B-", "I-"}
    tag = pipeline("token-classification", str(tagger), aggregation_strategy="first")
    assert isinstance(tag("harbour of lisbon"), list)

    for folder, task in ((adapted, "fill-mask"), (tagger, "token-classification")):
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert card.startswith(f"---\nlibrary_name: transformers\npipeline_tag: {task}\n---\n# tiny-roberta")
        for fact in ("8,192 tokens", "span (p = 0.2) masking, 15% of tokens hidden", "| all |", "torch 2"):
            assert fact in card, fact
        assert str(base) not in card and "{" not in card, "no path of this machine"
    assert "40 sentences to train, 40 to test" in (tagger / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["adapt", "--keep", "span"], "name the model that is to be adapted: --model NAME-OR-FOLDER"),
        (["run", "--model", "./nothing/here"], "neither a folder nor a name on the hub"),
        (["run", "--model", ""], "--model is empty"),
        (["adapt", "--keep", "span", "--model", "no-such/model"], "Check the name and the network"),
    ],
)
def test_a_command_without_a_model_that_can_be_used(chosen, tmp_path, capsys, arguments, said):
    assert cli.main([*arguments, "--scale", "smoke", "--out", str(tmp_path)]) == 2
    complaint = capsys.readouterr().err
    assert said in complaint and complaint.count("\n") == 1


def test_notebooks_are_not_executed_with_a_model(chosen, capsys, monkeypatch):
    monkeypatch.setenv("MODEL", chosen.model)
    assert cli.main(["notebooks"]) == 2
    assert "the notebooks build a model of their own: leave MODEL out" in capsys.readouterr().err
