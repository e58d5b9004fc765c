"""Tell which hosts are this machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine; true only for names that no DNS server resolves."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_ours(host: str, names: Collection[str]) -> bool:
    """Say whether a Host header names us. An IP address always does: no DNS server was involved."""
    name, _, port = host.rpartition(":")
    if not name or not port.isdigit() or (host.startswith("[") and host.endswith("]")):
        name = host
    name = name.lower()
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return name in names
    return True
