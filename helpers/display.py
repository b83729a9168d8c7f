"""Sentences as pictures: tokens in boxes that say what masking did to them, names underlined with their type.

The pictures are matplotlib figures, because GitHub strips the styles from coloured HTML. Every state differs
in grey too: by fill, edge and weight of the letters.
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

from helpers.scoring import spans

WIDTH = 720  # points (1/72 inch): 10 inches
FONT_SIZE = 12
TYPE_SIZE = 8.5  # of the type under a mention
PADDING = 5  # between the letters of a token and its box
GAP = 6  # between two boxes; a bare word has no box and stands closer
LINE = 42  # from one line of tokens to the next
TIGHT_LINE = 29  # the same where no mention needs room for its type
BETWEEN = 0.4  # lines of extra room between two sentences

# Okabe-Ito colours, chosen so that they also differ in grey.
STATES = {
    "untouched": dict(fill="white", edge="#8c8c8c", width=0.6, line="-", text="black", weight="normal"),
    "masked": dict(fill="#0072B2", edge="#0072B2", width=1.0, line="-", text="white", weight="bold"),
    "replaced": dict(fill="#F5C363", edge="black", width=1.8, line="--", text="black", weight="bold"),
    "kept": dict(fill="white", edge="#009E73", width=2.6, line="-", text="black", weight="bold"),
}
MEANING = {
    "untouched": "not chosen",
    "masked": "chosen: shows [MASK]",
    "replaced": "chosen: shows another token",
    "kept": "chosen: left as it is",
}


def token_states(tokens: Sequence[str], seen: Sequence[str], hidden: Sequence[bool]) -> list[str]:
    """What happened to each token: "untouched", "masked", "replaced" or "kept" (chosen, but left as it is).

    Args:
        tokens: the tokens as they were.
        seen: the tokens that the model sees.
        hidden: whether the token was chosen, that is, whether it has a label.
    """
    states = []
    for token, shown, chosen in zip(tokens, seen, hidden, strict=True):
        if not chosen:
            states.append("untouched")
        elif shown == "[MASK]":
            states.append("masked")
        else:
            states.append("kept" if shown == token else "replaced")
    return states


def show_masked(
    tokens: Sequence[str],
    seen: Sequence[str],
    hidden: Sequence[bool],
    mentions: Iterable[tuple[str, int, int]] = (),
    title: str = "",
) -> Figure:
    """Draw one row of tokens as flowing text, each in a box that shows what masking did to it.

    Args:
        tokens, seen, hidden: as in `token_states`. A replaced token is written "old → new".
        mentions: (type, first token, one past the last token), underlined with the type below.
        title: one line above the text.
    """
    states = token_states(tokens, seen, hidden)
    labels = [
        f"{token} → {shown}" if state == "replaced" else token
        for token, shown, state in zip(tokens, seen, states, strict=True)
    ]
    present = [state for state in STATES if state in states]
    return _figure([(labels, states, list(mentions))], legend=present, title=title)


def show_sentences(sentences: Iterable[tuple[Sequence[str], Sequence[str]]], title: str = "") -> Figure:
    """Draw labelled sentences, each on lines of its own, mentions underlined with the type below.

    Args:
        sentences: pairs (words, IOB2 tags).
        title: one line above the text.
    """
    paragraphs = [(list(words), [None] * len(words), spans(tags)) for words, tags in sentences]
    return _figure(paragraphs, legend=[], title=title)


def token_mentions(tags: Sequence[str], word_ids: Sequence[int | None]) -> list[tuple[str, int, int]]:
    """Where the mentions of a sentence stand among its tokens.

    Args:
        tags: one IOB2 tag per word.
        word_ids: the number of each token's word, None (or -1) at special tokens.

    Returns:
        (type, first token, one past the last token) of each mention.
    """
    ranges = []
    for kind, start, end in spans(tags):
        places = [place for place, word in enumerate(word_ids) if word is not None and start <= word < end]
        if places:
            ranges.append((kind, places[0], places[-1] + 1))
    return ranges


def masked_text(tokens: Sequence[str], seen: Sequence[str], hidden: Sequence[bool]) -> str:
    """The same row as plain text, to copy or to have read aloud: a chosen token stands as {old → new}."""
    parts = [
        f"{{{token} → {shown}}}" if chosen else token
        for token, shown, chosen in zip(tokens, seen, hidden, strict=True)
    ]
    return " ".join(parts)


def tagged_text(words: Sequence[str], tags: Sequence[str]) -> str:
    """A labelled sentence as plain text: each mention stands in brackets, with its type behind."""
    text = list(words)
    for kind, start, end in spans(tags):
        text[start] = f"[{text[start]}"
        text[end - 1] += f" {kind}]"
    return " ".join(text)


def axes_below(figure: Figure, height: float = 2.6) -> Axes:
    """Make a picture of tokens taller by `height` inches, and return axes in the new room for a plot."""
    (tokens,) = figure.axes
    width, before = figure.get_size_inches()
    after = before + height
    figure.set_size_inches(width, after)
    tokens.set_position((0, height / after, 1, before / after))
    return figure.add_axes((0.08, 0.55 / after, 0.88, (height - 0.75) / after))


class Panel:
    """A picture under a row of controls: whatever is chosen, the picture follows.

    Without ipywidgets, and wherever there is no kernel to answer (GitHub, a printed page), the picture of the
    first choices is shown.

    Args:
        draw: called with one value for each name of `choices`; returns a figure.
        choices: name -> (the value to start with, all values).
        description: of the picture, for those who cannot see it.
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
            kind = ipywidgets.Dropdown if isinstance(start, str) else ipywidgets.SelectionSlider
            self.controls[name] = kind(options=values, value=start, description=name.replace("_", " "))
            self.controls[name].observe(self._follow, "value")
        self.image = ipywidgets.HTML(self._html())  # ipywidgets.Image has no place for alternative text
        self.box = ipywidgets.VBox([*self.controls.values(), self.image])

    def _follow(self, _change: object) -> None:
        self.picture = _png(self.draw(**{name: control.value for name, control in self.controls.items()}))
        self.image.value = self._html()

    def _html(self) -> str:
        """The picture, and what is chosen in words, for those who cannot see it."""
        chosen = [f"{name.replace('_', ' ')} {control.value}" for name, control in self.controls.items()]
        alt = html.escape(f"{self.description} Chosen: {', '.join(chosen)}.")
        source = f"data:image/png;base64,{base64.b64encode(self.picture).decode()}"
        return f'<img src="{source}" alt="{alt}" style="max-width: 100%">'

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        """The controls for a front end that can show them, the first picture for all others."""
        bundle = {"image/png": base64.b64encode(self.picture).decode(), "text/plain": self.description}
        if self.box is not None:
            view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
            bundle["application/vnd.jupyter.widget-view+json"] = view
        return bundle


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100)
    plt.close(figure)
    return stream.getvalue()


def _figure(paragraphs: list, legend: list[str], title: str) -> Figure:
    """Lay the paragraphs (labels, states, mentions) out below each other; one data unit is one point."""
    laid_out, bottom = [], 0.0
    for labels, states, mentions in paragraphs:
        top = bottom + BETWEEN if bottom else 0.0
        places = _flow(labels, states, top)  # one (left, width, line) per label
        laid_out.append((labels, states, mentions, places))
        bottom = places[-1][2] + 1 if places else bottom
    step = LINE if any(mentions for _, _, mentions in paragraphs) else TIGHT_LINE
    header = (24 if title else 0) + (32 if legend else 0)
    height = header + bottom * step + 4
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
            _draw_token(axes, label, state, left, width, header + line * step + 14)
        for kind, start, end in mentions:
            _underline(axes, kind, places[start:end], header, step)
    plt.close(figure)  # a notebook shows the returned figure, once
    return figure


def _width(text: str, size: float, weight: str = "normal") -> float:
    """Width of a text in points, with room for rounding to pixels; the same on every backend."""
    if not any(letter.isprintable() and not letter.isspace() for letter in text):
        return 0.0  # nothing to outline, which TextPath cannot do
    letters = text.replace("$", "\\$")  # or else what stands between two of them is read as a formula
    path = TextPath((0, 0), letters, size=size, prop=FontProperties(weight=weight))
    return 1.02 * path.get_extents().width


def _flow(labels: list[str], states: list, line: float) -> list[tuple[float, float, float]]:
    """Places for the labels, left to right, a new line where one is full: (left, width, line)."""
    places, left = [], 8.0
    for label, state in zip(labels, states, strict=True):
        weight = STATES[state]["weight"] if state else "normal"
        width = _width(label, FONT_SIZE, weight) + 2 * PADDING
        if left + width > WIDTH - 8 and left > 8:
            left, line = 8.0, line + 1
        places.append((left, width, line))
        left += width + (GAP if state else -2)
    return places


def _draw_token(axes: Axes, label: str, state: str | None, left: float, width: float, y: float) -> None:
    """A token centred on y in the box of its state; without a state, the bare word."""
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
    axes: Axes, kind: str, places: list[tuple[float, float, float]], header: float, step: float
) -> None:
    """A thick line under the tokens of a mention, on each line of text that it reaches; its type below."""
    for line in sorted({place[2] for place in places}):
        on_line = [(left, width) for left, width, its_line in places if its_line == line]
        start, end = on_line[0][0] + 3, on_line[-1][0] + on_line[-1][1] - 3  # neighbours do not touch
        y = header + line * step + 28
        axes.plot([start, end], [y, y], color="#D55E00", linewidth=2.2, solid_capstyle="butt")
        if line == places[0][2]:
            axes.text(
                start,
                y + 6.5,
                kind,
                fontsize=TYPE_SIZE,
                weight="bold",
                color="#8A3C00",
                va="center",
            )


def _draw_legend(axes: Axes, states: list[str], y: float) -> None:
    """One box per state that occurs, named by its meaning."""
    left = 8.0
    for state in states:
        width = _width(MEANING[state], FONT_SIZE, STATES[state]["weight"]) + 2 * PADDING
        _draw_token(axes, MEANING[state], state, left, width, y)
        left += width + 14
