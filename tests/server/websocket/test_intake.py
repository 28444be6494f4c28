"""What one WebSocket may have the server read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import pairwise

import pytest
from websockets.exceptions import ConnectionClosed

from cosyserve.server.websocket.budgets import BURST_SECONDS
from cosyserve.server.websocket.connection import MESSAGES_PER_TURN
from cosyserve.server.websocket.intake import BYTES_PER_TURN, FRAMES_PER_TURN, SLICE, Intake
from support.peers.line import FRAME, Limits, Line
from support.peers.peers import PATH, Peer, Socket, message, run_task, text

from ..conftest import Served


def test_a_read_is_parsed_in_turns_and_nothing_is_read_meanwhile() -> None:
    line = Line(Limits(max_messages_per_second=1_000_000))
    line.intake.take(bytes(FRAME * 10_000))
    turns = [line.parsed]
    while not line.reading:
        line.loop.turn()
        turns.append(line.parsed - sum(turns))
    assert line.parsed == 10_000
    assert max(turns) <= FRAMES_PER_TURN + SLICE // FRAME + 1
    assert line.loop.idle


def test_a_message_of_ordinary_size_waits_for_no_turn() -> None:
    line = Line(Limits())
    line.intake.take(bytes(FRAME))
    assert line.parsed == 1
    assert line.reading
    assert line.loop.idle


def test_a_turn_has_a_limit_in_bytes_too() -> None:
    parsed = []
    line = Line(Limits())
    line.intake._feed = parsed.append
    line.intake.take(bytes(3 * BYTES_PER_TURN))
    assert sum(map(len, parsed)) == BYTES_PER_TURN
    line.loop.turn()
    line.loop.turn()
    assert sum(map(len, parsed)) == 3 * BYTES_PER_TURN
    assert line.reading


@pytest.mark.parametrize("control", [False, True])
def test_what_is_over_the_budget_is_read_later(control: bool) -> None:
    limits = Limits()
    rate = limits.max_control_frames_per_second if control else limits.max_messages_per_second
    line = Line(limits, control=control)
    while line.loop.now < 20:
        if line.reading:
            line.intake.take(bytes(FRAME * 1000))
        line.loop.turn()
        allowed = rate * (BURST_SECONDS + line.loop.now)
        assert line.parsed <= allowed + FRAMES_PER_TURN + SLICE // FRAME + 1
    assert line.parsed >= rate * 20
    assert line.floods == []


def test_a_flood_that_goes_on_is_ended_once_and_nothing_more_is_parsed() -> None:
    line = Line(Limits(flood_timeout=30.0))
    while not line.floods:
        if line.reading:
            line.intake.take(bytes(FRAME * 1000))
        line.loop.turn()
    assert 30 <= line.loop.now < 32
    assert "100 messages a second" in line.floods[0].message
    assert line.loop.idle
    assert not line.reading
    parsed = line.parsed
    line.intake.take(bytes(FRAME))
    line.intake.go_on("queue")
    assert line.parsed == parsed


def test_bursts_with_rest_between_them_are_no_flood() -> None:
    line = Line(Limits(flood_timeout=30.0))
    for _ in range(100):
        line.intake.take(bytes(FRAME * 600))
        while not line.loop.idle:
            line.loop.turn()
        line.loop.now += 10
    assert line.parsed == 60_000
    assert line.floods == []


def test_an_old_burst_of_messages_is_no_flood_of_pings() -> None:
    line = Line(Limits(flood_timeout=30.0))
    line.intake.take(bytes(FRAME * 600))
    while not line.loop.idle:
        line.loop.turn()
    line.loop.now += 60
    line.control = True
    line.intake.take(bytes(FRAME * 600))
    assert not line.loop.idle
    assert line.floods == []


def test_a_language_model_on_eight_tasks_waits_for_nothing() -> None:
    line = Line(Limits(max_messages_per_second=1000))
    for _ in range(60 * 100):
        for _task in range(8):
            line.intake.take(bytes(FRAME))
        assert line.reading
        line.loop.now += 0.01
    assert line.parsed == 60 * 800


def test_nothing_is_parsed_while_it_is_held_and_all_reasons_count() -> None:
    line = Line(Limits())
    line.intake.hold("queue")
    line.intake.hold("pongs")
    line.intake.take(bytes(FRAME))
    line.intake.go_on("queue")
    assert not line.reading
    assert line.parsed == 0
    line.intake.go_on("pongs")
    line.loop.turn()
    assert line.parsed == 1
    assert line.reading


def test_the_end_drops_what_is_left() -> None:
    line = Line(Limits())
    line.intake.take(bytes(FRAME * 500))
    parsed = line.parsed
    line.intake.end()
    assert line.loop.idle
    line.intake.take(bytes(FRAME))
    assert line.parsed == parsed


# On a whole server.


async def test_the_reader_lets_others_run_between_queued_messages(served: Served) -> None:
    """Counted in turns of the loop: messages of one connection that are handled in one of them."""
    handled: list[int] = []

    async def count_turns() -> None:
        while True:
            handled.append(len(engine.sessions[0].text) if engine.sessions else 0)
            await asyncio.sleep(0)

    async with served() as (server, engine), Peer.of(server, engine) as peer:
        counting = asyncio.create_task(count_turns())
        async with peer.socket() as socket:
            await socket.send(run_task("t"))
            await socket.until("task-started")
            socket.raw.transport.write(500 * _masked(text("continue-task", "t", "a")))
            await socket.send(message("finish-task", "t"))
            await socket.until("task-finished")
        counting.cancel()
    assert engine.sessions[0].text == 500 * "a"
    assert max(after - before for before, after in pairwise(handled)) <= MESSAGES_PER_TURN


def _masked(text: str) -> bytes:
    """A client's frame, masked with zeros."""
    data = text.encode()
    return b"\x81\xfe" + len(data).to_bytes(2, "big") + bytes(4) + data


PING = b"\x89\x80" + bytes(4)
FLOODS = {
    "pings": 20_000 * PING,
    "unknown actions": 20_000 * _masked(message("x", "flood")),
    "texts": 20_000 * _masked(text("continue-task", "flood", "a")),
    "fragments": b"\x01\x80" + bytes(4) + 20_000 * (b"\x00\x81" + bytes(4) + b" "),
}


GENEROUS = {
    "max_messages_per_second": 1_000_000,
    "max_messages_per_second_per_token": 1_000_000,
    "max_control_frames_per_second": 1_000_000,
    "max_control_frames_per_second_per_token": 1_000_000,
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_keeps_nobody_from_a_first_chunk(
    served: Served, monkeypatch: pytest.MonkeyPatch, flood: str
) -> None:
    """Counted in frames that the server takes from the flood until the other client has a chunk."""
    taken = 0
    more = asyncio.Event()
    frame = Intake.frame

    def count(self: Intake, *, control: bool) -> None:
        nonlocal taken
        taken += 1
        more.set()
        frame(self, control=control)

    monkeypatch.setattr(Intake, "frame", count)
    async with served(**GENEROUS) as (server, engine):
        async with Peer.of(server, engine) as peer, peer.socket() as socket:
            await socket.send(run_task("t"))
            await socket.until("task-started")
            async with peer.socket(ping_interval=None) as flooding:
                await flooding.send(run_task("flood"))
                await flooding.until("task-started")
                before = taken
                flooding.raw.transport.write(FLOODS[flood])
                more.clear()
                await more.wait()
                await socket.send(text("finish-task", "t", "one"))
                await socket.until("result-generated")
                assert taken - before < 2_000
                flooding.raw.transport.abort()


async def _up_to_the_close(socket: Socket) -> AsyncIterator[str | bytes]:
    with suppress(ConnectionClosed):
        while True:
            yield await socket.raw.recv()


@pytest.mark.parametrize(
    ("path", "run", "told"),
    [
        (PATH, run_task("t"), "Throttled"),
        (
            "/api-ws/v1/inference",
            message(
                "run-task",
                "t",
                model="cosyvoice-v2",
                task_group="audio",
                task="tts",
                function="SpeechSynthesizer",
                parameters={"voice": "plain", "format": "pcm"},
            ),
            "Throttling",
        ),
        ("/v1/text-to-speech/plain/stream-input", json.dumps({"text": "one "}), "a second"),
        (
            "/v1/text-to-speech/plain/multi-stream-input",
            json.dumps({"text": "one ", "context_id": "t"}),
            "a second",
        ),
    ],
)
async def test_who_floods_on_gets_a_last_word_in_every_dialect(
    served: Served, path: str, run: str, told: str
) -> None:
    limits = {"max_control_frames_per_second": 1000, "flood_timeout": 0.1, "close_timeout": 0.1}
    async with served(**limits) as (server, engine):
        async with Peer.of(server, engine) as peer, peer.socket(path) as socket:
            await socket.send(run)
            await engine.opened.wait()
            socket.raw.transport.write(20_000 * PING)
            got = [str(data) async for data in _up_to_the_close(socket)]
            assert socket.raw.close_code == 1008
            assert "control frames a second" in (socket.raw.close_reason or "")
            assert told in got[-1]


@pytest.mark.parametrize("reads_again", [True, False])
async def test_a_client_that_pings_and_never_reads_is_held_and_cut_off(
    served: Served, monkeypatch: pytest.MonkeyPatch, reads_again: bool
) -> None:
    monkeypatch.setattr("cosyserve.server.delivery.delivery.LARGEST_STEP", 0)
    held = asyncio.Event()
    hold = Intake.hold

    def note(self: Intake, why: str) -> None:
        hold(self, why)
        if why == "pongs":
            held.set()

    monkeypatch.setattr(Intake, "hold", note)
    generous = {**GENEROUS, "send_timeout": 1.0}
    async with served(send_buffer_bytes=4096, ping_interval=None, **generous) as (server, engine):
        async with Peer.of(server, engine) as peer, peer.socket(ping_interval=None) as socket:
            (connection,) = server.websockets.connections
            socket.raw.transport.pause_reading()
            socket.raw.transport.write(100_000 * (b"\x89\xfd" + bytes(4 + 125)))
            await held.wait()
            assert connection.transport.get_write_buffer_size() < 32 * 1024
            if reads_again:
                socket.raw.transport.resume_reading()
                await (await socket.raw.ping())
            else:
                await connection.connection_lost_waiter
                socket.raw.transport.abort()
