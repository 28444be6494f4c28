"""The speech LM: a Qwen2 of a few million weights that reads text and speaks codes, in both orders."""
