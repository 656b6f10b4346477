"""Radiologists at three workstations: find, retrieve, read, look at the chart."""

from __future__ import annotations

from functools import partial
from random import Random

from lab.activity import Activity, Lab
from lab.inference import infer_study
from lab.services import FHIR_PORT
from lab.web import Request, fetch

STATIONS = ("ws1", "ws2", "ws3")
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Workstation/2.1"
RETURN_KEYS = ("PatientID", "StudyDate", "StudyDescription", "StudyInstanceUID", "ModalitiesInStudy")
PATIENTS = 4


def activities() -> list[Activity]:
    """Give each workstation the same loops, and the first one the reading room's AI client."""
    each = [
        ("c-find", (40, 80), find),
        ("c-move", (70, 130), move),
        ("pacs-web", (70, 140), viewer),
        ("fhir", (70, 140), chart),
    ]
    loops = [Activity(f"{host}-{name}", every, partial(act, host)) for host in STATIONS for name, every, act in each]
    return [*loops, Activity("ws1-infer", (35, 70), second_read)]


def query(lab: Lab, host: str, tool: str, extra: list[str]) -> bool:
    """One study-root association of findscu or movescu with the PACS."""
    called = ["-S", "-aet", lab.network.aet(host), "-aec", lab.network.aet("pacs")]
    argv = [tool, *called, *extra, lab.network.fqdn("pacs"), "4242"]
    return lab.network.run(host, argv).returncode == 0


def find(host: str, lab: Lab, rng: Random) -> bool:
    """C-FIND of one patient, by name or by id and date."""
    study = lab.catalogue.choose(rng)
    by_name = [f"PatientName={study.patient_name}", "PatientID"]
    by_id = [f"PatientID={study.patient_id}", f"StudyDate={study.date}", "PatientName"]
    keys = ["QueryRetrieveLevel=STUDY", *rng.choice((by_name, by_id)), *RETURN_KEYS[2:]]
    return query(lab, host, "findscu", [word for key in keys for word in ("-k", key)])


def move(host: str, lab: Lab, rng: Random) -> bool:
    """C-MOVE of one study to the workstation itself."""
    study = lab.catalogue.choose(rng)
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study.uid}"]
    return query(lab, host, "movescu", ["-aem", lab.network.aet(host), *keys])


def viewer(host: str, lab: Lab, rng: Random) -> bool:
    """Open the PACS's web page: its state, and a preview of one image."""
    study = lab.catalogue.choose(rng)
    base = f"http://{lab.network.fqdn('pacs')}:8042"
    preview = f"{base}/instances/{study.orthanc_instance(rng.randrange(len(study.sop_uids)))}/preview"
    return fetch(lab.network, host, [Request(f"{base}/system"), Request(preview)], agent=BROWSER) == 2


def chart(host: str, lab: Lab, rng: Random) -> bool:
    """Patient and observations from the FHIR server."""
    base, patient = f"http://{lab.network.fqdn('fhir')}:{FHIR_PORT}/fhir", f"pt-{rng.randint(1, PATIENTS):03d}"
    requests = [
        Request(f"{base}/Patient/{patient}", {"Accept": "application/fhir+json"}),
        Request(f"{base}/Observation?patient={patient}&_count=5", {"Accept": "application/fhir+json"}),
    ]
    return fetch(lab.network, host, requests, agent=BROWSER) == 2


def second_read(lab: Lab, rng: Random) -> bool:
    """Ask the chest model for a second opinion."""
    return infer_study(lab.network, "ws1", "reading-room", ("chest",), lab.catalogue.choose(rng), rng)
