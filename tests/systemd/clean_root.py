"""The packages' life on a machine that has nothing of ours: installed, run, upgraded, removed, purged; started for real.

usage: python3 tests/systemd/clean_root.py dist/nigrani-*.deb    (root; needs debootstrap, systemd-container and openssl)

The clean root file system is made once, in build/package/root. The last step boots it with systemd as its first process,
and `booted.py` looks around in there.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build/package/root"
WORK = CACHE.with_name("life")
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
assert not any(map(importlib.util.find_spec, heavy)), "heavy"
assert importlib.util.find_spec("detector") is None
import kafka, crc32c, zstandard
assert zstandard.backend == "cext"
"""
SERVICE = """\
[Unit]
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=10min
ExecStart=/usr/lib/nigrani/agent/bin/python3 -I /root/booted.py
StandardOutput=append:/root/told
StandardError=append:/root/told
ExecStopPost=/bin/sh -c "systemctl --no-block poweroff 2>/dev/null"
[Install]
WantedBy=graphical.target
"""
METRICS = """\
metrics:
  listen: 0.0.0.0:9465
  tls: {certificate: /etc/nigrani/agent.pem, key: "credential:metrics.key", ca: /etc/nigrani/ca.pem}

"""
PAGE = """\
page:
  listen: 0.0.0.0:9466
  users: /var/lib/nigrani/page.users
  webhook_token: credential:webhook.token
  tls: {certificate: /etc/nigrani/agent.pem, key: "credential:page.key"}

"""
USER = "printf '%s\\n' 'correct horse battery' | nigrani case user asha --role reveal"
REQUEST = "[req]\ndistinguished_name = name\n[name]\n"


def main() -> int:
    """Go through it all, and say what was found."""
    packages = {Path(name).name.split("_")[0].removeprefix("nigrani-"): Path(name).resolve() for name in sys.argv[1:]}
    if set(packages) != {"agent", "detector"}:
        sys.exit("name one package of the agent and one of the detector; make deb builds them")
    shutil.rmtree(WORK, ignore_errors=True)
    life_of_agent(packages["agent"])
    life_of_detector(packages["detector"])
    root = boot(packages)
    life_of_cases(root, packages["detector"])
    return 0


def life_of_agent(package: Path) -> None:
    """Installed, run, upgraded with the site's configuration kept, removed, purged."""
    root = fresh(WORK / "agent")
    shutil.copy(package, root / "var/tmp/first.deb")
    shutil.copy(CAPTURE, root / "var/tmp/capture.pcap")
    second_version(package, root / "var/tmp/second.deb")
    before = listing(root)

    installed = inside(root, "dpkg -i /var/tmp/first.deb 2>&1")
    expect("not started:" in installed, "an interface that is not there is told", installed)
    expect("nigrani 0." in inside(root, "nigrani --version"), "nigrani --version")
    events = [line for line in inside(root, REPLAY).splitlines() if '"dicom.association"' in line]
    expect(len(events) > 0, f"a capture gives events, {len(events)} of dicom.association")
    (root / "var/tmp/compiled.py").write_text(COMPILED)
    inside(root, "/usr/lib/nigrani/agent/bin/python3 -I /var/tmp/compiled.py")
    expect(True, "the compiled meter is used; numpy, scipy, scikit-learn, pyod, scapy and the detector are not there")
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
    purged(root, "agent", before)


def life_of_detector(package: Path) -> None:
    """Installed, removed, purged."""
    root = fresh(WORK / "detector")
    shutil.copy(package, root / "var/tmp/first.deb")
    before = listing(root)
    installed = inside(root, "dpkg -i /var/tmp/first.deb 2>&1")
    expect("not started:" not in installed, "the detector's configuration is taken as it is shipped", installed)
    expect("--baseline" in inside(root, "nigrani detector score --help"), "its command is there")
    sizes(root)
    inside(root, "dpkg -r nigrani-detector")
    expect((root / "etc/nigrani/detector.yaml").is_file(), "removal keeps its configuration")
    purged(root, "detector", before)


def life_of_cases(root: Path, package: Path) -> None:
    """What people worked on: kept by an upgrade, and put aside for root alone when all is purged."""
    second_version(package, root / "var/tmp/second.deb")
    inside(root, "dpkg --force-confold -i /var/tmp/second.deb")
    told = inside(root, "nigrani case show 1")
    expect("expected" in told, "an upgrade keeps cases", told)
    expect((root / "var/lib/nigrani/page.users").is_file(), "and who may log in")
    told = inside(root, "dpkg -P nigrani-agent nigrani-detector 2>&1")
    (kept,) = (root / "var/lib").glob("nigrani-kept-*")
    expect(f"/var/lib/{kept.name}" in told, "purging says where cases and alerts are", told)
    expect({"cases.db", "alerts.ndjson"} <= {path.name for path in kept.iterdir()}, "and there they are")
    owners = {path.stat().st_uid for path in [kept, *kept.iterdir()]}
    expect(owners == {0} and kept.stat().st_mode & 0o777 == 0o700, "for root alone", str(owners))
    left = [place for place in ("etc/nigrani", "var/lib/nigrani", "usr/lib/nigrani") if (root / place).exists()]
    expect(not left, "and nothing else is left", str(left))


def purged(root: Path, role: str, before: set[str]) -> None:
    """Purge a package, after which all is as before."""
    inside(root, f"dpkg -P nigrani-{role}")
    left = sorted(listing(root) - before)
    expect(not left, "purging leaves nothing", "\n".join(left))
    expect(not inside(root, "getent passwd nigrani || true"), "nor the user")


def boot(packages: dict[str, Path]) -> Path:
    """Start both services under a systemd of their own: loopback to watch, secrets as credentials, all over TLS."""
    root = fresh(WORK / "booted")
    for role, package in packages.items():
        shutil.copy(package, root / f"var/tmp/{role}.deb")
        inside(root, f"dpkg -i /var/tmp/{role}.deb")
    config = root / "etc/nigrani/agent.yaml"
    text = config.read_text().replace("[eth0]", "[lo]").replace("privacy:\n", "privacy:\n  key: credential:site.key\n")
    config.write_text(re.sub(r"(?ms)^metrics:.*?^(?=\S)", METRICS, text))
    config = root / "etc/nigrani/detector.yaml"
    config.write_text(re.sub(r"(?ms)^page:.*?^(?=\S)", PAGE, config.read_text()))
    store = root / "etc/credstore"
    store.mkdir(exist_ok=True)
    (store / "nigrani.site.key").write_bytes(b"k" * 32)
    certificates(root / "root", root / "etc/nigrani")
    shutil.copy(root / "root/agent.key", store / "nigrani-detector.page.key")
    (root / "root/agent.key").rename(store / "nigrani-agent.metrics.key")
    (store / "nigrani-detector.webhook.token").write_text("of sixteen or more letters\n")
    inside(root, USER)
    whose = inside(root, "stat -c %U:%a /var/lib/nigrani/page.users")
    expect(whose == "nigrani:600\n", "the users file that root writes is the service's", whose)
    (root / "etc/systemd/system/booted.service").write_text(SERVICE)
    shutil.copy(Path(__file__).with_name("booted.py"), root / "root")
    inside(root, "systemctl enable booted.service")
    try:
        run(*NSPAWN, "-D", str(root), "--boot", timeout=900)
    finally:
        told = root / "root/told"
        sys.stdout.write(told.read_text() if told.is_file() else "")
    if not told.read_text().endswith("done\n"):
        sys.exit(1)
    return root


def certificates(own: Path, public: Path) -> None:
    """An authority's certificate in `public`, with the agent's; a reader's, and both their keys, in `own`."""
    own.joinpath("request").write_text(REQUEST)
    made = ("openssl", "req", "-x509", "-config", str(own / "request"), "-newkey", "ec", "-nodes", "-days", "2")
    made += ("-pkeyopt", "ec_paramgen_curve:P-256")
    issuer = (str(public / "ca.pem"), str(own / "ca.key"))
    run(*made, "-subj", "/CN=ca", "-addext", "basicConstraints=critical,CA:TRUE", "-out", issuer[0], "-keyout", issuer[1])
    for name, folder in (("agent", public), ("reader", own)):
        leaf = ("-CA", issuer[0], "-CAkey", issuer[1], "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1")
        leaf += ("-addext", "basicConstraints=critical,CA:FALSE")
        run(*made, *leaf, "-out", str(folder / f"{name}.pem"), "-keyout", str(own / f"{name}.key"))


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


def second_version(package: Path, target: Path) -> None:
    """The same package as a later version, whose shipped configuration has changed."""
    tree = WORK / "second"
    shutil.rmtree(tree, ignore_errors=True)
    run("dpkg-deb", "-R", str(package), str(tree))
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^(Version: .*)-1$", r"\1-2", control.read_text()))
    (config,) = tree.glob("etc/nigrani/*.yaml")
    config.write_text(f"# A new comment.\n{config.read_text()}")
    run("dpkg-deb", "--root-owner-group", "-Znone", "-b", str(tree), str(target))


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
