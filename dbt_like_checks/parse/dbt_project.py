"""What a ``dbt_project.yml`` says that matters here: the folders, the variables, its own generic tests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import yaml

from dbt_like_checks.errors import Problem
from dbt_like_checks.parse.document import Reader, guarded, read_text, read_yaml

FILE = "dbt_project.yml"  # what the topmost folder of a dbt project holds
# The folders of a project that may hold tests, by their key, and where dbt looks without it.
FOLDERS = {
    "model-paths": "models",
    "seed-paths": "seeds",
    "snapshot-paths": "snapshots",
    "test-paths": "tests",
}
MACROS = "macro-paths"
OLDER_KEYS = {"model-paths": "source-paths", "seed-paths": "data-paths"}
_GENERIC_TEST = re.compile(r"\{%-?\s*test\s+(\w+)\s*\(|\{%-?\s*macro\s+test_(\w+)\s*\(")


@dataclass(frozen=True)
class DbtProject:
    """A dbt project: its topmost folder and what its file says."""

    root: Path
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, object]:
        """The values of ``vars:``, those for the project itself over those for all."""
        given = self.values.get("vars")
        if not isinstance(given, dict):
            return {}
        own = given.get(str(self.values.get("name")))
        return {**given, **own} if isinstance(own, dict) else dict(given)

    def folders(self, key: str) -> list[Path]:
        """The folders of one kind that exist: ``model-paths`` and the like."""
        default = FOLDERS.get(key, "macros")
        given = self.values.get(key) or self.values.get(OLDER_KEYS.get(key, "")) or [default]
        names = given if isinstance(given, list) else [given]
        return [folder for name in names if (folder := self.root / str(name)).is_dir()]

    @cached_property
    def generic_tests(self) -> frozenset[str]:
        """The names of the generic tests that are written in the project itself."""
        found: set[str] = set()
        for folder in [*self.folders(MACROS), *(tests / "generic" for tests in self.folders("test-paths"))]:
            for path in folder.rglob("*.sql"):
                try:
                    text = read_text(path)
                except ValueError:
                    continue  # dbt's own business: a macro is not read here but for its name
                found.update(one or other for one, other in _GENERIC_TEST.findall(text))
        return frozenset(found)


def dbt_project_of(path: Path, problems: list[Problem]) -> DbtProject | None:
    """The dbt project that a file or folder is in, or None."""
    resolved = path.resolve()
    for folder in (resolved, *resolved.parents):
        if (folder / FILE).is_file():
            return DbtProject(folder, _values(folder / FILE, problems))
    return None


def _values(path: Path, problems: list[Problem]) -> Mapping[str, object]:
    root = read_yaml(path, problems)
    read: dict[str, object] = {}
    if isinstance(root, yaml.MappingNode):
        reader = Reader(str(path), problems)
        guarded(reader, root, lambda: read.update({str(k): v for k, v in _plain(reader, root).items()}))
    return read


def _plain(reader: Reader, root: yaml.MappingNode) -> dict[str, object]:
    entries = reader.mapping(root, "the file")
    wanted = {"name", "vars", MACROS, *FOLDERS, *OLDER_KEYS.values()}
    return {name: reader.plain(value) for name, (_, value) in entries.items() if name in wanted}
