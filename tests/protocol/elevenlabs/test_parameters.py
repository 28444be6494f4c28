"""What an address of the ElevenLabs dialect asks for."""

from __future__ import annotations

from typing import Any

import pytest

from cosyserve.protocol.elevenlabs import stream_options
from cosyserve.protocol.elevenlabs.parameters import (
    HOSTED_VOICES,
    OutputFormat,
    output_of,
    speed_of,
)
from cosyserve.protocol.errors import InvalidParameter, ModelNotFound
from cosyserve.protocol.parameters import AudioFormat, Mode


def test_what_is_assumed() -> None:
    options = stream_options("alba", {})
    assert options.output == OutputFormat(AudioFormat.MP3, 44100, "128k")
    assert (options.inactivity_timeout, options.seed) == (20.0, None)
    assert not any((options.enable_ssml, options.auto_mode, options.sync_alignment))
    speech = options.speech()
    assert (speech.mode, speech.reference_audio_id, speech.speed) == (Mode.FAST, "alba", 1.0)
    assert speech.word_timestamp_enabled


def test_everything_that_is_asked_for() -> None:
    options = stream_options(
        "alba",
        {
            "model_id": "eleven_turbo_v2_5",
            "output_format": "pcm_16000",
            "inactivity_timeout": "180",
            "enable_ssml_parsing": "true",
            "auto_mode": "True",
            "sync_alignment": "1",
            "apply_text_normalization": "off",
            "seed": "7",
            "language_code": "xx",
            "optimize_streaming_latency": "4",
            "enable_logging": "false",
        },
    )
    assert (options.model, options.inactivity_timeout, options.seed) == (
        "eleven_turbo_v2_5", 180.0, 7,
    )  # fmt: skip
    assert options.enable_ssml
    assert options.auto_mode
    assert options.sync_alignment
    speech = options.speech(1.2)
    assert (speech.output_format, speech.sample_rate) == (AudioFormat.PCM, 16000)
    assert (speech.speed, speech.seed, speech.enable_ssml) == (1.2, 7, True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mp3_44100", (AudioFormat.MP3, 44100, "128k")),
        ("mp3_22050_32", (AudioFormat.MP3, 22050, "32k")),
        ("mp3_24000_48", (AudioFormat.MP3, 24000, "48k")),
        ("mp3_44100_96", (AudioFormat.MP3, 44100, "128k")),  # as near as 64k, and better
        ("mp3_44100_192", (AudioFormat.MP3, 44100, "192k")),
        ("opus_48000_64", (AudioFormat.OPUS, 48000, "64k")),
        ("ulaw_8000", (AudioFormat.ULAW, 8000, "128k")),
        ("alaw_8000", (AudioFormat.ALAW, 8000, "128k")),
        ("opus_48000_32", (AudioFormat.OPUS, 48000, "32k")),
        ("pcm_8000", (AudioFormat.PCM, 8000, "128k")),
        ("wav_24000", (AudioFormat.WAV, 24000, "128k")),
    ],
)
def test_an_output_format(name: str, expected: tuple[AudioFormat, int, str]) -> None:
    assert output_of(name) == OutputFormat(*expected)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"output_format": "ulaw_16000"}, "ulaw_8000 or alaw_8000"),
        ({"output_format": "alaw_8000_64"}, "output_format"),
        ({"output_format": "wav_ulaw_8000"}, "output_format"),
        ({"output_format": "ulaw_22050"}, "output_format"),
        ({"output_format": "opus_44100_64"}, "output_format"),
        ({"output_format": "pcm_11025"}, "output_format"),
        ({"output_format": "pcm_16000_32"}, "output_format"),
        ({"output_format": ""}, "output_format"),
        ({"inactivity_timeout": "181"}, "inactivity_timeout"),
        ({"inactivity_timeout": "0"}, "inactivity_timeout"),
        ({"inactivity_timeout": "nan"}, "inactivity_timeout"),
        ({"inactivity_timeout": "soon"}, "1 to 180 (seconds)"),
        ({"auto_mode": "maybe"}, "auto_mode"),
        ({"sync_alignment": ""}, "sync_alignment"),
        ({"apply_text_normalization": "yes"}, "apply_text_normalization"),
        ({"seed": "-1"}, "seed"),
        ({"seed": str(2**32)}, "seed"),
    ],
)
def test_a_field_that_is_refused_is_named(query: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        stream_options("alba", query)
    assert named in refused.value.message


@pytest.mark.parametrize("model", ["gpt-4o", "eleven_", "eleven_a b", ""])
def test_a_model_of_somebody_else_is_not_here(model: str) -> None:
    with pytest.raises(ModelNotFound, match="model_id"):
        stream_options("alba", {"model_id": model})


@pytest.mark.parametrize("voice", ["", "v" * 129])
def test_a_voice_is_of_some_length(voice: str) -> None:
    with pytest.raises(InvalidParameter, match="voice_id"):
        stream_options(voice, {})


def test_hosted_voices_are_told_by_their_ids() -> None:
    assert HOSTED_VOICES.fullmatch("21m00Tcm4TlvDq8ikWAM")
    assert not HOSTED_VOICES.fullmatch("alba")
    assert not HOSTED_VOICES.fullmatch("0a0d2c4e-0000-4000-8000-000000000000")


@pytest.mark.parametrize(
    ("settings", "speed"),
    [
        (None, 1.0),
        ({}, 1.0),
        ({"stability": 0.5, "similarity_boost": 0.8}, 1.0),
        ({"speed": None}, 1.0),
        ({"speed": 2}, 2.0),
    ],
)
def test_the_speed(settings: Any, speed: float) -> None:
    assert speed_of({"voice_settings": settings}) == speed


@pytest.mark.parametrize("settings", [{"speed": 0.4}, {"speed": 2.1}, {"speed": "fast"}, []])
def test_a_speed_that_is_refused(settings: Any) -> None:
    with pytest.raises(InvalidParameter, match="voice_settings"):
        speed_of({"voice_settings": settings})
