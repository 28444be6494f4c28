from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import pytest

from cosyserve.engine.cosyvoice.lm.vllm import compat
from cosyserve.engine.cosyvoice.lm.vllm.compat import parsed, sessions_are_sound


@pytest.mark.parametrize(
    ("text", "release", "sound"),
    [
        ("0.24.0", (0, 24), False),
        ("0.31.0.post1", (0, 31), False),
        ("0.32.0+cpu", (0, 32), True),
        ("0.33.0rc1", (0, 33), True),
        ("1.0", (1, 0), True),
        ("unknown", (0, 0), False),
    ],
)
def test_releases(text: str, release: tuple[int, int], sound: bool) -> None:
    assert parsed(text) == release
    assert sessions_are_sound(release) is sound


def test_the_sampler_fits_the_model_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (
        SimpleNamespace(use_v2_model_runner=False),
        SimpleNamespace(use_v2_model_runner=True),
    )
    package = compat.__package__
    monkeypatch.setattr(compat, "find_spec", lambda _: object())
    assert compat.early_sampler() is None
    assert compat.late_sampler(first) == f"{package}.sampler_v1:SpeechSamplerV1"
    assert compat.late_sampler(second) == f"{package}.sampler_v2:SpeechSamplerV2"
    monkeypatch.setattr(compat, "find_spec", lambda _: None)
    assert compat.early_sampler() == f"{package}.sampler_v1:SpeechSamplerV1"
    assert compat.late_sampler(second) == f"{package}.sampler_v1:SpeechSamplerV1"


def test_without_vllm() -> None:
    if importlib.util.find_spec("vllm") is not None:
        pytest.skip("vLLM is installed")
    assert compat.installed() == (0, 0)
    assert compat.early_sampler() is not None
