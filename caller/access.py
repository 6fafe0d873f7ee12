"""The right to be in one room as a caller, and to do nothing else."""

from __future__ import annotations

from datetime import timedelta

from livekit import api

TOKEN_TTL = timedelta(minutes=10)
"""A token is only needed to join; the server renews it for those who are in."""


def caller_token(
    *, api_key: str, api_secret: str, room: str, identity: str, agent_name: str = ""
) -> str:
    """A token to join `room` as a caller: publish a microphone, hear, nothing else.

    Args:
        api_key: LiveKit's.
        api_secret: LiveKit's.
        room: The only room it is good for.
        identity: The caller's.
        agent_name: The agent to be called into the room when it is made; "" leaves that to the
            server (agents without a name come by themselves).
    """
    grants = api.VideoGrants(
        room_join=True,
        room=room,
        can_publish=True,
        can_publish_sources=["microphone"],
        can_publish_data=False,
        can_subscribe=True,
    )
    token = api.AccessToken(api_key, api_secret).with_identity(identity).with_grants(grants)
    if agent_name:
        dispatch = api.RoomAgentDispatch(agent_name=agent_name)
        token = token.with_room_config(api.RoomConfiguration(agents=[dispatch]))
    return token.with_ttl(TOKEN_TTL).to_jwt()
