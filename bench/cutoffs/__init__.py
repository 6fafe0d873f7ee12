"""False cutoffs against wait, offline: real audio through the real models and the real policies."""
