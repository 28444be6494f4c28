"""`python -m cosyserve.server.docs`: render reference.html anew."""

from __future__ import annotations

from .page import render
from cosyserve.server.page.reference import REFERENCE

if __name__ == "__main__":
    REFERENCE.write_text(render(), encoding="utf-8")
    print(REFERENCE)
