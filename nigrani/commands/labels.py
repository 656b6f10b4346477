"""What is known to have happened in a recording, held against the alerts that it led to."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from agent.privacy import Tokens
from nigrani.service.errors import Problem
from nigrani.service.key import site_key, state_folder

if TYPE_CHECKING:
    from detector.alert import Alert

GRACE = 180.0
"""Seconds after an attack's end within which its alert may come."""
EARLY = 5.0
"""Seconds by which an alert's time may lie before the noted start."""


class Labels:
    """The attacks of a recording, each from one device at one time."""

    def __init__(self, data: dict[str, Any]) -> None:
        tokens = Tokens(site_key(state_folder() / "site.key").value)
        self.attacks = [
            {**attack, "start": float(attack["start"]), "end": float(attack["end"])} for attack in data["attacks"]
        ]
        phases = {phase["name"]: (float(phase["start"]), float(phase["end"])) for phase in data["phases"]}
        self.benign = phases["benign"]
        """Start and end of the benign time that is not learnt from, seconds since the epoch."""
        self.devices = {
            tokens.of("ip", ipaddress.ip_address(host["address"]).packed): host for host in data.get("hosts", [])
        }
        self._alerts: list[Alert] = []

    @classmethod
    def load(cls, path: Path) -> Labels:
        """The labels of a file. Raises Problem where it is none."""
        try:
            return cls(yaml.safe_load(path.read_bytes()))
        except OSError as error:
            raise Problem(f"{path}: {error.strerror or error}") from None
        except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            raise Problem(f"{path}: not the labels of a recording: {error}") from None

    def note(self, alert: Alert) -> None:
        """Remember an alert."""
        self._alerts.append(alert)

    def found(self, attack: dict[str, Any]) -> list[Alert]:
        """The alerts about the attack: on its device, of a kind that it should raise, while it went on or soon after."""
        return [
            alert
            for alert in self._alerts
            if attack["start"] - EARLY <= alert.when.timestamp() <= attack["end"] + GRACE
            and self.devices.get(alert.device, {}).get("address") == attack["attacker"]
            and (not attack.get("kinds") or alert.slug in attack["kinds"])
        ]

    def false_alarms(self) -> list[Alert]:
        """The alerts before the benign time's end."""
        return [alert for alert in self._alerts if alert.when.timestamp() < self.benign[1]]

    def verdict(self) -> list[str]:
        """One line an attack, and one on false alarms."""
        lines = []
        for attack in self.attacks:
            titles = list(dict.fromkeys(alert.title for alert in self.found(attack)))
            told = "; ".join(titles) if titles else "NOT FOUND"
            lines.append(f"{attack['name']:<20} by {attack['attacker_name']:<8} {told}")
        minutes = (self.benign[1] - self.benign[0]) / 60
        early = [alert for alert in self.false_alarms() if alert.when.timestamp() < self.benign[0]]
        lines.append(
            f"{len(self.false_alarms()) - len(early)} alerts in {minutes:.0f} benign minutes that were not learnt from, "
            f"{len(early)} while learning"
        )
        return lines
