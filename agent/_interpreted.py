"""`NIGRANI_PURE=1`: this package's modules run as source, though their compiled form lies beside them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType


class _Interpreted(MetaPathFinder):
    """Finds modules of `agent` as .py."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        del target
        if not fullname.startswith("agent.") or path is None:
            return None
        for folder in path:
            source = Path(folder) / f"{fullname.rpartition('.')[2]}.py"
            if source.is_file():
                return importlib.util.spec_from_file_location(fullname, source)
        return None


def install() -> None:
    """Look here first."""
    sys.meta_path.insert(0, _Interpreted())
