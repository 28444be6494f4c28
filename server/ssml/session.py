"""A session that takes SSML, on any engine: each run is spoken by a session of the engine."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np

from cosyserve.engine.interface import (
    CancelsOnExit,
    Engine,
    Mark,
    PcmChunk,
    Prompt,
    SynthesisOptions,
)
from cosyserve.engine.threads import Threads
from cosyserve.protocol.breaks import begins_markup
from cosyserve.protocol.errors import InvalidParameter, TTSError
from cosyserve.protocol.text import GrowingText

from ..tasks.contract import Checked
from .document import MarkPlace, Part, Run, Silence, Speaks, SpokenDocument, spoken_document
from .parse import LONGEST_DOCUMENT, BreakTotal, parse
from .plain import PausedText, plain_nodes
from .runs import RunSessions, RunVoice

_AT_ONCE: Final = 20_000
"""The longest document, in characters, that is parsed on the event loop: that takes about 5 ms."""
_LAST: Final = 0.01
"""Seconds of silence at the end of the speech, to carry marks that no other chunk can."""
_LONGEST_SILENCE: Final = 1.0
"""Seconds of silence in one chunk."""


class SsmlSession(CancelsOnExit):
    """An engine.interface.Session that takes SSML. Made by `open_ssml`.

    Text that does not begin with a tag is spoken as it arrives, with pauses at its breaks. Markup is
    collected until `flush` or `finish`, since a document must be complete; the text after a flush is the
    next document.

    The times of words, sentences and marks count from the start of the task's speech. Their places are
    code points of the plain text (`text`): of markup, the text inside the documents with each row of
    blanks as one; of plain text, everything but the breaks. What is said in other words (sub, say-as,
    phoneme) counts as a whole.

    Iterating raises InvalidParameter for a malformed document or break, and EngineError.
    """

    def __init__(
        self,
        engine: Engine,
        prompt: Prompt,
        options: SynthesisOptions,
        *,
        markup: bool,
        threads: Threads,
        checked: Checked,
    ) -> None:
        """markup: whether the text may be markup. Raises what the engine's open_session does."""
        self._threads = threads
        self._sessions = RunSessions(engine, prompt, options, checked)
        self._rate = engine.capabilities.sample_rate
        # The text
        self._is_markup = False  # whether the text has begun with a tag
        self._buffer: list[str] = []  # text of the open document, or until it is clear what it is
        self._length = 0  # of the open document, in characters
        self._plain = GrowingText()  # the whole plain text so far
        self._notices: dict[str, None] = {}  # in order, without repetitions
        self._breaks = BreakTotal()
        self._finished = False
        self._cancelled = False
        self._error: TTSError | None = None  # raised once all before it is spoken
        # The speech
        self._parts: deque[Part] = deque()  # to be spoken; the first one may be in work
        self._run: RunVoice | None = None  # the run that is being spoken
        self._ready: deque[PcmChunk] = deque()  # chunks that the reader has still to take
        self._marks: list[Mark] = []  # to go with the next chunk
        self._position = 0  # samples of the task's speech before the current run
        self._sentences = 0  # sentences that began before the current run
        self._changed = asyncio.Event()  # set when the reader may go on
        self._plain_parts = None if markup else self._open_plain()  # None for markup

    @property
    def notices(self) -> tuple[str, ...]:
        """One sentence for each thing that the engine cannot do as the documents ask."""
        return tuple(self._notices)

    def text(self, begin: int, end: int) -> str:
        """A part of the plain text so far, in code points."""
        return self._plain.part(begin, end)

    @property
    def text_length(self) -> int:
        """Code points of the plain text so far."""
        return len(self._plain)

    # The text

    async def feed(self, text: str) -> None:
        """Take the next piece. Ignored after cancel and after an error."""
        if self._cancelled or self._error is not None or self._finished or not text:
            return
        if self._plain_parts is not None:
            await self._say(self._plain_parts, text)
            return
        self._length += len(text)
        if self._length > LONGEST_DOCUMENT:
            self._fail(InvalidParameter(f"the SSML is longer than {LONGEST_DOCUMENT} characters"))
            return
        self._buffer.append(text)
        if not (self._is_markup or text.isspace()):
            await self._decide()

    async def flush(self) -> None:
        """Speak the text so far: it is a complete document or, if it is plain, a sentence ends here."""
        if self._cancelled or self._error is not None or self._finished:
            return
        if self._plain_parts is None and not self._is_markup:
            await self._decide(final=True)
        if self._plain_parts is not None:
            await self._plain_parts.flush()
        else:
            await self._take_document()

    async def finish(self) -> None:
        if self._finished or self._cancelled:
            return
        if self._plain_parts is None and not self._is_markup and self._error is None:
            await self._decide(final=True)
        if self._plain_parts is not None:
            if self._error is None:
                await self._plain_parts.finish()
        else:
            await self._take_document()
        self._finished = True
        self._changed.set()

    async def cancel(self) -> None:
        self._cancelled = True
        self._buffer.clear()
        self._ready.clear()
        self._parts.clear()
        self._changed.set()
        await self._sessions.cancel()

    async def _decide(self, *, final: bool = False) -> None:
        """Find out whether the text is markup. final: no more text will help to decide."""
        text = "".join(self._buffer)
        match begins_markup(text, final=final):
            case True:
                self._is_markup = True
            case False:
                self._buffer.clear()
                self._plain_parts = self._open_plain()
                await self._say(self._plain_parts, text)

    def _open_plain(self) -> PausedText:
        return PausedText(self._plain, self._parts, self._breaks)

    async def _say(self, paused: PausedText, text: str) -> None:
        """Take the next piece of a plain text."""
        try:
            await paused.feed(text)
        except TTSError as error:
            # At once: a client that sent the whole text gets the error before any sound.
            self._parts.clear()
            await paused.end_run()
            self._fail(error)
        if self._run is not None:
            self._sessions.look_ahead(self._parts)
        self._changed.set()

    async def _take_document(self) -> None:
        text = "".join(self._buffer)
        self._buffer.clear()
        self._length = 0
        if not text.strip() or self._error is not None:
            return
        read = partial(_read_document, text, self._sessions.speaks, self._plain.part(0))
        try:
            document = await self._threads.run(read) if len(text) > _AT_ONCE else read()
            silences = (part for part in document.parts if isinstance(part, Silence))
            self._breaks.add(*(part.seconds for part in silences if not part.natural))
        except TTSError as error:
            self._fail(error)
            return
        self._plain.append(document.plain)
        self._parts.extend(document.parts)
        limits = self._sessions.limits(document.parts)
        self._notices |= dict.fromkeys((*document.notices, *limits))
        self._changed.set()

    def _fail(self, error: TTSError) -> None:
        self._error = error
        self._buffer.clear()
        self._changed.set()

    # The speech

    def __aiter__(self) -> AsyncIterator[PcmChunk]:
        return self

    async def __anext__(self) -> PcmChunk:
        """The next chunk. Cancel-safe as far as the engine's is."""
        while not self._cancelled:
            if self._ready:
                return self._carry(self._ready.popleft())
            if self._run is not None:
                await self._read(self._run)
            elif self._parts:
                await self._begin_part()
            elif self._error is not None:
                raise self._error
            elif self._finished:
                if not self._marks:
                    break
                self._ready.append(_silence(round(_LAST * self._rate)))
            else:
                self._changed.clear()
                await self._changed.wait()
        raise StopAsyncIteration

    def _carry(self, chunk: PcmChunk) -> PcmChunk:
        """The chunk with the marks that precede it."""
        marks, self._marks = self._marks, []
        return replace(chunk, marks=(*marks, *chunk.marks)) if marks else chunk

    async def _read(self, run: RunVoice) -> None:
        """Wait for the next chunk of a run, or for its end."""
        chunk = await run.session.next_chunk()
        if chunk is None:
            chunks, marks = run.finish()
            self._ready.extend(chunks)
            self._position, self._sentences = run.position, run.sentences
            self._add_marks(marks)
            self._run = None
            self._sessions.release(run.session)
        else:
            self._ready.extend(run.feed(chunk))

    async def _begin_part(self) -> None:
        part = self._parts[0]
        match part:
            case MarkPlace(name):
                self._marks.append(Mark(name, self._position / self._rate))
            case Silence():
                left = self._sessions.silence(part)
                self._position += left
                while left > 0:
                    size = min(left, round(_LONGEST_SILENCE * self._rate))
                    self._ready.append(_silence(size))
                    left -= size
            case Run():
                session = await self._sessions.session_of(part)
                if session is None:  # cancelled meanwhile
                    return
                self._run = self._sessions.run_voice(
                    part, session, begin=self._position, sentences=self._sentences
                )
        self._parts.popleft()
        self._sessions.look_ahead(self._parts)

    def _add_marks(self, marks: tuple[Mark, ...]) -> None:
        """Attach the marks at a run's end to its last chunk if that is still here, else to the next chunk."""
        if marks and self._ready:
            last = self._ready.pop()
            self._ready.append(replace(last, marks=(*last.marks, *marks)))
        else:
            self._marks.extend(marks)


def _read_document(text: str, speaks: Speaks, before: str) -> SpokenDocument:
    nodes = parse(text) if begins_markup(text, final=True) else plain_nodes(text)
    return spoken_document(nodes, speaks, before)


def _silence(samples: int) -> PcmChunk:
    return PcmChunk(np.zeros(samples, np.float32))
