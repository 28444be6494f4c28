"""How to reach an S3-compatible service. Does not need the library that reaches it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class S3Options:
    """A place in an S3-compatible service, and its timeouts.

    endpoint_url: None for AWS itself. access_key, secret_key: both, or neither for the standard AWS
    chain (environment, profile, instance or pod role).
    path_style: whether the bucket is in the path rather than in the host name; MinIO requires that,
    Alibaba OSS forbids it. signature: "v2" only for services that do not support version 4.
    connect_timeout, read_timeout: seconds until connected, and between bytes.
    call_timeout: seconds for one request with all of its `attempts`.
    page_size: keys per list request. stale_after: seconds after which an index entry without a clip
    counts as left over from a failed upload.
    """

    bucket: str
    prefix: str = ""
    endpoint_url: str | None = None
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    path_style: bool = False
    signature: Literal["v4", "v2"] = "v4"
    connect_timeout: float = 5.0
    read_timeout: float = 20.0
    call_timeout: float = 60.0
    attempts: int = 3
    page_size: int = 1000
    stale_after: float = 86400.0

    def __post_init__(self) -> None:
        """Raises ValueError for a half-given pair of keys or an empty bucket name."""
        if not self.bucket:
            raise ValueError("the bucket's name is empty")
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("give both the access key and the secret key, or neither")

    @property
    def root(self) -> str:
        """The prefix of all keys: "" or a path that ends with a slash."""
        prefix = self.prefix.strip("/")
        return f"{prefix}/" if prefix else ""
