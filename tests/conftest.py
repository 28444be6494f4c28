"""Time limits of the tests that need more than pyproject.toml gives to each."""

from __future__ import annotations

from typing import Final

import pytest

LIMITS: Final = {
    "vllm": 900,  # its engine takes minutes to start on a busy machine
    "browser": 300,  # Chromium with a page's waits of up to 90 s
}
"""Seconds for tests with these marks, unless a test has a limit of its own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout") is None:
            limits = [limit for mark, limit in LIMITS.items() if item.get_closest_marker(mark)]
            if limits:
                item.add_marker(pytest.mark.timeout(max(limits)))
