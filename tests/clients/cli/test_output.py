"""Files, as others read them."""

import os
import stat
from pathlib import Path

import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosyserve.clients import InvalidRequest
from cosyserve.clients.cli.output import DescriptorOutput, FileOutput, SoundFileOutput, open_output

chunks = st.lists(st.binary(max_size=50), max_size=5)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(chunks)
async def test_the_file_has_the_true_length_whatever_the_chunks(
    suffix: str, tmp_path: Path, sound: list[bytes]
) -> None:
    path = tmp_path / f"sound.{suffix}"
    output = open_output(str(path), None, 16000)
    assert output.stream_format == "pcm"
    for chunk in [b"\1\2", *sound]:
        await output.write(chunk)
    await output.close(aborted=True)
    data = b"".join([b"\1\2", *sound])
    with soundfile.SoundFile(path) as file:
        assert (file.samplerate, file.channels, file.subtype) == (16000, 1, "PCM_16")
        assert file.frames == len(data) // 2
        assert bytes(file.buffer_read(dtype="int16")) == data[: len(data) // 2 * 2]


async def test_a_wav_file_is_44_bytes_and_its_sound(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    output = open_output(str(path), None, 24000)
    await output.write(b"1234")
    await output.close(aborted=False)
    data = path.read_bytes()
    assert (data[:4], data[4:8], data[40:]) == (
        b"RIFF",
        (40).to_bytes(4, "little"),
        b"\4\0\0\x001234",
    )


@pytest.mark.parametrize(("name", "subtype"), [("wav_ulaw", "ULAW"), ("wav_alaw", "ALAW")])
async def test_a_wav_file_of_telephones(tmp_path: Path, name: str, subtype: str) -> None:
    path = tmp_path / "sound.wav"
    output = open_output(str(path), name, None)
    assert (output.stream_format, output.sample_rate) == ("pcm", 8000)
    await output.write(bytes(320))
    await output.close(aborted=False)
    info = soundfile.info(path)
    assert (info.format, info.subtype, info.samplerate, info.frames) == ("WAV", subtype, 8000, 160)


def test_the_sample_rate_is_one_of_the_format(tmp_path: Path) -> None:
    path = str(tmp_path / "a")
    assert open_output(path, "mp3", None).sample_rate == 24000
    assert open_output("-", "ulaw", None).sample_rate == 8000
    assert open_output("-", "opus", 48000).sample_rate == 48000
    for wrong in ("ulaw", "wav_alaw"):
        with pytest.raises(InvalidRequest, match=f"{wrong} has no 24000 Hz; it has 8000"):
            open_output(path, wrong, 24000)


async def test_an_older_file_is_replaced(tmp_path: Path) -> None:
    for name in ("x.wav", "x.mp3"):
        path = tmp_path / name
        path.write_bytes(bytes(1000))
        output = open_output(str(path), None, 24000)
        assert path.stat().st_size == 1000  # until there is sound
        await output.write(b"12")
        await output.close(aborted=False)
        assert path.stat().st_size < 100


async def test_without_sound_there_is_no_file(tmp_path: Path) -> None:
    output = open_output(str(tmp_path / "x.wav"), None, 24000)
    await output.close(aborted=True)
    assert os.listdir(tmp_path) == []


def test_a_pipe_gets_the_servers_own_stream(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    assert stat.S_ISFIFO((tmp_path / "pipe.wav").stat().st_mode)
    output = open_output(str(tmp_path / "pipe.wav"), None, 24000)
    assert isinstance(output, FileOutput)
    assert output.stream_format == "wav"
    output = open_output("-", None, 24000)
    assert isinstance(output, DescriptorOutput)
    assert output.stream_format == "wav"
    assert open_output("-", "flac", 24000).stream_format == "flac"


@pytest.mark.parametrize(
    ("name", "asked", "stream"),
    [
        ("a.al", None, "alaw"),
        ("a.ULAW", None, "ulaw"),
        ("a.MP3", None, "mp3"),
        ("a.ogg", None, "opus"),
        ("a.raw", None, "pcm"),
        ("a", "aac", "aac"),
    ],
)
def test_other_files_are_the_stream(
    tmp_path: Path, name: str, asked: str | None, stream: str
) -> None:
    output = open_output(str(tmp_path / name), asked, None)
    assert isinstance(output, FileOutput)
    assert output.stream_format == stream


def test_a_format_goes_before_the_suffix(tmp_path: Path) -> None:
    assert isinstance(open_output(str(tmp_path / "a.mp3"), "wav", 24000), SoundFileOutput)
    with pytest.raises(InvalidRequest, match="suffix"):
        open_output(str(tmp_path / "a"), None, 24000)


@pytest.mark.parametrize("name", ["no/a.wav", "no/a.mp3"])
async def test_a_file_that_cannot_be_made(tmp_path: Path, name: str) -> None:
    output = open_output(str(tmp_path / name), None, 24000)
    with pytest.raises(InvalidRequest, match=r"no/a\.... *: No such file or directory"):
        await output.write(b"12")
    await output.close(aborted=True)
