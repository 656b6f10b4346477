"""Model extraction through the AI gateway."""

from __future__ import annotations

from random import Random

import numpy as np

from lab.activity import Lab
from lab.inference import SIDE, clinical_tile, infer_request
from lab.web import fetch

BATCH = 60


def extract_model(lab: Lab, rng: Random, size: float) -> str:
    """Label synthetic inputs: blends of a few seed tiles, steps along random directions, and plain noise."""
    batches = max(1, int(9 * size))
    noise = np.random.default_rng(rng.randrange(2**32))
    seeds = [clinical_tile(rng) for _ in range(12)]
    answered = 0
    for _ in range(batches):
        requests = []
        for _ in range(BATCH):
            one, two, weight = rng.choice(seeds), rng.choice(seeds), rng.random()
            step = 0.25 * np.sign(noise.normal(size=SIDE * SIDE))
            blend = np.clip(weight * one + (1 - weight) * two + step, 0, 1)
            tile = blend if rng.random() < 0.7 else noise.random(SIDE * SIDE)
            requests.append(infer_request(lab.network, "chest", tile, "portal-test", "", rng))
        answered += fetch(lab.network, "portal", requests, rate="600/m", agent="python-requests/2.31")
    return f"{batches * BATCH} inference queries to the chest model with synthetic inputs and no study; {answered} answered"
