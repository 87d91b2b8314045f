"""The demo study: ``make study``, or ``python -m examples.study_demo VALUE`` for the seeds of a public value.

Asks three models in three regions, and finds what was planted. Starts the endpoint that lies
(`lying_endpoint.py`), writes a catalog with its addresses beside the instance, and runs `beacon study` on
`study.yaml`. Exit code 1 where a finding is not what was planted.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from examples.lying_endpoint import serving

HERE = Path(__file__).parent
STUDY = HERE / "study.yaml"
WEIGHTS = HERE.parent / "inference" / "tiny" / "weights"
ENDPOINT = "http://127.0.0.1:8765"  # in the catalog; the port is another one each time
PROMPT, BETWEEN = "the prompt", "between deployments, cause not identified"

# What mixtures.yaml, the catalog and the lying endpoint plant: verdict, and the beginning of its cause.
PLANTED: dict[str, tuple[str, str | None]] = {
    "prompt-sways": ("differs", PROMPT),
    "prompt-steady": ("no difference larger than δ", None),
    "same-weights": ("no difference larger than δ", None),
    "other-weights": ("differs", "weights on record"),
    "no-other-weights": ("no difference larger than δ", None),
    "hidden-weights": ("differs", BETWEEN),
    "hidden-computation": ("differs", BETWEEN),
    "same-computation": ("no difference larger than δ", None),
}


def make_catalog(folder: Path, base_url: str) -> None:
    """The demo's catalog, with absolute folders of weights and the endpoint's address."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE / "study_catalog", folder)
    models = folder / "models.yaml"
    text = models.read_text(encoding="utf-8").replace(ENDPOINT, base_url)
    models.write_text(text.replace("../../inference/tiny/weights", str(WEIGHTS)), encoding="utf-8")


def beacon(*arguments: str, catalog: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command of Beacon on the demo's catalog."""
    command = [str(Path(sys.executable).parent / "beacon"), "study", *arguments]
    return subprocess.run(
        command, env={**os.environ, "BEACON_CATALOG": str(catalog)}, text=True, check=False, **options
    )


def differences(findings: list[dict[str, Any]]) -> list[str]:
    """What was found otherwise than planted, a line each."""
    found = {finding["claim"]: (finding["verdict"], finding["attribution"]) for finding in findings}
    lines = []
    for claim, (verdict, cause) in PLANTED.items():
        seen, seen_cause = found.get(claim, (None, None))
        if seen != verdict or not (seen_cause or "").startswith(cause or ""):
            lines.append(f"{claim}: planted {verdict} ({cause}), found {seen} ({seen_cause})")
    return lines


def main(home: Path, public_value: str | None = None) -> int:
    """Run the study; its verdicts are printed as they are found."""
    steady, altered = WEIGHTS / "tiny-steady", WEIGHTS / "tiny-altered"
    catalog = home / "study-catalog"
    with serving({"us": steady, "eu": altered, "apac": steady}, model="tiny-served") as url:
        make_catalog(catalog, url("us").removesuffix("/us/v1"))
        beacon("check", str(STUDY), catalog=catalog)
        if public_value is not None:
            beacon("register", "--public-value", public_value, str(STUDY), catalog=catalog)
        asked = beacon("run", str(STUDY), catalog=catalog)
        if asked.returncode:
            return asked.returncode
        stands = beacon("status", str(STUDY), "--json", catalog=catalog, stdout=subprocess.PIPE)
    wrong = differences(json.loads(stands.stdout)["findings"])
    sys.stdout.write("\n".join(wrong or ["\nevery verdict is the planted one"]) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    folder = Path(os.environ.get("DAGSTER_HOME", ".beacon/study")).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    sys.exit(main(folder, *sys.argv[1:2]))
