"""Units as systemd reads them, and what their user may do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.account import UNIT, Account, Unit, account
from tests.agent.packets import ROOT

UNIT_TEXT = """\
[Unit]
User=wrong
[Service]
# User=commented
ExecStart=/usr/bin/nigrani agent run \\
  --config {config}
User=nobody
StateDirectory=nigrani
AmbientCapabilities=CAP_NET_RAW
ProtectHome=yes
[Install]
User=wrong
"""


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, ...]:
    for name in ("etc", "lib"):
        (tmp_path / name / f"{UNIT}.d").mkdir(parents=True)
    (tmp_path / "lib" / UNIT).write_text(UNIT_TEXT.format(config=tmp_path / "agent.yaml"))
    return str(tmp_path / "etc"), str(tmp_path / "lib")


def test_a_units_settings_with_its_drop_ins(folders: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "lib" / f"{UNIT}.d" / "groups.conf").write_text("[Service]\nSupplementaryGroups=hidden\n")
    (tmp_path / "etc" / f"{UNIT}.d" / "groups.conf").write_text("[Service]\nSupplementaryGroups=daemon adm\n")
    (tmp_path / "etc" / f"{UNIT}.d" / "z.conf").write_text("[Service]\nAmbientCapabilities=\nSupplementaryGroups=mail\n")
    unit = Unit(folders)
    assert (unit.last("User"), unit.last("StateDirectory"), unit.last("Nothing")) == ("nobody", "nigrani", "")
    assert unit.words("SupplementaryGroups") == ["daemon", "adm", "mail"]
    assert unit.words("AmbientCapabilities") == []
    assert unit.runs(tmp_path / "agent.yaml")
    assert not unit.runs(tmp_path / "other.yaml")
    assert not unit.runs(None)


def test_a_unit_of_the_administrators_goes_before_the_packages(folders: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "etc" / UNIT).write_text("[Service]\nUser=daemon\n")
    assert Unit(folders).last("User") == "daemon"


def test_without_a_unit_we_are_who_asks(tmp_path: Path) -> None:
    mine = account(tmp_path / "agent.yaml", Unit((str(tmp_path),)))
    assert (mine.uid, mine.unit, mine.foreign) == (os.geteuid(), None, False)
    assert not mine.hides(Path("/home/x"))


def test_our_own_unit_gives_what_capture_needs() -> None:
    unit = Unit((str(ROOT / "systemd"),))
    assert unit.runs(Path("/etc/nigrani/agent.yaml"))
    assert unit.words("AmbientCapabilities") == ["CAP_NET_RAW"]


@pytest.mark.skipif(os.geteuid() != 0, reason="acts for another user")
def test_root_asks_for_the_units_user(folders: tuple[str, ...], tmp_path: Path) -> None:
    who = account(tmp_path / "agent.yaml", Unit(folders))
    assert (who.name, who.foreign, who.captures) == ("nobody", True, True)
    assert who.hides(Path("/home/me/log"))
    assert not who.hides(Path("/var/log"))
    tmp_path.chmod(0o755)
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    assert not who.may("read", secret)
    assert who.run(["/usr/bin/id", "-un"], 5).stdout == b"nobody\n"
    (tmp_path / "lib" / UNIT).write_text(UNIT_TEXT.format(config=tmp_path / "agent.yaml").replace("nobody", "nosuchuser"))
    assert account(tmp_path / "agent.yaml", Unit(folders)).name == "root"


def test_rights_of_ones_own(tmp_path: Path) -> None:
    mine = account(None, Unit(()))
    assert mine.may("read", tmp_path)
    assert mine.may("write", tmp_path)
    assert not mine.may("read", tmp_path / "nothing")
    assert not Account("x", os.geteuid(), 0, (), False).may("search", tmp_path / "nothing")
