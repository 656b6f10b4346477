"""A wire of our own: a network namespace that reaches this host's end of one veth pair, and nothing else.

This end has the address `HERE`. In the namespace every address of `CALLERS` is at home; they are of the range that is
kept for benchmarks (RFC 2544), so nothing else of this host is hidden.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Self

HERE = "198.18.0.1"
THERE = "198.18.0.2"
BITS = 16
CALLERS = "198.18.1.0/24"


class Pair:
    """The namespace and the pair, until closed."""

    def __init__(self) -> None:
        self.space = f"nigrani-pair-{os.getpid()}"
        self.link = f"nigp{os.getpid()}"
        """This host's end."""

    def __enter__(self) -> Self:
        """Raises CalledProcessError where that is not allowed."""
        ip("netns", "add", self.space)
        try:
            ip("link", "add", self.link, "type", "veth", "peer", "name", "there", "netns", self.space)
            ip("addr", "add", f"{HERE}/{BITS}", "dev", self.link)
            ip("link", "set", self.link, "up")
            ip("-n", self.space, "addr", "add", f"{THERE}/{BITS}", "dev", "there")
            ip("-n", self.space, "link", "set", "lo", "up")
            ip("-n", self.space, "link", "set", "there", "up")
            ip("-n", self.space, "route", "add", "local", CALLERS, "dev", "lo")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """The pair goes with its namespace."""
        ip("netns", "del", self.space)


def obstacle() -> str:
    """Why there can be no pair here; empty where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not shutil.which("ip"):
        return "network namespaces need ip, of the package iproute2"
    try:
        with Pair():
            return ""
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", b"") or b""
        return f"network namespaces cannot be made here: {said.decode(errors='replace').strip() or error}"


def ip(*words: str) -> None:
    """Run `ip`. Raises CalledProcessError."""
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)
