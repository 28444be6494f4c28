import io
import wave

from hypothesis import given
from hypothesis import strategies as st

from cosyserve.clients.cli.output import write_true_sizes
from support.peers.scripted_server import WAV_HEADER


@given(st.binary(max_size=200).filter(lambda data: len(data) % 2 == 0))
def test_a_stream_becomes_a_file_that_others_read(sound: bytes) -> None:
    file = io.BytesIO(WAV_HEADER + sound)
    assert write_true_sizes(file)
    assert file.tell() == 44 + len(sound)
    file.seek(0)
    with wave.open(file) as reader:
        assert reader.readframes(reader.getnframes()) == sound


def test_chunks_before_the_sound_are_passed_over() -> None:
    extra = b"LIST" + (3).to_bytes(4, "little") + b"abc\0"
    file = io.BytesIO(WAV_HEADER[:36] + extra + WAV_HEADER[36:] + b"sound!")
    assert write_true_sizes(file)
    assert file.getvalue()[52:56] == (6).to_bytes(4, "little")
    assert file.getvalue()[4:8] == (54).to_bytes(4, "little")


@given(st.binary(max_size=100))
def test_what_is_no_wav_stays_as_it_is(data: bytes) -> None:
    file = io.BytesIO(data)
    assert not write_true_sizes(file)
    assert file.getvalue() == data
