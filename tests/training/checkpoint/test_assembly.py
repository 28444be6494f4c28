from __future__ import annotations

import torch

from cosyserve.engine.cosyvoice.checkpoint.weights import expected
from cosyserve.engine.cosyvoice.vocoder import Hift
from cosyserve.training.checkpoint.assembly import normalised
from support.engines.tiny_checkpoint import TINY


def test_the_vocoders_normalised_weights_are_its_own() -> None:
    hift = Hift(TINY.hift)
    split = normalised(hift.state_dict(), expected(TINY, "hift"))
    assert split.keys() == expected(TINY, "hift").keys()
    loaded = Hift(TINY.hift)
    loaded.load_state_dict(split)
    for name, tensor in loaded.state_dict().items():
        torch.testing.assert_close(tensor, hift.state_dict()[name], atol=1e-6, rtol=1e-5)
