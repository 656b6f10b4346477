"""HL7 v2 between HIS and LIS, and FHIR from the portal."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from random import Random

from lab.activities.reading import PATIENTS
from lab.activity import Activity, Lab
from lab.messages import from_his, oru
from lab.services import FHIR_PORT, HL7_HIS_PORT, HL7_LIS_PORT
from lab.topology import Network
from lab.web import Request, fetch


def activities() -> list[Activity]:
    """List the clinical systems' loops."""
    return [
        Activity("his-lis-hl7", (10, 24), orders),
        Activity("lis-his-hl7", (25, 55), results),
        Activity("portal-fhir", (20, 45), portal),
    ]


def send_hl7(network: Network, host: str, receiver: str, port: int, messages: Sequence[str]) -> int:
    """Send messages by MLLP over one connection; returns how many were acknowledged with AA."""
    with tempfile.NamedTemporaryFile("w", dir=network.work, suffix=".hl7", newline="") as batch:
        batch.write("".join(messages))
        batch.flush()
        argv = [sys.executable, "-m", "hl7.client", "--loose", "--file", batch.name, "--port", str(port)]
        return network.run(host, [*argv, network.fqdn(receiver)]).stdout.count("MSA|AA")


def orders(lab: Lab, rng: Random) -> bool:
    """One to three admissions or orders."""
    messages = [from_his(rng) for _ in range(rng.randint(1, 3))]
    return send_hl7(lab.network, "his", "lis", HL7_LIS_PORT, messages) == len(messages)


def results(lab: Lab, rng: Random) -> bool:
    """One or two laboratory results."""
    messages = [oru(rng) for _ in range(rng.randint(1, 2))]
    return send_hl7(lab.network, "lis", "his", HL7_HIS_PORT, messages) == len(messages)


def portal(lab: Lab, rng: Random) -> bool:
    """Show a patient's page: one read and two searches."""
    base, patient = f"http://{lab.network.fqdn('fhir')}:{FHIR_PORT}/fhir", f"pt-{rng.randint(1, PATIENTS):03d}"
    paths = (f"Patient/{patient}", f"Observation?patient={patient}&_count=10", f"ImagingStudy?patient={patient}")
    requests = [Request(f"{base}/{path}", {"Accept": "application/fhir+json"}) for path in paths]
    return fetch(lab.network, "portal", requests, agent="portal/3.0") == len(requests)
