"""The whole way once: a server, a reference clip, a paragraph word by word, a WAV file.

python benchmarks/load/demo.py [FILE]     (FILE is demo.wav if not given)
"""

# Absolute imports, because this file is run by its path.
from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from cosyserve.benchmarks.load.launch import ServerDidNotStart, launched_server
from cosyserve.benchmarks.texts import tokens
from cosyserve.clients import Client, ClientError, SpeechMetrics
from cosyserve.clients.cli.output import write_true_sizes

WORDS_PER_SECOND: Final = 20.0
REFERENCE_WORDS: Final = "A short clip is enough for the server to know how a voice sounds."
PARAGRAPH: Final = (
    "Hello, and welcome to cosyserve. These words reach the server one by one, as a language model "
    "writes them, and the speech begins long before the last one is there. "
    "Every chunk of sound is sent as soon as it is ready. "
    "When you interrupt, the voice stops at once. That is all it takes to have a conversation."
)


class DemoFailed(Exception):
    """The message says what did not work."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    target = Path(arguments[0] if arguments else "demo.wav")
    try:
        asyncio.run(_demo(target))
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
        clip = await _reference_clip(client)
        reference = await client.references.add(clip, REFERENCE_WORDS, filename="reference.wav")
        print(f"  reference {reference.id} uploaded ({reference.bytes / 1024:.0f} KiB)")
        try:
            metrics = await _speak(client, reference.id, target)
        finally:
            await client.references.delete(reference.id)
    _print_figures(target, metrics)


async def _reference_clip(client: Client) -> bytes:
    """A clip to upload, spoken by the server's own voice."""
    voices = await client.voices()
    if not voices:
        raise DemoFailed("the server has no voice of its own to make a reference clip with")
    clip = io.BytesIO(
        await client.synthesize(REFERENCE_WORDS, voice=voices[-1].id, output_format="wav")
    )
    write_true_sizes(clip)
    return clip.getvalue()


async def _speak(client: Client, reference_id: str, target: Path) -> SpeechMetrics:
    words = tokens(PARAGRAPH)
    print(f"  {len(words)} words at {WORDS_PER_SECOND:g} a second ...", flush=True)
    async with client.speech(voice=reference_id, output_format="wav") as speech:
        feeding = asyncio.create_task(speech.feed_all(_written(words)))
        sound = [chunk.data async for chunk in speech]
        await feeding
    wav = io.BytesIO(b"".join(sound))
    if not write_true_sizes(wav):
        raise DemoFailed("the server did not send a WAV stream")
    await asyncio.to_thread(target.write_bytes, wav.getvalue())
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
