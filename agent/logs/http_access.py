r"""The access lines of inference servers: TorchServe, uvicorn (KServe, vLLM, MONAI Label) and gin (Ollama).

Each server writes its own; a request's line is the only one told of. Two kinds of line are a finding by themselves: a
server that writes what its clients asked into its log (vLLM's `--enable-log-requests`, Ollama's debug log) holds patient
data there, which is told as `log-content` without a word of it.

Sources: TorchServe `docs/logging.md`; uvicorn `AccessFormatter`, which percent-encodes the path again (`cxr%3Apredict`);
KServe's and MONAI Label's own log formats around it; gin `LoggerWithConfig`. Only gin and TorchServe tell how long the
request took, and vLLM's lines have no time: the arrival is taken.
"""

from __future__ import annotations

import re
from datetime import tzinfo

from agent.logs.clock import now, read_moment
from agent.logs.paths import INFERENCES, MAX_URI, METHODS, tell
from agent.protocol import Fact

_ADDRESS = r"(?P<ip>[0-9A-Fa-f.:]{2,45}):(?P<port>\d{1,5})"
_REQUEST = r'"(?P<method>[A-Za-z]{1,32}) (?P<uri>\S+) HTTP/[\d.]{1,8}"'

_TORCHSERVE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d[T ][\d:,.]{8,15})(?: \[\w{1,8}\s*\] \S{1,99} ACCESS_LOG)? - "
    rf"/?{_ADDRESS} {_REQUEST} (?P<status>\d{{3}}) (?P<ms>\d{{1,12}})"
)
_GIN = re.compile(
    r"\[GIN\] (?P<time>\d{4}/\d\d/\d\d - \d\d:\d\d:\d\d) \|\s*(?P<status>\d{3}) \|\s*(?P<took>[\d.a-zµ]{1,24}) \|"
    r'\s*(?P<ip>[0-9A-Fa-f.:]{2,45}) \|\s*(?P<method>[A-Za-z]{1,32})\s+"(?P<uri>[^"\s]*)'
)
_UVICORN = re.compile(
    r"(?P<lead>[^\"]{0,200}?)(?:(?<![0-9A-Fa-f.:])" + _ADDRESS + rf")? ?(?:\d{{1,10}} )?- {_REQUEST} (?P<status>\d{{3}})\b"
)
_TIME = re.compile(r"\[?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,6})?)")
_COLOUR = re.compile(r"\x1b\[[0-9;]{0,16}m")
_CONTENT = re.compile(
    r'(?P<vllm>[^"\']{0,160}Received request [^ ]{1,128}: prompt: )'
    r'|(?P<ollama>(?:time=\S{1,40} )?level=\S{1,12} source=\S{1,64} msg="(?:chat|generate) request".{0,200} prompt=)'
)
_NOISE = re.compile(
    r"(?:\([^()]{1,64}\) )?(?:INFO|WARNING|ERROR|DEBUG|TRACE|CRITICAL)[ :]|\[GIN-debug\]|time=\S{1,40} level=\w"
    r"|\[?\d{4}[-/]\d\d[-/]\d\d[ T]"
)
_DURATION = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,12}(?:\.\d{0,12})?)(ns|µs|us|ms|s))?")
_UNITS = {"ns": 1, "µs": 1_000, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


class HttpAccess:
    """The four shapes, told apart line by line."""

    name = "ai-http-access"
    framing = "lines"

    def __init__(self, zone: tzinfo | None = None) -> None:
        """zone: of servers that do not tell theirs, which are all four."""
        self._zone = zone

    def parse(self, line: bytes, arrival: int = 0, /) -> Fact | None:
        """One request; None for another line of such a server. Raises ValueError for a line of none."""
        text = _COLOUR.sub("", line.decode("utf-8", "replace"))
        arrival = arrival or now()
        content = _CONTENT.match(text)
        if content:
            server = "ollama" if content["ollama"] else "openai"
            return _access(self._time(text, arrival), {"action": "log-content", "server": server})
        found = _TORCHSERVE.match(text)
        if found:
            return self._fact(found, read_moment(found["time"], self._zone, arrival), int(found["ms"]) * 1_000_000)
        found = _GIN.match(text)
        if found:
            return self._fact(found, read_moment(found["time"], self._zone, arrival), nanoseconds(found["took"]))
        found = _UVICORN.match(text)
        if found:
            return self._fact(found, self._time(text, arrival), 0)
        if _NOISE.match(text):
            return None
        raise ValueError("no access line of a known server")

    def _time(self, text: str, arrival: int) -> int:
        found = _TIME.match(text)
        return read_moment(found[1], self._zone, arrival) if found else arrival

    @staticmethod
    def _fact(found: re.Match[str], when: int, duration: int) -> Fact:
        method = found["method"] if found["method"] in METHODS else "other"
        request = tell(method, found["uri"][:MAX_URI])
        fields: dict[str, object] = {
            "source": found["ip"] or "",
            "server": request.server,
            "model": request.model,
            "action": request.action,
            "status": int(found["status"]),
        }
        if request.action in INFERENCES:
            return Fact("ai.inference", when, {**fields, "method": method, "duration": duration}, None)
        return _access(when, {**fields, "place": request.place})


def _access(when: int, fields: dict[str, object]) -> Fact:
    return Fact("ai.model_access", when, {**fields, "provider": HttpAccess.name}, None)


def nanoseconds(text: str) -> int:
    """Go's `time.Duration` as gin prints it: `1.3560275s`, `512.345µs`, `1m2.5s`, `0s`; 0 for anything else."""
    found = _DURATION.fullmatch(text)
    if found is None:
        return 0
    hours, minutes, amount, unit = found.groups()
    rest = int(float(amount) * _UNITS[unit] + 0.5) if amount else 0
    return int(hours or 0) * 3_600_000_000_000 + int(minutes or 0) * 60_000_000_000 + rest
