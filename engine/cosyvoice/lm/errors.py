"""What the speech LM can fail with.

EngineError
├── EngineDied
│   └── LmFailed        a step of the model failed: out of memory, a fault of the device
└── LmError             this stream only
    ├── LmLoop          the model repeats itself and the options ask for an error
    ├── LmNotFinite     its numbers overflowed, in full precision as well
    └── LmTooLong       text, prompt and speech do not fit into the model's context
"""

from __future__ import annotations

from ...errors import EngineDied, EngineError


class LmFailed(EngineDied): ...


class LmError(EngineError): ...


class LmLoop(LmError): ...


class LmNotFinite(LmError): ...


class LmTooLong(LmError): ...
