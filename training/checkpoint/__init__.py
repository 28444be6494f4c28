"""The parts put together: a checkpoint's directory in the official layout, and how it speaks."""
