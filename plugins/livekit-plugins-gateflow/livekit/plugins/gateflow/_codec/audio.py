"""Audio inside JSON."""

from __future__ import annotations

import base64
import binascii

from livekit.plugins.gatewaykit.errors import ProtocolError
from livekit.plugins.gatewaykit.json import required_str

BYTES_PER_SAMPLE = 2


def decode_audio(obj: dict[str, object], key: str) -> bytes:
    """The bytes of a member in base64.

    Raises:
        ProtocolError: It is missing, or not base64 to the letter: a lenient decoder would drop
            what it does not know and shift every sample after it.
    """
    try:
        return base64.b64decode(required_str(obj, key), validate=True)
    except (binascii.Error, ValueError):
        raise ProtocolError(f"{key} is not base64") from None


def encode_audio(data: bytes) -> str:
    """Audio in base64."""
    return base64.b64encode(data).decode()


class WholeSamples:
    """Passes on whole samples: a chunk may end in the middle of one."""

    def __init__(self) -> None:
        self._odd = b""

    def push(self, data: bytes) -> bytes:
        """All whole samples so far; the odd byte waits for its other half."""
        data = self._odd + data
        whole = len(data) - len(data) % BYTES_PER_SAMPLE
        self._odd = data[whole:]
        return data[:whole]
