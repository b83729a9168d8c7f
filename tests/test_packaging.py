"""pyproject.toml, constraints.txt, environment.yml, Colab, Makefile and README agree with each other."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import yaml
from datasets import Dataset
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from transformers import BertConfig, BertForMaskedLM

from helpers import tokenization

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
NEEDS = [Requirement(need) for need in [*PROJECT["dependencies"], *EXTRAS["lab"], *EXTRAS["test"]]]


def pins(path: Path) -> dict[str, Version]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    pairs = [line.split("==") for line in lines]
    return {canonicalize_name(name): Version(version) for name, version in pairs}


@pytest.mark.parametrize("need", NEEDS, ids=str)
def test_each_dependency_has_a_tested_version_in_its_range(need):
    tested = pins(ROOT / "constraints.txt")
    assert tested[canonicalize_name(need.name)] in need.specifier


def test_tested_versions_install_everywhere():
    """A local version such as 2.13.0+cpu exists on one index only."""
    assert not [name for name, version in pins(ROOT / "constraints.txt").items() if version.local]


def test_colab_needs_seqeval_only():
    colab = pins(Path(__file__).parent / "colab" / "versions.txt")
    assert "seqeval" not in colab
    for need in NEEDS:
        name = canonicalize_name(need.name)
        assert name not in colab or colab[name] in need.specifier, (
            f"Colab's {name} {colab[name]} is not {need}"
        )
    missing = [n for n in map(Requirement, PROJECT["dependencies"]) if canonicalize_name(n.name) not in colab]
    assert {need.name for need in missing} == {"seqeval", "filelock", "joblib"}  # with torch and scikit-learn


def test_conda_takes_its_packages_from_pyproject():
    *conda, pip = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    python, installer = map(Requirement, conda)
    assert (python.name, installer.name) == ("python", "pip")
    assert str(python.specifier) == ",".join(sorted(PROJECT["requires-python"].split(",")))
    assert pip == {"pip": ["-c constraints.txt", "-e .[lab,test]"]}


def test_make_installs_the_same():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert '-c constraints.txt -e ".[lab,test]"' in makefile
    assert '-c constraints.txt -e ".[lab,test]"' in (ROOT / "README.md").read_text(encoding="utf-8")
    assert (
        "(3, 11) <= sys.version_info < (3, 14)" in makefile and PROJECT["requires-python"] == ">=3.11,<3.14"
    )


def imported(path: Path) -> set[str]:
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    names = set()
    for node in tree:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("path", sorted((ROOT / "helpers").rglob("*.py")), ids=lambda path: path.stem)
def test_helpers_import_only_what_is_declared(path):
    declared = {need.name for need in NEEDS[: len(PROJECT["dependencies"] + EXTRAS["lab"])]}
    declared |= {"google"}  # a module that Colab alone has
    assert imported(path) <= declared | {"helpers"} | sys.stdlib_module_names


def test_continuous_integration_calls_make_test():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert script[-1] == "exec make test"


def test_make_names_the_remedy_where_python_is_too_old(tmp_path):
    old = tmp_path / "python-of-2019"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    made = subprocess.run(["make", "run", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode != 0
    assert "No Python 3.11, 3.12 or 3.13" in made.stderr and "PYTHON=/path/to/python3.12" in made.stderr
    assert not (tmp_path / ".venv" / "installed").exists()


def test_readme_examples_run(capsys, tmp_path, monkeypatch):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    cluster, masking, collator, scoring = examples  # the first one is what tests/test_executors.py does
    compile(cluster, "README.md", "exec")
    exec(masking, shown := {})
    assert shown["masked"].labels.tolist()[0].count(-100) == 5, "half of six tokens are hidden"
    text = ["Anna Berg met Orel in New Torven .", "Nobody came to the house by the river ."] * 10
    tokenizer = tokenization.train(text, 120)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    given = {
        "dataset": Dataset.from_dict({"text": text}),
        "tokenizer": tokenizer,
        "model": BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **shape)),
    }
    before = given["model"].cls.predictions.bias.clone()
    monkeypatch.chdir(tmp_path)  # the Trainer writes into a folder "out"
    exec(collator, given)
    assert not torch.equal(before, given["model"].cls.predictions.bias), "the model was trained"
    exec(scoring, {})
    assert "all" in capsys.readouterr().out


def test_readme_links_lead_somewhere():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", readme) if not link.startswith("https://")]
    assert links and not [link for link in links if not (ROOT / link).exists()]
