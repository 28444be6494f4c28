"""WebSocket frames of RFC 6455, as clients write them: rightly, and in every wrong way."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

FIN: Final = 0x80
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
_KEY: Final = b"\x37\xfa\x21\x3d"
_CODES: Final = (
    0,
    999,
    1000,
    1001,
    1002,
    1004,
    1005,
    1006,
    1007,
    1011,
    1015,
    2999,
    3000,
    4999,
    65535,
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """first: the first byte, of flags and the opcode. end: where the frame ends."""

    first: int
    payload: bytes
    end: int

    @property
    def opcode(self) -> int:
        return self.first & 15


def framed(
    first: int, payload: bytes, *, key: bytes | None = _KEY, length: int | None = None
) -> bytes:
    """A frame. key: None for one without a mask. length: what its head says, if that is not its length."""
    size = len(payload) if length is None else length
    masked = 0 if key is None else 0x80
    if size < 126:
        head = bytes((first, masked | size))
    elif size < 65536:
        head = bytes((first, masked | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, masked | 127)) + size.to_bytes(8, "big")
    return head + (payload if key is None else key + _masked(payload, key))


def text(payload: bytes) -> bytes:
    return framed(FIN | TEXT, payload)


def parsed(data: bytes, begin: int = 0) -> Parsed | None:
    """The frame at the beginning, if it is whole."""
    if len(data) < begin + 2:
        return None
    size, at = data[begin + 1] & 0x7F, begin + 2
    if size >= 126:
        wide = 2 if size == 126 else 8
        size, at = int.from_bytes(data[at : at + wide], "big"), at + wide
    key = b""
    if data[begin + 1] & 0x80:
        key, at = data[at : at + 4], at + 4
    if at + size > len(data):
        return None
    payload = data[at : at + size]
    return Parsed(data[begin], _masked(payload, key) if len(key) == 4 else payload, at + size)


def frames(data: bytes) -> Iterator[Parsed]:
    """The whole frames at the beginning of these bytes."""
    at = 0
    while (frame := parsed(data, at)) is not None:
        yield frame
        at = frame.end


def _masked(payload: bytes, key: bytes) -> bytes:
    whole = key * (len(payload) // 4 + 1)
    return (int.from_bytes(payload, "big") ^ int.from_bytes(whole[: len(payload)], "big")).to_bytes(
        len(payload), "big"
    )


def mutated(frame: Parsed, rng: random.Random) -> list[bytes]:
    """What is sent in place of a frame."""
    payload, first = frame.payload, frame.first
    match rng.randrange(10):
        case 0:  # any flags, any opcode
            return [framed(rng.randrange(256), payload)]
        case 1:
            return [framed(first, payload, key=rng.choice((None, bytes(4))))]
        case 2:
            wrong = rng.choice((0, 1, 125, 126, 127, 65535, 65536, 2**31, 2**63 - 1, 2**64 - 1))
            return [framed(first, payload, length=wrong)]
        case 3:  # in fragments, with a control frame or a message in between
            cut = rng.randint(0, len(payload))
            return [
                framed(first & ~FIN, payload[:cut]),
                *rng.choice(([], [framed(FIN | PING, b"x")], [text(b"{}")])),
                framed(rng.choice((FIN, FIN, 0)), payload[cut:]),
            ]
        case 4:
            size = rng.choice((0, 1, 125, 126, 400))
            return [framed(FIN | rng.choice((PING, PING + 1)), bytes(size)), framed(first, payload)]
        case 5:
            reason = rng.choice((b"", b"bye", b"\xff", b"x" * 123, b"x" * 124))
            code = rng.choice(_CODES).to_bytes(2, "big")
            return [framed(FIN | CLOSE, rng.choice((code + reason, b"", b"\x03")))]
        case 6:
            return [framed(FIN | BINARY, payload)]
        case 7:  # longer than it must be written
            head = bytes((first, 0x80 | 127)) + len(payload).to_bytes(8, "big")
            return [head + _KEY + _masked(payload, _KEY)]
        case 8:
            return [framed(FIN | PING, b"x")] * rng.choice((2, 30, 200))
        case _:
            bad = rng.choice((b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x00"))
            at = rng.randint(0, len(payload))
            return [framed(first, payload[:at] + bad + payload[at:])]
