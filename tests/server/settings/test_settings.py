"""Settings: where they come from, which win, and what is said of wrong ones."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from cosyserve.engine.cosyvoice.lm.vllm.options import NAMED
from cosyserve.server.settings import (
    GROUPS,
    BucketUrl,
    ListenAddress,
    Settings,
    SettingsError,
    load_settings,
)
from cosyserve.server.settings.describe import allowed_values, default_text
from cosyserve.server.settings.sources import environment_name
from cosyserve.server.settings.values import DailyQuota, is_loopback

SECRET = "correct-horse"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("COSYSERVE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def lines_of(**flags: object) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_settings(flags)
    return caught.value.lines


def names_and_secrets(settings: Settings) -> dict[str, str]:
    return {token.name: token.secret.get_secret_value() for token in settings.tokens}


def test_defaults(tmp_path: Path) -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.engine_name) == ("127.0.0.1", 8000, "embedded")
    assert settings.references_folder == tmp_path / "data" / "cosyserve" / "references"
    assert settings.references_bucket is None
    assert settings.max_message_bytes == 2 * 1024 * 1024
    assert settings.embedded_workers >= 2


def test_references_default_without_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", "relative/is/invalid")
    assert load_settings().references_folder == tmp_path / ".local/share/cosyserve/references"


def test_precedence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("port = 1\nmax_tasks = 1\nmax_connections = 1\n")
    monkeypatch.setenv("COSYSERVE_PORT", "2")
    monkeypatch.setenv("COSYSERVE_MAX_TASKS", "2")
    settings = load_settings({"config": str(file), "port": "3"})
    assert (settings.port, settings.max_tasks, settings.max_connections) == (3, 2, 1)
    assert settings.max_tasks_per_connection == 8


def test_config_file_named_by_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f'port = 1\n[tokens]\nann = "{SECRET}"\n')
    monkeypatch.setenv("COSYSERVE_CONFIG", str(file))
    settings = load_settings()
    assert settings.port == 1
    assert names_and_secrets(settings) == {"ann": SECRET}


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_has_words_for_its_readers(field: str) -> None:
    assert Settings.model_fields[field].description
    assert allowed_values(Settings)[field]
    assert default_text(Settings.model_fields[field])
    assert sum(field in group.model_fields for group in GROUPS) == 1


def test_settings_are_frozen() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.port = 1


def test_host_is_open_only_with_tokens() -> None:
    assert load_settings({"tokens": [SECRET]}).host == "0.0.0.0"
    assert load_settings({"tokens": [SECRET], "host": "::1"}).host == "::1"
    assert load_settings({"host": "0.0.0.0", "allow_open": True}).host == "0.0.0.0"
    assert load_settings({"allow_open": True}).host == "127.0.0.1"
    (line,) = lines_of(host="0.0.0.0")
    assert line.startswith("host: 0.0.0.0")
    assert "tokens" in line
    assert "allow_open" in line


@pytest.mark.parametrize(
    ("host", "kept"),
    [
        ("localhost", "localhost"),
        ("LOCALHOST.", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.8.8.8", "127.8.8.8"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("0:0:0:0:0:0:0:1", "0:0:0:0:0:0:0:1"),
        ("::1%lo", "::1%lo"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("[::ffff:127.9.9.9]", "127.9.9.9"),
    ],
)
def test_loopback_needs_no_token(host: str, kept: str) -> None:
    assert is_loopback(host)
    assert load_settings({"host": host}).host == kept


@pytest.mark.parametrize("host", ["[localhost]", "[127.0.0.1]", "[]", "[::1]x", "[[::1]]"])
def test_only_an_ipv6_address_stands_in_brackets(host: str) -> None:
    assert not is_loopback(host)
    assert lines_of(host=host)[0].startswith("host: ")
    assert lines_of(metrics_address=f"{host}:9")[0].startswith("metrics_address: ")


@pytest.mark.parametrize(
    "host",
    ["::", "[::]", "10.0.0.1", "::ffff:10.0.0.1", "example.org", "localhost.example.org", "127.1"],
)
def test_other_hosts_need_a_token(host: str) -> None:
    assert lines_of(host=host)


def test_token_forms(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# ours\n\nbob={SECRET}2\n  carol={SECRET}=3\n")
    settings = load_settings({"tokens": ["QWxhZGRpbg=="], "token_file": str(file)})
    assert names_and_secrets(settings) == {
        "default": "QWxhZGRpbg==",
        "bob": f"{SECRET}2",
        "carol": f"{SECRET}=3",
    }
    assert settings.host == "0.0.0.0"


def test_tokens_from_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSYSERVE_TOKENS", f"a={SECRET}1, b={SECRET}2")
    assert names_and_secrets(load_settings()) == {"a": f"{SECRET}1", "b": f"{SECRET}2"}
    assert names_and_secrets(load_settings({"tokens": [SECRET]})) == {"default": SECRET}


def test_a_token_may_have_a_quota_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"bob={SECRET}2   daily_seconds=60 daily_characters=none\n{SECRET}3\n")
    monkeypatch.setenv(
        "COSYSERVE_TOKENS", f"a={SECRET}1 daily_characters=7,c={SECRET}4 d={SECRET}5"
    )
    settings = load_settings({"token_file": str(file), "daily_characters": "100"})
    quotas = settings.own_quotas(settings.tokens)
    assert quotas == {
        "a": DailyQuota(7),
        "c": DailyQuota(100),
        "d": DailyQuota(100),
        "bob": DailyQuota(None, 60),
        "default": DailyQuota(100),
    }
    assert names_and_secrets(settings)["bob"] == f"{SECRET}2"
    for tokens in (
        [f"a={SECRET} daily_characters=9"],
        {"a": f"{SECRET} daily_characters=9"},
        f"a={SECRET} daily_characters=9",
    ):
        settings = load_settings({"tokens": tokens, "token_file": "none"})
        assert settings.own_quotas(settings.tokens) == {"a": DailyQuota(9)}
        assert settings.has_quotas


@pytest.mark.parametrize(
    "words",
    [
        "daily_characters=0",
        "daily_characters=-1",
        "daily_characters=1e3",
        "daily_characters=",
        "daily_seconds=1 daily_seconds=2",
        "hourly_seconds=1",
        "seconds=1",
    ],
)
def test_a_quota_that_cannot_be_read_is_refused(words: str, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"bob={SECRET} {words}\n")
    (line,) = lines_of(token_file=str(file))
    assert "line 1: a token is malformed; allowed: NAME=SECRET" in line
    assert SECRET not in line


def test_where_counts_are_kept(tmp_path: Path) -> None:
    assert load_settings({"references": str(tmp_path)}).quota_folder == tmp_path
    bucket = {"references": "s3://bucket/clips", "daily_seconds": 5}
    settings = load_settings(bucket)
    assert settings.quota_folder is None
    assert any(notice.startswith("state_folder: ") for notice in settings.notices)
    settings = load_settings({**bucket, "state_folder": str(tmp_path)})
    assert settings.quota_folder == tmp_path
    assert not any(notice.startswith("state_folder: ") for notice in settings.notices)


@pytest.mark.parametrize(
    "tokens",
    [
        ["a=short"],
        ["bad name=0123456789"],
        ["a=0123 456789"],
        ["a=zw\u00f6lf-zeichen"],
        ["a=0123456789,x"],
        ["=0123456789"],
        ["a=01234567", "a=12345678"],
        ["a=01234567", "b=01234567"],
        ["x" * 257],
    ],
)
def test_bad_tokens_are_refused_and_never_shown(tokens: list[str]) -> None:
    (line,) = lines_of(tokens=tokens)
    assert line.startswith("tokens: ")
    assert "allowed" in line
    for token in tokens:
        assert token.rpartition("=")[2] not in line


def test_token_file_errors_name_the_line(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("good=0123456789\nbad=hunter2\n")
    (line,) = lines_of(token_file=str(file))
    assert line.startswith("token_file: ")
    assert "line 2" in line
    assert "hunter2" not in line
    (line,) = lines_of(token_file=str(tmp_path / "none-such"))
    assert "cannot read" in line


def test_secrets_do_not_leak_from_repr() -> None:
    flags = {
        "tokens": [f"a={SECRET}"],
        "s3_access_key_id": "id",
        "s3_secret_access_key": "tell-nobody",
    }
    shown = repr(load_settings(flags)) + str(load_settings(flags).model_dump())
    assert SECRET not in shown
    assert "tell-nobody" not in shown


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("port", "99999", "0 to 65535"),
        ("port", "http", "0 to 65535"),
        ("engine", "festival", "auto, embedded, cosyvoice2, cosyvoice3"),
        ("send_timeout", "0", "above 0, up to 86400"),
        ("send_timeout", "nan", "above 0, up to 86400"),
        ("ping_interval", "-1", "or none"),
        ("max_upload_bytes", "huge", "1KiB to 1GiB"),
        ("max_upload_bytes", "2GiB", "1KiB to 1GiB"),
        ("max_tasks", "0", "1 to 1_000_000"),
        ("references_shared", "perhaps", "true, false"),
        ("default_language", "not a language", "BCP-47"),
        ("s3_endpoint", "minio:9000", "http://"),
        ("log_level", "loud", "debug, info, warning, error"),
        ("metrics_address", "9090", "HOST:PORT"),
        ("metrics_address", "::1:9090", "[HOST]:PORT"),
        ("metrics_address", "localhost:99999", "0 to 65535"),
        ("references", "s3://", "s3://BUCKET"),
        ("references", "gs://bucket", "s3://BUCKET"),
    ],
)
def test_wrong_values_name_the_setting_and_what_is_allowed(
    name: str, value: str, allowed: str
) -> None:
    (line,) = lines_of(**{name: value})
    assert line.startswith(f"{name}: {value!r}")
    assert allowed in line


def test_all_wrong_values_are_told_at_once() -> None:
    lines = lines_of(port="x", max_tasks="0", tokens=["short"])
    assert [line.partition(":")[0] for line in lines] == ["tokens", "port", "max_tasks"]


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSYSERVE_HEAD_TIMEOUT", "soon")
    (line,) = lines_of()
    assert "'soon' from COSYSERVE_HEAD_TIMEOUT" in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prot = 1", "prot: no such setting (in {file}); did you mean port?"),
        ("config = 'x'", "config: no such setting"),
        ("port = ", "config: {file} is not valid TOML"),
        ("port = 'x'", "port: 'x' from the config file"),
    ],
)
def test_config_file_errors(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text)
    (line,) = lines_of(config=str(file))
    assert line.startswith(expected.format(file=file))


def test_missing_config_file(tmp_path: Path) -> None:
    (line,) = lines_of(config=str(tmp_path / "none.toml"))
    assert line.startswith("config: cannot read")


def test_optional_settings_are_switched_off_by_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSYSERVE_PING_INTERVAL", "none")
    settings = load_settings({"idle_connection_timeout": "none", "metrics_address": "none"})
    assert settings.ping_interval is None
    assert settings.idle_connection_timeout is None
    assert settings.metrics_address is None


def test_addresses_and_places() -> None:
    settings = load_settings({"metrics_address": "[::1]:9090", "references": "s3://clips/a/b/"})
    assert settings.metrics_address == ListenAddress("::1", 9090)
    assert str(settings.metrics_address) == "[::1]:9090"
    assert settings.references_bucket == BucketUrl("clips", "a/b/")
    assert settings.references_folder is None
    assert load_settings({"references": "s3://clips"}).references_bucket == BucketUrl("clips", "")


def test_the_variable_that_kubernetes_sets_for_a_service_is_no_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COSYSERVE_PORT", "tcp://10.0.0.1:80")
    assert load_settings().port == 8000


def test_engine_and_model_agree(tmp_path: Path) -> None:
    assert load_settings({"model": str(tmp_path)}).engine_name == "cosyvoice"
    assert lines_of(engine="cosyvoice2")[0].startswith("engine:")
    assert lines_of(engine="embedded", model=str(tmp_path))[0].startswith("model:")
    assert lines_of(model=str(tmp_path / "none"))[0].startswith("model:")
    for name in ("some/model@main", "modelscope:some/model@v1.0"):
        assert load_settings({"model": name}).model == name


def test_pairs_come_together(tmp_path: Path) -> None:
    file = tmp_path / "x.pem"
    file.touch()
    assert lines_of(tls_cert=str(file))[0].startswith("tls_cert, tls_key:")
    assert lines_of(tls_cert=str(file), tls_key=str(tmp_path / "no"))[0].startswith("tls_key:")
    assert lines_of(s3_access_key_id="x")[0].startswith("s3_access_key_id,")
    assert lines_of(min_reference_seconds="31")[0].startswith("min_reference_seconds: 31")


def test_a_path_that_nobody_can_follow_is_refused_as_any_other(tmp_path: Path) -> None:
    far = str(tmp_path / ("x" * 300) / "file")  # longer than a name may be: looking raises
    for name in ("model", "tls_cert"):
        flags = {name: far} if name == "model" else {"tls_cert": far, "tls_key": far}
        (line,) = lines_of(**flags)
        assert line.startswith(f"{name}: {far} ")
        assert "; allowed: " in line


def test_a_voice_cache_without_home_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    flags = {"model": str(tmp_path), "tokens": [SECRET], "references": str(tmp_path)}
    (line,) = load_settings(flags).notices
    assert line.startswith("voice_folder: there is no home folder")
    assert line.endswith("; allowed: a folder, or none")
    assert load_settings({**flags, "voice_folder": "none"}).notices == ()
    assert load_settings({**flags, "model": "none"}).notices == ()


def test_notices() -> None:
    assert "127.0.0.1 only" in load_settings().notices[0]
    assert "everybody" in load_settings({"host": "0.0.0.0", "allow_open": True}).notices[0]
    assert load_settings({"tokens": ["a=plain-secret"]}).notices == ()
    (line,) = load_settings({"tokens": ["a=plain-secret", "b64=c2VjcmV0/w=="]}).notices
    assert "b64" in line
    assert "c2Vj" not in line


def test_every_setting_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.setenv(environment_name(name), "\N{SNOWMAN}")
    monkeypatch.delenv("COSYSERVE_CONFIG")
    monkeypatch.delenv("COSYSERVE_TOKEN_FILE")
    refused = {line.partition(":")[0] for line in lines_of()}
    free_text = {name for name in Settings.model_fields if allowed_is_free(name)}
    assert refused == set(Settings.model_fields) - free_text - {"config", "token_file"}


def allowed_is_free(name: str) -> bool:
    """Whether any text will do for the setting alone."""
    return name in {
        "host", "tls_cert", "tls_key", "model", "references", "s3_region", "s3_access_key_id",
        "s3_secret_access_key", "voice_folder", "vllm_folder", "spool_folder", "state_folder",
        "openai_default_voice", "dashscope_default_voice", "elevenlabs_default_voice",
        "vllm_omni_default_voice", "wyoming_default_voice",
    }  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux")
def test_workers_follow_the_usable_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, workers in ((1, 2), (5, 5), (64, 8)):
        monkeypatch.setattr(sys.modules["os"], "sched_getaffinity", lambda _, n=cores: range(n))
        assert load_settings().embedded_workers == workers


def test_arguments_for_vllm_come_as_json_or_as_a_table(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert load_settings().vllm_args == {}
    assert load_settings({"vllm_args": '{"block_size": 64}'}).vllm_args == {"block_size": 64}
    file = tmp_path / "c.toml"
    file.write_text('[vllm_args]\nblock_size = 32\nkv_cache_dtype = "fp8"\n')
    settings = load_settings({"config": str(file)})
    assert settings.vllm_args == {"block_size": 32, "kv_cache_dtype": "fp8"}
    monkeypatch.setenv("COSYSERVE_VLLM_ARGS", '{"seed": 3}')
    assert load_settings({"config": str(file)}).vllm_args == {"seed": 3}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("{", "must be a JSON object"),
        ("[1]", "allowed: a JSON object"),
        ('{"model": "x"}', "model cannot be changed: it is made of the checkpoint"),
        ('{"logits_processors": []}', "the model's own sampling"),
        ('{"dtype": "half"}', "dtype has a setting of its own: lm_precision"),
    ],
)
def test_arguments_for_vllm_that_are_refused(given: str, words: str) -> None:
    (line,) = lines_of(vllm_args=given)
    assert line.startswith("vllm_args: ")
    assert words in line


def test_arguments_of_vllm_with_a_setting_of_their_own_have_it() -> None:
    assert set(NAMED.values()) <= Settings.model_fields.keys()
