"""The worker opens no connection that its settings do not name."""

from __future__ import annotations

from collections.abc import Callable

import psutil

from caller.room import Caller
from demo.stack import HOST, Stack


async def test_no_socket_was_opened_that_was_not_configured(
    call: Callable[..., Caller], stack: Stack
) -> None:
    ports = stack.config.ports
    expected = {ports.livekit, ports.rtc_tcp, ports.gateway}
    async with call() as caller:
        await caller.wait_for_agent()
        await caller.hear_reply()
        await caller.say("What is on my calendar tomorrow?")
        await caller.hear_reply()
        remote = remote_addresses(stack.child("worker").pid)
    assert (HOST, ports.livekit) in remote, "the worker must be seen at work"
    assert (HOST, ports.gateway) in remote
    assert {(host, port) for host, port in remote if host != HOST or port not in expected} == set()


def remote_addresses(pid: int) -> set[tuple[str, int]]:
    """Where the TCP connections of a process and its descendants lead to."""
    worker = psutil.Process(pid)
    own = {
        connection.laddr.port
        for process in [worker, *worker.children(recursive=True)]
        for connection in process.net_connections("tcp")
    }
    return {
        (connection.raddr.ip, connection.raddr.port)
        for process in [worker, *worker.children(recursive=True)]
        for connection in process.net_connections("tcp")
        # A connection between two of its own processes leads nowhere else.
        if connection.status == psutil.CONN_ESTABLISHED and connection.raddr.port not in own
    }
