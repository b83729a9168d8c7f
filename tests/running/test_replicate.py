"""A replicate is one seed: what its arms share, what is kept of it, and which input is refused."""

from dataclasses import replace

import pytest
import torch

from helpers import corpora, tokenization
from helpers.corpora import CorpusError
from helpers.running import artifacts
from helpers.running import replicate as replicates
from helpers.running.replicate import corpus_key, load, rows_key, vocabulary_size
from helpers.settings import SCALES, choose
from helpers.world import generate
from tests.micro import MICRO, own_files


def test_a_replicate_is_one_seed(settings):
    zero, one = load(settings, 0), load(settings, 1)
    assert (zero.seed, one.seed) == (0, 1)
    assert zero.corpus.text == generate(MICRO.world).text
    assert one.corpus.text == generate(replace(MICRO.world, seed=1)).text
    assert zero.blocks.input_ids.shape[1] == 64 and not torch.equal(
        zero.blocks.input_ids[:30], one.blocks.input_ids[:30]
    )
    assert load(replace(settings, scale=replace(MICRO, first_seed=1)), 0).corpus.text == one.corpus.text


def test_the_kept_rows_are_those_made(settings):
    made = load(settings)
    load.cache_clear()
    opened = load(settings)
    assert opened is not made
    assert torch.equal(opened.blocks.input_ids, made.blocks.input_ids)
    assert torch.equal(opened.blocks.word_ids, made.blocks.word_ids)
    assert opened.tokenizer.get_vocab() == made.tokenizer.get_vocab()


def test_labelled_subsets_are_nested_and_differ(settings):
    of = load(settings)
    for subset in (0, 1):
        assert of.labelled_rows(10, subset) == of.labelled_rows(20, subset)[:10]
        assert len(set(of.labelled_rows(20, subset))) == 20
    assert set(of.labelled_rows(20, 0)) != set(of.labelled_rows(20, 1))
    assert of.labelled_rows(20, 0) != load(settings, 1).labelled_rows(20, 0)
    windows = of.labelled(10, 1)
    assert len(windows.sentence.unique()) == 11  # ten sentences, and -1
    for number, row in enumerate(of.labelled_rows(10, 1)):
        gold = [of.tags.index(tag) for tag in of.gold("train")[row]]
        assert windows.labels[windows.sentence == number].tolist() == gold


@pytest.mark.parametrize("count", [0, 41])
def test_more_labelled_sentences_than_there_are(settings, count):
    of = load(settings)
    with pytest.raises(ValueError, match="choose from 1 to 40"):
        of.labelled(count)


def test_gold_is_the_test_split_of_the_world(settings):
    of, made = load(settings), generate(MICRO.world)
    assert of.gold() == [tags for _, tags in made.test]
    assert of.sentences("test") == [words for words, _ in made.test]


def test_too_few_labelled_sentences_are_refused(settings):
    scale = replace(MICRO, core_sentences=100)
    with pytest.raises(CorpusError, match="has 40 labelled training sentences, but scale micro needs 100"):
        load(replace(settings, scale=scale))


def test_a_missing_dev_file_is_named_where_it_leaves_too_few(settings, tmp_path):
    own = own_files(tmp_path)
    (own / "dev.txt").unlink()
    files = replace(settings, corpus=str(own), scale=replace(MICRO, core_sentences=40))
    with pytest.raises(CorpusError, match=r"needs 40: give more.* No dev file: every tenth .* \(4 of 40\)"):
        load(files)


def test_too_little_text_is_refused(settings):
    scale = replace(MICRO, world=replace(MICRO.world, sentences=20))
    with pytest.raises(CorpusError, match="too short"):
        load(replace(settings, scale=scale))


@pytest.fixture
def labelled(folder, tmp_path):
    """A folder of labelled files, each line with two columns of tags."""
    for split in ("train", "dev", "test"):
        lines = "".join(f"Anna{split}{k} B-PER B-X\nsleeps O O\nhere O O\n\n" for k in range(500))
        (tmp_path / f"{split}.txt").write_text(lines)
    return tmp_path


def test_the_choice_of_columns_is_in_the_key_of_a_corpus_of_files(labelled):
    keys = [corpus_key(choose("smoke", str(labelled), columns=text), 0) for text in ("", "tag=2", "tag=3")]
    assert set(keys[0]) == {"words", "files", "code"}, "as before there were columns to choose"
    assert keys[1] == keys[0] | {"columns": "tag=2"}
    assert len({artifacts.digest(key) for key in keys}) == 3


def test_a_replicate_reads_the_columns_that_were_chosen(labelled):
    settings = choose("smoke", str(labelled), columns="word=1,tag=3")
    assert load(settings).corpus.types == ("X",)
    assert load(replace(settings, columns="word=1,tag=2")).corpus.types == ("PER",)
    with pytest.raises(CorpusError, match="column 2 .* and column 3 .* hold tags"):
        load(replace(settings, columns=""))


def test_one_endless_sentence_is_said_to_lack_empty_lines(labelled):
    for split in ("train", "dev", "test"):
        (labelled / f"{split}.txt").write_text(f"Anna{split} B-PER\nsleeps O\n" * 150)
    with pytest.raises(CorpusError, match="has 1 labelled .* a sentence has 300 words, so what ends"):
        load(choose("smoke", str(labelled)))


def test_notes_say_what_the_tokenizer_loses_of_a_corpus_of_files(settings, tmp_path):
    sentence = ["Anna\tB-PER\n", "\u200c\tI-PER\n", "Keen\tI-PER\n", "read\tO\n"]
    for split in ("train", "dev", "test"):
        rows = "".join([*sentence, "\n"] * 25)
        (tmp_path / f"{split}.txt").write_text(rows.replace("Anna", split), encoding="utf-8")
    lost = "\nBo\tB-PER\n\u200c\tI-PER\n"  # no window can tell where this mention ends
    with (tmp_path / "test.txt").open("a", encoding="utf-8") as file:
        file.write(lost)
    (tmp_path / "news.raw").write_text("Anna read a book and Bo sat .\n" * 400)
    of_files = replace(settings, corpus=str(tmp_path), text=(str(tmp_path / "news.raw"),))
    notes = load(of_files).corpus.notes
    assert "0.00% of the text's pieces are [UNK]." in notes
    assert any(
        note.startswith("Warning: 1 of 26 mentions in the test split cannot be found") for note in notes
    )


def test_a_short_text_gets_a_small_vocabulary_and_the_world_its_own():
    """Or most of its words would be pieces, and no word torn."""
    own, words = choose("laptop", "mine"), ["a b c d e f g h i j"]
    for lines, size in ((10, 1_500), (40_000, 4_000), (100_000, 8_192)):
        assert vocabulary_size(own, words * lines) == size
    assert vocabulary_size(choose("laptop"), words) == SCALES["laptop"].model.vocabulary_size
    assert vocabulary_size(replace(own, scale=MICRO), words * 40_000) == MICRO.model.vocabulary_size


def test_a_note_says_that_a_text_is_read_many_times(folder):
    own = own_files(folder)
    chosen = replace(choose("smoke", str(own), (str(own / "text.txt"),)), scale=MICRO)
    there = load(chosen).blocks.input_ids.numel()
    assert not any("More text would teach" in note for note in load(chosen).corpus.notes)
    often = replace(chosen, scale=replace(MICRO, tokens=(10 * there,)))
    assert any(f"The text has {there:,} tokens" in n and "10 times" in n for n in load(often).corpus.notes)


def test_a_key_holds_what_was_recorded_of_a_set_of_the_hub(monkeypatch, tmp_path):
    """Its commit, the column and the order of the texts; nothing of it has to be here."""
    commits = {"hub:lab/people": "1" * 40, "hub:lab/stories::body": "2" * 40, "hub:lab/more": "3" * 40}
    monkeypatch.setattr(corpora, "provenance", lambda text: {"hub": text, "commit": commits[text]})
    news = tmp_path / "news.txt"
    news.write_text("Some news.\n", encoding="utf-8")
    texts = ("hub:lab/stories::body", str(news), "hub:lab/more")

    def key(*text: str) -> dict:
        return corpus_key(choose("smoke", "hub:lab/people", text), 0)

    first = key(*texts)
    assert key(*texts) == first and key(*texts[::-1])["files"] != first["files"]
    assert key(texts[0], texts[1]) != key(texts[1], texts[0])
    for name in commits:
        before, commits[name] = commits[name], "4" * 40
        assert key(*texts)["files"] != first["files"]
        commits[name] = before
    assert corpus_key(choose("smoke", "world"), 0)["code"] != first["code"]


def test_a_text_of_any_size_is_read_once_and_packed_in_parts(folder, monkeypatch):
    """What is read is kept, and a part loses less than a row at its end."""
    own = own_files(folder, replace(MICRO.world, sentences=1_500, seed=6))
    (own / "text.txt").rename(folder / "text.txt")
    chosen = replace(choose("smoke", str(own), (str(folder / "text.txt"),)), scale=MICRO)
    whole = load(chosen)
    assert artifacts.find("text", corpus_key(chosen, 0))

    monkeypatch.setattr(corpora, "load", None)
    load.cache_clear()
    replicates._corpus_of_files.cache_clear()
    again = load(chosen)
    assert again.corpus == whole.corpus and again.corpus.text == whole.corpus.text
    assert torch.equal(again.blocks.input_ids, whole.blocks.input_ids)
    own.rename(folder / "moved")
    moved = load(replace(chosen, corpus=str(folder / "moved"))).corpus
    assert moved.provenance == {**whole.corpus.provenance, "corpus": "moved"}
    (folder / "moved").rename(own)

    monkeypatch.setattr(replicates, "PART", sum(map(len, whole.corpus.text)) // 3)
    parts = list(replicates._parts(whole.corpus.text))
    assert len(parts) == 3 and sum(parts, []) == whole.corpus.text
    assert list(replicates._parts(generate(MICRO.world).text)) == [generate(MICRO.world).text]
    assert rows_key(chosen, 0)["code"] != rows_key(choose("smoke"), 0)["code"], "how a text is parted counts"
    assert max(map(len, parts)) < 1.2 * min(map(len, parts))
    monkeypatch.setattr(artifacts, "FOLDER", folder / "others")
    monkeypatch.setattr(replicates, "_corpus_of_files", lambda *_: whole.corpus)
    load.cache_clear()
    packed = load(chosen).blocks
    first = tokenization.pack(parts[0], whole.tokenizer, 64)
    assert torch.equal(packed.input_ids[: len(first.input_ids)], first.input_ids)
    assert torch.equal(packed.word_ids[: len(first.word_ids)], first.word_ids)
    assert len(whole.blocks.input_ids) - 3 < len(packed.input_ids) <= len(whole.blocks.input_ids)
