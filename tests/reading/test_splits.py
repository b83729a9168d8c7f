"""Which file is which split: the names of shared tasks, of other people, and names that need a question."""

import pytest

from helpers.reading.files import CorpusError
from helpers.reading.splits import find_splits


@pytest.fixture
def find(tmp_path):
    """Finds the splits among empty files, and returns their names and the notes."""

    def run(*names):
        for name in names:
            (tmp_path / name).touch()
        notes = []
        return {split: path.name for split, path in find_splits(tmp_path, notes).items()}, notes

    return run


@pytest.mark.parametrize("shared_task", ["eng.{}", "esp.{}", "{}.txt", "ned.{}.gz"])
def test_testa_is_dev_and_testb_is_test(find, shared_task):
    names = [shared_task.format(name) for name in ("train", "testa", "testb")]
    found, [note] = find(*names)
    assert found == dict(zip(("train", "dev", "test"), names, strict=True))
    assert note.startswith(f"{names[1]} as dev and {names[2]} as test: so CoNLL-2002 and -2003 name")


def test_testa_alone_is_no_test_file(find):
    with pytest.raises(CorpusError, match="no test file"):
        find("eng.train", "eng.testa")


@pytest.mark.parametrize("dev", ["devel.tsv", "development.conll", "x_val.txt", "a-valid.bio", "dev.jsonl"])
def test_other_names_of_dev(find, dev):
    assert find("train.txt", "test.txt", "evaluation.md", "interval.csv", dev) == (
        {"train": "train.txt", "dev": dev, "test": "test.txt"},
        [],
    )


@pytest.mark.parametrize(
    ("names", "train"),
    [
        (["train.txt", "train.csv"], "train.txt"),  # the usual endings first
        (["train.json", "my-train.conll"], "train.json"),  # then the name alone
        (["ner-train.conll", "strain.conll"], "ner-train.conll"),  # then a word of the name
        (["wnuttrain.conll"], "wnuttrain.conll"),  # then a part of it
        (["train.conll.xz"], "train.conll.xz"),
    ],
)
def test_the_better_name_wins(find, names, train):
    assert find(*names, "test.txt")[0] == {"train": train, "test": "test.txt"}


def test_a_word_of_a_name_is_no_part_of_another(find):
    found, _ = find("ner-train.tsv", "ner-test.tsv", "latest.tsv", "contest.tsv")
    assert found == {"train": "ner-train.tsv", "test": "ner-test.tsv"}


def test_train_and_dev_in_one_are_left_out_beside_both(find):
    found, [note] = find("train.tsv", "train_dev.tsv", "devel.tsv", "test.tsv")
    assert found == {"train": "train.tsv", "dev": "devel.tsv", "test": "test.tsv"}
    assert note == "train_dev.tsv is not read: it holds train and dev together, train.tsv and devel.tsv."


def test_train_and_dev_in_one_serve_as_train(find):
    found, [note] = find("train_dev.tsv", "test.tsv")
    assert found == {"train": "train_dev.tsv", "test": "test.tsv"}
    assert note == "train_dev.tsv, train and dev together, is read as train."


@pytest.mark.parametrize(
    ("beside", "remedy"),
    [("train.tsv", "rename it to dev.txt; in the second move it away"), ("devel.tsv", "move devel.tsv away")],
)
def test_train_and_dev_in_one_beside_one_of_them_need_a_decision(find, beside, remedy):
    with pytest.raises(CorpusError, match=rf"train_dev.tsv .*{remedy}"):
        find("train_dev.tsv", "test.tsv", beside)


@pytest.mark.parametrize(
    ("others", "role"), [(["dev.txt", "test.txt"], None), (["dev.txt"], "test"), (["test.txt"], "dev")]
)
@pytest.mark.parametrize("devtest", ["devtest.txt", "dev_test.conll"])
def test_a_second_dev_set(find, others, role, devtest):
    found, [note] = find("train.txt", devtest, *others)
    assert (devtest in found.values()) == bool(role)
    assert found.get(role) == (devtest if role else None)
    assert note.startswith(
        f"{devtest} is read as {role}" if role else f"{devtest} is not read: dev.txt is the"
    )


@pytest.mark.parametrize("names", [["dev.txt", "valid.txt"], ["a.dev", "b.devel"], ["eng.testa", "eng.dev"]])
def test_two_files_for_dev(find, names):
    with pytest.raises(CorpusError, match=f"{names[0]} and {names[1]}|{names[1]} and {names[0]}") as error:
        find("train.txt", "test.txt", *names)
    assert "both match the dev split" in str(error.value) and "dev.txt wins" in str(error.value)


def test_a_folder_of_folders(tmp_path):
    (tmp_path / "politics").mkdir()
    with pytest.raises(CorpusError, match="holds nothing. Name one of its folders instead, such as politics"):
        find_splits(tmp_path, [])


def test_a_name_that_only_holds_a_split_s_is_no_dev_file_and_gets_a_note(find):
    found, notes = find("train.conll", "latest.conll", "invalid.conll", "devices.conll")
    assert found == {"train": "train.conll", "test": "latest.conll"}
    assert notes == ["latest.conll is read as test: its name alone holds that."]
