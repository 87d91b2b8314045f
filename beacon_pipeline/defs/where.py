"""Where a person reads more about an asset: the guide, and the code that defines it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

REPOSITORY = Path(__file__).parents[2]
CODE_REFERENCES = "dagster/code_references"  # what Dagster's page makes links of


def code_and_guide(defined_by: Callable[..., Any], guide: str) -> dict[str, dg.MetadataValue]:
    """Metadata of an asset: links to the function that defines it, and to its guide, a file in ``docs``.

    An installation without its repository has no guides: then the link is left out.
    """
    code = defined_by.__code__
    path = REPOSITORY / "docs" / guide
    with warnings.catch_warnings():
        # In beta for years, and pinned to a minor version here: no news for who starts Beacon.
        warnings.simplefilter("ignore", dg.BetaWarning)
        files = [
            dg.LocalFileCodeReference(
                file_path=code.co_filename, line_number=code.co_firstlineno, label="code"
            ),
            *([dg.LocalFileCodeReference(file_path=str(path), label="guide")] if path.is_file() else []),
        ]
        return {CODE_REFERENCES: dg.CodeReferencesMetadataValue(code_references=files)}
