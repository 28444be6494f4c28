"""Is it the same speech? The native API's answer to compare other dialects' with, and the comparison."""

from __future__ import annotations

import base64
from typing import Any

import aiohttp
import numpy as np

from .audio import Floats, decode, delay_of
from .speech import resample

RATE = 24000


async def native_speech(
    url: str, token: str, text: str, voice: str = "alba", **parameters: Any
) -> Floats:
    """What `POST /api/v1/audio/speech` says, at RATE."""
    asked = {
        "mode": "fast_replication",
        "reference_audio_id": voice,
        "text": text,
        "output_format": "pcm",
        "sample_rate": RATE,
        **parameters,
    }
    body = {"model": "cosyvoice-v2", "input": asked, "stream": False}
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.post(f"{url}/api/v1/audio/speech", json=body) as answer:
            assert answer.status == 200, await answer.text()
            sound = (await answer.json())["output"]["audio"]["data"]
    return decode(base64.b64decode(sound), "pcm", RATE)[0]


def likeness(samples: Floats, rate: int, native: Floats, delay: float = 0.1) -> float:
    """Correlation with native speech, once shifted by up to `delay` seconds, which codecs add."""
    sound = np.asarray(resample(samples.astype(np.float64), rate, RATE), np.float32)
    most = round(delay * RATE)
    sound = np.concatenate([sound, np.zeros(max(0, len(native) + most - len(sound)), np.float32)])
    lag = delay_of(sound, native, most)
    return float(np.corrcoef(sound[lag : lag + len(native)], native)[0, 1])
