"""An S3-compatible service for tests: moto in a process of its own, and a line to it that can break."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Literal

from cosyserve.server.voices import S3Options

# Says where it listens, and ends with its parent, however that ends: its input is then closed.
_PROGRAM = """
import logging, sys
logging.getLogger("werkzeug").setLevel(logging.ERROR)
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://{}:{}".format(*server.get_host_and_port()), flush=True)
sys.stdin.read()
"""


@contextmanager
def s3_service() -> Iterator[str]:
    """The address of a service that lives as long as the context; any keys will do."""
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            assert address, "moto ended early"
            yield address
        finally:
            process.kill()


def new_bucket(endpoint: str) -> str:
    """Make an empty bucket and return its name."""
    name = f"bucket-{uuid.uuid4()}"
    request = urllib.request.Request(f"{endpoint}/{name}", method="PUT")
    with urllib.request.urlopen(request):
        return name


def options(endpoint: str, bucket: str, **more: object) -> S3Options:
    """How to reach the service; the keys are given, so that those of the environment stay out."""
    settings: dict[str, object] = {
        "prefix": "references",
        "endpoint": endpoint,
        "region": "us-east-1",
        "access_key_id": "test",
        "secret_access_key": "test",
        "path_style": True,
    }
    return S3Options(bucket, **(settings | more))  # type: ignore[arg-type]


class Line:
    """A TCP line to the service, for tests of failures."""

    def __init__(self, host: str, port: int) -> None:
        self.address = ""
        self.mode: Literal["pass", "drop", "stall"] = "pass"
        self.sent = bytearray()
        self._service = (host, port)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        service: asyncio.StreamWriter | None = None
        answers: asyncio.Task[None] | None = None
        try:
            while data := await reader.read(65536):
                self.sent += data
                if self.mode == "drop":
                    break
                if self.mode == "stall":
                    continue
                if service is None:
                    answered, service = await asyncio.open_connection(*self._service)
                    answers = asyncio.create_task(self._answer(answered, writer))
                service.write(data)
        finally:
            writer.close()
            if service is not None:
                service.close()
            if answers is not None:
                await asyncio.gather(answers, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()


@asynccontextmanager
async def line_to(endpoint: str) -> AsyncIterator[Line]:
    """A line that passes everything on until its `mode` says otherwise."""
    host, port = endpoint.removeprefix("http://").split(":")
    line = Line(host, int(port))
    async with await asyncio.start_server(line.serve, "127.0.0.1", 0) as server:
        line.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield line
