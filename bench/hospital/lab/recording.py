"""The recording: tcpdump on the switch, the gateway's log, and the labels of what really happened."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from lab.attack import Incident
from lab.topology import BRIDGE, LabError, Network

SNAPLEN = 256


class Mirror:
    """tcpdump on the bridge: in promiscuous mode the bridge shows every frame that it forwards, once."""

    def __init__(self, network: Network, path: Path) -> None:
        """`path` is the capture to write."""
        argv = [
            "tcpdump",
            "-i",
            BRIDGE,
            "-n",
            "-s",
            str(SNAPLEN),
            "-B",
            "8192",
            "-Z",
            "root",
            "--time-stamp-precision=micro",
            "-w",
            str(path),
        ]
        self._log = network.work / "tcpdump.log"
        self._process = network.spawn("switch", argv, "tcpdump")
        self._await("listening on")

    def stop(self) -> dict[str, int]:
        """End the capture; returns tcpdump's own counts of captured and dropped packets."""
        time.sleep(1)
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=20)
        self._await("dropped by kernel")
        counts = re.findall(r"(\d+) packets? (captured|dropped by kernel)", self._log.read_text())
        return {name.replace(" ", "_"): int(number) for number, name in counts}

    def _await(self, words: str) -> None:
        for _ in range(100):
            if words in self._log.read_text():
                return
            time.sleep(0.1)
        raise LabError(f"tcpdump did not say {words!r}: {self._log.read_text()}")


@dataclass(frozen=True)
class Phase:
    """A stretch of the morning, in epoch seconds."""

    name: str
    start: float
    end: float
    what: str


def write_labels(
    path: Path, network: Network, phases: Sequence[Phase], incidents: Sequence[Incident], made: dict[str, object]
) -> None:
    """`labels.yaml`: phases, attacks with the attacker's address, and the hosts."""
    attacks = [
        {
            "name": i.name,
            "attacker": network.address(i.attacker),
            "attacker_name": i.attacker,
            "target": i.target,
            "start": round(i.start, 3),
            "end": round(i.end, 3),
            "what": i.what,
        }
        for i in incidents
    ]
    rounded = [asdict(p) | {"start": round(p.start, 3), "end": round(p.end, 3)} for p in phases]
    hosts = [
        {
            "name": h.name,
            "address": h.address,
            "zone": h.zone,
            "role": h.role,
            "mac": h.mac,
            **({"ae_title": h.ae[0]} if h.ae else {}),
        }
        for h in network.plan.hosts.values()
    ]
    labels = {"made": made, "phases": rounded, "attacks": attacks, "hosts": hosts}
    path.write_text(yaml.safe_dump(labels, sort_keys=False, width=110, allow_unicode=True))


def copy_gateway_log(network: Network, destination: Path) -> None:
    """Copy the AI gateway's access log as nginx wrote it."""
    shutil.copy(network.work / "ai" / "ai-gateway.log", destination)


def tool_versions() -> dict[str, str]:
    """Versions of the packages whose traffic is in the capture."""
    names = [
        "orthanc",
        "dcmtk",
        "nginx",
        "samba",
        "smbclient",
        "mosquitto",
        "openssh-server",
        "sip-tester",
        "dnsmasq",
        "nmap",
        "curl",
    ]
    listed = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *names], capture_output=True, text=True, check=False
    )
    return dict(line.split(" ", 1) for line in listed.stdout.splitlines())
