"""The JSON access log of a gateway in front of an inference server, one line a request.

The fields are those of the template in `config/nginx-ai-gateway.conf`: who asked which path, sizes, times, and what the
optional tap beside the server tells of the input and the answer. No line holds a payload.
"""

from __future__ import annotations

import re

import msgspec

from agent.log import json_line
from agent.logs.clock import LAST
from agent.logs.paths import INFERENCES, METHODS, tell
from agent.protocol import Fact

_HOST = re.compile(r"\[?([0-9A-Fa-f:.]+?)\]?:(\d{1,5})")


class _Line(msgspec.Struct):
    msec: float
    client: str
    uri: str
    method: str = ""
    status: int = 0
    cn: str = ""
    key: str = ""
    req_bytes: int = 0
    resp_bytes: int = 0
    dur: float | str = 0.0
    up: str = ""
    study: str = ""
    sk: str = ""
    c1: str = ""
    ent: str = ""


_read = json_line(_Line)


class Gateway:
    """The gateway's access log."""

    name = "ai-gateway"
    framing = "lines"

    def parse(self, line: bytes, _arrival: int = 0, /) -> Fact:
        """One request. Raises ValueError for a line of another shape or with a time outside 1970–2106."""
        entry = _read(line)
        if not 0 < entry.msec < LAST:
            raise ValueError("no time of day")
        request = tell(entry.method, entry.uri)
        fields: dict[str, object] = {
            "source": entry.client[:64],
            "user": (entry.cn or entry.key)[:256],
            "server": request.server,
            "model": request.model,
            "action": request.action,
            "status": entry.status,
        }
        dataset = "ai.inference" if request.action in INFERENCES else "ai.model_access"
        fields.update(_inference(entry) if dataset == "ai.inference" else {"provider": self.name, "place": request.place})
        upstream = _HOST.fullmatch(entry.up)
        if upstream:
            fields["destination"] = upstream[1]
            fields["destination_port"] = min(int(upstream[2]), 65_535)
        return Fact(dataset, int(entry.msec * 1_000_000 + 0.5), fields, None)


def _inference(entry: _Line) -> dict[str, object]:
    """What only an inference has: sizes, and what the tap tells of its input and its answer."""
    duration = entry.dur if isinstance(entry.dur, float) else 0.0
    return {
        "method": entry.method if entry.method in METHODS else "other",
        "request_bytes": entry.req_bytes,
        "response_bytes": entry.resp_bytes,
        "duration": int(duration * 1e9) if 0 <= duration < 1e6 else 0,
        "study": entry.study[:256],
        "sketch": tuple(part for part in entry.sk[:512].split(",") if part),
        "confidence": _share(entry.c1),
        "entropy": _share(entry.ent),
    }


def _share(text: str) -> float | None:
    """A number of the tap, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 64 else None
