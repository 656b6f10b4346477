"""Ordinary IT: files, intranet pages, updates over TLS, lookups, leases, the administrator's rounds."""

from __future__ import annotations

from functools import partial
from random import Random

from lab.activities.reading import BROWSER, STATIONS
from lab.activity import Activity, Lab
from lab.services import SHARED_FILES
from lab.topology import Plan
from lab.web import Request, fetch

UPDATED = ("ws1", "ws2", "ws3", "pacs", "ai", "admin")
PINGED = ("pacs", "archive", "fileserver", "ai")
LOOKED_UP = ("archive", "fileserver", "ai")


def activities(plan: Plan) -> list[Activity]:
    """List the loops of offices and administration."""
    stations = [
        ("smb-read", (50, 100), read_files),
        ("smb-write", (80, 150), write_file),
        ("portal", (70, 140), intranet),
        ("dns", (40, 80), look_up),
    ]
    loops = [Activity(f"{host}-{name}", every, partial(act, host)) for host in STATIONS for name, every, act in stations]
    updates = [Activity(f"{host}-update", (80, 150), partial(update, host)) for host in UPDATED]
    leases = [
        Activity(f"{host.name}-dhcp", (100, 150), partial(renew, host.name)) for host in plan.hosts.values() if host.dhcp
    ]
    rounds = [
        Activity("admin-ssh", (60, 120), log_in),
        Activity("admin-ping", (40, 80), ping),
        Activity("admin-archive", (70, 140), check_archive),
        Activity("admin-dns", (40, 80), partial(look_up, "admin")),
    ]
    return [*loops, *updates, *leases, *rounds]


def smb(lab: Lab, host: str, share: str, commands: str, timeout: float = 60) -> bool:
    """One smbclient session."""
    argv = ["smbclient", f"//{lab.network.fqdn('fileserver')}/{share}", "-U", f"{host}%none", "-c", commands]
    return lab.network.run(host, argv, timeout).returncode == 0


def read_files(host: str, lab: Lab, rng: Random) -> bool:
    """Read one or two images of the share."""
    numbers = rng.sample(range(1, SHARED_FILES + 1), rng.randint(1, 2))
    return smb(lab, host, "images", "; ".join(f"get case{number:03d}.dcm /dev/null" for number in numbers))


def write_file(host: str, lab: Lab, rng: Random) -> bool:
    """Read a report and save this workstation's own again."""
    report = lab.network.work / f"{host}-report.txt"
    report.write_text("synthetic report\n" * rng.randint(100, 250))
    return smb(lab, host, "office", f"get report{rng.randint(1, 20):02d}.txt /dev/null; put {report} {host}-report.txt")


def intranet(host: str, lab: Lab, rng: Random) -> bool:
    """Fetch the portal's pages."""
    base = f"http://{lab.network.fqdn('portal')}"
    pages = ["index.html", "style.css", *(["rota.html"] if rng.random() < 0.5 else [])]
    return fetch(lab.network, host, [Request(f"{base}/{page}") for page in pages], agent=BROWSER) == len(pages)


def look_up(host: str, lab: Lab, rng: Random) -> bool:
    """Resolve a name of the site or of the vendor."""
    names = [lab.network.fqdn(server) for server in LOOKED_UP] + ["download.vendor.test"]
    return lab.network.run(host, ["getent", "ahostsv4", rng.choice(names)]).returncode == 0


def update(host: str, lab: Lab, rng: Random) -> bool:
    """Ask the vendor for news over TLS, and now and then fetch them."""
    requests = [Request("https://update.vendor.test/manifest.json")]
    if rng.random() < 0.4:
        requests.append(Request("https://update.vendor.test/signatures.bin"))
    return fetch(lab.network, host, requests, agent="updater/5.2") == len(requests)


def renew(host: str, lab: Lab, _rng: Random) -> bool:
    """Ask for the lease again; the answer is the address that the host has already."""
    return (
        lab.network.run(host, ["udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "3", "-T", "1", "-s", "/bin/true"]).returncode
        == 0
    )


def log_in(lab: Lab, rng: Random) -> bool:
    """Run one command on the PACS by ssh."""
    key = lab.network.work / "ssh" / "client_key"
    options = [
        "-i",
        str(key),
        "-F",
        "none",
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "LogLevel=ERROR",
    ]
    command = rng.choice(("uptime", "df -h /", "ls /"))
    return lab.network.run("admin", ["ssh", *options, f"root@{lab.network.fqdn('pacs')}", command]).returncode == 0


def ping(lab: Lab, rng: Random) -> bool:
    """Two echo requests to one of the servers."""
    return lab.network.run("admin", ["ping", "-c", "2", "-i", "0.3", lab.network.fqdn(rng.choice(PINGED))]).returncode == 0


def check_archive(lab: Lab, _rng: Random) -> bool:
    """Ask for the archive's state by REST."""
    return (
        fetch(
            lab.network,
            "admin",
            [Request(f"http://{lab.network.fqdn('archive')}:8042/statistics")],
            agent="monitor/1.0",
        )
        == 1
    )
