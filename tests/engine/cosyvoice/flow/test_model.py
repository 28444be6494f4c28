"""The flow against the golden vectors, whole."""

import pytest
import torch

from cosyserve.benchmarks.parity.reference import flow as reference_flow
from cosyserve.benchmarks.parity.reference.config import model_config
from cosyserve.engine.cosyvoice.config import FlowConfig
from cosyserve.engine.cosyvoice.flow import Flow, FlowError
from support.engines import goldens
from support.engines.tiny_flow import difference, golden_case, tiny_flow

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def flow() -> Flow:
    return tiny_flow()


def test_noise_is_the_references(flow: Flow) -> None:
    expected = goldens.tensors("rand_noise")["rand_noise"]
    assert torch.equal(flow.noise[:, :, : expected.shape[2]], expected)
    assert list(flow.noise.shape) == goldens.meta("rand_noise")["full_shape"]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("cut", ["final", "ctx", "ctx_unaligned"])
def test_encoder(flow: Flow, cut: str, streaming: bool) -> None:
    arrays, meta = goldens.tensors("a_encoder"), goldens.meta("a_encoder")
    length = meta.get(f"n_tokens_{cut}", arrays["token"].shape[1])
    tokens = torch.cat((arrays["prompt_token"], arrays["token"][:, :length]), dim=1)
    h, mu = reference_flow.encode(flow, tokens, streaming=streaming, finalize=cut == "final")
    assert difference(h, arrays[f"h_s{streaming:d}_{cut}"]) < TOLERANCE
    if cut != "ctx_unaligned":
        assert difference(mu, arrays[f"mu_s{streaming:d}_{cut}"]) < TOLERANCE


def test_speaker(flow: Flow) -> None:
    arrays = goldens.tensors("b_flow_inference")
    assert difference(flow.speaker(arrays["embedding"]), arrays["spks"]) < 1e-5


@pytest.mark.parametrize("length", goldens.meta("b_flow_inference")["prefix_lengths"])
def test_streaming_prefix(flow: Flow, length: int) -> None:
    case, arrays = golden_case("b_flow_inference"), goldens.tensors("b_flow_inference")
    mel = reference_flow.inference(
        flow, case.token[:, :length], *case.voice, streaming=True, finalize=False
    )
    assert difference(mel, arrays[f"mel_stream_prefix_{length}"]) < TOLERANCE


def test_full_attention_prefix(flow: Flow) -> None:
    case, arrays = golden_case("b_flow_inference"), goldens.tensors("b_flow_inference")
    mel = reference_flow.inference(
        flow, case.token[:, :71], *case.voice, streaming=False, finalize=False
    )
    assert difference(mel, arrays["mel_nonstream_prefix_71"]) < TOLERANCE


@pytest.mark.parametrize(
    ("name", "streaming", "key"),
    [
        ("b_flow_inference", False, "mel_offline"),
        ("b_flow_inference", True, "mel_stream_final"),
        ("e2_tail", False, "mel_s0_final"),
        ("e2_tail", True, "mel_s1_final"),
    ],
)
def test_whole_utterance(flow: Flow, name: str, streaming: bool, key: str) -> None:
    mel = golden_case(name).whole(flow, streaming=streaming)
    assert difference(mel[None], goldens.tensors(name)[key]) < TOLERANCE


def test_too_few_tokens_for_a_look_ahead(flow: Flow) -> None:
    with pytest.raises(ValueError, match="more than 3 tokens"):
        reference_flow.encode(
            flow, torch.zeros(1, 3, dtype=torch.int64), streaming=True, finalize=False
        )


def test_an_utterance_longer_than_the_noise_is_refused(flow: Flow) -> None:
    case = golden_case("b_flow_inference")
    flow.noise = flow.noise[:, :, :300]
    try:
        with pytest.raises(FlowError, match="at most 300 mel frames"):
            case.whole(flow)
    finally:
        flow.noise = tiny_flow().noise


@pytest.mark.parametrize("full", [False, True])
def test_weights_are_those_of_the_checkpoint(full: bool) -> None:
    config = FlowConfig() if full else model_config(goldens.config()).flow
    with torch.device("meta"):
        flow = Flow(config)
    shapes = {name: list(weight.shape) for name, weight in flow.state_dict().items()}
    assert shapes == goldens.key_shapes("flow", full=full)
