"""The parts that settings name, made ready; what cannot be had is told by its setting and value.

Which engine the settings ask for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import structlog

from cosyserve.engine.interface import Engine, EngineError, EngineNotReady
from cosyserve.protocol.errors import TTSError

from ..services import Services
from ..settings import Settings
from ..settings.sources import SettingsError
from ..settings.values import expanded
from ..voices import ReferenceStore, open_store

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
            device_memory=settings.device_memory,
            memory_overflow=settings.memory_overflow,
            window_seconds=settings.window_seconds,
            expected_seconds=settings.expected_seconds,
            lm_streams=settings.lm_streams,
            voice_cache_bytes=settings.voice_cache_bytes,
            voice_folder=None if voices is None else _expanded("voice_cache", voices),
            prompt_cache_bytes=settings.prompt_cache_bytes,
            work_ahead=settings.work_ahead,
            duplex_text=settings.duplex_text,
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
                args=settings.vllm_args,
                park_seconds=settings.vllm_park_seconds,
                folder=_vllm_folder(settings),
            ),
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


log = structlog.get_logger(__name__)


async def started_store(settings: Settings) -> ReferenceStore:
    """The store for reference clips, started.

    Raises SettingsError for a place that none can be at, OSError for one that cannot be used.
    """
    where = f"references: {settings.references!r} is not usable"
    try:
        store = _store(settings)
    except ValueError as error:
        raise SettingsError([f"{where}; {error}"]) from None
    try:
        await store.start()
    except OSError as error:
        reason = error.strerror or error
        if settings.references_bucket is not None:
            raise OSError(f"{where}; {reason}") from error
        raise OSError(
            f"{where}; {reason}; allowed: a folder that this user can write to"
        ) from error
    return store


def voice_cache_notice(settings: Settings) -> str | None:
    """Make the folder for prepared voices; None if it can be used. Without it the engine speaks as well."""
    folder = settings.voice_cache
    if settings.engine_name != "cosyvoice2" or folder is None:
        return None
    try:
        folder = expanded(folder)
        folder.mkdir(parents=True, exist_ok=True)
        reason = None if os.access(folder, os.W_OK | os.X_OK) else "it cannot be written"
    except OSError as error:
        reason = str(error.strerror)
    except ValueError:  # whoever builds the engine refuses it
        return None
    return reason and (
        f"voice_cache: {str(folder)!r} is not usable; {reason}, and voices are prepared anew after a "
        "restart; allowed: a folder that can be made and written, or none"
    )


async def start_engine(engine: Engine, settings: Settings) -> None:
    """Start it. Raises EngineNotReady."""
    try:
        await engine.start()
    except EngineError as error:
        place = f"engine: {settings.engine_name}"
        if settings.model is not None:
            place = f"model: {settings.model}"
        raise EngineNotReady(f"{place} is not usable; {error}") from error


async def warn_of_missing_voices(services: Services) -> None:
    """Warn of voices that settings name and nobody has.

    They may be references, which come and go while the server runs: one that its owner has deleted
    must not keep a server from starting.
    """
    own = [voice.id for voice in services.engine.capabilities.voices]
    for setting, voice in _default_voices(services.settings):
        try:
            known = await services.voices.knows(None, voice)
        except TTSError:  # the store does not answer now, and says so in the log
            return
        if not known:
            allowed = ", ".join([*own, "the id or the name of a reference that is stored"])
            log.warning(
                "notice",
                notice=f"{setting}: {voice!r} is not usable; no voice has this id or name; "
                f"allowed: {allowed}",
            )


def _default_voices(settings: Settings) -> Iterator[tuple[str, str]]:
    """Settings and the voices that they name."""
    for name in ("openai_default_voice", "dashscope_default_voice", "elevenlabs_default_voice"):
        if (voice := getattr(settings, name)) is not None:
            yield name, voice
    for alias, voice in settings.openai_voices:
        yield f"openai_voices, {alias}", voice


def _store(settings: Settings) -> ReferenceStore:
    if settings.references_bucket is None:
        return open_store(settings.references)
    secret = settings.s3_secret_access_key
    return open_store(
        settings.references,
        endpoint_url=settings.s3_endpoint,
        region=settings.s3_region,
        access_key=settings.s3_access_key_id,
        secret_key=None if secret is None else secret.get_secret_value(),
        path_style=settings.s3_path_style,
        signature=settings.s3_signature,
    )
