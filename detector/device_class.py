"""Classes of devices: what each is for, as rules, alerts and figures name it, and which one the signs about a device tell.

The list is closed, so that a class may label a figure. A site names what the signs cannot tell; its word goes before them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

UNKNOWN = "unknown"

CLASSES: Mapping[str, str] = {
    "modality": "a scanner or other source of images",
    "pacs": "an image archive, or a router of images",
    "workstation": "where images are read",
    "ai-server": "serves models, or takes studies for them",
    "his": "an information system (HIS, RIS) or interface engine",
    "lab": "a laboratory system or analyser",
    "fhir-server": "a FHIR server",
    "bedside": "a monitor, pump or sensor",
    "telemedicine": "a phone, a video cart, or their server",
    "printer": "a printer of films or of paper",
    "file-server": "a server of shared files",
    "network": "a server of names or of addresses",
    "server": "another server",
    "desktop": "a person's computer",
    UNKNOWN: "not told by the baseline: never met, too seldom seen, or outside of the site",
}
"""Class → what it is."""

_TABLE: tuple[tuple[str, frozenset[str], frozenset[str]], ...] = tuple(
    (name, frozenset(has.split()), frozenset(lacks.split()))
    for name, has, lacks in (
        ("pacs", "queried stored+", ""),
        ("pacs", "queried", "queries"),
        ("modality", "performs", ""),
        ("modality", "worklist stores", ""),
        ("modality", "worklist", "queries"),
        ("ai-server", "infers-for", ""),
        ("ai-server", "infers stored", "queries"),
        ("modality", "stores", "queries stored"),
        ("workstation", "queries", ""),
        ("pacs", "stored+", ""),
        ("ai-server", "stores stored", ""),
        ("pacs", "stored", "web files infers"),
        ("workstation", "stored", ""),
        ("his", "admits", ""),
        ("fhir-server", "fhir", ""),
        ("lab", "results", ""),
        ("his", "orders", ""),
        ("his", "lists", ""),
        ("his", "hears", ""),
        ("printer", "prints", ""),
        ("network", "resolves", "authenticates"),
        ("server", "authenticates", ""),
        ("file-server", "shares+", "files"),
        ("telemedicine", "calls", "files"),
        ("bedside", "publishes", "web files shell"),
        ("server", "serves+", ""),
        ("desktop", "web files", ""),
        ("desktop", "web shell", ""),
        ("desktop", "files shell", ""),
        ("desktop", "files login", ""),
        ("desktop", "web login", ""),
    )
)
"""A class, the signs that it has, and those that it has not; the first that fits is taken. `+`: with several peers."""


def told_by(signs: Collection[str]) -> str:
    """The class that these signs tell together; unknown where they tell none."""
    for name, has, lacks in _TABLE:
        if has.issubset(signs) and lacks.isdisjoint(signs):
            return name
    return UNKNOWN
