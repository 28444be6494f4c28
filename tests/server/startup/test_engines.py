"""Settings to an engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cosyserve.engine.cosyvoice.engine import CosyVoiceEngine
from cosyserve.engine.embedded.engine import EmbeddedEngine
from cosyserve.engine.interface import EngineNotReady
from cosyserve.server.settings import load_settings
from cosyserve.server.startup.parts import build_engine


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("COSYSERVE_")]:
        monkeypatch.delenv(name)


def test_without_a_model_the_embedded_voice() -> None:
    assert isinstance(build_engine(load_settings()), EmbeddedEngine)


@pytest.mark.parametrize("strips", [True, False])
def test_both_engines_are_told_about_markup(strips: bool, tmp_path: Path) -> None:
    for flags in ({}, {"model": str(tmp_path)}):
        engine = build_engine(load_settings({**flags, "strip_markup": str(strips)}))
        assert isinstance(engine, EmbeddedEngine | CosyVoiceEngine)
        assert engine._options.strip_markup is strips


def test_with_a_model_cosyvoice_and_its_settings(tmp_path: Path) -> None:
    engine = build_engine(
        load_settings(
            {
                "model": str(tmp_path),
                "device_memory": "3GiB",
                "memory_overflow": "recompute",
                "first_hop_tokens": "9",
                "voice_folder": "none",
                "duplex_text": "false",
                "vllm_max_model_len": "1024",
                "vllm_kv_cache_bytes": "64MiB",
                "vllm_args": '{"block_size": 16}',
                "vllm_folder": str(tmp_path / "lm"),
            }
        )
    )
    assert isinstance(engine, CosyVoiceEngine)
    options = engine._options
    assert (options.device_memory, options.memory_overflow) == (3 * 2**30, "recompute")
    assert (options.hops.first_hop_tokens, options.voice_folder, options.duplex_text) == (
        9,
        None,
        False,
    )
    assert (options.vllm.max_model_len, options.vllm.kv_cache_bytes) == (1024, 2**26)
    assert (options.vllm.args, options.vllm.folder) == ({"block_size": 16}, tmp_path / "lm")
    assert not engine.ready
    assert engine.capabilities.name == "cosyvoice2"


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cosyserve.engine.cosyvoice.engine", None)
    with pytest.raises(EngineNotReady, match="not installed"):
        build_engine(load_settings({"model": str(tmp_path)}))


def test_the_embedded_voice_needs_no_torch() -> None:
    code = (
        "import sys; from cosyserve.server import app; "
        "from cosyserve.server.settings import load_settings; "
        "app.build_engine(load_settings()); "
        "sys.exit('torch' in sys.modules or 'onnxruntime' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
