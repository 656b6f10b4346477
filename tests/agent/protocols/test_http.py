from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.protocol import DONE
from agent.protocols.http import Http
from nigrani.stream.events.fhir import FhirInteraction
from nigrani.stream.events.session import NetworkSession

DATA = Path(__file__).parents[2] / "data"
FIRST_PAYLOADS = [line.split("\t") for line in (DATA / "first_payloads.txt").read_text().splitlines()[1:]]
FIELDS = {
    "fhir.interaction": {field.name for field in msgspec.structs.fields(FhirInteraction)},
    "network.session": {field.name for field in msgspec.structs.fields(NetworkSession)},
}

Segments = list[tuple[int, bytes]]
Facts = list[dict[str, object]]


def feed(parser: Http, segments: Segments, snap: int = 1 << 30) -> Facts:
    """Play the meter: leave out what the parser passes over, and cut what is longer than the snap length."""
    skip = [0, 0]
    for direction, payload in segments:
        shown = payload[skip[direction] :]
        captured = payload[:snap][skip[direction] :]
        skip[direction] = max(skip[direction] - len(payload), 0)
        if captured:
            skip[direction] = parser.data(direction, captured, len(shown), 1)
            if skip[direction] == DONE:
                break
        elif shown:
            parser.gap(direction)
    return facts(parser)


def facts(parser: Http) -> Facts:
    """Everything told, repeats and sums added up, in the order of the first of each kind."""
    counts: Counter[tuple[tuple[str, object], ...]] = Counter()
    sums: Counter[tuple[tuple[str, object], ...]] = Counter()
    for fact in parser.fresh + parser.cut():
        assert FIELDS[fact.dataset].issuperset({*fact.fields, *(fact.sums or {})})
        kind = tuple(fact.fields.items())
        counts[kind] += fact.count
        sums[kind] += sum((fact.sums or {}).values())
    parser.fresh = []
    return [dict(kind, bytes=sums[kind], count=count) for kind, count in counts.items()]


def head(start: str, *fields: str) -> bytes:
    return "\r\n".join([start, *fields, "", ""]).encode("latin-1")


def request(start: str, *fields: str, body: bytes = b"") -> bytes:
    length = [f"Content-Length: {len(body)}"] if body else []
    return head(f"{start} HTTP/1.1", "Host: pacs.example", *fields, *length) + body


def response(status: str, *fields: str, body: bytes = b"") -> bytes:
    return head(f"HTTP/1.1 {status}", "Date: today", *fields, f"Content-Length: {len(body)}") + body


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x;x=1\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nTrailer: x\r\n\r\n"


READ = request("GET /fhir/Patient/123?x=DOE", "Accept: application/fhir+json", "User-Agent: Viewer/2.1 (DOE)")
SEARCH = request(
    "POST /fhir/Observation/_search",
    "authorization: Bearer eyJET0U",
    "Content-Type: application/x-www-form-urlencoded",
    body=b"patient=DOE",
)
INFER = request("POST /v1/infer?name=DOE", "Content-Type: application/dicom", "User-Agent: triage", body=b"DICM" * 1000)
FOUND = response("200 OK", "Content-Type: application/fhir+json; charset=UTF-8", body=b'{"name": "DOE"}' * 50)
MISSING = response("404 Not Found", "content-type: application/fhir+json", body=b"{}")
SCORES = head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + chunked(b'{"DOE": 1}' * 30, b"GET / HTTP/1.1\r\n\r\n")
EXCHANGE: Segments = [(0, READ), (1, FOUND), (0, SEARCH), (1, MISSING), (0, INFER), (1, SCORES), (0, READ), (1, FOUND)]
TOLD: Facts = [
    {
        "interaction": "read",
        "resource_type": "Patient",
        "method": "GET",
        "status": 200,
        "client": "Viewer",
        "bytes": 1500,
        "count": 2,
    },
    {
        "interaction": "search",
        "resource_type": "Observation",
        "method": "POST",
        "status": 404,
        "authorization": "bearer",
        "bytes": 2,
        "count": 1,
    },
    {
        "protocol": "http",
        "action": "POST",
        "status": "200",
        "outcome": "success",
        "content_type": "application/dicom",
        "client": "triage",
        "bytes": 4000,
        "count": 1,
    },
]


def one(*segments: tuple[int, bytes]) -> dict[str, object]:
    (told,) = feed(Http(), list(segments))
    return told


def test_an_exchange_is_told_pair_by_pair() -> None:
    parser = Http()
    assert feed(parser, EXCHANGE) == TOLD
    assert parser.name == "fhir"
    assert Http.name == "http"


def test_no_byte_of_a_path_or_a_body_is_told() -> None:
    assert "DOE" not in repr(feed(Http(), EXCHANGE))


def test_split_at_every_byte() -> None:
    for number, (way, payload) in enumerate(EXCHANGE[:6]):
        for at in range(1, min(len(payload), 700)):
            halves = [(way, payload[:at]), (way, payload[at:])]
            assert feed(Http(), EXCHANGE[:number] + halves + EXCHANGE[number + 1 :]) == TOLD


def test_byte_by_byte() -> None:
    assert feed(Http(), [(way, bytes([byte])) for way, payload in EXCHANGE for byte in payload]) == TOLD


def test_pipelined() -> None:
    requests = b"".join(payload for way, payload in EXCHANGE if way == 0)
    responses = b"".join(payload for way, payload in EXCHANGE if way == 1)
    assert feed(Http(), [(0, requests), (1, responses)]) == TOLD


def test_cut_by_the_snap_length() -> None:
    segments = [(way, payload[at : at + 1448]) for way, payload in EXCHANGE for at in range(0, len(payload), 1448)]
    told = feed(Http(), segments, 200)
    assert [(fact.get("interaction"), fact["status"], fact["count"]) for fact in told] == [
        ("read", 200, 2),
        ("search", 404, 1),
        (None, "200", 1),
    ]
    assert [fact.get("authorization") for fact in told] == [None, "bearer", None]


def test_bodies_are_passed_over() -> None:
    parser = Http()
    assert parser.data(0, INFER[:500], 500, 1) == len(INFER) - 500
    long = head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + b"10000\r\n"
    assert parser.data(1, long + b"x", len(long) + 1, 1) == 0x10000 + 1


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["User-Agent: python-requests/2.31.0"], {"client": "python-requests"}),
        (["user-agent:Mozilla/5.0 (X11; Linux)"], {"client": "Mozilla"}),
        (["User-Agent: <script>/1"], {"client": "other"}),
        (["User-Agent: " + "x" * 300], {"client": "other"}),
        (["User-Agent:"], {}),
        (["Authorization: Basic RE9FOkRPRQ=="], {"authorization": "basic"}),
        (["AUTHORIZATION: eyJhbGciOiJSUzI1NiJ9.secret"], {"authorization": "other"}),
        (["Authorization:\r\n Basic RE9F"], {"authorization": "other"}),
        (["Content-Type: Text/HTML; charset=utf-8"], {"content_type": "text/html"}),
        (["Content-Type: DOE"], {"content_type": "other"}),
        (['Content-Type: multipart/related; type="application/dicom"; boundary=x'], {"content_type": "application/dicom"}),
        (["Content-Type: multipart/related; boundary=x"], {"content_type": "multipart/related"}),
        (["X-Content-Type: text/html", "Contend-Type: a/b", "Cookie: a=b", "t", "u", "c:", ":"], {}),
    ],
)  # fmt: skip
def test_fields(lines: list[str], expected: dict[str, object]) -> None:
    told = one((0, request("GET /x", *lines)), (1, response("200 OK")))
    common = {"protocol": "http", "action": "GET", "status": "200", "outcome": "success", "bytes": 0, "count": 1}
    assert told == {**common, **expected}


@pytest.mark.parametrize(
    ("start", "action"),
    [("DELETE /x", "DELETE"), ("PROPFIND /x", "PROPFIND"), ("get /x", "other"), ("HACK /x", "other"), ("GET /a b", "GET")],
)
def test_methods(start: str, action: str) -> None:
    assert one((0, request(start)), (1, response("200 OK")))["action"] == action


@pytest.mark.parametrize(
    ("status", "outcome"), [("200 OK", "success"), ("302 Found", "success"), ("401 ", "failure"), ("503", "failure")]
)
def test_outcomes(status: str, outcome: str) -> None:
    told = one((0, request("GET /x")), (1, response(status)))
    assert (told["status"], told["outcome"]) == (status[:3], outcome)


@pytest.mark.parametrize(
    ("asked", "answered", "fhir"),
    [
        (request("GET /x/Account/1"), response("200 OK"), False),
        (request("GET /x/Account/1"), MISSING, True),
        (request("GET /x/Account/1", "Accept: application/json+fhir"), response("200 OK"), True),
        (request("POST /x", "Content-Type: application/fhir+xml", body=b"<Bundle/>"), response("200 OK"), True),
        (request("POST /x", body=b"{}"), response("200 OK"), False),
        (request("GET /x/Observation/1"), response("200 OK"), True),
        (request("GET /x/y/z"), MISSING, False),
    ],
)
def test_what_is_fhir(asked: bytes, answered: bytes, fhir: bool) -> None:
    parser = Http()
    feed(parser, [(0, asked), (1, answered)])
    assert parser.name == ("fhir" if fhir else "http")


def test_a_connection_that_has_spoken_fhir_is_believed_sooner() -> None:
    told = feed(Http(), [(0, READ), (1, FOUND), (0, request("GET /base/Account/1")), (1, response("200 OK"))])
    assert told[1]["resource_type"] == "Account"


def test_responses_without_a_body() -> None:
    bodiless = [
        (0, request("HEAD /x")),
        (1, head("HTTP/1.1 200 OK", "Content-Length: 5000")),
        (0, request("GET /x")),
        (1, head("HTTP/1.1 304 Not Modified", "Content-Length: 5000")),
        (0, request("DELETE /x")),
        (1, head("HTTP/1.1 204 No Content")),
        (0, request("POST /x", "Expect: 100-continue", body=b"later")),
        (1, head("HTTP/1.1 100 Continue") + response("201 Created")),
    ]
    told = feed(Http(), [*bodiless, *EXCHANGE])
    assert [(fact["action"], fact["status"], fact["bytes"]) for fact in told[:4]] == [
        ("HEAD", "200", 0),
        ("GET", "304", 5000),
        ("DELETE", "204", 0),
        ("POST", "201", 5),
    ]
    assert told[4:] == TOLD


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (request("GET /chat", "Upgrade: websocket"), head("HTTP/1.1 101 Switching Protocols")),
        (request("CONNECT x.example:443"), head("HTTP/1.1 200 Connected")),
        (request("GET /old"), head("HTTP/1.0 200 OK", "Connection: close") + b"as long as the connection"),
    ],
)
def test_nothing_is_wanted_of_what_is_not_http_any_more(asked: bytes, answered: bytes) -> None:
    parser = Http()
    assert parser.data(0, asked, len(asked), 1) == 0
    assert parser.data(1, answered, len(answered), 1) == DONE
    assert len(facts(parser)) == 1


def test_requests_that_wait_are_told_when_they_are_many_or_the_minute_is_cut() -> None:
    parser = Http()
    for _ in range(40):
        parser.data(0, READ, len(READ), 1)
    assert parser.fresh[0].fields == {key: TOLD[0][key] for key in ("interaction", "resource_type", "method", "client")}
    assert [fact.count for fact in parser.cut()] == [39]
    assert parser.cut() == []


def test_a_late_response_is_told_without_its_request() -> None:
    parser = Http()
    (asked,) = feed(parser, [(0, INFER)])
    assert (asked["action"], asked["bytes"], "status" in asked) == ("POST", 4000, False)
    late = response("200 OK", "Content-Type: text/plain", body=b"yes")
    (answered, *rest) = feed(parser, [(1, late), *EXCHANGE])
    assert (answered["status"], answered["content_type"], answered["bytes"]) == ("200", "text/plain", 3)
    assert "action" not in answered
    assert rest == TOLD


def test_lost_responses_are_told_as_unknown() -> None:
    parser = Http()
    parser.data(0, SEARCH, len(SEARCH), 1)
    parser.gap(1)
    told = feed(parser, [(1, b"rest of a body"), *EXCHANGE])
    assert [(fact["interaction"], fact.get("status")) for fact in told[:2]] == [("search", None), ("read", 200)]
    assert told[1:] == TOLD


def test_a_request_after_a_lost_response_does_not_take_its_place() -> None:
    parser = Http()
    parser.data(0, SEARCH, len(SEARCH), 1)
    parser.data(1, b"x" * 50, 1448, 1)
    told = feed(parser, EXCHANGE)
    assert told[1:] == TOLD


def test_a_lost_request_leaves_its_response_alone() -> None:
    parser = Http()
    parser.gap(0)
    told = feed(parser, [(0, b"end of a body"), (1, response("500 Oops")), *EXCHANGE])
    assert told == [{"protocol": "http", "status": "500", "outcome": "failure", "bytes": 0, "count": 1}, *TOLD]


def test_joined_in_the_middle() -> None:
    parser = Http()
    assert feed(parser, [(0, b"body of a request" * 20)] * 50 + [(1, b"\0\1\2" * 300)] * 50 + EXCHANGE) == TOLD


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff" * 100,
        b"nonsense\r\n\r\n",
        b"GET /x\r\n\r\n",
        b"GET /x HTTP/2.0\r\n\r\n",
        b"HTTP/1.1 000 OK\r\n\r\n",
        head("GET /x HTTP/1.1", "Content-Length: -1"),
        head("GET /x HTTP/1.1", "Content-Length: 1_0"),
        head("GET /x HTTP/1.1", "Content-Length: " + "9" * 20),
        head("GET /x HTTP/1.1", "Content-Length: 1", "Content-Length: 2"),
        head("POST /x HTTP/1.1", "Transfer-Encoding: chunked") + b"-5\r\nhello\r\n",
        head("POST /x HTTP/1.1", "Transfer-Encoding: chunked") + b"123456789\r\n",
        head("POST /x HTTP/1.1", "Transfer-Encoding: chunked") + b"5" * 5000,
        response("200 OK"),
    ],
)
def test_garbage_is_borne_for_some_segments(garbage: bytes) -> None:
    parser = Http()
    feed(parser, [*EXCHANGE, (0, garbage)])
    assert feed(parser, EXCHANGE[-2:])[-1]["interaction"] == "read"
    feed(parser, [(0, garbage)])
    with pytest.raises(ValueError, match="no head"):
        feed(parser, [(0, b"\xff" * 100)] * 10)


def test_a_head_that_is_too_long_is_told_as_far_as_it_is_kept() -> None:
    long = request("GET /fhir/Patient/1", "Cookie: " + "x" * 9000)
    told = feed(Http(), [(0, long[:3000]), (0, long[3000:6000]), (0, long[6000:]), (1, FOUND), *EXCHANGE])
    assert (told[0]["interaction"], told[0]["status"], told[0]["count"]) == ("read", 200, 1)
    assert told[1:] == TOLD
    many = request("GET /x", *["A: b"] * 500)
    assert feed(Http(), [(0, many), (1, FOUND), *EXCHANGE])[1:] == TOLD


def test_bare_line_feeds_and_blank_lines_before_a_head() -> None:
    bare = b"\r\n\r\n" + READ.replace(b"\r\n", b"\n")
    assert feed(Http(), [(0, bare + READ), (1, FOUND + b"\r\n" + FOUND)]) == TOLD[:1]


def test_memory_is_bounded() -> None:
    parser = Http()
    for number in range(2000):
        feed(
            parser, [(0, request(f"GET /x{number}", f"User-Agent: agent{number}")), (1, b"\xff" * 1000)][: 1 + (number == 0)]
        )
    assert len(parser._waiting) <= 32
    assert len(parser._kinds) <= 16
    assert parser.overflow == 0  # each call above has drained it


@pytest.mark.parametrize(("protocol", "payload"), FIRST_PAYLOADS)
def test_only_http_looks_like_it(protocol: str, payload: str) -> None:
    assert Http.looks_like(bytes.fromhex(payload), 80, 8080) == (protocol == "http")


@pytest.mark.parametrize(
    "payload",
    [
        b"GET /" + b"x" * 500,
        b"POST http://x/ HTTP/1.1\r\nHo",
        b"OPTIONS * HTTP/1.1\r\n",
        b"CONNECT x:443 HTTP/1.1\r\n",
        FOUND,
    ],
)
def test_heads_cut_anywhere_look_like_it(payload: bytes) -> None:
    assert Http.looks_like(payload, 50_000, 11112)


def test_random_bytes_do_not_look_like_it() -> None:
    chance = random.Random(1)
    assert not any(Http.looks_like(b"GET /" + chance.randbytes(64), 80, 80) for _ in range(20_000))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 1]), st.binary(min_size=1, max_size=200), st.integers(0, 2000))))
def test_random_bytes_give_a_value_or_value_error(segments: list[tuple[int, bytes, int]]) -> None:
    parser = Http()
    try:
        for direction, payload, beyond in segments:
            start = (b"GET /fhir/", b"HTTP/1.1 200 OK\r\nContent-Type:")[direction]
            assert parser.data(direction, start + payload, len(start + payload) + beyond, 1) >= DONE
            assert parser.data(direction, payload, len(payload), 1) >= DONE
    except ValueError:
        pass
    facts(parser)


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_mutated_exchanges_give_a_value_or_value_error(draw: st.DataObject) -> None:
    parser = Http()
    try:
        for direction, payload in EXCHANGE:
            changed = bytearray(payload)
            for at in draw.draw(st.lists(st.integers(0, min(len(payload) - 1, 300)), max_size=6)):
                changed[at] = draw.draw(st.integers(0, 255))
            captured = bytes(changed[: draw.draw(st.integers(1, len(payload)))])
            assert parser.data(direction, captured, draw.draw(st.sampled_from([len(captured), len(payload)])), 1) >= DONE
            if draw.draw(st.booleans()):
                parser.gap(direction)
    except ValueError:
        pass
    for fact in facts(parser):
        assert len(repr(fact)) < 500
