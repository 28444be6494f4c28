"""The parts of one server, built once and passed to every handler."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

from cosyserve.engine.interface import Engine

from .auth import Authenticator, Caller
from .delivery import Deliveries, Spools
from .observe.metrics import Metrics
from .port.sockets import Sockets
from .settings import Settings
from .tasks.admission import Admission
from .voices.book import VoiceBook
from .voices.store import ReferenceStore


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    engine: Engine
    store: ReferenceStore
    voices: VoiceBook
    authenticator: Authenticator
    admission: Admission
    metrics: Metrics
    deliveries: Deliveries
    spools: Spools
    sockets: Sockets
    encode_pool: Executor

    def owner(self, caller: Caller) -> str | None:
        """Whose references the caller sees; None is everybody's."""
        return None if self.settings.references_shared else caller.name
