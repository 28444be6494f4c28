"""The attacker's process, so that what it computes delays nobody's clock but the server's.

It reads what to do from the standard input, and writes what it got to the standard output, both JSON.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

import orjson
import uvloop

from .attack import Attack, Ground
from .attacks import chosen

_SLACK: Final = 30.0
"""Seconds for the process to start, and to end once its time is over."""


class AttackFailed(Exception):
    """The attacker's process has failed; the message is the end of what it said."""


@dataclass(frozen=True, slots=True)
class Booty:
    """What an attacker got in so many seconds: see Ground."""

    seconds: float
    got: dict[str, int]


async def attack(attack: Attack, ground: Ground, seconds: float) -> Booty:
    """Lead an attack from a process of its own, for so many seconds at most. Raises AttackFailed."""
    task = {
        "attack": attack.name,
        "seconds": seconds,
        "url": ground.url,
        "token": ground.token,
        "voice": ground.voice,
        "scale": ground.scale,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds + _SLACK):
            output, errors = await process.communicate(orjson.dumps(task))
    except TimeoutError:
        raise AttackFailed(f"{attack.name}: the attacker did not end in time") from None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if process.returncode:
        raise AttackFailed(f"{attack.name}: {errors.decode('utf-8', 'replace')[-2000:]}")
    return Booty(**orjson.loads(output))


def _lead(task: Mapping[str, Any]) -> Booty:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    (attack,) = chosen([task["attack"]])
    ground = Ground(task["url"], task["token"], task["voice"], task["scale"])
    began = perf_counter()

    async def lead() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(task["seconds"]):
                await attack.lead(ground)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(lead())
    return Booty(
        perf_counter() - began, {what: count for what, count in ground.got.items() if count}
    )


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(_lead(orjson.loads(sys.stdin.buffer.read()))))
