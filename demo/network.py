"""A network interface for a machine that has none: WebRTC does not use loopback.

A laptop with its radio off, or a container without a network, has loopback only, and WebRTC gathers
no address there. Where we may (as root, or in a namespace of our own), two ends of a virtual cable
give it one; nothing leaves the machine through it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

import psutil

_CABLE, _OTHER_END = "parley0", "parley1"
_ADDRESS = "169.254.77.1/30"  # link-local: never routed
_COMMANDS = (
    "link set lo up",
    f"link add {_CABLE} type veth peer name {_OTHER_END}",
    f"addr add {_ADDRESS} dev {_CABLE}",
    f"link set {_CABLE} up",
    f"link set {_OTHER_END} up",
)
_TIMEOUT_S = 10.0


class NoNetworkInterface(Exception):
    """There is none and none can be made; the message says what to do."""


def ensure_interface() -> bool:
    """Make an interface unless the machine has one besides loopback.

    Returns:
        Whether one was made.

    Raises:
        NoNetworkInterface: There is none and none can be made.
    """
    if sys.platform != "linux" or _has_interface():
        return False
    if shutil.which("ip") is None:
        raise NoNetworkInterface(_what_to_do("the `ip` command is missing"))
    for command in _COMMANDS:
        run = subprocess.run(
            ["ip", *command.split()],  # noqa: S607 - the `ip` on PATH is the system's
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        if run.returncode != 0:
            raise NoNetworkInterface(_what_to_do(run.stderr.strip()))
    return True


def _has_interface() -> bool:
    stats = psutil.net_if_stats()
    return any(
        stats[name].isup
        and not name.startswith("lo")
        and any(a.family.name == "AF_INET" for a in addresses)
        for name, addresses in psutil.net_if_addrs().items()
        if name in stats
    )


def _what_to_do(why: str) -> str:
    return (
        "This machine has no network interface besides loopback, and WebRTC cannot use that one "
        f"({why}). Switch Wi-Fi or a network on (the internet is not needed), or run "
        "`unshare -rn make demo`."
    )
