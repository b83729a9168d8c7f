"""What the code cells of a notebook define, for tests that compare it with `helpers`."""

import ast
import json
from functools import cache

from helpers.settings import ROOT


def statements(notebook: str) -> list[ast.stmt]:
    """The statements of all code cells, in order."""
    cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    return ast.parse("\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")).body


@cache
def functions_of(notebook: str) -> dict[str, list[ast.FunctionDef]]:
    """The functions that the code cells of a notebook define, by name."""
    found: dict[str, list[ast.FunctionDef]] = {}
    for statement in statements(notebook):
        if isinstance(statement, ast.FunctionDef):
            found.setdefault(statement.name, []).append(statement)
    return found


def bare(function: ast.FunctionDef) -> str:
    """A function without its docstring and type hints."""
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            node.annotation = None
    function.returns = None
    if ast.get_docstring(function) is not None:
        function.body = function.body[1:]
    return ast.unparse(function)


def defined_by(notebook: str) -> dict[str, object]:
    """A namespace with the notebook's imports, functions and classes; nothing else has run."""
    wanted = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    body = [statement for statement in statements(notebook) if isinstance(statement, wanted)]
    namespace: dict[str, object] = {}
    exec(compile(ast.Module(body, []), notebook, "exec"), namespace)
    return namespace
