"""From a corpus of one's own to packed rows: seconds, words a second and peak memory, then once more.

    python -m tests.benchmarks.loading FOLDER TEXT [TEXT …] [--words N]

reads up to N words (ten million if left out), checks them against the held-out sentences, learns a vocabulary
and packs rows; and indexes the names, as the first arm that is scored does. The second time, as in the next
notebook, all is found. Both may be sets of the hub. A file may be named several times. The memory is what the
process has of its own: pages of files that it maps can be had again from the disk.
"""

import argparse
import threading
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from helpers.running import artifacts, replicate
from helpers.settings import choose

peak = 0.0  # GB


def main(corpus: str, text: list[str], words: int) -> None:
    """Print a line for each time."""
    threading.Thread(target=watch, daemon=True).start()
    chosen = choose(corpus=corpus, text=tuple(text))
    chosen = replace(chosen, scale=replace(chosen.scale, words=words))
    with TemporaryDirectory() as place:
        artifacts.FOLDER = Path(place)
        for what in ("first time", "next notebook"):
            start = time.perf_counter()
            loaded = replicate.load(chosen)
            seconds = time.perf_counter() - start
            if what == "first time":
                print(*loaded.corpus.notes, sep="\n")
                count = sum(len(line.split()) for line in loaded.corpus.text)
            rows, speed = len(loaded.blocks.input_ids), f"{count / seconds:,.0f} of {count:,} words a second"
            print(f"{what}: {seconds:.1f} s, {speed}, {rows:,} rows, peak {peak:.2f} GB", flush=True)
            start = time.perf_counter()
            replicate.surface_index(chosen)
            seconds = time.perf_counter() - start
            print(f"{what}, index of names: {seconds:.1f} s, peak {peak:.2f} GB", flush=True)
            replicate.surface_index.cache_clear()
            replicate.load.cache_clear()
            replicate._corpus_of_files.cache_clear()


def watch() -> None:
    """Note the most memory of this process's own, without the pages of files that it maps: in GB."""
    global peak
    while True:
        status = Path("/proc/self/status").read_text(encoding="utf-8")  # of Linux
        (own,) = [line.split()[1] for line in status.splitlines() if line.startswith("RssAnon")]
        peak = max(peak, int(own) / 1e6)
        time.sleep(0.1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus")
    parser.add_argument("text", nargs="+")
    parser.add_argument("--words", type=int, default=10_000_000)
    main(**vars(parser.parse_args()))
