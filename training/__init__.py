"""Trains a small CosyVoice 2 checkpoint: texts to teachers' speech, and from that every part of the model.

See README.md in this folder. A stage reads what earlier ones left in the work folder, and goes on where it
was stopped:

    python -m cosyserve.training all --work DIR
"""
