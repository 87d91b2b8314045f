"""Data tests declared in YAML as for dbt, compiled to SQL, run from the shell or as Dagster checks.

::

    project = load_project("checks/")
    for result in run_tests(project, "sqlite:///ledger.db"):
        print(result.status, result.test.name, result.failures)

What `dbt_like_checks.api` lists is the public surface, and is imported from here. The package knows
nothing of the program around it: it is given files and a database.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbt_like_checks.api import *  # noqa: F403
else:

    def __getattr__(name: str) -> object:
        # Imported when first asked for: the command's ``--help`` needs nothing of it.
        return getattr(import_module("dbt_like_checks.api"), name)
