"""Colours: contrast as WCAG 2 asks for it, and what is left of the arms for the colour-blind and in grey."""

import re
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.text import Text

from helpers import display, figures
from helpers.settings import ROOT
from tests import example_maps
from tests.example_figures import draw_all, make_table

TEMPLATE = ROOT / "helpers" / "publishing" / "report.html.j2"
TEXT, GRAPHICS = 4.5, 3.0  # WCAG 2.2, criteria 1.4.3 and 1.4.11, level AA
APART = 15  # CIE76; a difference of about 2.3 is just noticeable side by side
DECORATION = ("#E4E4E4", "#BBBBBB")  # grid, and the line that sets "all" apart: nothing is read from them

# Machado, Oliveira and Fernandes (2009), severity 1.0; applied to linear RGB.
BLINDNESS = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
    "none": np.eye(3).tolist(),
}
WHITE_POINT = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour):
    """A colour in linear RGB; where it lets white paper through, as it looks on it."""
    red, green, blue, alpha = to_rgba(colour)
    rgb = alpha * np.array([red, green, blue]) + (1 - alpha)
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """The contrast ratio of WCAG 2, 1 to 21."""
    light, dark = sorted((linear(c) @ [0.2126, 0.7152, 0.0722] for c in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def seen(colour, blindness):
    """CIELAB of a colour as it is seen, under the white of sRGB."""
    rgb = np.clip(np.array(BLINDNESS[blindness]) @ linear(colour), 0, 1)
    x, y, z = (ratio := WHITE_POINT @ rgb / WHITE_POINT.sum(axis=1))
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_the_arithmetic_agrees_with_published_values():
    assert contrast("black", "white") == pytest.approx(21)
    assert contrast("#767676", "white") == pytest.approx(4.54, abs=0.01)
    assert seen("#D55E00", "none") == pytest.approx([54.19, 43.27, 63.29], abs=0.02)
    grey = seen("#777777", "none")
    assert all(seen("#777777", blindness) == pytest.approx(grey, abs=0.1) for blindness in BLINDNESS)


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_arms_can_be_told_apart_by_the_colour_blind(blindness):
    for one, other in combinations(figures.ARMS.values(), 2):
        distance = np.linalg.norm(seen(one.color, blindness) - seen(other.color, blindness))
        assert distance > APART, (one.label, other.label)


def test_arms_can_be_told_apart_in_grey():
    """Five colours dark enough for white paper come too close to each other there: shapes must do."""
    for one, other in combinations(figures.ARMS.values(), 2):
        assert one.marker != other.marker and one.linestyle != other.linestyle


@pytest.mark.parametrize("state", display.STATES)
def test_tokens_can_be_read_in_their_boxes(state):
    style = display.STATES[state]
    assert contrast(style["text"], style["fill"]) >= TEXT
    assert max(contrast(style["fill"], "white"), contrast(style["edge"], "white")) >= GRAPHICS


def test_names_under_tokens_can_be_read():
    figure = display.show_sentences([(["Torven"], ["B-LOC"])])
    assert len(figure.axes[0].lines) == 1 and len(figure.axes[0].texts) == 2
    assert all(contrast(line.get_color(), "white") >= GRAPHICS for line in figure.axes[0].lines)
    assert all(contrast(text.get_color(), "white") >= TEXT for text in figure.axes[0].texts)


def drawn(axes):
    """The colours of all that something is read from; of a filled shape, the clearer of fill and edge."""
    for line in axes.lines:
        pale = line.get_alpha() == 0.25  # the loss as recorded, behind its moving average
        if to_rgb(line.get_color()) not in map(to_rgb, DECORATION) and not pale:
            yield (*to_rgb(line.get_color()), line.get_alpha() or 1)
    for shape in axes.patches:
        yield max(shape.get_facecolor(), shape.get_edgecolor(), key=lambda colour: contrast(colour, "white"))
    for collection in axes.collections:
        yield from collection.get_edgecolor()


def test_figures_stand_out_from_the_paper():
    levers = pd.DataFrame(
        {"name": ["plain", "bf16"], "low": 1, "median": 2, "high": 3, "kept": [True, False]}
    )
    for figure in [*draw_all(make_table()), figures.levers(levers)]:
        colours = [colour for axes in figure.axes for colour in drawn(axes)]
        assert colours and all(contrast(colour, "white") >= GRAPHICS for colour in colours)
        texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
        assert texts and all(contrast(text.get_color(), "white") >= TEXT for text in texts)
    plt.close("all")


@pytest.mark.parametrize("name", example_maps.FIGURES)
def test_maps_stand_out_from_the_paper(name):
    """Numbers stand on the tiles of a map, and white ones on dark bars."""
    tables = example_maps.tables()
    draw, _, blocks = example_maps.FIGURES[name]
    figure = draw(*(tables[block] for block in blocks))
    colours = [colour for axes in figure.axes if axes.get_label() != "<colorbar>" for colour in drawn(axes)]
    assert all(contrast(colour, "white") >= GRAPHICS for colour in colours)
    for axes in figure.axes:
        for image in axes.images:
            tiles = [image.cmap(share) for share in (0.0, 0.5, 1.0)]
            assert all(contrast(text.get_color(), tile) >= TEXT for text in axes.texts for tile in tiles)
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    for text in texts:
        assert contrast(text.get_color(), "#0072B2" if text.get_color() == "white" else "white") >= TEXT
    plt.close("all")


def test_colours_of_the_report():
    """The browser checks the text in its place (tests/browser); this holds the few colours that there are."""
    style = re.search(r"<style>.*?</style>", TEMPLATE.read_text(encoding="utf-8"), re.DOTALL)[0]
    texts = re.findall(r"[ ;{]color: (#\w+)", style)
    lines = re.findall(r"border\S*: \d+px solid (#\w+)", style)
    assert texts and all(contrast(colour, "white") >= TEXT for colour in texts)
    assert lines and all(contrast(colour, "white") >= GRAPHICS for colour in lines)
