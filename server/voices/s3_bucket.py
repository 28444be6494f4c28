"""The S3 requests that the store needs, with timeouts and error messages. Needs aiobotocore."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import aiohttp
import structlog
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from cosyserve.protocol.errors import EngineUnavailable

from .s3_options import S3Options

log = structlog.get_logger(__name__)

_FAILURES: Final = (BotoCoreError, ClientError, aiohttp.ClientError, OSError, TimeoutError)
_SIGNATURES: Final = {"v4": "s3v4", "v2": "s3"}
_HINTS: Final = {
    "NoSuchBucket": "there is no such bucket",
    "AccessDenied": "the key may not do this: it needs to list the bucket and to get, put and "
    "delete objects under the prefix",
    "InvalidAccessKeyId": "the access key is unknown there",
    "SignatureDoesNotMatch": "the secret key does not fit the access key, or the region is wrong",
    "AuthorizationHeaderMalformed": "the region is wrong",
    "PermanentRedirect": "the bucket is in another region: set the region or the endpoint",
    "SecondLevelDomainForbidden": "this service takes no path-style addresses",
}


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in a list. modified: by the service's clock."""

    key: str
    modified: datetime


class Bucket:
    """One bucket. Every request raises EngineUnavailable, and logs why, if the service fails.

    Safe to cancel: a request that is cancelled has changed all or nothing.
    """

    def __init__(self, options: S3Options) -> None:
        self._options = options
        self._closing = AsyncExitStack()  # closes the client
        self._client: Any = None  # between open and close; aiobotocore has no types

    async def open(self) -> None:
        """Connect and test every kind of request. Raises OSError with what to do."""
        try:
            await self._connect()
            await self._rehearse()
        except (*_FAILURES, ValueError) as error:
            await self.close()
            place = self._options.endpoint_url or "AWS S3"
            raise OSError(
                f"the bucket {self._options.bucket!r} at {place} cannot be used: {_explain(error)}"
            ) from error

    async def close(self) -> None:
        self._client = None
        await self._closing.aclose()

    async def put(self, key: str, data: bytes) -> None:
        async with self._request("put", key):
            await self._client.put_object(Bucket=self._options.bucket, Key=key, Body=data)

    async def get(self, key: str, first: int | None = None) -> bytes | None:
        """The object or its `first` bytes; None if there is no such object."""
        extent = {} if first is None else {"Range": f"bytes=0-{first - 1}"}
        data: bytes | None
        async with self._request("get", key):
            data = await self._fetch(key, extent)
        return data  # not inside the context: mypy takes it for one that may swallow errors

    async def delete(self, key: str) -> None:
        """Delete the object, if it exists."""
        async with self._request("delete", key):
            await self._client.delete_object(Bucket=self._options.bucket, Key=key)

    async def pages(self, prefix: str) -> AsyncIterator[list[Listed]]:
        """All objects under the prefix in the order of their keys, one request per page."""
        more: dict[str, str] = {}
        while True:
            async with self._request("list", prefix):
                page = await self._client.list_objects_v2(
                    Bucket=self._options.bucket,
                    Prefix=prefix,
                    MaxKeys=self._options.page_size,
                    **more,
                )
            yield [
                Listed(entry["Key"], entry["LastModified"]) for entry in page.get("Contents", ())
            ]
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    async def _fetch(self, key: str, extent: dict[str, str]) -> bytes | None:
        try:
            response = await self._client.get_object(Bucket=self._options.bucket, Key=key, **extent)
        except ClientError as error:
            match _code(error):
                case "NoSuchKey" | "404":
                    return None
                case "InvalidRange" | "416":  # an empty object
                    return b""
            raise
        async with response["Body"] as body:
            data: bytes = await body.read()
        return data

    async def _connect(self) -> None:
        options = self._options
        insecure = (options.endpoint_url or "").startswith("http:")
        addressing: dict[str, object] = {
            "addressing_style": "path" if options.path_style else "virtual"
        }
        if not insecure:
            # TLS protects the body already; a digest of 20 MiB would block the event loop.
            addressing["payload_signing_enabled"] = False
        config = AioConfig(
            s3=addressing,
            signature_version=_SIGNATURES[options.signature],
            connect_timeout=options.connect_timeout,
            read_timeout=options.read_timeout,
            retries={"mode": "standard", "total_max_attempts": options.attempts},
            # By default checksums follow chunked bodies, which OSS and others refuse.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        self._client = await self._closing.enter_async_context(
            get_session().create_client(
                "s3",
                endpoint_url=options.endpoint_url,
                region_name=options.region,
                aws_access_key_id=options.access_key,
                aws_secret_access_key=options.secret_key,
                config=config,
            )
        )

    async def _rehearse(self) -> None:
        """One request of each kind, under the prefix of the store."""
        place = {"Bucket": self._options.bucket, "Key": f"{self._options.root}write-check"}
        async with asyncio.timeout(self._options.call_timeout):
            await self._client.list_objects_v2(
                Bucket=self._options.bucket, Prefix=self._options.root, MaxKeys=1
            )
            await self._client.put_object(**place, Body=b"")
            await self._client.delete_object(**place)

    @asynccontextmanager
    async def _request(self, action: str, key: str) -> AsyncIterator[None]:
        if self._client is None:
            raise RuntimeError("the bucket is not open")
        try:
            async with asyncio.timeout(self._options.call_timeout):
                yield
        except _FAILURES as error:
            log.error("reference_store_failed", action=action, key=key, error=_explain(error))
            raise EngineUnavailable("the store for reference audio does not respond") from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _explain(error: BaseException) -> str:
    """The error's message for the operator, with what to do if that is known."""
    if isinstance(error, ClientError) and (hint := _HINTS.get(_code(error))):
        return f"{hint} ({error})"
    if isinstance(error, NoCredentialsError):
        return "no credentials: set the store's keys, or give them in one of the standard AWS ways"
    return str(error) or type(error).__name__
