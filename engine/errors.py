"""What an engine can fail with. The server gives these their wire codes, in one place.

EngineError
├── EngineNotReady      not started, stopping, or being rebuilt
├── EngineBusy          it has no room for this session now; later it may
├── EngineDied          the process or device behind the session is gone: this session failed
├── UnsupportedRequest  the engine cannot do what was asked; the message says what it can
└── InvalidReference    the clip cannot serve as a voice; the message says why
"""


class EngineError(Exception):
    """The message is fit for a client: it names no internals."""


class EngineNotReady(EngineError): ...


class EngineBusy(EngineError): ...


class EngineDied(EngineError): ...


class UnsupportedRequest(EngineError): ...


class InvalidReference(EngineError): ...
