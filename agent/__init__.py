"""Parley's application: one voice agent, in the order a call passes through it."""
