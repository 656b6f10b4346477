"""The rogue laptop joins and looks around."""

from __future__ import annotations

from random import Random

from lab.activities.office import renew
from lab.activity import Lab

SCANNED = ("pacs", "fileserver", "lis", "ai")
CONNECTED = ("pacs", "fhir")


def port_scan(lab: Lab, rng: Random, size: float) -> str:
    """Take a lease, SYN scan four servers, and connect scan two."""
    network, top = lab.network, max(60, int(300 * size))
    joined = "took" if renew("rogue", lab, rng) else "asked in vain for"
    common = ["nmap", "-n", "-Pn", "-T3", "--max-rate", "60", "--max-retries", "1"]
    for host in SCANNED:
        network.run("rogue", [*common, "-sS", "--top-ports", str(top), network.address(host)])
    connect = max(20, int(60 * size))
    for host in CONNECTED:
        network.run("rogue", [*common, "-sT", "--top-ports", str(connect), network.address(host)])
    return (
        f"a new laptop {joined} a DHCP lease, then nmap -sS of {top} ports on each of {', '.join(SCANNED)} "
        f"and nmap -sT of {connect} ports on {' and '.join(CONNECTED)}"
    )
