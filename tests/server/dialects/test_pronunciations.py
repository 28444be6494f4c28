"""Words whose pronunciation a request tells, in every dialect that has a place for it, on real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cosyserve.engine.interface import Sounds
from support.engines.fake_engine import FakeEngine
from support.engines.phonetic_engine import PhoneticFakeEngine, SpellingFakeEngine
from support.peers.peers import Peer
from support.peers.texts import DASHSCOPE, OWN, REST, Talk

SYNTHESIZER = "/api/v1/services/audio/tts/SpeechSynthesizer"
SOUNDS = [("Nguyen", Sounds("ipa", "wɪn")), ("银行", Sounds("py", "yin2 hang2"))]
OWN_FIELDS = {
    "pronunciations": [
        {"word": word, "alphabet": sounds.alphabet, "sounds": sounds.written}
        for word, sounds in SOUNDS
    ]
}
FIXES = {"hot_fix": {"pronunciation": [{word: sounds.written} for word, sounds in SOUNDS]}}
TEXT = "Nguyen, Nguyens, 去银行 Nguyen."
SAID = [SOUNDS[0], SOUNDS[1], SOUNDS[0]]


@pytest.fixture
async def peer(served: Any) -> AsyncIterator[Peer]:
    async with served(PhoneticFakeEngine(word_times=True)) as (server, engine):
        async with Peer.of(server, engine) as peer:
            yield peer


def said(peer: Peer) -> list[list[tuple[str, Sounds]]]:
    assert isinstance(peer.engine, PhoneticFakeEngine)
    return peer.engine.said


def of(word: str, sounds: str, talk: Talk) -> dict[str, Any]:
    """The fields that ask for this."""
    if talk is OWN:
        return {"pronunciations": [{"word": word, "alphabet": "ipa", "sounds": sounds}]}
    return {"hot_fix": {"pronunciation": [{word: sounds}]}}


async def synthesize(peer: Peer, words: str, **more: Any) -> tuple[int, dict[str, Any]]:
    """DashScope over HTTP."""
    asked = {"model": "cosyvoice-v2", "input": {"text": words, "voice": "plain", **more}}
    async with peer.http.post(SYNTHESIZER, json=asked) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize(("talk", "more"), [(OWN, OWN_FIELDS), (DASHSCOPE, FIXES)], ids=str)
@pytest.mark.parametrize("ssml", [False, True])
@pytest.mark.parametrize("size", [1, 4, 100])
async def test_words_are_found_wherever_the_text_is_cut(
    peer: Peer, talk: Talk, more: Any, size: int, ssml: bool
) -> None:
    pieces = [TEXT[begin : begin + size] for begin in range(0, len(TEXT), size)]
    told = await talk.say(peer, pieces, ssml=ssml, more=more)
    assert not told.error
    assert said(peer) == [SAID]
    assert peer.engine.sessions[0].text == TEXT


@pytest.mark.parametrize(("talk", "more"), [(OWN, OWN_FIELDS), (DASHSCOPE, FIXES)], ids=str)
async def test_words_are_found_between_breaks_and_in_documents(
    peer: Peer, talk: Talk, more: Any
) -> None:
    told = await talk.say(peer, ["Nguyen<break time='1s'/>Ngu", "yen"], ssml=True, more=more)
    assert not told.error
    assert said(peer) == [SAID[:1], SAID[:1]]
    document = "<speak>Nguyen <emphasis>xNguyen Nguyen</emphasis><phoneme ph='ɛks'>Nguyen</phoneme></speak>"
    told = await talk.say(peer, [document], ssml=True, more=more)
    assert not told.error
    assert said(peer)[2:] == [SAID[:1], SAID[:1], [("Nguyen", Sounds("ipa", "ɛks"))]]


async def test_a_flush_ends_a_word(peer: Peer) -> None:
    await OWN.say(peer, ["I am Nguyen", None, "s, Ngu", None, "yen"], more=OWN_FIELDS)
    assert said(peer) == [SAID[:1]]


async def test_words_keep_their_places(peer: Peer) -> None:
    more = {**OWN_FIELDS, "word_timestamp_enabled": True}
    told = await OWN.say(peer, ["I am Ng", "uyen now"], more=more)
    words = [w for m in told.messages for w in m["payload"].get("output", {}).get("words", [])]
    assert [(w["text"], w["begin_index"]) for w in words] == [
        *(("I", 0), ("am", 2), ("Nguyen", 5), ("now", 12)),
    ]


async def test_a_word_is_spoken_as_soon_as_it_is_certain(peer: Peer) -> None:
    """Nothing but what may become a word of the list waits for more text."""
    async with peer.socket(OWN.path) as socket:
        frames = OWN.frames(["I saw Ngo ", "Nguyen, Ng"], more=OWN_FIELDS)
        await socket.send(*frames[:-1])
        heard = 0
        async for data in socket.raw:
            heard += json.loads(data)["header"]["event"] == "result-generated"
            if heard == 4:  # I saw Ngo Nguyen,
                break
        assert peer.engine.sessions[0].text == "I saw Ngo Nguyen, "
        await socket.send(frames[-1])
        await OWN.heard(socket)
    assert peer.engine.sessions[0].text == "I saw Ngo Nguyen, Ng"


async def test_over_http(peer: Peer) -> None:
    status, _ = await REST.say(peer, REST.with_text(TEXT, **OWN_FIELDS))
    assert status == 200
    status, _ = await synthesize(peer, TEXT, **FIXES)
    assert status == 200
    assert said(peer) == [SAID, SAID]


@pytest.mark.parametrize("talk", [OWN, DASHSCOPE], ids=str)
async def test_sounds_that_the_engine_lacks_are_named(peer: Peer, talk: Talk) -> None:
    told = await talk.say(peer, ["one"], more=of("Nguyen", "aʁ", talk))
    assert "'aʁ': no sound 'ʁ'; allowed: others" in told.error
    where = "pronunciations.0.sounds" if talk is OWN else "hot_fix.pronunciation.0"
    assert told.error.startswith(f"payload.parameters.{where}: ")
    assert peer.engine.sessions == []


async def test_sounds_that_the_engine_lacks_are_named_over_http(peer: Peer) -> None:
    status, found = await REST.say(peer, REST.with_text("one", **of("Nguyen", "aʁ", OWN)))
    assert (status, json.loads(found)["code"]) == (400, "InvalidParameter")
    assert "input.pronunciations.0.sounds: 'aʁ': no sound 'ʁ'" in json.loads(found)["message"]
    status, told = await synthesize(peer, "one", **of("Nguyen", "aʁ", DASHSCOPE))
    assert (status, told["code"]) == (400, "InvalidParameter")
    assert "input.hot_fix.pronunciation.0: 'aʁ': no sound 'ʁ'" in told["message"]


async def test_an_engine_that_takes_no_sounds_refuses_them(served: Any) -> None:
    async with served(FakeEngine()) as (server, engine), Peer.of(server, engine) as peer:
        for talk in (OWN, DASHSCOPE):
            told = await talk.say(peer, ["one"], more=of("Nguyen", "wɪn", talk))
            assert (
                "takes no phonemes and no pinyin; allowed: to have 'Nguyen' replaced" in told.error
            )
        status, _ = await REST.say(peer, REST.with_text("one", **of("Nguyen", "wɪn", OWN)))
        assert status == 400
        status, told_then = await synthesize(peer, "one", **of("Nguyen", "wɪn", DASHSCOPE))
        assert (status, told_then["code"]) == (400, "InvalidParameter")
        assert engine.sessions == []


async def test_an_engine_that_spells_sounds_gets_them_in_its_text(served: Any) -> None:
    async with (
        served(SpellingFakeEngine()) as (server, engine),
        Peer.of(server, engine) as peer,
    ):
        fix = {"hot_fix": {"pronunciation": [{"red": "R EH1 D"}]}, "word_timestamp_enabled": True}
        told = await DASHSCOPE.say(peer, ["He re", "d it, reds"], more=fix)
        assert not told.error
        assert engine.sessions[0].text == "He [R][EH1][D] it, reds"
        words = [
            (word["text"], word["begin_index"])
            for message in told.messages
            for word in message["payload"].get("output", {}).get("sentence", {}).get("words", [])
        ]
        assert words[:3] == [("He", 0), ("red", 3), ("it,", 7)]
        for sounds in ("Q AH0", "wɪn", "ni3"):
            told = await DASHSCOPE.say(peer, ["one"], more=of("red", sounds, DASHSCOPE))
            assert "(fake) has no such sounds; allowed: its own in cmu-arpabet" in told.error
