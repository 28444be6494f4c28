"""Measuring a server that speaks this API: latency, the server's own share, memory over time."""
