"""What a difference is attributed to: case by case, on a few calls."""

from typing import Any

import pandas as pd
import pytest

from beacon_pipeline.findings.attribution import UNKNOWN, attribution, differing, named
from beacon_pipeline.findings.sides import Sides
from tests.beacon_pipeline.findings.simulated import a_claim

DEPLOYMENT = a_claim("deployment")


def sides(of_a: dict[str, Any], of_b: dict[str, Any]) -> Sides:
    return Sides(pd.DataFrame(of_a), pd.DataFrame(of_b), ("us:m", "eu:m"))


def calls(gpus: str, values: str) -> dict[str, Any]:
    """Calls of one region: the GPU of each by a letter, and what all of its three answers count as."""
    return {
        "unit": [unit for unit in range(len(gpus)) for _ in range(3)],
        "provenance_gpu": [gpu for gpu in gpus for _ in range(3)],
        "value": [float(value) for value in values for _ in range(3)],
    }


GPU, APART = "GPU (varied within a region)", f"{UNKNOWN}; region and GPU cannot be separated"


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (calls("HHHHHHLL", "11111100"), calls("HHLLLLLL", "11000000"), GPU),
        (calls("LLLLLLHH", "11111100"), calls("LLHHHHHH", "11000000"), GPU),
        (calls("HHHHHHLL", "11111111"), calls("HHLLLLLL", "00000000"), UNKNOWN),  # the region, not the GPU
        (calls("HHHHHHLL", "10101010"), calls("HHLLLLLL", "01010101"), UNKNOWN),
        (
            calls("HHHHHHHL", "11111110"),
            calls("HHLLLLLL", "11000000"),
            UNKNOWN,
        ),  # one call alone shows nothing
        (calls("HHHHHHHH", "11111111"), calls("HHLLLLLL", "11000000"), UNKNOWN),  # not varied in both
        (calls("HHHHHHLLXX", "1111110011"), calls("HHLLLLLLXX", "1100000000"), UNKNOWN),  # three of them
        (
            calls("HHHHHHLLX", "111111001"),
            calls("HHLLLLLL", "11000000"),
            GPU,
        ),  # the third in one region alone
        (calls("HHHH", "1111"), calls("LLLL", "0000"), APART),
        (calls("HHHH", "1111"), calls("HHHH", "0000"), UNKNOWN),
    ],
)
def test_what_varied_within_regions_and_explains_it(
    a: dict[str, Any], b: dict[str, Any], expected: str
) -> None:
    assert attribution(DEPLOYMENT, sides(a, b), 1) == expected


def test_nothing_is_named_without_evidence() -> None:
    assert UNKNOWN == "between deployments, cause not identified"


def test_probes_have_no_value_to_be_explained() -> None:
    a, b = ({"provenance_gpu": gpus} for gpus in (["H", "H", "L"], ["H", "L", "L"]))
    assert attribution(a_claim("computation"), sides(a, b), 1) == UNKNOWN


@pytest.mark.parametrize(
    ("contrast", "expected"),
    [
        ("prompt", "the prompt (randomized within each call)"),
        ("models", "the models as deployed, with all that differs between them"),
        ("languages", "the question's language, as these translations have it (both in each call)"),
        ("interaction", "the prompt, acting differently between deployments; cause not identified"),
    ],
)
def test_what_was_randomized_or_is_the_claim_itself(contrast: str, expected: str) -> None:
    weights = sides({"provenance_revision": ["r1"]}, {"provenance_revision": ["r2"]})
    assert attribution(a_claim(contrast), weights, 1) == expected


def test_weights_on_record_come_first() -> None:
    a = calls("HHHHHHLL", "11111100") | {"provenance_revision": "r1", "provenance_cloud": "gcp"}
    b = calls("HHLLLLLL", "11000000") | {"provenance_revision": "r2", "provenance_cloud": "aws"}
    assert attribution(DEPLOYMENT, sides(a, b), 1) == "weights on record: us:m has r1, eu:m r2"
    several = sides({"provenance_revision": ["r3", "r1", None]}, {"provenance_revision": ["r2"] * 3})
    assert attribution(DEPLOYMENT, several, 1) == "weights on record: us:m has r1, r3, eu:m r2"


def test_which_fields_differ_and_how() -> None:
    fixed = {"provenance_dtype": "bf16", "provenance_region": "x", "provenance_rendered_prompt_sha256": "1"}
    a = {"answer": ["p", "q"], "provenance_gpu": ["H", "L"], "provenance_cloud": ["gcp"] * 2} | fixed
    b = {"answer": ["r", "s"], "provenance_gpu": ["L", "L"], "provenance_cloud": ["aws"] * 2} | fixed
    a |= {"provenance_engine": ["vllm", "other"], "provenance_seed": [None, None]}
    b |= {"provenance_engine": ["third", "third"], "provenance_seed": ["1", "2"], "provenance_region": "y"}
    b |= {"provenance_rendered_prompt_sha256": "2"}
    found = differing(sides(a, b))
    assert found == (
        ["provenance_cloud", "provenance_engine"],
        ["provenance_gpu", "provenance_seed"],
    )
    apart = sides(
        {"provenance_cloud": ["g"], "provenance_gpu": ["H"]},
        {"provenance_cloud": ["a"], "provenance_gpu": ["L"]},
    )
    assert attribution(DEPLOYMENT, apart, 1) == f"{UNKNOWN}; region and cloud, GPU cannot be separated"


def test_fields_have_readable_names() -> None:
    assert [named(f"provenance_{name}") for name in ("gpu", "dtype", "cloud", "batch_size")] == [
        *("GPU", "dtype", "cloud", "batch size"),
    ]
