"""SSML on any engine: markup is parsed safely and becomes runs of text, silences and marks.

markup -> parse -> spoken_document (say_as) -> Run, Silence, MarkPlace -> SsmlSession -> PcmChunk
plain text -> PausedText -> LiveRun, Silence -> SsmlSession -> PcmChunk
"""

from __future__ import annotations

from cosyserve.engine.interface import Engine, Prompt, SynthesisOptions
from cosyserve.engine.threads import Threads

from ..tasks.contract import Checked, CheckedSession
from .session import SsmlSession

__all__ = ["SsmlSession", "open_ssml"]


def open_ssml(
    engine: Engine,
    prompt: Prompt,
    options: SynthesisOptions,
    *,
    markup: bool = True,
    threads: Threads | None = None,
    checked: Checked = CheckedSession,
) -> SsmlSession:
    """Begin a task whose text is markup if it begins with a tag; else it is plain text with breaks.

    markup: False if the text is plain whatever it begins with. threads: read long documents; None: a
    thread of the session's own does. checked: wraps each of the engine's sessions.
    Raises what the engine's open_session does: EngineNotReady, EngineBusy, UnsupportedRequest.
    """
    threads = threads or Threads("ssml", 1)
    return SsmlSession(engine, prompt, options, markup=markup, threads=threads, checked=checked)
