"""Fake engines that can be told how words are pronounced."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cosyserve.engine.interface import Sounds
from support.engines.fake_engine import FakeEngine, FakeSession

LACKING = "ʁ"
"""The sound that it cannot speak."""


@dataclass
class PhoneticSession(FakeSession):
    """Keeps what it is told in `said`."""

    said: list[tuple[str, Sounds]] = field(default_factory=list)

    async def say(self, word: str, sounds: Sounds) -> None:
        self.said.append((word, sounds))
        await self.feed(word)


class PhoneticFakeEngine(FakeEngine):
    session_type = PhoneticSession
    alphabets = ("ipa", "py", "cmu-arpabet")

    def unspeakable(self, sounds: Sounds) -> str | None:
        return f"no sound {LACKING!r}; allowed: others" if LACKING in sounds.written else None

    @property
    def said(self) -> list[list[tuple[str, Sounds]]]:
        """What its sessions were told, each with its words."""
        return [each.said for each in self.sessions if isinstance(each, PhoneticSession)]


class SpellingFakeEngine(FakeEngine):
    """Takes sounds in its text: those of the CMU dictionary, in brackets."""

    def __init__(self) -> None:
        super().__init__(word_times=True)
        self.capabilities = replace(self.capabilities, spells=frozenset({"cmu"}))

    def spelled(self, alphabet: str, sounds: str) -> str | None:
        row = "".join(f"[{each}]" for each in sounds.split())
        return row if alphabet == "cmu" and "Q" not in sounds else None
