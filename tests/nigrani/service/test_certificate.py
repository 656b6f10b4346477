"""The end of a certificate, held against the library that made it; other bytes are refused."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.kafka.certificates import Authority
from nigrani.service.certificate import end, ends


@pytest.fixture(scope="module")
def der(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = Authority().issue(tmp_path_factory.mktemp("c"), "x").certificate
    return ssl.PEM_cert_to_DER_cert(path.read_text())


@pytest.mark.parametrize("until", [dt.datetime(2027, 3, 4, 5, 6, 7, tzinfo=dt.UTC), dt.datetime(2055, 1, 1, tzinfo=dt.UTC)])
def test_ends_are_read_in_both_forms(tmp_path: Path, until: dt.datetime) -> None:
    """From 2050 on the time has four digits of a year."""
    path = Authority().issue(tmp_path, "x", until=until).certificate
    assert ends(path) == [until]


def test_all_of_a_chain(tmp_path: Path) -> None:
    authority = Authority()
    made = authority.issue(tmp_path, "x")
    authority.write(tmp_path / "ca")
    made.certificate.write_text(made.certificate.read_text() + (tmp_path / "ca").read_text())
    assert len(ends(made.certificate)) == 2


def test_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("nothing")
    with pytest.raises(ValueError, match="has no PEM certificate"):
        ends(path)
    path.write_text("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")
    with pytest.raises(ValueError, match="x: "):
        ends(path)
    with pytest.raises(FileNotFoundError):
        ends(tmp_path / "y")


@given(st.binary(max_size=64), st.integers(0, 600), st.integers(0, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_any_bytes_are_a_certificate_or_refused(der: bytes, junk: bytes, at: int, byte: int) -> None:
    for data in (junk, der[:at], der[:at] + bytes([byte]) + der[at + 1 :]):
        try:
            assert end(data).tzinfo is dt.UTC
        except ValueError:
            continue
