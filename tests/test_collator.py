"""The data collator: words of three kinds of tokenizers, padding, `Trainer`, workers and seeds, errors."""

import copy
import json
import pickle
import re
from itertools import groupby

import pytest
import torch
from datasets import Dataset
from scipy.stats import chi2_contingency
from tokenizers import Tokenizer
from torch.utils.data import DataLoader
from transformers import (
    BertConfig,
    BertForMaskedLM,
    ByT5Tokenizer,
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

from helpers.collator import MaskingCollator, encode_with_word_ids
from helpers.masking import STRATEGIES, Scheme
from tests.tiny_tokenizers import KINDS, TEXT, make_tokenizer

TOKENIZERS: dict[str, PreTrainedTokenizerFast] = {}


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def tokenizer(kind) -> PreTrainedTokenizerFast:
    """A copy, because tests change the padding side."""
    if kind not in TOKENIZERS:
        TOKENIZERS[kind] = make_tokenizer(kind)
    return copy.deepcopy(TOKENIZERS[kind])


@pytest.fixture(scope="module")
def wordpiece() -> PreTrainedTokenizerFast:
    return make_tokenizer("wordpiece")


def as_rows(columns: dict[str, list]) -> list[dict]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def features(texts: list[str], tokenizer, max_length: int = 64) -> list[dict]:
    return as_rows(encode_with_word_ids(texts, tokenizer, max_length))


def words_expected(kind: str, text: str) -> list[str]:
    """The words of a text by rules that use no tokenizer."""
    if kind == "wordpiece":
        return re.findall(r"\w+|[^\w\s]", text)
    if kind == "byte-level bpe":  # the pattern of GPT-2's encoder.py
        pattern = r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?\d+| ?[^\s\w]+|\s+(?!\S)|\s+"
        return re.findall(pattern, text)
    return re.findall("▁[^▁]*", ("" if text.startswith(" ") else "▁") + text.replace(" ", "▁"))


def surface(kind: str, tokenizer, ids: list[int]) -> str:
    """How the pieces of one word read."""
    if kind == "byte-level bpe":
        return tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    return "".join(piece.removeprefix("##") for piece in tokenizer.convert_ids_to_tokens(ids))


# Words


def test_words_are_those_of_the_pre_tokenizer_and_special_tokens_belong_to_none(kind, tokenizer):
    rows = features(TEXT, tokenizer, max_length=1_000)
    assert len(rows) == len(TEXT)
    for text, row in zip(TEXT, rows, strict=True):
        pairs = list(zip(row["word_ids"], row["input_ids"], strict=True))
        assert pairs[0] == (-1, tokenizer.cls_token_id) and pairs[-1] == (-1, tokenizer.sep_token_id)
        groups = [
            (word, [token for _, token in group]) for word, group in groupby(pairs[1:-1], lambda p: p[0])
        ]
        assert [word for word, _ in groups] == list(range(len(groups)))
        assert [surface(kind, tokenizer, ids) for _, ids in groups] == words_expected(kind, text)
        assert row["attention_mask"] == [1] * len(pairs)
    pieces = sum(len(row["input_ids"]) - 2 for row in rows)
    assert pieces > 1.5 * sum(max(row["word_ids"]) + 1 for row in rows)  # so whole words are a test at all


def test_words_can_be_given_and_then_are_kept_whole_whatever_they_hold(tokenizer):
    given = [["isn't", "half-way", "New York", "12"], ["two"]]
    columns = encode_with_word_ids(given, tokenizer, max_length=64, is_split_into_words=True)
    assert [max(word_ids) + 1 for word_ids in columns["word_ids"]] == [4, 1]
    assert {-1, 0, 1, 2, 3} == set(columns["word_ids"][0])


def test_words_that_are_given_have_the_pieces_that_they_have_in_running_text(tokenizer):
    for words in (["harbour", "of", "(lisbon)", "isn't"], ["ka", " ri"], ["two"]):
        text = " ".join(word.strip() for word in words)
        given = encode_with_word_ids([words], tokenizer, max_length=64, is_split_into_words=True)
        assert given["input_ids"] == encode_with_word_ids([text], tokenizer, max_length=64)["input_ids"]


def test_long_texts_are_cut_and_texts_without_words_left_out(tokenizer):
    texts = ["", TEXT[0] * 3, tokenizer.sep_token, "two", "  ", "\n"]
    columns = encode_with_word_ids(texts, tokenizer, max_length=20)
    assert [columns["word_ids"][0][0], len(columns["input_ids"]), len(columns["input_ids"][0])] == [-1, 2, 20]
    assert columns["word_ids"][0][-1] == -1  # the end of a cut text is still [SEP]
    assert encode_with_word_ids([], tokenizer, max_length=20) == {k: [] for k in columns}


def test_encoding_maps_over_a_dataset_that_has_other_columns_and_empty_lines(wordpiece):
    data = Dataset.from_dict({"text": ["", *TEXT[:20], ""], "source": ["a"] * 22})
    rows = data.map(
        lambda batch: encode_with_word_ids(batch["text"], wordpiece, max_length=64),
        batched=True,
        batch_size=7,
        remove_columns=data.column_names,
    )
    assert rows.column_names == ["input_ids", "attention_mask", "word_ids"]
    assert [dict(row) for row in rows] == features(TEXT[:20], wordpiece)


# Batches


@pytest.mark.parametrize("side", ("right", "left"))
@pytest.mark.parametrize("strategy", ("token", "whole_word", "span"))
def test_the_budget_is_exact_and_special_tokens_and_padding_are_never_touched(tokenizer, strategy, side):
    tokenizer.padding_side = side
    rows = features(TEXT[:60], tokenizer)
    collator = MaskingCollator(tokenizer, Scheme(strategy=strategy), pad_to_multiple_of=9)
    batch = collator(rows)
    assert set(batch) == {"input_ids", "attention_mask", "labels"}
    longest = max(len(row["input_ids"]) for row in rows)
    assert batch["labels"].shape == batch["input_ids"].shape == (60, -(-longest // 9) * 9)
    for number, row in enumerate(rows):
        length = len(row["input_ids"])
        inside = slice(0, length) if side == "right" else slice(-length, None)
        assert (
            batch["attention_mask"][number].sum() == length == batch["attention_mask"][number, inside].sum()
        )
        labels, seen = batch["labels"][number, inside].tolist(), batch["input_ids"][number, inside].tolist()
        hidden = [place for place, label in enumerate(labels) if label != -100]
        assert len(hidden) == max(1, round(0.15 * (length - 2)))
        assert not {0, length - 1} & set(hidden)
        for place, token in enumerate(row["input_ids"]):
            assert labels[place] == token if place in hidden else seen[place] == token
    padding = batch["attention_mask"] == 0
    assert padding.any()
    assert (batch["labels"][padding] == -100).all()
    assert (batch["input_ids"][padding] == tokenizer.pad_token_id).all()


def torn_words(rows: list[dict], labels: torch.Tensor) -> list[int]:
    """For each row, how many words are partly hidden. Rows are padded on the right."""
    counts = []
    for row, row_labels in zip(rows, labels.tolist(), strict=True):
        states: dict[int, set[bool]] = {}
        for word, label in zip(row["word_ids"], row_labels, strict=False):
            states.setdefault(word, set()).add(label != -100)
        counts.append(sum(len(seen) == 2 for seen in states.values()))
    return counts


def test_whole_words_and_spans_tear_at_most_one_word_of_a_row_and_none_if_told_so(tokenizer):
    rows = features(TEXT[:100], tokenizer)
    for strategy in ("whole_word", "span"):
        torn = torn_words(rows, MaskingCollator(tokenizer, Scheme(strategy=strategy))(rows)["labels"])
        assert max(torn) == 1  # the word that the budget cuts
        kept = MaskingCollator(tokenizer, Scheme(strategy=strategy, keep_whole=True, mask_rate=0.3))(rows)
        assert max(torn_words(rows, kept["labels"])) == 0
        assert (kept["labels"] != -100).sum() > 0.2 * kept["attention_mask"].sum()
    token = MaskingCollator(tokenizer, Scheme(strategy="token"))(rows)["labels"]
    assert max(torn_words(rows, token)) > 1


def test_spans_hide_neighbouring_words(tokenizer):
    rows = features(TEXT[:200], tokenizer)

    def words_in_a_run(strategy: str) -> float:
        labels = MaskingCollator(tokenizer, Scheme(strategy=strategy))(rows)["labels"].tolist()
        runs = []
        for row, row_labels in zip(rows, labels, strict=True):
            pairs = zip(row["word_ids"], row_labels, strict=False)
            runs += [
                len({w for w, _ in run}) for hidden, run in groupby(pairs, lambda p: p[1] != -100) if hidden
            ]
        return sum(runs) / len(runs)

    # With 15% of the words drawn one by one, a run has 1 / 0.85 = 1.18 words, if not for the ends of rows.
    assert words_in_a_run("whole_word") < 1.35
    assert words_in_a_run("span") > 1.7


@pytest.mark.parametrize("side", ("right", "left"))
def test_mentions_are_padded_like_the_rest(tokenizer, side):
    tokenizer.padding_side = side
    rows = features(TEXT[:40], tokenizer)
    for row in rows:  # one mention a row, the word in its middle; None is as good as -1
        words = row["word_ids"]
        row["mention_ids"] = [0 if word == words[len(words) // 2] else None for word in words]
        row["mention_ids"][0] = -1
    labels = MaskingCollator(tokenizer, Scheme(strategy="mentions", mask_rate=0.5))(rows)["labels"]
    taken = 0
    for row, row_labels in zip(rows, labels.tolist(), strict=True):
        length, size = len(row["input_ids"]), row["mention_ids"].count(0)
        if size < sum(label != -100 for label in row_labels):  # its middle lies within half the budget
            inside = row_labels[:length] if side == "right" else row_labels[-length:]
            assert all(inside[place] != -100 for place in range(length) if row["mention_ids"][place] == 0)
            taken += 1
    assert taken >= 30  # of 40


def test_rows_as_the_tokenizer_returns_them_work_with_all_their_columns(tokenizer, kind):
    encoded = tokenizer(TEXT[:8], TEXT[8:16], return_token_type_ids=True, return_special_tokens_mask=True)
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    rows = as_rows(dict(encoded))
    for number, row in enumerate(rows):
        row["word_ids"] = encoded.word_ids(number)  # None at special tokens; begins again in the second text
        row["text"], row["labels"] = TEXT[number], 1
    batch = MaskingCollator(tokenizer, Scheme())(rows)
    assert set(batch) == {"input_ids", "attention_mask", "labels", "token_type_ids"}
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}
    hidden = (batch["labels"] != -100).sum(1).tolist()
    assert hidden == [round(0.15 * (len(row["input_ids"]) - 3)) for row in rows]
    if kind == "wordpiece":
        assert batch["token_type_ids"].max() == 1
    as_tensors = [
        {k: torch.tensor([-1 if x is None else x for x in row[k]]) for k in batch if k != "labels"}
        | {"word_ids": torch.tensor([-1 if x is None else x for x in row["word_ids"]])}
        for row in rows
    ]
    again = MaskingCollator(tokenizer, Scheme())(as_tensors)
    assert all(torch.equal(batch[name], again[name]) for name in batch)


def test_special_tokens_in_the_text_are_never_hidden_but_unknown_words_are(tokenizer):
    text = f"two {tokenizer.sep_token} harbour {tokenizer.mask_token} {tokenizer.unk_token} lisbon"
    encoded = tokenizer([text] * 100)
    assert None not in encoded.word_ids(0)[1:-1]  # the tokenizer counts them as words: this is the trap
    own = as_rows({"input_ids": encoded["input_ids"], "word_ids": [encoded.word_ids(n) for n in range(100)]})
    specials = [
        tokenizer.sep_token_id,
        tokenizer.mask_token_id,
        tokenizer.cls_token_id,
        tokenizer.pad_token_id,
    ]
    for rows in (own, features([text] * 100, tokenizer)):
        labels = MaskingCollator(tokenizer, Scheme(mask_rate=0.5))(rows)["labels"]
        assert not torch.isin(labels, torch.tensor(specials)).any()
        assert (labels == tokenizer.unk_token_id).any()
    tokenizer.unk_token = tokenizer.sep_token  # as in GPT-2, where one token has several roles
    labels = MaskingCollator(tokenizer, Scheme(mask_rate=0.5))(own)["labels"]
    assert not torch.isin(labels, torch.tensor(specials)).any()


# Trainer


def tiny_bert(tokenizer) -> tuple[BertForMaskedLM, list[dict]]:
    """A model, and a list to which every batch that it gets is added."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    model, batches = BertForMaskedLM(config), []
    model.register_forward_pre_hook(lambda _, args, batch: batches.append(batch), with_kwargs=True)
    return model, batches


def make_trainer(model, collator, rows: list[dict], folder, **options) -> Trainer:
    arguments = TrainingArguments(
        str(folder),
        per_device_train_batch_size=8,
        per_device_eval_batch_size=8,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        seed=0,
        **options,
    )
    data = Dataset.from_list(rows)
    return Trainer(model, arguments, train_dataset=data, eval_dataset=data, data_collator=collator)


def test_trainer_trains_and_evaluates(wordpiece, tmp_path):
    model, batches = tiny_bert(wordpiece)
    collator = MaskingCollator(wordpiece)
    trainer = make_trainer(
        model,
        collator,
        features(TEXT[:20], wordpiece),
        tmp_path,
        remove_unused_columns=False,
        max_steps=4,
        eval_strategy="steps",
        eval_steps=2,
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    eval_losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    # An untrained model is near to ln(vocabulary); a loss of 0 or nan would mean that no label came through.
    chance = torch.tensor(len(wordpiece)).log().item()
    assert len(losses) == 4 and len(eval_losses) == 2
    assert losses + eval_losses == pytest.approx([chance] * 6, abs=0.5)
    assert len(batches) == 4 + 2 * 3
    assert all((batch["labels"] != -100).any(1).all() for batch in batches)


@pytest.mark.parametrize("workers", (0, 1))
def test_trainer_shows_other_masks_in_every_epoch(wordpiece, tmp_path, workers):
    model, batches = tiny_bert(wordpiece)
    trainer = make_trainer(
        model,
        MaskingCollator(wordpiece),
        features(TEXT[:1] * 8, wordpiece),  # the same sentence 8 times: shuffling changes nothing
        tmp_path,
        remove_unused_columns=False,
        num_train_epochs=3,
        dataloader_num_workers=workers,
    )
    trainer.train()
    first, second, third = (batch["labels"] != -100 for batch in batches)
    assert not torch.equal(first, second) and not torch.equal(first, third) and not torch.equal(second, third)


def test_trainer_that_drops_the_word_ids_gets_an_error_that_names_the_remedy(wordpiece, tmp_path):
    model, _ = tiny_bert(wordpiece)
    trainer = make_trainer(
        model, MaskingCollator(wordpiece), features(TEXT[:8], wordpiece), tmp_path, max_steps=1
    )
    for run in (trainer.train, trainer.evaluate):
        with pytest.raises(ValueError, match=r"no \"word_ids\".*remove_unused_columns=False"):
            run()


# Workers and seeds

ROWS = 400


@pytest.fixture(scope="module")
def same_rows(wordpiece) -> list[dict]:
    """One sentence, `ROWS` times for each of two batches, so that two workers get the same rows."""
    (row,) = features(TEXT[:1], wordpiece)
    return [row] * ROWS * 2


def make_loader(rows: list[dict], collator, seed: int | None = 0, **options) -> DataLoader:
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    if options.get("num_workers"):
        options["timeout"] = 120  # a worker that hangs is an error, not a test that never ends
    return DataLoader(rows, batch_size=len(rows) // 2, collate_fn=collator, generator=generator, **options)


def epoch(loader: DataLoader) -> list[torch.Tensor]:
    """What is hidden in the two batches: `[rows, length]` bool each."""
    return [batch["labels"] != -100 for batch in loader]


def assert_independent(one: torch.Tensor, other: torch.Tensor) -> None:
    """Two masks of the same rows: chi-square of the 2 × 2 table of their tokens against the product.

    Tokens are drawn one by one here (strategy "token"), so that all positions have the same rate.
    """
    table = [[((one == a) & (other == b)).sum().item() for b in (False, True)] for a in (False, True)]
    assert chi2_contingency(table).pvalue > 0.001, table


@pytest.mark.parametrize("workers", (0, 2))
def test_masks_of_epochs_batches_and_workers_are_independent(wordpiece, same_rows, workers):
    collator = MaskingCollator(wordpiece, Scheme(strategy="token"))
    loader = make_loader(same_rows, collator, num_workers=workers)
    masks = epoch(loader) + epoch(loader) + epoch(loader)
    for number, one in enumerate(masks):
        for other in masks[:number]:  # of another epoch, of the other worker, or both
            assert_independent(one[:, 1:-1], other[:, 1:-1])
    with pytest.raises(AssertionError):  # the check finds a mask that comes twice in a tenth of the rows
        assert_independent(
            masks[0][:, 1:-1], torch.cat([masks[0][: ROWS // 10], masks[1][ROWS // 10 :]])[:, 1:-1]
        )


@pytest.mark.parametrize("options", ({}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}))
def test_the_same_seeds_repeat_the_whole_sequence_and_others_do_not(wordpiece, same_rows, options):
    def two_epochs(seed: int = 0, loader_seed: int = 0) -> torch.Tensor:
        loader = make_loader(same_rows, MaskingCollator(wordpiece, seed=seed), loader_seed, **options)
        return torch.stack(epoch(loader) + epoch(loader))  # [4, rows, length]

    first = two_epochs()
    assert len({mask.numpy().tobytes() for mask in first}) == 4  # all four batches differ
    assert torch.equal(first, two_epochs())
    assert not (first == two_epochs(seed=1)).flatten(1).all(1).any()
    if options:  # without workers, the loader's generator plays no part
        assert not (first == two_epochs(loader_seed=1)).flatten(1).all(1).any()


def test_torch_manual_seed_is_enough_to_repeat_what_workers_do(wordpiece, same_rows):
    runs = []
    for _ in range(2):
        torch.manual_seed(3)
        runs.append(epoch(make_loader(same_rows, MaskingCollator(wordpiece), None, num_workers=2)))
    assert torch.equal(torch.stack(runs[0]), torch.stack(runs[1]))


def test_workers_do_not_go_on_with_the_generator_of_the_process_that_starts_them(wordpiece, same_rows):
    collator = MaskingCollator(wordpiece)
    collator(same_rows[:2])  # from now on it has a generator, which every forked worker copies
    in_step = MaskingCollator(wordpiece)
    in_step(same_rows[:2])
    following = in_step(same_rows[:ROWS])["labels"] != -100
    first, second = epoch(make_loader(same_rows, collator, num_workers=2, multiprocessing_context="fork"))
    assert not torch.equal(first, second)
    assert not torch.equal(first, following) and not torch.equal(second, following)


def test_a_worker_that_is_spawned_makes_the_same_masks_as_a_forked_one(wordpiece, same_rows):
    collator = MaskingCollator(wordpiece)
    collator(same_rows[:2])  # a used one must be picklable too
    rows = same_rows[:8]
    spawned = epoch(make_loader(rows, collator, num_workers=1, multiprocessing_context="spawn"))
    forked = epoch(make_loader(rows, collator, num_workers=1, multiprocessing_context="fork"))
    assert torch.equal(torch.stack(spawned), torch.stack(forked))
    copied = pickle.loads(pickle.dumps(collator))  # starts from the seed, not from where the other one is
    assert torch.equal(copied(rows)["labels"], MaskingCollator(wordpiece)(rows)["labels"])


def test_the_collator_of_transformers_with_a_seed_repeats_its_masks_where_ours_does_not(wordpiece, same_rows):
    bare = [{"input_ids": row["input_ids"]} for row in same_rows]
    theirs = make_loader(bare, DataCollatorForLanguageModeling(wordpiece, seed=0), num_workers=2)
    first, second = torch.stack(epoch(theirs)), torch.stack(epoch(theirs))
    assert torch.equal(first, second)  # every epoch
    assert not torch.equal(first[0], first[1])  # though the workers differ
    used = DataCollatorForLanguageModeling(wordpiece, seed=0)
    used(bare[:2])  # once used in the main process, its generator is copied into every worker
    first, second = epoch(make_loader(bare, used, num_workers=2, multiprocessing_context="fork"))
    assert torch.equal(first, second)

    ours = make_loader(same_rows, MaskingCollator(wordpiece, seed=0), num_workers=2)
    first, second = torch.stack(epoch(ours)), torch.stack(epoch(ours))
    assert not (first == second).flatten(1).all(1).any()


# Errors


def test_ids_with_gaps_are_replaced_by_ids_that_exist(wordpiece):
    state = json.loads(wordpiece.backend_tokenizer.to_str())
    ids = {token: number + 500 * (number > 30) for token, number in wordpiece.get_vocab().items()}
    ids["[MASK]"] = 900  # above the number of tokens
    state["model"]["vocab"] = ids
    for added in state["added_tokens"]:
        added["id"] = ids[added["content"]]
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    roles = {name: getattr(wordpiece, name) for name in names}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(state)), **roles)
    assert len(tokenizer) < 900 == tokenizer.mask_token_id
    rows = features(TEXT[:100], tokenizer)
    masked = MaskingCollator(tokenizer, Scheme("token", mask_rate=0.9, corruption=(0.0, 1.0, 0.0)))(rows)
    drawn = set(masked["input_ids"][masked["labels"] != -100].tolist())
    assert drawn == set(ids.values()) - set(tokenizer.all_special_ids)


def test_a_batch_without_rows_is_refused(wordpiece):
    with pytest.raises(ValueError, match="at least one row"):
        MaskingCollator(wordpiece)([])


def test_a_slow_tokenizer_is_refused():
    with pytest.raises(ValueError, match="ByT5Tokenizer is slow and has no word ids"):
        encode_with_word_ids(["two words"], ByT5Tokenizer(), max_length=64)


def test_a_tokenizer_that_does_not_split_at_blanks_is_refused_unless_words_are_given():
    joining = make_tokenizer("unigram", split=False)
    with pytest.raises(ValueError, match="takes 'harbour of lisbon' for one word.*does not split at blanks"):
        encode_with_word_ids(["harbour", " harbour of lisbon "], joining, max_length=64)
    columns = encode_with_word_ids([["harbour", "of"]], joining, max_length=64, is_split_into_words=True)
    assert set(columns["word_ids"][0]) == {-1, 0, 1}


TEXTS = ((["two words"], True), ([["two", "words"]], False), ("two words", False), ("two words", True))


@pytest.mark.parametrize(("texts", "split"), TEXTS)
def test_texts_of_the_other_kind_are_refused(wordpiece, texts, split):
    with pytest.raises(
        ValueError, match="list of strings, or of lists of words with is_split_into_words=True"
    ):
        encode_with_word_ids(texts, wordpiece, max_length=64, is_split_into_words=split)


@pytest.mark.parametrize("max_length", [-1, 0, 2])
def test_rows_without_room_are_refused(wordpiece, max_length):
    with pytest.raises(ValueError, match=f"max_length is {max_length}: it must be above 2"):
        encode_with_word_ids(["a"], wordpiece, max_length)
    assert len(encode_with_word_ids(["a"], wordpiece, 3)["input_ids"][0]) == 3


def test_a_strategy_in_the_place_of_a_scheme_is_refused_at_once(wordpiece):
    with pytest.raises(ValueError, match=r"scheme is 'span': write it as Scheme\(strategy="):
        MaskingCollator(wordpiece, "span")


def test_a_tokenizer_without_a_mask_token_is_refused_at_once(wordpiece):
    tokenizer = copy.deepcopy(wordpiece)
    tokenizer.mask_token = None
    with pytest.raises(ValueError, match="has no mask token"):
        MaskingCollator(tokenizer)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_missing_word_ids_and_mention_ids_are_named(wordpiece, strategy):
    rows = features(TEXT[:2], wordpiece)
    collator = MaskingCollator(wordpiece, Scheme(strategy=strategy))
    if strategy == "mentions":
        with pytest.raises(ValueError, match=r"no \"mention_ids\".*remove_unused_columns=False"):
            collator(rows)
    del rows[1]["word_ids"]
    with pytest.raises(ValueError, match=r"no \"word_ids\".*remove_unused_columns=False"):
        collator(rows)


def test_word_ids_of_another_length_are_refused(wordpiece):
    rows = features(TEXT[:2], wordpiece)
    length = len(rows[1]["input_ids"])
    rows[1]["word_ids"].pop()
    with pytest.raises(ValueError, match=f"row 1 has {length - 1} word_ids, but {length} input_ids"):
        MaskingCollator(wordpiece)(rows)


def test_a_row_without_words_is_refused(wordpiece):
    rows = features(TEXT[:2], wordpiece)
    rows[1]["word_ids"] = [-1] * len(rows[1]["word_ids"])
    with pytest.raises(ValueError, match="row 1 has no word"):
        MaskingCollator(wordpiece)(rows)
