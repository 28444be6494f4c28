import asyncio

from cosyserve.benchmarks.load.siege.victim import Victim
from support.peers.scripted_server import scripted_server


async def test_a_victim_speaks_to_the_end() -> None:
    over = asyncio.Event()
    over.set()
    async with scripted_server() as server:
        victim = Victim(server.url, "victim-secret", "echo")
        await victim.speak_until(over)
    assert len(victim.waits) == 1
    assert not victim.failed


async def test_a_failure_is_counted_by_its_reason() -> None:
    async with scripted_server() as server:
        victim = Victim(server.url, "victim-secret", "echo")
    await victim.speak()
    assert victim.failed == {"ConnectionFailed": 1}
    assert not victim.waits
