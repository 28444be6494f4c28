"""vLLM-Omni's speech WebSocket: utterances one after another, spoken while their text comes."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from support.engines.fake_engine import FakeEngine
from support.peers.peers import Peer, Socket

PATH = "/v1/audio/speech/stream"
DONE, CLOSE = (json.dumps({"type": kind}) for kind in ("input.done", "session.close"))


def config(**fields: Any) -> str:
    asked = {"voice": "plain", "response_format": "pcm", "stream_audio": True, **fields}
    return json.dumps({"type": "session.config", **asked})


def said(words: str) -> str:
    return json.dumps({"type": "input.text", "text": words})


async def heard(socket: Socket, last: str = "session.done") -> list[dict[str, Any] | bytes]:
    """What comes up to that event, as a client reads it."""
    got: list[dict[str, Any] | bytes] = []
    while True:
        data = await socket.raw.recv()
        got.append(data if isinstance(data, bytes) else json.loads(data))
        if isinstance(data, str) and json.loads(data)["type"] == last:
            return got


def events(got: list[dict[str, Any] | bytes]) -> list[dict[str, Any]]:
    return [each for each in got if isinstance(each, dict)]


def sound(got: list[dict[str, Any] | bytes]) -> bytes:
    return b"".join(each for each in got if isinstance(each, bytes))


async def test_an_utterance(peer: Peer) -> None:
    async with peer.socket(PATH) as socket:
        await socket.send(config(), said("one two "), said("three."), DONE)
        got = await heard(socket)
    start, done, session = events(got)
    place = {"utterance_index": 0, "sentence_index": 0}
    form = {"format": "pcm", "sample_rate": 24000, "channels": 1}
    assert start == {"type": "audio.start", **place, "sentence_text": "one two three.", **form}
    size = len(sound(got))
    assert size > 0
    assert done == {"type": "audio.done", **place, "total_bytes": size, "error": False}
    assert session == {"type": "session.done", "utterance_index": 0, "total_sentences": 1}
    assert got[0] == start
    assert got[-2:] == [done, session]


async def test_it_is_spoken_while_its_text_comes(peer: Peer) -> None:
    async with peer.socket(PATH) as socket:
        await socket.send(config(), said("one "))
        start = json.loads(await socket.raw.recv())
        assert (start["type"], start["sentence_text"]) == ("audio.start", "one ")
        assert isinstance(await socket.raw.recv(), bytes)
        await socket.send(said("two "))
        assert isinstance(await socket.raw.recv(), bytes)
        await socket.send(DONE)
        assert [each["type"] for each in events(await heard(socket))] == [
            "audio.done",
            "session.done",
        ]


async def test_utterances_come_in_turn_however_they_are_sent(peer: Peer) -> None:
    peer.engine.gate.clear()
    async with peer.socket(PATH) as socket:
        await socket.send(
            config(), said("one two "), DONE, said("three "), DONE, DONE, said("four ")
        )
        await socket.send(DONE)
        await (await socket.raw.ping())
        peer.engine.gate.set()
        got = [await heard(socket) for _ in range(4)]
    indices = [[each["utterance_index"] for each in events(one)] for one in got]
    assert indices == [[0, 0, 0], [1, 1, 1], [2], [3, 3, 3]]
    assert [events(one)[-1]["total_sentences"] for one in got] == [1, 1, 0, 1]
    assert [events(one)[0].get("sentence_text") for one in got] == [
        "one two ",
        "three ",
        None,
        "four ",
    ]


async def test_the_configuration_holds_until_the_next_one(peer: Peer) -> None:
    async with peer.socket(PATH) as socket:
        await socket.send(config(response_format="wav"), said("one "), DONE)
        assert sound(await heard(socket)).startswith(b"RIFF")
        await socket.send(said("one "), config(response_format="mp3"), DONE)
        refused, *got = events(await heard(socket))
        assert (refused["type"], refused["code"]) == ("error", "InvalidState")
        assert got[0]["format"] == "wav"
        await socket.send(config(), said("one "), DONE)
        assert not sound(await heard(socket)).startswith(b"RIFF")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"response_format": "ulaw"}, "response_format: 'ulaw'"),
        ({"speed": 9}, "speed: 9"),
        ({"voice": "x" * 129}, "voice: "),
        ({"model": "nobody/nothing"}, "model: no model 'nobody/nothing'"),
        ({"task_type": "VoiceDesign"}, "task_type: 'VoiceDesign'"),
        ({"ref_audio": "data:audio/wav;base64,AAAA"}, "/api/v1/audio/reference_audio"),
        ({"speaker_embedding": [0.5]}, "speaker_embedding: an array"),
        ({"word_timestamps": True, "response_format": "mp3"}, "word_timestamps: true"),
        ({"instructions": "x" * 1001}, "instructions: "),
        ({"seed": -1}, "seed: -1"),
        ({"stream_audio": "maybe"}, "stream_audio: 'maybe'"),
    ],
)
async def test_a_configuration_that_cannot_be_used(
    peer: Peer, fields: dict[str, Any], reason: str
) -> None:
    async with peer.socket(PATH) as socket:
        await socket.send(config(), config(**fields), said("one "), DONE)
        refused, *got = events(await heard(socket))
        assert refused["type"] == "error"
        assert reason in refused["message"]
        assert got[-1]["total_sentences"] == 1  # the configuration before it holds


@pytest.mark.parametrize("first", [config(speed=9), said("one "), DONE, '{"type": "hello"}', "{}"])
async def test_a_first_message_that_configures_nothing_ends_the_connection(
    peer: Peer, first: str
) -> None:
    async with peer.socket(PATH) as socket:
        await socket.send(first)
        (refused,) = await heard(socket, "error")
        assert isinstance(refused, dict)
        assert refused["message"]
        await socket.send(said("one "))
        with pytest.raises(ConnectionClosed) as closed:
            await socket.raw.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000


@pytest.mark.parametrize(
    "message",
    ['{"type": "hello"}', "[]", '{"type": "input.text"}', '{"type": "input.text", "text": 5}'],
)
async def test_a_message_that_cannot_be_used_ends_nothing(peer: Peer, message: str) -> None:
    async with peer.socket(PATH) as socket:
        await socket.send(config(), said("one "), message, DONE)
        kinds = sorted(each["type"] for each in events(await heard(socket)))
        assert kinds == ["audio.done", "audio.start", "error", "session.done"]


async def test_a_failure_ends_its_utterance_alone(peer: Peer) -> None:
    async with peer.socket(PATH) as socket:
        await socket.send(config(voice="nobody"), said("one "))
        start, error, done, session = events(await heard(socket))
        assert (start["type"], error["code"]) == ("audio.start", "ReferenceAudioNotFound")
        assert "partial_audio" not in error
        assert (done["error"], done["total_bytes"]) == (True, 0)
        assert session["utterance_index"] == 0
        await socket.send(said("two "), DONE, config(), said("three "), DONE)
        got = events(await heard(socket))
        assert [each["utterance_index"] for each in got] == [1, 1, 1]
        assert got[0]["sentence_text"] == "three "


async def test_a_failure_after_the_first_sound_says_so(peer: Peer) -> None:
    async with peer.socket(PATH) as socket:
        await socket.send(config(), said("one "))
        await heard(socket, "audio.start")
        assert isinstance(await socket.raw.recv(), bytes)
        peer.server.services.shutdown.begin()
        error, done, _session = events(await heard(socket))
        assert (error["partial_audio"], error["action"]) == (True, "discard")
        assert done["error"]


async def test_the_close_waits_for_what_is_said(peer: Peer) -> None:
    async with peer.socket(PATH) as socket:
        await socket.send(config(), said("one "), DONE, CLOSE, said("two "), DONE)
        assert events(await heard(socket))[-1]["utterance_index"] == 0
        with pytest.raises(ConnectionClosed) as closed:
            await socket.raw.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000


@pytest.mark.parametrize("knows", [True, False])
async def test_words_have_times_where_the_engine_knows_them(served, knows: bool) -> None:
    async with served(FakeEngine(word_times=knows)) as (server, engine):
        async with Peer.of(server, engine) as peer, peer.socket(PATH) as socket:
            await socket.send(config(word_timestamps=True), said("one two "), DONE)
            start, *chunks, last, done, _ = events(await heard(socket))
    assert start["word_timestamps"] is True
    assert {each["type"] for each in (*chunks, last)} == {"audio.chunk"}
    assert [each["chunk_id"] for each in (*chunks, last)] == [*range(len(chunks) + 1)]
    assert all(each["timestamps"] is None for each in chunks)
    assert sum(len(base64.b64decode(each["audio_b64"])) for each in chunks) == done["total_bytes"]
    assert last["audio_b64"] == ""
    assert last["chunk_end_ms"] == chunks[-1]["chunk_end_ms"]
    if not knows:
        assert last["timestamps"] is None
        return
    assert [each["word"] for each in last["timestamps"]] == ["one", "two"]
    assert all(each["start_ms"] < each["end_ms"] for each in last["timestamps"])


@pytest.mark.parametrize("voice", [None, "Vivian", "ryan", "plain", "PLAIN"])
async def test_speakers_of_its_examples_stand_for_voices(peer: Peer, voice: str | None) -> None:
    async with peer.socket(PATH) as socket:
        await socket.send(config(voice=voice, language="Auto", model=None), said("one "), DONE)
        assert events(await heard(socket))[-1]["total_sentences"] == 1


async def test_no_token_no_connection(peer: Peer) -> None:
    async with peer.http.get(PATH, headers={"Authorization": "Bearer wrong"}) as answer:
        assert answer.status == 401
        assert (await answer.json())["error"]["code"] == "invalid_api_key"
    async with peer.http.get(PATH) as answer:
        assert answer.status == 404
