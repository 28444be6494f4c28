"""The OpenAI dialect: `audio/speech`, `audio/voices`, `audio/models` and `models`."""
