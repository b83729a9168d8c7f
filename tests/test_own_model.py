"""A pre-trained model of one's own: it is opened as it is, or refused by name; its tokenizer's rows."""

import json
import shutil
from itertools import pairwise

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertModel,
    ByT5Tokenizer,
    GPT2Config,
    GPT2LMHeadModel,
)

from helpers import own_model, tokenization
from helpers.own_model import ModelError
from tests.tiny_architectures import ARCHITECTURES, masked_lm, save
from tests.tiny_tokenizers import KINDS, TEXT, make_tokenizer


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save("bert", tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture
def copy(bert, tmp_path):
    """A copy of it, to be damaged."""
    return shutil.copytree(bert, tmp_path / "bert")


# What is opened


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_model_and_its_tokenizer_are_opened_as_they_came(name, tmp_path, capfd):
    folder = save(name, tmp_path / name)
    facts = own_model.inspect(str(folder))
    expected = {"roberta": 79, "xlm-roberta": 79, "mpnet": 78}  # positions start behind that of padding
    assert facts.longest_row == expected.get(name, 80) and facts.notes == ()
    opened, again = own_model.load(str(folder), 0), AutoModelForMaskedLM.from_pretrained(folder)
    for key, weights in again.state_dict().items():
        assert torch.equal(opened.state_dict()[key], weights), key
    assert not {module.p for module in opened.modules() if isinstance(module, torch.nn.Dropout)} - {0.0}
    own_model.restore_dropout(opened.config, str(folder))
    assert opened.config.to_dict() == again.config.to_dict() | {"dtype": opened.config.to_dict()["dtype"]}
    assert (
        own_model.open_tokenizer(str(folder)).get_vocab() == AutoTokenizer.from_pretrained(folder).get_vocab()
    )


def test_half_a_precision_is_opened_in_float32(copy):
    AutoModelForMaskedLM.from_pretrained(copy).half().save_pretrained(copy)
    opened = own_model.load(str(copy), 0)
    assert {weights.dtype for weights in opened.parameters()} == {torch.float32}
    assert opened.config.dtype == torch.float32


def test_a_new_head_is_the_same_for_all_arms_of_a_seed_and_is_told(copy, capfd):
    BertModel.from_pretrained(copy, add_pooling_layer=False).save_pretrained(copy)
    capfd.readouterr()
    note = own_model.inspect(str(copy)).notes[0]
    assert "came without a masked-LM head" in note and "cls.predictions" in note
    one, same, other = (own_model.load(str(copy), seed).state_dict() for seed in (3, 3, 4))
    differ = [key for key in one if not torch.equal(one[key], other[key])]
    assert differ and all(key.startswith("cls.predictions.transform") for key in differ)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert torch.equal(one["cls.predictions.decoder.weight"], one["bert.embeddings.word_embeddings.weight"])
    said = "".join(capfd.readouterr())
    assert "MISSING" not in said and "newly initialized" not in said, "the note says it, and nobody else"


# Which one


def test_a_folder_is_known_by_what_is_in_it(copy, bert, monkeypatch):
    before = own_model.fingerprint(str(copy))
    assert before == own_model.fingerprint(str(bert))
    (copy / "README.md").write_text("notes")
    assert own_model.fingerprint(str(copy)) == before
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-6}))
    assert own_model.fingerprint(str(copy)) != before
    monkeypatch.chdir(copy.parent)
    assert own_model.pinned("bert") == str(copy)


def test_a_name_on_the_hub_is_pinned_to_the_commit_in_the_cache(bert, tmp_path, monkeypatch):
    """The cache as the library lays it out, without a network."""
    commits = {"main": "a" * 40, "v1": "b" * 40}
    cache = tmp_path / "models--someone--tiny"
    for ref, commit in commits.items():
        shutil.copytree(bert, cache / "snapshots" / commit)
        (cache / "refs").mkdir(exist_ok=True)
        (cache / "refs" / ref).write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("transformers.utils.hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert own_model.pinned("someone/tiny") == f"someone/tiny@{commits['main']}"
    assert own_model.pinned("someone/tiny@v1") == f"someone/tiny@{commits['v1']}"
    pinned = own_model.pinned("someone/tiny")
    assert own_model.pinned(pinned) == own_model.fingerprint(pinned) == pinned
    assert own_model.load(pinned, 0).config.model_type == "bert"
    assert own_model.inspect(pinned).longest_row == 80


# What is refused: one error, which names the model


def refused(name, said: str) -> None:
    with pytest.raises(ModelError) as error:
        own_model.inspect(own_model.pinned(str(name)))
    message = str(error.value)
    assert said in message and str(name) in message and "\n" not in message


def test_a_folder_without_a_configuration(copy):
    (copy / "config.json").unlink()
    refused(copy, "it has no config.json. Give a folder that save_pretrained wrote")


@pytest.mark.parametrize("content", ["{", "{}", '{"model_type": "unheard-of"}'])
def test_a_configuration_that_says_nothing(copy, content):
    (copy / "config.json").write_text(content)
    refused(copy, "cannot be opened as a model")


def test_a_name_that_nobody_has_heard_of():
    refused("no-such/model", "Check the name and the network, or give a folder")


@pytest.mark.parametrize("name", ["./no/such/folder", "a b", "/nowhere"])
def test_what_is_neither_a_folder_nor_a_name(name):
    refused(name, "is neither a folder nor a name on the hub")


def test_a_slow_tokenizer(copy):
    for file in copy.glob("*token*"):
        file.unlink()
    ByT5Tokenizer().save_pretrained(copy)
    refused(copy, "ByT5Tokenizer, is slow and has no word ids")


def test_a_folder_without_a_tokenizer(copy):
    for file in copy.glob("*token*"):
        file.unlink()
    refused(copy, "there is no tokenizer. Put its tokenizer.json beside the weights")


@pytest.mark.parametrize("role", ["mask", "pad"])
def test_a_tokenizer_without_a_special_token(copy, role):
    tokenizer = make_tokenizer("unigram")
    setattr(tokenizer, f"{role}_token", None)
    tokenizer.save_pretrained(copy)
    refused(copy, f"has no {role} token")


def test_a_tokenizer_that_does_not_split_at_blanks(copy):
    make_tokenizer("unigram", split=False).save_pretrained(copy)
    refused(copy, "takes 'one two three' for fewer words")


def test_a_tokenizer_of_another_model(copy):
    masked_lm("bert", 50).save_pretrained(copy)
    refused(copy, "but the model only 50 embeddings")


def test_a_decoder(tmp_path):
    config = GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=300)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    make_tokenizer("byte-level bpe").save_pretrained(tmp_path)
    refused(tmp_path, "is a gpt2, which cannot be both a masked LM and a tagger")


@pytest.mark.parametrize("left", [0, 100, 20_000])
def test_weights_that_are_cut_short(copy, left):
    file = copy / "model.safetensors"
    content = file.read_bytes()
    assert len(content) > left
    file.write_bytes(content[:left])
    refused(copy, "Fetch the model again: its files may be cut short")


def test_weights_that_are_not_there(copy):
    (copy / "model.safetensors").unlink()
    refused(copy, "no file named model.safetensors")


def test_weights_that_lack_a_layer(copy):
    weights = load_file(copy / "model.safetensors")
    kept = {name: values for name, values in weights.items() if "layer.1." not in name}
    save_file(kept, copy / "model.safetensors", {"format": "pt"})
    refused(copy, "16 weights of the encoder are missing, bert.encoder.layer.1.attention")


def test_a_head_that_needs_more_than_the_positions_that_it_scores(copy, monkeypatch):
    head = torch.nn.Module.__call__

    def looks_around(module, *inputs, **named):
        found = head(module, *inputs, **named)
        is_head = type(module).__name__ == "BertOnlyMLMHead"
        return found + found.mean(1, keepdim=True) if is_head else found

    monkeypatch.setattr("transformers.models.bert.modeling_bert.BertOnlyMLMHead.__call__", looks_around)
    refused(copy, "a bert gives other logits at some positions than in a whole row")


# Rows


@pytest.mark.parametrize("kind", KINDS)
def test_packed_rows_hold_the_text_with_the_tokenizer_s_words(kind):
    tokenizer = make_tokenizer(kind)
    blocks = own_model.pack([*TEXT, " ", ""], tokenizer, 32)
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    ids, words = blocks.input_ids, blocks.word_ids
    assert ids.shape == words.shape and ids.shape[1] == 32 and ids.dtype == words.dtype == torch.int64
    assert (ids[:, 0] == cls).all() and (ids[:, -1] == sep).all()
    assert ((words == -1) == ((ids == cls) | (ids == sep))).all()
    expected, starts = [], []
    for line in TEXT:
        encoding = tokenizer(" ".join(line.split()), add_special_tokens=False)
        expected += [*encoding["input_ids"], sep]
        starts += [one != other for one, other in pairwise([None, *encoding.word_ids()])] + [False]
    stream = ids[:, 1:-1].flatten()
    assert stream.tolist() == expected[: len(stream)] and len(expected) - len(stream) < 30
    for row, numbers in enumerate(words[:, 1:-1].tolist()):
        first = True  # a word that the row before has cut counts in both
        place = -1
        for column, number in enumerate(numbers):
            if number >= 0:
                place += starts[30 * row + column] or (first and column == 0)
                assert number == place
            first = False


def test_for_wordpieces_they_are_those_of_the_tiny_bert():
    """But for the end of a row, which that one cuts anywhere."""
    tokenizer, lines = make_tokenizer("wordpiece"), [" ".join(line.split()) for line in TEXT]
    ours = own_model.pack(lines, tokenizer, 32).input_ids[:, 1:-1].flatten()
    theirs = tokenization.pack(lines, tokenizer, 31).input_ids[:, 1:].flatten()
    shorter = min(len(ours), len(theirs))
    assert torch.equal(ours[:shorter], theirs[:shorter])


def test_special_tokens_in_the_text_are_text():
    tokenizer = make_tokenizer("byte-level bpe")
    rows = own_model.pack(["a </s> b <mask>"] * 30, tokenizer, 16)
    inside = rows.input_ids[rows.word_ids >= 0]
    assert not set(inside.tolist()) & set(tokenizer.all_special_ids)


@pytest.mark.parametrize(("length", "said"), [(2, "choose at least 3"), (5_000, "too short")])
def test_rows_that_cannot_be_filled(length, said):
    with pytest.raises(ValueError, match=said):
        own_model.pack(TEXT[:3], make_tokenizer("unigram"), length)
