from __future__ import annotations

from pathlib import Path

import pytest

from cosyserve.server.settings import SettingsError, load_settings
from cosyserve.server.settings.dialects import parse_aliases


def test_aliases_come_as_text_or_as_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = (("alloy", "alba"), ("nova", "My clone"))
    assert parse_aliases("alloy=alba, nova = My clone") == expected
    assert parse_aliases({"alloy": "alba", "nova": "My clone"}) == expected
    assert parse_aliases(expected) == expected
    assert parse_aliases(["alloy=alba", "nova=My clone"]) == expected
    assert parse_aliases("") == ()
    file = tmp_path / "c.toml"
    file.write_text('[openai_voices]\nalloy = "alba"\nnova = "My clone"\n')
    assert load_settings({"config": str(file)}).openai_voices == expected
    monkeypatch.setenv("COSYSERVE_OPENAI_VOICES", "alloy=alba,nova=My clone")
    assert load_settings().openai_voices == expected


@pytest.mark.parametrize(
    "value",
    [
        "alloy",
        "=alba",
        "alloy=",
        "a b=alba",
        {"alloy": 3},
        {"": "alba"},
        7,
        [7],
        [("a",)],
        "x" * 65 + "=alba",
    ],
)
def test_what_is_no_alias_is_refused(value: object) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"openai_voices": value})
    assert caught.value.lines[0].startswith("openai_voices: ")
    assert "NAME=VOICE" in caught.value.lines[0]


def test_a_name_cannot_stand_for_two_voices() -> None:
    with pytest.raises(SettingsError, match="nova stands for two voices"):
        load_settings({"openai_voices": "nova=alba,nova=clara"})


def test_the_default_voice_can_be_switched_off() -> None:
    assert load_settings({"openai_default_voice": "alba"}).openai_default_voice == "alba"
    assert load_settings({"openai_default_voice": "none"}).openai_default_voice is None
    with pytest.raises(SettingsError, match="openai_default_voice"):
        load_settings({"openai_default_voice": "x" * 129})
