"""The calls that Open WebUI makes of a speech service, in its way: BASE_URL TOKEN FOLDER.

It asks for models and voices without a token, and falls back to lists of its own if it is refused;
some of its forks send the token.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
import requests


def listed(base_url: str, headers: dict[str, str]) -> dict[str, Any]:
    models = requests.get(f"{base_url}/audio/models", headers=headers, timeout=30)
    voices = requests.get(f"{base_url}/audio/voices", headers=headers, timeout=30)
    if models.status_code != 200:
        return {"models": models.status_code, "voices": voices.status_code}
    return {
        "models": [model["id"] for model in models.json().get("models", [])],
        "voices": {voice["id"]: voice["name"] for voice in voices.json().get("voices", [])},
    }


async def speech(base_url: str, token: str, payload: dict[str, Any]) -> tuple[int, bytes]:
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {token}",
        "X-OpenWebUI-User-Name": "Ann",
        "X-OpenWebUI-User-Role": "user",
    }
    async with aiohttp.ClientSession() as session:
        url = f"{base_url}/audio/speech"
        async with session.post(url, json=payload, headers=headers) as answer:
            return answer.status, await answer.read()


def main(base_url: str, token: str, folder: Path) -> None:
    payload = {
        "input": "Hello there. This is a test of speech.",
        "voice": "alloy",
        "model": "tts-1",
    }
    status, sound = asyncio.run(speech(base_url, token, payload))
    (folder / "speech.mp3").write_bytes(sound)
    refused, body = asyncio.run(speech(base_url, token, {**payload, "voice": "nobody"}))
    report = {
        "status": status,
        "listed": listed(base_url, {"Authorization": f"Bearer {token}"}),
        "without_token": listed(base_url, {}),
        "refused": refused,
        "detail": json.loads(body)["error"]["message"],
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
