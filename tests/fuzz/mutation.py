"""Mutations of bytes, of JSON and of cases that have records."""

from __future__ import annotations

import json
import random
import re
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from .harness import SEPARATOR

LONGEST: Final = 512 * 1024
"""Bytes of a case that a mutation does not exceed by much."""

_BYTES: Final = b"\x00\x01\x7f\x80\xfe\xff\"'\\/<>&;:=%{}[](), \t\r\n.-+eE0d"
_INTEGERS: Final = (
    *(0, 1, -1, 2, 3, 7, 8, 16, 32, 64, 100, 127, 128, 255, 256, 1000, 4096, 32767, 32768, 65535),
    *(65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1),
)
_NUMERALS: Final = (
    *("0", "-0", "1", "-1", "00", "1e9", "1e308", "1e999", "-1e-999", "0.5", ".5", "5.", "1_0"),
    *("0x10", "NaN", "Infinity", "-Infinity", "١", "9" * 19, "9" * 400, "9" * 5000, "2147483648"),
    *("4294967296", "18446744073709551616", "9007199254740993", "0.1" + "0" * 300 + "1"),
)


class Raw(str):
    """Text that stands in JSON as it is."""


_STRINGS: Final = (
    *("", " ", "\x00", "\n", "\u2028", "\ufeff", "\ufffe", "\ud800", "\udc00", "\ud83d\ude00"),
    *("\udc00\ud800", "a\ud83d", "\ude00b", "e\u0301", "\U0010ffff", "'", '"', "\\", "<break", "<"),
    *("true", "null", "nan", "1", "1.5", "-1", "plain", "../../etc/passwd", "%s%n", "{0}", "t" * 65),
    *("x" * 129, "x" * 2001, "字" * 20_001, "a" * 200_001, "<speak>a</speak>", "<break time='1s'/>"),
)  # fmt: skip
_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, [], {}, [[]], {"": None}, [None, 1, "a"], *_STRINGS),
    *(Raw(numeral) for numeral in _NUMERALS),
    *(Raw("[" * 900 + "]" * 900), Raw("[" * 5000), Raw('{"a":' * 900 + "1" + "}" * 900)),
    *(Raw('"\\ud800"'), Raw('"\\ud83d\\u0041"'), Raw('"\\u000"'), Raw("'a'"), Raw("undefined")),
    Raw('"\\ud800' + "[" * 3000 + '"'),
)


def mutated_bytes(data: bytes, rng: random.Random, words: Sequence[bytes] = ()) -> bytes:
    """One to a few changes. words: what may be put in: those of the format."""
    for _ in range(_few(rng)):
        data = rng.choice(_CHANGES)(data, rng)
        if words and rng.random() < 0.4:
            at = rng.randint(0, len(data))
            data = data[:at] + rng.choice(words) + data[at + rng.choice((0, 0, 1, 4)) :]
    return data


def _few(rng: random.Random) -> int:
    return 1 + min(int(rng.expovariate(0.7)), 7)


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    begin = rng.randint(0, len(data))
    return begin, min(len(data), begin + int(rng.expovariate(1 / max(1, len(data) / 8))) + 1)


def _flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(min(len(data), _few(rng))):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _set(data: bytes, rng: random.Random) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + bytes((rng.choice(_BYTES),)) + data[at + rng.randint(0, 1) :]


def _integer(data: bytes, rng: random.Random) -> bytes:
    """An integer of a binary format, most often of its head."""
    size, order = rng.choice((1, 2, 3, 4, 8)), rng.choice(("<q", ">q"))
    whole = struct.pack(order, (rng.choice(_INTEGERS) + 2**63) % 2**64 - 2**63)
    part = whole[:size] if order == "<q" else whole[-size:]
    at = rng.randint(0, min(len(data), rng.choice((64, 512, len(data)))))
    return data[:at] + part + data[at + size :]


def _numeral(data: bytes, rng: random.Random) -> bytes:
    found = list(re.finditer(rb"[0-9]+", data[:LONGEST]))
    if not found:
        return _integer(data, rng)
    place = rng.choice(found)
    return data[: place.start()] + rng.choice(_NUMERALS).encode() + data[place.end() :]


def _cut_out(data: bytes, rng: random.Random) -> bytes:
    begin, end = _span(data, rng)
    return data[:begin] + data[end:]


def _cut_off(data: bytes, rng: random.Random) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] if rng.random() < 0.8 else data[at:]


def _copy(data: bytes, rng: random.Random) -> bytes:
    begin, end = _span(data, rng)
    at = rng.randint(0, len(data))
    return data[:at] + data[begin:end] + data[at:]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    begin, end = _span(data, rng)
    most = rng.choice((4, 40, 2000)) if rng.random() < 0.9 else LONGEST
    times = min(most, max(0, LONGEST - len(data)) // max(1, end - begin))
    return data[:end] + data[begin:end] * times + data[end:]


def _noise(data: bytes, rng: random.Random) -> bytes:
    begin, end = _span(data, rng)
    return data[:begin] + rng.randbytes(min(end - begin, 64)) + data[rng.choice((begin, end)) :]


_CHANGES: Final[tuple[Callable[[bytes, random.Random], bytes], ...]] = (
    *(_flip, _flip, _set, _set, _integer, _integer, _numeral, _cut_out, _cut_off, _copy, _repeat),
    _noise,
)


def mutated_json(data: bytes, rng: random.Random, names: Sequence[str] = ()) -> bytes:
    """The document with some values, fields or names changed, or its bytes. names: fields it may have."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return mutated_bytes(data, rng)
    for _ in range(_few(rng)):
        value = _changed(value, rng, names)
    try:
        text = _written(value, rng.random() < 0.5)
    except RecursionError:
        return data
    found = text.encode("utf-8", rng.choice(("replace", "surrogatepass")))
    return mutated_bytes(found, rng) if rng.random() < 0.2 else found


class _Pairs(list[tuple[str, Any]]):
    """An object whose names may be there twice."""


def _changed(value: Any, rng: random.Random, names: Sequence[str]) -> Any:
    inside = isinstance(value, dict | list) and len(value) and rng.random() < 0.85
    if not inside:
        return _other(value, rng, names)
    if isinstance(value, dict):
        value = _Pairs(value.items())
    copied, at = type(value)(value), rng.randrange(len(value))
    match rng.randrange(8):
        case 0:
            del copied[at]
        case 1:
            copied.append(copied[at])
        case 2 if isinstance(copied, _Pairs):
            name, inner = copied[at]
            copied[at] = (rng.choice([*names, *_STRINGS, name.upper(), name + " "]), inner)
        case 3 if isinstance(copied, _Pairs) and names:
            copied.insert(at, (rng.choice(names), _other(None, rng, names)))
        case _:
            each = copied[at]
            if isinstance(copied, _Pairs):
                copied[at] = (each[0], _changed(each[1], rng, names))
            else:
                copied[at] = _changed(each, rng, names)
    return copied


def _other(value: Any, rng: random.Random, names: Sequence[str]) -> Any:
    match rng.randrange(10):
        case 0:
            return [value]
        case 1:
            return _Pairs([(rng.choice([*names, "a"]), value)])
        case 2 if isinstance(value, str):
            at = rng.randint(0, len(value))
            return value[:at] + rng.choice(_STRINGS)[:4000] + value[at:]
        case 3 if isinstance(value, int | float):
            return str(value)
        case 4:
            return rng.choice(_INTEGERS)
        case _:
            return rng.choice(_VALUES)


def _written(value: Any, escaped: bool) -> str:
    match value:
        case Raw():
            return str(value)
        case _Pairs():
            pairs = (f"{_written(key, escaped)}:{_written(each, escaped)}" for key, each in value)
            return f"{{{','.join(pairs)}}}"
        case dict():
            return _written(_Pairs(value.items()), escaped)
        case list():
            return f"[{','.join(_written(each, escaped) for each in value)}]"
        case _:
            return json.dumps(value, ensure_ascii=escaped)


def mutated_records(
    case: bytes,
    other: bytes,
    rng: random.Random,
    change: Callable[[bytes, random.Random], bytes],
    fixed: int = 0,
) -> bytes:
    """A case with records changed, left out, doubled, moved, or taken from another case.

    change: of one record. fixed: how many records at the beginning keep their places.
    """
    records, others = case.split(SEPARATOR), other.split(SEPARATOR)[fixed:]
    for _ in range(_few(rng)):
        movable = range(min(fixed, len(records)), len(records))
        kind = rng.randrange(9)
        if kind <= 4 or not movable:
            at = rng.randrange(len(records))
            records[at] = change(records[at], rng)
        elif kind == 5:
            del records[rng.choice(movable)]
        elif kind == 6:
            records.insert(rng.choice(movable), records[rng.choice(movable)])
        elif kind == 7:
            records.insert(rng.choice(movable), records.pop(rng.choice(movable)))
        elif others:
            records.insert(rng.choice(movable), rng.choice(others))
    return SEPARATOR.join(records)
