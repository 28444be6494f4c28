"""What settings name is made ready, or told by its setting and value."""

from __future__ import annotations

import pwd
from dataclasses import replace
from pathlib import Path

import pytest

from cosyserve.engine.interface import EngineNotReady
from cosyserve.server.settings import load_settings
from cosyserve.server.settings.sources import SettingsError
from cosyserve.server.startup import parts
from cosyserve.server.startup.parts import (
    build_engine,
    start_engine,
    started_store,
    voice_folder_notice,
    warn_of_missing_voices,
)
from cosyserve.server.voices import S3Options, S3Store
from support.engines.fake_engine import FakeEngine
from support.peers.references import SOUND, make_reference


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """No HOME, and a user without an entry, as in many containers."""

    def nobody(uid: int) -> None:
        raise KeyError(uid)

    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)


async def test_a_folder_that_cannot_be_written_is_told() -> None:
    settings = load_settings({"references": "/proc/references"})
    told = "^references: '/proc/references' is not usable; .*; allowed: a folder"
    with pytest.raises(OSError, match=told):
        await started_store(settings)


async def test_without_a_home_only_what_needs_one_is_refused(
    homeless: None, tmp_path: Path
) -> None:
    settings = load_settings()
    with pytest.raises(SettingsError) as caught:
        await started_store(settings)
    (line,) = caught.value.lines
    assert line.startswith("references: '~/.local/share/cosyserve/references' is not usable; ")
    assert "HOME" in line
    assert "allowed: a folder" in line
    await started_store(load_settings({"references": str(tmp_path / "here")}))


def test_engines_need_no_home(homeless: None, tmp_path: Path) -> None:
    build_engine(load_settings())
    settings = load_settings({"model": str(tmp_path), "lm_backend": "torch"})
    assert settings.voice_folder is None
    build_engine(settings)


def test_what_is_written_with_a_home_needs_one(homeless: None, tmp_path: Path) -> None:
    settings = load_settings({"model": str(tmp_path), "voice_folder": "~/voices"})
    with pytest.raises(
        SettingsError, match=r"^voice_folder: '~/voices' is not usable; .*HOME.*allowed: "
    ):
        build_engine(settings)
    for name in ("config", "token_file"):
        with pytest.raises(SettingsError, match=rf"^{name}: .*HOME.*allowed: "):
            load_settings({name: "~/file"})


def test_a_language_that_the_engine_does_not_speak_is_told() -> None:
    with pytest.raises(
        SettingsError, match=r"^default_language: 'xx-yy' is not usable; allowed: .*en"
    ):
        build_engine(load_settings({"default_language": "xx-yy"}))


async def test_an_engine_that_does_not_start_is_told_by_its_setting(tmp_path: Path) -> None:
    class Broken(FakeEngine):
        async def start(self) -> None:
            raise EngineNotReady("it is broken")

    with pytest.raises(EngineNotReady, match=r"^engine: embedded is not usable; it is broken"):
        await start_engine(Broken(), load_settings())
    settings = load_settings({"model": str(tmp_path)})
    with pytest.raises(EngineNotReady, match=f"^model: {tmp_path} is not usable; it is broken"):
        await start_engine(Broken(), settings)


async def test_a_model_of_another_family_than_asked_for_is_told(tmp_path: Path) -> None:
    engine = FakeEngine()
    engine.capabilities = replace(engine.capabilities, name="cosyvoice3")
    for asked in ("auto", "cosyvoice3"):
        await start_engine(engine, load_settings({"model": str(tmp_path), "engine": asked}))
        assert engine.ready
    with pytest.raises(EngineNotReady, match=r"^engine: cosyvoice2 .*of cosyvoice3; allowed: auto"):
        await start_engine(engine, load_settings({"model": str(tmp_path), "engine": "cosyvoice2"}))
    assert not engine.ready


def test_a_folder_for_prepared_voices_is_made_or_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def notice(folder: Path | str) -> str:
        flags = {"model": str(tmp_path), "voice_folder": str(folder)}
        return voice_folder_notice(load_settings(flags)) or ""

    made = tmp_path / "a" / "b"
    assert notice(made) == notice("none") == ""
    assert made.is_dir()
    file = tmp_path / "file"
    file.touch()
    for folder in (file, file / "below"):
        assert notice(folder).startswith(f"voice_folder: '{folder}' is not usable; ")
        assert notice(folder).endswith("; allowed: a writable folder, or none")
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "it is not writable" in notice(made)
    assert voice_folder_notice(load_settings({"voice_folder": str(file)})) is None  # not used


def test_a_bucket_is_reached_as_the_settings_say() -> None:
    store = parts._store(
        load_settings(
            {
                "references": "s3://clips/ours",
                "s3_endpoint": "https://s3.test",
                "s3_region": "r",
                "s3_access_key_id": "id",
                "s3_secret_access_key": "key",
                "s3_call_timeout": "7",
            }
        )
    )
    assert isinstance(store, S3Store)
    assert store._options == S3Options(
        "clips",
        "ours",
        endpoint="https://s3.test",
        region="r",
        access_key_id="id",
        secret_access_key="key",
        call_timeout=7.0,
    )


def test_vllm_alone_needs_a_home_for_its_folder(homeless: None, tmp_path: Path) -> None:
    flags = {"model": str(tmp_path), "references": str(tmp_path)}
    build_engine(load_settings(flags))
    with pytest.raises(SettingsError, match=r"^vllm_folder: '~/.*HOME.*allowed: "):
        build_engine(load_settings({**flags, "lm_backend": "vllm"}))


@pytest.mark.parametrize(
    "setting",
    [
        "openai_default_voice",
        "dashscope_default_voice",
        "elevenlabs_default_voice",
        "vllm_omni_default_voice",
    ],
)
async def test_a_default_voice_that_is_not_there_is_warned_of(served, capsys, setting: str) -> None:
    async with served(**{setting: "nobody"}) as (server, _engine):
        await warn_of_missing_voices(server.services)
    said = capsys.readouterr().out
    assert f"{setting}: 'nobody' is not usable; " in said
    assert "allowed: plain, " in said


async def test_voices_that_are_there_are_not_warned_of(served, capsys) -> None:
    aliases = {"alloy": "PLAIN", "nova": "Anna"}
    async with served(openai_voices=aliases, openai_default_voice="plain") as (server, _engine):
        await warn_of_missing_voices(server.services)
        assert "openai_voices, nova: 'Anna' is not usable" in capsys.readouterr().out
        await server.services.store.put(make_reference(name="Anna"), SOUND)
        await warn_of_missing_voices(server.services)
        assert "is not usable" not in capsys.readouterr().out


async def test_an_engine_without_voices_may_get_them_later(served, capsys) -> None:
    engine = FakeEngine()
    engine.capabilities = replace(engine.capabilities, voices=())
    async with served(engine, openai_default_voice="Anna") as (server, _engine):
        await warn_of_missing_voices(server.services)
    assert "openai_default_voice: 'Anna' is not usable" in capsys.readouterr().out
