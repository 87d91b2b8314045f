"""Which files of a folder belong to a project of tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dbt_like_checks.errors import Place, Problem

YAML_ENDINGS = (".yml", ".yaml")
FILES_LIMIT = 10_000
# dbt's own files, which declare no tests.
OTHER_FILES = frozenset(("dbt_project", "packages", "dependencies", "package-lock", "profiles", "selectors"))
OTHER_FOLDERS = frozenset(("target", "dbt_packages", "logs"))
ROOT = "dbt_project.yml"  # what the topmost folder of a dbt project holds
# In these folders of a dbt project, SQL is no test.
SQL_OF_OTHER_KINDS = frozenset(("models", "macros", "snapshots", "analyses", "seeds", "functions", "generic"))


def project_files(paths: Iterable[str | Path], problems: list[Problem]) -> list[Path]:
    """The files to read, each once, folders searched in the order of their names."""
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        if path.is_dir():
            inside = _in_folder(path)
            if not inside:
                problems.append(Problem(Place(str(path)), "no .yml, .yaml or .sql file in this folder"))
        elif not path.exists():
            problems.append(Problem(Place(str(path)), "no such file or folder"))
            continue
        elif not path.is_file():
            problems.append(Problem(Place(str(path)), "neither a file nor a folder"))
            continue
        elif path.suffix not in (*YAML_ENDINGS, ".sql"):
            problems.append(Problem(Place(str(path)), "must end in .yml, .yaml or .sql"))
            continue
        else:
            inside = [path]
        found |= {file.resolve(): file for file in inside if file.resolve() not in found}
    if len(found) > FILES_LIMIT:
        problems.append(Problem(Place("."), f"more than {FILES_LIMIT} files: name a smaller folder"))
        return []
    return list(found.values())


def _in_folder(folder: Path) -> list[Path]:
    above = _within_project(folder.resolve())
    return sorted(path for path in folder.rglob("*") if _belongs(path, folder, above) and path.is_file())


def _within_project(folder: Path) -> tuple[str, ...]:
    """The names of the folders from the project down to this one; outside of one, its own name."""
    for root in (folder, *folder.parents):
        if (root / ROOT).is_file():
            return folder.relative_to(root).parts
    return (folder.name,)


def _belongs(path: Path, folder: Path, above: tuple[str, ...]) -> bool:
    below = path.relative_to(folder).parts[:-1]
    if any(part in OTHER_FOLDERS or part.startswith(".") for part in below):
        return False
    if path.suffix in YAML_ENDINGS:
        return path.stem not in OTHER_FILES
    return path.suffix == ".sql" and not SQL_OF_OTHER_KINDS.intersection((*above, *below))
