from __future__ import annotations

import asyncio
import io
import threading
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from cosyserve.engine.interface import InvalidReference
from cosyserve.server.auth import Caller
from cosyserve.server.voices import intake
from support.listening.audio import make_file, speechlike
from support.peers.peers import Peer, audio, run_task, text

URL = "/api/v1/audio/reference_audio"
BAD_HEAD = b'--x\r\nContent-Disposition: form-data; name="\x05"\r\n\r\ntext\r\n--x--\r\n'
CUT_OFF = b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\ntext'


@pytest.fixture(scope="module")
def clip() -> bytes:
    return make_file(speechlike(16000, 2.0), 16000, "wav", "pcm_s16le")


async def get(peer: Peer, path: str = "", **query: Any) -> tuple[int, Any]:
    async with peer.http.get(URL + path, params=query) as answer:
        return answer.status, await answer.json()


async def test_upload_get_list_delete(peer: Peer, clip: bytes) -> None:
    made = await peer.upload(clip, "Hello there.")
    status, found = await get(peer, "/" + made)
    assert status == 200
    assert found == {
        "id": made,
        "filename": "clip.wav",
        "bytes": len(clip),
        "created_at": found["created_at"],
        "text": "Hello there.",
    }
    assert uuid.UUID(made)
    assert (await get(peer))[1] == [found]
    async with peer.http.delete(f"{URL}/{made}") as answer:
        assert answer.status == 200
        body = await answer.json()
    assert body == {"code": "OK", "message": f"reference audio: {made} deleted.", "data": {}}
    status, found = await get(peer, "/" + made)
    assert (status, found["code"]) == (404, "ReferenceAudioNotFound")
    assert (await get(peer))[1] == []


async def test_a_record_of_consent_is_kept_with_the_clip(peer: Peer, clip: bytes) -> None:
    given = {"consent_by": " Anna ", "consent_date": "2026-01-31", "consent_note": "By letter."}
    made = await peer.upload(clip, **given)
    consent = {"by": "Anna", "date": "2026-01-31", "note": "By letter."}
    assert (await get(peer, "/" + made))[1]["consent"] == consent
    (listed,) = (await get(peer))[1]
    assert listed["consent"] == consent
    plain = await peer.upload(clip, consent_by="", consent_date=" ", consent_note="")
    assert "consent" not in (await get(peer, "/" + plain))[1]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"consent_by": "Anna"}, "consent_by, consent_date: allowed: both or neither"),
        ({"consent_note": "n"}, "consent_by, consent_date: allowed: both or neither"),
        ({"consent_by": "Anna", "consent_date": "2026-02-30"}, "consent_date: '2026-02-30'"),
    ],
)
async def test_a_record_that_says_too_little_is_refused(
    peer: Peer, clip: bytes, fields: dict[str, str], named: str
) -> None:
    form = aiohttp.FormData({"text": "Hello.", **fields})
    form.add_field("file", clip, filename="clip.wav")
    async with peer.http.post(URL, data=form) as answer:
        assert answer.status == 400
        assert (await answer.json())["message"].startswith(named)
    assert (await get(peer))[1] == []


async def test_uploads_beyond_the_limit_are_refused(served, clip: bytes) -> None:
    async with served(max_uploads=1) as (server, engine), Peer.of(server, engine) as peer:
        with server.services.admission.upload(Caller("bob")):
            form = aiohttp.FormData({"text": "Hello."})
            form.add_field("file", clip, filename="clip.wav")
            async with peer.http.post(URL, data=form) as answer:
                assert answer.status == 429
        assert await peer.upload(clip, "Hello.")


async def test_no_token_takes_all_places_for_uploads(served, clip: bytes) -> None:
    async with (
        served(max_uploads=3) as (server, engine),
        Peer.of(server, engine) as alice,
        Peer.of(server, engine, "bob-secret") as bob,
        slow_upload(alice),
        slow_upload(alice),
    ):
        form = aiohttp.FormData({"text": "Hello."})
        form.add_field("file", clip, filename="clip.wav")
        async with alice.http.post(URL, data=form) as answer:
            assert answer.status == 429
            assert (await answer.json())["code"] == "Throttled"
        assert await bob.upload(clip, "Hello.")


@asynccontextmanager
async def slow_upload(peer: Peer) -> AsyncIterator[None]:
    """An upload that has begun and whose body does not come."""
    admission = peer.server.services.admission
    before = admission.uploads
    asked = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"--x\r\n"
        asked.set()
        await asyncio.Event().wait()

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    sending = asyncio.create_task(peer.http.post(URL, data=body(), headers=headers).__aenter__())
    await asked.wait()
    while admission.uploads == before:
        await get(peer, "/unknown")  # as long as it takes the server to read
    yield
    sending.cancel()
    await asyncio.wait({sending})


async def test_references_beyond_the_limit_are_refused(served, clip: bytes) -> None:
    async with (
        served(max_references_per_token=1) as (server, engine),
        Peer.of(server, engine) as alice,
        Peer.of(server, engine, "bob-secret") as bob,
    ):
        made = await alice.upload(clip)
        form = aiohttp.FormData({"text": "Hello."})
        form.add_field("file", clip, filename="clip.wav")
        async with alice.http.post(URL, data=form) as answer:
            assert answer.status == 413
            found = await answer.json()
        assert found["code"] == "TooManyReferences"
        assert "at most 1 references" in found["message"]
        await bob.upload(clip)
        async with alice.http.delete(f"{URL}/{made}") as answer:
            assert answer.status == 200
        await alice.upload(clip)


async def test_uploads_hold_up_no_look_up_and_no_voice(
    served, clip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        served(references_shared=True) as (server, engine),
        Peer.of(server, engine) as alice,
        Peer.of(server, engine, "bob-secret") as bob,
    ):
        made = await alice.upload(clip, name="anna")
        engine.known.clear()
        begun, go_on, real = threading.Semaphore(0), threading.Event(), intake.decode_clip

        def hold(*arguments: Any) -> Any:
            begun.release()
            assert go_on.wait(60)
            return real(*arguments)

        monkeypatch.setattr(intake, "decode_clip", hold)
        try:
            async with asyncio.TaskGroup() as group:
                for each in (alice, bob) * 4:
                    group.create_task(each.upload(clip, "Held."))
                for _ in range(server.services.intake.at_once):
                    await asyncio.to_thread(begun.acquire)
                assert (await get(bob, "/" + made))[0] == 200
                assert [each["id"] for each in (await get(bob))[1]] == [made]
                async with bob.socket() as socket:
                    said = text("finish-task", "t", "one two")
                    await socket.send(run_task("t", reference_audio_id="anna"), said)
                    assert audio(await socket.until("task-finished"))
                go_on.set()
        finally:
            go_on.set()
        assert len((await get(bob))[1]) == 9


async def test_list_is_newest_first_and_limited(peer: Peer, clip: bytes) -> None:
    made = [await peer.upload(clip, text) for text in ("one", "two", "three")]
    assert [o["id"] for o in (await get(peer))[1]] == made[::-1]
    assert [o["id"] for o in (await get(peer, order="asc", limit="2"))[1]] == made[:2]
    for query in ({"limit": "0"}, {"limit": "1001"}, {"limit": "x"}, {"order": "up"}):
        status, found = await get(peer, **query)
        assert (status, found["code"]) == (400, "InvalidParameter")
        assert next(iter(query)) in found["message"]


async def test_the_upload_is_prepared_and_spoken_with(peer: Peer, clip: bytes) -> None:
    made = await peer.upload(clip)
    assert len(peer.engine.prepared) == 1
    owner = peer.server.services.authenticator.by_header(peer.token)
    assert owner is not None
    voice = await peer.server.services.voices.resolve(owner.name, made)
    assert [voice.content_id] == peer.engine.prepared


async def test_a_name_is_shown_and_spoken_with(peer: Peer, clip: bytes) -> None:
    made = await peer.upload(clip, name=" 小美 ")
    found = (await get(peer, "/" + made))[1]
    assert found["name"] == "小美"
    assert (await get(peer))[1] == [found]
    asked = {"mode": "fast_replication", "reference_audio_id": "小美", "text": "x"}
    body = {"model": "CosyVoice2-0.5B", "input": asked}
    async with peer.http.post("/api/v1/audio/speech", json=body) as answer:
        assert answer.status == 200
        await answer.read()
    assert [session.voice.content_id for session in peer.engine.sessions] == peer.engine.prepared
    async with Peer.of(peer.server, peer.engine, "bob-secret") as bob:
        async with bob.http.post("/api/v1/audio/speech", json=body) as answer:
            assert answer.status == 404
            assert (await answer.json())["message"] == "no voice has the id or name '小美'"


async def test_another_tokens_reference_is_not_there(peer: Peer, clip: bytes) -> None:
    made = await peer.upload(clip)
    async with Peer.of(peer.server, peer.engine, "bob-secret") as bob:
        assert (await get(bob))[1] == []
        assert (await get(bob, "/" + made))[0] == 404
        async with bob.http.delete(f"{URL}/{made}") as answer:
            assert answer.status == 404
        asked = {"mode": "fast_replication", "reference_audio_id": made, "text": "x"}
        body = {"model": "CosyVoice2-0.5B", "input": asked}
        async with bob.http.post("/api/v1/audio/speech", json=body) as answer:
            assert answer.status == 404
    assert (await get(peer, "/" + made))[0] == 200


@pytest.mark.parametrize("shared", [False, True])
async def test_a_clip_that_another_has_is_prepared_as_any_other(
    served, clip: bytes, shared: bool
) -> None:
    async with served(references_shared=shared) as (server, engine):
        async with Peer.of(server, engine) as alice, Peer.of(server, engine, "bob-secret") as bob:
            await alice.upload(clip)
            made = await bob.upload(clip)
            assert len(set(engine.prepared)) == len(engine.prepared) == (1 if shared else 2)
            engine.known.clear()
            body = {
                "model": "CosyVoice2-0.5B",
                "input": {"mode": "fast_replication", "reference_audio_id": made, "text": "x"},
            }
            async with bob.http.post("/api/v1/audio/speech", json=body) as answer:
                assert answer.status == 200
                await answer.read()
            assert engine.prepared[-1] == engine.prepared[0 if shared else 1]


async def test_shared_references_are_everybodys(served, clip: bytes) -> None:
    async with served(references_shared=True) as (server, engine), Peer.of(server, engine) as alice:
        made = await alice.upload(clip)
        async with Peer.of(server, engine, "bob-secret") as bob:
            assert (await get(bob, "/" + made))[0] == 200


def form(**fields: Any) -> aiohttp.FormData:
    made = aiohttp.FormData()
    for name, value in fields.items():
        if isinstance(value, bytes | io.BytesIO):
            made.add_field(name, value, filename="a.wav")
        else:
            made.add_field(name, value, content_type="text/plain")
    return made


async def test_bad_uploads_are_refused_and_leave_nothing(peer: Peer, clip: bytes) -> None:
    garbage = b"RIFF\xff\xff\xff\xffWAVE" + b"not really a wave file" * 3000
    for fields, status, named in (
        ({"file": garbage, "text": "x"}, {400, 422}, ""),
        (
            {"file": make_file(speechlike(16000, 0.3), 16000, "wav", "pcm_s16le"), "text": "x"},
            {400, 422},
            "0.3",
        ),
        (
            {"file": make_file(speechlike(8000, 40), 8000, "wav", "pcm_s16le"), "text": "x"},
            {400, 422},
            "30",
        ),
        (
            {"file": make_file(speechlike(16000, 2) * 0, 16000, "wav", "pcm_s16le"), "text": "x"},
            {400, 422},
            "silen",
        ),
        ({"file": b"", "text": "x"}, {400, 422}, ""),
        ({"file": clip}, {400}, "text"),
        ({"file": clip, "text": "  "}, {400}, "text"),
        ({"text": "x"}, {400}, "file"),
        ({"file": clip, "text": "x", "sample_rate": "fast"}, {400}, "sample_rate"),
        ({"file": clip, "text": "x", "name": ""}, {400}, "name: '' is not allowed; allowed: 1 to"),
        ({"file": clip, "text": "x", "name": "a/b"}, {400}, "name: 'a/b' is not allowed; allowed:"),
        ({"file": clip, "text": "x", "name": "PLAIN"}, {400}, "name: 'PLAIN' is a built-in voice"),
        ({"file": clip, "text": "x", "name": "x" * 10_000}, {413}, "name"),
        ({"file": clip, "text": "x" * 10_000}, {413}, "text"),
        ({"file": io.BytesIO(bytes(21 * 2**20)), "text": "x"}, {413}, "file"),
    ):
        async with peer.http.post(URL, data=form(**fields)) as answer:
            found = await answer.json()
        assert answer.status in status, found
        assert named in found["message"], found
    assert (await get(peer))[1] == []


async def test_bodies_that_are_no_forms_are_refused(peer: Peer) -> None:
    for data, kind, status in (
        (b"{}", "application/json", 415),
        (b"junk", "multipart/form-data; boundary=x", 400),
        (b"junk", "multipart/form-data", 400),
        (CUT_OFF, "multipart/form-data; boundary=x", 400),
        (BAD_HEAD, "multipart/form-data; boundary=x", 400),
    ):  # fmt: skip
        async with peer.http.post(URL, data=data, headers={"Content-Type": kind}) as answer:
            found = await answer.json()
        assert answer.status == status, (data, found)


async def test_a_compressed_upload_is_refused(peer: Peer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", peer.server.port)
    writer.write(
        f"POST {URL} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {peer.token}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Encoding: gzip\r\n"
        "Content-Length: 10\r\n\r\nnot packed".encode()
    )
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 415 ")
    assert b'"UnsupportedMediaType"' in answer


async def test_a_clip_that_is_no_voice_for_the_engine_is_refused(peer: Peer, clip: bytes) -> None:
    peer.engine.refuses = InvalidReference("no voice in it")
    async with peer.http.post(URL, data=form(file=clip, text="x")) as answer:
        assert answer.status == 422
        assert (await answer.json())["message"] == "no voice in it"
    assert (await get(peer))[1] == []
    async with peer.http.get("/metrics") as page:
        assert 'cosyserve_uploads_total{outcome="refused"} 1.0' in await page.text()


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "..\\..\\boot.ini", "/etc/passwd", "x" * 4000, "普通话.wav"],
)
async def test_file_names_are_only_names(peer: Peer, clip: bytes, name: str) -> None:
    data = aiohttp.FormData()
    data.add_field("file", clip, filename=name)
    data.add_field("text", "x")
    async with peer.http.post(URL, data=data) as answer:
        assert answer.status == 200
        found = (await answer.json())["filename"]
    assert "/" not in found
    assert "\\" not in found
    assert "\x00" not in found
    assert len(found) <= 255


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (b'filename="caf\xe9.wav"', "caf\ufffd.wav"),
        (b'filename="\xed\xa0\x80.wav"', "\ufffd\ufffd\ufffd.wav"),
        (b"filename*=utf-7''%2B%32%41%41%2D.wav", "+2AA-.wav"),
        ('filename="\U0001f468.wav"'.encode(), "\U0001f468.wav"),
    ],
)
async def test_file_names_in_any_bytes_can_be_told(
    peer: Peer, clip: bytes, name: bytes, kept: str
) -> None:
    parts = (
        b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\nx\r\n',
        b'--b\r\nContent-Disposition: form-data; name="file"; ' + name + b"\r\n\r\n" + clip,
        b"\r\n--b--\r\n",
    )
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    async with peer.http.post(URL, data=b"".join(parts), headers=kind) as answer:
        assert answer.status == 200, await answer.text()
        assert (await answer.json())["filename"] == kept
    status, [listed] = await get(peer)
    assert (status, listed["filename"]) == (200, kept)


@pytest.mark.parametrize(
    "path",
    ["..%2F..%2F..%2Fetc%2Fpasswd", "%2e%2e", "%00", "..%5C..%5Cx", "%2Fetc%2Fpasswd",
     "1B4E28BA-2FA1-11D2-883F-0016D3CCA427", "x" * 3000],
)  # fmt: skip
async def test_hostile_ids_are_not_found(peer: Peer, path: str) -> None:
    from yarl import URL as Address

    address = Address(f"{peer.server.url}{URL}/{path}", encoded=True)
    for method in ("GET", "DELETE"):
        async with peer.http.request(method, address) as answer:
            assert answer.status in (400, 404)
            assert (await answer.json())["code"] in ("ReferenceAudioNotFound", "NotFound")


async def test_deleting_a_reference_does_not_hurt_the_task_that_uses_it(
    peer: Peer, clip: bytes
) -> None:
    from support.peers.peers import audio, run_task, text

    made = await peer.upload(clip)
    async with peer.socket() as socket:
        await socket.send(
            run_task("t", reference_audio_id=made), text("continue-task", "t", "one ")
        )
        await socket.until("result-generated")
        async with peer.http.delete(f"{URL}/{made}") as answer:
            assert answer.status == 200
        await socket.send(text("finish-task", "t", "two"))
        assert audio(await socket.until("task-finished"))


async def test_an_upload_whose_client_goes_away_leaves_nothing(peer: Peer, clip: bytes) -> None:
    port = peer.server.port
    _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"POST {URL} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {peer.token}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    )
    writer.write(head.encode() + clip[:20_000])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await get(peer))[1] == []
