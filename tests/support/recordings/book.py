"""Exchanges by name, and the files that hold them as they were recorded."""

from __future__ import annotations

import asyncio
import difflib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop
from structlog.testing import capture_logs

from .engine import RecordedEngine
from .product import load_settings, serve
from .stage import TOKENS, Stage

FOLDER = Path(__file__).parents[2] / "recordings"
LIMIT = 30.0
"""Seconds that an exchange may last before it is taken for stuck."""

_TITLE = "== "

Play = Callable[[Stage], Awaitable[None]]


class BrokenOff(Exception):
    """An exchange that did not come to its end; the message is what was written down before."""


@dataclass(frozen=True)
class Exchange:
    """What clients do with a server of their own. file: where it is recorded, below FOLDER."""

    name: str
    file: str
    play: Play
    settings: Mapping[str, Any] = field(default_factory=dict)
    engine: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.file}/{self.name}"

    def take(self, folder: Path) -> str:
        """Its transcript, with a title. folder: for what the server keeps. Raises BrokenOff."""
        # The loop that servers run on: asyncio's own leaves Nagle's algorithm on, and waits for it.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            with capture_logs():  # to print them, tracebacks above all, takes seconds
                return runner.run(self._run(folder))

    async def _run(self, folder: Path) -> str:
        engine = RecordedEngine(**self.engine)
        references = folder / "references"
        flags = {
            "host": "127.0.0.1",
            "port": 0,
            "tokens": TOKENS,
            "references": str(references),
            **self.settings,
        }
        async with serve(load_settings(flags), engine) as server:
            stage = Stage(server, engine, references)
            if self.settings or self.engine:
                given = {**self.settings, **{f"engine.{k}": v for k, v in self.engine.items()}}
                stage.say(json.dumps(given))
            try:
                async with asyncio.timeout(LIMIT):
                    await self.play(stage)
            except Exception as error:
                raise BrokenOff(self._titled(stage)) from error
            return self._titled(stage)

    def _titled(self, stage: Stage) -> str:
        return f"{_TITLE}{self.name}\n{stage.transcript.text()}"


class Book:
    """The exchanges of one file."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.exchanges: list[Exchange] = []

    def exchange(
        self, *, engine: Mapping[str, Any] | None = None, **settings: Any
    ) -> Callable[[Play], Play]:
        """The function that this decorates plays one; the server has these settings."""

        def add(play: Play) -> Play:
            name = getattr(play, "__name__", "").replace("_", " ")
            self.exchanges.append(Exchange(name, self._file, play, settings, engine or {}))
            return play

        return add


def recorded(folder: Path = FOLDER) -> dict[str, str]:
    """Every exchange that is recorded, with its title, by FILE/NAME."""
    found = {}
    for path in sorted(folder.rglob("*.txt")):
        file = path.relative_to(folder).with_suffix("").as_posix()
        for text in split(path.read_text(encoding="utf-8")):
            title = text.partition("\n")[0]
            found[f"{file}/{title.removeprefix(_TITLE)}"] = text
    return found


def split(text: str) -> list[str]:
    """The exchanges in a file."""
    return [_TITLE + part.strip() + "\n" for part in f"\n{text}".split(f"\n{_TITLE}")[1:]]


def joined(exchanges: list[str]) -> str:
    """A file of exchanges."""
    return "\n".join(exchanges)


def difference(before: str, after: str, name: str = "") -> str:
    """A diff of two takes of an exchange."""
    names = f"{name} before", f"{name} now"
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm="", n=1)
    return "\n".join(lines)
