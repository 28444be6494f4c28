"""Plain text with breaks: runs that are spoken while their text arrives, and silences between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from cosyserve.protocol.breaks import Break, BreakScanner
from cosyserve.protocol.errors import InvalidParameter
from cosyserve.protocol.text import GrowingText

from ..tasks.contract import CheckedSession
from .document import Part, Run, Silence
from .parse import BreakTotal, Element, Prosody, break_seconds, checked

_ALLOWED: Final = 'attributes in quotes, each once, as <break time="500ms"/>'

_Step = Callable[[CheckedSession], Awaitable[None]]


@dataclass(slots=True)
class LiveRun(Run):
    """A run that is spoken while its text arrives. begin: its place in the plain text."""

    begin: int = 0
    _session: CheckedSession | None = None  # speaks the run, once it is open
    _waiting: list[_Step] = field(
        default_factory=list
    )  # what the session is to be told when it opens
    _flushed: bool = True  # whether no text came since the last flush

    def plain(self, begin: int, end: int) -> tuple[int, int]:
        return self.begin + begin, self.begin + end

    async def say_in(self, session: CheckedSession) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            for step in waiting:
                await step(session)
        # There was no await since the loop saw an empty list, so later steps keep their order.
        self._session = session

    async def feed(self, text: str) -> None:
        self._flushed = False
        await self._do(lambda session: session.feed(text))

    async def flush(self) -> None:
        # Repeated flushes change nothing, and a client may send any number of them.
        if not self._flushed:
            self._flushed = True
            await self._do(lambda session: session.flush())

    async def finish(self) -> None:
        await self._do(lambda session: session.finish())

    async def _do(self, step: _Step) -> None:
        if self._session is None:
            self._waiting.append(step)
        else:
            await step(self._session)


class PausedText:
    """An incremental transform from a plain text with breaks to runs and silences.

    plain: receives the text without its breaks. parts: receives the runs and silences.
    """

    def __init__(self, plain: GrowingText, parts: deque[Part], breaks: BreakTotal) -> None:
        self._plain = plain
        self._parts = parts
        self._breaks = breaks
        self._scanner = BreakScanner()
        self._run: LiveRun | None = None  # the run that takes the text
        self._blanks = ""  # blanks since the last run, which belong to the next one

    async def feed(self, text: str) -> None:
        """Take the next piece. Raises InvalidParameter for a malformed break."""
        for part in self._scanner.feed(text):
            if isinstance(part, str):
                await self._say(part)
            else:
                await self._pause(part)

    async def flush(self) -> None:
        """Mark the end of a sentence. A tag that has begun may go on afterwards."""
        if self._run is not None:
            await self._run.flush()

    async def finish(self) -> None:
        for part in self._scanner.finish():
            if isinstance(part, str):
                await self._say(part)
        await self.end_run()

    async def end_run(self) -> None:
        """End the current run: later text begins another one."""
        run, self._run, self._blanks = self._run, None, ""
        if run is not None:
            await run.finish()

    async def _say(self, text: str) -> None:
        begin = len(self._plain) - len(self._blanks)
        self._plain.append(text)
        if self._run is None:
            text = self._blanks + text
            self._blanks = text if text.isspace() else ""
            if self._blanks:
                return
            self._run = LiveRun(Prosody(), begin=begin)
            self._parts.append(self._run)
        await self._run.feed(text)

    async def _pause(self, found: Break) -> None:
        seconds = _seconds(found)
        self._breaks.add(seconds)
        await self.end_run()
        if seconds:
            self._parts.append(Silence(seconds))


def plain_nodes(text: str) -> list[str | Element]:
    """A complete plain text as text and break elements. Raises InvalidParameter for a malformed break."""
    scanner = BreakScanner()
    return [
        part if isinstance(part, str) else Element("break", _attributes(part), part.where)
        for part in (*scanner.feed(text), *scanner.finish())
    ]


def _seconds(found: Break) -> float:
    attributes = _attributes(found)
    return break_seconds(attributes.get("time"), attributes.get("strength"), found.where)


def _attributes(found: Break) -> dict[str, str]:
    if found.attributes is None:
        raise InvalidParameter(f"{found.where} is not well-formed; allowed: {_ALLOWED}")
    return checked("break", found.attributes, found.where)
