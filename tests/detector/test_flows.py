"""Single flows as evidence of their minute."""

from __future__ import annotations

import numpy as np
import pytest

from detector.features import EVIDENCE, FLOW_FEATURES, Window
from detector.flows import STRANGE, add_evidence
from detector.model import Ensemble

RNG = np.random.default_rng(3)
USUAL = RNG.normal(size=(2000, len(FLOW_FEATURES)))


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return Ensemble.fit(USUAL[:1000], USUAL[1000:], 1)


def test_only_what_is_rare_is_evidence(ensemble: Ensemble) -> None:
    fresh = RNG.normal(size=(1000, len(FLOW_FEATURES)))
    windows = [Window("a", 0) for _ in fresh]
    add_evidence(ensemble, fresh, windows)
    strange = [window for window in windows if window.values[EVIDENCE] > 0]
    assert len(strange) <= 40, "about one in a hundred by the threshold"


def test_a_strange_flow_adds_to_its_own_window(ensemble: Ensemble) -> None:
    rows = np.vstack([USUAL[0], USUAL[1] + 12, USUAL[2] + 12])
    calm, struck = Window("calm", 0), Window("struck", 0)
    add_evidence(ensemble, rows, [calm, struck, struck])
    assert calm.values[EVIDENCE] == 0
    one = Window("one", 0)
    add_evidence(ensemble, rows[1:2], [one])
    assert struck.values[EVIDENCE] > one.values[EVIDENCE] > 0
    expected = -np.log10(ensemble.p(ensemble.score(rows[1:2]).evidence))[0] - STRANGE
    assert one.values[EVIDENCE] == pytest.approx(expected)
