"""Which files of a folder belong to a project of tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dbt_like_checks.errors import Place, Problem
from dbt_like_checks.parse.dbt_project import FILE, FOLDERS, dbt_project_of

YAML_ENDINGS = (".yml", ".yaml")
FILES_LIMIT = 10_000
# dbt's own files, which declare no tests.
OTHER_FILES = frozenset(("dbt_project", "packages", "dependencies", "package-lock", "profiles", "selectors"))
OTHER_FOLDERS = frozenset(("target", "dbt_packages", "logs"))
# In these folders of a dbt project, SQL is no test.
SQL_OF_OTHER_KINDS = frozenset(("models", "macros", "snapshots", "analyses", "seeds", "functions", "generic"))


def project_files(paths: Iterable[str | Path], problems: list[Problem]) -> list[Path]:
    """The files to read, each once, folders searched in the order of their names."""
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        if path.is_dir():
            inside = _in_folder(path, problems)
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


def _in_folder(folder: Path, problems: list[Problem]) -> list[Path]:
    if (folder / FILE).is_file():
        return _in_project(folder, problems)
    above = within_project(folder.resolve())
    return sorted(path for path in folder.rglob("*") if _belongs(path, folder, above) and path.is_file())


def _in_project(root: Path, problems: list[Problem]) -> list[Path]:
    """The files of a dbt project's own folders: its macros, and whatever else lies about, hold no tests."""
    project = dbt_project_of(root, problems)
    found: list[Path] = []
    for key in FOLDERS if project is not None else ():
        for folder in project.folders(key) if project is not None else ():
            below = root / folder.relative_to(root.resolve())
            sql = key == "test-paths"
            found += [
                path
                for path in sorted(below.rglob("*"))
                if _belongs(path, below, ("tests",) if sql else ("models",)) and path.is_file()
            ]
    return list(dict.fromkeys(found))


def within_project(folder: Path) -> tuple[str, ...]:
    """The names of the folders from the project down to this one; outside of one, its own name."""
    for root in (folder, *folder.parents):
        if (root / FILE).is_file():
            return folder.relative_to(root).parts
    return (folder.name,)


def _belongs(path: Path, folder: Path, above: tuple[str, ...]) -> bool:
    below = path.relative_to(folder).parts[:-1]
    if any(part in OTHER_FOLDERS or part.startswith(".") for part in below):
        return False
    if path.suffix in YAML_ENDINGS:
        return path.stem not in OTHER_FILES
    return path.suffix == ".sql" and not SQL_OF_OTHER_KINDS.intersection((*above, *below))
