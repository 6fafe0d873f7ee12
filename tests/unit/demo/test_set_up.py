"""Set-up where parts are missing: no Node.js, no browser, no Redis, nothing to build with."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from demo import debian, media_server, redis, sip_bridge
from demo.run import _invite
from scripts import setup

FAKE_APT = """#!/bin/sh
echo "$1" >> {calls}
if [ "$1" = update ]; then exit 100; fi
{install}
"""


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The only folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(script)
    path.chmod(0o755)


def test_a_part_that_fails_is_one_sentence_and_the_others_are_finished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    monkeypatch.setattr(setup, "install", lambda: sys.exit("is the network up?"))
    monkeypatch.setattr(setup, "get_media_server", lambda: done.append("server"))
    monkeypatch.setattr(setup, "build_page", lambda: done.append("page"))
    with pytest.raises(SystemExit, match="is the network up"):
        setup.main()
    assert sorted(done) == ["page", "server"]


@pytest.mark.parametrize("node", [None, "v18.20.4", "v20.18.1", "nonsense"])
def test_without_a_new_enough_node_the_set_up_goes_on_and_says_so(
    programs: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    node: str | None,
) -> None:
    if node:
        program(programs, "node", f"#!/bin/sh\necho {node}\n")
        program(programs, "npm", "#!/bin/sh\nexit 1\n")
    (tmp_path / "package-lock.json").write_text("{}")
    monkeypatch.setattr(setup, "WEB", tmp_path)
    monkeypatch.setattr(setup, "PAGE_STAMP", tmp_path / "stamp")
    setup.build_page()
    said = "no page to talk from: building it needs Node.js 20.19 or newer with npm"
    assert said in capsys.readouterr().out
    assert not (tmp_path / "stamp").exists(), "a Node.js that comes later is used"


@pytest.mark.parametrize(("has_page", "said"), [(True, "http://page/"), (False, "Node.js 20.19")])
def test_the_demo_says_where_the_page_is_or_why_there_is_none(
    capsys: pytest.CaptureFixture[str], has_page: bool, said: str
) -> None:
    stack: Any = SimpleNamespace(livekit_url="ws://x", api_key="k", api_secret="s")
    page: Any = SimpleNamespace(has_page=has_page, url="http://page/")
    _invite(stack, cast(Any, SimpleNamespace(ok=True)), page)
    out = capsys.readouterr().out
    assert said in out
    assert ("http://page/" in out) is has_page


def test_a_missing_package_is_installed(
    programs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls, server = tmp_path / "calls", programs / "redis-server"
    install = f"echo '#!/bin/sh' > {server}; /bin/chmod +x {server}"
    program(programs, "apt-get", FAKE_APT.format(calls=calls, install=install))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    redis.ensure(print)
    assert calls.read_text().split() == ["update", "install"]
    redis.ensure(print)
    assert calls.read_text().split() == ["update", "install"], "once"


@pytest.mark.parametrize("user", [0, 1000])
def test_a_package_that_cannot_be_installed_is_one_sentence(
    programs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, user: int
) -> None:
    fails = FAKE_APT.format(calls=tmp_path / "calls", install="echo no route >&2; exit 100")
    program(programs, "apt-get", fails)
    monkeypatch.setattr("os.geteuid", lambda: user)
    said = r"Redis is missing.*apt-get install redis-server.*" + ("no route" * (not user))
    with pytest.raises(debian.PackagesMissing, match=said):
        redis.ensure(print)


def test_without_go_there_is_no_phone_bridge_and_the_message_says_what_helps(
    programs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("LIVEKIT_SIP_BIN", raising=False)
    monkeypatch.setattr(sip_bridge, "_BUILT", tmp_path / "none")
    program(programs, "redis-server", "#!/bin/sh\n")
    with pytest.raises(sip_bridge.BridgeError, match="built with Go: install it"):
        sip_bridge.ensure(print)


def test_the_phone_bridge_is_built_once(
    programs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("LIVEKIT_SIP_BIN", raising=False)
    monkeypatch.setattr(sip_bridge, "_BUILT", tmp_path / "bin" / "livekit-sip")
    monkeypatch.setattr(sip_bridge, "_FOLDER", tmp_path / "build")
    for name in ("gcc", "pkg-config", "redis-server"):
        program(programs, name, "#!/bin/sh\nexit 0\n")
    program(programs, "go", f"#!/bin/sh\necho >> {tmp_path / 'builds'}; echo > livekit-sip\n")
    sip_bridge.ensure(print)
    sip_bridge.ensure(print)
    assert sip_bridge.find() == tmp_path / "bin" / "livekit-sip"
    assert (tmp_path / "builds").read_text().count("\n") == 1
    program(programs, "go", "#!/bin/sh\necho no proxy >&2; exit 1\n")
    (tmp_path / "bin" / "livekit-sip").unlink()
    with pytest.raises(sip_bridge.BridgeError, match=r"failed: no proxy\. Check the network"):
        sip_bridge.ensure(print)


def test_the_phone_bridge_is_built_with_the_media_servers_versions() -> None:
    wanted = sip_bridge._MODULE.read_text()
    assert f"livekit/sip v{sip_bridge.VERSION}\n" in wanted
    assert f"livekit/livekit-server v{media_server.VERSION}\n" in wanted
