"""The voices that the ElevenLabs dialect tells of, and what hosted ids stand for."""

from __future__ import annotations

from typing import Any

import pytest

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
