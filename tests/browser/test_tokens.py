"""Tokens at the media server's door (S01 and S02)."""

from __future__ import annotations

import time
from typing import Any

import aiohttp
import jwt
import pytest

from agent.web.server import WebServer
from demo.stack import HOST, Stack


async def claims_of(page_server: WebServer, stack: Stack) -> dict[str, Any]:
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{page_server.url}api/token", json={}) as answer,
    ):
        token = (await answer.json())["participant_token"]
    claims: dict[str, Any] = jwt.decode(token, stack.api_secret, algorithms=["HS256"])
    return claims


async def door(stack: Stack, token: str, **query: str) -> tuple[int, str]:
    """What the server answers to who wants to join: its check of a token, as clients ask for it."""
    url = f"http://{HOST}:{stack.config.ports.livekit}/rtc/validate"
    async with (
        aiohttp.ClientSession() as http,
        http.get(url, params={"access_token": token, **query}) as answer,
    ):
        return answer.status, await answer.text()


async def test_a_token_of_the_endpoint_opens_the_door(page_server: WebServer, stack: Stack) -> None:
    claims = await claims_of(page_server, stack)
    status, why = await door(stack, jwt.encode(claims, stack.api_secret, algorithm="HS256"))
    assert status == 200, why


@pytest.mark.parametrize(
    "case", ["other key", "no algorithm", "expired", "not yet", "other issuer"]
)
async def test_s01_forged_and_stale_tokens_are_refused(
    page_server: WebServer, stack: Stack, case: str
) -> None:
    claims = await claims_of(page_server, stack)
    now = int(time.time())
    secret, algorithm = stack.api_secret, "HS256"
    match case:
        case "other key":
            secret = "another-secret-that-has-more-than-32-characters"
        case "no algorithm":
            secret, algorithm = "", "none"
        case "expired":
            claims |= {"nbf": now - 7200, "exp": now - 3600}
        case "not yet":
            claims |= {"nbf": now + 3600, "exp": now + 7200}
        case "other issuer":
            claims |= {"iss": "devkey"}
    status, _ = await door(stack, jwt.encode(claims, secret, algorithm=algorithm))
    assert status == 401


async def test_s02_a_token_is_for_its_room_only(page_server: WebServer, stack: Stack) -> None:
    claims = await claims_of(page_server, stack)
    del claims["video"]["roomJoin"]
    status, _ = await door(stack, jwt.encode(claims, stack.api_secret, algorithm="HS256"))
    assert status == 401


async def test_s02_a_token_opens_no_door_of_the_administration(
    page_server: WebServer, stack: Stack
) -> None:
    claims = await claims_of(page_server, stack)
    token = jwt.encode(claims, stack.api_secret, algorithm="HS256")
    base = f"http://{HOST}:{stack.config.ports.livekit}/twirp/livekit"
    calls = {
        "RoomService/ListRooms": {},
        "RoomService/ListParticipants": {"room": claims["video"]["room"]},
        "RoomService/DeleteRoom": {"room": claims["video"]["room"]},
        "AgentDispatchService/CreateDispatch": {"room": claims["video"]["room"]},
    }
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as http:
        for call, body in calls.items():
            async with http.post(f"{base}.{call}", json=body) as answer:
                assert answer.status in (401, 403), call
