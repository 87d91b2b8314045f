"""How the code is laid out, where import-linter does not look."""

import ast
from pathlib import Path

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


def _is_dagsters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Dagster hands its resources over by name."""
    return any("dg." in ast.unparse(decorator) for decorator in node.decorator_list)
