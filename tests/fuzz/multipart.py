"""Forms with a reference clip, as the native dialect takes them: the only upload that there is.

A case's first record holds headers of the request; the others are the body, cut where its parts begin. They
are sent in chunks if the headers ask for that. Either the clip is stored and the answer is 200, or nothing is
stored and the answer is 4xx with the reason.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any, Final

import orjson

from support.recordings.uploads import BARE, SILENT, as_wav

from .client import all_that_comes, final_answer
from .harness import SEPARATOR, Outcome, without_values
from .mutation import mutated_bytes, mutated_records
from .server import SECRET, ServerFuzzer

_PATH: Final = "/api/v1/audio/reference_audio"
_SOUND: Final = BARE[:6400]
_WORDS: Final = (
    b"--cut", b"\r\n", b"\r\n\r\n", b"--cut--", b"--cut\r\n", b'Content-Disposition: form-data; name="file"',
    b"Content-Disposition: form-data; name=text", b'; filename="a"', b"; filename*=utf-8''%ff%41",
    b"; filename*=x", b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: 8bit\r\n",
    b"Content-Type: multipart/mixed; boundary=in\r\n", b"Content-Encoding: gzip\r\n", b"boundary=",
    b'boundary="', b"; charset=utf-16", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n",
    b"Expect: 100-continue\r\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"sample_rate", b"name=",
)  # fmt: skip


class MultipartFuzzer(ServerFuzzer):
    """See the module."""

    name = "multipart"
    cases = 4000
    batch = 40
    repeatable = True

    def seeds(self) -> Sequence[bytes]:
        return [SEPARATOR.join(records) for records in _seeds()]

    def mutated(self, case: bytes, other: bytes, rng: random.Random) -> bytes:
        def change(record: bytes, rng: random.Random) -> bytes:
            # The sound is the other fuzzer's.
            head, end, data = record.partition(b"\r\n\r\n")
            if end and rng.random() < 0.7:
                return mutated_bytes(head, rng, _WORDS) + end + data
            return mutated_bytes(record, rng, _WORDS)

        if rng.random() < 0.02:
            head, *parts = case.split(SEPARATOR)
            return SEPARATOR.join((head, *(parts[:-1] * rng.choice((10, 400, 3000))), *parts[-1:]))
        return mutated_records(case, other, rng, change, fixed=1)

    async def checked(self, case: bytes) -> Outcome:
        head, *parts = case.split(SEPARATOR)
        lines = [f"POST {_PATH} HTTP/1.1", "Host: x", f"Authorization: Bearer {SECRET}"]
        if re.search(rb"^transfer-encoding:", head, re.IGNORECASE | re.MULTILINE):
            body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part)
            body += b"0\r\n\r\n"
        else:
            body = b"".join(parts)
            lines.append(f"Content-Length: {len(body)}")
        whole = "\r\n".join(lines).encode() + b"\r\n" + head + b"\r\n\r\n" + body
        try:
            answer, _ = await all_that_comes(self.fuzzed.port, [whole])
        except TimeoutError:
            return Outcome("none", "the server neither answers nor closes")
        return _judged(answer)

    async def left(self, outcomes: Sequence[Outcome]) -> list[str]:
        """What is kept must be what was accepted; it is deleted."""
        accepted = sum(outcome.kind.startswith(_STORED) for outcome in outcomes)
        store = self.fuzzed.server.services.store
        found = await store.list("alice", 1000, "asc")
        files = [file for file in self.fuzzed.references.rglob("*") if file.is_file()]
        for reference in found:
            await store.delete("alice", reference.id)
        if len(found) != accepted or len(files) != accepted:
            kept = f"{len(found)} clips and {len(files)} files are kept"
            return [f"{accepted} uploads were accepted, {kept}"]
        return []


_STORED: Final = "200"


def _judged(answer: bytes) -> Outcome:
    head, rest = final_answer(answer)
    if head is None:
        return Outcome("none", f"no answer\n{answer[:200]!r}") if rest else Outcome("closed")
    status = int(head[1])
    try:
        body: Any = orjson.loads(rest)
    except orjson.JSONDecodeError:
        return Outcome("none", f"an answer {status} that is no JSON\n{answer[:500]!r}")
    if status == 200 and "id" in body:
        return Outcome(f"{_STORED} {'name' in body} {body['filename'][-4:].isascii()}")
    if not 400 <= status < 500 or not body.get("code") or not body.get("message"):
        return Outcome("none", f"an answer {status} without a reason\n{body!r:.500}")
    return Outcome(f"{status} {without_values(body['message'])[:80]}")


def _part(name: str, data: bytes, more: str = "") -> bytes:
    return (
        f'--cut\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode()
        + data
        + b"\r\n"
    )


def _seeds() -> list[tuple[bytes, ...]]:
    kind, end = b"Content-Type: multipart/form-data; boundary=cut", b"--cut--\r\n"
    text = _part("text", b"What is said.")
    file = _part("file", as_wav(_SOUND), '; filename="a.wav"')
    raw = _part("file", _SOUND, "; filename=\"a.pcm\"; filename*=utf-8''%c3%a9.pcm")
    return [
        (kind, file, text, end),
        (kind, text, file, _part("name", b"Anna"), end),
        (kind, raw, text, _part("sample_rate", b"16000"), end),
        (kind + b"\r\nTransfer-Encoding: chunked", file, text, end),
        (kind.replace(b"cut", b'"cut"'), b"preamble\r\n", text, file, end, b"epilogue"),
        (kind, text, end),
        (kind, _part("file", SILENT, '; filename="s.wav"'), text, end),
        (kind + b"\r\nExpect: 100-continue", file, text, end),
    ]
