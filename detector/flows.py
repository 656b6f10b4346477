"""Single flows as evidence of the minute they are in: a score alone never alerts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detector.features import EVIDENCE, Window
from detector.model import Ensemble, Floats

STRANGE = 2.0
"""−log10 p from which a flow is evidence."""


def add_evidence(ensemble: Ensemble, rows: Floats, windows: Sequence[Window]) -> int:
    """Add to each flow's window what its p-value is beyond 0.01, in powers of ten; returns how many rows were shed."""
    scored = ensemble.score(rows)
    rarity = -np.log10(ensemble.p(scored.evidence)) - STRANGE
    for index in np.flatnonzero(rarity > 0):
        windows[int(index)].values[EVIDENCE] += float(rarity[index])
    return scored.shed
