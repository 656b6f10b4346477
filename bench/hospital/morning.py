#!/usr/bin/env python3
"""Make a small hospital in network namespaces from real software, and record one morning of it."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import shutil
import signal
import sys
from pathlib import Path

SEARCH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
DEBIAN = {
    "orthanc": ("Orthanc",),
    "dcmtk": ("storescu", "storescp", "dcmsend", "echoscu", "findscu", "movescu"),
    "dnsmasq": ("dnsmasq",),
    "udhcpc": ("udhcpc",),
    "bind9-dnsutils": ("dig",),
    "iputils-ping": ("ping",),
    "nmap": ("nmap",),
    "tcpdump": ("tcpdump",),
    "nginx-light": ("nginx",),
    "samba": ("smbd",),
    "smbclient": ("smbclient",),
    "mosquitto": ("mosquitto",),
    "mosquitto-clients": ("mosquitto_pub", "mosquitto_sub"),
    "openssh-server": ("sshd",),
    "openssh-client": ("ssh", "ssh-keygen"),
    "openssl": ("openssl",),
    "sip-tester": ("sipp",),
    "curl": ("curl",),
    "ethtool": ("ethtool",),
    "iproute2": ("ip", "ss"),
}
PYTHON = ("hl7", "numpy", "pydicom", "sklearn", "starlette", "uvicorn", "yaml")


def obstacles() -> list[str]:
    """List what keeps the lab from starting, all at once, each with its remedy."""
    found = []
    if os.geteuid() != 0:
        found.append("run as root: the lab makes network namespaces")
    lacking = [
        package
        for package, programs in DEBIAN.items()
        if any(shutil.which(program, path=SEARCH) is None for program in programs)
    ]
    if lacking:
        found.append(f"install the Debian packages: {' '.join(lacking)}")
    if any(importlib.util.find_spec(module) is None for module in PYTHON):
        found.append(f"install the Python packages: pip install -r {Path(__file__).with_name('requirements.txt')}")
    return found


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f"Needs root; the Debian packages {' '.join(DEBIAN)}; and the Python packages of requirements.txt. "
        "All traffic stays in namespaces that the script makes and removes.",
    )
    parser.add_argument("--out", type=Path, help="folder for capture.pcap, ai-gateway.log and labels.yaml")
    parser.add_argument("--rehearsal", action="store_true", help="three minutes with everything in small, not 44")
    parser.add_argument("--seed", type=int, default=20260, help="of all random choices (default: %(default)s)")
    parser.add_argument("--prefix", default="nig", help="of the namespaces' names (default: %(default)s)")
    parser.add_argument("--keep-work", action="store_true", help="keep the services' state and logs")
    parser.add_argument("--clean", action="store_true", help="remove what a killed run left behind, and exit")
    arguments = parser.parse_args()
    if not arguments.clean and arguments.out is None:
        parser.error("--out is needed")
    return arguments


def interrupt(_number: int, _frame: object) -> None:
    """Turn a signal into an exception, so that the lab is taken down."""
    raise KeyboardInterrupt


def main() -> int:
    """Exit 0 when recorded, 1 when the lab failed, 2 when it cannot start."""
    arguments = parse_arguments()
    if found := obstacles():
        print("\n".join(found), file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    day = importlib.import_module("lab.day")  # only now: it needs the packages that were just looked for
    if arguments.clean:
        day.clean(arguments.prefix)
        return 0
    order = day.Order(arguments.out, arguments.rehearsal, arguments.seed, arguments.prefix, arguments.keep_work)
    return int(day.record(order))


if __name__ == "__main__":
    sys.exit(main())
