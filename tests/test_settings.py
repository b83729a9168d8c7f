"""Settings: the scales, and that nothing else reads the environment."""

import ast
import json
import os
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from importlib.metadata import version
from pathlib import Path

import pytest

from helpers.settings import (
    PRESETS,
    ROOT,
    SCALES,
    choose,
    continued,
    from_environment,
    processors,
    real,
    versions,
)

VARIABLES = ("SCALE", "CORPUS", "TEXT", "OUT", "SEED", "TAG_COLUMNS", "MODEL")


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_the_default_is_laptop_on_the_world():
    settings = from_environment()
    assert settings == choose()
    assert (settings.scale, settings.corpus, settings.text) == (SCALES["laptop"], "world", ())
    assert settings.out == ROOT / "data" / "runs" / "laptop"


def test_the_environment_chooses(monkeypatch, tmp_path):
    monkeypatch.setenv("SCALE", "smoke")
    monkeypatch.setenv("CORPUS", str(tmp_path / "conll"))
    monkeypatch.setenv("TEXT", os.pathsep.join(["a.txt", "b.txt", ""]))
    monkeypatch.setenv("OUT", str(tmp_path / "out"))
    monkeypatch.setenv("TAG_COLUMNS", "word=2,tag=3")
    settings = from_environment()
    assert settings.columns == "word=2,tag=3"
    assert settings.scale == real(SCALES["smoke"])
    assert settings.corpus == str(tmp_path / "conll")
    assert settings.text == ("a.txt", "b.txt")
    assert settings.out == tmp_path / "out"


def test_empty_variables_count_as_none(monkeypatch):
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
    assert from_environment() == choose()


def test_only_these_variables_are_read(monkeypatch):
    asked = []

    class Spy(dict):
        def get(self, name, default=None):
            asked.append(name)
            return default

        def __getitem__(self, name):
            asked.append(name)
            raise KeyError(name)

        def __contains__(self, name):
            asked.append(name)
            return False

    monkeypatch.setattr("helpers.settings.os.environ", Spy())
    from_environment()
    monkeypatch.undo()
    assert sorted(set(asked)) == sorted(VARIABLES)


def environment_uses(path: Path) -> set[str]:
    """Names by which a module gets at the environment."""
    names = {"environ", "environb", "getenv", "putenv", "unsetenv"}
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in names:
            found.add(node.attr)
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            found |= names & {alias.name for alias in node.names}
    return found


def uses_of_environ(tree: ast.Module) -> list[ast.Attribute]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "environ"]


def test_no_other_module_reads_the_environment():
    users = {path.name for path in (ROOT / "helpers").rglob("*.py") if environment_uses(path)}
    # distributed.py reads what torchrun sets, which processes there are, and no setting.
    assert users - {"__main__.py"} == {"settings.py", "notebooks.py", "distributed.py"}
    # The command line sets variables for the kernels, and reads none.
    tree = ast.parse((ROOT / "helpers" / "__main__.py").read_text(encoding="utf-8"))
    assigned = [node for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    written = {
        target.value for node in assigned for target in node.targets if isinstance(target, ast.Subscript)
    }
    assert set(uses_of_environ(tree)) <= written
    # The execution of notebooks hands all variables on to the kernels in a new dictionary, {**os.environ, …}:
    # it looks at none, and changes none.
    file = ROOT / "helpers" / "publishing" / "notebooks.py"
    assert environment_uses(file) == {"environ"}
    tree = ast.parse(file.read_text(encoding="utf-8"))
    dictionaries = [node for node in ast.walk(tree) if isinstance(node, ast.Dict)]
    unpacked = {
        value
        for node in dictionaries
        for key, value in zip(node.keys, node.values, strict=True)
        if key is None
    }
    assert set(uses_of_environ(tree)) <= unpacked


def test_an_unknown_scale_names_the_ones_there_are(monkeypatch):
    with pytest.raises(ValueError, match="SCALE is 'huge'; choose one of smoke, laptop, gpu"):
        choose("huge")
    monkeypatch.setenv("SCALE", "Laptop")
    with pytest.raises(ValueError, match="SCALE is 'Laptop'"):
        from_environment()


def test_a_seed_of_ones_own(monkeypatch):
    monkeypatch.setenv("SEED", "48200")
    run = from_environment()
    assert run.scale.first_seed == 48_200 and run.out == ROOT / "data" / "runs" / "laptop-seed-48200"
    for wrong in ("-1", "two", "1.5"):
        monkeypatch.setenv("SEED", wrong)
        with pytest.raises(ValueError, match=f"SEED is '{wrong}'; choose a whole number from 0 to 1,000,000"):
            from_environment()
    assert choose("laptop") == choose("laptop", seed=0), "the default is no other run"


def test_where_results_go(tmp_path):
    assert choose("smoke").out == ROOT / "data" / "runs" / "smoke"
    assert choose("smoke", str(tmp_path / "conll")).out == ROOT / "data" / "runs" / "smoke-conll"
    assert choose("smoke", out=tmp_path / "a" / ".." / "b").out == tmp_path / "b"
    assert choose("smoke", out="here").out.is_absolute()  # notebooks run in another folder


def test_settings_cannot_be_changed_and_can_be_keys():
    settings = choose("smoke")
    with pytest.raises(FrozenInstanceError):
        settings.corpus = "other"
    assert hash(settings) == hash(choose("smoke"))


@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_every_scale_is_consistent(scale):
    assert SCALES[scale.name] is scale
    assert list(scale.tokens) == sorted(set(scale.tokens))
    assert scale.core_sentences in scale.labelled_sentences
    assert max(scale.labelled_sentences) <= scale.world.train
    assert scale.model.hidden_size % scale.model.heads == 0
    assert scale.replicates >= 1 and scale.subsets >= 1 and scale.minutes > 0
    assert scale.arms == ("none", "token", "whole_word", "span")
    # More than the warm-up, in the smallest budget too.
    assert scale.pretraining.warmup_tokens < (1 - scale.pretraining.cooldown) * scale.tokens[0]


def test_versions_are_those_installed():
    line = versions()
    assert "\n" not in line and line.startswith("Python 3.")
    for package in ("torch", "transformers", "datasets", "seqeval", "numpy", "pandas", "matplotlib"):
        assert f"{package} {version(package)}" in line


def test_the_world_has_no_columns():
    with pytest.raises(ValueError, match="the built-in world has no columns: leave TAG_COLUMNS out"):
        choose("smoke", columns="word=2,tag=3")


def test_text_is_a_list_whatever_its_files_are_called(monkeypatch, tmp_path):
    monkeypatch.setenv("CORPUS", str(tmp_path))
    awkward = tmp_path / "[10:30] news; all.txt"
    awkward.touch()
    for value, expected in (
        (json.dumps(["a.txt", "10:30.txt"]), ("a.txt", "10:30.txt")),
        (os.pathsep.join(["a.txt", "b.txt"]), ("a.txt", "b.txt")),
        (str(awkward), (str(awkward),)),
        ("[odd", ("[odd",)),
    ):
        monkeypatch.setenv("TEXT", value)
        assert from_environment().text == expected


def test_sets_of_the_hub_are_no_paths(monkeypatch):
    corpus, text = "hub:lab/people:fine", "hub:lab/stories::story"
    monkeypatch.setenv("CORPUS", corpus)
    monkeypatch.setenv("TEXT", text)
    chosen = from_environment()
    assert (chosen.corpus, chosen.text, chosen.corpus_name) == (corpus, (text,), "people-fine")
    assert chosen.out.name == "laptop-people-fine"
    assert chosen.variables()["CORPUS"] == corpus and json.loads(chosen.variables()["TEXT"]) == [text]
    monkeypatch.setenv("TEXT", json.dumps(["news.txt", text]))
    assert from_environment().text == ("news.txt", text)
    monkeypatch.setenv("TEXT", os.pathsep.join(["news.txt", text]))
    with pytest.raises(ValueError, match="as a JSON list"):
        from_environment()


def test_real_stands_for_a_corpus_and_its_text():
    corpus, text = PRESETS["real"]
    assert (choose(corpus="real").corpus, choose(corpus="real").text) == (corpus, (text,))
    assert choose(corpus="real", text=("own.txt",)).text == ("own.txt",)
    assert choose(corpus="real").out.name == "laptop-few-nerd-supervised"


def test_variables_give_the_same_settings(monkeypatch, tmp_path):
    chosen = choose(
        "smoke",
        str(tmp_path / "mine"),
        (str(tmp_path / "10:30.txt"),),
        tmp_path / "out",
        seed=7,
        columns="word=2,tag=3",
        model="someone/tiny",
    )
    for name, value in chosen.variables().items():
        monkeypatch.setenv(name, value)
    assert from_environment() == chosen and set(chosen.variables()) == set(VARIABLES)


def test_a_model_of_one_s_own_brings_another_recipe_and_no_model_none(monkeypatch, tmp_path):
    own = choose("laptop", model="someone/tiny")
    assert own.out.name == "laptop-tiny" and own.model_name == "someone/tiny"
    assert own.scale.arms == ("as_it_came", "token", "whole_word", "span")
    assert own.scale.pretraining.warmup_tokens == round(0.06 * own.scale.tokens[-1])
    assert (own.scale.pretraining.learning_rate, own.scale.model.length) == (1e-4, 128)
    assert (own.scale.finetuning.learning_rate, own.scale.finetuning.steps) == (5e-4, 600)
    assert own.scale.labelled_sentences == (100, 500, "all") and own.scale.minutes == 60
    small = choose("smoke", model="someone/tiny").scale
    assert (small.labelled_sentences, small.finetuning.steps, small.minutes) == ((20, 40), 100, 3)
    assert choose("laptop").scale == SCALES["laptop"] and choose("laptop").model == ""
    assert choose("laptop").model_name == choose("laptop").variables()["MODEL"] == ""
    monkeypatch.setenv("MODEL", "someone/tiny@v1")
    assert (
        from_environment().model_name == "someone/tiny" and from_environment(model="other").model == "other"
    )
    (tmp_path / "mine").mkdir()
    assert choose("smoke", model=str(tmp_path / "mine")).model_name == "mine"
    assert continued(SCALES["laptop"], (10_000,)).tokens == (10_000,)


@pytest.mark.parametrize("corpus", ["mine", "hub:lab/people", "real"])
def test_real_text_has_a_recipe_of_its_own(corpus):
    scale, of_world = choose("laptop", corpus).scale, SCALES["laptop"]
    assert scale == real(of_world) and scale != of_world
    assert (scale.model.length, scale.model.vocabulary_size) == (128, 8_192)
    assert scale.model.initializer_range == pytest.approx(0.02 * (768 / 128) ** 0.5, abs=5e-4)
    assert scale.labelled_sentences == (100, 500, "all") and scale.core_sentences == 100
    until, short = zip(*scale.pretraining.short_rows, strict=True)
    assert until[-1] == 2_000_000 and all(128 % length == 0 for length in short)
    # The smaller budget sees full rows before it cools, and the text lasts for a pass at 4/3 tokens a word.
    assert until[-1] < 0.85 * scale.tokens[0] and scale.words * 4 / 3 == pytest.approx(scale.tokens[-1])
    assert real(scale) == scale, "and it is the same when it is applied twice"


def test_the_world_and_a_model_of_one_s_own_keep_theirs():
    for name, scale in SCALES.items():
        assert choose(name).scale is scale
        assert choose(name, "mine", model="someone/tiny").scale == continued(scale)


def test_budgets_and_width_decide_the_rest_of_real_text_s_recipe():
    wide = replace(SCALES["gpu"], model=replace(SCALES["gpu"].model, hidden_size=256))
    assert real(wide).model.initializer_range == pytest.approx(0.02 * 3**0.5, abs=5e-4)
    assert real(wide, (300_000_000,)).tokens == (300_000_000,)
    assert real(wide, (300_000_000,)).words == 225_000_000


def test_smoke_stays_small_on_real_text():
    small = replace(SCALES["smoke"].model, vocabulary_size=1_500)
    assert choose("smoke", "mine").scale == replace(SCALES["smoke"], model=small)


def test_processors_are_those_that_this_process_may_use():
    """`os.cpu_count()` counts those of the machine. (Quotas of containers are joblib's business.)"""
    if not hasattr(os, "sched_setaffinity"):  # macOS and Windows have no affinity
        assert 1 <= processors() <= os.cpu_count()
        return
    one = sorted(os.sched_getaffinity(0))[0]
    code = f"import os; os.sched_setaffinity(0, [{one}]); from helpers import settings; "
    code += "print(settings.processors())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
