"""Uploads: what is taken, what is refused and why, and that nothing in them does harm."""

from __future__ import annotations

import io
import resource
import struct
from types import SimpleNamespace

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosyserve.protocol.errors import InvalidAudio, InvalidParameter, PayloadTooLarge, TTSError
from cosyserve.server.uploads import Clip, ClipLimits, content_id, decode_clip, judge
from support.audio import Floats, delay_of, make_file, speechlike

LIMITS = ClipLimits()
SPEECH = speechlike(24000, 2.0)
PCM = np.rint(SPEECH * 32767).astype("<i2").tobytes()

FILES = {
    "wav": ("wav", "pcm_s16le"),
    "wav-8": ("wav", "pcm_u8"),
    "wav-24": ("wav", "pcm_s24le"),
    "wav-32": ("wav", "pcm_s32le"),
    "wav-float": ("wav", "pcm_f32le"),
    "wav-double": ("wav", "pcm_f64le"),
    "wav-mulaw": ("wav", "pcm_mulaw"),
    "wav-alaw": ("wav", "pcm_alaw"),
    "wav-adpcm": ("wav", "adpcm_ms"),
    "mp3": ("mp3", "libmp3lame"),
    "flac": ("flac", "flac"),
    "ogg-opus": ("ogg", "libopus"),
    "m4a": ("ipod", "aac"),
    "mp4": ("mp4", "aac"),
    "adts": ("adts", "aac"),
    "webm": ("webm", "libopus"),
}


def file_of(name: str, samples: Floats = SPEECH, rate: int = 24000, layout: str = "mono") -> bytes:
    container, codec = FILES[name]
    return make_file(samples, rate, container, codec, layout)


def wav(
    data: bytes, rate: int = 24000, channels: int = 1, bits: int = 16, tag: int = 1, size: int = -1
) -> bytes:
    """A WAV file by hand; every field may be a lie."""
    block = channels * bits // 8 & 0xFFFF
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * block & 0xFFFFFFFF, block, bits)
    size = len(data) if size < 0 else size
    head = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", min(size + 36, 0xFFFFFFFF)) + head + data


def refusal(data: bytes, pcm_rate: int | None = None, limits: ClipLimits = LIMITS) -> str:
    with pytest.raises(InvalidAudio) as caught:
        decode_clip(data, pcm_rate, limits)
    return caught.value.message


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
        (b"FORM\0\0\1\0AIFFCOMM" + bytes(100_000), "AIFF"),
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


def test_playlists_behind_a_tag_or_a_header_are_not_followed() -> None:
    playlist = b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n" * 50
    for data in (
        b"ID3\x04\0\0\0\0\0\0" + playlist,
        b"\0\0\0\x08ftyp" + playlist,
        b"OggS" + playlist,
    ):
        assert "cannot be decoded" in refusal(data)


@pytest.mark.parametrize("name", FILES)
def test_too_short_says_what_it_is(name: str) -> None:
    assert "too short; allowed: 1 to 30 s" in refusal(file_of(name, speechlike(24000, 0.5)))


@pytest.mark.parametrize("name", FILES)
def test_too_long_says_what_is_allowed(name: str) -> None:
    limits = ClipLimits(max_seconds=1.5)
    assert "more than 1.5 s of sound; allowed: 1 to 1.5 s" in refusal(file_of(name), limits=limits)


@pytest.mark.parametrize("name", FILES)
def test_the_longest_clip_may_carry_a_codec_s_padding(name: str) -> None:
    clip = decode_clip(file_of(name), None, ClipLimits(max_seconds=2.0))
    assert 1.98 <= clip.seconds <= 2.1


def test_pcm_too_short_and_too_long() -> None:
    assert "0.50 s" in refusal(PCM[:16000])
    assert "more than 30 s" in refusal(PCM * 20)


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0", b"RIFF", b"ID3", b"fLaC", b"OggS"])
def test_next_to_nothing_is_refused(data: bytes) -> None:
    assert refusal(data)


def test_a_large_upload_is_refused_unread() -> None:
    with pytest.raises(PayloadTooLarge, match="at most 1000"):
        decode_clip(bytes(1001), None, ClipLimits(max_bytes=1000))


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


@pytest.mark.parametrize("name", ["wav", "wav-24", "mp3", "flac", "webm"])
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


def test_half_an_m4a_is_refused() -> None:
    whole = file_of("m4a")
    assert "cannot be decoded" in refusal(whole[: len(whole) // 2])


def test_a_few_bytes_missing_do_not_matter() -> None:
    whole = file_of("wav")
    assert decode_clip(whole[:-200], None, LIMITS).seconds == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(
    "head",
    [
        b"RIFF\xff\xff\xff\xffWAVE",
        b"ID3\x04\0\0\0\0\0\x10",
        b"fLaC",
        b"OggS",
        b"\0\0\0\x20ftypM4A ",
        b"\x1aE\xdf\xa3",
    ],
)
def test_a_signature_before_garbage_is_refused(head: bytes) -> None:
    assert refusal(head + b"not really a sound file" * 3000)
    assert refusal(head + np.random.default_rng(2).bytes(60_000))


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8, 64, 255])
def test_any_number_of_channels_is_mixed(channels: int) -> None:
    mono = np.rint(speechlike(8000, 1.1) * 32767).astype("<i2")
    data = wav(np.repeat(mono, channels).tobytes(), 8000, channels)
    clip = decode_clip(data, None, LIMITS)
    assert clip.seconds == pytest.approx(1.1, abs=0.01)
    np.testing.assert_allclose(clip.samples, mono[: len(clip.samples)] / 32768, atol=1e-6)


@pytest.mark.parametrize(
    "lie",
    [
        {"channels": 0},
        {"channels": 65535},
        {"rate": 0},
        {"rate": 1},
        {"rate": 7999},
        {"rate": 192001},
        {"rate": 2**31 - 1},
        {"rate": 2**32 - 1},
        {"bits": 0},
        {"bits": 128},
        {"tag": 0xFFFF},
        {"tag": 0x0130},
    ],
)
def test_impossible_headers_are_refused(lie: dict[str, int]) -> None:
    assert refusal(wav(PCM * 2, **lie))


def peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.mark.parametrize("name", ["flac", "mp3", "ogg-opus", "adts"])
def test_hours_of_silence_stop_at_the_limit(name: str) -> None:
    minute = np.zeros(60 * 8000, np.float32)
    container, codec = FILES[name]
    short = make_file(minute, 8000, container, codec)
    data = short * (LIMITS.max_bytes // len(short)) if name != "flac" else _hours_of_flac()
    before = peak_kib()
    assert "more than 30 s" in refusal(data)
    assert peak_kib() - before < 60_000


def _hours_of_flac() -> bytes:
    """An hour in large frames, and a header that promises sixty."""
    hour = np.zeros(3600 * 8000, np.float32)
    data = bytearray(make_file(hour, 8000, "flac", "flac", frame_size="65535"))
    assert len(data) < 100_000
    data[21:26] = ((data[21] & 0xF0) << 32 | 60 * 3600 * 8000).to_bytes(5, "big")
    return bytes(data)


def test_a_header_that_promises_little_does_not_hide_much() -> None:
    data = bytearray(file_of("flac", speechlike(24000, 40.0)))
    data[21:26] = ((data[21] & 0xF0) << 32 | 24000).to_bytes(5, "big")
    assert "more than 30 s" in refusal(bytes(data))


def test_a_video_without_sound_is_refused() -> None:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as file:
        stream = file.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        for _ in range(20):
            file.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        file.mux(stream.encode(None))
    assert refusal(out.getvalue())


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


def check_harmless(data: bytes) -> None:
    """Either a sound clip or one of the errors of the wire."""
    try:
        clip = decode_clip(data, None, LIMITS)
    except TTSError as error:
        error_message = error.message
    else:
        assert LIMITS.min_seconds <= clip.seconds <= LIMITS.max_seconds + 0.1
        assert np.isfinite(clip.samples).all()
        assert np.abs(clip.samples).max() <= 1
        return
    assert error_message.startswith(("file: ", "sample_rate: "))


SOUND = {name: file_of(name, speechlike(16000, 1.2), 16000) for name in FILES}
fuzz = settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))


@fuzz
@given(
    st.sampled_from(
        [
            *(b"RIFF\xff\xff\0\0WAVE", b"RIFF\0\0\0\0WAVEfmt ", b"RF64\xff\xff\xff\xffWAVEds64"),
            *(b"ID3\x03\0", b"\xff\xfb\x90", b"\xff\xf1\x50", b"fLaC\0\0\0\x22", b"OggS\0\x02"),
            *(b"\0\0\0\x18ftypM4A ", b"\x1aE\xdf\xa3", b""),
        ]
    ),
    st.binary(max_size=3000),
    st.integers(1, 40),
)
def test_random_bytes_behind_a_signature_do_no_harm(head: bytes, tail: bytes, times: int) -> None:
    check_harmless(head + tail * times)


@fuzz
@given(st.sampled_from(sorted(SOUND)), st.floats(0, 1), st.floats(0, 1), st.binary(max_size=30))
def test_files_with_a_piece_cut_out_do_no_harm(
    name: str, begin: float, end: float, patch: bytes
) -> None:
    data = SOUND[name]
    low, high = sorted((int(begin * len(data)), int(end * len(data))))
    check_harmless(data[:low])
    check_harmless(data[:low] + patch + data[high:])


@fuzz
@given(
    st.sampled_from(sorted(SOUND)),
    st.lists(st.tuples(st.integers(0, 2**20), st.integers(1, 255)), max_size=40),
    st.lists(st.tuples(st.integers(0, 120), st.integers(1, 255)), max_size=4),
)
def test_files_with_flipped_bits_do_no_harm(
    name: str, flips: list[tuple[int, int]], head_flips: list[tuple[int, int]]
) -> None:
    data = bytearray(SOUND[name])
    for position, mask in flips + head_flips:
        data[position % len(data)] ^= mask
    check_harmless(bytes(data))
