"""The parts that settings name, built and started. Errors name the setting, its value and what is allowed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import structlog

from cosyserve.engine.cosyvoice.options import CosyVoiceOptions
from cosyserve.engine.embedded.options import EmbeddedOptions
from cosyserve.engine.folders import expanded
from cosyserve.engine.interface import Engine, EngineError, EngineNotReady
from cosyserve.protocol.errors import TTSError

from ..delivery import Spools
from ..services import Services
from ..settings import Settings
from ..settings.engine import engine_options
from ..settings.sources import SettingsError
from ..voices import ReferenceStore, open_store

# Engines are imported in functions, so that only the libraries of the chosen one are loaded.

log = structlog.get_logger(__name__)


def build_engine(settings: Settings) -> Engine:
    """The engine, not yet started.

    Raises EngineNotReady, which says how to get an engine that is missing, and SettingsError for a setting
    that the engine refuses.
    """
    try:
        return _cosyvoice(settings) if settings.model is not None else _embedded(settings)
    except ValueError as error:  # its message names the setting
        raise SettingsError([str(error)]) from None
    except EngineNotReady as error:
        chosen = "engine: embedded" if settings.model is None else f"model: {settings.model}"
        raise EngineNotReady(f"{chosen} is not usable; {error}") from error


def _embedded(settings: Settings) -> Engine:
    from cosyserve.engine.embedded.engine import EmbeddedEngine

    return EmbeddedEngine(engine_options(EmbeddedOptions, settings))


def _cosyvoice(settings: Settings) -> Engine:
    try:
        from cosyserve.engine.cosyvoice.engine import CosyVoiceEngine
    except ImportError as error:
        raise EngineNotReady(
            f"a CosyVoice 2 model needs {error.name}, which is not installed; "
            "install cosyserve[cosyvoice], or leave out model to use the embedded voice"
        ) from error
    options = engine_options(CosyVoiceOptions, settings)
    if options.voice_folder is not None:
        options = replace(options, voice_folder=_expanded("voice_folder", options.voice_folder))
    if options.lm_backend == "vllm":  # with auto it is known only with the device whether vLLM runs
        _expanded("vllm_folder", options.vllm.folder)
    return CosyVoiceEngine(options)


def _expanded(setting: str, folder: Path) -> Path:
    """Raises ValueError, which names the setting."""
    try:
        return expanded(folder)
    except ValueError as error:
        raise ValueError(f"{setting}: {str(folder)!r} is not usable; {error}") from None


async def started_store(settings: Settings) -> ReferenceStore:
    """The store for reference clips, started.

    Raises SettingsError for a malformed place, OSError for one that cannot be used.
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


def started_spools(settings: Settings) -> Spools:
    """Where whole answers wait, tried out. The system's own folder may fail: then only long ones do.

    Raises SettingsError for a malformed folder, OSError for one that cannot be used.
    """
    try:
        folder = settings.spool_folder and _expanded("spool_folder", settings.spool_folder)
    except ValueError as error:
        raise SettingsError([str(error)]) from None
    spools = Spools(folder, settings)
    try:
        spools.start()
    except OSError as error:
        reason = error.strerror or error
        allowed = "allowed: a folder that this user can write to"
        if folder is not None:
            raise OSError(
                f"spool_folder: {str(folder)!r} is not usable; {reason}; {allowed}"
            ) from error
        lost = "long answers that are not streamed will fail"
        log.warning(
            "notice",
            notice=f"spool_folder: the system's temporary folder is not usable; {reason}; {lost}; {allowed}",
        )
    return spools


def voice_folder_notice(settings: Settings) -> str | None:
    """Create the folder for prepared voices; None if it is usable. The engine also speaks without it."""
    folder = settings.voice_folder
    if settings.engine_name != "cosyvoice" or folder is None:
        return None
    try:
        folder = expanded(folder)
        folder.mkdir(parents=True, exist_ok=True)
        reason = None if os.access(folder, os.W_OK | os.X_OK) else "it is not writable"
    except OSError as error:
        reason = str(error.strerror)
    except ValueError:  # build_engine refuses it
        return None
    return reason and (
        f"voice_folder: {str(folder)!r} is not usable; {reason}; voices are prepared again after a restart; "
        "allowed: a writable folder, or none"
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
    name = engine.capabilities.name
    if settings.engine not in ("auto", "embedded", name):
        await engine.stop()
        raise EngineNotReady(
            f"engine: {settings.engine} is not usable; the model is of {name}; allowed: auto, {name}"
        )


async def warn_of_missing_voices(services: Services) -> None:
    """Warn of voices that settings name and that do not exist.

    They may be references, which are added and deleted while the server runs: one that its owner has
    deleted must not keep a server from starting.
    """
    own = [voice.id for voice in services.engine.capabilities.voices]
    for setting, voice in _default_voices(services.settings):
        try:
            known = await services.voices.knows(None, voice)
        except TTSError:  # the store does not answer, and has logged it
            return
        if not known:
            allowed = ", ".join([*own, "the id or the name of a reference that is stored"])
            log.warning(
                "notice",
                notice=f"{setting}: {voice!r} is not usable; no voice has this id or name; "
                f"allowed: {allowed}",
            )


def _default_voices(settings: Settings) -> Iterator[tuple[str, str]]:
    """Settings, and the voices that they name."""
    for name in (
        "openai_default_voice",
        "dashscope_default_voice",
        "elevenlabs_default_voice",
        "vllm_omni_default_voice",
    ):
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
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key_id=settings.s3_access_key_id,
        secret_access_key=None if secret is None else secret.get_secret_value(),
        path_style=settings.s3_path_style,
        signature=settings.s3_signature,
        call_timeout=settings.s3_call_timeout,
    )
