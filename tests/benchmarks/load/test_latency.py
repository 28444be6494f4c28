"""`cosyserve bench` as a person calls it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cosyserve.benchmarks.load.latency import main
from support.peers.scripted_server import ScriptedServer, scripted_server


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server(token="right") as running:
        yield running


async def bench(server: ScriptedServer, out: Path, *arguments: str) -> int:
    environ = {"COSYSERVE_URL": server.url, "COSYSERVE_TOKEN": "right"}
    return await asyncio.to_thread(main, [*arguments, "--out", str(out)], environ)


async def test_a_table_a_report_and_a_plot(
    server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await bench(server, tmp_path, "--streams", "1,2", "--tasks", "2") == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith("streams  tasks  failed  first package p50")
    assert [line.split()[:3] for line in lines[:2]] == [["1", "2", "0"], ["2", "4", "0"]]
    report = json.loads((tmp_path / "latency.json").read_text())
    assert report["benchmark"] == "latency"
    assert report["server"]["engine"] == "scripted"
    assert report["machine"]["cores"] >= 1
    assert report["libraries"]["websockets"]
    assert report["plan"]["voice"] == "echo"
    assert report["plan"]["token"] is None
    assert "right" not in json.dumps(report["plan"])
    assert [level["streams"] for level in report["levels"]] == [1, 2]
    assert report["levels"][1]["first_package_from_first_text"]["count"] == 4
    assert (tmp_path / "latency.png").read_bytes().startswith(b"\x89PNG")


async def test_texts_of_ones_own(server: ScriptedServer, tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.write_text("First.\n\n  Second.  \n")
    arguments = ("--streams", "1", "--tasks", "2", "--no-plot", "--text-file", str(texts))
    assert await bench(server, tmp_path, *arguments, "--voice", "wav") == 0
    assert not (tmp_path / "latency.png").exists()
    report = json.loads((tmp_path / "latency.json").read_text())
    assert report["plan"]["texts"] == 2
    texts.write_text("\n")
    assert await bench(server, tmp_path, *arguments) == 2


async def test_without_matplotlib_there_is_no_plot(
    server: ScriptedServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert await bench(server, tmp_path, "--streams", "1", "--tasks", "1") == 0
    assert "cosyserve[bench]" in capsys.readouterr().err
    assert (tmp_path / "latency.json").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--token", "wrong"), 4, "does not accept this token"),
        (("--url", "http://127.0.0.1:1"), 3, "is the server running"),
        (("--voice", "nobody"), 5, "ReferenceAudioNotFound"),
        (("--text-file", "/no/file"), 2, "/no/file"),
    ],
)
async def test_failures_are_told_before_any_load(
    server: ScriptedServer,
    arguments: tuple[str, ...],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    assert await bench(server, tmp_path / "out", *arguments) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("streams", ["0", "1,x", ""])
def test_levels_must_be_numbers(streams: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--streams", streams], {})
    assert stop.value.code == 2
    assert "--streams" in capsys.readouterr().err
