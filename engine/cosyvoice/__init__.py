"""CosyVoice 2: text tokens to speech tokens (LM), to mel (flow matching), to sound (HiFT vocoder)."""
