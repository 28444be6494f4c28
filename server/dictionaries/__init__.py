"""Pronunciation dictionaries: rules for phrases, kept per token beside the references, in versions."""
