"""Speaks SSML on any engine: a session of the engine for each run of text of one prosody."""

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
from cosyserve.protocol.breaks import begins_markup
from cosyserve.protocol.errors import InvalidParameter, TTSError
from cosyserve.protocol.text import GrowingText

from .parse import LONGEST_DOCUMENT, BreakTotal, parse
from .plain import PausedText, plain_nodes
from .runs import RunSessions, RunVoice
from .script import MarkPlace, Part, Reads, Run, Silence, SpokenDocument, write_script

_AT_ONCE: Final = 20_000
"""Characters of a document that is read on the event loop; a longer one takes over 5 ms."""
_LAST: Final = 0.01
"""Seconds of silence that carry the marks at the very end."""
_LONGEST_SILENCE: Final = 1.0
"""Seconds in one chunk."""


class SsmlSession(CancelsOnExit):
    """engine.base.Session that takes SSML. Made by `open_ssml`.

    A text that does not begin with a tag is spoken as it is, and as it comes, with pauses at its breaks.
    SSML is collected until `flush` or `finish`, since a document must be whole; what comes after a flush
    is the next one.
    The times of words, sentences and marks are those of the whole task's speech; their places are
    code points of the plain text (`text`): the text inside of the documents, every row of blanks as
    one; of a plain text, all but its breaks. What is read as something else (sub, say-as, phoneme)
    counts as a whole. Iterating raises InvalidParameter for a document or a break that is wrong, and
    EngineError.

    notices: what of the documents so far cannot be done as asked, a sentence each.
    """

    def __init__(
        self, engine: Engine, voice: Prompt, options: SynthesisOptions, *, documents: bool
    ) -> None:
        """documents: whether the text may be SSML. Raises what the engine's open_session does."""
        self._engine_sessions = RunSessions(engine, voice, options)
        self._rate = engine.capabilities.sample_rate
        self._is_markup = False
        self._buffer: list[str] = []
        self._length = 0
        self._plain = GrowingText()
        self._notices: dict[str, None] = {}
        self._parts: deque[Part] = deque()
        self._voicing: RunVoice | None = None
        self._ready: deque[PcmChunk] = deque()
        self._marks: list[Mark] = []
        self._breaks = BreakTotal()
        self._position = 0
        self._sentences = 0
        self._finished = False
        self._cancelled = False
        self._error: TTSError | None = None
        self._changed = asyncio.Event()
        self._paused = None if documents else self._pause_text()

    @property
    def notices(self) -> tuple[str, ...]:
        return tuple(self._notices)

    def text(self, begin: int, end: int) -> str:
        """A part of the plain text so far, as words and sentences count it."""
        return self._plain.part(begin, end)

    # The text

    async def feed(self, text: str) -> None:
        """Take the next piece. Ignored after cancel and after an error."""
        if self._cancelled or self._error is not None or self._finished or not text:
            return
        if self._paused is not None:
            await self._say(self._paused, text)
            return
        self._length += len(text)
        if self._length > LONGEST_DOCUMENT:
            self._fail(InvalidParameter(f"the SSML is longer than {LONGEST_DOCUMENT} characters"))
            return
        self._buffer.append(text)
        if not (self._is_markup or text.isspace()):
            await self._decide()

    async def flush(self) -> None:
        """What has come is a whole document, or with plain text, a sentence ends here."""
        if self._cancelled or self._error is not None or self._finished:
            return
        if self._paused is None and not self._is_markup:
            await self._decide(final=True)
        if self._paused is not None:
            await self._paused.flush()
        else:
            await self._take_document()

    async def finish(self) -> None:
        if self._finished or self._cancelled:
            return
        if self._paused is None and not self._is_markup and self._error is None:
            await self._decide(final=True)
        if self._paused is not None:
            if self._error is None:
                await self._paused.finish()
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
        await self._engine_sessions.cancel()

    async def _decide(self, *, final: bool = False) -> None:
        """Find out whether the text is SSML. final: it is decided by what has come."""
        text = "".join(self._buffer)
        match begins_markup(text, final=final):
            case True:
                self._is_markup = True
            case False:
                self._buffer.clear()
                self._paused = self._pause_text()
                await self._say(self._paused, text)

    def _pause_text(self) -> PausedText:
        return PausedText(self._plain, self._parts, self._breaks)

    async def _say(self, paused: PausedText, text: str) -> None:
        """The next piece of a plain text."""
        try:
            await paused.feed(text)
        except TTSError as error:
            # At once: who sent the text whole is to hear of it before anything is spoken.
            self._parts.clear()
            await paused.end_run()
            self._fail(error)
        if self._voicing is not None:
            self._engine_sessions.look_ahead(self._parts)
        self._changed.set()

    async def _take_document(self) -> None:
        text = "".join(self._buffer)
        self._buffer.clear()
        self._length = 0
        if not text.strip() or self._error is not None:
            return
        read = partial(_read_document, text, self._engine_sessions.reads, self._plain.part(0))
        try:
            script = await asyncio.to_thread(read) if len(text) > _AT_ONCE else read()
            silences = (part for part in script.parts if isinstance(part, Silence))
            self._breaks.add(*(part.seconds for part in silences if not part.natural))
        except TTSError as error:
            self._fail(error)
            return
        self._plain.append(script.plain)
        self._parts.extend(script.parts)
        limits = self._engine_sessions.limits(script.parts)
        self._notices |= dict.fromkeys((*script.notices, *limits))
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
            if self._voicing is not None:
                await self._read(self._voicing)
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
        """The chunk, with the marks that lay before it and went with no other."""
        marks, self._marks = self._marks, []
        return replace(chunk, marks=(*marks, *chunk.marks)) if marks else chunk

    async def _read(self, voicing: RunVoice) -> None:
        chunk = await voicing.session.next_chunk()
        if chunk is None:
            chunks, marks = voicing.finish()
            self._ready.extend(chunks)
            self._position, self._sentences = voicing.position, voicing.sentences
            self._add_marks(marks)
            self._voicing = None
            self._engine_sessions.release(voicing.session)
        else:
            self._ready.extend(voicing.feed(chunk))

    async def _begin_part(self) -> None:
        part = self._parts[0]
        match part:
            case MarkPlace(name):
                self._marks.append(Mark(name, self._position / self._rate))
            case Silence():
                left = self._engine_sessions.silence(part)
                self._position += left
                while left > 0:
                    size = min(left, round(_LONGEST_SILENCE * self._rate))
                    self._ready.append(_silence(size))
                    left -= size
            case Run():
                session = await self._engine_sessions.session_of(part)
                if session is None:  # cancelled meanwhile
                    return
                self._voicing = self._engine_sessions.voicing(
                    part, session, begin=self._position, sentences=self._sentences
                )
        self._parts.popleft()
        self._engine_sessions.look_ahead(self._parts)

    def _add_marks(self, marks: tuple[Mark, ...]) -> None:
        """Marks at the end of what is ready go with the last of it, else with what comes next."""
        if marks and self._ready:
            last = self._ready.pop()
            self._ready.append(replace(last, marks=(*last.marks, *marks)))
        else:
            self._marks.extend(marks)


def _read_document(text: str, reads: Reads, before: str) -> SpokenDocument:
    nodes = parse(text) if begins_markup(text, final=True) else plain_nodes(text)
    return write_script(nodes, reads, before)


def _silence(samples: int) -> PcmChunk:
    return PcmChunk(np.zeros(samples, np.float32))
