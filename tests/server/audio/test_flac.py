"""FLAC from shared encoders: frames are those of an encoder of one's own, and memory does not grow."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cosyserve.server.audio import flac
from cosyserve.server.audio.flac import FlacCodec, _FrameEncoder, renumbered
from support.listening.audio import decode, speechlike

RATE = 24000
SIZE = RATE // 50


def blocks(count: int, rate: int = RATE) -> np.ndarray:
    speech = (speechlike(rate, count / 50) * 32767).astype(np.int16)
    return speech[: count * (rate // 50)].reshape(count, rate // 50)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 44100, 48000])
def test_a_frame_with_another_number_is_the_frame_that_has_it(rate: int) -> None:
    sound = blocks(150, rate)
    first, later = _FrameEncoder(rate), _FrameEncoder(rate)
    for _ in range(2040):  # the numbers' size changes at 128 and 2048
        later.encode(np.zeros(rate // 50, np.int16))
    for number, block in enumerate(sound):
        own, another = first.encode(block), later.encode(block)
        assert renumbered(own, 2040 + number) == another
        assert renumbered(another, number) == own


@pytest.mark.parametrize("number", [0, 2**7, 2**11, 2**16, 2**21, 2**26, 2**31 - 1])
def test_every_number_can_be_put_in_and_out_again(number: int) -> None:
    frame = _FrameEncoder(RATE).encode(blocks(1)[0])
    other = renumbered(frame, number)
    assert other != frame or number == 0
    assert renumbered(other, 0) == frame


def test_streams_that_take_turns_hold_their_own_sound() -> None:
    speeches = [speechlike(RATE, 2.0) * (1 + number) / 20 for number in range(12)]
    codecs = [FlacCodec(RATE) for _ in speeches]
    streams = [b""] * len(codecs)

    def feed(number: int, begin: int) -> bytes:
        return codecs[number].encode(speeches[number][begin : begin + 700]).data

    with ThreadPoolExecutor(4) as threads:
        for begin in range(0, len(speeches[0]), 700):
            more = threads.map(feed, range(len(codecs)), [begin] * len(codecs))
            streams = [stream + data for stream, data in zip(streams, more, strict=True)]
    for codec, stream, speech in zip(codecs, streams, speeches, strict=True):
        decoded, rate = decode(stream + codec.flush().data, "flac", RATE)
        assert rate == RATE
        assert np.abs(decoded - speech).max() < 1 / 32768


def test_open_and_abandoned_streams_keep_no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Counted(_FrameEncoder):
        def __init__(self, sample_rate: int) -> None:
            super().__init__(sample_rate)
            made.append(self)

    monkeypatch.setattr(flac, "_FrameEncoder", Counted)
    monkeypatch.setattr(flac, "_idle", {})
    FlacCodec(RATE).encode(speechlike(RATE, 0.1))
    made.clear()
    opened = [FlacCodec(RATE) for _ in range(250)]
    for codec in opened:
        assert codec.encode(speechlike(RATE, 0.1)).data
    assert not made
    assert [len(idle) for idle in flac._idle.values()] == [1]


def test_an_encoder_that_fails_or_has_counted_far_is_used_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flac, "_idle", {})
    with pytest.raises(RuntimeError), flac._borrowed(RATE):
        raise RuntimeError
    assert not flac._idle[RATE]
    with flac._borrowed(RATE) as encoder:
        encoder.frames = flac._FRAMES_PER_ENCODER
    assert not flac._idle[RATE]
