import io

from cosyserve.clients import SpeechMetrics
from cosyserve.clients.cli.say import Progress, summary

METRICS = SpeechMetrics(first_package=0.0123, duration=0.5, speech_len=2.0)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_line_says_what_is_known() -> None:
    assert summary(METRICS) == (
        "2.0 s of speech, first package 12 ms, real-time factor 0.25"
    )  # fmt: skip
    assert summary(SpeechMetrics()) == "0.0 s of speech"


def test_a_terminal_sees_one_line_in_place() -> None:
    terminal = Terminal()
    progress = Progress(terminal)
    progress.update(SpeechMetrics())
    progress.update(METRICS)
    progress.close()
    assert terminal.getvalue() == f"\r\x1b[K0.0 s of speech\r\x1b[K{summary(METRICS)}\n"


def test_a_pipe_sees_nothing() -> None:
    pipe = io.StringIO()
    progress = Progress(pipe)
    progress.update(METRICS)
    progress.close()
    assert pipe.getvalue() == ""
