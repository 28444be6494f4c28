"""`PYTHONPATH=tools python -m api_reference`: render reference.html anew."""

from __future__ import annotations

from cosyserve.server.page.assets import REFERENCE

from .page import render

if __name__ == "__main__":
    REFERENCE.write_text(render(), encoding="utf-8")
    print(REFERENCE)
