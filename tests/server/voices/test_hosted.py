from __future__ import annotations

import pytest

from cosyserve.engine.interface import BuiltinVoice
from cosyserve.protocol.errors import ReferenceAudioNotFound
from cosyserve.protocol.openai import HOSTED_VOICES
from cosyserve.server.voices.book import VoiceNames

WOMEN = [BuiltinVoice(name, name.title(), "female") for name in ("ada", "bea")]
MEN = [BuiltinVoice(name, name.title(), "male") for name in ("carl", "dan", "eric")]


def test_hosted_names_are_spread_over_the_engines_voices() -> None:
    names = VoiceNames((), None, [*WOMEN, *MEN])
    meant = {name: names.resolve(name) for name in HOSTED_VOICES}
    assert set(meant.values()) == {"ada", "bea", "carl", "dan", "eric"}
    for name, gender in HOSTED_VOICES.items():
        assert meant[name] in {voice.id for voice in (WOMEN if gender == "female" else MEN)}
    again = VoiceNames((), None, [*WOMEN, *MEN])
    assert meant == {name: again.resolve(name) for name in HOSTED_VOICES}


def test_a_gender_that_the_engine_lacks_gets_what_there_is() -> None:
    names = VoiceNames((), None, MEN)
    assert {names.resolve(name) for name in HOSTED_VOICES} == {"carl", "dan", "eric"}


def test_what_is_configured_comes_first() -> None:
    names = VoiceNames((("nova", "dan"), ("house", "some-reference")), None, WOMEN)
    assert names.resolve("nova") == "dan"
    assert names.resolve("house") == "some-reference"
    assert names.resolve("alloy") == "ada"
    assert names.resolve("anything") == "anything"


def test_the_default_stands_for_all_other_hosted_names() -> None:
    names = VoiceNames((("nova", "dan"),), "the-reference", WOMEN)
    assert names.resolve("alloy") == "the-reference"
    assert names.resolve("nova") == "dan"
    assert names.resolve("bea") == "bea"


def test_without_any_voice_the_error_says_what_to_do() -> None:
    names = VoiceNames((("nova", "x"),), None, ())
    with pytest.raises(ReferenceAudioNotFound) as caught:
        names.resolve("alloy")
    assert "openai_voices" in caught.value.message
    assert "openai_default_voice" in caught.value.message
    assert list(names.listed()) == [("nova", "nova")]


def test_a_name_of_the_engines_own_is_listed_once() -> None:
    names = VoiceNames((), None, [*WOMEN, BuiltinVoice("nova", "Nova", "female")])
    listed = list(names.listed())
    assert listed[2] == ("nova", "Nova")
    assert [voice_id for voice_id, _ in listed].count("nova") == 1
    assert names.resolve("nova") == "nova"
