"""What is packaged and installed: pyproject.toml, constraints.txt, environment.yml, Makefile, README, CI."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import torch
import yaml
from datasets import Dataset
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from transformers import BertConfig, BertForMaskedLM

from helpers import tokenization

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
DEPENDENCIES = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRAS = {
    extra: [Requirement(line) for line in lines] for extra, lines in PROJECT["optional-dependencies"].items()
}
NEEDS = [*DEPENDENCIES, *(need for needs in EXTRAS.values() for need in needs)]
# What is installed for four targets of make.
SETS = {
    "run": "lab",
    "coursework": "lab,coursework",
    "book": "lab,book",
    "check": "lab,test,browser,coursework,cluster,book",
}
KNOWN = packages_distributions()  # module -> the names under which the package index has it


def names(needs: list[Requirement]) -> set[str]:
    return {canonicalize_name(need.name) for need in needs}


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
    missing = names(DEPENDENCIES) - set(colab)
    assert missing == {"seqeval", "filelock", "joblib"}  # the last two come with torch and scikit-learn


def test_conda_takes_its_packages_from_pyproject():
    *conda, pip = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    python, installer = map(Requirement, conda)
    assert (python.name, installer.name) == ("python", "pip")
    assert str(python.specifier) == ",".join(sorted(PROJECT["requires-python"].split(",")))
    assert pip == {"pip": ["-c constraints.txt", "-e .[lab]"]}


def test_what_runs_the_series_brings_no_test_tools():
    tools = {extra: names(needs) for extra, needs in EXTRAS.items() if extra != "lab"}
    assert set(tools) == {"test", "browser", "coursework", "cluster", "book"}
    assert not names([*DEPENDENCIES, *EXTRAS["lab"]]) & set.union(*tools.values())
    assert len(set.union(*tools.values())) == sum(map(len, tools.values())), "each has one place"
    assert {"pytest", "ruff", "mypy"} <= tools["test"] and "playwright" in tools["browser"]


def dry_run(folder: Path, target: str) -> str:
    """What make would do in a folder with the project's files, on a machine whose Python works."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        if not (folder / name).exists():
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return subprocess.run(
        ["make", "-n", target], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize(
    ("target", "needed"),
    [("run", "run"), ("lab", "run"), ("coursework", "coursework"), ("book", "book")]
    + [(target, "check") for target in ("check", "test", "test-all", "test-browser", "mutants", "bench")],
)
def test_make_installs_what_a_target_needs(target, needed, tmp_path):
    assert f'-c constraints.txt -e ".[{SETS[needed]}]"' in dry_run(tmp_path, target)


@pytest.mark.parametrize("installed", SETS)
def test_make_installs_again_only_what_is_missing_or_out_of_date(installed, tmp_path):
    (stamps,) = re.findall(r"^touch (.*)", dry_run(tmp_path, installed), flags=re.MULTILINE)
    (tmp_path / ".venv").mkdir()
    for stamp in stamps.split():
        (tmp_path / stamp).touch()
    included = [
        name for name, extras in SETS.items() if {*extras.split(",")} <= {*SETS[installed].split(",")}
    ]
    for target in SETS:
        assert ("pip install" in dry_run(tmp_path, target)) == (target not in included), target
    later = max(path.stat().st_mtime for path in (tmp_path / ".venv").iterdir()) + 10
    os.utime(tmp_path / "constraints.txt", (later, later))
    assert all("pip install" in dry_run(tmp_path, target) for target in SETS)


def test_the_same_commands_without_make():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for extras in (SETS["run"], SETS["check"]):
        assert f'-c constraints.txt -e ".[{extras}]"' in readme
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "(3, 11) <= sys.version_info < (3, 14)" in makefile
    assert PROJECT["requires-python"] == ">=3.11,<3.14"


# --- what is packaged ---


def test_every_folder_of_helpers_is_a_package_that_is_found():
    (include,) = PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    folders = {path.parent for path in (ROOT / "helpers").rglob("*.py")}
    assert len(folders) >= 4
    for folder in folders:
        assert (folder / "__init__.py").is_file(), f"{folder} is no package, so setuptools leaves it out"
        assert fnmatch(".".join(folder.relative_to(ROOT).parts), include)


def test_every_other_file_of_helpers_is_package_data():
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]["*"]
    others = [
        path
        for path in (ROOT / "helpers").rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    ]
    assert others and not [path for path in others if not any(fnmatch(path.name, one) for one in patterns)]


def imported(path: Path) -> set[str]:
    """The packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relative to itself"
            found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names


def of_the_index(modules: set[str]) -> set[str]:
    """The names under which the package index knows some modules."""
    return {canonicalize_name(name) for module in modules for name in KNOWN.get(module, [module])}


def files(folder: str) -> list:
    paths = sorted((ROOT / folder).rglob("*.py"))
    return [pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in paths]


@pytest.mark.parametrize("path", files("helpers"))
def test_helpers_import_only_what_running_installs(path):
    from_elsewhere = imported(path) - {"helpers", "google"}  # Colab alone has the module google
    assert of_the_index(from_elsewhere) <= names([*DEPENDENCIES, *EXTRAS["lab"]])


@pytest.mark.parametrize("path", files("tests"))
def test_tests_import_only_what_is_declared(path):
    ours = {"helpers", "tests", "google", *(file.stem for file in (ROOT / "tests").rglob("*.py"))}
    with_ipykernel = {"jupyter-client"}
    assert of_the_index(imported(path) - ours) <= names(NEEDS) | with_ipykernel


# --- continuous integration, and a machine that lacks something ---


def test_check_runs_files_that_exist_and_leaves_files_that_exist_out():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    slower = re.search(r"^SLOWER := ((?:.*\\\n)*.*)", makefile, flags=re.MULTILINE)[1]
    left_out = {f"test_{name}.py" for name in slower.replace("\\", "").split()}
    there = {path.name for path in (ROOT / "tests").glob("test_*.py")}
    assert left_out < there
    commands = subprocess.run(["make", "-n", "check"], cwd=ROOT, capture_output=True, text=True).stdout
    assert set(re.findall(r"tests/(test_\w+\.py)", commands)) == there - left_out


def test_the_workflow_installs_every_extra_on_three_systems():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8"))
    job = workflow["jobs"]["tests"]
    matrix = job["strategy"]["matrix"]
    assert len(matrix["os"]) == 3
    assert all(Version(python) in SpecifierSet(PROJECT["requires-python"]) for python in matrix["python"])
    assert any(f'-c constraints.txt -e ".[{SETS["check"]}]"' in step.get("run", "") for step in job["steps"])


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"] and citation["cff-version"] == "1.2.0"
    assert f"\n## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


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
    assert not (tmp_path / ".venv").exists()


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


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text) if not link.startswith("https://")]
    assert links and not [link for link in links if not (ROOT / link).exists()]
