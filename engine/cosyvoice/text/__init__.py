"""Text to text tokens: sentences, normalisation, utterances, BPE; incremental from end to end.

    text -> PlainText -> SentenceStream -> AtomScanner -> ItemMarkers -> WrittenForms (Normalizer)
         -> KatakanaForms -> UtteranceBuilder (TextTokenStream) -> TextDelta

Every stage decides by the text alone, so the result is the same however the text is cut.
"""

from __future__ import annotations

from .frontend import TextFrontend, TextProcessor, Utterance, UtteranceCollector
from .tokenizer import TextTokenizer, TokenizerError
from .utterances import TextDelta
from .written import Normalizer, PlainNormalizer, WetextNormalizer, load_normalizer

__all__ = [
    "Normalizer",
    "PlainNormalizer",
    "TextDelta",
    "TextFrontend",
    "TextProcessor",
    "TextTokenizer",
    "TokenizerError",
    "Utterance",
    "UtteranceCollector",
    "WetextNormalizer",
    "load_normalizer",
]
