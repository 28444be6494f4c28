"""References, the clips that speech is made to sound like, and what the names of voices become."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypedDict, Unpack
from urllib.parse import unquote, urlsplit

from .local import LocalStore
from .s3 import S3Store
from .s3_options import S3Options
from .store import Order, Reference, ReferenceStore

__all__ = [
    "LocalStore",
    "Order",
    "Reference",
    "ReferenceStore",
    "S3Access",
    "S3Options",
    "S3Store",
    "open_store",
]


class S3Access(TypedDict, total=False):
    """How to reach a bucket; the fields are those of S3Options."""

    endpoint_url: str | None
    region: str | None
    access_key: str | None
    secret_key: str | None
    path_style: bool
    signature: Literal["v4", "v2"]


def open_store(url: str, **access: Unpack[S3Access]) -> ReferenceStore:
    """The store at a place: a folder's path, file:///PATH, s3://BUCKET or s3://BUCKET/PREFIX.

    The store touches nothing before `start`. access: for buckets; with a folder all must be None or false.
    Raises ValueError, whose message says what is allowed.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "s3":
        bucket, _, prefix = rest.partition("/")
        return S3Store(S3Options(bucket, prefix, **access))
    if given := sorted(name for name, value in access.items() if value):
        raise ValueError(f"{', '.join(given)}: only with a bucket (s3://...) for reference clips")
    return LocalStore(_folder(url, scheme if separator else ""))


def _folder(url: str, scheme: str) -> Path:
    if scheme == "file":
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost") or not parts.path:
            raise ValueError("a file URL needs three slashes and an absolute path: file:///PATH")
        return Path(unquote(parts.path))
    if scheme or not url:
        raise ValueError(
            "the place for reference clips must be a folder's path, file:///PATH, s3://BUCKET or "
            f"s3://BUCKET/PREFIX, not {url!r}"
        )
    try:
        return Path(url).expanduser()
    except RuntimeError:
        raise ValueError(
            "there is no home folder (HOME is not set); allowed: a folder whose path does not begin with"
            " ~, s3://BUCKET or s3://BUCKET/PREFIX"
        ) from None
