"""The client against a scripted server: the whole way over a real socket."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from cosyserve.clients import (
    AuthenticationFailed,
    Client,
    ConnectionFailed,
    ConnectionLost,
    InvalidRequest,
    SpeechEnded,
    SpeechFailed,
    SpeechStalled,
    UnexpectedMessage,
)
from cosyserve.clients.speech import Speech
from cosyserve.protocol.messages import CancelTask, ContinueTask, FinishTask, RunTask, TaskMetrics
from support.peers.scripted_server import FLOOD_CHUNK, ScriptedServer, scripted_server


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncIterator[Client]:
    async with Client(server.url) as connected:
        yield connected


async def read(speech: Speech) -> list[bytes]:
    return [chunk.data async for chunk in speech]


@pytest.mark.parametrize("transport", ["binary", "base64"])
async def test_text_goes_in_and_sound_comes_out(
    client: Client, server: ScriptedServer, transport: str
) -> None:
    async with client.speech(voice="echo", audio_transport=transport) as speech:  # type: ignore[arg-type]
        await speech.feed("Hello ")
        await speech.feed("")
        await speech.feed("there.")
        await speech.finish()
        await speech.finish()
        assert await read(speech) == [b"Hello ", b"there."]
        assert await read(speech) == []
    run, *rest = server.commands
    assert isinstance(run, RunTask)
    assert run.parameters.audio_transport == transport
    assert rest == [
        ContinueTask(speech.task_id, "Hello "),
        ContinueTask(speech.task_id, "there."),
        FinishTask(speech.task_id),
    ]


async def test_metrics_are_those_of_client_and_server(client: Client) -> None:
    async with client.speech(voice="echo") as speech:
        assert speech.metrics.first_package is None
        assert speech.metrics.real_time_factor is None
        await speech.feed("four")
        await speech.feed("seven77")
        await speech.finish()
        chunks = [chunk async for chunk in speech]
    metrics = speech.metrics
    assert metrics.first_package is not None
    assert metrics.first_package_from_start is not None
    assert metrics.duration is not None
    assert 0 < metrics.first_package <= metrics.first_package_from_start
    assert metrics.first_package <= metrics.duration
    assert (metrics.chunks, metrics.audio_bytes) == (2, 11)
    assert metrics.speech_len == pytest.approx(0.2)
    assert metrics.real_time_factor == pytest.approx(metrics.duration / 0.2)
    assert (metrics.finish_reason, metrics.characters) == ("stop", 42)
    assert metrics.server == TaskMetrics(1.5, 0.02, 0.1)
    assert chunks[0].received_at <= chunks[1].received_at


async def test_feeding_and_reading_interleave(client: Client) -> None:
    async with client.speech(voice="echo") as speech:
        for word in ("one ", "two ", "three "):
            await speech.feed(word)
            assert (await anext(speech)).data == word.encode()
        await speech.finish()
        assert await read(speech) == []


async def test_speeches_share_one_connection(client: Client, server: ScriptedServer) -> None:
    async def say(number: int) -> list[bytes]:
        async with client.speech(voice="echo") as speech:
            for piece in range(3):
                await speech.feed(f"{number}.{piece}")
            await speech.finish()
            return await read(speech)

    for _ in range(2):  # at once, and then again on the same connection
        spoken = await asyncio.gather(*(say(number) for number in range(5)))
        assert spoken == [[f"{n}.{piece}".encode() for piece in range(3)] for n in range(5)]
    assert len(server.connections) == 1


async def test_cancel_ends_the_iteration_and_drops_what_waits(
    client: Client, server: ScriptedServer
) -> None:
    async with client.speech(voice="stubborn") as speech:
        await speech.feed("one")
        assert (await anext(speech)).data == b"one"
        await speech.feed("two")
        await speech.cancel()
        await speech.cancel()
        assert await read(speech) == []
        with pytest.raises(SpeechEnded, match="cancelled"):
            await speech.feed("three")
        await speech.finish()
        await speech.wait()
    assert speech.metrics.finish_reason == "cancelled"
    assert server.commands[-1] == CancelTask(speech.task_id)
    assert await client.synthesize("still there", voice="echo") == b"still there"


async def test_leaving_early_cancels(client: Client, server: ScriptedServer) -> None:
    async with client.speech(voice="flood") as speech:
        assert (await anext(speech)).data == FLOOD_CHUNK
    await speech.wait()
    assert server.commands[-1] == CancelTask(speech.task_id)


async def test_an_exception_inside_cancels_and_passes(
    client: Client, server: ScriptedServer
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with client.speech(voice="flood") as speech:
            raise ZeroDivisionError
    await speech.wait()
    assert server.commands[-1] == CancelTask(speech.task_id)


async def test_feeding_after_finish_is_refused(client: Client) -> None:
    async with client.speech(voice="echo") as speech:
        await speech.finish()
        with pytest.raises(SpeechEnded, match="finished"):
            await speech.feed("more")


async def test_a_speech_is_entered_once(client: Client) -> None:
    async with client.speech(voice="echo") as speech:
        with pytest.raises(SpeechEnded, match="once"):
            await speech.__aenter__()


async def test_feeding_outside_of_the_context_is_refused(client: Client) -> None:
    with pytest.raises(SpeechEnded, match="async with"):
        await client.speech(voice="echo").feed("text")


async def test_a_failed_task_says_why_and_hurts_no_other(client: Client) -> None:
    async with client.speech(voice="echo") as good, client.speech(voice="unknown") as bad:
        await good.feed("a")
        with pytest.raises(SpeechFailed, match="ReferenceAudioNotFound: no reference unknown") as e:
            await read(bad)
        assert (e.value.code, e.value.task_id) == ("ReferenceAudioNotFound", bad.task_id)
        with pytest.raises(SpeechFailed):
            await bad.feed("text")
        with pytest.raises(SpeechFailed):
            await bad.wait_started()
        await good.feed("b")
        await good.finish()
        assert await read(good) == [b"a", b"b"]


async def test_a_task_says_when_it_has_started(client: Client) -> None:
    async with client.speech(voice="mute") as speech:
        await speech.wait_started()


@pytest.mark.parametrize(("voice", "reason"), [("drop", "broke"), ("restart", "1012")])
async def test_a_server_that_goes_away_ends_all_speeches(
    client: Client, voice: str, reason: str
) -> None:
    async with client.speech(voice="mute") as other, client.speech(voice=voice) as speech:
        await speech.feed("text")
        with pytest.raises(ConnectionLost, match=reason):
            await read(speech)
        with pytest.raises(ConnectionLost):
            await read(other)
        with pytest.raises(ConnectionLost):
            await other.feed("text")


async def test_a_lost_connection_comes_back_only_when_asked(
    client: Client, server: ScriptedServer
) -> None:
    with pytest.raises(ConnectionLost):
        await client.synthesize("text", voice="drop")
    with pytest.raises(ConnectionLost):
        await client.synthesize("text", voice="echo")
    await client.connect()
    await client.connect()
    assert await client.synthesize("text", voice="echo") == b"text"
    assert len(server.connections) == 2


async def test_a_server_that_speaks_something_else(client: Client) -> None:
    with pytest.raises(UnexpectedMessage, match="does not speak this API"):
        await client.synthesize("text", voice="garbage")


async def test_no_server_is_said_with_its_address_and_what_to_do() -> None:
    async with Client("http://127.0.0.1:1") as client:
        with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1:1.*cosyserve serve"):
            await client.connect()
        with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1:1.*cosyserve serve"):
            await client.version()


@pytest.mark.parametrize(("token", "reason"), [(None, "none was given"), ("wrong", "not accept")])
async def test_a_wrong_token_is_said(token: str | None, reason: str) -> None:
    async with scripted_server(token="right") as server:
        async with Client(server.url, token=token) as client:
            with pytest.raises(AuthenticationFailed, match=reason):
                await client.connect()
            with pytest.raises(AuthenticationFailed, match=reason):
                await client.voices()
        async with Client(server.url, token="right") as client:
            assert await client.synthesize("text", voice="echo") == b"text"


async def test_another_server_is_told_apart(server: ScriptedServer) -> None:
    async with Client(server.url + "/elsewhere") as client:
        with pytest.raises(ConnectionFailed, match="HTTP 404"):
            await client.connect()


async def test_a_speech_nobody_reads_slows_the_server_and_then_is_given_up(
    server: ScriptedServer,
) -> None:
    async with Client(server.url, buffer_bytes=1 << 20, stall_timeout=0.2) as client:
        async with client.speech(voice="flood") as unread, client.speech(voice="echo") as other:
            await other.feed("still served")
            await other.finish()
            assert await read(other) == [b"still served"]
            await unread.wait()
            with pytest.raises(SpeechStalled, match=r"0\.2 s"):
                await read(unread)
            with pytest.raises(SpeechStalled):
                await unread.feed("more")
        received = unread.metrics.audio_bytes
        assert 1 << 20 <= received <= (1 << 20) + 2 * len(FLOOD_CHUNK)
        assert CancelTask(unread.task_id) in server.commands


async def test_a_slow_reader_loses_nothing(server: ScriptedServer) -> None:
    async with (
        Client(server.url, buffer_bytes=1) as client,
        client.speech(voice="echo") as speech,
    ):
        for number in range(50):
            await speech.feed(str(number))
        await speech.finish()
        assert await read(speech) == [str(number).encode() for number in range(50)]


async def test_closing_the_client_ends_its_speeches(server: ScriptedServer) -> None:
    client = Client(server.url)
    async with client.speech(voice="mute") as speech:
        await client.close()
        with pytest.raises(ConnectionLost, match="this client"):
            await read(speech)
    await client.close()


async def test_say_takes_pieces_of_text_as_they_come(client: Client) -> None:
    async def pieces() -> AsyncIterator[str]:
        yield "Hello "
        yield "there."

    assert [chunk.data async for chunk in client.say(pieces(), voice="echo")] == [
        b"Hello ",
        b"there.",
    ]


async def test_a_failing_source_of_text_fails_the_speech(
    client: Client, server: ScriptedServer
) -> None:
    async def pieces() -> AsyncIterator[str]:
        yield "Hello "
        raise LookupError("no more tokens")

    with pytest.raises(LookupError, match="no more tokens"):
        await client.synthesize(pieces(), voice="mute")
    await client.synthesize("", voice="echo")
    assert any(isinstance(command, CancelTask) for command in server.commands)


async def test_closing_the_iterator_of_say_stops_feeding_and_cancels(
    client: Client, server: ScriptedServer
) -> None:
    stopped = asyncio.Event()

    async def endless() -> AsyncIterator[str]:
        try:
            yield "Hello "
            await asyncio.Event().wait()
        finally:
            stopped.set()

    chunks = client.say(endless(), voice="echo")
    assert (await anext(chunks)).data == b"Hello "
    await chunks.aclose()  # type: ignore[attr-defined]
    await stopped.wait()
    await client.synthesize("", voice="echo")
    assert any(isinstance(command, CancelTask) for command in server.commands)


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"sample_rate": 1234}, "sample_rate"),
        ({"volume": 0.0}, "volume"),
        ({"output_format": "midi"}, "output_format"),
        ({"mode": "natural_language_replication"}, "instruct"),
        ({"voice": ""}, "reference_audio_id"),
    ],
)
async def test_wrong_parameters_are_refused_before_anything_is_sent(
    client: Client, parameters: dict[str, object], reason: str
) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        client.speech(**{"voice": "echo", **parameters})  # type: ignore[arg-type]


async def test_instruct_chooses_its_mode(client: Client, server: ScriptedServer) -> None:
    await client.synthesize("text", voice="echo", instruct="slowly")
    run = server.commands[0]
    assert isinstance(run, RunTask)
    assert run.parameters.mode == "natural_language_replication"
