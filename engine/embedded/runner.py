"""What a worker does with a job: one of the synthesisers speaks it.

job -> HibariSynthesizer, or Espeak -> Resampler -> SoundCutter -> SoundFrame
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from ..origins import Origins
from .espeak.library import Espeak, EspeakError, EspeakProsody
from .espeak.resampler import Resampler
from .frames import (
    DoneFrame,
    JobFrame,
    NaturalProsody,
    SoundFrame,
    pack_done,
    pack_failed,
    pack_sound,
)
from .sound import SoundCutter, TimedSound, WordClock, WordMark, part_sizes

if TYPE_CHECKING:
    from .espeak.mandarin import Mandarin
    from .hibari.synthesizer import HibariSynthesizer
    from .worker import WorkerSocket

_MANDARIN = "cmn+"


class JobRunner:
    """Runs one job after another."""

    def __init__(self, socket: WorkerSocket, espeak: Espeak) -> None:
        self._socket = socket
        self._espeak = espeak
        self._mandarin: Mandarin | None = None
        self._hibari: HibariSynthesizer | None = None
        self._since = 0.0

    def load_natural(self) -> HibariSynthesizer:
        """The natural voice, loaded. Takes half a second the first time."""
        if self._hibari is None:
            from .hibari.synthesizer import (
                HibariSynthesizer,
            )  # other languages need not wait for it

            self._hibari = HibariSynthesizer()
        return self._hibari

    def speak(self, job: JobFrame) -> None:
        self._since = perf_counter()
        if job.natural is None or not self._speak_naturally(job, job.natural):
            self._speak_with_espeak(job)

    def _speak_naturally(self, job: JobFrame, prosody: NaturalProsody) -> bool:
        """Speak the job in the natural voice; False if that cannot read the text."""
        natural = self.load_natural()
        from .hibari.reading import Unreadable

        def go_on() -> bool:
            return not self._socket.stopped(job.number)

        try:
            spoken = natural.speak(job.text, prosody, job.seed, go_on, job.sounds)
        except Unreadable:
            return False
        if spoken is not None:
            clock = WordClock(job.text, job.words)
            cutter = SoundCutter(clock, part_sizes(job.first), job.skip)
            self._send(job.number, cutter.feed(*spoken) + cutter.finish())
        self._socket.send(pack_done(DoneFrame(job.number, self._lap(), spoken is not None)))
        return True

    def _speak_with_espeak(self, job: JobFrame) -> None:
        if not self._espeak.set_voice(job.voice):
            self._socket.send(pack_failed(job.number))
            return
        text, origins = self._respelled(job)
        clock = WordClock(job.text, job.words)
        cutter = SoundCutter(clock, part_sizes(job.first), job.skip)
        resampler = Resampler()
        stopped = False

        def take(pcm: bytes, marks: list[WordMark]) -> bool:
            nonlocal stopped
            if origins is not None:
                marks = [_moved(mark, origins) for mark in marks]
            parts = cutter.feed(*resampler.feed(pcm, marks))
            if parts:
                self._send(job.number, parts)
                full = job.limit and cutter.position >= job.skip + job.limit
                stopped = bool(full) or self._socket.stopped(job.number)
            return not stopped

        prosody = EspeakProsody(job.rate, job.pitch, job.pitch_range, job.volume)
        try:
            self._espeak.speak(text, prosody, job.seed, take, phonemes=bool(job.sounds))
        except EspeakError:
            self._socket.send(pack_failed(job.number))
            return
        if not stopped:
            self._send(job.number, cutter.feed(*resampler.finish()) + cutter.finish())
        self._socket.send(pack_done(DoneFrame(job.number, self._lap(), not stopped)))

    def _respelled(self, job: JobFrame) -> tuple[str, Origins | None]:
        """The text for espeak, and the map from it to the job's text, None if they are the same."""
        mandarin = not job.text.isascii() and job.voice.startswith(_MANDARIN)
        if not job.sounds:
            return self._mandarin_of(job.text) if mandarin else (job.text, None)
        parts, origins, at = [], Origins(), 0
        for told in (*job.sounds, None):
            text = job.text[at : len(job.text) if told is None else told.begin]
            text = text.replace("[", "(")  # only what is told is in brackets
            own, places = self._mandarin_of(text) if mandarin else (text, Origins.same(len(text)))
            origins.extend(places)
            parts.append(own)
            if told is not None:
                put = f" {told.espeak} "
                origins.replace(told.end - told.begin, len(put))
                parts.append(put)
                at = told.end
        return "".join(parts), origins

    def _mandarin_of(self, text: str) -> tuple[str, Origins]:
        if self._mandarin is None:
            from .espeak.mandarin import (  # English need not wait for it
                Mandarin,
                load_phrases,
            )

            self._mandarin = Mandarin(self._espeak.phoneme_names, load_phrases())
        return self._mandarin.respelled(text)

    def _send(self, number: int, parts: list[TimedSound]) -> None:
        for part in parts:
            frame = SoundFrame(number, self._lap(), part.words, part.pcm)
            self._socket.send(pack_sound(frame))

    def _lap(self) -> float:
        """Seconds of work since the last frame of this job."""
        now = perf_counter()
        lap, self._since = now - self._since, now
        return lap


def _moved(mark: WordMark, origins: Origins) -> WordMark:
    at = min(max(0, mark.position), origins.length)
    return mark._replace(position=origins.source(at, min(at + 1, origins.length))[0])
