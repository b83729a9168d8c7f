"""The sentence that notebook 00 opens with is chosen by a rule that does not know which model is which."""

import json

import pytest

from helpers.publishing import opening
from helpers.scoring import spans

LONG = ["B-LOC", "I-LOC", "I-LOC", "I-LOC"]
TRUTH = [*LONG, "O", "B-PER"]
MISSED = ["O"] * 5 + ["B-PER"]
CUT = ["B-LOC", "I-LOC", "O", "O", "O", "B-PER"]


def choose(gold, token, span):
    sentences = [[str(word) for word in range(len(tags))] for tags in gold]
    return opening.choose(sentences, gold, {"token": token, "span": span})


@pytest.mark.parametrize("wrong", [MISSED, CUT])
def test_either_model_may_be_the_one_that_finds_it(wrong):
    for arm, token, span in (("token", TRUTH, wrong), ("span", wrong, TRUTH)):
        chosen = choose([TRUTH], [token], [span])
        assert chosen["found_by"] == {"token": 0, "span": 0} | {arm: 1}
        assert chosen["gold"] == TRUTH and chosen["predicted"] == {"token": token, "span": span}
        assert (chosen["sentences"], chosen["with_long_name"], chosen["split"]) == (1, 1, 1)


def test_the_shortest_is_taken_and_then_the_first():
    gold = [[*TRUTH, "O"], TRUTH, TRUTH, ["B-PER", "O"]]
    chosen = choose(gold, gold, [[*MISSED, "O"], CUT, MISSED, ["B-PER", "O"]])
    assert chosen["gold"] == TRUTH and chosen["predicted"]["span"] == CUT
    assert (chosen["sentences"], chosen["with_long_name"], chosen["split"]) == (4, 3, 3)


@pytest.mark.parametrize(
    ("gold", "token", "span"),
    [
        (TRUTH, TRUTH, TRUTH),
        (TRUTH, MISSED, CUT),
        (LONG, LONG, ["O"] * 4),  # its only name
        (TRUTH, TRUTH, ["I-LOC"] * 4 + ["O", "B-PER"]),  # found, if one is lenient
        (TRUTH, TRUTH, ["O"] * 6),  # the other one is missed too
        (TRUTH, [*LONG, "B-PER", "B-PER"], MISSED),  # a name that is none
        ([*LONG, "O", *LONG], [*LONG, "O", *LONG], [*LONG, *["O"] * 5]),  # two long ones
        (
            ["B-LOC", "I-LOC", "I-LOC", "O", "B-PER"],
            ["B-LOC", "I-LOC", "I-LOC", "O", "B-PER"],
            ["O"] * 4 + ["B-PER"],
        ),
    ],
)
def test_other_sentences_do_not_fit(gold, token, span):
    with pytest.raises(ValueError, match="no sentence has a long name"):
        choose([gold], [token], [span])


def test_the_committed_sentence_follows_the_rule():
    chosen = json.loads(opening.FILE.read_text(encoding="utf-8"))
    again = opening.choose(
        [chosen["words"]], [chosen["gold"]], {a: [t] for a, t in chosen["predicted"].items()}
    )
    assert [again[name] for name in ("words", "gold", "predicted")] == [
        chosen[name] for name in ("words", "gold", "predicted")
    ]
    assert 0 < chosen["split"] < chosen["with_long_name"] < chosen["sentences"]
    assert sum(chosen["found_by"].values()) == chosen["split"]
    assert len(spans(chosen["gold"])) > 1
