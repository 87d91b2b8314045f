"""Answers are exported and asked again elsewhere: the same weights give the same tokens, others do not."""

import json
from pathlib import Path

import pytest

import inference.tiny
from tests.beacon_pipeline.instances import beacon, beacon_here, environment

ASKED = ("--region", "eu", "--region", "us", "--model", "tiny-llama", "--question", "math_basic")


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_the_same_weights_give_the_same_tokens_and_others_are_named(tmp_path: Path) -> None:
    catalog, exported = tmp_path / "catalog", str(tmp_path / "export")
    assert beacon_here(environment(tmp_path / "one"), "catalog", "init", str(catalog)).exit_code == 0
    first, second = (
        environment(tmp_path / name) | {"BEACON_CATALOG": str(catalog)} for name in ("one", "two")
    )
    asked = beacon(first, "run", *ASKED, "--samples", "2", "--temperature", "1")
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert beacon(first, "export", "--to", exported).returncode == 0

    same = beacon(second, "reproduce", exported)
    assert same.returncode == 0, same.stdout + same.stderr
    assert "samples: 4 of 4 have equal tokens" in same.stdout

    replace_weights(catalog)
    other = beacon(second, "reproduce", exported)
    assert other.returncode == 1, other.stdout + other.stderr
    named = [line for line in other.stdout.splitlines() if "math_basic" in line]
    assert {line.strip().split("|")[0] for line in named} == {"eu:tiny-llama", "us:tiny-llama"}
    assert all("also another weights_sha256, revision" in line for line in named)


def replace_weights(catalog: Path) -> None:
    """Another model takes the place of `tiny-llama`, under its name."""
    shipped = Path(inference.tiny.__file__).parent
    revisions = json.loads((shipped / "manifest.json").read_text(encoding="utf-8"))
    models = catalog / "models.yaml"
    text = models.read_text(encoding="utf-8").replace(revisions["tiny-llama"], revisions["tiny-altered"], 1)
    folder = next(line for line in text.splitlines() if line.strip().startswith("folder:"))
    models.write_text(text.replace(folder, f"    folder: {shipped / 'weights' / 'tiny-altered'}", 1))
