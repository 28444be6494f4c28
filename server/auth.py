"""Who is calling, by a bearer token in the Authorization header or in a WebSocket subprotocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from .settings.values import Token

SUBPROTOCOL: Final = "cosyvoice.v1"
"""The subprotocol that the server selects; a browser offers its token in another one beside it."""

_BEARER_SUBPROTOCOL: Final = "bearer."


@dataclass(frozen=True, slots=True)
class Caller:
    """A client that may use the server. name: of its token, never the token itself."""

    name: str


ANONYMOUS: Final = Caller("anonymous")


def token_headers(
    values_of: Callable[[str], Sequence[str]], token_header: str | None
) -> Sequence[str]:
    """The values of Authorization, or where there is none, of the dialect's own header for a token."""
    values = values_of("Authorization")
    return values_of(token_header) if not values and token_header is not None else values


@dataclass(frozen=True, slots=True)
class TokenChange:
    """The names of the tokens that came and went; one whose secret changed did both."""

    added: Sequence[str]
    removed: Sequence[str]


class Authenticator:
    """Knows the tokens that hold now. If there are none, every caller is ANONYMOUS. For one event loop."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self._callers: tuple[tuple[bytes, Caller], ...] = ()
        self._told: dict[object, tuple[Caller, Callable[[], None]]] = {}
        self.replace(tokens)

    def replace(self, tokens: Iterable[Token]) -> TokenChange:
        """Let these tokens hold from now on, and tell those whose token is not one of them."""
        gone = {(digest, caller.name): caller for digest, caller in self._callers}
        now, added = [], []
        for token in tokens:
            digest = _digest(token.secret.get_secret_value())
            caller = gone.pop((digest, token.name), None)
            if caller is None:
                caller = Caller(token.name)
                added.append(token.name)
            now.append((digest, caller))
        self._callers = tuple(now)
        lost = {id(caller) for caller in gone.values()}  # a name may come back with another secret
        for caller, tell in list(self._told.values()):
            if id(caller) in lost:
                tell()
        return TokenChange(added, [caller.name for caller in gone.values()])

    @contextmanager
    def told(self, caller: Caller, tell: Callable[[], None]) -> Iterator[None]:
        """A context in which `tell` is called, once, if the caller's token holds no longer.

        caller: as this object returned it.
        """
        key = object()
        self._told[key] = (caller, tell)
        try:
            yield
        finally:
            del self._told[key]

    def by_header(self, authorization: str | None) -> Caller | None:
        """The caller with the Authorization header `Bearer TOKEN` or `TOKEN`; None if unknown."""
        words = (authorization or "").split(maxsplit=1)
        if len(words) == 2 and words[0].lower() == "bearer":
            return self._find(words[1].strip())
        return self._find((authorization or "").strip())

    def by_headers(self, values: Sequence[str]) -> Caller | None:
        """The caller by all values of the header; None if unknown, or if there are several."""
        return None if len(values) > 1 else self.by_header(values[0] if values else None)

    def by_subprotocols(self, offered: Sequence[str]) -> Caller | None:
        """The caller that offers the subprotocols `cosyvoice.v1, bearer.TOKEN`; None if unknown."""
        for name in offered:
            if name.startswith(_BEARER_SUBPROTOCOL):
                return self._find(name.removeprefix(_BEARER_SUBPROTOCOL))
        return self._find("")

    def _find(self, secret: str) -> Caller | None:
        """Look up a secret in a time that does not depend on the configured ones."""
        if not self._callers:
            return ANONYMOUS
        digest = _digest(secret)
        found: Caller | None = None
        for known, caller in self._callers:  # no early exit, which would show in the time
            if compare_digest(known, digest):
                found = caller
        return found


def _digest(secret: str) -> bytes:
    # Gives compare_digest equal lengths. A header may contain any character, even lone surrogates.
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
