"""Singular tests: a ``.sql`` file whose query returns the failing rows.

Of Jinja it may use ``{{ ref('x') }}``, ``{{ source('a', 'b') }}`` and ``{{ config(…) }}``.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from dbt_like_checks.document import read_text
from dbt_like_checks.errors import Place, Problem
from dbt_like_checks.project import Relation, Singular
from dbt_like_checks.references import JINJA_CALL, Resolver

_CONFIG = re.compile(r"\{\{-?\s*(config\s*\(.*?\))\s*-?\}\}", re.DOTALL)
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_OTHER = re.compile(r"\{\{|\{%")


def read_singular(
    path: Path, resolver: Resolver, problems: list[Problem]
) -> tuple[Singular, dict[str, object]] | None:
    """The query of a file and the values of its ``config(…)``; None with problems otherwise."""
    try:
        text = _COMMENT.sub("", read_text(path))
    except ValueError as error:
        problems.append(Problem(Place(str(path)), str(error)))
        return None
    before = len(problems)
    config: dict[str, object] = {}
    for call in _CONFIG.finditer(text):
        try:
            config |= _literal_keywords(call[1])
        except ValueError as error:
            problems.append(Problem(_place(path, text, call.start()), str(error)))
    parts = _parts(path, _blanked(text), resolver, problems)
    if not any(isinstance(part, Relation) or part.strip() for part in parts):
        problems.append(Problem(Place(str(path)), "holds no SQL"))
    return (Singular(tuple(parts)), config) if len(problems) == before else None


def _blanked(text: str) -> str:
    # The lines stay where they were, for the places of problems.
    without = _CONFIG.sub(lambda call: "\n" * call[0].count("\n"), text)
    return re.sub(r"[\s;]+\Z", "", without)


def _parts(path: Path, text: str, resolver: Resolver, problems: list[Problem]) -> list[str | Relation]:
    parts: list[str | Relation] = []
    end = 0
    for call in JINJA_CALL.finditer(text):
        parts.append(text[end : call.start()])
        end = call.end()
        try:
            parts.append(resolver.called(call))
        except ValueError as error:
            problems.append(Problem(_place(path, text, call.start()), str(error)))
    parts.append(text[end:])
    # Search what is left of the whole text, so that places are right.
    rest = JINJA_CALL.sub(lambda call: " " * len(call[0]), text)
    if other := _OTHER.search(rest):
        message = "of Jinja only {{ ref('…') }}, {{ source('…', '…') }} and {{ config(…) }} are understood"
        problems.append(Problem(_place(path, text, other.start()), message))
    return [part for part in parts if part != ""]


def _literal_keywords(call: str) -> dict[str, object]:
    """The keywords of a call whose values are literals. Raises ValueError."""
    try:
        parsed = ast.parse(call.strip(), mode="eval").body
        if isinstance(parsed, ast.Call) and not parsed.args:
            words = {word.arg: _JinjaConstants().visit(word.value) for word in parsed.keywords if word.arg}
            return {name: ast.literal_eval(value) for name, value in words.items()}
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        parsed = None
    raise ValueError("config(…) takes names with plain values: config(severity='warn')")


class _JinjaConstants(ast.NodeTransformer):
    """Jinja's ``true``, ``false`` and ``none``, which it takes in Python's spelling as well."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        constants = {"true": True, "false": False, "none": None}
        return ast.Constant(constants[node.id]) if node.id in constants else node


def _place(path: Path, text: str, offset: int) -> Place:
    line_start = text.rfind("\n", 0, offset) + 1
    return Place(str(path), text.count("\n", 0, offset) + 1, offset - line_start + 1)
