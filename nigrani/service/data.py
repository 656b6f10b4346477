"""Where the shipped rules and configuration are: beside the packages in a checkout, inside this one when installed."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def data_folder(name: str) -> Path:
    """The folder `rules` or `config`. Raises FileNotFoundError where the installation lacks it."""
    for folder in (_PACKAGE.parent / name, _PACKAGE / "data" / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"this installation has no folder {name}")
