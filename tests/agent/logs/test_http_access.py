"""Lines marked *real* were written by uvicorn 0.54 and gin 1.12; the others follow the servers' documentation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given

from agent.logs.clock import EPOCH
from agent.logs.http_access import HttpAccess, nanoseconds
from agent.protocol import Fact
from tests.agent.logs.hostile import hold, lines

ARRIVAL = 1_790_000_000_000_000
RECORDED = (Path(__file__).parents[2] / "data" / "logs" / "uvicorn_recorded.log").read_text().splitlines()
TORCHSERVE = (
    "2018-10-15 13:56:18,976 [INFO ] BackendWorker-9000 ACCESS_LOG - /127.0.0.1:64003 "
    '"POST /predictions/resnet-18 HTTP/1.1" 200 118'
)
TORCHSERVE_PLAIN = '2018-10-15T13:56:18,976 - /127.0.0.1:64003 "POST /models?url=/tmp/evil.mar HTTP/1.1" 200 118'
KSERVE = '2026-08-21 14:26:03.123 uvicorn.access INFO: 10.0.3.4:51200 7 - "POST /v1/models/cxr:predict HTTP/1.1" 200'
VLLM = '(APIServer pid=1) INFO:     172.18.0.2:42774 - "POST /v1/chat/completions HTTP/1.1" 200 OK'
MONAI = (
    "[2026-08-21 14:26:03,123] [90] [MainThread] [INFO] (uvicorn.access:458) - 10.0.3.4:51200 - "
    '"POST /infer/spleen?image=1.2.840.1 HTTP/1.1" 200'
)
UVICORN = [  # real
    'INFO:     127.0.0.1:49666 - "POST /v1/models/cxr%3Apredict HTTP/1.1" 200 OK',
    'INFO:     127.0.0.1:49678 - "GET /missing?image=1.2.840 HTTP/1.1" 404 Not Found',
    'INFO:     127.0.0.1:49692 - "POST /infer/spleen%20seg HTTP/1.1" 200 OK',
]
GIN = [  # real
    '[GIN] 2026/11/22 - 01:50:22 | 200 |    5.2ms |       127.0.0.1 | POST     "/api/generate"',
    '[GIN] 2026/11/22 - 01:50:23 | 200 |     1.2s |       127.0.0.1 | POST     "/api/chat"',
    '[GIN] 2026/11/22 - 01:50:23 | 200 |  1.405µs |       127.0.0.1 | DELETE   "/api/delete"',
    '[GIN] 2026/11/22 - 01:50:23 | 404 |    576ns |       127.0.0.1 | GET      "/x\\" y?prompt=RAO%20ANITA"',
]
NOISE = [  # real but the last three
    "INFO:     Started server process [10651]",
    "[GIN-debug] Listening and serving HTTP on 127.0.0.1:18432",
    "(APIServer pid=1) INFO 04-20 17:17:47 [loggers.py:116] Engine 000: Avg prompt throughput: 1.2 tokens/s",
    'time=2025-03-21T08:48:44.061+05:30 level=INFO source=images.go:439 msg="total unused blobs removed: 0"',
    "2018-10-14 16:59:59,926 [INFO ] W-9000-stdout org.pytorch.serve.wlm.WorkerLifeCycle - inference time: 117.31",
]
CONTENT = [
    "INFO 04-20 17:17:47 [logger.py:39] Received request chatcmpl-2f95: prompt: 'RAO ANITA', params: SamplingParams(n=1)",
    'time=2025-03-21T08:48:44.061+05:30 level=DEBUG source=routes.go:1505 msg="chat request" images=0 prompt="RAO ANITA"',
]
ALL = [line.encode() for line in (TORCHSERVE, TORCHSERVE_PLAIN, KSERVE, VLLM, MONAI, *UVICORN, *GIN, *NOISE, *CONTENT)]


def parse(line: str) -> Fact:
    fact = HttpAccess(UTC).parse(line.encode(), ARRIVAL)
    assert fact is not None
    return fact


def time(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("line", "when", "expected"),
    [
        (TORCHSERVE, time("2018-10-15T13:56:18.976"), ("127.0.0.1", "torchserve", "predict", "resnet-18", 200, 118_000_000)),
        (KSERVE, time("2026-08-21T14:26:03.123"), ("10.0.3.4", "kserve", "predict", "cxr", 200, 0)),
        (VLLM, ARRIVAL, ("172.18.0.2", "openai", "chat", "", 200, 0)),
        (MONAI, time("2026-08-21T14:26:03.123"), ("10.0.3.4", "monai", "predict", "spleen", 200, 0)),
        (UVICORN[0], ARRIVAL, ("127.0.0.1", "kserve", "predict", "cxr", 200, 0)),
        (UVICORN[1], ARRIVAL, ("127.0.0.1", "", "other", "", 404, 0)),
        (UVICORN[2], ARRIVAL, ("127.0.0.1", "monai", "predict", "other", 200, 0)),
        (GIN[0], time("2026-11-22T01:50:22"), ("127.0.0.1", "ollama", "chat", "", 200, 5_200_000)),
        (GIN[1], time("2026-11-22T01:50:23"), ("127.0.0.1", "ollama", "chat", "", 200, 1_200_000_000)),
        (GIN[3], time("2026-11-22T01:50:23"), ("127.0.0.1", "", "other", "", 404, 576)),
    ],
)
def test_an_inference(line: str, when: int, expected: tuple[object, ...]) -> None:
    fact = parse(line)
    fields = fact.fields
    assert (fact.dataset, fact.when) == ("ai.inference", when)
    assert tuple(fields[name] for name in ("source", "server", "action", "model", "status", "duration")) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (TORCHSERVE_PLAIN, ("register", "torchserve", "temporary", "127.0.0.1")),
        (GIN[2], ("delete", "ollama", "", "127.0.0.1")),
    ],
)
def test_a_change_of_the_server(line: str, expected: tuple[str, ...]) -> None:
    fact = parse(line)
    assert fact.dataset == "ai.model_access"
    assert tuple(fact.fields[name] for name in ("action", "server", "place", "source")) == expected


@pytest.mark.parametrize(("line", "server"), [(CONTENT[0], "openai"), (CONTENT[1], "ollama")])
def test_content_in_the_log_is_told_without_the_content(line: str, server: str) -> None:
    fact = parse(line)
    assert fact.fields == {"action": "log-content", "server": server, "provider": "ai-http-access"}


def test_a_prompt_cannot_pose_as_a_request() -> None:
    prompt = '10.0.0.9:1 - "DELETE /api/delete HTTP/1.1" 200 OK'
    assert (
        parse(f"INFO 04-20 17:17:47 [logger.py:39] Received request cmpl-1: prompt: '{prompt}'").fields["action"]
        == "log-content"
    )


@pytest.mark.parametrize("line", NOISE)
def test_other_lines_of_the_servers_tell_nothing(line: str) -> None:
    assert HttpAccess(UTC).parse(line.encode(), ARRIVAL) is None


@pytest.mark.parametrize("line", ["", "x", "Jun 1 kernel: oops", '10.0.0.1 - - "GET / HTTP/1.1"', "{}"])
def test_other_lines_are_refused(line: str) -> None:
    with pytest.raises(ValueError, match="no access line"):
        HttpAccess(UTC).parse(line.encode(), ARRIVAL)


def test_colours_of_a_terminal_are_passed_over() -> None:
    line = GIN[0].replace("| 200 |", "|\x1b[97;42m 200 \x1b[0m|").replace("POST    ", "\x1b[97;46m POST    \x1b[0m")
    assert parse(line).fields == parse(GIN[0]).fields
    assert parse(f"\x1b[32mINFO\x1b[0m{UVICORN[0][4:]}").fields == parse(UVICORN[0]).fields


def test_addresses_of_version_6_and_none() -> None:
    assert parse('INFO:     2001:db8::5:49666 - "GET / HTTP/1.1" 200 OK').fields["source"] == "2001:db8::5"
    assert parse('INFO:      - "GET / HTTP/1.1" 200 OK').fields["source"] == ""


def test_a_method_of_its_own_is_other() -> None:
    assert parse('INFO:     10.0.0.1:5 - "ANITA /predictions/x HTTP/1.1" 200 OK').fields["method"] == "other"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0s", 0),
        ("576ns", 576),
        ("1.405µs", 1405),
        ("181.3159ms", 181_315_900),
        ("1m2.5s", 62_500_000_000),
        ("1h2m3s", 3_723_000_000_000),
        ("2m", 120_000_000_000),
        ("", 0),
        ("x", 0),
        ("1.2.3s", 0),
    ],
)
def test_durations_of_go(text: str, expected: int) -> None:
    assert nanoseconds(text) == expected


@given(lines(ALL))
def test_any_bytes_are_a_fact_or_a_value_error(line: bytes) -> None:
    hold(HttpAccess(UTC), line)


@pytest.mark.parametrize("piece", [b" ", b"1", b'"', b"a:1 ", b"\x1b[", b"[GIN] ", b"level=DEBUG source=x msg=", b"("])
def test_a_long_line_costs_little(piece: bytes) -> None:
    hold(HttpAccess(UTC), piece * (65_536 // len(piece)))


def test_what_a_server_recorded() -> None:
    """Over TCP, a Unix socket (without a client), IPv6, and behind a proxy that names the client."""
    facts = [fact for line in RECORDED if (fact := HttpAccess(UTC).parse(line.encode(), ARRIVAL))]
    told = [(fact.fields["server"], fact.fields["action"], fact.fields["source"]) for fact in facts]
    assert told == [
        ("kserve", "predict", "127.0.0.1"),
        ("triton", "predict", "127.0.0.1"),
        ("openai", "chat", "127.0.0.1"),
        ("triton", "predict", "127.0.0.1"),
        ("", "other", "127.0.0.1"),
        ("triton", "other", "127.0.0.1"),
        ("openai", "chat", ""),
        ("openai", "chat", "::1"),
        ("openai", "chat", "10.9.8.7"),
    ]
