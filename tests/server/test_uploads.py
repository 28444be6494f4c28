"""Uploads: what is taken, what is refused and why."""

from __future__ import annotations

import io
import tracemalloc
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile

from cosyserve.protocol.errors import InvalidAudio, InvalidParameter, PayloadTooLarge
from cosyserve.server.uploads import Clip, ClipLimits, content_id, decode_clip, judge
from support.audio import delay_of, speechlike
from support.uploads import FILES, LIMITS, PCM, SPEECH, file_of, refusal, wav


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


def test_tags_in_any_alphabet_are_ignored() -> None:
    tag = b"TIT2\0\0\0\x05\0\0\0\xff\xfe\xfd\xfc"
    head = b"ID3\x03\0\0" + bytes([0, 0, 0, len(tag)]) + tag
    mp3 = file_of("mp3")
    assert decode_clip(head + mp3[mp3.index(b"\xff\xf3") :], None, LIMITS).seconds > 1.9


def tag(size: int, body: bytes = b"", flags: int = 0) -> bytes:
    """An ID3v2 tag of so many bytes behind its head: what is given, and padding."""
    sizes = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0" + bytes([flags]) + sizes + body.ljust(size, b"\0")


TITLE = b"TIT2\0\0\0\x05\0\0\x03name"
JUNK = {
    "zero": b"\0",
    "zeros": bytes(417),
    "many zeros": bytes(300_001),
    "byte order mark": b"\xef\xbb\xbf",
    "blank lines": b"\r\n \t\n",
    "a padded tag": tag(5000, TITLE),
    "two tags": tag(300, TITLE) + tag(20, TITLE),
    "tags and zeros": bytes(7) + tag(300, TITLE) + bytes(1000) + tag(0) + b"\0",
    "a tag with a footer": tag(40, TITLE, 0x10) + b"3DI" + bytes(7),
    "a tag of a wrong size": tag(40, TITLE) + b"PICTURE" * 3000,
    "a page's end": b"</p>\n",
}


@pytest.mark.parametrize("name", ["mp3", "adts", "flac", "wav", "ogg-opus", "m4a"])
@pytest.mark.parametrize("junk", JUNK)
def test_what_lies_before_the_sound_is_passed_over(junk: str, name: str) -> None:
    whole = file_of(name)
    # What has frames is found by them; other files only behind what is known.
    if name not in ("mp3", "adts") and junk in ("a tag of a wrong size", "a page's end"):
        return
    plain, found = (decode_clip(data, None, LIMITS) for data in (whole, JUNK[junk] + whole))
    assert found.sample_rate == plain.sample_rate
    np.testing.assert_array_equal(found.samples, plain.samples)


def test_an_mp3_with_and_without_its_first_frame_of_counts() -> None:
    whole = file_of("mp3")
    begin = whole.index(b"\xff\xf3")
    assert b"Xing" in whole[begin : begin + 64] or b"Info" in whole[begin : begin + 64]
    bare = whole[whole.index(b"\xff\xf3", begin + 64) :]
    for data in (whole[begin:], bare, bytes(100) + bare):
        clip = decode_clip(data, None, LIMITS)
        lag = delay_of(clip.samples, SPEECH, 3000)
        assert np.corrcoef(clip.samples[lag : lag + 45000], SPEECH[:45000])[0, 1] > 0.95
    assert decode_clip(whole[begin:], None, LIMITS).seconds == pytest.approx(2.0, abs=0.001)


def test_pcm_that_begins_with_silence_keeps_it() -> None:
    clip = decode_clip(bytes(9000) + PCM, 24000, LIMITS)
    assert len(clip.samples) == 4500 + len(SPEECH)
    assert not clip.samples[:4500].any()


def test_a_tag_before_no_sound_is_not_pcm() -> None:
    assert "cannot be decoded" in refusal(tag(40, TITLE) + PCM)


def test_ogg_vorbis() -> None:
    out = io.BytesIO()
    soundfile.write(out, SPEECH, 24000, format="OGG", subtype="VORBIS")
    clip = decode_clip(out.getvalue(), None, LIMITS)
    assert clip.seconds == 2
    assert np.corrcoef(clip.samples, SPEECH)[0, 1] > 0.99


MP4_OPTIONS = [
    {"moov_size": "30000"},
    {"movflags": "frag_keyframe+empty_moov"},
    {"movflags": "frag_every_frame+empty_moov+default_base_moof"},
]


@pytest.mark.parametrize("codec", ["aac", "alac"])
@pytest.mark.parametrize("options", MP4_OPTIONS)
def test_mp4_with_its_index_before_or_among_the_sound(options: dict[str, str], codec: str) -> None:
    """The other files of this kind have it behind."""
    data = _written("mp4", codec, options)
    assert data.index(b"moov") < data.index(b"mdat")
    assert file_of("mp4").index(b"mdat") < file_of("mp4").index(b"moov")
    clip = decode_clip(data, None, LIMITS)
    assert clip.seconds == pytest.approx(2.0, abs=0.1)
    lag = delay_of(clip.samples, SPEECH[:40000], 3000)
    assert np.corrcoef(clip.samples[lag : lag + 40000], SPEECH[:40000])[0, 1] > 0.99


def test_webm_as_a_browser_records_it() -> None:
    """Written as it comes: neither its length nor the sizes of its clusters are known."""
    data = _written("webm", "libopus", {"live": "1"}, rate=48000)
    assert decode_clip(data, None, LIMITS).seconds == pytest.approx(2.0, abs=0.1)


def _written(container: str, codec: str, options: dict[str, str], rate: int = 24000) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format=container, options=options) as file:
        stream = file.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            speechlike(rate, 2.0).reshape(1, -1), format="flt", layout="mono"
        )
        frame.sample_rate = rate
        resampler = av.AudioResampler(stream.codec_context.format, "mono", rate)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))
    return out.getvalue()


@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize("name", ["wav", "wav-32", "flac", "mp3", "alac", "caf"])
def test_the_memory_of_a_long_clip_is_a_few_times_its_own(name: str, layout: str) -> None:
    rate = 48000 if name == "mp3" else 192000
    data = file_of(name, speechlike(rate, 8.0), rate, layout)
    own = 4 * 8 * rate  # bytes of it as float32
    decode_clip(data, None, LIMITS)  # what is imported and kept does not count
    tracemalloc.start()
    try:
        clip = decode_clip(data, None, LIMITS)
        content_id(clip, "text")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * own + 2 * len(data) + 4_000_000


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
