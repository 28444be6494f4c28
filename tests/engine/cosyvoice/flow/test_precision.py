"""Half precision: close to float32, and done again in float32 where it fails."""

import pytest
import torch

from cosyserve.benchmarks.parity.reference.flow import speak
from cosyserve.engine.cosyvoice.flow import Flow, FlowError
from support.engines.tiny_flow import STORES, Store, difference, golden_case, kept_in, tiny_flow

CASE = golden_case("b_flow_inference")


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Store:
    kind: Store = request.param
    return kind


def spoken(flow: Flow) -> torch.Tensor:
    state = flow.start(flow.prepare_prompt(*CASE.voice))
    mels = speak(flow, state, CASE.token[0, :60], [46, 14])
    return torch.cat(mels, dim=1)


@pytest.fixture(scope="module")
def exact() -> torch.Tensor:
    return spoken(tiny_flow())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.2), (torch.float16, 0.02)])
def test_half_precision_is_close(
    exact: torch.Tensor, dtype: torch.dtype, tolerance: float, store: Store
) -> None:
    flow = tiny_flow()
    flow.use_precision(dtype)
    kept_in(store, flow)
    mel = spoken(flow)
    assert mel.dtype == torch.float32
    assert 0 < difference(mel, exact) < tolerance
    assert flow.stats.fp32_redos == 0


def test_half_precision_halves_the_caches() -> None:
    flow = tiny_flow()
    whole = flow.prepare_prompt(*CASE.voice)
    flow.use_precision(torch.bfloat16)
    half = flow.prepare_prompt(*CASE.voice)
    assert flow.cache_dtype == torch.bfloat16
    caches = zip(whole.memory.caches, half.memory.caches, strict=True)
    assert all(w.prompt[0].nbytes == 2 * h.prompt[0].nbytes for w, h in caches)


def test_the_parity_entries_and_the_weights_stay_in_float32() -> None:
    flow = tiny_flow()
    known = CASE.whole(flow)
    keys = list(flow.state_dict())
    flow.use_precision(torch.float16)
    assert torch.equal(CASE.whole(flow), known)
    assert list(flow.state_dict()) == keys


def test_a_mel_that_is_not_finite_is_done_again_and_counted(
    exact: torch.Tensor, store: Store
) -> None:
    flow = tiny_flow()
    # Beyond half's range, and undone by the norm that follows, so that float32 gives the same mel.
    with torch.no_grad():
        conv = flow.decoder.estimator.down_blocks[0][0].block1.block[0]
        conv.weight *= 1e6
        conv.bias *= 1e6
    flow.use_precision(torch.float16)
    kept_in(store, flow)
    mel = spoken(flow)
    assert flow.stats.fp32_redos > 2
    assert difference(mel, exact) < 0.02


def test_weights_that_give_no_finite_mel_are_an_error(store: Store) -> None:
    flow = kept_in(store, tiny_flow())
    with torch.no_grad():
        flow.encoder_proj.bias.fill_(torch.nan)
    with pytest.raises(FlowError, match="not finite"):
        flow.prepare_prompt(*CASE.voice)
    flow.use_precision(torch.bfloat16)
    kept_in(store, flow)
    with pytest.raises(FlowError, match="not finite"):
        flow.prepare_prompt(*CASE.voice)
