"""Weak signs add up: rules that do not alert alone lay their risk on the device, and the sum alerts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from detector.rule import Rule

ENOUGH = 100
"""Risk within the span from which a device alerts."""
SPAN = 3600.0
"""Seconds for which a sign counts."""
MAX_DEVICES = 65_536
"""Devices with signs remembered; beyond it the oldest goes, counted."""


class Sign(NamedTuple):
    """One weak rule's match; its repeats renew it and do not add."""

    rule: Rule
    when: float


class Risk:
    """What lies on each device."""

    def __init__(self) -> None:
        self.forgotten = 0
        self._signs: dict[str, dict[str, Sign]] = {}

    def state(self) -> dict[str, list[tuple[str, float]]]:
        """What must be kept to go on later: device → ids of rules and when."""
        return {device: [(name, sign.when) for name, sign in signs.items()] for device, signs in self._signs.items()}

    def resume(self, state: Mapping[str, list[tuple[str, float]]], rules: Mapping[str, Rule]) -> None:
        """Go on with what was kept; signs of rules that are no more are forgotten."""
        self._signs = {
            device: {name: Sign(rules[name], when) for name, when in signs if name in rules}
            for device, signs in state.items()
        }

    def add(self, device: str, rule: Rule, when: float) -> list[Sign]:
        """Lay a rule's risk on a device; returns its signs where they are enough for an alert, else nothing."""
        signs = self._signs.pop(device, {})
        signs[rule.id] = Sign(rule, when)
        signs = {name: sign for name, sign in signs.items() if when - SPAN < sign.when}
        if len(self._signs) >= MAX_DEVICES:
            self._signs.pop(next(iter(self._signs)))
            self.forgotten += 1
        self._signs[device] = signs
        total = sum(sign.rule.risk for sign in signs.values())
        return sorted(signs.values(), key=lambda sign: -sign.rule.risk) if total >= ENOUGH else []
