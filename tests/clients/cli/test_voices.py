import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cosyserve.clients.cli.voices import main
from support.peers.scripted_server import VOICES, ScriptedServer, scripted_server


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        yield running


async def voices(server: ScriptedServer, *arguments: str) -> int:
    return await asyncio.to_thread(main, arguments, {"COSYSERVE_URL": server.url})


async def test_add_list_and_remove(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = tmp_path / "clip.wav"
    clip.write_bytes(bytes(2048))
    words = (
        "I hope that you can do even better than me in the future, 希望你以后能够做的比我还好呦。"
    )
    assert await voices(server, "add", str(clip), "--text", words) == 0
    assert capsys.readouterr().out == "ref-1\n"

    assert await voices(server, "list") == 0
    head, clip_line, *builtin = capsys.readouterr().out.splitlines()
    assert head.split() == ["ID", "NAME", "FILE", "SIZE", "CREATED", "TEXT"]
    assert clip_line.split()[:3] == ["ref-1", "clip.wav", "2"]
    assert "2 KiB  2023-11-14 22:13  I hope that you can" in clip_line
    assert clip_line.endswith("…")
    assert [line.split()[:3] for line in builtin] == [
        ["echo", "Echo", "(built"],
        ["wav", "Wave", "(built"],
    ]

    assert await voices(server, "remove", "ref-1") == 0
    assert capsys.readouterr().out == "removed ref-1\n"
    assert server.references == {}


async def test_a_clip_with_a_name(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = tmp_path / "clip.wav"
    clip.write_bytes(b"sound")
    assert await voices(server, "add", str(clip), "--text", "x", "--name", "Anna B.") == 0
    assert capsys.readouterr().out == "ref-1\n"
    assert await voices(server, "list") == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("ref-1  Anna B.  clip.wav")


async def test_json_for_programs(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = tmp_path / "clip.pcm"
    clip.write_bytes(b"pcm")
    arguments = ("add", str(clip), "--text", "x", "--sample-rate", "8000", "--json")
    assert await voices(server, *arguments) == 0
    added = json.loads(capsys.readouterr().out)
    assert added["id"] == "ref-1"
    assert server.uploads[0]["sample_rate"] == "8000"
    assert await voices(server, "list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"references": [added], "voices": VOICES}
    assert await voices(server, "remove", "ref-1", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"removed": ["ref-1"]}


async def test_removing_what_is_not_there(
    server: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await voices(server, "remove", "ref-9") == 5
    assert "ReferenceAudioNotFound" in capsys.readouterr().err


def test_a_command_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([], {})
    assert caught.value.code == 2
    assert "add | list | remove" in capsys.readouterr().err
