from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent import pure
from tests.agent.packets import ROOT


def test_nothing_changes_when_interpreted() -> None:
    def function(value: int) -> int:
        return value

    assert pure.compiled is False
    for decorator in (pure.cclass, pure.cfunc, pure.inline, pure.final, pure.exceptval(-1, check=True), pure.locals(a=1)):
        assert decorator(function) is function
    assert pure.declare(pure.ulonglong, 1 << 63) == 1 << 63
    assert pure.declare(pure.ulonglong, visibility="readonly") is None
    assert pure.cast(pure.uint, -1) == -1


@pytest.mark.parametrize("path", sorted(ROOT.glob("agent/**/*.py")), ids=lambda path: path.stem)
def test_all_that_is_used_is_there(path: Path) -> None:
    used = set(re.findall(r"\bcython\.(\w+)", path.read_text()))
    assert [name for name in used if not hasattr(pure, name)] == []


def test_the_agent_starts_without_cython_installed() -> None:
    script = (
        "import sys, json; sys.modules['cython'] = None\n"
        "import agent.meter, agent.privacy, agent.protocols\n"
        "m = agent.meter\n"
        "print(json.dumps([m.__file__, m.cython.__name__, m.Meter(lambda *_: None).counters()]))"
    )
    environment = {**os.environ, "NIGRANI_PURE": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, cwd=ROOT, capture_output=True, check=True)
    where, name, counters = json.loads(done.stdout)
    assert where.endswith("meter.py")
    assert name == "agent.pure"
    assert not any(counters.values())
