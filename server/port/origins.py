"""Which web pages may use a server that asks for no token.

A browser sends requests to this machine for any page that its user opens; `Origin` says which page it is. A
page whose name was made to resolve to this machine (DNS rebinding) has that name in `Host` as well, so `Host`
is checked too.
"""

from __future__ import annotations

import re
from typing import Final

from cosyserve.protocol.errors import Forbidden

from ..settings import Settings
from ..settings.values import is_loopback, parse_origin
from .heads import RequestHead

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::([0-9]{1,5}))?")


class OriginPolicy:
    """Checks Origin and Host on a server without tokens that listens on loopback; else lets all pass.

    A token keeps foreign pages out, and `allow_open` means them too.
    """

    def __init__(self, settings: Settings) -> None:
        self._checks = not settings.tokens and is_loopback(settings.host)
        self._allowed = frozenset(settings.allowed_origins)
        names = ", ".join(map(str, settings.allowed_origins)) or "none"
        self._told = f"the origins in allowed_origins ({names})"

    def check(self, head: RequestHead) -> None:
        """Raises Forbidden for a request that a page of another origin makes."""
        if not self._checks:
            return
        host = next(iter(head.values("host")), None)
        if host is not None and not self._is_ours(host):
            raise Forbidden(
                "Host: not a name of this server; allowed: localhost, a loopback address, or a host of "
                + self._told
            )
        if not all(self._may(origin, host) for origin in head.values("origin")):
            raise Forbidden(
                f"Origin: pages of this origin may not use this server; allowed: its own pages, {self._told}"
            )

    def _is_ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].lower()
        return is_loopback(name) or any(name == each.host for each in self._allowed)

    def _may(self, text: str, host: str | None) -> bool:
        try:
            origin = parse_origin(text)
        except ValueError:  # null, which is every page without an address, or an extension's
            return False
        return origin in self._allowed or (host is not None and origin.is_at(host))
