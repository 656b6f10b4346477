from __future__ import annotations

import random
import shutil
import ssl
import subprocess
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.protocol import DONE, Fact
from agent.protocols import PARSERS
from agent.protocols.tls import ALERTS, RETRY_RANDOM, Tls
from nigrani.stream.events.session import NetworkSession

FIELDS = {field.name for field in msgspec.structs.fields(NetworkSession)}

# The example of FoxIO's JA4.md.
CHROME_CIPHERS = "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035"
CHROME_EXTENSIONS = "001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015"
CHROME_SIGNATURES = "0403,0804,0401,0503,0805,0501,0806,0601"
CHROME_JA4 = "t13d1516h2_8daaf6152771_e5627efa2ab1"
# A client of 2013, as FoxIO's own test data give it.
OLD_CIPHERS = (
    "0039,0038,0035,0016,0013,000a,0033,0032,002f,009a,0099,0096,0005,0004,0015,0012,0009,0014,0011,0008,0006,0003,00ff"
)
OLD_JA4 = "t10d230100_6a57a6f57151_000000000000"


def sized(width: int, body: bytes) -> bytes:
    return len(body).to_bytes(width, "big") + body


def codes(text: str) -> bytes:
    return bytes.fromhex(text.replace(",", ""))


def extension(kind: str, name: bytes, alpn: bytes, signatures: str, versions: str) -> bytes:
    bodies = {
        "0000": sized(2, b"\0" + sized(2, name)),
        "0010": sized(2, sized(1, alpn) + sized(1, b"http/1.1")),
        "000d": sized(2, codes(signatures)),
        "002b": sized(1, codes(versions)),
    }
    return codes(kind) + sized(2, bodies.get(kind, b""))


def client_hello(
    ciphers: str = CHROME_CIPHERS,
    extensions: str = CHROME_EXTENSIONS,
    *,
    signatures: str = CHROME_SIGNATURES,
    versions: str = "5a5a,0304,0303",
    legacy: str = "0303",
    name: bytes = b"PACS.hospital.example",
    alpn: bytes = b"h2",
) -> bytes:
    parts = [extension(kind, name, alpn, signatures, versions) for kind in extensions.split(",") if kind]
    tail = sized(2, b"".join(parts)) if parts else b""
    body = codes(legacy) + bytes(range(32)) + sized(1, bytes(32)) + sized(2, codes(ciphers)) + b"\1\0" + tail
    return b"\1" + sized(3, body)


def server_hello(extensions: bytes = b"", *, legacy: str = "0303", suite: str = "c02f", chance: bytes = bytes(32)) -> bytes:
    tail = sized(2, extensions) if extensions else b""
    return b"\2" + sized(3, codes(legacy) + chance + sized(1, bytes(32)) + codes(suite) + b"\0" + tail)


def record(kind: int, body: bytes) -> bytes:
    return bytes((kind, 3, 3)) + sized(2, body)


HELLO = record(22, client_hello())
VERSION_13 = codes("002b") + sized(2, codes("0304"))
CIPHER_CHANGE, SEALED = record(20, b"\1"), record(23, bytes(900))
CERTIFICATE = record(22, b"\x0b" + sized(3, bytes(6000)))
OLD_ANSWER = record(22, server_hello() + b"\x0b" + sized(3, bytes(5000)) + b"\x0e" + sized(3, b""))


def feed(parser: Tls, direction: int, pieces: list[bytes]) -> int:
    """As the meter does it: what the parser does not want is left out."""
    skip = 0
    for piece in pieces:
        if skip >= len(piece):
            skip -= len(piece)
            continue
        skip = parser.data(direction, piece[skip:], len(piece) - skip, 1)
        if skip == DONE:
            return DONE
    return skip


def rows(facts: list[Fact]) -> list[dict[str, object]]:
    for fact in facts:
        assert fact.dataset == "network.session"
        assert FIELDS.issuperset(fact.fields)
        assert fact.fields["protocol"] == "tls"
    return [{name: value for name, value in fact.fields.items() if name != "protocol"} for fact in facts]


def told(*pieces: tuple[int, bytes]) -> list[dict[str, object]]:
    parser = Tls()
    for direction, payload in pieces:
        if feed(parser, direction, [payload]) == DONE:
            break
    return rows(parser.fresh)


CLIENT = {"action": "client_hello", "server_name": "pacs.hospital.example", "ja4": CHROME_JA4, "alpn": "h2"}


def test_client_hello() -> None:
    assert told((0, HELLO)) == [CLIENT]


def test_ja4_of_a_client_without_versions_or_signatures() -> None:
    hello = client_hello(OLD_CIPHERS, "0000", legacy="0301")
    assert told((0, record(22, hello)))[0]["ja4"] == OLD_JA4


def test_ja4_is_the_same_in_any_order_and_with_grease() -> None:
    source = random.Random(3)
    for _ in range(20):
        ciphers, extensions = CHROME_CIPHERS.split(","), CHROME_EXTENSIONS.split(",")
        grease = f"{source.randrange(16):x}a" * 2
        source.shuffle(extensions)
        source.shuffle(ciphers)
        hello = client_hello(f"{grease},{','.join(ciphers)}", f"{grease},{','.join(extensions)},{grease}")
        assert told((0, record(22, hello)))[0]["ja4"] == CHROME_JA4


@pytest.mark.parametrize(
    ("change", "ja4"),
    [
        ({"extensions": CHROME_EXTENSIONS.replace("0000,", "")}, "t13i1515h2_8daaf6152771_e5627efa2ab1"),
        ({"extensions": CHROME_EXTENSIONS.replace("0010,", "")}, "t13d151500_8daaf6152771_e5627efa2ab1"),
        ({"alpn": b"http/1.1"}, "t13d1516h1_8daaf6152771_e5627efa2ab1"),
        ({"signatures": f"6a6a,{CHROME_SIGNATURES}"}, CHROME_JA4),
        ({"signatures": ""}, "t13d1516h2_8daaf6152771_6d807ffa2a79"),
        ({"versions": "0a0a,0303,0302"}, "t12d1516h2_8daaf6152771_e5627efa2ab1"),
        ({"versions": "7f1c,0303"}, "t00d1516h2_8daaf6152771_e5627efa2ab1"),
        ({"extensions": "0000,0010", "legacy": "0302"}, "t11d1502h2_8daaf6152771_000000000000"),
        ({"extensions": "", "legacy": "0300"}, "ts3i150000_8daaf6152771_000000000000"),
        ({"ciphers": "", "extensions": "", "legacy": "0301"}, "t10i000000_000000000000_000000000000"),
        ({"ciphers": ",".join(["00ff"] * 120)}, "t13d9916h2_"),
    ],
)
def test_ja4_by_its_specification(change: dict[str, str | bytes], ja4: str) -> None:
    hello = client_hello(**change)  # type: ignore[arg-type]
    assert str(told((0, record(22, hello)))[0]["ja4"]).startswith(ja4)


@pytest.mark.parametrize(
    ("alpn", "ends"),
    [("ab", "ab"), ("abcd", "ad"), ("30ab", "3b"), ("3031abcd", "3d"), ("30abcd31", "01"), ("68", "hh"), ("", "00")],
)
def test_ja4_of_strange_application_protocols(alpn: str, ends: str) -> None:
    assert str(told((0, record(22, client_hello(alpn=bytes.fromhex(alpn)))))[0]["ja4"])[8:10] == ends


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        (server_hello(VERSION_13, suite="1301"), "1.3"),
        (server_hello(VERSION_13[:4] + codes("7f1c"), suite="1301"), "1.3"),
        (server_hello(), "1.2"),
        (server_hello(legacy="0302"), "1.1"),
        (server_hello(legacy="0301"), "1.0"),
        (server_hello(legacy="0300"), "SSL 3.0"),
    ],
)
def test_negotiated_version(answer: bytes, version: str) -> None:
    assert told((0, HELLO), (1, record(22, answer))) == [CLIENT, {"action": "server_hello", "tls_version": version}]


def test_negotiated_application_protocol() -> None:
    alpn = codes("0010") + sized(2, sized(2, sized(1, b"h2")))
    assert told((1, record(22, server_hello(alpn)))) == [{"action": "server_hello", "tls_version": "1.2", "alpn": "h2"}]


def test_done_after_tls_13_server_hello() -> None:
    parser = Tls()
    assert parser.data(0, HELLO, len(HELLO), 1) == 0
    answer = record(22, server_hello(VERSION_13, suite="1302")) + CIPHER_CHANGE + SEALED
    assert parser.data(1, answer, len(answer), 1) == DONE


def test_done_when_tls_12_begins_to_encrypt() -> None:
    parser = Tls()
    assert feed(parser, 0, [HELLO]) == 0
    assert feed(parser, 1, [OLD_ANSWER]) == 0
    assert feed(parser, 0, [record(22, b"\x10" + sized(3, bytes(64))) + CIPHER_CHANGE + SEALED]) == DONE


def test_certificates_are_skipped() -> None:
    parser = Tls()
    payload = record(22, server_hello()) + CERTIFICATE
    assert parser.data(1, payload[:3000], 3000, 1) == len(payload) - 3000


def test_early_data_does_not_hide_the_server_hello() -> None:
    pieces = (0, HELLO + CIPHER_CHANGE + SEALED + SEALED), (1, record(22, server_hello(VERSION_13, suite="1301")))
    assert [fact["action"] for fact in told(*pieces)] == ["client_hello", "server_hello"]


def test_hello_retry_is_no_server_hello() -> None:
    retry = record(22, server_hello(VERSION_13, suite="1301", chance=RETRY_RANDOM))
    pieces = (
        (0, HELLO),
        (1, retry + CIPHER_CHANGE),
        (0, CIPHER_CHANGE + HELLO),
        (1, record(22, server_hello(VERSION_13, suite="1301"))),
    )
    assert told(*pieces) == [CLIENT, {"action": "server_hello", "tls_version": "1.3"}]


def test_alerts_in_clear() -> None:
    parser = Tls()
    assert feed(parser, 1, [record(21, bytes((1, 112))) + OLD_ANSWER]) == 0
    assert feed(parser, 0, [record(21, bytes((2, 48)))]) == DONE
    assert rows(parser.fresh) == [
        {"action": "alert", "status": "unrecognized_name"},
        {"action": "server_hello", "tls_version": "1.2"},
        {"action": "alert", "status": ALERTS[48], "outcome": "failure"},
    ]


@pytest.mark.parametrize("payload", [SEALED, CIPHER_CHANGE, record(21, bytes(26))])
def test_the_middle_of_a_conversation_tells_nothing(payload: bytes) -> None:
    parser = Tls()
    assert Tls.looks_like(payload, 443, 40000)
    assert (parser.data(1, payload, len(payload), 1), parser.fresh) == (DONE, [])


def test_hello_may_span_records() -> None:
    hello = client_hello()
    for at in (1, 4, 40, 200):
        assert told((0, record(22, hello[:at]) + record(22, hello[at:]))) == [CLIENT]


def test_split_anywhere_tells_the_same() -> None:
    answer = OLD_ANSWER[:400] + bytes(len(OLD_ANSWER) - 400) + record(21, bytes((2, 40)))
    whole = told((0, HELLO), (1, answer))
    assert len(whole) == 3
    for at in range(1, len(HELLO)):
        parser = Tls()
        feed(parser, 0, [HELLO[:at], HELLO[at:]])
        feed(parser, 1, [answer[:at], answer[at:]])
        assert rows(parser.fresh) == whole


def test_byte_by_byte_tells_the_same() -> None:
    parser = Tls()
    feed(parser, 0, [HELLO[at : at + 1] for at in range(len(HELLO))])
    feed(parser, 1, [OLD_ANSWER[at : at + 1] for at in range(len(OLD_ANSWER))])
    assert rows(parser.fresh) == told((0, HELLO), (1, OLD_ANSWER))


@pytest.mark.parametrize("kept", [6, 60, 120, 150, 200, 256])
def test_snap_length(kept: int) -> None:
    extensions = "0000,0010,002b,000d," + ",".join(f"{kind:04x}" for kind in range(0x1000, 0x1040))
    hello = record(22, client_hello(extensions=extensions))
    parser = Tls()
    assert Tls.looks_like(hello[:kept], 40000, 443)
    assert parser.data(0, hello[:kept], len(hello), 1) == 0
    (fact,) = rows(parser.fresh)
    assert "ja4" not in fact
    assert fact.get("server_name", "pacs.hospital.example") == "pacs.hospital.example"
    assert ("server_name" in fact, "alpn" in fact) == (kept >= 150, kept >= 200)


def test_snap_length_of_a_server_hello_tells_tls_13_by_its_suite() -> None:
    key_share = codes("0033") + sized(2, bytes(1124))
    answer = record(22, server_hello(key_share + VERSION_13, suite="1301"))
    parser = Tls()
    assert parser.data(1, answer[:200], len(answer), 1) == DONE
    assert rows(parser.fresh) == [{"action": "server_hello", "tls_version": "1.3"}]


def test_after_a_gap_the_next_record_counts() -> None:
    parser = Tls()
    parser.data(0, HELLO[:100], 100, 1)
    parser.gap(0)
    assert parser.data(0, bytes(200), 200, 2) == 0
    parser.data(0, HELLO, len(HELLO), 3)
    assert rows(parser.fresh) == [CLIENT]


def test_garbage_after_the_hello_ends_it() -> None:
    parser = Tls()
    with pytest.raises(ValueError, match="no TLS record"):
        parser.data(0, HELLO + bytes(50), len(HELLO) + 50, 1)
    parser = Tls()
    parser.data(0, HELLO, len(HELLO), 1)
    answers = [parser.data(1, b"HTTP/1.1 400 Bad Request\r\n" * 50, 1300, 1) for _ in range(60)]
    assert (answers[0], answers[-1]) == (0, DONE)


@pytest.mark.parametrize("payload", [HELLO, HELLO[:60], OLD_ANSWER, SEALED, CIPHER_CHANGE, CERTIFICATE])
def test_no_other_protocol_claims_it(payload: bytes) -> None:
    for port in (443, 53, 88, 1883, 3389, 104):
        assert [one.name for one in PARSERS if one.looks_like(payload, 40000, port)] == ["tls"]


def test_random_bytes_are_not_tls() -> None:
    source = random.Random(7)
    assert not any(Tls.looks_like(b"\x16\x03" + source.randbytes(64), 40000, 443) for _ in range(1000))
    assert not any(Tls.looks_like(source.randbytes(64), 40000, 443) for _ in range(20_000))


taken = st.lists(st.tuples(st.integers(0, 1), st.binary(min_size=1, max_size=300), st.integers(0, 300)), max_size=6)


@given(taken, st.booleans())
@settings(max_examples=300, deadline=None)
def test_random_bytes_give_facts_or_value_error(pieces: list[tuple[int, bytes, int]], framed: bool) -> None:
    survive([(side, record(22, part) if framed else part, missing) for side, part, missing in pieces])


@given(st.integers(0, 700), st.binary(max_size=4), st.integers(0, 700), st.integers(1, 700))
@settings(max_examples=400, deadline=None)
def test_mutated_hellos_give_facts_or_value_error(at: int, put: bytes, end: int, cut: int) -> None:
    for side, whole in ((0, HELLO), (1, OLD_ANSWER[:300])):
        mutated = (whole[:at] + put + whole[at + len(put) :])[: end or None] or b"\0"
        survive([(side, mutated[:cut], 0), (side, mutated[cut:] or b"\0", 7), (side, mutated, 0)])


def survive(pieces: list[tuple[int, bytes, int]]) -> None:
    parser = Tls()
    try:
        for direction, payload, missing in pieces:
            Tls.looks_like(payload, 1, 2)
            if parser.data(direction, payload, len(payload) + missing, 1) == DONE:
                break
    except ValueError:
        pass
    rows(parser.fresh)


def real_hello(name: str, alpn: list[str], newest: ssl.TLSVersion) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = newest
    if alpn:
        context.set_alpn_protocols(alpn)
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tshark_reads_the_same(tmp_path: Path, newest: ssl.TLSVersion) -> None:
    payload = real_hello("pacs.hospital.example", ["http/1.1", "h2"], newest)
    capture = str(tmp_path / "tls.pcap")
    dump = f"000000 {payload.hex(' ')}\n"
    subprocess.run(["text2pcap", "-q", "-T", "40000,443", "-", capture], input=dump, text=True, check=True, timeout=30)
    names = ("extensions_server_name", "ciphersuite", "extension.type", "sig_hash_alg", "extensions_alpn_str")
    wanted = [part for name in names for part in ("-e", f"tls.handshake.{name}")]
    command = ["tshark", "-r", capture, "-T", "fields", *wanted]
    line = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.rstrip("\n")
    name, suites, kinds, signatures, alpn = line.split("\t")
    (fact,) = told((0, payload))
    assert (fact["server_name"], fact["alpn"]) == (name, alpn.split(",")[0])
    ciphers = sorted(suite[2:] for suite in suites.split(","))
    extensions = sorted(f"{int(kind):04x}" for kind in kinds.split(","))
    hashed = ",".join(kind for kind in extensions if kind not in ("0000", "0010"))
    extended = f"{hashed}_{','.join(signature[2:] for signature in signatures.split(','))}"
    version = "13" if newest is ssl.TLSVersion.TLSv1_3 else "12"
    digests = [sha256(text.encode()).hexdigest()[:12] for text in (",".join(ciphers), extended)]
    assert fact["ja4"] == "_".join((f"t{version}d{len(ciphers):02}{len(extensions):02}h1", *digests))
