"""What an engine may offer besides: to be told a pronunciation."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from .interface import Session, SynthesisOptions, Voice


@runtime_checkable
class PhoneticEngine(Protocol):
    """An engine that reads phonetic alphabets. Ask by `isinstance`.

    The alphabets are "py", pinyin, its syllables apart and with a tone's number (ni3 hao3) or sign
    (nǐ hǎo), and "ipa", the International Phonetic Alphabet.
    """

    def reads(self, alphabet: str, sounds: str) -> bool:
        """Whether it has all of these sounds."""

    def open_phonetic(self, voice: Voice, options: SynthesisOptions, alphabet: str) -> Session:
        """Begin a task whose text is sounds that it `reads`. Raises what open_session does."""
