"""The browser page at `/`: a few static files, kept in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Final

from aiohttp import ETag, web

ASSETS: Final = "/page/"
"""Where the page's files are, beside the page itself."""

INDEX: Final = "index.html"

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_SECURITY: Final = "; ".join(
    (
        "default-src 'none'",
        *("script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'"),
        "media-src blob:",  # a clip is heard before it is uploaded
        *("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"),
    )
)
_NEEDS_TOKEN: Final = b'data-access="token"'


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page, as it is served."""

    body: bytes
    content_type: str
    etag: str


def load_assets(needs_token: bool) -> dict[str, Asset]:
    """The files of the page by name. The page asks for a token only where the server needs one."""
    assets = {}
    for file in (files(__package__) / "static").iterdir():
        body = file.read_bytes()
        if file.name == INDEX and not needs_token:
            body = body.replace(_NEEDS_TOKEN, b'data-access="open"')
        content_type = _TYPES["." + file.name.rpartition(".")[2]]
        assets[file.name] = Asset(body, content_type, sha256(body).hexdigest()[:24])
    return assets


def add_page(app: web.Application, needs_token: bool) -> frozenset[str]:
    """Serve the page at `/` and its files below `/page/`; gives the paths, which need no token."""
    assets = load_assets(needs_token)
    paths = {"/": assets.pop(INDEX)} | {ASSETS + name: asset for name, asset in assets.items()}
    for path, asset in paths.items():
        app.router.add_get(path, _serve(asset))
    return frozenset(paths)


def _serve(asset: Asset) -> Callable[[web.Request], Awaitable[web.Response]]:
    headers = {
        "Content-Type": asset.content_type,
        "Cache-Control": "no-cache",  # a browser may keep it, and asks whether it is still the same
        "Content-Security-Policy": _SECURITY,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }

    async def serve(request: web.Request) -> web.Response:
        known = request.if_none_match or ()
        same = any(tag.value in (asset.etag, "*") for tag in known)
        response = web.Response(status=304) if same else web.Response(body=asset.body)
        response.headers.update(headers)
        response.etag = ETag(asset.etag)
        return response

    return serve
