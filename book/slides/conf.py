"""Sphinx's settings for the slides, whose source `python -m helpers book` writes before it calls Sphinx."""

project = "Token or span?"
language = "en"
extensions = ["myst_parser", "sphinx_revealjs"]
smartquotes_action = "D"  # as in the book
html_copy_source = False

revealjs_html_theme = "revealjs-simple"
revealjs_style_theme = "white-contrast"  # black on white; its font lies beside it
revealjs_static_path = ["slides.css"]
revealjs_css_files = ["slides.css"]
revealjs_script_plugins = [{"name": "RevealNotes", "src": "revealjs/plugin/notes/notes.js"}]
revealjs_script_conf = {
    "width": 1280,
    "height": 720,
    "margin": 0.05,
    "center": False,
    "hash": True,  # each slide has an address
    "slideNumber": "c/t",
    "transition": "none",
}
