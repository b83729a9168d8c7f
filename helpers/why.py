"""Why the arms differ: cheap measurements on pre-trained models, without fine-tuning.

Five questions, a function each. Does a hidden piece see the rest of its own word (`visible_siblings`)? What
does a model know that was trained on other masks (`loss_matrix`)? Can it restore a whole name
(`restored_mentions`)? What can be read off its states (`probes`)? When did it begin to learn from context
(`plateau_end`)? Each returns counts and means of one replicate; a function `summary_of_…` puts the replicates
together, with 95% t intervals.

Shares, accuracies and F1 are on the scale 0–100, losses in nats.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from transformers import BertForMaskedLM

from helpers import model, scoring
from helpers.masking import IGNORED, Masked, Scheme, Vocabulary, mask, number_words, run_starts
from helpers.tokenization import Blocks, Windows

ROWS_AT_ONCE = 128  # in a forward pass
LONGEST_PLACE = 4  # places in a run of hidden pieces are counted apart up to here
POSITIONS = ("first", "later")  # of a piece in its mention
L2 = 1e-3  # weight of the squared weights of a probe, beside the mean cross entropy
SHARES = (0.25, 0.5)  # of its drop, which a loss has to have behind it to be off the plateau
WINDOW = 5  # points of a loss curve in a running median
SUMMARY = [*scoring.Interval._fields]


# --- 1: what hidden pieces see of their own word ---


def visible_siblings(labels: torch.Tensor, word_ids: torch.Tensor) -> pd.DataFrame:
    """Count how often a hidden piece has a visible piece of its own word beside it.

    Hidden is what has to be foretold, whatever the model sees there: [MASK], another piece or the piece
    itself. A word that the end of a row cuts counts as the part in the row.

    Args:
        labels: `[rows, length]`, -100 at visible tokens, as `masking.mask` returns them.
        word_ids: `[rows, length]`, -1 at special tokens.

    Returns:
        The columns words ("all", and "2+" for words of at least two pieces), hidden (pieces), with_sibling
        (those of them with a visible piece of their word) and share (0–100; NaN where nothing is hidden).
    """
    hidden, is_text = labels != IGNORED, word_ids >= 0
    words = number_words(word_ids)  # [rows, length]

    def in_word(flags: torch.Tensor) -> torch.Tensor:
        """Count the flags in each token's word: `[rows, length]`."""
        return torch.zeros_like(words).scatter_add(1, words, flags.long()).gather(1, words)

    long, seen = in_word(is_text) > 1, in_word(is_text & ~hidden) > 0
    rows = []
    for name, counted in (("all", hidden), ("2+", hidden & long)):
        count, with_sibling = int(counted.sum()), int((counted & seen).sum())
        rows.append((name, count, with_sibling, 100 * with_sibling / count if count else np.nan))
    return pd.DataFrame(rows, columns=["words", "hidden", "with_sibling", "share"])


def summary_of_visible_siblings(table: pd.DataFrame) -> pd.DataFrame:
    """Average the share of hidden pieces with a visible sibling over replicates.

    Args:
        table: the columns replicate, arm and those of `visible_siblings`.

    Returns:
        The columns arm, words, mean, low, high and n: 95% t intervals over replicates.
    """
    return _over_replicates(table, ["arm", "words"], "share")


# --- 2: every model under every kind of masks ---


def masks_of(blocks: Blocks, scheme: Scheme, vocabulary: Vocabulary, seed: int) -> Masked:
    """Draw masks for all rows of a text, the same for every model that is asked.

    Args:
        blocks: packed rows.
        scheme: what is hidden.
        vocabulary: of the tokenizer.
        seed: of the masks.

    Returns:
        The masked rows.
    """
    generator = torch.Generator().manual_seed(seed)
    return mask(blocks.input_ids, blocks.word_ids, scheme, vocabulary, generator, blocks.mention_ids)


def hidden_losses(bert: BertForMaskedLM, masked: Masked) -> torch.Tensor:
    """Compute the masked-LM loss of each hidden token.

    Args:
        bert: the masked LM.
        masked: rows without padding.

    Returns:
        `[rows, length]` float32 on the CPU: cross entropy in nats, NaN at visible tokens.
    """
    found = torch.full(masked.labels.shape, torch.nan)
    with _evaluating(bert):
        for rows in _batches(len(found)):
            positions = masked.positions[rows]  # [batch, slots]
            answers = masked.labels[rows].gather(1, positions)
            logits = _logits(bert, masked.inputs[rows], positions)  # [batch, slots, vocabulary]
            # Unused slots point at visible tokens, whose answer is -100.
            losses = -logits.log_softmax(-1).gather(2, answers.clamp(min=0)[:, :, None])[:, :, 0]
            found[rows] = found[rows].scatter(1, positions, losses.masked_fill(answers == IGNORED, torch.nan))
    return found


def places_in_runs(hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Find where in its run of neighbouring hidden tokens each hidden token stands.

    The row [CLS] a # # # b # with hidden tokens # has

        place  0 0 1 2 3 0 1
        edge   0 0 1 0 1 0 1

    A run may go through several words or units, and ends with its row. Special tokens, which are never
    hidden, end it too.

    Args:
        hidden: `[rows, length]` bool.

    Returns:
        place: `[rows, length]` int64 from 1, 0 at visible tokens; edge: `[rows, length]` bool, at the first
        and the last token of each run.
    """
    place = (torch.arange(hidden.shape[1]) - run_starts(hidden) + 1) * hidden
    before = torch.nn.functional.pad(hidden[:, :-1], (1, 0))
    after = torch.nn.functional.pad(hidden[:, 1:], (0, 1))
    return place, hidden & ~(before & after)


def loss_matrix(
    models: Mapping[str, BertForMaskedLM], masks: Mapping[str, Masked], mention_ids: torch.Tensor
) -> pd.DataFrame:
    """Ask each model about each kind of masks on the same rows.

    Args:
        models: by the arm that they were trained in.
        masks: masked rows by the arm that hides like this; all models see the same ones.
        mention_ids: `[rows, length]`, -1 outside names.

    Returns:
        The columns arm (of the model), masks, word ("name", "other"), place (in the run of hidden tokens: "1"
        … "4+"), edge (of the run: "edge", "inside"), hidden (tokens) and loss (their mean, in nats). There is
        a row for each combination that occurs; means weighted by `hidden` give every margin.
    """
    tables = []
    for name, masked in masks.items():
        hidden = masked.labels != IGNORED
        place, edge = places_in_runs(hidden)
        names = [str(number) for number in range(1, LONGEST_PLACE)] + [f"{LONGEST_PLACE}+"]
        where = pd.DataFrame(
            {
                "word": np.where((mention_ids >= 0)[hidden].numpy(), "name", "other"),
                "place": np.array(names)[place[hidden].clamp(max=LONGEST_PLACE).numpy() - 1],
                "edge": np.where(edge[hidden].numpy(), "edge", "inside"),
            }
        )
        for arm, bert in models.items():
            losses = hidden_losses(bert, masked)[hidden].double().numpy()
            groups = where.assign(loss=losses).groupby(list(where))
            counts = groups["loss"].agg(hidden="size", loss="mean").reset_index()
            tables.append(counts.assign(arm=arm, masks=name)[["arm", "masks", *counts.columns]])
    return pd.concat(tables, ignore_index=True)


def summary_of_loss_matrix(
    table: pd.DataFrame, by: Sequence[str] = ("arm", "masks", "word"), tokens_seen: int | None = None
) -> pd.DataFrame:
    """Average the loss over replicates, for each model and each kind of masks.

    Args:
        table: the columns replicate, tokens_seen and those of `loss_matrix`.
        by: what is kept apart; over the rest a mean is taken within each replicate, by hidden tokens.
        tokens_seen: by the models; the most that any has seen if left out.

    Returns:
        The columns `by`, mean (nats), low, high and n: 95% t intervals over replicates.
    """
    chosen = _after(table, tokens_seen)
    sums = chosen.assign(loss=chosen["loss"] * chosen["hidden"])
    sums = sums.groupby([*by, "replicate"], sort=False)[["loss", "hidden"]].sum().reset_index()
    return _over_replicates(sums.assign(loss=sums["loss"] / sums["hidden"]), by, "loss")


# --- 3: whole names restored from their context ---


def find_mentions(
    mention_ids: torch.Tensor, types: Sequence[int], words: Sequence[int], most: int
) -> pd.DataFrame:
    """List the first mentions of a packed text that can be hidden as a whole.

    One that touches the first or the last piece of a row is left out: it may go on in the next row, and has
    context on one side only.

    Args:
        mention_ids: `[rows, length]`, as `tokenization.mention_ids` returns them.
        types: number of each mention's type, in the order of the mentions.
        words: how many words each mention has.
        most: how many are listed.

    Returns:
        The columns row, start, end (columns of the row, `end` one past the last piece), type and words.
    """
    ids = mention_ids.numpy()
    row, column = np.nonzero(ids >= 0)
    number, first, pieces = np.unique(ids[row, column], return_index=True, return_counts=True)
    row, start, end = row[first], column[first], column[first] + pieces
    whole = (start > 1) & (end < ids.shape[1])  # a mention that two rows share has an end beyond its row
    facts = {"row": row, "start": start, "end": end}
    facts |= {"type": np.asarray(types)[number], "words": np.asarray(words)[number]}
    return pd.DataFrame(facts)[whole].head(most).reset_index(drop=True)


def types_of_pieces(
    input_ids: torch.Tensor,
    mention_ids: torch.Tensor,
    types: Sequence[int],
    type_count: int,
    vocabulary_size: int,
) -> torch.Tensor:
    """Tell which types of names a piece stands for, by how often it occurs in them.

    P(type | piece, position) over the mentions of a text, the position being the first piece of the mention
    or any later one. So a surname's beginning that persons and companies share counts for both, in
    proportion.

    Args:
        input_ids: `[rows, length]` of a packed text.
        mention_ids: `[rows, length]`, as `tokenization.mention_ids` returns them.
        types: number of each mention's type.
        type_count: how many types there are.
        vocabulary_size: how many pieces there are.

    Returns:
        `[2, types, vocabulary]` float32: shares that add up to 1 over the types, or 0 for a piece that never
        stands at this position of a name.
    """
    inside = mention_ids >= 0
    mention = mention_ids[inside].long()  # [pieces in names], in the order of the text, through all rows
    later = torch.zeros_like(mention)
    later[1:] = mention[1:] == mention[:-1]
    type_of_piece = torch.as_tensor(np.asarray(types))[mention]
    cell = (later * type_count + type_of_piece) * vocabulary_size + input_ids[inside]
    counts = cell.bincount(minlength=2 * type_count * vocabulary_size)
    counts = counts.view(2, type_count, vocabulary_size).float()
    return counts / counts.sum(1, keepdim=True).clamp(min=1)


def restored_mentions(
    bert: BertForMaskedLM,
    input_ids: torch.Tensor,
    mentions: pd.DataFrame,
    type_shares: torch.Tensor,
    mask_token_id: int,
) -> pd.DataFrame:
    """Hide one whole mention at a time, and see what the model puts in its place.

    All pieces of the mention become [MASK], so that the model is told how many there were; the rest of its
    row stays visible. Each piece is foretold by itself, all in one pass: the most likely piece everywhere has
    to be the true one.

    Whether the model at least expects a name of the right type is measured by its probabilities: Σ over
    pieces of P(piece) · P(type | piece, position), by `types_of_pieces`. The mass on the right type, that on
    the other types and the rest, pieces that never stand there in a name, add up to 100. Types share pieces,
    so even the true piece stands for its type in part only; `…_true` says to what part, and is what a model
    that is always right would get.

    Args:
        bert: the masked LM.
        input_ids: `[rows, length]` of a packed text, nothing hidden.
        mentions: as `find_mentions` lists them.
        type_shares: `[2, types, vocabulary]`, as `types_of_pieces` returns them.
        mask_token_id: of the tokenizer.

    Returns:
        A row for each bucket of lengths in words, with the columns length, mentions (how many), pieces (how
        many), restored (0–100, mentions with all pieces right), pieces_restored (0–100, pieces that are
        right), and for the first piece and later ones (NaN where there are none) right_type, other_types and
        true (0–100), each behind `first_` or `later_`.
    """
    row, start, end, of_type = torch.tensor(mentions[["row", "start", "end", "type"]].to_numpy().T)
    chosen = input_ids[row]  # [mentions, length]
    slots = torch.arange(int((end - start).max()))
    used = slots < (end - start)[:, None]  # [mentions, slots]
    positions = torch.where(used, start[:, None] + slots, 0)
    truth = chosen.gather(1, positions)
    column = torch.arange(chosen.shape[1])
    inside = (column >= start[:, None]) & (column < end[:, None])
    inputs = chosen.masked_fill(inside, mask_token_id)

    right_piece, right, other, true = (torch.zeros(used.shape) for _ in range(4))
    later = (slots > 0).long()  # [slots] first or later
    with _evaluating(bert):
        for rows in _batches(len(inputs)):
            logits = _logits(bert, inputs[rows], positions[rows])  # [batch, slots, vocabulary]
            right_piece[rows] = (logits.argmax(-1) == truth[rows]).float()
            both = torch.einsum("bsv,ctv->bsct", logits.softmax(-1), type_shares)
            mass = both[:, slots, later]  # [batch, slots, types]
            kind = of_type[rows, None].expand(-1, len(slots))
            right[rows] = mass.gather(2, kind[:, :, None])[:, :, 0]
            other[rows] = mass.sum(2) - right[rows]
            true[rows] = type_shares[later, kind, truth[rows]]

    length = np.array([scoring.length_bucket(int(words)) for words in mentions["words"]])
    table = []
    for name in scoring.sort_lengths(set(length)):
        among = torch.as_tensor(length == name)
        here = used & among[:, None]
        facts = {
            "length": name,
            "mentions": int(among.sum()),
            "pieces": int(here.sum()),
            "restored": 100 * ((right_piece == 1) | ~used).all(1)[among].float().mean().item(),
            "pieces_restored": 100 * right_piece[here].mean().item(),
        }
        for number, position in enumerate(POSITIONS):
            at = here & (later == number)
            for what, values in (("right_type", right), ("other_types", other), ("true", true)):
                facts[f"{position}_{what}"] = 100 * values[at].mean().item()  # NaN if there are none
        table.append(facts)
    return pd.DataFrame(table)


def summary_of_restored_mentions(
    table: pd.DataFrame, measure: str = "restored", tokens_seen: int | None = None
) -> pd.DataFrame:
    """Average a measure of `restored_mentions` over replicates, by arm and length in words.

    Args:
        table: the columns replicate, arm, tokens_seen and those of `restored_mentions`.
        measure: one of its columns.
        tokens_seen: by the models; the most that any has seen if left out. The arm "none" is kept.

    Returns:
        The columns arm, length (a bucket, or "all": the mean over all mentions), mean (0–100), low, high and
        n: 95% t intervals over replicates.
    """
    chosen = _after(table, tokens_seen)
    first, later = chosen["mentions"], chosen["pieces"] - chosen["mentions"]
    weights = {"pieces_restored": chosen["pieces"]}
    weights |= {name: later for name in chosen if name.startswith("later_")}
    weight = weights.get(measure, first).astype(float)
    sums = chosen.assign(value=(chosen[measure] * weight).fillna(0), weight=weight)
    pooled = sums.groupby(["arm", "replicate"], sort=False)[["value", "weight"]].sum().reset_index()
    pooled = pooled.assign(length="all", **{measure: pooled["value"] / pooled["weight"]})
    both = pd.concat([chosen, pooled], ignore_index=True)
    return _over_replicates(both[both[measure].notna()], ["arm", "length"], measure)


# --- 4: what a linear probe reads off the states ---


def states_of_words(bert: BertForMaskedLM, windows: Windows) -> list[torch.Tensor]:
    """Compute the frozen states at the first piece of each scored word.

    Args:
        bert: its encoder is used.
        windows: labelled sentences.

    Returns:
        For the embeddings and behind each layer `[words, hidden_size]` float32 on the CPU, in the order of
        `windows.labels[windows.labels != -100]`.
    """
    found: list[list[torch.Tensor]] = [[] for _ in range(bert.config.num_hidden_layers + 1)]
    with _evaluating(bert):
        for rows in _batches(len(windows.input_ids)):
            scored = windows.labels[rows] != IGNORED
            states = bert.bert(
                windows.input_ids[rows].to(bert.device),
                attention_mask=windows.attention_mask[rows].to(bert.device),
                output_hidden_states=True,
            ).hidden_states
            for layer, some in zip(found, states, strict=True):
                layer.append(some.float().cpu()[scored])
    return [torch.cat(layer) for layer in found]


def linear_probe(
    states: torch.Tensor, classes: torch.Tensor, count: int, l2: float = L2
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit a multinomial logistic regression on standardised states.

    It minimises the mean cross entropy plus l2 / 2 · the sum of squared weights (the biases go free) by
    L-BFGS from zero, in float64. The problem is convex, so there is nothing random about the result.

    Args:
        states: `[examples, size]`.
        classes: `[examples]` int64, 0 … count − 1.
        count: how many classes there are.
        l2: weight of the penalty.

    Returns:
        weights `[size, count]` and biases `[count]` for the states as they are, in float64.

    Source:
        Alain and Bengio 2016, "Understanding intermediate layers using linear classifier probes".
    """
    states = states.double()
    mean, scale = states.mean(0), states.std(0, correction=0).clamp(min=1e-6)
    standard = (states - mean) / scale
    weights = torch.zeros(states.shape[1], count, dtype=torch.float64, requires_grad=True)
    biases = torch.zeros(count, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weights, biases], max_iter=200, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        fit = torch.nn.functional.cross_entropy(standard @ weights + biases, classes)
        value = fit + l2 / 2 * weights.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        own = weights / scale[:, None]
        return own, biases - mean @ own


def accuracy_and_macro_f1(gold: torch.Tensor, predicted: torch.Tensor, count: int) -> tuple[float, float]:
    """Compute accuracy and the plain mean of the classes' F1, both 0–100.

    Args:
        gold: `[examples]` int64.
        predicted: `[examples]` int64.
        count: classes; one that is neither there nor predicted has an F1 of 0.

    Returns:
        Accuracy and macro-F1.
    """
    correct = gold[gold == predicted].bincount(minlength=count)
    f1 = scoring.f1(gold.bincount(minlength=count), predicted.bincount(minlength=count), correct)
    return 100 * (gold == predicted).double().mean().item(), float(f1.mean())


def probes(bert: BertForMaskedLM, train: Windows, test: Windows, tags: Sequence[str]) -> pd.DataFrame:
    """Fit linear probes on frozen states, and test them on other sentences.

    Three tasks, each for the first piece of a word: "in_name" (2 classes); and among the words of names
    "type" and "begins" (does the word begin its name or continue it: 2 classes).

    Args:
        bert: its encoder is probed; nothing in it is trained.
        train: labelled sentences to fit on.
        test: labelled sentences to score.
        tags: IOB2 tags in the order of their numbers.

    Returns:
        The columns task, layer (0: the embeddings), words (scored), accuracy and macro_f1 (0–100).
    """
    types = sorted({tag[2:] for tag in tags if tag != "O"})
    class_of = {  # task -> for each tag its class, -1 where the task does not ask; and how many classes
        "in_name": ([int(tag != "O") for tag in tags], 2),
        "type": ([types.index(tag[2:]) if tag != "O" else -1 for tag in tags], len(types)),
        "begins": ([{"B": 1, "I": 0}.get(tag[0], -1) for tag in tags], 2),
    }
    seen, asked = states_of_words(bert, train), states_of_words(bert, test)
    rows = []
    for task, (classes, count) in class_of.items():
        to_learn, gold = (
            torch.tensor(classes)[some.labels[some.labels != IGNORED]] for some in (train, test)
        )
        for layer, (states, others) in enumerate(zip(seen, asked, strict=True)):
            weights, biases = linear_probe(states[to_learn >= 0], to_learn[to_learn >= 0], count)
            predicted = (others[gold >= 0].double() @ weights + biases).argmax(1)
            scores = accuracy_and_macro_f1(gold[gold >= 0], predicted, count)
            rows.append((task, layer, len(predicted), *scores))
    return pd.DataFrame(rows, columns=["task", "layer", "words", "accuracy", "macro_f1"])


def summary_of_probes(table: pd.DataFrame, measure: str = "macro_f1") -> pd.DataFrame:
    """Average what the probes reach over replicates.

    Args:
        table: the columns replicate, arm and those of `probes`.
        measure: "macro_f1" or "accuracy".

    Returns:
        The columns task, layer, arm, mean (0–100), low, high and n: 95% t intervals over replicates.
    """
    return _over_replicates(table, ["task", "layer", "arm"], measure)


# --- 5: when the loss leaves its first plateau ---


def unigram_entropy(blocks: Blocks) -> float:
    """Return the entropy in nats of the pieces of a text: the loss of who knows their frequencies alone."""
    counts = blocks.input_ids[blocks.word_ids >= 0].bincount().double()
    shares = counts[counts > 0] / counts.sum()
    return -(shares * shares.log()).sum().item()


def plateau_end(
    tokens_seen: Sequence[float],
    loss: Sequence[float],
    entropy: float,
    share: float = 0.5,
    window: int = WINDOW,
) -> float:
    """Find where a loss has left its first plateau for good.

    A small BERT soon knows how frequent pieces are, and its loss stays near the unigram entropy until it
    begins to use the context. Call the way from there down to the last loss the drop. The plateau ends at the
    first point from which on the running median stays below entropy − share · drop.

    So the measure is free of scale: a loss under span masks falls less than one under token masks, and is
    compared with its own end. "For good" and the median pass over single bad points, and over the jumps where
    pre-training goes from short rows to longer ones. It says when most of the learning has begun, not when
    the first of it has: with another share it is another moment, so look whether a conclusion holds for
    several.

    Args:
        tokens_seen: at each point of the curve, rising.
        loss: at each point, in nats.
        entropy: of the training text, as `unigram_entropy` returns it.
        share: of the drop, in (0, 1).
        window: points in the running median, which is centred; at the ends it takes what there is.

    Returns:
        Tokens seen at the plateau's end; NaN if the loss never gets below the entropy.
    """
    losses = np.asarray(loss, dtype=float)
    smooth = pd.Series(losses).rolling(window, center=True, min_periods=1).median().to_numpy()
    drop = entropy - np.median(losses[-window:])
    if not drop > 0:
        return np.nan
    on_plateau = np.flatnonzero(smooth >= entropy - share * drop)
    end = on_plateau[-1] + 1 if len(on_plateau) else 0
    return float(tokens_seen[end]) if end < len(smooth) else np.nan


def plateau_ends(history: pd.DataFrame, entropy: float, shares: Sequence[float] = SHARES) -> pd.DataFrame:
    """Find where the loss of a pre-training has left its plateau, for several shares of the drop.

    Args:
        history: the columns tokens_seen and loss, of the largest budget: its curve holds the trunk that the
            smaller ones branch off.
        entropy: as for `plateau_end`.
        shares: as for `plateau_end`.

    Returns:
        The columns share, entropy, last_loss (both in nats) and plateau_end (tokens seen; NaN: never).
    """
    tokens, loss = history["tokens_seen"].to_numpy(), history["loss"].to_numpy()
    last = float(np.median(loss[-WINDOW:]))
    rows = [(share, entropy, last, plateau_end(tokens, loss, entropy, share)) for share in shares]
    return pd.DataFrame(rows, columns=["share", "entropy", "last_loss", "plateau_end"])


def summary_of_plateau_end(table: pd.DataFrame) -> pd.DataFrame:
    """Average the plateau's end over the replicates that have left it.

    Args:
        table: the columns replicate, arm and those of `plateau_ends`.

    Returns:
        The columns share, arm, mean (tokens seen), low, high and n (95% t intervals over replicates), and
        never: replicates that have not left it, which the mean leaves out.
    """
    by = ["share", "arm"]
    summary = _over_replicates(table[table["plateau_end"].notna()], by, "plateau_end")
    never = table["plateau_end"].isna().groupby([table[name] for name in by], sort=False).sum()
    both = never.rename("never").reset_index().merge(summary, how="left")[[*by, *SUMMARY, "never"]]
    return both.assign(n=both["n"].fillna(0).astype(int))


def since_plateau(results: pd.DataFrame, ends: pd.DataFrame, share: float = 0.5) -> pd.DataFrame:
    """Count the tokens of each result from its own plateau's end: is an arm worse, or only later?

    Args:
        results: a table with the columns replicate, arm and tokens_seen.
        ends: the columns replicate, arm and those of `plateau_ends`.
        share: which of its ends.

    Returns:
        The rows of arms and replicates that have an end, with a column tokens_since, negative before it.
    """
    chosen = ends.loc[np.isclose(ends["share"], share), ["replicate", "arm", "plateau_end"]].dropna()
    both = results.merge(chosen, on=["replicate", "arm"])
    return both.assign(tokens_since=both["tokens_seen"] - both["plateau_end"]).drop(columns="plateau_end")


# --- what they share ---


def _logits(bert: BertForMaskedLM, inputs: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Score all pieces at some positions: `[batch, slots, vocabulary]` float32 on the CPU."""
    states = model.encode(bert.bert, inputs.to(bert.device), positions.to(bert.device))
    return bert.cls(states).float().cpu()


@contextmanager
def _evaluating(bert: BertForMaskedLM) -> Iterator[None]:
    """Switch dropout and gradients off for a while."""
    before = bert.training
    bert.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        bert.train(before)


def _batches(rows: int) -> Iterator[slice]:
    return (slice(start, start + ROWS_AT_ONCE) for start in range(0, rows, ROWS_AT_ONCE))


def _after(table: pd.DataFrame, tokens_seen: int | None) -> pd.DataFrame:
    """Return the rows after so many tokens, the most if None; and those without pre-training."""
    tokens = table["tokens_seen"]
    return table[(tokens == (tokens.max() if tokens_seen is None else tokens_seen)) | (tokens == 0)]


def _over_replicates(table: pd.DataFrame, by: Sequence[str], column: str) -> pd.DataFrame:
    """Average a column that has a row for each replicate and group; groups stay in their order."""
    groups = table.groupby(list(by), sort=False)[column]
    rows = [(*key, *scoring.interval(values)) for key, values in groups]
    return pd.DataFrame(rows, columns=[*by, *SUMMARY])
