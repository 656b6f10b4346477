"""Write a new rule to begin from: it loads as it is, in stage `test`, and its own tests pass.

With FILE the rule is written there, and nothing is overwritten.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from detector.commands.rules import put
from detector.matrix import MATRIX
from nigrani.service.errors import Problem

HEAD = """\
title: {title}
id: {id}
status: experimental
description: >-
  What was seen, and why it matters.
references:
  - https://attack.mitre.org/techniques/T1046/
author: {owner}
date: {today}
tags:
  - attack.discovery
  - attack.t1046
"""
SELECTION = """\
logsource:
  product: healthcare
  service: {service}
detection:
  selection:
    {field}: {value}
  condition: selection
"""
CORRELATION = """\
correlation:
  type: event_count
  rules:
    - {name}
  group-by:
    - host.id
  timespan: 5m
  condition:
    gt: 10
"""
TAIL = """\
falsepositives:
  - Who does this for a good reason.
level: medium
custom:
  stage: test # then shadow, which counts and does not alert, then on
  risk: 40
  owner: {owner}
  runbook: {runbook}
  matrix: "{matrix}"
  suppress:
    by: [host.id]
    for: 1h
  first_steps:
    - What the person who opens the alert does first.
  tests:
"""
TESTS = """\
    - event: {{{field}: {value}}}
      match: true
    - event: {{{field}: {other}}}
      match: false
"""
COUNTED_TESTS = """\
    - event: {{{field}: {value}, nigrani.count: 11}}
      match: true
    - event: {{{field}: {value}, nigrani.count: 10}}
      match: false
"""
EXAMPLES = {
    "flow": ("nigrani.flow.state", "REJ", "SF"),
    "dns": ("dns.question.type", "TXT", "A"),
    "session": ("network.protocol", "rdp", "http"),
    "dicom": ("event.action", "c-move", "c-echo"),
    "dicom_audit": ("event.action", "delete", "query"),
    "hl7": ("hl7.ack", "AE", "AA"),
    "fhir": ("fhir.interaction", "delete", "read"),
    "ai_inference": ("event.action", "admin", "predict"),
    "ai_training": ("event.action", "dataset-change", "round"),
    "ai_model_access": ("event.action", "delete", "list"),
    "agent": ("nigrani.agent.events|gt", "5", "0"),
}
"""Service → a field, a value that a rule may ask for, and another."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("file", metavar="FILE", nargs="?", type=Path, help="default: standard output")
    parser.add_argument("--service", choices=sorted(EXAMPLES), default="dicom", help="what it reads; default: dicom")
    parser.add_argument("--correlation", action="store_true", help="count matches of it, by device")
    parser.add_argument("--title", metavar="TEXT", default="What happened, in a few words", help="its title")
    parser.add_argument("--owner", metavar="NAME", default="nobody yet", help="whose it is")


def run(options: argparse.Namespace) -> int:
    """Write the template."""
    text = template(options.service, options.title, options.owner, correlation=options.correlation)
    if options.file is None:
        put(text.rstrip())
        return 0
    try:
        with options.file.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Problem(f"{options.file} is there already: name another file") from None
    return 0


def template(service: str, title: str, owner: str, *, correlation: bool = False) -> str:
    """A rule that loads."""
    field, value, other = EXAMPLES[service]
    said = {
        "title": _quoted(title),
        "owner": _quoted(owner),
        "id": uuid4(),
        "today": datetime.now(UTC).date(),
        "service": service,
        "field": field,
        "value": value,
        "other": other,
        "name": f"new_{service}_sign",
        "runbook": "rule-by-a-site",
        "matrix": MATRIX,
    }
    head, selection, tail = HEAD.format(**said), SELECTION.format(**said), TAIL.format(**said)
    said["field"] = field.partition("|")[0]
    if service == "agent":
        said["value"], said["other"] = "6", "5"
    if not correlation:
        return head + selection + tail + TESTS.format(**said)
    base = f"title: One sign of it\nname: {said['name']}\n{selection}---\n"
    return base + head + CORRELATION.format(**said) + tail + COUNTED_TESTS.format(**said)


def _quoted(text: str) -> str:
    """The text as YAML reads it back."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
