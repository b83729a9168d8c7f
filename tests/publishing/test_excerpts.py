"""What pages and slides take from the notebooks: it is there, and it is the right thing."""

import re

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers.coursework import exercises
from helpers.publishing import excerpts, pages

TIME = "# 1. First\n\n**Time** about 25 minutes to read, a\nminute of computing, {}15 for the graded one."
TABLE = """<div>
<style scoped>
    td {}
</style>
<table border="1" class="dataframe">
  <thead>
    <tr style="text-align: right;">
      <th></th>
      <th>F1</th>
    </tr>
    <tr>
      <th>arm</th>
      <th></th>
    </tr>
  </thead>
  <tbody>
    <tr>
      <th>span</th>
      <td>70</td>
    </tr>
  </tbody>
</table>
</div>"""


@pytest.fixture
def notebook(monkeypatch):
    """A series of one notebook."""
    cells = [
        new_markdown_cell(TIME.format("10 minutes for the exercises, ")),
        new_code_cell("draw(1)", outputs=[new_output("display_data", {"image/png": "AAAA"})]),
        new_code_cell("draw(1)\nfirst", outputs=[new_output("display_data", {"text/html": TABLE})]),
        new_markdown_cell("*A line that\nrises by [MASK].*\n\n## Next\n\nThe line\nrises.\n\nIt falls."),
        new_markdown_cell("## Limits\n\n- **One world.** It is\n  invented.\n- **One task**, one model."),
        new_markdown_cell("## End\n\n- **No**"),
        new_markdown_cell("### Exercise 1: count (★☆☆, 10 minutes)\n\n### Count them all (2 points)"),
    ]
    found = new_notebook(cells=cells)
    monkeypatch.setattr(excerpts, "complete_notebooks", lambda: {"01_first": found})
    return found


def test_a_figure_comes_with_its_description(notebook, tmp_path):
    text = excerpts.figure("01", "draw", tmp_path / "figures")
    assert text == rf"![A line that rises by \[MASK\].](figures/01-{notebook.cells[1].id}.png)"
    assert [path.read_bytes() for path in (tmp_path / "figures").iterdir()] == [b"\0\0\0"]


def test_a_table_has_its_index_named_and_no_style(notebook):
    table = excerpts.table("01", "draw")
    cells = re.findall(r"<t[hd]>.*?</t[hd]>", table)
    assert cells == [
        "<th>arm</th>",
        "<th>F1</th>",
        "<th>span</th>",
        "<td>70</td>",
    ]
    assert table.count("<tr>") == 2 and not re.search(r"style|border|\n\s*\n", table)


def test_what_a_notebook_says_is_its_next_paragraph_of_prose(notebook):
    assert excerpts.says("01", "draw") == "The line rises."
    assert excerpts.points("01", "Limits") == "- One world\n- One task"


def test_hours_are_summed_from_what_the_first_cell_says(notebook):
    assert excerpts.hours("01") == "1"  # 50 minutes
    assert excerpts.hours("01 01") == "2"
    assert excerpts.hours("01", practice=False) == "1"  # 40
    assert excerpts.hours("01", practice=False, graded=False) == "0.5"  # 25
    lines = excerpts.minutes().splitlines()
    assert lines[2] == "| [1. First](../../notebooks/01_first.ipynb) | 25 | 10 | 15 | a minute of computing |"
    assert lines[3] == "| **All** | **25** | **10** | **15** |  |"


def test_minutes_that_are_not_stated_are_missed(notebook):
    notebook.cells[0].source = TIME.format("")
    with pytest.raises(excerpts.ExcerptError, match="01_first: .* lacks the minutes of: exercises"):
        excerpts.hours("01")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ('practice("01", "sum")', "notebook 01 has no exercise 'sum'; it has ['count']"),
        ('section("01", "Start")', "no section 'Start'; it has ['Next', 'Limits', 'End'"),
        (
            'figure("01", "plot")',
            "no cell that holds 'plot' and shows a figure; those that do end in\n  draw(1)",
        ),
        ('output("01", "draw")', "no cell that holds 'draw' and shows printed text"),
        ('points("01", "Next")', 'no list under "Next"'),
        ('says("02", "draw")', "there is no notebook 02"),
        ('exercise("count")', "no graded exercise is called count; there are own_numbers, "),
        ('readme_table("speed of light")', "README.md has no table"),
        ('figures("01")', "'figures' is undefined"),
        ('figure("01"', "expected ')'"),
    ],
)
def test_what_is_not_there_is_named_with_the_line_that_asks(notebook, tmp_path, asked, told):
    with pytest.raises(excerpts.ExcerptError) as error:
        excerpts.render(f"# A page\n\nText {{{{ {asked} }}}}", "book/page.md", tmp_path)
    assert str(error.value).startswith("book/page.md:3: ") and told in str(error.value)


def test_the_real_notebooks_have_what_the_small_one_has(tmp_path):
    """Titles of exercises, minutes and descriptions are found as the notebooks write them."""
    table = excerpts.graded()
    for one in exercises.all_exercises():
        assert f"(`{one.name}`, {one.maximum:g} points)" in excerpts.exercise(one.name)
        assert f"(`{one.name}`) | {one.notebook[:2]} | {one.maximum:g} |" in table
    assert excerpts.minutes().count("\n") == len(exercises.complete_notebooks()) + 2
    ladder = exercises.complete_notebooks()["06_f1_by_entity_length"]
    cells = [(index, cell) for index, cell in enumerate(ladder.cells) if "contiguity.ladder(" in cell.source]
    words = pages.description(ladder, cells[0][0])
    figure = excerpts.figure("06", "contiguity.ladder(", tmp_path)
    assert figure == f"![{words}]({tmp_path.name}/06-{cells[0][1].id}.png)"
