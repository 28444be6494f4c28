"""DashScope's realtime WebSocket: responses in turn, spoken as their text comes or once it is committed."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from support.peers.peers import Peer, Socket

PATH = "/api-ws/v1/realtime?model=qwen3-tts-flash-realtime"
COMMIT, CLEAR, CANCEL, FINISH = (
    json.dumps({"type": kind})
    for kind in (
        "input_text_buffer.commit",
        "input_text_buffer.clear",
        "response.cancel",
        "session.finish",
    )
)
BEGIN = ["response.created", "response.output_item.added", "response.content_part.added"]
END = [
    "response.audio.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.done",
]


def update(**fields: Any) -> str:
    asked = {"voice": "plain", "mode": "server_commit", "response_format": "pcm", **fields}
    return json.dumps({"event_id": "e", "type": "session.update", "session": asked})


def said(words: str) -> str:
    return json.dumps({"type": "input_text_buffer.append", "text": words})


async def until(socket: Socket, last: str) -> list[dict[str, Any]]:
    got: list[dict[str, Any]] = []
    while not got or got[-1]["type"] != last:
        got.append(await socket.next())
    return got


def kinds(got: list[dict[str, Any]]) -> list[str]:
    """The events' types, each run of sounds as one."""
    found = [each["type"] for each in got]
    return [
        kind
        for index, kind in enumerate(found)
        if kind != "response.audio.delta" or found[index - 1] != kind
    ]


def sound(got: list[dict[str, Any]]) -> bytes:
    return b"".join(base64.b64decode(each.get("delta", "")) for each in got)


async def closed(socket: Socket) -> int | None:
    with pytest.raises(ConnectionClosed) as error:
        await socket.raw.recv()
    return error.value.rcvd and error.value.rcvd.code


async def test_a_session_from_its_greeting_to_its_end(peer: Peer) -> None:
    async with peer.socket(PATH) as socket:
        greeting = await socket.next()
        assert greeting["type"] == "session.created"
        session = greeting["session"]
        assert session.pop("id").startswith("sess_")
        assert session == {
            "object": "realtime.session",
            "model": "qwen3-tts-flash-realtime",
            "mode": "server_commit",
            "voice": "cherry",
            "response_format": "pcm",
            "sample_rate": 24000,
        }
        await socket.send(update(), said("one two "), said("three."), FINISH)
        updated, *got = await until(socket, "session.finished")
        assert (updated["type"], updated["session"]["voice"]) == ("session.updated", "plain")
        assert kinds(got) == [*BEGIN, "response.audio.delta", *END, "session.finished"]
        assert len(sound(got)) > 0
        done = got[-2]["response"]
        assert (done["status"], done["usage"]) == ("completed", {"characters": 14})
        assert {each.get("response_id", done["id"]) for each in got} == {done["id"]}
        assert len({each["event_id"] for each in (greeting, updated, *got)}) == len(got) + 2
        assert await closed(socket) == 1000


async def test_it_is_spoken_while_its_text_comes(peer: Peer) -> None:
    async with peer.socket(PATH) as socket:
        await socket.send(update(), said("one "))
        await until(socket, "response.audio.delta")
        await socket.send(said("two "))
        assert (await socket.next())["type"] == "response.audio.delta"
        assert len(peer.engine.sessions) == 1
        await socket.send(COMMIT)
        committed, *got = await until(socket, "response.done")
        assert committed["type"] == "input_text_buffer.committed"
        assert kinds(got)[-4:] == END


async def test_in_mode_commit_nothing_is_spoken_before_the_commit(peer: Peer) -> None:
    async with peer.socket(PATH) as socket:
        await socket.send(update(mode="commit"), said("one "), said("two "), update(mode="commit"))
        assert kinds(await until(socket, "session.updated")) == [
            "session.created",
            "session.updated",
        ]
        assert kinds(await until(socket, "session.updated")) == ["session.updated"]
        assert not peer.engine.sessions
        await socket.send(COMMIT)
        committed, *got = await until(socket, "response.done")
        assert committed["type"] == "input_text_buffer.committed"
        assert kinds(got) == [*BEGIN, "response.audio.delta", *END]
        assert got[-1]["response"]["usage"] == {"characters": 8}


async def test_what_is_cleared_is_not_spoken(peer: Peer) -> None:
    async with peer.socket(PATH) as socket:
        await socket.send(update(mode="commit"), said("one two three "), CLEAR, COMMIT)
        await until(socket, "input_text_buffer.cleared")
        error = await socket.next()
        assert (error["type"], error["error"]["code"]) == ("error", "InvalidState")
        await socket.send(said("four "), FINISH)
        *got, _ = await until(socket, "session.finished")
        assert got[-1]["response"]["usage"] == {"characters": 5}


async def test_a_long_text_is_committed_in_pieces(served) -> None:
    async with served(max_message_characters=10, max_task_characters=30) as (server, engine):
        async with Peer.of(server, engine) as peer, peer.socket(PATH) as socket:
            await socket.send(update(mode="commit"), *[said("one two ")] * 3, said("and more"))
            *_, error = await until(socket, "error")
            assert error["error"]["code"] == "InvalidParameter"
            assert "30" in error["error"]["message"]
            await socket.send(COMMIT)
            *_, done = await until(socket, "response.done")
            assert done["response"]["usage"] == {"characters": 24}


async def test_responses_come_in_turn_and_the_one_that_speaks_is_cancelled(peer: Peer) -> None:
    peer.engine.gate.clear()
    async with peer.socket(PATH) as socket:
        await socket.send(update(mode="commit"))
        for words in ("one two ", "three ", "four "):
            await socket.send(said(words), COMMIT)
        await socket.send(CANCEL)
        await (await socket.raw.ping())
        peer.engine.gate.set()
        got = [await until(socket, "response.done") for _ in range(3)]
        ends = [each[-1]["response"] for each in got]
        assert [end["status"] for end in ends] == ["cancelled", "completed", "completed"]
        for each, end in zip(got[1:], ends[1:], strict=True):
            assert {event["response_id"] for event in each if "response_id" in event} == {end["id"]}
        await socket.send(CANCEL, update())  # nothing speaks: it is ignored
        assert (await socket.next())["type"] == "session.updated"


async def test_a_cancel_ends_the_text_too(peer: Peer) -> None:
    async with peer.socket(PATH) as socket:
        await socket.send(update(), said("one "))
        await until(socket, "response.audio.delta")
        await socket.send(CANCEL, said("two "), COMMIT)
        got = await until(socket, "response.done")
        assert got[-1]["response"]["status"] == "cancelled"
        got = await until(socket, "response.done")
        assert got[-1]["response"]["status"] == "completed"
        assert got[-1]["response"]["usage"] == {"characters": 4}


async def test_the_clients_silence_ends_a_text_that_the_server_commits(served) -> None:
    async with served(dashscope_realtime_pause=0.05) as (server, engine):
        async with Peer.of(server, engine) as peer, peer.socket(PATH) as socket:
            await socket.send(update(), said("one "))
            *_, done = await until(socket, "response.done")
            assert done["response"]["status"] == "completed"
            await socket.send(update(mode="commit"), said("two "))
            await until(socket, "session.updated")
            await socket.send(FINISH)
            *_, done, _ = await until(socket, "session.finished")
            assert done["response"]["usage"] == {"characters": 4}


async def test_the_configuration_holds_for_the_responses_that_begin_after_it(peer: Peer) -> None:
    async with peer.socket(PATH) as socket:
        await socket.send(update(), said("one "), update(response_format="wav"), COMMIT)
        assert not sound(await until(socket, "response.done")).startswith(b"RIFF")
        more = json.dumps(
            {"type": "session.update", "session": {"speech_rate": 1.5, "volume": None}}
        )
        await socket.send(more, said("one "), COMMIT)
        got = await until(socket, "response.done")
        assert sound(got).startswith(b"RIFF")
        assert peer.engine.sessions[-1].options.speed == 1.5


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"response_format": "ulaw"}, "session.response_format: 'ulaw'"),
        ({"sample_rate": 12345}, "session.sample_rate: 12345"),
        ({"speech_rate": 9}, "session.speech_rate: 9"),
        ({"pitch_rate": 0}, "session.pitch_rate: 0"),
        ({"volume": 101}, "session.volume: 101"),
        ({"bit_rate": 5}, "session.bit_rate: 5"),
        ({"mode": "auto"}, "session.mode: 'auto'"),
        ({"voice": "x" * 129}, "session.voice: "),
        ({"instructions": "x" * 1001}, "session.instructions: "),
    ],
)
async def test_a_configuration_that_cannot_be_used(
    peer: Peer, fields: dict[str, Any], reason: str
) -> None:
    async with peer.socket(PATH) as socket:
        await socket.send(update(), update(**fields), said("one "), FINISH)
        got = await until(socket, "session.finished")
        (refused,) = [each for each in got if each["type"] == "error"]
        assert refused["error"]["code"] == "InvalidParameter"
        assert reason in refused["error"]["message"]
        assert got[-2]["response"]["status"] == "completed"  # the configuration before it holds


@pytest.mark.parametrize(
    "message",
    ['{"type": "hello"}', "[]", "{}", '{"type": "input_text_buffer.append", "text": 5}'],
)
async def test_a_message_that_cannot_be_used_ends_nothing(peer: Peer, message: str) -> None:
    async with peer.socket(PATH) as socket:
        await socket.send(update(), said("one "), message, FINISH)
        got = await until(socket, "session.finished")
        assert kinds(got).count("error") == 1
        assert got[-2]["response"]["status"] == "completed"


async def test_text_that_waits_for_a_commit_keeps_the_mode(peer: Peer) -> None:
    async with peer.socket(PATH) as socket:
        await socket.send(update(mode="commit"), said("one "), update(mode="server_commit"))
        *_, refused = await until(socket, "error")
        assert refused["error"]["code"] == "InvalidState"
        await socket.send(CLEAR, update(mode="server_commit"))
        await until(socket, "session.updated")


async def test_a_failure_ends_its_response_alone(peer: Peer) -> None:
    async with peer.socket(PATH) as socket:
        await socket.send(update(voice="nobody"), said("one "))
        got = await until(socket, "response.done")
        assert kinds(got)[2:] == [*BEGIN, "error", *END]
        assert got[-1]["response"]["status"] == "failed"
        await socket.send(said("its rest "), COMMIT, update(), said("two "), COMMIT)
        *_, done = await until(socket, "response.done")
        assert (done["response"]["status"], done["response"]["usage"]["characters"]) == (
            "completed",
            4,
        )


async def test_a_shutdown_has_the_last_word(peer: Peer) -> None:
    async with peer.socket(PATH) as socket:
        await socket.send(update(), said("one "))
        await until(socket, "response.audio.delta")
        peer.server.services.shutdown.begin()
        got = await until(socket, "response.done")
        assert [each["error"]["code"] for each in got if "error" in each] == ["ServiceUnavailable"]
        assert got[-1]["response"]["status"] == "failed"
        assert await closed(socket) == 1012


async def test_after_the_end_of_the_session_only_a_cancel_counts(peer: Peer) -> None:
    peer.engine.gate.clear()
    async with peer.socket(PATH) as socket:
        await socket.send(update(), said("one two three "), FINISH, said("late "), COMMIT, CANCEL)
        await until(socket, "session.updated")
        peer.engine.gate.set()
        got = await until(socket, "session.finished")
        assert got[-2]["response"]["status"] == "cancelled"
        assert kinds(got).count("response.done") == 1


@pytest.mark.parametrize("voice", [None, "Cherry", "ETHAN", "plain", "PLAIN"])
async def test_the_hosted_voices_stand_for_voices(peer: Peer, voice: str | None) -> None:
    async with peer.socket(PATH) as socket:
        await socket.send(update(voice=voice, language_type="Auto"), said("one "), FINISH)
        assert (await until(socket, "session.finished"))[-2]["response"]["status"] == "completed"


@pytest.mark.parametrize("query", ["", "?model=gpt-4o-realtime", "?model="])
async def test_a_model_that_does_not_speak_is_refused(peer: Peer, query: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with peer.socket("/api-ws/v1/realtime" + query):
            pass
    assert refused.value.response.status_code == 404


async def test_no_token_no_connection(peer: Peer) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with peer.socket(PATH, additional_headers={}):
            pass
    assert refused.value.response.status_code == 401
    async with peer.http.get(PATH) as answer:
        assert answer.status == 404
        assert (await answer.json())["code"] == "NotFound"
