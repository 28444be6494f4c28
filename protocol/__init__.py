"""The wire, without I/O: messages, the state machine of a task, errors, and the parts of each dialect."""
