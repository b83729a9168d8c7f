"""A corpus in numbers, counted by hand on small ones."""

import pytest

from helpers import portrait, tokenization, world
from helpers.scoring import SurfaceIndex
from helpers.settings import WorldSettings
from tests.notebook_code import defined_by

LABELLED = [
    (["in", "Oslo", "met", "Ann", "Lee"], ["O", "B-LOC", "O", "B-PER", "I-PER"]),
    (["of", "Ann", "Lee", "and", "Bo"], ["O", "B-PER", "I-PER", "O", "B-PER"]),
]
TEST = [
    (["in", "Rome", "met", "Ann", "Lee"], ["O", "B-LOC", "O", "B-PER", "I-PER"]),
    (["met", "Ann", "Bell", "Hill"], ["O", "B-PER", "I-PER", "I-PER"]),
]


@pytest.fixture(scope="module")
def tokenizer():
    return tokenization.train([*["in Rome met Ann Lee of and Bell"] * 9, "Ham will"], 60)


@pytest.fixture(scope="module")
def described(tokenizer):
    return portrait.portrait(LABELLED, TEST, SurfaceIndex(["We met in Rome , again ."]), tokenizer)


def test_names_by_length_and_by_where_else_they_stand(described):
    assert described["names"] == 3
    assert [described[f"of length {name}"] for name in ("1", "2", "3", "4", "5+")] == pytest.approx(
        [100 / 3, 100 / 3, 100 / 3, 0, 0]
    )
    places = described[["in the labelled sentences", "in the text only", "in neither"]]
    assert list(places) == pytest.approx([100 / 3] * 3), "Ann Lee, Rome, Ann Bell Hill"


def test_torn_words_are_those_of_several_pieces(described, tokenizer):
    words = [word for sentence, _ in TEST for word in sentence]
    torn = {word for word in words if len(tokenizer.tokenize(word)) > 1}
    assert torn == {"Hill"}
    assert described["with a torn word"] == pytest.approx(100 / 3)
    assert described["words of names that are torn"] == pytest.approx(100 / 6)
    assert described["other words that are torn"] == 0


def test_what_clues_give_away(described):
    # Of the next words Lee, Bell, Hill the first is Ann's; of the words before, "in" gives LOC, "met" PER.
    assert described["next word guessed"] == pytest.approx(100 / 3)
    assert described["type guessed"] == pytest.approx(100)


def test_what_a_list_finds(described):
    # It marks Ann Lee, and nothing else: precision 1, recall 1/3.
    assert described["word list, F1"] == pytest.approx(50)
    assert described["word list, recall at 3+ words"] == 0


def test_a_list_marks_the_longest_name_that_fits():
    known = portrait.word_list([(["Ann", "Ann", "Lee", "Oslo"], ["B-PER", "B-ORG", "I-ORG", "B-LOC"])])
    assert known == {("Ann",): "PER", ("Ann", "Lee"): "ORG", ("Oslo",): "LOC"}
    words = ["Ann", "Lee", "saw", "Ann", "in", "Oslo"]
    assert portrait.tag_from_list(words, known, 2) == ["B-ORG", "I-ORG", "O", "B-PER", "O", "B-LOC"]
    assert portrait.tag_from_list([], known, 2) == []
    assert portrait.tag_from_list(["Bo"], {}, 1) == ["O"]


def test_a_guess_is_the_most_frequent_answer():
    seen = [("of", "A"), ("of", "B"), ("of", "B"), ("in", "A")]
    assert portrait.guess_rate(seen, [("of", "B"), ("of", "A"), ("in", "A"), ("at", "A")]) == 0.5


def test_notebook_01_builds_the_same():
    built = defined_by("01_text_and_entities")
    made = world.generate(WorldSettings(sentences=0, train=100, dev=0, test=200))
    known = portrait.word_list(made.train)
    longest = max(map(len, known))
    for words, _ in made.test:
        assert built["tag_from_list"](words, known, longest) == portrait.tag_from_list(words, known, longest)
    seen, asked = portrait._next_words(made.train), portrait._next_words(made.test)
    assert built["guess_rate"](seen, asked) == portrait.guess_rate(seen, asked)
    assert built["clues"](made.test)[:2] == (asked, portrait._types(made.test))
