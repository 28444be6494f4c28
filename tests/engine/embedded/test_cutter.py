import random

from hypothesis import given
from hypothesis import strategies as st

from cosyserve.engine.embedded.sound import SoundCutter, TimedSound, WordClock, WordMark, part_sizes

TEXT = "one two three"
PCM = random.Random(1).randbytes(2 * 1000).replace(b"\0", b"\1")
WORDS = ((0, 3), (4, 7), (8, 13))
MARKS = [WordMark(0, 0), WordMark(400, 4), WordMark(700, 8)]


def cut(
    pcm: bytes, marks: list[WordMark], buffer: int, sizes: list[int], skip: int = 0
) -> list[TimedSound]:
    """Feed in buffers of so many samples, as espeak does."""
    cutter = SoundCutter(WordClock(TEXT, WORDS), sizes, skip)
    chunks = []
    for at in range(0, len(pcm) // 2, buffer):
        here = [mark for mark in marks if at <= mark.sample < at + buffer]
        chunks += cutter.feed(pcm[2 * at : 2 * (at + buffer)], here)
    return chunks + cutter.finish()


@given(st.integers(1, 1100), st.integers(1, 600))
def test_chunks_are_the_sound_and_words_go_with_it(buffer: int, size: int) -> None:
    chunks = cut(PCM, MARKS, buffer, [size] * 1001)
    assert b"".join(chunk.pcm for chunk in chunks) == PCM
    assert all(len(chunk.pcm) == 2 * size for chunk in chunks[:-1]) or buffer > size
    assert [tuple(word) for chunk in chunks for word in chunk.words] == [
        (0, 400, 0),
        (400, 700, 1),
        (700, 1000, 2),
    ]
    begin = 0
    for chunk in chunks:
        end = begin + len(chunk.pcm) // 2
        assert all(begin <= word.begin < end for word in chunk.words)
        begin = end


@given(st.integers(0, 1000), st.integers(1, 300))
def test_what_is_skipped_is_left_out_and_the_rest_is_the_same(skip: int, size: int) -> None:
    chunks = cut(PCM, MARKS, 60, [size] * 1001, skip)
    assert b"".join(chunk.pcm for chunk in chunks) == PCM[2 * skip :]
    words = [word for chunk in chunks for word in chunk.words]
    assert [word.begin for word in words] == [m.sample for m in MARKS if m.sample >= skip]
    assert [word.end for word in words] == [400, 700, 1000][-len(words) :] * bool(words)


@given(st.integers(0, 1000))
def test_words_that_share_a_mark_are_the_same_in_slices(skip: int) -> None:
    pcm = PCM[:1000] + bytes(400) + PCM[1400:]
    marks = [WordMark(0, 0), WordMark(900, 8)]
    whole = [word for chunk in cut(pcm, marks, 60, [100] * 1001) for word in chunk.words]
    rest = [word for chunk in cut(pcm, marks, 60, [100] * 1001, skip) for word in chunk.words]
    assert rest == [word for word in whole if word.begin >= skip]


def test_a_word_ends_where_the_silence_after_it_begins() -> None:
    pcm = PCM[:400] + bytes(400) + PCM[800:1200]
    chunks = cut(pcm, MARKS[:2], 60, [5000])
    assert [word[:2] for chunk in chunks for word in chunk.words][:1] == [(0, 200)]


def test_a_word_without_sound_at_the_end_goes_with_the_last_chunk() -> None:
    chunks = cut(PCM, [*MARKS[:2], WordMark(1000, 8)], 60, [500] * 3)
    assert [word.word for word in chunks[-1].words] == [2]


def test_the_first_chunks_of_a_task_are_small() -> None:
    first, later = part_sizes(first=True), part_sizes(first=False)
    assert next(first) < 0.1 * 24000
    assert 0.2 * 24000 <= next(later) <= 0.5 * 24000
