"""Fine-tuning on a task that can be learnt by heart, and prediction."""

import copy
from dataclasses import replace

import pytest
import torch
from seqeval.metrics import f1_score

from helpers import corpora, finetuning, model, tokenization
from helpers.finetuning import batches, finetune, predict
from helpers.settings import SCALES, FinetuningSettings, ModelSettings
from helpers.tokenization import Windows

TAGS = ["O", "B-PER", "I-PER"]
TINY = ModelSettings(vocabulary_size=40, length=16, hidden_size=16, layers=1, heads=2)
RUN = FinetuningSettings(steps=350, batch_size=8, learning_rate=1e-2, seed=1)


@pytest.fixture(scope="module")
def windows() -> Windows:
    """60 sentences of 3 to 13 words, [CLS] and [SEP] around them, one piece a word.

    A word from 30 is a name: B-PER, or I-PER after another name. So the tag takes the word and its neighbour.
    """
    draw = torch.Generator().manual_seed(0)
    shape = (60, 15)
    input_ids = torch.zeros(shape, dtype=torch.long)
    attention_mask, labels = torch.zeros_like(input_ids), torch.full(shape, -100)
    for row in range(60):
        count = int(torch.randint(3, 14, (), generator=draw))
        words = torch.randint(20, 40, (count,), generator=draw)
        name = words >= 30
        after_name = torch.cat([torch.tensor([False]), name[:-1]])
        input_ids[row, : count + 2] = torch.cat([torch.tensor([2]), words, torch.tensor([3])])
        attention_mask[row, : count + 2] = 1
        labels[row, 1 : count + 1] = name.long() + (name & after_name).long()
    return Windows(input_ids, attention_mask, labels, labels, labels)


@pytest.fixture(scope="module")
def pretrained():
    return model.build(TINY, seed=0)


@pytest.fixture(scope="module")
def tagger(pretrained, windows):
    return finetune(pretrained, windows, TAGS, RUN)


def test_it_learns_a_task(tagger, windows):
    scored = windows.labels != -100
    right = (predict(tagger, windows) == windows.labels)[scored].float().mean().item()
    most_frequent = windows.labels[scored].bincount().max().item() / scored.sum().item()
    assert most_frequent < 0.6
    assert right > 0.95
    assert not tagger.training and tagger.config.id2label == dict(enumerate(TAGS))


def test_batches_take_all_rows_in_turn_and_put_like_lengths_together():
    lengths = torch.randint(5, 60, (100,), generator=torch.Generator().manual_seed(3))
    settings = replace(RUN, steps=26, batch_size=8)  # 208 rows: all of them twice, and 8 more
    made = batches(lengths, settings)
    assert [len(batch) for batch in made] == [8] * 26
    seen = torch.cat(made).bincount(minlength=100)
    assert seen.min() == 2 and seen.max() == 3
    padding = sum(int((lengths[batch].max() - lengths[batch]).sum()) for batch in made)
    in_any_order = torch.cat(made)[torch.randperm(208, generator=torch.Generator().manual_seed(4))].split(8)
    assert padding < 0.6 * sum(int((lengths[batch].max() - lengths[batch]).sum()) for batch in in_any_order)
    means = [lengths[batch].float().mean() for batch in made]
    assert sorted(means[:4]) != means[:4] or sorted(means[4:8]) != means[4:8]  # not always short before long
    assert all(map(torch.equal, made, batches(lengths, settings)))
    assert not torch.equal(torch.cat(made), torch.cat(batches(lengths, replace(settings, seed=9))))


def test_the_source_is_not_changed(pretrained, windows):
    before = {name: weights.clone() for name, weights in pretrained.state_dict().items()}
    mode = pretrained.training
    tagger = finetune(pretrained, windows, TAGS, replace(RUN, steps=3))
    assert pretrained.training is mode
    for name, weights in pretrained.state_dict().items():
        assert torch.equal(weights, before[name])
    word = tagger.bert.embeddings.word_embeddings.weight
    assert not torch.equal(word, before["bert.embeddings.word_embeddings.weight"])  # the encoder learns too


def test_the_seed_decides_everything(pretrained, windows):
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    one = finetune(pretrained, windows, TAGS, replace(RUN, steps=6))
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(6)
    same = finetune(pretrained, windows, TAGS, replace(RUN, steps=6))
    other = finetune(pretrained, windows, TAGS, replace(RUN, steps=6, seed=2))
    for name, weights in one.state_dict().items():
        assert torch.equal(weights, same.state_dict()[name])
    assert not torch.equal(one.classifier.weight, other.classifier.weight)


def test_tokens_that_are_not_labelled_do_not_count(pretrained, windows):
    """Padding and its ids change nothing: the rows are cut, and what is left is attended to by nobody."""
    noisy = torch.where(windows.attention_mask == 1, windows.input_ids, 39)
    other = replace(windows, input_ids=noisy)
    one, two = (
        finetune(pretrained, rows, TAGS, replace(RUN, steps=3)).classifier.weight for rows in (windows, other)
    )
    torch.testing.assert_close(one, two)


def test_predictions_do_not_depend_on_the_batch_size(tagger, windows):
    one_by_one, together = (predict(tagger, windows, batch_size=size) for size in (1, 64))
    # Padding changes float32 sums in the seventh digit; no two tags of these rows are that close.
    assert torch.equal(one_by_one, together)
    assert one_by_one.shape == windows.input_ids.shape
    assert len(one_by_one[windows.word >= 0].unique()) == 3


def test_predictions_are_those_of_the_model_row_by_row(tagger, windows):
    predictions = predict(tagger, windows)
    for row in (0, 17, 59):
        length = int(windows.attention_mask[row].sum())
        logits = tagger(windows.input_ids[row : row + 1, :length]).logits
        words = windows.word[row, :length] >= 0
        assert torch.equal(predictions[row, :length][words], logits.argmax(-1)[0][words])
        assert predictions[row][windows.word[row] < 0].eq(0).all()  # nothing is predicted elsewhere


def weights_of(tagger) -> torch.Tensor:
    return torch.cat([weights.detach().flatten() for weights in tagger.parameters()])


def test_a_loss_that_is_no_number_is_named_with_its_step(pretrained, windows):
    endless = replace(RUN, steps=3, learning_rate=float("inf"))
    with pytest.raises(FloatingPointError, match="fine-tuning is nan at step 2; try a lower learning_rate"):
        finetune(pretrained, windows, TAGS, endless)


def test_a_gpu_without_room_is_named_with_the_remedy(monkeypatch, tagger, pretrained, windows):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(finetuning, "logits_at", full)
    with pytest.raises(MemoryError, match="a batch of 8 rows .* choose a smaller batch_size"):
        finetune(pretrained, windows, TAGS, RUN)
    with pytest.raises(MemoryError, match="a batch of 25 rows .* choose a smaller batch_size"):
        predict(tagger, windows, batch_size=25)


# Precisions


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_low_precision_learns_too(pretrained, windows, dtype):
    tagger = finetune(pretrained, windows, TAGS, replace(RUN, steps=60), dtype)
    scored = windows.labels != -100
    right = (predict(tagger, windows, dtype) == windows.labels)[scored].float().mean().item()
    assert right > 0.8
    assert {weights.dtype for weights in tagger.parameters()} == {torch.float32}


def test_float16_scores_like_float32_on_a_world():
    scale = SCALES["smoke"]
    corpus = corpora.load("world", world=scale.world)
    tokenizer = tokenization.train(corpus.text, scale.model.vocabulary_size)
    names = corpus.tag_names

    def encode(split: str) -> tokenization.Windows:
        sentences, tags = zip(*corpus.splits[split], strict=True)
        numbers = [[names.index(tag) for tag in sentence_tags] for sentence_tags in tags]
        return tokenization.encode(sentences, numbers, tokenizer, scale.model.length)

    train, test = encode("train"), encode("test")
    sentences, gold = map(list, zip(*corpus.splits["test"], strict=True))
    bert = model.build(replace(scale.model, vocabulary_size=len(tokenizer)), 0)

    def score(dtype: str) -> float:
        tagger = finetune(bert, train, names, scale.finetuning, dtype)
        return f1_score(gold, tokenization.decode(test, predict(tagger, test, dtype), sentences, names))

    full, low = score("float32"), score("float16")
    assert full > 0.1 and low == pytest.approx(full, abs=0.02)


@pytest.fixture
def scales(monkeypatch):
    """The scale of the loss behind each step, where it starts far above what float16 can hold."""
    seen = []

    class Huge(torch.amp.GradScaler):
        def __init__(self, device: str, enabled: bool):
            super().__init__(device, init_scale=2.0**40, enabled=enabled)

        def update(self):
            super().update()
            seen.append(self.get_scale())

    monkeypatch.setattr(torch.amp, "GradScaler", Huge)
    return seen


def test_steps_whose_gradients_overflow_are_skipped_and_halve_the_scale(pretrained, windows, scales):
    settings = replace(RUN, steps=3)
    tagger = finetune(pretrained, windows, TAGS, settings, "float16")
    assert scales == [2.0**39, 2.0**38, 2.0**37]
    untouched = model.token_classifier(pretrained, TAGS, settings.seed, settings.dropout)
    assert torch.equal(weights_of(tagger), weights_of(untouched))


def test_training_goes_on_once_the_scale_is_small_enough(pretrained, windows, scales):
    tagger = finetune(pretrained, windows, TAGS, replace(RUN, steps=100), "float16")
    assert len(scales) == 100 and 1 < scales[-1] < 2.0**30
    assert scales[-30:] == [scales[-1]] * 30
    scored = windows.labels != -100
    assert (predict(tagger, windows, "float16") == windows.labels)[scored].float().mean() > 0.8


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_only_float16_scales_the_loss(pretrained, windows, scales, dtype):
    finetune(pretrained, windows, TAGS, replace(RUN, steps=2), dtype)
    assert scales == [1.0, 1.0]


def test_loss_scaling_does_not_hide_a_loss_that_is_no_number(pretrained, windows):
    broken = copy.deepcopy(pretrained)
    with torch.no_grad():
        broken.bert.embeddings.word_embeddings.weight[2] = float("nan")  # of [CLS], which all rows have
    with pytest.raises(FloatingPointError, match="fine-tuning is nan at step 1"):
        finetune(broken, windows, TAGS, replace(RUN, steps=3), "float16")
