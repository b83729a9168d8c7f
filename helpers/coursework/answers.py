"""Reads a student's cell as Jupyter does: what ran and passed there gets its points here.

Magics and shell lines change nothing of a function and are left out, and so are calls that try it out. What
the function uses of the student's other cells is taken along.
"""

import ast
import builtins
import re
import symtable
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from helpers.coursework.exercises import Exercise, imports
from helpers.coursework.worker import CODE_NAME

MAX_TRANSFORMED = 100_000  # characters; IPython reads its own syntax slowly
# What Jupyter gives to every notebook. Called where no screen is, it does nothing.
JUPYTER = """\
def display(*arguments, **keywords): pass
class _Shell:
    def __getattr__(self, name): return display
def get_ipython(): return _Shell()
"""
# How code fails that looks for what is in the notebook or on the student's disk, and not in grading.
NOT_HERE = "(NameError, ImportError, OSError, KeyError)"
ALWAYS_THERE = {*dir(builtins), "display", "get_ipython", "In", "Out"}
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
ERRORS = (SyntaxError, ValueError, RecursionError, MemoryError)  # of reading code that may be anything


@dataclass(frozen=True)
class Parts:
    """A cell cut into what is graded, what follows, and what is left out."""

    graded: str  # the function and all that it needs above it; line numbers are those of the cell
    aside: str  # what stands above it and it does not need
    rest: str  # what stands below; an error in it does not matter, the function is there by then
    awaits: tuple[int, ...] = ()  # lines with `await` outside a function, which are left out


# --- reading code ---


def parsed(source: str) -> ast.Module | None:
    """Parse code.

    Args:
        source: anything.

    Returns:
        The tree; None if it is not Python, or is nested too deeply.
    """
    try:
        return ast.parse(source)
    except ERRORS:
        return None


@lru_cache(maxsize=4096)
def as_python(source: str) -> str:
    """Translate a cell of a notebook into Python, as IPython does when it runs the cell.

    Args:
        source: a cell with or without magics and shell lines.

    Returns:
        Python with as many lines. Magics and shell lines call `get_ipython()`, which does nothing in grading;
        the code under a magic such as %%time stands without it. What is no Python either way is unchanged.
    """
    source = source.replace("\r\n", "\n")
    if parsed(source) is not None or len(source) > MAX_TRANSFORMED:
        return source
    from IPython.core.inputtransformer2 import TransformerManager

    lines = source.split("\n")
    for number, line in enumerate(lines):
        if line.strip() and not line.startswith("%%"):
            break
        lines[number] = "#"  # not an empty line: IPython removes those at the top
    text = re.sub(r"^(\s*)%time +(?![-\s])", r"\1", "\n".join(lines), flags=re.MULTILINE)
    try:
        python = TransformerManager().transform_cell(text).rstrip("\n")
    except Exception:  # of IPython, on text that is no code at all
        return source
    return source if parsed(python) is None else python


def error_in(source: str) -> str:
    """Return why code cannot run.

    Args:
        source: a cell.

    Returns:
        The error and its line; empty if there is none.
    """
    try:
        compile(as_python(source), CODE_NAME, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except SyntaxError as error:
        return f"{type(error).__name__} in line {error.lineno}: {error.msg}"
    except ERRORS as error:
        return f"{type(error).__name__}: {error}"
    return ""


def defines(source: str, name: str) -> bool:
    """Return whether a cell gives a value to a name.

    Args:
        source: a cell.
        name: of the function.

    Returns:
        True if it defines or assigns it; also if the cell cannot be parsed and seems to define it.
    """
    if not re.search(rf"\b{name}\b", source):
        return False
    tree = parsed(as_python(source))
    if tree is None:
        return bool(re.search(rf"^\s*(async\s+)?def\s+{name}\b", source, re.MULTILINE))
    return any(name in _bound(statement) for statement in tree.body)


def names_used(source: str) -> set[str]:
    """Return the names that code looks up outside its functions, those that it binds there included.

    Args:
        source: Python.

    Returns:
        The names, without those that are always there; none if the code cannot be compiled.
    """
    try:
        return set(_globals(symtable.symtable(source, CODE_NAME, "exec"))) - ALWAYS_THERE
    except ERRORS:
        return set()


def bound(source: str) -> set[str]:
    """Return the names that code binds at its top level.

    Args:
        source: Python.

    Returns:
        The names.
    """
    tree = parsed(source)
    return set().union(*map(_bound, tree.body)) if tree else set()


def _globals(table: symtable.SymbolTable) -> Iterator[str]:
    top = table.get_type() == "module"
    for symbol in table.get_symbols():
        assigned_inside = symbol.is_global() and symbol.is_assigned() and not top
        if (top or symbol.is_global()) and symbol.is_referenced() and not assigned_inside:
            yield symbol.get_name()
    for child in table.get_children():
        yield from _globals(child)


def _own_nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the nodes of a statement that run when the statement does, not when a function is called."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += [*getattr(node, "decorator_list", []), *filter(None, node.args.defaults)]
        else:
            waiting += ast.iter_child_nodes(node)


def _bound(statement: ast.stmt) -> set[str]:
    """Return the names that a statement gives a value, or an attribute or an item."""
    names = set()
    for node in _own_nodes(statement):
        if isinstance(node, Definition):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.Name | ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            while isinstance(node, ast.Attribute | ast.Subscript):
                node = node.value
            if isinstance(node, ast.Name):
                names.add(node.id)
    return names


def _is_of_helpers(statement: ast.stmt) -> bool:
    modules = [getattr(statement, "module", None) or ""]
    if isinstance(statement, ast.Import):
        modules = [alias.name for alias in statement.names]
    is_import = isinstance(statement, ast.Import | ast.ImportFrom)
    return is_import and any(module.partition(".")[0] == "helpers" for module in modules)


# --- one cell ---


@lru_cache(maxsize=4096)
def parts(name: str, source: str) -> Parts:
    """Cut a cell into what is graded and what follows, without the statements that only try the function out.

    Args:
        name: of the function.
        source: the student's cell.

    Returns:
        The parts; the whole cell is graded if it cannot be parsed or does not define the function.
    """
    python = as_python(source)
    tree = parsed(python)
    if tree is None:
        return Parts(python, "", "")
    left_out, awaits = set(), []
    for statement in tree.body:
        nodes = list(_own_nodes(statement))
        if any(isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith) for node in nodes):
            awaits.append(statement.lineno)
        elif (
            isinstance(statement, Definition)
            or name in _bound(statement)
            or not any(isinstance(node, ast.Name) and node.id == name for node in nodes)
        ):
            continue
        left_out.add(statement)
    used = names_used(_without(python, left_out))
    left_out |= {one for one in tree.body if _is_of_helpers(one) and not used & _bound(one)}
    last = max(
        (number for number, one in enumerate(tree.body) if name in _bound(one)), default=len(tree.body)
    )
    before, after = tree.body[: last + 1], tree.body[last + 1 :]
    aside = set(before) - left_out - _needed(name, [one for one in before if one not in left_out])
    others = _without(python, set(tree.body) - aside) if aside else ""
    rest = _without(python, {*before, *left_out}) if set(after) - left_out else ""
    return Parts(_without(python, {*after, *left_out, *aside}), others, rest, tuple(awaits))


def _needed(name: str, statements: Sequence[ast.stmt]) -> set[ast.stmt]:
    """Return the statements that give a function its value, or a value to what it uses in turn."""
    if not any(name in _bound(one) for one in statements):
        return set(statements)
    data = {
        bound
        for one in statements
        if not isinstance(one, Definition | ast.Import | ast.ImportFrom)
        for bound in _bound(one)
    }
    needed, names, size = set(), {name}, -1
    while len(needed) > size:
        size = len(needed)
        for one in statements:
            if one in needed:
                continue
            used = {node.id for node in _own_nodes(one) if isinstance(node, ast.Name)}
            if _bound(one) & names or used & names & data:  # `table.append(3)` changes a table
                needed.add(one)
                names |= names_used(ast.unparse(one))
    return needed


def _without(python: str, statements: set[ast.stmt]) -> str:
    """Put `pass` in the place of statements; all others keep their lines."""
    lines = [line.encode() for line in python.split("\n")]  # columns are counted in bytes of UTF-8
    for statement in sorted(statements, key=lambda one: (one.lineno, one.col_offset), reverse=True):
        decorators = [decorator.lineno for decorator in getattr(statement, "decorator_list", [])]
        first, last = min([statement.lineno, *decorators]) - 1, (statement.end_lineno or statement.lineno) - 1
        after = lines[last][statement.end_col_offset :]
        empty = [b""] * (last - first)
        lines[first : last + 1] = [lines[first][: statement.col_offset] + b"pass" + after, *empty]
    return b"\n".join(lines).decode()


@lru_cache(maxsize=4096)
def program(exercise: Exercise, answer: str, taken_along: str = "") -> tuple[str, ...]:
    """Return the pieces of code that define a student's function, to be run one after the other.

    Args:
        exercise: the exercise.
        answer: the source of the student's cell.
        taken_along: what the cell uses of other cells.

    Returns:
        What Jupyter and the notebook's imports give, what was taken along, and the cell.
    """
    cell = parts(exercise.name, answer)
    given = imports(exercise.notebook, f"{as_python(answer)}\n{taken_along}", with_helpers=False)
    pieces = [JUPYTER + given]
    if taken_along:
        pieces.append(f"exec(compile({taken_along!r}, '<other cells>', 'exec'))")
    pieces.append(cell.graded)
    for other, errors in ((cell.aside, NOT_HERE), (cell.rest, "BaseException")):
        if other:
            run = f"exec(compile({other!r}, {CODE_NAME!r}, 'exec'))"
            pieces.append(f"try:\n    {run}\nexcept {errors}:\n    pass")
    return tuple(pieces)


# --- the cells around it ---


def take_along(exercise: Exercise, answer: str, cells: Sequence[str], place: int) -> tuple[str, set[str]]:
    """Collect the definitions in other cells that a student's cell uses, and what they use in turn.

    Args:
        exercise: the exercise.
        answer: the source of the student's cell.
        cells: the notebook's code cells in their order; empty where a cell does not count.
        place: where among them the student's cell stands.

    Returns:
        Their source, and the names that could not be found, or lead to `helpers`.
    """

    def needs(code: str) -> set[str]:
        given = imports(exercise.notebook, code, with_helpers=False)
        return names_used(code) - bound(code) - bound(given)

    cell = parts(exercise.name, answer)
    wanted = sorted(needs(cell.graded) - bound(cell.rest))
    if not wanted:
        return "", set()
    trees = [parsed(as_python(source)) or ast.Module([], []) for source in cells]
    found: dict[str, list[tuple[int, int]]] = {}
    for number, tree in enumerate(trees):
        for line, statement in enumerate(tree.body):
            if isinstance(statement, Definition | ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign):
                for name in _bound(statement):
                    found.setdefault(name, []).append((number, line))

    def resolve(name: str, taken: set[tuple[int, int]]) -> set[tuple[int, int]] | None:
        """Return `taken` with all that a name needs; None if a part of that cannot be taken along."""
        places = found.get(name, [])
        before = [where for where in places if where[0] < place]
        if not places:
            return None
        where = before[-1] if before else places[0]  # as in a run from top to bottom; else as in any other
        if where in taken:
            return taken
        statement = trees[where[0]].body[where[1]]
        if _is_of_helpers(statement):
            return None
        taken = taken | {where}
        for need in sorted(needs(ast.unparse(statement))):
            further = resolve(need, taken)
            if further is None:
                return None
            taken = further
        return taken

    taken, missing = set(), set()
    for name in wanted:
        further = resolve(name, taken)
        if further is None:
            missing.add(name)
        else:
            taken = further
    code = "\n".join(ast.unparse(trees[number].body[line]) for number, line in sorted(taken))
    return code, missing
