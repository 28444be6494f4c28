"""Drives QwenTtsRealtime of the unmodified dashscope SDK through one scenario, and tells of it in JSON.

Arguments: the WebSocket URL, the token, the scenario, a folder for sound, options in JSON.
"""

from __future__ import annotations

import base64
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dashscope
from dashscope.audio.qwen_tts_realtime import QwenTtsRealtime, QwenTtsRealtimeCallback

Result = dict[str, Any]

PATIENCE = 60
"""Seconds for what has to come at last, on a busy machine as well."""


class Listener(QwenTtsRealtimeCallback):
    """Notes all that it is told, in order."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.events: list[Result] = []
        self.sound: list[bytes] = []
        self.closed: list[Any] | None = None
        self._more = threading.Condition()

    def on_close(self, close_status_code: Any, close_msg: Any) -> None:
        with self._more:
            self.closed = [close_status_code, close_msg]
            self._more.notify_all()

    def on_event(self, message: Any) -> None:
        with self._more:
            self.events.append(message)
            self.kinds.append(message["type"])
            if message["type"] == "response.audio.delta":
                self.sound.append(base64.b64decode(message["delta"]))
            self._more.notify_all()

    def wait(self, kind: str, count: int = 1) -> bool:
        """Wait until so many events of this kind came, or until the connection closed."""
        with self._more:
            return self._more.wait_for(
                lambda: self.kinds.count(kind) >= count or self.closed is not None, PATIENCE
            )

    def wait_closed(self) -> None:
        with self._more:
            self._more.wait_for(lambda: self.closed is not None, PATIENCE)

    def told(self) -> Result:
        kinds = [kind for kind in self.kinds if kind != "response.audio.delta"]
        done = [each["response"] for each in self.events if each["type"] == "response.done"]
        errors = [each["error"] for each in self.events if each["type"] == "error"]
        return {"kinds": kinds, "done": done, "errors": errors, "closed": self.closed}


def connected(url: str, options: Result) -> tuple[QwenTtsRealtime, Listener]:
    listener = Listener()
    speech = QwenTtsRealtime(
        options.get("model", "qwen3-tts-flash-realtime"), callback=listener, url=url
    )
    speech.connect()
    given = {"voice": options["voice"], "mode": options.get("mode", "server_commit")}
    speech.update_session(**given, **options.get("more", {}))
    return speech, listener


def stream(url: str, options: Result, out: Path) -> Result:
    """Text in pieces, then the end of the session; sound is heard before the last piece is sent."""
    speech, listener = connected(url, options)
    *pieces, last = options["pieces"]
    for piece in pieces:
        speech.append_text(piece)
    listener.wait("response.audio.delta")
    early = len(listener.sound)
    speech.append_text(last)
    speech.finish()
    listener.wait_closed()
    (out / "stream.bin").write_bytes(b"".join(listener.sound))
    ids = [speech.get_session_id(), speech.get_last_response_id()]
    return {
        **listener.told(),
        "early": early,
        "ids": ids,
        "delay": speech.get_first_audio_delay(),
        "last": speech.get_last_message(),
    }


def turns(url: str, options: Result, out: Path) -> Result:
    """Each text is committed, and heard before the next one is sent; the first one is cleared."""
    speech, listener = connected(url, {**options, "mode": "commit"})
    speech.append_text("This is not to be heard.")
    speech.clear_appended_text()
    for number, text in enumerate(options["texts"], 1):
        speech.append_text(text)
        speech.commit()
        listener.wait("response.done", number)
        (out / f"turn{number}.bin").write_bytes(b"".join(listener.sound))
        listener.sound.clear()
    speech.finish()
    listener.wait_closed()
    return listener.told()


def silence(url: str, options: Result, out: Path) -> Result:
    """The client says a text, and nothing after it."""
    speech, listener = connected(url, options)
    speech.append_text(options["text"])
    listener.wait("response.done")
    (out / "silence.bin").write_bytes(b"".join(listener.sound))
    speech.close()
    listener.wait_closed()
    return listener.told()


def cancel(url: str, options: Result, out: Path) -> Result:
    speech, listener = connected(url, options)
    speech.append_text(options["text"])
    listener.wait("response.audio.delta")
    speech.cancel_response()
    listener.wait("response.done")
    listener.sound.clear()
    speech.append_text(options["next"])
    speech.commit()
    listener.wait("response.done", 2)
    (out / "next.bin").write_bytes(b"".join(listener.sound))
    speech.finish()
    listener.wait_closed()
    return listener.told()


SCENARIOS: dict[str, Callable[[str, Result, Path], Result]] = {
    "stream": stream,
    "turns": turns,
    "silence": silence,
    "cancel": cancel,
}


def main() -> None:
    url, token, scenario, folder, options = sys.argv[1:6]
    dashscope.api_key = token
    print(json.dumps(SCENARIOS[scenario](url, json.loads(options), Path(folder))))


main()
