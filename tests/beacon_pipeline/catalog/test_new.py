"""`beacon catalog init`: a copy that works wherever it is (`test_cli` asks one), whole or not at all."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from beacon_pipeline.catalog import SHIPPED, CatalogError, load_catalog, shipped_names
from beacon_pipeline.cli import main
from tests.beacon_pipeline.instances import beacon_here, environment


@pytest.mark.parametrize("name", shipped_names())
def test_a_copy_of_each_shipped_catalog_asks_the_same(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "of" / "my own"
    if name == "demo":
        folder.mkdir(parents=True)  # an empty one will do
    done = CliRunner().invoke(main, ["catalog", "init", str(folder), "--from", name])
    assert done.exit_code == 0, done.output
    assert f"export BEACON_CATALOG='{folder}'" in done.output
    made, shipped = load_catalog(str(folder)), load_catalog(name)
    assert (made.regions, made.questions, made.settings) == (
        shipped.regions,
        shipped.questions,
        shipped.settings,
    )
    assert [model.id for model in made.models] == [model.id for model in shipped.models]
    assert [path.name for path in folder.parent.iterdir()] == [folder.name], "nothing else is left"
    old, new = ((f / "models.yaml").read_text().splitlines() for f in (SHIPPED / name, folder))
    changed = [line for before, line in zip(old, new, strict=True) if before != line]
    assert all(line.startswith("    folder: weights/tiny-") for line in changed)


def test_a_folder_that_holds_something_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    for arguments, said in (
        ([str(tmp_path)], f"{tmp_path} is not empty: choose a folder that is new or empty"),
        ([str(tmp_path / "notes")], "is a file"),
        ([str(tmp_path / "notes" / "x")], "notes cannot be used: File exists"),
        (
            [str(tmp_path / "new"), "--from", "nope"],
            "no catalog 'nope' ships: choose one of demo, production",
        ),
    ):
        done = CliRunner().invoke(main, ["catalog", "init", *arguments])
        assert (done.exit_code, said in done.output) == (2, True), done.output
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_from: Path, to: Path) -> None:
        to.write_text("half")
        raise OSError(28, "No space left on device", str(to))

    monkeypatch.setattr(shutil, "copyfile", full)
    done = CliRunner().invoke(main, ["catalog", "init", str(tmp_path / "mine")])
    assert (done.exit_code, "the disk is full (writing " in done.output) == (2, True), done.output
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_there_are_told_with_file_and_line(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED / "demo", tmp_path / "copied")  # as one would without the command
    with pytest.raises(CatalogError) as raised:
        load_catalog(str(tmp_path / "copied"))
    (first, *others) = raised.value.problems
    assert len(others) == 2
    assert first.startswith("models.yaml:8 (tiny-llama): no folder /")
    assert first.endswith("`beacon catalog init` makes a catalog with its weights")


def test_the_doctor_looks_at_the_weights(tmp_path: Path) -> None:
    env = environment(tmp_path)
    beacon_here(env, "catalog", "init", str(tmp_path / "mine"))
    env["BEACON_CATALOG"] = str(tmp_path / "mine")
    (tmp_path / "mine" / "weights" / "tiny-qwen" / "model.safetensors").unlink()
    shutil.rmtree(tmp_path / "mine" / "weights" / "tiny-llama")
    said = " ".join(beacon_here(env, "doctor").stdout.split())
    assert "models.yaml:8 (tiny-llama): no folder" in said
    (tmp_path / "mine" / "weights" / "tiny-llama").mkdir()
    done = beacon_here(env, "doctor", "--json")
    found = {each["subject"]: each["detail"] for each in json.loads(done.stdout) if not each["ok"]}
    assert found.keys() == {"weights tiny-llama", "weights tiny-qwen"}
    assert found["weights tiny-qwen"].endswith("weights/tiny-qwen holds no model.safetensors")
    assert done.exit_code == 1
