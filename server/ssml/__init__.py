"""SSML on any engine: parsed safely, mapped to runs of text, silences and marks.

text -> parse -> write_script (say_as, elements) -> Run, Silence, Place -> SsmlSession -> PcmChunk
plain text -> PausedText -> LiveRun, Silence -> SsmlSession -> PcmChunk
"""

from __future__ import annotations

from cosyserve.engine.interface import Engine, Prompt, SynthesisOptions

from .session import SsmlSession

__all__ = ["SsmlSession", "open_ssml"]


def open_ssml(
    engine: Engine, voice: Prompt, options: SynthesisOptions, *, documents: bool = True
) -> SsmlSession:
    """Begin a task whose text is SSML; if it does not begin with a tag, it is plain but for its breaks.

    documents: False if it is never SSML, whatever it begins with.
    Raises what the engine's open_session does: EngineNotReady, EngineBusy, UnsupportedRequest.
    """
    return SsmlSession(engine, voice, options, documents=documents)
