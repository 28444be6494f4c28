"""Batches as vLLM-Omni describes them: several texts in one call, and a result for each."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from support.engines.faulty_engine import raises
from support.peers.last_word import counted, engine_of
from support.peers.peers import Peer
from support.tools.contracts import load, resolve, validate

PATH = "/v1/audio/speech/batch"
WORD = 2400
"""Bytes of a word's sound."""
DOCUMENT = load("openapi.yaml")
POST = DOCUMENT["paths"][PATH]["post"]


def batch(*items: Any, **fields: Any) -> dict[str, Any]:
    return {"items": [*items], "voice": "plain", "response_format": "pcm", **fields}


async def ask(peer: Peer, body: Any) -> tuple[int, dict[str, Any]]:
    """The status and the answer, which fits the contract."""
    async with peer.http.post(PATH, json=body) as answer:
        found = await answer.json()
        assert answer.content_type == "application/json"
    promised = resolve(DOCUMENT, POST["responses"][str(answer.status)])
    validate(DOCUMENT, promised["content"]["application/json"]["schema"], found)
    return answer.status, found


def sound(result: dict[str, Any]) -> bytes:
    return base64.b64decode(result["audio_data"], validate=True)


async def test_every_item_has_its_result(peer: Peer) -> None:
    status, found = await ask(peer, batch({"input": "one two"}, {"input": "three"}))
    assert status == 200
    assert found["id"].startswith("speech-batch-")
    assert (found["total"], found["succeeded"], found["failed"]) == (2, 2, 0)
    assert [each["index"] for each in found["results"]] == [0, 1]
    assert [len(sound(each)) for each in found["results"]] == [2 * WORD, WORD]
    usage = found["results"][0]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (7, 2, 9)
    assert counted(peer) == {("vllm_omni", "finished", ""): 2}


async def test_what_an_item_says_itself_counts_for_it_alone(peer: Peer) -> None:
    items = (
        {"input": "one", "response_format": "wav"},
        {"input": "one", "speed": 2},
        {"input": "one", "voice": None, "response_format": None},
    )
    _, found = await ask(peer, batch(*items, speed=1.5))
    kinds = [each["media_type"] for each in found["results"]]
    assert kinds == ["audio/wav", "audio/pcm", "audio/pcm"]
    wav = sound(found["results"][0])
    assert wav.startswith(b"RIFF")
    assert int.from_bytes(wav[4:8], "little") == len(wav) - 8  # its head is complete
    assert [session.options.speed for session in peer.engine.sessions] == [1.5, 2.0, 1.5]


async def test_what_fails_in_an_item_leaves_the_others_alone(peer: Peer) -> None:
    items = (
        {"input": "one"},
        {"input": " "},
        {},
        "two",
        {"input": "three", "voice": "nobody"},
        {"input": "four", "speed": 9},
        {"input": "five", "ref_audio": "https://voice.example/a.wav"},
        {"input": "six"},
    )
    status, found = await ask(peer, batch(*items))
    assert status == 200
    assert (found["total"], found["succeeded"], found["failed"]) == (8, 2, 6)
    codes = [each.get("code") for each in found["results"]]
    assert codes == [
        *(None, "InvalidParameter", "InvalidParameter", "InvalidParameter"),
        *("ReferenceAudioNotFound", "InvalidParameter", "InvalidParameter", None),
    ]
    assert all(each["error"] for each in found["results"] if each["status"] == "error")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([], 400),
        ({}, 400),
        ({"items": {}}, 400),
        ({"items": []}, 400),
        ({"items": [{"input": "one"}] * 33}, 400),
        ({"items": [{"input": "x" * 100_001}] * 2}, 413),
        ({"items": [{"input": "one"}], "speed": 9}, 400),
        ({"items": [{"input": "one"}], "model": "nobody/nothing"}, 404),
    ],
)
async def test_a_batch_that_cannot_be_used(peer: Peer, body: Any, status: int) -> None:
    got, found = await ask(peer, body)
    assert got == status
    assert found["error"]["message"]
    assert not peer.engine.sessions


async def test_a_batch_has_one_place_at_a_time(served) -> None:
    async with served(max_tasks_per_token=1) as (server, engine), Peer.of(server, engine) as peer:
        engine.gate.clear()
        asking = asyncio.create_task(ask(peer, batch({"input": "one"}, {"input": "two"})))
        await engine.opened.wait()
        assert server.services.admission.tasks == 1
        async with Peer.of(server, engine, "bob-secret") as bob:
            engine.gate.set()
            _, (_, other) = await asyncio.gather(asking, ask(bob, batch({"input": "three"})))
        assert asking.result()[1]["succeeded"] == 2
        assert other["succeeded"] == 1


async def test_no_place_fails_the_item(served) -> None:
    async with served(max_tasks_per_token=1) as (server, engine), Peer.of(server, engine) as peer:
        with server.services.admission.enter(
            server.services.authenticator.by_header("alice-secret")
        ):
            _, found = await ask(peer, batch({"input": "one"}))
        assert [each["code"] for each in found["results"]] == ["Throttled"]


async def test_an_engine_that_fails_once(faulty: Peer) -> None:
    engine_of(faulty).fault = raises("iteration")
    _, found = await ask(faulty, batch({"input": "one two"}))
    assert [each["code"] for each in found["results"]] == ["InternalError"]


async def test_the_sound_of_all_items_is_bounded(served) -> None:
    async with served(max_whole_bytes=5000) as (server, engine), Peer.of(server, engine) as peer:
        items = ({"input": "one two"}, {"input": "three"}, {"input": "four five six"})
        _, found = await ask(peer, batch(*items))
        codes = [each.get("code") for each in found["results"]]
        assert codes == [None, "PayloadTooLarge", "PayloadTooLarge"]
        await server.services.deliveries.all_taken()
        assert server.services.spools.open_now == 0
        assert server.services.spools.size == 0


async def test_one_who_leaves_stops_the_batch(peer: Peer) -> None:
    peer.engine.gate.clear()
    asking = asyncio.create_task(ask(peer, batch({"input": "one"}, {"input": "two"})))
    await peer.engine.opened.wait()
    asking.cancel()
    await peer.server.services.admission.wait_idle()
    assert len(peer.engine.sessions) == 1
    assert counted(peer) == {("vllm_omni", "disconnected", ""): 1}
    assert peer.server.services.spools.open_now == 0


async def test_no_token_no_batch(peer: Peer) -> None:
    headers = {"Authorization": "Bearer wrong"}
    async with peer.http.post(PATH, json=batch({"input": "one"}), headers=headers) as answer:
        assert answer.status == 401


def test_the_contracts_limits_are_those_of_the_code() -> None:
    schema = DOCUMENT["components"]["schemas"]["SpeechBatch"]
    assert schema["properties"]["items"]["maxItems"] == 32
    for example in POST["requestBody"]["content"]["application/json"]["examples"].values():
        validate(DOCUMENT, schema, example["value"])
