"""How the code is laid out, where import-linter does not look."""

import ast
import re
from pathlib import Path

from tests.mutation.modules import MODULES

ROOT = Path(__file__).resolve().parents[2]
ORDER = ("Ledger", "DagsterInstance", "Catalog", "Providers", "ProvidersResource")


def test_what_most_functions_need_is_handed_over_in_one_order() -> None:
    otherwise = []
    for path in sorted((ROOT / "beacon_pipeline").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            types = [ast.unparse(a.annotation).rpartition(".")[2] for a in node.args.args if a.annotation]
            given = [ORDER.index(name) for name in types if name in ORDER]
            if given != sorted(given) and not _is_dagsters(node):
                otherwise.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert otherwise == [], f"the order is {', '.join(ORDER)}"


def test_every_module_that_says_it_is_pure_is_tried_with_mutants() -> None:
    pure = []
    for package in ("beacon_pipeline", "inference", "dbt_like_checks"):
        for path in sorted((ROOT / package).rglob("*.py")):
            beginning = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            if path.stem != "__init__" and re.search(r"\b[Pp]ure( functions\b|\.|;|,)", beginning):
                pure.append(".".join(path.relative_to(ROOT).with_suffix("").parts))
    assert len(pure) > 20
    assert [name for name in pure if name not in MODULES] == [], "add them to tests/mutation/modules.py"


def _is_dagsters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Dagster hands its resources over by name."""
    return any("dg." in ast.unparse(decorator) for decorator in node.decorator_list)
