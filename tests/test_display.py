"""Pictures of masked text: the states are right, nothing overlaps, and every state differs in grey."""

import base64
import sys
from itertools import combinations

import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import to_rgb

from helpers import display

TEXT = """[CLS] The minister of Tor ##ven visited the Royal Instit ##ute of Deep Sea Stud ##ies in Kal ##mar
on Monday , where $ 3 mil ##lion were spent . [SEP] Mar ##ga Ellin ##gen wrote The House by the Long River
before the war began in the north of the country ; nobody read it . [SEP]"""
WORDS = TEXT.split()


def masked_row():
    """58 tokens of which some are masked, replaced and kept."""
    hidden = [number % 6 == 3 for number in range(len(WORDS))]
    fates = ["[MASK]", "[MASK]", "river", None]
    seen = [
        (fates[number // 6 % 4] or token) if chosen else token
        for number, (token, chosen) in enumerate(zip(WORDS, hidden, strict=True))
    ]
    return WORDS, seen, hidden


def boxes_of_text(figure):
    """The rectangle of every text of the figure, in pixels, shrunk by a pixel for rounding."""
    figure.canvas.draw()
    boxes = [text.get_window_extent() for axes in figure.axes for text in axes.texts]
    return [box.padded(-1) for box in boxes if box.width > 2 and box.height > 2]


def test_states():
    states = display.token_states(
        ["a", "b", "c", "d", "[MASK]"], ["a", "[MASK]", "x", "d", "[MASK]"], [False, True, True, True, False]
    )
    assert states == ["untouched", "masked", "replaced", "kept", "untouched"]


def test_a_label_beside_what_the_model_sees_is_a_state_of_its_own():
    states = display.token_states(["a", "b", "c"], ["a", "[MASK]", "c"], [False, True, False], [True] * 3)
    assert states == ["given away", "masked", "given away"]
    only_chosen = display.token_states(["a", "b"], ["a", "[MASK]"], [False, True], [False, True])
    assert only_chosen == ["untouched", "masked"]


def test_the_legend_of_a_row_that_is_labelled_everywhere_says_so():
    figure = display.show_masked(
        ["one", "two"], ["one", "[MASK]"], [False, True], labelled=[True, True], title="labels"
    )
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert display.MEANINGS["given away"] in texts and display.MEANINGS["untouched"] not in texts


def test_states_want_three_lists_of_one_length():
    with pytest.raises(ValueError):
        display.token_states(["a", "b"], ["a"], [False])


def test_no_text_overlaps_in_a_row_of_sixty_tokens():
    figure = display.show_masked(*masked_row(), mentions=[("LOC", 4, 6), ("ORG", 8, 16)], title="A row")
    boxes = boxes_of_text(figure)
    assert len(boxes) > len(WORDS)  # tokens, legend, types, title
    assert not [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)]
    width, height = figure.canvas.get_width_height()
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes)


def test_no_text_overlaps_in_sentences():
    sentence = (
        ["Marga", "Ellingen", "wrote", "The", "House"] * 6,
        ["B-PER", "I-PER", "O", "B-WORK", "I-WORK"] * 6,
    )
    boxes = boxes_of_text(display.show_sentences([sentence, sentence], title="Two sentences"))
    assert not [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)]


def test_a_mention_over_two_lines_is_underlined_on_both():
    words = ["word"] * 40
    figure = display.show_sentences([(words, ["B-ORG"] + ["I-ORG"] * 39)])
    assert len(figure.axes[0].lines) >= 2
    assert [text.get_text() for text in figure.axes[0].texts].count("ORG") == 1


def test_the_legend_names_the_states_that_occur():
    figure = display.show_masked(["one", "two", "three"], ["one", "[MASK]", "three"], [False, True, False])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert display.MEANINGS["masked"] in texts and display.MEANINGS["untouched"] in texts
    assert display.MEANINGS["replaced"] not in texts and display.MEANINGS["kept"] not in texts


def test_a_replaced_token_shows_both():
    figure = display.show_masked(["old"], ["new"], [True])
    assert "old → new" in [text.get_text() for text in figure.axes[0].texts]


def test_dollar_signs_are_letters_not_formulas():
    words = ["$$", "$_$", "US$/A$", "$"]
    figure = display.show_masked(words, [*words[:3], "$2"], [False, False, False, True])
    figure.canvas.draw()
    assert {"$$", "$_$", "US$/A$", "$ → $2"} <= {text.get_text() for text in figure.axes[0].texts}
    boxes = figure.axes[0].patches[-4:]  # the last of them holds the replaced word
    for word, box in zip(words[:3], boxes, strict=False):
        assert box.get_width() - 2 * display.PADDING > 5 * len(word), word  # points; a formula is narrower


@pytest.mark.parametrize("blank", ["\u00a0", "\u200b", "\u2060"])
def test_a_word_without_an_outline_is_drawn_all_the_same(blank):
    display.show_sentences([(["a", blank, "b"], ["O", "B-PER", "O"])]).canvas.draw()


def test_sentences_stand_apart():
    """Two sentences of one line each leave more room between them than two lines of one sentence."""
    figure = display.show_sentences([(["one"], ["B-PER"]), (["two"], ["B-PER"])])
    one, two = (text.get_position()[1] for text in figure.axes[0].texts if text.get_text() in ("one", "two"))
    assert two - one > 1.2 * display.LINE_HEIGHT


@pytest.mark.parametrize(("one", "other"), list(combinations(display.STATES, 2)))
def test_states_differ_in_grey(one, other):
    def grey(colour):
        return sum(weight * part for weight, part in zip((0.299, 0.587, 0.114), to_rgb(colour), strict=True))

    a, b = display.STATES[one], display.STATES[other]
    by_fill = abs(grey(a["fill"]) - grey(b["fill"])) > 0.15
    by_edge = a["line"] != b["line"] or abs(a["width"] - b["width"]) > 1
    assert by_fill or by_edge


def test_letters_stand_out_from_their_box():
    for style in display.STATES.values():
        fill, text = (sum(to_rgb(style[key])) / 3 for key in ("fill", "text"))
        assert abs(fill - text) > 0.5


def test_token_mentions_cover_all_pieces_of_their_words():
    #                [CLS] Mar ##ga met Kal ##mar [SEP]
    assert display.token_mentions(["B-PER", "O", "B-LOC"], [None, 0, 0, 1, 2, 2, None]) == [
        ("PER", 1, 3),
        ("LOC", 4, 6),
    ]


def test_token_mentions_leaves_out_words_without_tokens():
    assert display.token_mentions(["B-PER", "O"], [None, 1, None]) == []


def test_masked_text_says_what_was_there_and_what_is_seen():
    text = display.masked_text(["The", "House"], ["The", "[MASK]"], [False, True])
    assert text == "The {House → [MASK]}"


def test_tagged_text_says_where_mentions_begin_and_end():
    words, tags = ["Tor", "met", "Marga", "Berg", "Orel"], ["B-PER", "O", "B-PER", "I-PER", "B-LOC"]
    assert display.tagged_text(words, tags) == "[Tor PER] met [Marga Berg PER] [Orel LOC]"


def test_the_figure_shows_once_in_a_notebook():
    before = plt.get_fignums()
    display.show_masked(*masked_row())
    assert plt.get_fignums() == before  # closed: only the returned figure is shown


# The panel


def shown(values):
    """A figure whose title says what it was drawn from."""
    figure = plt.figure()
    figure.suptitle(str(values))
    return figure


@pytest.fixture
def panel():
    drawn = []

    def draw(**values):
        drawn.append(values)
        return shown(values)

    choices = {"strategy": ("span", ["token", "span"]), "mask_rate": (0.15, [0.1, 0.15, 0.3])}
    return display.Panel(draw, choices, "One row, masked."), drawn


def test_the_picture_of_a_panel_follows_its_controls(panel):
    panel, drawn = panel
    first = panel.image.value
    panel.controls["mask_rate"].value = 0.3
    panel.controls["strategy"].value = "token"
    assert drawn == [
        {"strategy": "span", "mask_rate": 0.15},
        {"strategy": "span", "mask_rate": 0.3},
        {"strategy": "token", "mask_rate": 0.3},
    ]
    assert panel.picture.startswith(b"\x89PNG") and panel.image.value != first
    assert base64.b64encode(panel.picture).decode() in panel.image.value
    assert 'alt="One row, masked. Chosen: strategy token, mask rate 0.3."' in panel.image.value
    assert plt.get_fignums() == []


def test_where_no_widget_can_be_shown_the_first_picture_is(panel, monkeypatch):
    with_widgets = panel[0]._repr_mimebundle_()
    assert with_widgets["application/vnd.jupyter.widget-view+json"]["model_id"] == panel[0].box.model_id
    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # importing it now fails
    without = display.Panel(panel[0].draw, {"strategy": ("span", ["span"])}, "One row, masked.")
    bundle = without._repr_mimebundle_()
    assert set(bundle) == {"image/png", "text/plain"} and bundle["text/plain"] == "One row, masked."
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")


def test_a_plot_below_a_row_of_tokens_leaves_the_row_as_it_was():
    figure = display.show_masked(["a", "b"], ["[MASK]", "b"], [True, False], title="two")
    before = figure.get_size_inches()[1] * figure.axes[0].get_position().height
    below = display.axes_below(figure, height=2.0)
    after = figure.get_size_inches()[1] * figure.axes[0].get_position().height
    assert after == pytest.approx(before)
    assert below.get_position().y1 < figure.axes[0].get_position().y0
