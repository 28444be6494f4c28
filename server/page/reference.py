"""Serves the rendered reference and the contracts that it was rendered from.

The API reference at /docs: rendered ahead from the contracts, served as it lies here.

`python -m cosyserve.server.page.reference` renders it anew after a change of openapi.yaml or asyncapi.yaml.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from aiohttp import web

import cosyserve.protocol

REFERENCE: Final = Path(__file__).with_name("reference.html")
CONTRACTS: Final = Path(cosyserve.protocol.__path__[0])
_SOURCES: Final = {
    "/docs": REFERENCE,
    "/docs/openapi.yaml": CONTRACTS / "openapi.yaml",
    "/docs/asyncapi.yaml": CONTRACTS / "asyncapi.yaml",
}
_TYPES: Final = {".html": "text/html; charset=utf-8", ".yaml": "application/yaml; charset=utf-8"}
_STYLE: Final = re.compile(rb"<style>(.*?)</style>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is answered: the same bytes for the life of the process."""

    body: bytes
    compressed: bytes
    headers: dict[str, str]

    @classmethod
    def of(cls, path: Path) -> Self:
        """Read the file. Raises OSError."""
        body = path.read_bytes()
        headers = {
            "Content-Type": _TYPES[path.suffix],
            # Weak: the packed and the plain body share it.
            "ETag": f'W/"{hashlib.sha256(body).hexdigest()[:16]}"',
            "Cache-Control": "no-cache",
            "Content-Security-Policy": _policy(body),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Vary": "Accept-Encoding",
        }
        return cls(body, gzip.compress(body, mtime=0), headers)

    def answer(self, request: web.Request) -> web.Response:
        """304 if the client has this very body, else the body, packed where the client takes that."""
        known = {tag.value for tag in request.if_none_match or ()}
        if known & {self.headers["ETag"].removeprefix("W/").strip('"'), "*"}:
            return web.Response(status=304, headers=self.headers)
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            packed = {**self.headers, "Content-Encoding": "gzip"}
            return web.Response(body=self.compressed, headers=packed)
        return web.Response(body=self.body, headers=self.headers)


def add_docs(app: web.Application) -> frozenset[str]:
    """Route /docs and the contracts beside it; gives the paths, which need no token.

    Raises OSError if a file is missing.
    """
    for path, source in _SOURCES.items():
        app.router.add_get(path, _handler(StaticFile.of(source)))
    return frozenset(_SOURCES)


def _handler(page: StaticFile) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        return page.answer(request)

    return handle


def _policy(body: bytes) -> str:
    """Nothing may be loaded or run; the page's own style sheet is let in by its hash."""
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(style).digest()).decode()}'"
        for style in _STYLE.findall(body)
    ]
    styles = " ".join(hashes) or "'none'"
    return (
        f"default-src 'none'; style-src {styles}; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
