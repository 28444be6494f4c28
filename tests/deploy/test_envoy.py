"""deploy/envoy: the file as it is, run before a server; only its addresses are those of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.peers.proxied import CHECKS, Check, Proxy
from support.tools.external_programs import DEPLOY, passes, running, tool, with_places

from .conftest import Certificate, Stepped

FILE = DEPLOY / "envoy" / "envoy.yaml"


def prepare(folder: Path, certificate: Certificate, port: int, upstream: int) -> Path:
    """The configuration with the test's addresses."""
    places = {
        "address: 0.0.0.0, port_value: 8443": f"address: 127.0.0.1, port_value: {port}",
        "address: 127.0.0.1, port_value: 8000": f"address: 127.0.0.1, port_value: {upstream}",
        "address: 127.0.0.1, port_value: 9901": "address: 127.0.0.1, port_value: 0",
        "/etc/envoy/tls/cosyserve.crt": str(certificate.chain),
        "/etc/envoy/tls/cosyserve.key": str(certificate.key),
    }
    made = folder / "envoy.yaml"
    made.write_text(with_places(FILE.read_text(), places))
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


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_what_must_work_through_it(proxy: Proxy, check: Check) -> None:
    await check(proxy)
