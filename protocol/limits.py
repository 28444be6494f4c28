"""How much text a client may send."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import TextTooLong


@dataclass(frozen=True, slots=True)
class TextLimits:
    """The most characters (code points) that one message, and all messages of a task, may carry."""

    message: int = 20_000
    task: int = 200_000

    def check(self, text: str, before: int = 0) -> None:
        """Raises TextTooLong if `text` is too long, by itself or after `before` characters."""
        if len(text) > self.message:
            raise TextTooLong(
                f"text: {len(text)} characters in one message; allowed: {self.message}"
            )
        if before + len(text) > self.task:
            raise TextTooLong(
                f"text: {before + len(text)} characters in one task; allowed: {self.task}"
            )
