"""Settings of capture: what is refused, all at once and before anything is opened."""

from __future__ import annotations

from typing import Any

import pytest

from agent.captures.settings import CaptureSettings


def test_the_defaults_stand() -> None:
    settings = CaptureSettings()
    assert settings.look.ports == settings.long_ports
    assert settings.exclusions == ()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"ring_bytes": 1000}, "ring_bytes: 1,000 is not within"),
        ({"snap": 20}, "snap: 20 is not within"),
        ({"long_snap": 100}, "long_snap: 100 is neither"),
        ({"long_ports": (0,)}, "long_ports: at most 100"),
        ({"long_ports": tuple(range(1, 102))}, "long_ports: at most 100"),
        ({"fanout": 70_000}, "fanout: 70000"),
        ({"exclude": tuple(f"host 2001:db8::{number:x}" for number in range(400))}, "more than the kernel's 4096"),
    ],
)
def test_what_is_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        CaptureSettings(**given)


def test_every_entry_at_fault_is_told() -> None:
    with pytest.raises(ValueError, match="exclude") as caught:
        CaptureSettings(exclude=("host x", "port 53", "port y"))
    assert '"host x"' in str(caught.value)
    assert '"port y"' in str(caught.value)
    assert '"port 53"' not in str(caught.value)
