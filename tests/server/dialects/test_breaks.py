"""`<break>` in plain text, in every dialect on real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.engines.fake_engine import RATE, WORD_SECONDS, FakeEngine
from support.peers.peers import Peer
from support.peers.texts import CALLS, DASHSCOPE, ELEVENLABS, OWN, STREAM, TALKS, VOICE, Call, Talk

TEXT = 'one <break time="600ms"/> two & <i>.<break strength="strong"/> three'
SAID = ["one ", " two & <i>.", " three"]
SECONDS = 5 * WORD_SECONDS + 0.6 + 0.7

each_talk = pytest.mark.parametrize("talk", TALKS, ids=str)


@pytest.fixture
async def peer(served) -> AsyncIterator[Peer]:
    async with served(FakeEngine(word_times=True)) as (server, engine):
        async with Peer.of(server, engine) as peer:
            yield peer


@each_talk
@pytest.mark.parametrize("size", [1, 5, 100])
async def test_breaks_are_heard_wherever_the_text_is_cut(peer: Peer, talk: Talk, size: int) -> None:
    pieces = [TEXT[begin : begin + size] for begin in range(0, len(TEXT), size)]
    told = await talk.say(peer, pieces, ssml=True)
    assert not told.error
    assert told.seconds == pytest.approx(SECONDS)
    assert [each.text.rstrip() for each in peer.engine.sessions] == [s.rstrip() for s in SAID]


@each_talk
async def test_a_text_that_begins_with_a_break(peer: Peer, talk: Talk) -> None:
    told = await talk.say(peer, ["<bre", "ak time='1s'/>one"], ssml=True)
    assert told.seconds == pytest.approx(1 + WORD_SECONDS)


@each_talk
async def test_a_document_is_a_document(peer: Peer, talk: Talk) -> None:
    told = await talk.say(peer, ["<spe", "ak>one<break time='1s'/></speak>"], ssml=True)
    assert told.seconds == pytest.approx(1 + WORD_SECONDS)
    assert "outside <speak>" in (await talk.say(peer, ["<breakfast>one"], ssml=True)).error


@each_talk
async def test_a_wrong_break_is_named(peer: Peer, talk: Talk) -> None:
    told = await talk.say(peer, ["one <break time='1", "h'/> two"], ssml=True)
    assert "SSML, line 1, column 5: <break>: time is '1h'; allowed: from 0s to 10s" in told.error


async def test_a_flush_inside_of_a_tag(peer: Peer) -> None:
    told = await OWN.say(peer, ["one <break ti", None, "me='1s'/>two"], ssml=True)
    assert told.seconds == pytest.approx(1 + 2 * WORD_SECONDS)


async def test_without_ssml_tags_are_the_engines_business(peer: Peer) -> None:
    for talk in (OWN, DASHSCOPE):
        await talk.say(peer, [TEXT])
        assert peer.engine.sessions[-1].text == TEXT


@pytest.mark.parametrize("talk", [talk for talk in TALKS if not talk.run], ids=str)
async def test_elevenlabs_has_breaks_without_asking(peer: Peer, talk: Talk) -> None:
    told = await talk.say(peer, ["<b>x</b> ", TEXT[:10], TEXT[10:]])
    assert told.seconds == pytest.approx(SECONDS + WORD_SECONDS)
    times = [each["alignment"] for each in told.messages if each.get("alignment")]
    characters = "".join("".join(each["chars"]) for each in times)
    assert characters.rstrip() == "<b>x</b> " + "".join(SAID)


async def test_a_sentence_with_a_cut_tag_is_not_flushed(peer: Peer) -> None:
    address = STREAM.path + "&auto_mode=true"
    async with peer.socket(address) as socket:
        await socket.send(*STREAM.frames(['One two. <break time="1', '.5s"/> three four.']))
        told = await STREAM.heard(socket)
    assert told.seconds == pytest.approx(1.5 + 4 * WORD_SECONDS)


async def test_elevenlabs_over_http(peer: Peer) -> None:
    status, sound = await ELEVENLABS.say(peer, ELEVENLABS.with_text(TEXT))
    assert (status, len(sound) / RATE / 2) == (200, pytest.approx(SECONDS))
    query = f"/with-timestamps{ELEVENLABS.query}"
    async with peer.http.post(VOICE + query, json={"text": TEXT}) as answer:
        found = await answer.json()
    alignment = found["alignment"]
    assert "".join(alignment["characters"]) == "".join(SAID)
    two = alignment["characters"].index("t")
    assert alignment["character_start_times_seconds"][two] == pytest.approx(0.65, abs=0.001)


@pytest.mark.parametrize("call", [call for call in CALLS if call.name != "openai"], ids=str)
async def test_a_wrong_break_in_a_body_has_a_status(peer: Peer, call: Call) -> None:
    more = {"enable_ssml": True} if call.name == "rest" else {}
    status, found = await call.say(peer, call.with_text("one <break time='x'/>", **more))
    assert status == 400
    assert "<break>: time is 'x'" in found.decode()


async def test_sentences_are_those_of_the_text_without_breaks(peer: Peer) -> None:
    told = await DASHSCOPE.say(peer, [TEXT[:8], TEXT[8:30], TEXT[30:]], ssml=True)
    outputs = [each["payload"].get("output", {}) for each in told.messages]
    ends = [each["original_text"] for each in outputs if each.get("type") == "sentence-end"]
    assert ends == ["one  ", "two & <i>. ", "three"]
    assert told.messages[-1]["payload"]["usage"]["characters"] == len("".join(SAID))
