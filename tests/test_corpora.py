"""Corpora: files of a folder, tag schemes, text, and the errors that bad input gets."""

import gzip
import hashlib
import json
import lzma
import os
import shutil
import subprocess
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, Entities

from helpers import corpora
from helpers.corpora import CorpusError, files, load
from helpers.settings import ROOT, WorldSettings

TRAIN = "Anna\tB-PER\nKarenina\tI-PER\nread\tO\n\nRome\tB-LOC\nfell\tO\n"
DEV = "Bruno\tB-PER\nslept\tO\n"
TEST = "Oslo\tB-LOC\nwoke\tO\n"


@pytest.fixture
def folder(tmp_path):
    """Writes files, given as text or bytes, and returns their folder."""

    def write(others=(), **splits):
        contents = {"train": TRAIN, "dev": DEV, "test": TEST} | splits
        named = {f"{split}.txt": content for split, content in contents.items() if content is not None}
        for name, content in (named | dict(others)).items():
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return write


def sentences(corpus, split="train"):
    return [list(zip(words, tags, strict=True)) for words, tags in corpus.splits[split]]


def tags(corpus, split="train"):
    return [[tag for _, tag in sentence] for sentence in sentences(corpus, split)]


# What is read


def test_a_folder_becomes_three_splits(folder):
    corpus = load(folder())
    assert list(corpus.splits) == ["train", "dev", "test"]
    assert corpus.types == ("LOC", "PER")
    assert corpus.tag_names == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert corpus.splits["train"][1] == (["Rome", "fell"], ["B-LOC", "O"])
    assert sentences(corpus) == [
        [("Anna", "B-PER"), ("Karenina", "I-PER"), ("read", "O")],
        [("Rome", "B-LOC"), ("fell", "O")],
    ]
    assert sentences(corpus, "dev") == [[("Bruno", "B-PER"), ("slept", "O")]]
    assert corpus.text == ["Anna Karenina read", "Rome fell"]
    assert corpus.notes == ["No unlabelled text was given: the words of train.txt serve for pre-training."]


def test_provenance_names_files_without_their_place_and_follows_the_content(folder):
    path = folder()
    first = load(path).provenance
    assert first["corpus"] == path.name
    assert first["files"] == {"train": "train.txt", "dev": "dev.txt", "test": "test.txt"}
    assert str(path) not in repr(first)
    assert load(path).provenance == first
    assert first["sha256"]["text"] == hashlib.sha256(b"Anna Karenina read\nRome fell\n").hexdigest()
    second = load(folder(test=TEST.replace("Oslo", "Bonn"))).provenance
    changed = {part for part in first["sha256"] if first["sha256"][part] != second["sha256"][part]}
    assert changed == {"test"}


@pytest.mark.parametrize(
    "train",
    [
        TRAIN,
        TRAIN.replace("\n", "\r\n"),
        TRAIN.replace("\t", " "),
        TRAIN.replace("\t", "   "),
        "\ufeff" + TRAIN,
        TRAIN.replace("\n\n", "\n \t\n\n\n"),
        TRAIN.rstrip("\n"),
        "-DOCSTART- -X- O O\n\n" + TRAIN,
        "-DOCSTART-\n" + TRAIN.replace("\n\n", "\n-DOCSTART-\tO\n"),
        "# id = 1\n" + TRAIN.replace("\n\n", "\n\n# text = Rome fell\n"),
        "# two columns\n#\n" + TRAIN,
        TRAIN.replace("\t", "\tNN\t_\t"),
        TRAIN.replace("\t", " NN B-NP "),
    ],
)
def test_ways_to_write_the_same_file(folder, train):
    corpus = load(folder(train=train))
    assert sentences(corpus) == sentences(load(folder(train=TRAIN)))
    assert not any("Warning" in note or "converted" in note for note in corpus.notes)


@pytest.mark.parametrize("blank", ["\t", " "])
def test_a_hash_that_has_a_tag_is_a_word(folder, blank):
    train = f"# a comment O\n#{blank}O\n#nerd{blank}B-PER\n# O B-PER\nAnna{blank}B-PER\n#{blank}I-PER\n# 2\n"
    corpus = load(folder(train=train))
    assert sentences(corpus) == [[("#", "O"), ("#nerd", "B-PER"), ("Anna", "B-PER"), ("#", "I-PER")]]


def test_unusual_white_space_is_a_word_or_part_of_one(folder):
    corpus = load(folder(train="a\u2028b\tO\n\u00a0\tO\nAnna\u0085\tB-PER\n"))
    assert sentences(corpus) == [[("a\u2028b", "O"), ("\u00a0", "O"), ("Anna\u0085", "B-PER")]]


@pytest.mark.parametrize(
    ("train", "dev", "test"),
    [
        ("train.txt", "dev.txt", "test.txt"),
        ("train.conll", "valid.conll", "test.conll"),
        ("train.bio", "validation.bio", "test.bio"),
        ("TRAIN.TSV", "Dev.tsv", "Test.tsv"),
        ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"),
        ("flat.train.bio", "flat.dev.bio", "flat.test.bio"),
    ],
)
def test_names_that_are_found(folder, train, dev, test):
    path = folder({train: TRAIN, dev: DEV, test: TEST}, train=None, dev=None, test=None)
    assert load(path).provenance["files"] == {"train": train, "dev": dev, "test": test}


def test_an_exact_name_wins_over_one_that_holds_it(folder):
    path = folder(
        {"train.md": "notes", "my-train.conll": TRAIN, "latest.csv": "", ".test.swp": "", "readme": ""}
    )
    assert load(path).provenance["files"]["train"] == "train.txt"
    assert load(path).provenance["files"]["test"] == "test.txt"


# Tag schemes


def test_broken_iob2_is_mended_with_a_warning(folder):
    corpus = load(folder(train="a\tB-A\nb\tO\nc\tI-A\n\nd\tB-A\ne\tI-B\n"))
    assert tags(corpus) == [["B-A", "O", "B-A"], ["B-A", "B-B"]]
    warning = "Warning: train.txt: 2 entities lack their first tag (the first at line 3)"
    assert any(note.startswith(warning) for note in corpus.notes)
    assert not any("converted" in note for note in corpus.notes)


@st.composite
def entity_sentences(draw):
    """Chunks (type or None for words outside, length) of one sentence."""
    return draw(
        st.lists(st.tuples(st.sampled_from([None, "A", "B"]), st.integers(1, 4)), min_size=1, max_size=6)
    )


def write_tags(chunks, scheme):
    written, before = [], None
    for kind, length in chunks:
        if kind is None:
            written += ["O"] * length
        elif scheme == "IOB1":
            written += [("B-" if before == kind else "I-") + kind] + [f"I-{kind}"] * (length - 1)
        elif scheme == "IOB2":
            written += [f"B-{kind}"] + [f"I-{kind}"] * (length - 1)
        else:
            end, single = ("E", "S") if scheme == "BIOES" else ("L", "U")
            inside = [f"I-{kind}"] * (length - 2)
            written += [f"{single}-{kind}"] if length == 1 else [f"B-{kind}", *inside, f"{end}-{kind}"]
        before = kind
    return written


SEQEVAL = {"IOB1": IOB1, "IOB2": IOB2, "BIOES": IOBES, "BILOU": BILOU}


@given(chunks=entity_sentences(), scheme=st.sampled_from(sorted(SEQEVAL)))
def test_conversion_keeps_the_entities_that_seqeval_reads(tmp_path_factory, chunks, scheme):
    written = write_tags(chunks, scheme)
    assume(any(kind for kind, _ in chunks))  # a split without entities is refused
    path = tmp_path_factory.mktemp("corpus")
    for split, content in (
        ("train", "".join(f"w\t{tag}\n" for tag in written)),
        ("dev", DEV),
        ("test", TEST),
    ):
        (path / f"{split}.txt").write_text(content)
    [(_, converted)] = load(path).splits["train"]
    read = Entities([written], SEQEVAL[scheme]).entities
    assert Entities([converted], IOB2).entities == read
    assert len(read[0]) == sum(kind is not None for kind, _ in chunks)


def test_columns_that_the_user_chooses(folder):
    lines = "1\tAnna\tB-PER\tB-X\n2\tread\tO\tO\n"
    path = folder(train=lines, dev=lines.replace("Anna", "Bo"), test=lines.replace("Anna", "Cy"))
    with pytest.raises(CorpusError, match="--columns word=1,tag=3"):
        load(path)
    assert sentences(load(path, columns="word=2,tag=3")) == [[("Anna", "B-PER"), ("read", "O")]]
    with pytest.raises(CorpusError, match="The built-in world has no columns to choose"):
        load("world", columns="word=2,tag=3")


def test_blank_words_leave_no_gap_in_the_text(folder):
    corpus = load(folder(train="Anna\tB-PER\n \tI-PER\nKim\tI-PER\n"))
    assert sentences(corpus) == [[("Anna", "B-PER"), (" ", "I-PER"), ("Kim", "I-PER")]]
    assert corpus.text == ["Anna Kim"]


def test_without_empty_lines_nothing_can_be_held_out(folder):
    with pytest.raises(CorpusError, match="too few to hold some out. .* an empty line ends each sentence"):
        load(folder(train="Anna\tB-PER\nread\tO\n" * 50, dev=None))


# Dev, overlaps, text


def test_without_a_dev_file_every_tenth_training_sentence_is_held_out(folder):
    train = "".join(f"Anna{k}\tB-PER\nread\tO\n\n" for k in range(25))
    corpus = load(folder(train=train, dev=None))
    assert [sentence[0][0] for sentence in sentences(corpus, "dev")] == ["Anna9", "Anna19"]
    assert len(corpus.splits["train"]) == 23
    assert "No dev file: every tenth sentence of train.txt (2 of 25) is held out." in corpus.notes
    assert len(corpus.text) == 23 and "Anna9 read" not in corpus.text


def test_test_sentences_in_train_are_counted_and_leave_the_text(folder):
    corpus = load(folder(test=TEST + "\nRome\tB-LOC\nfell\tO\n\nRome\tO\nfell\tO\n"))
    assert any(note.startswith("Warning: 2 of 3 test sentences also stand in train") for note in corpus.notes)
    assert corpus.text == ["Anna Karenina read"]
    assert "1 lines of the text are dev or test sentences and were dropped." in corpus.notes
    assert len(corpus.splits["train"]) == 2


def test_text_of_ones_own(folder, tmp_path):
    path = folder(test="Oslo\tB-LOC\nwoke\tO\n.\tO\n")
    plain, packed, squeezed = (tmp_path / name for name in ("a.TXT", "b.gz", "c.xz"))
    plain.write_bytes("\ufeffErste Zeile.\r\n\r\n  zweite\u2028Zeile \n".encode())
    packed.write_bytes(gzip.compress(b"Oslo woke.\nOslo woke twice."))
    squeezed.write_bytes(lzma.compress("naïve\n".encode()))
    corpus = load(path, text=[plain, str(packed), squeezed])
    assert corpus.text == ["Erste Zeile.", "zweite\u2028Zeile", "Oslo woke twice.", "naïve"]
    assert corpus.provenance["text"] == ["a.TXT", "b.gz", "c.xz"]
    assert corpus.notes == ["1 lines of the text are dev or test sentences and were dropped."]
    assert load(path, text=plain).text == load(path, text=(str(plain),)).text == corpus.text[:2]


def test_reading_stops_at_the_wanted_number_of_words(folder, tmp_path):
    texts = [tmp_path / "a.raw", tmp_path / "b.raw"]
    for file in texts:
        file.write_text("one two\nthree four five\n\nsix\n\n")
    note = "Unlabelled text was read up to 5 words, in a.raw; the rest is not used."
    corpus = load(folder(), texts, words=4)
    assert corpus.text == ["one two", "three four five"] and note in corpus.notes
    for enough in (12, None):
        corpus = load(folder(), texts, words=enough)
        assert len(corpus.text) == 6 and not any("read up to" in note for note in corpus.notes)


# Which files are read


def test_the_files_that_are_read_are_listed_and_no_others(folder, tmp_path):
    path = folder({"my-train.conll": TRAIN, ".DS_Store": "", "README.md": "", "more.txt": "one\n"})
    splits = [path / "train.txt", path / "dev.txt", path / "test.txt"]
    assert files(path) == files(str(path), None) == splits
    assert files(path, path / "more.txt") == [*splits, path / "more.txt"]
    assert files(path, [str(path / "more.txt"), path / "README.md"]) == [
        *splits,
        path / "more.txt",
        path / "README.md",
    ]
    (path / "dev.txt").unlink()
    assert files(path) == [splits[0], splits[2]]


def test_the_world_consists_of_four_files():
    names = ("names.txt", "sentences.txt", "syllables.txt", "words.txt")
    assert files("world") == [ROOT / "data" / "world" / name for name in names]
    assert {file.name for file in (ROOT / "data" / "world").glob("*.txt")} == set(names)


@pytest.mark.parametrize("missing", ["folder", "split", "text"])
def test_what_is_missing_is_refused_as_in_loading(folder, tmp_path, missing):
    path = folder(test=None if missing == "split" else TEST)
    arguments = (
        path / "nowhere" if missing == "folder" else path,
        path / "no.txt" if missing == "text" else (),
    )
    with pytest.raises(CorpusError) as listing:
        files(*arguments)
    with pytest.raises(CorpusError) as loading:
        load(*arguments)
    assert str(listing.value) == str(loading.value)
    if missing == "text":
        assert str(listing.value) == f"{path / 'no.txt'}: no such file. Check the path."


def test_the_world_has_no_text_of_ones_own(tmp_path):
    with pytest.raises(CorpusError, match="brings its own text"):
        files("world", tmp_path / "a.txt")


# A locale that is not UTF-8

LOADING = """
import json, sys
from helpers.corpora import CorpusError, files, load
from helpers.settings import ROOT, WorldSettings

folder, text = sys.argv[1:]
world = load("world", world=WorldSettings(sentences=300, train=30, dev=20, test=30))
own = load(folder, text)
told = [world.provenance, own.text, own.splits, own.provenance, own.notes, len(files(folder, text))]
for bad in ((folder + "/none",), (folder, text + ".none"), (ROOT,)):
    try:
        load(*bad)
    except CorpusError as error:
        told.append(str(error))
with open("data/told.json", "w", encoding="utf-8") as file:
    json.dump([sys.getfilesystemencoding(), told], file, ensure_ascii=False)
"""


def test_paths_may_have_any_letters_where_the_locale_is_not_utf_8(tmp_path):
    project = tmp_path / "Übungen für é"
    for name in ("helpers", "data/world"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    corpus = project / "größer"
    corpus.mkdir()
    contents = {"train.txt": TRAIN, "dev.txt": DEV, "test-ü.bio": TEST, "wörter.raw": "naïve\n"}
    for name, content in contents.items():
        (corpus / name).write_text(content, encoding="utf-8")
    told = []
    for locale in ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONUTF8": "1"}):
        subprocess.run(
            [sys.executable, "-c", LOADING, "größer", "größer/wörter.raw"],
            env={**os.environ, "PYTHONPATH": str(project), **locale},
            cwd=project,
            check=True,
        )
        told.append(json.loads((project / "data" / "told.json").read_text(encoding="utf-8")))
    (first, in_ascii), (second, in_utf_8) = told
    assert (first, second) == ("ascii", "utf-8")
    assert in_ascii == in_utf_8 and len(in_ascii) == 9
    assert in_ascii[3]["corpus"] == "größer" and in_ascii[3]["text"] == ["wörter.raw"]


# Bad input


def test_unknown_corpus_says_what_is_accepted():
    with pytest.raises(CorpusError, match='atlantis: no such folder. A corpus is "world" or a folder'):
        load("atlantis")


def test_missing_files_are_named(folder):
    with pytest.raises(
        CorpusError, match=r"no train file. Looked for train.bio, .* folder holds dev.txt, test.txt"
    ):
        load(folder(train=None))


def test_a_missing_test_file_in_an_empty_folder(tmp_path):
    with pytest.raises(CorpusError, match="the folder holds nothing"):
        load(tmp_path)
    (tmp_path / "train.txt").write_text(TRAIN)
    with pytest.raises(
        CorpusError, match=r"no test file. Looked for test.bio, .* the folder holds train.txt"
    ):
        load(tmp_path)


@pytest.mark.parametrize("extra", ["train.conll", "valid.txt", "Test.tsv"])
def test_two_files_for_one_split(folder, extra):
    with pytest.raises(CorpusError, match=rf"{extra}.* both match|and {extra} both match"):
        load(folder({extra: TRAIN}))


def test_one_file_for_two_splits(folder):
    path = folder({"train-and-test.txt": TRAIN}, train=None, dev=None, test=None)
    with pytest.raises(CorpusError, match="one file matches two splits"):
        load(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"word", "one column ('word')"),
        (b"word\t", "no tag, the field is empty"),
        (b"word\tPER", "unknown tag 'PER'"),
        (b"word\tX-PER", "unknown tag 'X-PER'"),
        (b"word\tB-", "unknown tag 'B-'"),
        (b"word\t0", "unknown tag '0'"),
        (b"caf\xe9\tO", "not UTF-8 (byte 0xe9 at position 4)"),
    ],
)
def test_a_bad_line_is_named(folder, line, message):
    for split in ("train", "dev", "test"):
        path = folder(**{split: TRAIN.encode() + b"# comment\n\n" + line + b"\nmore\tO\n"})
        with pytest.raises(CorpusError) as error:
            load(path)
        assert str(error.value).startswith(f"{path / split}.txt:9: {message}")
        folder()  # whole again


@pytest.mark.parametrize("content", ["", "\n\n", "# only a comment\n", "-DOCSTART- O\n"])
def test_an_empty_split(folder, content):
    with pytest.raises(CorpusError, match="test.txt: the file holds no sentences"):
        load(folder(test=content))


def test_a_split_without_entities(folder):
    with pytest.raises(CorpusError, match="dev.txt: the dev split has no entities"):
        load(folder(dev="a\tO\n"))


def test_held_out_sentences_without_entities(folder):
    train = "".join(f"Anna\t{'O' if k == 9 else 'B-PER'}\n\n" for k in range(10))
    with pytest.raises(CorpusError, match="train.txt: the dev split has no entities.* or add a dev file"):
        load(folder(train=train, dev=None))


def test_too_few_sentences_to_hold_some_out(folder):
    with pytest.raises(CorpusError, match="2 sentences are too few to hold some out. Add a dev file"):
        load(folder(dev=None))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.txt", b"", "t.txt: the file is empty"),
        ("t.xz", lzma.compress(b"\n \n"), "t.xz: the file is empty"),
        ("t.txt", b"good\n\xff\xfe\n", "t.txt:2: not UTF-8 (byte 0xff at position 1)"),
        ("t.gz", gzip.compress(b"words " * 1000)[:-9], "t.gz: cannot be read"),
        ("t.gz", b"no gzip", "t.gz: cannot be read"),
        ("t.xz", b"no xz", "t.xz: cannot be read"),
        ("t.xz", lzma.compress(b"words " * 1000)[:-9], "t.xz: cannot be read"),
    ],
)
def test_bad_text_files(folder, name, content, message):
    path = folder({name: content})
    with pytest.raises(CorpusError) as error:
        load(path, path / name)
    assert message in str(error.value)


def test_a_missing_text_file(folder):
    with pytest.raises(CorpusError, match="a folder, not a file. Give the files in it"):
        path = folder()
        load(path, path)
    with pytest.raises(CorpusError, match="test_corpora.py: a file, not a folder. A corpus is"):
        load(__file__)
    with pytest.raises(CorpusError, match="nowhere.txt: no such file"):
        load(folder(), "nowhere.txt")


def test_text_that_is_all_test_sentences(folder):
    path = folder({"t.raw": "Oslo woke\nBruno slept\n"})
    with pytest.raises(CorpusError, match="no unlabelled text is left"):
        load(path, path / "t.raw")


# The world

SMALL = WorldSettings(sentences=500, train=40, dev=30, test=60)


def test_the_world_is_a_valid_corpus():
    corpus = load(world=SMALL)
    assert corpus.types == ("EVENT", "LOC", "ORG", "PER", "WORK")
    assert {split: len(rows) for split, rows in corpus.splits.items()} == {"train": 40, "dev": 30, "test": 60}
    assert len(corpus.text) == 500
    assert corpus.notes == []  # nothing converted, dropped or shared between test and train
    assert corpus.provenance["corpus"] == "world" and "seed=0" in corpus.provenance["settings"]
    held_out = {" ".join(words) for split in corpus.splits.values() for words, _ in split}
    assert not held_out & set(corpus.text)


def test_the_world_follows_its_settings():
    same, other = load("world", world=SMALL), load("world", world=WorldSettings(1, 500, 40, 30, 60))
    assert same.provenance == load("world", (), world=SMALL).provenance
    assert same.provenance["sha256"] != other.provenance["sha256"]


def test_the_world_takes_no_text(tmp_path):
    with pytest.raises(CorpusError, match="brings its own text"):
        load("world", tmp_path / "a.txt", world=SMALL)


def test_a_generated_sentence_that_is_not_iob2_is_refused(monkeypatch):
    good = (["Anna"], ["B-PER"])
    for bad in ((["Anna", "K"], ["B-PER", "I-LOC"]), (["Anna"], ["I-PER"]), (["Anna", "K"], ["B-PER"])):
        made = corpora.invented.World(text=["a"], train=[good, bad], dev=[good], test=[good])
        monkeypatch.setattr(corpora.invented, "generate", lambda settings, made=made: made)
        with pytest.raises(CorpusError, match="sentence 2 of train is not IOB2"):
            load("world")


# What looks right and is not


@pytest.mark.parametrize("comment", ["# sent_id = s-1", "# id: w_1 x", "# S-1 N N", "# text = Anna B-PER"])
def test_a_comment_whose_fields_look_like_tags_is_no_word(folder, comment):
    train = f"{comment}\nAnna NNP B-NP B-PER\nreads VB B-VP O\nBooks NN B-NP O\n"
    corpus = load(folder(train=train, dev=train.replace("Anna", "Cy"), test=train.replace("Anna", "Bo")))
    assert corpus.types == ("PER",)
    assert corpus.splits["train"] == [(["Anna", "reads", "Books"], ["B-PER", "O", "O"])]


def test_types_that_train_does_not_have_are_named(folder):
    corpus = load(folder(test="Oslo\tB-LOCATION\nand\tO\nRome\tB-LOC\n"))
    assert (
        "Warning: 1 of 2 mentions in test are of types that train does not have ('LOCATION'), and cannot be "
        "found. Train has 'LOC', 'PER'."
    ) in corpus.notes
    assert not any("types that train" in note for note in load(folder()).notes)


@pytest.mark.parametrize(
    "text",
    [
        "word tag\nOslo B-LOC\nwoke O\nup O\n" + "and O\n" * 9,
        "# c\nOslo B_LOC\nwoke O\nup O\n" + "and O\n" * 9,
        "B-LOC Oslo\nO woke\nO up\n" + "O and\n" * 9,
        "Oslo b-loc\nwoke o\nup o\n" + "and o\n" * 9,
    ],
)
def test_labelled_lines_are_no_text(folder, tmp_path, text):
    (tmp_path / "text").write_text(text)
    with pytest.raises(CorpusError, match="words with their tags"):
        load(folder(), tmp_path / "text")


def test_half_an_emoji_in_json_is_named(folder):
    line = '{"tokens": ["Anna", "\\ud83d"], "ner_tags": ["B-PER", "O"]}\n'
    where = folder(others={"train.jsonl": line}, train=None)
    with pytest.raises(CorpusError, match=r"train.jsonl:1: .* holds the character '\\ud83d'"):
        load(where)


def test_of_a_text_in_one_line_only_the_held_out_sentences_are_lost(folder, tmp_path):
    others = [f"The ship number {n} carried tea to harbour {n} on that day." for n in range(300)]
    held_out = "Oslo woke early that day and nobody came to see."
    (tmp_path / "text").write_text(" ".join([*others[:150], held_out, *others[150:]]))
    test = "".join(f"{word}\t{'B-LOC' if word == 'Oslo' else 'O'}\n" for word in held_out[:-1].split())
    corpus = load(folder(test=test + ".\tO\n"), tmp_path / "text")
    assert corpus.text == others
