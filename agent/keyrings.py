"""Settings to key rings: one an account, shared by the three stages that ask under it."""

from __future__ import annotations

import hashlib
import weakref

from livekit.plugins.gatewaykit.keys import KeyRing
from livekit.plugins.gatewaykit.pacing import FileSlots, Pacer, Pacing

from .config import ConfigError, Settings, revealed
from .shared_health import shared_board

_LOCAL_KEY = "local"  # the local gateway asks for no key unless one is set
_rings: weakref.WeakValueDictionary[str, KeyRing] = weakref.WeakValueDictionary()
"""By a digest of everything that a ring is made of; a ring lives as long as its plugins."""


def key_ring(provider: str, settings: Settings) -> KeyRing:
    """The keys of a gateway account, and the pace at which it may be asked.

    Args:
        provider: aigateway, gateflow or local.
        settings: Several keys are separated by commas.

    Raises:
        ConfigError: There is none, or there are too many.
    """
    match provider:
        case "aigateway":
            keys, url = revealed(settings.aigateway_api_key), settings.aigateway_base_url
            pace = settings.aigateway_requests_per_s, settings.aigateway_burst
        case "gateflow":
            keys, url = revealed(settings.gateflow_api_key), settings.gateflow_base_url
            pace = settings.gateflow_requests_per_s, settings.gateflow_burst
        case _:
            keys, url = revealed(settings.gateway_key) or _LOCAL_KEY, settings.local_gateway_url
            pace = 0.0, 1
    marks = shared_board(settings)
    account = hashlib.sha256(f"{provider}\n{url}\n{keys}".encode()).hexdigest()
    name = f"{account} {pace} {settings.pace_path} {id(marks)}"
    if (ring := _rings.get(name)) is None:
        pacer = None
        if pace[0]:
            slots = FileSlots(settings.pace_path / account[:16])
            pacer = Pacer(Pacing(requests_per_s=pace[0], burst=pace[1]), slots=slots)
        try:
            ring = KeyRing(keys.split(","), provider=provider, pacer=pacer, marks=marks)
        except ValueError as e:
            raise ConfigError(f"The keys of {provider} cannot be used: {e}.") from None
        _rings[name] = ring
    return ring
