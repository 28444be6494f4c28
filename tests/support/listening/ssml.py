"""Speaking SSML in tests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cosyserve.engine.interface import Engine, SynthesisOptions
from cosyserve.server.ssml import open_ssml
from support.listening.spoken import Spoken


@dataclass(frozen=True)
class SpokenSsml(Spoken):
    """plain: its text as words and sentences count it."""

    plain: str
    notices: tuple[str, ...]

    @property
    def sentence_texts(self) -> list[str]:
        return [self.plain[each.text_begin : each.text_end] for each in self.sentences]


async def speak_ssml(
    engine: Engine,
    documents: str | Iterable[str],
    options: SynthesisOptions | None = None,
    voice: str | None = None,
) -> SpokenSsml:
    """Speak a document, or several with a flush after each, to the end."""
    found = engine.builtin_prompt(voice or engine.capabilities.voices[0].id)
    assert found is not None
    async with open_ssml(engine, found, options or SynthesisOptions()) as session:
        for document in [documents] if isinstance(documents, str) else documents:
            await session.feed(document)
            if not isinstance(documents, str):
                await session.flush()
        await session.finish()
        chunks = tuple([chunk async for chunk in session])
        plain = session.text(0, 10**9)
        return SpokenSsml(chunks, engine.capabilities.sample_rate, plain, session.notices)
