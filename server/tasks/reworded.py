"""A session whose text has phrases that are spoken otherwise than they are written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from cosyserve.engine.interface import (
    Engine,
    PcmChunk,
    PhoneticEngine,
    Session,
    Sounds,
    SpellingEngine,
    SpokenSegment,
    WordTime,
)
from cosyserve.protocol.errors import InvalidParameter
from cosyserve.protocol.fields import shown
from cosyserve.protocol.phrases import Pronunciation, Replacement, Rule

from .contract import CheckedSession
from .phrases import PhraseFinder, Said, Spoken

_SLICE: Final = 1000
"""Characters searched before the event loop serves others."""


_SPELLED: Final = {"cmu-arpabet": "cmu", "py": "py"}
"""What engines that spell sounds call the alphabets."""


def spoken_rules(engine: Engine, rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules as the engine takes them: an engine that spells sounds in its text gets that text.

    Raises InvalidParameter if there are sounds that the engine cannot speak.
    """
    return tuple(
        _spoken_rule(engine, rule) if isinstance(rule, Pronunciation) else rule for rule in rules
    )


def _spoken_rule(engine: Engine, rule: Pronunciation) -> Rule:
    if isinstance(engine, PhoneticEngine):
        if fault := engine.unspeakable(Sounds(rule.alphabet, rule.sounds)):
            raise InvalidParameter(f"{rule.where}: {shown(rule.sounds)}: {fault}")
        return rule
    name, spells = engine.capabilities.name, engine.capabilities.spells
    if not isinstance(engine, SpellingEngine) or not spells:
        raise InvalidParameter(
            f"{rule.where}: the engine here ({name}) takes no phonemes and no pinyin;"
            f" allowed: to have {shown(rule.phrase)} replaced by a text that sounds right"
        )
    spelled = engine.spelled(_SPELLED.get(rule.alphabet, rule.alphabet), rule.sounds)
    if spelled is None:
        allowed = ", ".join(ours for ours, theirs in _SPELLED.items() if theirs in spells)
        raise InvalidParameter(
            f"{rule.where}: {shown(rule.sounds)} in {rule.alphabet}: the engine here ({name}) has no such"
            f" sounds; allowed: its own in {allowed}"
        )
    return Replacement(rule.phrase, spelled, rule.whole_words, rule.match_case)


class RewordedSession(CheckedSession):
    """A session of an engine that is told of phrases, what is to be spoken for them.

    Words and sentences keep their places in the text as it is fed.
    """

    def __init__(self, session: Session, rules: tuple[Rule, ...]) -> None:
        """rules: at least one, from `spoken_rules`."""
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
