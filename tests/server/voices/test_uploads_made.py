"""Uploads as taggers, recorders and browsers make them, and the memory that they take."""

from __future__ import annotations

import io
import tracemalloc

import av
import numpy as np
import pytest
import soundfile

from cosyserve.server.voices.clip import content_id, decode_clip
from support.listening.audio import delay_of, speechlike
from support.peers.uploads import LIMITS, PCM, SPEECH, file_of, refusal


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


def test_an_archive_of_sound_is_an_archive() -> None:
    assert "ZIP" in refusal(b"PK\x03\x04" + bytes(26) + file_of("mp3"))


def test_many_blank_bytes_and_tags_are_passed_over_in_little_memory() -> None:
    for data in (bytes(LIMITS.max_bytes), tag(0) * (LIMITS.max_bytes // 10)):
        tracemalloc.start()
        try:
            assert refusal(data)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 2 * len(data)


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
