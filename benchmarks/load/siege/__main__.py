"""What hostile clients cost everybody else: the delay of other clients' speech, their failures, memory.

    python -m cosyserve.benchmarks.load.siege
    python -m cosyserve.benchmarks.load.siege whole flood-pings

Each attack is led by one process against a fresh server of its own, with the embedded voice and the default
settings, while another token's tasks are measured. The attack ends after its time. An attack's name may
stop at a hyphen for all that begin so. Needs Linux. The exit status is 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Final

from cosyserve.clients import Client, ClientError
from cosyserve.clients.cli.tables import print_table

from ...report import conditions, write_report
from ...stats import summarize
from ..launch import (
    LaunchedServer,
    ServerDidNotStart,
    importable,
    launched_server,
    peak_kib,
    resident_kib,
)
from . import attacker
from .attack import Attack, Ground
from .attacker import AttackFailed
from .attacks import ATTACKS, chosen
from .result import HEAD, MEMORY_MIB, Cost, markdown, row
from .victim import Victim

ATTACKER: Final = ("attacker", "attacker-secret")
VICTIM: Final = ("victim", "victim-secret")
WARM_UP: Final = 10
"""Tasks before the attack, which do not count."""
_ERROR: Final = re.compile(r"\[(error|critical) |Traceback")


def main(argv: Sequence[str] | None = None) -> int:
    """Run with these arguments; returns the exit code."""
    options = _parser().parse_args(argv)
    around = conditions()
    try:
        costs = asyncio.run(_besiege(options))
    except (AttackFailed, ClientError, OSError, ServerDidNotStart, ValueError) as error:
        print(f"siege: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print_table(HEAD, [row(cost) for cost in costs])
    missed = {cost.attack: list(cost.missed()) for cost in costs if cost.checkout == "this"}
    content = {
        **around,
        "memory_mib": MEMORY_MIB,
        "scale": options.scale,
        "voice": options.voice,
        "costs": [asdict(cost) for cost in costs],
        "missed": missed,
    }
    path = write_report(options.out, "siege", content)
    path.with_suffix(".md").write_text(markdown(costs), encoding="utf-8")
    print(f"wrote {path} and the table beside it")
    for attack, goals in missed.items():
        for goal in goals:
            print(f"missed: {attack}: {goal}")
    return int(any(missed.values()))


def _parser() -> argparse.ArgumentParser:
    width = max(len(attack.name) for attack in ATTACKS)
    attacks = "\n".join(f"  {each.name:{width}}  {each.about}" for each in ATTACKS)
    parser = argparse.ArgumentParser(
        prog="python -m cosyserve.benchmarks.load.siege",
        description=__doc__,
        epilog=f"attacks:\n{attacks}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help="(default: all, in turn)")
    parser.add_argument(
        "--seconds", type=float, help="of each attack at the most (default: as it needs)"
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="share of its full size (default: 1)"
    )
    parser.add_argument("--voice", help="of all clients (default: the server's first)")
    parser.add_argument(
        "--against", type=Path, metavar="CHECKOUT", help="attack the server of this checkout, too"
    )
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for the JSON")
    return parser


async def _besiege(options: argparse.Namespace) -> list[Cost]:
    costs = []
    with ExitStack() as stack:
        checkouts: dict[str, Path | None] = {"this": None}
        if options.against is not None:
            checkouts["other"] = stack.enter_context(importable(options.against))
        for attack in chosen(options.attacks):
            seconds = options.seconds or attack.seconds
            for name, packages in checkouts.items():
                print(f"{attack.name}: {attack.about} ...", file=sys.stderr, flush=True)
                costs.append(
                    await measure(attack, seconds, options.scale, options.voice, name, packages)
                )
    return costs


async def measure(
    attack: Attack,
    seconds: float,
    scale: float = 1.0,
    voice: str | None = None,
    checkout: str = "this",
    packages: Path | None = None,
) -> Cost:
    """Lead an attack against a server of its own, and measure another client meanwhile.

    voice: of all clients; None: the server's first. checkout: its name in the report. packages: as in
    `launched_server`. Raises as that does, AttackFailed, ClientError, and OSError.
    """
    with tempfile.TemporaryDirectory(prefix="cosyserve-") as folder:
        references = Path(folder, "references")
        if attack.prepare is not None:
            await asyncio.to_thread(attack.prepare, references, ATTACKER[0], scale)
        flags = [f"--token={name}={secret}" for name, secret in (ATTACKER, VICTIM)]
        async with launched_server(
            *flags, "--references", str(references), packages=packages
        ) as server:
            if voice is None:
                async with Client(server.url, token=VICTIM[1]) as client:
                    voice = (await client.voices())[0].id
            return await _measure(server, attack, seconds, scale, voice, checkout)


async def _measure(
    server: LaunchedServer,
    attack: Attack,
    seconds: float,
    scale: float,
    voice: str,
    checkout: str,
) -> Cost:
    for _ in range(WARM_UP):
        await Victim(server.url, VICTIM[1], voice).speak()
    idle, told = resident_kib(server.pid), server.log.stat().st_size
    victim, over = Victim(server.url, VICTIM[1], voice), asyncio.Event()
    speaking = asyncio.create_task(victim.speak_until(over))
    try:
        ground = Ground(server.url, ATTACKER[1], voice, scale)
        booty = await attacker.attack(attack, ground, seconds)
    finally:
        over.set()
        await speaking
    log = server.log.read_bytes()[told:].decode("utf-8", "replace")
    return Cost(
        attack.name,
        checkout,
        booty.seconds,
        booty.got,
        attack.first_sound,
        summarize(victim.waits),
        dict(victim.failed),
        idle / 1024,
        # The kernel notes a peak only now and then: it may be some pages below what was seen before.
        max(idle, peak_kib(server.pid)) / 1024,
        len(log) / 1024,
        [line for line in log.splitlines() if _ERROR.search(line)],
    )


if __name__ == "__main__":
    sys.exit(main())
