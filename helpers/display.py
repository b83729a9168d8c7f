"""Sentences as pictures: tokens in boxes that say what masking did to them, mentions underlined.

The pictures are matplotlib figures, because GitHub strips the styles from coloured HTML. The states also
differ in grey: by fill, edge and weight of the letters.
"""

import base64
import html
import io
from collections.abc import Callable, Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyBboxPatch
from matplotlib.textpath import TextPath

from helpers.scoring import Mention, spans

WIDTH = 720  # points (1/72 inch): 10 inches
FONT_SIZE = 12
TYPE_SIZE = 8.5  # font size of the type below a mention
PADDING = 5  # between the letters of a token and its box
BOX_GAP = 6  # between two boxes
WORD_GAP = -2  # between two words without boxes, on top of their padding
LINE_HEIGHT = 42  # from one line of tokens to the next
TIGHT_LINE_HEIGHT = 29  # the same where no mention needs room for its type
SENTENCE_GAP = 0.4  # extra room between two sentences, in lines

# Okabe-Ito colours, chosen because they also differ in grey.
STATES: dict[str, dict] = {
    "untouched": dict(fill="white", edge="#8c8c8c", width=0.6, line="-", text="black", weight="normal"),
    "masked": dict(fill="#0072B2", edge="#0072B2", width=1.0, line="-", text="white", weight="bold"),
    "replaced": dict(fill="#F5C363", edge="black", width=1.8, line="--", text="black", weight="bold"),
    "kept": dict(fill="white", edge="#009E73", width=2.6, line="-", text="black", weight="bold"),
    "given away": dict(fill="#CFCFCF", edge="black", width=1.2, line=":", text="black", weight="normal"),
}
MEANINGS = {
    "untouched": "not chosen",
    "masked": "chosen: shows [MASK]",
    "replaced": "chosen: shows another token",
    "kept": "chosen: left as it is",
    "given away": "not chosen, but has a label",
}


def token_states(
    tokens: Sequence[str],
    seen: Sequence[str],
    hidden: Sequence[bool],
    labelled: Sequence[bool] | None = None,
) -> list[str]:
    """Tell what masking did to each token.

    Args:
        tokens: The original tokens.
        seen: The tokens that the model sees.
        hidden: Whether the token was chosen.
        labelled: Whether the token has a label; None if the chosen ones have, and no others.

    Returns:
        "untouched", "masked", "replaced", "kept" (chosen, but left as it is) or "given away" (not chosen, and
        labelled all the same: the model is asked for what it sees) for each token.
    """
    states, answers = [], hidden if labelled is None else labelled
    for token, shown, chosen, asked in zip(tokens, seen, hidden, answers, strict=True):
        if not chosen:
            states.append("given away" if asked else "untouched")
        elif shown == "[MASK]":
            states.append("masked")
        else:
            states.append("kept" if shown == token else "replaced")
    return states


def show_masked(
    tokens: Sequence[str],
    seen: Sequence[str],
    hidden: Sequence[bool],
    mentions: Iterable[Mention] = (),
    title: str = "",
    labelled: Sequence[bool] | None = None,
) -> Figure:
    """Draw one row of tokens as flowing text, each in a box that shows what masking did to it.

    A replaced token is written "old → new".

    Args:
        tokens: The original tokens.
        seen: The tokens that the model sees.
        hidden: Whether the token was chosen.
        mentions: (type, first token, one past the last token), underlined with the type below.
        title: One line above the text.
        labelled: Whether the token has a label; None if the chosen ones have, and no others.

    Returns:
        The figure, closed in pyplot, so a notebook shows it once.
    """
    states = token_states(tokens, seen, hidden, labelled)
    labels = [
        f"{token} → {shown}" if state == "replaced" else token
        for token, shown, state in zip(tokens, seen, states, strict=True)
    ]
    present = [state for state in STATES if state in states]
    return _draw_paragraphs([(labels, states, list(mentions))], legend=present, title=title)


def show_sentences(sentences: Iterable[tuple[Sequence[str], Sequence[str]]], title: str = "") -> Figure:
    """Draw labelled sentences, each on lines of its own, mentions underlined with the type below.

    Args:
        sentences: Pairs (words, IOB2 tags).
        title: One line above the text.

    Returns:
        The figure, closed in pyplot, so a notebook shows it once.
    """
    paragraphs = [(list(words), [None] * len(words), spans(tags)) for words, tags in sentences]
    return _draw_paragraphs(paragraphs, legend=[], title=title)


def token_mentions(tags: Sequence[str], word_ids: Sequence[int | None]) -> list[Mention]:
    """Find the tokens of each mention of a sentence.

    Args:
        tags: One IOB2 tag per word.
        word_ids: The word number of each token, None (or -1) at special tokens.

    Returns:
        (type, first token, one past the last token) of each mention that has tokens.
    """
    mentions = []
    for entity_type, start, end in spans(tags):
        tokens = [token for token, word in enumerate(word_ids) if word is not None and start <= word < end]
        if tokens:
            mentions.append((entity_type, tokens[0], tokens[-1] + 1))
    return mentions


def masked_text(tokens: Sequence[str], seen: Sequence[str], hidden: Sequence[bool]) -> str:
    """Write one row as plain text, to be copied or read aloud.

    Args:
        tokens: The original tokens.
        seen: The tokens that the model sees.
        hidden: Whether the token was chosen.

    Returns:
        The tokens, with each chosen one as {old → new}.
    """
    parts = [
        f"{{{token} → {shown}}}" if chosen else token
        for token, shown, chosen in zip(tokens, seen, hidden, strict=True)
    ]
    return " ".join(parts)


def tagged_text(words: Sequence[str], tags: Sequence[str]) -> str:
    """Write a labelled sentence as plain text.

    Args:
        words: The words.
        tags: One IOB2 tag per word.

    Returns:
        The words, with each mention in brackets, followed by its type.
    """
    parts = list(words)
    for entity_type, start, end in spans(tags):
        parts[start] = f"[{parts[start]}"
        parts[end - 1] += f" {entity_type}]"
    return " ".join(parts)


def axes_below(figure: Figure, height: float = 2.6) -> Axes:
    """Make a picture of tokens taller, with room for a plot below.

    Args:
        figure: A figure from `show_masked` or `show_sentences`.
        height: Inches to add.

    Returns:
        Axes in the new room.
    """
    (tokens,) = figure.axes
    width, old_height = figure.get_size_inches()
    new_height = old_height + height
    figure.set_size_inches(width, new_height)
    tokens.set_position((0, height / new_height, 1, old_height / new_height))
    return figure.add_axes((0.08, 0.55 / new_height, 0.88, (height - 0.75) / new_height))


class Panel:
    """A picture below a row of controls, drawn anew whenever a control changes.

    Without ipywidgets, and wherever no kernel answers (on GitHub, on a printed page), the picture of the
    first choices is shown.

    Args:
        draw: Called with one value for each name of `choices`; returns a figure.
        choices: From a name to the pair (first value, all values).
        description: Of the picture, for those who cannot see it.
    """

    def __init__(
        self, draw: Callable[..., Figure], choices: Mapping[str, tuple[object, Sequence]], description: str
    ):
        self.draw, self.description, self.controls, self.box = draw, description, {}, None
        self.picture = _png(draw(**{name: start for name, (start, _) in choices.items()}))
        try:
            import ipywidgets
        except ImportError:
            return
        for name, (start, values) in choices.items():
            control = ipywidgets.Dropdown if isinstance(start, str) else ipywidgets.SelectionSlider
            self.controls[name] = control(options=values, value=start, description=name.replace("_", " "))
            self.controls[name].observe(self._redraw, "value")
        self.image = ipywidgets.HTML(self._html())  # ipywidgets.Image has no place for alternative text
        self.box = ipywidgets.VBox([*self.controls.values(), self.image])

    def _redraw(self, _change: object) -> None:
        self.picture = _png(self.draw(**{name: control.value for name, control in self.controls.items()}))
        self.image.value = self._html()

    def _html(self) -> str:
        """Return the picture, with the choices in words for those who cannot see it."""
        chosen = [f"{name.replace('_', ' ')} {control.value}" for name, control in self.controls.items()]
        alt = html.escape(f"{self.description} Chosen: {', '.join(chosen)}.")
        source = f"data:image/png;base64,{base64.b64encode(self.picture).decode()}"
        return f'<img src="{source}" alt="{alt}" style="max-width: 100%">'

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        """Return the controls for a front end that can show them, and the first picture for all others."""
        bundle: dict = {"image/png": base64.b64encode(self.picture).decode(), "text/plain": self.description}
        if self.box is not None:
            view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
            bundle["application/vnd.jupyter.widget-view+json"] = view
        return bundle


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100)
    plt.close(figure)
    return stream.getvalue()


def _draw_paragraphs(paragraphs: list, legend: list[str], title: str) -> Figure:
    """Draw the paragraphs (labels, states, mentions) below each other; one data unit is one point."""
    laid_out, bottom = [], 0.0
    for labels, states, mentions in paragraphs:
        top = bottom + SENTENCE_GAP if bottom else 0.0
        places = _flow(labels, states, top)  # one (left, width, line) per label
        laid_out.append((labels, states, mentions, places))
        bottom = places[-1][2] + 1 if places else bottom
    line_height = LINE_HEIGHT if any(mentions for _, _, mentions in paragraphs) else TIGHT_LINE_HEIGHT
    header = (24 if title else 0) + (32 if legend else 0)
    height = header + bottom * line_height + 4
    figure = plt.figure(figsize=(WIDTH / 72, height / 72), layout="none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(height, 0))  # y grows downwards, like text
    axes.axis("off")
    if title:
        axes.text(8, 14, title, fontsize=FONT_SIZE, weight="bold", va="center")
    if legend:
        _draw_legend(axes, legend, 24 + 10 if title else 12)
    for labels, states, mentions, places in laid_out:
        for label, state, (left, width, line) in zip(labels, states, places, strict=True):
            _draw_token(axes, label, state, left, width, header + line * line_height + 14)
        for entity_type, start, end in mentions:
            _underline(axes, entity_type, places[start:end], header, line_height)
    plt.close(figure)  # a notebook shows the returned figure, once
    return figure


def _width(text: str, size: float, weight: str = "normal") -> float:
    """Return the width of a text in points, with room for rounding to pixels, the same on every backend."""
    if not any(letter.isprintable() and not letter.isspace() for letter in text):
        return 0.0  # TextPath fails on a text without outlines
    escaped = text.replace("$", "\\$")  # or TextPath reads what stands between two of them as a formula
    path = TextPath((0, 0), escaped, size=size, prop=FontProperties(weight=weight))
    return 1.02 * path.get_extents().width


def _flow(labels: list[str], states: list, line: float) -> list[tuple[float, float, float]]:
    """Lay out the labels from left to right, with line breaks: (left, width, line) of each."""
    places, left = [], 8.0
    for label, state in zip(labels, states, strict=True):
        weight = STATES[state]["weight"] if state else "normal"
        width = _width(label, FONT_SIZE, weight) + 2 * PADDING
        if left + width > WIDTH - 8 and left > 8:
            left, line = 8.0, line + 1
        places.append((left, width, line))
        left += width + (BOX_GAP if state else WORD_GAP)
    return places


def _draw_token(axes: Axes, label: str, state: str | None, left: float, width: float, y: float) -> None:
    """Draw a token centred on y, in the box of its state; without a state, the word alone."""
    style = STATES[state] if state else dict(text="black", weight="normal")
    if state:
        axes.add_patch(
            FancyBboxPatch(
                (left, y - 10),
                width,
                20,
                boxstyle="round,pad=0,rounding_size=3",
                facecolor=style["fill"],
                edgecolor=style["edge"],
                linewidth=style["width"],
                linestyle=style["line"],
            )
        )
    axes.text(
        left + width / 2,
        y + 4.5,
        label,
        fontsize=FONT_SIZE,
        color=style["text"],
        weight=style["weight"],
        ha="center",
        va="baseline",
        parse_math=False,
    )


def _underline(
    axes: Axes,
    entity_type: str,
    places: list[tuple[float, float, float]],
    header: float,
    line_height: float,
) -> None:
    """Underline the tokens of a mention on each line of text that it reaches, with its type below."""
    for line in sorted({place[2] for place in places}):
        on_line = [(left, width) for left, width, place_line in places if place_line == line]
        start, end = on_line[0][0] + 3, on_line[-1][0] + on_line[-1][1] - 3  # neighbours do not touch
        y = header + line * line_height + 28
        axes.plot([start, end], [y, y], color="#D55E00", linewidth=2.2, solid_capstyle="butt")
        if line == places[0][2]:
            axes.text(
                start,
                y + 6.5,
                entity_type,
                fontsize=TYPE_SIZE,
                weight="bold",
                color="#8A3C00",
                va="center",
            )


def _draw_legend(axes: Axes, states: list[str], y: float) -> None:
    """Draw one box per state, with its meaning."""
    left = 8.0
    for state in states:
        width = _width(MEANINGS[state], FONT_SIZE, STATES[state]["weight"]) + 2 * PADDING
        _draw_token(axes, MEANINGS[state], state, left, width, y)
        left += width + 14
