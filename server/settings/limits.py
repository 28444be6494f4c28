"""How much at once, and how long."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ByteSize, Field

from .values import MIB, Count, OrNone, Seconds, Size


class LimitSettings(BaseModel):
    """Limits"""

    max_connections: Count = Field(
        4000,
        description="concurrent connections. Of several tokens, each may have as many as places are left",
    )
    max_tasks: Count = Field(500, description="concurrent tasks")
    max_tasks_per_token: Count = Field(250, description="concurrent tasks per token")
    max_tasks_per_connection: Count = Field(8, description="concurrent tasks per connection")
    max_realtime_share: Annotated[float | None, OrNone] = Field(
        0.85,
        ge=0.05,
        le=10,
        description="new tasks are refused while those that speak wait for their speech for this share of "
        "its playing time, on average, and while many wait for their first sound. At 1 listeners would hear "
        "gaps; none: no matter how long",
    )
    max_batch_items: Count = Field(
        32,
        description="texts in a call of /v1/audio/speech/batch; together they have max_task_characters",
    )
    max_message_bytes: Size = Field(
        ByteSize(2 * MIB), description="largest WebSocket message or JSON body"
    )
    max_messages_per_second: Count = Field(
        1000,
        description="WebSocket messages a connection may send per second, 4 s of it at once; more wait to "
        "be read; fragments count as messages",
    )
    max_control_frames_per_second: Count = Field(
        20, description="the same for WebSocket control frames: pings, pongs, close"
    )
    max_messages_per_second_per_token: Count = Field(
        20_000,
        description="WebSocket messages that all connections of a token may send per second; beyond that "
        "they are read in turns",
    )
    max_control_frames_per_second_per_token: Count = Field(
        2000, description="the same for WebSocket control frames"
    )
    max_message_characters: Count = Field(20_000, description="characters of text per message")
    max_task_characters: int = Field(
        200_000, ge=1, le=100_000_000, description="characters of text per task"
    )
    encode_threads: int = Field(2, ge=1, le=256, description="threads that encode audio")


class TimeoutSettings(BaseModel):
    """Timeouts (seconds)"""

    idle_text_timeout: Seconds = Field(
        60.0, description="a task fails if no text arrives for this long"
    )
    preempt_after: float = Field(
        10.0,
        ge=0,
        le=86_400,
        description="if all places for tasks are taken, a task that has had no text and given no sound for "
        "this long yields its place to a new one, and fails with TaskPreempted",
    )
    preempt_below: float = Field(
        2.0,
        ge=0,
        le=1000,
        description="characters per second; slower text, and sound slower than a quarter of real time, count "
        "for preempt_after in proportion; 0: any text counts in full",
    )
    idle_connection_timeout: Annotated[Seconds | None, OrNone] = Field(
        None, description="a connection without a task is closed after this time"
    )
    send_timeout: Seconds = Field(
        10.0,
        description="a client that receives nothing for this long is disconnected; a player may pause as "
        "long. Slow readers get extra time: to read up to 128 KiB from their kernel's buffer at half the "
        "playback rate",
    )
    head_timeout: Seconds = Field(
        10.0, description="a request's head and the TLS handshake must be complete by then"
    )
    body_timeout: Seconds = Field(
        30.0, description="a JSON body must have arrived by then; uploads: upload_timeout"
    )
    flood_timeout: Seconds = Field(
        60.0,
        description="a WebSocket that sends more than its frames per second for this long is closed",
    )
    ping_interval: Annotated[Seconds | None, OrNone] = Field(
        20.0, description="time between WebSocket pings; none: no pings"
    )
    ping_timeout: Annotated[Seconds | None, OrNone] = Field(
        20.0,
        description="a client that receives nothing and answers no ping for this long is disconnected; "
        "the time counts from when it can have played the audio sent before the ping",
    )
    close_timeout: Seconds = Field(
        2.0,
        description="time for a client that has received everything to answer a close frame, or to stop "
        "sending a body that was refused; at shutdown also the least time for open connections",
    )
    drain_grace: float = Field(
        30.0,
        ge=0,
        le=86_400,
        description="after SIGTERM, time for running tasks to finish and for clients to receive their audio",
    )
