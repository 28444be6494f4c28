"""What the listener of a task that is cancelled has heard of its text."""

from __future__ import annotations

from typing import Any

import pytest

from support.engines.fake_engine import FakeEngine
from support.peers.peers import Peer, Socket, message, run_task, text

from ..conftest import Served


def cancel(task_id: str, played_ms: object) -> str:
    return message("cancel-task", task_id, input={"played_ms": played_ms})


async def stopped(socket: Socket, task_id: str, played_ms: object) -> Any:
    """The `heard` in the answer to a cancel-task."""
    await socket.send(cancel(task_id, played_ms))
    output = (await socket.until("task-finished", task_id))[-1]["payload"]["output"]
    assert output["finish_reason"] == "cancelled"
    return output.get("heard")


async def speaking(socket: Socket, words: str, **parameters: Any) -> list[dict[str, Any]]:
    """The events of a task "t" that has sent three words, 50 ms each, and waits for more."""
    await socket.send(run_task("t", **parameters), text("continue-task", "t", words))
    return [(await socket.until("result-generated", "t"))[-1] for _ in range(3)]


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize(
    ("played_ms", "told"),
    [
        (0, {"played_ms": 0, "end_index": 0, "estimated": False}),
        (49, {"played_ms": 49, "end_index": 0, "estimated": False}),
        (100.2, {"played_ms": 100, "end_index": 7, "estimated": False}),
        (10**30, {"played_ms": 150, "end_index": 13, "estimated": False}),
    ],
)
async def test_words_that_were_heard(
    served: Served, wanted: bool, played_ms: float, told: Any
) -> None:
    async with (
        served(FakeEngine(word_times=True)) as (server, engine),
        Peer.of(server, engine) as peer,
        peer.socket() as socket,
    ):
        events = await speaking(socket, "one two three ", word_timestamp_enabled=wanted)
        assert ["words" in event["payload"]["output"] for event in events] == [wanted] * 3
        assert await stopped(socket, "t", played_ms) == told


@pytest.mark.parametrize(("played_ms", "end_index"), [(0, 0), (99, 0), (100, 9), (9999, 9)])
async def test_sentences_that_were_heard(peer: Peer, played_ms: int, end_index: int) -> None:
    async with peer.socket() as socket:
        await speaking(socket, "One two. Three ")
        heard = await stopped(socket, "t", played_ms)
    assert heard == {
        "played_ms": min(played_ms, 150),
        "end_index": end_index,
        "estimated": True,
    }


async def test_places_are_those_of_the_text_without_tags(served: Served) -> None:
    async with (
        served(FakeEngine(word_times=True)) as (server, engine),
        Peer.of(server, engine) as peer,
        peer.socket() as socket,
    ):
        await socket.send(run_task("t", enable_ssml=True))
        document = "<speak>one two<break time='50ms'/> three</speak>"
        await socket.send(text("finish-task", "t", document))
        await socket.until("task-finished", "t")
        assert (await stopped(socket, "t", 100))["end_index"] == len("one two")


@pytest.mark.parametrize("word_times", [True, False])
async def test_a_task_that_has_ended_tells_it_once(served: Served, word_times: bool) -> None:
    async with (
        served(FakeEngine(word_times=word_times)) as (server, engine),
        Peer.of(server, engine) as peer,
        peer.socket() as socket,
    ):
        await socket.send(run_task("t"), text("finish-task", "t", "One two. Three!"))
        await socket.until("task-finished", "t")
        heard = await stopped(socket, "t", 150)
        assert heard == {"played_ms": 150, "end_index": 15, "estimated": not word_times}
        # Its second end is the last word of it.
        await socket.send(cancel("t", 150), run_task("u"), text("finish-task", "u", "One"))
        assert all(each["header"]["task_id"] == "u" for each in await socket.until("task-finished"))
        # The id is free for another one.
        await socket.send(run_task("t"), text("finish-task", "t", "One"))
        await socket.until("task-finished", "t")
        assert (await stopped(socket, "t", 150))["end_index"] == 3


async def test_nothing_is_told_that_was_not_asked_for(peer: Peer) -> None:
    async with peer.socket() as socket:
        await speaking(socket, "one two three ")
        assert await stopped(socket, "t", None) is None
        await socket.send(run_task("t"), text("finish-task", "t", "One"))
        await socket.until("task-finished", "t")
        await socket.send(message("cancel-task", "t"), cancel("t", None))
        await socket.send(run_task("u"), text("finish-task", "u", "One"))
        assert all(each["header"]["task_id"] == "u" for each in await socket.until("task-finished"))


async def test_a_task_that_was_never_there_is_refused(peer: Peer) -> None:
    async with peer.socket() as socket:
        await socket.send(cancel("nobody", 10))
        told = (await socket.until("task-failed"))[-1]["header"]
    assert told["error_code"] == "InvalidState"


@pytest.mark.parametrize("wrong", [-1, "soon", True, [], "-3"])
async def test_a_wrong_time_is_refused_and_ends_the_task(peer: Peer, wrong: object) -> None:
    async with peer.socket() as socket:
        await speaking(socket, "one two three ")
        await socket.send(cancel("t", wrong))
        told = (await socket.until("task-failed", "t"))[-1]["header"]
        assert told["error_code"] == "InvalidParameter"
        assert told["error_message"].startswith("payload.input.played_ms: ")
    assert peer.engine.sessions[0].cancelled
