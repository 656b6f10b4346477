"""nfstream on an interface until SIGTERM, saying each second what it processed: run by the peers' own interpreter."""

from __future__ import annotations

import importlib
import sys

if __name__ == "__main__":
    streamer = importlib.import_module("nfstream").NFStreamer(
        source=sys.argv[1], statistical_analysis=True, n_dissections=20, n_meters=1, performance_report=1
    )
    for _ in streamer:
        pass
