"""Inference requests in the KServe v2 protocol, and the synthetic image tiles that they carry."""

from __future__ import annotations

import json
from random import Random

import numpy as np

from lab.studies import Study
from lab.topology import Network
from lab.web import Request, fetch

SIDE = 12
CLASSES = ("normal", "opacity", "effusion")
MIX = (0.7, 0.18, 0.12)
Tile = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def draw_tile(rng: np.random.Generator, label: int) -> Tile:
    """Draw a toy chest: two dark lungs, with a bright blob (opacity) or a bright base (effusion)."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)
    tile = 0.75 - 0.5 * (np.exp(-(((x - 0.28) / 0.15) ** 2)) + np.exp(-(((x - 0.72) / 0.15) ** 2)))
    side, strength = rng.choice((0.28, 0.72)), rng.uniform(0.25, 0.7)
    if label == 1:
        tile = tile + strength * np.exp(-((x - side) ** 2 + (y - rng.uniform(0.2, 0.7)) ** 2) / 0.03)
    elif label == 2:
        tile = tile + strength * (y > rng.uniform(0.65, 0.8)) * (abs(x - side) < 0.25)
    noisy: Tile = np.clip(tile + rng.normal(0, 0.09, tile.shape), 0, 1)
    return noisy.ravel()


def clinical_tile(rng: Random) -> Tile:
    """Draw a tile as the clinic sees them: mostly normal."""
    label = rng.choices(range(len(CLASSES)), MIX)[0]
    return draw_tile(np.random.default_rng(rng.randrange(2**32)), label)


def infer_request(network: Network, model: str, tile: Tile, key: str, study: str, rng: Random) -> Request:
    """One POST to the AI gateway; `study` is the pseudonym of the study, or empty."""
    tensor = {"name": "tile", "shape": [1, SIDE * SIDE], "datatype": "FP32", "data": [round(float(v), 3) for v in tile]}
    headers = {
        "Content-Type": "application/json",
        "X-Api-Key-Id": key,
        "traceparent": f"00-{rng.getrandbits(128):032x}-{rng.getrandbits(64):016x}-01",
    }
    if study:
        headers["X-Study-Hash"] = study
    body = json.dumps({"inputs": [tensor]}, separators=(",", ":"))
    return Request(f"http://{network.fqdn('ai')}/v2/models/{model}/infer", headers, body)


def infer_study(network: Network, host: str, key: str, models: tuple[str, ...], study: Study, rng: Random) -> bool:
    """Ask each model about two or three tiles of one study, as a clinical client does."""
    tiles = [clinical_tile(rng) for _ in range(rng.randint(2, 3))]
    requests = [infer_request(network, model, tile, key, study.hash, rng) for model in models for tile in tiles]
    return fetch(network, host, requests, agent=f"{key}/1.4") == len(requests)
