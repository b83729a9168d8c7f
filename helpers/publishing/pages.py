"""Executed notebooks as web pages that need nothing from elsewhere."""

import re
from pathlib import Path

from helpers.publishing import colab, notebooks

LINK = re.compile(r"\]\((\d\d_\w+)\.ipynb(#[^)]*)?\)")  # from one notebook to another

# nbconvert's page, with alternative text in the images. Its prompts and some of its code are too pale there,
# and its links differ from the text around them by colour alone.
PAGE = """{%- extends 'lab/index.html.j2' -%}
{%- block html_head_css -%}
{{ super() }}
<style>
:root {
  --jp-cell-prompt-not-active-opacity: 1;
  --jp-cell-prompt-not-active-font-color: #595959;
  --jp-mirror-editor-comment-color: #346a6a;
  --jp-mirror-editor-number-color: #006e00;
  --jp-mirror-editor-operator-color: #8000d0;
}
.jp-RenderedHTMLCommon a:link { text-decoration: underline; }
</style>
{%- endblock -%}
{%- block data_png scoped -%}
<div class="jp-RenderedImage jp-OutputArea-output {{ extra_class }}">
<img src="data:image/png;base64,{{ output.data['image/png'] }}" alt="{{ output.metadata.alt | escape_html }}">
</div>
{%- endblock -%}
"""


def description(notebook, index: int) -> str:
    """Return the figure of a code cell in words, for its alternative text.

    Args:
        notebook: nbformat's dictionary.
        index: position of the code cell among all cells.

    Returns:
        The paragraph in italics that opens the next markdown cell, or else the last paragraph of the markdown
        above; without markup, in one line.
    """
    after = next((cell.source for cell in notebook.cells[index + 1 :] if cell.cell_type == "markdown"), "")
    above = [cell.source for cell in notebook.cells[:index] if cell.cell_type == "markdown"]
    if italics := re.match(r"\*[^*].*?[^*]\*(?!\*)", after, flags=re.DOTALL):
        words = italics[0]
    else:
        words = above[-1].split("\n\n")[-1] if above else ""
    return " ".join(re.sub(r"[*`]", "", words).split())


def to_html(executed: Path) -> Path:
    """Write an executed notebook as a web page beside it.

    A page needs no kernel and nothing from elsewhere, so it has no live widgets and no badge. Links between
    notebooks lead to their pages, and figures carry their description as alternative text.

    Args:
        executed: the executed notebook.

    Returns:
        The page.
    """
    from nbconvert import HTMLExporter

    notebook = notebooks.read(executed)
    notebook.metadata.pop("widgets", None)
    repository, ref = colab.address()
    folder = f"{repository}/blob/{ref}/{notebooks.FOLDER.name}"
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            cell.outputs = notebooks.lasting_outputs(cell.outputs)
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    output.metadata["alt"] = description(notebook, index)
        elif cell.cell_type == "markdown":
            cell.source = LINK.sub(r"](\1.html\2)", colab.BADGE.sub("", cell.source))
            cell.source = re.sub(r"\]\((\w+\.md)\)", rf"]({folder}/\1)", cell.source)
    exporter = HTMLExporter(
        raw_template=PAGE, require_js_url="", jquery_url="", mathjax_url="", embed_images=True
    )
    html, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": executed.stem}})
    html = html.replace("<th></th>", "<td></td>")  # an empty heading tells a screen reader nothing
    page = executed.with_suffix(".html")
    # Names of files in another encoding than the locale's come as surrogates, which stand for their bytes.
    page.write_text(html, encoding="utf-8", errors="surrogateescape", newline="\n")
    return page
