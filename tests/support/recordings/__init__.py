"""Recorded exchanges with a real server, and the means to record them again.

`exchanges/` says what clients do; the files in `tests/recordings/` hold what went over the wire when they
did it. `tests/journeys/test_recordings.py` does it again and compares.
"""
