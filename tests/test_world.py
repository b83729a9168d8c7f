"""The invented world: the same text everywhere, valid tags, separate splits, dials that do what they say."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise

import pytest

from helpers import scoring, tokenization, world
from helpers.settings import ROOT, ModelSettings, WorldSettings
from helpers.world import TYPES, generate

SMALL = WorldSettings(seed=0, sentences=200, train=20, dev=10, test=30)

# Any change of the text changes this. If the change is meant, print the new value with
#   python -c "from tests.test_world import SMALL, digest, generate; print(digest(generate(SMALL)))"
# Every result made before then belongs to another world.
PINNED = "3bdb4495ce9aa609a6f95c5fc87e931946a01c6602f68316268112f20042d93e"


def digest(made) -> str:
    splits = repr((made.train, made.dev, made.test))
    return hashlib.sha256(("\n".join(made.text) + splits).encode()).hexdigest()


def test_the_text_is_pinned():
    assert digest(generate(SMALL)) == PINNED


def test_the_frozen_state_stands_in_the_protocol():
    files = [*sorted((ROOT / "data" / "world").glob("*.txt")), ROOT / "helpers" / "world.py"]
    state = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    assert state in (ROOT / "data" / "reference" / "README.md").read_text(encoding="utf-8")


def test_the_same_settings_give_the_same_text_in_every_process():
    program = (
        "from tests.test_world import SMALL, digest; from helpers.world import generate;"
        "print(digest(generate(SMALL)))"
    )
    for seed in "12":
        run = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == digest(generate(SMALL))


def test_another_seed_is_another_world():
    one, other = generate(SMALL), generate(replace(SMALL, seed=1))
    assert not set(one.text) & set(other.text)
    names = [{words[0] for words, _ in mentions(made.test)} for made in (one, other)]
    assert names[0] != names[1]


# Sentences and tags


def mentions(sentences) -> list[tuple[tuple[str, ...], str]]:
    """(words, type) of every mention, read off the tags by hand."""
    found = []
    for words, tags in sentences:
        for word, tag in zip(words, tags, strict=True):
            if tag.startswith("B-"):
                found.append(([word], tag[2:]))
            elif tag.startswith("I-"):
                found[-1][0].append(word)
    return [(tuple(words), kind) for words, kind in found]


def test_the_text_has_tags_too():
    made = generate(SMALL)
    lines = [line.split(" ") for line in made.text]
    assert [len(words) for words in lines] == [len(tags) for tags in made.text_tags]
    names, labelled = (set(mentions(of)) for of in (zip(lines, made.text_tags, strict=True), made.test))
    assert len(names & labelled) > 0.3 * len(labelled)
    objects = {id(tag): tag for tags in made.text_tags for tag in tags}
    assert sorted(objects.values()) == sorted({*objects.values()})  # one string for each, to save memory


def test_sizes_and_shape():
    made = generate(SMALL)
    assert (len(made.text), len(made.train), len(made.dev), len(made.test)) == (200, 20, 10, 30)
    for line in made.text + [" ".join(words) for words, _ in made.train + made.dev + made.test]:
        assert line.split() == line.split(" ")  # single blanks
        assert not set(line) & set("<>[](){}|")  # every slot is filled
        assert line.lstrip('" ')[0].isupper() or not line.lstrip('" ')[0].isalpha()
        assert all(word.isalnum() or len(word) == 1 or "'" in word or "-" in word for word in line.split())


def test_tags_are_iob2():
    made = generate(replace(SMALL, train=300, test=300))
    for words, tags in made.train + made.dev + made.test:
        assert len(words) == len(tags)
        for before, tag in zip(["O", *tags], tags, strict=False):
            assert tag == "O" or (tag[:2] in ("B-", "I-") and tag[2:] in TYPES)
            assert not tag.startswith("I-") or before[2:] == tag[2:]
    assert {kind for _, kind in mentions(made.test)} == set(TYPES)


def test_no_sentence_comes_twice():
    made = generate(replace(SMALL, sentences=3_000, train=200, dev=200, test=200))
    lines = made.text + [" ".join(words) for words, _ in made.train + made.dev + made.test]
    assert len(set(lines)) == len(lines) == 3_600


def test_more_text_does_not_change_the_splits():
    small, large = generate(SMALL), generate(replace(SMALL, sentences=1_000))
    assert (small.train, small.dev, small.test) == (large.train, large.dev, large.test)
    assert large.text[:200] == small.text


# What the experiment asks of the world


@pytest.fixture(scope="module")
def default():
    """The default world; how much text there is does not change the splits."""
    return generate(replace(WorldSettings(), sentences=10))


def bucket(words) -> str:
    return str(len(words)) if len(words) < 5 else "5+"


def test_at_least_80_sentence_patterns():
    sections = world.read_sections("sentences.txt")
    assert set(sections) == {"telling", "neutral", "plain", "frames"}
    assert len({line for lines in sections.values() for line in lines}) >= 80


def test_mention_lengths_are_those_of_wikipedia(default):
    counts = Counter(bucket(words) for words, _ in mentions(default.test))
    shares = {name: 100 * count / counts.total() for name, count in counts.items()}
    # Over 5,000 mentions: standard error below 0.7 points; the rest is what the names of one world do.
    assert shares == pytest.approx({"1": 33, "2": 35, "3": 16, "4": 9, "5+": 8}, abs=5)


def test_length_is_not_type(default):
    counts = Counter((kind, bucket(words)) for words, kind in mentions(default.test))
    for kind in TYPES:
        assert sum(counts[kind, name] >= 100 for name in ("1", "2", "3", "4", "5+")) >= 4, kind
    for name in ("1", "2", "3", "4", "5+"):
        assert sum(counts[kind, name] for kind in TYPES) >= 300


def test_half_of_the_words_in_names_are_split():
    """40-60%: so that hiding whole words differs from hiding tokens."""
    made = generate(WorldSettings())
    tokenizer = tokenization.train(made.text, ModelSettings().vocabulary_size)
    words = [word for name, _ in mentions(made.test) for word in name]
    pieces = tokenizer.backend_tokenizer.encode_batch([[word] for word in words], is_pretokenized=True)
    split = sum(len(encoding.ids) - 2 > 1 for encoding in pieces) / len(words)  # without [CLS] and [SEP]
    assert 0.4 <= split <= 0.6


def f1_of_all(made, rule) -> float:
    gold = [tags for _, tags in made.test]
    return scoring.f1_by_length(gold, [rule(words) for words, _ in made.test]).set_index("length").f1["all"]


def test_capital_letters_give_little_away(default):
    """Every run of capitalised words, under the most frequent type."""
    kind = Counter(kind for _, kind in mentions(default.train)).most_common(1)[0][0]

    def rule(words):
        tags = ["O", *(word[0].isupper() for word in words)]
        return [
            "O" if not is_capital else f"{'I' if before is True else 'B'}-{kind}"
            for before, is_capital in pairwise(tags)
        ]

    assert f1_of_all(default, rule) < 50


def test_a_list_of_a_hundred_sentences_gives_little_away(default):
    """The names of the labelled sentences, the longest first."""
    known = dict(mentions(default.train[:100]))

    def rule(words):
        tags = ["O"] * len(words)
        for length in range(max(map(len, known)), 0, -1):
            for start in range(len(words) - length + 1):
                kind = known.get(tuple(words[start : start + length]))
                if kind and set(tags[start : start + length]) == {"O"}:
                    tags[start : start + length] = [f"B-{kind}"] + [f"I-{kind}"] * (length - 1)
        return tags

    assert 20 < f1_of_all(default, rule) < 50


# The dials


def many(**dials):
    return generate(replace(WorldSettings(), sentences=10, train=10, dev=10, test=2_000, **dials)).test


def share_of_the_most_frequent_follower(sentences) -> float:
    """Over first words with 5 and more two-word names: the share of the most frequent second word."""
    followers = defaultdict(Counter)
    for words, kind in set(mentions(sentences)):  # names, not mentions: that some are frequent is Zipf's law
        if kind == "PER" and len(words) >= 2 and words[0] != "Saint" and words[1] != "the":
            followers[words[0]][words[1]] += 1
    counted = [counts for counts in followers.values() if counts.total() >= 5]
    assert len(counted) >= 20
    best = sum(max(counts.values()) for counts in counted)
    return best / sum(counts.total() for counts in counted)


def test_predictability_lets_words_foretell_their_followers():
    low, middle, high = (
        share_of_the_most_frequent_follower(many(predictability=dial, invented_words=30))
        for dial in (0.0, 0.5, 1.0)
    )
    assert low + 0.1 < middle < high - 0.1


def test_length_makes_names_longer():
    means = []
    for dial in (0.0, 0.5, 1.0):
        lengths = [len(words) for words, _ in mentions(many(length=dial))]
        means.append(sum(lengths) / len(lengths))
    assert means[0] + 0.3 < means[1] < means[2] - 0.3
    assert means[1] == pytest.approx(2.3, abs=0.2)  # 33 35 16 9 4 2 1 out of 100: 2.26


def share_given_away(sentences) -> float:
    """How many types are guessed from the words beside the mention, by the type most frequent there."""
    types = defaultdict(Counter)
    for words, tags in sentences:
        around = ["", *words, ""]
        for place, tag in enumerate(tags):
            if tag.startswith("B-"):
                end = place + 1
                while end < len(tags) and tags[end].startswith("I-"):
                    end += 1
                types[around[place], around[end + 1]][tag] += 1
    frequent = [counts for counts in types.values() if counts.total() >= 10]
    return sum(max(counts.values()) for counts in frequent) / sum(counts.total() for counts in frequent)


def test_context_gives_the_type_away():
    low, middle, high = (share_given_away(many(context=dial)) for dial in (0.0, 0.5, 1.0))
    assert low < 0.4  # five types, equally likely: 0.2, and the luck of few mentions
    assert low + 0.1 < middle < high - 0.1


# Its files


@pytest.fixture
def own_files(monkeypatch, tmp_path):
    """A copy of the world's files that a test may change."""
    shutil.copytree(world.FOLDER, tmp_path / "world")
    monkeypatch.setattr(world, "FOLDER", tmp_path / "world")
    return tmp_path / "world"


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        (
            "sentences.txt",
            "a <river> in [LOC]",
            r"sentences\.txt: <river> in 'a <river> .*add \[river\] to words",
        ),
        ("sentences.txt", "a day in [CITY]", r"\[CITY\] in 'a day .*choose from PER, LOC"),
        ("names.txt", "<given> of the <River>", r"names\.txt: <River> .*add \[river\]"),
    ],
)
def test_a_pattern_that_asks_for_what_is_not_there(own_files, name, line, message):
    with (own_files / name).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    with pytest.raises(ValueError, match=message):
        generate(SMALL)


@pytest.mark.parametrize(
    ("name", "section"),
    [("sentences.txt", "frames"), ("names.txt", "WORK"), ("syllables.txt", "vowel"), ("words.txt", "noun")],
)
@pytest.mark.parametrize("empty", [True, False])
def test_a_section_that_is_not_there(own_files, name, section, empty):
    text = (own_files / name).read_text(encoding="utf-8")
    before, _, rest = text.partition(f"[{section}]\n")
    after = rest[rest.index("\n[") :] if "\n[" in rest else ""
    assert rest
    (own_files / name).write_text(before + f"[{section}]\n" * empty + after, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"\[?{section}\b"):
        generate(SMALL)


def test_a_name_longer_than_any(own_files):
    with (own_files / "names.txt").open("a", encoding="utf-8") as file:
        file.write("\n[PER]\n" + " ".join(["<given>"] * 8) + "\n")
    with pytest.raises(ValueError, match="'<given> .* has more than 7 words"):
        generate(SMALL)


def test_patterns_that_do_not_make_so_many_sentences(own_files):
    kinds = "".join(f"[{kind}]\nit rained\n" for kind in ("telling", "neutral", "plain"))
    (own_files / "sentences.txt").write_text(f"{kinds}[frames]\n{{clause}} .\n", encoding="utf-8")
    with pytest.raises(ValueError, match="do not make 30 different sentences: add some"):
        generate(SMALL)


def test_syllables_that_do_not_make_so_many_words(own_files):
    sections = {name: lines[:1] for name, lines in world.read_sections("syllables.txt").items()}
    text = "".join(f"[{name}]\n{lines[0].split()[0]}\n" for name, lines in sections.items())
    (own_files / "syllables.txt").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="too few syllables for 16 different words: add some"):
        generate(SMALL)


def test_a_line_before_the_first_section(monkeypatch, tmp_path):
    (tmp_path / "names.txt").write_text("# a comment\n\n<given>\n[PER]\n<surname>\n", encoding="utf-8")
    monkeypatch.setattr(world, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"names\.txt:3: put a \[section\] line before this one"):
        world.read_sections("names.txt")


def test_sections_leave_out_comments_and_blank_lines(monkeypatch, tmp_path):
    (tmp_path / "a.txt").write_text("[one]\n# no\n  b c \n\n[two]\nd\n[one]\ne\n", encoding="utf-8")
    monkeypatch.setattr(world, "FOLDER", tmp_path)
    assert world.read_sections("a.txt") == {"one": ["b c", "e"], "two": ["d"]}
