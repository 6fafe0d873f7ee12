"""The token endpoint: least grant, and refusals (S03 to S05 by name)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp.test_utils import TestClient, TestServer
from livekit import api
from typer.testing import CliRunner

from agent.cli import app as command_line
from agent.config import ConfigError, Settings, load_settings
from agent.web.limits import RateLimit
from agent.web.server import WebServer, build_app
from agent.web.tokens import ResumeRefused, Seat, TokenMint

KEY, SECRET = "web-tests", "a-secret-of-the-tests-with-more-than-32-characters"
SHOP = "https://shop.example"

Client = TestClient[Any, Any]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIVEKIT_URL", "wss://media.example")
    monkeypatch.setenv("LIVEKIT_API_KEY", KEY)
    monkeypatch.setenv("LIVEKIT_API_SECRET", SECRET)
    monkeypatch.setenv("AGENT_WEB_ALLOWED_ORIGINS", f"{SHOP}, https://other.example/")
    monkeypatch.setenv("AGENT_WEB_TOKENS_PER_MINUTE", "5")
    return load_settings()


@pytest.fixture
async def client(settings: Settings, tmp_path: Path) -> AsyncIterator[Client]:
    page = tmp_path / "dist"
    (page / "assets").mkdir(parents=True)
    (page / "index.html").write_text("<p>page")
    (page / "widget.js").write_text("widget()")
    (page / "assets" / "index-abc.js").write_text("page()")
    (tmp_path / "secret.txt").write_text("not for the web")
    app = build_app(settings=settings, page=page, loopback=True)
    async with TestClient(TestServer(app)) as running:
        yield running


async def ask(client: Client, body: object = None, **headers: str) -> tuple[int, dict[str, Any]]:
    async with client.post("/api/token", json=body or {}, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_the_answer_has_the_standard_form(client: Client) -> None:
    status, answer = await ask(client, {"room_name": "", "room_config": {"agents": []}})
    assert status == 201
    assert answer["server_url"] == "wss://media.example"
    assert (answer["resume_within_s"], answer["agent_within_s"]) == (20, 15)
    claims = api.TokenVerifier(KEY, SECRET).verify(answer["participant_token"])
    assert claims.identity.startswith("caller-")


async def test_s03_grants_are_the_least_and_a_clients_own_are_ignored(client: Client) -> None:
    greedy = {
        "room_name": "somebody-elses",
        "participant_identity": "agent-1",
        "participant_attributes": {"admin": "1"},
        "participant_metadata": "x",
        "room_config": {"agents": [{"agent_name": "other"}], "max_participants": 99},
        "video": {"roomAdmin": True},
        "grants": {"roomAdmin": True, "roomRecord": True},
    }
    _, answer = await ask(client, greedy)
    claims = jwt.decode(answer["participant_token"], SECRET, algorithms=["HS256"])
    room = claims["video"].pop("room")
    assert room.startswith("web-")
    assert len(room) > 20, "a name that nobody guesses"
    assert claims["video"] == {
        "roomJoin": True,
        "canPublish": True,
        "canPublishSources": ["microphone"],
        "canPublishData": True,
        "canSubscribe": True,
    }
    assert claims["attributes"] == {"parley.returns": "1"}
    assert claims["roomConfig"] == {"departureTimeout": 35}
    assert "metadata" not in claims
    assert 0 < claims["exp"] - time.time() <= 600


async def test_s03_every_load_is_a_new_room_and_identity(client: Client) -> None:
    answers = [(await ask(client))[1]["participant_token"] for _ in range(4)]
    decoded = [jwt.decode(token, SECRET, algorithms=["HS256"]) for token in answers]
    assert len({claims["video"]["room"] for claims in decoded}) == 4
    assert len({claims["sub"] for claims in decoded}) == 4


def test_a_named_agent_is_dispatched_by_the_token(settings: Settings) -> None:
    named = settings.model_copy(update={"agent_name": "parley"})
    token = TokenMint(settings=named).participant_token(Seat.new())
    claims = jwt.decode(token, SECRET, algorithms=["HS256"])
    assert claims["roomConfig"]["agents"] == [{"agentName": "parley"}]


async def test_a_resume_token_leads_back_to_the_same_seat(client: Client) -> None:
    _, first = await ask(client)
    status, second = await ask(client, {"resume_token": first["resume_token"]})
    assert status == 201
    one, two = (
        jwt.decode(a["participant_token"], SECRET, algorithms=["HS256"]) for a in (first, second)
    )
    assert (one["sub"], one["video"]["room"]) == (two["sub"], two["video"]["room"])


@pytest.mark.parametrize("resume", ["", "x.y.z", 7, {"room": "r"}, None])
async def test_a_forged_resume_token_is_refused(client: Client, resume: object) -> None:
    if resume is None:  # a token of the media server is none for coming back
        resume = (await ask(client))[1]["participant_token"]
    status, answer = await ask(client, {"resume_token": resume})
    assert status == 410
    assert "new one" in answer["error"]


def test_resume_tokens_expire_and_are_no_media_tokens(settings: Settings) -> None:
    now = 1_000_000.0
    mint = TokenMint(settings=settings, wall_clock=lambda: now)
    seat = Seat.new()
    token = mint.resume_token(seat)
    assert mint.seat_of(token) == seat
    with pytest.raises(jwt.InvalidTokenError):
        api.TokenVerifier(KEY, SECRET).verify(token)
    now += settings.web.resume_ttl_s
    with pytest.raises(ResumeRefused):
        mint.seat_of(token)


async def test_s04_a_flood_from_one_address_is_cut_off(client: Client) -> None:
    statuses = [(await ask(client))[0] for _ in range(6)]
    assert statuses == [201] * 5 + [429]
    async with client.post("/api/token", json={}) as answer:
        assert int(answer.headers["Retry-After"]) >= 1


def test_s04_a_limit_refills_and_forgets_in_bounded_memory() -> None:
    now = 0.0
    limit = RateLimit(per_minute=2, max_addresses=3, clock=lambda: now)
    assert [limit.wait_s("a") for _ in range(3)] == [0, 0, 30]
    now = 30
    assert limit.wait_s("a") == 0
    assert limit.wait_s("a") == 30
    for address in "bcd":
        assert limit.wait_s(address) == 0
    assert limit.wait_s("a") == 0, "longest unseen, so forgotten"


async def test_s04_other_sites_only_by_the_list(client: Client) -> None:
    assert (await ask(client, Origin="https://evil.example"))[0] == 403
    async with client.post("/api/token", json={}, headers={"Origin": SHOP}) as answer:
        assert answer.status == 201
        assert answer.headers["Access-Control-Allow-Origin"] == SHOP
        assert answer.headers["Vary"] == "Origin"
    preflight = {"Origin": SHOP, "Access-Control-Request-Method": "POST"}
    async with client.options("/api/token", headers=preflight) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Headers"] == "Content-Type"


async def test_s04_a_name_pointed_at_this_machine_is_refused(client: Client) -> None:
    assert (await ask(client, Host="evil.example"))[0] == 403


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"x" * 5000, "application/json", 413),
        (b"{", "application/json", 400),
        (b"[" * 4000, "application/json", 400),
        (b"[]", "application/json", 400),
        (b"\xff\xfe", "application/json; charset=utf-8", 400),
        (b"{}", "application/json; charset=none-such", 400),
        (b"{}", "text/plain", 415),
    ],
)
async def test_s04_bodies_that_are_refused(
    client: Client, body: bytes, kind: str, status: int
) -> None:
    async with client.post("/api/token", data=body, headers={"Content-Type": kind}) as answer:
        assert answer.status == status
        assert set(await answer.json()) == {"error"}


def test_s05_the_development_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="development key"):
        WebServer(settings=load_settings())
    monkeypatch.setenv("LIVEKIT_API_KEY", KEY)
    with pytest.raises(ConfigError, match="LIVEKIT_API_SECRET"):
        WebServer(settings=load_settings())
    result = CliRunner().invoke(command_line, ["web", "--port", "0"])
    assert isinstance(result.exception, ConfigError)


async def test_a_port_that_is_taken_is_one_sentence(settings: Settings) -> None:
    async with WebServer(settings=settings) as first:
        port = int(first.url.rstrip("/").rsplit(":", 1)[1])
        with pytest.raises(ConfigError, match="--port"):
            async with WebServer(settings=settings, port=port):
                pass


async def test_the_page_is_kept_to_itself(client: Client) -> None:
    async with client.get("/") as page:
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "connect-src 'self' wss://media.example https://media.example;" in policy
        assert "unsafe" not in policy
        assert page.headers["Cache-Control"] == "no-cache"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
    async with client.get("/assets/index-abc.js") as script:
        assert "immutable" in script.headers["Cache-Control"]
    async with client.get("/widget.js") as widget:
        assert widget.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    async with client.get("/no-such") as missing:
        assert missing.status == 404
        assert "Content-Security-Policy" in missing.headers


@pytest.mark.parametrize("path", ["/assets/../../secret.txt", "/assets/%2e%2e/%2e%2e/secret.txt"])
async def test_nothing_outside_the_page_is_served(client: Client, path: str) -> None:
    async with client.get(path) as answer:
        assert answer.status in (403, 404)


async def test_without_a_page_there_are_tokens_and_a_word_about_it(
    settings: Settings, tmp_path: Path
) -> None:
    app = build_app(settings=settings, page=tmp_path / "none", loopback=True)
    async with TestClient(TestServer(app)) as client:
        assert (await ask(client))[0] == 201
        async with client.get("/") as answer:
            assert answer.status == 503
            assert "Node.js" in await answer.text()
