"""All fuzz targets, by the module that has them: the agent's are loaded without the detector."""

from __future__ import annotations

import importlib
from functools import cache

from tests.fuzz.target import Target

WHERE = {
    "conversations": ("tls", "dicom", "hl7", "http", "smb2", "dns", "sip", "ssh", "dhcp", "kerberos", "rdp", "mqtt"),
    "packets": ("meter", "pcap", "pcapng", "exclude"),
    "lines": (
        "ai-gateway", "ai-http-access", "dicom-audit", "nvflare-audit", "orthanc", "training-ledger", "triton-trace",
    ),
    "sources": ("cut-lines", "cut-objects", "frames", "syslog-header", "manifest", "journal", "log-state", "packed-log",
        "time-answer", "sealed-map"),
    "stream": ("spool", "spool-folder", "message", "event"),
    "files": ("agent-config", "detector-config", "rules", "baseline", "checkpoint", "judge"),
}  # fmt: skip
NAMES = tuple(name for names in WHERE.values() for name in names)


@cache
def target(name: str) -> Target:
    """The target of this name."""
    module = next(module for module, names in WHERE.items() if name in names)
    found: Target = importlib.import_module(f"{__name__}.{module}").TARGETS[name]
    return found
