import pytest
import torch
from torch import Tensor

from cosyserve.benchmarks.parity.reference.flow import velocity
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
        found = velocity(estimator, *inputs, streaming=streaming)
    assert difference(found, arrays[f"out_{time}_s{streaming:d}"]) < 1e-4


@pytest.mark.parametrize("time", ["t0", "t1"])
def test_time_embedding(estimator: Estimator, arrays: dict[str, Tensor], time: str) -> None:
    with torch.inference_mode():
        embedded = estimator.time_mlp(arrays[time])
    assert difference(embedded, arrays[f"time_emb_{time}"]) < 1e-5


def test_padding_is_refused(estimator: Estimator, arrays: dict[str, Tensor]) -> None:
    mask = arrays["mask"].clone()
    mask[:, :, 90:] = 0
    inputs = (arrays[key] for key in ("mu", "t1", "spks", "cond"))
    with pytest.raises(ValueError, match="padded"):
        velocity(estimator, arrays["x"], mask, *inputs, streaming=True)
