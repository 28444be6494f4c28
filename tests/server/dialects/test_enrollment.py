"""`/api/v1/services/audio/tts/customization`: voices as the DashScope SDK enrolls them."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from cosyserve.engine.interface import InvalidReference
from cosyserve.server.auth import Caller
from cosyserve.server.voices.fetch import ClipFetcher
from support.listening.audio import make_file, speechlike
from support.peers.peers import Peer
from support.tools.contracts import load, resolve, validate

URL = "/api/v1/services/audio/tts/customization"
SPEECH = "/api/v1/services/audio/tts/SpeechSynthesizer"
OPENAPI = load("openapi.yaml")
VOICE_ID = re.compile(r"cosyvoice-v2-mine-[0-9a-f]{32}")


def data_url(seconds: float = 2.0) -> str:
    clip = make_file(speechlike(16000, seconds), 16000, "wav", "pcm_s16le")
    return "data:audio/wav;base64," + base64.b64encode(clip).decode()


@pytest.fixture(scope="module")
def clip() -> str:
    return data_url()


async def call(peer: Peer, action: str, model: Any = "voice-enrollment", **given: Any) -> Any:
    """The status and the body of the answer."""
    body = {"model": model, "input": {"action": action, **given}, "parameters": {}}
    async with peer.http.post(URL, json=body) as answer:
        found = await answer.json()
    promised = resolve(OPENAPI, OPENAPI["paths"][URL]["post"]["responses"][str(answer.status)])
    validate(OPENAPI, promised["content"]["application/json"]["schema"], found)
    return answer.status, found


async def create(peer: Peer, url: str, **given: Any) -> str:
    asked = {"target_model": "cosyvoice-v2", "prefix": "mine", "url": url, **given}
    status, found = await call(peer, "create_voice", **asked)
    assert status == 200, found
    return str(found["output"]["voice_id"])


async def listed(peer: Peer, **given: Any) -> list[str]:
    status, found = await call(peer, "list_voice", **given)
    assert status == 200
    return [voice["voice_id"] for voice in found["output"]["voice_list"]]


async def references(peer: Peer) -> list[Any]:
    async with peer.http.get("/api/v1/audio/reference_audio") as answer:
        found: list[Any] = await answer.json()
    return found


async def test_a_voice_is_made_described_and_deleted(peer: Peer, clip: str) -> None:
    made = await create(peer, clip)
    assert VOICE_ID.fullmatch(made)
    status, found = await call(peer, "query_voice", voice_id=made)
    assert status == 200
    output = found["output"]
    assert (output["status"], output["target_model"]) == ("OK", "cosyvoice-v2")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", output["gmt_create"])
    assert await listed(peer) == [made]
    assert (await call(peer, "delete_voice", voice_id=made))[0] == 200
    assert await listed(peer) == []
    status, found = await call(peer, "query_voice", voice_id=made)
    assert (status, found["code"]) == (404, "InvalidParameter")


async def test_it_speaks_through_every_door(peer: Peer, clip: str) -> None:
    made = await create(peer, clip)
    asked: dict[str, Any] = {"model": "cosyvoice-v2", "input": {"text": "one", "voice": made}}
    native = {"mode": "fast_replication", "reference_audio_id": made, "text": "one"}
    for path, body in (
        (SPEECH, asked),
        ("/api/v1/audio/speech", {"model": "cosyvoice-v2", "input": native, "stream": False}),
        ("/v1/audio/speech", {"model": "tts-1", "input": "one", "voice": made}),
        (f"/v1/text-to-speech/{made}", {"text": "one"}),
    ):
        async with peer.http.post(path, json=body) as answer:
            assert answer.status == 200, await answer.text()
            assert await answer.read()
    assert len(peer.engine.sessions) == 4
    assert len(peer.engine.prepared) == 1


async def test_it_is_a_reference_of_its_token(served: Any, clip: str) -> None:
    async with (
        served() as (server, engine),
        Peer.of(server, engine) as alice,
        Peer.of(server, engine, "bob-secret") as bob,
    ):
        made = await create(alice, clip, text=" What is said. ")
        (reference,) = await references(alice)
        assert (reference["name"], reference["text"]) == (made, "What is said.")
        assert await listed(bob) == []
        for action in ("query_voice", "delete_voice"):
            assert (await call(bob, action, voice_id=made))[0] == 404
        assert (await call(bob, "update_voice", voice_id=made, url=clip))[0] == 404
        assert await listed(alice) == [made]


async def test_an_update_changes_the_clip_and_keeps_the_id(peer: Peer, clip: str) -> None:
    made = await create(peer, clip)
    (before,) = await references(peer)
    status, found = await call(peer, "update_voice", voice_id=made, url=data_url(2.5))
    assert (status, found["output"]) == (200, {})
    (after,) = await references(peer)
    assert (after["name"], after["id"] != before["id"]) == (made, True)
    peer.engine.refuses = InvalidReference("unusable")
    assert (await call(peer, "update_voice", voice_id=made, url=data_url(3)))[0] == 422
    assert await references(peer) == [after]


async def test_a_clip_may_come_from_a_listed_host(
    served: Any, clip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def fetch(fetcher: ClipFetcher, url: str) -> bytes:
        asked.append(url)
        return base64.b64decode(clip.partition(",")[2])

    async with (
        served(enrollment_hosts=("clips.example",)) as (server, engine),
        Peer.of(server, engine) as peer,
    ):
        other = {"target_model": "cosyvoice-v2", "prefix": "mine", "url": "https://x.example/a"}
        status, found = await call(peer, "create_voice", **other)
        assert (status, "fetches nothing there" in found["message"]) == (400, True)
        monkeypatch.setattr(ClipFetcher, "fetch", fetch)
        assert VOICE_ID.fullmatch(await create(peer, "https://clips.example/a.wav"))
    assert asked == ["https://clips.example/a.wav"]


async def test_lists_have_pages_and_prefixes(peer: Peer, clip: str) -> None:
    made = [await create(peer, clip, prefix=prefix) for prefix in ("a1", "b2", "a1")]
    await peer.upload(base64.b64decode(clip.partition(",")[2]), name="no enrolled voice")
    assert await listed(peer) == made[::-1]
    assert await listed(peer, page_size=2) == [made[2], made[1]]
    assert await listed(peer, page_size=2, page_index=1) == [made[0]]
    assert await listed(peer, prefix="a1") == [made[2], made[0]]
    assert await listed(peer, prefix="a") == []


async def test_a_large_clip_counts_as_an_upload_while_it_comes(served: Any) -> None:
    async with (
        served(max_uploads=1, max_message_bytes=1024) as (server, engine),
        Peer.of(server, engine) as peer,
    ):
        clip = data_url()
        with server.services.admission.upload(Caller("bob")):
            given = {"target_model": "cosyvoice-v2", "prefix": "mine", "url": clip}
            status, found = await call(peer, "create_voice", **given)
            assert (status, found["code"]) == (429, "Throttling.RateQuota")
            assert await listed(peer) == []  # what is small waits for no place
        await create(peer, clip)
        given = {"target_model": "x" * 2000}
        assert (await call(peer, "list_voice", **given))[0] == 413


@pytest.mark.parametrize(
    ("action", "given", "status", "named"),
    [
        ("make_voice", {}, 400, "input.action"),
        ("create_voice", {"model": "cosyvoice-v2"}, 404, "voice-enrollment"),
        ("create_voice", {"prefix": "mine_"}, 400, "input.prefix"),
        ("create_voice", {"prefix": "x" * 11}, 400, "input.prefix"),
        ("create_voice", {"target_model": "tts-1"}, 400, "input.target_model"),
        ("create_voice", {"target_model": "cosyvoice-" + "x" * 11}, 400, "input.target_model"),
        ("create_voice", {"url": None}, 400, "input.url"),
        ("create_voice", {"url": "https://example.com/x.wav"}, 400, "data:audio/wav;base64"),
        ("create_voice", {"url": "file:///etc/passwd"}, 400, "data:audio/wav;base64"),
        ("create_voice", {"url": "data:audio/wav,xyz"}, 400, "input.url"),
        ("create_voice", {"url": "data:;base64,%%%"}, 400, "input.url"),
        ("create_voice", {"url": "data:;base64,"}, 422, "empty"),
        ("create_voice", {"text": "x" * 8193}, 400, "input.text"),
        ("update_voice", {"voice_id": "nobody"}, 404, "nobody"),
        ("query_voice", {"voice_id": None}, 400, "input.voice_id"),
        ("list_voice", {"page_size": 0}, 400, "input.page_size"),
        ("list_voice", {"page_index": -1}, 400, "input.page_index"),
    ],
)
async def test_a_bad_call_is_told_what_is_wrong(
    peer: Peer, clip: str, action: str, given: Any, status: int, named: str
) -> None:
    asked = {"target_model": "cosyvoice-v2", "prefix": "mine", "url": clip, **given}
    if action == "list_voice":
        del asked["prefix"]
    found_status, found = await call(peer, action, **asked)
    assert found_status == status, found
    assert named in found["message"], json.dumps(found)
    assert await references(peer) == []
