"""An engine whose sound says what it was asked for, and that fails where the text tells it to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from support.engines.fake_engine import RATE, WORD_SECONDS, FakeEngine, FakeSession

from .product import (
    Clip,
    EngineBusy,
    EngineDied,
    EngineError,
    EngineNotReady,
    InvalidReference,
    PcmChunk,
    Prompt,
    SynthesisOptions,
    TranscribedClip,
    UnsupportedRequest,
    Work,
    content_id,
)

USELESS = InvalidReference("the clip cannot serve as a voice")
FAILURES: dict[str, Exception] = {
    "BUSY": EngineBusy("the engine has no room now"),
    "DIED": EngineDied("the engine died"),
    "FAILED": EngineError("the engine failed"),
    "NOT-READY": EngineNotReady("the engine is not ready"),
    "UNSUPPORTED": UnsupportedRequest("this engine does not do that"),
    "BROKEN": RuntimeError("an inside that no client may see"),
    "USELESS": USELESS,
}
"""What a word of the text, an instruct, or the transcript of a clip makes the engine raise."""


WORK = Work(queue=0.125, lm=0.25, flow=0.5, vocoder=0.75, tokens=2)
"""Of a word."""


def word_sound(word: str, voice: Prompt, options: SynthesisOptions) -> np.ndarray:
    """A sawtooth, another one for each word, voice and option; its 16-bit samples are exact."""
    asked = (word, voice.content_id, options.mode, options.instruct, options.seed)
    factors = (float(options.speed), float(options.pitch))
    digest = hashlib.sha256(repr((asked, factors)).encode("utf-8", "surrogatepass")).digest()
    period, step = 60 + digest[0], 20 + digest[1] % 60
    ramp = np.arange(round(WORD_SECONDS * RATE)) % period
    return ((2 * ramp - period) * step).astype(np.float32) / np.float32(32768)


@dataclass
class RecordedSession(FakeSession):
    """A chunk for each word, as the fake's, with a sound of its own."""

    def chunk(self, number: int, words: list[tuple[int, int]]) -> PcmChunk:
        begin, end = words[number]
        word = self.text[begin:end]
        if word in FAILURES:
            raise FAILURES[word]
        sound = word_sound(word, self.voice, self.options)
        return replace(super().chunk(number, words), samples=sound, work=WORK)


class RecordedEngine(FakeEngine):
    """Has two built-in voices, or none; instruct: as in Capabilities."""

    def __init__(self, *, instruct: str = "free", voices: bool = True, **more: Any) -> None:
        super().__init__(**{"pitch": True, **more})
        (plain,) = self.capabilities.voices
        deep = replace(plain, id="deep", name="Deep", gender="male")
        builtin = (plain, deep) if voices else ()
        self.capabilities = replace(self.capabilities, instruct=instruct, voices=builtin)

    def builtin_prompt(self, voice_id: str) -> Prompt | None:
        ids = {voice.id for voice in self.capabilities.voices}
        return Prompt(voice_id) if voice_id in ids else None

    async def prepare_prompt(self, clip: TranscribedClip) -> Prompt:
        if clip.text in FAILURES:
            raise FAILURES[clip.text]
        await super().prepare_prompt(clip)
        # Of the clip alone, so that a recording does not depend on whose clip it is.
        content = content_id(Clip(clip.samples, clip.sample_rate), clip.text)
        self.known[clip.content_id] = voice = Prompt(content)
        return voice

    def open_session(self, prompt: Prompt, options: SynthesisOptions) -> RecordedSession:
        if not self.ready:
            raise FAILURES["NOT-READY"]
        if options.instruct in FAILURES:
            raise FAILURES[options.instruct]
        session = RecordedSession(self, prompt, options)
        self.sessions.append(session)
        self.open.add(id(session))
        self.opened.set()
        return session
