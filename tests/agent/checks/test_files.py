"""Certificates, keys and passwords that are missing, mixed up, everybody's, or at their end."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest

from agent.checks.files import authorities, identity, secret, validity
from bench.kafka.certificates import Authority, Identity
from tests.agent.checks.subjects import levels, nobody, subject

CA = Authority()


@pytest.fixture
def mine(tmp_path: Path) -> Identity:
    return CA.issue(tmp_path, "me", until=dt.datetime.now(dt.UTC) + dt.timedelta(days=90))


def found(tmp_path: Path, mine: Identity) -> list[str]:
    return levels(list(identity("x", mine.certificate, mine.key, subject(tmp_path, "logs: {}"), "kafka.tls")))


def test_a_pair_that_fits(tmp_path: Path, mine: Identity) -> None:
    assert found(tmp_path, mine) == ["ok"]
    mine.key.chmod(0o644)
    assert found(tmp_path, mine) == ["warn", "ok"]


def test_a_pair_that_does_not(tmp_path: Path, mine: Identity) -> None:
    other = CA.issue(tmp_path, "other")
    assert found(tmp_path, Identity(mine.certificate, other.key)) == ["fail"]
    mine.certificate.write_text("no certificate")
    assert found(tmp_path, mine) == ["fail"]
    mine.certificate.unlink()
    assert found(tmp_path, mine) == ["fail"]


def test_dates(tmp_path: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    for days, level in ((-2, "fail"), (5, "warn"), (90, "ok")):
        made = CA.issue(tmp_path, "me", until=now + dt.timedelta(days=days))
        assert found(tmp_path, made) == [level]
        assert validity("x", now + dt.timedelta(days=days), "it").level == level


def test_authorities(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    it = subject(tmp_path, "kafka:\n  tls:\n    ca: ca.pem\n")
    (absent,) = authorities("x", path, it, "kafka.tls.ca")
    assert (absent.level, absent.place[-2:]) == ("fail", ":3")
    path.write_text("nothing")
    assert levels(list(authorities("x", path, it, "kafka.tls.ca"))) == ["fail"]
    CA.write(path)
    assert levels(list(authorities("x", path, it, "kafka.tls.ca"))) == ["ok"]


@pytest.mark.skipif(os.geteuid() != 0, reason="asks for another user")
def test_what_the_services_user_cannot_read(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("x")
    path.chmod(0o600)
    (one,) = secret("x", path, subject(tmp_path, "logs: {}", nobody()), "kafka.sasl.password")
    assert one.level == "fail"
    assert "cannot be read by nobody" in one.message
