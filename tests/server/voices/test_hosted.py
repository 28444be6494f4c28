"""What the voice names of a hosted service become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from cosyserve.engine.interface import BuiltinVoice, Prompt
from cosyserve.protocol.errors import ReferenceAudioNotFound
from cosyserve.protocol.openai import HOSTED_VOICES
from cosyserve.server.voices import open_store
from cosyserve.server.voices.book import HostedVoices, VoiceBook
from cosyserve.server.voices.clip import ClipLimits
from support.engines.fake_engine import FakeEngine

WOMEN = [BuiltinVoice(name, name.title(), "female") for name in ("ada", "bea")]
MEN = [BuiltinVoice(name, name.title(), "male") for name in ("carl", "dan", "eric")]


class VoicedEngine(FakeEngine):
    """Has these voices of its own."""

    def __init__(self, *voices: BuiltinVoice) -> None:
        super().__init__()
        self.capabilities = replace(self.capabilities, voices=voices)

    def builtin_prompt(self, voice_id: str) -> Prompt | None:
        ids = {voice.id for voice in self.capabilities.voices}
        return Prompt(voice_id) if voice_id in ids else None


class Names:
    """A book without references, asked for names only."""

    def __init__(self, folder: Path, hosted: HostedVoices, *voices: BuiltinVoice) -> None:
        self._hosted = hosted
        self._book = VoiceBook(VoicedEngine(*voices), open_store(str(folder)), ClipLimits())

    async def __call__(self, name: str) -> str:
        return (await self._book.resolve(None, name, self._hosted)).content_id

    async def all(self) -> Mapping[str, str]:
        return {name: await self(name) for name in HOSTED_VOICES}

    @property
    def listed(self) -> list[tuple[str, str]]:
        return [(voice.id, voice.name) for voice in self._book.built_in(self._hosted)]


OPENAI = HostedVoices(HOSTED_VOICES, None)


async def test_hosted_names_are_spread_over_the_engines_voices(tmp_path: Path) -> None:
    meant = await Names(tmp_path, OPENAI, *WOMEN, *MEN).all()
    assert set(meant.values()) == {"ada", "bea", "carl", "dan", "eric"}
    for name, gender in HOSTED_VOICES.items():
        assert meant[name] in {voice.id for voice in (WOMEN if gender == "female" else MEN)}
    assert meant == await Names(tmp_path, OPENAI, *WOMEN, *MEN).all()


async def test_a_gender_that_the_engine_lacks_gets_what_there_is(tmp_path: Path) -> None:
    meant = await Names(tmp_path, OPENAI, *MEN).all()
    assert set(meant.values()) == {"carl", "dan", "eric"}


async def test_an_alias_comes_first(tmp_path: Path) -> None:
    aliases = {"nova": "bea", "house": "Ada", "bea": "ada"}
    voice = Names(tmp_path, HostedVoices(HOSTED_VOICES, None, aliases), *WOMEN)
    assert [await voice(name) for name in aliases] == ["bea", "ada", "ada"]
    assert await voice("alloy") == "ada"
    with pytest.raises(ReferenceAudioNotFound, match="'anything'"):
        await voice("anything")


async def test_the_default_stands_for_all_other_hosted_names(tmp_path: Path) -> None:
    voice = Names(tmp_path, HostedVoices(HOSTED_VOICES, "bea", {"nova": "ada"}), *WOMEN)
    assert (await voice("alloy"), await voice("nova"), await voice("ada")) == ("bea", "ada", "ada")


async def test_without_any_voice_the_error_says_what_to_do(tmp_path: Path) -> None:
    voice = Names(tmp_path, HostedVoices(HOSTED_VOICES, None, {"nova": "x"}, "such_and_such"))
    with pytest.raises(ReferenceAudioNotFound, match="settings such_and_such"):
        await voice("alloy")
    assert voice.listed == [("nova", "nova")]


async def test_a_name_of_the_engines_own_is_listed_once(tmp_path: Path) -> None:
    voice = Names(tmp_path, OPENAI, *WOMEN, BuiltinVoice("nova", "Nova", "female"))
    assert voice.listed[2] == ("nova", "Nova")
    assert [voice_id for voice_id, _ in voice.listed].count("nova") == 1
    assert await voice("nova") == "nova"
