"""The parts of one server, built once and passed to every handler."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

from cosyserve.engine.interface import Engine
from cosyserve.engine.threads import Threads

from .auth import Authenticator, Caller
from .delivery import Deliveries, KeptSounds, Spools
from .observe.metrics import Metrics
from .port.sockets import Sockets
from .settings import Settings
from .tasks.admission import Admission
from .tasks.shutdown import Shutdown
from .turns import Turns
from .voices.book import VoiceBook
from .voices.fetch import ClipFetcher
from .voices.intake import UploadDesk
from .voices.store import ReferenceStore
from .websocket.budgets import TokenBudgets


@dataclass(frozen=True, slots=True)
class Services:
    """What the whole server shares. beginnings: the turns in which tasks begin, by the caller's name."""

    settings: Settings
    engine: Engine
    store: ReferenceStore
    voices: VoiceBook
    intake: UploadDesk
    clips: ClipFetcher
    authenticator: Authenticator
    admission: Admission
    beginnings: Turns
    shutdown: Shutdown
    metrics: Metrics
    deliveries: Deliveries
    spools: Spools
    kept_sounds: KeptSounds
    sockets: Sockets
    budgets: TokenBudgets
    encode_pool: Executor
    ssml_threads: Threads
    form_threads: Threads
    document_threads: Threads

    def owner(self, caller: Caller) -> str | None:
        """Whose references the caller sees; None is everybody's."""
        return None if self.settings.references_shared else caller.name
