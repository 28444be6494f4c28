"""`cosyserve bench` as a person calls it, and its figures of known records."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cosyserve.benchmarks.load.generator import LoadResult
from cosyserve.benchmarks.load.latency import HEAD, figures, main, row
from cosyserve.benchmarks.load.streams import TaskRecord
from support.peers.scripted_server import ScriptedServer, scripted_server

SMOOTH = TaskRecord(0, 10.0, 10.1, 10.2, [10.15, 10.65, 11.65], [1.0, 1.0, 1.0], 99)
BROKEN = TaskRecord(1, 20.0, 20.1, 20.1, [20.4, 21.6], [1.0, 1.0], 66)
HASTY = TaskRecord(1, 30.0, 30.0, 30.0, [30.1, 31.19], [1.0, 1.0], 66)
FAILED = TaskRecord(1, 40.0, 40.1, 40.1, error="Throttled")


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


def test_figures_of_known_records() -> None:
    level = figures(2, LoadResult([SMOOTH, BROKEN, HASTY, FAILED], 10.0, 0.5, 1))
    assert (level.streams, level.tasks, level.failed) == (2, 4, 1)
    assert level.errors == {"Throttled": 1}
    assert level.first_package_from_run is not None
    assert level.first_package_from_run.p50 == pytest.approx(0.15)
    assert level.first_package_from_first_text is not None
    assert level.first_package_from_first_text.max == pytest.approx(0.3)
    assert level.first_package_from_last_text is not None
    assert level.first_package_from_last_text.p50 == pytest.approx(0.1)
    assert level.gap is not None
    assert level.gap.count == 4
    assert level.gap.max == pytest.approx(1.2)
    assert level.real_time_factor is not None
    assert level.real_time_factor.max == pytest.approx(1.5 / 2)
    assert level.continuity == 2 / 4  # BROKEN was dry for 200 ms, HASTY only for 90 ms
    assert level.throughput == pytest.approx(0.7)
    assert len(row(level)) == len(HEAD)


def test_figures_without_any_success() -> None:
    level = figures(1, LoadResult([FAILED], 1.0, 0.1, 1))
    assert level.first_package_from_run is None
    assert level.continuity == 0.0
    assert "-" in row(level)
    assert figures(1, LoadResult([], 1.0, 0.1, 1)).continuity == 0.0
