"""Clips from other servers: only from hosts that the operator lists, over TLS, within bounds."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Collection
from ipaddress import ip_address
from typing import Final

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from cosyserve.engine.threads import Threads
from cosyserve.protocol.errors import InvalidParameter, PayloadTooLarge

log = structlog.get_logger(__name__)

_HTTPS_PORT: Final = 443
_LOOKUPS: Final = 2
_HOW: Final = "allowed: the clip itself as a data: URL (data:audio/wav;base64,...)"


class ClipFetcher:
    """hosts: HOST or HOST:PORT, in lower case; a literal address among them may be a private one.

    No redirect is followed, no proxy is asked, and no token is sent.
    """

    def __init__(
        self,
        hosts: Collection[str],
        most: int,
        seconds: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """most: bytes of a clip. tls: whom to trust; None: whom the system trusts."""
        self._hosts = frozenset(hosts)
        self._most = most
        self._seconds = seconds
        self._tls = tls
        self._threads = Threads("resolve", _LOOKUPS)

    def close(self) -> None:
        """End the threads, without waiting."""
        self._threads.close()

    async def fetch(self, url: str) -> bytes:
        """The clip at a URL. Raises InvalidParameter, PayloadTooLarge."""
        address = self._checked(url)
        connector = aiohttp.TCPConnector(
            resolver=_PublicResolver(self._threads, self._hosts),
            ssl=True if self._tls is None else self._tls,
            force_close=True,
        )
        try:
            async with (
                asyncio.timeout(self._seconds),
                aiohttp.ClientSession(
                    connector=connector, trust_env=False, auto_decompress=False
                ) as client,
                client.get(
                    address, allow_redirects=False, headers={"Accept-Encoding": "identity"}
                ) as answer,
            ):
                return await self._read(answer)
        except TimeoutError:
            raise InvalidParameter(
                f"input.url: the clip did not come within {self._seconds:g} s"
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            log.info("clip_not_fetched", host=address.host, reason=str(error))
            raise InvalidParameter("input.url: the clip could not be fetched") from None

    def _checked(self, url: str) -> URL:
        try:
            address = URL(url)
            host, port = (address.raw_host or "").lower(), address.port
        except ValueError:
            host, port = "", None
        if not self._hosts:
            raise InvalidParameter(f"input.url: this server fetches no clips; {_HOW}")
        if not host or address.scheme != "https" or address.user or address.password:
            raise InvalidParameter(f"input.url: no https:// URL; {_HOW}, or an https:// URL")
        named = f"[{host}]" if ":" in host else host
        listed = named if port == _HTTPS_PORT else f"{named}:{port}"
        if listed not in self._hosts:
            raise InvalidParameter(f"input.url: this server fetches nothing there; {_HOW}")
        return address

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        if answer.status != 200:
            raise InvalidParameter(
                f"input.url: it answers with {answer.status}; allowed: 200, without a redirect"
            )
        if (answer.content_length or 0) > self._most:
            raise self._too_large()
        data = bytearray()
        async for piece in answer.content.iter_any():
            data += piece
            if len(data) > self._most:
                raise self._too_large()
        return bytes(data)

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(f"input.url: more than {self._most} bytes, the most allowed")


class _PublicResolver(AbstractResolver):
    """Resolves names to public addresses alone, and to listed ones; what it gives is connected to."""

    def __init__(self, threads: Threads, listed: Collection[str]) -> None:
        self._threads = threads
        self._listed = listed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises OSError if there is none."""
        found = await self._threads.run(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
        allowed = [each for each in found if self._is_allowed(str(each[4][0]))]
        if not allowed:
            raise OSError(f"{host} has no public address, and no listed one")
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for kind, _, _, _, address in allowed
        ]

    async def close(self) -> None:
        """The threads are the fetcher's."""

    def _is_allowed(self, address: str) -> bool:
        parsed = ip_address(address.partition("%")[0])
        mapped = getattr(parsed, "ipv4_mapped", None) or parsed
        named = f"[{mapped}]" if mapped.version == 6 else str(mapped)
        return (mapped.is_global and not mapped.is_multicast) or named in self._listed
