"""The client of one server: a WebSocket for all speeches, REST for references and voices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from ssl import SSLContext
from types import TracebackType
from typing import Any, Literal, Self
from uuid import uuid4

from cosyserve.protocol.errors import InvalidParameter
from cosyserve.protocol.messages import RunTask
from cosyserve.protocol.parameters import parse_parameters

from .buffer import AudioChunk
from .connection import Connection, Endpoint
from .errors import InvalidRequest, SpeechEnded, UnexpectedMessage
from .rest import References, Rest, ServerVoice, parse_voices
from .speech import Speech, Text


class Client:
    """A client of one cosyserve server.

    An async context manager: leaving it closes all connections, and the server cancels the tasks
    that still run. The first speech opens the WebSocket, or `connect` does before it. A lost
    connection is not opened again by itself: after ConnectionLost every speech raises it until
    `connect` is called, because only the caller knows whether to repeat a broken speech.

    All speeches share the one WebSocket. A speech that nobody reads slows the others down once its
    `buffer_bytes` are full, and is given up after `stall_timeout` seconds more. Readers of very
    different pace should have a Client each.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        tls: SSLContext | None = None,
        timeout: float = 10.0,
        buffer_bytes: int = 8 * 2**20,
        stall_timeout: float = 5.0,
    ) -> None:
        """Connects nowhere yet.

        url: http, https, ws or wss. token: of the server, if it requires one.
        tls: in place of the default context. timeout: seconds to connect, and for a REST call.
        buffer_bytes: of sound that a speech keeps for its reader.
        stall_timeout: seconds; keep it below the server's own limit for stalled clients (10 s by
        default), at which the server closes the connection with all of its speeches.
        Raises InvalidRequest.
        """
        self._endpoint = Endpoint.parse(url, token, tls)
        self._timeout = timeout
        self._buffer_bytes = buffer_bytes
        self._stall_timeout = stall_timeout
        self._rest = Rest(self._endpoint, timeout)
        # Kept when it is lost, so that speeches raise the reason.
        self._connection: Connection | None = None
        # Held while `_connection` is replaced.
        self._opening = asyncio.Lock()
        self.references = References(self._rest)

    @property
    def url(self) -> str:
        """The server's address, as http or https."""
        return self._endpoint.http

    async def connect(self) -> None:
        """Open the WebSocket, also after it was lost; nothing happens while it is open.

        Raises ConnectionFailed, AuthenticationFailed.
        """
        async with self._opening:
            if self._connection is not None:
                if self._connection.error is None:
                    return
                await self._connection.close()
                self._connection = None
            self._connection = await Connection.open(self._endpoint, self._timeout)

    def speech(
        self,
        *,
        voice: str,
        mode: str | None = None,
        instruct: str = "",
        output_format: str = "pcm",
        sample_rate: int | None = None,
        bit_rate: str = "192k",
        volume: float = 1.0,
        speed: float = 1.0,
        debug: bool = False,
        seed: int | None = None,
        pitch: float = 1.0,
        ssml: bool = False,
        word_timestamps: bool = False,
        pronunciations: Sequence[Mapping[str, object]] = (),
        audio_transport: Literal["binary", "base64"] = "binary",
        model: str = "cosyvoice-v2",
    ) -> Speech:
        """A speech to enter with `async with`; nothing is sent before that.

        voice: id or name of a reference or of one of the server's voices.
        mode: by default natural_language_replication with an `instruct`, else fast_replication.
        sample_rate: Hz, by default 24000 or the only one that the format has.
        volume, speed, pitch: factors. seed: the same one speaks the same way again.
        ssml: the text is an SSML document. word_timestamps: chunks carry the times of their words.
        pronunciations: words with an alphabet (ipa, py, cmu-arpabet) and their sounds in it, as
        {"word": "Nguyen", "alphabet": "ipa", "sounds": "wɪn"}.
        The other parameters have the names and values of run-task.
        Raises InvalidRequest.
        """
        if mode is None:
            mode = "natural_language_replication" if instruct else "fast_replication"
        fields = {
            "mode": mode,
            "reference_audio_id": voice,
            "instruct": instruct,
            "output_format": output_format,
            "sample_rate": sample_rate,
            "bit_rate": bit_rate,
            "volume": volume,
            "speed": speed,
            "debug": debug,
            "seed": seed,
            "pitch": pitch,
            "enable_ssml": ssml,
            "word_timestamp_enabled": word_timestamps,
            "pronunciations": [*pronunciations],
            "audio_transport": audio_transport,
        }
        try:
            parameters = parse_parameters(fields, "speech")
        except InvalidParameter as error:
            raise InvalidRequest(error.message) from None
        run = RunTask(uuid4().hex, model, parameters)
        return Speech(self._connected, run, self._buffer_bytes, self._stall_timeout)

    async def say(self, text: Text, **parameters: Any) -> AsyncIterator[AudioChunk]:
        """Speak a text, or an iterator's pieces of it as they come; yields the sound as it comes.

        `parameters` are those of `speech`. Closing the iterator cancels the speech.
        Raises what iterating a Speech or `text` raises.
        """
        async with AsyncExitStack() as stack:
            speech = await stack.enter_async_context(self.speech(**parameters))
            feeding = asyncio.create_task(speech.feed_all(text))
            stack.push_async_callback(_stop, feeding)
            async for chunk in speech:
                yield chunk

    async def synthesize(self, text: Text, **parameters: Any) -> bytes:
        """As `say`, but returns the whole sound."""
        return b"".join([chunk.data async for chunk in self.say(text, **parameters)])

    async def version(self) -> Mapping[str, Any]:
        """The server's version, engine and voices, as `/version` has them. Raises what REST calls raise."""
        answer = await self._rest.request("GET", "/version")
        if not isinstance(answer, dict):
            raise UnexpectedMessage("the server's version is not an object")
        return answer

    async def voices(self) -> tuple[ServerVoice, ...]:
        """The server's own voices, which need no reference; the first one is its default.

        Raises what REST calls raise.
        """
        return parse_voices(await self.version())

    async def close(self) -> None:
        """Close everything. Idempotent."""
        async with self._opening:
            connection, self._connection = self._connection, None
        try:
            if connection is not None:
                await connection.close()
        finally:
            await self._rest.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _connected(self) -> Connection:
        """The connection, opened if there was none yet. A lost one raises when it is used."""
        if self._connection is None:
            await self.connect()
        connection = self._connection
        if connection is None:
            raise SpeechEnded("the client was closed")
        return connection


async def _stop(feeding: asyncio.Task[None]) -> None:
    feeding.cancel()
    await asyncio.wait([feeding])
