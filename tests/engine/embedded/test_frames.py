from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.engine.embedded.frames import (
    DoneFrame,
    FrameKind,
    FrameReader,
    JobFrame,
    NaturalProsody,
    SoundFrame,
    SpokenWord,
    ToldSounds,
    pack_done,
    pack_failed,
    pack_job,
    pack_ready,
    pack_sound,
    pack_stop,
    unpack_done,
    unpack_job,
    unpack_number,
    unpack_sound,
)

WORDS = ((0, 5), (7, 9))
TOLD = (ToldSounds(0, 5, "[[h'aI]]", "hˈI"), ToldSounds(7, 9, "shi4 jie4", ""))
JOB = JobFrame(
    7, "en-us+cosy-f1", "Grüße, 世界 😀", 175, 50, 50, 100, 2**31, 1234, 99, True, WORDS, TOLD
)
SOUND = SoundFrame(7, 0.25, (SpokenWord(0, 10, 0), SpokenWord(10, 20, 1)), b"\1\2\3\4")
PROSODY = NaturalProsody(1.5, 0.5, 0.25, 0.875, 2.0, True)
STREAM = (
    pack_ready(24000)
    + pack_job(JOB)
    + pack_sound(SOUND)
    + pack_job(JOB._replace(natural=PROSODY, sounds=()))
    + pack_stop(7)
    + pack_failed(8)
    + pack_done(DoneFrame(7, 0.5, True))
)


@given(st.lists(st.integers(0, len(STREAM))))
def test_frames_come_back_however_the_stream_is_cut(cuts: list[int]) -> None:
    reader = FrameReader()
    edges = [0, *sorted(cuts), len(STREAM)]
    frames = [frame for begin, end in pairwise(edges) for frame in reader.feed(STREAM[begin:end])]
    kinds = [kind for kind, _ in frames]
    bodies = [body for _, body in frames]
    assert kinds == [
        FrameKind.READY,
        FrameKind.JOB,
        FrameKind.SOUND,
        FrameKind.JOB,
        FrameKind.STOP,
        FrameKind.FAILED,
        FrameKind.DONE,
    ]
    assert unpack_number(bodies[0]) == 24000
    assert unpack_job(bodies[1]) == JOB
    assert unpack_sound(bodies[2]) == SOUND
    assert unpack_job(bodies[3]) == JOB._replace(natural=PROSODY, sounds=())
    assert unpack_number(bodies[4]) == 7
    assert unpack_number(bodies[5]) == 8
    assert unpack_done(bodies[6]) == DoneFrame(7, 0.5, True)


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff\x01", b"\0\0\0\0\x63"])
def test_a_broken_stream_is_noticed(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        FrameReader().feed(data)
