"""The natural voice: the package hibari-tts, an English voice distilled from Kokoro, without torch.

text -> reading.py (phonemes and their places) -> model.py (durations, F0, spectra) -> vocoder.py
     -> intonation.py (another pitch, a whisper) -> synthesizer.py (level, ends, marks)
"""
