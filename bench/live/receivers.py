"""What listens at the end of the wire: how it is started, ended, and asked what it saw and lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.live.table import OURS
from bench.live.wire import INTERFACE
from bench.measure import ROOT, Command
from bench.network import peers_python
from nigrani.stream.codec import decode
from nigrani.stream.events import AgentStatus
from nigrani.stream.spool import SpoolReader

PATIENCE = 10.0
"""Seconds that a tool gets to end."""
SURICATA = """%YAML 1.1
---
vars: {address-groups: {HOME_NET: any, EXTERNAL_NET: any}}
stats: {enabled: yes, interval: 2}
outputs:
  - eve-log: {enabled: yes, filetype: regular, filename: eve.json, types: [flow, stats]}
af-packet:
  - {interface: %s, cluster-id: 99, cluster-type: cluster_flow, defrag: yes, tpacket-v3: yes, ring-size: 16384}
""".replace("%s", INTERFACE)


class Seen(NamedTuple):
    """What a receiver says of the packets."""

    packets: int | None = None
    dropped: int | None = None
    """By the kernel, before the receiver got them."""


class Running(NamedTuple):
    """A receiver at work."""

    process: subprocess.Popen[bytes]
    folder: Path

    def said(self) -> str:
        """What it has printed, standard error too."""
        return (self.folder / "said").read_text(encoding="utf-8", errors="replace")


@dataclass(frozen=True)
class Receiver:
    """One tool."""

    name: str
    command: Callable[[Path], Command]
    """Given a folder of its own."""
    ask: Callable[[Running], Seen]
    """Ends the tool and tells what it saw."""
    missing: str = ""


def receivers() -> list[Receiver]:
    """Ours and the peers, those that are absent with the reason."""
    python, reason = peers_python()
    script = Path(__file__).with_name("nfstream_live.py")
    return [
        ours(),
        _tool(
            "softflowd",
            lambda folder: ["softflowd", "-d", "-i", INTERFACE, "-m", "65536", *_softflowd(folder)],
            _ask_softflowd,
        ),
        Receiver("nfstream, 20 dissections", lambda _: [python or "", script, INTERFACE], _ask_nfstream, reason),
        _tool("suricata, no rules", _suricata, _ask_suricata),
        _tool(
            "tcpdump -w /dev/null: the floor",
            lambda _: ["tcpdump", "-i", INTERFACE, "-s", "256", "-w", "/dev/null"],
            _ask_tcpdump,
        ),
    ]


def ours(*settings: str) -> Receiver:
    """The agent. settings: `key=value` each."""
    sets = [word for setting in settings for word in ("--set", setting)]

    def command(folder: Path) -> Command:
        own = [f"interfaces=[{INTERFACE}]", f"bus.path={folder / 'bus'}", f"privacy.key={folder / 'site.key'}"]
        words = [word for setting in [*own, "metrics.listen=127.0.0.1:0"] for word in ("--set", setting)]
        return [sys.executable, "-m", "nigrani.cli", "agent", "run", *words, *sets]

    return Receiver(OURS, command, _ask_ours)


def _tool(name: str, command: Callable[[Path], Command], ask: Callable[[Running], Seen]) -> Receiver:
    word = re.split(r"[ ,]", name)[0]
    return Receiver(name, command, ask, "" if shutil.which(word) else f"not installed: {word}")


def _end(running: Running) -> str:
    """End it as its user would, then whatever of its processes is left; returns what it printed."""
    running.process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        running.process.wait(timeout=PATIENCE)
    with suppress(ProcessLookupError):
        os.killpg(running.process.pid, signal.SIGKILL)
    running.process.wait()
    return running.said()


def _ask_ours(running: Running) -> Seen:
    """From the last heartbeat on its bus."""
    _end(running)
    reader = SpoolReader(running.folder / "bus", "bench")
    last: AgentStatus | None = None
    while batches := reader.poll(10_000):
        for line in b"".join(batch.lines for batch in batches).splitlines():
            if b"agent.status" in line and isinstance(event := decode(line), AgentStatus):
                last = event
    return Seen(last.packets, last.skipped.get("kernel_dropped_packets", 0)) if last else Seen()


def _softflowd(folder: Path) -> Command:
    return ["-p", folder / "pid", "-c", folder / "control"]


def _ask_softflowd(running: Running) -> Seen:
    command: Command = ["softflowctl", "-c", running.folder / "control", "statistics"]
    text = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout
    _end(running)
    return Seen(_number(r"Packets processed: (\d+)", text), _number(r"dropped by libpcap: (\d+)", text))


def _ask_nfstream(running: Running) -> Seen:
    lines = [line for line in _end(running).splitlines() if "packets_processed" in line]
    if not lines:
        return Seen()
    told = json.loads(lines[-1])
    return Seen(told["packets_processed"], told["packets_dropped_filtered_by_kernel"])


def _suricata(folder: Path) -> Command:
    (folder / "suricata.yaml").write_text(SURICATA, encoding="utf-8")
    return [
        "suricata",
        "-c",
        folder / "suricata.yaml",
        "-S",
        "/dev/null",
        "-k",
        "none",
        "-l",
        folder,
        f"--af-packet={INTERFACE}",
    ]


def _ask_suricata(running: Running) -> Seen:
    _end(running)
    path = running.folder / "eve.json"
    stats = (
        [line for line in path.read_text(encoding="utf-8").splitlines() if '"event_type":"stats"' in line]
        if path.exists()
        else []
    )
    capture = json.loads(stats[-1])["stats"].get("capture", {}) if stats else {}
    return Seen(capture.get("kernel_packets"), capture.get("kernel_drops"))


def _ask_tcpdump(running: Running) -> Seen:
    text = _end(running)
    return Seen(_number(r"(\d+) packets captured", text), _number(r"(\d+) packets dropped by kernel", text))


def _number(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text)
    return int(found[1]) if found else None


def start(command: Command, folder: Path, environment: dict[str, str]) -> Running:
    """Start it, with all its processes in a group of their own."""
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Running(process, folder)
