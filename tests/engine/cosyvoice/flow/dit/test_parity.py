"""CosyVoice 3's flow against the golden vectors of the reference."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cosyserve.benchmarks.parity.reference.dit_flow import look_ahead, velocity
from cosyserve.benchmarks.parity.reference.flow import speak
from cosyserve.engine.cosyvoice.checkpoint.weights import Unfilled
from cosyserve.engine.cosyvoice.config import DitFlowConfig
from cosyserve.engine.cosyvoice.flow import EXACT, RECOMPUTE, ContextPolicy, DitFlow, FlowError
from cosyserve.engine.cosyvoice.flow.attention import chunk_mask
from cosyserve.engine.cosyvoice.flow.dit import network
from cosyserve.engine.cosyvoice.flow.dit.network import TAIL, DitBlock, rotate, tail_channels
from cosyserve.engine.cosyvoice.flow.solver import euler_schedule, time_span
from support.engines import goldens3
from support.engines.goldens3 import golden_dit_flow
from support.engines.tiny_dit import golden_case3
from support.engines.tiny_flow import difference

MELS = goldens3.tensors("b_flow_inference")
ESTIMATOR = goldens3.tensors("c_estimator")
MEL = 5e-5
VELOCITY = 3e-5
PROMPTS = (0, 24, 25, 26)


@pytest.fixture(scope="module")
def flow() -> DitFlow:
    return golden_dit_flow()


def test_noise_is_the_references(flow: DitFlow) -> None:
    expected = goldens3.tensors("rand_noise")["rand_noise"]
    assert torch.equal(flow.noise[:, :, : expected.shape[2]], expected)


def test_speaker(flow: DitFlow) -> None:
    assert difference(flow.speaker(MELS["embedding"]), MELS["spks"]) < 1e-5


@pytest.mark.parametrize("cut", ["final", "ctx", "ctx_unaligned", "ctx_min", "one_token"])
def test_look_ahead(flow: DitFlow, cut: str) -> None:
    arrays, meta = goldens3.tensors("a_lookahead"), goldens3.meta("a_lookahead")
    tokens = arrays["token"][:, : {"one_token": 1}.get(cut, meta.get(f"n_tokens_{cut}", 90))]
    if cut not in ("ctx_min", "one_token"):
        tokens = torch.cat((arrays["prompt_token"], tokens), dim=1)
    h = look_ahead(flow, tokens, finalize=cut in ("final", "one_token"))
    assert difference(h, arrays[f"h_{cut}"]) < 1e-5
    if cut == "final":
        assert difference(h.repeat_interleave(2, dim=1), arrays["mu_final"]) < 1e-5


# -- the transformer ---------------------------------------------------------------------------


def test_time(flow: DitFlow) -> None:
    dit = flow.decoder.estimator
    for name in ("t0", "t1"):
        found = dit.time_embed(ESTIMATOR[name])
        assert difference(found, ESTIMATOR[f"time_emb_{name}"]) < 1e-5


def test_the_schedule() -> None:
    assert difference(time_span(10), ESTIMATOR["t_span"]) < 1e-7
    times, lengths = euler_schedule(10)
    assert difference(times, ESTIMATOR["euler_t"]) < 1e-6
    assert difference(lengths, ESTIMATOR["euler_dt"]) < 1e-6


def found_velocity(flow: DitFlow, time: str, *, streaming: bool) -> Tensor:
    inputs = (ESTIMATOR[key] for key in ("x", "mu", time, "spks", "cond"))
    return velocity(flow.decoder.estimator, *inputs, streaming=streaming)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("time", ["t0", "t1"])
def test_velocity(flow: DitFlow, time: str, streaming: bool) -> None:
    found = found_velocity(flow, time, streaming=streaming)
    assert difference(found, ESTIMATOR[f"out_{time}_s{streaming:d}"]) < VELOCITY


def test_velocity_of_nothing(flow: DitFlow) -> None:
    """The variances under the layer norms are small then, so that their epsilon counts."""
    nothing = torch.zeros(1, 80, 8)
    dit, t = flow.decoder.estimator, ESTIMATOR["t1"][:1]
    found = velocity(dit, nothing, nothing, t, nothing[:, :, 0], nothing, streaming=False)
    assert difference(found, ESTIMATOR["zero_in_out_t1"]) < VELOCITY


@pytest.mark.parametrize("streaming", [False, True])
def test_velocities_of_different_utterances(flow: DitFlow, streaming: bool) -> None:
    for row, length in enumerate(goldens3.meta("c_estimator")["p_lengths"]):
        one = slice(row, row + 1)
        x, mu, cond = (ESTIMATOR[f"p_{key}"][one, :, :length] for key in ("x", "mu", "cond"))
        t, spks = ESTIMATOR["p_t"][one], ESTIMATOR["p_spks"][one]
        found = velocity(flow.decoder.estimator, x, mu, t, spks, cond, streaming=streaming)
        expected = ESTIMATOR[f"p_out_s{streaming:d}"][one, :, :length]
        assert difference(found, expected) < VELOCITY


def heads(x: Tensor) -> Tensor:
    """[1, n, heads * head_dim] -> [1, heads, n, head_dim]."""
    return x.unflatten(2, (4, 24)).transpose(1, 2)


def test_positions_turn_the_first_head_alone(flow: DitFlow) -> None:
    angles = flow.decoder.estimator.rotary_embed.angles(torch.zeros(1, dtype=torch.int64), 110)
    for name in ("q", "k"):
        plain, turned = heads(ESTIMATOR[f"block0_{name}"]), heads(ESTIMATOR[f"block0_{name}_rot"])
        assert difference(rotate(plain[:, 0], angles), turned[:, 0]) < 2e-5
        assert torch.equal(plain[:, 1:], turned[:, 1:])


def test_with_every_head_turned_the_velocity_would_be_wrong(
    flow: DitFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = ESTIMATOR["wrong_all_heads_out_t1_s0"]
    right = found_velocity(flow, "t1", streaming=False)[:1]
    assert difference(right, wrong) > 0.2
    # As if all were turned: the others before the first, which the network turns itself.
    attention = network.DitAttention.forward

    def all_turned(self: network.DitAttention, x: Tensor, *rest: object) -> Tensor:
        inputs = self._inputs

        def turned(given: Tensor) -> Tensor:
            made = inputs(given).unflatten(2, (3, self.heads, -1)).clone()
            angles = rest[0]
            assert isinstance(angles, network.Angles)
            for head in range(1, self.heads):
                for part in (0, 1):
                    made[:, :, part, head] = rotate(made[:, :, part, head], angles)
            return made.flatten(2)

        monkeypatch.setattr(self, "_inputs", turned)
        try:
            return attention(self, x, *rest)
        finally:
            monkeypatch.setattr(self, "_inputs", inputs)

    monkeypatch.setattr(network.DitAttention, "forward", all_turned)
    assert difference(found_velocity(flow, "t1", streaming=False)[:1], wrong) < VELOCITY


def test_the_inside(flow: DitFlow) -> None:
    dit = flow.decoder.estimator
    x, mu, cond = (ESTIMATOR[key][:1] for key in ("x", "mu", "cond"))
    speaker = ESTIMATOR["spks"][:1, :, None].expand(-1, -1, 110)
    inputs = torch.cat((x, cond, mu, speaker), dim=1).transpose(1, 2)
    with torch.inference_mode():
        assert difference(dit.input_embed.proj(inputs), ESTIMATOR["input_proj"]) < 1e-5
        before = torch.zeros(1, TAIL, tail_channels(dit.config))
        hidden, _ = dit.input_embed(inputs, before)
        assert difference(hidden, ESTIMATOR["input_embed"]) < 2e-5
        modulation = dit.modulate(ESTIMATOR["t1"][:1])[:, None, : 6 * dit.config.dim]
        angles = dit.rotary_embed.angles(torch.zeros(1, dtype=torch.int64), 110)
        block = dit.transformer_blocks[0]
        assert isinstance(block, DitBlock)
        for streaming in (False, True):
            mask = chunk_mask(110, 50, x.device) if streaming else None
            attended = block.attn(ESTIMATOR["block0_attn_norm"], angles, mask, None)
            assert difference(attended, ESTIMATOR[f"block0_attn_s{streaming:d}"]) < 2e-5
            out = block(ESTIMATOR["input_embed"], modulation, angles, mask, None)
            assert difference(out, ESTIMATOR[f"block0_out_s{streaming:d}"]) < 2e-5


# -- whole utterances and steps ----------------------------------------------------------------


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_whole_utterance(flow: DitFlow, prompt: int, streaming: bool) -> None:
    key = f"mel_P{prompt}_{'stream_final' if streaming else 'offline'}"
    mel = golden_case3(prompt).whole(flow, streaming=streaming)
    assert difference(mel[None], MELS[key]) < MEL


@pytest.mark.parametrize("key", [key for key in MELS if "_prefix_" in key])
def test_prefix(flow: DitFlow, key: str) -> None:
    found = re.fullmatch(r"mel_P(\d+)_(non)?stream_prefix_(\d+)", key)
    assert found is not None
    streaming, tokens = found[2] is None, int(found[3])
    case = golden_case3(int(found[1]))
    mel = case.prefix(flow, tokens, streaming=streaming, finalize=False)
    assert difference(mel, MELS[key]) < MEL
    if streaming:
        # What is complete comes in a usual step, what is not in an early one.
        for policy in (EXACT, RECOMPUTE):
            state = flow.start(flow.prepare_prompt(*case.voice), policy)
            (early,) = flow.step([state], [case.token[0, :tokens]], [False], [True])
            assert difference(early[None], MELS[key]) < MEL


def test_a_tail_just_over_the_grid(flow: DitFlow) -> None:
    case = golden_case3(26, 75)
    for streaming, key in ((False, "offline_75"), (True, "stream_final_75")):
        mel = case.whole(flow, streaming=streaming)
        assert difference(mel[None], MELS[f"mel_P26_{key}"]) < MEL


@pytest.mark.parametrize("policy", [EXACT, RECOMPUTE, ContextPolicy.seconds(10)])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_steps(flow: DitFlow, prompt: int, policy: ContextPolicy) -> None:
    case, expected = golden_case3(prompt), MELS[f"mel_P{prompt}_stream_final"][0]
    meta = goldens3.meta("b_flow_inference")["prompts"][str(prompt)]
    known = meta["stream_prefix"][:2]
    schedules = [[83], [1] * 83, [known[0], known[1] - known[0], 83 - known[1]], [3, 40, 0, 40]]
    voice = flow.prepare_prompt(*case.voice)
    for hops in schedules:
        mels = speak(flow, flow.start(voice, policy), case.token[0], hops)
        assert difference(torch.cat(mels, dim=1), expected) < MEL


def test_one_token(flow: DitFlow) -> None:
    mel = golden_case3(0, 1).whole(flow, streaming=False)
    assert difference(mel[None], MELS["mel_one_token_offline"]) < MEL
    state = flow.start(flow.prepare_prompt(*golden_case3(0).voice))
    (stepped,) = flow.step([state], [MELS["token"][0, :1]], [True])
    assert difference(stepped[None], MELS["mel_one_token_offline"]) < MEL


def test_a_prompt_whose_mel_is_shorter_than_its_tokens(flow: DitFlow) -> None:
    meta = goldens3.meta("b_flow_inference")
    case = golden_case3(meta["short_prompt_feat_P"], meta["short_prompt_feat_n_tokens"])
    case = replace(case, prompt_feat=case.prompt_feat[:, : -meta["short_prompt_feat_cut"]])
    mel = case.whole(flow, streaming=False)
    assert difference(mel[None], MELS["mel_short_prompt_feat_offline"]) < MEL


def test_an_utterance_longer_than_the_noise_is_refused(flow: DitFlow) -> None:
    noise = flow.noise
    flow.noise = noise[:, :, :100]
    try:
        with pytest.raises(FlowError, match="at most 100 mel frames"):
            golden_case3(26).whole(flow)
    finally:
        flow.noise = noise


@pytest.mark.parametrize("full", [False, True])
def test_weights_are_those_of_the_checkpoint(full: bool) -> None:
    with torch.device("meta"), Unfilled():
        flow = DitFlow(DitFlowConfig() if full else goldens3.GOLDENS.config().flow)
    shapes = {name: list(weight.shape) for name, weight in flow.state_dict().items()}
    assert shapes == goldens3.key_shapes("flow", full=full)
