"""Unlabelled text: what counts as a word, what is running text, and how much memory a file takes."""

import tracemalloc

import pytest

from helpers import tokenization
from helpers.reading.files import CorpusError
from helpers.reading.text import count_words, read_text


def read(path, content: str, words: int | None = None, notes: list[str] | None = None) -> list[str]:
    path.write_text(content, encoding="utf-8")
    return read_text([path], words, [] if notes is None else notes)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", 0),
        ("Anna's half-way", 2),
        ("国王Anna 读了 2 本书", 8),
        ("カタカナ" * 10, 4),
        ("ก" * 95 + " ข", 9),
    ],
)
def test_words_are_counted_in_any_script(line, words):
    assert count_words(line) == words


def test_ideographs_are_counted_as_bert_splits_them():
    bert = tokenization.train(["a"], 20).backend_tokenizer
    for code in (0x4E00, 0x9FFF, 0x3400, 0x4DBF, 0x20000, 0x2A6DF, 0x2B740, 0xF900, 0x2F800, 0x3042, 0xAC00):
        text = f"a{chr(code)}b"
        split = bert.pre_tokenizer.pre_tokenize_str(bert.normalizer.normalize_str(text))
        assert count_words(text) == len(split), hex(code)


@pytest.mark.parametrize(
    "line",
    ["word " * 300_000, "国" * 300_000, "ก" * 3_000_000, "base64" * 300_000],
    ids=lambda line: line[:2],
)
def test_the_limit_holds_in_any_script_and_inside_a_line(tmp_path, line):
    notes: list[str] = []
    lines = read(tmp_path / "a.txt", line, 10_000, notes)
    assert 10_000 <= sum(map(count_words, lines)) < 30_000
    assert "was read up to" in notes[-1]
    if len(lines) > 1:
        assert "line 1 has more than 20,000 characters" in notes[0]


def test_a_file_of_one_line_takes_little_memory(tmp_path):
    (tmp_path / "a.txt").write_text("word " * 4_000_000)
    tracemalloc.start()
    read_text([tmp_path / "a.txt"], 10_000, [])
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 3_000_000  # of 20,000,000


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.txt", '{"text": "Anna read."}\n{"text": "Bo sat."}\n', "JSON"),
        ("a.txt", '[\n  {\n "text": "Anna read."}]\n', "JSON"),
        ("a.txt", '[{"text": "Anna read."}]', "JSON"),
        ("a.jsonl", '["Anna read."]\n', "JSON"),
        ("a.csv", "Anna read.\n", "a table"),
        ("a.txt", 'id,text\n1,"Anna read, twice."\n', "a table"),
        ("a.txt", '"id";"text"\n1;"Anna read."\n', "a table"),
        ("a.txt", "1\tAnna read.\n2\tBo sat.\n", "a table of 2 columns"),
        ("a.txt", "Anna\tB-PER\nread\tO\n\nBo\tB-PER\n", "words with their tags"),
        ("a.txt", "Anna NN B-PER\nread VB O\n", "words with their tags"),
        ("a.xml", '<?xml version="1.0"?>\n<page>', "XML or HTML"),
        ("a.txt", '["Anna read.",\n"Bo sat."]\n', "JSON"),
        ("a.txt", "{'text': 'Anna read.'}\n", "JSON"),
        ("a.txt", '"Anna read."\n' * 5, "JSON, or a table of one column"),
        ("a.txt", "<p>Anna read.</p>\n<p>Bo sat.</p>\n", "XML or HTML"),
        ("a.txt", '<TEI xmlns="http://www.tei-c.org/ns/1.0">\n', "XML or HTML"),
        ("a.txt", '0,"Anna read, twice."\n1,"Bo sat."\n', "a table, or numbered lines"),
        ("a.txt", "# text = Anna read.\n1\tAnna\t_\n2\tread\t_\n3\t.\t_\n", "a table of 3 columns"),
        ("a.txt", "# Anna read.\nAnna\tB-PER\nread\tO\n", "words with their tags"),
        ("a.txt", "Анна\nread\n" * 50, "one word a line"),
        ("a.txt", '<doc id="12" title="Anna">\nAnna read.\n</doc>', "XML or HTML"),
    ],
)
def test_what_is_no_running_text_is_refused_by_name(tmp_path, name, content, what):
    with pytest.raises(CorpusError, match=rf"{name}: {what}.*, not running text. Write the text alone"):
        read(tmp_path / name, content)


@pytest.mark.parametrize(
    "content",
    [
        "Anna\tread.\n",
        "[1] Anna read.\n",
        "Yes, no, maybe\n",
        "1\tAnna\nread\n",
        "Blood type O\nAnna read\n",
        "{braces}\n",
        '"Read?"\n"Read."\n',
        "<b>Anna</b> read.\nBo sat.\n",
        "# Anna\n",
        "アンナは読んだ。\n" * 100,
        "< 3\n",
    ],
)
def test_running_text_may_look_odd(tmp_path, content):
    assert read(tmp_path / "a.txt", content) == content.splitlines()


def test_characters_that_nobody_sees_are_no_text(tmp_path):
    with pytest.raises(CorpusError, match="the file is empty"):
        read(tmp_path / "a.txt", "\ufeff\u200b\n\u2060\n")


def test_sentences_that_end_like_tags_are_text(tmp_path):
    (tmp_path / "t").write_text("She sent an e-mail\nHe wrote an e-mail\nThey read\n")
    assert read_text([tmp_path / "t"], None, []) == ["She sent an e-mail", "He wrote an e-mail", "They read"]
