"""The handlers: one module a stage, between a socket and an engine."""
