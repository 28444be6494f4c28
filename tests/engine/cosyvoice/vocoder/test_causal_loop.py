"""From speech tokens to sound in CosyVoice 3, in the chunks of the reference's loop."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cosyserve.benchmarks.parity.reference.causal_vocoder import inference, recipe_noise
from cosyserve.benchmarks.parity.reference.flow import Case, speak
from cosyserve.engine.cosyvoice.flow import DitFlow
from cosyserve.engine.cosyvoice.vocoder import CausalHift, StreamPolicy
from support.engines import goldens3
from support.engines.goldens3 import golden_causal_hift, golden_dit_flow
from support.engines.tiny_flow import difference

ARRAYS = goldens3.tensors("e_token2wav_loop")
CASES: dict[str, dict[str, Any]] = goldens3.meta("e_token2wav_loop")["cases"]
STORED = [name for name in CASES if any(key.startswith(f"{name}_pcm_") for key in ARRAYS)]
MASKED = [name for name in STORED if CASES[name].get("final") == "stream"]


@pytest.fixture(scope="module")
def flow() -> DitFlow:
    return golden_dit_flow()


@pytest.fixture(scope="module")
def hift() -> CausalHift:
    return golden_causal_hift()


def case_of(name: str) -> Case:
    entry = CASES[name]
    token = ARRAYS["silent_kept"] if name == "silent" else ARRAYS["token"][:, : entry["n"]]
    prompt = entry["P"]
    voice = ARRAYS[f"prompt_token_P{prompt}"], ARRAYS[f"prompt_feat_P{prompt}"]
    return Case(token, *voice, ARRAYS["embedding"])


def loop_mel(flow: DitFlow, name: str) -> Tensor:
    """[1, mel, T]: what the reference's calls leave, of which each uses what the ones before did not."""
    case, parts = case_of(name), []
    calls = CASES[name]["chunks"]
    for call, following in zip(calls, [*calls[1:], None], strict=True):
        mask = {"streaming": call["streaming"], "finalize": call["finalize"]}
        mel = case.prefix(flow, call["n_tokens"], **mask)
        end = None if following is None else 2 * following["token_offset"]
        parts.append(mel[:, :, 2 * call["token_offset"] : end])
    return torch.cat(parts, dim=2)


def assert_sound(found: Tensor, name: str) -> None:
    """In those chunks that are stored."""
    ends = [0]
    for call in CASES[name]["chunks"]:
        ends.append(ends[-1] + call["pcm_samples"])
    assert found.shape == (ends[-1],)
    for number, (begin, end) in enumerate(pairwise(ends)):
        key = f"{name}_pcm_{number}"
        if key in ARRAYS:
            error = found[begin:end] - ARRAYS[key][0]
            # A mel that differs by 2e-6 moves the phase by this much.
            assert float(error.abs().max()) < 5e-2
            assert float(error.square().mean().sqrt()) < 5e-3


@pytest.mark.parametrize("name", STORED)
def test_the_reference_s_loop(flow: DitFlow, hift: CausalHift, name: str) -> None:
    mel, entry = loop_mel(flow, name), CASES[name]
    if "speed" in entry:
        size = int(mel.shape[2] / entry["speed"])
        mel = F.interpolate(mel, size=size, mode="linear")
    noise = recipe_noise(goldens3.TAG, 480 * mel.shape[2]) if entry.get("noise") else None
    assert_sound(inference(hift, mel, noise=noise)[0], name)


@pytest.mark.parametrize("name", ["doubling", "silent"])
def test_the_mel_of_the_loop(flow: DitFlow, name: str) -> None:
    assert difference(loop_mel(flow, name), ARRAYS[f"{name}_mel"]) < 5e-5


@pytest.mark.parametrize("name", MASKED)
def test_our_steps_give_the_loop_whose_last_call_is_masked(
    flow: DitFlow, hift: CausalHift, name: str
) -> None:
    case = case_of(name)
    known = [0, *(call["n_tokens"] for call in CASES[name]["chunks"])]
    hops = [after - before for before, after in pairwise(known)]
    state = flow.start(flow.prepare_prompt(*case.voice))
    session, waves = hift.start(StreamPolicy(fade_out=0)), []
    for number, mel in enumerate(speak(flow, state, case.token[0], hops)):
        waves += hift.step([session], [mel], [number == len(hops) - 1])
        given = sum(call["pcm_samples"] for call in CASES[name]["chunks"][: number + 1])
        # The reference holds back four frames and three samples more.
        ahead = 0 if number == len(hops) - 1 else 4 * 480 - 3
        assert sum(map(len, waves)) == given + ahead
    assert_sound(torch.cat(waves), name)
