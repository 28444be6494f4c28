"""The speech tokenizer: 25 numbers a second that keep what is said, and forget who says it."""
