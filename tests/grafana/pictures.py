"""Makes the pictures of docs/grafana.md anew: the sample morning live on a cable, and what was scraped of it, drawn.

    python -m tests.grafana.pictures --pace 4      as root, for the cable; takes 43 minutes divided by the pace

One agent captures, reads the gateway's log and watches a folder of models, one of which is changed during the attacks.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.grafana import site
from tests.grafana.asking import Prometheus, Span
from tests.grafana.dashboards import FOLDER, ROOT, load
from tests.grafana.render import page
from tests.programs import find, free_port

PICTURES = ROOT / "docs" / "pictures"
DRAWN = {"nigrani-soc": 1400, "nigrani-pipeline": 1180, "nigrani-quality": 1180}
"""Dashboard → how much of it is shown, in pixels from the top."""
SCRAPE = 5.0
LEARNT = 24
"""Minutes of the morning that are there to learn from."""
CHANGED = 30 * 60
"""Seconds into the morning at which a model's file is changed."""


def gateway(log: Path, pace: float, stop: threading.Event) -> None:
    """Write the gateway's lines as they came."""
    seconds, micro = struct.unpack_from("<II", (site.MORNING / "capture.pcap").read_bytes(), 24)
    began = time.monotonic()
    for line in site.gateway_lines():
        at = json.loads(line)["msec"] - seconds - micro / 1e6
        if stop.wait(max(began + at / pace - time.monotonic(), 0.0)):
            return
        with log.open("a", encoding="utf-8") as told:
            told.write(site.line_now(line) + "\n")


def tamper(models: Path, pace: float, stop: threading.Event) -> None:
    """Put another model in the place of one."""
    if not stop.wait(CHANGED / pace):
        (models / "chest.onnx").write_bytes(b"another model" * 1000)


def agent_settings(folder: Path, wire: str, port: int, ntp: int) -> Path:
    """Of the sample's site, with what an agent has that runs there."""
    models = folder / "models"
    models.mkdir()
    for name in ("brain", "chest", "triage"):
        (models / f"{name}.onnx").write_bytes(name.encode() * 5000)
    (folder / "gateway.log").touch()
    path = folder / "agent.yaml"
    path.write_text(
        (site.MORNING / "agent.yaml").read_text(encoding="utf-8")
        + f"interfaces: [{wire}]\nmetrics: {{listen: '127.0.0.1:{port}'}}\nclock: {{ntp: '127.0.0.1:{ntp}'}}\nlogs:\n"
        + f"  files:\n    gateway: {{path: {folder / 'gateway.log'}, format: ai-gateway, beginning: true}}\n"
        + f"  folders:\n    models: {{path: {models}, interval: 20}}\n",
        encoding="utf-8",
    )
    return path


def play(folder: Path, far: str, pace: float) -> None:
    """The whole morning, all its sources together."""
    stop = threading.Event()
    others = [
        threading.Thread(target=gateway, args=(folder / "gateway.log", pace, stop)),
        threading.Thread(target=tamper, args=(folder / "models", pace, stop)),
    ]
    for one in others:
        one.start()
    try:
        site.play(site.MORNING / "capture.pcap", far, pace, stop)
    finally:
        stop.set()
        for one in others:
            one.join()


def draw(prometheus: Prometheus, since: float, folder: Path) -> None:
    """Each dashboard as a picture."""
    chromium, reason = find("chromium")
    if not chromium:
        raise SystemExit(f"no chromium: {reason}")
    PICTURES.mkdir(exist_ok=True)
    for uid, high in DRAWN.items():
        html, picture = folder / f"{uid}.html", PICTURES / f"{re.sub('^nigrani', 'grafana', uid)}.png"
        now = time.time()
        html.write_text(page(load(FOLDER / f"{uid}.json"), prometheus, Span(since, now, scrape=SCRAPE)), encoding="utf-8")
        command = [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--window-size=1432,{high}",
        ]
        subprocess.run([*command, f"--screenshot={picture}", html.as_uri()], check=True, timeout=60, capture_output=True)


def main() -> int:
    """Play, wait for the last minutes to be judged, work on two cases, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pace", type=float, default=4.0, help="times as fast as the morning was")
    pace = parser.parse_args().pace
    program, reason = find("prometheus")
    if not program:
        raise SystemExit(f"no prometheus: {reason}")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        ports = {"nigrani-detector": free_port(), "nigrani-agent": free_port()}
        prometheus = stack.enter_context(site.prometheus(program, folder, ports, SCRAPE))
        near, far = stack.enter_context(site.wire(f"ngr{os.getpid()}"))
        settings = agent_settings(folder, near, ports["nigrani-agent"], stack.enter_context(site.time_server()))
        words: list[str | Path] = [
            "up",
            "--agent-config",
            settings,
            "--config",
            site.MORNING / "detector.yaml",
            "--set",
            "page.listen=''",
        ]
        words += ["--set", f"metrics.listen=127.0.0.1:{ports['nigrani-detector']}"]
        words += ["--set", f"baseline.learn_minutes={round(LEARNT / pace)}"]
        log = folder / "up.log"
        up = stack.enter_context(site.ended(site.nigrani(folder / "state", *words, log=log)))
        site.until(lambda: len(prometheus.now("up == 1")) == len(ports), 60, log, up)
        since = time.time()
        play(folder, far, pace)
        time.sleep(180)  # a minute is judged about two minutes after it
        site.work(folder / "state")
        time.sleep(4 * SCRAPE)
        draw(prometheus, since, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
