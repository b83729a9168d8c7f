"""Schemes of tags, the ways to spell them, and what cannot stand together."""

import re

import pytest

from helpers.reading.files import CorpusError
from tests.labelled_files import DEV, TEST, read


def column(tags):
    return "".join(f"w{k}\t{tag}\n" for k, tag in enumerate(tags.split()))


@pytest.mark.parametrize(
    ("scheme", "written", "expected"),
    [
        ("IO", "I-A I-A O I-A I-B I-B", "B-A I-A O B-A B-B I-B"),
        ("IOB1", "I-A I-A B-A O I-B I-A", "B-A I-A B-A O B-B B-A"),
        ("BIOES", "B-A I-A E-A S-A S-B O B-A E-A", "B-A I-A I-A B-A B-B O B-A I-A"),
        ("BILOU", "B-A I-A L-A U-A U-B O B-A L-A", "B-A I-A I-A B-A B-B O B-A I-A"),
        ("BMES", "B-A M-A E-A S-A S-B O B-A E-A", "B-A I-A I-A B-A B-B O B-A I-A"),
        ("BMEWO", "B-A M-A M-A E-A W-A W-B O B-A E-A", "B-A I-A I-A I-A B-A B-B O B-A I-A"),
        ("BMEWO", "O W-A W-A O", "O B-A B-A O"),
        ("BIOES", "O S-A S-A O", "O B-A B-A O"),
    ],
)
def test_every_scheme_becomes_iob2(tmp_path, scheme, written, expected):
    [sentence], notes = read(tmp_path, column(written), DEV, TEST)
    assert [tag for _, tag in sentence] == expected.split()
    assert notes == [f"train.txt: {scheme} tags were converted to IOB2."]


@pytest.mark.parametrize(
    ("written", "expected", "note"),
    [
        ("b-per i-per o", "B-per I-per O", "tags like b-per were read as B-per."),
        ("B_PER I_PER O", "B-PER I-PER O", "tags like B_PER were read as B-PER."),
        ("PER-B PER-I O LOC-B", "B-PER I-PER O B-LOC", "tags like PER-B were read as B-PER."),
        (
            "B I O B B",
            "B-ENTITY I-ENTITY O B-ENTITY B-ENTITY",
            "tags without a type were given the type ENTITY.",
        ),
        ("B E O S", "B-ENTITY I-ENTITY O B-ENTITY", "tags without a type were given the type ENTITY."),
    ],
)
def test_ways_to_spell_tags(tmp_path, written, expected, note):
    [sentence], notes = read(tmp_path, column(written))
    assert [tag for _, tag in sentence] == expected.split()
    assert f"train.txt, dev.txt, test.txt: {note}" in notes


def test_types_keep_their_signs(tmp_path):
    [sentence], notes = read(tmp_path, column("B-art_film I-art_film O B-b-x"))
    assert [tag for _, tag in sentence] == ["B-art_film", "I-art_film", "O", "B-b-x"] and not notes


@pytest.mark.parametrize(
    ("written", "line", "named"),
    [
        ("B-A E-A S-A O U-A", 5, "'U-A' mixes BIOES and BILOU, after 'E-A' at {}:2"),
        ("B-A I-A O M-A", 4, "'M-A' mixes IOB2 and BMES, after 'I-A' at {}:2"),
        ("S-A O W-A", 3, "'W-A' mixes BIOES and BMEWO, after 'S-A' at {}:1"),
        ("B-A L-A E-A", 3, "'E-A' mixes BILOU and BIOES, after 'L-A' at {}:2"),
    ],
)
def test_schemes_that_cannot_stand_together(tmp_path, written, line, named):
    with pytest.raises(CorpusError) as error:
        read(tmp_path, column(written))
    train = tmp_path / "train.txt"
    assert str(error.value) == f"{train}:{line}: {named.format(train)}. Use one scheme throughout."


def test_one_scheme_for_all_splits(tmp_path):
    with pytest.raises(CorpusError) as error:
        read(tmp_path, column("S-A O"), DEV, column("O U-A"))
    assert str(error.value).startswith(
        f"{tmp_path / 'test.txt'}:2: 'U-A' mixes BIOES and BILOU, after 'S-A' at"
    )


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("", "no tag, the field is empty"),
        ("I", "tag 'I' without a type, where others have one. Give it its type, like I-PER."),
        ("B-PER|B-LOC", "two tags in one ('B-PER|B-LOC'). Keep one"),
        ("3", "unknown tag '3'. If tags are numbers of classes, write the names"),
        (
            "person",
            "unknown tag 'person'. A tag is O, or a prefix and a type like B-PER; the prefixes are B I (IO",
        ),
    ],
)
def test_what_is_wrong_with_a_tag(tmp_path, tag, message):
    with pytest.raises(CorpusError) as error:
        read(tmp_path, column("B-PER O O O") + f"x\t{tag}\n")
    assert str(error.value).startswith(f"{tmp_path / 'train.txt'}:5: {message}")


@pytest.mark.parametrize(
    ("tag", "named"),
    [("\u041e", "U+041E (CYRILLIC CAPITAL LETTER O)"), ("B-PER\u200b", "U+200B (ZERO WIDTH SPACE)")],
)
def test_a_character_that_looks_like_another_or_like_none_is_named(tmp_path, tag, named):
    with pytest.raises(CorpusError, match=re.escape(f"It holds {named}.")):
        read(tmp_path, column("B-PER O O O") + f"x\t{tag}\n")
