"""The wire, without I/O: messages, codec, the state machine of a task, errors, and REST bodies."""
