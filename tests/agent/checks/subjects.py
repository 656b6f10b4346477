"""Subjects of checks, made from YAML as an operator writes it."""

from __future__ import annotations

from pathlib import Path

from agent.account import Account, Unit, account
from agent.check import Finding, Subject
from agent.config import AgentConfig
from nigrani.service.config import load_with_lines


def subject(folder: Path, text: str, who: Account | None = None, *, seconds: float = 2.0, running: bool = False) -> Subject:
    path = folder / "agent.yaml"
    path.write_text(text)
    mine = who or account(None, Unit(()))
    return Subject(load_with_lines(AgentConfig, path), mine, seconds, running)


def levels(findings: list[Finding]) -> list[str]:
    return [finding.level for finding in findings]


def nobody(captures: bool = False) -> Account:
    """Needs root to be asked."""
    return Account("nobody", 65_534, 65_534, (65_534,), captures)
