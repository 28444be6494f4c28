from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosyserve.protocol.errors import ReferenceAudioNotFound
from cosyserve.server.voices import Reference
from cosyserve.server.voices.consent import Consent
from cosyserve.server.voices.record import (
    DamagedClip,
    NeedMore,
    RisingClock,
    check_owner,
    decode,
    decode_head,
    encode_head,
    is_id,
)
from support.peers.references import SOUND, make_reference

any_text = st.text(st.characters(exclude_categories=()))  # lone surrogates too
references = st.builds(
    Reference,
    id=st.uuids().map(str),
    owner=any_text,
    filename=any_text,
    bytes=st.just(len(SOUND)),
    created_at=st.integers(0, 2**63),
    text=any_text,
    content_id=any_text,
    pcm_rate=st.none() | st.integers(1, 192000),
    name=any_text,
)


@given(references, st.integers(0, 2**63), st.binary())
def test_any_clip_is_read_as_it_was_written(
    reference: Reference, sequence: int, data: bytes
) -> None:
    reference = replace(reference, bytes=len(data))
    stored = encode_head(reference, sequence, data) + data
    head = decode_head(stored, reference.id)
    assert (head.reference, head.sequence) == (reference, sequence)
    assert decode(stored, head) == data


@given(references)
def test_a_head_asks_for_the_bytes_it_lacks(reference: Reference) -> None:
    head = encode_head(reference, 1, SOUND)
    with pytest.raises(NeedMore) as more:
        decode_head(head[:12], reference.id)
    assert more.value.size == len(head)
    assert decode_head(head[: more.value.size], reference.id).reference == reference


def test_consent_is_read_as_it_was_written_and_damage_in_it_is_damage() -> None:
    consent = Consent("Ann\u00e4 \U0001f600", "2026-01-31", "At the studio.\nTwice.")
    reference = replace(make_reference(), consent=consent)
    stored = encode_head(reference, 1, SOUND)
    assert decode_head(stored, reference.id).reference == reference
    fields = json.loads(stored[12:])
    for wrong in ("yes", 1, [], {"by": "Anna"}, {**fields["consent"], "date": 7}):
        damaged = json.dumps({**fields, "consent": wrong}).encode()
        with pytest.raises(DamagedClip):
            decode_head(stored[:8] + len(damaged).to_bytes(4, "big") + damaged, reference.id)


def test_a_clip_of_a_server_that_knew_no_names_is_read() -> None:
    reference = make_reference()
    head = encode_head(reference, 1, SOUND)
    fields = json.loads(head[12:])
    assert fields.pop("name") == ""
    assert fields.pop("consent") is None
    old = json.dumps(fields).encode()
    stored = head[:8] + len(old).to_bytes(4, "big") + old + SOUND
    assert decode_head(stored, reference.id).reference == reference
    assert decode(stored, decode_head(stored, reference.id)) == SOUND


@given(st.integers(0, 2000), st.integers(1, 255))
def test_a_changed_byte_never_gives_another_clip(place: int, change: int) -> None:
    reference = make_reference()
    stored = bytearray(encode_head(reference, 7, SOUND) + SOUND)
    place %= len(stored)
    stored[place] ^= change
    try:
        head = decode_head(bytes(stored), reference.id)
        data = decode(bytes(stored), head)
    except (DamagedClip, NeedMore):
        return
    # Metadata has no checksum of its own: a changed letter in it may pass, the sound may not.
    assert data == SOUND


@given(st.binary())
def test_any_bytes_are_a_clip_or_damage(data: bytes) -> None:
    with pytest.raises(DamagedClip):
        decode_head(data, make_reference().id)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"id": 1}',
        b'{"id": "00000000-0000-0000-0000-000000000000"}',
    ],
    ids=lambda head: repr(head[:20]),
)
def test_a_head_of_other_json_is_damage(head: bytes) -> None:
    with pytest.raises(DamagedClip):
        decode_head(b"cosyclp1" + len(head).to_bytes(4, "big") + head, make_reference().id)


def test_a_head_that_claims_gigabytes_is_damage() -> None:
    with pytest.raises(DamagedClip):
        decode_head(b"cosyclp1" + b"\xff" * 4, make_reference().id)


def test_another_clips_bytes_under_this_id_are_damage() -> None:
    stored = encode_head(make_reference(), 1, SOUND)
    with pytest.raises(DamagedClip):
        decode_head(stored, make_reference().id)


@given(st.text())
def test_only_lower_case_uuids_are_ids(text: str) -> None:
    assert not is_id(text)
    assert is_id(make_reference().id)


def test_the_owner_is_compared_whole() -> None:
    reference = make_reference(owner="alice")
    head = decode_head(encode_head(reference, 1, SOUND), reference.id)
    assert check_owner(head, "alice") is check_owner(head, None) is head
    for other in ("", "Alice", "alice ", "alic"):
        with pytest.raises(ReferenceAudioNotFound):
            check_owner(head, other)


def test_the_clock_rises_however_fast_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([5, 5, 3, 10])
    monkeypatch.setattr("time.time_ns", lambda: next(times))
    clock = RisingClock()
    assert [clock.next() for _ in range(4)] == [5, 6, 7, 10]
