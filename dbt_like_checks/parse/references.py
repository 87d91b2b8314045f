"""``ref('x')``, ``source('a', 'b')`` and plain table names, and the tables they mean."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from dbt_like_checks.errors import did_you_mean
from dbt_like_checks.parse.project import Model, Relation

_QUOTED = r"""\s*(?:'([^'{}]*)'|"([^"{}]*)")\s*"""
_VERSION = r"""\s*,\s*(?:v|version)\s*=\s*['"]?([\w.]+)['"]?\s*"""
_CALL = rf"(ref|source)\s*\({_QUOTED}(?:,{_QUOTED})?(?:{_VERSION})?\)"
CALL = re.compile(_CALL)
JINJA_CALL = re.compile(rf"\{{\{{-?\s*{_CALL}\s*-?\}}\}}")


def bare_name(name: str) -> str:
    """A table's name without the double quotes it may be written in, dbt's way to keep its case."""
    quoted = len(name) > 2 and name.startswith('"') and name.endswith('"')
    return name[1:-1].replace('""', '"') if quoted else name


@dataclass
class Resolver:
    """What a project declares, by the names it is referred to by; a version of a model by ``name.v1`` too."""

    models: dict[str, Model] = field(default_factory=dict)
    sources: dict[tuple[str, str], Model] = field(default_factory=dict)

    def resolve(self, text: str) -> Relation:
        """The table that ``text`` means. Raises ValueError with one line."""
        stripped = text.strip()
        if call := JINJA_CALL.fullmatch(stripped) or CALL.fullmatch(stripped):
            return self.called(call)
        if "{{" in stripped or "{%" in stripped or re.match(r"(ref|source)\s*\(", stripped):
            raise ValueError(
                f"{stripped[:60]!r} is no table: write ref('model'), source('source', 'table') or its name"
            )
        if stripped in self.models:
            return self.models[stripped].relation
        schema, dot, name = stripped.partition(".")
        if dot and name and "." not in name:
            return Relation(name, schema)
        return Relation(stripped)

    def called(self, call: re.Match[str]) -> Relation:
        """The table of a match of CALL or JINJA_CALL. Raises ValueError with one line."""
        function, *quoted, version = call.groups()
        first, second = (one if one is not None else other for one, other in (quoted[:2], quoted[2:]))
        if function == "source":
            return self._source(first, second)
        # Of ref('package', 'model') only the model counts: a project here has no packages.
        name = first if second is None else second
        if version is not None:
            return self._version(name, version)
        return self.models[name].relation if name in self.models else Relation(name)

    def _version(self, name: str, version: str) -> Relation:
        if found := self.models.get(f"{name}.v{version}"):
            return found.relation
        known = [each.rpartition(".v")[2] for each in self.models if each.startswith(f"{name}.v")]
        of_it = f"it has {', '.join(known)}" if known else "it declares no versions"
        raise ValueError(f"no version {version!r} of the model {name!r}: {of_it}")

    def _source(self, source: str, table: str | None) -> Relation:
        if table is None:
            raise ValueError(f"source({source!r}) needs a table as well: source({source!r}, 'table')")
        if found := self.sources.get((source, table)):
            return found.relation
        known = [f"{name}.{declared}" for name, declared in self.sources]
        raise ValueError(
            f"no source {f'{source}.{table}'!r} is declared under 'sources:'"
            f"{did_you_mean(f'{source}.{table}', known)}"
        )
