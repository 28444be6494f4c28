"""All attacks, in the order in which they are led."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from . import frames, places, requests, uploads, whole
from .attack import Attack, Ground


async def _none(ground: Ground) -> None:
    await asyncio.get_running_loop().create_future()


ATTACKS: Final = (
    Attack("none", "nothing, for comparison", _none, 10),
    *whole.ATTACKS,
    *requests.ATTACKS,
    *frames.ATTACKS,
    *uploads.ATTACKS,
    *places.ATTACKS,
)


def chosen(names: Sequence[str]) -> list[Attack]:
    """Those with such a name or with a name that begins with it, up to a hyphen; all without a name.

    Raises ValueError for a name that none has.
    """
    for name in names:
        if not any(_fits(attack, name) for attack in ATTACKS):
            known = ", ".join(attack.name for attack in ATTACKS)
            raise ValueError(
                f"{name}: no such attack; allowed: {known}, or what comes before a hyphen"
            )
    return [each for each in ATTACKS if not names or any(_fits(each, name) for name in names)]


def _fits(attack: Attack, name: str) -> bool:
    return attack.name == name or attack.name.startswith(f"{name}-")
