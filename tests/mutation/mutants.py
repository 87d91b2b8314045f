"""Every one-place change of a module's source that a test should notice. Pure.

Changed are comparisons, boolean operators, conditions, constants, returned values, sums and calls made for
their effect. Left alone is what no test can or should see: annotations, docstrings, decorators, parts of
f-strings, what is logged, what type checkers alone read, and a guard of zip.
"""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}
NONE = ast.Constant(None)


@dataclass(frozen=True)
class Mutant:
    """A module with one change: where it is, what it is, and the source that it makes."""

    line: int
    code: str  # the line as it is
    change: str
    source: str

    @property
    def key(self) -> tuple[str, str]:
        """Names the change where lines above it come and go."""
        return self.code, self.change


def mutants_of(source: str) -> list[Mutant]:
    """All mutants of a module, in the order of its lines."""
    tree, lines = ast.parse(source), source.splitlines()
    hidden, found = _hidden(tree), []
    for index, node in enumerate(ast.walk(tree)):
        place = getattr(node, "pattern", getattr(node, "target", node))  # a case, a comprehension
        line = getattr(node, "lineno", None) or getattr(place, "lineno", None)
        if id(node) in hidden or line is None:
            continue
        for change, make in _changes(node):
            mutated = copy.deepcopy(tree)
            target = next(n for i, n in enumerate(ast.walk(mutated)) if i == index)
            _replace(mutated, target, make(target))
            source = ast.unparse(ast.fix_missing_locations(mutated))
            found.append(Mutant(line, lines[line - 1].strip(), change, source))
    return sorted(found, key=lambda mutant: (mutant.line, mutant.change))


def sample(mutants: list[Mutant], most: int, seed: str) -> list[Mutant]:
    """At most so many of them, the same ones for the same seed; a larger sample holds the smaller one."""
    order = list(mutants)
    random.Random(seed).shuffle(order)
    return sorted(order[:most], key=lambda mutant: (mutant.line, mutant.change))


Make = Callable[[ast.AST], ast.AST | None]


def _changes(node: ast.AST) -> Iterator[tuple[str, Make]]:
    match node:
        case ast.Compare(ops=[op]) if type(op) in SWAPPED:
            yield (
                f"{type(op).__name__} -> {SWAPPED[type(op)].__name__}",
                _with_op("ops", [SWAPPED[type(op)]()]),
            )
        case ast.BoolOp(op=op) | ast.BinOp(op=op) if type(op) in SWAPPED:
            yield f"{type(op).__name__} -> {SWAPPED[type(op)].__name__}", _with_op("op", SWAPPED[type(op)]())
        case ast.UnaryOp(op=ast.Not()):
            yield "not removed", lambda n: n.operand  # type: ignore[attr-defined]
        case ast.Constant(value=bool(value)):
            yield f"{value} -> {not value}", lambda _: ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield f"{value} -> {value + 1}", lambda _: ast.Constant(value + 1)
        case ast.Constant(value=str(value)) if value:
            yield f"{value[:20]!r} -> 'XX'", lambda _: ast.Constant("XX")
        case ast.Return(value=value) if value is not None and not _is_nothing(value):
            yield "returns None", _with_op("value", NONE)
        case ast.If() | ast.IfExp():
            yield "condition true", _with_op("test", ast.Constant(True))
            yield "condition false", _with_op("test", ast.Constant(False))
        case ast.comprehension(ifs=[_, *_]):
            yield "all of them", _with_op("ifs", [])
        case ast.Continue():
            yield "continue -> break", lambda _: ast.Break()
        case ast.match_case(guard=guard) if guard is not None:
            yield "guard removed", _with_op("guard", None)
        case ast.Expr(value=ast.Call()):
            yield "call removed", lambda _: ast.Pass()


def _is_nothing(value: ast.expr) -> bool:
    """None, or False, which is changed to True."""
    return isinstance(value, ast.Constant) and (value.value is None or value.value is False)


def _with_op(field: str, value: object) -> Make:
    def change(node: ast.AST) -> ast.AST:
        setattr(node, field, value)
        return node

    return change


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST | None) -> None:
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, field, new)
            elif isinstance(value, list) and any(item is old for item in value):
                setattr(parent, field, [new if item is old else item for item in value])


def _hidden(tree: ast.Module) -> set[int]:
    """Ids of the nodes that are left alone."""
    found: set[int] = set()

    def hide(node: ast.AST | None) -> None:
        if node is not None:
            found.update(id(inner) for inner in ast.walk(node))

    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                hide(node.returns)
            case ast.arg() | ast.AnnAssign():
                hide(node.annotation)
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                for decorator in node.decorator_list:
                    hide(decorator)
            case ast.JoinedStr():
                found.update(id(part) for part in node.values if isinstance(part, ast.Constant))
            case ast.Expr(value=ast.Constant()):
                hide(node)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):  # read by type checkers alone
                hide(node)
            case ast.ClassDef(bases=[ast.Name(id="Enum")]):  # its values are never stored nor shown
                for member in node.body:
                    hide(member.value if isinstance(member, ast.Assign) else None)
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="log")))):
                hide(node)
            case ast.Assign(targets=[ast.Name(id="log" | "__all__")]):
                hide(node)
            case ast.Call(func=ast.Name(id="TypeVar" | "ParamSpec" | "cast")):
                hide(node)
            case ast.keyword(arg="optimize"):  # how fast it is
                hide(node)
            case ast.Call(func=ast.Name(id="zip"), keywords=guards):  # strict: no right input meets it
                for guard in guards:
                    hide(guard)
            case ast.Subscript(value=ast.Name(id=name)) if name[:1].isupper():
                hide(node.slice)
    return found
