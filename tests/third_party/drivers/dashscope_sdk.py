"""Drives a server with the unmodified dashscope SDK. Run with the clients' own Python:

    dashscope_sdk.py URL TOKEN SCENARIO OUT_FOLDER [JSON]

Writes what was heard to OUT_FOLDER/<name>.bin and prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dashscope
import requests
from dashscope.audio.http_tts import HttpSpeechSynthesizer
from dashscope.audio.tts_v2 import (
    AudioFormat,
    ResultCallback,
    SpeechSynthesizer,
    SpeechSynthesizerObjectPool,
    VoiceEnrollmentException,
    VoiceEnrollmentService,
)

Result = dict[str, Any]


PATIENCE = 60
"""Seconds for what has to come at last, on a busy machine as well."""


class Listener(ResultCallback):
    """Notes all that it is told, in order, with the seconds since it was made."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.notes: list[tuple[str, float]] = []
        self.events: list[Any] = []
        self.data: list[bytes] = []
        self.error: str | None = None
        self.closed = threading.Event()
        self._more_heard = threading.Condition()

    def wait_heard(self, chunks: int, seconds: float) -> bool:
        """Wait until there are so many chunks of sound; whether they came in time."""
        with self._more_heard:
            return self._more_heard.wait_for(lambda: len(self.data) >= chunks, seconds)

    def _note(self, what: str) -> None:
        self.notes.append((what, time.monotonic() - self.began))

    def on_open(self) -> None:
        self._note("open")

    def on_complete(self) -> None:
        self._note("complete")

    def on_error(self, message: Any) -> None:
        self.error = str(message)
        self._note("error")

    def on_close(self) -> None:
        self._note("close")
        self.closed.set()

    def on_event(self, message: str) -> None:
        self.events.append(json.loads(message))
        self._note("event")

    def on_data(self, data: bytes) -> None:
        with self._more_heard:
            self.data.append(bytes(data))
            self._more_heard.notify_all()
        self._note("data")

    def told(self) -> Result:
        return {
            "notes": [what for what, _ in self.notes],
            "times": [at for _, at in self.notes],
            "events": self.events,
            "sizes": [len(each) for each in self.data],
            "error": self.error,
        }


def synthesizer(options: Result, callback: ResultCallback | None = None) -> SpeechSynthesizer:
    return SpeechSynthesizer(
        model=options.get("model", "cosyvoice-v2"),
        voice=options["voice"],
        format=AudioFormat[options.get("format", "DEFAULT")],
        callback=callback,
        additional_params=options.get("additional"),
        **options.get("more", {}),
    )


def call(options: Result, out: Path) -> Result:
    speech = synthesizer(options)
    data = speech.call(options["text"])
    (out / "call.bin").write_bytes(data or b"")
    return {"delay": speech.get_first_package_delay(), "last": speech.get_response()}


def formats(options: Result, out: Path) -> Result:
    """The text in every format that the SDK names."""
    names = [each.name for each in AudioFormat]
    for name in names:
        data = synthesizer({**options, "format": name}).call(options["text"])
        (out / f"{name}.bin").write_bytes(data or b"")
    return {"formats": {each.name: [each.format, each.sample_rate] for each in AudioFormat}}


def stream(options: Result, out: Path) -> Result:
    listener = Listener()
    speech = synthesizer(options, listener)
    for piece in options["pieces"]:
        speech.streaming_call(piece)
    listener.wait_heard(1, PATIENCE)
    heard_before_the_end = len(listener.data)
    speech.streaming_complete()
    listener.closed.wait(PATIENCE)
    (out / "stream.bin").write_bytes(b"".join(listener.data))
    return {**listener.told(), "early": heard_before_the_end}


def flush(options: Result, out: Path) -> Result:
    """A piece without an end is heard after a flush, while the task goes on."""
    listener = Listener()
    speech = synthesizer(options, listener)
    speech.streaming_call(options["pieces"][0])
    listener.wait_heard(1, seconds=0.5)
    before = len(listener.data)
    speech.streaming_flush()
    listener.wait_heard(before + 1, PATIENCE)
    after = len(listener.data)
    speech.streaming_call(options["pieces"][1])
    speech.streaming_complete()
    (out / "flush.bin").write_bytes(b"".join(listener.data))
    return {**listener.told(), "before": before, "after": after}


def cancel(options: Result, out: Path) -> Result:
    listener = Listener()
    speech = synthesizer(options, listener)
    speech.streaming_call(options["text"])
    heard = listener.wait_heard(1, PATIENCE)
    speech.streaming_cancel()
    listener.closed.wait(PATIENCE)  # the SDK returns before it tells its callback
    return {**listener.told(), "heard": heard}


def failure(options: Result, out: Path) -> Result:
    """What the caller and a callback are told of a task that fails."""
    told: Result = {}
    try:
        synthesizer(options).call(options["text"])
    except Exception as error:
        told["raised"] = [type(error).__name__, str(error)]
        told["code"] = getattr(error, "name", None)
    listener = Listener()
    try:
        synthesizer(options, listener).call(options["text"])
    except Exception as error:
        told["raised_with_callback"] = [type(error).__name__, str(error)]
    listener.closed.wait(PATIENCE)
    return {**told, **listener.told()}


def silent_client(options: Result, out: Path) -> Result:
    """Text stops coming: the server ends the task."""
    listener = Listener()
    speech = synthesizer(options, listener)
    speech.streaming_call(options["text"])
    listener.closed.wait(PATIENCE)
    return listener.told()


def pool(options: Result, out: Path) -> Result:
    """Several tasks one after another on a pooled connection."""
    objects = SpeechSynthesizerObjectPool(max_size=2)
    sizes = []
    try:
        for number in range(3):
            listener = Listener()
            speech = objects.borrow_synthesizer(
                model="cosyvoice-v2",
                voice=options["voice"],
                format=AudioFormat.PCM_24000HZ_MONO_16BIT,
                callback=listener,
            )
            socket = id(speech.ws)
            speech.call(options["text"])
            listener.closed.wait(PATIENCE)
            speech._stopped.wait(
                PATIENCE
            )  # set by a thread of the SDK, and by nothing for a next task
            (out / f"pool{number}.bin").write_bytes(b"".join(listener.data))
            sizes.append([sum(map(len, listener.data)), socket, listener.told()["notes"][-2:]])
            objects.return_synthesizer(speech)
    finally:
        objects.shutdown()
    return {"sizes": sizes}


def session(options: Result, out: Path) -> Result:
    """The SDK's newer client: text in and events out on one iterator."""
    from dashscope.v2 import Client

    client = Client(api_key=dashscope.api_key)
    data, kinds = bytearray(), []
    with client.audio.tts.connect(
        model="cosyvoice-v2",
        voice=options["voice"],
        format="pcm",
        sample_rate=24000,
        ws_url=dashscope.base_websocket_api_url,
    ) as speech:
        for piece in options["pieces"]:
            speech.send_text(piece)
        speech.flush()
        speech.stop()
        for event in speech.events():
            if isinstance(event, bytes):
                data += event
            else:
                output = event["payload"].get("output") or {}
                kinds.append(output.get("type") or event["header"]["event"])
    (out / "session.bin").write_bytes(bytes(data))
    return {"kinds": kinds, "usage": speech.usage, "delay": speech.first_package_delay}


def http(options: Result, out: Path) -> Result:
    """The same text over HTTP: as a stream, and whole from its address."""
    given = {"model": "cosyvoice-v2", "text": options["text"], "voice": options["voice"]}
    given |= {"audio_format": "pcm", **options.get("more", {})}
    *pieces, last = HttpSpeechSynthesizer.call(**given, stream=True)
    (out / "stream.bin").write_bytes(b"".join(each.audio_data for each in pieces))
    (out / "joined.bin").write_bytes(last.audio_data)
    whole = HttpSpeechSynthesizer.call(**given)
    (out / "whole.bin").write_bytes(requests.get(whole.audio_url, timeout=PATIENCE).content)
    return {
        "pieces": len(pieces),
        "sentences": last.sentences,
        "usage": [last.usage, whole.usage],
        "ids": [last.audio_id, whole.audio_id],
        "expires_at": whole.expires_at,
    }


def http_failure(options: Result, out: Path) -> Result:
    given = {"model": "cosyvoice-v2", "text": "Hello.", "voice": "nobody"}
    whole = HttpSpeechSynthesizer.call(**given)
    try:
        list(HttpSpeechSynthesizer.call(**given, stream=True))
        raised = None
    except RuntimeError as error:
        raised = str(error)
    told = [whole.status_code, whole.code, whole.message, whole.request_id]
    return {"whole": told, "raised": raised}


def enrollment(options: Result, out: Path) -> Result:
    service = VoiceEnrollmentService()
    made = service.create_voice("cosyvoice-v2", prefix="mine", url=options["clip"])
    listed = service.list_voices(prefix="mine")
    queried = service.query_voice(made)
    service.update_voice(made, options["clip"])
    data = SpeechSynthesizer(model="cosyvoice-v2", voice=made).call("Hello.")
    (out / "enrolled.bin").write_bytes(data or b"")
    service.delete_voice(made)
    try:
        service.query_voice(made)
        error = None
    except VoiceEnrollmentException as found:
        error = str(found)
    left = service.list_voices()
    return {"made": made, "listed": listed, "queried": queried, "error": error, "left": left}


SCENARIOS: dict[str, Callable[[Result, Path], Result]] = {
    "call": call,
    "formats": formats,
    "stream": stream,
    "flush": flush,
    "cancel": cancel,
    "failure": failure,
    "silent_client": silent_client,
    "pool": pool,
    "session": session,
    "enrollment": enrollment,
    "http": http,
    "http_failure": http_failure,
}


def main() -> None:
    url, token, scenario, folder = sys.argv[1:5]
    options = json.loads(sys.argv[5]) if len(sys.argv) > 5 else {}
    dashscope.base_websocket_api_url = url
    dashscope.base_http_api_url = url.replace("ws", "http", 1).replace(
        "/api-ws/v1/inference", "/api/v1"
    )
    dashscope.api_key = token
    print(json.dumps(SCENARIOS[scenario](options, Path(folder))))


main()
