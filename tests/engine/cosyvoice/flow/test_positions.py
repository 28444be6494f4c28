import torch
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.engine.cosyvoice.flow.encoder import (
    ProjectedPositions,
    encode_positions,
    shift_positions,
)


@given(n=st.integers(1, 9), past=st.integers(0, 12))
def test_shift_aligns_each_query_with_its_keys(n: int, past: int) -> None:
    keys = past + n
    distances = torch.arange(keys - 1, -n, -1, dtype=torch.float32)
    shifted = shift_positions(distances.expand(2, n, -1), keys)
    expected = torch.arange(past, keys)[:, None] - torch.arange(keys)[None, :]
    assert torch.equal(shifted[1], expected.float())


def test_growing_changes_nothing() -> None:
    weight = torch.randn(8, 8)
    grown, fresh = ProjectedPositions(2), ProjectedPositions(2)
    grown.get(10, -3, weight)
    grown.get(200, -3, weight)
    grown.get(70, -100, weight)
    torch.testing.assert_close(grown.get(150, -70, weight), fresh.get(150, -70, weight))


def test_the_code_interleaves_sine_and_cosine() -> None:
    code = encode_positions(2, -2, 4, torch.device("cpu"))
    frequency = 10000.0 ** (-2 / 4)
    expected = torch.tensor([2.0, 2 * frequency]).sin()
    torch.testing.assert_close(code[0, 0::2], expected)
    torch.testing.assert_close(code[-1, 0::2], -expected)
    torch.testing.assert_close(code[0, 1::2], code[-1, 1::2])
