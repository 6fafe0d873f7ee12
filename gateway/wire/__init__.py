"""Codecs: bytes and text to typed messages and back. Nothing here does I/O."""
