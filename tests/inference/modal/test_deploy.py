"""What Modal is asked for when a model is deployed: the real SDK's `modal deploy`, engine by engine."""

import os
import subprocess
import sys

import pytest

from inference.modal.spec import MANIFEST_VARIABLE, requirements, write_manifest
from tests.beacon_pipeline.instances import ROOT
from tests.inference.specs import a_source, a_spec
from tests.modal_loopback import Loopback
from tests.modal_loopback.server import Declared

HUB = {"folder": None, "repository": "someone/model", "revision": "a" * 40}


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Declared]:
    """Two deployments, one for each engine, and the second with all that can be switched on."""
    folder = tmp_path_factory.mktemp("deploy")
    source = a_source(engine="vllm", batch_invariant=True, **HUB)
    specs = [
        a_spec(source=a_source(**HUB)),
        a_spec(region="us", source=source, gpu=("L4",), gpu_snapshot=True),
    ]
    write_manifest(folder / "manifest.json", specs)
    with Loopback(folder / "modal") as modal:
        done = subprocess.run(
            [sys.executable, "-m", "modal", "deploy", "-m", "inference.modal.app"],
            env=os.environ | modal.client_environment() | {MANIFEST_VARIABLE: str(folder / "manifest.json")},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return {
            name: modal.declared(f"{region}__tiny")
            for name, region in (("transformers", "eu"), ("vllm", "us"))
        }


def installed(image: list[str]) -> set[str]:
    """What the image's commands install by name and version."""
    return {word for command in image for word in command.replace("'", " ").split() if "==" in word}


def test_each_engine_has_an_image_of_its_own_with_its_own_pins(declared: dict[str, Declared]) -> None:
    images = {name: one.image for name, one in declared.items()}
    for engine in ("transformers", "vllm"):
        assert installed(images[engine]) >= set(requirements(engine)), "and none of the environment here"
    assert any(line.startswith("FROM nvidia/cuda:13.0") for line in images["vllm"]), (
        "its kernels need a compiler"
    )
    assert not any("nvidia/cuda" in line for line in images["transformers"])
    assert "ENTRYPOINT []" in images["vllm"], "the base image's would run first"


def test_weights_and_what_was_compiled_are_on_volumes(declared: dict[str, Declared]) -> None:
    assert declared["transformers"].volumes == {"/weights": "beacon-weights"}
    assert declared["vllm"].volumes == {"/weights": "beacon-weights", "/cache": "beacon-cache"}


def test_a_snapshot_of_the_gpu_is_asked_for_where_it_is_switched_on(declared: dict[str, Declared]) -> None:
    options = {name: dict(one.function.experimental_options) for name, one in declared.items()}
    assert options == {"transformers": {}, "vllm": {"enable_gpu_snapshot": "True"}}
    assert all(one.function.checkpointing_enabled for one in declared.values()), "of memory, as ever"
