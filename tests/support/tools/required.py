"""What a test needs and not every machine has: without it the test is skipped, or fails where it must run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[3]
REQUIRE = "COSYSERVE_TESTS_REQUIRE"
"""Names, with commas between, of what must be there."""


def missing(part: str, reason: str) -> NoReturn:
    """End a test that lacks a part: a failure where the part is required, else a skip."""
    if part in os.environ.get(REQUIRE, "").split(","):
        pytest.fail(f"{REQUIRE} asks for {part}: {reason}")
    pytest.skip(reason)
