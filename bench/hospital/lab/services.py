"""The hospital's servers: real daemons, each in its host, each with its state below the work folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from string import Template

from lab.studies import KEEP, KINDS, Catalogue
from lab.topology import LabError, Network
from lab.web import Request, fetch

CONFIG = Path(__file__).resolve().parent.parent / "config"
HL7_LIS_PORT, HL7_HIS_PORT, FHIR_PORT, MODEL_PORT = 2575, 2576, 8080, 9000
SHARED_FILES = 150
SHARED_FILE_BYTES = 4000


def start_all(network: Network, rng: Random) -> None:
    """Start every server and wait until each one listens."""
    start_dns(network)
    start_web(network)
    start_orthanc(network, "pacs")
    start_orthanc(network, "archive")
    start_storage_receivers(network)
    start_files(network, rng)
    start_clinical(network)
    start_bedside(network)
    start_ssh(network)
    wait_for_all(network)


def start_dns(network: Network) -> None:
    """DNS for the site with DHCP leases for all its hosts, and the upstream resolver."""
    plan = network.plan
    site = [h for h in plan.hosts.values() if h.on_site and h.name != "rogue"]
    common = ["dnsmasq", f"--conf-file={CONFIG / 'dnsmasq.conf'}", "--pid-file="]
    records = [f"--host-record={plan.fqdn(h.name)},{h.address}" for h in site]
    leases = [f"--dhcp-host={h.mac},{h.address},{h.name}" for h in site]
    rogue = network.address("rogue")
    pool = [
        "--dhcp-range=10.20.0.0,static,255.255.0.0,1h",
        f"--dhcp-range={rogue},{rogue},255.255.0.0,1h",
        f"--dhcp-option=option:router,{network.address('router')}",
        f"--dhcp-leasefile={network.work}/leases",
    ]
    forward = [f"--local=/{plan.domain}/", "--local=/20.10.in-addr.arpa/", f"--server={network.address('resolver')}"]
    network.spawn("dns", [*common, *records, *leases, *pool, *forward], "dns")
    names = [f"--address=/{name}/{address}" for name, address in plan.internet_names.items()]
    local = [f"--local=/{name}/" for name in plan.internet_names]
    network.spawn("resolver", [*common, "--local-ttl=45", *names, *local], "resolver")


def start_web(network: Network) -> None:
    """Serve the portal's pages, the AI gateway, and TLS on the internet hosts."""
    make_certificate(network.work / "tls")
    start_nginx(network, "portal", "nginx-portal.conf")
    start_nginx(network, "ai", "nginx-ai.conf")
    pages = {"index.html": 900, "rota.html": 1400, "style.css": 600}
    write_pages(network.work / "portal" / "portal", pages)
    for host in ("update", "drop"):
        start_nginx(network, host, "nginx-internet.conf")
        write_pages(network.work / host / "internet", {"manifest.json": 1500, "signatures.bin": 5000})


def start_nginx(network: Network, host: str, config: str) -> None:
    """One nginx with its own prefix folder, so that the relative paths of the config stay in it."""
    prefix = network.work / host
    prefix.mkdir(parents=True, exist_ok=True)
    shutil.copy(CONFIG / config, prefix / config)
    stderr = str(prefix / "start-error.log")
    network.spawn(host, ["nginx", "-p", str(prefix), "-c", config, "-e", stderr, "-g", "user root;"], f"nginx-{host}")


def write_pages(folder: Path, sizes: dict[str, int]) -> None:
    """Write static files of given sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in sizes.items():
        (folder / name).write_text(("synthetic " * (size // 10 + 1))[:size])


def make_certificate(folder: Path) -> None:
    """Make a self-signed certificate for the internet hosts."""
    folder.mkdir(parents=True, exist_ok=True)
    names = "DNS:update.vendor.test,DNS:download.vendor.test,DNS:files.cdn-sync.test"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=update.vendor.test "
        f"-addext subjectAltName={names} -keyout server.key -out server.crt"
    )
    subprocess.run(command.split(), check=True, capture_output=True, cwd=folder)


def start_orthanc(network: Network, host: str) -> None:
    """Start an Orthanc that knows every AE title of the plan, checks addresses, and rejects all others."""
    plan = network.plan
    title, port = plan.hosts[host].ae or ("", 0)
    known = {h.name: [h.ae[0], h.address, h.ae[1]] for h in plan.hosts.values() if h.ae and h.name != host}
    extra = {name.lower(): [name, network.address(at), number] for name, at, number in plan.extra_modalities}
    storage = network.work / host
    config = json.loads((CONFIG / "orthanc.json").read_text())
    config |= {
        "Name": host,
        "DicomAet": title,
        "DicomPort": port,
        "DicomModalities": known | extra,
        "StorageDirectory": str(storage),
        "IndexDirectory": str(storage),
    }
    path = network.work / f"{host}.json"
    path.write_text(json.dumps(config, indent=1))
    network.spawn(host, ["Orthanc", str(path)], host)


def start_storage_receivers(network: Network) -> None:
    """Storage SCPs on the workstations and the triage service; they take images in and keep none."""
    for name in ("ws1", "ws2", "ws3", "triage"):
        title, port = network.plan.hosts[name].ae or ("", 0)
        network.spawn(name, ["storescp", "--ignore", "-aet", title, str(port)], f"storescp-{name}")
    network.spawn("drop", ["storescp", "--ignore", "-aet", "CLOUD", "104"], "storescp-drop")


def start_files(network: Network, rng: Random) -> None:
    """Start the file server with its two shares, filled."""
    (network.work / "samba" / "ncalrpc").mkdir(parents=True)
    for share in ("images", "office"):
        (network.work / "shares" / share).mkdir(parents=True)
    for number in range(1, SHARED_FILES + 1):
        path = network.work / "shares" / "images" / f"case{number:03d}.dcm"
        path.write_bytes(rng.randbytes(SHARED_FILE_BYTES))
    for number in range(1, 21):
        path = network.work / "shares" / "office" / f"report{number:02d}.txt"
        path.write_text("synthetic report\n" * 200)
    config = render(network, "smb.conf")
    network.spawn("fileserver", ["smbd", "--foreground", "--no-process-group", f"--configfile={config}"], "smbd")


def start_clinical(network: Network) -> None:
    """HL7 receivers, the FHIR server and the model server."""
    network.spawn("lis", [sys.executable, "-m", "lab.apps.mllp", str(HL7_LIS_PORT)], "lis")
    network.spawn("his", [sys.executable, "-m", "lab.apps.mllp", str(HL7_HIS_PORT)], "his")
    start_app(network, "fhir", "lab.apps.fhir:create_app", "0.0.0.0", FHIR_PORT)
    start_app(network, "ai", "lab.apps.model:create_app", "127.0.0.1", MODEL_PORT)


def start_app(network: Network, host: str, factory: str, address: str, port: int) -> None:
    """One ASGI application under uvicorn."""
    options = ["--host", address, "--port", str(port), "--log-level", "warning"]
    network.spawn(host, [sys.executable, "-m", "uvicorn", "--factory", factory, *options], f"uvicorn-{host}")


def start_bedside(network: Network) -> None:
    """Start the MQTT broker and the SIP server."""
    network.spawn("broker", ["mosquitto", "-c", str(CONFIG / "mosquitto.conf")], "mosquitto")
    address = network.address("televisit")
    network.spawn("televisit", ["sipp", "-sn", "uas", "-i", address, "-p", "5060", "-nostdin"], "sipp-uas")


def start_ssh(network: Network) -> None:
    """Start an sshd on the PACS, with a key for the administrator."""
    folder = network.work / "ssh"
    folder.mkdir()
    for name in ("host_key", "client_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(folder / name)], check=True)
    config = render(network, "sshd_config")
    Path("/run/sshd").mkdir(exist_ok=True)
    network.spawn("pacs", ["/usr/sbin/sshd", "-D", "-e", "-f", str(config)], "sshd")


def render(network: Network, name: str) -> Path:
    """Write a config file with `${work}` filled in."""
    path = network.work / name
    path.write_text(Template((CONFIG / name).read_text()).substitute(work=network.work))
    return path


def wait_for_all(network: Network) -> None:
    """Until every TCP service listens, or say which one does not and where its log is."""
    ports = {
        "pacs": (4242, 8042, 22),
        "archive": (11112, 8042),
        "fileserver": (445,),
        "portal": (80,),
        "lis": (HL7_LIS_PORT,),
        "his": (HL7_HIS_PORT,),
        "fhir": (FHIR_PORT,),
        "ai": (80, MODEL_PORT),
        "broker": (1883,),
        "update": (443,),
        "drop": (443, 104),
        "dns": (53,),
        "resolver": (53,),
        "ws1": (11113,),
        "ws2": (11113,),
        "ws3": (11113,),
        "triage": (11114,),
    }
    for host, wanted in ports.items():
        for port in wanted:
            _wait_for(network, host, port)


def _wait_for(network: Network, host: str, port: int) -> None:
    """Ask the kernel, not the service, so that waiting leaves no packets and no half-open connections."""
    for _ in range(150):
        listening = network.run(host, ["ss", "-Hltn", f"sport = :{port}"]).stdout
        if listening.strip():
            return
        time.sleep(0.2)
    raise LabError(f"{host} does not listen on port {port}: see the *.log files in {network.work} (--keep-work)")


def preload(network: Network, catalogue: Catalogue, rng: Random) -> None:
    """Fill the PACS by its REST interface on its own loopback, before the recording begins."""
    studies = [catalogue.create(rng.choice(list(KINDS))) for _ in range(KEEP)]
    files = [path for study in studies for path in sorted(study.folder.iterdir())]
    requests = [Request("http://127.0.0.1:8042/instances", {"Expect": ""}, body_file=path) for path in files]
    if fetch(network, "pacs", requests) != len(files):
        raise LabError(f"the PACS did not take all {len(files)} first images")
    for study in studies:
        catalogue.add(study)
