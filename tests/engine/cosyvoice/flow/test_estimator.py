import pytest
import torch
from torch import Tensor

from cosyserve.engine.cosyvoice.flow.estimator import Estimator
from support.engines import goldens
from support.engines.tiny_flow import difference, tiny_flow


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return tiny_flow().decoder.estimator


@pytest.fixture(scope="module")
def arrays() -> dict[str, Tensor]:
    return goldens.tensors("c_estimator")


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("time", ["t0", "t1"])
def test_velocity(
    estimator: Estimator, arrays: dict[str, Tensor], time: str, streaming: bool
) -> None:
    inputs = (arrays[key] for key in ("x", "mask", "mu", time, "spks", "cond"))
    with torch.inference_mode():
        velocity = estimator(*inputs, streaming=streaming)
    assert difference(velocity, arrays[f"out_{time}_s{streaming:d}"]) < 1e-4


@pytest.mark.parametrize("time", ["t0", "t1"])
def test_time_embedding(estimator: Estimator, arrays: dict[str, Tensor], time: str) -> None:
    with torch.inference_mode():
        embedded = estimator.time_mlp(arrays[time])
    assert difference(embedded, arrays[f"time_emb_{time}"]) < 1e-5


@pytest.mark.parametrize("streaming", [False, True])
def test_padding_is_not_seen(
    estimator: Estimator, arrays: dict[str, Tensor], streaming: bool
) -> None:
    x, mu, spks, cond = (arrays[key] for key in ("x", "mu", "spks", "cond"))
    mask = arrays["mask"].clone()
    mask[:, :, 90:] = 0
    with torch.inference_mode():
        padded = estimator(x, mask, mu, arrays["t1"], spks, cond, streaming=streaming)
        short = [part[:, :, :90] for part in (x, mask, mu)]
        alone = estimator(*short, arrays["t1"], spks, cond[:, :, :90], streaming=streaming)
    assert difference(padded[:, :, :90], alone) < 1e-5
    assert not padded[:, :, 90:].any()
