"""Which column holds the words and which the tags."""

import random
from itertools import chain

import pytest

from helpers.reading.columns import parse
from helpers.reading.files import CorpusError
from tests.labelled_files import DEV, TEST, read, read_all

GERMEVAL = """#\thttps://example.org/a [2010-01-01]
1\tIn\tO\tO
2\tUlm\tB-LOC\tO
3\tsiegt\tO\tO
4\tSV\tB-ORG\tO
5\tUlm\tI-ORG\tB-LOC

#\thttps://example.org/b [2010-01-01]
1\t1\tO\tO
2\t2\tO\tO
"""
FINER = "Real\tB-ORG\tO\nUlm\tI-ORG\tB-LOC\n.\tO\tO\n\nsees\tO\tO\nan\tO\tO\nAnna\tB-PER\tO\n"
PHRASES = "The\tB-X\tO\nman\tI-X\tO\nsees\tB-Y\tO\nold\tB-X\tO\nUlm\tI-X\tB-LOC\n"
CONLL = "Anna NNP I-NP I-PER\nK NNP I-NP I-PER\nsees VBZ I-VP O\nOslo NNP I-NP I-LOC\n"


def test_numbers_first_and_a_nested_level_last(tmp_path):
    sentences, notes = read(tmp_path, GERMEVAL)
    assert sentences == [
        [("In", "O"), ("Ulm", "B-LOC"), ("siegt", "O"), ("SV", "B-ORG"), ("Ulm", "I-ORG")],
        [("1", "O"), ("2", "O")],
    ]
    assert notes == [
        "train.txt, dev.txt, test.txt: of 4 columns, column 2 is read as words ('In' 'Ulm' 'siegt' …) and "
        "column 3 as tags (column 4: 3 entities nested in the 6 read; column 1: numbers)."
    ]


def test_a_nested_level_last(tmp_path):
    sentences, [note] = read(tmp_path, FINER)
    assert sentences[0] == [("Real", "B-ORG"), ("Ulm", "I-ORG"), (".", "O")]
    assert note.endswith(
        "column 1 is read as words ('Real' 'Ulm' '.' …) and column 2 as tags (column 3: 3 entities nested in "
        "the 6 read)."
    )


def test_the_inner_level_may_come_first(tmp_path):
    swapped = "".join(
        "\t".join([line.split("\t")[0], *line.split("\t")[:0:-1]]) + "\n" if line else "\n"
        for line in FINER.splitlines()
    )
    sentences, [note] = read(tmp_path, swapped)
    assert sentences[0] == [("Real", "B-ORG"), ("Ulm", "I-ORG"), (".", "O")] and "column 3 as tags" in note


def test_phrases_that_hold_names_need_a_decision(tmp_path):
    with pytest.raises(CorpusError, match="column 2 .* and column 3 .* neither is nested in the other"):
        read(tmp_path, PHRASES)


def test_an_empty_nested_level(tmp_path):
    sentences, [note] = read(tmp_path, "Anna\tB-PER\tO\nsleeps\tO\tO\n")
    assert sentences == [[("Anna", "B-PER"), ("sleeps", "O")]] and "column 2 as tags" in note


def test_chunks_are_no_entities(tmp_path):
    [sentence], notes = read(tmp_path, CONLL)
    assert sentence == [("Anna", "B-PER"), ("K", "I-PER"), ("sees", "O"), ("Oslo", "B-LOC")]
    assert "column 4 as tags (column 3: chunks such as noun phrases)" in notes[0]


def test_chunks_alone_are_read_with_a_warning(tmp_path):
    [sentence], notes = read(tmp_path, "Anna NNP B-NP\nsees VBZ B-VP\n")
    assert sentence == [("Anna", "B-NP"), ("sees", "B-VP")]
    assert "Warning: the tags look like chunks (NP, VP), not like entities." in notes


def test_gold_and_predicted_tags_need_a_decision(tmp_path):
    lines = "Anna B-PER B-PER\nsees O O\nOslo B-LOC O\nUlm B-LOC B-LOC\n"
    message = r"column 2 \(9 entities, of types LOC, PER\) and column 3 \(6 .*--columns word=1,tag=3"
    with pytest.raises(CorpusError, match=message):
        read(tmp_path, lines)
    [sentence], [note] = read(tmp_path, lines, columns="word=1,tag=2")
    assert [tag for _, tag in sentence] == ["B-PER", "O", "B-LOC", "B-LOC"] and "(as you said)" in note


def test_the_same_tags_twice_need_none(tmp_path):
    [sentence], _ = read(tmp_path, "Anna B-PER B-PER\nsees O O\n")
    assert sentence == [("Anna", "B-PER"), ("sees", "O")]


def test_tags_first(tmp_path):
    [sentence], [note] = read(tmp_path, "O\tfilms\nO\tby\nB-DIRECTOR\tAnna\n")
    assert sentence == [("films", "O"), ("by", "O"), ("Anna", "B-DIRECTOR")]
    assert note.endswith(
        "of 2 columns, column 2 is read as words ('films' 'by' 'Anna' …) and column 1 as tags."
    )


def test_parts_of_speech_of_one_letter_are_no_tags(tmp_path):
    [sentence], _ = read(tmp_path, "Anna\tS\tB-PER\nlegge\tV\tO\ne\tE\tO\ni\tI\tO\n")
    assert sentence[1:] == [("legge", "O"), ("e", "O"), ("i", "O")]


def test_a_sentence_number_is_no_word(tmp_path):
    lines = "s1\tAnna\tB-PER\ns1\tsees\tO\ns1\tit\tO\n\ns2\tit\tO\ns2\tsees\tO\ns2\tAnna\tB-PER\n"
    sentences, [note] = read(tmp_path, lines)
    assert [word for word, _ in sentences[0]] == ["Anna", "sees", "it"]
    assert "(column 1: the same throughout each sentence)" in note


def test_two_columns_that_could_be_words_need_a_decision(tmp_path):
    draw = random.Random(0)
    lines = [f"{draw.choice('nva')} w{draw.randrange(300)} {draw.choice(['O', 'B-X'])}\n" for _ in range(900)]
    text = "\n".join("".join(lines[start : start + 9]) for start in range(0, 900, 9))
    with pytest.raises(
        CorpusError, match=r"column 1 \(3 different\) and column 2 \(\d+ different\) may hold"
    ):
        read(tmp_path, text)
    sentences, _ = read(tmp_path, text, columns="word=2")
    assert len(sentences) == 100 and sentences[0][0][0].startswith("w")


def test_numbers_without_words(tmp_path):
    with pytest.raises(CorpusError, match=r"no column holds words \(column 1: counts the words\)"):
        read(tmp_path, "1\tB-PER\n2\tO\n\n1\tO\n2\tO\n")


def test_an_empty_field_keeps_its_place(tmp_path):
    [sentence], _ = read(tmp_path, "Anna\t\t\tB-PER\nsees\tVBZ\tB-VP\tO\n")
    assert sentence == [("Anna", "B-PER"), ("sees", "O")]


def test_splits_with_other_columns(tmp_path):
    splits, notes = read_all(tmp_path, CONLL, DEV, TEST)
    assert splits["dev"] == [[("Bruno", "B-PER"), ("slept", "O")]]
    assert any(note.startswith("train.txt: of 4 columns") for note in notes)
    with pytest.raises(CorpusError, match="test.txt: the tags are chunks such as NP, while other files have"):
        read(tmp_path, CONLL, DEV, "Anna NNP I-NP\nsees VBZ I-VP\n")


# What the user says


@pytest.mark.parametrize("columns", ["word=Form,tag=NE", " tag=ne, word=FORM ", "word=1,tag=3"])
def test_columns_by_name_or_number(tmp_path, columns):
    lines = "Form\tLabel\tNE\nAnna\tB-X\tB-PER\nsees\tO\tO\n"
    [sentence], _ = read(tmp_path, lines, columns=columns)
    assert sentence == [("Anna", "B-PER"), ("sees", "O")]


def test_a_header_in_other_words(tmp_path):
    lines = "Wort Etikett\nAnna B-PER\nschläft O\n"
    with pytest.raises(
        CorpusError, match="If this line is a header, name its columns, as in --columns word=Wort,"
    ):
        read(tmp_path, lines)
    [sentence], _ = read(tmp_path, lines, columns="word=Wort,tag=Etikett")
    assert sentence == [("Anna", "B-PER"), ("schläft", "O")]


def test_a_header_of_several_names_with_hyphens(tmp_path):
    lines = "TOKEN NE-COARSE-LIT NE-FINE\n# a document\nAnna B-pers B-pers.ind\nlas O O\n"
    with pytest.raises(CorpusError, match="as in --columns word=TOKEN,tag=NE-COARSE-LIT"):
        read(tmp_path, lines, columns="tag=2")
    [sentence], _ = read(tmp_path, lines, columns="word=TOKEN,tag=NE-COARSE-LIT")
    assert sentence == [("Anna", "B-pers"), ("las", "O")]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("word=1,tag=3", "no column 3 for tag=3; the file has 2 columns and no header"),
        ("word=Word", "no column Word for word=Word"),
        ("word=0", "no column 0"),
        ("word=1,tag=1", "column 1 cannot hold both words and tags"),
    ],
)
def test_columns_that_are_not_there(tmp_path, columns, message):
    with pytest.raises(CorpusError, match=message):
        read(tmp_path, TEST, columns=columns)


@pytest.mark.parametrize(
    "text", ["2,3", "word", "word=", "words=1", "word=1,word=2", "word:1", "word=1;tag=2"]
)
def test_columns_written_otherwise(text):
    with pytest.raises(CorpusError, match="write them as word=2,tag=3"):
        parse(text)
    assert parse("") == {}


# Parts of speech before the words; what numbers sentences


def test_parts_of_speech_before_the_words(tmp_path):
    sentences, notes = read(tmp_path, "NNP\tAnna\tB-PER\nVBZ\tsees\tO\n\nNNP\tBo\tB-PER\nVBZ\tNATO\tB-ORG\n")
    assert [word for word, _ in chain(*sentences)] == ["Anna", "sees", "Bo", "NATO"]
    assert "('Anna' 'sees' 'Bo' …)" in notes[0] and "column 1: capitals alone, as parts of speech" in notes[0]


def test_words_in_capitals_are_words(tmp_path):
    [sentence], _ = read(tmp_path, "ANNA\tB-PER\nSEES\tO\n")
    assert [word for word, _ in sentence] == ["ANNA", "SEES"]


def in_rows(numbers, header=""):
    words = [f"w{row}\t{'B-X' if row % 3 == 0 else 'O'}" for row in range(len(numbers))]
    return header + "".join(f"{number}\t{word}\n" for number, word in zip(numbers, words, strict=True))


@pytest.mark.parametrize(
    ("numbers", "sizes"),
    [
        (["S0", "S0", "S0", "S1", "S1"], [3, 2]),
        ([3, 3, 3, 17, 17, 20, 20], [3, 2, 2]),  # with gaps
        ([1, 1, 1, 2, 2, 3, 3, 1, 1, 2, 2], [3, 2, 2, 2, 2]),  # anew in each document
        ([1, 1, 1, 2, 2, 2], [3, 3]),
        ([0, 1, 0, 0, 0, 1, 1], [7]),  # says yes and no
        ([4, 9, 12, 17], [4]),  # counts characters
        ([1, 2], [2]),
    ],
)
def test_what_numbers_sentences_splits_them(tmp_path, numbers, sizes):
    sentences, _ = read(tmp_path, in_rows(numbers), columns="word=2")
    assert list(map(len, sentences)) == sizes


def test_of_two_columns_the_finer_one_numbers_sentences(tmp_path):
    lines = in_rows([1, 1, 2, 2, 3, 3, 4, 4]).splitlines()
    text = "".join(f"d{7 if row < 4 else 9}\t{line}\n" for row, line in enumerate(lines))
    sentences, notes = read(tmp_path, text)
    assert list(map(len, sentences)) == [2, 2, 2, 2]
    assert any("sentences are those that column 2 numbers" in note for note in notes)


@pytest.mark.parametrize("columns", ["", "sentence=1"])
def test_a_column_that_counts_the_words_begins_sentences_anew(tmp_path, columns):
    sentences, _ = read(tmp_path, in_rows([1, 2, 3, 1, 2]), columns=columns)
    assert list(map(len, sentences)) == [3, 2]


def test_a_document_alone_is_no_sentence(tmp_path):
    header = "document\tword\ttag\n"
    sentences, _ = read(tmp_path, in_rows(["d", "d", "d", "e"], header).replace("d\tw1", "\nd\tw1"))
    assert list(map(len, sentences)) == [1, 2, 1]  # a document's end is a sentence's, beside empty lines
    [sentence], _ = read(tmp_path, in_rows(["d", "d", "d", "e"], header))
    assert len(sentence) == 4
    numbered = in_rows([1, 1, 1, 1], "sentence_id\tword\ttag\n").splitlines()
    text = "".join(f"{'xdde e'.replace(' ', '')[row]}\t{line}\n" for row, line in enumerate(numbered))
    sentences, _ = read(tmp_path, text.replace("x\t", "doc_id\t", 1))
    assert list(map(len, sentences)) == [2, 2]
