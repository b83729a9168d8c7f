"""From text to wordpieces and back: the vocabulary, packed pre-training rows, labelled windows.

A piece is one entry of the vocabulary; a word is what the tokenizer itself calls a word.
"""

import sys
import warnings
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Encoding, Tokenizer
from tokenizers.trainers import WordPieceTrainer
from transformers import BertTokenizer, PreTrainedTokenizerFast

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]  # ids 0–4
IGNORED = -100  # the label that PyTorch's cross entropy leaves out
COVERAGE = 0.9995  # of the text's characters that the alphabet is to hold, as in SentencePiece
MOST_UNKNOWN = 0.01  # of the pieces; above it, `pack` warns
BLOCK = 1 << 20  # characters or pieces that are worked on together, so that memory stays bounded


@dataclass(frozen=True)
class Blocks:
    """Text packed into rows of equal length, without padding."""

    input_ids: torch.Tensor  # [rows, length] int64
    word_ids: torch.Tensor  # [rows, length] int64: 0, 1, 2, … along a row, -1 at [CLS] and [SEP]
    mention_ids: torch.Tensor | None = None  # [rows, length] int32, -1 outside mentions

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return those that are there, by name."""
        return {name: tensor for name, tensor in vars(self).items() if tensor is not None}


@dataclass(frozen=True)
class Windows:
    """Labelled sentences as padded rows. A long sentence fills several rows, which overlap."""

    input_ids: torch.Tensor  # [windows, width]
    attention_mask: torch.Tensor  # [windows, width] 1 at pieces and special tokens, 0 at padding
    labels: torch.Tensor  # [windows, width] tag number where a word is scored, -100 elsewhere
    sentence: torch.Tensor  # [windows, width] number of the sentence where a word is scored, -1 elsewhere
    word: torch.Tensor  # [windows, width] number of the word in it where a word is scored, -1 elsewhere


def train(text: Iterable[str], vocabulary_size: int) -> PreTrainedTokenizerFast:
    """Learn a cased WordPiece vocabulary from lines of text.

    Words are normalised and split as in BERT, but keep their case and accents; the `tokenizers` library
    learns the pieces. The same text gives the same vocabulary in every process. Of a large alphabet the most
    frequent characters are kept: max(100, vocabulary_size / 8) of them, and more if it takes more to cover
    99.95% of the text, as far as the vocabulary has room. Words with other characters become [UNK].

    Args:
        text: lines.
        vocabulary_size: most pieces in the vocabulary, special tokens included.

    Returns:
        A fast BERT tokenizer.

    Raises:
        ValueError: the text holds no words, or its characters alone overflow the vocabulary.

    Source:
        Devlin et al. 2019; google-research/bert, tokenization.py. The coverage: Kudo and Richardson 2018,
        SentencePiece.
    """
    if not isinstance(text, Sequence):  # which is not copied: `Lines` stay on the disk
        text = list(text)
    backend = _bert_tokenizer(None).backend_tokenizer
    normalize, split = backend.normalizer.normalize_str, backend.pre_tokenizer.pre_tokenize_str
    counts = _count_characters(text)
    ranked = sorted((c for c in counts if normalize(c).strip() == c), key=lambda c: (-counts[c], c))
    if not ranked:
        raise ValueError("No words to learn a vocabulary from: give at least one line of text.")
    goes_on = {c: len(split(normalize(f"a{c}"))) == 1 for c in ranked}  # whether it can stand inside a word
    pieces = len(SPECIAL_TOKENS) + np.cumsum([1 + goes_on[c] for c in ranked])
    covered = np.cumsum([counts[c] for c in ranked])
    needed = 1 + int(np.searchsorted(covered, COVERAGE * covered[-1]))
    fitting = int(np.searchsorted(pieces, vocabulary_size, side="right"))
    alphabet = sorted(ranked[: max(100, vocabulary_size // 8, min(needed, fitting))])
    # The trainer numbers the pieces "##a", "##b", … in the order of a hash table, which differs between
    # processes, and breaks ties by these numbers. Handing them over in order, as tokens to keep, fixes it.
    first_pieces = SPECIAL_TOKENS + alphabet + [f"##{c}" for c in alphabet if goes_on[c]]
    if len(first_pieces) > vocabulary_size:
        raise ValueError(
            f"vocabulary_size={vocabulary_size} is too small: special tokens and single characters of this "
            f"text already need {len(first_pieces)}. Choose a larger vocabulary_size."
        )
    trainer = WordPieceTrainer(
        vocab_size=vocabulary_size,
        min_frequency=2,
        special_tokens=first_pieces,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    backend.train_from_iterator(text, trainer, length=len(text))
    return _bert_tokenizer(backend.get_vocab())


def pack(
    text: Iterable[str], tokenizer: PreTrainedTokenizerFast, length: int, *, minimum_rows: int = 1
) -> Blocks:
    """Pack lines of text into full rows: [CLS] line [SEP] line [SEP] …, cut every `length` pieces.

    Every row starts with [CLS]; the pieces after the last full row are dropped, so no row has padding. A word
    cut by the end of a row counts as a word in both rows. Special tokens written out in the text ("[MASK]")
    are read as ordinary words.

    Args:
        text: lines; empty ones are left out.
        tokenizer: as `train` returns it.
        length: tokens in a row, at least 3.
        minimum_rows: refuse a text that fills fewer rows, such as those of one batch.

    Returns:
        The rows.

    Raises:
        ValueError: the text fills fewer than `minimum_rows` rows (at least one), or `length` leaves no room.

    Source:
        Liu et al. 2019 (RoBERTa), FULL-SENTENCES.
    """
    if length < 3:
        raise ValueError(f"length={length} leaves no room for text: choose at least 3.")
    ids, pieces, stream = _encode_text(text, tokenizer)
    body = length - 1  # pieces of text in a row, after [CLS]
    ends = np.cumsum(pieces[stream])  # pieces of text up to the end of each chunk
    rows = int(ends[-1]) // body if len(ends) else 0
    if rows < max(1, minimum_rows):
        raise ValueError(
            f"The text is too short: it fills {rows} rows of {length} pieces, and at least "
            f"{max(1, minimum_rows)} are needed. Give more text, or a smaller length or batch size."
        )
    begins = np.cumsum(pieces) - pieces  # where each chunk's pieces stand in `ids`
    continues = _is_continuation(tokenizer)
    blocks = Blocks(*(torch.empty(rows, length, dtype=torch.long) for _ in range(2)))
    blocks.input_ids[:, 0], blocks.word_ids[:, 0] = tokenizer.cls_token_id, -1
    at_a_time = max(1, BLOCK // length)
    for row in range(0, rows, at_a_time):
        start, end = row * body, min(row + at_a_time, rows) * body
        first, last = np.searchsorted(ends, [start, end - 1], side="right")
        block = ids[_ranges(begins, pieces, stream[first : last + 1])]
        skipped = start - (int(ends[first - 1]) if first else 0)  # pieces that are in the row before
        block = block[skipped : skipped + end - start].reshape(-1, body)
        is_word = block != tokenizer.sep_token_id
        starts_word = is_word & ~continues[block]
        starts_word[:, 0] = is_word[:, 0]
        word = np.where(is_word, np.cumsum(starts_word, axis=1) - 1, -1)
        blocks.input_ids[row : row + at_a_time, 1:] = torch.from_numpy(block)
        blocks.word_ids[row : row + at_a_time, 1:] = torch.from_numpy(word)
    if (share := unknown_share(blocks, tokenizer)) > MOST_UNKNOWN:
        warnings.warn(unknown_note(share, tokenizer).removeprefix("Warning: "), stacklevel=2)
    return blocks


def unknown_share(blocks: Blocks, tokenizer: PreTrainedTokenizerFast) -> float:
    """Work out how much of packed text is unknown.

    Args:
        blocks: as `pack` returns them.
        tokenizer: that they were packed with.

    Returns:
        The share of [UNK] among the pieces, without [CLS] and [SEP].
    """
    if tokenizer.unk_token_id is None:  # a byte-level tokenizer knows everything
        return 0.0
    pieces = torch.count_nonzero(blocks.word_ids >= 0).item()  # `sum` would copy every truth value to int64
    return torch.count_nonzero(blocks.input_ids == tokenizer.unk_token_id).item() / max(1, pieces)


def unknown_note(share: float, tokenizer: PreTrainedTokenizerFast) -> str:
    """Say how much of a text is unknown, and above 1% what to do.

    Args:
        share: of [UNK] among the pieces.
        tokenizer: that the text was packed with.

    Returns:
        A sentence, or several.
    """
    note = f"{share:.2%} of the text's pieces are [UNK]."
    if share <= MOST_UNKNOWN:
        return note
    return (
        f"Warning: {note} A vocabulary of {len(tokenizer):,} pieces lacks characters of this text: choose a "
        "larger one. A word of more than 100 characters is [UNK] as well: text without blanks has to be "
        "split into words beforehand."
    )


def mention_ids(
    text: Iterable[str], tags: Iterable[Sequence[str]], tokenizer: PreTrainedTokenizerFast, length: int
) -> torch.Tensor:
    """Find the mentions of a text whose tags are known in the rows that `pack` makes of it.

    Args:
        text: as for `pack`.
        tags: for each line the IOB2 tags of the words between its blanks.
        tokenizer: as for `pack`.
        length: as for `pack`.

    Returns:
        `[rows, length]` int32: a number that the pieces of a mention share, -1 outside mentions.

    Raises:
        ValueError: a line has more or fewer tags than words, or there are more or fewer lines of tags.
    """
    text = list(text)
    mentions, mention = array("i"), -1  # of each chunk of the text, and of the [SEP] that ends a line
    for line, line_tags in zip(text, tags, strict=True):
        if not line.strip():
            continue
        if len(line.split(" ")) != len(line_tags):
            raise ValueError(f"{line!r} has {len(line_tags)} tags: give one for each word between blanks.")
        for tag in line_tags:
            mention += tag.startswith("B-")
            mentions.append(-1 if tag == "O" else mention)
        mentions.append(-1)
    _, pieces, stream = _encode_text(text, tokenizer)
    of_pieces = np.repeat(np.frombuffer(mentions, np.int32), pieces[stream])
    body = length - 1
    rows = len(of_pieces) // body
    return torch.from_numpy(np.insert(of_pieces[: rows * body].reshape(rows, body), 0, -1, axis=1))


def label_pieces(tags: Sequence[int], word_ids: Sequence[int | None]) -> list[int]:
    """Give each word's tag to the first of its pieces; every other piece and special token gets -100.

    So each word counts once in the loss, however many pieces it has.

    Args:
        tags: number of each word's tag.
        word_ids: number of each piece's word, None or -1 at special tokens, as `tokenizer(...).word_ids()`
            returns it.

    Returns:
        One label for each piece.

    Source:
        Devlin et al. 2019, section 5.3.
    """
    previous = [None, *word_ids]
    return [
        IGNORED if word is None or word < 0 or word == before else tags[word]
        for before, word in zip(previous, word_ids, strict=False)
    ]


def encode(
    sentences: Sequence[Sequence[str]],
    tags: Sequence[Sequence[int]] | None,
    tokenizer: PreTrainedTokenizerFast,
    length: int,
) -> Windows:
    """Turn sentences of words (and their tag numbers, if known) into padded rows.

    A sentence that fits is one row, [CLS] pieces [SEP], or with what the tokenizer has in their place. A
    longer one is cut into windows that overlap by half or more. Each word is scored in exactly one of them:
    the windows take over from each other in the middle of their overlap, so that every scored word has
    context on both sides. A word without pieces (a control character, for example) is scored nowhere;
    `decode` tags it "O".

    Args:
        sentences: words of each sentence.
        tags: numbers of each sentence's tags, or None if they are unknown.
        tokenizer: as `train` returns it, or any other fast one with a padding token.
        length: most tokens in a row, at least one more than there are special ones.

    Returns:
        The rows, as wide as the longest.

    Raises:
        ValueError: a sentence has more or fewer tags than words, or `length` leaves no room for words.
    """
    before, after = frame(tokenizer)
    room = length - len(before) - len(after)  # pieces in a window, beside the special tokens
    if room < 1:
        least = len(before) + len(after) + 1
        raise ValueError(f"length={length} leaves no room for text: choose at least {least}.")
    if tags is not None:
        for number, (sentence, sentence_tags) in enumerate(zip(sentences, tags, strict=True)):
            if len(sentence) != len(sentence_tags):
                raise ValueError(
                    f"Sentence {number} has {len(sentence)} words but {len(sentence_tags)} tags: "
                    "give one tag per word."
                )
    encodings = _encode_words(sentences, tokenizer)
    cuts = [_cut(len(encoding), room) for encoding in encodings]
    widest = max((end - start for windows in cuts for start, end, *_ in windows), default=0)
    width = len(before) + widest + len(after)
    shape = (sum(map(len, cuts)), width)
    input_ids = np.full(shape, tokenizer.pad_token_id)
    attention_mask = np.zeros(shape, np.int64)
    labels, sentence_numbers, words = np.full(shape, IGNORED), np.full(shape, -1), np.full(shape, -1)
    row = 0
    for number, (encoding, windows) in enumerate(zip(encodings, cuts, strict=True)):
        ids, word_ids = encoding.ids, encoding.word_ids  # once: each access copies the whole list
        first = np.array(label_pieces(range(len(sentences[number])), word_ids), np.int64)
        label = np.array(label_pieces(tags[number], word_ids), np.int64) if tags is not None else None
        for start, end, score_from, score_to in windows:
            tokens = [*before, *ids[start:end], *after]
            input_ids[row, : len(tokens)] = tokens
            attention_mask[row, : len(tokens)] = 1
            scored = score_from + np.flatnonzero(first[score_from:score_to] >= 0)
            column = len(before) + scored - start
            words[row, column] = first[scored]
            sentence_numbers[row, column] = number
            if label is not None:
                labels[row, column] = label[scored]
            row += 1
    return Windows(*map(torch.from_numpy, (input_ids, attention_mask, labels, sentence_numbers, words)))


def count_pieces(sentences: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    """Count the pieces that `encode` makes of each word of some sentences."""
    encodings = _encode_words(sentences, tokenizer)
    return [
        np.bincount(np.array(encoding.word_ids, np.int64), minlength=len(words)).tolist()
        for encoding, words in zip(encodings, sentences, strict=True)
    ]


def frame(tokenizer: PreTrainedTokenizerFast) -> tuple[list[int], list[int]]:
    """Return the ids of the special tokens that stand before and after a text, [CLS] and [SEP] for a BERT."""
    encoding = plain_text_backend(tokenizer).encode("a")
    text = [place for place, special in enumerate(encoding.special_tokens_mask) if not special]
    return encoding.ids[: text[0]], encoding.ids[text[-1] + 1 :]


def with_blanks(texts: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerFast) -> list[list[str]]:
    """Put blanks before words, if the tokenizer then makes of them what it makes of running text.

    Byte-level tokenizers take the blank before a word for a part of it, and see none between words that are
    given one by one.

    Args:
        texts: words of each text.
        tokenizer: any fast one.

    Returns:
        The words, all but the first of a text with a blank in front where the tokenizer needs it.
    """

    def pieces(text: str | list[str]) -> list[int]:
        split = not isinstance(text, str)
        return tokenizer(text, is_split_into_words=split, add_special_tokens=False)["input_ids"]

    running = pieces("a b")
    if pieces(["a", "b"]) == running or pieces(["a", " b"]) != running:
        return [list(words) for words in texts]
    return [
        [word if word[:1].isspace() or not place else f" {word}" for place, word in enumerate(words)]
        for words in texts
    ]


def decode(
    windows: Windows, predictions: torch.Tensor, sentences: Sequence[Sequence[str]], names: Sequence[str]
) -> list[list[str]]:
    """Read one tag for each word off a model's predictions.

    Tags stay as the model chose them, even if they break IOB2 (an I- that follows no B-): strict scoring must
    see that. No window scores words that have no pieces. They belong to the mention that goes on behind them:
    before an I- of some type they get I- of that type, or B- if no mention of the type is open; else "O".

    Args:
        windows: the sentences, as `encode` returns them.
        predictions: `[windows, width]` tag numbers that the model chose.
        sentences: words of each sentence, as handed to `encode`.
        names: the tags in the order of their numbers.

    Returns:
        The tags of each sentence.
    """
    chosen: list[list[str | None]] = [[None] * len(sentence) for sentence in sentences]
    scored = windows.word >= 0
    for number, word, choice in zip(
        windows.sentence[scored].tolist(),
        windows.word[scored].tolist(),
        predictions[scored].tolist(),
        strict=True,
    ):
        chosen[number][word] = names[choice]
    return [_without_gaps(tags) for tags in chosen]


def _without_gaps(tags: Sequence[str | None]) -> list[str]:
    """Give words without a tag the one that leads to the next tag."""
    filled: list[str] = []
    for place, tag in enumerate(tags):
        if tag is None:
            following = next(filter(None, tags[place:]), "O")
            if not following.startswith("I-"):
                tag = "O"
            else:
                tag = following if filled and filled[-1][2:] == following[2:] else f"B-{following[2:]}"
        filled.append(tag)
    return filled


def _bert_tokenizer(vocabulary: dict[str, int] | None) -> PreTrainedTokenizerFast:
    return BertTokenizer(vocab=vocabulary, do_lower_case=False, strip_accents=False)


def _encode_words(sentences: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerFast) -> list[Encoding]:
    """Encode sentences of words without special tokens; word ids are the numbers of the words given."""
    given = with_blanks(sentences, tokenizer)
    return plain_text_backend(tokenizer).encode_batch(given, is_pretokenized=True, add_special_tokens=False)


def plain_text_backend(tokenizer: PreTrainedTokenizerFast) -> Tokenizer:
    """Copy the tokenizer's Rust half so that "[MASK]" in a text is text, and nothing is cut off."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_padding()
    backend.no_truncation()
    backend.encode_special_tokens = True
    return backend


def _encode_text(
    text: Iterable[str], tokenizer: PreTrainedTokenizerFast
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what `_encode_chunks` makes of a text's chunks, and the text as a stream of their numbers."""
    # A blank always ends a word, so equal chunks between blanks have equal pieces: encode each chunk once.
    numbers: dict[str | None, int] = {None: 0}  # chunk -> its number; 0 is the [SEP] that ends every line
    stream = array("i")  # the whole text as numbers of chunks
    for line in text:
        if line.strip():
            stream.extend([numbers.setdefault(chunk, len(numbers)) for chunk in line.split(" ")])
            stream.append(0)
    return *_encode_chunks(list(numbers)[1:], tokenizer), np.frombuffer(stream, np.int32)


def _encode_chunks(chunks: list[str], tokenizer: PreTrainedTokenizerFast) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of [SEP] and of all chunks' pieces, one after the other, and each one's piece count."""
    backend = plain_text_backend(tokenizer)
    ids, pieces = array("i", [tokenizer.sep_token_id]), [np.ones(1, np.int64)]
    for block in _in_blocks(chunks):
        batches = [
            block[start : start + 100] for start in range(0, len(block), 100)
        ]  # faster than one by one
        encodings = backend.encode_batch(batches, is_pretokenized=True, add_special_tokens=False)
        for batch, encoding in zip(batches, encodings, strict=True):
            ids.extend(encoding.ids)
            pieces.append(np.bincount(np.array(encoding.word_ids, np.int64), minlength=len(batch)))
    return np.frombuffer(ids, np.int32), np.concatenate(pieces)


def _in_blocks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield texts, as many at a time as have `BLOCK` characters."""
    start = size = 0
    for number, text in enumerate(texts, start=1):
        size += len(text)
        if size >= BLOCK or number == len(texts):
            yield texts[start:number]
            start, size = number, 0


def _count_characters(text: Sequence[str]) -> dict[str, int]:
    counts = np.zeros(sys.maxunicode + 1, np.int64)
    for block in _in_blocks(text):
        codes = np.frombuffer("".join(block).encode("utf-32-le", "surrogatepass"), np.uint32)
        counts += np.bincount(codes, minlength=len(counts))
    return {chr(code): int(counts[code]) for code in np.flatnonzero(counts)}


def _is_continuation(tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    """Mark the pieces that only continue a word ("##s"): [vocabulary] bool."""
    return np.array([t.startswith("##") for t in tokenizer.convert_ids_to_tokens(range(len(tokenizer)))])


def _ranges(first: np.ndarray, count: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return first[i], first[i] + 1, … (count[i] numbers) for every i in `chosen`, one after the other."""
    count = count[chosen]
    ends = np.cumsum(count)
    return np.arange(ends[-1]) + np.repeat(first[chosen] - (ends - count), count)


def _cut(pieces: int, room: int) -> list[tuple[int, int, int, int]]:
    """Cut a sentence of `pieces` into windows (start, end, score_from, score_to) of at most `room` pieces."""
    if pieces <= room:
        return [(0, pieces, 0, pieces)]
    last = pieces - room
    starts = [*range(0, last, max(1, room // 2)), last]
    middles = [(following + start + room) // 2 for start, following in zip(starts, starts[1:], strict=False)]
    edges = [0, *middles, pieces]
    return [(start, start + room, edges[k], edges[k + 1]) for k, start in enumerate(starts)]
