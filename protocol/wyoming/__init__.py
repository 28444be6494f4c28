"""Wyoming, the protocol of voice assistants' parts, as Home Assistant speaks it: events over plain TCP."""
