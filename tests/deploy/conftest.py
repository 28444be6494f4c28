"""What the tests of deploy/ share: a server that speaks a word when it is told to, and a certificate."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cosyserve.server.app import RunningServer, serve
from cosyserve.server.settings import load_settings
from support.fake_engine import FakeEngine


class Steps(asyncio.Event):
    """An engine's gate that lets one word out for each `step`."""

    def __init__(self) -> None:
        super().__init__()
        self._words = asyncio.Semaphore(0)

    async def wait(self) -> Literal[True]:
        await self._words.acquire()
        return True

    def step(self, words: int = 1) -> None:
        for _ in range(words):
            self._words.release()


@dataclass(frozen=True)
class Stepped:
    """A server behind a proxy, and what makes its engine speak."""

    server: RunningServer
    steps: Steps


@pytest.fixture
async def stepped(tmp_path: Path) -> AsyncIterator[Stepped]:
    engine, steps = FakeEngine(), Steps()
    engine.gate = steps
    flags = {
        "port": 0,
        "host": "127.0.0.1",
        "tokens": ("alice=alice-secret",),
        "references": str(tmp_path / "references"),
    }
    async with serve(load_settings(flags), engine) as server:
        yield Stepped(server, steps)


@dataclass(frozen=True)
class Certificate:
    chain: Path
    key: Path

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.chain)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """For 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    host = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([host]), False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    found = Certificate(folder / "cosyserve.crt", folder / "cosyserve.key")
    pem = serialization.Encoding.PEM
    found.chain.write_bytes(made.public_bytes(pem))
    private = serialization.PrivateFormat.PKCS8
    found.key.write_bytes(key.private_bytes(pem, private, serialization.NoEncryption()))
    return found


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
