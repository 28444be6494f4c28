"""Everything that can go wrong on the wire, as one tree.

TTSError
├── BadFrame                 the frame cannot be understood: the connection closes (RFC 6455 codes)
├── InvalidParameter         a field is missing, ill-typed or out of range
├── Unauthorized             no token, or a wrong one
├── Forbidden                a web page of an origin that is not allowed
├── ModelNotFound            the model has another name
├── ReferenceAudioNotFound   no such reference, or another token's
├── RouteNotFound            no such route
├── MethodNotAllowed         the route does not take this method
├── RequestTimeout           the request's body did not arrive in time
├── InvalidState             the task is not in a state that takes this message
├── PayloadTooLarge          a body or an upload over its limit
├── TooManyReferences        a token has its limit of references
├── TextTooLong              more text than a message or a task may carry
├── UnsupportedMediaType     a body of another content type
├── InvalidAudio             an upload that is no usable reference
├── Throttled                too many tasks: try again after `retry_after` seconds
├── QuotaExceeded            the token's daily quota: try again after `retry_after` seconds
├── TaskPreempted            the task waited for text while others waited for its place
├── TaskTimeout              no text for the idle limit
├── EngineUnavailable        the engine is not ready, died, or the server is draining
└── InternalError            anything else; the wire gets no internals

Whoever raises chooses the class; the class carries the wire code and the HTTP status, so that the
WebSocket, REST and every dialect say the same. An exception outside this tree is logged whole and
sent as a bare InternalError.
"""

from __future__ import annotations

from typing import ClassVar, Self


class TTSError(Exception):
    """An error with a wire code.

    message: for the client; it names what is wrong and what is allowed.
    task_id: the task that the offending message named, if it named one.
    starting: the offending message was a run-task, so the error is about a task that never began.
    task_goes_on: the message is refused, but the running task of that id is not to be ended for it.
    """

    code: ClassVar[str] = "InternalError"
    status: ClassVar[int] = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.task_id: str | None = None
        self.starting = False
        self.task_goes_on = False

    def for_task(self, task_id: str | None, *, starting: bool = False) -> Self:
        """Say which task the error is about; returns itself, so that it can be raised at once."""
        self.task_id = task_id
        self.starting = starting
        return self


class BadFrame(TTSError):
    """A frame that cannot be understood; `close_code` is the RFC 6455 code to close with."""

    code = "InvalidParameter"
    status = 400

    def __init__(self, message: str, close_code: int) -> None:
        super().__init__(message)
        self.close_code = close_code


class InvalidParameter(TTSError):
    code = "InvalidParameter"
    status = 400


class Unauthorized(TTSError):
    code = "Unauthorized"
    status = 401


class Forbidden(TTSError):
    code = "Forbidden"
    status = 403


class ModelNotFound(TTSError):
    code = "ModelNotFound"
    status = 404


class ReferenceAudioNotFound(TTSError):
    code = "ReferenceAudioNotFound"
    status = 404


class RouteNotFound(TTSError):
    code = "NotFound"
    status = 404


class MethodNotAllowed(TTSError):
    code = "MethodNotAllowed"
    status = 405


class RequestTimeout(TTSError):
    code = "RequestTimeout"
    status = 408


class InvalidState(TTSError):
    code = "InvalidState"
    status = 409

    def __init__(self, message: str, task_goes_on: bool = False) -> None:
        super().__init__(message)
        self.task_goes_on = task_goes_on


class PayloadTooLarge(TTSError):
    code = "PayloadTooLarge"
    status = 413


class TooManyReferences(TTSError):
    code = "TooManyReferences"
    status = 413


class TextTooLong(TTSError):
    code = "TextTooLong"
    status = 413


class UnsupportedMediaType(TTSError):
    code = "UnsupportedMediaType"
    status = 415


class InvalidAudio(TTSError):
    code = "InvalidAudio"
    status = 422


class Throttled(TTSError):
    """Admission said no; `retry_after` is a whole number of seconds, also in the message."""

    code = "Throttled"
    status = 429

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(f"{message}; try again in {retry_after} s")
        self.retry_after = retry_after


class QuotaExceeded(TTSError):
    """The token has had what it may have in a day, which ends after `retry_after` whole seconds."""

    code = "QuotaExceeded"
    status = 429

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(f"{message}; try again in {retry_after} s")
        self.retry_after = retry_after


class TaskPreempted(TTSError):
    code = "TaskPreempted"
    status = 429


class TaskTimeout(TTSError):
    code = "TaskTimeout"
    status = 408


class EngineUnavailable(TTSError):
    code = "EngineUnavailable"
    status = 503


class InternalError(TTSError):
    code = "InternalError"
    status = 500
