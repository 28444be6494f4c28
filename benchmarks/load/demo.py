"""The whole way once: a server, a clip to clone, a paragraph word by word, a WAV file.

    python -m cosyserve.benchmarks.load.demo [FILE]     (default: demo.wav; `make demo` runs this)

Needs nothing but the extra `embedded`: it starts a server of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from cosyserve.clients import Client, ClientError, SpeechMetrics
from cosyserve.clients.cli.output import SoundFileOutput

from ..texts import tokens
from .launch import ServerDidNotStart, launched_server

SAMPLE_RATE: Final = 24000
WORDS_PER_SECOND: Final = 20.0
REFERENCE_WORDS: Final = "A short clip is enough for the server to know how a voice sounds."
PARAGRAPH: Final = (
    "Hello, and welcome to cosyserve. These words reach the server one by one, as a language model "
    "writes them, and the speech begins long before the last one is there. "
    "Every chunk of sound is sent as soon as it is ready. "
    "When you interrupt, the voice stops at once. That is all it takes to have a conversation."
)


class DemoFailed(Exception):
    """The message is for a person."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m cosyserve.benchmarks.load.demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("target", nargs="?", type=Path, default=Path("demo.wav"), metavar="FILE")
    try:
        asyncio.run(_demo(parser.parse_args(argv).target))
    except (ClientError, ServerDidNotStart, DemoFailed, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


async def _demo(target: Path) -> None:
    print("starting a server ...", flush=True)
    async with launched_server() as server, Client(server.url) as client:
        print(f"  it listens on {server.url}")
        clip = await _clip(client)
        reference = await client.references.add(
            clip, REFERENCE_WORDS, filename="clip.pcm", sample_rate=SAMPLE_RATE
        )
        print(f"  uploaded a clip of {reference.bytes / 1024:.0f} KiB, reference {reference.id}")
        try:
            metrics = await _speak(client, reference.id, target)
        finally:
            await client.references.delete(reference.id)
    _print_figures(target, metrics)


async def _clip(client: Client) -> bytes:
    """A clip to upload (PCM), spoken by the server's first voice."""
    voices = await client.voices()
    if not voices:
        raise DemoFailed("the server has no voice of its own to speak a clip with")
    return await client.synthesize(REFERENCE_WORDS, voice=voices[0].id, sample_rate=SAMPLE_RATE)


async def _speak(client: Client, reference_id: str, target: Path) -> SpeechMetrics:
    words = tokens(PARAGRAPH)
    print(f"  {len(words)} words at {WORDS_PER_SECOND:g} a second ...", flush=True)
    async with client.speech(voice=reference_id, sample_rate=SAMPLE_RATE) as speech:
        feeding = asyncio.create_task(speech.feed_all(_written(words)))
        sound = [chunk.data async for chunk in speech]
        await feeding
    output = SoundFileOutput(target, "wav", SAMPLE_RATE)
    await output.write(b"".join(sound))
    await output.close(aborted=False)
    return speech.metrics


async def _written(words: Sequence[str]) -> AsyncIterator[str]:
    for word in words:
        yield word
        await asyncio.sleep(1 / WORDS_PER_SECOND)


def _print_figures(target: Path, metrics: SpeechMetrics) -> None:
    first, factor = metrics.first_package, metrics.real_time_factor
    assert first is not None
    assert factor is not None
    print(f"wrote {target}")
    print(f"  first package     {first * 1000:.0f} ms after the first word")
    print(f"  speech            {metrics.speech_len:.1f} s")
    print(f"  real-time factor  {factor:.3f} from the first word to the last sound")
    if metrics.server is not None:
        print(f"                    {metrics.server.rtf:.3f} by the server's own count")


if __name__ == "__main__":
    sys.exit(main())
