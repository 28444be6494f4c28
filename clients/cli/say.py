"""`cosyserve say`: speak a text into a file, a pipe or the loudspeaker."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from cosyserve.protocol.parameters import BIT_RATES, SAMPLE_RATES, AudioFormat, Mode

from ..errors import InvalidRequest
from .options import EXIT_CODES, add_connection_options, make_client, run_command
from .output import Output, choose_format, open_output
from ..progress import Progress
from ..speech import Speech
from ..text_source import from_descriptor, from_file, from_string
from ..voice_choice import chosen_voice


def main(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """Run with the arguments after `say`; returns the exit code."""
    options = _parser(environ).parse_args(argv)
    return run_command(_say(options))


def _parser(environ: Mapping[str, str] | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cosyserve say",
        description="Speak a text. Standard input is spoken as it is typed or piped in.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("text", nargs="?", help="the text; - is standard input")
    source.add_argument("--file", "-f", type=Path, help="a UTF-8 file with the text")
    parser.add_argument("--output", "-o", metavar="FILE", help="- is standard output; else play it")
    _add_voice_options(parser)
    _add_speech_options(parser)
    add_connection_options(parser, environ)
    return parser


def _add_voice_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("voice")
    group.add_argument(
        "--voice",
        metavar="VOICE",
        help="a clip to upload, or a voice's id or name; else the server's first voice",
    )
    group.add_argument("--voice-text", metavar="WORDS", help="what is spoken in the clip")
    group.add_argument(
        "--voice-sample-rate", type=int, metavar="HZ", help="of a clip that is raw 16-bit PCM"
    )
    group.add_argument(
        "--keep-voice", action="store_true", help="leave the clip on the server for the next time"
    )


def _add_speech_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("speech")
    group.add_argument(
        "--mode",
        choices=[mode.value for mode in Mode],
        help="else fast_replication, with --instruct natural_language_replication",
    )
    group.add_argument("--instruct", default="", metavar="WORDS", help="how to speak, in words")
    group.add_argument(
        "--format", choices=[form.value for form in AudioFormat], help="else by the file's suffix"
    )
    group.add_argument("--sample-rate", type=int, choices=SAMPLE_RATES, default=24000, help="Hz")
    group.add_argument("--bit-rate", choices=BIT_RATES, default="192k", help="of lossy formats")
    group.add_argument("--volume", type=float, default=1.0, help="above 0, up to 10")
    group.add_argument("--speed", type=float, default=1.0, help="0.5 to 2.0")
    group.add_argument("--pitch", type=float, default=1.0, help="0.5 to 2.0")
    group.add_argument("--ssml", action="store_true", help="the text is an SSML document")
    group.add_argument("--seed", type=int, help="the same seed speaks the same way again")
    group.add_argument("--model", default="cosyvoice-v2")
    group.add_argument("--transport", choices=["binary", "base64"], default="binary")


async def _say(options: argparse.Namespace) -> None:
    text = _text(options)
    output_format = choose_format(options.output, options.format)
    output = open_output(options.output, options.sample_rate)
    whole = False
    try:
        async with (
            make_client(options) as client,
            chosen_voice(
                client,
                options.voice,
                text=options.voice_text,
                sample_rate=options.voice_sample_rate,
                keep=options.keep_voice,
            ) as voice,
            client.speech(
                voice=voice,
                mode=options.mode,
                instruct=options.instruct,
                output_format=output_format,
                sample_rate=options.sample_rate,
                bit_rate=options.bit_rate,
                volume=options.volume,
                speed=options.speed,
                pitch=options.pitch,
                ssml=options.ssml,
                seed=options.seed,
                audio_transport=options.transport,
                model=options.model,
            ) as speech,
        ):
            await _speak(speech, text, output)
        whole = True
    finally:
        await output.close(aborted=not whole)


async def _speak(speech: Speech, text: AsyncIterator[str], output: Output) -> None:
    """Feed and listen at once, to the end of both."""
    progress = Progress(sys.stderr)
    feeding = asyncio.create_task(speech.feed_all(text))
    try:
        async for chunk in speech:
            await output.write(chunk.data)
            progress.update(speech.metrics)
    finally:
        feeding.cancel()
        await asyncio.wait([feeding])
        progress.close()


def _text(options: argparse.Namespace) -> AsyncIterator[str]:
    """Raises InvalidRequest."""
    if options.file is not None:
        return from_file(options.file)
    if options.text not in (None, "-"):
        return from_string(options.text)
    if options.text is None and sys.stdin.isatty():
        raise InvalidRequest("what to say? Give a text, --file FILE, or - to type it")
    return from_descriptor(sys.stdin.fileno())
