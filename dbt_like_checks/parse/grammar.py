"""dbt's YAML and ``.sql`` tests into frozen values: `load_project`.

All files are read first for their models and sources, so that ``ref`` and ``source`` find them
wherever they are declared, and then for their tests. All problems are reported at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import yaml

from dbt_like_checks.errors import Place, Problem, ProjectError, did_you_mean
from dbt_like_checks.parse.configuration import CONFIG_KEYS, read_config, tags
from dbt_like_checks.parse.dbt_project import DbtProject, dbt_project_of
from dbt_like_checks.parse.document import Reader, guarded, is_null, read_yaml
from dbt_like_checks.parse.entry import Entries, EntryReader, Subject
from dbt_like_checks.parse.files import project_files
from dbt_like_checks.parse.jinja import MARKS, Jinja
from dbt_like_checks.parse.project import SINGULAR, Column, DataTest, Model, Project, Relation
from dbt_like_checks.parse.references import Resolver, bare_name
from dbt_like_checks.parse.singular import read_singular
from dbt_like_checks.parse.versions import versions_of
from dbt_like_checks.tests.registry import Registry, default_registry

TESTS = ("data_tests", "tests")  # the second is dbt's older name
RESOURCES = ("models", "seeds", "snapshots")
# The keys that are read are named first; the others are dbt's business, and passed over.
FILE_KEYS = frozenset(("version", "sources", *RESOURCES, *TESTS)).union(
    ("analyses", "anchors", "catalogs", "exposures", "functions", "groups", "macros"),
    ("metrics", "saved_queries", "semantic_models", "unit_tests"),
)
MODEL_KEYS = frozenset(("name", "description", "columns", "config", "tags", *TESTS)).union(
    ("access", "constraints", "data_type", "deprecation_date", "docs", "group", "latest_version", "meta"),
    ("primary_key", "quote_columns", "relation", "semantic_model", "strategy", "time_spine", "versions"),
)
SOURCE_KEYS = frozenset(("name", "description", "schema", "tables", "tags", "config")).union(
    ("database", "freshness", "loaded_at_field", "loaded_at_query", "loader", "meta", "overrides"),
    ("quoting",),
)
TABLE_KEYS = frozenset(("name", "identifier", "description", "columns", "tags", "config", *TESTS)).union(
    ("docs", "external", "freshness", "loaded_at_field", "loaded_at_query", "loader", "meta", "quoting"),
)
COLUMN_KEYS = frozenset(("name", "description", "quote", "tags", "config", *TESTS)).union(
    ("constraints", "data_type", "dimension", "docs", "entity", "granularity", "meta", "policy_tags"),
)
RENDERED = frozenset(("alias", "enabled", "schema", "tags", *CONFIG_KEYS))
SINGULAR_KEYS = frozenset(("name", "description", "config", "docs", "meta"))


def load_project(
    *paths: str | Path,
    name: str = "checks",
    registry: Registry | None = None,
    variables: Mapping[str, object] | None = None,
    target: str | None = None,
) -> Project:
    """Read every ``.yml``, ``.yaml`` and ``.sql`` file given, or found in the folders given.

    Of a dbt project's topmost folder those in the folders that its ``dbt_project.yml`` names are read.
    ``name`` stands in the tests' unique ids. ``variables`` are what ``var`` gives, before those of
    ``dbt_project.yml``, and ``target`` is ``target.name``. Raises ProjectError with every problem of
    every file.
    """
    problems: list[Problem] = []
    files, around = _files(paths, problems)
    known = {**(around.variables if around else {}), **(variables or {})}
    own_tests = around.generic_tests if around else frozenset()
    loading = _Loading(name, registry or default_registry(), problems, Jinja(known, target), own_tests)
    for path in files:
        if path.suffix != ".sql" and (root := read_yaml(path, problems)) is not None:
            reader = Reader(str(path), problems, loading.warnings, loading.jinja)
            guarded(reader, root, partial(loading.declare, reader, root))
    # Only now is every model and source known.
    for reader, node, subject in loading.entries:
        guarded(reader, node, partial(loading.read_entry, reader, node, subject))
    for path in files:
        if path.suffix == ".sql":
            loading.read_sql(path)
    loading.check_names()
    if problems:
        raise ProjectError(problems)
    return Project(tuple(loading.tests), tuple(loading.models), tuple(loading.warnings))


def _files(paths: Sequence[str | Path], problems: list[Problem]) -> tuple[list[Path], DbtProject | None]:
    """The files to read and the dbt project that the first path is in."""
    try:
        around = dbt_project_of(Path(paths[0]), problems) if paths else None
        return project_files(paths, problems), around
    except OSError as error:  # a folder that may not be looked into, a name that cannot be one
        problems.append(Problem(Place(str(error.filename)), f"cannot be read: {error.strerror}"))
        return [], None


@dataclass
class _Loading:
    """What has been read so far, from all files."""

    project: str
    registry: Registry
    problems: list[Problem]
    jinja: Jinja = field(default_factory=Jinja)
    generic_tests: frozenset[str] = frozenset()
    warnings: list[Problem] = field(default_factory=list)
    resolver: Resolver = field(default_factory=Resolver)
    models: list[Model] = field(default_factory=list)
    entries: list[tuple[Reader, yaml.Node, Subject]] = field(default_factory=list)
    properties: dict[str, _Properties] = field(default_factory=dict)
    tests: list[DataTest] = field(default_factory=list)

    def declare(self, reader: Reader, root: yaml.Node) -> None:
        """Read a file's models, sources and properties; remember its test entries for later."""
        entries = reader.mapping(root, "the file", FILE_KEYS)
        for kind in RESOURCES:
            if kind in entries:
                for node in reader.sequence(entries[kind][1], kind):
                    self._model(reader, node)
        if "sources" in entries:
            for node in reader.sequence(entries["sources"][1], "sources"):
                self._source(reader, node)
        for node in _both(reader, entries):
            self._singular_properties(reader, node)

    def _model(self, reader: Reader, node: yaml.Node) -> None:
        entries = reader.mapping(node, "a model", MODEL_KEYS)
        name = _name(reader, node, entries, "a model")
        config = _config(reader, entries)
        if name is None or _is_off(config):
            return
        relation = Relation(bare_name(str(config.get("alias") or name)), _text_or_none(config.get("schema")))
        model = Model(name, relation, _tags(reader, entries, config), _description(reader, entries))
        if name in self.resolver.models:
            reader.report(entries["name"][1], f"the model {name!r} is declared twice: keep one")
            return
        for each in versions_of(reader, entries, model):
            self.resolver.models[each.model.name] = each.model
            self.models.append(each.model)
            if each.latest:
                self.resolver.models[name] = each.model
            self._tests_of(reader, each.entries, Subject(each.model, each.named, tags=each.model.tags))

    def _source(self, reader: Reader, node: yaml.Node) -> None:
        entries = reader.mapping(node, "a source", SOURCE_KEYS)
        name = _name(reader, node, entries, "a source")
        config = _config(reader, entries)
        if name is None or _is_off(config):
            return
        schema = bare_name(_rendered_text(reader, entries, "schema") or name)
        tags = _tags(reader, entries, config)
        if "tables" in entries:
            for table in reader.sequence(entries["tables"][1], "tables"):
                self._source_table(reader, table, name, schema, tags)

    def _source_table(
        self, reader: Reader, node: yaml.Node, source: str, schema: str | None, tags: frozenset[str]
    ) -> None:
        entries = reader.mapping(node, "a table", TABLE_KEYS)
        name = _name(reader, node, entries, "a table")
        config = _config(reader, entries)
        if name is None or _is_off(config):
            return
        identifier = bare_name(_rendered_text(reader, entries, "identifier") or name)
        tags |= _tags(reader, entries, config)
        model = Model(f"{source}.{name}", Relation(identifier, schema), tags, _description(reader, entries))
        if (source, name) in self.resolver.sources:
            reader.report(entries["name"][1], f"the source table {model.name!r} is declared twice: keep one")
            return
        self.resolver.sources[source, name] = model
        self.models.append(model)
        subject = Subject(model, f"{source}_{name}", from_source=True, tags=tags)
        self._tests_of(reader, entries, subject)

    def _tests_of(self, reader: Reader, entries: Entries, subject: Subject) -> None:
        """Remember the test entries of a model and of its columns."""
        self.entries += [(reader, node, subject) for node in _both(reader, entries)]
        seen: set[str] = set()
        columns = reader.sequence(entries["columns"][1], "columns") if "columns" in entries else []
        for node in columns:
            below = reader.mapping(node, "a column", COLUMN_KEYS)
            name = _name(reader, node, below, "a column")
            if name is None:
                continue
            if name in seen:
                reader.warn(
                    below["name"][1], f"the column {name!r} is declared twice: the tests of both are run"
                )
            seen.add(name)
            quote = "quote" in below and reader.plain(below["quote"][1]) is True
            tags = subject.tags | _tags(reader, below, _config(reader, below))
            on_column = replace(subject, column=Column(name, quote), tags=tags)
            self.entries += [(reader, test, on_column) for test in _both(reader, below)]

    def _singular_properties(self, reader: Reader, node: yaml.Node) -> None:
        entries = reader.mapping(node, "a singular test", SINGULAR_KEYS)
        name = _name(reader, node, entries, "a singular test")
        if name in self.properties:
            reader.report(node, f"the singular test {name!r} is described twice: keep one")
        elif name is not None:
            described = _Properties(
                reader.place(node), _description(reader, entries), _config(reader, entries)
            )
            self.properties[name] = described

    def read_entry(self, reader: Reader, node: yaml.Node, subject: Subject) -> None:
        """Read one remembered test entry."""
        entry = EntryReader(reader, self.project, self.registry, self.resolver, self.generic_tests)
        test = entry.read(node, subject)
        if test is not None:
            self.tests.append(test)

    def read_sql(self, path: Path) -> None:
        """Read one singular test."""
        read = read_singular(path, self.resolver, self.problems, self.jinja)
        described = self.properties.pop(path.stem, _Properties())
        if read is None:
            return
        query, own_config, unsupported = read
        place = Place(str(path))

        def report(key: str, message: str) -> None:
            at = place if key in own_config or described.place is None else described.place
            self.problems.append(Problem(at, message))

        self.tests.append(
            DataTest(
                name=path.stem,
                unique_id=f"test.{self.project}.{path.stem}",
                kind=SINGULAR,
                model=None,
                column=None,
                arguments={},
                # What the file says of itself wins, as in dbt.
                config=read_config({**described.config, **own_config}, report),
                description=described.description,
                place=place,
                named=True,
                sql=query,
                unsupported=unsupported,
            )
        )

    def check_names(self) -> None:
        """Report tests that nothing distinguishes, and properties of singular tests that do not exist."""
        first: dict[str, DataTest] = {}
        for test in (test for test in self.tests if test.config.enabled):
            # Equal names that no one chose are no problem: dbt distinguishes their tests by the unique ids.
            twin = first.setdefault(test.name if test.named else test.unique_id, test)
            if twin is not test:
                message = (
                    f"a test called {test.name!r} is already at {twin.place}: give one of them another 'name'"
                )
                self.problems.append(Problem(test.place, message))
        known = [test.name for test in self.tests if test.kind == SINGULAR]
        for name, described in self.properties.items():
            if described.place is not None:
                message = f"there is no singular test {name}.sql{did_you_mean(name, known)}"
                self.problems.append(Problem(described.place, message))


@dataclass(frozen=True)
class _Properties:
    """What a YAML file says about a singular test."""

    place: Place | None = None
    description: str = ""
    config: dict[str, object] = field(default_factory=dict)


def _both(reader: Reader, entries: Entries) -> list[yaml.Node]:
    """The items under ``data_tests:``, or under its alias ``tests:``."""
    if all(key in entries for key in TESTS):
        reader.report(entries[TESTS[1]][0], "'tests' is the older name of 'data_tests': keep one of them")
    return [node for key in TESTS if key in entries for node in reader.sequence(entries[key][1], key)]


def _name(reader: Reader, node: yaml.Node, entries: Entries, what: str) -> str | None:
    if "name" in entries:
        return reader.text(entries["name"][1], "name")
    if isinstance(node, yaml.MappingNode):
        reader.report(node, f"{what} needs a 'name'")
    return None


def _rendered_text(reader: Reader, entries: Entries, key: str) -> str | None:
    if key not in entries:
        return None
    if MARKS.search(getattr(entries[key][1], "value", "")):
        return str(reader.plain(entries[key][1], rendered=True))
    return reader.text(entries[key][1], key)


def _description(reader: Reader, entries: Entries) -> str:
    value = reader.plain(entries["description"][1]) if "description" in entries else None
    return "" if value is None else str(value)


def _config(reader: Reader, entries: Entries) -> dict[str, object]:
    if "config" not in entries or is_null(entries["config"][1]):
        return {}
    found = reader.mapping(entries["config"][1], "config")
    # Only what is read here is rendered: the rest is dbt's, with all of its Jinja.
    return {name: reader.plain(value, rendered=name in RENDERED) for name, (_, value) in found.items()}


def _tags(reader: Reader, entries: Entries, config: dict[str, object]) -> frozenset[str]:
    found: frozenset[str] = frozenset()
    own = reader.plain(entries["tags"][1]) if "tags" in entries else None
    for value in (own, config.get("tags")):
        try:
            found |= tags(value) if value is not None else frozenset()
        except ValueError as error:
            key = "tags" if "tags" in entries else "config"
            reader.report(entries[key][0], f"tags: {error}")
    return found


def _is_off(config: Mapping[str, object]) -> bool:
    return str(config.get("enabled")).lower() == "false"


def _text_or_none(value: object) -> str | None:
    return str(value) if value else None
