"""From audio to utterances: voice activity, endpointing, decode scheduling, resampling."""
