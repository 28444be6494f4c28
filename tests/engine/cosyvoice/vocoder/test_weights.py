from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from cosyserve.engine.cosyvoice.vocoder import fold_weight_norm
from support.engines import goldens


def test_the_same_as_the_parametrised_layer() -> None:
    for layer in (nn.Conv1d(4, 6, 3), nn.ConvTranspose1d(4, 6, 8, 4)):
        normed = weight_norm(layer)
        state = {f"net.{key}": value for key, value in normed.state_dict().items()}
        state["net.parametrizations.weight.original0"] *= 1.7
        normed.load_state_dict({key[4:]: value for key, value in state.items()})
        folded = fold_weight_norm(state)
        assert folded.keys() == {"net.weight", "net.bias"}
        torch.testing.assert_close(folded["net.weight"], normed.weight.detach())


def test_both_spellings_are_read() -> None:
    state = goldens.weights("hift")
    ends = (
        (".parametrizations.weight.original0", ".weight_g"),
        (
            ".parametrizations.weight.original1",
            ".weight_v",
        ),
    )
    other = {}
    for key, value in state.items():
        for new, old in ends:
            key = key.replace(new, old)
        other[key] = value
    assert other.keys() != state.keys()
    first, second = fold_weight_norm(state), fold_weight_norm(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_half_a_pair_is_left_for_strict_loading_to_name() -> None:
    state = {"a.weight_g": torch.ones(2, 1, 1), "a.bias": torch.zeros(2)}
    assert fold_weight_norm(state).keys() == state.keys()


def test_the_argument_is_not_changed() -> None:
    state = goldens.weights("hift")
    before = set(state)
    fold_weight_norm(state)
    assert set(state) == before
