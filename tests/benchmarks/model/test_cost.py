import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from cosyserve.benchmarks.model import cost as streaming_cost
from cosyserve.benchmarks.model.cost import main
from cosyserve.benchmarks.model.models import (
    ChunkCost,
    Incremental,
    Recomputed,
    Took,
    random_flow,
    random_hift,
    random_voice,
    tiny_config,
    tiny_config3,
)
from cosyserve.benchmarks.model.table import outcome_of, side_by_side
from cosyserve.engine.cosyvoice.config import ModelConfig
from cosyserve.engine.cosyvoice.flow import GraphCache
from support.engines.recorded_work import Recorder

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads only slow a tiny model down; the benchmark sets them for its whole process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_both_paths_and_all_tables_are_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(
        [
            *("--tiny", "--seconds", "4", "--window", "1", "--threads", "1"),
            *("--recompute-positions", "1,2,4"),
            *("--first-hops", "8", "--streams", "1", "--position", "1", "--repeats", "1"),
            *("--device", "cpu", "--out", str(tmp_path)),
        ]
    )
    assert code == 0
    shown = capsys.readouterr().out
    assert "again flow" in shown
    assert "first hop" in shown
    assert "context MiB" in shown
    found = json.loads((tmp_path / "streaming_cost.json").read_text())
    assert [chunk["fitted"] for chunk in found["chunks"]] == [False, False, True, False]
    assert all(chunk["flow"] > 0 and chunk["again_flow"] > 0 for chunk in found["chunks"])
    outcome = found["outcome"]
    assert outcome["saving"] == pytest.approx(outcome["again"] / outcome["total"])
    assert outcome["window_flatness"] > 0
    assert found["mel_differences"]["recomputed"] < 1e-4 < found["mel_differences"]["window"]
    shapes = random_flow(tiny_config(), CPU).shapes
    assert outcome["per_second"] == 25 * shapes.bytes_per_token(torch.float32)
    # The first 16 frames, less the vocoder's look-ahead of 8.
    assert found["first_chunks"][0]["sound"] == pytest.approx(0.16)
    assert found["levels"][0]["streams"] == 1


def test_with_graphs_the_tables_come_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [GraphCache(Recorder(), 1 << 26, CPU)]
    monkeypatch.setattr(streaming_cost, "graphs_for", lambda *_: made.pop())
    code = main(
        [
            *("--tiny", "--seconds", "3", "--window", "0", "--threads", "1", "--device", "cpu"),
            *("--prompt-tokens", "25", "--recompute-positions", "1", "--graphs", "both"),
            *("--first-hops", "5", "--streams", "1,2", "--position", "1", "--repeats", "1"),
            *("--out", str(tmp_path)),
        ]
    )
    assert code == 0
    found = json.loads((tmp_path / "streaming_cost.json").read_text())
    graphed = found["with_graphs"]
    assert (found["graphs"], graphed["graphs"]) == (False, True)
    assert graphed["mel_differences"]["recomputed"] < 1e-4
    assert len(found["levels"]) == len(graphed["levels"]) == 2
    assert [first["hop"] for first in graphed["first_chunks"]] == [5]
    assert "graphs served" in capsys.readouterr().out


def test_without_a_device_for_graphs_the_figures_come_once(tmp_path: Path) -> None:
    arguments = ["--tiny", "--seconds", "3", "--window", "0", "--recompute-positions", "1"]
    assert main([*arguments, "--device", "cpu", "--graphs", "both", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "streaming_cost.json").read_text())
    assert found["graphs"] is False
    assert "with_graphs" not in found


def test_the_costs_of_cosyvoice_3(tmp_path: Path) -> None:
    code = main(
        [
            *("--family", "3", "--tiny", "--seconds", "3", "--window", "1", "--rounds", "1"),
            *("--recompute-positions", "1,3", "--device", "cpu", "--graphs", "both"),
            *("--first-hops", "8", "--streams", "1", "--position", "1", "--repeats", "1"),
            *("--out", str(tmp_path)),
        ]
    )
    assert code == 0
    found = json.loads((tmp_path / "streaming_cost.json").read_text())
    assert found["graphs"] is False
    assert found["mel_differences"]["recomputed"] < 1e-4 < found["mel_differences"]["window"]
    # The first 16 frames, less the vocoder's look-ahead of 4 and three samples.
    assert found["first_chunks"][0]["sound"] == pytest.approx(0.24 - 3 / 24000)


@pytest.mark.parametrize("sizes", [tiny_config, tiny_config3])
def test_the_paths_give_one_mel(sizes: Callable[[], ModelConfig]) -> None:
    config = sizes()
    with torch.inference_mode():
        models = random_flow(config, CPU), random_hift(config, CPU)
        voice = random_voice(config.flow, 100, 25, CPU)
        ours = Incremental(models, voice, models[0].prepare_prompt(*voice.prompt))
        again = Recomputed(models, voice)
        sizes = []
        for number in (1, 2, 3):
            chunk = ours.chunk(number)
            torch.testing.assert_close(chunk.mel, again.chunk(number).mel, atol=1e-4, rtol=0)
            sizes.append(chunk.nbytes)
    assert chunk.mel.shape == (80, 50)
    assert 0.01 < float(chunk.mel.abs().max()) < 100
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0] > 0


def test_what_was_not_recomputed_lies_on_the_parabola() -> None:
    def chunk(flow: float, vocoder: float) -> ChunkCost:
        return ChunkCost(Took(flow, 2 * flow), Took(vocoder, 2 * vocoder), torch.zeros(80, 50))

    chunks = [chunk(1.0, 0.5) for _ in range(6)]
    recomputed = {n: chunk(3.0 + 2.0 * n + 0.5 * n * n, 0.4) for n in (1, 3, 6)}
    lines = side_by_side(chunks, [], recomputed, "wall")
    assert [line.fitted for line in lines] == [False, True, False, True, True, False]
    assert lines[3].again_flow == pytest.approx(3.0 + 8.0 + 8.0)
    assert lines[3].again_vocoder == pytest.approx(0.4)
    assert side_by_side(chunks, [], recomputed, "cpu")[0].total == pytest.approx(3.0)
    alone = side_by_side(chunks, chunks, {2: chunk(7.0, 0.4)}, "wall")
    assert [line.again for line in alone] == pytest.approx([7.4] * 6)
    outcome = outcome_of(alone, 5.0)
    assert outcome.per_second == 5.0
    assert outcome.saving == pytest.approx(7.4 / 1.5)
    assert outcome.flatness == outcome.window_flatness == outcome.late_early == 1.0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seconds", "2"],
        ["--rounds", "0"],
        ["--clock", "sundial"],
        ["--device", "cuda"],
        ["--seconds", "5", "--recompute-positions", "9"],
    ],
)
def test_bad_settings_are_refused(arguments: list[str], tmp_path: Path) -> None:
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(SystemExit):
        main(["--tiny", *arguments, "--out", str(tmp_path)])
