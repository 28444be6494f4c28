"""The exported tokenizer is the trained one, and padding changes nothing."""

from __future__ import annotations

from pathlib import Path

import torch

from cosyserve.engine.cosyvoice.prompt import SpeechTokenizer
from cosyserve.training.recipe import CODES
from cosyserve.training.tokenizer.network import Coder, Spread, codes_of, points_of, quantised
from cosyserve.training.weights import half_rounded


def coder() -> Coder:
    torch.manual_seed(3)
    made = Coder(32, 2)
    made(torch.randn(4, 80, 128), torch.ones(4, 20, dtype=torch.bool))  # statistics of its own
    half_rounded(made)
    return made.eval()


def mask(count: int) -> torch.Tensor:
    return torch.ones(1, count, dtype=torch.bool)


@torch.inference_mode()
def test_the_file_gives_the_same_codes(tmp_path: Path) -> None:
    network, log_mel = coder(), torch.randn(1, 128, 200)
    network.write(tmp_path / "tokenizer.onnx")
    found = SpeechTokenizer(tmp_path / "tokenizer.onnx")(log_mel)
    expected = codes_of(network(log_mel.transpose(1, 2), mask(50)))[0]
    assert len(set(expected.tolist())) > 10
    assert (
        found == expected
    ).float().mean() > 0.95  # a point between two codes may round to either


def test_any_length_of_clip_has_codes(tmp_path: Path) -> None:
    coder().write(tmp_path / "tokenizer.onnx")
    tokenizer = SpeechTokenizer(tmp_path / "tokenizer.onnx")
    for frames in (1, 2, 3, 4, 5, 101):
        assert len(tokenizer(torch.randn(1, 128, frames))) == -(-frames // 4)


@torch.inference_mode()
def test_padding_changes_nothing() -> None:
    network, log_mel = coder(), torch.randn(1, 80, 128)
    alone = network(log_mel, mask(20))
    wide = torch.cat([log_mel, torch.randn(1, 40, 128)], dim=1)
    beside = network(wide, torch.arange(30)[None] < 20)
    torch.testing.assert_close(beside[:, :20], alone, atol=1e-5, rtol=0)


def test_codes_and_points_are_each_other() -> None:
    codes = torch.arange(CODES)
    assert torch.equal(codes_of(points_of(codes)), codes)


def test_the_gradient_passes_the_rounding() -> None:
    point = torch.tensor([[0.2, -0.9, 0.6]], requires_grad=True)
    quantised(point).sum().backward()
    assert point.grad is not None
    assert torch.equal(point.grad, torch.ones(1, 3))


def test_the_spread_is_that_of_real_frames() -> None:
    spread, x = Spread(2), 5 + 3 * torch.randn(4, 50, 2)
    real = torch.arange(50)[None].expand(4, 50) < 40
    x[~real] = 1e6
    made = spread(x, real)[real]
    torch.testing.assert_close(made.mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(made.std(0), torch.ones(2), atol=1e-2, rtol=0)
