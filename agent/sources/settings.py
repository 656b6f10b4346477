"""What the agent reads beside packets: log files, the journal, syslog, and folders of models and data.

Every source has a name of the operator's choice, which its counters carry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agent.logs.clock import zone_named

Format = Literal[
    "ai-gateway", "ai-http-access", "dicom-audit", "nvflare-audit", "orthanc", "training-ledger", "triton-trace"
]

Extension = Literal[
    "bin", "ckpt", "csv", "dcm", "engine", "gguf", "gz", "h5", "joblib", "jpg", "json", "keras", "mar", "nii", "npy", "npz",
    "onnx", "parquet", "pb", "pbtxt", "pickle", "pkl", "plan", "png", "pt", "pth", "py", "safetensors", "so", "tflite",
    "tfrecord", "tsv", "xml", "yaml", "yml", "zip",
]  # fmt: skip
"""Of files that hold models, data or settings; all others are told as `other`."""

MAX_SOURCES = 64

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_LISTEN = re.compile(r"(?:[0-9A-Za-z.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):\d{1,5}")


@dataclass(frozen=True)
class File:
    """One log file, followed by its name through rotations."""

    path: str
    """Of the file, which need not be there yet."""
    format: Format
    """Of its lines."""
    zone: str = ""
    """Time zone of lines that do not tell theirs, such as Asia/Kolkata or +05:30. Default: this host's."""
    beginning: bool = False
    """Read what was in the file before the agent first saw it."""

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("path: name the file")
        _check_zone(self.zone)


@dataclass(frozen=True)
class Journal:
    """What systemd units write to the journal of this host."""

    units: tuple[str, ...]
    """Such as ollama.service."""
    format: Format
    """Of their lines."""
    zone: str = ""
    """As of a file."""
    command: tuple[str, ...] = ("journalctl",)
    """The program that reads the journal."""

    def __post_init__(self) -> None:
        if not self.units or any(not unit or unit.startswith("-") for unit in self.units):
            raise ValueError("units: name at least one unit, such as ollama.service")
        if not self.command:
            raise ValueError("command: name the program, such as journalctl")
        _check_zone(self.zone)


@dataclass(frozen=True)
class Syslog:
    """A listener for what other machines report."""

    format: Format = "dicom-audit"
    """Of the messages."""
    transport: Literal["udp", "tcp", "tls"] = "tls"
    """`tls` is RFC 5425's; `udp` and `tcp` are neither secret nor authentic, for the host's own programs."""
    listen: str = "127.0.0.1:6514"
    """`address:port`. Other than loopback only on purpose; a site's archives then report here, by TLS."""
    certificate: Path | None = None
    """PEM certificate of this listener, with its chain."""
    key: Path | None = None
    """PEM private key of that certificate."""
    ca: Path | None = None
    """PEM certificates of the authorities that sign senders' certificates; a sender without one is not heard."""
    zone: str = ""
    """As of a file."""
    connections: int = 64
    """At once; beyond it a new one is closed, counted."""

    def __post_init__(self) -> None:
        if not _LISTEN.fullmatch(self.listen) or int(self.listen.rpartition(":")[2]) > 65_535:
            raise ValueError(f"listen: {self.listen!r} is not address:port, such as 127.0.0.1:6514")
        if self.transport == "tls" and self.files is None:
            raise ValueError("transport tls needs certificate, key and ca")
        if not 1 <= self.connections <= 1024:
            raise ValueError("connections: from 1 to 1024")
        _check_zone(self.zone)

    @property
    def files(self) -> tuple[Path, Path, Path] | None:
        """Certificate, key and authorities, where all three are named."""
        if self.certificate is None or self.key is None or self.ca is None:
            return None
        return self.certificate, self.key, self.ca


@dataclass(frozen=True)
class Folder:
    """A folder of model or dataset files, looked through again and again for what changed."""

    path: str
    """Of the folder, with all below it."""
    kind: Literal["model", "dataset"] = "model"
    """What its files are, and so what is told of them."""
    manifest: str = ""
    """A file as `sha256sum` writes it, which lists what should be there. Default: `SHA256SUMS` in the folder, if there."""
    manifest_key: str = ""
    """Who may sign the manifest: allowed signers of ssh-keygen (`SHA256SUMS.sig`), or a keyring called *.gpg (`.asc`)."""
    interval: float = 60.0
    """Seconds from one look to the next."""
    files: int = 10_000
    """Watched at most; the rest is counted."""
    bytes_per_second: int = 16 << 20
    """Read at most, so that what is served from the same disk does not wait."""

    def __post_init__(self) -> None:
        if not 1 <= self.interval <= 86_400 or not 1 <= self.files <= 1_000_000:
            raise ValueError("interval: from 1 s to a day; files: from 1 to a million")
        if not self.path:
            raise ValueError("path: name the folder")
        if self.manifest_key and not self.manifest_key.startswith("/"):
            raise ValueError("manifest_key: name the file by its whole path")
        if not 65_536 <= self.bytes_per_second <= 1 << 34:
            raise ValueError("bytes_per_second: from 65536")


Kind = File | Journal | Syslog | Folder


@dataclass(frozen=True)
class Logs:
    """All of them, each under its name."""

    files: dict[str, File] = field(default_factory=dict)
    """Name → a log file."""
    journal: dict[str, Journal] = field(default_factory=dict)
    """Name → units of the journal."""
    syslog: dict[str, Syslog] = field(default_factory=dict)
    """Name → a listener."""
    folders: dict[str, Folder] = field(default_factory=dict)
    """Name → a folder that is watched."""

    def __post_init__(self) -> None:
        names = [*self.files, *self.journal, *self.syslog, *self.folders]
        for name in names:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a source: up to 32 of a-z, 0-9, - and _")
        if len(set(names)) < len(names):
            raise ValueError("two sources have the same name")
        if len(names) > MAX_SOURCES:
            raise ValueError(f"{len(names)} sources are too many (at most {MAX_SOURCES})")

    def named(self) -> dict[str, Kind]:
        """All of them by name, in the order in which they are read."""
        return {**self.files, **self.journal, **self.syslog, **self.folders}


def _check_zone(name: str) -> None:
    try:
        zone_named(name)
    except ValueError as error:
        raise ValueError(f"zone: {error}") from None
