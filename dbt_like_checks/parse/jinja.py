"""The little of Jinja that YAML and ``.sql`` tests may use: ``var``, ``env_var`` and ``target.name``.

An expression is evaluated in jinja2's sandbox, and only where all it is made of is in a short list:
constants, these three, comparisons, a few filters. Anything else is refused by name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

MARKS = re.compile(r"\{\{|\{%|\{#")  # what begins Jinja, for dbt too
_EXPRESSION = re.compile(r"\{\{-?((?:(?!\}\}).)*?)-?\}\}", re.DOTALL)
KNOWN = "var, env_var and target.name"
NO_TABLE = "names a table only where a test takes one (to, compare_model): write a singular test"
LENGTH_LIMIT = 1000  # characters of an expression
FILTERS = frozenset(
    ("as_bool", "as_native", "as_number", "as_text", "int", "float", "lower", "upper", "trim")
)
# dbt keeps the first for secrets; the second may hold a password.
SECRET = ("DBT_ENV_SECRET", "DBT_LIKE_CHECKS_URL")
_MISSING: Any = object()


@dataclass(frozen=True)
class Jinja:
    """The values that a project's files may ask for.

    ``variables``: those of ``dbt_project.yml`` and of the command. ``target``: the target's name.
    """

    variables: Mapping[str, object] = field(default_factory=dict)
    target: str | None = None

    def render(self, text: str) -> object:
        """The value of a text: of its only expression as it is, or the text with expressions filled in.

        Raises ValueError with one line where something is used that is not known here.
        """
        if not MARKS.search(text):
            return text
        if whole := _EXPRESSION.fullmatch(text.strip()):
            return self.evaluate(whole[1])
        rest = _EXPRESSION.sub("", text)
        if mark := MARKS.search(rest):
            raise ValueError(f"of Jinja only {{{{ … }}}} is understood here, not {mark[0]!r}")
        return _EXPRESSION.sub(lambda found: str(self.evaluate(found[1])), text)

    def evaluate(self, expression: str) -> object:
        """The value of what stands between ``{{`` and ``}}``. Raises ValueError with one line."""
        from jinja2 import TemplateError  # only for files that use it

        if len(expression) > LENGTH_LIMIT:
            raise ValueError(f"a Jinja expression may have {LENGTH_LIMIT:,} characters here")
        environment = _environment()
        try:
            _refuse_unknown(environment.parse(f"{{{{ {expression} }}}}"))
            evaluated = environment.compile_expression(expression.strip(), undefined_to_none=False)(
                var=self._var, env_var=_env_var, target=_Target(self.target)
            )
        except RecursionError:
            raise ValueError(f"{expression.strip()[:60]!r} is nested too deep") from None
        except TemplateError as error:
            raise ValueError(f"{expression.strip()[:60]!r} is no Jinja expression: {error.message}") from None
        except (ArithmeticError, TypeError) as error:
            raise ValueError(f"{expression.strip()[:60]!r} has no value: {error}") from None
        if callable(evaluated) or isinstance(evaluated, _Target):
            raise ValueError(
                f"{expression.strip()!r} is no value: write var('…'), env_var('…') or target.name"
            )
        return evaluated

    def _var(self, name: str, default: Any = _MISSING) -> object:
        if name in self.variables:
            return self.variables[name]
        if default is _MISSING:
            raise ValueError(f"var {name!r} has no value: give one in dbt_project.yml or with --vars")
        return default


@dataclass(frozen=True)
class _Target:
    """What ``target`` is in an expression."""

    given: str | None

    @property
    def name(self) -> str:
        if self.given is None:
            raise ValueError("target.name has no value: give one with --target")
        return self.given


def _env_var(name: str, default: Any = _MISSING) -> object:
    if name.startswith(SECRET):
        raise ValueError(f"env_var {name!r} is a secret, which is not read here")
    value = os.environ.get(name, default)
    if value is _MISSING:
        raise ValueError(f"the environment variable {name!r} is not set")
    return value


def _as_bool(value: object) -> object:
    return {"true": True, "false": False}.get(str(value).lower(), value)


def _as_number(value: object) -> object:
    for kind in (int, float):
        try:
            return kind(str(value))
        except ValueError:
            continue
    return value


@cache
def _environment() -> Any:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
    kept: dict[str, Callable[..., Any]] = {
        "as_bool": _as_bool,
        "as_native": lambda value: value,
        "as_number": _as_number,
        "as_text": str,
    }
    environment.filters = {**{name: environment.filters.get(name) for name in FILTERS}, **kept}
    environment.tests = {}
    environment.globals = {}
    return environment


def _refuse_unknown(template: Any) -> None:
    """Raises ValueError that names the first part of a parsed template that is not in the list."""
    from jinja2 import nodes

    plain = (nodes.Output, nodes.Const, nodes.Keyword, nodes.List, nodes.Tuple, nodes.Concat, nodes.Compare)
    logic = (nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr, nodes.TemplateData, nodes.Neg)
    for node in _all_below(template):
        match node:
            case nodes.Name(name="var" | "env_var" | "target"):
                continue
            case nodes.Name(name="ref" | "source" as name):
                raise ValueError(f"{name!r} {NO_TABLE}")
            case nodes.Name(name=name):
                raise ValueError(
                    f"{name!r} is not known here: of Jinja only var, env_var and target.name are"
                )
            case nodes.Call():
                continue  # what is called is looked at like the rest
            case nodes.Getattr(node=nodes.Name(name="target"), attr="name"):
                continue
            case nodes.Getattr():
                raise ValueError(f"{_dotted(node)!r} is not known here: of Jinja only {KNOWN} are")
            case nodes.Filter(name=name) if name in FILTERS:
                continue
            case nodes.Filter(name=name):
                raise ValueError(
                    f"the filter {name!r} is not known here: only {', '.join(sorted(FILTERS))} are"
                )
            case _ if not isinstance(node, plain + logic):
                raise ValueError(f"{type(node).__name__.lower()!r} of Jinja is not understood here")


def _dotted(node: Any) -> str:
    if hasattr(node, "attr"):
        return f"{_dotted(node.node)}.{node.attr}"
    return str(getattr(node, "name", ""))


def _all_below(node: Any) -> Any:
    for child in node.iter_child_nodes():
        yield child
        # What is called or filtered is named by the node itself, and what is inside of it looked at too.
        yield from _all_below(child)
