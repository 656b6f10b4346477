"""What the benchmark measures of nigrani in a fresh process: `python -m bench.own TASK FILE`; counts as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from agent.protocol import Parser

ROWS = 20_000
"""Flow records that the models are compared on."""
BATCH = 500


Identify = Callable[[str, bytes, int, int], "Parser | None"]


def meter(path: Path) -> dict[str, Any]:
    """Packets to drained and counted flow records and facts."""
    from agent.protocols import identify  # noqa: PLC0415 - a process loads what it measures, and nothing else

    return _meter(path, identify)


def bare_meter(path: Path) -> dict[str, Any]:
    """The same without protocol parsers."""
    return _meter(path, lambda *_: None)


def _meter(path: Path, identify: Identify) -> dict[str, Any]:
    import agent.meter  # noqa: PLC0415 - as above
    from agent.capture import forever, open_capture  # noqa: PLC0415 - as above
    from agent.flow import FlowRecord  # noqa: PLC0415 - as above

    capture = open_capture(path)
    if capture is None:
        raise SystemExit(f"{path}: no capture")
    one = agent.meter.Meter(identify)
    packets = size = records = facts = 0
    flows: set[int] = set()

    def drain() -> None:
        nonlocal packets, size, records, facts
        for item in one.drain():
            if isinstance(item, FlowRecord):
                records += 1
                flows.add(item.ends.number)
                packets += item.source[0] + item.destination[0]
                size += item.source[1] + item.destination[1]
            else:
                facts += 1

    for _ in capture.read(one, forever):
        drain()
    one.close()
    drain()
    return {
        "packets": packets,
        "ip_bytes": size,
        "flows": len(flows),
        "records": records,
        "facts": facts,
        "compiled": not str(agent.meter.__file__).endswith(".py"),
    }


def decode(path: Path) -> dict[str, Any]:
    """Lines to typed events."""
    from nigrani.stream.codec import decode as one  # noqa: PLC0415 - as above

    count = 0
    with path.open("rb") as file:
        for line in file:
            one(line)
            count += 1
    return {"events": count}


def spool(path: Path) -> dict[str, Any]:
    """Events published to a spool in batches of 500, then read back: events a CPU second of each, start-up left out."""
    from tempfile import TemporaryDirectory  # noqa: PLC0415 - as above

    from nigrani.stream.spool import Spool, SpoolReader  # noqa: PLC0415 - as above

    lines = path.read_bytes().splitlines(keepends=True)
    batches = [lines[at : at + BATCH] for at in range(0, len(lines), BATCH)]
    joined = [(b"".join(batch), len(batch)) for batch in batches]
    with TemporaryDirectory(dir=path.parent) as folder:
        start = time.process_time()
        writer = Spool.open(folder, max_bytes=1 << 30)
        for batch, count in joined:
            writer.publish(batch, count)
        writer.close()
        middle = time.process_time()
        reader = SpoolReader(folder, "bench")
        read = 0
        while found := reader.poll(64):
            read += sum(batch.count for batch in found)
            reader.commit(found[-1].offset + 1)
        reader.close()
        end = time.process_time()
    return {
        "events": read,
        "published_per_cpu_s": round(len(lines) / (middle - start)),
        "read_per_cpu_s": round(read / (end - middle)),
    }


def models(path: Path) -> dict[str, Any]:
    """Rows a CPU second of PyOD's isolation forest, of the same forest frozen, and of the whole ensemble."""
    import numpy as np  # noqa: PLC0415 - as above
    from pyod.models.iforest import IForest as PyodForest  # noqa: PLC0415 - as above

    from detector.model import Ensemble  # noqa: PLC0415 - as above
    from detector.models.iforest import ROWS_A_TREE, TREES, IForest  # noqa: PLC0415 - as above

    rows = _flow_rows(path)
    forest = PyodForest(n_estimators=TREES, max_samples=min(ROWS_A_TREE, len(rows)), random_state=7)
    forest.fit(rows)
    frozen = IForest.from_pyod(forest, rows.shape[1])
    ensemble = Ensemble.fit(rows[::2], rows[1::2], 7)
    rates = {}
    for name, score in (
        ("PyOD IForest", forest.decision_function),
        ("the same forest, frozen", frozen.score),
        ("nigrani's ensemble, frozen", ensemble.score),
    ):
        rates[name] = {str(size): round(_rate(score, rows, size)) for size in (1, 512)}
    difference = float(np.abs(forest.decision_function(rows) - frozen.score(rows)).max())
    return {"rows": len(rows), "rates": rates, "largest_difference": difference}


def _flow_rows(path: Path) -> NDArray[np.float64]:
    from detector.features import flow_matrix, flow_row  # noqa: PLC0415 - as above
    from nigrani.stream.codec import decode as one  # noqa: PLC0415 - as above
    from nigrani.stream.events import NetworkFlow  # noqa: PLC0415 - as above

    def rows() -> Iterator[tuple[float, ...]]:
        with path.open("rb") as file:
            for line in file:
                event = one(line)
                if isinstance(event, NetworkFlow):
                    yield flow_row(event, ())

    return flow_matrix([row for _, row in zip(range(ROWS), rows(), strict=False)])


def _rate(score: Callable[[NDArray[np.float64]], object], rows: NDArray[np.float64], size: int) -> float:
    """Rows a CPU second in batches of this size, over at least half a second."""
    score(rows[:size])
    done = 0
    start = time.process_time()
    while (spent := time.process_time() - start) < 0.5:
        at = done % (len(rows) - size)
        score(rows[at : at + size])
        done += size
    return done / spent


TASKS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "meter": meter,
    "bare-meter": bare_meter,
    "decode": decode,
    "spool": spool,
    "models": models,
}

if __name__ == "__main__":
    print(json.dumps(TASKS[sys.argv[1]](Path(sys.argv[2]))))
