"""Formats: columns, blanks as words, CSV, quoted TSV, JSON, and where sentences end."""

import csv
import io
import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.reading.files import CorpusError
from tests.labelled_files import DEV, TEST, read

ANNA = [[("Anna", "B-PER"), ("sees", "O"), (",", "O")], [('"', "O"), ("Oslo", "B-LOC")]]


def rows(sentences):
    return [(number, word, tag) for number, sentence in enumerate(sentences) for word, tag in sentence]


# Blanks as words


@pytest.mark.parametrize(
    "lines",
    [
        "Anna\tB-PER\n \tI-PER\nKim\tI-PER\n",
        "Anna\tB-PER\n\tI-PER\nKim\tI-PER\n",
        "Anna B-PER\n I-PER\nKim I-PER\n",
        "Anna B-PER\n\t I-PER\nKim I-PER\n",
        "Anna\tN\tB-PER\n \tPUNCT\tI-PER\nKim\tN\tI-PER\n",
        "Anna N B-PER\n  PUNCT I-PER\nKim N I-PER\n",
    ],
)
def test_a_blank_is_a_word_if_its_line_has_a_tag(tmp_path, lines):
    sentences, notes = read(tmp_path, lines, DEV, TEST)
    assert sentences == [[("Anna", "B-PER"), (" ", "I-PER"), ("Kim", "I-PER")]]
    assert "train.txt: blank words keep their places and tags (1, the first at line 2)." in notes


def test_a_line_of_blanks_still_ends_a_sentence(tmp_path):
    sentences, _ = read(tmp_path, "Anna\tB-PER\n \t \n\t\n  \nKim\tB-PER\n")
    assert sentences == [[("Anna", "B-PER")], [("Kim", "B-PER")]]


# Rows of another width


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "Anna NNP I-NP I-PER\n1997CD I-NP O\nsees VBZ I-VP O\n",
            ":2: 3 columns ('1997CD I-NP O'), but 2 lines",
        ),
        (
            "Anna\tN\tB-PER\nsees\tO\nit\tP\tO\n",
            ":2: 2 columns ('sees\\tO'), but 2 lines of the file have 3.",
        ),
        ("Anna B-PER\nsees now O\nit O\n", ":2: 3 columns ('sees now O'), but 2 lines"),
        (
            "Anna B-PER\nsees\nit O\n",
            ":2: one column ('sees'), but 2 lines of the file have 2. A line is",
        ),
        ("Anna\nsees\n", ":1: one column ('Anna'). A line is a word and its tag"),
        ("Anna,B-PER\nsees,it,O\nit,O\n\nx,O\n", ":2: 3 columns, but most lines of the file have 2."),
    ],
)
def test_a_row_of_another_width_is_named(tmp_path, lines, message):
    with pytest.raises(CorpusError) as error:
        read(tmp_path, DEV, lines)
    assert str(error.value).startswith(f"{tmp_path / 'dev.txt'}{message}")


def test_how_many_more_there_are(tmp_path):
    with pytest.raises(CorpusError, match=r":1: 3 columns .*\(lines of another width: 2\)"):
        read(tmp_path, "a b B-X\nc d O\n" + "w O\n" * 5)


@pytest.mark.parametrize(
    "lines",
    [
        "Anna\t\tB-PER\nsees\tO\n",
        "Anna\tB-PER\t\nsees\tO\n",
        "Anna\tB-PER\nsees O\nit\tO\n",
        "Anna B-PER\nsees\tO\nit O\n",
    ],
)
def test_other_separators_that_can_mean_one_thing(tmp_path, lines):
    [sentence], _ = read(tmp_path, lines)
    assert sentence[:2] == [("Anna", "B-PER"), ("sees", "O")]


def test_a_line_of_a_blank_of_another_kind_is_empty(tmp_path):
    sentences, _ = read(tmp_path, "Anna B-PER\n\u00a0\nread O\n\u3000 O\n")
    assert sentences == [[("Anna", "B-PER")], [("read", "O"), ("\u3000", "O")]]


# CSV and quoted TSV


def test_the_csv_of_a_well_known_set(tmp_path):
    lines = 'Sentence #,Word,POS,Tag\nSentence: 1,Anna,NNP,B-PER\n,sees,VBZ,O\n,",",",",O\n'
    lines += 'Sentence: 2,"""",``,O\n,Oslo,NNP,B-LOC\n'
    sentences, [note] = read(tmp_path, lines, end=".csv")
    assert sentences == ANNA
    assert "column 'Word' is read as words ('Anna' 'sees' ',' …) and column 'Tag' as tags" in note


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_what_pandas_writes(tmp_path, header, index, separator, quoting):
    frame = pd.DataFrame(rows(ANNA), columns=["sentence_id", "word", "tag"])
    text = frame.to_csv(sep=separator, header=header, index=index, quoting=quoting)
    columns = "" if header else f"sentence={2 if index else 1}"
    sentences, notes = read(tmp_path, text, columns=columns, end=".csv")
    assert sentences == ANNA
    quoted = any("words are quoted as in CSV files" in note for note in notes)
    assert quoted == (separator == "\t")


def test_quotes_that_are_words_stay(tmp_path):
    lines = '"\tO\nAnna\tB-PER\n"\tO\n""\tO\n"so"\tO\n'
    [sentence], notes = read(tmp_path, lines)
    assert [word for word, _ in sentence] == ['"', "Anna", '"', '""', '"so"'] and not notes


WORD = st.text(st.sampled_from("ab\"',; é"), min_size=1, max_size=4).map(str.strip).filter(bool)


@given(words=st.lists(WORD, min_size=1, max_size=6), separator=st.sampled_from(["\t", ","]))
def test_a_written_csv_is_read_back(tmp_path_factory, words, separator):
    written = io.StringIO()
    csv.writer(written, delimiter=separator).writerows([["word", "tag"], *([word, "B-X"] for word in words)])
    [sentence], _ = read(tmp_path_factory.mktemp("csv"), written.getvalue(), end=".csv")
    assert [word for word, _ in sentence] == words


@pytest.mark.parametrize("line", ["Anna,B-PER,1\nsees,O,2\n,O,3\n", "B-PER;Anna\nO;sees\nO;it\n"])
def test_a_csv_whose_tag_is_not_last(tmp_path, line):
    [sentence], _ = read(tmp_path, line, end=".csv")
    assert sentence[:2] == [("Anna", "B-PER"), ("sees", "O")] and len(sentence) == 3


def test_a_csv_with_a_header_in_other_words(tmp_path):
    lines = "Wort;Etikett;Quelle\nAnna;B-PER;a\nsieht;O;b\n"
    [sentence], _ = read(tmp_path, lines, columns="word=Wort,tag=Etikett", end=".csv")
    assert sentence == [("Anna", "B-PER"), ("sieht", "O")]


def test_what_excel_and_people_write_above_a_csv(tmp_path):
    lines = 'sep=;\n# "our" own labels\nAnna;B-PER\n#;O\n";";O\n'
    [sentence], _ = read(tmp_path, lines, end=".csv")
    assert sentence == [("Anna", "B-PER"), ("#", "O"), (";", "O")]
    with pytest.raises(CorpusError, match=r"train.csv:6: 3 columns"):
        read(tmp_path, lines + "a;b;O\n", end=".csv")
    with pytest.raises(CorpusError, match=r"train.csv:6: not CSV"):
        read(tmp_path, lines + '";O\nx;O\n', end=".csv")


def test_a_lone_quote_in_csv_is_refused(tmp_path):
    with pytest.raises(CorpusError, match=r'train.csv:2: not CSV .*the word " is written """"'):
        read(tmp_path, 'Anna,B-PER\n",O\n\nx,O\n",O\n', end=".csv")


def test_commas_among_blanks_are_words(tmp_path):
    [sentence], _ = read(tmp_path, "Anna B-PER\n, O\n, O\n")
    assert sentence == [("Anna", "B-PER"), (",", "O"), (",", "O")]


def test_names_of_columns_in_a_comment(tmp_path):
    [sentence], _ = read(tmp_path, "# global.columns = ID FORM NER\n1\tAnna\tB-PER\n2\tsees\tO\n")
    assert sentence == [("Anna", "B-PER"), ("sees", "O")]


# JSON


def objects(**more):
    for sentence in ANNA:
        words, tags = map(list, zip(*sentence, strict=True))
        yield {"id": "0", "tokens": words, "ner_tags": tags, **{name: tags[::-1] for name in more}}


@pytest.mark.parametrize(
    "written",
    [
        "".join(json.dumps(found) + "\n" for found in objects(chunk_tags=True)),
        json.dumps(list(objects())),
        json.dumps(list(objects()), indent=2),
        "".join(json.dumps({"sentence": o["tokens"], "labels": o["ner_tags"]}) + "\n" for o in objects()),
        "".join(
            json.dumps({"words": o["tokens"], "tags": o["ner_tags"], "spans": [[0, 1]]}) + "\n\n"
            for o in objects()
        ),
    ],
)
@pytest.mark.parametrize("end", [".json", ".jsonl", ".txt"])
def test_json(tmp_path, written, end):
    assert read(tmp_path, written, end=end)[0] == ANNA


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"tokens": ["Anna"], "ner_tags": [1]}, ":1: unknown tag '1'. If tags are numbers of classes"),
        ({"text": "Anna sees", "labels": [[0, 4, "PER"]]}, ":1: no list of words (text, labels)"),
        ({"tokens": ["Anna", "sees"], "ner_tags": ["B-PER"]}, ":1: the lists are not equally long"),
        (["Anna"], ": object 1: no object"),
    ],
)
def test_other_json_is_refused_by_name(tmp_path, written, message):
    good = {"tokens": ["Anna"], "ner_tags": ["B-PER"]}
    text = json.dumps(written) + "\n"
    if "equally" in message:
        text += (json.dumps(good) + "\n") * 3
        message = ":1: the lists are not equally long (tokens: 2, ner_tags: 1). Give each word one tag."
    with pytest.raises(CorpusError) as error:
        read(tmp_path, text, end=".json")
    assert str(error.value).startswith(f"{tmp_path / 'train.json'}{message}")


def test_broken_json_names_its_line(tmp_path):
    with pytest.raises(CorpusError, match=r"train.jsonl:2: not JSON .* A sentence is an object like"):
        read(tmp_path, '{"tokens": ["a"], "tags": ["O"]}\n{"tokens": ["a"\n', end=".jsonl")


# Where sentences end


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("1\tAnna\tB-PER\n2\tsees\tO\n1\tit\tO\n2\trains\tO\n", "begin where column 1 counts from 1 again"),
        ("0\tAnna\tB-PER\n0\tsees\tO\n1\tit\tO\n1\trains\tO\n", "are those that column 1 numbers"),
    ],
)
def test_numbers_end_sentences_where_no_empty_line_does(tmp_path, lines, said):
    sentences, notes = read(tmp_path, lines)
    assert [[word for word, _ in sentence] for sentence in sentences] == [["Anna", "sees"], ["it", "rains"]]
    assert f"train.txt, dev.txt, test.txt: sentences {said}." in notes


@pytest.mark.parametrize(
    ("words", "rest", "warned"), [(201, "", 1), (200, "", 0), (1_001, "\nx\tO\n", 1), (900, "\nx\tO\n", 0)]
)
def test_missing_empty_lines_are_named_and_nothing_is_lost(tmp_path, words, rest, warned):
    text = "".join(f"w{k}\t{'O' if k % 9 else 'B-X'}\n" for k in range(words)) + rest
    sentences, notes = read(tmp_path, text, DEV, TEST)
    assert len(sentences[0]) == words
    said = f"Warning: train.txt: a sentence has {words:,} words, so what ends sentences seems to be missing"
    assert sum(note.startswith(said) for note in notes) == warned
