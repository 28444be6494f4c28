"""Uploads: what is taken, what is refused and why."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cosyserve.protocol.errors import InvalidAudio, InvalidParameter, PayloadTooLarge
from cosyserve.server.voices.clip import Clip, ClipLimits, content_id, decode_clip, judge
from support.listening.audio import delay_of, speechlike
from support.peers.uploads import FILES, LIMITS, PCM, SPEECH, file_of, refusal, wav


@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_gives_its_sound(name: str, layout: str) -> None:
    clip = decode_clip(file_of(name, layout=layout), None, LIMITS)
    assert clip.sample_rate == (48000 if "opus" in name or name == "webm" else 24000)
    assert clip.samples.dtype == np.float32
    assert clip.seconds == pytest.approx(2.0, abs=0.1)
    got = clip.samples[:: clip.sample_rate // 24000]
    lag = delay_of(got[: 24000 + 3000], SPEECH[:24000], 3000)
    assert np.corrcoef(got[lag : lag + 24000], SPEECH[:24000])[0, 1] > 0.95


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000, 192000])
def test_the_file_s_own_sample_rate_is_kept(rate: int) -> None:
    clip = decode_clip(file_of("wav", speechlike(rate, 1.2), rate), 16000, LIMITS)
    assert clip.sample_rate == rate
    assert clip.seconds == pytest.approx(1.2, abs=0.001)


@pytest.mark.parametrize("rate", [None, 8000, 16000, 44100, 48000])
def test_unknown_bytes_are_pcm(rate: int | None) -> None:
    clip = decode_clip(PCM, rate, LIMITS)
    assert clip.sample_rate == (rate or 16000)
    np.testing.assert_array_equal(clip.samples * 32768, np.frombuffer(PCM, "<i2"))


@pytest.mark.parametrize("rate", [0, 7999, 48001, -16000])
def test_a_rate_out_of_range_is_named(rate: int) -> None:
    with pytest.raises(InvalidParameter, match=f"sample_rate: {rate} .*8000 to 48000"):
        decode_clip(PCM, rate, LIMITS)


@pytest.mark.parametrize("start", [b"\xff\xfb\x90\x64", b"\xff\xff\xff\xff", b"\xff\xf1\x50\x80"])
def test_pcm_may_begin_like_a_frame(start: bytes) -> None:
    assert decode_clip(start + PCM, 24000, LIMITS).seconds > 2


def test_an_odd_number_of_bytes_is_no_pcm() -> None:
    assert f"{len(PCM) + 1} bytes" in refusal(PCM + b"\0")


def test_random_bytes_are_no_pcm() -> None:
    assert "noise" in refusal(np.random.default_rng(1).bytes(100_000))


def test_hiss_is_pcm() -> None:
    hiss = (np.random.default_rng(1).standard_normal(48000) * 3000).astype("<i2")
    assert decode_clip(hiss.tobytes(), None, LIMITS).seconds == 3


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"\x7fELF\x02\x01\x01" + bytes(100_000), "ELF"),
        (b"MZ" + bytes(126) + b"PE\0\0" + bytes(100_000), "EXE"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100_000), "PNG"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(100_000), "JPEG"),
        (b"%PDF-1.7\n%\xe2\xe3" + bytes(100_000), "PDF"),
        (b"PK\x03\x04\x14" + bytes(100_000), "ZIP"),
        (b"\x1f\x8b\x08\0" + bytes(100_000), "gzip"),
        (b"RIFF\0\0\1\0AVI LIST" + bytes(100_000), "not WAVE"),
        (b"FORM\0\0\1\0ILBMBMHD" + bytes(100_000), "IFF"),
        (b"<!DOCTYPE html><html>" + b"<p>text</p>" * 9000, "text"),
        (b'{"audio": "' + b"QUJD" * 9000 + b'"}', "text"),
        (b"#EXTM3U\n#EXTINF:10,\nhttp://example.org/a.mp3\n" * 2000, "text"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n" * 2000, "text"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=audio 49170 RTP/AVP 0\r\n" * 999, "text"),
        ("你好,世界。".encode() * 9000, "text"),
        (b"short", "text"),
    ],
)
def test_what_is_no_audio_is_named(data: bytes, word: str) -> None:
    message = refusal(data)
    assert word in message
    assert "WAV" in message


@pytest.mark.parametrize("name", FILES)
def test_too_short_says_what_it_is(name: str) -> None:
    assert "too short; allowed: 1 to 30 s" in refusal(file_of(name, speechlike(24000, 0.5)))


@pytest.mark.parametrize("name", FILES)
def test_too_long_says_what_is_allowed(name: str) -> None:
    limits = replace(LIMITS, max_seconds=1.5)
    assert "more than 1.5 s of sound; allowed: 1 to 1.5 s" in refusal(file_of(name), limits=limits)


@pytest.mark.parametrize("name", FILES)
def test_the_longest_clip_may_carry_a_codec_s_padding(name: str) -> None:
    clip = decode_clip(file_of(name), None, replace(LIMITS, max_seconds=2.0))
    assert 1.98 <= clip.seconds <= 2.1


def test_pcm_too_short_and_too_long() -> None:
    assert "0.50 s" in refusal(PCM[:16000])
    assert "more than 30 s" in refusal(PCM * 20)


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0", b"RIFF", b"ID3", b"fLaC", b"OggS"])
def test_next_to_nothing_is_refused(data: bytes) -> None:
    assert refusal(data)


def test_a_large_upload_is_refused_unread() -> None:
    with pytest.raises(PayloadTooLarge, match="at most 1000"):
        decode_clip(bytes(1001), None, replace(LIMITS, max_bytes=1000))


@pytest.mark.parametrize("name", FILES)
def test_silence_is_refused(name: str) -> None:
    assert "silent" in refusal(file_of(name, np.zeros(48000, np.float32)))


def test_silent_pcm_is_refused() -> None:
    assert "nothing" in refusal(bytes(64000))
    whisper = (speechlike(16000, 2.0) * 30).astype("<i2").tobytes()
    assert "dB" in refusal(whisper)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused(bad: float) -> None:
    broken = SPEECH.copy()
    broken[1000] = bad
    assert "not finite" in refusal(wav(broken.astype("<f4").tobytes(), bits=32, tag=3))
    assert "not finite" in refusal(wav(broken.astype("<f8").tobytes(), bits=64, tag=3))
    with pytest.raises(InvalidAudio, match="not finite"):
        judge(Clip(broken, 24000), LIMITS)


def test_numbers_too_large_for_a_float_are_refused() -> None:
    huge = SPEECH.astype("<f8") * 1e300
    assert "not finite" in refusal(wav(huge.tobytes(), bits=64, tag=3))


@pytest.mark.parametrize("scale", [1.0, 7.0, 32768.0, 1e30])
def test_float_sound_over_full_scale_is_brought_down(scale: float) -> None:
    loud = (SPEECH * 4 * scale).astype("<f4")
    clip = decode_clip(wav(loud.tobytes(), bits=32, tag=3), None, LIMITS)
    assert 0.8 < np.abs(clip.samples).max() <= 1
    assert np.corrcoef(clip.samples, SPEECH)[0, 1] > 0.999


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF - 36])
def test_a_wav_stream_of_unknown_size_is_taken_whole(size: int) -> None:
    assert decode_clip(wav(PCM, size=size), None, LIMITS).seconds == pytest.approx(2.0)


@pytest.mark.parametrize("name", ["wav", "wav-24", "mp3", "flac", "webm", "aiff"])
def test_half_a_file_is_refused_where_its_header_tells(name: str) -> None:
    whole = file_of(name, speechlike(24000, 6.0))
    message = refusal(whole[: len(whole) // 2])
    assert "cut off" in message
    assert "6.0" in message


@pytest.mark.parametrize("name", ["ogg-opus", "adts"])
def test_half_a_file_is_what_is_there_where_nothing_tells(name: str) -> None:
    whole = file_of(name, speechlike(24000, 6.0))
    # FFmpeg's Ogg pages hold a second each, and half a page is none.
    assert 1.9 < decode_clip(whole[: len(whole) // 2], None, LIMITS).seconds < 3.6


@pytest.mark.parametrize("name", ["m4a", "alac", "caf-alac"])
def test_half_a_file_without_its_index_is_refused(name: str) -> None:
    whole = file_of(name)
    assert "cannot be decoded" in refusal(whole[: len(whole) // 2])


def test_a_few_bytes_missing_do_not_matter() -> None:
    whole = file_of("wav")
    assert decode_clip(whole[:-200], None, LIMITS).seconds == pytest.approx(2.0, abs=0.01)


def test_tags_in_any_alphabet_are_ignored() -> None:
    tag = b"TIT2\0\0\0\x05\0\0\0\xff\xfe\xfd\xfc"
    head = b"ID3\x03\0\0" + bytes([0, 0, 0, len(tag)]) + tag
    mp3 = file_of("mp3")
    assert decode_clip(head + mp3[mp3.index(b"\xff\xf3") :], None, LIMITS).seconds > 1.9


def test_limits_come_from_the_settings() -> None:
    given_ = SimpleNamespace(
        min_reference_seconds=2.0, max_reference_seconds=9.0, max_upload_bytes=77
    )
    assert ClipLimits.of(given_) == ClipLimits(2.0, 9.0, 77)


def test_equal_sound_and_text_have_one_id() -> None:
    clip = decode_clip(PCM, 16000, LIMITS)
    same = content_id(decode_clip(wav(PCM, 16000), None, LIMITS), "text")
    assert same == content_id(clip, "text")
    assert len(same) == 64
    others = {
        content_id(clip, "other"),
        content_id(clip, ""),
        content_id(decode_clip(PCM, 24000, LIMITS), "text"),
        content_id(decode_clip(PCM[2:], 16000, LIMITS), "text"),
        content_id(clip, "\ud800"),
    }
    assert len(others | {same}) == 6
