"""The elevenlabs SDK against a server with TLS: BASE_URL TOKEN FOLDER OPTIONS CERTIFICATE.

Its `convert_realtime` knows no WebSocket without TLS.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from elevenlabs import VoiceSettings
from elevenlabs.client import ElevenLabs
from elevenlabs.core.api_error import ApiError

Report = dict[str, Any]


def times(found: Any) -> Report | None:
    """An alignment as it came."""
    if found is None:
        return None
    return {
        "characters": found.characters,
        "starts": found.character_start_times_seconds,
        "ends": found.character_end_times_seconds,
    }


def error_of(error: ApiError) -> Report:
    return {"status": error.status_code, "body": error.body}


def main(base_url: str, token: str, folder: Path, given: Report) -> None:
    text, voice = given["text"], given["voice"]
    client = ElevenLabs(base_url=base_url, api_key=token)
    speech = client.text_to_speech

    def words() -> Iterator[str]:
        for word in text.split():
            yield word + " "

    def keep(name: str, chunks: Iterator[bytes]) -> int:
        kept = list(chunks)
        (folder / f"{name}.bin").write_bytes(b"".join(kept))
        return len(kept)

    pcm = "pcm_24000"
    report: Report = {"version": version("elevenlabs")}
    report["realtime"] = keep(
        "realtime", speech.convert_realtime(voice, text=words(), output_format=pcm)
    )
    fast = VoiceSettings(stability=0.5, similarity_boost=0.8, speed=1.2)
    report["faster"] = keep(
        "faster",
        speech.convert_realtime(voice, text=words(), output_format=pcm, voice_settings=fast),
    )
    report["realtime_mp3"] = keep("realtime_mp3", speech.convert_realtime(voice, text=words()))
    report["convert"] = keep("convert", speech.convert(voice, text=text))
    report["stream"] = keep("stream", speech.stream(voice, text=text, output_format=pcm))
    whole = speech.convert_with_timestamps(voice, text=text, output_format="wav_24000")
    (folder / "timed.bin").write_bytes(base64.b64decode(whole.audio_base_64))
    report["timed"] = times(whole.alignment)
    chunks = list(speech.stream_with_timestamps(voice, text=text, output_format=pcm))
    sound = b"".join(base64.b64decode(chunk.audio_base_64) for chunk in chunks)
    (folder / "timed_stream.bin").write_bytes(sound)
    report["timed_stream"] = [times(chunk.alignment) for chunk in chunks]
    phone = "ulaw_8000"
    report["phone_realtime"] = keep(
        "phone_realtime", speech.convert_realtime(voice, text=words(), output_format=phone)
    )
    keep("phone", speech.convert(voice, text=text, output_format=phone))
    keep("phone_alaw", speech.stream(voice, text=text, output_format="alaw_8000"))
    report["voices"] = [each.voice_id for each in client.voices.get_all().voices]
    report["search"] = [each.voice_id for each in client.voices.search(search="alb").voices]
    report["voice"] = client.voices.get(voice).name
    report["errors"] = {}
    for name, call in {
        "no_voice": lambda: speech.convert_realtime("nobody", text=words()),
        "no_voice_http": lambda: speech.convert("nobody", text=text),
        "no_format": lambda: speech.convert(voice, text=text, output_format="ulaw_16000"),
    }.items():
        try:
            list(call())
        except ApiError as error:
            report["errors"][name] = error_of(error)
    print(json.dumps(report))


if __name__ == "__main__":
    os.environ["SSL_CERT_FILE"] = sys.argv[5]
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), json.loads(sys.argv[4]))
