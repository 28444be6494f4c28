"""How runs are spoken: a session of the engine for each, and its chunks as a part of the task's speech."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from cosyserve.engine.interface import (
    Engine,
    EngineError,
    Mark,
    PcmChunk,
    PhoneticEngine,
    Prompt,
    Samples,
    Sounds,
    SpokenSegment,
    SynthesisOptions,
    WordTime,
    Work,
)
from cosyserve.engine.segmentation.characters import speakable, weight

from ..audio.filters import Filter, open_filters
from ..tasks.contract import LEAVE_TIMEOUT, Checked, CheckedSession, calling
from .document import Part, Run, Silence
from .parse import FASTEST, LOUDEST, SLOWEST

_PACE: Final = 14.0
"""Characters a second, wide ones counting 2: for the times of marks if the engine gives no word times."""


class RunVoice:
    """An incremental transform from one run's chunks to the task's, with the task's times and places.

    position: samples of the task's speech up to here. sentences: how many have begun up to here.
    """

    def __init__(
        self,
        run: Run,
        session: CheckedSession,
        filters: Filter,
        *,
        rate: int,
        begin: int,
        tempo: float,
        pace: float,
        sentences: int,
        word_times: bool,
    ) -> None:
        """begin, sentences: `position` and `sentences` before the run. tempo: that of the filter.

        rate: Hz. pace: the engine's, for estimates. word_times: whether the engine gives them.
        """
        self.run = run
        self.session = session
        self.position = begin
        self.sentences = sentences
        self._filters = filters
        self._rate = rate
        self._begin = begin / rate  # seconds of the task's speech
        self._tempo = tempo
        self._pace = pace
        self._word_times = word_times
        self._text = run.text
        self._work = Work()  # of chunks whose sound the filter still holds
        self._words: deque[WordTime] = deque()  # begun, and not yet given out with a chunk
        self._sentences: deque[SpokenSegment] = deque()  # likewise
        self._due: deque[Mark] = deque()  # marks whose time is known, and not yet given out
        self._marks = deque(sorted(run.marks, key=lambda mark: mark[0]))  # whose time is not known
        self._heard = 0.0  # seconds of the engine's sound so far
        self._anchor = (0.0, 0)  # the last sentence: seconds of sound, place in the text

    def feed(self, chunk: PcmChunk) -> list[PcmChunk]:
        """Take a chunk of the engine; returns no chunk or one."""
        for sentence in chunk.segments:
            self._note_sentence(sentence)
        for word in chunk.words:
            self._note_word(word)
        self._heard += len(chunk.samples) / self._rate
        if not self._word_times:
            self._estimate_marks()
        self._work += chunk.work
        return self._give(self._filters.feed(chunk.samples))

    def finish(self) -> tuple[list[PcmChunk], tuple[Mark, ...]]:
        """The last chunk, and the marks at the run's end that no chunk of it can carry."""
        samples = self._filters.finish()
        end = self._begin + self._heard / self._tempo
        self._due += [Mark(name, end) for _, name in self._marks]
        self._marks.clear()
        given = self._give(samples, last=True)
        rest = tuple(replace(mark, at=self.position / self._rate) for mark in self._due)
        self._due.clear()
        return given, rest

    def _give(self, samples: Samples, *, last: bool = False) -> list[PcmChunk]:
        if not len(samples):
            return []
        self.position += len(samples)
        end = self.position / self._rate
        words, marks = [], []
        while self._words and (last or self._words[0].begin < end):
            words.append(self._words.popleft())
        while self._due and self._due[0].at < end:
            marks.append(self._due.popleft())
        sentences, self._sentences = tuple(self._sentences), deque()
        work, self._work = self._work, Work()
        return [PcmChunk(samples, work, tuple(words), sentences, tuple(marks))]

    def _note_sentence(self, sentence: SpokenSegment) -> None:
        self._anchor = (self._heard, sentence.text_begin)
        if sentence.number == 0 and self.run.continues:
            return  # it began in an earlier run
        begin, end = self.run.plain(sentence.text_begin, sentence.text_end)
        if self.run.open_end and not speakable(self._text[sentence.text_end :]):
            end = self.run.open_end
        self._sentences.append(SpokenSegment(self.sentences, begin, end))
        self.sentences += 1

    def _note_word(self, word: WordTime) -> None:
        begin, end = (self._begin + time / self._tempo for time in (word.begin, word.end))
        while self._marks and self._marks[0][0] <= word.text_begin:
            self._due.append(Mark(self._marks.popleft()[1], begin))
        places = self.run.plain(word.text_begin, word.text_end)
        self._words.append(WordTime(begin, end, *places))

    def _estimate_marks(self) -> None:
        """Set the times of marks that were passed, assuming an average pace."""
        since, place = self._anchor
        while self._marks:
            offset, name = self._marks[0]
            if offset >= len(self._text.rstrip()):
                return
            ahead = sum(map(weight, self._text[place:offset])) / (_PACE * self._pace)
            at = max(since, since + ahead if offset > place else since)
            if at >= self._heard:
                return
            self._marks.popleft()
            self._due.append(Mark(name, self._begin + at / self._tempo))


_NEAR: Final = 16
"""How many parts to search for the next run: a document may have thousands of marks in a row."""


@dataclass(frozen=True, slots=True)
class _Rendering:
    """How a run is spoken: the engine's options, and the filter's factors for what the engine cannot do.

    limited: whether the prosody exceeds what both can do.
    """

    options: SynthesisOptions
    tempo: float
    pitch: float
    gain: float
    limited: bool


class RunSessions:
    """The engine's sessions of one task: one for each run, the next one opened ahead.

    The first session is opened at once, so that a task that cannot be served is refused before it
    begins; it speaks the first run if that has no prosody of its own.
    """

    def __init__(
        self, engine: Engine, prompt: Prompt, options: SynthesisOptions, checked: Checked
    ) -> None:
        """Raises what the engine's open_session does."""
        self._engine = engine
        self._checked = checked
        self._prompt = prompt
        self._options = options  # of the task
        self._native = engine.capabilities
        # Opened without a run; None once a run speaks in it or it is freed.
        self._first: CheckedSession | None = checked(engine.open_session(prompt, options))
        self._open = [self._first]  # sessions that nobody has released
        self._leaving: list[asyncio.Task[None]] = []  # tasks that free released sessions
        self._ahead: tuple[Run, asyncio.Task[CheckedSession]] | None = (
            None  # the next run's session
        )
        self._closed = False  # whether the task is cancelled

    def speaks(self, sounds: Sounds) -> bool:
        """Whether the engine can speak these sounds."""
        engine = self._engine
        return isinstance(engine, PhoneticEngine) and engine.unspeakable(sounds) is None

    def limits(self, parts: Iterable[Part]) -> list[str]:
        """Notices of what this engine can only approximate."""
        runs = [part for part in parts if isinstance(part, Run)]
        found = []
        if any(self._rendering(run).limited for run in runs):
            found.append(
                f"rate and pitch are limited to the range from {SLOWEST:g} to {FASTEST:g} times the voice's"
                " own, the task's parameters included"
            )
        if any(run.prosody.volume > LOUDEST for run in runs):
            found.append(f"volume is limited to {LOUDEST:g} times the voice's own")
        if not self._native.word_times and any(run.marks for run in runs):
            found.append("<mark>: with this engine the times of marks inside a text are estimates")
        return found

    def silence(self, part: Silence) -> int:
        """The length of a pause in samples; a natural one follows the pace of the task."""
        pace = self._options.speed if part.natural and self._native.speed else 1.0
        return round(part.seconds / pace * self._native.sample_rate)

    def run_voice(
        self, run: Run, session: CheckedSession, *, begin: int, sentences: int
    ) -> RunVoice:
        """The transform for the chunks of a run's session. begin, sentences: as in RunVoice."""
        rate = self._native.sample_rate
        how = self._rendering(run)
        return RunVoice(
            run,
            session,
            open_filters(rate, rate, tempo=how.tempo, pitch=how.pitch, gain=how.gain),
            rate=rate,
            begin=begin,
            tempo=how.tempo,
            pace=how.options.speed if self._native.speed else 1.0,
            sentences=sentences,
            word_times=self._native.word_times,
        )

    def look_ahead(self, parts: Iterable[Part]) -> None:
        """Open the next run's session while another one is read, so that there is no gap between them."""
        if self._ahead is None and not self._closed:
            following = (part for part in islice(parts, _NEAR) if isinstance(part, Run))
            if (run := next(following, None)) is not None:
                self._begin(run)

    async def session_of(self, run: Run) -> CheckedSession | None:
        """The session of this run, the next one to be spoken; None after cancel. Cancel-safe.

        Raises EngineError.
        """
        for last in (False, True):
            if self._ahead is None:
                self._begin(run)
                last = True
            assert self._ahead is not None
            task = self._ahead[1]
            await asyncio.wait({task})
            if self._closed:
                return None
            self._ahead = None
            # Opening ahead may have failed for lack of room; others have finished since, so try once more.
            if last or task.cancelled() or not isinstance(task.exception(), EngineError):
                return task.result()
            if self._leaving:
                await asyncio.wait(self._leaving, timeout=LEAVE_TIMEOUT)
        return None

    def release(self, session: CheckedSession) -> None:
        """Free a session that was read to its end, in the background."""
        if session in self._open:
            self._open.remove(session)
        self._leaving = [task for task in self._leaving if not _is_well(task)]
        self._leaving.append(session.leave())

    async def cancel(self) -> None:
        """Free all sessions. Idempotent. Raises ContractBroken if one cannot be freed."""
        self._closed = True
        if self._ahead is not None:
            self._ahead[1].cancel()
        for session in list(self._open):
            self.release(session)
        leaving, self._leaving = self._leaving, []
        if leaving:
            await asyncio.wait(leaving)
        for task in leaving:
            task.result()

    def _begin(self, run: Run) -> None:
        task = asyncio.create_task(self._start(run))
        task.add_done_callback(_note_error)
        self._ahead = (run, task)

    async def _start(self, run: Run) -> CheckedSession:
        """Open a session and give it the run's text."""
        session = await self._open_one(run)
        await run.say_in(session)
        return session

    async def _open_one(self, run: Run) -> CheckedSession:
        options = self._rendering(run).options
        first, self._first = self._first, None
        if first is not None:
            if options == self._options:
                await first.enter()
                return first
            self.release(first)
            await asyncio.wait({first.leave()}, timeout=LEAVE_TIMEOUT)
        with calling("open_session"):
            session = self._checked(self._engine.open_session(self._prompt, options))
        self._open.append(session)
        await session.enter()
        return session

    def _rendering(self, run: Run) -> _Rendering:
        """The engine does pace and pitch if it can, with the task's factors on top of the run's."""
        native, options, asked = self._native, self._options, run.prosody
        speed = asked.rate * (options.speed if native.speed else 1.0)
        pitch = asked.pitch * (options.pitch if native.pitch else 1.0)
        can_speed, can_pitch = (min(max(SLOWEST, x), FASTEST) for x in (speed, pitch))
        return _Rendering(
            replace(
                options,
                speed=can_speed if native.speed else options.speed,
                pitch=can_pitch if native.pitch else options.pitch,
            ),
            tempo=1.0 if native.speed else can_speed,
            pitch=1.0 if native.pitch else can_pitch,
            gain=min(asked.volume, LOUDEST),
            limited=(can_speed, can_pitch) != (speed, pitch),
        )


def _is_well(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _note_error(task: asyncio.Task[CheckedSession]) -> None:
    """Retrieve the error of a task that nobody may wait for: asyncio would log it."""
    if not task.cancelled():
        task.exception()
