"""Modalities store to the PACS; the PACS copies to the archive and routes to the triage service."""

from __future__ import annotations

from functools import partial
from random import Random

from lab.activity import Activity, Lab
from lab.inference import infer_study
from lab.web import Request, fetch

MODALITIES = {"ct1": "CT", "mr1": "MR", "us1": "US"}
PACS_REST = "http://127.0.0.1:8042"


def activities() -> list[Activity]:
    """List the imaging department's loops."""
    stores = [Activity(f"{host}-c-store", (60, 110), partial(store, host)) for host in MODALITIES]
    echoes = [Activity(f"{host}-c-echo", (60, 120), partial(echo, host)) for host in MODALITIES]
    return [
        *stores,
        *echoes,
        Activity("pacs-archive", (60, 110), archive),
        Activity("triage-infer", (28, 50), route_and_infer),
        Activity("ct1-infer", (35, 70), scanner_infer),
    ]


def store(host: str, lab: Lab, _rng: Random) -> bool:
    """C-STORE a new study: the MR with dcmsend, the others with storescu."""
    study = lab.catalogue.create(MODALITIES[host])
    files = [str(path) for path in sorted(study.folder.iterdir())]
    tool = "dcmsend" if host == "mr1" else "storescu"
    pacs = lab.network.plan.hosts["pacs"]
    called = ["-aet", lab.network.aet(host), "-aec", pacs.aet, pacs.address, "4242"]
    done = lab.network.run(host, [tool, *called, *files])
    if done.returncode == 0:
        lab.catalogue.add(study)
    return done.returncode == 0


def echo(host: str, lab: Lab, _rng: Random) -> bool:
    """C-ECHO, as a technician's connection test."""
    pacs = lab.network.plan.hosts["pacs"]
    argv = ["echoscu", "-aet", lab.network.aet(host), "-aec", pacs.aet, pacs.address, "4242"]
    return lab.network.run(host, argv).returncode == 0


def send_from_pacs(lab: Lab, orthanc_id: str, destination: str) -> bool:
    """Have the PACS C-STORE a study; the command reaches it by its own loopback."""
    request = Request(f"{PACS_REST}/modalities/{destination}/store", body=orthanc_id)
    return fetch(lab.network, "pacs", [request]) == 1


def archive(lab: Lab, rng: Random) -> bool:
    """Copy a recent study to the archive."""
    return send_from_pacs(lab, lab.catalogue.choose(rng).orthanc_id, "archive")


def route_and_infer(lab: Lab, rng: Random) -> bool:
    """Route a study to the triage service, which asks both models about it."""
    study = lab.catalogue.choose(rng)
    routed = send_from_pacs(lab, study.orthanc_id, "triage")
    return infer_study(lab.network, "triage", "triage-svc", ("triage", "chest"), study, rng) and routed


def scanner_infer(lab: Lab, rng: Random) -> bool:
    """Ask for a triage mark from the CT's own gateway."""
    return infer_study(lab.network, "ct1", "ct1-gw", ("triage",), lab.catalogue.choose(rng), rng)
