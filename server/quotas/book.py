"""What every token has had today, and what is left to it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cosyserve.protocol.errors import QuotaExceeded
from cosyserve.protocol.messages import QuotaLeft

from ..auth import ANONYMOUS
from ..settings.values import DailyQuota
from .day import DAY, QuotaDay


@dataclass(slots=True)
class Use:
    """Characters of text and seconds of speech."""

    characters: int = 0
    seconds: float = 0.0


class DailyQuotas:
    """The counts of one day, by the names of tokens. For one event loop.

    own: by name; others have the one of `everybody`. All is counted, since a quota may come
    while the server runs.
    """

    def __init__(
        self, everybody: DailyQuota, own: Mapping[str, DailyQuota], day: QuotaDay | None = None
    ) -> None:
        self.day = day or QuotaDay()
        self._everybody = everybody
        self._own = own
        self._uses: dict[str, Use] = {}
        self._number = self.day.number
        self.changes = 0
        """Goes up with each count."""

    def replace(self, own: Mapping[str, DailyQuota]) -> None:
        """Let these quotas hold from now on; what was counted stays counted."""
        self._own = own

    def of(self, name: str) -> DailyQuota:
        """The quota of the token of this name."""
        return self._own.get(name, self._everybody)

    @property
    def any(self) -> bool:
        """Whether anybody has one."""
        return any(quota.limits for quota in (self._everybody, *self._own.values()))

    @property
    def wait(self) -> int:
        """Whole seconds after which the day is over."""
        return math.ceil(self.day.left)

    def task(self, name: str) -> TaskQuota:
        """For a new task of the token of this name."""
        return TaskQuota(self, name)

    def use(self, name: str) -> Use:
        """What it has had today."""
        return self.uses().get(name) or Use()

    def uses(self) -> Mapping[str, Use]:
        """What each name has had today."""
        if self._number != self.day.number:
            self._number = self.day.number
            self._uses = {}
        return self._uses

    def add(self, name: str, characters: int = 0, seconds: float = 0.0) -> None:
        """Count more; negative: that much was not used after all."""
        self.uses()
        use = self._uses.setdefault(name, Use())
        use.characters = max(0, use.characters + characters)
        use.seconds += seconds
        self.changes += 1

    def resume(self, uses: Mapping[str, Use]) -> None:
        """Begin with what was counted before a restart."""
        self._uses = dict(uses)

    def left(self, name: str) -> QuotaLeft | None:
        """What is left to it today; None if it has no quota."""
        quota, use = self.of(name), self.use(name)
        if not quota.limits:
            return None
        return QuotaLeft(
            characters=(
                None if quota.characters is None else max(0, quota.characters - use.characters)
            ),
            seconds=None if quota.seconds is None else max(0.0, quota.seconds - use.seconds),
            resets_in=self.wait,
        )

    def limited(self) -> Iterator[tuple[str, str]]:
        """Name and unit of each limit; where there are no tokens, of what everybody has together."""
        for name in self._own or (ANONYMOUS.name,):
            for unit in self.of(name).limits:
                yield name, unit

    def share(self, name: str, unit: str) -> float:
        """The share of a limit that is used; 0 if there is none any more."""
        limit = self.of(name).limits.get(unit)
        used: float = getattr(self.use(name), unit)
        return used / limit if limit else 0.0

    def headers(self, name: str) -> dict[str, str]:
        """The fields of draft-ietf-httpapi-ratelimit-headers for an answer to the token of this name."""
        left = self.left(name)
        if left is None:
            return {}
        policies, remaining = [], []
        for unit, limit in self.of(name).limits.items():
            policies.append(f'"{unit}";q={math.floor(limit)};w={DAY:.0f}')
            remaining.append(f'"{unit}";r={math.floor(getattr(left, unit))};t={left.resets_in}')
        return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(remaining)}


class TaskQuota:
    """What one task takes from its token's quota."""

    def __init__(self, quotas: DailyQuotas, name: str) -> None:
        self._quotas = quotas
        self._name = name
        self._day = quotas.day.number
        self._characters = 0  # counted in this day

    @property
    def left(self) -> QuotaLeft | None:
        """What is left to the token; None if it has no quota."""
        return self._quotas.left(self._name)

    def begin(self) -> None:
        """Raises QuotaExceeded if nothing of it is left."""
        left = self.left
        if left is not None and left.characters == 0:
            raise self._exceeded("characters")
        self.go_on()

    def go_on(self) -> None:
        """Raises QuotaExceeded if no more may be spoken."""
        quota = self._quotas.of(self._name)
        if quota.seconds is not None and self._quotas.use(self._name).seconds >= quota.seconds:
            raise self._exceeded("seconds")

    def text(self, characters: int) -> None:
        """Count text. Raises QuotaExceeded if there are more characters than are left; then none count."""
        quota = self._quotas.of(self._name)
        if quota.characters is not None:
            used = self._quotas.use(self._name).characters
            if used + characters > quota.characters:
                raise self._exceeded("characters")
        if self._day != self._quotas.day.number:
            self._day, self._characters = self._quotas.day.number, 0
        self._characters += characters
        if characters:
            self._quotas.add(self._name, characters)

    def speech(self, seconds: float) -> None:
        """Count speech."""
        self._quotas.add(self._name, seconds=seconds)

    def unspoken(self, characters: int) -> None:
        """So many characters of the task's text are never spoken, and count no more. To be called last."""
        least = min(characters, self._characters)
        if self._day == self._quotas.day.number and least:
            self._quotas.add(self._name, -least)
        self._characters = 0

    def _exceeded(self, unit: str) -> QuotaExceeded:
        limit, use = (
            getattr(each, unit)
            for each in (self._quotas.of(self._name), self._quotas.use(self._name))
        )
        what = "characters" if unit == "characters" else "s of speech"
        return QuotaExceeded(
            f"this token may have {limit:.10g} {what} a day and has {max(0.0, limit - use):.10g} left",
            self._quotas.wait,
        )
