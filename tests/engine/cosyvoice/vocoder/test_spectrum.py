from __future__ import annotations

import torch

from cosyserve.engine.cosyvoice.vocoder.layers import analyse, synthesise
from support.engines import goldens


def test_analysis_of_the_golden_source() -> None:
    golden = goldens.tensors("d_hift")
    bins = analyse(golden["decode_s"][:, 0], 16, 4)
    torch.testing.assert_close(bins, golden["decode_s_stft"], rtol=0, atol=1e-5)


def test_synthesis_is_the_library_s_inverse() -> None:
    spectrum = torch.randn(2, 18, 41, generator=torch.Generator().manual_seed(3))
    magnitude, phase = spectrum[:, :9].exp(), spectrum[:, 9:]
    expected = torch.istft(torch.polar(magnitude, phase), 16, 4, window=torch.hann_window(16))
    torch.testing.assert_close(synthesise(magnitude, phase, 16, 4), expected)


def test_there_and_back() -> None:
    wave = torch.randn(1, 480, generator=torch.Generator().manual_seed(4))
    real, imaginary = analyse(wave, 16, 4).chunk(2, dim=1)
    bins = torch.complex(real, imaginary)
    torch.testing.assert_close(synthesise(bins.abs(), bins.angle(), 16, 4), wave)
