from __future__ import annotations

import os
from pathlib import Path

from agent.account import Account, Unit
from agent.checks.program import meter, user
from tests.agent.checks.subjects import levels, nobody, subject


def test_who_may_capture_and_who_may_not(tmp_path: Path) -> None:
    (who,) = user(subject(tmp_path, "logs: {}"))
    assert who.level == "ok"
    found = list(user(subject(tmp_path, "name: x\ninterfaces: [lo]", nobody())))
    assert levels(found) == ["ok", "fail"]
    assert found[1].place.endswith("agent.yaml:2")
    assert "CAP_NET_RAW" in found[1].message
    assert levels(list(user(subject(tmp_path, "interfaces: [lo]", nobody(captures=True))))) == ["ok", "ok"]


def test_who_asks_for_another_is_told_so(tmp_path: Path) -> None:
    mine = Account("me", os.geteuid(), 0, (), True, Unit(()))
    (found,) = user(subject(tmp_path, "logs: {}", mine))
    assert found.level == ("ok" if os.geteuid() == 0 else "warn")


def test_the_meters_form_is_told() -> None:
    (found,) = meter()
    assert found.level in {"ok", "warn"}
    assert ("compiled" in found.message) == (found.level == "ok")
