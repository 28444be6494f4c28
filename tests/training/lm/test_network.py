"""The trained network is the served one, and its guide points at the text that is said."""

from __future__ import annotations

import copy

import torch

from cosyserve.engine.cosyvoice.config import LmConfig
from cosyserve.engine.cosyvoice.lm.decoder import LmDecoder, Span
from cosyserve.engine.cosyvoice.lm.ids import IdSpace
from cosyserve.training.lm.network import LmNetwork, LmOutput, guide_loss, masked
from cosyserve.training.lm.sequences import AlignedText, LmBatch, batch_of, unistream

CONFIG = LmConfig(
    vocab_size=40,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    speech_token_size=729,
)
SPACE = IdSpace.of(CONFIG)


def batch() -> LmBatch:
    """Three text ids of four characters, and six codes, two for each."""
    aligned = AlignedText(
        (1, 2, 3),
        ((0, 4), (4, 8), (8, 12)),
        (5, 6, 7, 8, 9, 10),
        (1.0, 3.0, 5.0, 7.0, 9.0, 11.0),
        (1, 1, 2, 2, 3, 3),
        12,
    )
    return batch_of([unistream(aligned, SPACE)])


@torch.no_grad()
def test_the_logits_are_the_decoders() -> None:
    torch.manual_seed(0)
    network = LmNetwork(CONFIG, 5).eval()
    for parameter in network.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    ids = batch().ids[0]
    decoder = LmDecoder(copy.deepcopy(network.lm))
    hidden = decoder.forward([Span(0, 0, tuple(ids.tolist()))], decoder.new_cache())
    found = network(ids[None]).logits[0]
    torch.testing.assert_close(found, decoder.logits(hidden), atol=1e-4, rtol=1e-4)


def test_only_codes_are_hidden() -> None:
    rows = batch()
    hidden = masked(rows, 1.0, SPACE)
    speech = rows.ids < SPACE.speech_size
    assert hidden[speech].eq(SPACE.unused).all()
    assert torch.equal(hidden[~speech], rows.ids[~speech])
    assert torch.equal(masked(rows, 0.0, SPACE), rows.ids)


def _looking(places: list[int], rows: LmBatch) -> LmOutput:
    """Attention of both heads, wherever a code is asked for, on one position for each code."""
    size = rows.ids.shape[1]
    attention = torch.full((1, 2, size, size), 1e-4)
    asked = (rows.phonemes[0] > 0).nonzero()[:, 0].tolist()
    for position, place in zip(asked, places, strict=True):
        attention[0, :, position, place] = 1.0
    return LmOutput(torch.zeros(0), torch.zeros(0), attention)


def test_the_guide_is_content_where_the_heads_look_at_what_is_said() -> None:
    rows = batch()  # sos, three text ids at 1, 2, 3, task, six codes
    right = guide_loss(_looking([1, 1, 2, 2, 3, 3], rows), rows)
    wrong = guide_loss(_looking([3, 3, 1, 1, 2, 2], rows), rows)
    assert float(right) < 0.1
    assert float(wrong) > 3
