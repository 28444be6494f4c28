"""`cosyserve serve` as a process: what it says of refused settings, and what it asks the system for."""

from __future__ import annotations

import errno
import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from cosyserve.benchmarks.load.launch import launched_server
from cosyserve.clients import Client
from cosyserve.server.port.listening import BACKLOG, has_ipv6
from support.listening.audio import make_file, speechlike
from support.peers.tls import self_signed

SOURCES = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
NOBODY = 54321
"""A user without an entry in passwd."""


class Outcome(NamedTuple):
    status: int
    output: str
    errors: str

    def line(self, setting: str) -> str:
        """The one line that names the setting, which nothing was served with."""
        assert "listening on" not in self.output
        return self.only_line(setting)

    def only_line(self, setting: str) -> str:
        assert "Traceback" not in self.errors
        (line,) = (line for line in self.errors.splitlines() if f"{setting}: " in line)
        return line


def run_serve(
    *flags: str, user: int | None = None, environment: dict[str, str] | None = None
) -> Outcome:
    """A start that must end by itself, with no environment but the one given."""
    result = subprocess.run(
        [*as_user(user), sys.executable, "-m", "cosyserve", "serve", "--port", "0", *flags],
        env={**SOURCES, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Outcome(result.returncode, result.stdout, result.stderr)


def as_user(user: int | None) -> list[str]:
    if user is None:
        return []
    return ["/usr/bin/setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]


def user_can_import() -> bool:
    command = [*as_user(NOBODY), sys.executable, "-c", "import cosyserve.server.app"]
    try:
        asked = subprocess.run(command, env=SOURCES, capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return asked.returncode == 0


@pytest.fixture(scope="module")
def other_user() -> int:
    if not user_can_import():
        pytest.skip("needs root, and an environment that others can read")
    return NOBODY


@pytest.fixture
def their_folder(other_user: int) -> Iterator[str]:
    """One that the other user may write, and reach: pytest's own are for root."""
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, other_user, other_user)
        yield folder


@pytest.fixture
def kept(tmp_path: Path) -> tuple[str, str]:
    return "--references", str(tmp_path / "references")


@pytest.mark.parametrize("language", ["xx-yy", "qqq", "tlh-Latn"])
def test_a_language_that_espeak_ng_has_not(kept: tuple[str, str], language: str) -> None:
    outcome = run_serve(*kept, "--default-language", language)
    assert outcome.status == 2
    line = outcome.line("default_language")
    assert f"default_language: '{language}' is not usable; allowed: " in line
    assert ", cmn, " in line


def test_a_model_folder_that_is_empty_or_broken(kept: tuple[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    flags = (*kept, "--model", str(folder), "--voice-folder", "none", "--device", "cpu")
    outcome = run_serve(*flags)
    assert outcome.status == 1
    line = outcome.line("model")
    assert f"model: {folder} is not usable; " in line
    assert "cosyvoice2.yaml or cosyvoice3.yaml: missing" in line
    assert "allowed: a complete checkpoint of CosyVoice 2 or CosyVoice 3" in line
    for name in ("cosyvoice2.yaml", "llm.pt", "flow.pt", "hift.pt", "campplus.onnx"):
        (folder / name).write_bytes(b"\x80\x02garbage")
    outcome = run_serve(*flags)
    assert outcome.status == 1
    assert "speech_tokenizer_v2.onnx: missing" in outcome.line("model")


def test_espeak_ng_that_is_missing(kept: tuple[str, str], tmp_path: Path) -> None:
    hidden = tmp_path / "path" / "espeakng_loader.py"
    hidden.parent.mkdir()
    hidden.write_text(
        "def get_library_path(): return '/none/libespeak-ng.so'\n"
        "def get_data_path(): raise RuntimeError('no data')\n"
    )
    path = os.pathsep.join([str(hidden.parent), SOURCES["PYTHONPATH"]])
    outcome = run_serve(*kept, environment={"PYTHONPATH": path})
    assert outcome.status == 1
    line = outcome.line("engine")
    assert "engine: embedded is not usable; the embedded voice needs espeak-ng" in line
    assert "pip install" in line
    assert "allowed: " in line


async def test_voices_that_are_there(tmp_path: Path) -> None:
    """The engine's own, and references in a folder that outlives a server, by name and by id."""
    kept = ("--references", str(tmp_path / "references"))
    clip = tmp_path / "clip.wav"
    clip.write_bytes(make_file(speechlike(16000, 2.0), 16000, "wav", "pcm_s16le"))
    async with launched_server(*kept) as server, Client(server.url) as client:
        added = await client.references.add(clip, "some words", name="Mine")
    voices = ("--openai-default-voice", "Mine", "--dashscope-default-voice", added.id)
    async with launched_server(*kept, *voices, "--openai-voices", "alloy=Alba") as server:
        async with Client(server.url) as client:
            await client.version()


def test_tls_files(kept: tuple[str, str], tmp_path: Path) -> None:
    cert, _key = self_signed(tmp_path)
    Path(cert).chmod(0o600)  # there is no notice then
    outcome = run_serve(*kept, "--tls-cert", str(cert), "--tls-key", str(cert))
    assert outcome.status == 2
    line = outcome.line("tls_key")
    assert line.startswith(
        f"cosyserve serve: tls_key: {cert} is not usable; it contains no private key"
    )


def test_a_port_that_is_taken(kept: tuple[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        outcome = run_serve(*kept, "--port", str(port))
        metrics = run_serve(*kept, "--metrics-address", f"127.0.0.1:{port}")
    assert outcome.status == metrics.status == 1
    line = outcome.line("port")
    assert f"port: {port} at 127.0.0.1 is in use; allowed: a free port, or 0" in line
    line = metrics.line("metrics_address")
    assert f"metrics_address: 127.0.0.1:{port} is in use; allowed: " in line


def test_a_port_for_the_superuser_only(other_user: int, their_folder: str) -> None:
    first = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if int(first.read_text()) <= 80:
        pytest.skip("every user may have it here")
    outcome = run_serve("--port", "80", "--references", their_folder, user=other_user)
    assert outcome.status == 1
    line = outcome.line("port")
    assert (
        "port: 80 at 127.0.0.1 is not permitted to this user; allowed: usually ports from" in line
    )


@pytest.mark.parametrize(
    ("host", "status", "words"),
    [
        ("no.such.name.invalid", 1, "no.such.name.invalid cannot be resolved ("),
        ("192.0.2.1", 1, "192.0.2.1 is not an address of this machine; allowed: "),
        ("[localhost]", 2, "'[localhost]' is not usable; allowed: in brackets an IPv6 address"),
        ("127.0.0.1:80", 2, "'127.0.0.1:80' is not usable; allowed: "),
    ],
)
def test_a_host_that_cannot_be_had(
    kept: tuple[str, str], host: str, status: int, words: str
) -> None:
    outcome = run_serve(*kept, "--allow-open", "--host", host)
    assert outcome.status == status
    assert f"host: {words}" in outcome.line("host")


def test_a_references_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nonexistent/x")):
        outcome = run_serve("--references", str(place))
        assert outcome.status == 1
        line = outcome.line("references")
        assert f"references: '{place}' is not usable; " in line
        assert "allowed: a folder that this user can write to" in line


def test_a_references_folder_that_cannot_be_written(other_user: int) -> None:
    outcome = run_serve("--references", "/etc", user=other_user)
    assert outcome.status == 1
    assert "references: '/etc' is not usable; " in outcome.line("references")


# Without a home folder


def test_a_user_without_home_is_told_which_setting_to_give(other_user: int) -> None:
    outcome = run_serve(user=other_user)
    assert outcome.status == 2
    line = outcome.line("references")
    assert "references: '~/.local/share/cosyserve/references' is not usable; " in line
    assert "HOME" in line
    assert "allowed: " in line


@pytest.mark.parametrize("home", ["/proc/nonexistent", "/dev/null"])
def test_a_home_that_cannot_be_written(home: str) -> None:
    outcome = run_serve(environment={"HOME": home})
    assert outcome.status == 1
    assert f"references: '{home}/.local/share/cosyserve/references' is" in outcome.line(
        "references"
    )


def test_a_voice_cache_that_cannot_be_had_is_warned_of(
    kept: tuple[str, str], other_user: int, their_folder: str
) -> None:
    """The engine speaks as well without one. What stops the server is the model, which is none."""
    model = ("--model", "/dev", "--device", "cpu")
    outcome = run_serve("--references", their_folder, *model, user=other_user)
    line = outcome.only_line("voice_folder")
    assert "voice_folder: there is no home folder to keep prepared voices in" in line
    assert "allowed: a folder, or none" in line
    outcome = run_serve(*kept, *model, environment={"HOME": "/proc/nonexistent"})
    line = outcome.only_line("voice_folder")
    assert "voice_folder: '/proc/nonexistent/.cache/cosyserve/voices' is not usable; " in line
    assert "allowed: a writable folder, or none" in line
    outcome = run_serve(*kept, *model, "--voice-folder", "none", environment={"HOME": "/proc/no"})
    assert "voice_folder" not in outcome.errors


def test_nobody_asks_for_a_home_that_is_not_needed(other_user: int, their_folder: str) -> None:
    """What stops the server is a language, which is looked at later."""
    outcome = run_serve("--references", their_folder, "--default-language", "xx", user=other_user)
    outcome.line("default_language")


# What a running server has of the system


@pytest.mark.skipif(not has_ipv6(), reason="needs IPv6")
async def test_the_announced_line_can_be_used_as_it_is() -> None:
    async with launched_server("--host", "::", "--allow-open") as server:
        assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+", server.url)
        async with Client(server.url) as client:
            assert await client.voices()


WAITING = 400


def kernel_lets_wait() -> int:
    limit = Path("/proc/sys/net/core/somaxconn")
    return int(limit.read_text()) if limit.exists() else 0


@pytest.mark.skipif(kernel_lets_wait() <= WAITING, reason="the kernel's own limit is lower")
async def test_as_many_connections_wait_as_the_backlog_says() -> None:
    """While the server does not run, only the kernel takes connections."""
    assert BACKLOG > WAITING
    async with launched_server() as server:
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with ExitStack() as closing:
                poll = select.poll()
                for _ in range(WAITING):
                    client = closing.enter_context(socket.socket())
                    client.setblocking(False)
                    port = int(server.url.rpartition(":")[2])
                    assert client.connect_ex(("127.0.0.1", port)) in (0, errno.EINPROGRESS)
                    poll.register(client, select.POLLOUT)
                assert len(poll.poll(0)) == WAITING
        finally:
            os.kill(server.pid, signal.SIGCONT)


async def test_the_limit_of_open_files_is_raised_for_the_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 700 if hard == resource.RLIM_INFINITY else min(hard - 600, 700)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        async with launched_server("--max-connections", str(most)) as server:
            assert resource.prlimit(server.pid, resource.RLIMIT_NOFILE)[0] >= most
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
