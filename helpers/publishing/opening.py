"""The sentence that notebook 00 opens with: one model finds its long name, and another does not.

python -m helpers.publishing.opening    chooses it from the laptop run's first replicate, and writes it down
"""

import json
from collections.abc import Mapping, Sequence

from helpers import experiment, settings
from helpers.running import artifacts
from helpers.scoring import spans

FILE = experiment.REFERENCE / "opening.json"
LONG = 4  # words
Tags = Sequence[Sequence[str]]  # of each sentence, in IOB2


def choose(sentences: Sequence[Sequence[str]], gold: Tags, predicted: Mapping[str, Tags]) -> dict:
    """Choose the sentence by a rule that does not know which model is which.

    It has several names, one of them long. One model has all of them right. The other misses the long one and
    has the rest right, without a tag that continues nothing, so that it is wrong by any way of scoring. Of
    such sentences the shortest is taken, and of equally short ones the first.

    Args:
        sentences: words.
        gold: the true tags.
        predicted: those of two models, by arm.

    Returns:
        `words`, `gold` and `predicted` of that sentence; how many `sentences` there are, how many have one
        long name (`with_long_name`), in how many of these one model alone finds it (`split`), and how often
        that is which (`found_by`).

    Raises:
        ValueError: there is no such sentence.
    """
    with_long_name, found_by, fitting = 0, dict.fromkeys(predicted, 0), []
    for number, truth in enumerate(map(spans, gold)):
        long = [mention for mention in truth if mention[2] - mention[1] >= LONG]
        if len(long) != 1:
            continue
        with_long_name += 1
        finders = [arm for arm, tags in predicted.items() if long[0] in spans(tags[number])]
        if len(finders) != 1:
            continue
        found_by[finders[0]] += 1
        right = predicted[finders[0]][number]
        (wrong,) = [tags[number] for arm, tags in predicted.items() if arm not in finders]
        rest_is_right = spans(right) == truth and set(truth) - set(spans(wrong)) == set(long)
        if len(truth) > 1 and rest_is_right and not _orphans(wrong):
            fitting.append((len(sentences[number]), number))
    if not fitting:
        raise ValueError("no sentence has a long name that one of the models finds while the other does not")
    _, number = min(fitting)
    return {
        "words": list(sentences[number]),
        "gold": list(gold[number]),
        "predicted": {arm: list(tags[number]) for arm, tags in predicted.items()},
        "sentences": len(sentences),
        "with_long_name": with_long_name,
        "split": sum(found_by.values()),
        "found_by": found_by,
    }


def _orphans(tags: Sequence[str]) -> bool:
    """Return whether a tag continues nothing."""
    inside = sum(end - start for _, start, end in spans(tags))
    return inside < sum(tag != "O" for tag in tags)


def main() -> None:
    """Choose the sentence, and write it to `FILE`."""
    laptop, predicted = settings.choose("laptop"), {}
    for arm in ("token", "span"):
        gold, predicted[arm] = experiment.predictions(laptop, arm)
    chosen = choose(experiment.replicate(laptop).sentences("test"), gold, predicted)
    artifacts.write(FILE, json.dumps(chosen) + "\n")


if __name__ == "__main__":
    main()
