from __future__ import annotations

from pathlib import Path

import pytest

from nigrani.service.config import load
from nigrani.service.errors import BadConfig
from nigrani.service.metrics import MetricsSettings, MetricsTls

FILE = Path("/etc/nigrani/x.pem")
SERVER = MetricsTls(FILE, FILE)
MUTUAL = MetricsTls(FILE, FILE, FILE)


@pytest.mark.parametrize("listen", ["127.0.0.1:9464", "127.9.9.9:0", "[::1]:9464", "localhost:65535"])
def test_on_loopback_nothing_more_is_needed(listen: str) -> None:
    settings = MetricsSettings(listen)
    assert f"{settings.host}:{settings.port}" == listen.replace("[", "").replace("]", "")


@pytest.mark.parametrize("listen", ["0.0.0.0:9464", "10.20.1.10:9464", "[::]:9464", "[2001:db8::1]:9464", "pacs-1:9464"])
def test_elsewhere_readers_must_show_who_they_are(listen: str) -> None:
    with pytest.raises(ValueError, match=r"is not loopback: set metrics\.tls, or metrics\.unprotected: true"):
        MetricsSettings(listen)
    with pytest.raises(ValueError, match=r"is not loopback: set metrics\.tls\.ca, or metrics\.unprotected: true"):
        MetricsSettings(listen, SERVER)
    MetricsSettings(listen, MUTUAL)
    MetricsSettings(listen, SERVER, unprotected=True)
    MetricsSettings(listen, unprotected=True)


@pytest.mark.parametrize(
    "listen",
    [
        "",
        "9464",
        ":9464",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:http",
        "127.0.0.1:-1",
        "127.0.0.1:70000",
        "127.0.0.1:²",
        "::1:9",
    ],
)
def test_what_is_no_address(listen: str) -> None:
    with pytest.raises(ValueError, match="is not address:port, such as"):
        MetricsSettings(listen)


@pytest.mark.parametrize(
    ("tls", "told"),
    [
        ((FILE, None), "tls.certificate and tls.key go together"),
        ((None, FILE), "tls.certificate and tls.key go together"),
        ((None, None, FILE), "tls.ca needs tls.certificate"),
    ],
)
def test_half_of_tls(tls: tuple[Path | None, ...], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        MetricsTls(*tls)


def test_a_fault_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("unprotected: false\nlisten: 0.0.0.0:9464\n")
    with pytest.raises(BadConfig, match=r"x\.yaml:\d: metrics\.listen: 0\.0\.0\.0:9464 is not loopback"):
        load(MetricsSettings, path)
