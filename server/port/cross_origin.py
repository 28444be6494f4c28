"""What lets a browser hand answers of the HTTP side to pages of other origins (CORS).

A page sends its token in `Authorization`, which it has to know: nothing that a browser adds by itself, as a
cookie, opens this server. So no answer allows credentials.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from ..settings.values import PageOrigins

METHODS: Final = "GET, HEAD, POST, PATCH, DELETE"
"""Of all routes."""
_NAMES: Final = re.compile(
    r"[!#$%&'*+.^_`|~0-9A-Za-z-]+([ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*"
)
_TWO_HOURS: Final = "7200"
"""Seconds: as long as Chromium keeps the answer to a preflight at most."""


class CrossOrigin:
    """The headers of answers to pages of allowed origins; errors have them as well, else nobody sees them."""

    def __init__(self, allowed: PageOrigins) -> None:
        self._allowed = allowed

    def headers(self, origins: Sequence[str]) -> Mapping[str, str]:
        """Those of an answer. origins: the values of the request's Origin.

        Where origins are listed every answer varies by it, so that no cache hands it to another page.
        """
        headers = {} if self._allowed.every or not self._allowed else {"Vary": "Origin"}
        if len(origins) == 1 and origins[0] in self._allowed:
            headers["Access-Control-Allow-Origin"] = "*" if self._allowed.every else origins[0]
            headers["Access-Control-Expose-Headers"] = "*"
        return headers

    def preflight(
        self, origins: Sequence[str], method: Sequence[str], names: Sequence[str]
    ) -> Mapping[str, str] | None:
        """More for the answer to an OPTIONS request, None if it is no preflight of an allowed page.

        method, names: the values of Access-Control-Request-Method and -Headers. All names are allowed: SDKs
        send some of their own, and what a header says is judged when it comes.
        """
        if "Access-Control-Allow-Origin" not in self.headers(origins) or not method:
            return None
        headers = {"Access-Control-Allow-Methods": METHODS, "Access-Control-Max-Age": _TWO_HOURS}
        asked = ", ".join(names).strip()
        if _NAMES.fullmatch(asked):
            headers["Access-Control-Allow-Headers"] = asked
        return headers
