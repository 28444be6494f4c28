"""The voices that the ElevenLabs dialect tells of, and what hosted ids stand for."""

from __future__ import annotations

from typing import Any

import pytest

from cosyserve.protocol.cosyvoice.rest import LIMIT_MAX
from support.engines.fake_engine import RATE
from support.listening.audio import make_file, speechlike
from support.peers.peers import Peer

HOSTED = "21m00Tcm4TlvDq8ikWAM"
ASKED = {"text": "one"}


@pytest.fixture(scope="module")
def clip() -> bytes:
    return make_file(speechlike(16000, 2.0), 16000, "wav", "pcm_s16le")


async def test_own_voices_and_references_are_listed(peer: Peer, clip: bytes) -> None:
    made = await peer.upload(clip, name="Mine")
    async with peer.http.get("/v1/voices") as answer:
        voices = (await answer.json())["voices"]
    told = [(each["voice_id"], each["name"], each["category"]) for each in voices]
    assert told == [("plain", "Plain", "premade"), (made, "Mine", "cloned")]
    async with peer.http.get("/v2/voices?search=MIN&page_size=10") as answer:
        page = await answer.json()
    assert [each["voice_id"] for each in page["voices"]] == [made]
    assert (page["has_more"], page["total_count"]) == (False, 1)


async def page(peer: Peer, **query: str) -> dict[str, Any]:
    async with peer.http.get("/v2/voices", params=query) as answer:
        assert answer.status == 200, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


async def test_voices_come_page_by_page(peer: Peer, clip: bytes) -> None:
    made = [await peer.upload(clip, name=f"Mine {number}") for number in range(12)]
    first = await page(peer)
    assert (len(first["voices"]), first["has_more"], first["total_count"]) == (10, True, 13)
    told, token = [], None
    while True:
        found = await page(
            peer, page_size="4", **({} if token is None else {"next_page_token": token})
        )
        told += [each["voice_id"] for each in found["voices"]]
        assert found["total_count"] == 13
        token = found["next_page_token"]
        assert found["has_more"] == (token is not None)
        if token is None:
            break
    assert told == ["plain", *reversed(made)]


async def test_pages_leave_no_voice_out_while_voices_come_and_go(peer: Peer, clip: bytes) -> None:
    made = [await peer.upload(clip, name=f"Mine {number}") for number in range(5)]
    first = await page(peer, page_size="3", search="mine")
    await peer.upload(clip, name="Mine too")
    second = await page(
        peer, page_size="1", search="mine", next_page_token=first["next_page_token"]
    )
    assert [each["voice_id"] for each in second["voices"]] == [made[1]]
    async with peer.http.delete(f"/api/v1/audio/reference_audio/{made[1]}") as answer:
        assert answer.status == 200
    third = await page(peer, search="mine", next_page_token=second["next_page_token"])
    assert made[0] in [each["voice_id"] for each in third["voices"]]


@pytest.mark.parametrize(
    "query",
    [
        *({"page_size": size} for size in ("0", "101", "-1", "1_0", "x", "9" * 5000)),
        *(
            {"next_page_token": token}
            for token in ("x", "é", "AAAA", "MTA=", "MSB/", "M+SB", "A" * 2000)
        ),
    ],
    ids=lambda query: str(query)[:40],
)
async def test_pages_that_cannot_be_had(peer: Peer, query: dict[str, str]) -> None:
    async with peer.http.get("/v2/voices", params=query) as answer:
        assert answer.status == 400
        detail = (await answer.json())["detail"]
    assert detail["status"] == "invalid_parameters"
    assert next(iter(query)) in detail["message"]


@pytest.mark.parametrize(
    "path", ["/v1/voices", "/v2/voices", "/v1/audio/voices", "/api/v1/audio/reference_audio"]
)
async def test_every_list_of_clips_has_a_bound(
    peer: Peer, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[int] = []

    async def listed(owner: str | None, limit: int, order: str) -> list[Any]:
        limits.append(limit)
        return []

    monkeypatch.setattr(peer.server.services.store, "list", listed)
    async with peer.http.get(path) as answer:
        assert answer.status == 200
    assert limits
    assert all(limit <= LIMIT_MAX for limit in limits)


async def test_a_voice_by_its_id(peer: Peer, clip: bytes) -> None:
    made = await peer.upload(clip)
    for voice_id, category in (("plain", "premade"), (made, "cloned")):
        async with peer.http.get(f"/v1/voices/{voice_id}") as answer:
            told = await answer.json()
        assert (told["voice_id"], told["category"]) == (voice_id, category)


@pytest.mark.parametrize("voice_id", ["nobody", "..%2F..", "%00", HOSTED])
async def test_a_voice_that_nobody_has(peer: Peer, voice_id: str) -> None:
    async with peer.http.get(f"/v1/voices/{voice_id}") as answer:
        assert answer.status == 404
        assert (await answer.json())["detail"]["status"] == "voice_not_found"


async def test_another_callers_voice_is_not_told_of(served: Any, clip: bytes) -> None:
    async with served() as (server, engine), Peer.of(server, engine) as alice:
        made = await alice.upload(clip)
        async with Peer.of(server, engine, "bob-secret") as bob:
            async with bob.http.get("/v1/voices") as answer:
                told = (await answer.json())["voices"]
            assert [each["voice_id"] for each in told] == ["plain"]
            for address in (f"/v1/voices/{made}", f"/v1/text-to-speech/{made}"):
                method = "GET" if "voices" in address else "POST"
                async with bob.http.request(method, address, json=ASKED) as answer:
                    assert answer.status == 404


async def test_a_hosted_id_stands_for_an_own_voice(peer: Peer) -> None:
    async with peer.http.post(f"/v1/text-to-speech/{HOSTED}", json=ASKED) as answer:
        assert answer.status == 200
    assert peer.engine.sessions[0].voice.content_id == "plain"


async def test_a_hosted_id_stands_for_the_voice_that_is_set(served: Any, clip: bytes) -> None:
    async with (
        served(elevenlabs_default_voice="Mine") as (server, engine),
        Peer.of(server, engine) as peer,
    ):
        address = f"/v1/text-to-speech/{HOSTED}?output_format=pcm_{RATE}"
        async with peer.http.post(address, json=ASKED) as answer:
            assert answer.status == 404
        await peer.upload(clip, name="Mine")
        async with peer.http.post(address, json=ASKED) as answer:
            assert answer.status == 200
        assert peer.engine.sessions[0].voice.content_id == engine.prepared[0]


async def test_a_voice_that_has_such_a_name_is_itself(peer: Peer, clip: bytes) -> None:
    await peer.upload(clip, name=HOSTED)
    async with peer.http.post(f"/v1/text-to-speech/{HOSTED}", json=ASKED) as answer:
        assert answer.status == 200
    assert peer.engine.sessions[0].voice.content_id == peer.engine.prepared[0]
