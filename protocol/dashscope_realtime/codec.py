"""The codec of `/api-ws/v1/realtime`.

A session speaks one response after another; a response is a task. In mode server_commit the first text begins
one, which is spoken while its text comes and ends with a commit or with the client's silence. In mode commit
text is kept until it is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import orjson
import pybase64

from ..codec import Frame
from ..dashscope.codec import ERROR_CODES
from ..errors import InvalidState
from ..fields import JsonObject, json_object, optional, refusal, required
from ..messages import (
    CancelTask,
    Command,
    ContinueTask,
    EndSession,
    Event,
    FinishTask,
    Reply,
    ResultGenerated,
    RunTask,
    Several,
    SingleCommand,
    TaskFailed,
    TaskFinished,
    TaskStarted,
)
from ..text import GrowingText, TextLimits
from .parameters import session_config

TYPES: Final = (
    "session.update",
    "input_text_buffer.append",
    "input_text_buffer.commit",
    "input_text_buffer.clear",
    "response.cancel",
    "session.finish",
)
_TEXT_PATH: Final = ("text",)
_SOUND: Final = {"output_index": 0, "content_index": 0}


@dataclass(slots=True)
class _Response:
    """A response whose last event is still to come. cancelled: by the client."""

    id: str
    item_id: str
    voice: str
    started: bool = False
    cancelled: bool = False

    def item(self, status: str) -> JsonObject:
        """The response's one item."""
        content = [] if status == "in_progress" else [_PART]
        return {
            "id": self.item_id,
            "object": "realtime.item",
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }

    def shown(self, status: str, output: list[JsonObject]) -> JsonObject:
        """The response as events show it."""
        return {
            "id": self.id,
            "object": "realtime.response",
            "status": status,
            "voice": self.voice,
            "output": output,
        }


_PART: Final = {"type": "audio", "text": ""}


class RealtimeCodec:
    """The codec of one connection."""

    def __init__(self, model: str, limits: TextLimits, new_id: Callable[[], str]) -> None:
        """limits: of text that is kept until it is committed. new_id: makes ids, of letters, digits and -."""
        self._model = model
        self._limits = limits
        self._new_id = new_id
        self._session_id = f"sess_{new_id()}"
        self._config = session_config({}, {})
        self._kept = GrowingText()  # text to be committed
        self._open: str | None = None  # the response whose text comes
        self._over = False  # the client has finished the session
        self._responses: dict[str, _Response] = {}  # by task_id, the oldest first

    @property
    def greeting(self) -> Frame:
        """What the server sends first."""
        return self._frame("session.created", session=self._session())

    def pause(self) -> Command | None:
        """What the client's silence means: in mode server_commit, the text that has come is whole."""
        return self._end_text()

    def decode(self, data: bytes | str) -> Command | None:
        """Raises TTSError."""
        fields = json_object(data, _TEXT_PATH)
        kind = required(fields, "type", str)
        if kind not in TYPES:
            raise refusal("type", kind, ", ".join(TYPES))
        if kind == "response.cancel":
            return self._cancel()
        if self._over:
            return None
        match kind:
            case "session.update":
                return self._update(optional(fields, "session", dict) or {})
            case "input_text_buffer.append":
                return self._append(required(fields, "text", str))
            case "input_text_buffer.commit":
                return self._commit()
            case "input_text_buffer.clear":
                self._kept = GrowingText()
                return self._reply("input_text_buffer.cleared")
            case _:
                return self._finish()

    def _update(self, update: JsonObject) -> Command:
        config = session_config(update, self._config.given)
        if len(self._kept) and config.server_commits:
            raise InvalidState(
                "session.update: there is text to be committed; commit or clear it first"
            )
        self._config = config
        return self._reply("session.updated", session=self._session())

    def _append(self, text: str) -> Command | None:
        if not self._config.server_commits:
            self._limits.check(text, len(self._kept))
            self._kept.append(text)
            return None
        if self._open is not None:
            return ContinueTask(self._open, text)
        if not text:
            return None
        self._open = task_id = self._new_response()
        return RunTask(task_id, self._model, self._config.speech, text)

    def _commit(self) -> Command:
        spoken: tuple[SingleCommand, ...] = ()
        if self._config.server_commits:
            if (ended := self._end_text()) is not None:
                spoken = (ended,)
        elif len(self._kept):
            spoken = tuple(self._kept_response())
        else:
            raise InvalidState("input_text_buffer.commit: there is no text to be committed")
        committed = self._reply("input_text_buffer.committed", item_id=f"item_{self._new_id()}")
        return Several((committed, *spoken))

    def _cancel(self) -> Command | None:
        """Stop the response that speaks; what comes behind it is spoken."""
        for task_id, response in self._responses.items():
            if not response.cancelled:
                response.cancelled = True
                if self._open == task_id:
                    self._open = None
                return CancelTask(task_id)
        return None  # it ended while this was on its way

    def _finish(self) -> Command:
        self._over = True
        self._open = None
        spoken = tuple(self._kept_response()) if len(self._kept) else ()
        finished = self._frame("session.finished").text
        return Several((*spoken, EndSession(farewell=finished)))

    def _end_text(self) -> FinishTask | None:
        """The end of the text that comes, if one does."""
        if self._open is None:
            return None
        ended, self._open = FinishTask(self._open), None
        return ended

    def _kept_response(self) -> Iterator[SingleCommand]:
        """A response with all text that was kept, in pieces that a message may have."""
        task_id, text, self._kept = self._new_response(), self._kept, GrowingText()
        longest = self._limits.message
        yield RunTask(task_id, self._model, self._config.speech, text.part(0, longest))
        for begin in range(longest, len(text), longest):
            yield ContinueTask(task_id, text.part(begin, begin + longest))
        yield FinishTask(task_id)

    def _new_response(self) -> str:
        response = _Response(f"resp_{self._new_id()}", f"item_{self._new_id()}", self._config.voice)
        self._responses[response.id] = response
        return response.id

    # Events

    def encode(self, event: Event) -> tuple[Frame, ...]:
        match event:
            case TaskStarted():
                return tuple(self._start(self._responses[event.task_id]))
            case ResultGenerated():
                response = self._responses[event.task_id]
                sound = pybase64.b64encode_as_string(event.data)
                return (self._of_sound(response, "response.audio.delta", delta=sound),)
            case TaskFinished():
                response = self._responses.pop(event.task_id)
                status = "completed" if event.finish_reason == "stop" else "cancelled"
                return tuple(self._end(response, status, event.characters))
            case TaskFailed():
                return tuple(self._failed(event))

    def _start(self, response: _Response) -> Iterator[Frame]:
        """The events before the first sound; none if they were sent."""
        if response.started:
            return
        response.started = True
        yield self._frame("response.created", response=response.shown("in_progress", []))
        yield self._of_item(response, "response.output_item.added", "in_progress")
        yield self._of_sound(response, "response.content_part.added", part=_PART)

    def _end(self, response: _Response, status: str, characters: int = 0) -> Iterator[Frame]:
        yield from self._start(response)
        item = "completed" if status == "completed" else "incomplete"
        yield self._of_sound(response, "response.audio.done")
        yield self._of_sound(response, "response.content_part.done", part=_PART)
        yield self._of_item(response, "response.output_item.done", item)
        shown = response.shown(status, [response.item(item)])
        yield self._frame("response.done", response={**shown, "usage": {"characters": characters}})

    def _failed(self, event: TaskFailed) -> Iterator[Frame]:
        """The error, and the end of the response that it is about.

        What still comes of that response's text is ignored, up to its end.
        """
        response = self._responses.pop(event.task_id, None)
        if response is not None:
            yield from self._start(response)
        code = ERROR_CODES.get(event.error_code, event.error_code)
        yield self._frame("error", error={"code": code, "message": event.error_message})
        if response is not None:
            yield from self._end(response, "failed")

    def _session(self) -> JsonObject:
        return {
            "id": self._session_id,
            "object": "realtime.session",
            "model": self._model,
            **self._config.shown,
        }

    def _of_item(self, response: _Response, kind: str, status: str) -> Frame:
        item = response.item(status)
        return self._frame(kind, response_id=response.id, output_index=0, item=item)

    def _of_sound(self, response: _Response, kind: str, **fields: object) -> Frame:
        place = {"response_id": response.id, "item_id": response.item_id, **_SOUND}
        return self._frame(kind, **place, **fields)

    def _reply(self, kind: str, **fields: object) -> Reply:
        return Reply(self._frame(kind, **fields).text, at_once=True)

    def _frame(self, kind: str, **fields: object) -> Frame:
        return Frame(orjson.dumps({"event_id": f"event_{self._new_id()}", "type": kind, **fields}))
