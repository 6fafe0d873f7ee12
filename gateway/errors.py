"""Errors the gateway raises on purpose.

Tree::

    GatewayError
    ├── ProtocolError        a peer sent something that the wire form does not allow
    ├── UnknownModel         no engine answers to this model name
    ├── EngineUnavailable    the engine exists, but its package or weights are missing
    ├── ConfigError          a setting is out of range
    └── UpstreamError        the server behind `--llm-url` failed

Messages never hold keys, URLs with credentials or spoken text: they are sent to clients and logged.
"""

from __future__ import annotations


class GatewayError(Exception):
    """Base of all errors raised on purpose by this package."""


class ProtocolError(GatewayError):
    """A peer sent something that the wire form does not allow."""


class UnknownModel(GatewayError):
    """No engine answers to this model name."""

    def __init__(self, model: str) -> None:
        # The name comes from the peer: bounded, and shown with repr so control characters are
        # inert.
        super().__init__(f"the model {model[:80]!r} does not exist here")


class EngineUnavailable(GatewayError):
    """The engine exists, but its package or weights are missing."""


class ConfigError(GatewayError):
    """A setting is out of range or contradicts another one."""


class UpstreamError(GatewayError):
    """The OpenAI-compatible server behind the gateway failed.

    Attributes:
        status: HTTP status to answer the client with.
        retry_after: value of the upstream's Retry-After header, verbatim, if it sent one.
    """

    def __init__(self, message: str, *, status: int, retry_after: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
