"""A session whose text has phrases that are spoken otherwise than they are written."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from cosyserve.engine.interface import (
    Engine,
    PcmChunk,
    PhoneticEngine,
    Session,
    Sounds,
    SpokenSegment,
    WordTime,
)
from cosyserve.protocol.errors import InvalidParameter
from cosyserve.protocol.fields import shown
from cosyserve.protocol.phrases import Pronunciation, Rule

from .contract import CheckedSession
from .phrases import PhraseFinder, Said, Spoken

_SLICE: Final = 1000
"""Characters searched before the event loop serves others."""


def check_sounds(engine: Engine, rules: tuple[Rule, ...]) -> None:
    """Raises InvalidParameter if there are sounds that the engine cannot speak."""
    for rule in rules:
        if not isinstance(rule, Pronunciation):
            continue
        if not isinstance(engine, PhoneticEngine):
            raise InvalidParameter(
                f"{rule.where}: the engine here ({engine.capabilities.name}) takes no phonemes and no pinyin;"
                f" allowed: to have {shown(rule.phrase)} replaced by a text that sounds right"
            )
        if fault := engine.unspeakable(Sounds(rule.alphabet, rule.sounds)):
            raise InvalidParameter(f"{rule.where}: {shown(rule.sounds)}: {fault}")


class RewordedSession(CheckedSession):
    """A session of an engine that is told of phrases, what is to be spoken for them.

    Words and sentences keep their places in the text as it is fed.
    """

    def __init__(self, session: Session, rules: tuple[Rule, ...]) -> None:
        """rules: at least one; `check_sounds` has seen them."""
        super().__init__(session)
        self._finder = PhraseFinder(rules)

    async def feed(self, text: str) -> None:
        """Raises TextTooLong as well."""
        for begin in range(0, len(text), _SLICE):
            if begin:
                await asyncio.sleep(0)
            await self._say_all(self._finder.feed(text[begin : begin + _SLICE]))

    async def say(self, word: str, sounds: Sounds) -> None:
        await self._say_all(self._finder.take(word, sounds))

    async def flush(self) -> None:
        """A phrase ends here, too."""
        await self._say_all(self._finder.feed("", whole=True))
        await super().flush()

    async def finish(self) -> None:
        await self._say_all(self._finder.feed("", whole=True))
        await super().finish()

    async def next_chunk(self) -> PcmChunk | None:
        chunk = await super().next_chunk()
        if chunk is None or not (chunk.words or chunk.segments):
            return chunk
        return replace(
            chunk,
            words=tuple(map(self._word, chunk.words)),
            segments=tuple(map(self._segment, chunk.segments)),
        )

    async def _say_all(self, spoken: list[Spoken]) -> None:
        for each in spoken:
            if isinstance(each, Said):
                await super().say(each.word, each.sounds)
            else:
                await super().feed(each)

    def _word(self, word: WordTime) -> WordTime:
        begin, end = self._finder.source(word.text_begin, word.text_end)
        return replace(word, text_begin=begin, text_end=end)

    def _segment(self, segment: SpokenSegment) -> SpokenSegment:
        begin, end = self._finder.source(segment.text_begin, segment.text_end)
        return replace(segment, text_begin=begin, text_end=end)
