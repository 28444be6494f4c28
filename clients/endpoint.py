"""Where a server is: one address for REST and WebSocket."""

from __future__ import annotations

from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Final, Self
from urllib.parse import urlsplit, urlunsplit

from .errors import InvalidRequest

SPEECH_PATH: Final = "/api-ws/v1/audio/speech"
_PLAIN: Final = {"http": "http", "ws": "http", "https": "https", "wss": "https"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server's address, the token for it, and the TLS context where it is not the default one.

    `http` is the base of all REST routes, without a slash at its end.
    """

    http: str
    token: str | None = field(default=None, repr=False)
    tls: SSLContext | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str, token: str | None = None, tls: SSLContext | None = None) -> Self:
        """Take an http, https, ws or wss URL; a path before the API's own one is kept.

        Raises InvalidRequest.
        """
        try:
            parts = urlsplit(url.strip())
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise InvalidRequest(f"{url!r} is no address: {_refusal_reason(url, error)}") from None
        if parts.scheme not in _PLAIN or not host:
            raise InvalidRequest(
                f"{url!r} is no server address; it must look like http://127.0.0.1:8000"
            )
        path = parts.path.rstrip("/").removesuffix(SPEECH_PATH)
        return cls(
            urlunsplit((_PLAIN[parts.scheme], _plain_zone(parts.netloc), path, "", "")),
            _clean_token(token),
            tls,
        )

    @property
    def websocket(self) -> str:
        """The URL of the speech WebSocket."""
        return "ws" + self.http.removeprefix("http") + SPEECH_PATH

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    @property
    def not_reached(self) -> str:
        """What to tell a person who could not connect."""
        return f"cannot reach {self.http}"


def _refusal_reason(url: str, error: ValueError) -> str:
    if "[" not in url and url.count(":") > 2:
        return "an IPv6 address stands in brackets, as in http://[::1]:8000"
    return str(error)


def _plain_zone(netloc: str) -> str:
    """With the % before an IPv6 zone as resolvers take it, and not escaped as RFC 6874 has it."""
    before, bracket, host = netloc.rpartition("[")
    return before + bracket + (host.replace("%25", "%", 1) if bracket else host)


def _clean_token(token: str | None) -> str | None:
    token = token.strip() if token else ""
    if not token.isascii() or not token.isprintable():
        raise InvalidRequest("the token must be printable ASCII")
    return token or None
