"""deploy/nginx: the file as it is, run before a server; only its addresses are those of the test."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cosyserve.server.settings import load_settings
from support.peers.proxied import CHECKS, Check, Proxy
from support.tools.external_programs import DEPLOY, passes, running, tool, with_places

from .conftest import Certificate, Stepped

FILE = DEPLOY / "nginx" / "cosyserve.conf"

WHOLE = """
{user}
pid {folder}/nginx.pid;
worker_processes 1;
error_log stderr notice;
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    # The server asks for the same by a header: here the file must do without.
    proxy_ignore_headers X-Accel-Buffering;
    include {folder}/cosyserve.conf;
}}
"""


def prepare(folder: Path, certificate: Certificate, port: int, upstream: int) -> Path:
    """The configuration with the test's addresses."""
    places = {
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "server 127.0.0.1:8000 ": f"server 127.0.0.1:{upstream} ",
        "/etc/nginx/tls/cosyserve.crt": str(certificate.chain),
        "/etc/nginx/tls/cosyserve.key": str(certificate.key),
        "/var/log/nginx/cosyserve.log": str(folder / "access.log"),
    }
    (folder / "cosyserve.conf").write_text(with_places(FILE.read_text(), places))
    whole = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    whole.write_text(WHOLE.format(folder=folder, user=user))
    return whole


@pytest.fixture
async def proxy(
    tmp_path: Path, certificate: Certificate, free_port: int, stepped: Stepped
) -> AsyncIterator[Proxy]:
    nginx = tool("nginx")
    whole = prepare(tmp_path, certificate, free_port, stepped.server.port)
    command = (nginx, "-p", tmp_path, "-c", whole, "-g", "daemon off;")
    async with running(*command, until="start worker process "):
        yield Proxy(f"127.0.0.1:{free_port}", certificate.trust, stepped.steps)


def test_nginx_takes_the_file(tmp_path: Path, certificate: Certificate, free_port: int) -> None:
    whole = prepare(tmp_path, certificate, free_port, 1)
    passes(tool("nginx"), "-t", "-p", tmp_path, "-c", whole)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_what_must_work_through_it(proxy: Proxy, check: Check) -> None:
    await check(proxy)


async def test_the_log_has_no_query(proxy: Proxy, tmp_path: Path) -> None:
    await proxy.hides_metrics()
    log = (tmp_path / "access.log").read_text()
    assert '"GET /readyz" 200' in log
    assert "$uri" in FILE.read_text()
    assert "$request " not in FILE.read_text()
    assert "$args" not in FILE.read_text()


def test_its_limits_are_above_those_of_the_server() -> None:
    words = FILE.read_text().split()
    settings = load_settings()

    def after(name: str) -> float:
        value = words[words.index(name) + 1].rstrip(";")
        return float(value.rstrip("sm")) * (2**20 if value.endswith("m") else 1)

    assert settings.ping_interval is not None
    assert after("client_max_body_size") > settings.max_upload_bytes
    assert after("proxy_read_timeout") > 2 * settings.ping_interval
    assert after("proxy_send_timeout") > settings.send_timeout
    assert after("client_header_timeout") == settings.head_timeout
