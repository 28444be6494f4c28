"""Which engine the settings ask for."""

from __future__ import annotations

from pathlib import Path

from cosyserve.engine.interface import Engine
from cosyserve.engine.errors import EngineNotReady

from .settings.sources import SettingsError
from .settings.values import expanded
from .settings import Settings

# Engines are imported in the functions: one's libraries are loaded only where it is used.


def build_engine(settings: Settings) -> Engine:
    """The engine, not yet started.

    Raises EngineError with what to do if it cannot be had, SettingsError for a setting that it refuses.
    """
    try:
        return _cosyvoice(settings) if settings.model is not None else _embedded(settings)
    except ValueError as error:  # its words name the setting
        raise SettingsError([str(error)]) from None
    except EngineNotReady as error:
        chosen = "engine: embedded" if settings.model is None else f"model: {settings.model}"
        raise EngineNotReady(f"{chosen} is not usable; {error}") from error


def _embedded(settings: Settings) -> Engine:
    from cosyserve.engine.embedded.engine import EmbeddedEngine
    from cosyserve.engine.embedded.options import EmbeddedOptions

    return EmbeddedEngine(
        EmbeddedOptions(
            workers=settings.embedded_workers,
            default_language=settings.default_language,
            strip_markup=settings.strip_markup,
        )
    )


def _cosyvoice(settings: Settings) -> Engine:
    assert settings.model is not None
    try:
        from cosyserve.engine.cosyvoice.engine import CosyVoiceEngine
        from cosyserve.engine.cosyvoice.lm.vllm.options import VllmOptions
        from cosyserve.engine.cosyvoice.options import CosyVoiceOptions
        from cosyserve.engine.cosyvoice.scheduling.chunker import HopPolicy
    except ImportError as error:
        raise EngineNotReady(
            f"a CosyVoice 2 model needs {error.name}, which is not installed; "
            "install cosyserve[cosyvoice], or leave out model to speak with the embedded voice"
        ) from error
    voices = settings.voice_cache
    return CosyVoiceEngine(
        CosyVoiceOptions(
            model=settings.model,
            device=settings.device,
            lm_backend=settings.lm_backend,
            lm_precision=settings.lm_precision,
            flow_precision=settings.flow_precision,
            memory=settings.device_memory,
            overflow=settings.memory_overflow,
            window_seconds=settings.window_seconds,
            expected_seconds=settings.expected_seconds,
            max_sessions=settings.lm_streams,
            voice_cache=settings.voice_cache_bytes,
            voice_folder=None if voices is None else _expanded("voice_cache", voices),
            prompt_cache=settings.prompt_cache_bytes,
            work_ahead=settings.work_ahead,
            duplex=settings.duplex_text,
            strip_markup=settings.strip_markup,
            hops=HopPolicy(
                settings.first_hop_tokens,
                settings.longest_hop_tokens,
                settings.hop_growth_seconds,
            ),
            max_batch=settings.max_batch,
            cuda_graphs=settings.cuda_graphs,
            vllm=VllmOptions(
                max_model_len=settings.vllm_max_model_len,
                gpu_memory_utilization=settings.vllm_gpu_memory_utilization,
                kv_cache_bytes=settings.vllm_kv_cache_bytes,
                tensor_parallel_size=settings.vllm_tensor_parallel_size,
                enforce_eager=settings.vllm_enforce_eager,
                extra=settings.vllm_args,
                patience=settings.vllm_park_seconds,
            ),
            vllm_folder=_vllm_folder(settings),
        )
    )


def _vllm_folder(settings: Settings) -> Path:
    """Asked for a home folder only where vLLM runs; with `auto` that is known once there is a device."""
    if settings.lm_backend == "vllm":
        return _expanded("vllm_folder", settings.vllm_folder)
    return settings.vllm_folder


def _expanded(setting: str, folder: Path) -> Path:
    """Raises ValueError, which names the setting."""
    try:
        return expanded(folder)
    except ValueError as error:
        raise ValueError(f"{setting}: {str(folder)!r} is not usable; {error}") from None
