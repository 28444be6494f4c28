import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.engine.embedded.cutter import Chunk, ChunkCutter, chunk_sizes
from cosyserve.engine.embedded.espeak import WordMark

TEXT = "one two three"
PCM = random.Random(1).randbytes(2 * 1000).replace(b"\0", b"\1")
MARKS = [WordMark(0, 0, 3), WordMark(400, 4, 3), WordMark(700, 8, 5)]


def cut(
    pcm: bytes, marks: list[WordMark], buffer: int, sizes: list[int], skip: int = 0
) -> list[Chunk]:
    """Feed in buffers of so many samples, as espeak does."""
    cutter = ChunkCutter(TEXT, sizes, skip)
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
        (0, 400, 0, 3),
        (400, 700, 4, 7),
        (700, 1000, 8, 13),
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


def test_a_word_ends_where_the_silence_after_it_begins() -> None:
    pcm = PCM[:400] + bytes(400) + PCM[800:1200]
    chunks = cut(pcm, [WordMark(0, 0, 3), WordMark(400, 4, 3)], 60, [5000])
    assert [(word.begin, word.end) for chunk in chunks for word in chunk.words] == [
        (0, 200),
        (400, 600),
    ]


@pytest.mark.parametrize(
    "mark", [WordMark(200, 0, 3), WordMark(200, 1, 2), WordMark(200, 3, 1), WordMark(200, 4, 0)]
)
def test_parts_of_a_word_and_blanks_are_no_words(mark: WordMark) -> None:
    marks = [MARKS[0], mark, MARKS[1]]
    words = [word for chunk in cut(PCM, marks, 60, [5000]) for word in chunk.words]
    assert [(word.begin, word.end, word.text_begin) for word in words] == [
        (0, 400, 0),
        (400, 1000, 4),
    ]


def test_the_first_chunks_of_a_task_are_small() -> None:
    first, later = chunk_sizes(first=True), chunk_sizes(first=False)
    assert next(first) < 0.1 * 22050
    assert 0.2 * 22050 <= next(later) <= 0.5 * 22050
