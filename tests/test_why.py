"""Each measurement against a hand-made case or a plain loop."""

import numpy as np
import pandas as pd
import pytest
import torch

from helpers import model, scoring, tokenization, why
from helpers.masking import IGNORED, Masked, Scheme
from helpers.tokenization import Blocks, Windows
from tests.masking_rows import batch
from tests.tiny import TINY, VOCABULARY, counting_rows

MASK = VOCABULARY.mask_token_id


@pytest.fixture(scope="module")
def bert():
    return model.build(TINY, seed=0)


def hide(input_ids, positions: list[list[int]]) -> Masked:
    """Rows whose tokens at these positions are hidden behind [MASK]."""
    labels = torch.full_like(input_ids, IGNORED)
    inputs = input_ids.clone()
    for row, places in enumerate(positions):
        for place in places:
            labels[row, place] = input_ids[row, place]
            inputs[row, place] = MASK
    return Masked(inputs, labels, torch.tensor(positions), torch.zeros_like(labels))


# --- 1 ---


def test_visible_siblings_of_a_row_by_hand():
    input_ids, word_ids = batch("C3S12")  # [CLS] a a a [SEP] b c c
    labels = hide(input_ids, [[1, 2, 5, 6, 7]]).labels
    table = why.visible_siblings(labels, word_ids).set_index("words")
    # Hidden: two of three a, the only b, both c. Only the two a see a piece of their word.
    assert table.loc["all", ["hidden", "with_sibling", "share"]].tolist() == [5, 2, 40]
    assert table.loc["2+", ["hidden", "with_sibling", "share"]].tolist() == [4, 2, 50]


def test_visible_siblings_as_in_a_plain_loop():
    input_ids, word_ids = batch("C3124S23S1", "C21S333S22", copies=20)
    labels = why.masks_of(Blocks(input_ids, word_ids), Scheme("token", 0.4), VOCABULARY, 0).labels
    hidden = with_sibling = 0
    for row in range(len(labels)):
        for column in range(labels.shape[1]):
            if labels[row, column] == IGNORED:
                continue
            own = [c for c in range(labels.shape[1]) if word_ids[row, c] == word_ids[row, column]]
            if len(own) > 1:
                hidden += 1
                with_sibling += any(labels[row, c] == IGNORED for c in own)
    found = why.visible_siblings(labels, word_ids).set_index("words").loc["2+"]
    assert 0 < with_sibling < hidden
    assert (found["hidden"], found["with_sibling"]) == (hidden, with_sibling)


def test_nothing_hidden_has_no_share():
    _, word_ids = batch("C11")
    assert why.visible_siblings(torch.full_like(word_ids, IGNORED), word_ids)["share"].isna().all()


# --- 2 ---


def test_hidden_losses_are_those_of_the_whole_model(bert):
    rows = counting_rows()
    masked = why.masks_of(rows, Scheme("span", 0.3), VOCABULARY, 3)
    losses = why.hidden_losses(bert, masked)
    hidden = masked.labels != IGNORED
    with torch.no_grad():
        logits = bert(masked.inputs).logits[hidden]
        expected = torch.nn.functional.cross_entropy(logits, masked.labels[hidden], reduction="none")
    torch.testing.assert_close(losses[hidden], expected)
    assert losses[~hidden].isnan().all() and bert.training, "the model's mode is as it was"


def test_unused_slots_have_no_loss(bert):
    input_ids = counting_rows().input_ids[:1]
    masked = hide(input_ids, [[3, 5]])
    spare = masked._replace(positions=torch.tensor([[3, 5, 9]]))
    torch.testing.assert_close(
        why.hidden_losses(bert, spare), why.hidden_losses(bert, masked), equal_nan=True
    )


def test_places_in_runs():
    hidden = torch.tensor([[0, 0, 1, 1, 1, 0, 1], [0, 1, 0, 1, 1, 0, 0]]).bool()
    place, edge = why.places_in_runs(hidden)
    assert place.tolist() == [[0, 0, 1, 2, 3, 0, 1], [0, 1, 0, 1, 2, 0, 0]]
    assert edge.int().tolist() == [[0, 0, 1, 0, 1, 0, 1], [0, 1, 0, 1, 1, 0, 0]]


def test_the_loss_matrix_splits_the_mean(bert):
    rows = counting_rows()
    names = torch.full_like(rows.input_ids, -1)
    names[:, 2:7] = 0
    masks = {arm: why.masks_of(rows, Scheme(arm, 0.4), VOCABULARY, 0) for arm in ("token", "span")}
    other = model.build(TINY, seed=1)
    table = why.loss_matrix({"token": bert, "span": other}, masks, names)
    assert set(table["place"]) == {"1", "2", "3", "4+"}
    assert not len(table.query("place == '1' and edge == 'inside'")), "the first piece is always at an edge"
    for arm, asked in (("token", bert), ("span", other)):
        for name, masked in masks.items():
            cell = table[(table["arm"] == arm) & (table["masks"] == name)]
            whole = model.masked_lm_loss(asked, masked.inputs, masked.positions, masked.labels).item()
            assert np.average(cell["loss"], weights=cell["hidden"]) == pytest.approx(whole, abs=1e-5)
            assert cell["hidden"].sum() == (masked.labels != IGNORED).sum()
            named = cell.query("word == 'name'")["hidden"].sum()
            assert named == (masked.labels[:, 2:7] != IGNORED).sum()


def test_summary_of_losses_weighs_by_tokens():
    facts = {"arm": "span", "masks": "span", "word": "name", "tokens_seen": 9}
    rows = [(0, "1", 1, 4.0), (0, "2", 3, 8.0), (1, "1", 2, 9.0)]
    table = pd.DataFrame(rows, columns=["replicate", "place", "hidden", "loss"]).assign(**facts)
    earlier = table.assign(tokens_seen=3, loss=99.0)
    summary = why.summary_of_loss_matrix(pd.concat([table, earlier]))
    assert summary["mean"].tolist() == [8.0] and summary["n"].tolist() == [2]
    assert summary.loc[0, ["low", "high"]].tolist() == list(scoring.interval([7.0, 9.0])[1:3])


# --- 3 ---


def test_find_mentions_leaves_out_what_touches_the_ends_of_a_row():
    ids = torch.tensor(
        [
            [-1, 0, 0, -1, 1, 1, -1, 2],  # 0 follows [CLS]; 2 goes on in the next row
            [-1, 2, -1, 3, 4, 4, 4, -1],
            [-1, -1, -1, -1, 5, -1, 6, 6],  # 6 ends with its row
        ]
    )
    found = why.find_mentions(ids, [0, 1, 2, 3, 4, 0, 1], [2, 1, 1, 1, 3, 1, 2], most=9)
    assert found.to_numpy().tolist() == [[0, 4, 6, 1, 1], [1, 3, 4, 3, 1], [1, 4, 7, 4, 3], [2, 4, 5, 0, 1]]
    assert len(why.find_mentions(ids, [0] * 7, [1] * 7, most=2)) == 2


def test_types_of_pieces_by_hand():
    input_ids = torch.tensor([[2, 10, 11, 10], [2, 11, 3, 10]])
    mentions = torch.tensor([[-1, 0, 0, 1], [-1, 1, -1, 2]])  # mention 1 goes over the end of a row
    shares = why.types_of_pieces(input_ids, mentions, [0, 1, 1], 2, 12)
    assert shares.shape == (2, 2, 12)
    torch.testing.assert_close(shares[0, :, 10], torch.tensor([1 / 3, 2 / 3]))  # begins mentions 0, 1, 2
    assert shares[1, :, 11].tolist() == [0.5, 0.5]  # in 0 and 1
    assert shares[0, :, 11].tolist() == [0, 0] and shares.sum() == 2


def test_restored_mentions_as_in_a_plain_loop(bert):
    rows = counting_rows()
    generator = torch.Generator().manual_seed(5)
    facts = [(row, 3 + row % 4, 4 + row % 4 + row % 3, row % 2, 1 + row % 3) for row in range(40)]
    mentions = pd.DataFrame(facts, columns=["row", "start", "end", "type", "words"])
    shares = torch.rand(2, 2, TINY.vocabulary_size, generator=generator)
    shares = shares / shares.sum(1, keepdim=True) * (torch.arange(TINY.vocabulary_size) > 7)
    table = why.restored_mentions(bert, rows.input_ids, mentions, shares, MASK).set_index("length")
    assert table.index.tolist() == ["1", "2", "3"]
    assert table[["first_right_type", "first_other_types"]].sum(axis=1).lt(100).all()
    for length, row in table.iterrows():
        restored, pieces, right, true = [], [], ([], []), ([], [])
        for number, start, end, kind, words in facts:
            if words != int(length):
                continue
            inputs = rows.input_ids[number : number + 1].clone()
            inputs[0, start:end] = MASK
            with torch.no_grad():
                chances = bert(inputs).logits[0, start:end].softmax(-1)
            answers = rows.input_ids[number, start:end]
            pieces += (chances.argmax(-1) == answers).tolist()
            restored.append(bool((chances.argmax(-1) == answers).all()))
            for place, chance in enumerate(chances):
                later = int(place > 0)
                right[later].append((chance @ shares[later, kind]).item())
                true[later].append(shares[later, kind, answers[place]].item())
        assert row["mentions"] == len(restored) and row["pieces"] == len(pieces)
        assert row["restored"] == pytest.approx(100 * np.mean(restored))
        assert row["pieces_restored"] == pytest.approx(100 * np.mean(pieces))
        for later, name in enumerate(why.POSITIONS):
            if right[later]:
                assert row[f"{name}_right_type"] == pytest.approx(100 * np.mean(right[later]), abs=1e-3)
                assert row[f"{name}_true"] == pytest.approx(100 * np.mean(true[later]), abs=1e-3)
            else:
                assert np.isnan(row[f"{name}_right_type"])


def test_who_knows_everything_restores_everything(bert, monkeypatch):
    rows = counting_rows()
    mentions = pd.DataFrame(
        [(0, 3, 5, 0, 2), (1, 4, 5, 1, 1)], columns=["row", "start", "end", "type", "words"]
    )
    certain = torch.nn.functional.one_hot(rows.input_ids, TINY.vocabulary_size) * 100.0

    def logits(_, inputs, positions):
        return torch.stack([certain[row][positions[row]] for row in range(len(inputs))])

    monkeypatch.setattr(why, "_logits", logits)
    shares = torch.zeros(2, 2, TINY.vocabulary_size)
    shares[:, 0] = 0.75
    shares[:, 1] = 0.25
    table = why.restored_mentions(bert, rows.input_ids, mentions, shares, MASK).set_index("length")
    assert table["restored"].tolist() == [100, 100]
    assert table.loc["2", "first_right_type"] == table.loc["2", "later_true"] == pytest.approx(75)
    assert table.loc["1", "first_right_type"] == pytest.approx(25)
    assert table.loc["1", "first_other_types"] == pytest.approx(75)


def test_summary_of_restored_mentions_pools_by_mentions():
    rows = [(0, "1", 30, 45, 10.0, np.nan), (0, "2", 10, 30, 50.0, 8.0), (1, "1", 20, 20, 20.0, np.nan)]
    columns = ["replicate", "length", "mentions", "pieces", "restored", "later_right_type"]
    table = pd.DataFrame(rows, columns=columns).assign(arm="span", tokens_seen=5)
    summary = why.summary_of_restored_mentions(table).set_index("length")
    assert summary["mean"].to_dict() == {"1": 15.0, "2": 50.0, "all": 20.0}
    assert summary["n"].to_dict() == {"1": 2, "2": 1, "all": 2}
    later = why.summary_of_restored_mentions(table, "later_right_type").set_index("length")
    assert later["mean"].round(6).to_dict() == {"2": 8.0, "all": round(20 * 8 / 35, 6)}


# --- 4 ---


def windows() -> Windows:
    """Three padded sentences whose words have tags 0 (O), 1 (B-X), 2 (I-X), 3 (B-Y), 4 (I-Y)."""
    text = tokenization.train(["Ada Lov met Bo in Rome"] * 5, 60)
    sentences = [["Ada", "Lov", "met", "Bo"], ["Bo", "in", "Rome"], ["Rome"]]
    return tokenization.encode(sentences, [[1, 2, 0, 3], [3, 0, 1], [4]], text, 16)


def test_states_are_those_of_the_first_pieces():
    some = windows()
    wide = model.build(model.ModelSettings(vocabulary_size=60, length=16, hidden_size=16, layers=2), seed=0)
    layers = why.states_of_words(wide, some)
    with torch.no_grad():
        whole = wide.bert(some.input_ids, some.attention_mask, output_hidden_states=True).hidden_states
    places = [(row, column) for row, column in (some.labels != IGNORED).nonzero().tolist()]
    assert len(layers) == 3 and len(places) == 8
    for found, states in zip(layers, whole, strict=True):
        torch.testing.assert_close(found, torch.stack([states[row, column] for row, column in places]))


def test_a_linear_probe_solves_what_is_linear():
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(300, 5, generator=generator) * torch.tensor([1.0, 100, 0.01, 1, 1]) + 3
    states[:, 4] = 7  # says nothing, and has no spread
    along = (states[:, 1] - 3) / 100 + (states[:, 2] - 3) / 0.01
    classes = (along > -1).long() + (along > 1).long()
    weights, biases = why.linear_probe(states, classes, 3)
    assert weights.shape == (5, 3) and weights.isfinite().all()
    predicted = (states.double() @ weights + biases).argmax(1)
    assert (predicted == classes).double().mean() > 0.97
    again = why.linear_probe(states, classes, 3)
    assert torch.equal(weights, again[0]) and torch.equal(biases, again[1])


def test_a_linear_probe_is_at_the_minimum():
    """Gradients by hand: (P − Y)ᵀ X / n + l2 W = 0 for standardised states, and P − Y adds up to 0."""
    generator = torch.Generator().manual_seed(1)
    states, classes = torch.randn(80, 4, generator=generator), torch.randint(3, (80,), generator=generator)
    standard = (states.double() - states.double().mean(0)) / states.double().std(0, correction=0)
    weights, biases = why.linear_probe(standard, classes, 3, l2=0.1)
    residual = (standard @ weights + biases).softmax(1) - torch.nn.functional.one_hot(classes, 3)
    gradient = standard.T @ residual / 80 + 0.1 * weights
    assert gradient.abs().max() < 1e-5 and residual.mean(0).abs().max() < 1e-5


def test_accuracy_and_macro_f1_by_hand():
    gold, predicted = torch.tensor([0, 0, 0, 1, 2]), torch.tensor([0, 0, 1, 1, 0])
    accuracy, f1 = why.accuracy_and_macro_f1(gold, predicted, 3)
    assert accuracy == pytest.approx(60)  # class 0: P 2/3, R 2/3; class 1: P 1/2, R 1; class 2: 0
    assert f1 == pytest.approx(100 * (2 / 3 + 2 / 3 + 0) / 3)


def test_probes_count_what_each_task_asks():
    some = windows()
    wide = model.build(model.ModelSettings(vocabulary_size=60, length=16, hidden_size=16, layers=1), seed=0)
    table = why.probes(wide, some, some, ["O", "B-X", "I-X", "B-Y", "I-Y"])
    assert table.groupby("task")["words"].unique().map(list).to_dict() == {
        "in_name": [8],
        "type": [6],
        "begins": [6],
    }
    assert table["layer"].tolist() == [0, 1] * 3
    assert (table["accuracy"] == 100).all() and (table["macro_f1"] == 100).all(), "it learns them by heart"


# --- 5 ---


def test_unigram_entropy():
    blocks = Blocks(torch.tensor([[2, 5, 5, 6, 3, 7]]), torch.tensor([[-1, 0, 1, 2, -1, 3]]))
    assert why.unigram_entropy(blocks) == pytest.approx(1.5 * np.log(2))


TOKENS = np.arange(1, 101) * 1_000


def curve(falls_at: int, last: float) -> np.ndarray:
    """From 7 to 5 in ten points, flat until `falls_at`, then down to `last` in twenty points."""
    return np.interp(np.arange(100), [0, 10, falls_at, falls_at + 20, 99], [7, 5, 5, last, last])


def test_a_plateau_ends_where_half_of_the_drop_is_done():
    for falls_at, last in ((30, 1.0), (60, 1.0), (60, 3.0)):
        end = why.plateau_end(TOKENS, curve(falls_at, last), entropy=5.0)
        assert end == TOKENS[falls_at + 11], "scale-free: the first point below the middle"
    assert why.plateau_end(TOKENS, curve(30, 1.0), 5.0, share=0.25) == TOKENS[30 + 6]


def test_noise_spikes_and_short_rows_do_not_move_a_plateau():
    clean = curve(40, 1.0)
    noisy = clean + np.random.default_rng(0).normal(0, 0.1, 100)
    assert abs(why.plateau_end(TOKENS, noisy, 5.0) - TOKENS[51]) <= 2_000
    spiked = clean.copy()
    spiked[[20, 80]] = [0.1, 6.0]  # single points
    assert why.plateau_end(TOKENS, spiked, 5.0) == TOKENS[51]
    short = clean.copy()
    short[14:20] = 2.0  # below for a while, and back on the plateau: not for good
    assert why.plateau_end(TOKENS, short, 5.0) == TOKENS[51]


def test_who_never_leaves_the_plateau_has_no_end():
    assert np.isnan(why.plateau_end(TOKENS, np.full(100, 5.2), entropy=5.0))


def test_summary_of_plateaus_counts_those_without_an_end():
    rows = [(0, "token", 2e6), (1, "token", 4e6), (0, "span", 6e6), (1, "span", np.nan)]
    table = pd.DataFrame(rows, columns=["replicate", "arm", "plateau_end"]).assign(share=0.5)
    summary = why.summary_of_plateau_end(table).set_index("arm")
    assert summary["mean"].to_dict() == {"token": 3e6, "span": 6e6}
    assert summary["n"].to_dict() == {"token": 2, "span": 1}
    assert summary["never"].to_dict() == {"token": 0, "span": 1}
    results = pd.DataFrame([(0, "token", 3e6), (0, "none", 0), (1, "span", 3e6)])
    results.columns = ["replicate", "arm", "tokens_seen"]
    since = why.since_plateau(results, pd.concat([table, table.assign(share=0.25, plateau_end=0)]))
    assert since["tokens_since"].tolist() == [1e6]


def test_other_summaries_average_over_replicates():
    table = pd.DataFrame({"replicate": [0, 1], "arm": "span", "words": "2+", "share": [6.0, 10.0]})
    assert why.summary_of_visible_siblings(table)["mean"].tolist() == [8.0]
    table = table.assign(task="type", layer=1, macro_f1=[50.0, 70.0], accuracy=1.0)
    summary = why.summary_of_probes(table)
    assert summary.loc[0, ["low", "high"]].tolist() == list(scoring.interval([50, 70])[1:3])
