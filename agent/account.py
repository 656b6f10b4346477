"""As whom the agent will run: the user of its systemd unit, or whoever asks; and what that user may do."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

UNIT = "nigrani-agent.service"
FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system")
"""Where systemd looks for units, the first that has one (systemd.unit(5))."""
CAP_NET_RAW = 13
NET_RAW = "CAP_NET_RAW"
TESTS = {"read": "-r", "write": "-w", "search": "-x"}
MODES = {"read": os.R_OK, "write": os.W_OK, "search": os.X_OK}


class Unit:
    """The [Service] section of a unit, with its drop-ins."""

    def __init__(self, folders: tuple[str, ...] = FOLDERS, name: str = UNIT) -> None:
        self.settings: dict[str, list[str]] = {}
        for path in _files(folders, name):
            self._read(path)

    def last(self, name: str) -> str:
        """The value that counts; empty where there is none."""
        return (self.settings.get(name) or [""])[-1]

    def words(self, name: str) -> list[str]:
        """All words of a setting that may stand several times."""
        return [word for value in self.settings.get(name, []) for word in value.split()]

    def runs(self, config: Path | None) -> bool:
        """Whether it starts an agent with this configuration."""
        words = self.last("ExecStart").split()
        return config is not None and str(config.absolute()) in words

    def _read(self, path: Path) -> None:
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ").splitlines()
        except OSError:
            return
        section = ""
        for line in lines:
            name, equals, value = (part.strip() for part in line.partition("="))
            if name.startswith("["):
                section = name
            elif section == "[Service]" and equals and not name.startswith(("#", ";")):
                if value:
                    self.settings.setdefault(name, []).append(value)
                else:
                    self.settings.pop(name, None)  # an empty value forgets those before it


def _files(folders: tuple[str, ...], name: str) -> Iterator[Path]:
    unit = next((Path(folder, name) for folder in folders if Path(folder, name).is_file()), None)
    if unit is None:
        return
    yield unit
    drops = {path.name: path for folder in reversed(folders) for path in Path(folder, f"{name}.d").glob("*.conf")}
    yield from (drops[key] for key in sorted(drops))


@dataclass(frozen=True)
class Account:
    """A user, and what was given to it."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    captures: bool
    """Whether it may open a capture."""
    unit: Unit | None = None
    """Of systemd, where that starts the agent."""

    @property
    def foreign(self) -> bool:
        """Whether it is another user than the one who asks."""
        return self.uid != os.geteuid()

    def may(self, how: str, path: Path) -> bool:
        """Whether it may `read`, `write` or `search` what is there."""
        if not self.foreign:
            return os.access(path, MODES[how], effective_ids=True)
        return self.run(["/usr/bin/test", TESTS[how], str(path)], 5.0).returncode == 0

    def run(self, command: list[str], seconds: float) -> subprocess.CompletedProcess[bytes]:
        """What a program prints for this user. Raises OSError, or TimeoutExpired after so many seconds."""
        user = (self.uid, self.gid, list(self.groups)) if self.foreign else (None, None, None)
        return subprocess.run(  # noqa: S603 - no shell, and the caller's own words
            command,
            user=user[0],
            group=user[1],
            extra_groups=user[2],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )

    def hides(self, path: Path) -> bool:
        """Whether the unit keeps this place from the service, whatever its rights (ProtectHome=)."""
        hidden = self.unit is not None and self.unit.last("ProtectHome") in {"yes", "true", "tmpfs"}
        return hidden and path.absolute().parts[1:2] in {("home",), ("root",)}


def account(config: Path | None, unit: Unit | None = None) -> Account:
    """The unit's user where the unit runs this configuration and we may act for it, else ourselves."""
    unit = unit or Unit()
    captures = _has(CAP_NET_RAW)
    if not unit.runs(config):
        return _ourselves(captures, None)
    captures = captures or NET_RAW in unit.words("AmbientCapabilities")
    if os.geteuid() != 0:
        return _ourselves(captures, unit)
    try:
        user = pwd.getpwnam(unit.last("User") or "root")
        more = [grp.getgrnam(name).gr_gid for name in unit.words("SupplementaryGroups")]
    except KeyError:  # not made yet: a package's script makes it before it asks
        return _ourselves(captures, unit)
    groups = {*os.getgrouplist(user.pw_name, user.pw_gid), *more}
    given = user.pw_uid == 0 or NET_RAW in unit.words("AmbientCapabilities")
    return Account(user.pw_name, user.pw_uid, user.pw_gid, tuple(sorted(groups)), given, unit)


def _ourselves(captures: bool, unit: Unit | None) -> Account:
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return Account(name, uid, os.getegid(), tuple(os.getgroups()), captures, unit)


def _has(capability: int) -> bool:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:  # a build root
        return False
    effective = next((line.split()[1] for line in lines if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> capability & 1)
