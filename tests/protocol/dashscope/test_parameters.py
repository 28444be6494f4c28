"""Parameters of the DashScope dialect in our own terms, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from cosyserve.protocol.dashscope.parameters import check_model, speech_parameters
from cosyserve.protocol.errors import InvalidParameter, ModelNotFound
from cosyserve.protocol.parameters import Mode
from cosyserve.protocol.phrases import Pronunciation, Replacement

SDK_DEFAULTS = {
    "voice": "longxiaochun",
    "volume": 50,
    "text_type": "PlainText",
    "sample_rate": 0,
    "rate": 1.0,
    "format": "Default",
    "pitch": 1.0,
    "seed": 0,
    "type": 0,
}


def test_the_sdks_defaults_are_mp3_at_22050() -> None:
    asked = speech_parameters(dict(SDK_DEFAULTS))
    assert (asked.output_format, asked.sample_rate) == ("mp3", 22050)
    assert (asked.reference_audio_id, asked.mode) == ("longxiaochun", Mode.FAST)
    assert (asked.volume, asked.speed, asked.pitch, asked.seed) == (1.0, 1.0, 1.0, 0)
    assert not asked.enable_ssml
    assert not asked.word_timestamp_enabled
    assert asked.audio_transport == "binary"


def test_a_voice_is_enough() -> None:
    assert speech_parameters({"voice": "v"}).output_format == "mp3"


@pytest.mark.parametrize(("volume", "gain"), [(0, 1e-4), (25, 0.5), (50, 1.0), (100, 2.0)])
def test_volume_is_linear_around_50(volume: int, gain: float) -> None:
    assert speech_parameters({"voice": "v", "volume": volume}).volume == gain


@pytest.mark.parametrize(
    ("bit_rate", "used"), [(None, "32k"), (16, "16k"), (60, "64k"), (64000, "64k"), (510, "384k")]
)
def test_opus_takes_kilobits(bit_rate: int | None, used: str) -> None:
    given = {"voice": "v", "format": "opus", "sample_rate": 24000, "bit_rate": bit_rate}
    assert speech_parameters(given).bit_rate == used


@pytest.mark.parametrize(("asked", "used"), [(22050, 24000), (44100, 48000), (16000, 16000)])
def test_opus_is_written_at_the_codecs_next_rate(asked: int, used: int) -> None:
    given = {"voice": "v", "format": "opus", "sample_rate": asked}
    assert speech_parameters(given).sample_rate == used


def test_an_instruction_asks_for_its_mode() -> None:
    asked = speech_parameters({"voice": "v", "instruction": "Speak slowly."})
    assert (asked.mode, asked.instruct) == (Mode.NATURAL_LANGUAGE, "Speak slowly.")
    assert speech_parameters({"voice": "v", "instruction": " "}).mode is Mode.FAST


@pytest.mark.parametrize("given", [{"enable_ssml": True}, {"text_type": "SSML"}])
def test_either_way_asks_for_ssml(given: dict[str, Any]) -> None:
    assert speech_parameters({"voice": "v", **given}).enable_ssml


@pytest.mark.parametrize(
    "given",
    [
        {"voice": ""},
        {"voice": 3},
        {"voice": "x" * 129},
        {"format": "flv"},
        {"sample_rate": 8000, "format": "ulaw"},  # the hosted service has no G.711
        {"sample_rate": 12345},
        {"volume": 101},
        {"volume": "loud"},
        {"rate": 0.4},
        {"pitch": 2.1},
        {"seed": -1},
        {"seed": 65536},
        {"text_type": "HTML"},
        {"enable_ssml": "yes"},
        {"word_timestamp_enabled": 1},
        {"instruction": "x" * 1001},
        {"format": "opus", "bit_rate": 5},
    ],
)
def test_a_wrong_value_names_its_parameter(given: dict[str, Any]) -> None:
    with pytest.raises(
        InvalidParameter, match=rf"payload\.parameters\.{list(given)[-1]}: "
    ) as info:
        speech_parameters({"voice": "v", **given})
    assert "allowed: " in info.value.message


@pytest.mark.parametrize(
    ("fix", "named"),
    [
        ("a", "hot_fix"),
        ({"pronunciation": {"天气": "tian1 qi4"}}, "hot_fix.pronunciation"),
        ({"pronunciation": [{"a": "b"}] * 51}, "hot_fix.pronunciation"),
        ({"pronunciation": [{"天气": 1}]}, "hot_fix.pronunciation.0"),
        ({"pronunciation": [{"": "a1"}]}, "hot_fix.pronunciation.0"),
        ({"pronunciation": [{" ": "a1"}]}, "hot_fix.pronunciation.0"),
        ({"pronunciation": [{"天": " "}]}, "hot_fix.pronunciation.0"),
        (
            {"pronunciation": [{"b": "a1"}, {"a": "a1"}], "replace": [{"a": "b"}]},
            "hot_fix.pronunciation.1",
        ),
        ({"replace": {"a": "b"}}, "hot_fix.replace"),
        ({"replace": {}}, "hot_fix.replace"),
        ({"replace": [{"a": "b"}] * 51}, "hot_fix.replace"),
        ({"replace": [{"a": "b"}, "c"]}, "hot_fix.replace.1"),
        ({"replace": [{"a": 1}]}, "hot_fix.replace.0"),
        ({"replace": [{"": "b"}]}, "hot_fix.replace.0"),
        ({"replace": [{"a": "b", "c": "d"}]}, "hot_fix.replace.0"),
        ({"replace": [{"a" * 65: "b"}]}, "hot_fix.replace.0"),
        ({"replace": [{"a": "b" * 257}]}, "hot_fix.replace.0"),
    ],
)
def test_a_fix_that_cannot_be_made_is_refused(fix: Any, named: str) -> None:
    with pytest.raises(InvalidParameter, match=rf"payload\.parameters\.{named}: "):
        speech_parameters({"voice": "v", "hot_fix": fix})


def test_phrases_are_replaced_by_others() -> None:
    fix = {"replace": [{"a": "b"}, {"今天": "金天"}, {"a": ""}], "pronunciation": []}
    asked = speech_parameters({"voice": "v", "rate": 1.5, "hot_fix": fix})
    assert asked.pronunciations == (Replacement("a", ""), Replacement("今天", "金天"))
    assert asked.speed == 1.5


@pytest.mark.parametrize(
    ("sounds", "alphabet"),
    [
        ("tian1 qi4", "py"),
        ("tiān qì", "py"),
        ("nü3 er2", "py"),
        ("Tian1qi4", "py"),
        ("HH AH0 L OW1", "cmu-arpabet"),
        ("həˈloʊ", "ipa"),
        ("win", "ipa"),
    ],
)
def test_words_are_pronounced_in_the_alphabet_that_is_meant(sounds: str, alphabet: str) -> None:
    asked = speech_parameters({"voice": "v", "hot_fix": {"pronunciation": [{"天气": sounds}]}})
    where = "payload.parameters.hot_fix.pronunciation.0"
    assert asked.pronunciations == (Pronunciation("天气", alphabet, sounds, where),)


def test_a_missing_voice_is_named() -> None:
    with pytest.raises(InvalidParameter, match=r"payload\.parameters\.voice: missing"):
        speech_parameters({})


@pytest.mark.parametrize(
    "given",
    [{"language_hints": ["zh"]}, {"type": 0}, {"unknown": object()}, {"hot_fix": {"replace": []}}],
)
def test_what_changes_nothing_is_passed_over(given: dict[str, Any]) -> None:
    assert speech_parameters({"voice": "v", **given}) == speech_parameters({"voice": "v"})


@pytest.mark.parametrize("model", ["cosyvoice-v1", "cosyvoice-v3-flash", "CosyVoice2-0.5B"])
def test_every_cosyvoice_is_served(model: str) -> None:
    assert check_model(model) == model


@pytest.mark.parametrize(
    "model", ["", "sambert-zhichu-v1", "cosyvoice/../x", "cosyvoice" + "x" * 99]
)
def test_other_models_are_not_here(model: str) -> None:
    with pytest.raises(ModelNotFound):
        check_model(model)


def test_numbers_and_booleans_as_strings() -> None:
    given = {
        "voice": "v",
        "format": "opus",
        "sample_rate": "16000",
        "bit_rate": "64",
        "volume": "25",
    }
    given |= {"rate": "1.5", "pitch": "0.5", "seed": "7", "enable_ssml": "true"}
    asked = speech_parameters({**given, "word_timestamp_enabled": "False"})
    assert (asked.sample_rate, asked.bit_rate, asked.volume) == (16000, "64k", 0.5)
    assert (asked.speed, asked.pitch, asked.seed) == (1.5, 0.5, 7)
    assert (asked.enable_ssml, asked.word_timestamp_enabled) == (True, False)
