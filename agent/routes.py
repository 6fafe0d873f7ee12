"""Routes: which provider, model and voice serve a stage, written `provider:model[:voice]`."""

from __future__ import annotations

from dataclasses import dataclass

PROVIDERS = ("aigateway", "gateflow", "local", "deepgram", "openai", "elevenlabs", "inference")
SEGMENTED_PROVIDERS = ("gateflow", "openai")
"""Those whose speech-to-text takes whole stretches of speech, which a detector here cuts."""
REALTIME_PROVIDERS = ("gateflow",)
TRANSPORTS = ("websocket", "pipeline")


class RouteError(ValueError):
    """A route cannot be read; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Route:
    """One way to serve a stage."""

    provider: str
    model: str
    voice: str | None = None

    def __str__(self) -> str:
        return ":".join(part for part in (self.provider, self.model, self.voice) if part)

    @property
    def slug(self) -> str:
        """The model as a gateway knows it; the local one's own need no prefix in a route."""
        if self.provider == "local" and "/" not in self.model:
            return f"local/{self.model}"
        return self.model


def parse_chain(text: str) -> list[Route]:
    """Read a comma-separated chain of routes, primary first.

    Raises:
        RouteError: The chain is empty, or a route is malformed or names an unknown provider.
    """
    routes = [_parse_route(part.strip()) for part in text.split(",") if part.strip()]
    if not routes:
        raise RouteError("the chain is empty, expected provider:model[:voice]")
    return routes


def _parse_route(text: str) -> Route:
    provider, _, rest = text.partition(":")
    model, _, voice = rest.partition(":")
    if not model:
        raise RouteError(f"{text!r} is not of the form provider:model[:voice]")
    if provider not in PROVIDERS:
        raise RouteError(f"unknown provider {provider!r}, expected one of {', '.join(PROVIDERS)}")
    return Route(provider, model, voice or None)


@dataclass(frozen=True, slots=True)
class RealtimeRoute:
    """One model that hears, thinks and speaks: a provider's pipeline, over one of its transports.

    Attributes:
        provider: Whose it is.
        template: Which of the provider's pipelines.
        transport: "websocket": the provider finds the turns; "pipeline": one request a turn.
    """

    provider: str
    template: str
    transport: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.template}:{self.transport}"


def parse_realtime(text: str) -> RealtimeRoute:
    """Read `provider:template[:transport]`; the transport is "websocket" unless it is named.

    Raises:
        RouteError: It is malformed, or names something unknown.
    """
    provider, _, rest = text.strip().partition(":")
    template, _, transport = rest.partition(":")
    if not template:
        raise RouteError(f"{text!r} is not of the form provider:template[:transport]")
    if provider not in REALTIME_PROVIDERS:
        known = ", ".join(REALTIME_PROVIDERS)
        raise RouteError(f"{provider!r} has no realtime model here, expected one of {known}")
    transport = transport or TRANSPORTS[0]
    if transport not in TRANSPORTS:
        raise RouteError(f"unknown transport {transport!r}, expected {' or '.join(TRANSPORTS)}")
    return RealtimeRoute(provider, template, transport)
