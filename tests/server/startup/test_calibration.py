"""What the engine can do is tried out at the start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from cosyserve.engine.interface import Capabilities, EngineBusy, Prompt, SynthesisOptions
from cosyserve.server.startup import calibration
from cosyserve.server.startup.calibration import TASKS, calibrate
from support.peers.peers import Peer


async def test_admission_begins_with_what_the_engine_makes(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "WARM_UP", 60.0)  # until they have spoken
    found: list[float] = []
    monkeypatch.setattr(peer.server.services.admission.capacity, "calibrate", found.append)
    await calibrate(peer.server.services)
    assert len(found) == 1
    assert found[0] > 1
    assert len(peer.engine.sessions) == TASKS
    assert all(session.cancelled or session.finished for session in peer.engine.sessions)


class _Other:
    """The engine, but for its voices or its sessions."""

    def __init__(self, engine: Any, voices: Sequence[Any], error: Exception | None = None) -> None:
        self._engine = engine
        self._voices = tuple(voices)
        self._error = error

    @property
    def capabilities(self) -> Capabilities:
        return replace(self._engine.capabilities, voices=self._voices)

    def builtin_prompt(self, voice_id: str) -> Prompt | None:
        return self._engine.builtin_prompt(voice_id)  # type: ignore[no-any-return]

    def open_session(self, prompt: Prompt, options: SynthesisOptions) -> Any:
        assert self._error is not None
        raise self._error


async def test_an_engine_without_voices_is_learned_while_it_is_used(peer: Peer) -> None:
    services = replace(peer.server.services, engine=_Other(peer.engine, ()))
    before = services.admission.capacity.limit
    await calibrate(services)
    assert services.admission.capacity.limit == before
    assert not peer.engine.sessions


async def test_an_engine_that_fails_leaves_the_limit_and_says_why(peer: Peer) -> None:
    voices = peer.engine.capabilities.voices
    engine = _Other(peer.engine, voices, EngineBusy("no room"))
    services = replace(peer.server.services, engine=engine)
    before = services.admission.capacity.limit
    with capture_logs() as lines:
        await calibrate(services)
    assert services.admission.capacity.limit == before
    (line,) = lines
    assert (line["event"], line["reason"]) == ("not_calibrated", "no room")
