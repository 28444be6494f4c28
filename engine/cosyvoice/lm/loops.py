"""Does the speech repeat itself without end?"""

from __future__ import annotations

from typing import Final

LONGEST_CYCLE: Final = 50
"""Tokens: 2 s. Longer cycles are whole words said again, which a text may ask for."""
_FEWEST_CYCLES: Final = 3


class LoopDetector:
    """Give it each token; it says when the last `limit` tokens were one cycle, at least three times over."""

    def __init__(self, limit: int) -> None:
        """limit: tokens; 0 never finds a loop."""
        self._limit = limit
        self._recent: list[int] = []
        self._equal = [0] * (LONGEST_CYCLE + 1)

    def add(self, token: int) -> bool:
        recent, equal, limit = self._recent, self._equal, self._limit
        if not limit:
            return False
        found = False
        for period in range(1, min(len(recent), LONGEST_CYCLE) + 1):
            if recent[-period] == token:
                equal[period] += 1
                length = equal[period] + period
                found = found or length >= max(limit, _FEWEST_CYCLES * period)
            else:
                equal[period] = 0
        recent.append(token)
        if len(recent) > 2 * LONGEST_CYCLE:
            del recent[:LONGEST_CYCLE]
        return found
