"""What a voice agent lives on: speech before the text ends, barge-in, many tasks, workers that die."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from support.peers.peers import Peer, audio, message, run_task, text

BEGIN = (
    "This is the first sentence, and it has enough words to be spoken. Here the second one begins"
)


def workers(pid: int) -> list[int]:
    """The processes that speak: children of the server."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


async def test_speech_comes_before_the_text_ends_and_ends_with_it(peer: Peer) -> None:
    async with peer.socket() as socket:
        await socket.send(
            run_task("t", reference_audio_id="alba"), text("continue-task", "t", BEGIN)
        )
        got = await socket.until("result-generated")
        await socket.send(text("finish-task", "t", " and ends."))
        got += await socket.until("task-finished")
    assert len(audio(got)) > 24000 * 2 * 4
    assert got[-1]["payload"]["usage"]["characters"] == len(BEGIN) + len(" and ends.")


async def test_barge_in_then_the_next_task(peer: Peer) -> None:
    async with peer.socket() as socket:
        await socket.send(run_task("a", reference_audio_id="alba"))
        await socket.send(text("continue-task", "a", BEGIN * 50))
        await socket.until("result-generated", "a")
        await socket.send(message("cancel-task", "a"))
        end = (await socket.until("task-finished", "a"))[-1]
        await socket.send(
            run_task("b", reference_audio_id="alba"), text("finish-task", "b", "Yes.")
        )
        assert audio(await socket.until("task-finished", "b"), "b")
    assert end["payload"]["output"]["finish_reason"] == "cancelled"


async def test_a_worker_that_dies_takes_only_its_own_tasks(peer: Peer) -> None:
    pid = peer.server.pid  # type: ignore[attr-defined]
    before = workers(pid)
    assert before
    sounds = asyncio.Event()

    async def one(number: int) -> str:
        async with peer.socket() as socket:
            await socket.send(run_task("t", reference_audio_id="alba"))
            await socket.send(text("finish-task", "t", f"{BEGIN}. " * 40))
            while True:
                header = (await socket.next())["header"]
                if header["event"] == "result-generated":
                    sounds.set()
                if header["event"] in ("task-finished", "task-failed"):
                    return str(header.get("error_code", "finished"))

    tasks = [asyncio.create_task(one(number)) for number in range(6)]
    await sounds.wait()
    os.kill(before[0], signal.SIGKILL)
    ends = await asyncio.gather(*tasks)
    assert set(ends) <= {"finished", "EngineUnavailable"}
    assert ends.count("EngineUnavailable") <= 1
    assert await one(99) == "finished"
    async with peer.http.get("/metrics") as answer:
        page = await answer.text()
    assert "cosyserve_engine_worker_restarts_total 1.0" in page


async def test_markup_is_spoken_not_obeyed(peer: Peer) -> None:
    async def seconds(words: str) -> float:
        async with peer.socket() as socket:
            await socket.send(
                run_task("t", reference_audio_id="alba"), text("finish-task", "t", words)
            )
            return len(audio(await socket.until("task-finished"))) / 48000

    plain = await seconds("one two")
    assert await seconds('one <break time="20s"/> two') < plain + 6
    assert await seconds("one [[sh'aU]] two") < plain + 4


async def test_hostile_text_is_only_text(peer: Peer) -> None:
    for words in (
        "\x00\x01\x02", "....!!!???", "\u200b\u200d\ufeff", "a" * 5000, "😀" * 500, "\u0301" * 300,
        "%s%n%x" * 50, "<speak>" * 200, "‮txet", "ﷺ" * 20, "1" * 400,
    ):  # fmt: skip
        async with peer.socket() as socket:
            await socket.send(
                run_task("t", reference_audio_id="alba"), text("finish-task", "t", words)
            )
            got = await socket.until("task-finished")
        assert audio(got), words[:20]
