"""Singular tests: a ``.sql`` file whose query returns the failing rows.

Of Jinja it may use ``{{ ref('x') }}``, ``{{ source('a', 'b') }}``, ``{{ config(…) }}`` and what
`jinja.py` knows: ``{{ var('x') }}``, ``{{ env_var('X') }}`` and ``{{ target.name }}``.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from dbt_like_checks.errors import Place, Problem
from dbt_like_checks.parse.document import read_text
from dbt_like_checks.parse.jinja import MARKS, Jinja
from dbt_like_checks.parse.project import Relation, Singular
from dbt_like_checks.parse.references import JINJA_CALL, Resolver

_CONFIG = re.compile(r"\{\{-?\s*(config\s*\(.*?\))\s*-?\}\}", re.DOTALL)
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)


def read_singular(
    path: Path, resolver: Resolver, problems: list[Problem], jinja: Jinja | None = None
) -> tuple[Singular, dict[str, object], str | None] | None:
    """The query of a file, the values of its ``config(…)``, and why it is not run here; None with problems.

    A query with other Jinja than is understood is not run: the reason names it and its place.
    """
    try:
        text = _COMMENT.sub("", read_text(path))
    except ValueError as error:
        problems.append(Problem(Place(str(path)), str(error)))
        return None
    before = len(problems)
    config: dict[str, object] = {}
    for call in _CONFIG.finditer(text):
        try:
            config |= _literal_keywords(call[1], jinja or Jinja())
        except ValueError as error:
            problems.append(Problem(_place(path, text, call.start()), str(error)))
    beyond: list[Problem] = []
    parts = _parts(path, _blanked(text), resolver, problems, beyond, jinja or Jinja())
    if not any(isinstance(part, Relation) or part.strip() for part in parts):
        problems.append(Problem(Place(str(path)), "holds no SQL"))
    if len(problems) > before:
        return None
    reason = f"not supported here: {beyond[0]}" if beyond else None
    return Singular(tuple(parts)), config, reason


def _blanked(text: str) -> str:
    # The lines stay where they were, for the places of problems.
    without = _CONFIG.sub(lambda call: "\n" * call[0].count("\n"), text)
    return re.sub(r"[\s;]+\Z", "", without)


def _parts(
    path: Path, text: str, resolver: Resolver, problems: list[Problem], beyond: list[Problem], jinja: Jinja
) -> list[str | Relation]:
    parts: list[str | Relation] = []
    end = 0
    for call in JINJA_CALL.finditer(text):
        parts.append(_filled_in(path, text, end, call.start(), beyond, jinja))
        end = call.end()
        try:
            parts.append(resolver.called(call))
        except ValueError as error:
            problems.append(Problem(_place(path, text, call.start()), str(error)))
    parts.append(_filled_in(path, text, end, len(text), beyond, jinja))
    return [part for part in parts if part != ""]


def _filled_in(path: Path, text: str, start: int, stop: int, problems: list[Problem], jinja: Jinja) -> str:
    """A part of the text with the values of its expressions."""
    part = text[start:stop]
    if not (mark := MARKS.search(part)):
        return part
    try:
        return str(jinja.render(f"{part}\n")).removesuffix("\n")
    except ValueError as error:
        known = (
            "{{ ref('…') }}, {{ source('…', '…') }}, {{ config(…) }}, {{ var('…') }} and {{ env_var('…') }}"
        )
        message = f"of Jinja only {known} are understood in a query: {error}"
        problems.append(Problem(_place(path, text, start + mark.start()), message))
        return part


def _literal_keywords(call: str, jinja: Jinja) -> dict[str, object]:
    """The keywords of a call whose values are literals. Raises ValueError."""
    try:
        parsed = ast.parse(call.strip(), mode="eval").body
        if isinstance(parsed, ast.Call) and not parsed.args:
            return {word.arg: _value(word.value, jinja) for word in parsed.keywords if word.arg}
    except (SyntaxError, RecursionError, MemoryError):
        parsed = None
    raise ValueError("config(…) takes names with plain values: config(severity='warn')")


def _value(node: ast.expr, jinja: Jinja) -> object:
    if isinstance(node, ast.Call):
        return jinja.evaluate(ast.unparse(node))
    try:
        return ast.literal_eval(_JinjaConstants().visit(node))
    except ValueError:
        raise ValueError("config(…) takes names with plain values: config(severity='warn')") from None


class _JinjaConstants(ast.NodeTransformer):
    """Jinja's ``true``, ``false`` and ``none``, which it takes in Python's spelling as well."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        constants = {"true": True, "false": False, "none": None}
        return ast.Constant(constants[node.id]) if node.id in constants else node


def _place(path: Path, text: str, offset: int) -> Place:
    line_start = text.rfind("\n", 0, offset) + 1
    return Place(str(path), text.count("\n", 0, offset) + 1, offset - line_start + 1)
