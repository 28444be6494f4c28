"""The client's errors, as one tree.

ClientError
├── InvalidRequest         an argument that the API does not accept; nothing was sent
├── ConnectionFailed       no connection could be made: server down, wrong address, wrong protocol
├── ConnectionLost         an open connection is gone; its tasks are over
├── AuthenticationFailed   the server requires a token, or another one
├── RequestFailed          the server answered a REST call with an error
│   └── NotFound           there is no such reference or route
├── SpeechFailed           the server ended a task with an error
├── SpeechEnded            text was fed to a speech that takes no more
├── SpeechStalled          nobody read a speech for too long, and the client gave it up
└── UnexpectedMessage      the server sent a message that does not belong to this API
"""

from __future__ import annotations


class ClientError(Exception):
    """The message is for a person: the problem and, where it is known, what to do."""


class InvalidRequest(ClientError, ValueError): ...


class ConnectionFailed(ClientError): ...


class ConnectionLost(ClientError): ...


class AuthenticationFailed(ClientError): ...


class RequestFailed(ClientError):
    """`status` is the HTTP status, `code` and `message` are the server's own."""

    def __init__(self, status: int, code: str, message: str, request_id: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.request_id = request_id


class NotFound(RequestFailed): ...


class SpeechFailed(ClientError):
    """`code` is one of the API's error codes, `message` is the server's own."""

    def __init__(self, code: str, message: str, task_id: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.task_id = task_id


class SpeechEnded(ClientError): ...


class SpeechStalled(ClientError): ...


class UnexpectedMessage(ClientError): ...
