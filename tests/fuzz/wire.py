"""Sockets: handshakes and frames of WebSockets, messages of all dialects in any order, requests of HTTP/1.1.

A case's records are sent one after the other on a connection; after NEXT they are those of another one, at
the same time. The server ends every connection by itself; every task that it has started on one that it
leaves in order has had its last word; no answer is a 5xx.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson

from support.peers.texts import CALLS, TALKS

from .client import END, LEAVE, WAIT, all_that_comes, final_answer
from .codec import NAMES
from .frames import CLOSE, FIN, framed, frames, mutated, parsed, text
from .harness import SEPARATOR, Outcome, without_values
from .mutation import mutated_bytes, mutated_json, mutated_records
from .server import SECRET, ServerFuzzer

NEXT: Final = b"%next"
_LAST: Final = ("task-finished", "task-failed")
_HEAD_END: Final = b" HTTP/1.1\r\n"
_WORDS: Final = (
    b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"Host: a\r\n", b"Host:\r\n",
    b"HTTP/1.0", b"HTTP/2.0", b"Content-Length: 5\r\n", b"Content-Length: 99999999999999999999\r\n",
    b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n", b"Content-Encoding: gzip\r\n",
    b"Content-Encoding: deflate\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n",
    b"Connection: \r\n", b"Upgrade: websocket\r\n", b"Upgrade: h2c\r\n", b"Sec-WebSocket-Key: x\r\n",
    b"Sec-WebSocket-Version: 8\r\n",
    b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=7\r\n",
    b"Origin: http://evil\r\n", b"Sec-WebSocket-Protocol: cosyvoice.v1, bearer.x\r\n",
    b"Range: bytes=0-1,2-3\r\n", b"If-None-Match: *\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n",
    b"fffffffffffffffff\r\n", b"1;a=b\r\nx\r\n", b"0\r\nTrailer: x\r\n\r\n", b"GET ", b"POST ",
    b"HEAD ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"*", b"http://x/", b"//", b"/..", b"%00", b"%ff",
    b"?", b"#", b"/v1/voices", b"/docs", b"/metrics", b"/api/v1/audio/reference_audio",
    b"&inactivity_timeout=1",
)  # fmt: skip


class WireFuzzer(ServerFuzzer):
    """See the module."""

    name = "wire"
    cases = 3000
    batch = 300
    repeatable = False

    def seeds(self) -> Sequence[bytes]:
        return [SEPARATOR.join(records) for records in _seeds()]

    def mutated(self, case: bytes, other: bytes, rng: random.Random) -> bytes:
        return mutated_records(case, other, rng, _changed, fixed=1)

    def together(self, cases: Sequence[bytes]) -> bytes:
        return (SEPARATOR + NEXT + SEPARATOR).join(cases)

    async def checked(self, case: bytes) -> Outcome:
        connections = [
            list(records)
            for is_next, records in itertools.groupby(case.split(SEPARATOR), NEXT.__eq__)
            if not is_next
        ]
        found = await asyncio.gather(*(self._connection(records) for records in connections))
        broken = [outcome for outcome in found if outcome.problem]
        return broken[0] if broken else Outcome(" | ".join(outcome.kind for outcome in found))

    async def _connection(self, records: Sequence[bytes]) -> Outcome:
        try:
            came, alone = await all_that_comes(self.fuzzed.port, records)
        except TimeoutError:
            return Outcome("none", "the server does not end the connection")
        return _judged(came, alone)


def _judged(came: bytes, alone: bool) -> Outcome:
    """What came on a connection. alone: whether the client left it open to the end."""
    if not came:
        return Outcome("nothing")
    head, rest = final_answer(came)
    if head is None:
        return Outcome("none", f"no HTTP answer\n{came[:200]!r}") if rest else Outcome("100")
    status = int(head[1])
    if status >= 500:
        return Outcome("none", f"an answer {status}\n{came[:1000]!r}")
    if status != 101:
        return Outcome(f"{status} {_reason(rest)}")
    return _judged_frames(rest, alone)


def _reason(body: bytes) -> str:
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    return without_values(str(told))[:100]


def _judged_frames(data: bytes, alone: bool) -> Outcome:
    kinds: list[str] = []
    open_: dict[str, None] = {}
    for frame in frames(data):
        if frame.opcode == CLOSE:
            code, reason = int.from_bytes(frame.payload[:2], "big"), frame.payload[2:].decode()
            kinds.append(f"close {code} {without_values(reason)[:60]}")
            if reason == "internal error":  # a code alone may be the client's own
                return Outcome("none", f"the server closes with {code}: {reason}")
            if alone and reason == "idle" and open_:
                return Outcome("none", f"no last word for {len(open_)} tasks on an idle connection")
        elif frame.opcode == 1:
            told: Any = orjson.loads(frame.payload)
            kinds.append(_event(told, open_))
    return Outcome("101 " + " ".join(dict.fromkeys(kinds)))


def _event(told: Any, open_: dict[str, None]) -> str:
    """What an event is. open_: the tasks that have started and not ended, which this renews."""
    if "header" not in told:
        return f"error {told['error']}" if "error" in told else f"final {bool(told.get('isFinal'))}"
    header = told["header"]
    event, task_id = str(header["event"]), str(header["task_id"])
    if event == "task-started":
        open_[task_id] = None
    elif event in _LAST:
        open_.pop(task_id, None)
    return f"{event} {header.get('error_code', '')}".strip()


def _changed(record: bytes, rng: random.Random) -> bytes:
    """One or several records in place of one."""
    if rng.random() < 0.03:
        return SEPARATOR.join((record, rng.choice((WAIT, WAIT, END, LEAVE, NEXT))))
    if _HEAD_END in record:
        return mutated_bytes(record, rng, _WORDS)
    frame = parsed(record)
    if frame is None or frame.end != len(record):
        return mutated_bytes(record, rng, _WORDS)
    chance = rng.random()
    if chance < 0.5 and frame.payload[:1] == b"{":
        return framed(frame.first, mutated_json(frame.payload, rng, NAMES))
    if chance < 0.9:
        return SEPARATOR.join(mutated(frame, rng))
    return mutated_bytes(record, rng)


def _request(line: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"{line} HTTP/1.1", "Host: x", f"Authorization: Bearer {SECRET}", *headers]
    return "\r\n".join((*lines, "", "")).encode() + body


def _upgrade(path: str) -> bytes:
    return _request(
        f"GET {path}",
        *("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )


def _seeds() -> Iterator[tuple[bytes, ...]]:
    for talk in TALKS:
        said = [
            frame.encode() for frame in talk.frames(("Hello, wor", "ld. One two.", None, "Three."))
        ]
        yield _upgrade(talk.path), *map(text, said)
        yield _upgrade(talk.path), WAIT, text(said[0]), WAIT, *map(text, said[1:]), WAIT
        unfinished = [*map(text, said[:-1])]
        yield _upgrade(talk.path), *unfinished
        yield (
            _upgrade(talk.path),
            *unfinished,
            text(said[0].replace(b'"t"', b'"u"')),
            *unfinished[1:],
        )
        if talk.run:
            cancel = said[-1].replace(b"finish-task", b"cancel-task")
            yield (
                _upgrade(talk.path),
                *unfinished,
                WAIT,
                text(cancel),
                text(said[0]),
                text(said[-1]),
            )
        yield _upgrade(talk.path), text(said[0]), framed(FIN | CLOSE, b"\x03\xe8")
    for call in CALLS:
        body = orjson.dumps(call.with_text("Hello there."))
        length = f"Content-Length: {len(body)}"
        line = f"POST {call.path}{call.query}"
        yield (_request(line, length, body=body),)
        yield (
            _request(line, "Transfer-Encoding: chunked"),
            b"%x\r\n%s\r\n" % (len(body), body),
            b"0\r\n\r\n",
        )
        yield _request(line, length, "Expect: 100-continue"), WAIT, body
        packed = gzip.compress(body, mtime=0)
        headers = (f"Content-Length: {len(packed)}", "Content-Encoding: gzip")
        yield (_request(line, *headers, body=packed),)
        yield (_request(line, length, body=body) + _request("GET /version"),)
    for line in (
        "GET /healthz",
        "HEAD /metrics",
        "OPTIONS /v1/models",
        "GET /v2/voices?page_size=1",
        "GET /",
    ):
        yield (_request(line),)
    yield (_request("GET /api/v1/audio/reference_audio?limit=5&order=asc"),)
    yield (_request("DELETE /api/v1/audio/reference_audio/x"),)
