"""G.711, the telephone's codec: A-law and mu-law as look-up tables over numpy arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from caller.activity import Samples
from caller.sip.sdp import Codec

RATE = 8_000
"""Samples a second; each is one byte on the wire."""

_Bytes = npt.NDArray[np.uint8]
_BIAS = 0x84


def _mu_decode_table() -> Samples:
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code.astype(int) >> 4) & 7, code.astype(int) & 15
    size = (((mantissa << 3) + _BIAS) << exponent) - _BIAS
    return np.where(code & 0x80, -size, size).astype(np.int16)


def _a_decode_table() -> Samples:
    code = np.arange(256) ^ 0x55
    exponent, mantissa = (code >> 4) & 7, code & 15
    base = (mantissa << 4) + 8
    size = np.where(exponent == 0, base, (base + 0x100) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, size, -size).astype(np.int16)


def _encode_table(decoded: Samples) -> _Bytes:
    """The nearest code for each of the 65536 samples, as `table[sample + 32768]`."""
    order = np.argsort(decoded, kind="stable")
    values = decoded[order].astype(int)
    edges = (values[1:] + values[:-1] + 1) // 2  # from here on, the next value is as near
    return order[np.searchsorted(edges, np.arange(-32768, 32768), side="right")].astype(np.uint8)


_DECODE: dict[Codec, Samples] = {"PCMU": _mu_decode_table(), "PCMA": _a_decode_table()}
_ENCODE: dict[Codec, _Bytes] = {codec: _encode_table(table) for codec, table in _DECODE.items()}


def encode(codec: Codec, samples: Samples) -> bytes:
    """One byte for each sample (mono, `RATE`)."""
    return _ENCODE[codec][samples.astype(np.int32) + 32768].tobytes()


def decode(codec: Codec, data: bytes) -> Samples:
    """One sample for each byte."""
    return _DECODE[codec][np.frombuffer(data, dtype=np.uint8)]
