"""A process of its own that loads from the hub: the hub's library reads its environment when it is imported.

It takes steps as JSON from its input, and writes what each of them gave.
"""

import json
import sys
import time
from itertools import islice
from pathlib import Path

from helpers.reading import fetching, hub, pins
from helpers.reading.files import CorpusError


def step(do: str, text: str, folder: str, seconds: float = 8.0, first: int | None = None, **options) -> dict:
    """One step: its result, or its error; what it showed, and how long it took."""
    shown: list[str] = []
    fetching.SECONDS = seconds
    given = {**options, "folder": Path(folder), "show": shown.append}
    start = time.monotonic()
    try:
        if do == "labelled":
            loaded = hub.labelled_splits(text, **given)
            facts = hub.provenance(text, given["folder"])
            result = {"splits": loaded.splits, "notes": loaded.notes, "provenance": facts}
        elif do == "lines":
            notes: list[str] = []
            result = {"lines": list(islice(hub.lines(text, notes=notes, **given), first)), "notes": notes}
        else:
            result = {"pins": [str(pins.place(pin.name, "", Path(folder))) for pin in hub.pin(text, **given)]}
    except CorpusError as error:
        result = {"error": str(error)}
    return {**result, "shown": shown, "seconds": time.monotonic() - start}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(step(**json.loads(line))), flush=True)
