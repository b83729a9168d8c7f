"""An arm's keys: each setting in turn, each piece of code, and which of the results they move."""

import dataclasses
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from transformers import BertForMaskedLM

from helpers import experiment, settings
from helpers.corpora import CorpusError
from helpers.experiment import cells
from helpers.running import arm as arm_module
from helpers.running import artifacts, replicate
from helpers.running.arm import Arm
from helpers.settings import ROOT, Settings
from tests.micro import MICRO, workshop

# What each setting moves: R the rows (vocabulary and packed text), T the weights of an arm that is trained on
# tokens, S those of one that is trained on spans, C the counts of any arm, N those of the arm without
# pre-training. A setting that is not named here moves nothing.
MOVES = {
    "tokens": "T S C",
    "labelled_sentences": "C N",
    "core_sentences": "C N",
    "subsets": "C N",
    "first_seed": "R T S C N",
    **{f"world.{name}": "R T S C N" for name in settings.WorldSettings.__dataclass_fields__},
    **{f"model.{name}": "T S C N" for name in settings.ModelSettings.__dataclass_fields__},
    "model.vocabulary_size": "R T S C N",
    "model.length": "R T S C N",
    **{f"pretraining.{name}": "T S C" for name in settings.PretrainingSettings.__dataclass_fields__},
    "pretraining.p": "S C",  # token masking draws no lengths
    **{f"finetuning.{name}": "C N" for name in settings.FinetuningSettings.__dataclass_fields__},
}
FOLLOWS = {  # overwritten for each replicate and arm, so that the scale's own value decides nothing
    *("world.seed", "pretraining.strategy", "pretraining.seed", "finetuning.seed"),
}
OF_FILES = {  # where a corpus of files differs from the world
    "words": "R T S C N",
    "first_seed": "T S C N",  # the text is the same for all seeds
    **{f"world.{name}": "" for name in settings.WorldSettings.__dataclass_fields__},
}
NAMES = [
    *(
        field.name
        for field in dataclasses.fields(MICRO)
        if not dataclasses.is_dataclass(getattr(MICRO, field.name))
    ),
    *(
        f"{part}.{field.name}"
        for part in ("world", "model", "pretraining", "finetuning")
        for field in dataclasses.fields(getattr(MICRO, part))
    ),
]


def other(value):
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, tuple):
        return value[1:]
    return value + 1


def changed(scale, name: str):
    part, _, field = name.rpartition(".")
    if part:
        return replace(scale, **{part: changed(getattr(scale, part), field)})
    return replace(scale, **{name: other(getattr(scale, name))})


def keys(chosen: Settings) -> dict[str, str]:
    arms = {
        name: Arm(chosen, name, 0, "float32", tuple(cells(chosen, name, chosen.scale.labelled_sentences)))
        for name in ("none", "token", "span")
    }
    found = {
        "R": replicate.rows_key(chosen, arms["none"].seed),
        "T": arms["token"].training_key,
        "S": arms["span"].training_key,
        "C": arms["span"].scores_key,
        "N": arms["none"].scores_key,
    }
    return {letter: artifacts.digest(key) for letter, key in found.items()}


def moved(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {letter for letter in before if before[letter] != after[letter]}


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_moves_the_results_that_it_decides(name):
    chosen = Settings(MICRO)
    expected = set() if name in FOLLOWS else set(MOVES.get(name, "").split())
    assert moved(keys(chosen), keys(replace(chosen, scale=changed(MICRO, name)))) == expected


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mine")
    for name in ("train.txt", "test.txt", "news.txt"):
        (folder / name).write_text("Anna\tB-PER\n\n" * 30, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_so_it_does_on_a_corpus_of_files(corpus, name):
    chosen = Settings(MICRO, str(corpus), (str(corpus / "news.txt"),))
    expected = set() if name in FOLLOWS else set(OF_FILES.get(name, MOVES.get(name, "")).split())
    assert moved(keys(chosen), keys(replace(chosen, scale=changed(MICRO, name)))) == expected


def test_the_first_seed_and_the_number_are_one_seed():
    """Replicate 1 of a run that starts at seed 0 is replicate 0 of one that starts at 1."""
    one = Arm(Settings(MICRO), "span", 1, "float32")
    same = Arm(Settings(replace(MICRO, first_seed=1), out=Path("elsewhere")), "span", 0, "float32")
    assert one.training_key == same.training_key and one.scores_key == same.scores_key


def test_precision_and_versions_move_weights_and_counts(monkeypatch):
    low = replace(Arm(Settings(MICRO), "span", 0, "float32"), dtype="bfloat16")
    full = replace(low, dtype="float32")
    assert low.training_key != full.training_key and low.scores_key != full.scores_key
    before, real = keys(Settings(MICRO)), artifacts.version
    for package, expected in (("torch", "TSCN"), ("tokenizers", "RTSCN"), ("transformers", "RTSCN")):
        monkeypatch.setattr(
            artifacts, "version", lambda name, own=package: "9" if name == own else real(name)
        )
        assert moved(before, keys(Settings(MICRO))) == set(expected), package


def test_other_files_in_the_folder_of_a_corpus_change_nothing(corpus):
    chosen = Settings(MICRO, str(corpus), (str(corpus / "news.txt"),))
    before = keys(chosen)
    (corpus / ".DS_Store").write_bytes(b"\0")
    (corpus / "README.md").write_text("notes")
    assert moved(before, keys(chosen)) == set()
    (corpus / "test.txt").write_text("Berta\tB-PER\n\n" * 30)
    assert moved(before, keys(chosen)) == set("RTSCN")


CODE = {  # an edit -> what it moves
    ("running/replicate", "model.build(replace(", "model.build(settings and replace("): "T S C N",
    ("model", "* sinusoids(", "* 1.0 * sinusoids("): "T S C N",
    ("pretraining", "optimizer.zero_grad()", "optimizer.zero_grad(set_to_none=True)"): "T S C",
    ("masking", "BITS = 30", "BITS = 29"): "T S C",
    ("boundary", "zeros_(layer.bias)", "ones_(layer.bias)"): "",  # for the arms that do not use it
    ("finetuning", "model.eval()", "model.train(False)"): "C N",
    ("tokenization", "IGNORED = -100", "IGNORED = -101"): "R T S C N",
    ("world", "ZIPF_OFFSET = 3", "ZIPF_OFFSET = 4"): "R T S C N",
    ("running/arm", "1_000 * replicate.seed + subset", "2_000 * replicate.seed + subset"): "C N",
    ("scoring", "1 + same_type + 2 * same_words", "same_type + 1 + 2 * same_words"): "C N",
    # plumbing, showing and counting that decides no result
    ("running/arm", "self.progress(tokens)", "self.progress(1 * tokens)"): "",
    ("running/arm", "states = folder", "places = folder"): "",
    ("running/executors", "SUBMISSIONS = 3", "SUBMISSIONS = 4"): "",
    ("running/resume", "progress(tokens_per_step)", "progress(1 * tokens_per_step)"): "",
    ("running/plan", "MOST_WORKERS = 4", "MOST_WORKERS = 5"): "",
    ("experiment", "missing = [", "absent = ["): "",
    ("scoring", "ddof=1", "ddof=0"): "",  # intervals are made from the counts
    ("verdicts", "REPLICATES_NEEDED = 8", "REPLICATES_NEEDED = 9"): "",
}


def edit_a_copy(edit: tuple[str, str, str], folder: Path, monkeypatch) -> None:
    """Edit a copy of the helpers, and have keys follow it."""
    shutil.copytree(ROOT / "helpers", folder / "helpers", ignore=shutil.ignore_patterns("__pycache__"))
    module, old, new = edit
    file = folder / "helpers" / f"{module}.py"
    code = file.read_text(encoding="utf-8")
    assert old in code
    file.write_text(code.replace(old, new), encoding="utf-8")
    monkeypatch.setattr(artifacts, "ROOT", folder)


@pytest.mark.parametrize(("edit", "expected"), CODE.items(), ids=[" ".join(edit[:2]) for edit in CODE])
def test_code_moves_the_results_that_it_decides(tmp_path, monkeypatch, edit, expected):
    """An edit takes new weights for all arms or for none, and an edit of plumbing throws nothing away."""
    before = keys(Settings(MICRO))
    edit_a_copy(edit, tmp_path, monkeypatch)
    assert moved(before, keys(Settings(MICRO))) == set(expected.split())


def with_boundary(chosen: Settings) -> Settings:
    recipe = replace(chosen.scale.pretraining, boundary=True)
    return replace(chosen, scale=replace(chosen.scale, pretraining=recipe))


@pytest.mark.parametrize(
    ("edit", "uses_it"),
    [
        (("boundary", "zeros_(layer.bias)", "ones_(layer.bias)"), "span with boundary"),
        (("running/replicate", "made.text_tags, of", "made.text_tags or 0, of"), "mentions"),
    ],
    ids=["boundary", "mentions"],
)
def test_code_that_only_one_arm_uses(tmp_path, monkeypatch, edit, uses_it):
    def arms() -> dict[str, dict]:
        plain, spans = Settings(MICRO), with_boundary(Settings(MICRO))
        found = {name: Arm(plain, name, 0, "float32") for name in ("token", "whole_word", "span", "mentions")}
        found["span with boundary"] = Arm(spans, "span", 0, "float32")
        return {name: arm.training_key for name, arm in found.items()}

    before = arms()
    assert [name for name, key in before.items() if "boundary" in key["recipe"]] == ["span with boundary"]
    edit_a_copy(edit, tmp_path, monkeypatch)
    assert [name for name, key in arms().items() if key != before[name]] == [uses_it]


# Arms with something of their own


def test_a_checkpoint_of_the_boundary_objective_is_a_plain_masked_lm(tmp_path, capfd):
    with workshop(tmp_path / "artifacts"):
        arm = Arm(with_boundary(Settings(MICRO, out=tmp_path)), "span", 0, "float32")
        folder = arm.pretrained()
        bert, found = BertForMaskedLM.from_pretrained(folder / "16384", output_loading_info=True)
        plain = Arm(Settings(MICRO, out=tmp_path), "span", 0, "float32").pretrained()
    assert not any(found.values()) and "boundary" not in capfd.readouterr().err
    weights, expected = (load_file(place / "16384" / "model.safetensors") for place in (folder, plain))
    assert weights.keys() == expected.keys()
    assert not torch.equal(*(of["bert.embeddings.word_embeddings.weight"] for of in (weights, expected)))
    losses = [pd.read_csv(place / "16384" / "history.csv")["loss"].iloc[0] for place in (folder, plain)]
    assert losses[0] > 1.8 * losses[1]  # two losses, and one
    assert not hasattr(arm.model(16_384), "boundary")
    (folder / "8192" / "config.json").unlink()
    assert arm.mend(folder)


def test_the_oracle_trains_on_the_mentions_of_the_world(tmp_path, monkeypatch):
    blocks, real = [], arm_module.pretrain
    monkeypatch.setattr(
        arm_module,
        "pretrain",
        lambda bert, rows, *rest, **more: blocks.append(rows) or real(bert, rows, *rest, **more),
    )
    with workshop(tmp_path / "artifacts"):
        for name in ("mentions", "span"):
            arm = Arm(Settings(MICRO, out=tmp_path), name, 1, "float32")
            arm.pretrained()
        of = arm.replicate
    assert blocks[1].mention_ids is None and torch.equal(blocks[0].input_ids, blocks[1].input_ids)
    mentions = blocks[0].mention_ids
    assert mentions.shape == blocks[0].input_ids.shape
    # Names of the labelled sentences are found in the text: what stands in a mention there is one of them.
    known = {" ".join(of.tokenizer.tokenize(" ".join(name))) for name in names_of(of.corpus.splits["test"])}
    found = set()
    for number in mentions.unique()[1:].tolist():
        ids = of.blocks.input_ids[mentions == number].tolist()
        found.add(" ".join(of.tokenizer.convert_ids_to_tokens(ids)))
    assert len(found & known) > 0.3 * len(known)


def names_of(sentences) -> list[list[str]]:
    names = []
    for words, tags in sentences:
        for word, tag in zip(words, tags, strict=True):
            if tag[0] == "B":
                names.append([word])
            elif tag[0] == "I":
                names[-1].append(word)
    return names


def test_the_oracle_needs_the_world(corpus):
    chosen = Settings(MICRO, str(corpus), (str(corpus / "news.txt"),))
    with pytest.raises(CorpusError, match="nobody has marked them: leave this arm out, or choose the built"):
        replicate.mention_ids(chosen, 0)


# What is damaged


def test_damaged_scores_are_made_again_by_the_workers(tmp_path, monkeypatch):
    """And not one after the other, without a word, when the table is put together."""
    chosen = Settings(replace(MICRO, arms=("none",)), out=tmp_path / "out")
    with workshop(tmp_path / "artifacts"):
        table = experiment.results(chosen)
        (scores,) = (tmp_path / "artifacts").glob("scores-*")
        (scores / "scores.csv").write_text("cut sh")
        seen, real = [], experiment.executors.run
        monkeypatch.setattr(
            experiment.executors, "run", lambda arms, *rest: seen.extend(arms) or real(arms, *rest)
        )
        assert experiment.results(chosen).equals(table)
    assert [str(arm) for arm in seen] == ["none of replicate 0"]


def test_the_cost_names_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(arm_module.model, "device_name", lambda: "a processor of the test")
    with workshop(tmp_path / "artifacts"):
        chosen = Settings(replace(MICRO, arms=("span",)), out=tmp_path / "out")
        experiment.results(chosen)
    assert set(experiment.costs(chosen)["device"]) == {"a processor of the test"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An arm that is pre-trained, and its folder; its artifacts stand in a folder of their own."""
    place = tmp_path_factory.mktemp("trained")
    with workshop(place / "artifacts"):
        arm = Arm(Settings(MICRO, out=place), "span", 0, "float32")
        yield arm, arm.pretrained()


@pytest.mark.parametrize(
    "file",
    ["cost.csv", "16384/history.csv", "16384/config.json", "8192/tokenizer.json", artifacts.MANIFEST],
)
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_no_model_is_trained_again_for_a_small_file(trained, monkeypatch, capsys, file, damage):
    arm, folder = trained
    weights = {path: path.read_bytes() for path in folder.glob("*/model.safetensors")}
    if damage == "cut":
        (folder / file).write_text("secon")
    else:
        (folder / file).unlink()
    monkeypatch.setattr(arm_module, "pretrain", None)  # an error if called
    assert arm.trained() is None and arm.pretrained() == folder == arm.trained()
    assert "the large ones are sound" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in weights} == weights
    assert arm.model(16_384).config.vocab_size == len(arm.replicate.tokenizer)
    assert list(pd.read_csv(folder / "cost.csv")) == ["seconds_per_step", "seconds", "device"]


def test_a_model_whose_weights_are_damaged_is_trained_again(trained, capsys):
    arm, folder = trained
    file = folder / "16384" / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:1000])
    assert arm.pretrained() == folder and file.read_bytes() == whole
    assert "is damaged: it is made again" in capsys.readouterr().out
