from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from cosyserve.server.app import RunningServer, serve
from cosyserve.server.auth import Caller
from cosyserve.server.settings import load_settings
from cosyserve.server.tasks.admission import Ticket
from support.listening.audio import make_file, speechlike
from support.peers.peers import Peer, audio, message, run_task, text
from support.peers.tls import self_signed


async def test_audio_is_encoded_by_as_many_threads_as_the_settings_say(served) -> None:
    async with served(encode_threads=3) as (server, _engine):
        pool = server.services.encode_pool
        assert isinstance(pool, ThreadPoolExecutor)
        assert pool._max_workers == 3


async def test_a_thread_of_the_loop_that_hangs_keeps_no_request_waiting(served) -> None:
    go_on = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        asyncio.get_running_loop().set_default_executor(pool)
        hanging = asyncio.create_task(asyncio.to_thread(go_on.wait))
        try:
            async with served() as (server, engine), Peer.of(server, engine) as peer:
                for path, body in WHOLE.items():
                    async with peer.http.post(path, json=body) as answer:
                        assert answer.status == 200
                await peer.upload(make_file(speechlike(16000, 2.0), 16000, "wav", "pcm_s16le"))
        finally:
            go_on.set()
            await hanging


async def test_drain_lets_running_tasks_finish_and_takes_no_new_ones(served) -> None:
    async with served() as (server, engine), Peer.of(server, engine) as peer:
        async with peer.socket() as socket:
            await socket.send(run_task("t"), text("continue-task", "t", "one "))
            got = await socket.until("result-generated")
            draining = asyncio.create_task(server.drain())
            await asyncio.sleep(0)
            async with peer.http.get("/readyz") as answer:
                assert (answer.status, (await answer.json())["status"]) == (503, "draining")
            with pytest.raises(InvalidStatus) as refused:
                async with peer.socket():
                    pass
            assert refused.value.response.status_code == 503
            await socket.send(run_task("u"))
            failed = (await socket.until("task-failed"))[-1]["header"]
            assert (failed["task_id"], failed["error_code"]) == ("u", "EngineUnavailable")
            assert not draining.done()
            await socket.send(text("finish-task", "t", "two"))
            got += await socket.until("task-finished")
            with pytest.raises(ConnectionClosed) as closed:
                await socket.next()
            await draining
    assert len(audio(got)) > 0
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


async def test_drain_waits_no_longer_than_its_grace(served) -> None:
    async with served(drain_grace=0.05) as (server, engine), Peer.of(server, engine) as peer:
        async with peer.socket() as socket:
            await socket.send(run_task("t"))
            await socket.until("task-started")
            await asyncio.wait_for(server.drain(), 60)
            await socket.until("task-failed")
            with pytest.raises(ConnectionClosed) as closed:
                await socket.next()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert not engine.open


WHOLE = {
    "/api/v1/audio/speech": {
        "model": "CosyVoice2-0.5B",
        "stream": False,
        "input": {"mode": "fast_replication", "reference_audio_id": "plain", "text": "one two"},
    },
    "/v1/text-to-speech/plain/with-timestamps": {"text": "one two"},
}
UPLOADS = "/api/v1/audio/reference_audio"


class SlowUpload:
    """A clip of which the second half is sent on command."""

    def __init__(self) -> None:
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    def form(self) -> aiohttp.FormData:
        form = aiohttp.FormData()
        form.add_field("text", "What is said.")
        form.add_field("file", self._clip(), filename="clip.wav")
        return form

    async def _clip(self) -> AsyncIterator[bytes]:
        clip = make_file(speechlike(16000, 2.0), 16000, "wav", "pcm_s16le")
        yield clip[:1000]
        self.begun.set()
        await self.go_on.wait()
        yield clip[1000:]


def _upload_received(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """An event that is set once an upload has its place."""
    admission, received = server.services.admission, asyncio.Event()
    take = admission.upload

    def upload(caller: Caller) -> Ticket:
        received.set()
        return take(caller)

    monkeypatch.setattr(admission, "upload", upload)
    return received


@pytest.mark.parametrize("path", WHOLE)
async def test_drain_waits_for_whole_answers(served, path: str) -> None:
    async with served(drain_grace=60) as (server, engine), Peer.of(server, engine) as peer:
        engine.gate.clear()
        asked = asyncio.create_task(peer.http.post(path, json=WHOLE[path]))
        await engine.opened.wait()
        draining = asyncio.create_task(server.drain())
        await asyncio.sleep(0)
        engine.gate.set()
        async with await asked as answer:
            assert answer.status == 200
            assert "audio" in await answer.text()
        await draining


async def test_drain_waits_for_an_upload(served, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = SlowUpload()
    async with served(drain_grace=60) as (server, engine), Peer.of(server, engine) as peer:
        received = _upload_received(server, monkeypatch)
        asked = asyncio.create_task(peer.http.post(UPLOADS, data=upload.form()))
        await upload.begun.wait()
        await received.wait()
        draining = asyncio.create_task(server.drain())
        await asyncio.sleep(0)
        upload.go_on.set()
        async with await asked as answer:
            assert answer.status == 200, await answer.text()
        await draining
    assert engine.prepared


@pytest.mark.parametrize("path", WHOLE)
async def test_a_whole_answer_beyond_the_grace_is_an_error_of_its_own(served, path: str) -> None:
    async with served(drain_grace=0) as (server, engine), Peer.of(server, engine) as peer:
        engine.gate.clear()
        asked = asyncio.create_task(peer.http.post(path, json=WHOLE[path]))
        await engine.opened.wait()
        with capture_logs() as logged:
            await server.drain()
        async with await asked as answer:
            assert answer.status == 503
            assert "shutting down" in await answer.text()
    [ended] = [line for line in logged if line["event"] == "task_ended"]
    assert (ended["outcome"], ended["code"]) == ("failed", "EngineUnavailable")
    assert [line["tasks"] for line in logged if line["event"] == "drain_over"] == [1]


async def test_an_upload_beyond_the_grace_is_told_why(
    served, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = SlowUpload()
    async with (
        served(drain_grace=0, close_timeout=0.2) as (server, engine),
        Peer.of(server, engine) as peer,
    ):
        received = _upload_received(server, monkeypatch)
        asked = asyncio.create_task(peer.http.post(UPLOADS, data=upload.form()))
        await upload.begun.wait()
        await received.wait()
        await server.drain()
        async with await asked as answer:
            assert answer.status == 503
            assert "shutting down" in await answer.text()
        upload.go_on.set()


@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_at_once(tmp_path: Path, again: signal.Signals) -> None:
    flags = ("--references", str(tmp_path), "--drain-grace", "86400")
    async with started(*flags) as (process, url):
        assert process.stderr is not None
        uri = url.replace("http", "ws", 1) + "/api-ws/v1/audio/speech"
        async with connect(uri) as socket:
            await socket.send(run_task("t", reference_audio_id="alba"))
            assert "task-started" in str(await socket.recv())
            process.send_signal(signal.SIGTERM)
            while b"draining" not in await process.stderr.readline():
                pass
            process.send_signal(again)
            assert "task-failed" in str(await socket.recv())
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
        _out, errors = await asyncio.wait_for(process.communicate(), 60)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert "closing_at_once" in errors.decode()
    assert process.returncode == 0


def test_a_shutdown_that_hangs_is_ended() -> None:
    script = (
        "import threading; from cosyserve.server import app\n"
        "app._exit_within(0.05); threading.Event().wait()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], timeout=60, capture_output=True, check=False
    )
    assert ended.returncode == 1
    assert b"ended_unfinished" in ended.stdout + ended.stderr


async def test_the_same_port_cannot_be_had_twice(served, tmp_path: Path) -> None:
    async with served() as (server, engine):
        again = load_settings({"port": server.port, "references": str(tmp_path / "other")})
        with pytest.raises(OSError, match="in use"):
            async with serve(again, engine):
                pass


async def test_tls_serves_both_protocols(served, tmp_path: Path) -> None:
    cert_file, key_file = self_signed(tmp_path)
    trust = ssl.create_default_context(cafile=cert_file)
    headers = {"Authorization": "Bearer alice-secret"}
    async with served(tls_cert=str(cert_file), tls_key=str(key_file)) as (server, _engine):
        assert server.url.startswith("https://")
        connector = aiohttp.TCPConnector(ssl=trust)
        async with aiohttp.ClientSession(server.url, connector=connector, headers=headers) as http:
            async with http.get("/readyz") as answer:
                assert answer.status == 200
            body = {"mode": "fast_replication", "reference_audio_id": "plain", "text": "one two"}
            asked = {"model": "CosyVoice2-0.5B", "input": body}
            async with http.post("/api/v1/audio/speech", json=asked) as answer:
                assert (await answer.read()).count(b"data: ") == 3
        uri = server.url.replace("http", "ws", 1) + "/api-ws/v1/audio/speech"
        async with connect(uri, ssl=trust, additional_headers=headers) as socket:
            await socket.send(run_task("t"))
            await socket.send(text("finish-task", "t", "one"))
            events = [await socket.recv() for _ in range(3)]
    assert '"task-finished"' in str(events[-1])


@asynccontextmanager
async def started(*flags: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A server process and its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cosyserve", "serve", "--port", "0", *flags,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        assert line.startswith("listening on "), line
        yield process, line.split()[-1]
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_sigterm_drains_and_exits_cleanly(tmp_path: Path) -> None:
    async with started("--references", str(tmp_path)) as (process, url):
        await _drain_by_signal(process, url)


async def test_sighup_reads_the_token_file_anew(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("alice=alice-secret\n")
    flags = ("--references", str(tmp_path), "--token-file", str(file), "--host", "127.0.0.1")
    async with started(*flags) as (process, url):
        assert process.stderr is not None
        file.write_text("bob=bob-secret\n")
        process.send_signal(signal.SIGHUP)
        while b"tokens_read" not in (line := await process.stderr.readline()):
            assert line, "the server ended"
        headers = {"Authorization": "Bearer bob-secret"}
        async with aiohttp.ClientSession(url, headers=headers) as http:
            async with http.get("/version") as answer:
                assert answer.status == 200


async def _drain_by_signal(process: asyncio.subprocess.Process, url: str) -> None:
    uri = url.replace("http", "ws", 1) + "/api-ws/v1/audio/speech"
    async with aiohttp.ClientSession(url) as http, http.get("/version") as answer:
        voice = (await answer.json())["voices"][0]["id"]
    async with connect(uri) as socket:
        await socket.send(run_task("t", reference_audio_id=voice))
        await socket.send(text("continue-task", "t", "This goes on, "))
        while "result-generated" not in str(await socket.recv()):
            pass
        process.send_signal(signal.SIGTERM)
        await socket.send(text("continue-task", "t", "and on to its end."))
        await socket.send(message("finish-task", "t"))
        while "task-finished" not in str(last := await socket.recv()):
            pass
        assert '"stop"' in str(last)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    _out, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert "This goes on" not in errors.decode()
    assert "Traceback" not in errors.decode()


async def test_a_port_in_use_is_said_plainly(served, tmp_path: Path) -> None:
    async with served() as (server, _engine):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cosyserve", "serve", "--port", str(server.port),
            "--references", str(tmp_path), stderr=subprocess.PIPE,
        )  # fmt: skip
        _out, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert "in use" in errors.decode()
    assert "Traceback" not in errors.decode()


@pytest.mark.parametrize(
    "flags",
    [
        ("--default-language", "xx-yy"),
        ("--host", "[::1]:80"),
        ("--tls-cert", __file__, "--tls-key", __file__),
    ],
)
async def test_a_setting_that_is_refused_is_said_in_one_line(
    flags: tuple[str, ...], tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cosyserve", "serve", "--port", "0", "--log-level", "error",
        "--references", str(tmp_path), *flags, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, errors = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, out) == (2, b"")
    (line,) = errors.decode().splitlines()
    name = flags[0].removeprefix("--").replace("-", "_")
    assert line.startswith(f"cosyserve serve: {name}: ")
    assert flags[1] in line
    assert "; allowed: " in line


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("0.0.0.0", ["127.0.0.1"]),
        ("localhost", ["127.0.0.1", "[::1]"]),
        ("::", ["127.0.0.1", "[::1]"]),
    ],
)
@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
async def test_a_host_of_several_addresses_is_served_at_all(
    served, host: str, addresses: list[str]
) -> None:
    async with served(host=host, metrics_address=f"[{host}]:0" if ":" in host else f"{host}:0") as (
        server,
        _engine,
    ):
        urls = [server.url, *(f"http://{address}:{server.port}" for address in addresses)]
        for url in urls:
            async with aiohttp.ClientSession(url) as http, http.get("/readyz") as answer:
                assert answer.status == 200
            headers = {"Authorization": "Bearer alice-secret"}
            uri = f"{url.replace('http', 'ws', 1)}/api-ws/v1/audio/speech"
            async with connect(uri, additional_headers=headers) as socket_:
                await socket_.send(run_task("t"))
                await socket_.send(text("finish-task", "t", "one"))
                while "task-finished" not in str(await socket_.recv()):
                    pass
        held = await connect(uri, additional_headers=headers)
        assert len(server.websockets.connections) == 1
        await server.close()
        with pytest.raises(ConnectionClosed) as closed:
            await held.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("::ffff:127.0.0.1", "http://127.0.0.1:{}"),
        ("[::ffff:0.0.0.0]", "http://127.0.0.1:{}"),
        ("LocalHost.", "http://localhost:{}"),
    ],
)
async def test_a_host_written_another_way_is_announced_as_clients_can_use_it(
    served, host: str, url: str
) -> None:
    async with served(host=host, metrics_address="[::ffff:127.0.0.1]:0") as (server, _engine):
        assert server.url == url.format(server.port)
        async with aiohttp.ClientSession(server.url) as http, http.get("/readyz") as answer:
            assert answer.status == 200


async def test_metrics_at_the_port_itself_are_told_as_theirs(served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    address = f"127.0.0.1:{port}"
    with pytest.raises(OSError, match=rf"^metrics_address: {address} is in use; allowed: "):
        async with served(port=port, metrics_address=address):
            pass


async def test_an_address_that_can_be_used_is_printed_beside_that_of_all(tmp_path: Path) -> None:
    flags = ("--host", "0.0.0.0", "--allow-open", "--references", str(tmp_path))
    async with started(*flags) as (process, url):
        assert process.stdout is not None
        port = int(url.rpartition(":")[2])
        assert url == f"http://127.0.0.1:{port}"
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        assert line.split()[-1] == f"http://0.0.0.0:{port}"


async def test_closing_does_not_wait_for_a_stream_that_goes_on(served) -> None:
    async with served() as (server, engine), Peer.of(server, engine) as peer:
        engine.gate.clear()
        asked = {
            "model": "CosyVoice2-0.5B",
            "input": {"mode": "fast_replication", "reference_audio_id": "plain", "text": "one"},
        }
        waiting = asyncio.create_task(peer.http.post("/api/v1/audio/speech", json=asked))
        await engine.opened.wait()
        await asyncio.wait_for(server.close(), 10)
        async with await waiting as answer:
            assert answer.status == 503
    assert not engine.open
