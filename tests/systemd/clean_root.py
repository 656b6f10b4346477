"""A package's life on a machine that has nothing of ours: installed, run, upgraded, removed, purged; then started for real.

usage: python3 tests/systemd/clean_root.py dist/nigrani-agent_*.deb    (root; needs debootstrap and systemd-container)

The clean root file system is made once, in build/package/root. The last step boots it with systemd as its first process.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build/package/root"
CAPTURE = ROOT / "tests/data/dicom/b04_cfind_study.pcap"
NEEDED = "python3.11,systemd,systemd-sysv,libstdc++6"
"""What apt would bring with the package."""
OUTSIDE = ("proc", "sys", "dev", "run", "tmp", "root", "var/tmp", "var/lib/dpkg", "var/log", "var/cache")
REPLAY = "runuser -u nigrani -- env NIGRANI_STATE=/var/lib/nigrani nigrani agent replay --summary /var/tmp/capture.pcap"
COMPILED = """\
import agent.meter, agent.privacy, agent.protocols.dicom as dicom, sys
assert all(module.__file__.endswith(".so") for module in (agent.meter, agent.privacy, dicom)), agent.meter.__file__
heavy = {"numpy", "sklearn", "scipy", "scapy", "pyod"}
import importlib.util
assert not any(map(importlib.util.find_spec, heavy))
import kafka, crc32c, zstandard
assert zstandard.backend == "cext"
"""
SERVICE = """\
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh /root/watch
ExecStopPost=/bin/systemctl --no-block poweroff
[Install]
WantedBy=graphical.target
"""
WATCH = """\
exec >/root/told 2>&1
state() { echo "$1 $(systemctl show nigrani-agent -p ActiveState -p ExecMainStatus -p NRestarts | sort | tr '\\n' ' ')"; }
sleep 3
state started
grep -E '^(Uid|CapEff|NoNewPrivs|Seccomp):' /proc/$(systemctl show nigrani-agent -p MainPID --value)/status | tr -s '\\t' ' '
/usr/lib/nigrani/agent/bin/python3 -c '
import time, urllib.request
urllib.request.urlopen("http://127.0.0.1:9465/metrics").read()
time.sleep(1)
lines = urllib.request.urlopen("http://127.0.0.1:9465/metrics").read().decode().splitlines()
print(next(line for line in lines if line.startswith("nigrani_agent_packets_total")))'
cmp /etc/credstore/nigrani.site.key /run/credentials/nigrani-agent.service/site.key && ls /var/lib/nigrani
echo 'unknown: 1' >>/etc/nigrani/agent.yaml
systemctl restart nigrani-agent
sleep 12
state refused
"""


def main() -> int:
    """Go through it all, and say what was found."""
    if len(sys.argv) != 2:
        sys.exit("name one package of the agent; make deb builds it")
    package = Path(sys.argv[1]).resolve()
    work = CACHE.with_name("life")
    shutil.rmtree(work, ignore_errors=True)
    root = fresh(work / "root")
    shutil.copy(package, root / "var/tmp/first.deb")
    shutil.copy(CAPTURE, root / "var/tmp/capture.pcap")
    second_version(package, work, root / "var/tmp/second.deb")
    before = listing(root)

    installed = inside(root, "dpkg -i /var/tmp/first.deb 2>&1")
    expect("not started:" in installed, "an interface that is not there is told", installed)
    expect("nigrani 0." in inside(root, "nigrani --version"), "nigrani --version")
    events = [line for line in inside(root, REPLAY).splitlines() if '"dicom.association"' in line]
    expect(len(events) > 0, f"a capture gives events, {len(events)} of dicom.association")
    (root / "var/tmp/compiled.py").write_text(COMPILED)
    inside(root, "/usr/lib/nigrani/agent/bin/python3 -I /var/tmp/compiled.py")
    expect(True, "the compiled meter is used; numpy, scipy, scikit-learn, pyod and scapy are not there")
    expect(not inside(root, f"grep -rl {ROOT} /usr/lib/nigrani || true").strip(), "no path of the build is left")
    sizes(root)

    inside(root, "echo '# the site was here' >>/etc/nigrani/agent.yaml")
    key = (root / "var/lib/nigrani/site.key").read_bytes()
    inside(root, "dpkg --force-confold -i /var/tmp/second.deb")
    expect("-2" in inside(root, "dpkg-query -W nigrani-agent"), "upgraded")
    expect(
        inside(root, "tail -n 1 /etc/nigrani/agent.yaml") == "# the site was here\n", "an upgrade keeps the configuration"
    )
    inside(root, "dpkg -r nigrani-agent")
    kept = (root / "etc/nigrani/agent.yaml").is_file() and (root / "var/lib/nigrani/site.key").read_bytes() == key
    expect(kept and not (root / "usr/lib/nigrani").exists(), "removal keeps configuration and state, and nothing else")
    inside(root, "dpkg -P nigrani-agent")
    left = sorted(listing(root) - before)
    expect(not left, "purging leaves nothing", "\n".join(left))
    expect(not inside(root, "getent passwd nigrani || true"), "nor the user")

    boot(fresh(work / "booted"), package)
    return 0


def fresh(target: Path) -> Path:
    """A copy of the clean root file system."""
    if not (CACHE / "etc/os-release").is_file():
        release = dict(re.findall(r'^(\w+)="?([^"\n]*)', Path("/etc/os-release").read_text(), re.MULTILINE))
        made = CACHE.with_name("making")
        shutil.rmtree(made, ignore_errors=True)
        run("debootstrap", "--variant=minbase", f"--include={NEEDED}", release["VERSION_CODENAME"], str(made))
        made.rename(CACHE)
    target.parent.mkdir(parents=True, exist_ok=True)
    run("cp", "-a", "--reflink=auto", str(CACHE), str(target))
    return target


def second_version(package: Path, work: Path, target: Path) -> None:
    """The same package as a later version, whose shipped configuration has changed."""
    tree = work / "second"
    run("dpkg-deb", "-R", str(package), str(tree))
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^(Version: .*)-1$", r"\1-2", control.read_text()))
    config = tree / "etc/nigrani/agent.yaml"
    config.write_text(f"# A new comment.\n{config.read_text()}")
    run("dpkg-deb", "--root-owner-group", "-Znone", "-b", str(tree), str(target))


def boot(root: Path, package: Path) -> None:
    """Start the service under a systemd of its own, with the site's key as a credential and loopback to watch."""
    shutil.copy(package, root / "var/tmp/first.deb")
    inside(root, "dpkg -i /var/tmp/first.deb")
    config = root / "etc/nigrani/agent.yaml"
    text = config.read_text().replace("[eth0]", "[lo]")
    config.write_text(text.replace("privacy:\n", "privacy:\n  key: /run/credentials/nigrani-agent.service/site.key\n"))
    (root / "etc/credstore").mkdir(exist_ok=True)
    (root / "etc/credstore/nigrani.site.key").write_bytes(b"k" * 32)
    (root / "etc/systemd/system/watch.service").write_text(SERVICE)
    (root / "root/watch").write_text(WATCH)
    inside(root, "systemctl enable watch.service")
    run(*NSPAWN, "-D", str(root), "--boot", timeout=120)
    told = (root / "root/told").read_text()
    expect(
        "started ActiveState=active ExecMainStatus=0 NRestarts=0" in told,
        "the service starts under systemd, sandboxed",
        told,
    )
    expect("CapEff: 0000000000002000" in told, "with CAP_NET_RAW alone", told)
    expect(re.search(r"packets_total [1-9]", told) is not None, "captures, and serves metrics of it", told)
    expect(
        "\nbus\n" in told and "site.key\n" not in told.split("packets_total")[1],
        "takes the site's key as a credential",
        told,
    )
    expect(
        "refused ActiveState=failed ExecMainStatus=78 NRestarts=0" in told, "a bad configuration ends it once, with 78", told
    )


NSPAWN = ("systemd-nspawn", "--register=no", "--keep-unit", "--quiet", "--private-network", "--resolv-conf=off")


def inside(root: Path, command: str) -> str:
    """What a shell command in the root file system prints."""
    return run(*NSPAWN, "--pipe", "-D", str(root), "/bin/sh", "-c", command)


def run(*command: str, timeout: int = 600) -> str:
    """A command's output; ends the test where it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)
    if done.returncode:
        sys.exit(f"FAILED {' '.join(command)}\n{(done.stdout + done.stderr).decode(errors='replace')}")
    return done.stdout.decode(errors="replace")


def listing(root: Path) -> set[str]:
    """Every path that a package could leave behind."""
    places = (path.relative_to(root).as_posix() for path in root.rglob("*"))
    return {place for place in places if not place.startswith(OUTSIDE)}


def sizes(root: Path) -> None:
    """Say what is installed, the largest first."""
    modules = next((root / "usr/lib/nigrani").rglob("site-packages"))
    weights = {path.name: weight(path) for path in modules.iterdir() if not path.name.endswith(".dist-info")}
    largest = ", ".join(
        f"{name} {weights[name] / 1e6:.1f}" for name in sorted(weights, key=weights.__getitem__, reverse=True)
    )
    sys.stdout.write(f"     installed {weight(root / 'usr/lib/nigrani') / 1e6:.1f} MB: {largest}\n")


def weight(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    return sum(inner.lstat().st_size for inner in [path, *path.rglob("*")] if not inner.is_dir())


def expect(true: bool, what: str, told: str = "") -> None:
    """Say that it is so, or end."""
    if not true:
        sys.exit(f"FAILED {what}\n{told}")
    sys.stdout.write(f"ok   {what}\n")


if __name__ == "__main__":
    sys.exit(main())
