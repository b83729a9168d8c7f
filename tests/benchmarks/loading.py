"""Loading a corpus of one's own: seconds, words a second and peak memory of each step, in one process.

    python -m tests.benchmarks.loading FOLDER TEXT [TEXT …]

reads up to ten million words, checks them against the held-out sentences, learns a vocabulary and packs rows.
"""

import resource
import sys
import time

from helpers import corpora, tokenization

WORDS = 10_000_000
PIECES, LENGTH = 4_000, 64


def main(folder: str, text: list[str]) -> None:
    """Print a line for each step."""
    seconds = []

    def step(name: str, before: float) -> float:
        now = time.perf_counter()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # Linux counts kilobytes
        seconds.append(now - before)
        print(f"{name:22} {now - before:6.1f} s   peak {peak:.2f} GB", flush=True)
        return time.perf_counter()

    start = time.perf_counter()
    corpus = corpora.load(folder, text, words=WORDS)
    start = step("reading and checking", start)
    tokenizer = tokenization.train(corpus.text, PIECES)
    start = step("vocabulary", start)
    rows = tokenization.pack(corpus.text, tokenizer, LENGTH)
    step("packing", start)
    print(*corpus.notes, sep="\n")
    words = sum(len(line.split()) for line in corpus.text)
    print(f"{words:,} words, {len(rows.input_ids):,} rows: {words / sum(seconds):,.0f} words a second")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
