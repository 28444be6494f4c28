"""What the client commands share: the options for the server, and how a command fails."""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
import sys
from collections.abc import Coroutine, Mapping
from enum import IntEnum
from typing import Any, Final

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
from .output import PlaybackUnavailable

DEFAULT_URL: Final = "http://127.0.0.1:8000"
BUFFER_BYTES: Final = 256 * 2**20
"""Hours of speech: a player that pauses breaks no connection, and a command has nothing else to hold."""


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
        help=f"the server's address; by default COSYSERVE_URL, else {DEFAULT_URL}",
    )
    group.add_argument(
        "--token",
        default=environ.get("COSYSERVE_TOKEN"),
        help="by default COSYSERVE_TOKEN, which is safer: other users can read a command line",
    )
    group.add_argument(
        "--ca-file", metavar="PEM", help="certificates to trust in place of the system's"
    )


def make_client(options: argparse.Namespace) -> Client:
    """The client for the options of `add_connection_options`. Raises InvalidRequest."""
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
    """Run it; an expected failure becomes one line on stderr and its exit code."""
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
            return "; `cosyserve voices list` shows the known ones"
        case _:
            return ""
