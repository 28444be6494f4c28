"""Bytes that several answers may have together, shared so that some are finished rather than all begun."""

from __future__ import annotations

from typing import Protocol


class Growing(Protocol):
    """An answer that is being made."""

    @property
    def size(self) -> int: ...


class Quota:
    """At most `limit` bytes for all answers of somebody. For one event loop.

    The oldest of those that grow finds room up to `kept`: the younger ones leave it free. It can be kept
    waiting only by answers that are made, and these go as their clients take them.
    """

    def __init__(self, limit: int, largest: int, whose: str) -> None:
        """largest: bytes of one answer. whose: for messages."""
        self.limit = limit
        self.whose = whose
        self.size = 0
        self._kept = min(largest, limit // 2)
        self._growing: dict[Growing, None] = {}  # the oldest first

    @property
    def unused(self) -> bool:
        return not self._growing and not self.size

    def begin(self, answer: Growing) -> None:
        """Take note of an answer that is going to grow."""
        self._growing[answer] = None

    def end(self, answer: Growing) -> None:
        """Take note that it grows no more; may be called twice."""
        self._growing.pop(answer, None)

    def has_room(self, answer: Growing, size: int) -> bool:
        """Whether an answer that grows may have `size` bytes more now."""
        oldest = next(iter(self._growing))
        kept = 0 if answer is oldest else max(0, self._kept - oldest.size)
        return self.size + size + kept <= self.limit
