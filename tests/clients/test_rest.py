from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cosyserve.clients import (
    Client,
    ConnectionFailed,
    InvalidRequest,
    NotFound,
    RequestFailed,
    ServerVoice,
    UnexpectedMessage,
)
from cosyserve.clients.rest import parse_voices
from support.peers.scripted_server import VOICES, ScriptedServer, scripted_server


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncIterator[Client]:
    async with Client(server.url) as connected:
        yield connected


async def test_a_reference_lives_and_dies(
    client: Client, server: ScriptedServer, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.wav"
    clip.write_bytes(b"sound")
    added = await client.references.add(clip, "Some words, 几个字。")
    assert (added.filename, added.bytes, added.text) == ("clip.wav", 5, "Some words, 几个字。")
    assert added.name == ""
    assert "name" not in server.references[added.id]
    raw = await client.references.add(b"pcm", "x", filename="a.pcm", sample_rate=8000, name="小美")
    assert (raw.filename, raw.name) == ("a.pcm", "小美")
    assert [item["sample_rate"] for item in server.uploads] == [None, "8000"]
    assert server.uploads[0]["data"] == b"sound"
    assert await client.references.list() == (raw, added)
    assert await client.references.list(limit=1, order="asc") == (added,)
    assert await client.references.get(added.id) == added
    await client.references.delete(added.id)
    with pytest.raises(NotFound, match="ReferenceAudioNotFound"):
        await client.references.get(added.id)
    with pytest.raises(NotFound):
        await client.references.delete(added.id)


async def test_ids_cannot_leave_their_place_in_the_path(client: Client) -> None:
    with pytest.raises(NotFound) as caught:
        await client.references.get("../../../version")
    assert caught.value.code == "ReferenceAudioNotFound"
    for wrong in ("", ".", ".."):
        with pytest.raises(InvalidRequest):
            await client.references.delete(wrong)


async def test_a_refused_upload_says_why(client: Client) -> None:
    with pytest.raises(RequestFailed, match="InvalidAudio: the clip is empty") as caught:
        await client.references.add(b"", "text")
    assert (caught.value.status, caught.value.request_id) == (422, "r")


async def test_a_file_that_is_not_there(client: Client, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"no\.wav"):
        await client.references.add(tmp_path / "no.wav", "text")


async def test_the_servers_voices(client: Client) -> None:
    assert await client.voices() == tuple(ServerVoice(**voice) for voice in VOICES)


async def test_a_server_gone_between_calls() -> None:
    async with scripted_server() as server:
        client = Client(server.url)
        await client.version()
    with pytest.raises(ConnectionFailed):
        await client.version()
    await client.close()


@pytest.mark.parametrize("voices", [[{}], [1], 5, {"a": 1}])
def test_a_malformed_list_of_voices(voices: object) -> None:
    with pytest.raises(UnexpectedMessage, match="voices"):
        parse_voices({"voices": voices})
