"""What the verbs that write a case's papers have in common."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nigrani.service.errors import Problem


def give(content: bytes, out: Path | None) -> None:
    """Write a paper to a new file, or to standard output. Raises Problem where the file is there already."""
    if out is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Problem(f"{out} is there already, and a person may have worked on it: name another file") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def tell(text: str) -> None:
    """A line for whoever types."""
    sys.stderr.write(f"nigrani: {text}\n")
