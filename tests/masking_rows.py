"""Rows of text for the tests of masking, and the one comparison of distributions that they share."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import chi2

from helpers.masking import IGNORED, Masked, Scheme, Vocabulary, mask

PAD, UNK, CLS, SEP, MASK = range(5)
VOCABULARY = Vocabulary(1_000, MASK, (PAD, UNK, CLS, SEP, MASK))


def row(pattern: str) -> tuple[list[int], list[int]]:
    """Ids and word ids: "C" is [CLS], "S" [SEP], "_" padding, a digit a word of so many pieces."""
    specials = {"C": CLS, "S": SEP, "_": PAD}
    ids, word_ids, word = [], [], 0
    for sign in pattern:
        if sign in specials:
            ids.append(specials[sign])
            word_ids.append(-1)
        else:
            ids += [10 + word] * int(sign)
            word_ids += [word] * int(sign)
            word += 1
    return ids, word_ids


def batch(*patterns: str, copies: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and word ids of rows of one length, `[patterns · copies, length]` each."""
    ids, word_ids = zip(*map(row, patterns), strict=True)
    return torch.tensor(ids).repeat(copies, 1), torch.tensor(word_ids).repeat(copies, 1)


def masked(input_ids, word_ids, scheme: Scheme, seed: int = 0, mention_ids=None) -> Masked:
    """`mask` with the vocabulary of these rows and a generator of its own."""
    return mask(input_ids, word_ids, scheme, VOCABULARY, generator(seed), mention_ids)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def hidden_tokens(result: Masked) -> np.ndarray:
    """Where tokens are hidden: `[rows, length]` bool."""
    return (result.labels != IGNORED).numpy()


def as_matrix(chosen: Sequence[Sequence[int]], length: int) -> np.ndarray:
    """The same from lists of positions, one a row."""
    hidden = np.zeros((len(chosen), length), dtype=bool)
    for places, positions in zip(hidden, chosen, strict=True):
        places[positions] = True
    return hidden


def runs(hidden: np.ndarray, longest: int) -> np.ndarray:
    """How many runs of 1, 2, …, `longest` or more hidden tokens each row has: `[rows, longest]`."""
    edges = np.diff(np.pad(hidden.astype(int), ((0, 0), (1, 1))))  # [rows, length + 1]
    row_of, starts = np.nonzero(edges == 1)
    lengths = np.nonzero(edges == -1)[1] - starts  # both are in row-major order, so they belong together
    counts = np.zeros((len(hidden), longest), dtype=int)
    np.add.at(counts, (row_of, np.minimum(lengths, longest) - 1), 1)
    return counts


def chance_of_so_different(ours: np.ndarray, others: np.ndarray) -> float:
    """p-value of a chi-square test (Wald's): do rows of two samples have the same means?

    A plain chi-square test takes all counts for independent. But the tokens of one row share its budget, and
    neighbours are hidden together. So the rows are the observations here: they are independent, and the
    covariance of a row's counts is taken from the rows themselves.

    Args:
        ours: `[rows, numbers]`, such as 1 where a token is hidden, or how many runs of a length there are.
        others: the same of another sampler; or `[numbers]`, the means that are expected.
    """
    ours = ours.astype(float)
    others = others.astype(float)
    difference, covariance = ours.mean(0), np.atleast_2d(np.cov(ours.T)) / len(ours)
    if others.ndim == 2:
        difference = difference - others.mean(0)
        covariance = covariance + np.atleast_2d(np.cov(others.T)) / len(others)
    else:
        difference = difference - others
    variances, directions = np.linalg.eigh(covariance)
    along = difference @ directions
    free = variances > 1e-9 * variances.max()
    if np.abs(along[~free]).max(initial=0) > 1e-6:  # what never varies, like the budget, must be equal
        return 0.0
    return chi2.sf((along[free] ** 2 / variances[free]).sum(), free.sum())
