"""ElevenLabs' HTTP API: `text-to-speech` and `voices`; its WebSockets are in ..dialects."""
