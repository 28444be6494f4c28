"""No task ends without a last word, whatever its engine does."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress

import pytest
from structlog.testing import capture_logs

from cosyserve.server.tasks import contract
from cosyserve.server.websocket import task
from support.engines.faulty_engine import EARLY_END, FAULTS, Fault, cancel_who_calls
from support.peers.last_word import (
    WHOLE,
    WORDS,
    assert_accounted,
    assert_told,
    assert_usable,
    counted,
    engine_of,
    say,
)
from support.peers.peers import Peer, message, run_task, text
from support.peers.ways import HTTP, SOCKETS, Way

LATE = [
    fault
    for fault in FAULTS
    if fault.name in ("an empty chunk", "iteration raises RuntimeError", "cancel raises OSError")
]


each_way = pytest.mark.parametrize("way", [*SOCKETS, *HTTP], ids=str)
each_socket = pytest.mark.parametrize("way", SOCKETS, ids=str)


@each_way
@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_a_fault_of_the_engine(faulty: Peer, way: Way, fault: Fault) -> None:
    await one_fails_and_the_next_is_spoken(faulty, way, fault, after=0)


@each_way
@pytest.mark.parametrize("fault", LATE, ids=str)
async def test_a_fault_after_the_first_sound(faulty: Peer, way: Way, fault: Fault) -> None:
    await one_fails_and_the_next_is_spoken(faulty, way, fault, after=1)


async def one_fails_and_the_next_is_spoken(peer: Peer, way: Way, fault: Fault, after: int) -> None:
    engine = engine_of(peer)
    engine.fault, engine.after = fault, after
    with capture_logs() as lines:
        async with way.open(peer) as conversation:
            assert_told(way, await say(conversation))
            await assert_accounted(peer, way, lines, fault.broke)
            engine.fault = None
            await assert_usable(peer, way, conversation)


@each_socket
@pytest.mark.parametrize("after", [0, 1])
async def test_an_iteration_that_ends_while_text_is_expected_fails_at_once(
    faulty: Peer, way: Way, after: int
) -> None:
    engine = engine_of(faulty)
    engine.fault, engine.after = EARLY_END, after
    with capture_logs() as lines:
        async with way.open(faulty) as conversation:
            await conversation.send(WORDS + " ", finish=False)
            assert_told(way, await conversation.heard())
            await assert_accounted(faulty, way, lines, EARLY_END.broke)
            engine.fault = None
            await conversation.finish()  # it was on its way: nothing answers it
            await assert_usable(faulty, way, conversation)


@each_socket
async def test_a_task_that_its_engine_cancels_fails(faulty: Peer, way: Way) -> None:
    engine = engine_of(faulty)
    engine.fault = Fault("", "iteration", cancel_who_calls, "")
    with capture_logs() as lines:
        async with way.open(faulty) as conversation:
            assert_told(way, await say(conversation))
            engine.fault = None
            await assert_usable(faulty, way, conversation)
    (error,) = [line for line in lines if line["event"] == "unexpected_error"]
    assert error["broke"] == "the task that called the engine was cancelled"
    assert counted(faulty)[way.transport, "failed", "InternalError"] == 1


async def test_an_engine_that_goes_on_after_cancel_is_left_alone(
    faulty: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "STOP_TIMEOUT", 0.05)
    released = asyncio.Event()

    async def deaf() -> None:
        while not released.is_set():
            with suppress(asyncio.CancelledError):
                await released.wait()

    engine = engine_of(faulty)
    engine.fault, engine.after = Fault("deaf", "iteration", deaf, ""), 1
    with capture_logs() as lines, ExitStack() as at_last:
        at_last.callback(released.set)  # else a failure here would leave a task that nothing ends
        async with faulty.socket() as socket:
            await socket.send(run_task("t"), text("continue-task", "t", WORDS + " "))
            await socket.until("result-generated")
            await socket.send(message("cancel-task", "t"))
            end = (await socket.until("task-finished"))[-1]
            assert end["payload"]["output"]["finish_reason"] == "cancelled"
            engine.fault = None
            await socket.send(run_task("t"), text("finish-task", "t", "four"))
            await socket.until("task-started")
            released.set()
            await socket.until("task-finished")  # and nothing of the first task
    assert [line["broke"] for line in lines if line["event"] == "unexpected_error"] == [
        "iteration goes on 0.05 s after it was cancelled"
    ]
    assert counted(faulty) == {
        ("websocket", "cancelled", ""): 1,
        ("websocket", "finished", ""): 1,
    }


@each_way
async def test_a_session_that_is_never_freed_keeps_no_client_waiting(
    faulty: Peer, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "LEAVE_TIMEOUT", 0.05)
    engine = engine_of(faulty)
    never = asyncio.Event()
    engine.fault = Fault("never freed", "cancel", never.wait, "")
    with capture_logs() as lines:
        async with way.open(faulty) as conversation:
            heard = await say(conversation)
            never.set()
    assert (len(heard.sound), heard.failed, heard.closed) == (WHOLE, None, None)
    (error,) = [line for line in lines if line["event"] == "unexpected_error"]
    assert error["broke"] == "cancel takes over 0.05 s"
