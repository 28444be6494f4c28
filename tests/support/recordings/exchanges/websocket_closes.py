"""How connections of the native WebSocket end."""

from __future__ import annotations

from ..book import Book
from ..stage import Stage
from .frames import SPEECH, finish, run_task

book = Book("websocket/closes")


@book.exchange()
async def frames_that_cannot_be_understood(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("t"))
        await talk.until("task-started")
        await talk.send(b"\x00\x01")
        await talk.closed()
    for text in ("{not json", "", '{"header":{}} more', "NaN"):
        async with stage.open(SPEECH) as talk:
            await talk.send(text)
            await talk.closed()
    async with stage.open(SPEECH) as talk:
        await talk.send_as_text(b'{"header":"\xff"}')
        await talk.closed()


@book.exchange(max_message_bytes=1024)
async def a_message_over_the_limit(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.send("x" * 1025)
        await talk.closed()


@book.exchange(idle_connection_timeout=0.2)
async def a_connection_without_tasks_where_a_limit_is_set(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.closed()


@book.exchange(drain_grace=0)
async def a_server_that_does_not_wait(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("t"))
        await talk.until("task-started")
        await stage.server.drain()
        await talk.closed()


@book.exchange()
async def a_client_that_says_goodbye(stage: Stage) -> None:
    async with stage.open(SPEECH) as talk:
        await talk.send(run_task("t"), finish("t", "one"))
        await talk.until("task-finished")
        await talk.socket.close()
        await talk.closed()
