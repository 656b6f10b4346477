from __future__ import annotations

import typing

import msgspec
import pytest

from agent.logs import FORMATS
from agent.sources.settings import File, Folder, Format, Journal, Logs, Syslog


def test_every_format_can_be_named() -> None:
    assert set(typing.get_args(Format)) == set(FORMATS)


def test_they_are_made_from_plain_values() -> None:
    made = msgspec.convert(
        {
            "files": {"orthanc": {"path": "/var/log/orthanc.log", "format": "orthanc", "zone": "Asia/Kolkata"}},
            "folders": {"models": {"path": "/srv"}},
        },
        Logs,
    )
    assert made == Logs(
        files={"orthanc": File("/var/log/orthanc.log", "orthanc", "Asia/Kolkata")}, folders={"models": Folder("/srv")}
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: Syslog(transport="tcp", listen="514"),
        lambda: Syslog(transport="tcp", listen="127.0.0.1:70000"),
        Syslog,
        lambda: Syslog(transport="udp", connections=0),
        lambda: Journal((), "orthanc"),
        lambda: Journal(("--root=/",), "orthanc"),
        lambda: Journal(("a",), "orthanc", command=()),
        lambda: Folder("/", interval=0),
        lambda: Folder(""),
        lambda: File("", "orthanc"),
        lambda: File("/x", "orthanc", "Mars/Olympus"),
        lambda: Folder("/", files=0),
        lambda: Folder("/", bytes_per_second=1),
        lambda: Logs(folders={"A b": Folder("/")}),
        lambda: Logs(folders={"a": Folder("/")}, files={"a": File("/", "orthanc")}),
        lambda: Logs(folders={f"a{n}": Folder("/") for n in range(65)}),
    ],
)
def test_what_cannot_be_is_refused(make: typing.Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        make()


def test_a_listener_is_on_loopback_unless_told() -> None:
    assert Syslog(transport="udp").listen.startswith("127.0.0.1:")
