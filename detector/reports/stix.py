"""A case as a STIX 2.1 bundle for peers, redacted: tokens for devices, no address, nothing that a person wrote.

STIX has no object for a device of which only a keyed hash may be told, so one is added by its extension mechanism
(STIX 2.1, section 7.3); a consumer that does not know it may leave it out.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from detector.cases.case import Case, Finding
from detector.matrix import technique
from detector.reports.organisation import Organisation
from detector.reports.redaction import redacted
from detector.reports.story import TOKEN, Seen, seen
from nigrani import __version__

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://nigrani.invalid/stix")
SCO_NAMESPACE = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
"""STIX 2.1's own, for the ids of cyber-observable objects (section 2.9)."""
TLP_AMBER = "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"
DEVICE = "nigrani-device"
DEFINITIONS = frozenset({"marking-definition", "extension-definition"})
"""Objects about objects, which a report does not list."""
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
"""Of what is the same in every bundle."""
MAX_FINDINGS = 1000
"""Told one by one; the report says how many there are."""
NAMES = re.compile(r"\bnames under ([a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+)(?![\w.-]*\w)")
"""The domain that a finding on DNS names; it is the attacker's, where the names under it carried data."""
CARRIERS = frozenset({"tunnel"})
"""Kinds whose domain is worth looking for elsewhere. Most of what nigrani sees is behaviour, which no pattern finds."""

Thing = dict[str, Any]


def bundle(case: Case, findings: Sequence[Finding], organisation: Organisation) -> Thing:
    """The bundle, the same of the same case; nothing of the case's history is in it but the verdict."""
    story = seen(findings)
    things = _Things(case, organisation)
    for one in story[:MAX_FINDINGS]:
        things.observe(one)
    things.conclude(len(story))
    return {
        "type": "bundle",
        "id": _id("bundle", case.origin, str(case.number), _time(case.updated)),
        "objects": things.all(),
    }


class _Things:
    """The objects of a bundle, each once."""

    def __init__(self, case: Case, organisation: Organisation) -> None:
        name = redacted(organisation.name) or "A hospital that is not named"
        self._case = case
        self._who = _id("identity", name)
        self._things: dict[str, Thing] = {TLP_AMBER: _marking()}
        self._sightings: dict[str, list[Thing]] = {}
        self._add("identity", self._who, SINCE, name=name, identity_class="organization", sectors=["healthcare"])
        self._extension = self._sdo(
            "extension-definition",
            (DEVICE,),
            SINCE,
            name="Device known by a keyed hash",
            description="A device on a network; token is a keyed hash of its address, of use to its hospital alone.",
            schema="https://nigrani.invalid/stix/nigrani-device.json",
            version="1.0.0",
            extension_types=["new-sco"],
        )

    def all(self) -> list[Thing]:
        """The objects, in the order in which they were first told of."""
        return list(self._things.values())

    def observe(self, one: Seen) -> None:
        """Add what one finding saw, and which techniques it is a sign of."""
        finding = one.finding
        data = self._sdo(
            "observed-data",
            (finding.uid,),
            finding.when,
            first_observed=_time(min(finding.first, finding.when)),
            last_observed=_time(finding.when),
            number_observed=1,
            object_refs=self._devices(one),
        )
        self._sdo(
            "note",
            (finding.uid,),
            finding.when,
            abstract=f"{redacted(finding.title)} ({finding.severity})",
            content="; ".join(redacted(line) for line in one.why) or "No reason was kept.",
            object_refs=[data["id"]],
        )
        for uid in dict.fromkeys(uid for uid, _version in one.attacks if uid):
            self._sighted(self._pattern(uid), data)
        if finding.kind in CARRIERS:
            for domain in dict.fromkeys(name for line in one.who for name in NAMES.findall(line)):
                self._sighted(self._indicator(domain, finding), data)

    def conclude(self, findings: int) -> None:
        """Add the sightings, and the report that holds all together."""
        case = self._case
        for target, told in self._sightings.items():
            self._sdo(
                "sighting",
                (case.origin, str(case.number), target),
                case.detected,
                case.updated,
                sighting_of_ref=target,
                first_seen=min(one["first_observed"] for one in told),
                last_seen=max(one["last_observed"] for one in told),
                count=len(told),
                observed_data_refs=[one["id"] for one in told],
                where_sighted_refs=[self._who],
            )
        verdict = f"closed as {case.verdict}" if case.verdict else f"{case.state}, without a verdict"
        told_of = f"{findings} findings, {min(findings, MAX_FINDINGS)} of them here, about {case.devices} devices"
        title = f"Case {case.number}: {redacted(case.title)}"
        self._sdo(
            "report",
            (case.origin, str(case.number)),
            case.detected,
            case.updated,
            name=title,
            description=f"{title}: {verdict}. {told_of}. Seen by nigrani {__version__}; addresses are left out.",
            report_types=["observed-data", "attack-pattern"],
            published=_time(case.updated),
            object_refs=[uid for uid in self._things if uid.partition("--")[0] not in DEFINITIONS],
        )

    def _devices(self, one: Seen) -> list[str]:
        finding = one.finding
        peers = (token for line in one.who for token in TOKEN.findall(line) if token.startswith("ip:"))
        return [self._device(redacted(token) or "unknown", finding) for token in dict.fromkeys((finding.device, *peers))]

    def _device(self, token: str, finding: Finding) -> str:
        uid = f"{DEVICE}--{uuid.uuid5(SCO_NAMESPACE, msgspec.json.encode({'token': token}).decode())}"
        thing = self._things.setdefault(
            uid,
            {
                "type": DEVICE,
                "spec_version": "2.1",
                "id": uid,
                "object_marking_refs": [TLP_AMBER],
                "token": token,
                "extensions": {self._extension["id"]: {"extension_type": "new-sco"}},
            },
        )
        if token == finding.device:
            known = {"zone": finding.zone, "device_class": finding.device_class}
            thing |= {name: redacted(value) for name, value in known.items() if value}
        return uid

    def _pattern(self, uid: str) -> Thing:
        known = technique(uid)
        source = "mitre-atlas" if uid.startswith("AML.") else "mitre-attack"
        reference = {"source_name": source, "external_id": redacted(uid), **({"url": known.url} if known else {})}
        name = known.name if known else redacted(uid)
        return self._sdo("attack-pattern", (uid,), SINCE, name=name, external_references=[reference])

    def _indicator(self, domain: str, finding: Finding) -> Thing:
        return self._sdo(
            "indicator",
            (domain,),
            finding.first,
            name=f"Data carried in DNS names under {domain}",
            indicator_types=["anomalous-activity"],
            pattern=f"[domain-name:value = '{domain}']",
            pattern_type="stix",
            valid_from=_time(finding.first),
        )

    def _sighted(self, target: Thing, data: Thing) -> None:
        self._sightings.setdefault(target["id"], []).append(data)

    def _sdo(
        self, kind: str, parts: Iterable[str], made: datetime, changed: datetime | None = None, **properties: Any
    ) -> Thing:
        return self._add(kind, _id(kind, self._who, *parts), made, changed, **properties)

    def _add(self, kind: str, uid: str, made: datetime, changed: datetime | None = None, **properties: Any) -> Thing:
        whole = {
            "type": kind,
            "spec_version": "2.1",
            "id": uid,
            "created_by_ref": self._who,
            "created": _time(made),
            "modified": _time(max(made, changed or made)),
            "object_marking_refs": [TLP_AMBER],
            **properties,
        }
        return self._things.setdefault(uid, whole)


def _marking() -> Thing:
    """TLP:AMBER as STIX 2.1 lays it down (section 7.2.1.4)."""
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": TLP_AMBER,
        "created": "2017-01-20T00:00:00.000Z",
        "definition_type": "tlp",
        "name": "TLP:AMBER",
        "definition": {"tlp": "amber"},
    }


def _id(kind: str, *parts: str) -> str:
    return f"{kind}--{uuid.uuid5(NAMESPACE, chr(0).join((kind, *parts)))}"


def _time(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03}Z"
