"""The model server behind the AI gateway: two small scikit-learn models in the KServe v2 protocol.

Besides its answer it sets three headers for the gateway's log: confidence, entropy, and a salted sketch of the input.
"""

from __future__ import annotations

import hashlib

import numpy as np
from sklearn.linear_model import LogisticRegression
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from lab.inference import CLASSES, MIX, SIDE, Tile, draw_tile

SALT = b"synthetic morning"
WINDOW, STEP, KEPT = 24, 6, 8


def train(seed: int, classes: int) -> LogisticRegression:
    """Fit a model to toy tiles; with two classes, everything that is not normal is urgent."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(len(CLASSES), 900, p=MIX)
    tiles = np.stack([draw_tile(rng, int(label)) for label in labels])
    return LogisticRegression(C=0.5, max_iter=400).fit(tiles, np.minimum(labels, classes - 1))


def sketch(tile: Tile) -> str:
    """Keep the smallest salted hashes of quantised windows (Blacklight, USENIX Security 2022).

    Inputs that differ in a few pixels share most of them.
    """
    levels = np.round(np.asarray(tile) * 5).astype(np.uint8).tobytes()
    windows = (levels[start : start + WINDOW] for start in range(0, len(levels) - WINDOW + 1, STEP))
    hashes = {hashlib.blake2b(window, digest_size=8, key=SALT).hexdigest() for window in windows}
    return ",".join(sorted(hashes)[:KEPT])


def create_app() -> Starlette:
    """Train both models and serve them."""
    models = {"chest": train(1, len(CLASSES)), "triage": train(2, 2)}

    async def infer(request: Request) -> JSONResponse:
        model = models.get(request.path_params["name"])
        if model is None:
            return JSONResponse({"error": "unknown model"}, 404)
        data = (await request.json())["inputs"][0]["data"]
        if len(data) != SIDE * SIDE:
            return JSONResponse({"error": f"expected {SIDE * SIDE} values"}, 400)
        tile = np.asarray(data, dtype=float)
        probability = model.predict_proba(tile.reshape(1, -1))[0]
        entropy = float(-(probability * np.log2(probability + 1e-12)).sum())
        output = {
            "name": "probability",
            "shape": [1, len(probability)],
            "datatype": "FP32",
            "data": [round(float(p), 4) for p in probability],
        }
        headers = {
            "X-Nigrani-Conf": f"{probability.max():.4f}",
            "X-Nigrani-Entropy": f"{entropy:.4f}",
            "X-Nigrani-Sketch": sketch(tile),
        }
        return JSONResponse({"model_name": request.path_params["name"], "outputs": [output]}, headers=headers)

    return Starlette(routes=[Route("/v2/models/{name}/infer", infer, methods=["POST"])])
