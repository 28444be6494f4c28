"""What clients write, a little otherwise than it should be, in every dialect on real sockets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from support.engines.fake_engine import RATE, WORD_SECONDS
from support.peers.peers import PATH, Peer, message, run_task, text
from support.peers.texts import (
    CALLS,
    DASHSCOPE,
    ELEVENLABS,
    MULTI,
    OPENAI,
    OWN,
    REST,
    STREAM,
    TALKS,
    Call,
    Talk,
)

each_talk = pytest.mark.parametrize("talk", TALKS, ids=str)
each_call = pytest.mark.parametrize("call", CALLS, ids=str)


def said(peer: Peer) -> str:
    """What the engine was told last, less blanks that a dialect adds at a flush."""
    return peer.engine.sessions[-1].text.rstrip()


# Halves of surrogate pairs


@each_talk
@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        (["ok \ud83c", "\udf89 done"], "ok \U0001f389 done"),
        (["a \ud83c", "\udf89\ud83d", "\ude00 b"], "a \U0001f389\U0001f600 b"),
        (["ok \ud83c", "x \udf89 y"], "ok \ufffdx \ufffd y"),
        (["ok \ud83c"], "ok \ufffd"),
        (["a \\ud83c b\ud83c", "\udf89"], "a \\ud83c b\U0001f389"),
        (["ok \ud83c", None, "\udf89 done"], "ok \U0001f389 done"),
        (["ok \ud83c", None], "ok \ufffd"),
    ],
)
async def test_halves_in_two_messages_are_one_character(
    peer: Peer, talk: Talk, pieces: list[str | None], whole: str
) -> None:
    told = await talk.say(peer, pieces)
    assert not told.error
    assert said(peer) == whole
    assert len(told.sound)


@pytest.mark.parametrize("talk", [OWN, DASHSCOPE, MULTI], ids=str)
async def test_an_empty_piece_between_the_halves(peer: Peer, talk: Talk) -> None:
    await talk.say(peer, ["ok \ud83c", "", "\udf89"])
    assert said(peer) == "ok \U0001f389"


async def test_an_escape_may_be_written_in_any_case(peer: Peer) -> None:
    async with peer.socket() as socket:
        first = text("continue-task", "t", "ok \ud83c").replace("\\ud83c", "\\uD83C")
        last = text("finish-task", "t", "\udf89").replace("\\udf89", "\\uDf89")
        await socket.send(run_task("t"), first, last)
        end = (await socket.until("task-finished"))[-1]
    assert said(peer) == "ok \U0001f389"
    assert end["payload"]["usage"]["characters"] == 4


async def test_each_task_has_halves_of_its_own(peer: Peer) -> None:
    async with peer.socket() as socket:
        await socket.send(run_task("a"), run_task("b"))
        await socket.send(
            text("continue-task", "a", "a \ud83c"), text("continue-task", "b", "b \ud83d")
        )
        await socket.send(text("finish-task", "b", "\ude00"), text("finish-task", "a", "\udf89"))
        await socket.until("task-finished")
        await socket.until("task-finished")
    assert {each.text for each in peer.engine.sessions} == {"a \U0001f389", "b \U0001f600"}


async def test_each_context_has_halves_of_its_own(peer: Peer) -> None:
    def say(name: str, **fields: Any) -> str:
        return json.dumps({"context_id": name, **fields})

    async with peer.socket(MULTI.path) as socket:
        await socket.send(
            say("a", text="a \ud83c"), say("b", text="b \ud83d"), say("c", text="c \ud83c")
        )
        await socket.send(say("b", text="\ude00"), say("a", text="\udf89"))
        await socket.send(json.dumps({"close_socket": True}))
        async for _ in socket.raw:
            pass
    assert {each.text for each in peer.engine.sessions} == {
        "a \U0001f389",
        "b \U0001f600",
        "c \ufffd",
    }


async def test_a_half_counts_with_its_other_half(served) -> None:
    async with served(max_task_characters=4) as (server, engine), Peer.of(server, engine) as peer:
        assert not (await OWN.say(peer, ["ok \ud83c", "\udf89"])).error
        assert "5 characters" in (await OWN.say(peer, ["ok \ud83c", "\udf89!"])).error
        assert "5 characters" in (await OWN.say(peer, ["ok \ud83c", "!"])).error


async def test_positions_count_the_joined_text(peer: Peer) -> None:
    told = await DASHSCOPE.say(peer, ["a \ud83c", "\udf89. b", " c"])
    outputs = [each["payload"].get("output", {}) for each in told.messages]
    ends = [each["original_text"] for each in outputs if each.get("type") == "sentence-end"]
    assert ends == ["a \U0001f389. ", "b c"]
    assert told.messages[-1]["payload"]["usage"]["characters"] == 8


@pytest.mark.parametrize("talk", [OWN, DASHSCOPE], ids=str)
async def test_a_half_in_a_document(peer: Peer, talk: Talk) -> None:
    pieces = ["<speak>one \ud83c", "\udf89 <sub alias='two\ud83c'>2</sub></speak>"]
    assert not (await talk.say(peer, pieces, ssml=True)).error
    assert said(peer) == "one \U0001f389 two\ufffd"


@each_call
async def test_a_half_alone_in_a_body(peer: Peer, call: Call) -> None:
    status, sound = await call.say(peer, call.with_text("one \ud83c two\udf89", extra="\ud83c"))
    assert (status, len(sound)) == (200, 3 * round(WORD_SECONDS * RATE) * 2)
    assert said(peer) == "one \ufffd two\ufffd"


@pytest.mark.parametrize(
    ("call", "fields", "status", "told"),
    [
        (REST, {"reference_audio_id": "v\ud83c"}, 404, "v\ufffd"),
        (REST, {"mode": "natural\udf89"}, 400, "natural\ufffd"),
        (REST, {"instruct": "\ud83c"}, 200, ""),
        (OPENAI, {"voice": "v\ud83c"}, 404, "v\ufffd"),
        (OPENAI, {"instructions": "slowly \ud83c"}, 200, ""),
        (OPENAI, {"model": "m\udf89"}, 404, "m\ufffd"),
        (ELEVENLABS, {"model_id": "m\ud83c"}, 404, "m\ufffd"),
    ],
)
async def test_a_half_in_another_field_is_told_as_a_replacement(
    peer: Peer, call: Call, fields: dict[str, Any], status: int, told: str
) -> None:
    got, body = await call.say(peer, call.with_text("one", **fields))
    assert got == status
    if told:
        assert told in body.decode()


@each_talk
async def test_what_is_no_json_still_closes(peer: Peer, talk: Talk) -> None:
    async with peer.socket(talk.path) as socket:
        await socket.send('{"text": "\\ud83c", }')
        with pytest.raises(ConnectionClosed) as closed:
            await socket.next()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1007


# Byte order marks, slashes


@each_talk
async def test_a_byte_order_mark_before_a_message(peer: Peer, talk: Talk) -> None:
    async with peer.socket(talk.path) as socket:
        await socket.send(*("\ufeff" + frame for frame in talk.frames(["one two"])))
        told = await talk.heard(socket)
    assert told.seconds == pytest.approx(2 * WORD_SECONDS)


@each_call
async def test_a_byte_order_mark_before_a_body(peer: Peer, call: Call) -> None:
    body = json.dumps(call.with_text("one")).encode("utf-8-sig")
    status, sound = await call.say(peer, body)
    assert (status, len(sound)) == (200, round(WORD_SECONDS * RATE) * 2)


@each_talk
@pytest.mark.parametrize("doubled", ["/", "//", "///"])
async def test_slashes_in_the_path_of_a_socket(peer: Peer, talk: Talk, doubled: str) -> None:
    path, _, query = talk.path.partition("?")
    uri = path.replace("/", doubled) + "/?" + query
    async with peer.socket(uri) as socket:
        await socket.send(*talk.frames(["one"]))
        assert (await talk.heard(socket)).seconds == pytest.approx(WORD_SECONDS)


@each_call
@pytest.mark.parametrize("doubled", ["/", "//"])
async def test_slashes_in_the_path_of_a_body(peer: Peer, call: Call, doubled: str) -> None:
    path = call.path.replace("/", doubled) + "/"
    data = json.dumps(call.with_text("one"))
    url = peer.server.url + path + call.query
    async with peer.http.post(url, data=data, allow_redirects=False) as answer:
        assert answer.status == 200
        assert await answer.read()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("//healthz/", 200),
        ("//", None),
        ("/v1//models/", 200),
        ("//v1/models//tts-1/", 200),
        ("/api//v1/audio/reference_audio/", 200),
        ("/v2/voices/", 200),
        ("//audio/speech/", 405),
        ("/no//such/path/", 404),
    ],
)
async def test_slashes_in_any_path(peer: Peer, path: str, status: int | None) -> None:
    async with peer.http.get(peer.server.url + path, allow_redirects=False) as answer:
        if status is None:
            async with peer.http.get("/", allow_redirects=False) as plain:
                status = plain.status
        assert answer.status == status


async def test_slashes_open_no_other_door(peer: Peer) -> None:
    for path in ("//v1//models", "/api//v1/audio/reference_audio/"):
        async with peer.http.get(peer.server.url + path, headers={"Authorization": "no"}) as answer:
            assert answer.status == 401
    async with peer.http.get(
        peer.server.url + "//v1//models/", headers={"Authorization": "no"}
    ) as answer:
        assert (await answer.json())["error"]["code"] == "invalid_api_key"


# Numbers and booleans as strings


async def test_numbers_as_strings_on_our_own_socket(peer: Peer) -> None:
    asked = {"sample_rate": "8000", "volume": "0.5", "speed": "1.5", "seed": "7", "debug": "TRUE"}
    async with peer.socket() as socket:
        await socket.send(run_task("t", **asked, enable_ssml="false"))
        more = message("continue-task", "t", input={"text": "one", "flush": "true"})
        await socket.send(more, message("finish-task", "t"))
        told = await OWN.heard(socket)
    assert len(told.sound) == round(WORD_SECONDS * 8000) * 2
    assert told.messages[1]["payload"]["metrics"]["tokens"] == 2
    [session] = peer.engine.sessions
    assert (session.options.speed, session.options.seed) == (1.5, 7)
    assert session.flushes == [3]


async def test_numbers_as_strings_in_dashscope(peer: Peer) -> None:
    run = json.loads(DASHSCOPE.run)
    asked = {"sample_rate": "8000", "volume": "50", "rate": "1.5", "seed": "7", "pitch": "1"}
    run["payload"]["parameters"] |= {
        **asked,
        "word_timestamp_enabled": "false",
        "enable_ssml": "False",
    }
    async with peer.socket(DASHSCOPE.path) as socket:
        await socket.send(json.dumps(run), text("finish-task", "t", "one"))
        told = await DASHSCOPE.heard(socket)
    assert not told.error
    assert len(told.sound) == round(WORD_SECONDS * 8000) * 2
    assert (peer.engine.sessions[0].options.speed, peer.engine.sessions[0].options.seed) == (1.5, 7)


async def test_numbers_as_strings_in_elevenlabs(peer: Peer) -> None:
    async with peer.socket(STREAM.path) as socket:
        first = {"text": "one", "voice_settings": {"speed": "1.5"}, "flush": "true"}
        await socket.send(json.dumps(first), json.dumps({"text": ""}))
        assert not (await STREAM.heard(socket)).error
    body = ELEVENLABS.with_text("one", voice_settings={"speed": "1.5"}, seed="7")
    assert (await ELEVENLABS.say(peer, body))[0] == 200
    assert [each.options.speed for each in peer.engine.sessions] == [1.5, 1.5]
    assert peer.engine.sessions[1].options.seed == 7


async def test_numbers_as_strings_in_bodies(peer: Peer) -> None:
    whole = {**REST.with_text("one", speed=" 1.5 ", sample_rate="8000"), "stream": "false"}
    status, sound = await REST.say(peer, whole)
    assert (status, len(sound)) == (200, round(WORD_SECONDS * 8000) * 2)
    async with peer.http.post(REST.path, json={**whole, "stream": "true"}) as answer:
        assert answer.content_type == "text/event-stream"
        await answer.read()
    assert (await OPENAI.say(peer, OPENAI.with_text("one", speed="1.5")))[0] == 200
    assert {each.options.speed for each in peer.engine.sessions} == {1.5}


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-inf", "0x1", "", " ", "1e999", "9" * 400, "1_0", "1,5", "１"]
)
async def test_strings_that_are_no_numbers_are_refused(peer: Peer, value: str) -> None:
    bodies = [
        (REST, REST.with_text("one", speed=value), "speed"),
        (OPENAI, OPENAI.with_text("one", speed=value), "speed"),
        (ELEVENLABS, ELEVENLABS.with_text("one", voice_settings={"speed": value}), "speed"),
        (ELEVENLABS, ELEVENLABS.with_text("one", seed=value), "seed"),
    ]
    run = json.loads(DASHSCOPE.run)
    run["payload"]["parameters"]["sample_rate"] = value
    frames = [
        (PATH, run_task("t", sample_rate=value), "payload.parameters.sample_rate: "),
        (DASHSCOPE.path, json.dumps(run), "payload.parameters.sample_rate: "),
    ]
    for call, body, field in bodies:
        status, found = await call.say(peer, body)
        assert status == 400
        told = found.decode()
        assert f"{field}: {value[:20]!r}"[:-1] in told
        assert "is not allowed; allowed: a" in told
    for path, frame, field in frames:
        async with peer.socket(path) as socket:
            await socket.send(frame)
            message = (await socket.next())["header"]["error_message"]
        assert message.startswith(f"{field}{value[:20]!r}"[:-1])
        assert "is not allowed; allowed: " in message
    assert not peer.engine.sessions
