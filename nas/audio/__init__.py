"""Sound: audio files, their features, and how waveforms are varied in training."""
