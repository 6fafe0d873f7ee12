"""The YAML that sets a telephone up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from livekit import api

from agent.config import ConfigError, load_settings
from agent.phone.trunks import find_outbound, load_config, setup

GOOD = """
inbound:
  numbers: ["+4930123456"]
  username: parley
  password: ${PHONE_PASSWORD}
  allowed_addresses: [203.0.113.7]
outbound:
  address: sip.example.com
  numbers: ["+4930123456"]
  transport: tls
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "phone.yaml"
    path.write_text(text)
    return path


class Sip:
    """The server's trunks and rules, kept in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, list[Any]] = {"inbound": [], "outbound": [], "rule": []}
        self.changes = 0

    def _made(self, kind: str, info: Any, key: str) -> Any:
        self.changes += 1
        copy = type(info)()
        copy.CopyFrom(info)
        setattr(copy, key, f"{kind}-{len(self.kept[kind])}")
        self.kept[kind].append(copy)
        return copy

    def _changed(self, kind: str, key: str, where: str, info: Any) -> None:
        self.changes += 1
        self.kept[kind] = [info if getattr(i, key) == where else i for i in self.kept[kind]]

    async def list_inbound_trunk(self, _: Any) -> Any:
        return api.ListSIPInboundTrunkResponse(items=self.kept["inbound"])

    async def list_outbound_trunk(self, _: Any) -> Any:
        return api.ListSIPOutboundTrunkResponse(items=self.kept["outbound"])

    async def list_dispatch_rule(self, _: Any) -> Any:
        return api.ListSIPDispatchRuleResponse(items=self.kept["rule"])

    async def create_inbound_trunk(self, request: Any) -> Any:
        return self._made("inbound", request.trunk, "sip_trunk_id")

    async def create_outbound_trunk(self, request: Any) -> Any:
        return self._made("outbound", request.trunk, "sip_trunk_id")

    async def create_dispatch_rule(self, request: Any) -> Any:
        return self._made("rule", request.dispatch_rule, "sip_dispatch_rule_id")

    async def update_inbound_trunk(self, where: str, info: Any) -> None:
        self._changed("inbound", "sip_trunk_id", where, info)

    async def update_outbound_trunk(self, where: str, info: Any) -> None:
        self._changed("outbound", "sip_trunk_id", where, info)

    async def update_dispatch_rule(self, where: str, info: Any) -> None:
        self._changed("rule", "sip_dispatch_rule_id", where, info)


class Server:
    """As much of the LiveKit server's client as is used."""

    def __init__(self) -> None:
        self.sip = Sip()


async def test_setting_up_twice_changes_nothing_and_a_change_changes_one_thing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHONE_PASSWORD", "s3cret")
    server: Any = Server()
    settings, path = load_settings(), written(tmp_path, GOOD)
    first = await setup(server, load_config(path), settings)
    assert [change.done for change in first] == ["made"] * 3
    again = await setup(server, load_config(path), settings)
    assert [change.done for change in again] == ["unchanged"] * 3
    assert [c.id for c in again] == [c.id for c in first]
    monkeypatch.setenv("PHONE_PASSWORD", "another")
    changed = await setup(server, load_config(path), settings)
    assert [change.done for change in changed] == ["changed", "unchanged", "unchanged"]
    (trunk,) = server.sip.kept["inbound"]
    assert trunk.auth_password == "another"
    assert list(trunk.allowed_addresses) == ["203.0.113.7/32"]
    (rule,) = server.sip.kept["rule"]
    assert list(rule.trunk_ids) == [trunk.sip_trunk_id]
    assert rule.rule.dispatch_rule_callee.room_prefix == settings.phone.room_prefix
    assert rule.hide_phone_number


async def test_an_agent_with_a_name_is_called_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHONE_PASSWORD", "s3cret")
    server: Any = Server()
    settings = load_settings().model_copy(update={"agent_name": "parley"})
    await setup(server, load_config(written(tmp_path, GOOD)), settings)
    (rule,) = server.sip.kept["rule"]
    assert [agent.agent_name for agent in rule.room_config.agents] == ["parley"]


async def test_a_trunk_that_is_not_there_is_named() -> None:
    server: Any = Server()
    with pytest.raises(ConfigError, match="no outbound trunk 'acme'"):
        await find_outbound(server, "acme")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("inbound: {numbers: ['1']}", "open to anyone"),
        ("inbound: {numbers: ['1'], username: a, allowed_addresses: [10.0.0.0/8]}", "not both"),
        ("inbound: {numbers: []}", "inbound.numbers"),
        ("inbound: {numbers: ['1'], allowed_addresses: [nowhere]}", "allowed_addresses"),
        ("outbound: {numbers: ['1']}", "outbound.address"),
        ("outbound: {numbers: ['1'], address: a, transport: sctp}", "outbound.transport"),
        ("inbund: {}", "inbund"),
        ("inbound: {numbers: ['1'], username: a, password: '${NOT_SET_AT_ALL}'}", "NOT_SET_AT_ALL"),
        ("[", "is not YAML"),
        ("- 1", "phone.yaml"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        load_config(written(tmp_path, text))


def test_a_mistake_shows_no_password(tmp_path: Path) -> None:
    text = "inbound: {numbers: [], username: a, password: hunter2}"
    with pytest.raises(ConfigError) as refused:
        load_config(written(tmp_path, text))
    assert "hunter2" not in str(refused.value)


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.yaml")
