"""The right of a page to hold one call, and to come back to it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import jwt
from livekit import api

from ..config import Settings
from ..topics import RETURNS_ATTRIBUTE

_RESUME_CONTEXT = b"parley: the right to come back to a call"
_ALGORITHM = "HS256"
_ROOM_BYTES = 16
_IDENTITY_BYTES = 9
_DEPARTURE_MARGIN_S = 15
"""The server must not close a room while the agent in it still waits for its caller."""


class ResumeRefused(Exception):
    """The resume token is forged or has expired."""


@dataclass(frozen=True, kw_only=True)
class Seat:
    """A place in a room.

    Attributes:
        room: A name that nobody can guess.
        identity: Of the caller.
    """

    room: str
    identity: str

    @classmethod
    def new(cls) -> Seat:
        """A room of its own for somebody nobody knows."""
        return cls(
            room=f"web-{secrets.token_urlsafe(_ROOM_BYTES)}",
            identity=f"caller-{secrets.token_urlsafe(_IDENTITY_BYTES)}",
        )


class TokenMint:
    """Makes the tokens of the page.

    A resume token is signed with a key derived from the server's secret, so that it can never pass
    for a token of the media server.

    Args:
        settings: The media server's key and the limits.
        wall_clock: Seconds since the epoch; for tests.
    """

    def __init__(self, *, settings: Settings, wall_clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._secret = settings.livekit_api_secret.get_secret_value()
        self._resume_key = hmac.digest(self._secret.encode(), _RESUME_CONTEXT, hashlib.sha256)
        self._wall_clock = wall_clock

    def participant_token(self, seat: Seat) -> str:
        """A token to hold a call in one room, and nothing else: speak, write, hear."""
        grants = api.VideoGrants(
            room_join=True,
            room=seat.room,
            can_publish=True,
            can_publish_sources=["microphone"],
            can_publish_data=True,  # typed words, and the goodbye of the hang-up button
            can_subscribe=True,
        )
        web = self._settings.web
        return (
            api.AccessToken(self._settings.livekit_api_key, self._secret)
            .with_identity(seat.identity)
            .with_grants(grants)
            .with_attributes({RETURNS_ATTRIBUTE: "1"})
            .with_room_config(self._room_config())
            .with_ttl(timedelta(seconds=web.token_ttl_s))
            .to_jwt()
        )

    def resume_token(self, seat: Seat) -> str:
        """A token for the same seat later on."""
        expires = int(self._wall_clock()) + self._settings.web.resume_ttl_s
        claims = {"room": seat.room, "sub": seat.identity, "exp": expires}
        return jwt.encode(claims, self._resume_key, algorithm=_ALGORITHM)

    def seat_of(self, resume_token: str) -> Seat:
        """The seat that a resume token is for.

        Raises:
            ResumeRefused: It is forged or has expired.
        """
        try:
            claims = jwt.decode(
                resume_token,
                self._resume_key,
                algorithms=[_ALGORITHM],
                options={"require": ["exp", "sub", "room"], "verify_exp": False},
            )
        except jwt.InvalidTokenError:
            raise ResumeRefused from None
        if claims["exp"] <= self._wall_clock():
            raise ResumeRefused
        return Seat(room=claims["room"], identity=claims["sub"])

    def _room_config(self) -> api.RoomConfiguration:
        name = self._settings.agent_name
        return api.RoomConfiguration(
            agents=[api.RoomAgentDispatch(agent_name=name)] if name else [],
            departure_timeout=round(self._settings.caller_return_s) + _DEPARTURE_MARGIN_S,
        )
