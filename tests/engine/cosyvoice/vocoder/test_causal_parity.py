"""The causal vocoder against the reference's golden vectors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cosyserve.benchmarks.parity.reference.causal_vocoder import (
    HELD_BACK,
    decode,
    inference,
    predict,
    source,
)
from cosyserve.benchmarks.parity.reference.vocoder import Phase
from cosyserve.engine.cosyvoice.checkpoint.weights import Unfilled
from cosyserve.engine.cosyvoice.config import MEL_HOP, CausalHiftConfig
from cosyserve.engine.cosyvoice.vocoder import DIRECTION, GAIN, CausalHift
from cosyserve.engine.cosyvoice.vocoder.layers import analyse
from cosyserve.engine.cosyvoice.vocoder.streaming import TimeScale
from support.engines import goldens3
from support.engines.goldens3 import golden_causal_hift

GOLDEN = goldens3.tensors("d_hift")
META = goldens3.meta("d_hift")
MEL = GOLDEN["mel"]


@pytest.fixture(scope="module")
def hift() -> CausalHift:
    return golden_causal_hift()


def near(found: Tensor, key: str, tolerance: float) -> None:
    torch.testing.assert_close(found, GOLDEN[key], rtol=0, atol=tolerance)


def first_of_frames(samples: Tensor) -> Tensor:
    """[B, n] -> [B, n / 480]; checks that each frame holds its value."""
    frames = samples.unflatten(1, (-1, MEL_HOP))
    assert bool((frames == frames[:, :, :1]).all())
    return frames[:, :, 0]


def test_f0(hift: CausalHift) -> None:
    found = predict(hift, MEL)
    near(found, "f0_f64", 1e-9)
    near(found.float(), "f0", 1e-4)
    near(predict(hift, MEL, finalize=False).float(), "f0_nonfinal", 1e-4)
    near((found > 10).float(), "uv", 0)


@pytest.mark.parametrize("phase", Phase)
def test_the_source_is_a_staircase(hift: CausalHift, phase: Phase) -> None:
    near(source(hift, predict(hift, MEL), phase=phase)[:, None], "source_zero_noise", 1e-3)
    known = source(hift, GOLDEN["f0_known"], phase=phase)
    near(first_of_frames(known), "f0_known_source_frames", 1e-3)
    long = source(hift, GOLDEN["f0_long"], phase=phase)
    # Summed in fp32, the reference's phase is off by this much after 1000 frames.
    tolerance = 1e-6 if phase is Phase.REFERENCE else 2e-2
    near(first_of_frames(long), "f0_long_source_frames", tolerance)


def test_voiced_is_above_the_threshold(hift: CausalHift) -> None:
    f0, bias = GOLDEN["f0_known"], hift.m_source.l_linear.bias
    found = first_of_frames(source(hift, f0))
    assert torch.equal(found == bias.tanh(), GOLDEN["f0_known_uv"] == 0)


def test_the_noise_is_uniform_and_louder_where_nothing_is_voiced(hift: CausalHift) -> None:
    f0 = GOLDEN["f0"][:, : META["noise_frames"]]
    near(source(hift, f0, GOLDEN["noise"])[:, None], "source_with_noise", 1e-3)


def test_decoding_a_given_source(hift: CausalHift) -> None:
    given = GOLDEN["decode_s"][:, 0]
    near(analyse(given, 16, 4), "decode_s_stft", 1e-5)
    mel = MEL[:, :, : META["decode_frames"]]
    near(decode(hift, mel, given), "decode_wav", 1e-5)
    settled = decode(hift, mel, given, finalize=False)
    expected = GOLDEN["decode_nonfinal_wav"]
    assert settled.shape[1] == expected.shape[1] + MEL_HOP - 3
    near(settled[:, : expected.shape[1]], "decode_nonfinal_wav", 1e-5)


@pytest.mark.parametrize("phase", Phase)
def test_a_whole_mel(hift: CausalHift, phase: Phase) -> None:
    tolerance = 2e-5 if phase is Phase.REFERENCE else 2e-3
    near(inference(hift, MEL, phase=phase), "inference_wav", tolerance)
    for frames in META["prefix_frames"]:
        key = f"inference_nonfinal_{frames}_wav"
        found = inference(hift, MEL[:, :, :frames], finalize=False, phase=phase)
        near(found[:, : GOLDEN[key].shape[1]], key, tolerance)


def test_a_mel_with_noise(hift: CausalHift) -> None:
    mel, noise = MEL[:, :, : META["noise_frames"]], GOLDEN["noise"]
    near(inference(hift, mel, noise=noise), "inference_noise_wav", 2e-3)
    key = "inference_noise_nonfinal_wav"
    found = inference(hift, mel, noise=noise, finalize=False)
    near(found[:, : GOLDEN[key].shape[1]], key, 2e-3)


def test_what_is_given_out_early_is_that_of_the_whole(hift: CausalHift) -> None:
    """480 samples of each of T - 4 frames, but for three: the reference holds back eight frames."""
    whole = inference(hift, MEL)
    for frames in range(5, 41):
        early = inference(hift, MEL[:, :, :frames], finalize=False)
        assert early.shape[1] == (frames - 4) * MEL_HOP - 3
        assert early.shape[1] == (frames - HELD_BACK) * MEL_HOP + 4 * MEL_HOP - 3
        torch.testing.assert_close(early, whole[:, : early.shape[1]], rtol=0, atol=2e-6)


def test_no_less_would_do(hift: CausalHift) -> None:
    """The next sample depends on the frame that has not come: a shorter look-ahead cannot be exact."""
    changed = MEL.clone()
    changed[:, :, 30] += 1
    difference = (inference(hift, changed) - inference(hift, MEL)).abs()[0]
    settled = (30 - 4) * MEL_HOP - 3
    assert float(difference[:settled].max()) == 0
    assert float(difference[settled : settled + 3].min()) > 0


def test_the_long_mel_of_the_loop(hift: CausalHift) -> None:
    loop = goldens3.tensors("e_token2wav_loop")
    expected = torch.cat([loop[f"doubling_pcm_{index}"] for index in range(4)], dim=1)
    mel = loop["doubling_mel"]
    same = inference(hift, mel, phase=Phase.REFERENCE)
    torch.testing.assert_close(same, expected, rtol=0, atol=5e-5)
    error = inference(hift, mel) - expected
    assert float(error.abs().max()) < 5e-2
    assert float(error.square().mean().sqrt()) < 5e-3


def test_a_mel_at_another_speed() -> None:
    """Where its length is no multiple of the speed, the reference stretches a mel to a whole number
    of frames, which a stream cannot: its end is not known."""
    mel = MEL[0, :, : META["decode_frames"]]
    _, found = TimeScale(mel[:, :0]).feed(mel, 0.8, final=True)
    near(found[None], "speed_0.8_mel", 1e-5)


def expected_keys(config: CausalHiftConfig) -> dict[str, list[int]]:
    with torch.device("meta"), Unfilled():
        state = CausalHift(config).state_dict()
    found: dict[str, list[int]] = {}
    for key, tensor in state.items():
        shape = list(tensor.shape)
        if len(shape) == 3 and not key.startswith("source_downs."):
            layer = key.removesuffix(".weight")
            found[layer + GAIN], found[layer + DIRECTION] = [shape[0], 1, 1], shape
        else:
            found[key] = shape
    return found


@pytest.mark.parametrize("full", [False, True])
def test_keys_and_shapes_are_the_checkpoint_s(full: bool) -> None:
    config = CausalHiftConfig() if full else goldens3.GOLDENS.config().hift
    assert expected_keys(config) == goldens3.key_shapes("hift", full=full)


def test_another_look_to_the_right_than_the_published_one() -> None:
    torch.manual_seed(0)
    for right in (1, 6):
        hift = CausalHift(replace(goldens3.GOLDENS.config().hift, look_right=right))
        assert hift.look_ahead == max(right, 4)
