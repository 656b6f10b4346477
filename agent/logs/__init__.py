"""The log formats the agent knows, one module each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo

from agent.log import LogFormat
from agent.logs.dicom_audit import DicomAudit
from agent.logs.gateway import Gateway
from agent.logs.http_access import HttpAccess
from agent.logs.nvflare_audit import NvflareAudit
from agent.logs.orthanc import Orthanc
from agent.logs.training_ledger import TrainingLedger
from agent.logs.triton_trace import TritonTrace

FORMATS: dict[str, Callable[[tzinfo | None], LogFormat]] = {
    Gateway.name: lambda _zone: Gateway(),
    TrainingLedger.name: lambda _zone: TrainingLedger(),
    TritonTrace.name: lambda _zone: TritonTrace(),
    NvflareAudit.name: NvflareAudit,
    Orthanc.name: Orthanc,
    DicomAudit.name: DicomAudit,
    HttpAccess.name: HttpAccess,
}
"""Name → reader of one file or stream, for a host in that time zone (None: this host's); the strictest first."""
