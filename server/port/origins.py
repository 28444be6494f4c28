"""Which web pages may use a port that asks for no token.

A browser sends requests to this machine for any page that its user opens; `Origin` says which page it is. A
page whose name was made to resolve to this machine (DNS rebinding) has that name in `Host` as well, so `Host`
is checked too, where the names of the server are known.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final

from cosyserve.protocol.errors import Forbidden

from ..settings.values import PageOrigins, is_loopback, parse_origin
from .heads import RequestHead

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::([0-9]{1,5}))?")


class OriginPolicy:
    """Checks Origin and Host where no token is asked for, which keeps foreign pages out.

    The names of a server that other machines reach are known only if `allowed_origins` has them: an address
    or a name without a dot, which no foreign page can have, is then one of them, too.
    """

    def __init__(self, host: str, allowed: PageOrigins, *, tokens: bool = False) -> None:
        """host: where the port listens. tokens: whether it asks for one; then all pass."""
        self._checks = not (tokens or allowed.every)
        self._loopback = is_loopback(host)
        self._allowed = allowed
        self._told = f"the origins in allowed_origins ({allowed})"

    def check(self, head: RequestHead) -> None:
        """Raises Forbidden for a request that a page of another origin makes."""
        if not self._checks:
            return
        host = next(iter(head.values("host")), None)
        if host is not None and not self._is_ours(host):
            usual = "localhost, a loopback address" if self._loopback else "an address"
            raise Forbidden(
                f"Host: not a name of this server; allowed: {usual}, or a host of {self._told}"
            )
        if not all(self._may(origin, host) for origin in head.values("origin")):
            raise Forbidden(
                f"Origin: pages of this origin may not use this server; allowed: its own pages, {self._told}"
            )

    def _is_ours(self, host: str) -> bool:
        if not (self._loopback or self._allowed):
            return True
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].lower()
        if not self._loopback and (_is_address(name) or "." not in name):
            return True
        return is_loopback(name) or any(name == each.host for each in self._allowed.named)

    def _may(self, text: str, host: str | None) -> bool:
        if text in self._allowed:
            return True
        try:
            return host is not None and parse_origin(text).is_at(host)
        except ValueError:
            return False


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
