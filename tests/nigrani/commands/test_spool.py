from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from nigrani.commands.spool import declare, folder


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    declare(parser)
    return parser.parse_args(words)


def test_the_folder_that_is_named() -> None:
    assert folder(options("/x/y")) == Path("/x/y")


def test_otherwise_the_bus_of_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGRANI_STATE", "/x/state")
    assert folder(options()) == Path("/x/state/bus")
