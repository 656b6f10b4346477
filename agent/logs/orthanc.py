"""Orthanc's own log, in glog's shape: `I0604 17:50:45.123456 DICOM-0 CommandDispatcher.cpp:334] (dicom) message`.

It has neither year nor zone, newer releases add the thread's name, and at the default level only refusals are there;
`--verbose` tells each association and each request. What a request asked for is not in it (`*** POTENTIAL PHI ***`), and
its HTTP lines have no client. Source: Orthanc `OrthancFramework/Sources/Logging.cpp`, `CommandDispatcher.cpp`,
`OrthancServer/Sources/main.cpp`, `HttpServer.cpp`.
"""

from __future__ import annotations

import re
from datetime import tzinfo

from agent.logs.clock import yearless
from agent.protocol import Fact

_LINE = re.compile(
    r"(?P<level>[EWIT])(?P<month>\d\d)(?P<day>\d\d) (?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)\.(?P<micro>\d{1,6})"
    r"\s{1,32}(?:(?P<thread>[^\s\]]{1,64})\s{1,32})?(?P<file>[\w.]{1,64}):\d{1,6}\] (?:\(\w{1,32}\) )?(?P<message>.*)",
    re.ASCII | re.DOTALL,
)
_AE = r"(?P<calling>.{0,16}?)"
_HOST = r"(?P<ip>[0-9A-Fa-f.:]{2,45})"

_REFUSED = (
    r'Rejected (?P<verb>\w{1,16}) request from remote DICOM modality with AET "(?P<calling>[^"]{0,16})" '
    rf'and hostname "{_HOST}"'
)
_OPENING = (
    r'Opening a DICOM SCU connection (?:\w+ DICOM TLS )?from AET "(?P<calling>[^"]{0,16})" to AET "(?P<called>[^"]{0,16})" '
    r"on host (?P<to>[0-9A-Fa-f.:]{2,45}?):\d{1,5} .*"
)

_MESSAGES: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(shape), action, outcome)
    for shape, action, outcome in (
        (rf"Association Received from AET {_AE} on IP {_HOST}", "associate", ""),
        (rf"Association Release with AET {_AE} on IP {_HOST}", "release", ""),
        (rf"Association Aborted with AET {_AE} on IP {_HOST}", "abort", ""),
        (rf"Incoming Echo request from AET {_AE} on IP {_HOST}, calling AET (?P<called>.{{1,16}})", "echo", ""),
        (rf"Incoming Store request from AET {_AE} on IP {_HOST}, calling AET (?P<called>.{{1,16}})", "store", ""),
        (rf"Incoming Find request from AET {_AE} on IP {_HOST}, calling AET (?P<called>.{{1,16}})", "query", ""),
        (rf"Incoming Worklist request from AET {_AE} on IP {_HOST}, calling AET (?P<called>.{{1,16}})", "worklist", ""),
        (rf"Incoming Get request from AET {_AE} on IP {_HOST}, calling AET (?P<called>.{{1,16}})", "retrieve", ""),
        (r'Move-SCU request received for AET "(?P<moved>[^"]{0,16})"', "move", ""),
        (r"Rejected association, because of a bad called AET in the request \((?P<called>.{0,16})\)", "reject", "failure"),
        (rf"Rejected association for remote AET {_AE} on IP {_HOST}", "reject", "failure"),
        (rf"DICOM authorization rejected +for AET {_AE} on IP {_HOST}\b.*", "reject", "failure"),
        (_REFUSED, "refuse", "failure"),
        (_OPENING, "connect", ""),
        (r"Receiving Association failed: .*", "malformed", "failure"),
        (r"Exception while storing DICOM: .*", "store", "failure"),
        (r"Orthanc version: \S{1,32}", "start", ""),
        (r"Orthanc is stopping", "stop", ""),
    )
)
"""Shape of the message → act and outcome. `Incoming connection` says once more what `Association Received` has said."""

_VERBS = {"Move": "move", "Find": "query", "Get": "retrieve", "Store": "store", "Echo": "echo", "Worklist": "worklist"}
_HTTP = re.compile(r"(?P<method>GET|POST|PUT|DELETE|PATCH) (?P<path>/\S{0,2048})")
_PATHS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(shape), action)
    for shape, action in (
        (r"(?:GET|POST) /(?:\w+/[^/]+|tools)/(?:archive|media|create-archive|create-media)\b.*", "export"),
        (r"POST /(?:modalities|peers)/[^/]+/store\b.*", "export"),
        (r"POST /modalities/[^/]+/move\b.*", "move"),
        (r"DELETE /(?:patients|studies|series|instances)/.*", "delete"),
        (r"POST /tools/bulk-delete\b.*", "delete"),
        (r"POST /instances\b.*", "import"),
        (r"POST /(?:modalities/[^/]+/query|tools/find)\b.*", "query"),
        (r"(?:GET|POST) /(?:patients|studies|series|instances)/.+", "access"),
        (r"(?:PUT|POST) /tools/(?:log-level|execute-script|reset|shutdown)\b.*", "config"),
        (r"(?:PUT|DELETE) /(?:modalities|peers)/.+", "config"),
    )
)
"""Shape of an HTTP line → act; others, such as polling `/changes`, tell nothing."""


class Orthanc:
    """One line, one act, or nothing told."""

    name = "orthanc"
    framing = "lines"

    def __init__(self, zone: tzinfo | None = None) -> None:
        """zone: of the host that wrote the log; None for this host's."""
        self._zone = zone

    def parse(self, line: bytes, arrival: int = 0, /) -> Fact | None:
        """The act; None for a line that tells none. Raises ValueError for a line of another shape."""
        found = _LINE.match(line.decode("utf-8", "replace"))
        if found is None:
            raise ValueError("no line of Orthanc's log")
        clock = (int(found["hour"]), int(found["minute"]), int(found["second"]), int(found["micro"].ljust(6, "0")))
        when = yearless(int(found["month"]), int(found["day"]), clock, self._zone, arrival)
        message = found["message"].rstrip()
        fields = _http(message) if found["file"] == "HttpServer.cpp" else _dicom(message)
        return Fact("dicom.audit", when, {"provider": self.name, **fields}, None) if fields else None


def _http(message: str) -> dict[str, object]:
    request = _HTTP.fullmatch(message)
    if request is None:
        return {}
    line = f"{request['method']} {request['path']}"
    action = next((action for shape, action in _PATHS if shape.fullmatch(line)), "")
    return {"action": action} if action else {}


def _dicom(message: str) -> dict[str, object]:
    for shape, action, outcome in _MESSAGES:
        found = shape.fullmatch(message)
        if found is None:
            continue
        parts = found.groupdict()
        named = {"source": "ip", "destination": "to", "calling_ae": "calling", "called_ae": "called"}
        fields: dict[str, object] = {field: parts[part] for field, part in named.items() if parts.get(part)}
        if parts.get("moved"):
            fields["move_destination"] = parts["moved"]
        verb = parts.get("verb")
        return {"action": _VERBS.get(verb, "refuse") if verb else action, "outcome": outcome, **fields}
    return {}
