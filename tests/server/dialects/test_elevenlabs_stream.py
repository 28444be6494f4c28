"""`stream-input` and `multi-stream-input` on real sockets."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from cosyserve.engine.interface import EngineDied
from support.engines.fake_engine import RATE, WORD_SECONDS, FakeEngine
from support.peers.peers import Peer, Socket

STREAM = "/v1/text-to-speech/plain/stream-input"
MULTI = "/v1/text-to-speech/plain/multi-stream-input"
PCM = f"?output_format=pcm_{RATE}"
WORD_BYTES = round(WORD_SECONDS * RATE) * 2
KEY = {"additional_headers": {"xi-api-key": "alice-secret"}}


def message(text: str | None = None, context_id: str | None = None, **more: Any) -> str:
    fields = {"text": text, "context_id": context_id, **more}
    return json.dumps({name: v for name, v in fields.items() if v is not None})


async def heard(socket: Socket, name: str | None = None) -> tuple[list[dict[str, Any]], bytes]:
    """Everything up to the end of that context: its messages, and the sound."""
    got: list[dict[str, Any]] = []
    while True:
        told = await socket.next()
        if told.get("contextId") != name:
            continue
        got.append(told)
        if told.get("isFinal") or "error" in told:
            return got, b"".join(base64.b64decode(each.get("audio") or "") for each in got)


async def closed(socket: Socket) -> ConnectionClosed:
    """How the connection is closed; no message may come before."""
    with pytest.raises(ConnectionClosed) as error:
        await socket.next()
    return error.value


async def test_a_stream_ends_and_closes(peer: Peer) -> None:
    async with peer.socket(STREAM + PCM, **KEY) as socket:
        await socket.send(message(" "), message("one "), message("two "), message(""))
        got, sound = await heard(socket)
        assert len(sound) == 2 * WORD_BYTES
        assert got[-1]["audio"] is None
        error = await closed(socket)
        assert error.rcvd is not None
        assert error.rcvd.code == 1000
    assert peer.engine.sessions[0].text == "one two "
    assert peer.server.services.admission.tasks == 0


async def test_sound_comes_before_the_text_ends(peer: Peer) -> None:
    async with peer.socket(STREAM + PCM, **KEY) as socket:
        await socket.send(message("one two "))
        assert (await socket.next())["audio"]
        assert not peer.engine.sessions[0].finished
        await socket.send(message("three"), message(""))
        await heard(socket)


async def test_a_flush_is_spoken_and_the_text_goes_on(peer: Peer) -> None:
    async with peer.socket(STREAM + PCM, **KEY) as socket:
        await socket.send(message("one", flush=True))
        assert (await socket.next())["audio"]
        await socket.send(message("two"), message(""))
        _, sound = await heard(socket)
    assert len(sound) == WORD_BYTES
    assert peer.engine.sessions[0].text == "one two"


async def test_characters_come_with_the_sound_of_engines_that_know_them(served: Any) -> None:
    async with (
        served(FakeEngine(word_times=True)) as (server, engine),
        Peer.of(server, engine) as peer,
    ):
        async with peer.socket(STREAM + PCM, **KEY) as socket:
            await socket.send(message("one two "), message(""))
            got, _ = await heard(socket)
        times = [each["alignment"] for each in got if each["alignment"]]
        assert [each["chars"] for each in times] == [list("one "), list("two ")]
        spans = [each["charStartTimesMs"][-1] + each["charDurationsMs"][-1] for each in times]
        assert sum(spans) == round(2 * WORD_SECONDS * 1000)


@pytest.mark.parametrize("path", [STREAM, MULTI])
@pytest.mark.parametrize("law", ["ulaw", "alaw"])
async def test_the_sound_of_telephones(peer: Peer, path: str, law: str) -> None:
    async with peer.socket(f"{path}?output_format={law}_8000", **KEY) as socket:
        if path == STREAM:
            await socket.send(message("one two three "), message(""))
            got, sound = await heard(socket)
        else:
            await socket.send(message("one two three ", "a"))
            await socket.send(message(context_id="a", flush=True))
            await socket.send(json.dumps({"context_id": "a", "close_context": True}))
            got, sound = await heard(socket, "a")
    assert len(sound) == round(3 * WORD_SECONDS * 8000)
    pieces = [base64.b64decode(each["audio"]) for each in got if each.get("audio")]
    assert len(pieces) > 1
    assert all(len(piece) % 160 == 0 for piece in pieces[:-1])


async def test_engines_without_word_times_say_so(peer: Peer) -> None:
    async with peer.socket(STREAM + PCM, **KEY) as socket:
        await socket.send(message("one "), message(""))
        got, _ = await heard(socket)
    assert all(each["alignment"] is None for each in got)


@pytest.mark.parametrize("path", [STREAM, MULTI])
@pytest.mark.parametrize(
    ("query", "status", "named"),
    [
        ("output_format=ulaw_16000", 400, "output_format"),
        ("inactivity_timeout=181", 400, "inactivity_timeout"),
        ("auto_mode=perhaps", 400, "auto_mode"),
        ("model_id=tts-1", 404, "model_id"),
    ],
)
async def test_an_address_that_is_refused(
    peer: Peer, path: str, query: str, status: int, named: str
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with peer.socket(f"{path}?{query}", **KEY):
            pass
    assert refused.value.response.status_code == status
    assert named in json.loads(refused.value.response.body)["message"]


@pytest.mark.parametrize("headers", [{}, {"xi-api-key": "wrong"}, {"xi-api-key": ""}])
async def test_a_token_is_needed(peer: Peer, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with peer.socket(STREAM, additional_headers=headers):
            pass
    assert refused.value.response.status_code == 401


async def test_the_token_may_stand_where_other_clients_have_it(peer: Peer) -> None:
    async with peer.socket(STREAM + PCM) as socket:
        await socket.send(message("one "), message(""))
        assert len((await heard(socket))[1]) == WORD_BYTES


@pytest.mark.parametrize("voice", ["nobody", "..%2F..%2Fetc%2Fpasswd", "%00", "a" * 128])
async def test_a_voice_that_nobody_has(peer: Peer, voice: str) -> None:
    async with peer.socket(f"/v1/text-to-speech/{voice}/stream-input", **KEY) as socket:
        await socket.send(message("one "))
        got, sound = await heard(socket)
        assert (got[0]["error"], sound) == ("voice_not_found", b"")
        error = await closed(socket)
        assert error.rcvd is not None
        assert error.rcvd.code == 1008


@pytest.mark.parametrize("path", [STREAM, MULTI])
async def test_hosted_voices_stand_for_voices_that_are_here(peer: Peer, path: str) -> None:
    path = path.replace("plain", "21m00Tcm4TlvDq8ikWAM") + PCM
    async with peer.socket(path, **KEY) as socket:
        await socket.send(message("one ", flush=True))
        assert (await socket.next())["audio"]


async def test_a_message_that_cannot_be_read_ends_the_stream(peer: Peer) -> None:
    async with peer.socket(STREAM + PCM, **KEY) as socket:
        await socket.send(message("one "), '{"text": 5}')
        got, _ = await heard(socket)
        assert got[-1]["error"] == "invalid_parameters"
        assert got[-1]["message"].startswith("text:")
        await closed(socket)
    assert not peer.engine.open


async def test_text_that_stops_coming_ends_the_stream(peer: Peer) -> None:
    async with peer.socket(f"{STREAM}{PCM}&inactivity_timeout=1", **KEY) as socket:
        await socket.send(message("one "))
        got, _ = await heard(socket)
        assert got[-1]["error"] == "input_timeout_exceeded"
        await closed(socket)


async def test_an_engine_that_dies_is_told(peer: Peer) -> None:
    peer.engine.error = EngineDied("the engine died")
    async with peer.socket(STREAM + PCM, **KEY) as socket:
        await socket.send(message("one "))
        got, _ = await heard(socket)
        assert (got[-1]["error"], got[-1]["code"]) == ("system_busy", 1011)
        await closed(socket)


# Many contexts


async def test_contexts_speak_at_once_on_one_connection(peer: Peer) -> None:
    async with peer.socket(MULTI + PCM, **KEY) as socket:
        await socket.send(message(" ", "a"), message(" ", "b b"))
        await socket.send(message("one two ", "a"), message("", "a", flush=True))
        await socket.send(message(None, "a", close_context=True))
        assert len((await heard(socket, "a"))[1]) == 2 * WORD_BYTES
        await socket.send(message("one ", "b b", flush=True))
        await socket.send(message(None, "b b", close_context=True))
        assert len((await heard(socket, "b b"))[1]) == WORD_BYTES
        await socket.send(message("again ", flush=True), message(None, close_context=True))
        assert len((await heard(socket))[1]) == WORD_BYTES
    assert [each.text for each in peer.engine.sessions] == ["one two ", "one ", "again "]


async def test_a_context_that_is_closed_without_a_flush_is_silent_at_once(peer: Peer) -> None:
    peer.engine.gate.clear()
    async with peer.socket(MULTI + PCM, **KEY) as socket:
        await socket.send(message("one two ", "a"))
        await peer.engine.opened.wait()
        await socket.send(message(None, "a", close_context=True))
        got, sound = await heard(socket, "a")
        assert (len(got), sound) == (1, b"")
        assert not peer.engine.open
        peer.engine.gate.set()
        await socket.send(message("one ", "b", flush=True), message(None, "b", close_context=True))
        assert len((await heard(socket, "b"))[1]) == WORD_BYTES


async def test_a_context_that_fails_leaves_the_others_alone(peer: Peer) -> None:
    async with peer.socket(MULTI + PCM, **KEY) as socket:
        await socket.send(message("one ", "a"))
        await socket.send(message(" ", "b", voice_settings={"speed": 9}), message("late ", "b"))
        got, _ = await heard(socket, "b")
        assert got[0]["error"] == "invalid_parameters"
        await socket.send(message("", "a", flush=True), message(None, "a", close_context=True))
        await heard(socket, "a")
    assert len(peer.engine.sessions) == 1


async def test_too_many_contexts_are_refused(served: Any) -> None:
    async with (
        served(max_tasks_per_connection=1) as (server, engine),
        Peer.of(server, engine) as peer,
        peer.socket(MULTI + PCM, **KEY) as socket,
    ):
        await socket.send(message("one ", "a"), message("one ", "b"))
        got, _ = await heard(socket, "b")
        assert got[0]["error"] == "too_many_concurrent_requests"


async def test_what_keeps_a_context_alive_keeps_it_alive(peer: Peer) -> None:
    async with peer.socket(f"{MULTI}{PCM}&inactivity_timeout=2", **KEY) as socket:
        await socket.send(message("one ", "a"), message("one ", "b"))
        failed = asyncio.create_task(heard(socket, "a"))
        while not failed.done():  # the server's own clock ends it
            await socket.send(message("", "b"))
            await asyncio.wait({failed}, timeout=0.2)
        assert failed.result()[0][-1]["error"] == "input_timeout_exceeded"
        await socket.send(message("", "b", flush=True), message(None, "b", close_context=True))
        assert "error" not in (await heard(socket, "b"))[0][-1]


async def test_to_close_the_socket_speaks_to_the_end(peer: Peer) -> None:
    async with peer.socket(MULTI + PCM, **KEY) as socket:
        await socket.send(message("one two ", "a", flush=True), message(None, close_socket=True))
        assert len((await heard(socket, "a"))[1]) == 2 * WORD_BYTES
        error = await closed(socket)
        assert error.rcvd is not None
        assert error.rcvd.code == 1000


async def test_a_socket_without_contexts_closes_when_it_is_told_to(peer: Peer) -> None:
    async with peer.socket(MULTI, **KEY) as socket:
        await socket.send(message(""), message(None, close_socket=True))
        await closed(socket)
    assert not peer.engine.sessions
