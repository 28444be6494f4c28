"""deploy/envoy: the file as it is, run before a server; only its addresses are those of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.audio import make_file, speechlike
from support.proxied import Proxy
from support.tools import DEPLOY, passes, running, tool

from .conftest import Certificate, Stepped

FILE = DEPLOY / "envoy" / "envoy.yaml"


def prepare(folder: Path, certificate: Certificate, port: int, upstream: int) -> Path:
    """The configuration with the test's addresses. Fails if a place to put one is gone."""
    whole = FILE.read_text()
    for old, new in {
        "address: 0.0.0.0, port_value: 8443": f"address: 127.0.0.1, port_value: {port}",
        "address: 127.0.0.1, port_value: 8000": f"address: 127.0.0.1, port_value: {upstream}",
        "address: 127.0.0.1, port_value: 9901": "address: 127.0.0.1, port_value: 0",
        "/etc/envoy/tls/cosyserve.crt": str(certificate.chain),
        "/etc/envoy/tls/cosyserve.key": str(certificate.key),
    }.items():
        assert whole.count(old) == 1, old
        whole = whole.replace(old, new)
    made = folder / "envoy.yaml"
    made.write_text(whole)
    return made


@pytest.fixture
async def proxy(
    tmp_path: Path, certificate: Certificate, free_port: int, stepped: Stepped
) -> AsyncIterator[Proxy]:
    envoy = tool("envoy")
    whole = prepare(tmp_path, certificate, free_port, stepped.server.port)
    one = ("--concurrency", "1", "--use-dynamic-base-id")
    # It listens before it says that worker 0 starts, which it says only where config is verbose.
    command = (envoy, "-c", whole, *one, "--component-log-level", "config:debug")
    async with running(*command, until="starting worker 0"):
        yield Proxy(f"127.0.0.1:{free_port}", certificate.trust, stepped.steps)


def test_envoy_takes_the_file(tmp_path: Path, certificate: Certificate, free_port: int) -> None:
    whole = prepare(tmp_path, certificate, free_port, 1)
    assert "OK" in passes(tool("envoy"), "--mode", "validate", "-c", whole)


async def test_websockets_pass_frame_by_frame(proxy: Proxy) -> None:
    await proxy.carries_websockets()


async def test_events_pass_one_by_one(proxy: Proxy) -> None:
    await proxy.carries_events()


async def test_refusals_and_uploads_pass(proxy: Proxy) -> None:
    await proxy.carries_refusals_and_uploads(
        make_file(speechlike(48000, 29.0), 48000, "wav", "pcm_s16le")
    )


async def test_metrics_are_hidden(proxy: Proxy) -> None:
    await proxy.hides_metrics()
