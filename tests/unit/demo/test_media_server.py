from __future__ import annotations

from pathlib import Path

import pytest

from demo import media_server
from demo.media_server import MediaServerError


@pytest.fixture
def _nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LIVEKIT_SERVER_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(media_server, "_BUILT", tmp_path / "no-server")


@pytest.mark.usefixtures("_nothing_installed")
def test_without_go_and_docker_it_says_what_to_do() -> None:
    said: list[str] = []
    with pytest.raises(MediaServerError, match=r"install Go .* or start Docker"):
        media_server.ensure(said.append)
    assert said == []


@pytest.mark.usefixtures("_nothing_installed")
def test_a_failed_build_is_one_sentence(tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho 'dial tcp: no such host' >&2\nexit 1\n")
    go.chmod(0o755)
    with pytest.raises(MediaServerError, match=r"failed: dial tcp: no such host. Check the net"):
        media_server.ensure(lambda _: None)


@pytest.mark.usefixtures("_nothing_installed")
def test_what_is_on_path_is_used_as_it_is(tmp_path: Path) -> None:
    server = tmp_path / "livekit-server"
    server.write_text("#!/bin/sh\n")
    server.chmod(0o755)
    media_server.ensure(lambda _: None)
    assert media_server.command() == [str(server)]


@pytest.mark.usefixtures("_nothing_installed")
def test_a_named_binary_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEKIT_SERVER_BIN", "/opt/livekit")
    assert media_server.command() == ["/opt/livekit"]
