"""Attacks on a server, and what they cost everybody else: `python -m cosyserve.benchmarks.load.siege`."""
