"""The little of SDP (RFC 4566) that a telephone needs: one audio stream, with no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Codec = Literal["PCMU", "PCMA"]
CODECS: tuple[Codec, ...] = get_args(Codec)
PAYLOAD_TYPES: dict[Codec, int] = {"PCMU": 0, "PCMA": 8}
"""Static types of RFC 3551."""
DTMF_TYPE = 101
"""The dynamic payload type that everyone uses for RFC 2833."""
MAX_LINES = 400

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]


class SdpError(ValueError):
    """The description offers no telephone call."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """One side of a call's media.

    Attributes:
        host: Where it wants to receive RTP.
        port: And on which port; 0 refuses the stream.
        codecs: G.711 variants it takes, preferred first.
        dtmf_type: Payload type of key presses; None if it takes none.
        direction: Whether it sends and receives; anything but "sendrecv" is a hold.
    """

    host: str
    port: int
    codecs: tuple[Codec, ...]
    dtmf_type: int | None = DTMF_TYPE
    direction: Direction = "sendrecv"


def encode(mine: Description, *, session: int, version: int = 1) -> bytes:
    """Write a description.

    Args:
        mine: What is offered or answered.
        session: The session's number, the same for its whole life.
        version: Greater by one each time that the description changes.
    """
    types = [str(PAYLOAD_TYPES[codec]) for codec in mine.codecs]
    lines = [
        "v=0",
        f"o=parley {session} {version} IN IP4 {mine.host}",
        "s=-",
        f"c=IN IP4 {mine.host}",
        "t=0 0",
    ]
    dtmf = []
    if mine.dtmf_type is not None:
        types.append(str(mine.dtmf_type))
        dtmf = [
            f"a=rtpmap:{mine.dtmf_type} telephone-event/8000",
            f"a=fmtp:{mine.dtmf_type} 0-15",
        ]
    lines += [
        f"m=audio {mine.port} RTP/AVP {' '.join(types)}",
        *(f"a=rtpmap:{PAYLOAD_TYPES[codec]} {codec}/8000" for codec in mine.codecs),
        *dtmf,
        "a=ptime:20",
        f"a={mine.direction}",
    ]
    return "\r\n".join([*lines, ""]).encode()


def parse(body: bytes) -> Description:
    """Read the other side's description.

    Raises:
        SdpError: There is no audio stream with G.711 in it.
    """
    lines = body.decode("utf-8", errors="replace").splitlines()
    if len(lines) > MAX_LINES:
        raise SdpError(f"more than {MAX_LINES} lines")
    start = next((i for i, line in enumerate(lines) if line.startswith("m=audio ")), None)
    if start is None:
        raise SdpError("no audio stream")
    end = next((i for i in range(start + 1, len(lines)) if lines[i].startswith("m=")), len(lines))
    common = lines[: next(i for i, line in enumerate(lines) if line.startswith("m="))]
    stream = lines[start:end]
    host = _host(stream) or _host(common)
    words = stream[0].removeprefix("m=audio ").split()
    if len(words) < 3 or not words[0].isdecimal() or int(words[0]) > 65_535 or not host:
        raise SdpError("no address for the audio stream")
    types = [int(word) for word in words[2:] if word.isdecimal() and int(word) < 128]
    codecs = tuple(c for t in types for c in CODECS if PAYLOAD_TYPES[c] == t)
    if not codecs:
        raise SdpError("no G.711 in the audio stream")
    named = ((number, name) for number, name in map(_rtpmap, stream) if number in types)
    dtmf = next((number for number, name in named if name == "telephone-event/8000"), None)
    return Description(
        host=host, port=int(words[0]), codecs=codecs, dtmf_type=dtmf,
        direction=_direction(stream) or _direction(common) or "sendrecv",
    )  # fmt: skip


def _rtpmap(line: str) -> tuple[int, str]:
    number, _, name = line.removeprefix("a=rtpmap:").partition(" ")
    if not line.startswith("a=rtpmap:") or not number.isdecimal() or len(number) > 3:
        return -1, ""
    return int(number), name.strip().lower()


def _host(lines: list[str]) -> str:
    found = (line for line in lines if line.startswith("c=IN IP4 "))
    return next((line.split()[2].partition("/")[0] for line in found if len(line.split()) > 2), "")


def _direction(lines: list[str]) -> Direction | None:
    known: tuple[Direction, ...] = get_args(Direction)
    return next((d for line in lines for d in known if line.strip() == f"a={d}"), None)
