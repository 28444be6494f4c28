"""Bytes become whole events, wherever they are cut; what is too long is refused before it is kept."""

from __future__ import annotations

import json

import pytest

from cosyserve.protocol.errors import BadFrame
from cosyserve.protocol.wyoming.framing import EventReader

LONGEST = 200


def event(kind: str, data: bytes = b"", payload: bytes = b"", **fields: object) -> bytes:
    head = {"type": kind, "data_length": len(data), "payload_length": len(payload), **fields}
    return json.dumps(head).encode() + b"\n" + data + payload


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_events_are_whole_however_the_bytes_are_cut(step: int) -> None:
    sent = (
        event("one", '{"text": "é"}'.encode(), b"\0" * 150)
        + b'{"type": "two"}\n'
        + event("three", b"{}")
    )
    reader = EventReader(LONGEST)
    got = []
    for at in range(0, len(sent), step):
        got += reader.feed(sent[at : at + step])
    heads = [each.partition("\n") for each in got]
    assert [json.loads(head)["type"] for head, _, _ in heads] == ["one", "two", "three"]
    assert [data for _, _, data in heads] == ['{"text": "é"}', "", "{}"]


@pytest.mark.parametrize(
    "sent",
    [
        b"x" * (LONGEST + 1),
        b"x" * (LONGEST + 1) + b"\n",
        b"GET / HTTP/1.1\r\n",
        b"[]\n",
        b"\n",
        b'{"type": "a", "data_length": 201}\n',
        b'{"type": "a", "data_length": -1}\n',
        b'{"type": "a", "data_length": 1e400}\n',
        b'{"type": "a", "payload_length": 201}\n',
        b'{"type": "a", "payload_length": true}\n',
        b'{"type": "\xff"}\n',
        event("a", b"\xff"),
    ],
)
def test_what_is_no_event_is_refused(sent: bytes) -> None:
    with pytest.raises(BadFrame):
        list(EventReader(LONGEST).feed(sent))


def test_no_payload_is_kept() -> None:
    reader = EventReader(10_000)
    list(reader.feed(event("a", payload=b"")))
    assert len(list(reader.feed(event("b", payload=b"x" * 9000)[:5000]))) == 1
    assert not reader._kept
