"""Traffic and logs full of canaries through the whole agent, and every byte that leaves it searched for them."""

from __future__ import annotations

import ast
import base64
import ipaddress
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from nacl.public import PrivateKey

from agent.logs import FORMATS
from agent.privacy import Tokens
from nigrani.stream.spool import SpoolReader
from tests import canary
from tests.agent.logs import hostile
from tests.agent.sources.test_syslog import certificates

__all__ = ["certificates"]

ROOT = Path(__file__).parents[2]
KEY = bytes(range(100, 132))
HERE, THERE = f"canary-a{os.getpid()}", f"canary-b{os.getpid()}"
OURS, METRICS = "10.87.65.1", "127.0.0.1:9465"
PEM = {"certificate": "server.pem", "key": "server.key", "ca": "ours.pem"}
SENDER = """
import socket, sys
from pathlib import Path
data, at = Path(sys.argv[1]).read_bytes(), 24
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
    wire.bind(("vb", 0))
    while at < len(data):
        size = int.from_bytes(data[at + 8 : at + 12], "little")
        wire.send(data[at + 16 : at + 16 + size])
        at += 16 + size
lines = Path(sys.argv[2]).read_text(errors="surrogateescape").splitlines()
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
tcp = socket.create_connection((sys.argv[3], 5515), 5)
for line in lines:
    udp.sendto(line.encode(errors="surrogateescape"), (sys.argv[3], 5514))
    tcp.sendall(line.encode(errors="surrogateescape") + b"\\n")
tls = socket.create_connection((sys.argv[3], 5516), 5)
try:  # no handshake: the listener may close at once
    tls.sendall(lines[0].encode())
    tls.recv(1)
except ConnectionResetError:
    pass
tls.close()
tcp.close()
"""
CRASH = """
import sys
from {module} import {owner}
from nigrani.cli import main

def crash(*words, **named):
    held = words, named
    raise RuntimeError("a fault of our own")

{owner}.{name} = crash
sys.exit(main(sys.argv[1:]))
"""
"""A fault of our own where a line or a packet's fact is in hand."""


class Site(NamedTuple):
    """A host with a capture, logs in all formats, and a configuration."""

    folder: Path
    capture: Path
    config: Path
    logs: dict[str, Path]

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def environment(self) -> dict[str, str]:
        own = {"NIGRANI_STATE": str(self.state), "PYTHONFAULTHANDLER": "1", "PYTHONPATH": str(ROOT), "TZ": "UTC"}
        return {**os.environ, **own}

    def run(self, *words: object, code: str = "", state: Path | None = None) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, *(["-c", code] if code else ["-m", "nigrani.cli"]), *map(str, words)]
        environment = {**self.environment, **({"NIGRANI_STATE": str(state)} if state else {})}
        return subprocess.run(command, capture_output=True, timeout=30, env=environment, check=False)

    def left(self) -> dict[str, bytes]:
        """The state folder as it lies there, and the bus as it is read. Places of sources have names of files, and stay."""
        found = canary.below(self.state, "site.key", "scans.json", "scans.meant")
        for bus in self.state.glob("bus*"):
            reader = SpoolReader(bus, "test")
            while batches := reader.poll(100):
                found[f"{bus.name}, read {len(found)}"] = b"".join(batch.lines for batch in batches)
            reader.close()
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Site:
    folder = tmp_path_factory.mktemp("site")
    (folder / "state").mkdir()
    (folder / "state" / "site.key").touch(0o600)
    (folder / "state" / "site.key").write_bytes(KEY)
    (folder / "capture.pcap").write_bytes(canary.capture())
    (folder / "scans").mkdir()
    (folder / "scans" / canary.FILE).write_text(canary.FINDING)
    paths = {}
    for name, lines in canary.logs().items():
        paths[name] = folder / f"{name}.log"
        paths[name].write_text("\n".join([*lines, *canary.broken(lines)]) + "\n")
    entries = [json.dumps({"__CURSOR": f"s=1;i={at}", "MESSAGE": line}) for at, line in enumerate(canary.logs()["orthanc"])]
    (folder / "journal.py").write_text(f"import time\nprint({chr(10).join(entries)!r}, flush=True)\ntime.sleep(99)\n")
    journal = [sys.executable, str(folder / "journal.py")]
    config = {
        "interfaces": ["va"],
        "metrics": {"listen": METRICS},
        "privacy": {"map": {"key": bytes(PrivateKey.generate().public_key).hex()}, "zones": {"wards": ["10.87.65.0/24"]}},
        "logs": {
            "files": {name: {"path": str(path), "format": name, "beginning": True} for name, path in paths.items()},
            "journal": {"journal": {"units": ["x"], "format": "orthanc", "command": journal}},
            "syslog": {
                "udp": {"transport": "udp", "listen": f"{OURS}:5514"},
                "tcp": {"transport": "tcp", "listen": f"{OURS}:5515"},
                "tls": {"listen": f"{OURS}:5516", **{name: str(certificates / file) for name, file in PEM.items()}},
            },
            "folders": {"scans": {"path": str(folder / "scans"), "kind": "dataset", "interval": 1}},
        },
    }
    (folder / "agent.yaml").write_text(yaml.safe_dump(config))
    return Site(folder, folder / "capture.pcap", folder / "agent.yaml", paths)


@pytest.fixture(scope="module")
def replayed(site: Site) -> dict[str, bytes]:
    """Everything that leaves when the files are replayed: to standard output, and onto a bus."""
    files = (site.capture, *site.logs.values())
    shown = site.run("agent", "replay", *files, "--summary")
    kept = site.run("agent", "replay", *files, "--bus", site.state / "bus-replay")
    assert (shown.returncode, kept.returncode) == (0, 0), shown.stderr
    return {"stdout": shown.stdout, "stderr": shown.stderr, "stderr of the bus": kept.stderr, **site.left()}


def tokens_told(text: bytes) -> None:
    """The canaries were there: privacy made tokens of them."""
    tokens = Tokens(KEY)
    for kind, values in canary.NAMED.items():
        for value in values:
            assert tokens.of(kind, value.encode()).encode() in text, (kind, value)
    for address in (canary.CLIENT, canary.SERVER):
        packed = bytes(map(int, address.split(".")))
        assert tokens.of("ip", packed).encode() in text
    assert tokens.of("mac", canary.CARD).encode() in text


def test_no_canary_leaves_a_replay(replayed: dict[str, bytes]) -> None:
    assert canary.leaks(replayed) == []


def test_every_protocol_and_every_format_was_read(replayed: dict[str, bytes]) -> None:
    events = [json.loads(line) for line in replayed["stdout"].splitlines()]
    flows = [event for event in events if event["event.dataset"] == "network.flow"]
    assert {event.get("network.protocol") for event in flows} >= canary.PROTOCOLS
    told = {event.get("event.provider", event["event.dataset"]) for event in events}
    assert told >= {"atna", "orthanc", "nvflare-audit", "training-ledger", "ai-http-access", "triton-trace", "ai.inference"}
    assert {*canary.logs()} == {*FORMATS}
    assert b"unreadable_line" in replayed["stderr"]
    tokens_told(replayed["stdout"])


def possible() -> bool:
    return (
        os.geteuid() == 0
        and shutil.which("ip") is not None
        and not subprocess.run(["ip", "netns", "add", HERE], capture_output=True, check=False).returncode
    )


@pytest.fixture(scope="module")
def wire() -> Iterator[None]:
    if not possible():
        pytest.skip("needs root and network namespaces")

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)

    try:
        ip("netns", "add", THERE)
        ip("link", "add", "va", "netns", HERE, "type", "veth", "peer", "name", "vb", "netns", THERE)
        ip("-n", THERE, "link", "set", "vb", "address", canary.CARD.hex(":"))
        for space, link, address in ((HERE, "va", OURS), (THERE, "vb", canary.CLIENT)):
            ip("-n", space, "addr", "add", f"{address}/24", "dev", link)
            ip("-n", space, "link", "set", link, "up")
            ip("-n", space, "link", "set", "lo", "up")
        yield
    finally:
        for space in (HERE, THERE):
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


class Live(NamedTuple):
    """What a service left behind."""

    stderr: bytes
    metrics: bytes
    code: int


def within(space: str, *command: object) -> bytes:
    words = ["ip", "netns", "exec", space, sys.executable, *map(str, command)]
    done = subprocess.run(words, check=False, capture_output=True, timeout=30)
    if done.returncode:
        raise OSError(done.stderr.decode())
    return done.stdout


def metrics() -> bytes:
    """Nothing while the service does not serve yet."""
    code = f"import urllib.request; print(urllib.request.urlopen('http://{METRICS}/metrics', timeout=5).read().decode())"
    try:
        return within(HERE, "-c", code)
    except OSError:
        return b""


def read_all(text: bytes) -> bool:
    """Whether every source has told something, and packets were seen."""
    told = re.findall(rb'log_facts_total\{source="([a-z-]+)"\} [1-9]', text)
    return len(told) >= len(FORMATS) + 3 and re.search(rb"agent_packets_total [1-9]\d\d", text) is not None


def serve(site: Site, how: signal.Signals) -> Live:
    """The service on a live interface, sent everything, then a signal; it leaves no core file, as its unit has it."""
    limited = ["ip", "netns", "exec", HERE, "sh", "-c", 'ulimit -c 0; exec "$@"', "sh"]
    command = [*limited, sys.executable, "-m", "nigrani.cli", "agent", "run", "--verbose", "--config", str(site.config)]
    told = site.folder / "stderr"
    with (
        told.open("wb") as file,
        subprocess.Popen(command, cwd=site.folder, env=site.environment, stderr=file) as agent,
    ):
        try:
            wait(agent, lambda text: b"nigrani_agent_events" in text)
            within(THERE, "-c", SENDER, site.capture, site.logs["dicom-audit"], OURS)
            wait(agent, read_all)
            time.sleep(2.5)  # until the map is sealed, and the watched folder looked through
            seen = metrics()
            agent.send_signal(how)
            return Live(b"", seen, agent.wait(20))._replace(stderr=told.read_bytes())
        finally:
            agent.kill()


def wait(agent: subprocess.Popen[bytes], until: Callable[[bytes], bool]) -> None:
    """Until the metrics are so."""
    text, deadline = b"", time.monotonic() + 30
    while not until(text):
        assert agent.poll() is None, "the agent ended"
        assert time.monotonic() < deadline, text.decode()
        time.sleep(0.2)
        text = metrics()


def test_no_canary_leaves_the_service(wire: None, site: Site) -> None:
    """Live packets, seven files, a journal and syslog, to the end."""
    live = serve(site, signal.SIGTERM)
    assert live.code == 0, live.stderr.decode()
    assert read_all(live.metrics), live.metrics.decode()
    left = {"stderr": live.stderr, "metrics": live.metrics, **site.left()}
    assert canary.leaks(left) == []
    assert b"is not read as" in live.stderr, "its log tells of lines that it could not read"
    assert re.search(rb"nigrani_agent_map_entries_total [1-9]", live.metrics)
    assert any(name.endswith(".sealed") for name in left)
    tokens_told(b"".join(data for name, data in left.items() if name.startswith("bus, read")))


def test_no_canary_is_in_what_a_crash_leaves(wire: None, site: Site) -> None:
    """Aborted in the middle of its work, with Python's own fault handler on."""
    for path, lines in zip(site.logs.values(), canary.logs().values(), strict=True):
        with path.open("a") as file:
            file.write("\n".join([*lines, *canary.broken(lines)]) + "\n")
    live = serve(site, signal.SIGABRT)
    assert live.code in {-signal.SIGABRT, 128 + signal.SIGABRT}
    assert b"Fatal Python error: Aborted" in live.stderr
    assert canary.leaks({"stderr": live.stderr, "metrics": live.metrics, **site.left()}) == []
    assert list(site.folder.glob("core*")) == []


@pytest.mark.parametrize(
    ("module", "owner", "name"),
    [
        ("agent.logs.gateway", "Gateway", "parse"),
        ("agent.logs.orthanc", "Orthanc", "parse"),
        ("agent.pipeline", "Pipeline", "send"),
        ("agent.sources.log_sources", "LogSources", "_parse"),
    ],
)
def test_a_traceback_holds_no_line(site: Site, module: str, owner: str, name: str, tmp_path: Path) -> None:
    """A fault of our own ends the service; Python tells where, and not what was in hand."""
    code = CRASH.format(module=module, owner=owner, name=name)
    changes = ("interfaces=[]", "logs.syslog={}", "metrics.listen=127.0.0.1:0")
    words = ("--config", site.config, *(word for change in changes for word in ("--set", change)))
    ended = site.run("agent", "run", "--verbose", *words, code=code, state=tmp_path)
    assert ended.returncode != 0
    assert b"Traceback" in ended.stderr
    assert b"a fault of our own" in ended.stderr
    assert canary.leaks({"stderr": ended.stderr, "stdout": ended.stdout}) == []


def test_what_is_said_of_files_and_words_holds_no_line(site: Site, tmp_path: Path) -> None:
    """A capture cut short, a log of no format, a configuration with canaries in the wrong place."""
    (tmp_path / "cut.pcap").write_bytes(site.capture.read_bytes()[:1777])
    (tmp_path / "odd.log").write_text("\n".join(canary.broken([canary.PATIENT])))
    ended = site.run("agent", "replay", tmp_path / "cut.pcap", tmp_path / "odd.log", "--summary")
    assert ended.returncode == 1
    assert canary.leaks({"stderr": ended.stderr, "stdout": ended.stdout}) == []


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
def test_a_reason_never_repeats_the_line(name: str, data: st.DataObject) -> None:
    """What a format says of a line that it does not read stands in the agent's own log."""
    line = data.draw(hostile.lines([one.encode() for one in canary.broken(canary.logs()[name])]))
    reason = ""
    try:
        FORMATS[name](UTC).parse(line, 1_700_000_000_000_000)
    except ValueError as error:
        reason = str(error)
    assert canary.leaks({"reason": reason.encode()}) == []


def test_a_formats_own_reasons_are_fixed_texts() -> None:
    """Nothing of a line is put into them; what is, is named here."""
    harmless = {"expat.ErrorString(error.code)", "name!r"}  # of a fixed list; of the configuration's own zone
    for path in sorted((ROOT / "agent" / "logs").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                for value in (part for word in node.exc.args for part in ast.walk(word)):
                    if isinstance(value, ast.FormattedValue):
                        told = ast.unparse(value.value) + ("!r" if value.conversion == ord("r") else "")
                        assert told in harmless, f"{path}:{node.lineno}"
                assert all(isinstance(word, ast.Constant | ast.JoinedStr) for word in node.exc.args), f"{path}:{node.lineno}"


@pytest.mark.parametrize("text", [*canary.TEXTS, *canary.ADDRESSES])
def test_the_search_finds_what_leaks(text: str) -> None:
    """In each form, in the middle of other bytes: a search that finds nothing proves nothing."""
    raw = text.encode()
    shapes = {raw, raw.upper(), raw.hex().encode()}
    if text in canary.TEXTS:
        shapes |= {raw[::-1], text.encode("utf-16-le"), base64.b64encode(b"x" + raw + b"yz")}
    for shape in shapes:
        if text in canary.TEXTS or shape != raw.hex().encode():
            assert {name for _, name, _ in canary.leaks({"x": b"\0before " + shape + b" after\xff"})} >= {text}, shape
    if text in canary.ADDRESSES:
        packed = ipaddress.ip_address(text).packed
        assert [name for _, name, _ in canary.leaks({"x": b"\xff\xfe" + packed + b"\xfd"})] == [text]
