"""What holds for all tests: time limits beside the one of pyproject.toml, none for hypothesis' examples."""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections.abc import Generator
from typing import Final

import hypothesis
import pytest

LIMITS: Final = {
    "vllm": 900,  # its engine takes minutes to start on a busy machine
    "browser": 300,  # Chromium with a page's waits of up to 90 s
}
"""Seconds for tests with these marks, unless a test has a limit of its own."""

STDERR: Final = pytest.StashKey[int]()
"""A descriptor of standard error, whatever is captured. Of a worker of pytest-xdist it is the run's, too."""


# What an example takes is a matter of the machine and of what else it does.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("teardown_timeout", "seconds for a test's teardown", default="300")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STDERR] = os.dup(2)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Whoever runs the tests in the background ignores it, and so would the processes of the tests.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    os.close(config.stash[STDERR])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout") is None:
            limits = [limit for mark, limit in LIMITS.items() if item.get_closest_marker(mark)]
            if limits:
                item.add_marker(pytest.mark.timeout(max(limits)))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Time the teardown by itself: once a test has failed, neither pytest-timeout nor faulthandler does.

    What hangs there ends the process, with all stacks, since no exception gets out of an event loop that
    waits for a task that does not end: a worker of pytest-xdist, whose place another one takes, or the run.
    """
    if item.config.getvalue("timeout") == 0:  # somebody debugs
        return (yield)
    item.config.pluginmanager.hook.pytest_timeout_cancel_timer(item=item)
    limit = float(item.config.getini("teardown_timeout"))
    timer = threading.Timer(limit, _end, (item.nodeid, limit, item.config.stash[STDERR]))
    timer.daemon = True
    timer.start()
    try:
        return (yield)
    finally:
        timer.cancel()


def _end(test: str, limit: float, stderr: int) -> None:
    os.write(stderr, f"\nThe teardown of {test} takes more than {limit} s:\n".encode())
    faulthandler.dump_traceback(stderr, all_threads=True)
    os._exit(1)
