from __future__ import annotations

from pathlib import Path

import torch

from cosyserve.engine.cosyvoice.prompt import SpeakerEncoder
from cosyserve.training.speaker import SpeakerNetwork
from cosyserve.training.weights import half_rounded


@torch.inference_mode()
def test_the_file_gives_the_networks_embedding(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = SpeakerNetwork(16, 192, 3).eval()
    half_rounded(network)
    network.write(tmp_path / "speaker.onnx")
    encoder = SpeakerEncoder(tmp_path / "speaker.onnx")
    for frames in (1, 40, 300):
        fbank = torch.randn(frames, 80)
        torch.testing.assert_close(encoder(fbank), network(fbank[None])[0], atol=1e-4, rtol=1e-3)
