"""What is seen of the installed services from inside a booted machine; `clean_root.py` runs it, by the package's Python.

Prints a line for all that is so, and ends at the first that is not. The machine has loopback alone, and nothing but what
the packages need.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, HTTPSHandler, OpenerDirector, Request, build_opener, urlopen

AGENT, DETECTOR = "nigrani-agent", "nigrani-detector"
CONFIG = Path("/etc/nigrani/agent.yaml")
MESSAGE = "\x0bMSH|^~\\&|HIS|WARD|LAB|LAB|20260101120000||ADT^A01|{}|P|2.5\rPID|1||4711^^^H^MR||DOE^JANE\r\x1c\r"
TINY = """\
[Service]
MemoryHigh=infinity
MemoryMax=8M
RestartSec=1
"""
NET_RAW = "0000000000002000"


def main() -> int:
    """Go through it all."""
    started()
    credentials()
    metrics()
    reload()
    killed()
    detected()
    paged()
    worked_on()
    left_open()
    refused()
    stopped()
    say("done")
    return 0


def started() -> None:
    """Both services run, the agent with CAP_NET_RAW and a filter of system calls."""
    soon("both services start under systemd", lambda: active(AGENT) and active(DETECTOR))
    status = Path(f"/proc/{pid(AGENT)}/status").read_text()
    held = dict(re.findall(r"^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):\s+(\S+)", status, re.MULTILINE))
    held_as_wanted = (held["CapEff"], held["CapBnd"], held["NoNewPrivs"], held["Seccomp"]) == (NET_RAW, NET_RAW, "1", "2")
    expect("the agent has CAP_NET_RAW alone, no new privileges, and a filter", held_as_wanted and held["Uid"] != "0", held)
    expect("it may not make memory executable", not can_make_code(AGENT))


def credentials() -> None:
    """The site's key and the metrics' are credentials: the service has them, its state folder has not."""
    given = Path("/run/credentials/nigrani-agent.service")
    same = all(
        (given / name).read_bytes() == Path("/etc/credstore", source).read_bytes() for name, source in SECRETS.items()
    )
    expect("the site's key is a credential", same and not Path("/var/lib/nigrani/site.key").exists())


def metrics() -> None:
    """Over TLS for whoever has a certificate; what they tell moves with the traffic."""
    before = value(scrape("https"), "nigrani_agent_packets_total")
    soon("traffic is captured", lambda: value(scrape("https"), "nigrani_agent_packets_total") > before)
    try:
        scrape("https", certificate=False)
    except OSError:
        expect("metrics are for those with a certificate", true=True)
    else:
        expect("metrics are for those with a certificate", true=False)


def reload() -> None:
    """A new configuration is taken by the running process; a bad one is not, and is told."""
    before, text = pid(AGENT), CONFIG.read_text()
    CONFIG.write_text(re.sub(r"(?ms)^metrics:.*?^(?=\S)", "metrics: {listen: '127.0.0.1:9470'}\n\n", text))
    run("systemctl", "reload", AGENT)
    soon("a reload takes the new configuration", lambda: value(scrape("http", 9470), "nigrani_agent_packets_total") > 0)
    good = CONFIG.read_text()
    CONFIG.write_text(f"{good}\nunknown: 1\n")
    run("systemctl", "reload", AGENT)
    soon("a reload refuses a bad one, and says why", lambda: "unknown setting unknown" in journal(AGENT, "warning"))
    expect(
        "and goes on with the one before", active(AGENT) and value(scrape("http", 9470), "nigrani_agent_packets_total") > 0
    )
    expect("in the same process", pid(AGENT) == before)
    CONFIG.write_text(good)


def killed() -> None:
    """Beyond its memory the kernel ends it, systemd says so and starts it again; with enough it comes back by itself."""
    controllers = Path("/sys/fs/cgroup/cgroup.controllers")
    if not controllers.is_file() or "memory" not in controllers.read_text().split():
        say("not run: MemoryMax, as systemd has no memory controller in here")
        return
    drop_in = Path("/run/systemd/system/nigrani-agent.service.d/tiny.conf")
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text(TINY)
    run("systemctl", "daemon-reload")
    subprocess.run(["systemctl", "restart", AGENT], check=False, capture_output=True)
    soon("MemoryMax ends the agent and systemd starts it again", lambda: int(shown(AGENT, "NRestarts")) >= 2)
    expect("the journal says why", "oom-kill" in journal(AGENT, "info"), journal(AGENT, "info"))
    drop_in.unlink()
    run("systemctl", "daemon-reload")
    soon("with enough memory it comes back by itself", lambda: active(AGENT))


def detected() -> None:
    """What is said between two programs comes out of the agent as events, and arrives at the detector."""
    messages(50)
    soon(
        "the detector has read the agent's events",
        lambda: value(scrape("http", 9464), 'nigrani_events_total{dataset="agent.status"}') > 0,
    )


def paged() -> None:
    """A scan of ports becomes a case of the page, which is for those who log in, over TLS."""
    browser = visitor()
    expect("the page asks who it is", ask(browser, "/cases").geturl().endswith("/login?next=%2Fcases"))
    ask(browser, "/login", {"name": "asha", "password": PASSWORD})
    expect("a user of the file gets in", ask(browser, "/about").geturl().endswith("/about"))
    for port in range(20_000, 20_100):
        with socket.socket() as probe:
            probe.connect_ex(("127.0.0.1", port))
    soon("a port scan becomes a case", lambda: "Port scan" in ask(browser, "/cases").read().decode(), DETECTOR)
    shown = {path: ask(browser, path) for path in ("/cases/1", "/runbooks/port-scan", "/static/page.css")}
    expect("with its runbook", all(answer.status == 200 for answer in shown.values()))
    paper = ask(browser, "/cases/1/report/cert-in.pdf").read()
    expect("and its report", paper.startswith(b"%PDF") and len(paper) > 10_000)


def worked_on() -> None:
    """By hand, as root and as the service's user, on the store that the service has open."""
    for user in ("root", "nigrani"):
        listed = run("runuser", "-u", user, "--", "nigrani", "case", "list", "--json")
        expect(f"{user} lists cases", '"Port scan"' in listed, listed)
    refused = subprocess.run(["runuser", "-u", "nobody", "--", "nigrani", "case", "list"], capture_output=True, check=False)
    expect("another user does not", refused.returncode == 1 and b"/var/lib/nigrani" in refused.stderr, refused.stderr)
    run("nigrani", "case", "close", "1", "--verdict", "expected", "--text", "a test")
    run("nigrani", "case", "report", "1", "--for", "cert-in", "--pdf", "--out", "/root/draft.pdf")
    run("nigrani", "case", "evidence", "1", "--out", "/root/evidence")
    run("nigrani", "case", "evidence", "--verify", "/root/evidence")
    expect("root closes, reports, takes evidence", "expected" in run("nigrani", "case", "show", "1"))
    expect("Alertmanager's word is taken after that", notified("first") == "taken\n")
    expect("and is a case", '"pipeline"' in run("nigrani", "case", "list", "--json"))


def left_open() -> None:
    """What root leaves behind when it is killed in the middle, the service can open."""
    run("systemctl", "stop", DETECTOR)
    done = subprocess.run(["/usr/lib/nigrani/detector/bin/python3", "-I", "-c", LEAVES], check=False)
    left = {path.name for path in STORE.parent.glob("cases.db-*")}
    expect("root was killed while it wrote", done.returncode == -9 and left == {"cases.db-wal", "cases.db-shm"}, left)
    strange = [path.name for path in STORE.parent.iterdir() if path.owner() != "nigrani" or path.group() != "nigrani"]
    expect("all in the state folder is the service's", not strange, strange)
    run("systemctl", "start", DETECTOR)
    soon("the detector goes on with the store", lambda: notified("second") == "taken\n", DETECTOR)
    expect("with all that was in it", "killed here" in run("nigrani", "case", "show", "1"))
    expect("and complains of nothing", not journal(DETECTOR, "warning"), journal(DETECTOR, "warning"))


def refused() -> None:
    """A configuration that no service can run by ends it once, as an error of the journal."""
    CONFIG.write_text(f"{CONFIG.read_text()}\nunknown: 1\n")
    subprocess.run(["systemctl", "restart", AGENT], check=False, capture_output=True)
    time.sleep(12)  # longer than RestartSec
    state = [shown(AGENT, name) for name in ("ActiveState", "ExecMainStatus", "NRestarts")]
    expect("a bad configuration ends it once, with 78", state == ["failed", "78", "0"], state)
    told = journal(AGENT, "err")
    expect("with file and line, as an error", re.search(r"agent\.yaml:\d+: unknown setting unknown", told) is not None, told)
    CONFIG.write_text(CONFIG.read_text().replace("\nunknown: 1\n", ""))


def stopped() -> None:
    """The events of what was said are in the spool, without the patient."""
    run("systemctl", "start", AGENT)
    soon("mended, it starts", lambda: active(AGENT))
    time.sleep(1)
    messages(50)
    run("systemctl", "stop", AGENT)
    spool = run("runuser", "-u", "nigrani", "--", "nigrani", "spool", "cat", "/var/lib/nigrani/bus")
    kinds = {json.loads(line)["event.dataset"] for line in spool.splitlines()}
    expect(
        "flows and HL7 messages are in the spool", {"network.flow", "hl7.message", "agent.status"} <= kinds, sorted(kinds)
    )
    expect("without the patient", "DOE" not in spool and "4711" not in spool)


PAGE = "https://127.0.0.1:9466"
STORE = Path("/var/lib/nigrani/cases.db")
PASSWORD = "correct horse battery"
TOKEN = "of sixteen or more letters"
LEAVES = """\
import os
from detector.cases.store import Store
from pathlib import Path
Store(Path("/var/lib/nigrani/cases.db")).note(1, "terminal:root", "killed here")
os.kill(os.getpid(), 9)
"""
NOTICE = {
    "version": "4", "status": "firing", "receiver": "page", "truncatedAlerts": 0, "externalURL": "http://127.0.0.1",
    "commonAnnotations": {}, "groupLabels": {"alertname": "NigraniAgentSilent"},
    "commonLabels": {"alertname": "NigraniAgentSilent", "severity": "high", "site": "main"},
}  # fmt: skip
SECRETS = {"site.key": "nigrani.site.key", "metrics.key": "nigrani-agent.metrics.key"}


def messages(count: int) -> None:
    """HL7 messages over loopback, each acknowledged."""
    with socket.create_server(("127.0.0.1", 2575)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                while connection.recv(4096):
                    connection.sendall(b"\x0bMSH|^~\\&|LAB|LAB|HIS|WARD|20260101120000||ACK|1|P|2.5\rMSA|AA|1\r\x1c\r")

        answering = threading.Thread(target=serve)
        answering.start()
        with socket.create_connection(("127.0.0.1", 2575)) as sender:
            for number in range(count):
                sender.sendall(MESSAGE.format(number).encode())
                sender.recv(4096)
        answering.join()


def visitor() -> OpenerDirector:
    """A browser that trusts the authority and keeps cookies."""
    context = ssl.create_default_context(cafile="/etc/nigrani/ca.pem")
    return build_opener(HTTPSHandler(context=context), HTTPCookieProcessor())


def ask(browser: OpenerDirector, path: str, form: dict[str, str] | None = None) -> Any:
    """The page's answer."""
    data = urlencode(form).encode() if form else None
    return browser.open(f"{PAGE}{path}", data, timeout=20)


def notified(key: str) -> str:
    """What the page says to Alertmanager; empty where it is not there yet."""
    alert = {"status": "firing", "labels": NOTICE["commonLabels"], "annotations": {"summary": "No agent reports"}}
    alert |= {"startsAt": "2026-01-01T12:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": key}
    body = json.dumps(NOTICE | {"groupKey": key, "alerts": [alert]}).encode()
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    try:
        text: str = visitor().open(Request(f"{PAGE}/api/alertmanager", body, headers), timeout=20).read().decode()
    except HTTPError as error:
        return error.read().decode()
    except OSError:
        return ""
    return text


def scrape(scheme: str, port: int = 9465, *, certificate: bool = True) -> str:
    """What the endpoint says now; empty where it is not there."""
    context = None
    if scheme == "https":
        context = ssl.create_default_context(cafile="/etc/nigrani/ca.pem")
        if certificate:
            context.load_cert_chain("/root/reader.pem", "/root/reader.key")
    try:
        with urlopen(f"{scheme}://127.0.0.1:{port}/metrics", timeout=10, context=context) as answer:
            text: str = answer.read().decode()
            return text
    except ConnectionRefusedError:
        return ""
    except OSError:
        if certificate:
            return ""
        raise


def value(text: str, series: str) -> float:
    """Of one series; 0 where it is not there."""
    return next((float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{series} ")), 0.0)


def can_make_code(unit: str) -> bool:
    """Whether a process under the unit's filter could; the filter itself is asked, by a process of the same settings."""
    settings = [f"--property={name}={shown(unit, name)}" for name in ("MemoryDenyWriteExecute", "User")]
    code = "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)"
    words = ["systemd-run", "--quiet", "--wait", "--pipe", *settings, sys.executable, "-I", "-c", code]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


def active(unit: str) -> bool:
    """Whether it runs, and has said so."""
    return shown(unit, "ActiveState") == "active"


def pid(unit: str) -> str:
    """Of its main process."""
    return shown(unit, "MainPID")


def shown(unit: str, name: str) -> str:
    """One property of a unit."""
    return run("systemctl", "show", unit, "-p", name, "--value").strip()


def journal(unit: str, level: str) -> str:
    """What it, and systemd of it, said of this level or a worse one."""
    return run("journalctl", "--quiet", "--no-pager", "-o", "cat", "-p", level, "-u", unit)


def run(*command: str) -> str:
    """A command's output; ends where the command fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        expect(" ".join(command), true=False, told=done.stdout + done.stderr)
    return done.stdout


def soon(what: str, true: Callable[[], bool], unit: str = AGENT) -> None:
    """Say that it is so within half a minute, or end."""
    until = time.monotonic() + 30
    while not (so := true()) and time.monotonic() < until:
        time.sleep(0.3)
    expect(what, so, "" if so else journal(unit, "info")[-3000:])


def expect(what: str, true: bool, told: object = "") -> None:
    """Say that it is so, or end."""
    if not true:
        say(f"FAILED {what}\n{told}")
        sys.exit(1)
    say(f"ok   {what}")


def say(text: str) -> None:
    """One line for whoever looks from outside."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
