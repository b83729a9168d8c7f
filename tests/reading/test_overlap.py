"""Held-out sentences in running text: what is found, however it is written, and what is not."""

import random
import time

import pytest

from helpers import corpora
from helpers.reading import overlap
from helpers.reading.overlap import find_held_out, fold

LONG = [
    "On",
    "Friday",
    "the",
    "mayor",
    "of",
    "Vost",
    "(",
    "the",
    "old",
    "town",
    ")",
    "opened",
    "a",
    "library",
    "in",
    "Oslav",
    ".",
]
SHORT = ["Oslav", "woke", "early", "that", "day", "."]
TINY = ["Vost", "fell", "."]
CJK = list("奥斯拉夫市长昨天在沃斯特开了一家图书馆。")


def found(*lines: str, sentences=(LONG, SHORT, TINY, CJK)) -> set[int]:
    return find_held_out(lines, sentences).lines


@pytest.mark.parametrize(
    "line",
    [
        "On Friday the mayor of Vost (the old town) opened a library in Oslav.",
        "Before. On Friday the mayor of Vost (the old town) opened a library in Oslav. Behind.",
        "ON FRIDAY THE MAYOR OF VOST -LRB- the old town -RRB- opened a `` library '' in Oslav",
        "On Friday, the mayor of «Vost» [the old town], opened … a library in Öslav?",
        "He said on Friday the mayor of Vost (the old town) was away.",
        "It was early. Oslav woke early that day! Nobody came.",
        "Oslav woke early that day",
        "“Oslav woke early; that day…”",
        "vost fell",
        "前天下雨。奥斯拉夫市长昨天在沃斯特开了一家图书馆。昨天没有。",
    ],
)
def test_a_held_out_sentence_is_found(line):
    assert found("Nothing of the kind.", line, "Nor here.") == {1}


@pytest.mark.parametrize(
    "line",
    [
        "On Friday the mayor of Vost (the new town) opened a library in Oslav.",
        "The people of Oslav woke early that day.",
        "Oslav woke early that day in May.",
        "Then Vost fell. Vost fell again.",
        "沃斯特开了一家。",
        "",
        "…",
    ],
)
def test_what_shares_less_is_not(line):
    assert found(line) == set()


def test_a_sentence_that_breaks_across_lines_is_found_in_all_of_them():
    lines = [
        "A b c.",
        "Then on Friday the mayor of",
        "Vost (the old town) opened a",
        "library in Oslav.",
        "D.",
    ]
    assert found(*lines) == {1, 2, 3}
    assert find_held_out(lines, [LONG, LONG, SHORT]).sentences == 1


def test_words_in_a_row_that_are_common_count_only_with_the_whole_sentence():
    part = "He said that on Friday the mayor of Vost ( the old one."
    whole = " ".join(LONG)
    assert found(*[part] * 10) == set(range(10))
    assert found(*[part] * 11) == set()
    assert found(*[f"{whole} And more."] * 50) == set(range(50))


def test_blocks_make_no_difference(monkeypatch):
    rng = random.Random(0)
    words = [f"{a}{b}" for a in "abcdefgh" for b in "uvwxyz"]
    text = [" ".join(rng.choices(words, k=rng.randint(1, 30))) for _ in range(3_000)]
    stream = " ".join(text).split()
    starts = [rng.randrange(len(stream) - 40) for _ in range(30)]
    sentences = [stream[start : start + rng.randint(8, 40)] for start in starts]
    whole = find_held_out(text, sentences)
    assert whole.sentences == 30
    monkeypatch.setattr(overlap, "BLOCK", 500)
    assert find_held_out(text, sentences) == whole


def test_against_the_obvious_way():
    rng = random.Random(1)
    words = [f"w{k}" for k in range(12)]
    text = [" ".join(rng.choices(words, k=rng.randint(1, 40))) for _ in range(300)]
    sentences = [rng.choice(text).split()[:n] for n in rng.choices(range(8, 20), k=20)] + [words * 2]
    sentences = [sentence for sentence in sentences if len(sentence) >= 8]
    expected, folded = set(), [fold(line) for line in text]
    for sentence in sentences:
        rows = [sentence[k : k + 8] for k in range(len(sentence) - 7)]
        expected |= {n for n, line in enumerate(folded) if any(fold("".join(row)) in line for row in rows)}
    inside = {number for number in expected if number in find_held_out(text, sentences).lines}
    assert expected and inside == expected  # none stands in more than ten lines


def test_the_time_is_linear():
    line = " ".join(LONG[:7]) + " sat . "

    def seconds(lines: int) -> float:
        start = time.process_time()
        find_held_out([line * 5] * lines, [LONG, SHORT, TINY] * 100)
        return time.process_time() - start

    seconds(100)
    assert seconds(8_000) < 16 * max(seconds(1_000), 0.05)


def test_it_finds_nothing_in_nothing():
    assert find_held_out([], [LONG]) == find_held_out(["a"], []) == (set(), 0)
    assert find_held_out(["...", ""], [[], [".", "…"]]) == (set(), 0)


# In a corpus


@pytest.fixture
def folder(tmp_path):
    for split, sentence in (("train", SHORT), ("dev", TINY), ("test", LONG)):
        rows = [f"{word}\t{'B-LOC' if word in ('Vost', 'Oslav') else 'O'}\n" for word in sentence]
        (tmp_path / f"{split}.txt").write_text("".join(rows))
    return tmp_path


def test_lines_with_held_out_sentences_leave_the_text_and_it_is_said(folder):
    lines = ["Vost fell.", f"Then: {' '.join(LONG)} And so on.", "VOST FELL!", "Else.", " ".join(SHORT)]
    (folder / "text.raw").write_text("\n".join(lines))
    corpus = corpora.load(folder, folder / "text.raw")
    assert corpus.text == ["Else.", " ".join(SHORT)]
    assert corpus.notes == [
        "1 lines of the text are dev or test sentences and were dropped.",
        "2 more lines of the text hold 2 dev or test sentences, whole or 8 words in a row, and were dropped.",
    ]


def test_training_sentences_stay_though_they_share_words_with_the_test(folder):
    train = [*LONG[:10], "."]
    (folder / "train.txt").write_text(
        "".join(f"{word}\t{'B-LOC' if word == 'Vost' else 'O'}\n" for word in train)
    )
    assert corpora.load(folder).text == [" ".join(train)]


def test_the_world_keeps_its_text():
    """Its sentences share frames of more than eight words; none of its text is a held-out sentence."""
    corpus = corpora.load("world")
    held_out = [words for split in ("dev", "test") for words, _ in corpus.splits[split]]
    assert corpus.notes == [] and len(corpus.text) == 50_000
    assert find_held_out(corpus.text[:2_000], held_out).lines
