"""The speech LM in vLLM. Import its modules by name: most of them need vLLM."""
