"""The benchmark of the speech LM, on tiny weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from cosyserve.benchmarks.model.lm import Size, main, transformers_loop
from cosyserve.benchmarks.model.models import random_lm_weights, tiny_config
from support.engines import vllm

QUICK = [
    *("--size", "tiny", "--device", "cpu", "--threads", "1", "--streams", "1,3", "--tokens", "20"),
    *("--pieces", "3", "--think", "0"),
]
SIZE = Size(tiny_config(), torch.device("cpu"), torch.float32)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "lm-tiny.json").read_text())
    return found


def check_path(measured: dict[str, Any]) -> None:
    assert [level["streams"] for level in measured["levels"]] == [1, 3]
    assert [level["tokens"] for level in measured["levels"]] == [20, 60]  # lengths are forced
    for level in measured["levels"]:
        assert level["rate"] == pytest.approx(level["tokens"] / level["seconds"])
        assert 0 < level["first"] < level["seconds"]


def test_our_torch_backend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK, "--paths", "torch", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "tokens/s" in shown
    assert "piece to token" in shown
    found = results(tmp_path)
    check_path(found["paths"]["torch"])
    for latencies in found["paths"]["torch"]["pieces"].values():
        assert 0 < latencies["p50"] <= latencies["p95"] <= latencies["p99"]
    assert found["feeding"] == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--tokens", "15"], "multiple of 10"),
        (["--paths", "torch,llama"], "vllm, torch, transformers"),
    ],
)
def test_wrong_flags(
    flags: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit):
        main([*QUICK, *flags, "--out", str(tmp_path)])
    assert words in capsys.readouterr().err


def test_the_weights_are_the_same_each_time_and_never_stop() -> None:
    one, other = (random_lm_weights(SIZE.model, SIZE.device) for _ in range(2))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    bias = one["llm_decoder.bias"]
    assert (bias[-3:] < -100).all()
    assert (bias[:-3] == 0).all()


@pytest.mark.vllm
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_all_paths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    vllm.required()
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    arguments = [*QUICK, "--paths", "vllm,torch,transformers", "--eager", "--out", str(tmp_path)]
    assert main(arguments) == 0
    assert "ids computed" in capsys.readouterr().out
    found = results(tmp_path)
    for path in ("vllm", "torch", "transformers"):
        check_path(found["paths"][path])
    fed, again, cached = found["feeding"]
    # Three pieces of five, sos, and twice the token that vLLM leaves out of the context.
    assert fed["read"] == 3 * 5 + 1 + 2
    assert again["read"] == (6) + (6 + 15 + 5) + (6 + 15 + 5 + 15 + 5)
    assert fed["read"] < cached["read"] <= again["read"]


@pytest.mark.vllm
def test_the_usual_loop_draws_as_many_as_are_asked_for() -> None:
    vllm.required()
    level = transformers_loop(SIZE)(2, 3)
    assert (level.streams, level.tokens) == (2, 6)
    assert 0 < level.first < level.seconds
