"""What the client commands share: the server's flags, the exit codes, the errors.

Which voice a command speaks with: a clip to upload, a reference, or one of the server's own.

One line on a terminal that says how a speech goes.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import ssl
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, TextIO

from ..client import Client
from ..errors import (
    AuthenticationFailed,
    ClientError,
    ConnectionFailed,
    ConnectionLost,
    InvalidRequest,
    NotFound,
    SpeechFailed,
)
from ..rest import ReferenceAudio
from ..speech import SpeechMetrics
from .output import PlaybackUnavailable


@asynccontextmanager
async def chosen_voice(
    client: Client,
    voice: str | None,
    *,
    text: str | None = None,
    sample_rate: int | None = None,
    keep: bool = False,
) -> AsyncIterator[str]:
    """The id to speak with. A clip that this uploaded is deleted in the end, unless `keep`.

    voice: a file, an id, a name, or None for the server's first voice.
    text: the words spoken in the file. sample_rate: Hz, if the file is raw PCM.
    Raises InvalidRequest and what REST calls raise.
    """
    if voice is None or not await asyncio.to_thread(Path(voice).is_file):
        yield await _known_voice(client, voice)
        return
    if not text:
        raise InvalidRequest(f"say what is spoken in {voice}: --voice-text 'its words'")
    reference, ours = await _uploaded(client, Path(voice), text, sample_rate)
    try:
        yield reference.id
    except BaseException:
        if ours and not keep:
            # The failure that is on its way says more than one of the deletion.
            with suppress(ClientError):
                await client.references.delete(reference.id)
        raise
    if ours and not keep:
        with suppress(NotFound):  # somebody was faster
            await client.references.delete(reference.id)


async def _known_voice(client: Client, voice: str | None) -> str:
    if voice is not None and ("/" in voice or "\\" in voice):
        raise InvalidRequest(f"there is no file {voice}, and no voice can have this name")
    voices = await client.voices()
    if voice is None:
        if not voices:
            raise InvalidRequest(
                "this server has no voice of its own: give a clip with --voice FILE --voice-text"
            )
        return voices[0].id
    for known in voices:
        if voice.casefold() in (known.id.casefold(), known.name.casefold()):
            return known.id
    return voice


async def _uploaded(
    client: Client, path: Path, text: str, sample_rate: int | None
) -> tuple[ReferenceAudio, bool]:
    """The clip on the server, and whether this call put it there.

    The upload's name holds a digest of its bytes, so that an equal one is known again by the list.
    """
    try:
        data = await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        raise InvalidRequest(f"cannot read {path}: {error.strerror}") from None
    digest = hashlib.sha256(data + str(sample_rate).encode()).hexdigest()[:16]
    filename = f"{path.stem}-{digest}{path.suffix}"
    for reference in await client.references.list(limit=1000):
        if (reference.filename, reference.bytes, reference.text) == (filename, len(data), text):
            return reference, False
    added = await client.references.add(data, text, filename=filename, sample_rate=sample_rate)
    return added, True


def summary(metrics: SpeechMetrics) -> str:
    """Seconds of speech, the first package's delay, the real-time factor, as far as known."""
    parts = [f"{metrics.speech_len:.1f} s of speech"]
    if metrics.first_package is not None:
        parts.append(f"first package {metrics.first_package * 1000:.0f} ms")
    if metrics.real_time_factor is not None:
        parts.append(f"real-time factor {metrics.real_time_factor:.2f}")
    return ", ".join(parts)


class Progress:
    """Rewrites its line in place; silent where the stream is no terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = stream.isatty()

    def update(self, metrics: SpeechMetrics) -> None:
        if self._shown:
            self._stream.write(f"\r\x1b[K{summary(metrics)}")
            self._stream.flush()

    def close(self) -> None:
        """Leave the last line standing."""
        if self._shown:
            self._stream.write("\n")
            self._stream.flush()


DEFAULT_URL: Final = "http://127.0.0.1:8000"
BUFFER_BYTES: Final = 256 * 2**20
"""Hours of speech: a player that pauses costs no connection, for a command has nothing else to do."""


class Exit(IntEnum):
    """Exit codes of the client commands; 128 + signal for a signal, as shells have it."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_CONNECTION = 3
    NO_AUTHENTICATION = 4
    NO_SUCH_VOICE = 5
    INTERRUPTED = 130


EXIT_CODES: Final = """\
exit codes:
  0 done   1 failed   2 wrong usage   3 no connection, or it broke   4 wrong token
  5 no such voice or reference   130 interrupted
"""


def add_connection_options(
    parser: argparse.ArgumentParser, environ: Mapping[str, str] | None = None
) -> None:
    """Add --url, --token and --ca-file; the environment (the process's if None) gives defaults."""
    environ = os.environ if environ is None else environ
    group = parser.add_argument_group("server")
    group.add_argument(
        "--url",
        default=environ.get("COSYSERVE_URL", DEFAULT_URL),
        help=f"its address; else COSYSERVE_URL, else {DEFAULT_URL}",
    )
    group.add_argument(
        "--token",
        default=environ.get("COSYSERVE_TOKEN"),
        help="its token; else COSYSERVE_TOKEN (safer: others can read a command line)",
    )
    group.add_argument(
        "--ca-file", metavar="PEM", help="certificates to trust instead of the system's"
    )


def make_client(options: argparse.Namespace) -> Client:
    """Raises InvalidRequest."""
    tls = tls_context(options.ca_file)
    return Client(options.url, token=options.token, tls=tls, buffer_bytes=BUFFER_BYTES)


def tls_context(ca_file: str | None) -> ssl.SSLContext | None:
    """A context that trusts the certificates in this PEM file. Raises InvalidRequest."""
    if ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise InvalidRequest(f"cannot use {ca_file}: {error}") from None


def run_command(command: Coroutine[Any, Any, None]) -> int:
    """Run it; every expected failure becomes a line on stderr and an exit code."""
    try:
        asyncio.run(command)
    except ClientError as error:
        print(f"cosyserve: {error}{_advice(error)}", file=sys.stderr)
        return _exit_code(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    return Exit.OK


def _exit_code(error: ClientError) -> Exit:
    match error:
        case InvalidRequest() | PlaybackUnavailable():
            return Exit.USAGE
        case ConnectionFailed() | ConnectionLost():
            return Exit.NO_CONNECTION
        case AuthenticationFailed():
            return Exit.NO_AUTHENTICATION
        case NotFound() | SpeechFailed(code="ReferenceAudioNotFound"):
            return Exit.NO_SUCH_VOICE
        case _:
            return Exit.FAILED


def _advice(error: ClientError) -> str:
    match error:
        case AuthenticationFailed():
            return "; set COSYSERVE_TOKEN or use --token"
        case NotFound() | SpeechFailed(code="ReferenceAudioNotFound"):
            return "; `cosyserve voices list` shows what there is"
        case _:
            return ""
