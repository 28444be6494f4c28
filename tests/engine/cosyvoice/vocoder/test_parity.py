from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cosyserve.benchmarks.parity.reference import vocoder as reference_vocoder
from cosyserve.benchmarks.parity.reference.vocoder import (
    LOOPS,
    Call,
    Loop,
    calls_of,
    chunk_ends,
    loop_named,
    mel_of,
    play,
    token2wav,
)
from cosyserve.engine.cosyvoice.vocoder import Hift
from support.engines import goldens
from support.engines.tiny_flow import difference, golden_case, tiny_flow

MELS = goldens.tensors("b_flow_inference")
TAIL = goldens.tensors("e2_tail")


def mel(tokens: int, streaming: bool, finalize: bool) -> Tensor:
    if finalize:
        return MELS["mel_stream_final" if streaming else "mel_offline"]
    assert streaming
    return MELS[f"mel_stream_prefix_{tokens}"]


def tail_mel(tokens: int, streaming: bool, finalize: bool) -> Tensor:
    if finalize:
        return TAIL["mel_s1_final" if streaming else "mel_s0_final"]
    # With the chunk mask a prefix on the grid has the frames of the whole.
    return TAIL["mel_s1_final"][:, :, : 2 * (tokens - 3)]


def compare(chunks: list[Tensor], golden: dict[str, Tensor], name: str) -> None:
    expected = [golden[f"{name}_pcm_{index}"] for index in range(len(chunks))]
    assert f"{name}_pcm_{len(chunks)}" not in golden
    assert [chunk.shape for chunk in chunks] == [chunk.shape for chunk in expected]
    for chunk, reference in zip(chunks, expected, strict=True):
        error = chunk - reference
        assert float(error.abs().max()) < 5e-2
        assert float(error.square().mean().sqrt()) < 2e-3


@pytest.mark.parametrize("name", sorted(goldens.meta("e_token2wav_loop")))
def test_the_reference_s_loop(hift: Hift, name: str) -> None:
    golden = goldens.tensors("e_token2wav_loop")
    tokens, prompt = golden["token"].shape[1], golden["prompt_token"].shape[1]
    compare(token2wav(hift, mel, tokens, prompt, LOOPS[name]), golden, name)
    chunks = goldens.meta("e_token2wav_loop")[name]["chunks"]
    if LOOPS[name].stream:
        ends = list(chunk_ends(tokens, prompt, LOOPS[name], 3))
        assert [end + 3 for end in ends] == [chunk["n_tokens"] for chunk in chunks[:-1]]


@pytest.mark.parametrize("name", ["final_nonstream", "final_stream"])
def test_a_tail_across_the_grid(hift: Hift, name: str) -> None:
    tokens, prompt = TAIL["token"].shape[1], TAIL["prompt_token"].shape[1]
    compare(token2wav(hift, tail_mel, tokens, prompt, LOOPS[name]), TAIL, name)


def test_offline_speed(hift: Hift) -> None:
    """A faster offline sound is that of the shortened mel."""
    chunks = token2wav(hift, mel, 150, 32, loop_named("offline_speed1.3"))
    shorter = F.interpolate(MELS["mel_offline"], size=230, mode="linear")
    assert [chunk.shape for chunk in chunks] == [(1, 230 * 480)]
    assert torch.equal(chunks[0], reference_vocoder.inference(hift, shorter)[0])


def test_chunk_ends() -> None:
    assert list(chunk_ends(27, 25, Loop(), 3)) == []
    assert list(chunk_ends(28, 25, Loop(), 3)) == [25]
    doubling = list(chunk_ends(600, 0, LOOPS["doubling"], 3))
    assert [after - before for before, after in pairwise(doubling)] == [50, 100, 100, 100, 100, 100]


def test_loops_by_name() -> None:
    assert loop_named("hop25") is LOOPS["hop25"]
    assert loop_named("offline_speed0.75") == Loop(stream=False, speed=0.75)
    for name, named in (
        ("hop25_speed1.3", r"hop25_speed1\.3: no such loop"),
        ("offline_speedfast", "fast"),
        ("tripling", "tripling: no such loop; there are offline, hop25"),
    ):
        with pytest.raises(ValueError, match=named):
            loop_named(name)


def test_calls_cover_the_utterance() -> None:
    calls = calls_of(LOOPS["doubling"], 150, 32)
    chunks = goldens.meta("e_token2wav_loop")["doubling"]["chunks"]
    assert calls == [
        Call(chunk["n_tokens"], chunk["token_offset"], chunk["streaming"], chunk["finalize"])
        for chunk in chunks
    ]
    assert calls_of(LOOPS["offline"], 150, 32) == [Call(150, 0, False, True)]
    assert calls_of(LOOPS["hop25_finalstream"], 10, 32) == [Call(10, 0, True, True)]


def test_chunks_have_no_speed_of_their_own(hift: Hift) -> None:
    with pytest.raises(ValueError, match="one call"):
        play(hift, mel, calls_of(LOOPS["hop25"], 150, 32), speed=1.3)


def test_the_mel_of_a_flow() -> None:
    found = mel_of(tiny_flow(), golden_case("b_flow_inference"))
    for arguments in ((150, True, True), (150, False, True), (46, True, False)):
        assert difference(found(*arguments), mel(*arguments)) < 1e-4
    assert found(46, True, False) is found(46, True, False)
