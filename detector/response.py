"""What an anomaly may mean and what to do first, by the feature that leads it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from detector.alert import Alert
from detector.features import (
    ARP,
    CHANGED,
    EVIDENCE,
    FINDS,
    INFERENCES,
    INFERRED_BYTES,
    INTERACTIONS,
    INTERNET,
    MOVES,
    NAMES,
    OPENED,
    QUESTIONS,
    SENT,
    STORES,
    STUDIES,
    WINDOW_FEATURES,
    WRITTEN,
)
from detector.matrix import MATRIX
from detector.model import Floats

CARE = "Leave the device connected while it may be treating or examining a patient; ask its department first."


class Response(NamedTuple):
    """How one kind of anomaly is told."""

    slug: str
    title: str
    attack: tuple[str, ...] = ()
    first_steps: tuple[str, ...] = ()
    runbook: str = "anomaly"
    matrix: str = MATRIX
    merges: bool = True
    """Whether it is only more evidence beside a rule's fresh alert about the device; a theft never is."""

    def alert(self, **fields: Any) -> Alert:
        """The alert that it makes, but for what is told of the one time."""
        own: dict[str, Any] = {
            "id": "",
            "kind": self.slug,
            "slug": self.slug,
            "title": self.title,
            "severity": "medium",
            "attack": list(self.attack),
            "matrix": self.matrix,
            "first_steps": list(self.first_steps),
            "runbook": self.runbook,
        }
        return Alert(**(own | fields))


_EXFILTRATION = Response(
    "exfiltration",
    "Unusual amount of data sent to the internet",
    ("T1048", "T1567"),
    ("Find out which service of the device sends, and to whom.", "Ask whether an upload or backup was planned.", CARE),
    "anomaly-exfiltration",
    merges=False,
)
_VOLUME = Response(
    "volume",
    "Unusual amount of data sent",
    ("T1030", "T1020"),
    ("See which peer took the data and whether it is one of the device's own.", "Ask whether a migration runs.", CARE),
    "anomaly-volume",
)
_COLLECTION = Response(
    "collection",
    "Unusual reading of patient data",
    ("T1213", "T1119"),
    ("Ask the user or service behind the device what it collects.", "Compare with planned prefetch or research.", CARE),
    "anomaly-collection",
)
_FILES = Response(
    "files",
    "Unusual changes to shared files",
    ("T1486", "T1485"),
    ("Look at the share's newest files and their names now.", "Have snapshots of the share secured.", CARE),
    "anomaly-files",
)
_MODEL = Response(
    "inference",
    "Unusual use of an AI model",
    ("AML.T0024",),
    ("Ask the owner of the client what it infers and for which studies.", "Compare its studies with what arrived.", CARE),
    "anomaly-inference",
)
_DNS = Response(
    "dns",
    "Unusual DNS questions",
    ("T1071.004", "T1048.003"),
    ("Look at the domains the device asks for.", "See whether its questions grow with what it sends.", CARE),
    "anomaly-dns",
)
_BEHAVIOUR = Response(
    "behaviour",
    "Unusual behaviour of a device",
    (),
    ("Compare what it did with what is usual, line by line.", "Ask whether it was updated, replaced or repaired.", CARE),
    "anomaly",
)

WEAK = Response(
    "weak-signs",
    "Several weak signs about one device",
    (),
    ("Read the signs together: which one action explains them?", "Look for the device in its peers' alerts.", CARE),
    "weak-signs",
)
SILENT = Response(
    "agent-silent",
    "An agent has fallen silent",
    ("T1685",),
    (
        "See whether its host is up, and on it: systemctl status nigrani-agent; nigrani agent status.",
        "Ask whether the host is being updated or moved; if nobody knows of it, treat it as tampered with.",
        "Look at other agents' and the firewall's logs for what happened there since.",
    ),
    "agent-silent",
)
LIKE_RULES = (WEAK, SILENT)
"""Told of as rules' matches are, though no file has them."""

_BY_FEATURE = {
    INTERNET: _EXFILTRATION,
    SENT: _VOLUME,
    STORES: _VOLUME,
    FINDS: _COLLECTION,
    MOVES: _COLLECTION,
    INTERACTIONS: _COLLECTION,
    OPENED: _FILES,
    CHANGED: _FILES,
    WRITTEN: _FILES,
    INFERENCES: _MODEL,
    INFERRED_BYTES: _MODEL,
    STUDIES: _MODEL,
    QUESTIONS: _DNS,
    NAMES: _DNS,
    ARP: _BEHAVIOUR,
}

RESPONSES: tuple[Response, ...] = tuple(_BY_FEATURE.get(index, _BEHAVIOUR) for index in range(len(WINDOW_FEATURES)))
"""By the number of the leading feature."""

_SPECIFIC = (
    CHANGED, WRITTEN, OPENED, STUDIES, INFERENCES, INFERRED_BYTES, FINDS, MOVES, INTERACTIONS, INTERNET, NAMES, QUESTIONS,
    STORES, SENT,
)  # fmt: skip
"""Features that say what was done, the most telling first: bytes to the internet are also bytes sent."""
HALF = 0.5


def leading(shares: Floats) -> int:
    """The feature that names an anomaly, by each feature's share float64[features] in it.

    The most telling of those that matter at least half as much as the greatest; where none tells, the greatest that is
    something the device did, not the strangeness of single flows.
    """
    enough = shares.max() * HALF
    for feature in _SPECIFIC:
        if shares[feature] >= enough:
            return feature
    order = np.argsort(-shares, kind="stable")
    return next(int(feature) for feature in order if feature != EVIDENCE)
