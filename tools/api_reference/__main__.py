"""`python -m cosyserve.server.page.reference`: render reference.html anew."""

from __future__ import annotations

from cosyserve.server.page.reference import REFERENCE

from .page import render

if __name__ == "__main__":
    REFERENCE.write_text(render(), encoding="utf-8")
    print(REFERENCE)
