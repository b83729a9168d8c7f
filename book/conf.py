"""Sphinx's settings for the book, whose sources `python -m helpers book` writes before it calls Sphinx."""

import ast
import dataclasses
import inspect
import io
import textwrap
import tokenize

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

from helpers.publishing import colab

project = html_title = "Token or span?"
language = "en"
repository, ref = colab.address()

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
nitpicky = True
# Other people's names are not looked up, because a build needs no network; nor are our aliases of types.
nitpick_ignore_regex = [(r"py:.*", r"(?!helpers\b).*")]

# --- pages ---

myst_enable_extensions = ["attrs_inline", "deflist", "dollarmath"]
smartquotes_action = "D"  # dashes alone: quotation marks stand around code too
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_ipywidgets_js = {}  # by default from elsewhere; the committed outputs hold no live widgets
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_js_files = [("book.js", {"defer": "defer"})]
html_favicon = "_static/icon.svg"
html_context = {"default_mode": "auto"}
html_use_index = html_domain_indices = False  # the search finds the same
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navbar_persistent": [],  # the search stands in the sidebar
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "search_bar_text": "Search the book",
    "extra_footer": "Code: MIT. Prose, figures and the invented world: CC BY 4.0.",
    "footer_content_items": "extra-footer.html",
    "icon_links": [{"name": "Source", "url": repository, "icon": "fa-brands fa-github"}],
}

# --- reference ---

default_role = "code"  # in our docstrings `name` is code
add_module_names = False
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True


def describe_fields(app, what, name, obj, options, lines) -> None:
    """The comments behind the fields of a dataclass or a named tuple describe them."""
    if what != "class" or not (dataclasses.is_dataclass(obj) or hasattr(obj, "_fields")):
        return
    source = textwrap.dedent(inspect.getsource(obj))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {at.start[0]: at.string.lstrip("# ") for at in tokens if at.type == tokenize.COMMENT}
    fields = [node for node in ast.parse(source).body[0].body if isinstance(node, ast.AnnAssign)]
    described = []
    for field in fields:
        about = [comments[line] for line in range(field.lineno, field.end_lineno + 1) if line in comments]
        if about:
            described.append(f"    {field.target.id} ({ast.unparse(field.annotation)}): {' '.join(about)}")
    if described:
        lines += ["", "Attributes:", *described]


def leave_out_aliases(app, what, name, obj, skip, options) -> bool | None:
    """Fields of a named tuple, which Python describes as "alias for field number 0"."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def describe_returns(app, what, name, obj, options, lines) -> None:
    """What is returned has its type from the hints, so a colon in its description does not end a type."""
    for number, line in enumerate(lines[:-1]):
        if line.strip() in ("Returns:", "Yields:"):
            text = lines[number + 1].lstrip()
            lines[number + 1] = f"{lines[number + 1].removesuffix(text)}: {text}"


def visit_math(self, node) -> None:
    """Formulas as MathML, which browsers show without a script."""
    self.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


html_math_renderer = "mathml"


def setup(app) -> None:
    app.connect("autodoc-process-docstring", describe_fields, priority=400)  # before napoleon
    app.connect("autodoc-process-docstring", describe_returns, priority=400)
    app.connect("autodoc-skip-member", leave_out_aliases)
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math, None))
