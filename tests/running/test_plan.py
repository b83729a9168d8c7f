"""The plan: what is measured, what follows from it, and which precision a run keeps."""

import json
from dataclasses import asdict, replace

import pytest
import torch

from helpers import model
from helpers.experiment import plan
from helpers.running import artifacts
from helpers.running import plan as plans
from helpers.settings import ALL, choose
from tests.micro import MICRO, own_files


def test_the_plan_is_measured_once_and_kept(settings, monkeypatch):
    made = plan(settings)
    assert (made.replicates, made.arms, made.workers, made.dtype) == (1, MICRO.arms, 1, "float32")
    assert made.tokens == MICRO.tokens and made.labelled_sentences == (10, 20)
    assert made.finetuning_seconds > 0
    monkeypatch.setattr(plans, "training_speed", None)  # would be an error if it were called
    assert plan(settings) == made
    assert json.loads((settings.out / "plan.json").read_text())["replicates"] == 1
    assert "1 paired replicate of 3 arms (none, token, span)" in str(made)
    assert "16,384 tokens" in str(made) and "10, 20 labelled sentences" in str(made)


def test_the_plan_fits_into_the_minutes(settings, folder, monkeypatch):
    many = replace(settings, scale=replace(MICRO, replicates=50), out=folder / "many")
    roomy = plan(many, minutes=10_000)
    assert roomy.replicates == roomy.wanted == 50
    # At 60 tokens a second pre-training alone takes 2 · (16,384 + 15% of 8,192) / 60 s = 9.8 minutes.
    monkeypatch.setattr(plans, "training_speed", lambda *_: 60.0)
    tight = plan(many, minutes=50)
    assert 4 <= tight.replicates <= 5 and tight.wanted == 50
    assert 39 < tight.minutes <= 50
    assert "as many as fit into 50 minutes; 50 wanted" in str(tight)
    least = plan(many, minutes=0.1)
    assert least.replicates == 1  # never nothing, and it says so
    assert "the least there is; it takes longer than 0.1 minutes" in str(least)
    assert plan(many) == plan(many, minutes=0.1)  # what was asked for last stays
    asked = plan(many, replicates=7)
    assert asked.replicates == 7  # however long it takes
    assert "7 paired replicates of 3 arms" in str(asked)


def test_a_plan_for_another_device_is_measured_again(settings, folder):
    """A folder on a drive may have been made with a GPU that is not there today."""
    moved = replace(settings, out=folder / "moved")
    here = plan(moved)
    there = replace(here, device="NVIDIA T4", tokens_per_second=1)
    (moved.out / "plan.json").write_text(json.dumps(asdict(there)))
    assert plan(moved).device == here.device and plan(moved).tokens_per_second > 1


def test_the_results_of_another_corpus_are_not_replaced(settings, tmp_path):
    """Two folders of one name, in two places, would otherwise share data/runs/SCALE-NAME."""
    for name in "ab":
        (tmp_path / name).mkdir()
    one, other = (
        replace(settings, corpus=str(own), text=(str(own / "text.txt"),), out=tmp_path)
        for own in (own_files(tmp_path / name) for name in "ab")
    )
    assert choose("smoke", one.corpus).out == choose("smoke", other.corpus).out
    made = plan(one)
    with pytest.raises(
        ValueError, match=r"holds the results of .*a/own, whose place those of .*b/own .* --out"
    ):
        plan(other)
    assert plan(replace(one, corpus=f"{tmp_path}/b/../a/own")) == made, "the same by another path"
    (tmp_path / "plan.json").write_text(json.dumps(asdict(replace(made, corpus=""))))  # of an older version
    assert plan(other, replicates=2).corpus == other.corpus


@pytest.mark.parametrize("options", [{"replicates": 0}, {"minutes": 0}, {"minutes": -1}])
def test_a_plan_of_nothing_is_refused(settings, options):
    with pytest.raises(ValueError, match="must be positive"):
        plan(settings, **options)


def test_tasks_go_to_the_worker_that_is_free():
    assert plans.side_by_side([3, 3, 1], 1) == 7
    assert plans.side_by_side([3, 3, 1], 2) == 4
    assert plans.side_by_side([3, 3, 1, 3, 3, 1], 2) == 7
    assert plans.side_by_side([3, 3, 1], 4) == 3  # more workers than tasks are no help


def test_all_labelled_sentences_are_as_many_as_there_are():
    assert plans.labelled_sizes((100, 500, ALL), 2_746) == (100, 500, 2_746)
    assert plans.labelled_sizes((100, 500, ALL), 500) == (100, 500)
    assert plans.labelled_sizes((100, 500, ALL), 130) == (100, 130)
    assert plans.labelled_sizes((25, 50), 30) == (25,)


def test_an_hour_of_two_slow_cores_holds_two_replicates_on_real_text(settings, folder, monkeypatch):
    """At the workshop's 20,000 tokens a second in each process, and 40 seconds a fine-tuning."""
    own = own_files(folder, replace(MICRO.world, train=120))
    monkeypatch.setattr(plans, "MOST_WORKERS", 2)
    monkeypatch.setattr(plans, "processors", lambda: 2)
    monkeypatch.setattr(plans, "_finetuning_seconds", lambda *_: 40.0)
    planned = plan(choose("laptop", str(own), (str(own / "text.txt"),), folder / "own-out"), minutes=60)
    assert planned.replicates >= 2 and planned.workers == 2 and planned.minutes <= 60
    assert planned.arms == ("none", "token", "whole_word", "span") and planned.tokens[-1] == 8_000_000
    assert planned.labelled_sentences == (100, 120)
    assert "100, 120 labelled sentences" in str(planned) and "get no verdict" in str(planned)


@pytest.mark.parametrize(
    ("scale", "replicates", "said"),
    [
        ("smoke", 2, plans.ONLY_A_TRIAL),
        (
            "laptop",
            1,
            "get no verdict, which takes 8 replicates: their differences are printed, without",
        ),
        ("laptop", 2, "95% intervals of ±9.0 standard deviations over replicates (±0.8 with 8)"),
        ("laptop", 8, "statements 2 to 5 as far as the intervals allow"),
    ],
)
def test_the_plan_says_what_is_decided(settings, scale, replicates, said):
    assert said in str(replace(plan(settings), scale=scale, replicates=replicates))


def timed(monkeypatch, **speeds: float) -> None:
    """From here on each precision is measured as so fast."""
    monkeypatch.setattr(plans, "training_speed", lambda bert, first, recipe, dtype: speeds[dtype])


def test_the_precision_is_kept_where_the_models_are(settings, folder, tmp_path, monkeypatch):
    """A close timing must not flip it: not with another plan, another folder, or the folder deleted."""
    monkeypatch.setattr(artifacts, "FOLDER", tmp_path / "artifacts")
    timed(monkeypatch, bfloat16=2.0, float32=1.0)
    first = plan(replace(settings, out=tmp_path / "out"))
    timed(monkeypatch, bfloat16=1.0, float32=1.5)
    again = plan(replace(settings, out=tmp_path / "out"), replicates=3)
    elsewhere = plan(replace(settings, out=tmp_path / "elsewhere"))
    assert [made.dtype for made in (first, again, elsewhere)] == ["bfloat16"] * 3
    assert not any(made.remark for made in (first, again, elsewhere))
    monkeypatch.setattr(artifacts, "FOLDER", tmp_path / "other artifacts")
    assert plan(replace(settings, out=tmp_path / "fresh")).dtype == "float32"  # nothing is made there yet


@pytest.mark.parametrize(
    ("faster", "dtype"), [(1.5, "bfloat16"), (7.5, "float32")], ids=["a little slower", "much slower"]
)
def test_on_another_machine_the_precision_changes_only_for_a_reason_and_says_so(
    settings, tmp_path, monkeypatch, faster, dtype
):
    monkeypatch.setattr(artifacts, "FOLDER", tmp_path / "artifacts")
    monkeypatch.setattr(model, "device_name", lambda: "a processor with bf16")
    timed(monkeypatch, bfloat16=2.0, float32=1.0)
    plan(replace(settings, out=tmp_path / "out"))
    monkeypatch.setattr(model, "device_name", lambda: "one without")
    timed(monkeypatch, bfloat16=1.0, float32=faster)
    moved = plan(replace(settings, out=tmp_path / "out"))
    assert moved.dtype == dtype and moved.device == "one without"
    if dtype == "float32":
        assert "float32, where a processor with bf16 used bfloat16" in str(moved)
        assert "All models are trained again in float32" in str(moved)
        assert plan(replace(settings, out=tmp_path / "third")).dtype == "float32"  # and it stays so
    else:
        assert not moved.remark


def test_a_note_of_the_precision_that_is_damaged_is_written_again(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts, "FOLDER", tmp_path / "artifacts")
    plan(replace(settings, out=tmp_path / "out"))
    (note,) = (tmp_path / "artifacts").glob("precision-*.json")
    note.write_text('{"dtype": ')
    assert plan(replace(settings, out=tmp_path / "other")).dtype == "float32"
    assert json.loads(note.read_text())["dtype"] == "float32"


@pytest.mark.parametrize("capability", [(6, 0), (7, 0), (7, 5), (8, 0), (8, 9), (9, 0), (12, 0), None])
def test_bfloat16_is_timed_where_it_is_native(capability):
    older = capability in [(6, 0), (7, 0), (7, 5)]  # P100, V100, T4
    assert plans.precisions(capability) == ("float32", "float16" if older else "bfloat16")


@pytest.mark.parametrize(
    ("capability", "timed", "faster"),
    [
        (None, ("float32", "bfloat16"), "bfloat16"),
        ((7, 5), ("float32", "float16"), "float16"),
        ((7, 5), ("float32", "float16"), "float32"),
        ((8, 0), ("float32", "bfloat16"), "bfloat16"),
    ],
    ids=["CPU", "T4", "T4, float32 faster", "A100"],
)
def test_the_device_decides_which_precisions_are_timed(
    settings, tmp_path, monkeypatch, capability, timed, faster
):
    """A CPU that pretends to be a GPU."""
    seen = []

    def speed(bert, first, recipe, dtype):
        seen.append(dtype)
        return 2.0 if dtype == faster else 1.0

    name = "a GPU" if capability else "a processor"
    monkeypatch.setattr(artifacts, "FOLDER", tmp_path / "artifacts")
    monkeypatch.setattr(plans, "training_speed", speed)
    monkeypatch.setattr(plans, "MOST_WORKERS", 4)
    monkeypatch.setattr(plans, "processors", lambda: 2)
    monkeypatch.setattr(model, "device_name", lambda: name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: capability is not None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(model.BertForMaskedLM, "to", lambda self, device: self)
    monkeypatch.setattr(model.BertForTokenClassification, "to", lambda self, device: self)
    made = plan(replace(settings, out=tmp_path))
    assert tuple(seen) == timed and made.dtype == faster
    workers = 1 if capability else 2  # one process on a GPU: its memory is one
    assert (made.device, made.workers) == (name, workers)
    assert f"on {name} in {faster} ({workers} at a time)" in str(made)


NONSENSE = [
    '{"scale": "lap',
    "[]",
    '{"another": "version"}',
    '"many"',
    "0",
    "-1",
    "2.5",
    "true",
    "null",
]


@pytest.mark.parametrize("content", NONSENSE)
def test_a_plan_that_makes_no_sense_is_none(settings, folder, content):
    """Cut short, of another version, or edited into nonsense."""
    broken, whole = replace(settings, out=folder / "broken"), asdict(plan(settings))
    if content in NONSENSE[3:]:
        content = json.dumps(whole).replace('"replicates": 1', f'"replicates": {content}')
    broken.out.mkdir(exist_ok=True)
    (broken.out / plans.FILE).write_text(content)
    assert plans.read(broken) is None
    assert plans.read(settings) == plan(settings), "and one that is whole can be read"


def test_what_cannot_be_read_is_measured_again(settings, folder):
    broken = replace(settings, out=folder / "broken")
    broken.out.mkdir(exist_ok=True)
    (broken.out / plans.FILE).write_text("[]")
    assert plan(broken).replicates == 1
    assert json.loads((broken.out / plans.FILE).read_text())["replicates"] == 1
