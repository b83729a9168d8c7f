"""The answer in words, and the report as a page."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest

from helpers import settings, verdicts
from helpers.publishing import report


class Structure(HTMLParser):
    """Tags of a page in order, with their attributes."""

    def __init__(self, page):
        super().__init__()
        self.tags = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def all(self, *names):
        return [attributes for tag, attributes in self.tags if tag in names]


F1 = {"none": (40, 20), "token": (80, 60), "span": (70, 80)}  # at one word, at five and more


@pytest.fixture
def table():
    rows = [
        {
            **{"corpus": "world", "arm": arm, "replicate": replicate, "labelled_sentences": 100, "subset": 0},
            **{"mask_rate": 0.15 * (arm != "none"), "tokens_seen": 2_000_000 * (arm != "none")},
            **{"type": "PER", "novelty": "text", "length": length, "gold": 1000, "predicted": 1000},
            "correct": 10 * score + replicate,
        }
        for arm, scores in F1.items()
        for length, score in zip(("1", "5+"), scores, strict=True)
        for replicate in range(5)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def laptop(tmp_path):
    (tmp_path / "f1_by_entity_length.svg").write_text("<svg/>")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "00_the_question.html").touch()
    return settings.choose("laptop", out=tmp_path)


def test_the_answer_in_words(laptop, table):
    answer = report.answer(laptop, table, verdicts.judge(table))
    assert "2,000,000 tokens seen, 100 labelled sentences" in answer and "5 paired replicates" in answer
    # 800 to 804 of 1000 correct; half of the interval is t(4) * 0.158 / 5 ** 0.5 = 0.196
    assert re.search(r"5\+ +1000 +20\.2 \[.*\] +60\.2 \[.*\] +80\.2 \[80\.0, 80\.4\]$", answer, re.M)
    assert "one replicate" in report.answer(laptop, table[table.replicate == 0], verdicts.judge(table))
    assert len(re.findall(r"^[1-5][abc]?\. .*CANNOT TELL", answer, re.M)) == 7  # statement 3 has three parts


def written(run, table, plan="5 paired replicates"):
    path = report.write(
        run,
        table,
        verdicts.judge(table),
        plan=plan,
        notes=["train.txt: IO tags were converted to IOB2.", "5 < 6 & so on"],
        pages=[run.out / "notebooks" / "00_the_question.html"],
    )
    return path.read_text(encoding="utf-8")


@pytest.fixture
def page(laptop, table):
    return written(laptop, table)


def test_the_report_needs_no_other_file(page):
    structure = Structure(page)
    assert [tag["src"].partition(";")[0] for tag in structure.all("img")] == ["data:image/svg+xml"]
    assert not structure.all("script", "link")
    assert [tag["href"] for tag in structure.all("a")] == ["notebooks/00_the_question.html"]


def test_the_report_can_be_read_aloud(page):
    structure = Structure(page)
    assert structure.all("html") == [{"lang": "en"}]
    headings = [tag for tag, _ in structure.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == "h1" and set(headings[1:]) == {"h2"}
    assert all(tag.get("scope") in ("col", "row") for tag in structure.all("th"))
    assert len(structure.all("caption")) == len(structure.all("table")) == 3
    assert "span masking: 1 70.2 [70.0, 70.4], 5+ 80.2 [80.0, 80.4]" in structure.all("img")[0]["alt"]


def test_the_report_holds_what_was_found_and_how(page):
    for said in ("80.2 [80.0, 80.4]", "cannot tell", "IO tags were converted", "5 &lt; 6 &amp; so on"):
        assert said in page
    assert "5 paired replicates" in page and "Python 3." in page
    assert f"{settings.processors()} processors" in page


def test_on_a_corpus_of_one_s_own_every_number_of_sentences_is_shown(laptop, table):
    """There the last one is all of them, and the core cell is not."""
    own = replace(laptop, corpus="/corpora/own")
    sizes = pd.concat([table, table.assign(labelled_sentences=2_746, correct=900)])
    answer, page = report.answer(own, sizes, verdicts.judge(sizes)), written(own, sizes)
    assert re.search(r"^ *2746 .*90\.0", answer, re.M) and report.BY_SIZE in answer
    assert len(Structure(page).all("table")) == 4 and re.search(r'<th scope="row">2746</th><td>90\.0', page)
    assert 'scope="row">world</th>' not in page and 'scope="row">world</th>' in written(laptop, sizes)
    assert report.BY_SIZE not in report.answer(laptop, sizes, verdicts.judge(sizes)) + written(laptop, sizes)


def test_what_the_run_can_decide_stands_above_what_it_found(page):
    assert page.index("5 paired replicates") < page.index("<h2>")


def test_a_report_without_a_plan_says_nothing_of_it(laptop, table):
    page = written(laptop, table, plan=None)
    assert "None" not in page and "<p></p>" not in page
    assert len(Structure(page).all("p")) == len(Structure(written(laptop, table)).all("p")) - 1


def test_a_corpus_whose_name_the_locale_cannot_read_keeps_its_name(laptop, table):
    name = "größe".encode().decode("ascii", "surrogateescape")  # what Path gives in the locale C
    assert "on größe.</p>" in written(replace(laptop, corpus=f"/corpora/{name}"), table)
