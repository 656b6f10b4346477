"""What targets make of inputs that lie in files, as digests: `[NIGRANI_PURE=1] python -m tests.fuzz.replay FOLDER`.

The folder has a folder for each target. Interpreted and compiled forms are held to the same digests.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.fuzz.target import ROOT, Target
from tests.fuzz.targets import NAMES, target


def digest(one: Target, data: bytes) -> str:
    """Stands for what came out, a find included."""
    try:
        came = repr(one.run(data))
    except Exception as error:  # noqa: BLE001 - told as what came
        came = f"{type(error).__name__}: {error}"
    return hashlib.sha256(came.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def digests(folder: Path) -> dict[str, str]:
    """Path below the folder → digest, of all targets that have a folder there."""
    names = [name for name in NAMES if (folder / name).is_dir()]
    files = [path for name in names for path in sorted((folder / name).iterdir()) if path.is_file()]
    return {str(path.relative_to(folder)): digest(target(path.parent.name), path.read_bytes()) for path in files}


def elsewhere(folder: Path, *, pure: bool) -> dict[str, str]:
    """The same from another process, in the interpreted form or as it is installed."""
    environment = {name: value for name, value in os.environ.items() if name != "NIGRANI_PURE"}
    environment |= {"NIGRANI_PURE": "1"} if pure else {}
    command = [sys.executable, "-m", __spec__.name, str(folder)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(digests(Path(sys.argv[1]))))
