"""Hosts, and the namespaces, switch and router that join them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import yaml

BRIDGE = "nigrani0"
SITE_GATEWAY = "10.20.0.1"
INTERNET_GATEWAY = "198.51.100.1"
SITE_PREFIX = "10.20."
OFFLOADS = ("tso", "gso", "gro", "tx", "rx", "sg")


class LabError(Exception):
    """The lab cannot be built or a service did not come up; the message says what to do."""


@dataclass(frozen=True)
class Host:
    """One machine of the hospital, in its own network namespace."""

    name: str
    address: str
    zone: str
    role: str
    ae: tuple[str, int] | None = None
    dhcp: bool = False

    @property
    def on_site(self) -> bool:
        """Whether the host sits on the mirrored switch, not behind the router."""
        return self.address.startswith(SITE_PREFIX)

    @property
    def mac(self) -> str:
        """A fixed, locally administered MAC made from the address."""
        return "02:00:" + ":".join(f"{int(octet):02x}" for octet in self.address.split("."))

    @property
    def aet(self) -> str:
        """The AE title; a host without one is a mistake in the caller."""
        if self.ae is None:
            raise LabError(f"{self.name} has no AE title in hosts.yaml")
        return self.ae[0]


@dataclass(frozen=True)
class Plan:
    """What `hosts.yaml` says."""

    domain: str
    hosts: dict[str, Host]
    internet_names: dict[str, str]
    extra_modalities: tuple[tuple[str, str, int], ...]

    def fqdn(self, name: str) -> str:
        """Tell the DNS name of a host of the site."""
        return f"{name}.{self.domain}"


def load_plan(path: Path) -> Plan:
    """Read `hosts.yaml`."""
    raw: dict[str, Any] = yaml.safe_load(path.read_text())
    hosts = [
        Host(h["name"], h["address"], h["zone"], h["role"], tuple(h["ae"]) if "ae" in h else None, h.get("dhcp", False))
        for h in raw["hosts"]
    ]
    extra = tuple((title, host, port) for title, host, port in raw["extra_modalities"])
    return Plan(raw["domain"], {h.name: h for h in hosts}, raw["internet_names"], extra)


def ip(command: str) -> None:
    """Run one `ip` command, or say which one failed."""
    done = subprocess.run(["ip", *command.split()], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"ip {command}: {done.stderr.strip()}")


class Network:
    """The namespaces of one lab; leaving the context ends their processes and removes them."""

    def __init__(self, plan: Plan, work: Path, prefix: str) -> None:
        """`work` is where services keep their state; `prefix` keeps two labs on one machine apart."""
        self.plan = plan
        self.work = work
        self.prefix = prefix

    def namespace(self, name: str) -> str:
        """Tell the namespace of a host, or of the `switch`."""
        return f"{self.prefix}-{name}"

    def __enter__(self) -> Self:
        """Build everything, or remove what was built so far and raise."""
        existing = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
        if any(line.startswith(f"{self.prefix}-") for line in existing.splitlines()):
            raise LabError(f"namespaces {self.prefix}-* exist already: wait for that run, or use --clean or --prefix")
        try:
            self._build()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        """Remove everything, whatever happened."""
        self.remove()

    def _build(self) -> None:
        self._add_namespace("switch")
        self._add_bridge("switch", BRIDGE)
        for host in self.plan.hosts.values():
            self._add_namespace(host.name)
        self._add_bridge("router", "wan0")
        ip(f"-n {self.namespace('router')} addr add {INTERNET_GATEWAY}/24 dev wan0")
        for host in self.plan.hosts.values():
            self._plug_in(host)
        self._sysctl("router", "net.ipv4.ip_forward=1")

    def _add_namespace(self, name: str) -> None:
        ip(f"netns add {self.namespace(name)}")
        self._sysctl(name, "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        ip(f"-n {self.namespace(name)} link set lo up")
        etc = Path("/etc/netns") / self.namespace(name)
        etc.mkdir(parents=True, exist_ok=True)
        host = self.plan.hosts.get(name)
        resolver = self.plan.hosts["dns" if host is None or host.on_site else "resolver"]
        (etc / "resolv.conf").write_text(f"nameserver {resolver.address}\n")

    def _add_bridge(self, name: str, bridge: str) -> None:
        namespace = self.namespace(name)
        ip(f"-n {namespace} link add {bridge} type bridge forward_delay 0 mcast_snooping 0")
        ip(f"-n {namespace} link set {bridge} up")

    def _plug_in(self, host: Host) -> None:
        """Join a host to its bridge, frames on the wire as a network card would send them."""
        mine, port = self.namespace(host.name), f"v-{host.name}"
        side, bridge, gateway, bits = (
            ("switch", BRIDGE, SITE_GATEWAY, 16) if host.on_site else ("router", "wan0", INTERNET_GATEWAY, 24)
        )
        theirs = self.namespace(side)
        ip(f"-n {mine} link add eth0 address {host.mac} type veth peer name {port} netns {theirs}")
        ip(f"-n {theirs} link set {port} master {bridge} up")
        ip(f"-n {mine} addr add {host.address}/{bits} dev eth0")
        ip(f"-n {mine} link set eth0 up")
        _offloads_off(mine, "eth0")
        _offloads_off(theirs, port)
        if host.address != gateway:
            ip(f"-n {mine} route add default via {gateway}")

    def _sysctl(self, name: str, *settings: str) -> None:
        subprocess.run(["ip", "netns", "exec", self.namespace(name), "sysctl", "-qw", *settings], check=True)

    def remove(self) -> None:
        """End every process in the lab's namespaces, and only those, then delete the namespaces."""
        names = [self.namespace(name) for name in ["switch", *self.plan.hosts]]
        for number in (signal.SIGTERM, signal.SIGKILL):
            if sum(_signal_namespace(name, number) for name in names):
                time.sleep(1)
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
            shutil.rmtree(Path("/etc/netns") / name, ignore_errors=True)

    def address(self, name: str) -> str:
        """Tell the IPv4 address of a host."""
        return self.plan.hosts[name].address

    def fqdn(self, name: str) -> str:
        """Tell the DNS name of a host."""
        return self.plan.fqdn(name)

    def aet(self, name: str) -> str:
        """Tell the AE title of a host."""
        return self.plan.hosts[name].aet

    def run(
        self, host: str, argv: Sequence[str], timeout: float = 60, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside a host to its end; a command over its time is killed and counts as failed."""
        command = ["ip", "netns", "exec", self.namespace(host), "timeout", "-k", "2", str(timeout), *argv]
        return subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd=self.work,
            env=_environment(),
        )

    def spawn(self, host: str, argv: Sequence[str], log: str) -> subprocess.Popen[bytes]:
        """Start a daemon inside a host, its output in `log` below the work folder."""
        with (self.work / f"{log}.log").open("ab") as sink:
            return self._popen(host, argv, sink)

    def _popen(self, host: str, argv: Sequence[str], sink: IO[bytes]) -> subprocess.Popen[bytes]:
        command = ["ip", "netns", "exec", self.namespace(host), *argv]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            cwd=self.work,
            start_new_session=True,
            env=_environment(),
        )


def _offloads_off(namespace: str, device: str) -> None:
    """Packets of their size on the wire, with checksums; a kernel without one of the switches may lack it."""
    switches = [word for offload in OFFLOADS for word in (offload, "off")]
    command = ["ip", "netns", "exec", namespace, "ethtool", "-K", device, *switches]
    subprocess.run(command, capture_output=True, check=False)


def _environment() -> dict[str, str]:
    """UTC, so that every log of the lab is in one clock; the lab's own servers importable."""
    home = str(Path(__file__).resolve().parent.parent)
    return {**os.environ, "TZ": "UTC", "OMP_NUM_THREADS": "1", "PYTHONPATH": home}


def _signal_namespace(name: str, number: signal.Signals) -> bool:
    """Signal the processes of one namespace; says whether there were any."""
    listed = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False)
    pids = [int(word) for word in listed.stdout.split()]
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
    return bool(pids)
