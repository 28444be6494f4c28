"""What the benchmarks have spoken, and how a language model would hand it over."""

from __future__ import annotations

import re
from typing import Final

SENTENCES: Final = (
    "Good morning, and thank you for calling. How can I help you today?",
    "I found three trains this afternoon. The first one leaves at a quarter past two.",
    "Your order was sent yesterday and should arrive on Thursday, before noon.",
    "That is a good question. Let me look it up for you; it will take only a moment.",
    "The weather will stay dry until the evening, with a light wind from the west.",
    "I have written it down. Is there anything else that you would like to know?",
)

_TOKEN: Final = re.compile(
    r"\s*(?:[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+)\s*"
)


def tokens(text: str) -> list[str]:
    """Words with the blanks around them, Han and kana characters one by one; joined, the text."""
    found = _TOKEN.findall(text)
    return found if found or not text else [text]
