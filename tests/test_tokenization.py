"""Tokenization: the vocabulary, packed rows, and tags on their way to wordpieces and back."""

import hashlib
import json
import os
import random
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForMaskedLM, AutoTokenizer, BertConfig, BertForMaskedLM

from helpers import tokenization
from helpers.settings import ROOT
from tests import tiny_tokenizers

SENTENCE = "Anna Karenina of the Republic of Ångland's read a 2nd café-book , didn't she ? (Yes .)"
WORDS = SENTENCE.split()
TEXT = [" ".join(WORDS[k % len(WORDS)] for k in range(n, n + 20)) for n in range(300)]
NAMES = ["O", "B-PER", "I-PER"]


@pytest.fixture(scope="module")
def tokenizer():
    return tokenization.train(TEXT, 200)


# The vocabulary


def test_special_tokens_come_first_and_case_and_accents_are_kept(tokenizer):
    first = tokenizer.convert_ids_to_tokens(list(range(5)))
    assert first == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert tokenizer.all_special_ids and set(tokenizer.all_special_ids) == set(range(5))
    assert tokenizer.tokenize("Ångland café") == ["Ångland", "café"]
    assert tokenizer.unk_token in tokenizer.tokenize("CAFÉ")  # É was never seen: not lower-cased to é
    assert sorted(tokenizer.get_vocab().values()) == list(range(len(tokenizer)))
    assert len(tokenizer) <= 200


def test_the_same_text_gives_the_same_vocabulary_in_every_process(tmp_path):
    program = (
        "import json, sys; from helpers.tokenization import train;"
        "print(json.dumps(train(json.load(open(sys.argv[1])), 300).get_vocab(), sort_keys=True))"
    )
    # Many characters that stand only inside words: their numbers are what chance would change.
    text = TEXT + [f"{a}{b}{c}{a}" for a in "qwertzuiop" for b in "asdfghjkl" for c in "yxcvbnm"]
    (tmp_path / "text.json").write_text(json.dumps(text))
    digests = set()
    for seed in "12":
        run = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "text.json")],
            env={**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"},
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        digests.add(hashlib.sha256(run.stdout).hexdigest())
    assert len(digests) == 1


class Counted(str):
    """A line, and how many there are of them at a time."""

    now = most = 0

    def __init__(self, _):
        Counted.now += 1
        Counted.most = max(Counted.most, Counted.now)

    def __del__(self):
        Counted.now -= 1


class OnTheDisk(Sequence):
    """Lines that come into being when they are asked for."""

    def __init__(self, lines):
        self.lines = lines

    def __len__(self):
        return len(self.lines)

    def __getitem__(self, number):
        some = self.lines[number]
        return Counted(some) if isinstance(some, str) else list(map(Counted, some))


def test_the_lines_of_a_long_text_are_not_all_in_memory(monkeypatch):
    """Nor does it matter to the vocabulary where they come from."""
    monkeypatch.setattr(tokenization, "BLOCK", 10 * len(TEXT[0]))
    trained = tokenization.train(OnTheDisk(10 * TEXT), 200)
    assert 0 < Counted.most < len(10 * TEXT) / 5
    assert trained.get_vocab() == tokenization.train(iter(10 * TEXT), 200).get_vocab()


@pytest.mark.parametrize("text", [[], ["", "  "], ["\u0000\u0007"]])
def test_a_text_without_words_trains_nothing(text):
    with pytest.raises(ValueError, match="No words"):
        tokenization.train(text, 200)


def test_a_vocabulary_smaller_than_the_alphabet_is_refused():
    with pytest.raises(ValueError, match="vocabulary_size=20 is too small"):
        tokenization.train(TEXT, 20)


def test_checkpoint_opens_with_the_auto_classes(tokenizer, tmp_path):
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=16,
    )
    BertForMaskedLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    opened = AutoTokenizer.from_pretrained(tmp_path)
    batch = opened("Anna [MASK] didn't", return_tensors="pt")
    assert (
        batch["input_ids"].tolist()
        == tokenizer("Anna [MASK] didn't", return_tensors="pt")["input_ids"].tolist()
    )
    assert opened.mask_token_id in batch["input_ids"]
    assert opened.get_vocab() == tokenizer.get_vocab()
    logits = AutoModelForMaskedLM.from_pretrained(tmp_path)(**batch).logits
    assert logits.shape == (*batch["input_ids"].shape, len(tokenizer))


def test_the_alphabet_covers_the_text_as_far_as_the_vocabulary_has_room():
    rng = random.Random(0)
    characters = [chr(0x4E00 + 11 * k) for k in range(1_500)]  # each is a word of its own
    weights = [1 / (rank + 30) ** 1.15 for rank in range(1_500)]
    text = ["".join(rng.choices(characters, weights, k=40)) for _ in range(1_000)]
    small, large = tokenization.train(text, 800), tokenization.train(text, 4_000)
    with pytest.warns(UserWarning, match=r"\d\.\d\d% of the text's pieces are \[UNK\]. A vocabulary of 800"):
        blocks = tokenization.pack(text, small, 64)
    assert 0.01 < tokenization.unknown_share(blocks, small) < 0.2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tokenization.pack(text, large, 64)
    counts = Counter("".join(text))
    left_out = sum(count for c, count in counts.items() if c not in large.get_vocab())
    assert left_out <= 0.0005 * 40_000
    assert tokenization.unknown_note(0.001, large) == "0.10% of the text's pieces are [UNK]."


# Packing


def by_the_book(text, tokenizer, length):
    """The packing written out one piece at a time, with the tokenizer's own word numbers."""
    stream = []
    for number, line in enumerate(text):
        encoding = tokenizer(line, add_special_tokens=False, split_special_tokens=True)
        if encoding["input_ids"]:
            stream += [
                (i, (number, w)) for i, w in zip(encoding["input_ids"], encoding.word_ids(), strict=True)
            ]
            stream.append((tokenizer.sep_token_id, None))
    rows = []
    for start in range(0, len(stream) - length + 2, length - 1):
        cut = [(tokenizer.cls_token_id, None), *stream[start : start + length - 1]]
        words, ids = -1, []
        for word, group in groupby(word for _, word in cut):
            words += word is not None
            ids += [-1 if word is None else words] * len(list(group))
        rows.append(([i for i, _ in cut], ids))
    return rows


def test_packing_equals_the_slow_way(tokenizer):
    odd = [
        "",
        "   ",
        "tab\there nb\u00a0sp",
        "a [SEP] b [MASK] c",
        "国 Anna国",
        "one",
        "\u0007x un\u00adsoft ##s",
    ]
    text = TEXT[:20] + odd + TEXT[:3]
    for length in (3, 7, 32):
        blocks = tokenization.pack(text, tokenizer, length)
        expected = by_the_book(text, tokenizer, length)
        assert blocks.input_ids.tolist() == [ids for ids, _ in expected]
        assert blocks.word_ids.tolist() == [words for _, words in expected]


def test_packing_in_blocks_equals_packing_at_once(tokenizer, monkeypatch):
    text = [*TEXT[:40], "国 Anna国", "", "[SEP]"]
    whole = tokenization.pack(text, tokenizer, 16)
    for block in (1, 50, 333):
        monkeypatch.setattr(tokenization, "BLOCK", block)
        parts = tokenization.pack(text, tokenizer, 16)
        assert torch.equal(parts.input_ids, whole.input_ids) and torch.equal(parts.word_ids, whole.word_ids)


def test_rows_are_full_and_count_their_words(tokenizer):
    blocks = tokenization.pack(iter(TEXT), tokenizer, 16)
    assert blocks.input_ids.dtype == blocks.word_ids.dtype == torch.int64
    assert blocks.input_ids.shape == blocks.word_ids.shape
    assert (blocks.input_ids[:, 0] == tokenizer.cls_token_id).all()
    assert not (blocks.input_ids == tokenizer.pad_token_id).any()
    special = (blocks.input_ids == tokenizer.cls_token_id) | (blocks.input_ids == tokenizer.sep_token_id)
    assert torch.equal(blocks.word_ids == -1, special)
    for row in blocks.word_ids:
        words = row[row >= 0]
        assert words[0] == 0 and set((words[1:] - words[:-1]).tolist()) <= {0, 1}
    assert blocks.word_ids.max() > 0


def test_a_text_too_short_is_refused(tokenizer):
    with pytest.raises(ValueError, match="too short"):
        tokenization.pack(["Anna read"], tokenizer, 64)
    with pytest.raises(ValueError, match="too short"):
        tokenization.pack([], tokenizer, 64)
    rows = len(tokenization.pack(TEXT, tokenizer, 64).input_ids)
    assert len(tokenization.pack(TEXT, tokenizer, 64, minimum_rows=rows).input_ids) == rows
    with pytest.raises(ValueError, match=f"fills {rows} rows of 64 pieces, and at least {rows + 1}"):
        tokenization.pack(TEXT, tokenizer, 64, minimum_rows=rows + 1)
    with pytest.raises(ValueError, match="length=2"):
        tokenization.pack(TEXT, tokenizer, 2)


def test_mention_ids_equal_the_slow_way(tokenizer):
    """Each piece is traced back to its word, and the word to its tag; mentions are numbered by hand."""
    tags_of = {"Anna": "B-PER", "Karenina": "I-PER", "of": "O", "Republic": "B-LOC", "Ångland's": "B-LOC"}
    text = [*TEXT[:30], "", "  ", "Anna Anna Karenina", "café-book", "Republic didn't Ångland's"]
    tags = [[tags_of.get(word, "O") for word in line.split()] for line in text]
    tags[-1] = ["B-LOC", "I-LOC", "I-LOC"]
    stream, number = [], -1
    for line, line_tags in zip(text, tags, strict=True):
        for word, tag in zip(line.split(), line_tags, strict=True):
            number += tag[0] == "B"
            stream += [number if tag != "O" else -1] * len(tokenizer.tokenize(word))
        stream += [-1] * bool(line_tags)  # [SEP]
    for length in (3, 7, 32):
        blocks = tokenization.pack(text, tokenizer, length)
        found = tokenization.mention_ids(iter(text), iter(tags), tokenizer, length)
        starts = range(0, len(stream) - length + 2, length - 1)
        assert found.tolist() == [[-1, *stream[start : start + length - 1]] for start in starts]
        assert found.shape == blocks.input_ids.shape and found.dtype == torch.int32
        assert (found[blocks.word_ids < 0] == -1).all()
        same_word = (blocks.word_ids[:, 1:] == blocks.word_ids[:, :-1]) & (blocks.word_ids[:, 1:] >= 0)
        assert torch.equal(found[:, 1:][same_word], found[:, :-1][same_word])
    assert len(found.unique()) > 30


def test_mention_ids_need_a_tag_for_each_word(tokenizer):
    with pytest.raises(ValueError, match="'Anna read' has 1 tags"):
        tokenization.mention_ids(["Anna read"], [["O"]], tokenizer, 16)
    with pytest.raises(ValueError, match="shorter"):
        tokenization.mention_ids(["Anna read", "Anna"], [["O", "O"]], tokenizer, 16)


def test_packing_is_fast(tokenizer):
    lines = [f"{line} {k}" for k, line in enumerate(TEXT * 334)]  # 100,200 lines of 21 words
    start = time.perf_counter()
    tokenization.pack(lines, tokenizer, 64)
    assert time.perf_counter() - start < 10


# Labels


def test_first_piece_carries_the_tag(tokenizer):
    assert tokenization.label_pieces([7, 8], [None, 0, 0, 1, None]) == [-100, 7, -100, 8, -100]
    assert tokenization.label_pieces([7, 8, 9], [-1, 0, 2, 2, -1, -1]) == [-100, 7, 9, -100, -100, -100]
    words, tags = ["Anna", "reader", "of"], [1, 2, 0]
    encoding = tokenizer(words, is_split_into_words=True)
    labels = tokenization.label_pieces(tags, encoding.word_ids())
    assert len(labels) == len(encoding["input_ids"]) > 5
    assert [label for label in labels if label != -100] == tags


def test_short_sentences_fill_one_padded_row_each(tokenizer):
    sentences, tags = [["Anna", "read"], ["the", "Republic", "of", "Ångland's"]], [[1, 0], [0, 1, 2, 2]]
    windows = tokenization.encode(sentences, tags, tokenizer, 64)
    assert windows.input_ids.shape[0] == 2 and windows.input_ids.shape[1] < 64  # trimmed to the longest
    expected = tokenizer(sentences, is_split_into_words=True, padding=True, return_tensors="pt")
    assert torch.equal(windows.input_ids, expected["input_ids"])
    assert torch.equal(windows.attention_mask, expected["attention_mask"])
    for row, sentence_tags in enumerate(tags):
        labels = tokenization.label_pieces(sentence_tags, expected.word_ids(row))
        assert windows.labels[row].tolist() == labels
    assert torch.equal(windows.labels != -100, windows.word >= 0)
    assert torch.equal(windows.sentence >= 0, windows.word >= 0)


def scored(windows):
    at = windows.word >= 0
    return list(zip(windows.sentence[at].tolist(), windows.word[at].tolist(), strict=True))


@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=5),
    length=st.integers(3, 40),
    choice=st.randoms(use_true_random=False),
)
def test_each_word_is_scored_once_and_gold_comes_back(tokenizer, lengths, length, choice):
    odd = [*WORDS, "unforeseeable", "\u0007"]
    sentences = [[choice.choice(odd) for _ in range(n)] for n in lengths]
    tags = [[choice.randrange(3) for _ in sentence] for sentence in sentences]
    windows = tokenization.encode(sentences, tags, tokenizer, length)
    assert windows.input_ids.shape[1] <= length
    with_pieces = [
        (s, w) for s, words in enumerate(sentences) for w, word in enumerate(words) if word != "\u0007"
    ]
    assert sorted(scored(windows)) == with_pieces
    # Each scored position holds the first piece of its word.
    first_piece = {word: tokenizer(word, add_special_tokens=False)["input_ids"][:1] for word in odd}
    at = windows.word >= 0
    pieces = windows.input_ids[at].tolist()
    assert [[p] for p in pieces] == [first_piece[sentences[s][w]] for s, w in scored(windows)]
    # A word without pieces is inside the mention that goes on behind it, and begins one that nobody began.
    gold = []
    for words, numbers in zip(sentences, tags, strict=True):
        row = [NAMES[t] if word != "\u0007" else None for word, t in zip(words, numbers, strict=True)]
        for place in reversed(range(len(row))):
            if row[place] is None:
                row[place] = "I-PER" if row[place + 1 : place + 2] == ["I-PER"] else "O"
        for place, word in enumerate(words):
            if word == "\u0007" and row[place] == "I-PER" and (place == 0 or row[place - 1] == "O"):
                row[place] = "B-PER"
        gold.append(row)
    assert tokenization.decode(windows, windows.labels, sentences, NAMES) == gold


def test_a_sentence_of_500_words_loses_no_entity_and_no_context(tokenizer):
    sentence = [WORDS[k % len(WORDS)] for k in range(500)]
    tags = [[1, 2, 2, 0][k % 4] for k in range(500)]
    windows = tokenization.encode([sentence], [tags], tokenizer, 64)
    assert len(windows.input_ids) > 8
    decoded = tokenization.decode(windows, windows.labels, [sentence], NAMES)[0]
    assert decoded == [NAMES[t] for t in tags]
    assert decoded.count("B-PER") == 125
    # Inside the sentence, a scored word sees at least a quarter of a window on each side.
    columns = [
        (row, *columns.nonzero().flatten()[[0, -1]].tolist()) for row, columns in enumerate(windows.word >= 0)
    ]
    assert all(first - 1 >= 62 // 4 - 3 for row, first, _ in columns if row > 0)
    assert all(62 - last >= 62 // 4 for row, _, last in columns if row < len(columns) - 1)


def test_a_word_longer_than_a_window_is_scored_once(tokenizer):
    giant = "didn" + "xyz".replace("xyz", "dea") * 30  # fewer than 100 characters: pieces, not [UNK]
    sentences = [["Anna", giant, "read"]]
    assert len(tokenizer(giant)["input_ids"]) > 16 + 2
    windows = tokenization.encode(sentences, [[1, 2, 0]], tokenizer, 16)
    assert sorted(scored(windows)) == [(0, 0), (0, 1), (0, 2)]
    assert tokenization.decode(windows, windows.labels, sentences, NAMES) == [["B-PER", "I-PER", "O"]]


def test_words_without_pieces_and_empty_sentences_are_tagged_o(tokenizer):
    sentences = [["\u0007", "Anna", "\u200b"], [], ["\u0007"]]
    windows = tokenization.encode(sentences, [[1, 1, 1], [], [1]], tokenizer, 16)
    assert tokenization.decode(windows, windows.labels, sentences, NAMES) == [["O", "B-PER", "O"], [], ["O"]]


@pytest.mark.parametrize("gap", ["\u200c", "\u00a0", " ", "\u0007"])
@pytest.mark.parametrize("length", [4, 16])  # the gap is in the middle of a window, and where two meet
def test_a_perfect_model_finds_a_mention_with_a_word_without_pieces_in_it(tokenizer, gap, length):
    words = ["Anna", gap, gap, "Karenina", "read", gap, "Anna", gap, "Anna", "of", gap, "Anna"]
    gold = ["B-PER", "I-PER", "I-PER", "I-PER", "O", "O", "B-PER", "O", "B-PER", "O", "B-PER", "I-PER"]
    windows = tokenization.encode([words], [[NAMES.index(tag) for tag in gold]], tokenizer, length)
    assert tokenization.decode(windows, windows.labels, [words], NAMES) == [gold]


@pytest.mark.parametrize("kind", tiny_tokenizers.KINDS)
@pytest.mark.parametrize("length", [8, 64])
def test_gold_tags_come_back_through_any_kind_of_tokenizer(kind, length):
    foreign = tiny_tokenizers.make_tokenizer(kind)
    sentences = [line.split() for line in tiny_tokenizers.TEXT[:60]]
    rng = random.Random(0)
    gold = [["B-PER" if rng.random() < 0.3 else "O" for _ in words] for words in sentences]
    for tags in gold:
        for place in range(1, len(tags)):
            if tags[place - 1] != "O" and rng.random() < 0.5:
                tags[place] = "I-PER"
    numbers = [[NAMES.index(tag) for tag in tags] for tags in gold]
    windows = tokenization.encode(sentences, numbers, foreign, length)
    assert windows.input_ids.shape[1] <= length
    assert tokenization.decode(windows, windows.labels, sentences, NAMES) == gold
    first, last = windows.input_ids[:, 0], windows.attention_mask.sum(1) - 1
    assert (first == foreign.cls_token_id).all()
    assert (windows.input_ids.gather(1, last[:, None]) == foreign.sep_token_id).all()


@pytest.mark.parametrize("kind", tiny_tokenizers.KINDS)
def test_words_have_the_pieces_that_they_have_in_running_text(kind):
    foreign = tiny_tokenizers.make_tokenizer(kind)
    sentences = [line.split() for line in tiny_tokenizers.TEXT[:20]]
    windows = tokenization.encode(sentences, None, foreign, 1_000)
    counts = tokenization.count_pieces(sentences, foreign)
    for number, words in enumerate(sentences):
        expected = foreign(" ".join(words))["input_ids"]
        assert windows.input_ids[number, : windows.attention_mask[number].sum()].tolist() == expected
        assert len(counts[number]) == len(words) and sum(counts[number]) == len(expected) - 2
        places = torch.tensor([0, *counts[number]]).cumsum(0)[:-1] + 1
        assert windows.word[number, places].tolist() == list(range(len(words)))


def test_unlabelled_sentences_can_be_decoded(tokenizer):
    windows = tokenization.encode([WORDS], None, tokenizer, 16)
    assert (windows.labels == -100).all() and len(scored(windows)) == len(WORDS)
    predictions = torch.full_like(windows.input_ids, 2)
    # An I- without its B- is the model's fault, and scoring must see it.
    assert tokenization.decode(windows, predictions, [WORDS], NAMES) == [["I-PER"] * len(WORDS)]


def test_special_tokens_written_in_a_sentence_are_words(tokenizer):
    windows = tokenization.encode([["Anna", "[MASK]", "[SEP]"]], None, tokenizer, 64)
    assert tokenizer.mask_token_id not in windows.input_ids
    assert (windows.input_ids == tokenizer.sep_token_id).sum() == 1
    assert len(scored(windows)) == 3


def test_bad_calls_are_refused(tokenizer):
    with pytest.raises(ValueError, match="Sentence 1 has 2 words but 1 tags"):
        tokenization.encode([["a"], ["a", "b"]], [[0], [0]], tokenizer, 16)
    with pytest.raises(ValueError, match="length=2"):
        tokenization.encode([["a"]], None, tokenizer, 2)


def test_encoding_is_fast(tokenizer):
    sentences = [line.split() for line in TEXT * 7][:2000]
    start = time.perf_counter()
    windows = tokenization.encode(sentences, [[0] * 20] * 2000, tokenizer, 64)
    tokenization.decode(windows, windows.labels, sentences, NAMES)
    assert time.perf_counter() - start < 3  # 0.3 s on an idle core
