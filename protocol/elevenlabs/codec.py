"""The codecs of `stream-input` and `multi-stream-input`."""

from __future__ import annotations

from typing import Final

import orjson

from ..codec import TASK_ID, Frame
from ..errors import TTSError
from ..fields import JsonObject, json_object
from ..messages import (
    CancelTask,
    Command,
    EndSession,
    Event,
    FinishTask,
    ResultGenerated,
    TaskFailed,
    TaskFinished,
    TaskStarted,
)
from .parameters import StreamOptions
from .rest import error_message
from .texts import Context, Message, State, Texts, context_id_of, read_message

MOST_FAILED: Final = 64
"""Failed contexts that are remembered, for text that was already on its way."""

_ONLY: Final = "stream"
_TEXT_PATH: Final = ("text",)


class StreamCodec(Texts):
    """The codec of one `stream-input` connection: one text, then the connection closes."""

    def __init__(self, options: StreamOptions) -> None:
        super().__init__(options, from_start=False)
        self._context: Context | None = None  # None before the first message

    def decode(self, data: bytes | str) -> Command | None:
        """An empty text ends the session; what comes after it is ignored. Raises TTSError."""
        fields = json_object(data, _TEXT_PATH)
        context = self._context
        try:
            message = read_message(fields)
        except TTSError as error:
            raise error.for_task(_ONLY, starting=context is None) from None
        if context is not None and context.state is not State.OPEN:
            return None
        if message.text == "" or message.close_socket:
            self._context = context or Context(None)
            remainder = self.remainder(self._context)
            self._context.state = State.CLOSING
            return EndSession({_ONLY: remainder} if remainder else {})
        if context is None:
            self._context = Context(None)
            return self.start(_ONLY, self._context, message)
        return self.go_on(_ONLY, context, message)

    def encode(self, event: Event) -> tuple[Frame, ...]:
        context = self._context or Context(None)
        match event:
            case TaskStarted():
                return ()
            case ResultGenerated():
                return (_frame(self.result(context, event)),)
            case TaskFinished():
                return tuple(_frame(each) for each in self.ended(context))
            case TaskFailed():
                context.state = State.FAILED
                return (_frame(error_message(event.error_code, event.error_message)),)


class MultiStreamCodec(Texts):
    """The codec of one `multi-stream-input` connection: a task for every context.

    A text opens its context. Closing a context drops the speech still to come, unless all of its text was
    flushed: then it speaks to its end, or until it is closed once more. Its name is free at once. After a
    failure only a message that is written like a first one opens the context again, so that text which
    was on its way is not spoken by itself.

    With sync_alignment, times count from the beginning of the context's speech, else from the end of the
    message before.
    """

    def __init__(self, options: StreamOptions) -> None:
        super().__init__(options, from_start=options.sync_alignment)
        self._contexts: dict[str, Context] = {}  # by task_id
        self._task_ids: dict[str | None, str] = {}  # of the latest context with each name
        self._named = 0  # how many task_ids were made up
        self._over = False  # the client closed the socket

    def decode(self, data: bytes | str) -> Command | None:
        """Raises TTSError, with the task_id of the context."""
        fields = json_object(data, _TEXT_PATH)
        name = context_id_of(fields)
        try:
            message = read_message(fields)
        except TTSError as error:
            task_id = self._task_id(name)
            starting = task_id not in self._contexts
            if starting:
                self._remember(task_id, Context(name, State.FAILED))
            raise error.for_task(task_id, starting=starting) from None
        if self._over:
            return None
        if message.close_socket:
            self._over = True
            return EndSession(self._remainders())
        task_id = self._task_id(name)
        context = self._contexts.get(task_id)
        if message.close_context:
            return self._close(task_id, context)
        return self._take(task_id, name, context, message)

    def _take(
        self, task_id: str, name: str | None, context: Context | None, message: Message
    ) -> Command | None:
        if context is not None and context.state is State.OPEN:
            return self.go_on(task_id, context, message)
        failed = context is not None and context.state is State.FAILED
        if not message.opens and (failed or not message.text):
            return None  # it comes too late, or keeps the connection alive
        if context is not None and not failed:
            task_id = self._new_task_id()
        return self.start(task_id, self._remember(task_id, Context(name)), message)

    def _remainders(self) -> dict[str, str]:
        contexts = self._contexts.items()
        found = {key: self.remainder(each) for key, each in contexts if each.state is State.OPEN}
        return {task_id: text for task_id, text in found.items() if text}

    def _close(self, task_id: str, context: Context | None) -> Command | None:
        if context is None:
            return None
        if context.state is State.FAILED:
            self._forget(task_id)
            return None
        speaks_on = context.state is State.OPEN and context.flushed
        context.state = State.CLOSING
        return FinishTask(task_id, self.remainder(context)) if speaks_on else CancelTask(task_id)

    def encode(self, event: Event) -> tuple[Frame, ...]:
        context = self._contexts.get(event.task_id)
        match event:
            case TaskStarted():
                return ()
            case ResultGenerated():
                assert context is not None
                return (self._addressed(context, self.result(context, event)),)
            case TaskFinished():
                assert context is not None
                frames = tuple(self._addressed(context, each) for each in self.ended(context))
                self._forget(event.task_id)
                return frames
            case TaskFailed():
                return (self._failed(event, context),)

    def _failed(self, event: TaskFailed, context: Context | None) -> Frame:
        """The frame of the error, which also ends the context's speech."""
        message = error_message(event.error_code, event.error_message)
        if context is None:
            return _frame(message)
        context.state = State.FAILED
        failed = [key for key, each in self._contexts.items() if each.state is State.FAILED]
        for task_id in failed[:-MOST_FAILED]:
            self._forget(task_id)
        return self._addressed(context, {**message, "isFinal": True})

    @staticmethod
    def _addressed(context: Context, message: JsonObject) -> Frame:
        """The frame of a context's message, with its name in both spellings that clients read."""
        both: JsonObject = {"contextId": context.name, "context_id": context.name}
        if message["isFinal"]:
            both["is_final"] = True
        return _frame({**message, **both})

    def _task_id(self, name: str | None) -> str:
        """The id of the context with this name, or the id that it would get if it were opened now."""
        if name in self._task_ids:
            return self._task_ids[name]
        if name is not None and not name.startswith("_") and TASK_ID.fullmatch(name):
            return name
        return self._new_task_id()

    def _new_task_id(self) -> str:
        self._named += 1
        return f"_{self._named}"

    def _remember(self, task_id: str, context: Context) -> Context:
        self._contexts[task_id] = context
        self._task_ids[context.name] = task_id
        return context

    def _forget(self, task_id: str) -> None:
        context = self._contexts.pop(task_id)
        if self._task_ids.get(context.name) == task_id:
            del self._task_ids[context.name]


def _frame(message: JsonObject) -> Frame:
    return Frame(orjson.dumps(message))
