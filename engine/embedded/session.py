"""A session of the embedded engine: text in, chunks out, one job at a time.

text -> PlainText -> TextSegmenter -> espeak_utterances -> Job -> WorkerPool -> PcmChunk
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import numpy as np

from ..interface import CancelsOnExit, EngineError, PcmChunk, Samples, SpokenSegment, WordTime, Work
from ..plain import PlainText
from ..segmentation.characters import speakable
from ..segmentation.segmenter import Segment, TextSegmenter
from .frames import SAMPLE_RATE, JobFrame, SoundFrame, SpokenWord
from .jobs import Job
from .pool import WorkerPool
from .utterances import (
    EspeakUtterance,
    LanguageDefaults,
    LocatedWord,
    Pause,
    espeak_utterances,
    located_words,
    single_word,
)

FEED_SLICE = 2000
"""Characters read before the event loop serves others: about 4 ms."""


@dataclass(frozen=True, slots=True)
class SessionStyle:
    """The style of a session, which all of its jobs share.

    pauses: seconds of silence by kind. frame: makes the job of a text and its language.
    phonetic: whether the text is a phonetic transcription, which counts as one word. tenant: whose it is.
    """

    languages: LanguageDefaults
    pauses: dict[Pause, float]
    frame: Callable[[str, str], JobFrame]
    phonetic: bool = False
    tenant: str = ""


@dataclass(slots=True)
class _UnreadSound:
    """Speech that the reader has not taken yet. lead: samples of silence before it."""

    pcm: bytes
    lead: int
    words: tuple[WordTime, ...]
    segments: tuple[SpokenSegment, ...]
    work: Work

    @property
    def length(self) -> int:
        return self.lead + len(self.pcm) // 2


class EmbeddedSession(CancelsOnExit):
    """`Session` on a pool of workers.

    One job runs at a time, and the next is submitted only when less than `work_ahead` seconds are
    unread. An unread session therefore holds its text, at most that much speech and one utterance
    (utterances.LONGEST: mostly under 0.7 MB at speed 1), and has nothing running.

    on_close: called when the session is over, perhaps more than once.
    """

    def __init__(
        self,
        pool: WorkerPool,
        style: SessionStyle,
        plain: PlainText,
        work_ahead: float,
        on_close: Callable[[EmbeddedSession], None],
    ) -> None:
        self._pool = pool
        self._style = style
        self._work_ahead = round(work_ahead * SAMPLE_RATE)
        self._on_close = on_close
        self._plain = plain
        self._segmenter = TextSegmenter()
        self._context = style.languages.context()
        """The sentence so far, which decides the language of numbers."""
        self._segments: deque[Segment] = deque()
        """Segments that are not divided into utterances yet."""
        self._utterances: deque[EspeakUtterance] = deque()
        """The rest of the last segment's utterances."""
        self._job: Job | None = None
        """The job that waits or runs."""
        self._utterance: EspeakUtterance | None = None
        """The text of that job."""
        self._words: list[LocatedWord] = []
        """The words of that utterance, as the job counts them."""
        self._segment: Segment | None = None
        """The segment that the last utterances came from."""
        self._sentence_ended = True
        """Whether a sentence ended before the next segment."""
        self._sentence_begin: int | None = None
        """The begin of a sentence in the task's text, until its first sound is given out."""
        self._sentences = 0
        """Sentences begun."""
        self._sounds: deque[_UnreadSound] = deque()
        self._unread = 0
        """Samples in `_sounds`, silences included."""
        self._spoken = 0
        """Samples of the task's speech so far, read or unread."""
        self._job_begin = 0
        """The sample at which the job's speech begins."""
        self._lead = 0
        """Samples of silence before the next sound."""
        self._runs_dry: float | None = None
        """Loop time at which a reader in real time has played what it took; None if it took nothing."""
        self._finished = False
        self._cancelled = False
        self._error: EngineError | None = None
        """The error that the iteration raises once `_sounds` is read."""
        self._changed = asyncio.Event()
        """Set when the reader may find something new."""

    @property
    def unread(self) -> float:
        """Seconds of speech that the reader has not taken yet."""
        return self._unread / SAMPLE_RATE

    # The engine's interface

    async def feed(self, text: str) -> None:
        """Take the next delta of the text. Raises ValueError after finish; does nothing after cancel."""
        for begin in range(0, len(text), FEED_SLICE):
            if begin:
                await asyncio.sleep(0)
            if self._cancelled:
                return
            plain = self._plain.feed(text[begin : begin + FEED_SLICE])
            self._segments.extend(self._segmenter.feed(plain))
            self._advance()

    async def flush(self) -> None:
        """End a sentence here. Does nothing after finish or cancel."""
        if not (self._finished or self._cancelled):
            self._segments.extend(self._segmenter.feed(self._plain.flush()))
            self._segments.extend(self._segmenter.flush())
            self._advance()

    async def finish(self) -> None:
        if self._finished or self._cancelled:
            return
        self._finished = True
        self._segments.extend(self._segmenter.feed(self._plain.flush()))
        self._segments.extend(self._segmenter.finish())
        self._advance()
        self._changed.set()

    async def cancel(self) -> None:
        self._cancelled = True
        self._drop()
        self._sounds.clear()
        self._changed.set()

    def __aiter__(self) -> AsyncIterator[PcmChunk]:
        return self

    async def __anext__(self) -> PcmChunk:
        """Return the next chunk as soon as there is one. Cancel-safe: no speech is lost."""
        while not self._sounds:
            if self._cancelled or self._is_over():
                self._on_close(self)
                raise StopAsyncIteration
            if self._error is not None:
                raise self._error
            self._changed.clear()
            await self._changed.wait()
        sound = self._sounds.popleft()
        self._unread -= sound.length
        now = self._time()
        self._runs_dry = max(now, self._runs_dry or now) + sound.length / SAMPLE_RATE
        self._advance()
        return PcmChunk(_samples(sound), sound.work, sound.words, sound.segments)

    # JobListener

    def job_sound(self, job: Job, sound: SoundFrame, waited: float) -> None:
        if not job.given - len(sound.pcm) // 2:
            self._job_begin = self._spoken + self._lead
        words = tuple(self._word_time(word) for word in sound.words)
        work = Work(queue=waited, vocoder=sound.seconds)
        self._put(_UnreadSound(sound.pcm, self._lead, words, self._begun_segment(), work))
        self._lead = 0

    def job_done(self, job: Job, seconds: float) -> None:
        assert self._utterance is not None
        if job.given:
            self._lead = self._silence(self._utterance.pause)
        self._job = self._utterance = None
        self._advance()
        if self._is_over():
            self._changed.set()

    def job_failed(self, job: Job, error: EngineError) -> None:
        self._error = error
        self._drop()
        self._changed.set()

    # Scheduling

    def _advance(self) -> None:
        """Submit the next utterance if the reader has nearly used up the speech there is."""
        if self._job is not None or self._error is not None or self._unread > self._work_ahead:
            return
        while not self._utterances and self._segments:
            self._take_segment(self._segments.popleft())
        if not self._utterances:
            return
        self._utterance = self._utterances.popleft()
        frame = self._style.frame(self._utterance.text, self._utterance.language)
        if self._style.phonetic:
            self._words = [single_word(self._utterance, len(frame.text))]
        else:
            self._words = located_words(self._utterance)
        silent = self._spoken == 0
        self._job = Job(
            frame=frame._replace(first=silent, words=tuple(word[:2] for word in self._words)),
            listener=self,
            deadline=self._deadline(),
            silent=silent,
            tenant=self._style.tenant,
        )
        self._pool.submit(self._job)

    def _take_segment(self, segment: Segment) -> None:
        """Divide a segment into the utterances to speak next; those of the one before are spoken."""
        found = espeak_utterances(segment, self._style.languages, self._context, self._plain.source)
        if found:
            self._segment = segment
            if self._sentence_ended:
                blanks = len(found[0].text) - len(found[0].text.lstrip())
                self._sentence_begin, _ = found[0].place(blanks, blanks + 1)
            self._utterances.extend(found)
        elif segment.sentence_end and self._spoken:
            self._lead = self._silence(Pause.SENTENCE)
        self._sentence_ended = segment.sentence_end or (self._sentence_ended and not found)

    def _begun_segment(self) -> tuple[SpokenSegment, ...]:
        """The sentence that begins with the sound given out now, if one does."""
        begin, self._sentence_begin = self._sentence_begin, None
        if begin is None:
            return ()
        assert self._segment is not None
        last = self._segment
        if not last.sentence_end:
            for segment in self._segments:
                if speakable(segment.text):
                    last = segment
                if segment.sentence_end:
                    break
        self._sentences += 1
        plain_end = last.begin + len(last.text.rstrip())
        _, end = self._plain.source(plain_end - 1, plain_end)
        return (SpokenSegment(self._sentences - 1, begin, end),)

    def _deadline(self) -> float:
        """The loop time at which a reader that plays in real time runs dry."""
        now = self._time()
        return max(now, self._runs_dry or now) + self._unread / SAMPLE_RATE

    def _is_over(self) -> bool:
        return (
            self._finished
            and self._error is None
            and self._job is None
            and not self._utterances
            and not self._segments
        )

    def _put(self, sound: _UnreadSound) -> None:
        self._sounds.append(sound)
        self._unread += sound.length
        self._spoken += sound.length
        self._changed.set()

    def _word_time(self, spoken: SpokenWord) -> WordTime:
        word = self._words[spoken.word]
        return WordTime(
            begin=(self._job_begin + spoken.begin) / SAMPLE_RATE,
            end=(self._job_begin + spoken.end) / SAMPLE_RATE,
            text_begin=word.text_begin,
            text_end=word.text_end,
        )

    def _silence(self, pause: Pause) -> int:
        return round(self._style.pauses[pause] * SAMPLE_RATE)

    def _drop(self) -> None:
        """Discard everything that is not spoken yet."""
        if self._job is not None:
            self._pool.cancel(self._job)
            self._job = None
        self._segments.clear()
        self._utterances.clear()
        self._on_close(self)

    def _time(self) -> float:
        return asyncio.get_running_loop().time()


def _samples(sound: _UnreadSound) -> Samples:
    samples = np.zeros(sound.length, dtype=np.float32)
    np.multiply(np.frombuffer(sound.pcm, "<i2"), 1 / 32768, out=samples[sound.lead :])
    return samples
