"""The types of single settings: sizes, durations, tokens, addresses, buckets.

Sizes are bytes and may be written with a unit ("20MiB"); durations are seconds. Every parser raises
ValueError with what is allowed, and never with a secret in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Final, NamedTuple

from pydantic import BeforeValidator, ByteSize, Field, SecretStr

from cosyserve.engine.folders import expanded

KIB: Final = 1024
MIB: Final = 1024**2
GIB: Final = 1024**3

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Size = Annotated[
    ByteSize,
    Field(
        ge=KIB,
        le=GIB,
        json_schema_extra={"allowed": "a size (1KiB to 1GiB) or a number of bytes"},
    ),
]
OrNone: Final = BeforeValidator(lambda value: None if value in ("", "none") else value)
"""An optional setting that "none" switches off."""

MIN_SECRET_LENGTH: Final = 8
MAX_SECRET_LENGTH: Final = 256
DEFAULT_TOKEN_NAME: Final = "default"
TOKEN_FORM: Final = (
    f"NAME=SECRET or SECRET; a name has 1 to 64 of A-Z a-z 0-9 . _ -, a secret "
    f"{MIN_SECRET_LENGTH} to {MAX_SECRET_LENGTH} visible ASCII characters without comma; after a blank may "
    "follow daily_characters=N and daily_seconds=N, or none in place of N, where these settings hold "
    "otherwise for the token"
)

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SECRET = re.compile(rf"[!-+\--~]{{{MIN_SECRET_LENGTH},{MAX_SECRET_LENGTH}}}")
_OWN = re.compile(r"daily_(characters|seconds)=([1-9][0-9]{0,8}|none)")
_SUBPROTOCOL = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2, token
ORIGIN_FORM: Final = "https://HOST or http://HOST:PORT, separated by commas; or * for every origin"
TCP_FORM: Final = "tcp://HOST:PORT"
HOST_FORM: Final = "HOST or HOST:PORT, separated by commas"
_LISTED = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::([0-9]{1,5}))?")
_PORTS: Final = {"http": 80, "https": 443}
_ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::([0-9]{1,5}))?")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class DailyQuota:
    """What a token may have in a day. None: any amount."""

    characters: int | None = None
    seconds: float | None = None

    @property
    def limits(self) -> Mapping[str, float]:
        """Those that there are, by unit."""
        both = {"characters": self.characters, "seconds": self.seconds}
        return {unit: limit for unit, limit in both.items() if limit is not None}


@dataclass(frozen=True, slots=True)
class Token:
    """A secret that opens the server, and the name by which logs, metrics and limits know it.

    own: what of its daily quota is not as for everybody, as fields of DailyQuota.
    """

    name: str
    secret: SecretStr
    own: tuple[tuple[str, int | None], ...] = ()

    def quota(self, everybody: DailyQuota) -> DailyQuota:
        """Its daily quota."""
        return replace(everybody, **dict(self.own))

    @property
    def fits_subprotocol(self) -> bool:
        """Whether a browser can send it: RFC 6455 takes only RFC 9110's token characters there."""
        return _SUBPROTOCOL.fullmatch(self.secret.get_secret_value()) is not None


class ListenAddress(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Origin(NamedTuple):
    """Where a web page is from (RFC 6454). host: in lower case, an IPv6 address in brackets."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"

    def is_at(self, host: str) -> bool:
        """Whether a request from a page of this origin to its own server has this Host header."""
        return host.lower() in (str(self).partition("//")[2], f"{self.host}:{self.port}")


@dataclass(frozen=True, slots=True)
class PageOrigins:
    """Which web pages are meant, by where they are from. every: those of any origin, `named` or not."""

    named: tuple[Origin, ...] = ()
    every: bool = False

    def __bool__(self) -> bool:
        return self.every or bool(self.named)

    def __contains__(self, text: str) -> bool:
        """Whether the page of this Origin header is meant."""
        try:
            return self.every or parse_origin(text) in self.named
        except ValueError:  # null, which is every page without an address, or an extension's
            return False

    def __str__(self) -> str:
        return "*" if self.every else ", ".join(map(str, self.named)) or "none"


class BucketUrl(NamedTuple):
    """A place in an S3-compatible service; `prefix` is "" or ends with a slash."""

    name: str
    prefix: str


def parse_token(text: str) -> Token:
    """Read NAME=SECRET or SECRET (which gets the name "default"), and what follows about its quota."""
    first, *words = text.split() or [""]
    name, equals, secret = first.partition("=")
    if not equals or not secret.strip("="):  # base64 ends a bare secret with up to two "="
        name, secret = DEFAULT_TOKEN_NAME, first
    return make_token(name, " ".join([secret, *words]))


def make_token(name: str, secret: str) -> Token:
    """secret: with what follows about the quota."""
    first, *words = secret.split() or [""]
    if not _NAME.fullmatch(name) or not _SECRET.fullmatch(first):
        raise ValueError(f"a token is malformed; allowed: {TOKEN_FORM}")
    own: dict[str, int | None] = {}
    for word in words:
        found = _OWN.fullmatch(word)
        if found is None or found[1] in own:
            raise ValueError(f"a token is malformed; allowed: {TOKEN_FORM}")
        own[found[1]] = None if found[2] == "none" else int(found[2])
    return Token(name, SecretStr(first), tuple(own.items()))


def parse_tokens(value: object) -> tuple[Token, ...]:
    """Read "a=SECRET,b=SECRET daily_characters=10000", a list of such, or a table of names and secrets."""
    if isinstance(value, str):
        return tuple(map(parse_token, _listed_tokens(value)))
    if isinstance(value, Mapping):
        return tuple(make_token(str(name), _plain(secret)) for name, secret in value.items())
    if isinstance(value, Iterable):
        return tuple(
            item if isinstance(item, Token) else parse_token(_plain(item)) for item in value
        )
    raise ValueError(f"must be a list; each: {TOKEN_FORM}")


def _listed_tokens(text: str) -> Iterator[str]:
    """The tokens of a list: a blank parts two of them as a comma does, unless quotas follow it."""
    for part in filter(None, (part.strip() for part in text.split(","))):
        words: list[str] = []
        for word in part.split():
            if words and not _OWN.fullmatch(word):
                yield " ".join(words)
                words = []
            words.append(word)
        yield " ".join(words)


def _plain(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if not isinstance(value, str):
        raise ValueError(f"a token must be a string; allowed: {TOKEN_FORM}")
    return value


def read_token_file(path: Path, others: Iterable[Token] = ()) -> tuple[Token, ...]:
    """Read a file of one token a line; blank lines and lines that begin with # are skipped.

    Raises ValueError, which names the line: also for a token that is not distinct from those before it
    and from `others`.
    """
    try:
        lines = expanded(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"cannot read {path}: not UTF-8 text") from None
    seen, tokens = DistinctTokens(others), []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                tokens.append(seen.add(parse_token(line)))
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
    return tuple(tokens)


class DistinctTokens:
    """Tokens of which no two share a name or a secret."""

    def __init__(self, tokens: Iterable[Token] = ()) -> None:
        """Raises ValueError as `add` does."""
        self._names: set[str] = set()
        self._by_secret: dict[str, str] = {}
        for token in tokens:
            self.add(token)

    def add(self, token: Token) -> Token:
        """Take one more, and return it. Raises ValueError for a name or a secret that was there before."""
        if token.name in self._names:
            raise ValueError(f"two tokens are named {token.name!r}; allowed: distinct names")
        twin = self._by_secret.setdefault(token.secret.get_secret_value(), token.name)
        if twin != token.name:
            raise ValueError(
                f"{twin!r} and {token.name!r} are the same secret; allowed: distinct secrets"
            )
        self._names.add(token.name)
        return token


def parse_address(value: object) -> ListenAddress:
    """Read HOST:PORT; an IPv6 host stands in brackets."""
    if isinstance(value, tuple) and len(value) == 2:
        value = str(ListenAddress(*value))
    host, colon, port = str(value).rpartition(":")
    if not colon or not host or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError("must be HOST:PORT with a port from 0 to 65535 ([HOST]:PORT for IPv6)")
    if ":" in host and not host.startswith("["):
        raise ValueError("an IPv6 address stands in brackets: [HOST]:PORT")
    return ListenAddress(parse_host(host), int(port))


def parse_tcp(value: object) -> ListenAddress:
    """Read tcp://HOST:PORT."""
    if isinstance(value, str):
        scheme, mark, address = value.strip().partition("://")
        if (scheme, mark) != ("tcp", "://"):
            raise ValueError(f"allowed: {TCP_FORM}")
        value = address.removesuffix("/")
    return parse_address(value)


def parse_host(value: object) -> str:
    """Read a host name or an address; an IPv6 address may stand in brackets.

    An IPv4 address that is written as an IPv6 one becomes itself.
    """
    host = str(value).strip()
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise ValueError("allowed: in brackets an IPv6 address, as [::1]")
    if ":" in host:
        try:
            ip_address(host)
        except ValueError:
            raise ValueError(
                "allowed: a host name or an address, without a port; port is a setting of its own"
            ) from None
    elif not host or not host.isprintable() or any(mark in host for mark in "/ []@"):
        raise ValueError("allowed: a host name or an address")
    if is_localhost(host):
        return "localhost"  # the only spelling that resolvers look up
    mapped = _as_ipv4(host)
    return host if mapped is None else str(mapped)


def _as_ipv4(host: str) -> IPv4Address | None:
    """The address that is written as ::ffff:127.0.0.1, which only a socket for IPv4 can have alone."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return address.ipv4_mapped if isinstance(address, IPv6Address) else None


def parse_origin(text: str) -> Origin:
    """Read http://HOST, https://HOST:PORT and the like. Raises ValueError."""
    found = _ORIGIN.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"allowed: {ORIGIN_FORM}")
    return Origin(found[1], found[2], int(found[3] or _PORTS[found[1]]))


def parse_origins(value: object) -> PageOrigins:
    """Read "https://a,https://b", a list of such, or "*". Raises ValueError."""
    if isinstance(value, PageOrigins):
        return value
    if isinstance(value, str):
        value = [part for part in re.split(r"[,\s]+", value) if part and part != "none"]
    if not isinstance(value, Iterable):
        raise ValueError(f"allowed: {ORIGIN_FORM}")
    items = [str(item).strip() for item in value]
    return PageOrigins((), True) if items == ["*"] else PageOrigins(tuple(map(parse_origin, items)))


def parse_hosts(value: object) -> tuple[str, ...]:
    """Read "a.example,10.0.0.5:8443" or a list. Raises ValueError."""
    if isinstance(value, str):
        value = [part for part in re.split(r"[,\s]+", value) if part and part != "none"]
    if not isinstance(value, Iterable):
        raise ValueError(f"allowed: {HOST_FORM}")
    return tuple(_parse_listed(str(item)) for item in value)


def _parse_listed(text: str) -> str:
    found = _LISTED.fullmatch(text.strip().lower())
    if found is None or not 1 <= int(found[2] or _PORTS["https"]) <= 65535:
        raise ValueError(f"allowed: {HOST_FORM}")
    return found[1] if int(found[2] or _PORTS["https"]) == _PORTS["https"] else found[0]


def parse_bucket(url: str) -> BucketUrl:
    """Read s3://BUCKET or s3://BUCKET/PREFIX."""
    name, _, prefix = url.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    if not _BUCKET.fullmatch(name) or ".." in prefix.split("/"):
        raise ValueError("must be a folder, s3://BUCKET or s3://BUCKET/PREFIX")
    return BucketUrl(name, f"{prefix}/" if prefix else "")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server bound to `host` (an unknown name: no)."""
    try:
        return ip_address(parse_host(host)).is_loopback
    except ValueError:
        return is_localhost(host)


def is_localhost(host: str) -> bool:
    """Whether it is the name that means this machine, whatever a resolver says of it (RFC 6761, 6.3)."""
    return host.lower().removesuffix(".") == "localhost"
