"""The agent: packets and log lines of a hospital host to events without patient data."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType


class _Interpreted(importlib.abc.MetaPathFinder):
    """Finds this package's modules as source, passing over their compiled form."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del target
        if not fullname.startswith(f"{__name__}.") or path is None:
            return None
        for folder in path:
            source = Path(folder) / f"{fullname.rpartition('.')[2]}.py"
            if source.is_file():
                return importlib.util.spec_from_file_location(fullname, source)
        return None


if os.environ.get("NIGRANI_PURE"):
    sys.meta_path.insert(0, _Interpreted())
