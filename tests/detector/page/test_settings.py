"""Where the page may be served, and what it demands there."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.config import DetectorConfig
from detector.page.settings import PageSettings, PageTls
from nigrani.service.config import load
from nigrani.service.errors import BadConfig

TLS = PageTls(Path("page.pem"), Path("page.key"))


@pytest.mark.parametrize("listen", ["", "127.0.0.1:9466", "[::1]:0", "localhost:80"])
def test_loopback_needs_nothing(listen: str) -> None:
    assert PageSettings(listen=listen).users is None


@pytest.mark.parametrize("listen", ["10.0.0.1:9466", "0.0.0.0:9466", "[::]:9466", "page.hospital.example:443"])
def test_elsewhere_tls_and_login_are_demanded(listen: str) -> None:
    with pytest.raises(ValueError, match=r"set page\.tls") as raised:
        PageSettings(listen=listen)
    assert "nigrani case user" in raised.value.args[1]
    with pytest.raises(ValueError, match=r"set page\.users"):
        PageSettings(listen=listen, tls=TLS)
    assert not PageSettings(listen=listen, tls=TLS, users=Path("users")).loopback


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"listen": "9466"}, "address:port"),
        ({"listen": "127.0.0.1:70000"}, "address:port"),
        ({"hosts": ("https://a",)}, "no host name"),
        ({"timezone": "Mars/Olympus"}, "no time zone"),
        ({"idle_minutes": 0}, "at least 1"),
        ({"session_hours": 0}, "at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PageSettings(**settings)


def test_half_a_tls_is_none() -> None:
    with pytest.raises(ValueError, match="go together"):
        PageTls(certificate=Path("page.pem"))
    with pytest.raises(ValueError, match=r"tls\.ca needs"):
        PageTls(ca=Path("ca.pem"))


def test_the_configuration_says_file_line_and_remedy(tmp_path: Path) -> None:
    path = tmp_path / "detector.yaml"
    path.write_text("page:\n  listen: 10.0.0.1:9466\n")
    with pytest.raises(BadConfig) as raised:
        load(DetectorConfig, path)
    assert str(raised.value).startswith(f"{path}:2: page.listen: 10.0.0.1:9466 is not loopback: set page.tls")
    assert raised.value.code == 78
