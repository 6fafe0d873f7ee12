from __future__ import annotations

import socket

import pytest

from demo.processes import ProcessError
from demo.stack import HOST, Ports, _require_free


def test_free_ports_differ_and_are_free() -> None:
    ports = Ports.free()
    assert len({ports.livekit, ports.rtc_tcp, ports.rtc_udp, ports.gateway}) == 4
    _require_free(ports, with_gateway=True)


def test_a_port_in_use_is_named_with_a_way_out() -> None:
    ports = Ports.free()
    with socket.socket() as taken:
        taken.bind((HOST, ports.livekit))
        taken.listen()
        with pytest.raises(ProcessError, match=rf"Port {ports.livekit} \(media server\).*PORTS="):
            _require_free(ports, with_gateway=True)


def test_a_udp_port_in_use_counts_too() -> None:
    ports = Ports.free()
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind((HOST, ports.rtc_udp))
        with pytest.raises(ProcessError, match="media over UDP"):
            _require_free(ports, with_gateway=False)
