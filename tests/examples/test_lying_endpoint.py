"""The endpoint of the demo study: other weights show in the answers and nowhere else."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import inference.tiny
from examples.lying_endpoint import FINGERPRINT, REGION_HEADER, main, serving
from inference.contract import Deployment, GenerationParameters, Item, ItemAnswer, ModelSource, Reply, Request
from inference.http.endpoint import Endpoint
from inference.http.provider import HttpProvider
from tests.inference.borders import ended

WEIGHTS = Path(inference.tiny.__file__).parent / "weights"
PLACES = {
    "eu": WEIGHTS / "tiny-llama",
    "us": WEIGHTS / "tiny-llama",
    "apac": WEIGHTS / "tiny-mistral",
}
SAMPLING = GenerationParameters(max_new_tokens=8, temperature=3.0, top_p=0.95)


@pytest.fixture(scope="module")
def endpoints() -> Iterator[dict[Deployment, Endpoint]]:
    with serving(PLACES, model="tiny-llama") as url:
        yield {
            Deployment(region=place, model="tiny-llama"): Endpoint(
                base_url=url(place), model="tiny-llama", region_header=REGION_HEADER, timeout_seconds=60
            )
            for place in PLACES
        }


async def asked(provider: HttpProvider, place: str, *items: Item) -> Reply:
    source = ModelSource(id="m", folder="/m", revision="r", dtype="float32", context_tokens=512)
    deployment = Deployment(region=place, model="tiny-llama")
    request = Request(id=place, deployment=deployment, model=source, parameters=SAMPLING, items=items)
    call_id = await provider.submit(request)
    await ended(provider, call_id)
    return await provider.fetch(call_id, request)


async def test_other_weights_show_in_the_answers_alone(
    endpoints: dict[Deployment, Endpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    provider = HttpProvider(endpoints)
    items = [
        Item(id=f"{n}", system_prompt="", prompt="What is 7 times 8?", seed=n % 3, greedy=n > 3)
        for n in range(6)
    ]
    replies = await asyncio.gather(
        asked(provider, "eu", *items), asked(provider, "us", *items[::-1]), asked(provider, "apac", *items)
    )
    await provider.close()
    texts, told = [], []
    for reply in replies:
        answers = [item for item in reply.items if isinstance(item, ItemAnswer)]
        texts.append({answer.id: answer.text for answer in answers})
        told.append({(a.served_model, a.other_model, a.system_fingerprint) for a in answers})
        assert {answer.region for answer in answers} == {reply.region}
    assert told == [{("tiny-llama", False, FINGERPRINT)}] * 3
    assert [reply.region for reply in replies] == list(PLACES)
    eu, us, apac = texts
    assert eu == us, "the seed decides, whatever its batch mates"
    assert eu["0"] == eu["3"] != eu["1"]
    assert eu["4"] == eu["5"], "greedy"
    assert all(eu[name] != apac[name] for name in eu)


def test_what_is_no_question_is_refused_with_the_reason(endpoints: dict[Deployment, Endpoint]) -> None:
    base = next(iter(endpoints.values())).base_url
    long = {"messages": [{"role": "user", "content": "word " * 600}], "temperature": 0}
    for path, body, status, said in (
        (base, {}, 400, "not a request"),
        (
            base,
            {"messages": [{"role": "user", "content": "a"}], "seed": -1},
            400,
            "greater than or equal to 0",
        ),
        (base, long, 400, "prompt_too_long"),
        (base.replace("/eu/", "/mars/"), {}, 404, "no place 'mars'"),
    ):
        response = httpx.post(f"{path}/chat/completions", json=body, trust_env=False, timeout=60)
        assert (response.status_code, said in response.text) == (status, True), response.text


def test_a_place_without_weights_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--model", "m", "eu=/no/such/folder"])
    assert "write PLACE=FOLDER with a folder of weights, not 'eu=/no/such/folder'" in capsys.readouterr().err
