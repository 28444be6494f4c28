"""`cosyserve say` as a person calls it, against the scripted server."""

import asyncio
import os
import signal
import sys
import types
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cosyserve.clients import Client
from cosyserve.clients.cli.output import open_output
from cosyserve.clients.cli.say import main
from cosyserve.protocol.messages import CancelTask, ContinueTask, FinishTask, RunTask
from support.peers.scripted_server import WAV_HEADER, ScriptedServer, scripted_server


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


async def say(server: ScriptedServer, *arguments: str) -> int:
    return await asyncio.to_thread(main, arguments, {"COSYSERVE_URL": server.url})


def runs(server: ScriptedServer) -> list[RunTask]:
    return [command for command in server.commands if isinstance(command, RunTask)]


async def start(server: ScriptedServer, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cosyserve",
        "say",
        *arguments,
        env={**os.environ, "COSYSERVE_URL": server.url},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_a_text_becomes_a_file_with_the_first_voice(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.pcm"
    assert await say(server, "Hello there.", "-o", str(target)) == 0
    assert target.read_bytes() == b"Hello there."
    assert capsys.readouterr() == ("", "")
    (run,) = runs(server)
    assert run.parameters.reference_audio_id == "echo"
    assert run.parameters.output_format == "pcm"
    assert run.parameters.mode == "fast_replication"


async def test_every_parameter_has_a_flag(server: ScriptedServer, tmp_path: Path) -> None:
    target = str(tmp_path / "out.bin")
    code = await say(
        server,
        *("Hi", "-o", target, "--voice", "Wave", "--format", "opus", "--sample-rate", "16000"),
        *("--bit-rate", "32k", "--volume", "2", "--speed", "1.5", "--seed", "7"),
        *("--pitch", "0.8", "--ssml"),
        *("--instruct", "slowly", "--transport", "base64", "--model", "CosyVoice2-0.5B"),
    )
    assert code == 0
    (run,) = runs(server)
    assert run.model == "CosyVoice2-0.5B"
    assert run.parameters.model_dump(mode="json") == {
        "mode": "natural_language_replication",
        "reference_audio_id": "wav",
        "instruct": "slowly",
        "output_format": "opus",
        "sample_rate": 16000,
        "bit_rate": "32k",
        "volume": 2.0,
        "speed": 1.5,
        "debug": False,
        "seed": 7,
        "audio_transport": "base64",
        "pitch": 0.8,
        "enable_ssml": True,
        "word_timestamp_enabled": False,
        "pronunciations": [],
        "mark_synthetic": False,
    }


async def test_a_wav_file_gets_its_true_sizes(server: ScriptedServer, tmp_path: Path) -> None:
    target = tmp_path / "out.wav"
    assert await say(server, "1234", "-o", str(target)) == 0
    assert runs(server)[0].parameters.output_format == "pcm"
    data = target.read_bytes()
    assert data[4:8] == (len(data) - 8).to_bytes(4, "little")
    assert data[40:44] == (4).to_bytes(4, "little")
    assert (data[8:40], data[44:]) == (WAV_HEADER[8:40], b"1234")


async def test_a_pipe_gets_the_servers_wav_stream(server: ScriptedServer) -> None:
    process = await start(server, "1234", "-o", "-", "--voice", "wav")
    assert (await process.communicate())[0] == WAV_HEADER + b"1234"
    assert runs(server)[0].parameters.output_format == "wav"


async def test_a_long_file_is_fed_in_pieces(server: ScriptedServer, tmp_path: Path) -> None:
    source, target = tmp_path / "text.txt", tmp_path / "out.pcm"
    text = "Ein langer Text, mit Umlauten: äöü. " * 100
    source.write_text(text, encoding="utf-8")
    assert await say(server, "-f", str(source), "-o", str(target)) == 0
    assert target.read_text(encoding="utf-8") == text
    assert sum(isinstance(command, ContinueTask) for command in server.commands) == 4


async def test_standard_input_is_spoken_as_it_comes(server: ScriptedServer) -> None:
    process = await start(server, "-", "-o", "-", "--format", "pcm", "--voice", "echo")
    assert process.stdin is not None
    assert process.stdout is not None
    for words in (b"First words, ", "再来几个字。".encode()):
        process.stdin.write(words)
        assert await process.stdout.readexactly(len(words)) == words  # long before its end
    process.stdin.close()
    assert await process.stdout.read() == b""
    assert await process.wait() == 0
    assert process.stderr is not None
    assert await process.stderr.read() == b""


async def test_an_interrupt_cancels_the_task(server: ScriptedServer, tmp_path: Path) -> None:
    target = tmp_path / "out.wav"
    process = await start(server, "-", "-o", str(target), "--voice", "wav")
    assert process.stdin is not None
    process.stdin.write(b"text")
    await server.text_heard.wait()
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 130
    await server.closed.wait()
    assert isinstance(server.commands[-1], CancelTask)
    assert process.stderr is not None
    assert await process.stderr.read() == b""


async def test_a_reader_that_goes_away_ends_it_quietly(server: ScriptedServer) -> None:
    read, write = os.pipe()
    os.close(read)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cosyserve", "say", "text", "-o", "-", "--voice", "flood"),
        env={**os.environ, "COSYSERVE_URL": server.url},
        stdout=write,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(write)
    _, errors = await process.communicate()
    assert (process.returncode, errors) == (141, b"")


async def test_a_reference_speaks_by_its_name(server: ScriptedServer, tmp_path: Path) -> None:
    async with Client(server.url) as client:
        await client.references.add(b"sound", "x", name="Anna B.")
    target = tmp_path / "out.pcm"
    assert await say(server, "Hi", "-o", str(target), "--voice", "Anna B.") == 0
    assert runs(server)[0].parameters.reference_audio_id == "Anna B."


async def test_a_clip_is_uploaded_used_and_deleted(server: ScriptedServer, tmp_path: Path) -> None:
    clip, target = tmp_path / "me.wav", tmp_path / "out.pcm"
    clip.write_bytes(b"sound of me")
    arguments = ("Hi", "-o", str(target), "--voice", str(clip), "--voice-text", "My words.")
    assert await say(server, *arguments) == 0
    assert server.references == {}
    assert server.uploads[0]["data"] == b"sound of me"
    assert runs(server)[0].parameters.reference_audio_id == "ref-1"

    assert await say(server, *arguments, "--keep-voice") == 0
    assert await say(server, *arguments) == 0
    assert [run.parameters.reference_audio_id for run in runs(server)[1:]] == ["ref-2", "ref-2"]
    assert list(server.references) == ["ref-2"]

    clip.write_bytes(b"sound of ME")
    assert await say(server, *arguments) == 0
    assert runs(server)[-1].parameters.reference_audio_id == "ref-3"


async def test_a_clip_is_deleted_after_a_failure_too(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = tmp_path / "me.wav"
    clip.write_bytes(b"sound of me")
    code = await say(
        server, *("Hi", "-o", "/no/such/dir/x.pcm", "--voice", str(clip), "--voice-text", "Words.")
    )
    assert code == 2
    assert "/no/such/dir/x.pcm" in capsys.readouterr().err
    assert len(server.uploads) == 1
    assert server.references == {}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("Hi", "-o", "x.midi"), 2, "suffix"),
        (("Hi", "--format", "mp3"), 2, "-o FILE"),
        (("Hi", "-o", "x.pcm", "--voice", "nobody"), 5, "cosyserve voices list"),
        (("Hi", "-o", "x.pcm", "--voice", "no/such.wav"), 2, "no file no/such.wav"),
        (("Hi", "-o", "x.pcm", "--voice", sys.executable), 2, "--voice-text"),
        (("Hi", "-o", "x.pcm", "--volume", "11"), 2, "volume"),
        (("Hi", "-o", "x.pcm", "--mode", "natural_language_replication"), 2, "instruct"),
        (("Hi", "-o", "x.pcm", "--voice", "drop"), 3, "broke"),
        (("Hi", "-o", "x.pcm", "--voice", "garbage"), 1, "does not speak this API"),
        (("Hi", "-o", "x.pcm", "--url", "http://127.0.0.1:1"), 3, "cosyserve serve"),
        (("Hi", "-o", "x.pcm", "--ca-file", "/no.pem"), 2, "/no.pem"),
        (("-f", "/no/text.txt", "-o", "x.pcm"), 2, "/no/text.txt"),
    ],
)
async def test_failures_say_what_to_do(
    server: ScriptedServer,
    arguments: tuple[str, ...],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert await say(server, *arguments) == code
    errors = capsys.readouterr().err
    assert errors.startswith("cosyserve: ")
    assert said in errors
    assert errors.count("\n") == 1
    assert os.listdir() == []


async def test_a_wrong_token(capsys: pytest.CaptureFixture[str]) -> None:
    async with scripted_server(token="right") as server:
        assert await say(server, "Hi", "-o", "-", "--token", "wrong") == 4
        assert "COSYSERVE_TOKEN" in capsys.readouterr().err


class FakePlayer(types.ModuleType):
    """`sounddevice`, as far as the player uses it."""

    latency = 0.1

    class PortAudioError(Exception): ...

    def __init__(self) -> None:
        super().__init__("sounddevice")
        self.played = b""
        self.calls: list[str] = []
        self.broken = False

    def RawOutputStream(self, **settings: object) -> "FakePlayer":
        if self.broken:
            raise self.PortAudioError("no device")
        assert settings == {"samplerate": 24000, "channels": 1, "dtype": "int16"}
        return self

    def start(self) -> None:
        self.calls.append("start")

    def write(self, data: bytes) -> None:
        assert len(data) % 2 == 0
        self.played += data

    def stop(self) -> None:
        self.calls.append("stop")

    def abort(self) -> None:
        self.calls.append("abort")

    def close(self) -> None:
        self.calls.append("close")


@pytest.fixture
def player(monkeypatch: pytest.MonkeyPatch) -> FakePlayer:
    fake = FakePlayer()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake


async def test_without_a_file_it_is_played(
    server: ScriptedServer, player: FakePlayer, tmp_path: Path
) -> None:
    source = tmp_path / "text"
    source.write_text("x" * 999 + "yz" + "w" * 1001)  # pieces of an odd length
    assert await say(server, "-f", str(source)) == 0
    assert player.played == source.read_bytes()
    assert player.calls == ["start", "stop", "close"]


async def test_what_was_played_is_what_the_device_has_let_out(player: FakePlayer) -> None:
    output = open_output(None, None, None)
    assert output.played == 0
    await output.write(bytes(4801))
    assert output.played == 0
    await output.write(bytes(4799))
    assert output.played == pytest.approx(0.1)


async def test_a_failure_stops_the_player_at_once(
    server: ScriptedServer, player: FakePlayer
) -> None:
    assert await say(server, "Hi", "--voice", "drop") == 3
    assert player.calls == ["start", "abort", "close"]


async def test_without_a_device_it_says_what_else_to_do(
    server: ScriptedServer, player: FakePlayer, capsys: pytest.CaptureFixture[str]
) -> None:
    player.broken = True
    assert await say(server, "Hi") == 2
    assert "no device; use -o FILE" in capsys.readouterr().err


async def test_without_sounddevice_it_says_what_to_install(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert await say(server, "Hi") == 2
    assert "cosyserve[playback]" in capsys.readouterr().err
    assert server.commands == []


async def test_an_empty_text_is_a_task_too(server: ScriptedServer, tmp_path: Path) -> None:
    assert await say(server, "", "-o", str(tmp_path / "x.pcm")) == 0
    assert isinstance(server.commands[-1], FinishTask)
