"""Everything that decodes what clients write: messages, bodies, queries and documents of all dialects.

A case names its target in the first record; the other records are frames of one connection, or one body.
Nothing but a TTSError may come out, whose message names what is wrong and whose answer can be sent; the
work is bounded; a command or an event is the same once it has been encoded and decoded again.
"""

from __future__ import annotations

import json
import random
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, Self
from urllib.parse import parse_qsl
from uuid import uuid4

import orjson

from cosyserve.protocol import openai
from cosyserve.protocol.breaks import BreakScanner, spoken_text
from cosyserve.protocol.codec import Frame
from cosyserve.protocol.cosyvoice import rest
from cosyserve.protocol.cosyvoice.codec import (
    CosyVoiceCodec,
    decode_command,
    decode_event,
    encode_command,
    encode_event,
)
from cosyserve.protocol.dashscope import DashScopeCodec
from cosyserve.protocol.dashscope_realtime import RealtimeCodec
from cosyserve.protocol.elevenlabs import MultiStreamCodec, StreamCodec, stream_options
from cosyserve.protocol.elevenlabs import rest as elevenlabs
from cosyserve.protocol.errors import BadFrame, TTSError
from cosyserve.protocol.json_text import decode
from cosyserve.protocol.messages import (
    ChunkMetrics,
    EndSession,
    Event,
    Reply,
    ResultGenerated,
    RunTask,
    Sentence,
    Several,
    TaskFinished,
    TaskStarted,
    Word,
)
from cosyserve.protocol.surrogates import well_formed
from cosyserve.protocol.task import TaskProtocol, TaskState
from cosyserve.protocol.text import TextLimits
from cosyserve.protocol.vllm_omni import VllmOmniCodec
from cosyserve.server.dialects import find_route
from cosyserve.server.dialects.served import DIALECTS
from cosyserve.server.http.forms import boundary_of, parse_form
from cosyserve.server.port.heads import parse_head, rough_target
from cosyserve.server.port.request_target import tidy_head
from cosyserve.server.ssml.document import Run, spoken_document
from cosyserve.server.ssml.parse import ATTRIBUTES, parse
from cosyserve.server.ssml.plain import plain_nodes
from support.peers.texts import CALLS, TALKS
from support.tools.protocol_examples import COMMANDS, EVENTS

from .harness import SEPARATOR, Outcome, TooMuchWork, bounded_work, unexpected, without_values
from .mutation import mutated_bytes, mutated_json, mutated_records

SECONDS: Final = 10.0
"""Processor time of a case; the largest ones take some tens of milliseconds."""
LIMITS: Final = TextLimits(20_000, 50_000)
_LONGEST_MESSAGE: Final = 6000
"""Characters of an error's message: one sentence for each of the fields of a run-task."""
_NAMES_THE_FAULT: Final = re.compile(
    r"(?:[A-Za-z_][\w.-]*(?: \d+)?(?:, line \d+, column \d+)?: "  # a field, a header, SSML and its place
    r"|not JSON: |header \d+ is |the (?:SSML|breaks|form|body|query|request|path|URL)\b|no (?:model|task) "
    r"|a (?:valid|binary) |(?:run|continue|finish|cancel)-task: |an upgrade )"
)

NAMES: Final = (
    *("header", "payload", "action", "task_id", "streaming", "task_group", "task", "function"),
    *("model", "parameters", "input", "text", "flush", "mode", "reference_audio_id", "instruct"),
    *("output_format", "sample_rate", "bit_rate", "volume", "speed", "debug", "seed", "pitch"),
    *("audio_transport", "enable_ssml", "word_timestamp_enabled", "voice", "format", "rate"),
    *("instruction", "text_type", "hot_fix", "directive", "stream", "stream_format", "id"),
    *("response_format", "instructions", "voice_settings", "generation_config", "context_id"),
    *("contextId", "close_context", "close_socket", "pronunciation_dictionary_locators"),
    *("model_id", "apply_text_normalization", "event", "output", "audio", "data", "metrics"),
    *("speech_len", "words", "marks", "notices", "finish_reason", "usage", "characters"),
    *("type", "stream_audio", "word_timestamps", "task_type", "speaker", "ref_audio"),
    *("session", "speech_rate", "pitch_rate", "response_id", "event_id"),
    *("queue_time", "tokens", "begin_time", "error_code", "error_message", "attributes"),
)  # fmt: skip


class Broken(Exception):
    """Something that must hold does not."""


# Connections

_OPENERS: Final[dict[str, Callable[[bytes], TaskProtocol]]] = {
    "cosyvoice": lambda _: TaskProtocol(CosyVoiceCodec(), LIMITS),
    "dashscope": lambda _: TaskProtocol(
        DashScopeCodec(20.0, lambda: "an-id"), LIMITS, one_at_a_time=True
    ),
    "stream": lambda query: TaskProtocol(StreamCodec(_options(query)), LIMITS),
    "multi": lambda query: TaskProtocol(MultiStreamCodec(_options(query)), LIMITS),
    "omni": lambda _: TaskProtocol(VllmOmniCodec(), LIMITS),
    "realtime": lambda _: TaskProtocol(
        RealtimeCodec("cosyvoice-v2", LIMITS, lambda: str(uuid4())), LIMITS
    ),
}


def _options(query: bytes) -> Any:
    return stream_options("plain", dict(_fields(query)))


def _fields(query: bytes) -> list[tuple[str, str]]:
    return parse_qsl(query.decode("latin-1"), keep_blank_values=True)[:100]


def _conversation(open_: Callable[[bytes], TaskProtocol], records: Sequence[bytes]) -> str:
    """All frames on one connection, with an engine's events in between. The first record has the query, and
    after how many frames the engine goes on."""
    query, *frames = records
    protocol = open_(query[1:])
    engine = _Engine(protocol)
    lag = 1 + query[:1][0] % 3 if query else 1
    kinds = []
    for number, data in enumerate(frames, 1):
        try:
            command = protocol.receive(_as_text(data))
        except BadFrame as error:
            kinds.append(_told(error))
            break
        except TTSError as error:
            for frame in protocol.answer(error):
                _check_frame(frame)
            kinds.append(_told(error))
        else:
            kinds.append(type(command).__name__)
            for each in command.commands if isinstance(command, Several) else (command,):
                engine.take(protocol.take(each) if isinstance(command, Several) else each)
        if number % lag == 0:
            engine.go_on()
    engine.go_on()
    return " ".join(sorted(set(kinds)))


def _as_text(data: bytes) -> str | bytes:
    """As the server has it: text, but for what is no UTF-8, which the library refuses before."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


class _Engine:
    """Sends all that a connection's tasks may be sent: a word for each word of their texts."""

    def __init__(self, protocol: TaskProtocol) -> None:
        self._protocol = protocol
        self._texts: dict[str, str] = {}
        self._said: dict[str, int] = {}

    def take(self, command: object) -> None:
        match command:
            case RunTask(task_id=task_id, text=text):
                self._texts[task_id], self._said[task_id] = text, 0
            case EndSession(remainders=remainders):
                for task_id, text in remainders.items():
                    self._texts[task_id] = self._texts.get(task_id, "") + text
            case None | Reply():
                pass
            case _:
                task_id = getattr(command, "task_id", "")
                self._texts[task_id] = self._texts.get(task_id, "") + getattr(command, "text", "")

    def go_on(self) -> None:
        for task_id in sorted(self._protocol.running):
            for event in self._events(task_id):
                for frame in self._protocol.send(event):
                    _check_frame(frame)

    def _events(self, task_id: str) -> Iterator[Event]:
        state = self._protocol.state(task_id)
        if state is TaskState.CANCELLING:
            yield TaskFinished(task_id, "cancelled")
            return
        if state in (TaskState.ACCEPTED, TaskState.ACCEPTED_WHOLE):
            yield TaskStarted(task_id)
        begin, text = self._said[task_id], self._texts[task_id]
        if text[begin:].strip():
            found = list(re.finditer(r"\S+", text[begin : begin + 2000]))
            words = tuple(
                Word(
                    each[0],
                    0.1 * number,
                    0.1 * number + 0.1,
                    begin + each.start(),
                    begin + each.end(),
                )
                for number, each in enumerate(found)
            )
            sentences = (Sentence(begin, begin, len(text), text[begin:]),)
            cost = ChunkMetrics(0.1 * max(1, len(found)), 0.01, 0.01)
            yield ResultGenerated(
                task_id, "a", b"\0\1", cost, begin=0.1 * begin, words=words, sentences=sentences
            )
        self._said[task_id] = len(text)
        if self._protocol.state(task_id) is TaskState.FINISHING:
            yield TaskFinished(task_id, notices=("one",))


def _check_frame(frame: Frame) -> None:
    if frame.text or frame.attachment is None:
        orjson.loads(frame.text)


def _command(records: Sequence[bytes]) -> str:
    command = decode_command(records[0])
    if well_formed(text := getattr(command, "text", "")) != text:
        return "half a character"
    if (again := decode_command(encode_command(command))) != command:
        raise Broken(f"a command is another one once encoded: {command!r:.200}, {again!r:.200}")
    return type(command).__name__


def _event(records: Sequence[bytes]) -> str:
    event = decode_event(records[0])
    frame = encode_event(event)
    again = decode_event(frame.text)
    # Times are whole milliseconds on the wire, and the bytes of a binary event come in another frame.
    if encode_event(again).text != encode_event(decode_event(encode_event(again).text)).text:
        raise Broken(f"an event is another one once encoded: {event!r:.200}")
    return type(event).__name__


# Bodies, queries, heads, forms


def _bodies(records: Sequence[bytes]) -> str:
    kinds = []
    body = records[-1]
    fields = dict(_fields(records[0])) if len(records) > 1 else {}
    readers: tuple[Callable[[], Any], ...] = (
        lambda: rest.parse_speech_request(body, LIMITS),
        lambda: _openai(body),
        lambda: elevenlabs.parse_speech("plain", fields, body, LIMITS).parameters,
        lambda: rest.parse_list_query(fields),
        lambda: elevenlabs.parse_voice_query(fields),
    )
    for read in readers:
        try:
            kinds.append(type(read()).__name__)
        except TTSError as error:
            kinds.append(_told(error))
    return " | ".join(kinds)


def _openai(body: bytes) -> object:
    asked = openai.parse_speech(body, 20_000)
    return asked.parameters(instruct=bool(asked.instructions))


def _head(records: Sequence[bytes]) -> str:
    head = records[0]
    target = rough_target(tidy_head(head))
    found = parse_head(head)
    route = find_route(found.target, DIALECTS)
    boundary = "; ".join(found.values("content-type"))
    if boundary:
        boundary_of(boundary)
    return f"{found.is_upgrade} {route and route.route.path} {sorted(found.headers)} {bool(target)}"


def _form(records: Sequence[bytes]) -> str:
    boundary = boundary_of(records[0].decode("latin-1"))
    parts = list(parse_form(records[-1], boundary))
    return " ".join(f"{part.name[:8]} {part.filename is None}" for part in parts)


def _json(records: Sequence[bytes]) -> str:
    value = decode(records[0])
    if decode(json.dumps(value)) != value:
        raise Broken("JSON is another value once encoded")
    return type(value).__name__


# SSML and breaks


def _ssml(records: Sequence[bytes]) -> str:
    text = records[0].decode("utf-8", "replace")
    document = spoken_document(parse(text), lambda sounds: len(sounds.written) % 2 == 0, "Before.")
    runs = [part for part in document.parts if isinstance(part, Run)]
    low, high = len("Before."), len("Before.") + len(document.plain)
    for run in runs:
        for begin, end in ((0, 1), (0, run.length), (run.length // 2, run.length)):
            first, last = run.plain(begin, end)
            if not low <= first <= last <= high:
                raise Broken(f"a run lies at {first}:{last}, outside of its text at {low}:{high}")
    kinds = [type(part).__name__ for part in document.parts]
    return f"{' '.join(kinds[:12])} {len(document.notices)}"


def _breaks(records: Sequence[bytes]) -> str:
    pieces = [record.decode("utf-8", "replace") for record in records]
    whole, cut = BreakScanner(), BreakScanner()
    one = [*whole.feed("".join(pieces)), *whole.finish()]
    found = [part for piece in pieces for part in cut.feed(piece)] + cut.finish()
    if spoken_text(one) != spoken_text(found) or _only_breaks(one) != _only_breaks(found):
        raise Broken("breaks depend on where the text is cut")
    plain_nodes("".join(pieces))
    return f"{len(_only_breaks(one))}"


def _only_breaks(parts: Sequence[object]) -> list[object]:
    return [part for part in parts if not isinstance(part, str)]


def _told(error: TTSError) -> str:
    """What makes errors alike. Raises Broken for one that no client can be told, or that tells nothing."""
    message = error.message
    if not 400 <= error.status < 500:
        raise Broken(f"a client's fault is told as {error.status}: {message[:200]}")
    if len(message) > _LONGEST_MESSAGE:
        raise Broken(f"an error's message has {len(message)} characters: {message[:200]!r}")
    if any(unicodedata.category(character) == "Cc" for character in message):
        raise Broken(f"an error's message has control characters: {message[:200]!r}")
    if not _NAMES_THE_FAULT.match(message):
        raise Broken(f"an error's message does not name what is wrong: {message[:200]!r}")
    for body in (
        rest.error_body(error, "id"),
        openai.error_body(error),
        elevenlabs.error_body(error),
    ):
        orjson.dumps(body)
    orjson.dumps(elevenlabs.error_message(error.code, message))
    return f"{type(error).__name__}: {without_values(message)[:80]}"


_TARGETS: Final[dict[str, Callable[[Sequence[bytes]], str]]] = {
    **{name: partial(_conversation, open_) for name, open_ in _OPENERS.items()},
    "command": _command,
    "event": _event,
    "bodies": _bodies,
    "head": _head,
    "form": _form,
    "json": _json,
    "ssml": _ssml,
    "breaks": _breaks,
}

_TAGS: Final = (
    *(f"<{name}>" for name in ATTRIBUTES),
    *(f"</{name}>" for name in ATTRIBUTES),
    *(f' {name}="1"' for names in ATTRIBUTES.values() for name in names),
    *("<break time='1s'/>", "<![CDATA[", "]]>", "<!--", "-->", "<?xml?>", "&amp;", "&#0;", "&x;"),
    *("<!DOCTYPE a [<!ENTITY b 'c'>]>", "&#x10ffff;", "-10%", "+200%", "+2st", "6dB", "silent"),
    *("12.5", "3/4", "$5.00", "2024-02-30", "25:61", "cardinal", "ordinal", "date", "time"),
)  # fmt: skip
_WORDS: Final = tuple(word.encode() for word in _TAGS)
_QUERIES: Final = (
    b"output_format=pcm_24000", b"output_format=mp3_44100_128&auto_mode=true&seed=1",
    b"enable_ssml_parsing=true&sync_alignment=1&inactivity_timeout=5", b"limit=5&order=asc",
    b"search=a&page_size=3&next_page_token=MyBh", b"model_id=eleven_v3&apply_text_normalization=on",
)  # fmt: skip


class CodecFuzzer:
    """See the module."""

    name = "codec"
    cases = 60_000
    batch = 50
    shrinking = 300
    repeatable = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def seeds(self) -> Sequence[bytes]:
        return [SEPARATOR.join(records) for records in _seeds()]

    def mutated(self, case: bytes, other: bytes, rng: random.Random) -> bytes:
        target = case.split(SEPARATOR, 1)[0].decode("latin-1")

        def change(record: bytes, rng: random.Random) -> bytes:
            if record == target.encode() and rng.random() < 0.99:
                return record
            if target in ("ssml", "breaks"):
                return mutated_bytes(record, rng, _WORDS)
            if record[:1] in (b"{", b"[") and rng.random() < 0.8:
                return mutated_json(record, rng, NAMES)
            return mutated_bytes(record, rng, _QUERIES if len(record) < 200 else ())

        return mutated_records(case, other, rng, change, fixed=2 if target in _OPENERS else 1)

    def check(self, cases: Sequence[bytes]) -> list[Outcome]:
        return [self._check(case) for case in cases]

    def _check(self, case: bytes) -> Outcome:
        target, *records = case.split(SEPARATOR)
        read = _TARGETS.get(target.decode("latin-1"))
        if read is None or not records:
            return Outcome("no case")
        name = target.decode()
        try:
            with bounded_work(SECONDS):
                try:
                    return Outcome(f"{name} {read(records)}")
                except TTSError as error:
                    return Outcome(f"{name} {_told(error)}")
        except Broken as broken:
            return Outcome(name, f"{name}: {broken}")
        except TooMuchWork as work:
            return Outcome(name, f"{name}: {work}")
        except Exception as error:
            return Outcome(name, f"{name}: {unexpected(error)}")


_DOCUMENTS: Final = (
    "<speak>One, <break time='1s'/>two. <mark name='m'/><emphasis level='strong'>Three</emphasis>.</speak>",
    "<speak rate='1.2' pitch='0.9' volume='60'><p>你好，<s>世界。</s></p><sub alias='b'>c</sub></speak>",
    "<?xml version='1.0'?><speak><prosody rate='80%' pitch='+2st' volume='+6dB'>a b</prosody></speak>",
    "<speak><say-as interpret-as='date' format='mdy'>1/2/2024</say-as> <phoneme ph='x'>y</phoneme></speak>",
    "<speak>a</speak> <speak bgm='x'><lang xml:lang='de-DE'>&lt;b&gt;</lang></speak>",
    "<speak><say-as interpret-as='cardinal'>-12.5</say-as> <say-as interpret-as='unit'>3 km</say-as></speak>",
)
_BREAKS: Final = (
    'a<break time="600ms"/>b',
    "<break strength='weak'></break>",
    "1 < 2 <brea",
    "<break\n/>",
)
_FORM: Final = (
    b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n'
    b'--cut\r\nContent-Disposition: form-data; name="text"\r\nContent-Type: text/plain\r\n\r\nwords\r\n'
    b"--cut--\r\n"
)
_HEADS: Final = (
    b"GET /api-ws/v1/audio/speech HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade",
    b'POST /v1//audio/speech/?a=b HTTP/1.0\r\nContent-Type: multipart/form-data; boundary="a b"\r\nHost: y',
    b"GET /v1/text-to-speech/%C3%A9/stream-input?seed=1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket",
)


def _seeds() -> Iterator[tuple[bytes, ...]]:
    """The records of each, behind the name of its target."""
    names = {"own": "cosyvoice", "dashscope": "dashscope", "stream-input": "stream"}
    for talk in TALKS:
        said = ("Hello, wor", "ld. \U0001f600 <break time='1s'/>", None, "Good morning!")
        for ssml, lag in ((False, b"0"), (True, b"2")):
            query = b"enable_ssml_parsing=true&auto_mode=true" if ssml else _QUERIES[0]
            frames = (frame.encode() for frame in talk.frames(said, ssml=ssml))
            yield names.get(talk.name, "multi").encode(), lag + query, *frames
    said = ("Hello, wor", "ld. \\ud83d", "\\ude00 Good morning!")
    frames = [b'{"type":"input.text","text":"%s"}' % text.encode() for text in said]
    config = b'{"type":"session.config","voice":"Vivian","response_format":"pcm","speed":1.5,%s}'
    for more, lag in ((b'"stream_audio":true', b"0"), (b'"word_timestamps":"true"', b"2")):
        done = b'{"type":"input.done"}'
        yield b"omni", lag, config % more, *frames, done, config % more, done, frames[0], done
    yield b"omni", b"1", config % b'"seed":7', *frames, b'{"type":"session.close"}'
    said = [b'{"type":"input_text_buffer.append","text":"%s"}' % text.encode() for text in said]
    update = b'{"type":"session.update","session":{"voice":"Cherry","mode":"%s","volume":60,"bit_rate":64}}'
    commit, clear, cancel, finish = (
        b'{"type":"%s"}' % kind
        for kind in (
            *(b"input_text_buffer.commit", b"input_text_buffer.clear"),
            *(b"response.cancel", b"session.finish"),
        )
    )
    for mode in (b"server_commit", b"commit"):
        yield b"realtime", b"0", update % mode, *said, commit, cancel, *said, finish
        yield (
            b"realtime",
            b"1",
            update % mode,
            *said,
            clear,
            said[0],
            cancel,
            update % b"commit",
            finish,
        )
    for command in COMMANDS:
        yield b"command", encode_command(command)
    for event in EVENTS:
        yield b"event", encode_event(event).text
    for call in CALLS:
        for query in _QUERIES:
            yield b"bodies", query, orjson.dumps(call.with_text("Hello there."))
    yield b"bodies", b"", orjson.dumps({"text": "a", "seed": "7", "voice_settings": {"speed": 0.9}})
    for head in _HEADS:
        yield b"head", head
    yield b"form", b"multipart/form-data; boundary=cut", _FORM
    for text in (
        b'{"a": "\\ud83d\\ude00 \\ud800", "b": [1.5, -2, true, null]}',
        b"\xef\xbb\xbf[1]",
    ):
        yield b"json", text
    for document in _DOCUMENTS:
        yield b"ssml", document.encode()
    pieces = [piece.encode() for piece in _BREAKS]
    for piece in pieces:
        yield b"breaks", piece
    yield b"breaks", *pieces
