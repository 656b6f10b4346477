"""The training ledger: one JSON line for each step, as a hook in the trainer or the aggregator writes it.

No framework logs how large a site's update was or how many examples it rests on, and these are what a poisoned update
shows in. A few lines in Flower's `aggregate_fit`, NVFlare's aggregator or a training script write them:
`{"time": 1790000000.5, "action": "update", "job": "cxr-7", "round": 3, "site": "hospital-4", "samples": 812, "norm": 1.93}`.
"""

from __future__ import annotations

import math

import msgspec

from agent.log import json_line
from agent.logs.clock import LAST
from agent.protocol import Fact

ACTIONS = frozenset({"round", "update", "aggregate", "dataset-change", "label-change", "job-start", "job-end"})


class _Line(msgspec.Struct):
    time: float
    action: str
    framework: str = ""
    job: str = ""
    site: str = ""
    user: str = ""
    outcome: str = ""
    round: int = 0
    samples: int = 0
    norm: float | None = None
    cosine: float | None = None
    loss: float | None = None
    dataset: str = ""
    added: int = 0
    removed: int = 0
    relabelled: int = 0


_read = json_line(_Line)


class TrainingLedger:
    """One line, one step."""

    name = "training-ledger"
    framing = "lines"

    def parse(self, line: bytes, _arrival: int = 0, /) -> Fact:
        """The step. Raises ValueError for another shape, an unknown action or a time outside 1970–2106."""
        entry = _read(line)
        if not 0 < entry.time < LAST:
            raise ValueError("no time of day")
        if entry.action not in ACTIONS:
            raise ValueError("no step of a training")
        fields: dict[str, object] = {
            "action": entry.action,
            "provider": self.name,
            "framework": entry.framework,
            "job": entry.job[:256],
            "site": entry.site[:256],
            "user": entry.user[:256],
            "outcome": entry.outcome if entry.outcome in {"success", "failure"} else "",
            "round": entry.round,
            "samples": entry.samples,
            "norm": _finite(entry.norm),
            "cosine": _finite(entry.cosine),
            "loss": _finite(entry.loss),
            "dataset": entry.dataset[:256],
            "added": entry.added,
            "removed": entry.removed,
            "relabelled": entry.relabelled,
        }
        return Fact("ai.training", int(entry.time * 1_000_000 + 0.5), fields, None)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
