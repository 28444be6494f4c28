"""Time limits beside the one that pyproject.toml gives to every test."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

import pytest
from pytest_timeout import Settings

LIMITS: Final = {
    "vllm": 900,  # its engine takes minutes to start on a busy machine
    "browser": 300,  # Chromium with a page's waits of up to 90 s
}
"""Seconds for tests with these marks, unless a test has a limit of its own."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("teardown_timeout", "seconds for a test's teardown", default="300")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout") is None:
            limits = [limit for mark, limit in LIMITS.items() if item.get_closest_marker(mark)]
            if limits:
                item.add_marker(pytest.mark.timeout(max(limits)))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Time the teardown by itself: once a test has failed, neither pytest-timeout nor faulthandler does.

    What hangs there ends the whole run, with all stacks, since no exception gets out of an event loop that
    waits for a task that does not end.
    """
    if item.config.getvalue("timeout") == 0:  # somebody debugs
        return (yield)
    hooks = item.config.pluginmanager.hook
    hooks.pytest_timeout_cancel_timer(item=item)
    limit = float(item.config.getini("teardown_timeout"))
    settings = Settings(limit, "thread", func_only=False, disable_debugger_detection=False)
    hooks.pytest_timeout_set_timer(item=item, settings=settings)
    try:
        return (yield)
    finally:
        hooks.pytest_timeout_cancel_timer(item=item)
