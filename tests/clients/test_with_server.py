"""The client against the real server, with an engine that is a clock."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cosyserve.benchmarks.load.timed_engine import VOICE, TimedEngine
from cosyserve.clients import (
    AuthenticationFailed,
    Client,
    Heard,
    InvalidRequest,
    NotFound,
    RequestFailed,
    SpeechFailed,
)
from cosyserve.clients.cli import say
from cosyserve.server.app import serve
from cosyserve.server.settings import load_settings
from support.engines.fake_engine import FakeEngine

CHUNK_BYTES = 2 * 2400  # 0.1 s of 24 kHz PCM


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    engine = TimedEngine(chunks=3, chunk_seconds=0.1, interval=0.01)
    settings = load_settings(
        {
            "host": "127.0.0.1",
            "port": 0,
            "references": str(tmp_path),
            "tokens": ["me=secret-of-mine"],
        }
    )
    async with (
        serve(settings, engine=engine) as server,
        Client(server.url, token="secret-of-mine") as connected,
    ):
        yield connected


@pytest.mark.parametrize("transport", ["binary", "base64"])
async def test_speeches_at_once(client: Client, transport: str) -> None:
    spoken = await asyncio.gather(
        *(client.synthesize("text", voice=VOICE, audio_transport=transport) for _ in range(4))
    )
    assert [len(sound) for sound in spoken] == [3 * CHUNK_BYTES] * 4


async def test_metrics_agree(client: Client) -> None:
    async with client.speech(voice=VOICE, debug=True) as speech:
        await speech.wait_started()
        await speech.feed("text")
        await speech.finish()
        chunks = [chunk async for chunk in speech]
    metrics = speech.metrics
    assert metrics.server is not None
    assert metrics.speech_len == pytest.approx(0.3)
    assert metrics.server.speech_len == pytest.approx(0.3)
    assert metrics.characters == 4
    assert all(chunk.metrics.stages is not None for chunk in chunks)


@pytest.mark.parametrize("whole", [True, False])
async def test_a_barge_in_tells_what_was_heard(tmp_path: Path, whole: bool) -> None:
    settings = load_settings({"host": "127.0.0.1", "port": 0, "references": str(tmp_path)})
    async with (
        serve(settings, engine=FakeEngine(word_times=True)) as server,
        Client(server.url) as client,
        client.speech(voice="plain") as speech,
    ):
        await speech.feed("one two three ")
        for _ in range(3):
            await anext(speech)
        if whole:
            await speech.finish()
            await speech.wait()
            assert speech.metrics.finish_reason == "stop"
        await speech.cancel(played=0.12)
        await speech.cancel(played=0.01)  # the first one counts
        await speech.wait()
        assert speech.metrics.finish_reason == "cancelled"
        assert speech.metrics.heard == Heard(0.12, len("one two"), estimated=False)
        assert [chunk async for chunk in speech] == []
        assert await client.synthesize("one ", voice="plain")


async def test_a_barge_in_that_crosses_the_end(tmp_path: Path) -> None:
    settings = load_settings({"host": "127.0.0.1", "port": 0, "references": str(tmp_path)})
    async with (
        serve(settings, engine=FakeEngine(word_times=True)) as server,
        Client(server.url) as client,
        client.speech(voice="plain") as speech,
    ):
        await speech.feed("one two three ")
        await speech.finish()
        await speech.cancel(played=10)  # whichever is first at the server
        await speech.wait()
        assert speech.metrics.finish_reason == "cancelled"
        assert speech.metrics.heard is not None


class PlayedThrice:
    """A player that takes three chunks, and whose listener then interrupts."""

    stream_format = "pcm"
    sample_rate = 24000

    def __init__(self, played: float | None) -> None:
        self.played = played
        self.left = 3
        self.full = asyncio.Event()

    async def write(self, data: bytes) -> None:
        self.left -= 1
        if not self.left:
            self.full.set()
            await asyncio.Event().wait()

    async def close(self, *, aborted: bool) -> None: ...


@pytest.mark.parametrize(
    ("word_times", "played", "plain", "told"),
    [
        (True, 0.12, True, '\nheard 0.1 s, up to "One. two"\n'),
        (False, 0.12, True, '\nheard 0.1 s, about up to "One."\n'),
        (True, 0.12, False, "\nheard 0.1 s, up to character 8\n"),
        (True, None, True, ""),
    ],
)
async def test_say_tells_a_listener_who_interrupts_what_was_heard(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    word_times: bool,
    played: float | None,
    plain: bool,
    told: str,
) -> None:
    settings = load_settings({"host": "127.0.0.1", "port": 0, "references": str(tmp_path)})
    output = PlayedThrice(played)
    async with (
        serve(settings, engine=FakeEngine(word_times=word_times)) as server,
        Client(server.url) as client,
        client.speech(voice="plain") as speech,
    ):
        text = say.from_string("One. two three")
        saying = asyncio.create_task(say.speak(speech, text, output, plain=plain))
        await output.full.wait()
        capsys.readouterr()
        saying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await saying
        assert capsys.readouterr().err == told


@pytest.mark.parametrize("played", [-0.1, float("nan"), float("inf")])
async def test_a_wrong_time_is_refused_by_the_client(client: Client, played: float) -> None:
    async with client.speech(voice=VOICE) as speech:
        with pytest.raises(InvalidRequest, match="played"):
            await speech.cancel(played=played)


async def test_pieces_may_end_inside_of_a_surrogate_pair(client: Client) -> None:
    async with client.speech(voice=VOICE) as speech:
        for piece in ("a\ud83c", "\udf89", "\ud83c"):
            await speech.feed(piece)
        await speech.finish()
        assert [chunk async for chunk in speech]
    assert speech.metrics.characters == 3


async def test_cancel(tmp_path: Path) -> None:
    engine = TimedEngine(chunks=1000, chunk_seconds=0.1, interval=0.01)
    settings = load_settings({"host": "127.0.0.1", "port": 0, "references": str(tmp_path)})
    async with serve(settings, engine=engine) as server, Client(server.url) as client:
        async with client.speech(voice=VOICE) as speech:
            await speech.feed("text")
            await anext(speech)
            await speech.cancel()
            assert [chunk async for chunk in speech] == []
            await speech.wait()
        assert speech.metrics.finish_reason == "cancelled"


async def test_references(client: Client) -> None:
    time = np.arange(2 * 16000) / 16000
    hum = (8000 * np.sin(2 * np.pi * 150 * time)).astype("<i2").tobytes()
    added = await client.references.add(
        hum, "Hum.", filename="hum.pcm", sample_rate=16000, name="hummer"
    )
    assert added.name == "hummer"
    assert await client.references.list() == (added,)
    for voice in (added.id, added.name):
        assert len(await client.synthesize("text", voice=voice)) == 3 * CHUNK_BYTES
    await client.references.delete(added.id)
    with pytest.raises(NotFound):
        await client.references.get(added.id)
    with pytest.raises(RequestFailed):
        await client.references.add(b"", "nothing")


async def test_errors_of_the_server(client: Client) -> None:
    with pytest.raises(SpeechFailed) as caught:
        await client.synthesize("text", voice="nobody")
    assert caught.value.code == "ReferenceAudioNotFound"
    async with Client(client.url, token="other") as stranger:
        with pytest.raises(AuthenticationFailed):
            await stranger.connect()
        with pytest.raises(AuthenticationFailed):
            await stranger.references.list()


async def test_the_voices_are_listed(client: Client) -> None:
    assert [voice.id for voice in await client.voices()] == [VOICE]


@pytest.mark.parametrize("suffix", ["wav", "flac"])
async def test_a_file_of_say_has_the_length_of_the_speech(
    client: Client, tmp_path: Path, suffix: str
) -> None:
    target = tmp_path / f"out.{suffix}"
    arguments = ("text", "-o", str(target), "--url", client.url, "--token", "secret-of-mine")
    assert await asyncio.to_thread(say.main, arguments, {}) == 0
    sound, sample_rate = soundfile.read(target, dtype="int16")
    assert sample_rate == 24000
    assert sound.tobytes() == await client.synthesize("text", voice=VOICE)
    assert len(sound) * 2 == 3 * CHUNK_BYTES
