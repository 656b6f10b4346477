"""The JSON access log of a gateway in front of an inference server, one line a request.

The fields are those of the template in `config/nginx-ai-gateway.conf`: who asked which path, sizes, times, and what the
optional tap beside the server tells of the input and the answer. No line holds a payload.
"""

from __future__ import annotations

import re

import msgspec

from agent.protocol import Fact

PATHS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"/v2/models/([^/]+)(?:/versions/[^/]+)?/infer"), "triton", "predict"),
    (re.compile(r"/v2/repository/models/([^/]+)/(?:load|unload)"), "triton", "admin"),
    (re.compile(r"/v[12]/models/([^/:]+):(?:predict|explain)"), "kserve", "predict"),
    (re.compile(r"/predictions/([^/]+)(?:/[^/]+)?"), "torchserve", "predict"),
    (re.compile(r"/infer/([^/]+)"), "monai", "predict"),
    (re.compile(r"/v1/(?:chat/)?completions()"), "openai", "chat"),
    (re.compile(r"/v1/embeddings()"), "openai", "embed"),
    (re.compile(r"/api/(?:generate|chat)()"), "ollama", "chat"),
    (re.compile(r"/api/(?:embed|embeddings)()"), "ollama", "embed"),
    (re.compile(r"/api/(?:pull|push|delete|create|copy)()"), "ollama", "admin"),
    (re.compile(r"/models(?:/([^/]+))?(?:/.*)?"), "torchserve", "admin"),
)
"""Shape of the path → server and act; the group is the model's name."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})
"""RFC 9110 §9 and RFC 5789; any other word is a client's own invention."""

_MODEL = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
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


_decode = msgspec.json.Decoder(_Line).decode


class Gateway:
    """The gateway's access log."""

    name = "ai-gateway"

    def parse(self, line: bytes) -> Fact:
        """One request. Raises ValueError for a line of another shape or with a time outside 1970–2106."""
        try:
            entry = _decode(line)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if not 0 < entry.msec < 1 << 32:
            raise ValueError(f"no time of day: {entry.msec}")
        server, action, model = _tell(entry.uri[:2048])
        duration = entry.dur if isinstance(entry.dur, float) else 0.0
        fields: dict[str, object] = {
            "source": entry.client[:64],
            "user": (entry.cn or entry.key)[:256],
            "server": server,
            "model": model,
            "action": action,
            "method": entry.method if entry.method in METHODS else "other",
            "status": entry.status,
            "request_bytes": entry.req_bytes,
            "response_bytes": entry.resp_bytes,
            "duration": int(duration * 1e9) if 0 <= duration < 1e6 else 0,
            "study": entry.study[:256],
            "sketch": tuple(part for part in entry.sk[:512].split(",") if part),
            "confidence": _share(entry.c1),
            "entropy": _share(entry.ent),
        }
        upstream = _HOST.fullmatch(entry.up)
        if upstream:
            fields["destination"] = upstream[1]
            fields["destination_port"] = min(int(upstream[2]), 65_535)
        return Fact("ai.inference", int(entry.msec * 1_000_000 + 0.5), fields, None)


def _tell(uri: str) -> tuple[str, str, str]:
    """(server, action, model) from the path, whatever stands before it."""
    path = uri.partition("?")[0]
    for shape, server, action in PATHS:
        found = shape.search(path)
        if found and found.end() == len(path):
            model = found[1] or ""
            return server, action, model if _MODEL.fullmatch(model) or not model else "other"
    return "", "other", ""


def _share(text: str) -> float | None:
    """A number of the tap, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 64 else None
