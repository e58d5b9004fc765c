"""Which hosts are this machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, as no name server can tell otherwise."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_ours(host: str, names: Collection[str]) -> bool:
    """Whether a Host header names us. An address does: no name server has led there."""
    name, _, port = host.rpartition(":")
    if not name or not port.isdigit() or (host.startswith("[") and host.endswith("]")):
        name = host
    name = name.lower()
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return name in names
    return True
