"""Sets of the hub, served on loopback to the code that the real one meets: what comes, what goes wrong."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers.reading import hub, pins
from helpers.reading.fetching import HubFile
from helpers.reading.files import CorpusError
from helpers.reading.parquet import opened
from helpers.settings import PRESETS, ROOT, WorldSettings
from helpers.world import generate
from tests.hub.server import Hub

LABELS = ["O", "B-PER", "I-PER"]
WORDS = [["Anna", "Berg", "met", "Orel"], ["Nobody", "came"]]
TAGS = [[1, 2, 0, 1], [0, 0]]
NAMED = [[words, [LABELS[tag] for tag in tags]] for words, tags in zip(WORDS, TAGS, strict=True)]


def parquet(columns: dict, group: int | None = None, **metadata) -> bytes:
    """A parquet file."""
    about = {key: json.dumps(value) for key, value in metadata.items()}
    table = pa.table(columns).replace_schema_metadata(about)
    pq.write_table(table, file := io.BytesIO(), row_group_size=group)
    return file.getvalue()


def sentences(tokens: list = WORDS, ner_tags: list = TAGS, name: str = "") -> bytes:
    return parquet({"tokens": tokens, "ner_tags": ner_tags}, name=name)


def readme(*lines: str, licence: str = "cc-by-4.0") -> bytes:
    return "\n".join(["---", f"license: {licence}", *lines, "---", "# A set", ""]).encode()


NAMES = [
    "dataset_info:",
    "  features:",
    "  - name: tokens",
    "    sequence: string",
    "  - name: ner_tags",
    "    sequence:",
    "      class_label:",
    "        names:",
    *[f"          '{number}': {name}" for number, name in enumerate(LABELS)],
]
SPLITS = ("train", "validation", "test")


def plain(*columns: list, **more: bytes) -> dict[str, bytes]:
    """A set whose files say which split they are, and whose README names the labels."""
    # No two files are alike, or the cache would take one for the other.
    files = {f"data/{split}-00000-of-00001.parquet": sentences(*columns, name=split) for split in SPLITS}
    return {"README.md": readme(*NAMES), **files, **more}


@pytest.fixture(scope="module")
def server():
    with Hub() as served:
        yield served


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A cache whose name could be taken for a pattern, and records."""
    return tmp_path_factory.mktemp("of [mine]*")


class Loader:
    """A process that loads, and a cache."""

    def __init__(self, server: Hub, place: Path, **environment: str) -> None:
        self.folder = place / "records"
        self._errors = place / f"{id(self)}.txt"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.hub.load"],
            cwd=ROOT,
            env=server.environment(place / "home", **environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors.open("w"),
            text=True,
        )

    def send(self, do: str, text: str, **options) -> None:
        step = {"do": do, "text": text, "folder": str(self.folder), **options}
        self.process.stdin.write(json.dumps(step) + "\n")
        self.process.stdin.flush()

    def __call__(self, do: str, text: str, **options) -> dict:
        self.send(do, text, **options)
        limit = threading.Timer(60, self.process.kill)
        limit.start()
        answer = self.process.stdout.readline()
        limit.cancel()
        if not answer:
            pytest.fail(f"the process ended: {self.errors()[-3000:]}")
        return json.loads(answer)

    def errors(self) -> str:
        """What its library wrote to the terminal."""
        return self._errors.read_text()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def online(server, place):
    loader = Loader(server, place, HF_HUB_DISABLE_XET="0")
    yield loader
    loader.close()


@pytest.fixture(scope="module")
def offline(server, place, online):
    loader = Loader(server, place, HF_HUB_OFFLINE="1")
    yield loader
    loader.close()


def cached(place: Path, name: str) -> list[Path]:
    """What the cache holds of a set: whole files, and parts of some."""
    return sorted((place / "home" / "hub" / f"datasets--{name.replace('/', '--')}" / "blobs").glob("*"))


# --- what comes ---


def test_the_first_load_shows_licence_and_size_and_later_ones_ask_nobody(server, online, offline):
    commit = server.add("lab/news", plain())
    first = online("labelled", "hub:lab/news")
    assert first["splits"] == {"train": NAMED, "dev": NAMED, "test": NAMED}
    recorded, offer = first["shown"]
    assert commit[:12] in recorded and "main branch" in recorded and "From now on only these" in recorded
    assert "licence cc-by-4.0" in offer and "train: 1.1 kB in 1 file" in offer
    assert first["provenance"]["commit"] == commit and sorted(first["provenance"]["files"]) == sorted(SPLITS)
    assert "'tokens'" in first["notes"][0] and "'ner_tags'" in first["notes"][0]

    server.add("lab/news", plain([["Somebody", "else"]], [[0, 0]]))  # the main branch moves on
    before = len(server.requests)
    for loader in (online, offline):
        again = loader("labelled", "hub:lab/news")
        assert again["splits"] == first["splits"] and again["provenance"] == first["provenance"]
        assert again["shown"] == []
    assert len(server.requests) == before


def test_pinning_again_takes_what_is_there_now_and_says_so(server, online):
    was = server.add("lab/moving", plain())
    assert online("labelled", "hub:lab/moving")["splits"]["dev"] == NAMED
    now = server.add("lab/moving", plain([["New", "words"]], [[0, 1]]))
    shown = online("pin", "hub:lab/moving")["shown"]
    assert now[:12] in shown[0] and was in shown[1]
    assert online("labelled", "hub:lab/moving")["splits"]["train"] == [[["New", "words"], ["O", "B-PER"]]]


def test_pinning_shows_licence_and_size_and_downloads_no_data(server, online, place):
    server.add("lab/offered", plain())
    offer = online("pin", "hub:lab/offered")["shown"][-1]
    assert "licence cc-by-4.0" in offer and "test: 1.1 kB in 1 file" in offer
    assert [path for path in cached(place, "lab/offered") if path.stat().st_size > 1_000] == []


LABELLED_SETS = {
    # labels' names in the file itself, as generations of `datasets` write them
    "list": {"feature": {"names": LABELS, "_type": "ClassLabel"}, "_type": "List"},
    "sequence": {"feature": {"names": LABELS, "_type": "ClassLabel"}, "length": -1, "_type": "Sequence"},
    "brackets": [{"num_classes": 3, "names": LABELS, "_type": "ClassLabel"}],
}


@pytest.mark.parametrize("kind", LABELLED_SETS)
def test_names_of_labels_in_the_file(kind, server, online):
    tokens = {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"}
    features = {"tokens": tokens, "ner_tags": LABELLED_SETS[kind]}
    data = parquet({"tokens": WORDS, "ner_tags": TAGS}, huggingface={"info": {"features": features}})
    server.add(f"lab/{kind}", {f"{split}.parquet": data for split in SPLITS})
    loaded = online("labelled", f"hub:lab/{kind}")
    assert loaded["splits"]["test"] == NAMED
    assert "not stated" in loaded["shown"][1]


def test_named_columns_of_strings_stay_as_they_are(server, online):
    tags = [["S-PER", "O", "O", "U-PER"], ["O", "O"]]
    data = parquet({"words": WORDS, "labels": tags, "id": [0, 1]})
    server.add("lab/strings", {"train.parquet": data, "sub/test.parquet": data, "notes.txt": b"?"})
    loaded = online("labelled", "hub:lab/strings", columns={"word": "words", "tag": "labels"})
    expected = [[words, ours] for words, ours in zip(WORDS, tags, strict=True)]
    assert loaded["splits"] == {"train": expected, "test": expected}  # dev is for the caller to hold out


def test_given_names_of_labels(server, online):
    server.add("lab/numbers", {f"{split}.parquet": sentences() for split in SPLITS})
    named = online("labelled", "hub:lab/numbers", columns={"labels": " ".join(LABELS)})
    assert named["splits"]["train"] == NAMED
    unnamed = online("labelled", "hub:lab/numbers")["error"]
    assert "neither the file nor the README names them" in unnamed
    assert '--columns "labels=O B-PER I-PER"' in unnamed


CONFIGS = [
    "configs:",
    *[
        line
        for config in ("inter", "supervised")
        for line in (
            f"- config_name: {config}",
            "  data_files:",
            *[f"  - split: {split}\n    path: {config}/{split}-*" for split in SPLITS],
        )
    ],
]


def test_bare_types_become_io_and_a_configuration_is_chosen(server, online):
    names = [line.replace("B-PER", "art").replace("I-PER", "person") for line in NAMES]
    described = [names[0], f"- config_name: supervised\n{names[1]}", *names[2:]]
    other = sentences([["Not", "this"]], [[0, 0]])
    files = {f"supervised/{split}-00000-of-00001.parquet": sentences() for split in SPLITS}
    files |= {f"inter/{split}-00000-of-00001.parquet": other for split in SPLITS}
    server.add("lab/few", {"README.md": readme(*CONFIGS, *described), **files})
    loaded = online("labelled", "hub:lab/few:supervised")
    assert loaded["splits"]["dev"][0] == [WORDS[0], ["I-art", "I-person", "O", "I-art"]]
    assert any("bare types (art, person, …): read as IO" in note for note in loaded["notes"])
    unnamed = online("labelled", "hub:lab/few")["error"]
    assert "inter, supervised" in unnamed and "hub:lab/few:CONFIG" in unnamed
    assert "'intra'" in online("labelled", "hub:lab/few:intra")["error"]


def test_a_set_made_by_a_script_comes_from_the_conversion(server, online):
    server.add("lab/script", {"README.md": readme(*NAMES), "script.py": b"print()"})
    converted = {f"en/{split}/0000.parquet": sentences() for split in ("partial-train", "validation", "test")}
    commit = server.add("lab/script", converted, branch="refs/convert/parquet")
    loaded = online("labelled", "hub:lab/script")
    assert loaded["splits"]["train"] == NAMED and loaded["provenance"]["commit"] == commit
    assert any("in part only" in note for note in loaded["notes"])
    assert "conversion" in loaded["shown"][0] and "cc-by-4.0" in loaded["shown"][1]


def test_files_that_git_keeps_get_a_sha256_of_ours(server, online):
    files = plain()
    server.in_git |= set(files)
    server.add("lab/small", files)
    loaded = online("labelled", "hub:lab/small")
    server.in_git -= set(files)
    assert loaded["splits"]["train"] == NAMED
    sha256 = [checksum for files in loaded["provenance"]["files"].values() for checksum in files.values()]
    assert [len(checksum) for checksum in sha256] == [64, 64, 64]


WIKI = [f" line {number} of the wiki \n\n= more {number} =" for number in range(3_000)]


def test_text_is_streamed_and_files_are_fetched_when_their_turn_comes(server, online, place):
    names = ("one", "two")
    shards = {f"a/train-{k}.parquet": parquet({"body": WIKI, "title": WIKI[::-1]}, group=700) for k in names}
    server.add("lab/wiki", {**shards, "a/test-0.parquet": parquet({"body": ["test"], "title": [""]})})
    start = online("lines", "hub:lab/wiki::body", first=3)
    assert start["lines"] == ["line 0 of the wiki", "= more 0 =", "line 1 of the wiki"]
    assert len(cached(place, "lab/wiki")) == 1
    whole = online("lines", "hub:lab/wiki::body")["lines"]
    assert len(whole) == 2 * 2 * len(WIKI) and "test" not in whole and whole[-1] == "= more 2999 ="
    missing = online("lines", "hub:lab/wiki")["error"]
    assert "no column 'text'" in missing and "body (string), title (string)" in missing
    assert "hub:NAME:CONFIG:COLUMN" in missing


def test_a_run_from_the_hub_and_another_one_without_a_network(server, tmp_path):
    made = generate(WorldSettings(sentences=1_500, train=60, dev=40, test=80))
    splits = {"train": made.train, "validation": made.dev, "test": made.test}
    files = {f"{name}.parquet": sentences(*zip(*some, strict=True)) for name, some in splits.items()}
    server.add("lab/people", {"README.md": readme(licence="mit"), **files})
    server.add("lab/stories", {"train.parquet": parquet({"story": ["\n".join(made.text)]})})
    project = tmp_path / "project"  # with records and artifacts of its own
    shutil.copytree(ROOT / "helpers", project / "helpers", ignore=shutil.ignore_patterns("__pycache__"))
    where = {
        "PYTHONPATH": f"{project}{os.pathsep}{ROOT}",
        "OUT": str(tmp_path / "out"),
        "OMP_NUM_THREADS": "1",
    }

    def run(*command: str, **more: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=project,
            env={**server.environment(tmp_path / "home"), **where, "SCALE": "smoke", **more},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    corpus, text = "hub:lab/people", "hub:lab/stories::story"
    said = run("helpers", "plan", "--corpus", corpus, "--text", text)
    assert "licence mit; test: " in said and "text from column 'story' of train" in said
    assert "lines of the text hold" in said and "Scale smoke" in said
    before = len(server.requests)
    table = run("tests.hub.run", CORPUS=corpus, TEXT=text, HF_HUB_OFFLINE="1")
    assert len(server.requests) == before
    rows = list(csv.DictReader(io.StringIO(table)))
    assert {row["corpus"] for row in rows} == {"people"}
    gold = sum(tag.startswith("B-") for _, tags in made.test for tag in tags)
    assert sum(int(row["gold"]) for row in rows) == gold
    assert len(list((project / "data" / "runs" / "artifacts").glob("rows-*"))) == 2  # of two vocabularies
    assert len(list((project / "data" / "hub").glob("*.json"))) == 2


# --- what goes wrong on the way ---

FAULTS = {
    "401": ("", {"status": 401}, ["no such data set, or does not show it", "hf auth login"]),
    "gated": ("data/test-*", {"status": 403, "code": "GatedRepo"}, ["terms", "/datasets/bad/gated"]),
    "404": ("data/test-*", {"status": 404, "code": "EntryNotFound"}, ["no such file", "helpers pin"]),
    "gone": ("data/test-*", {"status": 404, "code": "RevisionNotFound"}, ["no such revision", "helpers pin"]),
    "429": ("data/test-*", {"status": 429, "headers": {"Retry-After": "3600"}}, ["429", "again in 3600 s"]),
    "ratelimit": (
        "",
        {"status": 429, "headers": {"RateLimit": '"api";r=0;t=250'}},
        ["429", "Start again in 250 s"],
    ),
    "500": ("", {"status": 500}, ["error 500", "later"]),
    "503": ("data/test-*", {"status": 503}, ["error 503", "later"]),
    # the first question is answered, the second one or the download is not
    "429-later": (
        "data/test-*",
        {"status": 429, "after": 1, "headers": {"Retry-After": "3600"}},
        ["429", "again in 3600 s"],
    ),
    "429-download": (
        "data/test-*",
        {"status": 429, "method": "GET", "headers": {"Retry-After": "3600"}},
        ["429", "again in 3600 s"],
    ),
    "500-download": ("data/test-*", {"status": 500, "method": "GET"}, ["error 500", "later"]),
    "garbage": ("data/test-*", {"body": "garbage"}, ["not what was recorded", "checksum"]),
    "short": ("data/test-*", {"body": "short"}, ["cut short", " bytes came", "start again"]),
    "cut": ("data/test-*", {"body": "cut"}, ["breaks off again and again", "start again"]),
}
IN_THE_WAY = "data/test-00000-of-00001.parquet"


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_one_clear_error_in_time_and_leaves_nothing_behind(kind, server, online, place):
    path, fault, expected = FAULTS[kind]
    server.add(f"bad/{kind}", plain())
    server.break_(f"bad/{kind}", path and IN_THE_WAY, **fault)
    answer = online("labelled", f"hub:bad/{kind}")
    for part in (f"hub:bad/{kind}: ", path and IN_THE_WAY, *expected):
        assert part in answer["error"]
    assert "\n" not in answer["error"]
    assert answer["seconds"] < 30
    tries = [line for line in answer["shown"] if "Try " in line]
    assert len(tries) == (2 if kind[:3] in ("500", "503") else 0)
    del server.faults[f"bad/{kind}", path and IN_THE_WAY]
    assert online("labelled", f"hub:bad/{kind}")["splits"]["test"] == NAMED
    assert not [part for part in cached(place, f"bad/{kind}") if "incomplete" in part.name]


def test_an_unknown_name(online):
    assert "no such data set" in online("labelled", "hub:nobody/nothing")["error"]
    assert "no data set can have this name" in online("labelled", "hub:some--body/x")["error"]


def test_the_remedy_names_the_configuration(server, online):
    """Records are by configuration, and a record of another one would not help."""
    files = {f"de/{split}-0.parquet": sentences(name=split) for split in SPLITS}
    config = "configs:\n- config_name: de\n  data_dir: de"
    server.add("bad/config", {"README.md": readme(config, *NAMES), **files})
    server.break_("bad/config", "de/train-0.parquet", status=404, code="EntryNotFound")
    error = online("labelled", "hub:bad/config:de")["error"]
    assert error.endswith("python -m helpers pin hub:bad/config:de")


@pytest.mark.parametrize(
    ("kind", "fault", "shown"),
    [
        ("once", {"status": 502}, "Try 2 of 3"),
        ("wait", {"status": 429, "method": "GET", "headers": {"Retry-After": "2"}}, "follows in 2 s"),
        ("damage", {"body": "garbage"}, "fetched again"),
        ("interruption", {"body": "cut"}, "Trying to resume download"),  # by the library itself
    ],
)
def test_what_passes_is_tried_again_and_shown(kind, fault, shown, server, online):
    server.add(f"brief/{kind}", plain())
    server.break_(f"brief/{kind}", IN_THE_WAY, times=1, **fault)
    answer = online("labelled", f"hub:brief/{kind}")
    assert answer["splits"]["test"] == NAMED
    assert shown in "".join(answer["shown"]) + online.errors()


def test_files_on_another_host_and_no_transport_without_limits(server, online):
    """As on the real hub: large files lie behind a redirect, and Xet, which may hang for ever, is offered."""
    server.elsewhere.add("far/away")
    server.xet.add("far/xet")
    for name in ("far/away", "far/xet"):
        server.add(name, plain())
        assert online("labelled", f"hub:{name}")["splits"]["train"] == NAMED
    assert any("/store/datasets/far/away/" in request for request in server.requests)
    server.elsewhere.add("far/broken")
    server.add("far/broken", plain())
    server.break_("far/broken", IN_THE_WAY, status=503)
    answer = online("labelled", "hub:far/broken")
    assert "error 503" in answer["error"] and "Try 3 of 3" in answer["shown"][-1]


def test_a_hub_that_does_not_answer(server, online):
    server.add("bad/silent", plain())
    server.break_("bad/silent", IN_THE_WAY, silent=True)
    answer = online("labelled", "hub:bad/silent", seconds=0.3)
    assert f"no connection to {server.address} (ReadTimeout" in answer["error"]
    assert 3 * 0.3 < answer["seconds"] < 10
    server.break_("bad/silent", IN_THE_WAY, body="stall")
    answer = online("labelled", "hub:bad/silent", seconds=0.3)
    assert "breaks off again and again" in answer["error"] and answer["seconds"] < 10


def test_no_hub_at_all(server, place):
    closed = Hub()
    closed._server.server_close()
    loader = Loader(closed, place)
    answer = loader("labelled", "hub:lab/elsewhere")
    loader.close()
    assert f"no connection to {closed.address} (ConnectError" in answer["error"] and answer["seconds"] < 30


def test_another_commit_in_the_cache_is_not_taken_for_the_recorded_one(server, online, offline):
    server.add("bad/moved", plain())
    assert online("labelled", "hub:bad/moved")["splits"]["test"] == NAMED
    files = plain([["New", "words"]], [[0, 1]])
    server.add("bad/moved", files)
    assert online("pin", "hub:bad/moved")["pins"]
    for path in files:
        server.break_("bad/moved", path, status=500)
    assert "error 500" in online("labelled", "hub:bad/moved")["error"]
    assert "HF_HUB_OFFLINE is set" in offline("labelled", "hub:bad/moved")["error"]


def test_offline_without_a_cache_or_with_a_damaged_one(server, online, offline, place):
    server.add("lab/later", plain())
    assert "HF_HUB_OFFLINE is set. Unset it" in offline("labelled", "hub:lab/later")["error"]
    online("labelled", "hub:lab/later")
    for path in cached(place, "lab/later"):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "the cache is damaged" in offline("labelled", "hub:lab/later")["error"]
    mended = online("labelled", "hub:lab/later")
    assert mended["splits"]["dev"] == NAMED and any("fetched again" in line for line in mended["shown"])


def test_a_process_that_is_killed_leaves_no_file_that_is_taken_for_whole(server, online, place):
    server.add("lab/killed", plain())
    stalled = server.break_("lab/killed", IN_THE_WAY, body="stall").stalled
    killed = Loader(server, place)
    killed.send("labelled", "hub:lab/killed")
    assert stalled.wait(60)
    killed.close()
    assert [part for part in cached(place, "lab/killed") if part.suffix == ".incomplete"]
    del server.faults["lab/killed", IN_THE_WAY]
    assert online("labelled", "hub:lab/killed")["splits"]["test"] == NAMED


# --- what the sets themselves get wrong ---


NUMBERS = pa.list_(pa.int64())


def split_file(**columns) -> bytes:
    return parquet(columns)


WRONG = {
    "column": (split_file(words=WORDS, ner_tags=TAGS), ["no column 'tokens'", "words (list<", "--columns"]),
    "kind": (split_file(tokens=["Anna met", "Orel"], ner_tags=TAGS), ["does not hold lists of words"]),
    "floats": (split_file(tokens=WORDS, ner_tags=[[0.5], [1.0]]), ["does not hold lists of tags"]),
    "scheme": (
        split_file(tokens=WORDS, ner_tags=[["NEG", "POS", "NEG", "NEG"], ["POS", "POS"]]),
        ["no known scheme: 'B-PER', 'I-PER', 'NEG', 'O', 'POS'"],
    ),
    "mixed": (
        split_file(tokens=WORDS, ner_tags=[["O", "B-PER", "PER", "O"], ["O", "O"]]),
        ["no known scheme: 'B-PER', 'I-PER', 'O', 'PER'"],
    ),
    "range": (sentences(ner_tags=[[1, 2, 0, 3], [0, 0]]), ["sentence 1: label 3", "0 to 2"]),
    "unlabelled": (sentences(ner_tags=[[1, 2, 0, 1], [-1, -1]]), ["sentence 2: label -1", "not labelled"]),
    "lengths": (
        sentences(ner_tags=[[1, 2, 0, 1], [0]]),
        ["sentence 2: their numbers differ: 2 words"],
    ),
    "null": (sentences([["Anna", None, "met", "Orel"], ["Nobody", "came"]]), ["sentence 1: a word or a tag"]),
    "empty": (
        split_file(tokens=pa.array([[]], pa.list_(pa.string())), ner_tags=pa.array([[]], NUMBERS)),
        ["no sentences"],
    ),
    "no_parquet": (b"PAR1 but not really PAR1", ["cannot be read as a parquet file"]),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_set_that_cannot_be_read_is_refused(kind, server, online):
    data, expected = WRONG[kind]
    server.add(f"wrong/{kind}", plain(**{IN_THE_WAY: data}))
    error = online("labelled", f"hub:wrong/{kind}")["error"]
    for part in ("hub:wrong/" + kind, *expected):
        assert part in error


def test_sets_without_the_splits_that_are_needed(server, online):
    server.add("wrong/one", {"README.md": readme(*NAMES), "everything.parquet": sentences()})
    assert "no test split; it has train" in online("labelled", "hub:wrong/one")["error"]
    both = plain(**{"data/dev-0.parquet": sentences()})
    server.add("wrong/two", both)
    assert "could both be dev" in online("labelled", "hub:wrong/two")["error"]
    server.add("wrong/none", {"README.md": readme(), "train.json": b"{}"})
    assert "It offers: none" in online("labelled", "hub:wrong/none")["error"]


def test_a_damaged_record_is_refused_and_can_be_made_again(server, online):
    server.add("lab/record", plain())
    online("labelled", "hub:lab/record")
    record = pins.place("lab/record", "", online.folder)
    whole = record.read_text(encoding="utf-8")
    for damage in (whole[:-20], whole.replace('"sha256": "', '"sha256": "0'), "[]"):
        record.write_text(damage, encoding="utf-8")
        error = online("labelled", "hub:lab/record")["error"]
        assert str(record) in error and "python -m helpers pin hub:lab/record" in error
    online("pin", "hub:lab/record")
    assert record.read_text(encoding="utf-8") == whole


# --- without a hub ---


def test_references():
    assert hub.parse("hub:a/b") == hub.Reference("a/b")
    assert hub.parse("hub:wikitext:x-1:text") == hub.Reference("wikitext", "x-1", "text")
    assert hub.parse("hub:a/b::body") == hub.Reference("a/b", "", "body")
    for wrong in ("a/b", "hub:", "hub:a/b/c", "hub:a b", "hub:../b", "hub:a:b:c:d", "hub:/a"):
        with pytest.raises(CorpusError, match="hub:NAME:CONFIG"):
            hub.parse(wrong)
    with pytest.raises(CorpusError, match="--columns word=COLUMN,tag=COLUMN"):
        hub.labelled_splits("hub:a/b:c:d")
    with pytest.raises(CorpusError, match="a column for sentence is for files"):
        hub.labelled_splits("hub:a/b", {"sentence": "1"})


def test_a_preset_is_used_only_with_a_record_that_comes_with_the_project(tmp_path):
    for reference in PRESETS["real"]:
        with pytest.raises(CorpusError, match="python -m helpers pin real"):
            hub.provenance(reference, tmp_path)
    for path in hub.FOLDER.glob("*.json"):  # what is recorded is sound
        record = json.loads(path.read_text(encoding="utf-8"))
        pin = pins.recorded(record["name"], record["config"])
        assert pin and pin.splits


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("data_files: data/*.parquet", {"train": ["data/a.parquet", "data/b.parquet"]}),
        ("data_files: ['data/a.*', '**/b.parquet']",
         {"train": ["data/a.parquet", "data/b.parquet", "x/y/b.parquet"]}),
        ("data_files: {dev: x/**}", {"dev": ["x/y/b.parquet", "x/test-0.parquet"]}),
        ("data_files: [{split: test, path: [x/test-*, 'data/?.parquet']}]",
         {"test": ["data/a.parquet", "data/b.parquet", "x/test-0.parquet"]}),
        ("data_dir: x", {"train": ["x/y/b.parquet"], "test": ["x/test-0.parquet"]}),
    ],
)  # fmt: skip
def test_files_of_a_configuration_as_readmes_give_them(given, expected):
    import yaml

    paths = ["data/a.parquet", "data/b.parquet", "x/y/b.parquet", "x/test-0.parquet", "x/test.txt"]
    card = yaml.safe_load(f"configs:\n- config_name: c\n  {given}\n")
    layout, _ = pins._layout([HubFile(path, 1, "") for path in paths], card)
    found = {split: sorted(file.path for file in files) for split, files in layout["c"].items()}
    assert found == {split: sorted(paths) for split, paths in expected.items()}


def test_a_row_group_of_any_size_is_read_in_parts(tmp_path):
    text = ["a line of a text that does not fit into memory " * 20] * 30_000  # 29 MB
    pq.write_table(pa.table({"text": text}), tmp_path / "t.parquet", compression="none", use_dictionary=False)
    before, most = pa.total_allocated_bytes(), 0
    with opened(tmp_path / "t.parquet", "t") as table:
        for number, _ in enumerate(table.rows("text")):
            if number % 500 == 0:
                most = max(most, pa.total_allocated_bytes() - before)
    assert number == len(text) - 1 and most < 8_000_000


def test_rows_are_the_same_whatever_way_they_are_read(tmp_path):
    """Quick ways for what is common, slow ones for the rest; in parts, with empty and missing lists."""
    numbers = [[k, k + 1][: k % 3] for k in range(2_500)]
    columns = {
        "lists": [[f"a{k}"] * (k % 4) for k in range(2_500)],
        "numbers": numbers,
        "holes": [*numbers[:-2], None, [1, None]],
        "text": [f"t{k}" for k in range(2_500)],
        "gaps": [None if k % 7 == 0 else "é" for k in range(2_500)],
        "coded": pa.array(["b", "c"] * 1_250).dictionary_encode(),
    }
    pq.write_table(table := pa.table(columns), tmp_path / "t.parquet", row_group_size=1_700)
    with opened(tmp_path / "t.parquet", "t") as opened_table:
        rows = list(opened_table.rows(*columns))
    assert rows == list(zip(*(table.column(name).to_pylist() for name in columns), strict=True))
    assert {type(number) for _, row, *_ in rows for number in row} == {int}
