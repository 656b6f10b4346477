# cython: language_level=3, annotation_typing=False
"""HTTP/1.x (RFC 9110, RFC 9112) and FHIR in it: what was asked, how it was answered; never a path, a query or a body.

A head is held until it is whole, 4 KB of it at most; bodies are passed over by their declared length, chunk by chunk
where they are chunked. Requests wait in order for their responses, and each pair is told once; a request that is still
unanswered when the minute is cut is told without a status.
"""

from __future__ import annotations

from functools import lru_cache

from agent.protocol import DONE, Fact, Octets, Parser
from agent.protocols.fhir import SURE, Interaction, interaction

_KEPT_HEAD = 4096
_KEPT_LINES = 100
_KEPT_VALUE = 256
_KEPT_VALUES = 256
_KEPT_KINDS = 16
_WAITING = 32
"""Requests that may wait for a response; one more, and all are told as unanswered."""
_STRAYS = 8
"""Segments that may begin with no head, once bytes have contradicted the protocol, before the parser gives up."""

METHODS = {
    name.encode(): name
    for name in (
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY", "PROPFIND",
        "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "SEARCH", "REPORT",
    )
}  # fmt: skip
"""Methods told by name (RFC 9110 §9, RFC 5789, RFC 4918, RFC 5323, RFC 3253)."""
SCHEMES = {
    name.encode(): name
    for name in (
        "basic", "bearer", "digest", "negotiate", "ntlm", "dpop", "hoba", "mutual", "vapid", "aws4-hmac-sha256",
    )
}  # fmt: skip
"""Authentication schemes told by name (IANA HTTP Authentication Scheme Registry)."""

_Kind = tuple[Interaction | str, str, int, str, str]
"""Interaction or media type, method, status, authorization and client: the fields of a fact."""
_HEAD, _CHUNK, _TRAILER = range(3)
_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PRINTABLE = bytes(range(0x20, 0x7F))
_HEXADECIMAL = b"0123456789abcdefABCDEF"


class Head:
    """A request's or a response's head, as far as it is of interest; `status` is 0 for a request."""

    __slots__ = (
        "authorization", "chunked", "client", "fhir", "interaction", "length", "media", "method", "status", "told",
    )  # fmt: skip

    def __init__(self) -> None:
        self.method = ""
        self.interaction: Interaction | None = None
        self.status = 0
        self.length = -1
        """Content-Length, or -1."""
        self.chunked = False
        self.media = ""
        self.fhir = False
        """Whether a media type names FHIR."""
        self.authorization = ""
        self.client = ""
        self.told = False
        """Whether it was told as unanswered already."""


def starts(payload: bytes) -> bool:
    """Whether a segment begins with a request line or a status line (RFC 9112 §3, §4)."""
    if payload.startswith(b"HTTP/1."):
        return payload[7:9] in (b"0 ", b"1 ") and payload[9:12].isdigit()
    method, space, target = payload[:32].partition(b" ")
    if not space or method not in METHODS:
        return False
    end = payload.find(b"\n")
    if end >= 0:
        return payload[:end].rstrip(b"\r")[-9:-1] == b" HTTP/1."
    return target.startswith((b"/", b"http://", b"https://")) and not payload[:64].translate(None, _PRINTABLE)


@lru_cache(_KEPT_VALUES)
def media_type(value: bytes) -> str:
    """Clean a Content-Type; of multipart/related, which carries DICOMweb, the type inside (RFC 2387, PS3.18 §8.7.1)."""
    main, _, parameters = value.lower().partition(b";")
    main = main.strip()
    if main == b"multipart/related" and b"type=" in parameters:
        main = parameters.partition(b"type=")[2].partition(b";")[0].strip(b' "') or main
    if len(main) > 64 or main.translate(None, _TOKEN) != b"/":
        return "other"
    return main.decode("ascii")


@lru_cache(_KEPT_VALUES)
def product(value: bytes) -> str:
    """Clean a User-Agent: its first product, without version or comment (RFC 9110 §10.1.5)."""
    name = value.partition(b"/")[0].partition(b" ")[0]
    return "other" if len(name) > 32 or name.strip(_TOKEN) else name.decode("ascii")


def read_head(head: Head, lines: list[bytes]) -> int:
    """Read lines up to the empty one that ends a head, and return its length; 0 where it does not end.

    The last of the lines may be cut. Raises ValueError where the first is neither a request line nor a status line.
    """
    length = 0
    left = len(lines)
    for line in lines:
        size = len(line)
        left -= 1
        if length == 0:
            _start_line(head, line.rstrip(b"\r"), left > 0)
        elif left == 0:
            break
        elif size <= 1 and (size == 0 or line[0] == 0x0D):
            return length + size + 1
        else:
            letter = line[0] | 0x20
            colon = 0
            if letter == 0x63:  # c: content-length, content-type
                colon = 14 if size > 14 and line[14] == 0x3A else 12
            elif letter == 0x61:  # a: accept, authorization
                colon = 6 if size > 6 and line[6] == 0x3A else 13
            elif letter == 0x75:  # u: user-agent
                colon = 10
            elif letter == 0x74:  # t: transfer-encoding
                colon = 17
            if 0 < colon < size and line[colon] == 0x3A:
                _field(head, Octets.part(line, 0, colon).lower(), Octets.part(line, colon + 1, colon + _KEPT_VALUE).strip())
        length += size + 1
    return 0


def _start_line(head: Head, line: bytes, whole: bool) -> None:
    if line.startswith(b"HTTP/1."):
        if not line[9:12].isdigit() or line[9:10] == b"0":
            raise ValueError("not a status")
        head.status = int(line[9:12])
        return
    method, _, rest = line.partition(b" ")
    target, _, protocol = rest.rpartition(b" ")
    if not protocol.startswith(b"HTTP/1."):
        if whole:
            raise ValueError("neither a request line nor a status line")
        target = rest
    head.method = METHODS.get(method, "")
    if not head.method:
        head.method = "other"
        if not whole or not method or len(method) > 24 or method.strip(_TOKEN):
            raise ValueError("not a method")
    head.interaction = interaction(method, target)


def _field(head: Head, name: bytes, value: bytes) -> None:
    """Take one header field, if it is of interest."""
    if name == b"content-length":
        if not value.isdigit() or len(value) > 15 or head.length not in {-1, int(value)}:
            raise ValueError("not a Content-Length, or two that differ")
        head.length = int(value)
    elif name == b"content-type":
        head.media = media_type(value)
        head.fhir = head.fhir or "fhir" in head.media
    elif name == b"accept":
        head.fhir = head.fhir or b"fhir" in value.lower()
    elif name == b"user-agent":
        head.client = product(value)
    elif name == b"authorization":
        head.authorization = SCHEMES.get(value.partition(b" ")[0].lower(), "other")
    elif name == b"transfer-encoding":
        head.chunked = value.lower().endswith(b"chunked")


class _Side:
    """One direction's stream."""

    __slots__ = ("held", "lost", "proven", "state", "strays")

    def __init__(self) -> None:
        self.held = b""
        self.state = _HEAD
        self.proven = False
        self.lost = False
        self.strays = 0

    def lose(self, strays: int = 0) -> None:
        """Wait for a segment that begins with a head: as long as it takes, or for this many that do not."""
        self.held = b""
        self.state = _HEAD
        self.lost = True
        self.strays = strays

    def is_found(self, payload: bytes) -> bool:
        """Whether the segment begins with a head at last."""
        self.lost = not starts(payload)
        if self.lost and self.strays:
            self.strays -= 1
            if not self.strays:
                raise ValueError("no head in sight")
        return not self.lost


class Http(Parser):
    """One connection; its name becomes `fhir` once an interaction was seen."""

    __slots__ = ("__dict__", "_client", "_done", "_kinds", "_sides", "_unanswered", "_waiting", "_when")

    name = "http"
    first_bytes = bytes({method[0] for method in METHODS} | {0x48})  # H: a status line

    def __init__(self) -> None:
        self._begin()
        self._sides = (_Side(), _Side())
        self._waiting: list[Head] = []
        self._client = -1
        """The direction that requests go in, once it is known."""
        self._unanswered = False
        """What waits may wait for ever: the next responses may belong to others."""
        self._done = False
        self._when = 0
        self._kinds: dict[_Kind, dict[str, object]] = {}

    @staticmethod
    def looks_like(payload: bytes, source_port: int, destination_port: int) -> bool:
        """By content alone, on any port."""
        del source_port, destination_port
        return starts(payload)

    def data(self, direction: int, payload: bytes, length: int, when: int) -> int:
        """See `Parser.data`."""
        position = 0
        captured = len(payload)
        side = self._sides[direction]
        self._when = when
        if self._unanswered:
            self._tell_unanswered()
        if side.lost and not side.is_found(payload):
            return 0
        try:
            while position < captured and not side.lost:
                if side.state == _HEAD:
                    position = self._head(direction, side, payload, position, length)
                    if position < 0:
                        self._lose(side)
                else:
                    position = _walk_chunk(side, payload, position)
        except ValueError:
            self._lose(side)
        if self._done:
            return DONE
        if position < length and not side.lost:
            side.lose()
        return 0 if side.lost else position - length

    def _lose(self, side: _Side) -> None:
        """Bytes have contradicted the protocol."""
        side.lose(_STRAYS if side.proven else 0)
        self._unanswered = True

    def gap(self, direction: int) -> None:
        """See `Parser.gap`."""
        side = self._sides[direction]
        side.lose()
        self._unanswered = self._unanswered or direction != self._client

    def cut(self) -> list[Fact]:
        """See `Parser.cut`; requests that wait are told as unanswered, for the connection may be over."""
        fresh, self.fresh = self.fresh, []
        for request in self._waiting:
            if not request.told:
                self._tell(request, None)
                request.told = True
        late, self.fresh = self.fresh, fresh
        return late + Parser.cut(self)

    def _head(self, direction: int, side: _Side, payload: bytes, position: int, length: int) -> int:
        """Take bytes of a head; where the next head or chunk begins, if it is whole; −1 where no head begins so."""
        if not side.held:
            while position < len(payload) and payload[position] in b"\r\n":
                position += 1
            if position == len(payload):
                return position
            if not 0x41 <= payload[position] & 0xDF <= 0x5A:
                return -1
        data = side.held + Octets.part(payload, position, position + _KEPT_HEAD - len(side.held))
        lines = data.split(b"\n", _KEPT_LINES)
        cut = len(payload) < length or len(data) == _KEPT_HEAD or len(lines) > _KEPT_LINES
        if cut or len(lines) > 1:
            head = Head()
            end = read_head(head, lines)
            if end:
                position += end - len(side.held)
                side.held = b""
                return position + self._take(direction, side, head, whole=True)
            if cut:
                self._take(direction, side, head, whole=False)
                side.lose()
                return len(payload)
        side.held = data
        return len(payload)

    def _take(self, direction: int, side: _Side, head: Head, whole: bool) -> int:
        """Take a head; the length of the body to pass over."""
        other = self._sides[1 - direction]
        client = direction if head.status == 0 else 1 - direction
        if self._client not in (client, -1):
            raise ValueError("a request where responses come from, or the reverse")
        self._client = client
        side.proven = True
        if head.status:
            return self._answer(side, head, whole)
        if self._waiting and (other.lost or len(self._waiting) >= _WAITING):
            self._tell_unanswered()
        self._waiting.append(head)
        return _body(side, head)

    def _answer(self, side: _Side, head: Head, whole: bool) -> int:
        """Tell a response with the request it answers; the length of its body (RFC 9112 §6.3)."""
        if head.status < 200 and head.status != 101:
            return 0
        request = self._waiting.pop(0) if self._waiting else None
        self._tell(Head() if request is None or request.told else request, head)
        method = "" if request is None else request.method
        if head.status == 101 or (method == "CONNECT" and head.status < 300):
            self._done = True
        if method == "HEAD" or head.status in (204, 304):
            return 0
        if head.length < 0 and not head.chunked and whole:  # as long as the connection
            self._done = self._done or request is not None
            side.lose()
        return _body(side, head)

    def _tell_unanswered(self) -> None:
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            if not request.told:
                self._tell(request, None)
        self._unanswered = False

    def _tell(self, request: Head, response: Head | None) -> None:
        """Note a request with its response, as an interaction if it is one."""
        key: _Kind
        found = request.interaction
        fhir = request.fhir
        media = request.media
        status = 0
        size = 0
        if response is not None:
            fhir = fhir or response.fhir
            media = media or response.media
            status = response.status
            size = response.length if response.length > 0 and request.method != "HEAD" else 0
        if found is not None and (fhir or found[-1] + (self.name == "fhir") >= SURE):
            self.name = "fhir"
            key = (found, request.method, status, request.authorization, request.client)
            self._note("fhir.interaction", key, {"response_bytes": size} if size else None)
        else:
            key = (media, request.method, status, request.authorization, request.client)
            size += max(request.length, 0)
            self._note("network.session", key, {"size": size} if size else None)

    def _note(self, dataset: str, key: _Kind, sums: dict[str, int] | None) -> None:
        fields = self._kinds.get(key)
        if fields is None:
            fields = _describe(key)
            if len(self._kinds) < _KEPT_KINDS:
                self._kinds[key] = fields
        self.note(dataset, self._when, fields, sums)


def _describe(key: _Kind) -> dict[str, object]:
    """Name the fields of one kind of act; an empty one is left out."""
    fields: dict[str, object]
    subject, method, status, authorization, client = key
    if isinstance(subject, str):
        fields = {
            "protocol": "http",
            "action": method,
            "status": str(status) if status else "",
            "outcome": ("success" if status < 400 else "failure") if status else "",
            "content_type": subject,
        }
    else:
        kind, resource_type, operation, page_size, _ = subject
        fields = {
            "interaction": kind,
            "resource_type": resource_type,
            "operation": operation,
            "page_size": page_size,
            "method": method,
            "status": status,
        }
    fields["authorization"] = authorization
    fields["client"] = client
    return {name: value for name, value in fields.items() if value}


def _body(side: _Side, head: Head) -> int:
    """How many bytes of body to pass over; a chunked one is walked (RFC 9112 §6)."""
    if head.chunked:
        side.state = _CHUNK
        return 0
    return max(head.length, 0)


def _walk_chunk(side: _Side, payload: bytes, position: int) -> int:
    """Take a chunk's size line and pass over the chunk, or take a line of the trailer (RFC 9112 §7.1)."""
    end = payload.find(b"\n", position)
    line = side.held + payload[position : end if end >= 0 else position + _KEPT_HEAD]
    if len(line) >= _KEPT_HEAD:
        raise ValueError("no line of a chunk is as long")
    side.held = b"" if end >= 0 else line
    if end < 0:
        return len(payload)
    if side.state == _TRAILER:
        side.state = _TRAILER if line.strip(b"\r") else _HEAD
        return end + 1
    digits = line.partition(b";")[0].strip()
    if not 1 <= len(digits) <= 8 or digits.strip(_HEXADECIMAL):
        raise ValueError("not a chunk's size")
    size = int(digits, 16)
    if size:
        return end + 1 + size + len(b"\r\n")
    side.state = _TRAILER
    return end + 1
