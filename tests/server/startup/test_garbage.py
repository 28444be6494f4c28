import subprocess
import sys

from cosyserve.server.startup.garbage import FULL_AFTER

SCRIPT = """
import gc
from cosyserve.server.startup.garbage import settle
before = gc.get_threshold()
settle()
print(gc.get_freeze_count() > 1000, gc.get_threshold()[:2] == before[:2], gc.get_threshold()[2])
"""


def test_what_a_server_starts_with_is_never_looked_at_again() -> None:
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["True", "True", str(FULL_AFTER)]
