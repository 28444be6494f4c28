"""The browser page at `/` and the API reference at `/docs`: a few files, kept in memory.

The reference and the contracts beside it are served as they are in the package; of the page, only the
mark that says whether the server needs a token is set when it starts.

aiohttp's own static files are not used: their entity tags hold the time of a file, which differs between
the replicas behind one address.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from aiohttp import web

import cosyserve.protocol

REFERENCE: Final = Path(__file__).with_name("reference.html")
ASSETS: Final = "/page/"
"""Where the files that the page loads are."""
INDEX: Final = "index.html"

_STATIC: Final = Path(__file__).with_name("static")
_CONTRACTS: Final = Path(cosyserve.protocol.__path__[0])
_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".yaml": "application/yaml",
    ".svg": "image/svg+xml",
}
_WITHOUT_CHARSET: Final = frozenset({".svg"})
_ASK: Final = "no-cache"
"""A browser may keep the file, and asks whether it has changed."""
_NEEDS_TOKEN: Final = b'data-access="token"'
_STYLE: Final = re.compile(rb"<style>(.*?)</style>", re.DOTALL)
_NOTHING_ELSE: Final = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "media-src blob:; " + _NOTHING_ELSE  # a clip is heard before it is uploaded
)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is answered: the same bytes for the life of the process."""

    body: bytes
    compressed: bytes | None
    tag: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, name: str, body: bytes, policy: str, *, compress: bool = False) -> Self:
        """policy: its Content-Security-Policy. compress: whether clients may have it compressed."""
        suffix, tag = Path(name).suffix, hashlib.sha256(body).hexdigest()[:24]
        charset = "" if suffix in _WITHOUT_CHARSET else "; charset=utf-8"
        kind = _TYPES[suffix] + charset
        if not compress:
            headers = {
                "Content-Type": kind,
                "Cache-Control": _ASK,
                "Content-Security-Policy": policy,
                "Referrer-Policy": "no-referrer",
                "X-Content-Type-Options": "nosniff",
                "Etag": f'"{tag}"',
            }
            return cls(body, None, tag, headers)
        headers = {
            "Content-Type": kind,
            "ETag": f'W/"{tag}"',  # weak: the plain and the compressed body share it
            "Cache-Control": _ASK,
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Vary": "Accept-Encoding",
        }
        return cls(body, gzip.compress(body, mtime=0), tag, headers)

    async def answer(self, request: web.Request) -> web.Response:
        """304 if the client has this body, else the body, compressed if the client takes that."""
        known = {tag.value for tag in request.if_none_match or ()}
        if known & {self.tag, "*"}:
            return web.Response(status=304, headers=self.headers)
        if self.compressed is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
            headers = {**self.headers, "Content-Encoding": "gzip"}
            return web.Response(body=self.compressed, headers=headers)
        return web.Response(body=self.body, headers=self.headers)


def load_page(needs_token: bool) -> dict[str, Asset]:
    """The files of the page by name. The page asks for a token only where the server needs one.

    Raises OSError if a file is missing.
    """
    assets = {}
    for file in _STATIC.iterdir():
        body = file.read_bytes()
        if file.name == INDEX and not needs_token:
            body = body.replace(_NEEDS_TOKEN, b'data-access="open"')
        assets[file.name] = Asset.of(file.name, body, _PAGE_POLICY)
    return assets


def load_docs() -> dict[str, Asset]:
    """The reference and the contracts by path. Raises OSError if one is missing."""
    files = {
        "/docs": REFERENCE,
        "/docs/openapi.yaml": _CONTRACTS / "openapi.yaml",
        "/docs/asyncapi.yaml": _CONTRACTS / "asyncapi.yaml",
    }
    assets = {}
    for path, file in files.items():
        body = file.read_bytes()
        assets[path] = Asset.of(file.name, body, docs_policy(body), compress=True)
    return assets


def docs_policy(body: bytes) -> str:
    """Nothing may be loaded or run; a style sheet inside of the document is allowed by its hash."""
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(style).digest()).decode()}'"
        for style in _STYLE.findall(body)
    ]
    styles = " ".join(hashes) or "'none'"
    return f"default-src 'none'; style-src {styles}; img-src data:; {_NOTHING_ELSE}"


def add_page(app: web.Application, needs_token: bool) -> frozenset[str]:
    """Serve the page at `/` and its files below `/page/`; returns the paths, which need no token."""
    assets = load_page(needs_token)
    return _add(
        app, {"/" if name == INDEX else ASSETS + name: asset for name, asset in assets.items()}
    )


def add_docs(app: web.Application) -> frozenset[str]:
    """Serve the reference at `/docs`, the contracts below it; returns the paths, which need no token."""
    return _add(app, load_docs())


def _add(app: web.Application, assets: Mapping[str, Asset]) -> frozenset[str]:
    for path, asset in assets.items():
        app.router.add_get(path, asset.answer)
    return frozenset(assets)
