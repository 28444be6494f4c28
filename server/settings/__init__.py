"""One frozen settings object, built and validated once and handed down.

The groups have modules of their own: access, engine, sound, references, dialects, limits, quotas, spooling,
observing.
Flags win over the environment, the environment over the TOML file, the file over defaults.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from cosyserve.engine.folders import expanded

from .access import AccessSettings, ListenSettings
from .describe import allowed_values
from .dialects import DialectSettings, OpenAISettings, WyomingSettings
from .engine import CosyVoiceSettings, EmbeddedSettings, EngineSettings, VllmSettings
from .limits import LimitSettings, TimeoutSettings
from .observing import ObservingSettings
from .quotas import QuotaSettings
from .references import ReferenceSettings
from .sound import SoundSettings
from .sources import ENVIRONMENT_PREFIX, SettingsError, gather, report
from .spooling import SpoolSettings
from .values import (
    BucketUrl,
    DailyQuota,
    DistinctTokens,
    ListenAddress,
    Token,
    is_loopback,
    parse_bucket,
    parse_tokens,
    read_token_file,
)

__all__ = [
    "GROUPS",
    "BucketUrl",
    "ListenAddress",
    "Settings",
    "SettingsError",
    "Token",
    "load_settings",
]

GROUPS: Final[tuple[type[BaseModel], ...]] = (
    AccessSettings,
    ListenSettings,
    EngineSettings,
    EmbeddedSettings,
    CosyVoiceSettings,
    VllmSettings,
    SoundSettings,
    ReferenceSettings,
    DialectSettings,
    OpenAISettings,
    WyomingSettings,
    LimitSettings,
    QuotaSettings,
    SpoolSettings,
    TimeoutSettings,
    ObservingSettings,
)
"""All groups, as `--help` and docs/settings.md show them; a group's docstring is its title."""

_HIDDEN: Final = frozenset({"tokens", "s3_secret_access_key"})
_HUB_ID: Final = re.compile(r"([a-z]+:)?[\w.-]+/[\w.-]+@[\w./-]+", re.ASCII)


# Fields are collected from the last base to the first: the default of `host` needs `tokens`.
class Settings(
    ObservingSettings,
    TimeoutSettings,
    SpoolSettings,
    QuotaSettings,
    LimitSettings,
    WyomingSettings,
    OpenAISettings,
    DialectSettings,
    ReferenceSettings,
    SoundSettings,
    VllmSettings,
    CosyVoiceSettings,
    EmbeddedSettings,
    EngineSettings,
    ListenSettings,
    AccessSettings,
    BaseSettings,
):
    """All settings; build it with `load_settings`. Equal for the life of the process."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX,
        env_parse_none_str="none",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )

    _source_notices: tuple[str, ...] = PrivateAttr(())
    """About the names that settings were given under."""
    _given_tokens: tuple[Token, ...] = PrivateAttr(())
    """Those that are not from the token file."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what is given: `load_settings` gathers the sources itself."""
        return (init_settings,)

    @model_validator(mode="wrap")
    @classmethod
    def _add_token_file(
        cls, values: dict[str, Any], handler: ModelWrapValidatorHandler[Self]
    ) -> Self:
        if values.get("token_file") in (None, "", "none"):
            return handler(values)
        try:
            given = parse_tokens(values.get("tokens", ()))
            DistinctTokens(given)
        except ValueError as error:
            raise ValueError(f"tokens: {error}") from None
        try:
            tokens = _with_token_file(given, Path(values["token_file"]))
        except ValueError as error:
            raise ValueError(f"token_file: {error}") from None
        settings = handler({**values, "tokens": tokens})
        settings._given_tokens = given
        return settings

    @model_validator(mode="after")
    def _check_access(self) -> Self:
        try:
            DistinctTokens(self.tokens)
        except ValueError as error:
            raise ValueError(f"tokens: {error}") from None
        if not (self.tokens or self.allow_open or is_loopback(self.host)):
            raise ValueError(
                f"host: {self.host} is reachable from other machines and no tokens are set; allowed: "
                "tokens, a loopback host such as 127.0.0.1, or allow_open to serve everybody"
            )
        if self.wyoming and not (self.wyoming_open or is_loopback(self.wyoming.host)):
            raise ValueError(
                f"wyoming: {self.wyoming.host} is reachable from other machines, and the protocol has no "
                "tokens; allowed: a loopback host such as 127.0.0.1, or wyoming_open to serve everybody"
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert, tls_key: allowed: both or neither")
        for name, file in (("tls_cert", self.tls_cert), ("tls_key", self.tls_key)):
            # os.path.isfile is False for a path that Path.is_file raises for.
            if file is not None and not os.path.isfile(file):
                raise ValueError(f"{name}: {file} is not a file; allowed: a PEM file")
        return self

    @model_validator(mode="after")
    def _check_engine(self) -> Self:
        if self.engine_name == "cosyvoice" and self.model is None:
            raise ValueError(
                f"engine: {self.engine} needs a checkpoint; allowed: {self.engine} together with model"
            )
        if self.engine == "embedded" and self.model is not None:
            raise ValueError(
                "model: the embedded engine uses no model; allowed: engine auto, cosyvoice2 or cosyvoice3"
            )
        if self.model is None or os.path.isdir(self.model) or _HUB_ID.fullmatch(self.model):
            return self
        raise ValueError(
            f"model: {self.model} is neither a directory nor NAME/NAME@REVISION; allowed: one of them"
        )

    @model_validator(mode="after")
    def _check_references(self) -> Self:
        if self.min_reference_seconds > self.max_reference_seconds:
            raise ValueError(
                f"min_reference_seconds: {self.min_reference_seconds:g} is not usable; "
                f"allowed: at most max_reference_seconds, {self.max_reference_seconds:g}"
            )
        if (self.s3_access_key_id is None) != (self.s3_secret_access_key is None):
            raise ValueError("s3_access_key_id, s3_secret_access_key: allowed: both or neither")
        if self.references.startswith("s3://"):
            try:
                parse_bucket(self.references)
            except ValueError as error:
                raise ValueError(f"references: {self.references!r} {error}") from None
        elif "://" in self.references:
            raise ValueError(
                f"references: {self.references!r} must be a folder or s3://BUCKET/PREFIX"
            )
        return self

    @property
    def engine_name(self) -> Literal["embedded", "cosyvoice"]:
        """The engine that `engine` and `model` together choose; the checkpoint tells its family."""
        if self.engine == "auto":
            return "embedded" if self.model is None else "cosyvoice"
        return "embedded" if self.engine == "embedded" else "cosyvoice"

    @property
    def references_bucket(self) -> BucketUrl | None:
        """Where in S3 references are kept; None if they are in a folder."""
        return parse_bucket(self.references) if self.references.startswith("s3://") else None

    @property
    def references_folder(self) -> Path | None:
        """The folder in which references are kept; None if they are in S3."""
        return None if self.references.startswith("s3://") else Path(self.references).expanduser()

    @property
    def daily_quota(self) -> DailyQuota:
        """The quota of a token that has no other, and of everybody where there are no tokens."""
        return DailyQuota(self.daily_characters, self.daily_seconds)

    def own_quotas(self, tokens: Iterable[Token]) -> Mapping[str, DailyQuota]:
        """The daily quota of each of these tokens, by its name."""
        return {token.name: token.quota(self.daily_quota) for token in tokens}

    @property
    def has_quotas(self) -> bool:
        """Whether a token has one, or whoever uses the server without a token."""
        quotas = (self.daily_quota, *self.own_quotas(self.tokens).values())
        return any(quota.limits for quota in quotas)

    @property
    def quota_folder(self) -> Path | None:
        """The folder for the day's counts; None if there is none. Raises ValueError as `expanded` does."""
        if self.state_folder is not None:
            return expanded(self.state_folder)
        return None if self.references_bucket is not None else expanded(Path(self.references))

    def tokens_now(self) -> tuple[Token, ...]:
        """The tokens, with those of the token file as it is now. Raises ValueError, which names the line."""
        if self.token_file is None:
            return self.tokens
        return _with_token_file(self._given_tokens, self.token_file)

    @property
    def notices(self) -> tuple[str, ...]:
        """Valid but noteworthy, for the operator."""
        lines = list(self._source_notices)
        if not self.tokens and is_loopback(self.host):
            lines.append(f"no tokens are set: listening on {self.host} only, open to this machine")
        elif not self.tokens:
            lines.append(f"no tokens are set: everybody who reaches {self.host} may use the server")
        if self.wyoming and not is_loopback(self.wyoming.host):
            lines.append(
                f"wyoming: who reaches {self.wyoming.host} may use the server there, without a token"
            )
        if not self.tokens and self.allowed_origins.every:
            lines.append(
                "allowed_origins: * without tokens: every web page that is opened where the server can be "
                "reached may use it"
            )
        unfit = ", ".join(token.name for token in self.tokens if not token.fits_subprotocol)
        if unfit:
            lines.append(
                f"tokens with characters that a WebSocket subprotocol cannot carry: {unfit}; "
                "browsers cannot use them"
            )
        if self.has_quotas and self.state_folder is None and self.references_bucket is not None:
            lines.append(
                "state_folder: there is none for daily quotas, and references are not in a folder; a restart "
                "begins a new day; allowed: a folder"
            )
        kept = self.voice_folder is not None or "voice_folder" in self.model_fields_set
        if self.engine_name == "cosyvoice" and not kept:
            lines.append(
                "voice_folder: there is no home folder to keep prepared voices in; they are prepared "
                "again after a restart; allowed: a folder, or none"
            )
        return tuple(lines)


def _with_token_file(given: tuple[Token, ...], path: Path) -> tuple[Token, ...]:
    """Raises ValueError: a file without a token must not open the server to everybody."""
    tokens = (*given, *read_token_file(path, given))
    if not tokens:
        raise ValueError(f"{path} has no token in it; allowed: at least one")
    return tokens


def load_settings(flags: Mapping[str, Any] | None = None) -> Settings:
    """Build the settings; `flags` are those given on the command line, by setting.

    Raises SettingsError, whose lines name each wrong setting and what is allowed.
    """
    given = gather(flags or {}, Settings)
    try:
        settings = Settings(**given.values)
    except ValidationError as error:
        raise report(error, allowed_values(Settings), given.origins, _HIDDEN) from None
    settings._source_notices = given.notices
    return settings
